"""What people decided about findings: failures they accept, severities of their own, and rules they do not ask.

An accepted failure stays a failure and stays in the score; only what is asked of people changes, that is the list of
what to do and the exit code. An entry that is at fault decides nothing, and says so.
"""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from fnmatch import translate
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from aks_audit.config import Config, ExceptionEntry, Read, near
from aks_audit.findings import with_failures
from aks_audit.report import EntryState, Policy, PolicyEntry, PolicyTable
from aks_audit.results import Exemption, Finding, Severity
from aks_audit.rule import Rule

LONGEST = timedelta(days=366)
"""How long from today an exception may last."""

ANNOUNCED = timedelta(days=30)
"""How long before its end an exception is said to expire."""


def disabled(rules: Iterable[str], config: Config) -> frozenset[str]:
    """Those of some rules, by id, that people do not ask."""
    told = {read.entry.rule.lower() for read in config.disabled if read.entry}
    return frozenset(rule for rule in rules if rule.lower() in told)


def chosen(rules: Sequence[Rule], config: Config) -> tuple[Rule, ...]:
    """The rules that are asked, those with a severity of one's own with it and its reason."""
    out, own = disabled((rule.id for rule in rules), config), _severities(config)
    kept = (rule for rule in rules if rule.id not in out)
    return tuple(_reweighed(rule, *own[rule.id.lower()]) if rule.id.lower() in own else rule for rule in kept)


def _severities(config: Config) -> Mapping[str, tuple[Severity, str]]:
    entries = (read.entry for read in reversed(config.severities))  # the first that is told counts
    return {entry.rule.lower(): (entry.severity, entry.reason) for entry in entries if entry}


def _reweighed(rule: Rule, severity: Severity, reason: str) -> Rule:
    told = f"{reason} (set here; {rule.text.severity} by itself: {rule.text.severity_reason})"
    return rule._replace(text=msgspec.structs.replace(rule.text, severity=severity, severity_reason=told))


class _Accepting(NamedTuple):
    """An exception, what it accepts, and whether it does."""

    read: Read[ExceptionEntry]
    problem: str
    resources: re.Pattern[str]
    exemption: Exemption
    expires: date

    def in_force(self, today: date) -> bool:
        return not self.problem and self.expires >= today


def decide(
    findings: Sequence[Finding], config: Config, known: Collection[str], today: date
) -> tuple[Sequence[Finding], Policy]:
    """Give failures the severities and exceptions that are in force today; and what became of each entry.

    `known` are the ids of all rules that there are, asked or not.
    """
    accepting = [_accepting(read, known, today) for read in config.exceptions]
    of_rule: dict[str, list[tuple[int, _Accepting]]] = {}
    for place, one in enumerate(accepting):
        if one.in_force(today):
            of_rule.setdefault(str(one.read.told["rule"]).lower(), []).append((place, one))
    severities, matched = _severities(config), Counter[int]()
    decided = with_failures(findings, lambda failure: _decided(failure, of_rule, severities, matched))
    told = tuple(_exception(one, matched[place], today) for place, one in enumerate(accepting))
    return decided, Policy(_shown(config.file) if config.file else None, (*told, *_others(config, known)))


def _shown(file: Path) -> str:
    """The path as a report can hold it: where a name on the way is not UTF-8, with its bytes replaced."""
    return os.fsencode(file.as_posix()).decode(errors="replace")


def standing(config: Config, known: Collection[str], today: date) -> tuple[PolicyEntry, ...]:
    """How each entry stands today by itself, whatever there may be for it to decide on."""
    told = (_exception(_accepting(read, known, today), None, today) for read in config.exceptions)
    return (*told, *_others(config, known))


def _others(config: Config, known: Collection[str]) -> Iterator[PolicyEntry]:
    first: dict[str, int] = {}
    for read in config.severities:
        rule = read.entry.rule.lower() if read.entry else ""
        yield _plain(
            "severity", read, known, f"the rule has one already, in line {first[rule]}" if rule in first else ""
        )
        if rule:
            first.setdefault(rule, read.line)
    yield from (_plain("disabled", read, known) for read in config.disabled)
    yield from (_plain("source", read, known) for read in config.sources)


def _decided(
    finding: Finding,
    of_rule: Mapping[str, Sequence[tuple[int, _Accepting]]],
    severities: Mapping[str, tuple[Severity, str]],
    matched: Counter[int],
) -> Finding:
    rule, resource = finding.rule.lower(), finding.resource.lower()
    if rule in severities:
        finding = msgspec.structs.replace(finding, severity=severities[rule][0])
    found = [(place, one) for place, one in of_rule.get(rule, ()) if one.resources.fullmatch(resource)]
    matched.update(place for place, _ in found)
    return msgspec.structs.replace(finding, exception=found[0][1].exemption) if found else finding


_NOTHING = re.compile(r"(?!)")
_NO_TEXT = Exemption(reason="", owner="", approved_by="", expires="")


def _accepting(read: Read[ExceptionEntry], rules: Collection[str], today: date) -> _Accepting:
    entry = read.entry
    if entry is None:
        return _Accepting(read, read.problem, _NOTHING, _NO_TEXT, date.min)
    pattern = translate(entry.resource_glob.lower()) if entry.resource_glob else re.escape(entry.resource.lower())
    exemption = Exemption(entry.reason, entry.owner, entry.approved_by, entry.expires.isoformat())
    return _Accepting(read, _fault(entry, rules, today), re.compile(pattern), exemption, entry.expires)


def _fault(entry: ExceptionEntry, rules: Collection[str], today: date) -> str:
    if problem := _no_rule(entry.rule, rules):
        return problem
    if bool(entry.resource) == bool(entry.resource_glob):
        return "name one of `resource`, an exact id, and `resource-glob`"
    if set("*?[") & set(entry.resource):
        return "`resource` is an exact id; a pattern is written as `resource-glob`"
    if entry.resource_glob and not entry.resource_glob.strip("*?/"):
        return "`resource-glob` accepts everything; name at least a part of the resources' ids"
    if entry.expires > today + LONGEST:
        return f"`expires` is more than a year ahead; the latest today is {today + LONGEST}"
    return ""


def _no_rule(rule: str, rules: Collection[str]) -> str:
    """What is wrong with the name of a rule; empty where there is one of the name, whatever its case."""
    if rule.lower() in {one.lower() for one in rules}:
        return ""
    return f"there is no rule {rule}{near(rule, rules) or '; `aks-audit rules` lists them, --rules DIR adds yours'}"


def _exception(one: _Accepting, matched: int | None, today: date) -> PolicyEntry:
    state, says = _became(one, matched, today)
    return _entry("exception", one.read, state, says, matched or 0)


def _became(one: _Accepting, matched: int | None, today: date) -> tuple[EntryState, str]:
    """The state of an exception, with the number of failures that it accepts, where findings are there."""
    accepts = "accepts failures" if matched is None else f"accepts {matched:,} failure{'s' * (matched != 1)}"
    if one.problem:
        return "malformed", f"accepts nothing: {one.problem}"
    if one.expires < today:
        return "expired", f"accepts nothing: it expired on {one.expires}"
    if matched == 0:
        return "unused", "accepts nothing: no such failure was found"
    if one.expires <= today + ANNOUNCED:
        return "expiring", f"{accepts}, and expires on {one.expires}"
    return "in-force", f"{accepts} until {one.expires}"


def _plain(table: PolicyTable, read: Read[Any], rules: Collection[str], fault: str = "") -> PolicyEntry:
    """An entry that is in force as long as it is well formed, and the rule that it names is there."""
    problem, rule = read.problem or fault, str(read.told.get("rule", ""))
    if not problem and table != "source":
        problem = _no_rule(rule, rules)
    return _entry(table, read, "malformed" if problem else "in-force", problem, 0)


def _entry(table: PolicyTable, read: Read[Any], state: EntryState, says: str, matched: int) -> PolicyEntry:
    told = {key: str(value) for key, value in read.told.items()}
    return PolicyEntry(
        table=table,
        line=read.line,
        state=state,
        says=says,
        matched=matched,
        rule=told.get("rule", ""),
        resource=told.get("resource") or told.get("resource-glob") or told.get("cluster", ""),
        reason=told.get("reason", ""),
        owner=told.get("owner", ""),
        approved_by=told.get("approved-by", ""),
        expires=told.get("expires", ""),
        sets=told.get("severity") or told.get("file", ""),
    )
