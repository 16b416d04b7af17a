"""What a rule is: a pure, typed function of one subject, with its text in its docstring.

The docstring's first paragraph says why the rule matters. Then come named parts, each `Name: text`, in any order:

- `Severity`: why the severity is what it is.
- `Decided`: which values decide, their defaults and edge cases.
- `Fix`: the `az` command, with the subject's names in braces (`{group}`, `{name}`, …); other braces are written twice.
- `Bicep`: the property to set.
- `Change`: whether the fix is made in place, replaces nodes, or needs a new cluster.
- `References`: addresses, one a line.
- `Disagreement` (only where guides disagree): who says what, and who decides.
- `Follows` (only where its failure cannot be mended before those of other rules are): the ids of those rules.
"""

import inspect
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from string import Formatter
from typing import Any, NamedTuple, TypeVar, get_type_hints

import msgspec

from aks_audit.errors import AuditError
from aks_audit.facts import AzureResource, Holding, Unread
from aks_audit.results import Control, Due, Evidence, Missing, Outcome, Remediation, RuleText, Severity, Verdict

T = TypeVar("T")
R = TypeVar("R", bound=AzureResource)

PARTS = ("Severity", "Decided", "Fix", "Bicep", "Change", "References")
OPTIONAL_PARTS = ("Disagreement", "Follows")


_WORST_FIRST = (Outcome.FAIL, Outcome.UNKNOWN, Outcome.PASS, Outcome.NOT_APPLICABLE)


class RuleError(AuditError):
    """A rule that is not well formed; for its author."""


class Rule(NamedTuple):
    """A rule: its text, the kind of subject it asks about, and the function that answers.

    `dated`: its verdicts tell what ends when, so that where it cannot be decided, something may be due.
    """

    text: RuleText
    subject: type
    judge: Callable[[Any], Verdict]
    dated: bool = False

    @property
    def id(self) -> str:
        """The rule's id, such as `AKS-IAM-04`."""
        return self.text.id

    def remediation(self, labels: Mapping[str, str]) -> Remediation:
        """The fix, with the subject's names put in, quoted for a POSIX shell."""
        plain = _Names({name: value for name, value in labels.items() if value})
        quoted = _Names({name: _quoted(value) for name, value in plain.items()})
        return Remediation(
            command=self.text.command.format_map(quoted),
            bicep=self.text.bicep.format_map(plain),
            change=self.text.change,
        )


_quoted = lru_cache(maxsize=8192)(shlex.quote)
"""As `shlex.quote`; a name is in the fixes of many rules."""


class _Names(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return f"<{name}>"


def rule(
    rule_id: str, *, title: str, severity: Severity, controls: Iterable[Control] = (), dated: bool = False
) -> Callable[[Callable[[Any], Verdict]], Rule]:
    """Make a function a rule. Its parameter's type selects the subjects, its docstring holds the text.

    `dated` is for a rule whose verdicts tell what ends when; `aks-audit due` asks it.

    Raises:
        RuleError: the function has no docstring, lacks a part, has braces in a fix that hold no name, or does not take
            one subject.
    """

    def make(function: Callable[[Any], Verdict]) -> Rule:
        hints = get_type_hints(function)
        subjects = [kind for name, kind in hints.items() if name != "return"]
        if len(subjects) != 1:
            raise RuleError(f"{rule_id}: a rule takes one subject, {function.__name__} takes {len(subjects)}")
        why, parts = _parse(rule_id, inspect.getdoc(function) or "")
        for name in ("Fix", "Bicep"):
            check_braces(rule_id, name, parts[name])
        text = RuleText(
            id=rule_id,
            title=title,
            severity=severity,
            why=why,
            severity_reason=parts["Severity"],
            decided=parts["Decided"],
            command=parts["Fix"],
            bicep=parts["Bicep"],
            change=parts["Change"],
            references=tuple(parts["References"].split()),
            controls=tuple(sorted(controls)),
            subject=subjects[0].__name__,
            disagreement=parts.get("Disagreement", ""),
            follows=tuple(parts.get("Follows", "").split()),
        )
        return Rule(text, subjects[0], function, dated)

    return make


def passes(message: str, *evidence: Evidence, due: Iterable[Due] = ()) -> Verdict:
    """The subject is as the rule's title says, on this evidence. `due` is what will end."""
    return Verdict(outcome=Outcome.PASS, message=message, evidence=evidence, due=tuple(due))


def fails(message: str, *evidence: Evidence, severity: Severity | None = None, due: Iterable[Due] = ()) -> Verdict:
    """The subject is not as the rule's title says. `severity` replaces the rule's own where this case differs.

    `due` is what will end, or has ended.
    """
    return Verdict(outcome=Outcome.FAIL, message=message, evidence=evidence, severity=severity, due=tuple(due))


def not_applicable(message: str, *evidence: Evidence) -> Verdict:
    """The question does not arise for the subject; also where what the rule would object to is not there at all."""
    return Verdict(outcome=Outcome.NOT_APPLICABLE, message=message, evidence=evidence)


def undecided(message: str, *evidence: Evidence, missing: Iterable[Missing] = (), due: Iterable[Due] = ()) -> Verdict:
    """What was read does not decide the question. `due` is what will end all the same."""
    return Verdict(Outcome.UNKNOWN, message, evidence, tuple(missing), due=tuple(due))


def each(items: Iterable[T], judge: Callable[[T], Verdict]) -> Verdict:
    """Judge every item and give the worst answer, with the evidence of all items that share it.

    A failure counts before an unknown, an unknown before a pass, a pass before not applicable; so one item that
    cannot be read neither hides another's failure nor passes unseen. What ends is told of every item.
    """
    verdicts = [_judged(item, judge) for item in items]
    if not verdicts:
        return not_applicable("There is nothing to judge")
    if len(verdicts) == 1:
        return verdicts[0]
    outcome = min({verdict.outcome for verdict in verdicts}, key=_WORST_FIRST.index)
    worst = [verdict for verdict in verdicts if verdict.outcome is outcome]
    severities = [verdict.severity for verdict in worst if verdict.severity]
    return Verdict(
        outcome=outcome,
        message="; ".join(dict.fromkeys([verdict.message for verdict in worst])),
        evidence=tuple([evidence for verdict in worst for evidence in verdict.evidence]),
        missing=tuple(dict.fromkeys([missing for verdict in worst for missing in verdict.missing])),
        severity=min(severities, key=list(Severity).index) if severities else None,
        due=tuple(dict.fromkeys([due for verdict in verdicts for due in verdict.due])),
    )


def every(items: Iterable[T], judge: Callable[[T], Verdict]) -> Verdict:
    """Judge every item like `each`, but pass only where every item passes.

    Where all that was read is well and an item is not applicable, so is the whole. For rules whose good state would
    otherwise rest on something that is simply not in the body.
    """
    verdicts = [_judged(item, judge) for item in items]
    verdict = each(verdicts, lambda one: one)
    if verdict.outcome is not Outcome.PASS:
        return verdict
    apart = next((one for one in verdicts if one.outcome is Outcome.NOT_APPLICABLE), verdict)
    return msgspec.structs.replace(apart, due=verdict.due)


def each_of_all(holding: Holding[R], judge: Callable[[R], Verdict]) -> Verdict:
    """Judge all that a scope holds, as `each` does; unknown rather than a pass where there may be more."""
    known = each(holding, judge)
    try:
        holding.whole()
    except Unread as unread:
        rest = undecided(str(unread), missing=unread.missing)
        return each((known, rest), lambda verdict: verdict)
    return known


def _judged(item: T, judge: Callable[[T], Verdict]) -> Verdict:
    try:
        return judge(item)
    except Unread as unread:
        return undecided(str(unread), missing=unread.missing)


def check_braces(rule_id: str, name: str, text: str) -> None:
    """Refuse a fix whose braces hold something else than a name.

    Raises:
        RuleError: they do; the message names the rule and the part of its text.
    """
    try:
        held = [found for found in Formatter().parse(text) if found[1] is not None]
    except ValueError as error:
        raise RuleError(f"{rule_id}: {name}: {error}; other braces than those of a name are written twice") from error
    for _, field, spec, conversion in held:
        if not (field and field.isidentifier()) or spec or conversion:
            raise RuleError(f"{rule_id}: {name}: {{{field}…}} is no name; other braces are written twice")


def _parse(rule_id: str, docstring: str) -> tuple[str, dict[str, str]]:
    known = "|".join([*PARTS, *OPTIONAL_PARTS])
    pieces = re.split(rf"(?m)^({known}):[ \n]", docstring)
    parts = {name: inspect.cleandoc(body).strip() for name, body in zip(pieces[1::2], pieces[2::2], strict=True)}
    why = pieces[0].strip()
    lacking = [name for name in PARTS if not parts.get(name)]
    if lacking or not why:
        raise RuleError(f"{rule_id}: the docstring lacks {', '.join(lacking) or 'its first paragraph'}")
    return why, parts
