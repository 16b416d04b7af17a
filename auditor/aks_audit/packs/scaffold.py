"""A new rule for a pack of one's own, with its cases, its page and the test that asks them."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template

from aks_audit.packs import PackError, check_id, declarative
from aks_audit.snapshot import write_atomically

TEST = Path("tests", "test_rules.py")
"""The test of all rules of a pack, from its folder; it is written with the first."""


def write(rule_id: str, folder: Path, *, declared: bool) -> tuple[Path, ...]:
    """Write a rule (in Python, or `declared` in TOML) with all that belongs to it, and give the files' paths.

    Raises:
        PackError: it is no id for a rule of one's own, or one of the files is there; then none is written.
        SnapshotError: they cannot be written there.
    """
    check_id(rule_id)
    made = _files(rule_id, folder, declared=declared)
    name = _name(rule_id)
    rules = (folder / f"{name}.py", folder / f"{name}{declarative.SUFFIX}")
    if there := [path for path in (*rules, *made) if path.exists()]:
        raise PackError(f"{there[0]}: is there, and stays as it is; choose another id or folder")
    if not (folder / TEST).exists():
        made = {**made, folder / TEST: _filled("ask.py", {})}
    for path, text in made.items():
        write_atomically(path, text.encode())
    return tuple(made)


def _files(rule_id: str, folder: Path, *, declared: bool) -> Mapping[Path, str]:
    name = _name(rule_id)
    values = {"id": rule_id, "name": name, "folder": folder.as_posix()}
    file = folder / f"{name}{declarative.SUFFIX if declared else '.py'}"
    return {
        file: _filled("rule.toml" if declared else "rule.py", values),
        folder / "cases" / f"{rule_id}.toml": _filled("cases.toml", values),
        folder / "docs" / f"{rule_id}.md": _filled("page.md", values),
    }


def _name(rule_id: str) -> str:
    return rule_id.lower().replace("-", "_")


def _filled(name: str, values: Mapping[str, str]) -> str:
    template = (files("aks_audit.packs") / "templates" / f"{name}.txt").read_text(encoding="utf-8")
    return Template(template).substitute(values)
