"""Renews the generated files: `python tests/renew.py`. With `--check` it writes none, and fails where one is stale."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from aks_audit import config, drift_reports
from aks_audit.engine import load_rules
from aks_audit.snapshot import encode
from aks_audit_reports.json import schema
from chart_pages import files as chart_files
from checklists_page import page as checklists_page
from compose.estates import ESTATES, demo
from coverage_page import page
from permissions_page import page as permissions_page
from rule_pages import pages as rule_pages
from traps.corpus import page as traps_page

ROOT = Path(__file__).parent.parent


def _schema() -> dict[str, bytes]:
    return {"docs/report.schema.json": schema()}


def _config_schema() -> dict[str, bytes]:
    return {"docs/aks-audit.schema.json": config.schema([rule.id for rule in load_rules()])}


def _diff_schema() -> dict[str, bytes]:
    return {"docs/diff.schema.json": drift_reports.schema()}


def _coverage() -> dict[str, bytes]:
    return {"docs/coverage.md": page()}


def _permissions() -> dict[str, bytes]:
    return {"docs/permissions.md": permissions_page()}


def _traps() -> dict[str, bytes]:
    return {"docs/traps.md": traps_page()}


def _checklists() -> dict[str, bytes]:
    return {"docs/checklists.md": checklists_page()}


def _estates() -> dict[str, bytes]:
    return {f"fixtures/estates/{name}.jsonl": encode(records()) for name, records in ESTATES.items()}


def _demo() -> dict[str, bytes]:
    return {"auditor/aks_audit/demo/estate.jsonl": encode(demo.records())}


GENERATORS: Mapping[str, Callable[[], Mapping[str, bytes]]] = {
    "the schema of the JSON report": _schema,
    "the schema of aks-audit.toml": _config_schema,
    "the schema of aks-audit diff": _diff_schema,
    "the list of rules": _coverage,
    "the list of permissions": _permissions,
    "the pages of rules and checklists": rule_pages,
    "the table of traps": _traps,
    "the README and the roles of the chart": chart_files,
    "the page about checklists": _checklists,
    "the estates of the fixtures": _estates,
    "the estate of the demo": _demo,
}
"""What is generated, and the function that makes it: the files' paths from the repository's root, and their content."""


def stale(made: Mapping[str, bytes]) -> list[str]:
    """The paths of files that are absent, or not as they are made."""
    return [path for path, content in made.items() if not _is(ROOT / path, content)]


def _is(file: Path, content: bytes) -> bool:
    return file.exists() and file.read_bytes() == content


def main(*, check: bool) -> int:
    """Write every generated file that is stale, or only say which; give the exit code."""
    found = 0
    for name, generate in GENERATORS.items():
        made = generate()
        for path in stale(made):
            found += 1
            sys.stdout.write(f"{'stale' if check else 'renewed'}: {path} ({name})\n")
            if not check:
                (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
                (ROOT / path).write_bytes(made[path])
    return int(check and found > 0)


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
