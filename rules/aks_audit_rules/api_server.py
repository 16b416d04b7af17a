"""Who can reach the API server, and by which names."""

from enum import StrEnum, auto
from typing import assert_never

from aks_audit.facts import Malformed, ManagedCluster, PublicNetworkAccess, UnheardOf
from aks_audit.facts.resource_id import parse
from aks_audit.network.addresses import AddressSet, internet_wide, public_part
from aks_audit.results import Severity, Verdict
from aks_audit.rule import fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import (
    aks_health_check,
    azqr,
    azure_policy,
    checkov,
    community_policy,
    kubebuddy,
    mcsb,
    prowler,
    psrule,
    review_checklist,
    the_aks_checklist,
)

MOST_PUBLIC_IPV4 = 2**16
"""As many public IPv4 addresses as one /16; the ways out of one organisation are far fewer."""


def is_private(cluster: ManagedCluster) -> bool:
    """Whether the cluster is private. Absent means public, Azure's default.

    Raises:
        Malformed: the value is absent, and another is there that only private clusters have.
    """
    if cluster.enable_private_cluster is None and (
        cluster.private_dns_zone or cluster.enable_private_cluster_public_fqdn is not None
    ):
        pointer = cluster.at(ManagedCluster.enable_private_cluster).pointer
        raise Malformed(cluster.id, pointer, "it is absent, beside values that only private clusters have")
    return cluster.enable_private_cluster is True


class PrivateDnsMode(StrEnum):
    """What `privateDNSZone` asks for; `ZONE` is the id of a zone of one's own."""

    SYSTEM = auto()
    NONE = auto()
    ZONE = auto()


def dns_mode(cluster: ManagedCluster) -> PrivateDnsMode | None:
    """The mode of private DNS, compared without case, or None where the body has none.

    Raises:
        UnheardOf: it is neither a mode that is known nor the id of a private DNS zone.
    """
    zone = cluster.private_dns_zone
    if zone is None:
        return None
    if parse(zone).type.lower() == "microsoft.network/privatednszones":
        return PrivateDnsMode.ZONE
    match zone.lower():
        case "system":
            return PrivateDnsMode.SYSTEM
        case "none":
            return PrivateDnsMode.NONE
        case _:
            raise UnheardOf(cluster.id, cluster.at(ManagedCluster.private_dns_zone).pointer, zone)


@rule(
    "AKS-API-01",
    title="The API server is private",
    severity=Severity.HIGH,
    controls=(
        mcsb("NS-2"),
        azure_policy("040732e8-d947-40b8-95d6-854c95024bf8"),
        review_checklist("ecccd979-3b6b-4cda-9b50-eb2eb03dda6d"),
        the_aks_checklist("29fb411c-20a8-4c39-84df-aaa4227eaeb2"),
        azqr("aks-004"),
        kubebuddy("AKSSEC001"),
        aks_health_check("CSP-2"),
        checkov("CKV_AZURE_115"),
        prowler("aks_clusters_public_access_disabled"),
    ),
)
def private_cluster(cluster: ManagedCluster) -> Verdict:
    """A public API server can be tried from anywhere: with a stolen token or kubeconfig, or by way of its next flaw.

    In a private cluster an attacker needs a foothold in the network first.

    Severity: the one endpoint that rules the whole cluster is a leaked credential away from the internet. Authorized ranges
    narrow that (AKS-API-03 and AKS-API-04 judge them), and do not close it.
    Decided: `properties.apiServerAccessProfile.enablePrivateCluster` is true. Absent means public, Azure's default. With API
    Server VNet Integration alone (`enableVnetIntegration`) the nodes' path is private, and the public endpoint remains.
    Fix: az aks update --resource-group {group} --name {name} --enable-private-cluster
    Bicep: properties.apiServerAccessProfile.enablePrivateCluster: true
    Change: in place on a cluster with API Server VNet Integration (AKS-API-08, which can be added once and for all, with a
    restart and new node images); else needs a new cluster. Prepare the way in (VPN, bastion, build agents in the network)
    and DNS first
    References: https://learn.microsoft.com/azure/aks/private-clusters
    https://learn.microsoft.com/azure/aks/api-server-vnet-integration
    """
    evidence = cluster.at(ManagedCluster.enable_private_cluster)
    integration = cluster.at(ManagedCluster.enable_vnet_integration)
    if not is_private(cluster):
        if cluster.enable_vnet_integration:
            return fails("The API server is public, although integrated in the VNet", evidence, integration)
        return fails("The API server is public", evidence)
    if cluster.enable_vnet_integration:
        return passes("The API server is private, by API Server VNet Integration", evidence, integration)
    return passes("The API server is private, by Private Link", evidence)


@rule(
    "AKS-API-02",
    title="A private cluster has no public name",
    severity=Severity.LOW,
    controls=(mcsb("NS-2"),),
)
def no_public_fqdn(cluster: ManagedCluster) -> Verdict:
    """The public FQDN of a private cluster tells the whole internet that it exists, and its address in your network.

    Severity: the name resolves to a private address that nobody outside can reach; it is a help in finding the way, no more.
    Decided: `properties.apiServerAccessProfile.enablePrivateClusterPublicFQDN` is false. Absent means that the name is
    public, Azure's default. Where `privateDNSZone` is none, the public name is the only one and has to stay (AKS-API-18);
    public clusters are judged by AKS-API-01.
    Fix: az aks update --resource-group {group} --name {name} --disable-public-fqdn
    Bicep: properties.apiServerAccessProfile.enablePrivateClusterPublicFQDN: false
    Change: in place; kubeconfigs with the public name have to be fetched anew
    References: https://learn.microsoft.com/azure/aks/private-clusters
    """
    if not is_private(cluster):
        return not_applicable("The cluster is public", cluster.at(ManagedCluster.enable_private_cluster))
    evidence = cluster.at(ManagedCluster.enable_private_cluster_public_fqdn)
    zone = cluster.at(ManagedCluster.private_dns_zone)
    mode = dns_mode(cluster)
    if mode is PrivateDnsMode.NONE:
        return not_applicable("Without a private DNS zone the public FQDN is the cluster's only name", zone)
    if cluster.enable_private_cluster_public_fqdn is not False:
        return fails("The private cluster has a public FQDN", evidence)
    if mode is None:
        return undecided("The public FQDN is off, and the body does not say whether there is a private name", zone)
    return passes("The private cluster has no public FQDN", evidence)


@rule(
    "AKS-API-03",
    title="A public API server has authorized IP ranges",
    severity=Severity.HIGH,
    controls=(
        mcsb("NS-2"),
        azure_policy("0e246bcf-5f6f-4f87-bc6f-775d4712c7ea"),
        psrule("Azure.AKS.AuthorizedIPs"),
        review_checklist("c4581559-bb91-463e-a908-aed8c44ce3b2"),
        the_aks_checklist("d783a3e8-264f-4dac-870f-569791d1837e"),
        kubebuddy("AKSNET001"),
        community_policy("0533f5f7-f3ac-4c10-9823-c5812a1476f9"),
        checkov("CKV_AZURE_6"),
    ),
)
def authorized_ranges(cluster: ManagedCluster) -> Verdict:
    """Without authorized ranges a public API server answers the whole internet, and only its login stands in the way.

    Severity: a stolen token or kubeconfig, or a flaw in the API server before login, can be used from anywhere.
    Decided: `properties.apiServerAccessProfile.authorizedIPRanges` holds a range; absent or empty means no restriction.
    Whether the ranges restrict anything is AKS-API-04. Private clusters cannot have ranges. Where `publicNetworkAccess` is
    Disabled (AKS-API-24 judges that), no inbound traffic is let in that ranges would have to restrict; with
    SecuredByPerimeter a network security perimeter, which is not read, does it: unknown.
    Fix: az aks update --resource-group {group} --name {name} --api-server-authorized-ip-ranges <range>,<range>
    Bicep: properties.apiServerAccessProfile.authorizedIPRanges: a list of ranges
    Change: in place, within two minutes; include the address by which the nodes leave (firewall or NAT gateway) and those
    of administrators and build agents, or they are locked out
    References: https://learn.microsoft.com/azure/aks/api-server-authorized-ip-ranges
    """
    if is_private(cluster):
        return not_applicable("The cluster is private", cluster.at(ManagedCluster.enable_private_cluster))
    evidence = cluster.at(ManagedCluster.authorized_ip_ranges)
    if cluster.authorized_ip_ranges:
        return passes("The public API server has authorized IP ranges", evidence)
    access = cluster.at(ManagedCluster.public_network_access)
    match cluster.public_network_access:
        case PublicNetworkAccess.DISABLED:
            return not_applicable("Public network access is disabled", access)
        case PublicNetworkAccess.SECURED_BY_PERIMETER:
            return undecided("Public network access is governed by a network security perimeter", access)
        case PublicNetworkAccess.ENABLED | None:
            return fails("The public API server answers every address on the internet", evidence)
        case other:
            assert_never(other)


@rule(
    "AKS-API-04",
    title="Authorized IP ranges hold few public addresses",
    severity=Severity.MEDIUM,
)
def authorized_ranges_restrict(cluster: ManagedCluster) -> Verdict:
    """Ranges that hold half the internet, or a cloud provider, pass every review and stop nobody.

    Anybody can rent an address inside them.

    Severity: an attacker needs an address from a large range, which costs little; where the ranges are as good as the whole
    internet, the finding is as severe as having none (high).
    Decided: the union of `properties.apiServerAccessProfile.authorizedIPRanges` holds at most 65,536 public IPv4 addresses (a
    /16), in however many prefixes they come; so 0.0.0.0/0 and its two halves are the same. More than an IPv4 /8, or than
    an IPv6 /32, is open to the internet. 0.0.0.0/32 stands for the cluster's own outbound address. Clusters that are
    private or have no ranges (AKS-API-03) have nothing to judge.
    Fix: az aks update --resource-group {group} --name {name} --api-server-authorized-ip-ranges <range>,<range>
    Bicep: properties.apiServerAccessProfile.authorizedIPRanges: the few ranges that need it
    Change: in place, within two minutes; whoever is in none of the new ranges is locked out
    References: https://learn.microsoft.com/azure/aks/api-server-authorized-ip-ranges
    """
    if is_private(cluster):
        return not_applicable("The cluster is private", cluster.at(ManagedCluster.enable_private_cluster))
    evidence = cluster.at(ManagedCluster.authorized_ip_ranges)
    if not cluster.authorized_ip_ranges:
        return not_applicable("The cluster has no authorized IP ranges; AKS-API-03 judges that", evidence)
    ranges = AddressSet.of(cluster.authorized_ip_ranges)
    if internet_wide(ranges):
        return fails("The authorized IP ranges are open to the internet", evidence, severity=Severity.HIGH)
    public = public_part(ranges).v4.size
    if public > MOST_PUBLIC_IPV4:
        return fails(f"The authorized IP ranges hold {public:,} public IPv4 addresses", evidence)
    return passes("The authorized IP ranges are narrow", evidence)


@rule(
    "AKS-API-06",
    title="A private cluster lists no authorized IP ranges",
    severity=Severity.LOW,
)
def no_ranges_on_private_cluster(cluster: ManagedCluster) -> Verdict:
    """Authorized ranges apply to the public endpoint alone; on a private cluster they look like a control and are none.

    Severity: nothing is opened; somebody may rely on a restriction that does not exist.
    Decided: `enablePrivateCluster` is true and `authorizedIPRanges` of `properties.apiServerAccessProfile` is an empty list.
    Without the list, or on a public cluster, the question does not arise.
    Fix: az aks update --resource-group {group} --name {name} --api-server-authorized-ip-ranges ""
    Bicep: properties.apiServerAccessProfile.authorizedIPRanges: []
    Change: in place; restrict a private API server with network security groups and routes instead
    References: https://learn.microsoft.com/azure/aks/private-clusters
    https://learn.microsoft.com/azure/aks/api-server-authorized-ip-ranges
    """
    if not is_private(cluster):
        return not_applicable("The cluster is public", cluster.at(ManagedCluster.enable_private_cluster))
    evidence = cluster.at(ManagedCluster.authorized_ip_ranges)
    if cluster.authorized_ip_ranges is None:
        return not_applicable("The private cluster has no list of authorized IP ranges", evidence)
    if cluster.authorized_ip_ranges:
        return fails("The private cluster has authorized IP ranges, which do nothing", evidence)
    return passes("The private cluster's list of authorized IP ranges is empty", evidence)


@rule(
    "AKS-API-07",
    title="Run command is disabled",
    severity=Severity.MEDIUM,
    controls=(
        azure_policy("89f2d532-c53c-4f8f-9afa-4927b1114a0d"),
        azure_policy("1b708b0a-3380-40e9-8b79-821f9fa224cc"),
    ),
)
def run_command_disabled(cluster: ManagedCluster) -> Verdict:
    """Run command (`az aks command invoke`) runs anything in a pod of the cluster, at a call to Azure from anywhere.

    It goes past the private network and the authorized ranges. Without Entra ID the pod acts as cluster-admin; with it, as
    the caller.

    Severity: a stolen Azure login with runCommand/action, which Contributors have, gets a shell inside the private network.
    Decided: `properties.apiServerAccessProfile.disableRunCommand` is true. Absent means enabled, Azure's default.
    Fix: az aks update --resource-group {group} --name {name} --disable-run-command
    Bicep: properties.apiServerAccessProfile.disableRunCommand: true
    Change: in place; make sure that another way into a private cluster exists
    References: https://learn.microsoft.com/azure/aks/access-private-cluster
    Disagreement: Azure Policy has a definition that wants it disabled. The Azure review checklists, The AKS Checklist and the
    AKS security summit recommend run command as the way into private clusters, in place of a jump box. The checklist you
    choose decides.
    """
    evidence = cluster.at(ManagedCluster.disable_run_command)
    if cluster.disable_run_command:
        return passes("Run command is disabled", evidence)
    return fails("Run command is enabled", evidence)


@rule(
    "AKS-API-08",
    title="The API server is integrated in the VNet",
    severity=Severity.INFO,
)
def vnet_integration(cluster: ManagedCluster) -> Verdict:
    """With API Server VNet Integration nodes reach the API server inside the VNet, with no tunnel and no Private Link.

    The cluster can then be switched between public and private without building it anew.

    Severity: Private Link protects as well; this is a choice of design, stated for information.
    Decided: `properties.apiServerAccessProfile.enableVnetIntegration` is true. Absent means no integration, Azure's default.
    Fix: az aks update --resource-group {group} --name {name} --enable-apiserver-vnet-integration --apiserver-subnet-id <subnet id>
    Bicep: properties.apiServerAccessProfile.enableVnetIntegration: true, with subnetId in a network of your own
    Change: in place, once and for all: new node images on all pools, another API server address, and a restart right after
    References: https://learn.microsoft.com/azure/aks/api-server-vnet-integration
    """
    evidence = cluster.at(ManagedCluster.enable_vnet_integration)
    if cluster.enable_vnet_integration:
        return passes("The API server is integrated in the VNet", evidence)
    return fails("The API server is not integrated in the VNet", evidence)


@rule(
    "AKS-API-11",
    title="The private DNS mode is chosen, not left to the default",
    severity=Severity.LOW,
)
def private_dns_mode(cluster: ManagedCluster) -> Verdict:
    """Who can resolve a private API server is settled when the cluster is made, and can hardly be changed afterwards.

    By default AKS makes a zone in the node resource group and links it to the cluster's VNet alone: a hub, on-premises
    networks and central DNS servers do not find the cluster. In hub and spoke, bring a zone that the hub is linked to.

    Severity: no attacker gains; administrators and pipelines outside the VNet cannot find the API server.
    Decided: `properties.apiServerAccessProfile.privateDNSZone` is system, none, or the id of a private DNS zone, in any
    case. Absent means that nobody chose, and Azure took system. Azure may also write system itself, so it does not prove
    a choice. Public clusters have no private DNS.
    Fix: az aks create --resource-group {group} --name <new name> --location {location} --enable-private-cluster --private-dns-zone <zone id> --assign-identity <identity id>
    Bicep: properties.apiServerAccessProfile.privateDNSZone: the zone's id
    Change: new cluster; an existing one can only go from a zone to none, with new node images
    References: https://learn.microsoft.com/azure/aks/private-clusters
    """
    if not is_private(cluster):
        return not_applicable("The cluster is public", cluster.at(ManagedCluster.enable_private_cluster))
    evidence = cluster.at(ManagedCluster.private_dns_zone)
    match dns_mode(cluster):
        case PrivateDnsMode.ZONE:
            return passes("The cluster uses a private DNS zone of your own", evidence)
        case PrivateDnsMode.SYSTEM | PrivateDnsMode.NONE as mode:
            return passes(f"The private DNS mode is {mode}", evidence)
        case None:
            return fails("No private DNS mode is set; Azure's default is system", evidence)
        case other:
            assert_never(other)


@rule(
    "AKS-API-18",
    title="A private cluster has a name that can be resolved",
    severity=Severity.HIGH,
)
def resolvable_name(cluster: ManagedCluster) -> Verdict:
    """Without a private DNS zone and without a public FQDN there is no name left by which to find the API server.

    Azure does not support the pair.

    Severity: nodes cannot join, nobody can administer the cluster, and Azure gives no support for it: an outage that waits.
    Decided: `privateDNSZone` is none and `enablePrivateClusterPublicFQDN` is false, both in
    `properties.apiServerAccessProfile`: fails. A zone, or a public FQDN, is a name. Where neither is shown, because values
    are absent, the answer is unknown.
    Fix: az aks update --resource-group {group} --name {name} --enable-public-fqdn
    Bicep: properties.apiServerAccessProfile.enablePrivateClusterPublicFQDN: true
    Change: in place; the name then resolves to the private address, and opens nothing
    References: https://learn.microsoft.com/azure/aks/private-clusters
    """
    if not is_private(cluster):
        return not_applicable("The cluster is public", cluster.at(ManagedCluster.enable_private_cluster))
    zone = cluster.at(ManagedCluster.private_dns_zone)
    fqdn = cluster.at(ManagedCluster.enable_private_cluster_public_fqdn)
    if cluster.enable_private_cluster_public_fqdn:
        return passes("The cluster has a public FQDN", fqdn)
    match dns_mode(cluster):
        case PrivateDnsMode.SYSTEM | PrivateDnsMode.ZONE:
            return passes("The cluster has a private DNS zone", zone)
        case PrivateDnsMode.NONE if cluster.enable_private_cluster_public_fqdn is False:
            return fails("The cluster has neither a private DNS zone nor a public FQDN", zone, fqdn)
        case PrivateDnsMode.NONE | None:
            return undecided("The body shows neither a private DNS zone nor a public FQDN", zone, fqdn)
        case other:
            assert_never(other)


@rule(
    "AKS-API-24",
    title="Public network access to the cluster is disabled",
    severity=Severity.MEDIUM,
)
def public_network_access(cluster: ManagedCluster) -> Verdict:
    """This switch closes the public endpoint, whatever the authorized ranges say; where it is open, they have to hold.

    Severity: the endpoint is open to those whom the authorized ranges let in, at worst to all; AKS-API-03 and AKS-API-04
    judge how many that are.
    Decided: `properties.publicNetworkAccess` is Disabled. Enabled, or absent (Azure's default), fails on a public cluster; a
    private one has no public endpoint to close. SecuredByPerimeter (preview) leaves it to the rules of a network security
    perimeter, which are not read: unknown.
    Fix: az resource update --resource-group {group} --name {name} --resource-type Microsoft.ContainerService/managedClusters --set properties.publicNetworkAccess=Disabled
    Bicep: properties.publicNetworkAccess: 'Disabled'
    Change: in place; cuts off everybody who comes from outside at once, and nodes that reach the API server through a
    firewall's public address: prefer a private cluster (AKS-API-01)
    References: https://learn.microsoft.com/azure/templates/microsoft.containerservice/managedclusters
    https://learn.microsoft.com/azure/aks/private-clusters
    Follows: AKS-API-01
    """
    evidence = cluster.at(ManagedCluster.public_network_access)
    match cluster.public_network_access:
        case PublicNetworkAccess.DISABLED:
            return passes("Public network access is disabled", evidence)
        case PublicNetworkAccess.SECURED_BY_PERIMETER:
            return undecided("Public network access is governed by a network security perimeter", evidence)
        case PublicNetworkAccess.ENABLED | None:
            if is_private(cluster):
                private = cluster.at(ManagedCluster.enable_private_cluster)
                return not_applicable("The cluster is private and has no public endpoint", private, evidence)
            return fails("The public API server is open to public networks", evidence)
        case other:
            assert_never(other)


RULES = (
    private_cluster,
    no_public_fqdn,
    authorized_ranges,
    authorized_ranges_restrict,
    no_ranges_on_private_cluster,
    run_command_disabled,
    vnet_integration,
    private_dns_mode,
    resolvable_name,
    public_network_access,
)
