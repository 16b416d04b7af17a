"""Virtual WAN hubs, as far as a network that is connected to one can tell."""

from aks_audit.facts.resource_id import parse


def is_virtual_hub(network_id: str) -> bool:
    """Whether a network is a Virtual WAN hub's own: Microsoft's, called `HV_…`, which shows in peerings alone."""
    return parse(network_id).name.lower().startswith("hv_")
