"""Where the API servers of private clusters are, by what was read of Azure: for a machine that cannot resolve them."""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from aks_audit.facts.resource_id import parse
from aks_audit.snapshot import Resource
from aks_audit.sources.kubernetes.kubeconfig import host
from aks_audit.sources.kubernetes.managed import items, words

_GROUP_ID = "management"
"""The sub-resource of a managed cluster that a private endpoint is for."""


class PrivateAddresses:
    """The private addresses of API servers: of private endpoints' interfaces, and of A records."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self._interfaces: dict[str, str] = {}
        self._records: dict[str, str] = {}
        endpoints: list[Resource] = []
        for resource in resources:
            match resource.type.lower():
                case "microsoft.network/networkinterfaces":
                    for configuration in items(resource.body, "properties", "ipConfigurations"):
                        self._note(
                            self._interfaces, resource.id, words(configuration, "properties", "privateIPAddress")
                        )
                case "microsoft.network/privatednszones/a":
                    name = f"{parse(resource.id).name}.{parse(parse(resource.id).parent).name}"
                    for record in items(resource.body, "properties", "aRecords"):
                        self._note(self._records, name, words(record, "ipv4Address"))
                case "microsoft.network/privateendpoints":
                    endpoints.append(resource)
        self._endpoints: dict[str, str] = {}
        for endpoint in endpoints:
            for owner in _owners(endpoint):
                self._note(self._endpoints, owner, self._interface_address(endpoint))

    def of(self, cluster: Resource, name: str) -> str | None:
        """The address of the API server of a cluster that is called `name`."""
        node_group = f"/subscriptions/{parse(cluster.id).subscription}/resourceGroups/" + (
            words(cluster.body, "properties", "nodeResourceGroup") or "-"
        )
        return (
            self._records.get(name.lower())
            or self._endpoints.get(cluster.id.lower())
            or self._endpoints.get(node_group.lower())
        )

    def _interface_address(self, endpoint: Resource) -> str:
        ids = [words(one, "id") for one in items(endpoint.body, "properties", "networkInterfaces")]
        return next((self._interfaces[own.lower()] for own in ids if own.lower() in self._interfaces), "")

    @staticmethod
    def _note(found: dict[str, str], key: str, address: str) -> None:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            return
        found.setdefault(key.lower(), address)


async def dialled(server: str, cluster: Resource, addresses: PrivateAddresses) -> tuple[str, str | None]:
    """What to dial for a server, and the name to check its certificate against where that is another.

    The private address of a cluster's API server, if its name cannot be resolved here and the address is known.
    """
    name = host(server)
    try:
        await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        address = addresses.of(cluster, name)
        if address is not None:
            bare = f"[{address}]" if ":" in address else address
            return f"https://{bare}:{_port(server)}", name
    return server, None


def _port(server: str) -> int:
    return urlsplit(server).port or 443


def _owners(endpoint: Resource) -> Iterator[str]:
    """What a private endpoint leads to: the cluster it names, or the one whose nodes are in its resource group.

    The endpoint that AKS itself makes may name a private link service that is not in the customer's subscription.
    """
    for connections in ("privateLinkServiceConnections", "manualPrivateLinkServiceConnections"):
        for connection in items(endpoint.body, "properties", connections):
            if _GROUP_ID in items(connection, "properties", "groupIds"):
                yield words(connection, "properties", "privateLinkServiceId")
                yield endpoint.id.lower().partition("/providers/")[0]
