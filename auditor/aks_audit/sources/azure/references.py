"""Which resources outside the scope the clusters lead to: subnet, peer, guard, route, firewall, zone, identity."""

from itertools import repeat
from typing import Any

from aks_audit.facts.resource_id import parse
from aks_audit.snapshot import Resource
from aks_audit.sources.azure.plan import CLUSTERS, FOLLOWED

_MOST = 500
"""How many resources are followed to; more is no hub but a whole company."""


def reachable(resources: dict[str, Resource], asked: set[str]) -> tuple[str, ...]:
    """The ids of what the clusters lead to and nobody has asked for yet, in order.

    `resources` are those that were read, by lower-case id; `asked` the lower-case ids that were read or refused.
    A network that is peered with a cluster's is followed to, and what that network holds; its other peers are not.
    """
    seen: set[str] = set()
    wanted: dict[str, str] = {}
    followed: dict[str, str | None] = {}
    edge = [(resource, 0) for resource in resources.values() if resource.type.lower() == CLUSTERS.lower()]
    while edge and len(wanted) < _MOST:
        resource, peers = edge.pop()
        found: list[tuple[str, int]] = []
        _gather(resource.body, 0, found)
        for text, hop in found:
            if text not in followed:
                followed[text] = _followed(text)
            reference = followed[text]
            if reference is None or peers + hop > 1:
                continue
            part = text.lower()
            if part != reference.lower() and part in resources and part not in seen:
                seen.add(part)
                edge.append((resources[part], peers + hop))
            key = reference.lower()
            if key in seen:
                continue
            seen.add(key)
            if key in resources:
                edge.append((resources[key], peers + hop))
            elif key not in asked:
                wanted[key] = reference
    return tuple(wanted[key] for key in sorted(wanted))


def _followed(text: str) -> str | None:
    """The id of the followed resource that a text names: itself, or the parent of a part that it names."""
    candidate = text.rstrip("/")
    while candidate:
        parsed = parse(candidate)
        if parsed.type.lower() in FOLLOWED:
            return candidate
        candidate = parsed.parent
    return None


def _gather(value: dict[str, Any] | list[Any], hop: int, found: list[tuple[str, int]]) -> None:
    """Add the ids of Azure in a value, in their order, each with whether a peering leads to it."""
    # No generators, and nothing called for what is no id: this walks every value of every body.
    for key, item in value.items() if isinstance(value, dict) else zip(repeat(""), value):
        if key[:1] == "/":  # user-assigned identities are a mapping by id
            found.append((key, hop))
        if isinstance(item, str):
            if item[:15].lower() == "/subscriptions/":
                found.append((item, hop or _is_peer(key)))
        elif isinstance(item, (dict, list)):
            _gather(item, hop or _is_peer(key), found)


def _is_peer(key: str) -> bool:
    return key.lower().startswith("remotevirtualnetwork")
