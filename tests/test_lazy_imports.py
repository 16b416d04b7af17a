"""What a command does not need, it does not import."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("azure", "kubernetes", "aiohttp", "requests", "duckdb")


def imported_by(*arguments: str) -> set[str]:
    """The top-level packages that the command has imported at its end."""
    script = (
        "import sys\n"
        "from aks_audit.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "sys.stderr.write('\\nIMPORTED ' + ' '.join(sorted({name.split('.')[0] for name in sys.modules})))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    return set(done.stderr.rpartition("IMPORTED ")[2].split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["scan", "--help"],
        ["--version"],
        ["rules", "new", "--help"],
        ["snapshot", "import", "--help"],
        ["permissions", "--help"],
        ["config", "check", "--help"],
        ["diff", "--help"],
        ["history", "--help"],
        ["completion", "--help"],
    ],
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    assert not imported_by(*arguments) & {*HEAVY, "jinja2", "msgspec"}


def test_scan_of_a_snapshot_imports_no_sdk(tmp_path: Path) -> None:
    assert not imported_by("scan", "--demo", "--output", str(tmp_path)) & set(HEAVY)


def test_listing_rules_imports_no_sdk_no_templates_and_no_expressions() -> None:
    assert not imported_by("rules") & {*HEAVY, "jinja2", "jmespath"}


def test_a_comparison_imports_no_sdk_and_no_templates() -> None:
    sample = str(Path(__file__).parent.parent / "auditor" / "aks_audit" / "demo" / "estate.jsonl")
    assert not imported_by("diff", sample, sample) & {*HEAVY, "jinja2"}


def test_permissions_imports_no_sdk_and_no_templates() -> None:
    assert not imported_by("permissions", "--format", "yaml") & {*HEAVY, "jinja2"}
