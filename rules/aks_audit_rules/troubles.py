"""How rules about a whole cluster come to a verdict on many objects: they name the worst, and count the others."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from aks_audit.facts import Evidence, NotCollected, Unread
from aks_audit.facts.kubernetes import KubernetesObject
from aks_audit.facts.link import Holding
from aks_audit.results import Missing, Severity, Verdict
from aks_audit.rule import each, fails, undecided

O = TypeVar("O", bound=KubernetesObject)  # noqa: E741 - O for object

_MOST = 5
"""How many troubles a verdict names and cites."""


class Trouble(NamedTuple):
    """What is wrong with an object, in words, and how bad that is."""

    told: str
    evidence: Evidence
    severity: Severity = Severity.LOW


class Found(NamedTuple):
    """The troubles of some objects, and what was not read that may have more."""

    troubles: tuple[Trouble, ...]
    missing: tuple[Missing, ...]


def find(held: Holding[O], judge: Callable[[O], Trouble | None]) -> Found:
    """What is wrong with the objects of a kind."""
    troubles: list[Trouble] = []
    missing: list[Missing] = []
    try:
        held.whole()
    except NotCollected as unread:
        missing += unread.missing
    for one in held:
        try:
            trouble = judge(one)
        except Unread as unread:
            missing += unread.missing
        else:
            troubles += [trouble] if trouble else []
    return Found(tuple(troubles), tuple(missing))


def verdict(found: Iterable[Found], good: Verdict) -> Verdict:
    """The failure that names the worst troubles; unknown where there may be some, else `good`."""
    looked = tuple(found)
    order = list(Severity)
    troubles = sorted(
        (one for several in looked for one in several.troubles), key=lambda one: order.index(one.severity)
    )
    if troubles:
        told = "; ".join(one.told for one in troubles[:_MOST])
        more = f"; and {len(troubles) - _MOST} more" if len(troubles) > _MOST else ""
        return fails(f"{told}{more}", *(one.evidence for one in troubles[:_MOST]), severity=troubles[0].severity)
    missing = tuple(dict.fromkeys(one for several in looked for one in several.missing))
    if missing:
        reasons = list(dict.fromkeys(one.reason for one in missing))
        return undecided("; ".join(reasons[:_MOST]), missing=missing)
    return good


def brief(several: Sequence[Verdict]) -> Verdict:
    """The worst of several verdicts, as `each` has it, naming the first few that tell it and counting the others."""
    worst = each(several, lambda one: one)
    told = list(dict.fromkeys(one.message for one in several if one.outcome is worst.outcome))
    more = f"; and {len(told) - _MOST} more" if len(told) > _MOST else ""
    return msgspec.structs.replace(worst, message="; ".join(told[:_MOST]) + more, evidence=worst.evidence[:_MOST])
