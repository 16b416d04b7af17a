"""Times the reading of a cluster's pods beside the fastest raw reading, each in a fresh process.

    python benchmarks/pods.py [--pods 5000]

The API server is the recorded one of the tests, in a process of its own, with so many pods of about 8.5 kB. `raw` reads
pages of 500 by the Kubernetes client, decodes them with the standard library and throws them away, the garbage
collector off; `msgspec` does so with aiohttp and msgspec, and is the floor; `aks-audit` also trims every pod, keeps it,
and writes the snapshot. Prints wall and CPU seconds from the first call on, and the peak resident memory in MiB;
asserts nothing.
"""

import argparse
import asyncio
import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

TESTS = Path(__file__).parent.parent / "tests"
CLUSTER = "/subscriptions/1/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/large"


def main() -> None:
    """Serve, read in both ways, and print the table; a process that reads is told how and where."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pods", type=int, default=5_000)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--token", help=argparse.SUPPRESS)
    parser.add_argument("--ca", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        measure(WAYS[given.way](given.url, given.token, given.ca))
        return
    print(f"{'':10} {'wall s':>8} {'CPU s':>8} {'MiB':>6} {'pods':>7}")
    for way in WAYS:
        with served(given.pods) as where:
            command = [sys.executable, __file__, "--way", way, *where]
            runs = [json.loads(subprocess.check_output(command, text=True)) for _ in range(3)]
        best = min(runs, key=lambda run: run["wall"])
        print(f"{way:10} {best['wall']:8.2f} {best['cpu']:8.2f} {best['mib']:6.0f} {best['pods']:7,}")


@contextmanager
def served(pods: int) -> Iterator[list[str]]:
    """Serve so many pods; gives the arguments by which a reader finds them."""
    with tempfile.TemporaryDirectory() as folder:
        authority = Path(folder) / "ca.pem"
        command = [sys.executable, "-m", "kubernetes_api", "weak", "--pods", str(pods), "--ca", str(authority)]
        environment = {**os.environ, "PYTHONPATH": str(TESTS)}
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            where = json.loads(process.stdout.readline() if process.stdout else "")
            yield ["--url", where["url"], "--token", where["token"], "--ca", str(authority)]
            process.communicate()


def measure(reading: Awaitable[int]) -> None:
    """Run a reading and print what it took."""

    async def timed() -> int:
        return await reading

    wall, cpu = time.perf_counter(), time.process_time()
    pods = asyncio.run(timed())
    found = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "pods": pods}
    found["mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(found))


def raw(url: str, token: str, authority: Path) -> Awaitable[int]:
    """Pages of 500 by the Kubernetes client, decoded and thrown away."""
    from kubernetes.aio.client.configuration import Configuration  # noqa: PLC0415 - each way imports what it needs
    from kubernetes.aio.client.rest import RESTClientObject  # noqa: PLC0415

    async def read() -> int:
        gc.disable()
        client = RESTClientObject(Configuration(host=url, ssl_ca_cert=str(authority)))
        count, proceed = 0, ""
        while True:
            query = f"limit=500&continue={quote(proceed)}" if proceed else "limit=500"
            address = f"{url}/api/v1/pods?{query}"
            headers = {"Authorization": f"Bearer {token}"}
            answer: Any = await client.request("GET", address, headers)  # type: ignore[no-untyped-call] # of the SDK
            page = json.loads(await answer.read())
            count += len(page["items"])
            proceed = page["metadata"].get("continue", "")
            if not proceed:
                await client.close()
                return count

    return read()


def floor(url: str, token: str, authority: Path) -> Awaitable[int]:
    """Pages of 500 by aiohttp, decoded by msgspec and thrown away."""
    import ssl  # noqa: PLC0415 - each way imports what it needs

    import aiohttp  # noqa: PLC0415
    import msgspec  # noqa: PLC0415

    async def read() -> int:
        gc.disable()
        context = ssl.create_default_context(cafile=authority)
        headers = {"Authorization": f"Bearer {token}"}
        count, proceed = 0, ""
        async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(ssl=context)) as session:
            while True:
                parameters = {"limit": "500", **({"continue": proceed} if proceed else {})}
                async with session.get(f"{url}/api/v1/pods", params=parameters) as response:
                    page = msgspec.json.decode(await response.read())
                count += len(page["items"])
                proceed = page["metadata"].get("continue", "")
                if not proceed:
                    return count

    return read()


def ours(url: str, token: str, authority: Path) -> Awaitable[int]:
    """The reading that a scan makes of this kind, and its snapshot."""
    from aks_audit import snapshot  # noqa: PLC0415 - each way imports what it needs
    from aks_audit.sources.deadline import Deadline  # noqa: PLC0415
    from aks_audit.sources.kubernetes.access import Access  # noqa: PLC0415
    from aks_audit.sources.kubernetes.client import Client  # noqa: PLC0415
    from aks_audit.sources.kubernetes.plan import Kind  # noqa: PLC0415
    from aks_audit.sources.kubernetes.reader import Reader  # noqa: PLC0415

    trusted = authority.read_bytes()

    async def give() -> str:
        return token

    async def read() -> int:
        gc.set_threshold(200_000)
        async with Client(Access(CLUSTER, "kubeconfig", url, trusted, token=give)) as client:
            records = await Reader(client, CLUSTER, Deadline()).listing(Kind("", "pods"), "v1")
        with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
            snapshot.write(Path(file.name), records)
        return len(records) - 1

    return read()


WAYS: dict[str, Callable[[str, str, Path], Awaitable[int]]] = {"raw": raw, "msgspec": floor, "aks-audit": ours}

if __name__ == "__main__":
    main()
