"""The rights that lead further than they look: to secrets, to nodes, to other identities, or to every right.

Sources: https://kubernetes.io/docs/concepts/security/rbac-good-practices/#kubernetes-rbac-privilege-escalation-risks
"""

from collections.abc import Iterator
from typing import NamedTuple

from aks_audit.facts.rbac import AnyRole, Permission, PolicyRule
from aks_audit.rbac.authorizer import Request, allows
from aks_audit.results import Severity

_ANY_NAME = frozenset[str]()
_RBAC, _HOOKS, _CERTIFICATES = "rbac.authorization.k8s.io", "admissionregistration.k8s.io", "certificates.k8s.io"

_OF_CLUSTER = frozenset(
    {
        "certificatesigningrequests",
        "clusterroles",
        "groups",
        "mutatingwebhookconfigurations",
        "nodes",
        "persistentvolumes",
        "signers",
        "users",
        "validatingwebhookconfigurations",
    }
)
"""What belongs to no namespace: a RoleBinding gives nobody a right on it."""


def _one_of(verbs: str, api_group: str, resources: str) -> tuple[Request, ...]:
    pairs = [(verb, resource.partition("/")) for verb in verbs.split() for resource in resources.split()]
    return tuple(Request(verb, api_group, of[0], of[2]) for verb, of in pairs)


class Power(NamedTuple):
    """A dangerous right: what its holder does, and of which requests one of each list must be allowed.

    `everywhere` is how bad it is in the whole cluster, `inside` in one namespace: None where it is what people who run
    something there need. `named` counts though limited to some names.
    """

    does: str
    needs: tuple[tuple[Request, ...], ...]
    everywhere: Severity = Severity.HIGH
    inside: Severity | None = None
    named: bool = False

    def in_namespace(self, *, of_platform: bool) -> Severity | None:
        """How bad it is in one namespace, of AKS's own or of people's; None where it is nothing there."""
        if any(request.resource in _OF_CLUSTER for requests in self.needs for request in requests):
            return None
        return self.everywhere if of_platform else self.inside


_RUNS = (
    *_one_of("create", "", "pods replicationcontrollers"),
    *_one_of("create", "apps", "daemonsets deployments replicasets statefulsets"),
    *_one_of("create", "batch", "cronjobs jobs"),
    *_one_of("patch update", "", "replicationcontrollers"),
    *_one_of("patch update", "apps", "daemonsets deployments replicasets statefulsets"),
    *_one_of("patch update", "batch", "cronjobs"),
)

TOKENS = Power(
    "get tokens of service accounts", (_one_of("create", "", "serviceaccounts/token"),), inside=Severity.MEDIUM
)

POWERS = (
    Power("run pods", (_RUNS,)),
    Power("read Secrets", (_one_of("get list watch", "", "secrets"),), inside=Severity.MEDIUM),
    Power(
        "run commands in pods",
        (
            (
                *_one_of("create get", "", "pods/attach pods/exec"),
                *_one_of("patch update", "", "pods/ephemeralcontainers"),
            ),
        ),
        inside=Severity.MEDIUM,
    ),
    Power("impersonate users or groups", (_one_of("impersonate", "", "groups users"),), named=True),
    Power(
        "impersonate service accounts",
        (_one_of("impersonate", "", "serviceaccounts"),),
        inside=Severity.MEDIUM,
        named=True,
    ),
    TOKENS,
    Power("bind roles that it does not hold", (_one_of("bind", _RBAC, "clusterroles"),), named=True),
    Power("bind roles that it does not hold", (_one_of("bind", _RBAC, "roles"),), inside=Severity.MEDIUM, named=True),
    Power("give roles rights that it does not hold", (_one_of("escalate", _RBAC, "clusterroles"),), named=True),
    Power(
        "give roles rights that it does not hold",
        (_one_of("escalate", _RBAC, "roles"),),
        inside=Severity.MEDIUM,
        named=True,
    ),
    Power("reach the kubelets (nodes/proxy)", (_one_of("create get", "", "nodes/proxy"),)),
    Power(
        "approve certificates",
        (
            _one_of("patch update", _CERTIFICATES, "certificatesigningrequests/approval"),
            _one_of("approve", _CERTIFICATES, "signers"),
        ),
        named=True,
    ),
    Power(
        "change what admission does",
        (_one_of("create patch update", _HOOKS, "mutatingwebhookconfigurations validatingwebhookconfigurations"),),
    ),
    Power("make volumes of nodes' files", (_one_of("create", "", "persistentvolumes"),), everywhere=Severity.MEDIUM),
    Power(
        "change which Pod Security Standard namespaces enforce",
        (_one_of("patch update", "", "namespaces"),),
        everywhere=Severity.MEDIUM,
        inside=Severity.LOW,
    ),
    Power("edit nodes", (_one_of("patch update", "", "nodes"),), everywhere=Severity.MEDIUM),
    Power(
        "delete events",
        (
            (
                *_one_of("delete deletecollection", "", "events"),
                *_one_of("delete deletecollection", "events.k8s.io", "events"),
            ),
        ),
        everywhere=Severity.LOW,
        inside=Severity.LOW,
    ),
)


class Held(NamedTuple):
    """A power that a role gives where it is bound, and the rules by which it does."""

    power: Power
    rules: tuple[PolicyRule, ...]


class Partly(NamedTuple):
    """A power of which a role gives a part of what it needs; for each need the rule that does, or None."""

    power: Power
    rules: tuple[PolicyRule | None, ...]


def partly(role: AnyRole) -> tuple[Partly, ...]:
    """The powers of which a role gives a part alone, found once.

    Raises:
        Malformed: a rule cannot be read.
    """
    return role.estate.once(_partly, role)


def powers(role: AnyRole) -> tuple[Held, ...]:
    """The powers that a role gives, found once.

    Raises:
        Malformed: a rule cannot be read.
    """
    return role.estate.once(_powers, role)


def allows_everything(role: AnyRole) -> PolicyRule | None:
    """The rule by which a role allows every verb on every resource, as `cluster-admin` does.

    Raises:
        Malformed: a rule cannot be read.
    """
    every = ({"*"}, {"*"}, {"*"})
    for rule in role.rules or ():
        one = rule.permission
        if not one.resource_names and all(want <= have for want, have in zip(every, one[:3], strict=True)):
            return rule
    return None


def _powers(role: AnyRole) -> tuple[Held, ...]:
    rules = [(rule, rule.permission) for rule in role.rules or ()]
    return tuple(_held(rules))


def _partly(role: AnyRole) -> tuple[Partly, ...]:
    rules = [(rule, rule.permission) for rule in role.rules or ()]
    found = (Partly(power, tuple(_by(power, requests, rules) for requests in power.needs)) for power in POWERS)
    return tuple(one for one in found if any(one.rules) and not all(one.rules))


def _held(rules: list[tuple[PolicyRule, Permission]]) -> Iterator[Held]:
    for power in POWERS:
        by = [_by(power, requests, rules) for requests in power.needs]
        found = tuple(dict.fromkeys(rule for rule in by if rule))
        if all(by):
            yield Held(power, found)


def _by(power: Power, requests: tuple[Request, ...], rules: list[tuple[PolicyRule, Permission]]) -> PolicyRule | None:
    for rule, permission in rules:
        asked = permission._replace(resource_names=_ANY_NAME) if power.named else permission
        if any(allows(asked, request) for request in requests):
            return rule
    return None
