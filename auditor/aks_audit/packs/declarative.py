"""Rules that need no code: TOML files `NAME.rule.toml` of `[[rule]]` tables that ask a body by JMESPath.

`docs/writing-rules.md` describes the keys. What is there and not true fails; what is not there is unknown, unless the
author says what absence means; what is of another type than the expression takes is unknown.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from aks_audit import permissions
from aks_audit.errors import AuditError
from aks_audit.facts import (
    AgentPool,
    ClusterAccess,
    ClusterApplicationGateway,
    ClusterFirewall,
    ClusterNetwork,
    ClusterRegistry,
    ClusterRouteTable,
    ClusterSecurityGroup,
    ClusterSqlServer,
    ClusterStorageAccount,
    ClusterSubnet,
    ClusterVault,
    ClusterZone,
    Evidence,
    Malformed,
    ManagedCluster,
    Missing,
)
from aks_audit.facts.cluster import StandalonePool
from aks_audit.facts.kubernetes import KubernetesObject
from aks_audit.facts.resource import AzureResource
from aks_audit.facts.workloads import Workload
from aks_audit.results import Control, JsonValue, RuleText, Severity, Verdict
from aks_audit.rule import Rule, RuleError, check_braces, fails, not_applicable, passes, undecided

if TYPE_CHECKING:
    from aks_audit.packs.expressions import Expression

SUFFIX = ".rule.toml"

Absence: TypeAlias = Literal["unknown", "fail", "pass", "not-applicable"]

_NAMED: tuple[type[AzureResource], ...] = (
    AgentPool,
    ClusterAccess,
    ClusterApplicationGateway,
    ClusterFirewall,
    ClusterNetwork,
    ClusterRegistry,
    ClusterRouteTable,
    ClusterSecurityGroup,
    ClusterSqlServer,
    ClusterStorageAccount,
    ClusterSubnet,
    ClusterVault,
    ClusterZone,
    ManagedCluster,
    Workload,
)
"""The subjects that rules in Python ask about, too: by these names, or by Azure's for what they are."""


class DeclarationError(AuditError):
    """A file of rules that cannot be used; the message names file, line, rule and what is wrong."""


class Declared(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True):
    """A `[[rule]]` table. `fix` and `bicep` name the subject's own names in braces, as in a rule in Python."""

    id: str
    title: str
    severity: Severity
    severity_reason: str
    subject: str
    pass_if: str
    why: str
    fix: str
    change: str
    absent: Absence = "unknown"
    when: str = ""
    when_absent: Literal["unknown", "not-applicable"] = "unknown"
    failure: str = ""
    decided: str = ""
    bicep: str = "none"
    references: tuple[str, ...] = ()
    controls: tuple[Control, ...] = ()


def read(name: str, toml: str) -> Iterator[Rule]:
    """The rules of a file, by the name to call it in errors.

    Raises:
        DeclarationError: it is not TOML, or a rule in it is not well formed.
    """
    try:
        tables = tomllib.loads(toml)
    except (ValueError, RecursionError) as problem:  # of a number that is too long, it is no more than a ValueError
        raise DeclarationError(f"{name}: is not TOML: {problem}") from None
    told = tables.pop("rule", None)
    if tables:
        raise DeclarationError(f"{name}: has no meaning for {next(iter(tables))!r}; write each rule as [[rule]]")
    if not isinstance(told, list) or not all(isinstance(table, dict) for table in told):
        raise DeclarationError(f"{name}: holds no rule; write each as [[rule]]")
    lines = [number for number, line in enumerate(toml.splitlines(), 1) if re.match(r"\s*\[\[\s*rule\s*\]\]", line)]
    places = [f"{name}:{line}" for line in lines] if len(lines) == len(told) else [name] * len(told)
    for place, table in zip(places, told, strict=True):
        yield _rule(place, table)


def _rule(place: str, table: Mapping[str, object]) -> Rule:
    """The rule that a table declares; `place` is where it stands."""
    where = f"{place}: rule {table.get('id', 'without an id')}"
    try:
        declared = msgspec.convert(table, Declared)
        check_braces(declared.id, "fix", declared.fix)
        check_braces(declared.id, "bicep", declared.bicep)
    except (msgspec.ValidationError, RuleError) as problem:
        raise DeclarationError(f"{where}: {problem}") from None
    if blank := [key for key, value in table.items() if isinstance(value, str) and not value.strip()]:
        raise DeclarationError(f"{where}: {blank[0]} is empty")
    subject = _subject(where, declared.subject)
    caseless = not issubclass(subject, KubernetesObject)
    judge = _Judge(
        declared,
        _expression(where, "pass-if", declared.pass_if, caseless=caseless),
        _expression(where, "when", declared.when, caseless=caseless) if declared.when else None,
    )
    return Rule(_text(declared, subject), subject, judge)


def _expression(where: str, key: str, text: str, *, caseless: bool) -> "Expression":
    try:
        from aks_audit.packs.expressions import Expression, ExpressionError  # noqa: PLC0415 - only such rules need it
    except ModuleNotFoundError:
        raise DeclarationError(
            f"{where}: rules in TOML need the package jmespath; pip install 'aks-audit[declarative]'"
        ) from None
    try:
        return Expression(text, caseless=caseless)
    except ExpressionError as problem:
        raise DeclarationError(f"{where}: {key}: {text!r}: {problem}") from None


def _subject(where: str, name: str) -> type[AzureResource]:
    known = {kind.__name__.lower(): kind for kind in _NAMED} | {kind.TYPE.lower(): kind for kind in _NAMED if kind.TYPE}
    inside = sorted(
        plural if not one.group else f"{plural}.{one.group}"
        for one in permissions.load().kubernetes
        if not one.namespace
        for plural in one.reads
        if "." not in plural
    )
    if name.lower() in inside:
        return _kind_inside(name.lower())
    if name.lower() not in known:
        there = ", ".join(sorted({kind.TYPE or kind.__name__ for kind in _NAMED}, key=str.lower))
        raise DeclarationError(
            f"{where}: subject: {name!r} is nothing that scans read whole; there are {there}, and inside clusters "
            f"{', '.join(inside)}"
        )
    return known[name.lower()]


@lru_cache(maxsize=256)
def _kind_inside(name: str) -> type[AzureResource]:
    """The objects of a kind inside clusters, such as `deployments.apps`."""
    return type(name, (KubernetesObject,), {"TYPE": name, "__slots__": ()})


def _text(declared: Declared, subject: type[AzureResource]) -> RuleText:
    return RuleText(
        id=declared.id,
        title=declared.title,
        severity=declared.severity,
        why=declared.why.strip(),
        severity_reason=declared.severity_reason,
        decided=declared.decided or _decided(declared),
        command=declared.fix.strip(),
        bicep=declared.bicep.strip(),
        change=declared.change,
        references=declared.references,
        controls=tuple(sorted(declared.controls)),
        subject=subject.__name__,
    )


def _decided(declared: Declared) -> str:
    where = f"Where {declared.when} is true: " if declared.when else ""
    return f"{where}{declared.pass_if} is true. Where a value is not there: {declared.absent}."


class _Judge:
    """Asks a subject's body, and turns the answer into a verdict."""

    def __init__(self, declared: Declared, pass_if: "Expression", when: "Expression | None") -> None:
        self._declared = declared
        self._pass_if = pass_if
        self._when = when

    def __call__(self, subject: AzureResource) -> Verdict:
        """The verdict.

        Raises:
            Malformed: a pool that was read by itself has lost its properties.
        """
        from aks_audit.packs.expressions import Absent, Unfit  # noqa: PLC0415 - as above

        told, body = self._declared, _body(subject)
        evidence = tuple(self._evidence(subject, body))
        asked = told.when
        absence: Absence = told.when_absent
        try:
            if self._when and not self._when.holds(body):
                return not_applicable(f"It is not so that {told.when}", *evidence)
            asked, absence = told.pass_if, told.absent
            holds = self._pass_if.holds(body)
        except Absent as absent:
            return self._without(asked, absence, str(absent), evidence)
        except Unfit as unfit:
            return _unfit(subject, asked, unfit, evidence)
        return passes(told.title, *evidence) if holds else fails(self._failure, *evidence)

    @property
    def _failure(self) -> str:
        return self._declared.failure or f"It is not so that {self._declared.pass_if}"

    def _without(self, asked: str, absence: Absence, absent: str, evidence: tuple[Evidence, ...]) -> Verdict:
        """The verdict about a body that lacks what an expression rests on: what the author says that means."""
        match absence:
            case "fail":
                return fails(f"{self._failure}: {absent}", *evidence)
            case "pass":
                return passes(f"{self._declared.title}: {absent}", *evidence)
            case "not-applicable":
                return not_applicable(f"The question does not arise: {absent}", *evidence)
            case "unknown":
                return undecided(f"Whether {asked} cannot be told: {absent}", *evidence)

    def _evidence(self, subject: AzureResource, body: "dict[str, JsonValue]") -> Iterator[Evidence]:
        asked = [self._pass_if] if self._when is None else [self._when, self._pass_if]
        found = {path: value for expression in asked for path, value in expression.found(body)}
        for path, value in found.items():
            start = subject.pointer
            if isinstance(subject, StandalonePool) and path and path[0] not in subject.node:
                start = "/properties"
            yield subject.cite(start + "".join(f"/{_escaped(str(step))}" for step in path), value)


def _unfit(subject: AzureResource, asked: str, unfit: Exception, evidence: tuple[Evidence, ...]) -> Verdict:
    """The verdict about a body with values of other types than an expression takes."""
    reason = f"{asked!r} cannot be asked of {subject.id}: {unfit}"
    return undecided(reason, *evidence, missing=[Missing(what=subject.id, kind="malformed", reason=reason)])


def _body(subject: AzureResource) -> "dict[str, JsonValue]":
    """What the expressions are asked of: an object of the subject's own body, the same for pools however they are read.

    Raises:
        Malformed: a pool that was read by itself has lost its properties.
    """
    if not isinstance(subject, StandalonePool):
        return dict(subject.node)
    properties = subject.node.get("properties")
    if not isinstance(properties, dict):
        raise Malformed(subject.id, "/properties", "Azure sends this object with every resource; it was lost")
    return {**properties, **{key: value for key, value in subject.node.items() if key != "properties"}}


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")
