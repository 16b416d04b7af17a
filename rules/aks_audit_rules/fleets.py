"""Whether clusters are upgraded as a fleet."""

from aks_audit.facts import Estate, ManagedCluster, NotCollected
from aks_audit.facts.fleets import Fleet, FleetMember, FleetMembers
from aks_audit.results import Severity, Verdict
from aks_audit.rule import fails, not_applicable, passes, rule
from aks_audit_rules.frameworks import azure_policy


@rule(
    "AKS-CP-22",
    title="The cluster is a member of a fleet",
    severity=Severity.INFO,
    controls=(
        azure_policy("c7f49635-e3f0-4986-b072-90d0c7c3d4cd"),
        azure_policy("cadd9445-aeb8-4ee4-b505-c279db2f737f"),
    ),
)
def member_of_fleet(cluster: ManagedCluster) -> Verdict:
    """A fleet upgrades its clusters in an order, and stops where one breaks. Alone, all take a bad version at the same time.

    Severity: a matter of opinion. Pipelines and maintenance windows can put upgrades into an order as well, and a fleet shows
    no weakness of a cluster that is in none.
    Decided: a member of a fleet of Azure Kubernetes Fleet Manager, among those that were read, names the cluster; which
    update runs the fleet has is not judged. Where it is the only cluster that was read there is nothing to put into an order: not
    applicable. Fleets are read with `--read fleets`; one in a subscription beyond the scope cannot be seen.
    Fix: az fleet member create --resource-group <group of the fleet> --fleet-name <fleet> --name {name} --member-cluster-id <id of the cluster>
    Bicep: a Microsoft.ContainerService/fleets/members with properties.clusterResourceId
    Change: in place; a fleet without a hub costs nothing
    References: https://learn.microsoft.com/azure/kubernetes-fleet/overview
    https://learn.microsoft.com/azure/kubernetes-fleet/concepts-fleet
    """
    estate = cluster.estate
    members = estate.indexed(FleetMembers)
    if found := members.by_cluster.get(cluster.id.lower()):
        return passes("The cluster is a member of a fleet", found.at(FleetMember.cluster_resource_id))
    if estate.indexed(_clusters) == 1:
        return not_applicable("It is the only cluster that was read: there is nothing to put into an order")
    for fleet in estate.within(Fleet, f"/subscriptions/{cluster.parsed.subscription}").whole():
        estate.within(FleetMember, fleet.id).whole()
    if members.missing:
        raise NotCollected(*members.missing)
    return fails("No fleet that was read has the cluster as a member", cluster.cite("/id", cluster.id))


def _clusters(estate: Estate) -> int:
    return len(estate.every(ManagedCluster))


RULES = (member_of_fleet,)
