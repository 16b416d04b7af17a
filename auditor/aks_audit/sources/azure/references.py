"""Which resources outside the scope the clusters lead to: subnet, peer, guard, route, firewall, zone, identity.

And which services: those that clusters name, that a private endpoint in their own networks leads to, or on which alone
one of their identities has a role.
"""

import re
from itertools import repeat
from typing import Any

from aks_audit.facts import Estate
from aks_audit.facts.cluster import ManagedCluster
from aks_audit.facts.resource_id import parse
from aks_audit.facts.service_use import SERVICES, uses_by_role
from aks_audit.snapshot import Resource, of
from aks_audit.sources.azure.plan import CLUSTERS, FOLLOWED, ROLE_ASSIGNMENTS

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
"""What a client id looks like; nothing else is put into an address."""

_REGION = re.compile(r"[a-z0-9]+")
"""What the name of a region looks like; nothing else is put into an address."""

_MOST = 500
"""How many resources are followed to; more is no hub but a whole company."""

_OWN = frozenset({"microsoft.network/privateendpoints", *SERVICES})
"""The types that are followed to from clusters and their own networks, and from no peer: a hub has those of all."""


def served(resources: dict[str, Resource], asked: set[str]) -> tuple[str, ...]:
    """The ids, in order, of the services on which alone a cluster's identity has a role, and nobody has asked for yet.

    Those that something else leads to, too, are left to `reachable`.
    """
    clusters = [one for one in resources.values() if one.type.lower() == CLUSTERS.lower()]
    assigned = [one for one in resources.values() if one.type.lower() == ROLE_ASSIGNMENTS.lower()]
    narrow = [one for one in assigned if any(f"/providers/{kind}/" in one.id.lower() for kind in SERVICES)]
    if not narrow:
        return ()
    estate = Estate(of([*clusters, *narrow]))
    used = [use.service for cluster in estate.every(ManagedCluster) for use in uses_by_role(cluster).known]
    known = {*resources, *asked, *(one.lower() for one in reachable(resources, asked))}
    found = {one.lower(): one for one in sorted(used) if one.lower() not in known}
    return tuple(found[one] for one in sorted(found))


def client_id(cluster: dict[str, Any]) -> str | None:
    """The client id, in lower case, of a cluster's service principal; None where it has a managed identity."""
    properties = cluster.get("properties")
    profile = properties.get("servicePrincipalProfile") if isinstance(properties, dict) else None
    found = profile.get("clientId") if isinstance(profile, dict) else None
    return found.lower() if isinstance(found, str) and _GUID.fullmatch(found) else None


def region(cluster: dict[str, Any]) -> str | None:
    """The name of a cluster's region as ids have it; None where the body holds none."""
    found = cluster.get("location")
    name = found.lower().replace(" ", "") if isinstance(found, str) else ""
    return name if _REGION.fullmatch(name) else None


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
            kind = parse(reference).type.lower()
            if kind in _OWN and peers + hop:
                continue
            part = text.lower()
            if part != reference.lower() and part in resources and part not in seen:
                seen.add(part)
                edge.append((resources[part], peers + hop))
            key = reference.lower()
            if key in seen:
                continue
            seen.add(key)
            if key in resources and kind not in SERVICES:  # what a service leads to is others' business
                edge.append((resources[key], peers + hop))
            elif key not in resources and key not in asked:
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
