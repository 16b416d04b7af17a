"""What stands in front of web workloads, as far as Azure Resource Manager tells."""

from collections.abc import Callable, Iterator
from functools import partial

from aks_audit.facts import (
    ClusterApplicationGateway,
    Evidence,
    Holding,
    LoadBalancer,
    LoadBalancingRule,
    Malformed,
    ManagedCluster,
    Missing,
    NotCollected,
    VirtualNetwork,
)
from aks_audit.facts.application_gateway import (
    ApplicationGateway,
    FirewallConfiguration,
    HttpListener,
    PathRule,
    UrlPathMap,
)
from aks_audit.facts.cluster import AddOn
from aks_audit.facts.enumerations import ApplicationGatewayTier, FirewallMode
from aks_audit.facts.firewall import AzureFirewall
from aks_audit.facts.networking import FrontendIPConfiguration, VirtualNetworkPeering
from aks_audit.facts.resource_id import parse
from aks_audit.facts.services import Ingress
from aks_audit.network.addresses import public_part
from aks_audit.network.firewall_rules import NAT, PlacedRule, placed_rules
from aks_audit.network.neighbours import virtual_networks
from aks_audit.network.next_hops import reaches_hub_of
from aks_audit.network.routes import stated
from aks_audit.network.virtual_hubs import is_virtual_hub
from aks_audit.results import Outcome, Severity, Verdict
from aks_audit.rule import each, each_of_all, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.firewall import WEB
from aks_audit_rules.frameworks import aks_health_check, azure_policy, checkov, review_checklist, the_aks_checklist
from aks_audit_rules.ingresses import APPLICATION_GATEWAY
from aks_audit_rules.web_entries import behind, of_containers, prevents

_WITH_FIREWALL = frozenset(
    {ApplicationGatewayTier.WAF, ApplicationGatewayTier.WAF_V2, ApplicationGatewayTier.BASIC_WAF_V2}
)


@rule(
    "AKS-ING-07",
    title="A web application firewall is in front of the web workloads",
    severity=Severity.HIGH,
    controls=(
        review_checklist("a3a92c2d-e7e2-4165-a3a8-7af4a7a1f893"),
        the_aks_checklist("a3a92c2d-e7e2-4165-a3a8-7af4a7a1f893"),
        azure_policy("564feb30-bf6a-4854-b4bb-0d2d2d1e6c66"),
        azure_policy("12430be1-6cc8-4527-a9a8-e3d38f250096"),
        aks_health_check("NET-4"),
        checkov("CKV_AZURE_120"),
        checkov("CKV_AZURE_122"),
    ),
)
def web_application_firewall(cluster: ManagedCluster) -> Verdict:
    """A web application firewall looks into requests and stops the attacks that are tried everywhere, all day.

    What is published past it, by a DNAT rule of a network firewall or by a gateway that only watches, takes them as they are:
    a network firewall sees addresses and ports, and nothing of what is inside TLS.

    Severity: a flaw in one library of one workload is enough, and it is tried within hours of being known. A gateway that
    detects and does not prevent is medium: somebody may read of it.
    Decided: each way for web traffic that Azure shows. Application gateways that the add-on `ingressApplicationGateway` runs, or
    with a back end at a front end of the cluster's load balancers: `sku.tier` with WAF, and for each listener a policy (its
    own, or the gateway's; path rules may have theirs) with `state` Enabled, `mode` Prevention and a managed rule set; or
    without policies the older `webApplicationFirewallConfiguration`. DNAT rules of firewalls in the subscriptions of the
    cluster's networks and their peers that translate to an internal front end with a rule for port 80 or 443: fail. A public
    front end with such a rule is unknown where only the Kubernetes API tells what takes its traffic up. Where that was
    read, the Service with its address: pods that are no ingress controller's fail, taking requests as they are; so does
    ingress-nginx with an Ingress that has ModSecurity off (annotation `enable-modsecurity` "false", or `SecRuleEngine` in
    `modsecurity-snippet`) or only detect. That ModSecurity prevents stands in the controller's ConfigMap, which is not read,
    so that ingress-nginx never passes, nor do other controllers, or Services for Front Door or listed sources alone: unknown.
    Gateways that a controller in the cluster runs without the add-on are known by the tag that it writes on them. Gateways
    of Application Gateway for Containers: a WebApplicationFirewallPolicy for the Gateway, all its listeners or all its
    routes, whose policy in Azure prevents. Not applicable where nothing shows any of these ways.
    Fix: az network application-gateway waf-policy policy-setting update --policy-name <policy> --resource-group <group> --mode Prevention --state Enabled
    Bicep: ApplicationGatewayWebApplicationFirewallPolicies properties.policySettings: {{ state: 'Enabled', mode: 'Prevention' }}
    Change: in place; run in Detection for a week first and read what it would have stopped. In place of a DNAT rule: an
    application gateway whose back end is the internal front end
    References: https://learn.microsoft.com/azure/web-application-firewall/ag/policy-overview
    https://learn.microsoft.com/azure/application-gateway/ingress-controller-overview
    https://learn.microsoft.com/azure/architecture/example-scenario/gateway/firewall-application-gateway
    https://learn.microsoft.com/azure/application-gateway/for-containers/web-application-firewall
    https://kubernetes.github.io/ingress-nginx/user-guide/third-party-addons/modsecurity/
    """
    questions = (_controlled, _of_own_controllers, _of_front_ends, of_containers)
    verdict = each(questions, lambda question: question(cluster))
    if verdict.outcome is Outcome.NOT_APPLICABLE:
        return not_applicable("Azure shows no way for web traffic to the cluster", *verdict.evidence)
    return verdict


def _controlled(cluster: ManagedCluster) -> Verdict:
    gateway = cluster.controlled_gateway
    if gateway is None:
        shown = cluster.at(ManagedCluster.ingress_application_gateway)
        return not_applicable("No add-on runs an application gateway", shown)
    return _guarded(gateway.read())


def _of_own_controllers(cluster: ManagedCluster) -> Verdict:
    """Application gateways that a controller in the cluster runs without the add-on: it writes the cluster into a tag."""
    if cluster.controlled_gateway is not None:
        shown = cluster.at(ManagedCluster.ingress_application_gateway)
        return not_applicable("The add-on runs the application gateway", shown)
    own = cluster.id.lower()
    gateways = [
        one
        for one in cluster.estate.every(ApplicationGateway)
        if (one.controller_cluster or "").lower().rstrip("/") == own
    ]
    if gateways:
        verdict = each(gateways, _guarded)
        if verdict.outcome is Outcome.PASS:
            for home in sorted({one.parsed.subscription.lower() for one in (*gateways, cluster)}):
                cluster.estate.within(ApplicationGateway, f"/subscriptions/{home}").whole()
        return verdict
    ingresses = cluster.estate.within(Ingress, cluster.id)
    return each(ingresses, _of_unread_gateway)


def _of_unread_gateway(ingress: Ingress) -> Verdict:
    """An Ingress of an application gateway's controller, where no gateway that was read names the cluster."""
    shown = (ingress.at(Ingress.ingress_class_name), ingress.at(Ingress.annotations))
    if ingress.controlled_by != APPLICATION_GATEWAY:
        return not_applicable("Ingresses are of other controllers", *shown)
    message = (
        f"Ingress {ingress.namespace}/{ingress.name} is an application gateway's, and no gateway says that it is it"
    )
    return undecided(message, *shown)


def _of_front_ends(cluster: ManagedCluster) -> Verdict:
    return each_of_all(cluster.node_load_balancers, lambda balancer: _of_balancer(cluster, balancer))


def _of_balancer(cluster: ManagedCluster, balancer: LoadBalancer) -> Verdict:
    rules = [found for found in balancer.load_balancing_rules or () if _is_for_the_web(found)]
    return each(rules, lambda found: _ways_to(cluster, balancer, found))


def _is_for_the_web(found: LoadBalancingRule) -> bool:
    """Whether a rule is for a port of the web; one for all ports has port 0."""
    port = stated(found, LoadBalancingRule.frontend_port)
    return port == 0 or port in WEB


def _ways_to(cluster: ManagedCluster, balancer: LoadBalancer, found: LoadBalancingRule) -> Verdict:
    """How requests come to the front end of a rule."""
    own = stated(found, LoadBalancingRule.frontend)
    frontend = next((one for one in balancer.frontends or () if one.id.lower() == own.id.lower()), None)
    if frontend is None:
        raise Malformed(balancer.id, found.pointer, "a rule whose front end is not among the load balancer's")
    if frontend.public_ip_address or frontend.public_ip_prefix:
        return behind(cluster, balancer.name, frontend, found.at(LoadBalancingRule.frontend_port))
    address = stated(frontend, FrontendIPConfiguration.private_ip_address)
    shown_address = frontend.at(FrontendIPConfiguration.private_ip_address)
    gateways = [one for one in cluster.estate.every(ApplicationGateway) if _leads_to(one, address)]
    ways = (
        each(gateways, _guarded),
        each(
            tuple(_firewalls_in_reach(cluster)),
            lambda find: each_of_all(find(), lambda one: _past(one, address, shown_address)),
        ),
    )
    return each(ways, lambda verdict: verdict)


def _leads_to(gateway: ApplicationGateway, address: str) -> bool:
    return any(
        back_end.ip_address == address for pool in gateway.back_end_pools or () for back_end in pool.addresses or ()
    )


def _firewalls_in_reach(cluster: ManagedCluster) -> Iterator[Callable[[], Holding[AzureFirewall]]]:
    """The firewalls of the subscriptions in which the cluster's networks and their peers are; and those of its hubs."""
    homes: set[str] = set()
    for network in virtual_networks(cluster):
        homes.add(network.parsed.subscription.lower())
        for peering in network.peerings or ():
            remote = stated(peering, VirtualNetworkPeering.remote).id
            if is_virtual_hub(remote):
                yield partial(_of_hub, network)
            else:
                homes.add(parse(remote).subscription.lower())
    for home in sorted(homes):
        yield partial(cluster.estate.within, AzureFirewall, f"/subscriptions/{home}")


def _of_hub(network: VirtualNetwork) -> Holding[AzureFirewall]:
    """The firewalls of a Virtual WAN hub. Its own network is Microsoft's; they are in a subscription of the customer's."""
    found = tuple(one for one in network.estate.every(AzureFirewall) if reaches_hub_of(network, one))
    if not found:
        reason = f"the firewall of the Virtual WAN hub that {network.name} is connected to was not read"
        raise NotCollected(Missing(what=network.id, kind="not-read", reason=reason))
    return Holding(found, None)


def _past(firewall: AzureFirewall, address: str, shown: Evidence) -> Verdict:
    """Whether a firewall sends web traffic from its public addresses straight to a front end."""
    rules = [one for one in firewall.estate.once(placed_rules, firewall) if one.kind is NAT]
    return each(rules, lambda one: _translates(one, address, shown))


def _translates(one: PlacedRule, address: str, shown: Evidence) -> Verdict:
    port = one.view.translated_port
    known = one.view.translated_address
    if known is None and one.view.translated_fqdn is None:
        raise Malformed(one.view.document.id, one.view.pointer, "a DNAT rule that leads nowhere")
    if not (port and port.isdigit() and int(port) in WEB) and not one.conditions.ports & WEB:
        return not_applicable("DNAT rules are for other ports", *one.evidence)
    if known is None:
        return undecided(f"DNAT rule {one.name} leads to a name whose address cannot be told", *one.evidence)
    if known != address or public_part(one.conditions.addresses).empty:
        return not_applicable("DNAT rules lead elsewhere, or from private addresses", *one.evidence)
    message = f"DNAT rule {one.name} sends web traffic from the internet straight to {address}"
    return fails(message, *one.evidence, shown)


def _guarded(gateway: ApplicationGateway) -> Verdict:
    """Whether every request that a gateway takes goes through its web application firewall."""
    tier = stated(gateway, ApplicationGateway.tier)
    shown = gateway.at(ApplicationGateway.tier)
    if tier not in _WITH_FIREWALL:
        return fails(f"Application gateway {gateway.name} has no web application firewall (tier {tier})", shown)
    if tier is ApplicationGatewayTier.WAF:
        message = f"Application gateway {gateway.name} is of the first generation, which was retired on 28 April 2026"
        return fails(message, shown)
    listeners = stated(gateway, ApplicationGateway.http_listeners)
    if not listeners:
        return not_applicable(f"Application gateway {gateway.name} takes no requests", shown)
    places: list[HttpListener | PathRule] = [*listeners]
    for paths in stated(gateway, ApplicationGateway.url_path_maps):
        rules: tuple[PathRule, ...] = stated(paths, UrlPathMap.path_rules)
        places += rules
    return each(places, lambda place: _guards(gateway, place))


def _guards(gateway: ApplicationGateway, place: HttpListener | PathRule) -> Verdict:
    """Whether requests to a listener or path are looked into; a path without a policy has that of its listener."""
    own = place.firewall_policy
    if own is None and isinstance(place, PathRule):
        return not_applicable("Path rules have no policies of their own", place.at(PathRule.firewall_policy))
    policy = own or gateway.firewall_policy
    return (
        prevents(policy.read(), f"application gateway {gateway.name}")
        if policy
        else _older_configuration(gateway, place)
    )


def _older_configuration(gateway: ApplicationGateway, place: HttpListener | PathRule) -> Verdict:
    configuration = gateway.firewall_configuration
    shown = gateway.at(ApplicationGateway.firewall_configuration)
    if configuration is None or not stated(configuration, FirewallConfiguration.enabled):
        message = f"Listener {place.name} of application gateway {gateway.name} has no firewall policy"
        return fails(
            message, place.at(type(place).firewall_policy), gateway.at(ApplicationGateway.firewall_policy), shown
        )
    if stated(configuration, FirewallConfiguration.mode) is FirewallMode.DETECTION:
        return fails(f"Application gateway {gateway.name} only detects", shown, severity=Severity.MEDIUM)
    return passes(f"Application gateway {gateway.name} prevents", shown)


@rule(
    "AKS-ING-12",
    title="One cluster alone runs the application gateway",
    severity=Severity.MEDIUM,
    controls=(review_checklist("cbd8ac2a-aebc-4a2a-94da-1dbf3dc99248"),),
)
def gateway_of_one_cluster(gateway: ClusterApplicationGateway) -> Verdict:
    """The ingress controller of the add-on takes the whole gateway for its own, and removes what it did not write.

    Two clusters with one gateway take each other's listeners and back ends away, each time an ingress changes.

    Severity: web workloads of one cluster vanish when the other deploys, and come back with the next change, so that the
    cause is hard to find.
    Decided: the clusters whose add-on `ingressApplicationGateway` is on, with the gateway's id in its `config`
    (`effectiveApplicationGatewayId`, or `applicationGatewayId`), and the tag `ingress-for-aks-cluster-id` that the controller
    writes on the gateway. Two clusters fail, and so does a tag that names another cluster. One passes where the clusters of
    the gateway's subscription and of its own were listed; a cluster of a subscription that was not scanned shows only
    where it wrote the tag last. A controller that was installed with Helm is not in these bodies, and may share a gateway.
    Fix: az aks disable-addons --resource-group <group> --name <cluster> --addons ingress-appgw --subscription {subscription}
    Bicep: properties.addonProfiles.ingressApplicationGateway.config.applicationGatewayId: a gateway for each cluster
    Change: in place; make a second gateway, move the names of one cluster there, then give its add-on the new gateway
    References: https://learn.microsoft.com/azure/application-gateway/ingress-controller-overview
    https://learn.microsoft.com/azure/application-gateway/ingress-controller-install-existing
    """
    owners = [gateway.estate.resource(ManagedCluster, cluster) for cluster in gateway.clusters]
    shown = [_where_named(owner) for owner in owners]
    tag = gateway.at(ApplicationGateway.controller_cluster)
    if len(owners) > 1:
        return fails(f"{', '.join(owner.name for owner in owners)} run {gateway.name} together", *shown)
    named = gateway.controller_cluster
    if named and named.lower().rstrip("/") != owners[0].id.lower():
        return fails(f"The controller of {parse(named).name} wrote to {gateway.name} last", tag, *shown)
    for home in sorted({gateway.parsed.subscription.lower(), owners[0].parsed.subscription.lower()}):
        gateway.estate.within(ManagedCluster, f"/subscriptions/{home}").whole()
    return passes(f"{owners[0].name} alone runs {gateway.name}", *shown, tag)


def _where_named(cluster: ManagedCluster) -> Evidence:
    return stated(cluster, ManagedCluster.ingress_application_gateway).at(AddOn.effective_application_gateway)


RULES = (web_application_firewall, gateway_of_one_cluster)
