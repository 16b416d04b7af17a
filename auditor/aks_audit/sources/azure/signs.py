"""What a virtual network's body shows to be elsewhere: a DNS resolver, a Virtual WAN hub."""

from collections.abc import Iterator, Sequence
from typing import Any

from aks_audit.facts.resource_id import parse
from aks_audit.sources.azure.plan import IF_RESOLVER, IF_VIRTUAL_HUB, RESOLVERS


def seen_in(networks: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """The types that are listed because some of these networks show that there is something of them."""
    resolvers = IF_RESOLVER if any(map(has_resolver, networks)) else {}
    return (*resolvers, *(IF_VIRTUAL_HUB if any(map(is_connected_to_hub, networks)) else ()))


def has_resolver(network: dict[str, Any]) -> bool:
    """Whether a subnet of a network is given to DNS resolvers, which stand in no other."""
    given = (one for subnet in _items(network, "subnets") for one in _items(subnet, "delegations"))
    return any(str(_properties(one).get("serviceName")).lower() == RESOLVERS.lower() for one in given)


def is_connected_to_hub(network: dict[str, Any]) -> bool:
    """Whether a network is peered with that of a Virtual WAN hub, which is Microsoft's and called `HV_…`."""
    remotes = (_properties(one).get("remoteVirtualNetwork") for one in _items(network, "virtualNetworkPeerings"))
    names = (parse(str(one.get("id"))).name.lower() for one in remotes if isinstance(one, dict))
    return any(name.startswith("hv_") for name in names)


def _properties(body: dict[str, Any]) -> dict[str, Any]:
    found: Any = body.get("properties")
    return found if isinstance(found, dict) else {}


def _items(body: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    found: Any = _properties(body).get(name)
    yield from (one for one in found if isinstance(one, dict)) if isinstance(found, list) else ()
