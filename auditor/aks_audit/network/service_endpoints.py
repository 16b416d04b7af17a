"""Whether the private endpoints of a service stand where a cluster reaches them."""

from collections.abc import Iterable

from aks_audit.facts import Estate, Evidence, Malformed, Missing, NotCollected, Subnet, VirtualNetwork
from aks_audit.facts.enumerations import ConnectionState
from aks_audit.facts.networking import PrivateEndpoint
from aks_audit.facts.private_link import LinkedService, PrivateEndpointConnection
from aks_audit.facts.resource_id import parse


def endpoint_in(service: LinkedService, networks: Iterable[str]) -> tuple[Evidence, ...]:
    """What shows that an approved private endpoint of a service is in one of some networks (by id); empty: none is.

    The endpoint tells its subnet, or else the network its endpoints.

    Raises:
        NotCollected: an endpoint was not read, nor all that may hold it.
        Malformed: a connection names no endpoint.
    """
    near = {network.lower() for network in networks}
    missing: list[Missing] = []
    for connection in service.private_endpoint_connections or ():
        if connection.state is ConnectionState.APPROVED:
            try:
                found = _standing(service.estate, _endpoint_id(connection), near)
            except NotCollected as unread:
                missing += unread.missing
            else:
                if found:
                    return connection.at(PrivateEndpointConnection.state), found
    if missing:
        raise NotCollected(*dict.fromkeys(missing))
    return ()


def _endpoint_id(connection: PrivateEndpointConnection) -> str:
    if connection.private_endpoint is None:
        pointer = connection.at(PrivateEndpointConnection.private_endpoint).pointer
        raise Malformed(connection.document.id, pointer, "a connection without its private endpoint")
    return connection.private_endpoint.id


def _standing(estate: Estate, endpoint_id: str, near: Iterable[str]) -> Evidence | None:
    try:
        endpoint = estate.resource(PrivateEndpoint, endpoint_id)
    except NotCollected:
        return _listed(estate, endpoint_id, near)
    if endpoint.subnet is None:
        raise Malformed(endpoint.id, endpoint.at(PrivateEndpoint.subnet).pointer, "a private endpoint without a subnet")
    return endpoint.at(PrivateEndpoint.subnet) if parse(endpoint.subnet.id).parent.lower() in near else None


def _listed(estate: Estate, endpoint_id: str, near: Iterable[str]) -> Evidence | None:
    """What a network says of an endpoint that was not read."""
    missing = list(estate.unlisted(PrivateEndpoint, endpoint_id))
    for network_id in sorted(near):
        try:
            network = estate.resource(VirtualNetwork, network_id)
        except NotCollected as unread:
            missing += unread.missing
            continue
        for subnet in network.subnets or ():
            if any(link.id.lower() == endpoint_id.lower() for link in subnet.private_endpoints or ()):
                return subnet.at(Subnet.private_endpoints)
    if missing:
        raise NotCollected(*missing)
    return None
