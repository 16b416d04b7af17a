"""Checklists: what a guide or benchmark asks, item by item, and which rule answers.

A checklist is a TOML file: `title`, `source`, `summary`, and `[[item]]` tables in the guide's order, each with
`rule` (the id of the rule that answers; empty for a question to a person), `weight` (above 0) and `sentence`, and
`manual = true` where no API can prove it. `further` rules answer together with `rule`: the worst of their answers is
the answer. `number` is the guide's own, `group` the heading that the item stands under, and `note` says what the
reader of the guide must know beside it.
"""

import tomllib
from collections.abc import Sequence
from importlib.resources import files

import msgspec

from aks_audit.errors import AuditError
from aks_audit.installed import brought

ENTRY_POINTS = "aks_audit.checklists"
EVERYTHING = "all"
"""The name of the checklist of all rules, which is made of them."""


class ChecklistError(AuditError):
    """A checklist that is not there, or not well formed; the message says what to do."""


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One question of a checklist."""

    rule: str
    weight: float
    sentence: str
    manual: bool = False
    further: tuple[str, ...] = ()
    number: str = ""
    group: str = ""
    note: str = ""

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules that answer it together; none where a person does."""
        return () if self.manual else (self.rule, *self.further)


class Checklist(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A checklist. `name` is the file's name without `.toml`."""

    title: str
    source: str
    summary: str
    item: tuple[Item, ...]
    name: str = ""


def load_checklists() -> tuple[Checklist, ...]:
    """All installed checklists, in order of name.

    Raises:
        ChecklistError: a file is not a checklist, or two packages bring one of the same name; the message names it.
    """
    found: dict[str, Checklist] = {}
    for entry in brought(ENTRY_POINTS):
        for file in files(entry.value).iterdir():
            if file.name.endswith(".toml"):
                name = file.name.removesuffix(".toml")
                if name == EVERYTHING:
                    raise ChecklistError(f"checklist {name} of {entry.value}: this name is kept for that of all rules")
                if name in found:
                    raise ChecklistError(f"checklist {name} of {entry.value} is already installed by another package")
                found[name] = parse(name, file.read_text(encoding="utf-8"))
    return tuple(found[name] for name in sorted(found))


def parse(name: str, toml: str) -> Checklist:
    """Read a checklist from TOML.

    Raises:
        ChecklistError: it is not TOML, or not a checklist.
    """
    try:
        checklist = msgspec.convert({**tomllib.loads(toml), "name": name}, Checklist)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ChecklistError(f"checklist {name}: {error}") from error
    bad = [item.rule or item.sentence for item in checklist.item if item.weight <= 0]
    if bad:
        raise ChecklistError(f"checklist {name}: the weight of {bad[0]} must be above 0")
    return checklist


def choose(checklists: Sequence[Checklist], names: Sequence[str]) -> Sequence[Checklist]:
    """The checklists with these names; all where no name is given.

    Raises:
        ChecklistError: there is no checklist of that name; the message lists what there is.
    """
    there = {checklist.name: checklist for checklist in checklists}
    unknown = [name for name in names if name not in there]
    if unknown:
        raise ChecklistError(f"no checklist {unknown[0]!r}; there are: {', '.join(there)}")
    return tuple(there[name] for name in dict.fromkeys(names)) if names else checklists
