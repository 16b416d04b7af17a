"""Renews the generated files: `python tests/renew.py`. A test fails where a committed file is not what this makes."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from aks_audit_reports.json import schema

ROOT = Path(__file__).parent.parent


def _schema() -> dict[str, bytes]:
    return {"docs/report.schema.json": schema()}


GENERATORS: Mapping[str, Callable[[], Mapping[str, bytes]]] = {
    "the schema of the JSON report": _schema,
}
"""What is generated, and the function that makes it: the files' paths from the repository's root, and their content."""


def main() -> None:
    """Write every generated file that differs, and say which."""
    for name, generate in GENERATORS.items():
        for path, content in generate().items():
            file = ROOT / path
            if not file.exists() or file.read_bytes() != content:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
                sys.stdout.write(f"renewed {name}: {path}\n")


if __name__ == "__main__":
    main()
