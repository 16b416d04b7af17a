"""Facts that services with private endpoints have in common.

Source: `privateEndpointConnections` and `publicNetworkAccess` of registries, key vaults, storage accounts and SQL
servers as on the wire; https://learn.microsoft.com/azure/private-link/manage-private-endpoint lists the states.
"""

from aks_audit.facts.enumerations import ConnectionState, PublicNetworkAccess
from aks_audit.facts.field import Choice, View, network, parts
from aks_audit.facts.link import link
from aks_audit.facts.networking import PrivateEndpoint
from aks_audit.facts.resource import AzureResource


class IPRule(View):
    """Public addresses that a service lets in."""

    __slots__ = ()

    value = network("value")


class PrivateEndpointConnection(View):
    """A private endpoint that leads to the resource, and whether the owner approved."""

    __slots__ = ()

    private_endpoint = link("properties.privateEndpoint", PrivateEndpoint)
    state = Choice("properties.privateLinkServiceConnectionState.status", ConnectionState)


class LinkedService(AzureResource):
    """A service that private endpoints may lead to, and that may be closed to public networks."""

    __slots__ = ()

    public_network_access = Choice("properties.publicNetworkAccess", PublicNetworkAccess)
    private_endpoint_connections = parts("properties.privateEndpointConnections", PrivateEndpointConnection)
