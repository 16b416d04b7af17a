"""Calico's staged policies: what they would do is shown, and nothing is done.

https://docs.tigera.io/calico/latest/reference/resources/stagednetworkpolicy
https://docs.tigera.io/calico/latest/reference/resources/stagedglobalnetworkpolicy
https://docs.tigera.io/calico/latest/reference/resources/stagedkubernetesnetworkpolicy
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from aks_audit.facts import Missing
from aks_audit.facts.resource_id import parse
from aks_audit.policies.kubernetes import NETWORK_POLICIES
from aks_audit.policies.model import Object

_GROUPS = ("projectcalico.org", "crd.projectcalico.org")
_TWINS: Mapping[str, str] = {
    **{f"stagednetworkpolicies.{group}": f"networkpolicies.{group}" for group in _GROUPS},
    **{f"stagedglobalnetworkpolicies.{group}": f"globalnetworkpolicies.{group}" for group in _GROUPS},
    **{f"stagedkubernetesnetworkpolicies.{group}": NETWORK_POLICIES for group in _GROUPS},
}
"""The types of staged policies, and of the policies that they are to become."""

STAGED_TYPES = tuple(_TWINS)
"""The types of object that are staged policies."""

_NO_PROTECTION = frozenset({"delete", "ignore"})
"""What a staged policy may be for besides a policy that is to be there (`Set`, which is the default)."""


class Staged(NamedTuple):
    """Staged policies of which none is enforced that has their name; and what might hold those of others."""

    only: tuple[Object, ...]
    unread: tuple[Missing, ...]


def only_staged(objects: Sequence[Object], missing: Mapping[str, Missing]) -> Staged:
    """The policies that are there as staged ones only. One that changes an enforced policy, or ends it, is none."""
    there = {(one.type, _name(one)) for one in objects}
    proposed = [one for one in objects if one.type in _TWINS and _is_proposed(one)]
    alone = [one for one in proposed if (_TWINS[one.type], _name(one)) not in there]
    unread = (missing[_TWINS[one.type]] for one in alone if _TWINS[one.type] in missing)
    return Staged(tuple(one for one in alone if _TWINS[one.type] not in missing), tuple(dict.fromkeys(unread)))


def without_staged(missing: Mapping[str, Missing]) -> Iterable[Missing]:
    """What is missing that may change what is enforced."""
    return (one for type_, one in missing.items() if type_ not in _TWINS)


def _name(one: Object) -> tuple[str, ...]:
    """The namespace, where there is one, and the name."""
    return tuple(parse(one.id).names)


def _is_proposed(one: Object) -> bool:
    spec = one.body.get("spec")
    action = spec.get("stagedAction") if isinstance(spec, Mapping) else None
    return not (isinstance(action, str) and action.lower() in _NO_PROTECTION)
