"""What somebody may do by several bindings together: rights of one power that are given apart, and others' tokens."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from aks_audit.facts import ManagedCluster, Unread
from aks_audit.facts.platform import system_namespaces
from aks_audit.facts.rbac import AnyBinding, AnyRole, PolicyRule, Subject
from aks_audit.rbac.authorizer import (
    ANONYMOUS,
    AUTHENTICATED,
    SERVICE_ACCOUNTS,
    UNAUTHENTICATED,
    Identity,
    Request,
    allows,
    service_account,
)
from aks_audit.rbac.bindings import bindings, role_of
from aks_audit.rbac.powers import Held, Partly, Power, allows_everything, partly, powers
from aks_audit.results import Missing, Severity

_ACCOUNT = "system:serviceaccount:"
_TOKEN = Request("create", "", "serviceaccounts", "token")


class Joined(NamedTuple):
    """A power that somebody has by a binding and by others, none of which gives it alone; and the rules that do."""

    power: Power
    subject: Subject
    others: tuple[AnyBinding, ...]
    rules: tuple[PolicyRule, ...]
    severity: Severity


class Together(NamedTuple):
    """What a binding gives with others, and what was not read that may give the rest of what it begins."""

    joined: tuple[Joined, ...]
    missing: tuple[Missing, ...]


class Token(NamedTuple):
    """A service account of which tokens may be had by name, by which rule, and the binding that makes it powerful."""

    rule: PolicyRule
    account: str
    by: AnyBinding
    severity: Severity


def identity_of(subject: Subject) -> Identity:
    """Whom a subject stands for, as far as Kubernetes knows: of a group, somebody who is in it and in no other.

    Whoever signed in is in system:authenticated; in which other groups a user is, each request says anew:
    https://kubernetes.io/docs/reference/access-authn-authz/authentication/.

    Raises:
        Malformed: it lacks what each subject has.
    """
    kind, name = subject.key
    if kind == "ServiceAccount":
        return service_account(*name.split("/", 1))
    if kind == "User" and name.startswith(_ACCOUNT) and name.count(":") > _ACCOUNT.count(":"):
        return service_account(*name.removeprefix(_ACCOUNT).split(":", 1))
    if name in {ANONYMOUS, UNAUTHENTICATED}:
        return Identity(ANONYMOUS, frozenset({UNAUTHENTICATED}))
    if kind == "User":
        return Identity(name, frozenset({AUTHENTICATED}))
    every = {SERVICE_ACCOUNTS} if name.startswith(f"{SERVICE_ACCOUNTS}:") else set[str]()
    return Identity("", frozenset({name, AUTHENTICATED, *every}))


def together(binding: AnyBinding, role: AnyRole, subjects: Iterable[Subject]) -> Together:
    """The powers that subjects of a binding have by it and by others, which it begins and does not give alone.

    Raises:
        Malformed: a rule of the role, or a subject, cannot be read.
    """
    begun = [(one, severity) for one in partly(role) if (severity := weight(one.power, binding))]
    if not begun:
        return Together((), ())
    known = bindings(binding.cluster)
    missing = dict.fromkeys(known.missing)
    joined: list[Joined] = []
    for subject in subjects:
        others = {one.id: one for one, _ in known.of(identity_of(subject)) if _helps(one, binding)}
        roles = [(one, found) for one in others.values() if (found := _role(one, missing))]
        joined += [whole for one, severity in begun if (whole := _joined(one, subject, severity, roles))]
    return Together(tuple(joined), tuple(missing))


def tokens(binding: AnyBinding, role: AnyRole) -> Iterator[Token]:
    """The service accounts with rights that lead further whose tokens a binding gives by their names.

    Without names it gives those of all, which is a power by itself.

    Raises:
        Malformed: a rule of the role cannot be read.
    """
    for rule in role.rules or ():
        permission = rule.permission
        for name in sorted(permission.resource_names):
            if allows(permission, _TOKEN._replace(name=name)):
                found = role.estate.once(_powerful, binding.cluster).get(name, {})
                for namespace, (by, severity) in found.items():
                    if binding.namespace in {"", namespace}:
                        yield Token(rule, f"{namespace}/{name}", by, severity)


def weight(power: Power, binding: AnyBinding) -> Severity | None:
    """How bad a power is where a binding gives it; None where it is nothing there."""
    if not binding.namespace:
        return power.everywhere
    return power.in_namespace(of_platform=binding.namespace in system_namespaces())


def _helps(other: AnyBinding, binding: AnyBinding) -> bool:
    """Whether what another binding gives holds wherever a binding does."""
    return other.id != binding.id and other.namespace in {"", binding.namespace}


def _role(binding: AnyBinding, missing: dict[Missing, None]) -> AnyRole | None:
    """The role of a binding, if it has any rules; it is noted where that cannot be told."""
    try:
        role = role_of(binding)
        return role if role and (powers(role) or partly(role)) else None
    except Unread as unread:
        missing.update(dict.fromkeys(unread.missing))
        return None


def _joined(
    begun: Partly, subject: Subject, severity: Severity, others: Sequence[tuple[AnyBinding, AnyRole]]
) -> Joined | None:
    """What is begun, made whole by others; None where that is not so, or another gives it alone, which is its own."""
    rules = list(begun.rules)
    used: dict[str, AnyBinding] = {}
    for binding, role in others:
        if allows_everything(role) or any(one.power is begun.power for one in powers(role)):
            return None
        for one in partly(role):
            for at, rule in enumerate(one.rules):
                if one.power is begun.power and rule and rules[at] is None:
                    rules[at] = rule
                    used[binding.id] = binding
    found = tuple(rule for rule in rules if rule)
    whole = len(found) == len(rules)
    return Joined(begun.power, subject, tuple(used.values()), found, severity) if whole else None


def _powerful(cluster: ManagedCluster) -> dict[str, dict[str, tuple[AnyBinding, Severity]]]:
    """The service accounts with rights that lead further, by name and namespace; with the worst of its bindings."""
    found: dict[str, dict[str, tuple[AnyBinding, Severity]]] = {}
    for (kind, key), held in bindings(cluster).subjects.items():
        if kind != "ServiceAccount":
            continue
        namespace, _, name = key.partition("/")
        for binding, _ in held:
            with suppress(Unread):
                role = role_of(binding)
                severity = _worst(binding, role) if role else None
                before = found.setdefault(name, {}).get(namespace)
                if severity and (before is None or _rank(severity) < _rank(before[1])):
                    found[name][namespace] = binding, severity
    return found


def _worst(binding: AnyBinding, role: AnyRole) -> Severity | None:
    if allows_everything(role):
        return Severity.HIGH
    found: list[Held] = [one for one in powers(role) if weight(one.power, binding)]
    return min((severity for one in found if (severity := weight(one.power, binding))), key=_rank, default=None)


def _rank(severity: Severity) -> int:
    return list(Severity).index(severity)
