"""An audit leaves nothing that only a search for garbage would find: it makes none, and its estates are large."""

import gc
from pathlib import Path

import pytest

from aks_audit import snapshot
from aks_audit.engine import audit, load_rules
from aks_audit.facts import Estate
from aks_audit.pictures import picture
from compose.hubs import Sizes, hubs

ESTATES = sorted((Path(__file__).parent.parent / "fixtures" / "estates").glob("*.jsonl"))
RULES = load_rules()


def left_by(recorded: snapshot.Snapshot) -> set[str]:
    """The types of what an audit leaves in cycles, other than functions, of which Python itself makes some."""
    estate = Estate(recorded)
    gc.collect()
    gc.disable()
    try:
        audit(estate, RULES, picture)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        return {type(one).__qualname__ for one in gc.garbage if type(one).__module__.startswith("aks_audit")}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("path", ESTATES, ids=lambda path: path.stem)
def test_an_audit_makes_no_cycles(path: Path) -> None:
    assert left_by(snapshot.read([path])) == set()


def test_an_audit_behind_hubs_makes_no_cycles() -> None:
    assert left_by(snapshot.of(hubs(4, 2, Sizes()))) == set()
