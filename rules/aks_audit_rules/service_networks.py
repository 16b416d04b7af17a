"""Vaults, storage accounts, SQL servers and registries that clusters use: by which networks they are reached."""

from collections.abc import Iterable
from typing import TypeAlias

from aks_audit.facts import (
    ClusterDataStore,
    ClusterRegistry,
    ClusterService,
    ClusterSqlServer,
    ClusterStorageAccount,
    ClusterVault,
    Evidence,
    Malformed,
    ManagedCluster,
    Network,
    PublicNetworkAccess,
    SecurityRuleAccess,
)
from aks_audit.facts.data_stores import SqlFirewallRule
from aks_audit.facts.enumerations import ConnectionState
from aks_audit.facts.private_link import IPRule, LinkedService, PrivateEndpointConnection
from aks_audit.network.addresses import AddressSet, RangeSet, internet_wide
from aks_audit.network.dns import node_networks
from aks_audit.network.egress_addresses import egress_addresses
from aks_audit.network.service_endpoints import endpoint_in
from aks_audit.network.surroundings import connected
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import (
    aprl,
    azure_policy,
    checkov,
    mcsb,
    prowler,
    psrule,
    review_checklist,
    the_aks_checklist,
)

_FROM_THE_NETWORK = frozenset({"named", "role", "endpoint", "inside"})
"""What shows that nodes or pods use a service, and not AKS or Azure in their stead."""

_AZURE = RangeSet([(0, 0)])
"""What a SQL server's rule from 0.0.0.0 to 0.0.0.0 lets in: all of Azure."""

_Guarded: TypeAlias = ClusterVault | ClusterStorageAccount | ClusterRegistry


@rule(
    "AKS-PAAS-01",
    title="Services that nodes and pods use have an approved private endpoint in their network or a peered one",
    severity=Severity.HIGH,
    controls=(
        mcsb("NS-2"),
        review_checklist("c3c39c98-6bb2-4c12-859a-114b5e3df584"),
        the_aks_checklist("ecccd979-3b6b-4cda-9b50-eb2eb03dda6d"),
        aprl("b89c9acc-0aba-fb44-9ff2-3dbfcf97dce7"),
        checkov("CKV2_AZURE_32"),
        checkov("CKV2_AZURE_33"),
        checkov("CKV2_AZURE_45"),
        prowler("keyvault_private_endpoints"),
        prowler("storage_ensure_private_endpoints_in_storage_accounts"),
    ),
)
def endpoint_near(service: ClusterService) -> Verdict:
    """What has no private endpoint nearby is reached over its public address, by the cluster and so by anybody.

    Secrets, images and data then leave the network on every read, and the firewall has to let a public name through that
    an attacker's own account shares.

    Severity: it is the way by which stolen credentials are used from outside, and by which data is carried off.
    Decided: of each cluster that uses the service, `privateEndpointConnections` holds one that is Approved and whose
    endpoint is in a network of its nodes or in a connected peer. That a cluster uses it is shown by its own settings (the
    registry that it bootstraps from, the mesh's certificate authority), by a role of its kubelet's or add-ons' identities
    on the service alone, by a private endpoint in its network, and by what was read inside it: the storage accounts of
    PersistentVolumes, the vaults of SecretProviderClasses, the registries of pods' images. One that is named there and was
    not read is unknown. What workloads reach by settings of their own is told nowhere: where nothing is known, there is
    nothing to judge, and that is no proof. A vault for etcd or disks alone is fetched from by AKS and Azure, not from this network (AKS-PAAS-05 judges it).
    Fix: az network private-endpoint create --resource-group <group> --name pe-{name} --connection-name {name} --group-id <registry, vault, blob, file or sqlServer> --private-connection-resource-id $(az resource show --subscription {subscription} --resource-group {group} --resource-type {kind} --name {name} --query id --output tsv) --subnet <subnet id>
    Bicep: a Microsoft.Network/privateEndpoints in the clusters' network whose privateLinkServiceId is the service's id
    Change: in place; link the private DNS zone to the network at the same time (AKS-PAAS-04), or traffic stays public
    References: https://learn.microsoft.com/azure/private-link/private-endpoint-overview
    https://learn.microsoft.com/azure/well-architected/service-guides/azure-kubernetes-service
    """
    users = sorted({use.cluster for use in service.uses if use.shown_by in _FROM_THE_NETWORK}, key=str.lower)
    evidence = service.at(LinkedService.private_endpoint_connections)
    if users:
        found = each(users, lambda cluster: _near(service, service.estate.resource(ManagedCluster, cluster)))
    elif service.assumed:
        found = not_applicable("No role, setting or private endpoint says that a cluster uses it", evidence)
    else:
        found = not_applicable("AKS and Azure use it for the clusters, which do not reach it themselves", evidence)
    return each((found, *_others(service)), lambda one: one)


def _others(service: ClusterService) -> tuple[Verdict, ...]:
    """What is unknown where more clusters may use a service than was read."""
    missing = service.unread
    return (undecided("; ".join(one.reason for one in missing), missing=missing),) if missing else ()


def _near(service: ClusterService, cluster: ManagedCluster) -> Verdict:
    networks = node_networks(cluster)
    peers = (peering.remote.id for network in networks for peering in connected(network) if peering.remote)
    shown = endpoint_in(service, (*(network.id for network in networks), *peers))
    if shown:
        return passes("An approved private endpoint leads to it from the network or a peered one", *shown)
    evidence = service.at(LinkedService.private_endpoint_connections)
    if isinstance(service, ClusterRegistry) and service.private_endpoint_connections is None:
        return undecided("The registry's body does not list its private endpoint connections", evidence)
    return fails(
        f"No approved private endpoint leads to it from the network of {cluster.name} or a peered one", evidence
    )


@rule(
    "AKS-PAAS-05",
    title="The key vault is closed to public networks, or open to listed addresses alone",
    severity=Severity.HIGH,
    controls=(
        mcsb("NS-2"),
        azure_policy("a6abeaec-4d90-4a02-805f-6b26c4d3fbe9"),
        azure_policy("55615ac9-af46-4a59-874e-391cc3dfb490"),
        azure_policy("405c5871-3e91-4644-8a63-58e19d68ff5b"),
        psrule("Azure.KeyVault.Firewall"),
        checkov("CKV_AZURE_109"),
        checkov("CKV_AZURE_189"),
        prowler("keyvault_access_only_through_private_endpoints"),
    ),
)
def vault_closed(vault: ClusterVault) -> Verdict:
    """A vault that any address may ask gives its secrets to whoever holds a stolen token, from anywhere.

    Severity: what lies in it opens everything else: etcd's key, certificates, passwords of databases.
    Decided: `properties.publicNetworkAccess` is Disabled or SecuredByPerimeter, or `networkAcls.defaultAction` is Deny with
    `ipRules` that hold no more than a /8. Without these values a vault is open, Azure's default. Vaults are those that a
    cluster names (KMS for etcd, disks, the mesh's certificate authority), on which one of its identities has a role, or
    that have a private endpoint in its network; others that pods use are not known, so that no vault is no proof.
    Fix: az keyvault update --subscription {subscription} --resource-group {group} --name {vault} --public-network-access Disabled
    Bicep: properties.publicNetworkAccess: 'Disabled'
    Change: in place; give it a private endpoint first. For KMS set azureKeyVaultKms.keyVaultNetworkAccess to Private in the
    same step, or the API server cannot decrypt what it stored
    Disagreement: many call a vault private once it has a private endpoint. That alone closes nothing; with one, an open
    vault fails as medium.
    References: https://learn.microsoft.com/azure/key-vault/general/network-security
    https://learn.microsoft.com/azure/aks/use-kms-etcd-encryption
    """
    return _closed(vault, Severity.MEDIUM)


@rule(
    "AKS-PAAS-06",
    title="Storage accounts and SQL servers are closed to public networks, or open to listed addresses alone",
    severity=Severity.MEDIUM,
    controls=(
        mcsb("NS-2"),
        azure_policy("6edd7eda-6dd8-40f7-810d-67160c639cd9"),
        azure_policy("34c877ad-507e-4c82-993e-3452a6e0ad3c"),
        azure_policy("1b8ca024-1d5c-4dec-8995-b1a932b41780"),
        azure_policy("7698e800-9299-47a6-b3b6-5a0fee576eed"),
        psrule("Azure.Storage.Firewall"),
        checkov("CKV_AZURE_35"),
        checkov("CKV_AZURE_59"),
        checkov("CKV_AZURE_113"),
        checkov("CKV_AZURE_11"),
        checkov("CKV2_AZURE_34"),
        prowler("storage_default_network_access_rule_is_denied"),
        prowler("storage_account_public_network_access_disabled"),
        prowler("sqlserver_unrestricted_inbound_access"),
    ),
)
def store_closed(store: ClusterDataStore) -> Verdict:
    """Volumes and databases that any address may ask are lost with one leaked key, signature or password.

    Severity: who is let in needs credentials still; a leaked one is enough from anywhere.
    Decided: `properties.publicNetworkAccess` is Disabled or SecuredByPerimeter. Else a storage account passes with
    `networkAcls.defaultAction` Deny and rules that hold no more than a /8 (or an IPv6 /32), and a SQL server if its
    firewall rules together do; the rule 0.0.0.0 lets in all of Azure, other customers included, and fails. Without these
    values both are open, Azure's default. They are those on which one of a cluster's identities has a role, or that have
    a private endpoint in its network; what volumes and pods use otherwise is not known, so that none is no proof.
    Fix: az resource update --subscription {subscription} --resource-group {group} --resource-type {kind} --name {name} --set properties.publicNetworkAccess=Disabled
    Bicep: properties.publicNetworkAccess: 'Disabled'
    Change: in place; give it a private endpoint first, or volumes cannot be mounted and connections break
    Disagreement: many call a service private once it has a private endpoint. That alone closes nothing; with one, an open
    service fails as low.
    References: https://learn.microsoft.com/azure/storage/common/storage-network-security
    https://learn.microsoft.com/azure/azure-sql/database/connectivity-settings
    """
    if isinstance(store, ClusterStorageAccount):
        return _closed(store, Severity.LOW)
    if isinstance(store, ClusterSqlServer):
        return _server_closed(store)
    return undecided(f"What lets networks reach a {store.parsed.type} is not known here")


def _closed(service: ClusterVault | ClusterStorageAccount, besides: Severity) -> Verdict:
    """Whether a service with rules of its own is closed; `besides`: how bad it is to be open besides an endpoint."""
    access, action = service.at(LinkedService.public_network_access), service.at(type(service).default_action)
    closed = _without_public(service)
    if closed:
        return closed
    if service.default_action is not SecurityRuleAccess.DENY:
        return _open(service, "The internet reaches it", (access, action), besides)
    listed = _rules(service)
    if listed is None:
        return undecided("The body does not list the addresses that it lets in", access, action)
    if internet_wide(listed):
        return _open(service, "Its rules let the internet in", (access, action), besides)
    return passes("Listed addresses and networks reach it, and no others", access, action)


def _server_closed(server: ClusterSqlServer) -> Verdict:
    access = server.at(LinkedService.public_network_access)
    closed = _without_public(server)
    if closed:
        return closed
    rules = server.firewall_rules
    evidence = (access, *(one.at(SqlFirewallRule.start_ip_address) for one in rules))
    listed = _of_server(rules)
    if listed.v4.meets(_AZURE):
        return _open(server, "A rule lets in all of Azure, other customers included", evidence, Severity.LOW)
    if internet_wide(listed):
        return _open(server, "Its rules let the internet in", evidence, Severity.LOW)
    rules.whole()
    return passes("Listed addresses and networks reach it, and no others", *evidence)


def _without_public(service: LinkedService) -> Verdict | None:
    """A pass where public networks do not reach a service; None where its rules decide."""
    access = service.at(LinkedService.public_network_access)
    match service.public_network_access:
        case PublicNetworkAccess.DISABLED:
            return passes("It is closed to public networks", access)
        case PublicNetworkAccess.SECURED_BY_PERIMETER:
            return passes("A network security perimeter decides who reaches it", access)
        case PublicNetworkAccess.ENABLED | None:
            return None


def _open(service: LinkedService, says: str, evidence: Iterable[Evidence], besides: Severity) -> Verdict:
    for connection in service.private_endpoint_connections or ():
        if connection.state is ConnectionState.APPROVED:
            shown = connection.at(PrivateEndpointConnection.state)
            return fails(f"{says}, past its private endpoint", *evidence, shown, severity=besides)
    return fails(says, *evidence)


def _rules(service: _Guarded) -> AddressSet | None:
    """The addresses that a service's rules let in; None where the body does not list them."""
    rules = service.ip_rules
    if rules is None:
        return None
    more = (service.ipv6_rules or ()) if isinstance(service, ClusterStorageAccount) else ()
    return AddressSet.of(_value(one) for one in (*rules, *more))


def _value(one: IPRule) -> Network:
    if one.value is None:
        raise Malformed(one.document.id, one.at(IPRule.value).pointer, "a rule without an address")
    return one.value


def _of_server(rules: Iterable[SqlFirewallRule]) -> AddressSet:
    return AddressSet(RangeSet([_range(one) for one in rules]))


def _range(one: SqlFirewallRule) -> tuple[int, int]:
    first, last = one.start_ip_address, one.end_ip_address
    if first is None or last is None:
        raise Malformed(one.id, one.at(SqlFirewallRule.start_ip_address).pointer, "a rule without its addresses")
    return int(first.network_address), int(last.network_address)


@rule(
    "AKS-PAAS-07",
    title="Services without a private endpoint let in the clusters' own public addresses alone",
    severity=Severity.MEDIUM,
    controls=(mcsb("NS-2"),),
)
def only_egress_addresses(service: ClusterService) -> Verdict:
    """A rule for an office, a provider's range or a pipeline lets everybody in who shares that address.

    Severity: who is let in needs credentials still; but the fewer addresses, the fewer places to use stolen ones from.
    Decided: of a service without an approved private endpoint that is open to listed addresses: all of them are among the
    public addresses that the clusters which use it leave with: those of the Azure Firewall that their route for the
    internet leads to, else of the NAT gateway or the load balancer's outbound front ends. Those of other appliances and
    of the nodes themselves are not known, which leaves this unknown unless no address is listed. Subnets that are
    let in by service endpoints are not asked about. Where a private endpoint is approved, or public networks are shut
    out, the question does not arise, nor where everybody is let in: AKS-PAAS-03, 05 and 06 judge that.
    Fix: az resource update --subscription {subscription} --resource-group {group} --resource-type {kind} --name {name} --set properties.publicNetworkAccess=Disabled
    Bicep: networkAcls.ipRules (a registry: networkRuleSet.ipRules): the addresses of the firewall, NAT gateway or load balancer
    Change: in place; who came from the other addresses is locked out
    References: https://learn.microsoft.com/azure/key-vault/general/network-security
    https://learn.microsoft.com/azure/container-registry/container-registry-access-selected-networks
    """
    access = service.at(LinkedService.public_network_access)
    if any(one.state is ConnectionState.APPROVED for one in service.private_endpoint_connections or ()):
        return not_applicable("A private endpoint leads to it", service.at(LinkedService.private_endpoint_connections))
    if service.public_network_access in {PublicNetworkAccess.DISABLED, PublicNetworkAccess.SECURED_BY_PERIMETER}:
        return not_applicable("Public networks do not reach it by its own rules", access)
    return _only_own(service, access)


def _only_own(service: ClusterService, access: Evidence) -> Verdict:
    found = _let_in(service, access)
    if isinstance(found, Verdict):
        return found
    listed, evidence = found
    if listed.empty:
        return not_applicable("It lets no public address in", *evidence)
    if service.assumed:
        says = "No role, setting or private endpoint says that a cluster uses it"
        return each((not_applicable(says, *evidence), *_others(service)), lambda one: one)
    clusters = (service.estate.resource(ManagedCluster, cluster) for cluster in service.clusters)
    others = listed.difference(AddressSet.union_of(egress_addresses(cluster) for cluster in clusters))
    if others.empty:
        return passes("It lets in public addresses of the clusters, and no others", *evidence)
    if service.unread:
        return _others(service)[0]
    many = others.v4.size + others.v6.size
    return fails(f"It lets in {many:,} address{'es' * (many != 1)} that are not the clusters' own", *evidence)


def _let_in(service: ClusterService, access: Evidence) -> tuple[AddressSet, tuple[Evidence, ...]] | Verdict:
    """The addresses that a service lets in, and what says so; a verdict where no list decides."""
    if isinstance(service, ClusterSqlServer):
        rules = service.firewall_rules.whole()
        return _of_server(rules), (access, *(one.at(SqlFirewallRule.start_ip_address) for one in rules))
    if not isinstance(service, ClusterVault | ClusterStorageAccount | ClusterRegistry):
        return undecided(f"What lets networks reach a {service.parsed.type} is not known here", access)
    action = service.at(type(service).default_action)
    if service.default_action is not SecurityRuleAccess.DENY:
        return not_applicable("It lets everybody in, which another rule judges", access, action)
    evidence = action, service.at(type(service).ip_rules)
    listed = _rules(service)
    if listed is None:
        return undecided("The body does not list the addresses that it lets in", *evidence)
    return listed, evidence


RULES = (endpoint_near, vault_closed, store_closed, only_egress_addresses)
