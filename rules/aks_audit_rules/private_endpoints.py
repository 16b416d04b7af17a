"""The names of services with private endpoints.

Source: https://learn.microsoft.com/azure/private-link/private-endpoint-dns
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import assert_never

from aks_audit.facts import ClusterNetwork, Estate, Malformed
from aks_audit.facts.enumerations import ConnectionState, PeeringState
from aks_audit.facts.networking import PrivateEndpoint, VirtualNetworkPeering
from aks_audit.facts.resource_id import parse
from aks_audit.network.dns import Answer, Resolution, listed, resolve
from aks_audit.network.private_endpoints import EndpointName, endpoint_names
from aks_audit.network.virtual_hubs import is_virtual_hub
from aks_audit.results import Outcome, Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule
from aks_audit_rules.frameworks import azure_policy

PRIVATE_ENDS = {
    "azurecr.io": "privatelink.azurecr.io",
    "vault.azure.net": "privatelink.vaultcore.azure.net",
    "vaultcore.azure.net": "privatelink.vaultcore.azure.net",
    "blob.core.windows.net": "privatelink.blob.core.windows.net",
    "file.core.windows.net": "privatelink.file.core.windows.net",
    "queue.core.windows.net": "privatelink.queue.core.windows.net",
    "table.core.windows.net": "privatelink.table.core.windows.net",
    "database.windows.net": "privatelink.database.windows.net",
}
"""The name that public DNS leads to for each end of a public name, where the service has a private endpoint.

Source: https://learn.microsoft.com/azure/private-link/private-endpoint-dns (Azure's public cloud)
"""

_NO_ENDPOINT = "No name of a registry, vault, storage account or SQL server has a private endpoint here"


@rule(
    "AKS-PAAS-04",
    title="The names of registries and vaults resolve to their private endpoints",
    severity=Severity.HIGH,
    controls=(azure_policy("e9585a95-5b8c-4d03-b193-dc7eb5ac4c32"),),
)
def endpoint_names_resolve(network: ClusterNetwork) -> Verdict:
    """A private endpoint is used only if the service's name leads to it; else traffic goes on to the public address.

    Severity: where the public way is closed, images and secrets cannot be fetched, and pods do not start; where it is
    open, the private endpoint protects nothing, and nobody notices.
    Decided: each name of a registry, key vault, storage account or SQL server for which an approved private endpoint
    stands in the clusters' network or in a connected peer. What the clusters' network resolves it to (its DNS servers, the
    private zones that are linked to it, or else a DNS resolver's forwarding rules; and where those leave the public name
    to public DNS, the same again for its private name) has to be addresses of that endpoint, or of another one for the same name.
    The answer of public DNS, no answer, and servers that differ fail. DNS servers whose settings Azure does not hold are
    unknown. Without such endpoints there is nothing to judge.
    Fix: az network private-dns link vnet create --resource-group <group of the zone> --zone-name <zone> --name {vnet} --virtual-network $(az network vnet show --subscription {subscription} --resource-group {group} --name {vnet} --query id --output tsv) --registration-enabled false
    Bicep: a resource of type Microsoft.Network/privateDnsZones/virtualNetworkLinks, and a privateDnsZoneGroups on the endpoint
    Change: in place, within a minute; connections that are open stay on the old way
    References: https://learn.microsoft.com/azure/private-link/private-endpoint-dns
    https://learn.microsoft.com/azure/container-registry/container-registry-private-endpoints
    """
    peers = (one.remote.id for one in network.peerings or () if _joined(one) and one.remote)
    near = [network.id, *(peer for peer in peers if not is_virtual_hub(peer))]  # a hub holds nobody's endpoints
    subscriptions = dict.fromkeys(parse(one).subscription for one in near)
    placed = network.estate.indexed(_placed)
    inside = sorted({one.lower() for one in near})
    endpoints = [one for held in subscriptions for one in placed.of(held, inside) if _approved(one)]
    names: dict[str, list[EndpointName]] = {}
    verdict = each(endpoints, lambda endpoint: _named(endpoint, names)) if endpoints else not_applicable(_NO_ENDPOINT)
    if not names:
        if verdict.outcome is Outcome.NOT_APPLICABLE:
            for held in subscriptions:
                network.estate.within(PrivateEndpoint, f"/subscriptions/{held}").whole()
        return verdict
    judged = each(names.values(), lambda same: _name_resolves(network, same))
    return each((verdict, judged), lambda one: one)


def _joined(peering: VirtualNetworkPeering) -> bool:
    return peering.state is PeeringState.CONNECTED


class _Placed:
    """The private endpoints of an estate by subscription and network; those whose network cannot be told by ""."""

    def __init__(self, endpoints: Iterable[PrivateEndpoint]) -> None:
        self._held: dict[tuple[str, str], list[PrivateEndpoint]] = defaultdict(list)
        for endpoint in endpoints:
            with suppress(Malformed):
                self._held[endpoint.parsed.subscription.lower(), _network_of(endpoint)].append(endpoint)
                continue
            self._held[endpoint.parsed.subscription.lower(), ""].append(endpoint)

    def of(self, subscription: str, networks: Sequence[str]) -> Sequence[PrivateEndpoint]:
        """The endpoints of a subscription that stand in the networks (lower-case ids), in order of id.

        Raises:
            Malformed: an endpoint of the subscription does not tell where it stands.
        """
        for strange in self._held.get((subscription.lower(), ""), ()):
            _network_of(strange)
        found = (one for network in networks for one in self._held.get((subscription.lower(), network), ()))
        return sorted(found, key=lambda one: one.id.lower())


def _placed(estate: Estate) -> _Placed:
    return _Placed(estate.every(PrivateEndpoint))


def _network_of(endpoint: PrivateEndpoint) -> str:
    if endpoint.subnet is None:
        raise Malformed(endpoint.id, endpoint.at(PrivateEndpoint.subnet).pointer, "a private endpoint without a subnet")
    return parse(endpoint.subnet.id).parent.lower()


def _approved(endpoint: PrivateEndpoint) -> bool:
    connections = (*(endpoint.connections or ()), *(endpoint.manual_connections or ()))
    return any(connection.state is ConnectionState.APPROVED for connection in connections)


def _named(endpoint: PrivateEndpoint, names: dict[str, list[EndpointName]]) -> Verdict:
    """Collect the names of an endpoint whose private names are known; that alone decides nothing."""
    for one in endpoint_names(endpoint):
        if _private_name(one.fqdn):
            names.setdefault(one.fqdn, []).append(one)
    return not_applicable(_NO_ENDPOINT)


def _private_name(fqdn: str) -> str | None:
    """The name in a private zone that a service's public name stands for; None where the service is another."""
    for end, private in PRIVATE_ENDS.items():
        if fqdn.endswith(f".{end}") and ".privatelink." not in fqdn:
            return fqdn.removesuffix(end) + private
    return None


def _resolved(network: ClusterNetwork, fqdn: str) -> Resolution:
    """What a name resolves to; public DNS, to which it may be left, gives its private name for an answer."""
    found = resolve(network, fqdn)
    private = _private_name(fqdn)
    if found.answer is not Answer.PUBLIC or private is None:
        return found
    beyond = resolve(network, private)
    return beyond._replace(steps=(*found.steps, *beyond.steps))


def _name_resolves(network: ClusterNetwork, same: Sequence[EndpointName]) -> Verdict:
    fqdn = same[0].fqdn
    found = _resolved(network, fqdn)
    real = frozenset(address for one in same for address in one.addresses)
    evidence = (*(evidence for one in same for evidence in one.evidence), *found.evidence)
    match found.answer:
        case Answer.ADDRESSES if found.addresses <= real:
            return passes("The names resolve to their private endpoints", *evidence)
        case Answer.ADDRESSES:
            told = f"{fqdn} resolves to {listed(found.addresses)}, and its private endpoint is {listed(real)}"
            return fails(told, *evidence)
        case Answer.PUBLIC:
            return fails(f"{fqdn} is left to public DNS, past its private endpoint", *evidence)
        case Answer.NOTHING:
            return fails(f"{fqdn} does not resolve: {found.steps[-1].said}", *evidence)
        case Answer.DIFFERENT:
            return fails(f"The DNS servers of {network.name} give different answers for {fqdn}", *evidence)
        case other:
            assert_never(other)


RULES = (endpoint_names_resolve,)
