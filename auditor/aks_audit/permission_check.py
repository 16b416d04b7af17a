"""What a scan would not be permitted to read, and which rules that would leave unknown: the answer before a scan."""

import shlex
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from aks_audit.consequences import Trial
from aks_audit.facts.resource_id import parse
from aks_audit.permissions import SUBJECT, Permissions, data_actions
from aks_audit.progress import one_line, printable
from aks_audit.results import Record

ASKED_FOR = frozenset({"Microsoft.Resources/subscriptions", "Microsoft.Authorization/permissions"})
"""What the check reads itself: where it has an answer, both are permitted."""

_TO_ASK = "Microsoft.Authorization/permissions/read"
_WIDTH = 120
_MOST_SCOPES = 3
_MANAGEMENT_GROUP = "/providers/Microsoft.Management/managementGroups/ID"
_MOST_REASONS = 3
_PLACES = {"arm": ("in", "subscription"), "aks-data": ("in", "cluster"), "kubernetes": ("inside", "cluster")}


class Need(NamedTuple):
    """An action that a scan needs on a plane, what it reads (as types of a snapshot), and how often it is asked for.

    That of the plane kubernetes is in words, `list pods`. One that is not `published` can be in no custom role.
    """

    plane: str
    action: str
    reads: tuple[str, ...]
    call: str
    optional: bool = False
    published: bool = True


class Asked(NamedTuple):
    """The answer for a scope of a plane: the actions that it lacks; or the `reason` why that is not known.

    A cluster that is asked itself has several answers where it did not tell everything.
    """

    plane: str
    scope: str
    lacks: frozenset[str] = frozenset()
    reason: str = ""


class AffectedRule(Record, frozen=True):
    """A rule that would be unknown."""

    id: str
    title: str


class Lack(Record, frozen=True):
    """An action that is missing: in which scopes, what it is for, and which rules would be unknown without it alone."""

    plane: str
    action: str
    call: str
    reads: tuple[str, ...]
    optional: bool
    in_custom_roles: bool
    scopes: tuple[str, ...]
    rules: tuple[AffectedRule, ...]


class Place(Record, frozen=True):
    """A scope that has answered: a subscription of the plane arm, a cluster of the others."""

    plane: str
    scope: str


class NotKnown(Record, frozen=True):
    """A scope of which it is not known what is permitted there, or not of everything."""

    plane: str
    scope: str
    reason: str


class Check(Record, frozen=True):
    """The whole answer. `unknown` are the rules that would be, of so many `rules`, without all that is missing."""

    asked: tuple[Place, ...]
    rules: int
    missing: tuple[Lack, ...]
    unknown: tuple[AffectedRule, ...]
    not_known: tuple[NotKnown, ...]

    @property
    def complete(self) -> bool:
        """Whether every scope has answered, and lacks nothing."""
        return not self.missing and not self.not_known


def azure_needs(listed: Permissions, optional: Iterable[str]) -> tuple[Need, ...]:
    """What a scan needs of Azure Resource Manager; `optional` are the types of the optional reads asked for."""
    wanted = {kind.lower() for kind in optional}
    return tuple(
        Need("arm", read.action, read.reads, read.call, read.optional, read.published)
        for read in listed.arm
        if ASKED_FOR.isdisjoint(read.reads) and (not read.optional or wanted & {kind.lower() for kind in read.reads})
    )


def data_needs(listed: Permissions) -> tuple[Need, ...]:
    """What a scan needs inside a cluster whose authorization is Azure RBAC."""
    kinds: dict[str, list[str]] = {}
    calls: Counter[str] = Counter()
    for read in listed.kubernetes:
        actions = data_actions(read) * (len(read.reads) if read.custom else 1)
        for action, kind in zip(actions, read.reads, strict=True):
            kinds.setdefault(action, []).append(f"{kind}.{read.group}".rstrip("."))
            calls[action] += len(read.names) or 1
    return tuple(
        Need("aks-data", action, tuple(kinds[action]), _at_most(calls[action]))
        for action in sorted(kinds, key=str.lower)
    )


def _at_most(calls: int) -> str:
    return "one list a cluster" if calls == 1 else f"up to {calls} reads a cluster"


def conclude(asked: Sequence[Asked], needs: Sequence[Need], trial: Trial) -> Check:
    """What follows from the answers of all scopes; the rules are found by trial."""
    lacking = {
        need: tuple(one.scope for one in asked if one.plane == need.plane and need.action in one.lacks)
        for need in needs
    }
    missing = {need: scopes for need, scopes in lacking.items() if scopes}
    lost = {kind for need in missing for kind in need.reads}
    return Check(
        asked=tuple(Place(one.plane, one.scope) for one in asked if not one.reason),
        rules=len(trial.rules),
        missing=tuple(_lack(need, scopes, _affected(trial, need.reads)) for need, scopes in missing.items()),
        unknown=_affected(trial, lost) if lost else (),
        not_known=tuple(NotKnown(one.plane, one.scope, one.reason) for one in asked if one.reason),
    )


def _lack(need: Need, scopes: tuple[str, ...], rules: tuple[AffectedRule, ...]) -> Lack:
    return Lack(need.plane, need.action, need.call, need.reads, need.optional, need.published, scopes, rules)


def _affected(trial: Trial, types: Iterable[str]) -> tuple[AffectedRule, ...]:
    unknown = trial.unknown_without(frozenset(types))
    return tuple(AffectedRule(rule.id, rule.text.title) for rule in trial.rules if rule.id in unknown)


def as_json(check: Check) -> str:
    """The answer as one JSON object."""
    return msgspec.json.format(msgspec.json.encode(check), indent=2).decode() + "\n"


def as_text(check: Check) -> str:
    """The answer for a person."""
    return printable("\n".join(_lines(check)) + "\n")


def _lines(check: Check) -> Iterator[str]:
    if not check.asked and not check.not_known:
        yield "Nothing was asked: there is no cluster in the scope."
    for plane in _PLACES:
        yield from _plane(plane, check)
    yield from _not_known(check.not_known)
    if check.unknown:
        yield from ("", f"Left unknown: {_count(check.unknown, check.rules)}")
    if check.unknown and len(check.unknown) < check.rules:
        yield from (f"  {rule.id}  {rule.title}" for rule in check.unknown)
    if check.missing:
        yield from ("", "To permit it (GROUP is the object id of who scans; see aks-audit permissions --help):")
        yield from (f"  {command}" for command in _remedies(check.missing))
    yield from ("", "Only the scope was asked about. What clusters lead to beyond it, such as a hub, may be refused.")


def _plane(plane: str, check: Check) -> Iterator[str]:
    inside, noun = _PLACES[plane]
    asked = {place.scope for place in check.asked if place.plane == plane}
    if not asked:
        return
    missing = [lack for lack in check.missing if lack.plane == plane]
    unsure = {place.scope for place in check.not_known if place.plane == plane}
    whole = asked - unsure - {scope for lack in missing for scope in lack.scopes}
    number = "" if whole == asked else f"{len(whole)} of "
    yield f"Everything that a scan reads is permitted {inside} {number}{_many(len(asked), noun)}."
    for scopes in dict.fromkeys(lack.scopes for lack in missing):
        of = _many(len(scopes), noun)
        yield from ("", f"Missing {inside} {of}:", *(f"  {one_line(scope)}" for scope in scopes), "")
        yield from _actions([lack for lack in missing if lack.scopes == scopes], check.rules)


def _actions(missing: Sequence[Lack], rules: int) -> Iterator[str]:
    width = max(len(lack.action) for lack in missing)
    asked_about = [lack for lack in missing if lack.rules]
    recorded = [lack for lack in missing if not lack.rules]
    for lack in asked_about:
        yield f"  {lack.action:{width}}  {lack.call}"
        all_of_them = len(lack.rules) == rules
        told = _count(lack.rules, rules) if all_of_them else f"at least {', '.join(rule.id for rule in lack.rules)}"
        yield from _wrapped("      unknown without it: ", told)
    if recorded:
        yield "  and, only recorded, or read in few estates, so that hardly a rule is unknown without it:"
        yield from (f"  {lack.action:{width}}  {lack.call}" for lack in recorded)


def _count(affected: Sequence[AffectedRule], rules: int) -> str:
    """How many it is; at least, because the estate of the trial does not depend on everything that others do."""
    return f"all {rules} rules" if len(affected) == rules else f"at least {len(affected)} of {rules} rules"


def _not_known(places: Sequence[NotKnown]) -> Iterator[str]:
    scopes: dict[str, list[str]] = {}
    for place in places:
        scopes.setdefault(place.reason, []).append(place.scope)
    for of in dict.fromkeys(map(tuple, scopes.values())):
        reasons = [reason for reason, found in scopes.items() if tuple(found) == of]
        yield from ("", "Not known is what is permitted in:", *(f"  {one_line(scope)}" for scope in of))
        for reason in reasons[:_MOST_REASONS]:
            yield from _wrapped("      ", reason)
        if (more := len(reasons) - _MOST_REASONS) > 0:
            yield f"      and for {more} reasons more, which --format json lists"
    if any(_TO_ASK in place.reason for place in places):
        yield from ("", f"{_TO_ASK} is in Reader, and in the role of: aks-audit permissions --plane arm --optional")


def _remedies(missing: Sequence[Lack]) -> Iterator[str]:
    arm = [lack for lack in missing if lack.plane == "arm"]
    if not all(lack.in_custom_roles for lack in arm):
        yield "# by the built-in role Reader, since some of it can be in no custom role"
        yield from _assigned("Reader", _few(_scopes(arm)) or (_MANAGEMENT_GROUP,))
    elif arm:
        more = " --optional" if any(lack.optional for lack in arm) else ""
        yield from _made(f"arm{more}", "aks-audit reader", _few(_scopes(arm)) or (_MANAGEMENT_GROUP,))
    data = [lack for lack in missing if lack.plane == "aks-data"]
    if data:
        # Azure has no roles with data actions in a management group.
        subscriptions = tuple(dict.fromkeys(f"/subscriptions/{parse(scope).subscription}" for scope in _scopes(data)))
        clusters = _few(_scopes(data)) or subscriptions
        yield from _made("aks-data", "aks-audit cluster reader", subscriptions, clusters)
    if any(lack.plane == "kubernetes" for lack in missing):
        yield "# inside each cluster; where its authorization is Azure RBAC, by the role of --plane aks-data instead"
        yield f"aks-audit permissions --plane kubernetes | sed s/{SUBJECT}/GROUP/ > aks-audit.yaml"
        yield "kubectl apply -f aks-audit.yaml"


def _made(plane: str, role: str, assignable: Sequence[str], assigned: Sequence[str] = ()) -> Iterator[str]:
    """The commands that make a role and assign it."""
    file = f"{role.replace(' ', '-')}.json"
    where = " ".join(f"--scope {_quoted(scope)}" for scope in assignable)
    yield f"aks-audit permissions --plane {plane} {where} > {file}"
    yield f"az role definition create --role-definition @{file}"
    yield from _assigned(role, assigned or assignable)


def _assigned(role: str, scopes: Sequence[str]) -> Iterator[str]:
    for scope in scopes:
        yield f"az role assignment create --role {shlex.quote(role)} --assignee GROUP --scope {_quoted(scope)}"


def _quoted(scope: str) -> str:
    return shlex.quote(one_line(scope))


def _scopes(missing: Sequence[Lack]) -> tuple[str, ...]:
    return tuple(sorted({scope for lack in missing for scope in lack.scopes}))


def _few(scopes: tuple[str, ...]) -> tuple[str, ...]:
    """The scopes where they are few; where not, nobody wants a command for each."""
    return scopes if len(scopes) <= _MOST_SCOPES else ()


def _wrapped(start: str, text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=start, subsequent_indent=" " * len(start), break_on_hyphens=False)


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
