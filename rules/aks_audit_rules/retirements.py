"""Components that Azure has retired, or has announced to retire, by the dates in `data/dates.toml`."""

import datetime as dt

from aks_audit.facts import (
    AddOn,
    AgentPool,
    AgentPoolType,
    Evidence,
    LoadBalancerSku,
    Malformed,
    ManagedCluster,
    NetworkPlugin,
    NetworkPolicy,
    OSType,
)
from aks_audit.results import Due, Outcome, Severity, Verdict
from aks_audit.rule import each, every, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.dates import RETIREMENTS, Announcement, Component, day_of

_SOON = dt.timedelta(days=365)


def retiring(component: Component, cluster: ManagedCluster, *evidence: Evidence) -> Verdict:
    """The failure of using a component: high once it is retired, medium in the year before, low until then."""
    return ending(RETIREMENTS[component], cluster, *evidence)


def ending(
    retirement: Announcement, cluster: ManagedCluster, *evidence: Evidence, user: str = "", soon: dt.timedelta = _SOON
) -> Verdict:
    """The failure of using what is retired: high from its day on, medium when that is soon, low until then.

    The day of comparison is that of the snapshot; `user` is put before what is used.
    """
    day = day_of(cluster.estate)
    if retirement.date <= day:
        severity, verb = Severity.HIGH, "was retired on"
    else:
        severity, verb = Severity.MEDIUM if retirement.date - day <= soon else Severity.LOW, "retires on"
    told = f"{user}{retirement.what}: {verb} {retirement.date}; {retirement.action}"
    due = Due(retirement.what, str(retirement.date), retirement.action)
    return fails(told, *evidence, severity=severity, due=[due])


def open_service_mesh_off(cluster: ManagedCluster) -> Verdict:
    """Whether the Open Service Mesh add-on is off."""
    absent = cluster.at(ManagedCluster.open_service_mesh)
    return _add_on_off(Component.OPEN_SERVICE_MESH, cluster, cluster.open_service_mesh, absent)


def http_application_routing_off(cluster: ManagedCluster) -> Verdict:
    """Whether the HTTP application routing add-on is off."""
    absent = cluster.at(ManagedCluster.http_application_routing)
    return _add_on_off(Component.HTTP_APPLICATION_ROUTING, cluster, cluster.http_application_routing, absent)


def _add_on_off(component: Component, cluster: ManagedCluster, add_on: AddOn | None, absent: Evidence) -> Verdict:
    what = RETIREMENTS[component].what
    if add_on is None:
        return not_applicable(f"{what} is not installed", absent)
    evidence = add_on.at(AddOn.enabled)
    if add_on.enabled is None:
        raise Malformed(cluster.id, evidence.pointer, "an add-on that does not say whether it is enabled")
    if add_on.enabled:
        return retiring(component, cluster, evidence)
    return passes(f"{what} is off", evidence)


def _plugin(cluster: ManagedCluster) -> Verdict:
    evidence = cluster.at(ManagedCluster.network_plugin)
    if cluster.network_plugin is None:
        return undecided("The body does not name the network plugin", evidence)
    if cluster.network_plugin is NetworkPlugin.KUBENET:
        return retiring(Component.KUBENET, cluster, evidence)
    return passes("The network plugin is not kubenet", evidence)


def _policy_engine_on_linux(cluster: ManagedCluster) -> Verdict:
    evidence = cluster.at(ManagedCluster.network_policy)
    if cluster.network_policy is None:
        return not_applicable("There is no network policy engine", evidence)
    if cluster.network_policy is NetworkPolicy.AZURE:
        return retiring(Component.AZURE_NPM_LINUX, cluster, evidence)
    return passes("The network policy engine is not Azure Network Policy Manager", evidence)


def _policy_engine_on_windows(cluster: ManagedCluster) -> Verdict:
    evidence = cluster.at(ManagedCluster.network_policy)
    if cluster.network_policy is not NetworkPolicy.AZURE:
        return passes("Windows nodes do not run Azure Network Policy Manager", evidence)
    windows = [pool.at(AgentPool.os_type) for pool in cluster.pools if pool.os_type is OSType.WINDOWS]
    if windows:
        return retiring(Component.AZURE_NPM_WINDOWS, cluster, evidence, *windows)
    return passes("No Windows nodes run Azure Network Policy Manager", evidence)


def _load_balancer(cluster: ManagedCluster) -> Verdict:
    evidence = cluster.at(ManagedCluster.load_balancer_sku)
    if cluster.load_balancer_sku is None:
        return undecided("The body does not name the load balancer's SKU", evidence)
    if cluster.load_balancer_sku is LoadBalancerSku.BASIC:
        return retiring(Component.BASIC_LOAD_BALANCER, cluster, evidence)
    return passes("The load balancer is not Basic", evidence)


def _pool_types(cluster: ManagedCluster) -> Verdict:
    def judge(pool: AgentPool) -> Verdict:
        evidence = pool.at(AgentPool.type)
        if pool.type is None:
            return undecided(f"The body does not say what pool {pool.name} is made of", evidence)
        if pool.type is AgentPoolType.AVAILABILITY_SET:
            return retiring(Component.AVAILABILITY_SET, cluster, evidence)
        return passes("No agent pool is an availability set", evidence)

    return each(cluster.pools, judge)


def _pod_identity(cluster: ManagedCluster) -> Verdict:
    evidence = cluster.at(ManagedCluster.pod_identity_enabled)
    if cluster.pod_identity_enabled is None:
        return not_applicable("The pod identity add-on is not installed", evidence)
    if cluster.pod_identity_enabled:
        return retiring(Component.POD_IDENTITY, cluster, evidence)
    return passes("The pod identity add-on is off", evidence)


_COMPONENTS = (
    _plugin,
    _policy_engine_on_linux,
    _policy_engine_on_windows,
    _load_balancer,
    _pool_types,
    _pod_identity,
    open_service_mesh_off,
    http_application_routing_off,
)


@rule("AKS-SUB-31", title="No retired or retiring component is in use", severity=Severity.MEDIUM, dated=True)
def no_retiring_component(cluster: ManagedCluster) -> Verdict:
    """A retired component gets no fixes: the next vulnerability in it stays open, and Azure may migrate or refuse the cluster.

    Azure gives no support for it after the date and lets nobody start using it; some components (Basic load balancers,
    availability sets) it migrates by itself, at a time that you do not choose.

    Severity: by the day of the snapshot, since a component that is already without fixes is an open door and one that
    has years left is a plan: high from the date of retirement on, medium in the year before it, low until then.
    Decided: kubenet; Azure Network Policy Manager (`networkPolicy: azure`) on Linux nodes, and on Windows nodes where
    a Windows pool exists; the Basic load balancer; pools of type `AvailabilitySet`; and the add-ons pod identity, Open
    Service Mesh and HTTP application routing, where they are enabled. Passes only if each of them was read and found
    otherwise; not applicable if none is in use but some are simply not in the body, as is usual for add-ons that were
    never installed. The dates stand in a table with their sources. Node images and Kubernetes versions have rules of
    their own.
    Fix: az aks update --resource-group {group} --name {name} --network-plugin azure --network-plugin-mode overlay # kubenet
        az aks update --resource-group {group} --name {name} --network-dataplane cilium # Azure Network Policy Manager
        az aks update --resource-group {group} --name {name} --load-balancer-sku standard # Basic load balancer
        az aks update --resource-group {group} --name {name} --migrate-vmas-to-vms # availability sets
        az aks update --resource-group {group} --name {name} --disable-pod-identity # pod identity
        az aks disable-addons --resource-group {group} --name {name} --addons open-service-mesh # Open Service Mesh
        az aks disable-addons --resource-group {group} --name {name} --addons http_application_routing # HTTP application routing
    Bicep: properties.networkProfile: networkPlugin 'azure', networkPolicy 'cilium', networkDataplane 'cilium', loadBalancerSku 'standard'
    Change: in place for add-ons (for pod identity with the aks-preview extension); the network plugin and the data plane
    reimage the nodes of all pools at once; availability sets and the Basic load balancer take downtime, with no way back
    References: https://learn.microsoft.com/azure/aks/update-azure-cni
        https://learn.microsoft.com/azure/aks/migrate-from-npm-to-cilium-network-policy
        https://learn.microsoft.com/azure/aks/upgrade-basic-load-balancer-on-aks
        https://learn.microsoft.com/azure/aks/availability-sets-on-aks
        https://github.com/Azure/AKS/releases
    Follows: AKS-IAM-12 AKS-ING-11 AKS-ING-20 AKS-KN-16 AKS-ND-12 AKS-SUB-20
    """
    verdict = every(_COMPONENTS, lambda judge: judge(cluster))
    match verdict.outcome:
        case Outcome.PASS:
            return passes("No retired or retiring component is in use; each was read", *verdict.evidence)
        case Outcome.NOT_APPLICABLE:
            return not_applicable("No retired or retiring component is in use", *verdict.evidence)
        case Outcome.FAIL | Outcome.UNKNOWN:
            return verdict


@rule("AKS-KN-16", title="The Open Service Mesh add-on is off", severity=Severity.MEDIUM)
def open_service_mesh_add_on_off(cluster: ManagedCluster) -> Verdict:
    """Open Service Mesh has no upstream any more: its project is archived, so its control plane and proxies age unpatched.

    The mesh terminates the cluster's mutual TLS and decides who may call whom; Azure supports the add-on until
    30 September 2027 and no longer. The Istio-based add-on is its successor.

    Severity: by the day of the snapshot, since until the date Azure still supports the add-on: low until a year before
    it, then medium, and high from the date on.
    Decided: `addonProfiles.openServiceMesh.enabled`, the key and values compared without case. No entry: the add-on is
    not installed, and the rule not applicable. An entry that does not say whether it is enabled is unknown.
    Fix: az aks disable-addons --resource-group {group} --name {name} --addons open-service-mesh
    Bicep: properties.addonProfiles.openServiceMesh.enabled: false
    Change: in place; move the meshed workloads to their new mesh first, since their mutual TLS ends with the add-on
    References: https://learn.microsoft.com/azure/aks/open-service-mesh-about
        https://learn.microsoft.com/azure/aks/open-service-mesh-istio-migration-guidance
    """
    return open_service_mesh_off(cluster)


RULES = (no_retiring_component, open_service_mesh_add_on_off)
