"""When AKS may upgrade a cluster: its planned maintenance windows."""

from typing import NamedTuple

from aks_audit.facts import Evidence, Malformed, ManagedCluster, NodeOSUpgradeChannel, UpgradeChannel
from aks_audit.facts.upkeep import MaintenanceConfiguration
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.dates import day_of
from aks_audit_rules.frameworks import azure_policy, psrule


class _Upgrades(NamedTuple):
    """What AKS does by itself, the configuration that holds its windows, and the channel that has it done."""

    what: str
    configuration: str
    channel: Evidence


@rule(
    "AKS-CP-05",
    title="Automatic upgrades have a maintenance window",
    severity=Severity.LOW,
    controls=(azure_policy("e1352e44-d34d-4e4d-a22e-451a15f759a1"), psrule("Azure.AKS.MaintenanceWindow")),
)
def maintenance_windows(cluster: ManagedCluster) -> Verdict:
    """Without a window AKS drains and replaces nodes at any hour, the busiest one included, with nobody looking.

    After the first bad surprise somebody then switches the upgrades off, and with them the fixes.

    Severity: nothing is opened; workloads move when they should not.
    Decided: for each kind of upgrade that a channel brings, a maintenance configuration with a schedule that has begun:
    `aksManagedAutoUpgradeSchedule` for `autoUpgradeProfile.upgradeChannel` patch, stable, rapid or node-image, and
    `aksManagedNodeOSUpgradeSchedule` for `nodeOSUpgradeChannel` SecurityPatch or NodeImage. No upgradeChannel means none,
    Azure's default. Where nothing is upgraded by a channel, it is not applicable (AKS-CP-03 and AKS-CP-04 judge that). The
    configuration `default` is of AKS's own weekly releases, and does not count. On which days and hours a window should
    be, no rule knows. Read with `--read maintenance-configurations`.
    Fix: az aks maintenanceconfiguration add --resource-group {group} --cluster-name {name} --name aksManagedNodeOSUpgradeSchedule --schedule-type Weekly --day-of-week Sunday --interval-weeks 1 --start-time 02:00 --duration 8 # patches of nodes
        az aks maintenanceconfiguration add --resource-group {group} --cluster-name {name} --name aksManagedAutoUpgradeSchedule --schedule-type Weekly --day-of-week Sunday --interval-weeks 1 --start-time 02:00 --duration 8 # upgrades of Kubernetes
    Bicep: a Microsoft.ContainerService/managedClusters/maintenanceConfigurations with properties.maintenanceWindow.schedule
    Change: in place
    References: https://learn.microsoft.com/azure/aks/planned-maintenance
    """
    node_channel = cluster.at(ManagedCluster.node_os_upgrade_channel)
    if cluster.node_os_upgrade_channel is None:
        return undecided("The body does not say whether a channel renews node images", node_channel)
    upgrades = []
    if cluster.upgrade_channel not in {None, UpgradeChannel.NONE}:
        channel = cluster.at(ManagedCluster.upgrade_channel)
        upgrades.append(_Upgrades("Upgrades of Kubernetes", "aksManagedAutoUpgradeSchedule", channel))
    if cluster.node_os_upgrade_channel in {NodeOSUpgradeChannel.SECURITY_PATCH, NodeOSUpgradeChannel.NODE_IMAGE}:
        upgrades.append(_Upgrades("Patches of nodes", "aksManagedNodeOSUpgradeSchedule", node_channel))
    if not upgrades:
        return not_applicable(
            "No channel upgrades the cluster", cluster.at(ManagedCluster.upgrade_channel), node_channel
        )
    found = cluster.estate.within(MaintenanceConfiguration, cluster.id).whole()
    windows = {one.name.lower(): one for one in found}
    return each(upgrades, lambda one: _judge(one, windows.get(one.configuration.lower())))


def _judge(upgrades: _Upgrades, window: MaintenanceConfiguration | None) -> Verdict:
    if window is None:
        return fails(f"{upgrades.what} have no maintenance window", upgrades.channel)
    shown = window.at(MaintenanceConfiguration.schedule)
    if not (window.schedule and window.schedule.node):
        raise Malformed(window.id, shown.pointer, "a maintenance window without its schedule")
    start, day = window.start_date, str(day_of(window.estate))
    if start and start[: len(day)] > day:
        begins = window.at(MaintenanceConfiguration.start_date)
        return fails(f"{upgrades.what} have a maintenance window that begins on {start[: len(day)]} only", begins)
    return passes(f"{upgrades.what} have a maintenance window", upgrades.channel, shown)


RULES = (maintenance_windows,)
