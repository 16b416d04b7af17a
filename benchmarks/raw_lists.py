"""The least that a client can do: the calls of `aks-audit collect` by aiohttp alone, their answers decoded and dropped.

AKS_AUDIT_CLOUD=https://… SSL_CERT_FILE=… python benchmarks/raw_lists.py
"""

import asyncio
import os
import ssl
from typing import Any

import msgspec
from aiohttp import ClientSession, TCPConnector

from aks_audit.sources.azure.pipeline import CONNECTIONS
from aks_audit.sources.azure.plan import LISTED, SUBSCRIPTIONS, ZONE_READS

URL = os.environ["AKS_AUDIT_CLOUD"]


async def whole(session: ClientSession, path: str, api_version: str) -> list[dict[str, Any]]:
    """A list to its last page."""
    found: list[dict[str, Any]] = []
    link: str | None = f"{URL}{path}?api-version={api_version}"
    while link:
        async with session.get(link) as answer:
            page = msgspec.json.decode(await answer.read())
        found += page["value"]
        link = page.get("nextLink")
    return found


async def of_one(session: ClientSession, subscription: str, kind: str, api_version: str) -> int:
    """A list of a subscription and, of its zones, their links and records."""
    items = await whole(session, f"{subscription}/providers/{kind}", api_version)
    zones = [item["id"] for item in items if item["type"].lower() == "microsoft.network/privatednszones"]
    wanted = [(f"{zone}/{read.path}", read.api_version) for zone in zones for read in ZONE_READS]
    parts = await asyncio.gather(*(whole(session, *each) for each in wanted))
    return sum(map(len, [items, *parts]))


async def main() -> None:
    """Read all, and print how much there was."""
    context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
    headers = {"Authorization": "Bearer stand-in"}
    async with ClientSession(connector=TCPConnector(ssl=context, limit=CONNECTIONS), headers=headers) as session:
        subscriptions = [one["id"] for one in await whole(session, "/subscriptions", SUBSCRIPTIONS)]
        wanted = [(one, *kind) for one in subscriptions for kind in LISTED.items()]
        print(sum(await asyncio.gather(*(of_one(session, *each) for each in wanted))))


if __name__ == "__main__":
    asyncio.run(main())
