"""What a plain script with the SDK's clients does, for `benchmarks/collect.py` to be timed beside it.

AKS_AUDIT_CLOUD=https://… python benchmarks/sdk_lists.py sequential|asynchronous SUBSCRIPTION …
"""

import asyncio
import os
import sys
from typing import Any, Self

from azure.core.credentials import AccessToken
from azure.mgmt.containerservice import ContainerServiceClient
from azure.mgmt.containerservice.aio import ContainerServiceClient as AsyncContainerServiceClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.network.aio import NetworkManagementClient as AsyncNetworkManagementClient
from azure.mgmt.privatedns import PrivateDnsManagementClient
from azure.mgmt.privatedns.aio import PrivateDnsManagementClient as AsyncPrivateDnsManagementClient

URL = os.environ["AKS_AUDIT_CLOUD"]
AT_ONCE = 32

NETWORK = {
    "virtual_networks": "list_all",
    "network_security_groups": "list_all",
    "route_tables": "list_all",
    "private_endpoints": "list_by_subscription",
    "network_interfaces": "list_all",
    "load_balancers": "list_all",
    "public_ip_addresses": "list_all",
    "nat_gateways": "list_all",
    "azure_firewalls": "list_all",
    "firewall_policies": "list_all",
}
"""The groups of operations that list a subscription, and their methods."""


class _SignedIn:
    """A credential with a token at hand."""

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:  # noqa: ANN401 - as azure-core has it
        return AccessToken("stand-in", 4070908800)

    def close(self) -> None:
        pass


class _AsyncSignedIn:
    """The same, asynchronous."""

    async def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:  # noqa: ANN401 - as azure-core has it
        return AccessToken("stand-in", 4070908800)

    async def close(self) -> None:
        pass

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


def _clients(kinds: tuple[Any, Any, Any], credential: object, subscription: str) -> list[Any]:
    options = {"base_url": URL, "credential_scopes": [f"{URL}/.default"]}
    return [kind(credential, subscription, **options) for kind in kinds]


def _lists(clients: list[Any]) -> list[Any]:
    clusters, network, dns = clients
    listed = [getattr(getattr(network, group), method)() for group, method in NETWORK.items()]
    return [clusters.managed_clusters.list(), *listed, dns.private_zones.list()]


def _parts(dns: Any, zone: Any) -> list[Any]:  # noqa: ANN401 - of either kind of client
    group = zone.id.split("/")[4]
    return [dns.virtual_network_links.list(group, zone.name), dns.record_sets.list(group, zone.name)]


def sequential(subscriptions: list[str]) -> int:
    """List all with the synchronous clients, a call after the other."""
    count = 0
    for subscription in subscriptions:
        clients = _clients(
            (ContainerServiceClient, NetworkManagementClient, PrivateDnsManagementClient), _SignedIn(), subscription
        )
        *listed, zones = [list(pager) for pager in _lists(clients)]
        parts = [list(pager) for zone in zones for pager in _parts(clients[-1], zone)]
        count += sum(map(len, [*listed, zones, *parts]))
    return count


async def asynchronous(subscriptions: list[str]) -> int:
    """List all with the asynchronous clients, so many calls at once."""
    room = asyncio.Semaphore(AT_ONCE)

    async def whole(pager: Any) -> list[Any]:  # noqa: ANN401 - a pager of any model
        async with room:
            return [item async for item in pager]

    async def one(subscription: str) -> int:
        kinds = (AsyncContainerServiceClient, AsyncNetworkManagementClient, AsyncPrivateDnsManagementClient)
        clients = _clients(kinds, _AsyncSignedIn(), subscription)
        try:
            *listed, zones = await asyncio.gather(*(whole(pager) for pager in _lists(clients)))
            wanted = [pager for zone in zones for pager in _parts(clients[-1], zone)]
            parts = await asyncio.gather(*(whole(pager) for pager in wanted))
        finally:
            for client in clients:
                await client.close()
        return sum(map(len, [*listed, zones, *parts]))

    return sum(await asyncio.gather(*(one(subscription) for subscription in subscriptions)))


def main() -> None:
    """List by the way that is asked for, in the subscriptions that are named, and print how much there was."""
    subscriptions = sys.argv[2:]
    found = asyncio.run(asynchronous(subscriptions)) if sys.argv[1] == "asynchronous" else sequential(subscriptions)
    print(found)


if __name__ == "__main__":
    main()
