"""Serve a snapshot file from a process of its own, which a benchmark needs to tell the client's work from the server's.

The first line on stdout is `{"url", "ca_file"}`; when stdin ends, so does the server, and a second line counts the
answers by status.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

from resource_manager import AZURE, Paging, ResourceManager, load


def main() -> None:
    """Serve until stdin ends."""
    parser = argparse.ArgumentParser(prog="python -m resource_manager", description=__doc__)
    parser.add_argument("snapshot", type=Path)
    parser.add_argument("--page-size", type=int)
    parser.add_argument("--delay", type=float, default=0, help="seconds before each answer")
    parser.add_argument("--limits", action="store_true", help="throttle with Azure's own numbers")
    given = parser.parse_args()
    paging, limits = Paging(size=given.page_size), AZURE if given.limits else None
    with ResourceManager(load(given.snapshot), paging=paging, limits=limits, delay=given.delay) as server:
        _say({"url": server.url, "ca_file": str(server.ca_file)})
        sys.stdin.read()
        _say(Counter(str(request.status) for request in server.requests))


def _say(line: dict[str, str] | Counter[str]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
