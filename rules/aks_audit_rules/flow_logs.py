"""Flow logs: who talked to whom in the clusters' networks."""

from aks_audit.facts import ClusterNetwork, Malformed, Subnet
from aks_audit.facts.flow_logs import FlowLog, NetworkWatcher
from aks_audit.facts.resource_id import parse
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, passes, rule
from aks_audit_rules.frameworks import aprl, azure_policy, prowler


@rule(
    "AKS-SUB-08",
    title="Flow logs of the clusters' networks are kept and analysed",
    severity=Severity.LOW,
    controls=(
        azure_policy("c251913d-7d24-4958-af87-478ed3b9ba41"),
        azure_policy("4c3c6c5f-0d47-4402-99b8-aa543dd8bcee"),
        azure_policy("27960feb-a23c-4577-8d36-ef8b5f35e0be"),
        azure_policy("2f080164-9f4d-497e-9db6-416dc9f7b48a"),
        aprl("06b77be9-56a3-4d41-b362-8b295c5a283d"),
        prowler("network_flow_log_captured_sent"),
    ),
)
def flow_logs_kept(network: ClusterNetwork) -> Verdict:
    """A flow log tells which connections there were in a network, allowed and denied, inside it too.

    A firewall sees what leaves; a pod that looks around in the network, or a database that somebody else asks, is seen here.

    Severity: nothing is opened; after an incident it cannot be told how far it went. Where flows are logged and traffic
    analytics does not read them, they lie in a storage account unread, which counts as info.
    Decided: a flow log whose target is the network is enabled; or one for each of its subnets that clusters use, on the subnet
    or on its network security group; and traffic analytics is enabled with it. Flow logs of security groups count as long as
    there are any: new ones cannot be made since 30 June 2025, and all end on 30 September 2027. Those of interfaces are left
    aside. They are read with `--read flow-logs`, from all network watchers of the network's subscription.
    Fix: az network watcher flow-log create --location <region> --name {vnet} --vnet <network id> --storage-account <id> --workspace <workspace-id> --traffic-analytics true
    Bicep: networkWatchers/flowLogs properties.targetResourceId: the network, properties.enabled: true, and flowAnalyticsConfiguration
    Change: in place; storage and workspace bill what they take in
    References: https://learn.microsoft.com/azure/network-watcher/vnet-flow-logs-overview
    https://learn.microsoft.com/azure/network-watcher/nsg-flow-logs-overview
    """
    logs = _by_target(network)
    if own := logs.get(network.id.lower()):
        return _analysed(own, "the network")
    return each(network.used, lambda subnet: _subnet(network, subnet, logs))


def _by_target(network: ClusterNetwork) -> dict[str, list[FlowLog]]:
    """The enabled flow logs of the network's subscription, by what they are about."""
    found: dict[str, list[FlowLog]] = {}
    for log in network.estate.within(FlowLog, _subscription(network)):
        if log.target_resource_id is None or log.enabled is None:
            raise Malformed(log.id, "/properties", "a flow log without its target, or neither enabled nor disabled")
        if log.enabled:
            found.setdefault(log.target_resource_id.lower(), []).append(log)
    return found


def _subnet(network: ClusterNetwork, subnet_id: str, logs: dict[str, list[FlowLog]]) -> Verdict:
    subnet = network.estate.resource(Subnet, subnet_id)
    group = subnet.network_security_group
    name = f"subnet {parse(subnet_id).name}"
    if own := logs.get(subnet_id.lower()):
        return _analysed(own, name)
    if group and (own := logs.get(group.id.lower())):
        return _analysed(own, f"{name}, as one of its security group, which ends on 30 September 2027")
    for watcher in network.estate.within(NetworkWatcher, _subscription(network)).whole():
        network.estate.within(FlowLog, watcher.id).whole()
    return fails(f"There is no flow log of the network, and none of {name}", subnet.at(Subnet.network_security_group))


def _analysed(logs: list[FlowLog], about: str) -> Verdict:
    for log in logs:
        if log.traffic_analytics:
            return passes(f"Flows are logged and analysed, of {about}", log.at(FlowLog.enabled))
    evidence = [log.at(FlowLog.traffic_analytics) for log in logs]
    return fails(f"Traffic analytics does not read the flow log of {about}", *evidence, severity=Severity.INFO)


def _subscription(network: ClusterNetwork) -> str:
    return f"/subscriptions/{network.parsed.subscription}"


RULES = (flow_logs_kept,)
