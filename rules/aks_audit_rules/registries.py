"""Container registries that clusters pull from: who reaches them, who signs in how, and what survives an outage."""

from aks_audit.facts import ClusterRegistry, ManagedCluster, PublicNetworkAccess, SecurityRuleAccess
from aks_audit.facts.authorization import RoleAssignment, RoleAssignments
from aks_audit.facts.enumerations import ConnectionState, PrincipalType, RegistryTier, Switch
from aks_audit.facts.field import Choice
from aks_audit.facts.inside_use import named_inside
from aks_audit.facts.private_link import PrivateEndpointConnection
from aks_audit.facts.registry import ContainerRegistry
from aks_audit.facts.registry_use import may_pull, may_push, registries_of
from aks_audit.network.addresses import AddressSet, internet_wide
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import (
    aks_health_check,
    aprl,
    azqr,
    azure_policy,
    checkov,
    kubebuddy,
    mcsb,
    prowler,
    psrule,
    review_checklist,
    the_aks_checklist,
)


def _about(registry: ClusterRegistry) -> str:
    """What a failure adds where nothing but the subscription says that a cluster uses the registry."""
    return " (no role or setting says which clusters pull from it)" if registry.assumed else ""


@rule(
    "AKS-PAAS-02",
    title="The registry has an approved private endpoint",
    severity=Severity.HIGH,
    controls=(
        mcsb("NS-2"),
        azqr("cr-004"),
        azure_policy("e8eef0a8-67cf-4eb4-9386-14b0e78733d4"),
        azure_policy("d85c6833-7d33-4cf5-a915-aaa2de84405f"),
        the_aks_checklist("e38f1680-8ddc-4c93-bf09-6b932a4935ca"),
        the_aks_checklist("6ae51d09-8142-4979-95ed-7ec3451de81c"),
        aks_health_check("IMG-6"),
        prowler("containerregistry_uses_private_link"),
    ),
)
def private_endpoint(registry: ClusterRegistry) -> Verdict:
    """Without a private endpoint every image comes over the registry's public address, so that address must stay open.

    It is then open to whoever holds a leaked token or password, from anywhere, and the way out of the cluster has to
    let a public name through.

    Severity: what runs in the cluster comes from here; who can push from the internet runs code in it.
    Decided: one of `properties.privateEndpointConnections` is Approved. An empty list has none; only the Premium tier can.
    Whether the endpoint is in a network of the clusters is AKS-PAAS-01's question. Registries are those that a cluster's
    kubelet identity has a role on or that a cluster bootstraps from; where neither names one, those of its subscription.
    Fix: az network private-endpoint create --resource-group {group} --name pe-{registry} --connection-name {registry} --group-id registry --private-connection-resource-id <registry id> --subnet <subnet id>
    Bicep: a Microsoft.Network/privateEndpoints whose privateLinkServiceId is the registry's id, groupIds: ['registry']
    Change: in place; link the zone privatelink.azurecr.io to the clusters' network first, or pulls go on over the public way
    References: https://learn.microsoft.com/azure/container-registry/container-registry-private-endpoints
    """
    evidence = registry.at(ContainerRegistry.private_endpoint_connections)
    connections = registry.private_endpoint_connections
    if connections is None:
        return undecided("The registry's body does not list its private endpoint connections", evidence)
    for connection in connections:
        if connection.state is ConnectionState.APPROVED:
            return passes("An approved private endpoint leads to it", connection.at(PrivateEndpointConnection.state))
    waiting = f": {len(connections)} wait or were refused" if connections else ""
    return fails(f"No approved private endpoint leads to the registry{waiting}{_about(registry)}", evidence)


@rule(
    "AKS-PAAS-03",
    title="The registry is closed to public networks, or open to listed addresses alone",
    severity=Severity.HIGH,
    controls=(
        mcsb("NS-2"),
        azure_policy("0fdf0491-d080-4575-b627-ad0e843cba0f"),
        azure_policy("a3701552-92ea-433e-9d17-33b7f1208fc9"),
        azure_policy("d0793b48-0edc-4296-a390-4c75d1bdfd71"),
        psrule("Azure.ACR.Firewall"),
        checkov("CKV_AZURE_139"),
        prowler("containerregistry_not_publicly_accessible"),
    ),
)
def closed_to_public_networks(registry: ClusterRegistry) -> Verdict:
    """Where any address may try, one leaked password or token is enough to read the images, or to replace them.

    Severity: a replaced image runs in the cluster at the next pull, with whatever rights its pod has.
    Decided: `properties.publicNetworkAccess` is Disabled or SecuredByPerimeter, or it is Enabled with
    `networkRuleSet.defaultAction` Deny. `ipRules` that together hold more than a /8 are open to the internet, and fail. A
    registry without rules is open, Azure's default; below Premium there are none.
    Fix: az acr update --resource-group {group} --name {registry} --public-network-enabled false
    Bicep: properties.publicNetworkAccess: 'Disabled'
    Change: in place, on the Premium tier; clusters without a private endpoint to it cannot pull any more, nor can pipelines
    push from outside
    References: https://learn.microsoft.com/azure/container-registry/container-registry-access-selected-networks
    https://learn.microsoft.com/azure/container-registry/container-registry-private-endpoints
    """
    access = registry.at(ContainerRegistry.public_network_access)
    action = registry.at(ContainerRegistry.default_action)
    match registry.public_network_access:
        case PublicNetworkAccess.DISABLED:
            return passes("The registry is closed to public networks", access)
        case PublicNetworkAccess.SECURED_BY_PERIMETER:
            return passes("A network security perimeter decides who reaches the registry", access)
        case None:
            return undecided("The registry's body does not say whether public networks reach it", access)
        case PublicNetworkAccess.ENABLED if registry.default_action is SecurityRuleAccess.DENY:
            return _listed_addresses(registry)
        case PublicNetworkAccess.ENABLED:
            return fails(f"The registry is open to the internet{_about(registry)}", access, action)


def _listed_addresses(registry: ClusterRegistry) -> Verdict:
    action, rules = registry.at(ContainerRegistry.default_action), registry.at(ContainerRegistry.ip_rules)
    if registry.ip_rules is None:
        return undecided("The registry's body does not list the addresses that it lets in", action, rules)
    listed = [one.value for one in registry.ip_rules]
    if None in listed:
        return undecided("A rule of the registry holds no address", action, rules)
    if internet_wide(AddressSet.of(value for value in listed if value)):
        return fails(f"The registry's rules let the internet in{_about(registry)}", action, rules)
    return passes(f"{len(listed)} listed ranges reach the registry, and no others", action, rules)


@rule(
    "AKS-PAAS-08",
    title="The registry's admin user is off",
    severity=Severity.HIGH,
    controls=(
        mcsb("IM-1"),
        azqr("cr-008"),
        azure_policy("dc921057-6b28-4fbe-9b83-f7bec05db6c2"),
        azure_policy("79fdfe03-ffcb-4e55-b4d0-b925b8241759"),
        psrule("Azure.ACR.AdminUser"),
        checkov("CKV_AZURE_137"),
        prowler("containerregistry_admin_user_disabled"),
    ),
)
def admin_user_off(registry: ClusterRegistry) -> Verdict:
    """The admin user is one password for everybody, that may push, never expires, and names nobody in the log.

    Severity: whoever finds it in a pipeline or a pull secret can replace every image that the cluster runs.
    Decided: `properties.adminUserEnabled` is false; true fails. Azure always sends it, so a body without it is unknown.
    Fix: az acr update --resource-group {group} --name {registry} --admin-enabled false
    Bicep: properties.adminUserEnabled: false
    Change: in place; whoever still signs in with the password is locked out, so give them a role or a token first
    References: https://learn.microsoft.com/azure/container-registry/container-registry-authentication
    """
    evidence = registry.at(ContainerRegistry.admin_user_enabled)
    if registry.admin_user_enabled is None:
        return undecided("The registry's body does not say whether its admin user is on", evidence)
    if registry.admin_user_enabled:
        return fails(f"The registry's admin user is on{_about(registry)}", evidence)
    return passes("The registry's admin user is off", evidence)


@rule(
    "AKS-PAAS-09",
    title="Nobody pulls from the registry without signing in",
    severity=Severity.MEDIUM,
    controls=(
        aprl("03f4a7d8-c5b4-7842-8e6e-14997a34842b"),
        azure_policy("9f2dea28-e834-476c-99c5-3507b4728395"),
        azure_policy("cced2946-b08a-44fe-9fd9-e4ed8a779897"),
        psrule("Azure.ACR.AnonymousAccess"),
        checkov("CKV_AZURE_138"),
    ),
)
def anonymous_pull_off(registry: ClusterRegistry) -> Verdict:
    """With anonymous pull everyone who reaches the registry reads every image in it, and the secrets left in them.

    It is a switch of the whole registry, not of a repository.

    Severity: nothing can be changed by it; what is lost is code, and what was built into it by mistake.
    Decided: `properties.anonymousPullEnabled` is false; true fails. Absent on the Basic tier, which does not have it, the
    question does not arise; absent elsewhere it is unknown.
    Fix: az acr update --resource-group {group} --name {registry} --anonymous-pull-enabled false
    Bicep: properties.anonymousPullEnabled: false
    Change: in place; those who pulled without signing in need a role
    References: https://learn.microsoft.com/azure/container-registry/anonymous-pull-access
    """
    evidence = registry.at(ContainerRegistry.anonymous_pull_enabled)
    if registry.anonymous_pull_enabled:
        return fails(f"Anybody pulls from the registry without signing in{_about(registry)}", evidence)
    if registry.anonymous_pull_enabled is False:
        return passes("Nobody pulls without signing in", evidence)
    tier = registry.at(ContainerRegistry.tier)
    if registry.tier is RegistryTier.BASIC:
        return not_applicable("The Basic tier has no anonymous pull", tier)
    return undecided("The registry's body does not say whether anonymous pull is on", evidence)


@rule(
    "AKS-PAAS-11",
    title="The registry survives the loss of a zone",
    severity=Severity.MEDIUM,
    controls=(
        review_checklist("3c763963-7a55-42d5-a15e-401955387e5c"),
        the_aks_checklist("b0803aed-1ca6-4330-816c-92677c6e9935"),
        the_aks_checklist("a4cefd60-f24f-4907-9723-b927300b4c42"),
        aprl("36ea6c09-ef6e-d743-9cfb-bd0c928a430b"),
        aprl("63491f70-22e4-3b4a-8b0c-845450e46fac"),
        aprl("eb005943-40a8-194b-9db2-474d430046b7"),
        psrule("Azure.ACR.MinSku"),
        azure_policy("bd560fc0-3c69-498a-ae9f-aa8eb7de0e13"),
        aks_health_check("DR-7"),
        checkov("CKV_AZURE_233"),
    ),
)
def resilient(registry: ClusterRegistry) -> Verdict:
    """A cluster that loses a zone starts its pods elsewhere, and pulls their images just then, all at once.

    Below Premium the registry cannot be replicated to a second region and is throttled sooner, when it matters most.

    Severity: running pods go on; an outage is longer, and new nodes stay empty while the registry is away.
    Decided: `sku.name` is Premium and `properties.zoneRedundancy` Enabled. Another tier fails. Premium with Disabled is
    unknown: Azure now spreads every registry over zones where its region has them, and the property need not show it.
    Replicas in other regions are resources of their own, which are not read.
    Fix: az acr update --resource-group {group} --name {registry} --sku Premium
    Bicep: sku.name: 'Premium', properties.zoneRedundancy: 'Enabled'
    Change: in place for the tier
    References: https://learn.microsoft.com/azure/container-registry/zone-redundancy
    https://learn.microsoft.com/azure/reliability/reliability-container-registry
    """
    tier, zones = registry.at(ContainerRegistry.tier), registry.at(ContainerRegistry.zone_redundancy)
    if registry.tier is None:
        return undecided("The registry's body does not name its tier", tier)
    if registry.tier is not RegistryTier.PREMIUM:
        return fails(f"The registry's tier is {registry.tier}{_about(registry)}", tier)
    if registry.zone_redundancy is Switch.ENABLED:
        return passes("The registry is Premium and zone-redundant", tier, zones)
    return undecided("The registry is Premium; its body does not show that it is zone-redundant", tier, zones)


@rule(
    "AKS-PAAS-12",
    title="The registry removes old manifests by a policy",
    severity=Severity.LOW,
    controls=(
        the_aks_checklist("49919955-fd6c-40f5-9c5c-5a7273c7a935"),
        aprl("e7f0fd54-fba0-054e-9ab8-e676f2851f88"),
        azqr("cr-010"),
        psrule("Azure.ACR.Retention"),
        psrule("Azure.ACR.SoftDelete"),
        checkov("CKV_AZURE_167"),
    ),
)
def retention(registry: ClusterRegistry) -> Verdict:
    """Untagged images pile up with their old vulnerabilities; and what is deleted by mistake is gone with its last copy.

    A retention policy removes untagged manifests after some days; soft delete keeps what was deleted for some days. A
    registry can have one of the two.

    Severity: nothing is opened; storage and scan reports grow, or a deleted image has to be built again.
    Decided: the status of `retentionPolicy` or of `softDeletePolicy` in `properties.policies` is enabled. Both disabled
    fail. Where neither is on and one is not in the body, it is unknown.
    Fix: az acr config retention update --registry {registry} --status enabled --days 30 --type UntaggedManifests
    Bicep: properties.policies.retentionPolicy: the status 'enabled', with days
    Change: in place, on the Premium tier; from then on untagged manifests go, so tag what must stay
    References: https://learn.microsoft.com/azure/container-registry/container-registry-retention-policy
    https://learn.microsoft.com/azure/container-registry/container-registry-soft-delete-policy
    """
    fields = (ContainerRegistry.retention_policy, ContainerRegistry.soft_delete_policy)
    evidence = tuple(registry.at(field) for field in fields)
    found = (registry.retention_policy, registry.soft_delete_policy)
    if Switch.ENABLED in found:
        return passes("A policy of the registry is on", *evidence)
    if None in found:
        return undecided("The registry's body does not show both policies", *evidence)
    return fails(f"The registry has neither retention nor soft delete on{_about(registry)}", *evidence)


@rule(
    "AKS-PAAS-13",
    title="The registry exports nothing and takes no tokens made for Azure Resource Manager",
    severity=Severity.LOW,
    controls=(
        azure_policy("524b0254-c285-4903-bee6-bb8126cde579"),
        azure_policy("42781ec6-6127-4c30-bdfa-fb423a0047d3"),
        azure_policy("785596ed-054f-41bc-aaec-7f3d0ba05725"),
        psrule("Azure.ACR.ExportPolicy"),
    ),
)
def exports_and_audience_off(registry: ClusterRegistry) -> Verdict:
    """Export carries whole images past the private endpoint; a token for all of Azure's management opens the registry too.

    Whoever may run an export pipeline or an import elsewhere copies images out over Azure's own network, where no
    firewall of yours sees it. And a token stolen from any script that manages Azure would serve here as well.

    Severity: the thief needs a role or a token first; what is lost is one more barrier.
    Decided: in `properties.policies`, `exportPolicy` and `azureADAuthenticationAsArmPolicy` both have the status disabled.
    Absent is unknown. Customer-managed keys and content trust (which Azure removes in 2028) are not asked for; tokens and
    cache rules are resources of their own, which are not read.
    Fix: az acr config authentication-as-arm update --registry {registry} --status disabled
    Bicep: properties.policies.azureADAuthenticationAsArmPolicy.status: 'disabled', and exportPolicy.status: 'disabled'
    Change: in place; exports can be off only where publicNetworkAccess is Disabled (AKS-PAAS-03); old clients that sign in
    with tokens for Azure Resource Manager are locked out
    References: https://learn.microsoft.com/azure/container-registry/container-registry-disable-authentication-as-arm
    https://learn.microsoft.com/azure/container-registry/data-loss-prevention
    """
    asked = (
        (ContainerRegistry.export_policy, "exports"),
        (ContainerRegistry.arm_audience_policy, "sign-in with tokens for Azure Resource Manager"),
    )
    return each(asked, lambda one: _off(registry, *one))


def _off(registry: ClusterRegistry, field: Choice[Switch], what: str) -> Verdict:
    evidence = registry.at(field)
    match field.__get__(registry, type(registry)):
        case Switch.DISABLED:
            return passes(f"The registry does not allow {what}", evidence)
        case Switch.ENABLED:
            return fails(f"The registry allows {what}{_about(registry)}", evidence)
        case _:
            return undecided(f"The registry's body does not say whether it allows {what}", evidence)


@rule(
    "AKS-PAAS-15",
    title="Nodes pull with the kubelet identity, which may pull and no more",
    severity=Severity.MEDIUM,
    controls=(
        mcsb("IM-3"),
        the_aks_checklist("100f8f70-3ec6-44bb-ab07-95eef965e80d"),
        the_aks_checklist("3f703579-9f4a-43c4-8c40-5a9e78015379"),
        aks_health_check("IMG-5"),
        azure_policy("12db3749-7e03-4b9f-b443-d37d3fb9f8d9"),
        kubebuddy("SEC028"),
    ),
)
def pulls_with_identity(cluster: ManagedCluster) -> Verdict:
    """Without a role for the nodes, images are pulled with passwords in pull secrets, which everyone in a namespace reads.

    And every pod that reaches the node's token endpoint has the kubelet identity: where it may push, one pod can replace
    the images of all.

    Severity: a pull password gives the images away; a push right of the nodes turns one broken pod into all.
    Decided: each registry that the cluster bootstraps from, each that images of its pods come from, and each where its
    kubelet identity has a role, by role assignments on the registry or above it: the role lets images be pulled (AcrPull,
    Reader, Container Registry Repository Reader …) and not pushed. None on a registry that the cluster or an image names
    fails. Where none of them leads to a registry, the question does not arise if the subscription has none, and else is
    unknown: pods may use pull secrets, or none of them.
    Nor does it arise for clusters with a service principal, which have no kubelet identity (AKS-IAM-06).
    What an Entra group holds may be the kubelet's too, so it makes an absent role unknown.
    Fix: az aks update --resource-group {group} --name {name} --attach-acr <registry>
    Bicep: a Microsoft.Authorization/roleAssignments on the registry: AcrPull for the kubelet identity's object id
    Change: in place; take a role that may push off again afterwards
    References: https://learn.microsoft.com/azure/aks/cluster-container-registry-integration
    https://learn.microsoft.com/azure/container-registry/container-registry-rbac-built-in-roles-overview
    """
    evidence = cluster.at(ManagedCluster.kubelet_object_id)
    kubelet = cluster.kubelet_object_id
    client = cluster.service_principal_client_id
    if kubelet is None and client and client.lower() != "msi":
        return not_applicable("The nodes use the cluster's service principal; AKS-IAM-06 judges that", evidence)
    if kubelet is None:
        return undecided("The cluster's body does not name the object id of a kubelet identity", evidence)
    found = registries_of(cluster)
    inside = named_inside(cluster)[ContainerRegistry.TYPE.lower()]
    told = (use.registry for use in found.known if use.shown_by != "subscription")
    named = {registry.lower(): registry for registry in (*told, *inside.services)}.values()
    verdict = each(named, lambda registry: _pull(cluster, registry, kubelet.lower()))
    if missing := (*found.missing, *inside.missing):
        rest = undecided("; ".join(one.reason for one in missing), missing=missing)
        return each((verdict, rest), lambda one: one)
    if found.known and not named:
        return undecided("No role lets the kubelet identity pull from a registry of the subscription", evidence)
    if not named:
        return not_applicable("Neither the cluster nor a role leads to a registry", evidence)
    return verdict


def _pull(cluster: ManagedCluster, registry: str, kubelet: str) -> Verdict:
    """Whether the kubelet identity may pull from a registry, and only that."""
    name = registry.rpartition("/")[2]
    holding = cluster.estate.indexed(RoleAssignments).on(registry)
    own = [one for one in holding if one.principal == kubelet]
    held = [(one.at(RoleAssignment.role_definition), one.role) for one in own]
    for evidence, role in held:
        if may_push(role):
            return fails(f"The kubelet identity may push to {name}, as {role.name}", evidence)
    holding.whole()
    for evidence, role in held:
        if may_pull(role):
            return passes(f"The kubelet identity may pull from {name}, as {role.name}", evidence)
    for one in holding:
        if one.principal_type is PrincipalType.GROUP and may_pull(one.role):
            return undecided(
                f"A group may pull from {name}; who is in it is not read", one.at(RoleAssignment.principal_id)
            )
    return fails(f"No role lets the kubelet identity pull from {name}", cluster.at(ManagedCluster.kubelet_object_id))


RULES = (
    private_endpoint,
    closed_to_public_networks,
    admin_user_off,
    anonymous_pull_off,
    resilient,
    retention,
    exports_and_audience_off,
    pulls_with_identity,
)
