"""Serve a recorded cluster from a process of its own, to try a command against it or to measure one.

The first line on stdout is `{"url", "token"}`; when stdin ends, or on Ctrl-C, so does the server, and a second line
counts the answers by status.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from kubernetes_api import AUDITOR_TOKEN, KubernetesApi, kubeconfig
from kubernetes_api.recordings import CLUSTERS


def main() -> None:
    """Serve until stdin ends."""
    parser = argparse.ArgumentParser(prog="python -m kubernetes_api", description=__doc__)
    parser.add_argument("cluster", nargs="?", choices=CLUSTERS, default="weak")
    parser.add_argument("--kubeconfig", type=Path, help="a file to write, with which the server is found")
    parser.add_argument("--context", default="aks-shop", help="the name in that file")
    parser.add_argument("--ca", type=Path, help="a file to write, with the certificate to trust")
    parser.add_argument("--pods", type=int, help="so many pods in place of the recorded ones")
    parser.add_argument("--delay", type=float, default=0, help="seconds before each answer")
    parser.add_argument("--inflight", type=int, help="how many requests at a time are not throttled")
    given = parser.parse_args()
    with KubernetesApi(given.cluster, pods=given.pods, delay=given.delay, inflight=given.inflight) as api:
        if given.kubeconfig:
            given.kubeconfig.write_text(kubeconfig(api, context=given.context), encoding="utf-8")
        if given.ca:
            given.ca.write_bytes(api.ca)
        _say({"url": api.url, "token": AUDITOR_TOKEN})
        with suppress(KeyboardInterrupt):
            sys.stdin.read()
        _say(Counter(str(request.status) for request in api.requests))


def _say(line: Mapping[str, str | int]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
