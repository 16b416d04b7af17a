"""How traffic comes into the cluster, as far as Azure Resource Manager tells."""

from typing import assert_never

from aks_audit.facts import LoadBalancerSku, ManagedCluster
from aks_audit.results import Severity, Verdict
from aks_audit.rule import fails, passes, rule, undecided
from aks_audit_rules.frameworks import aprl, azqr, checkov, psrule, review_checklist
from aks_audit_rules.retirements import http_application_routing_off


@rule(
    "AKS-ING-11",
    title="The cluster's load balancer has the Standard SKU",
    severity=Severity.HIGH,
    controls=(
        review_checklist("ba7da7be-9952-4914-a384-5d997cb39132"),
        psrule("Azure.AKS.StandardLB"),
        psrule("Azure.LB.StandardSKU"),
        aprl("38c3bca1-97a1-eb42-8cd3-838b243f35ba"),
    ),
)
def standard_load_balancer(cluster: ManagedCluster) -> Verdict:
    """The Basic load balancer was retired on 30 September 2025: it is unsupported, has no SLA, and spans no zones.

    It is also open by default: a Basic public address lets traffic in wherever no network security group forbids it,
    where a Standard one is closed until a rule opens it. It cannot be used with several node pools, authorized IP
    ranges or explicit outbound rules.

    Severity: the cluster's only way in stands on a service without support, which Azure may migrate, with an outage,
    on a day of its own choosing.
    Decided: `networkProfile.loadBalancerSku`, compared without case. Azure always sends it, so absent is unknown.
    Fix: az aks update --resource-group {group} --name {name} --load-balancer-sku standard
    Bicep: properties.networkProfile.loadBalancerSku: 'standard'
    Change: in place on Kubernetes 1.27 and newer, with downtime and no way back; with availability sets, migrate both at once
    References: https://learn.microsoft.com/azure/aks/upgrade-basic-load-balancer-on-aks
        https://learn.microsoft.com/azure/load-balancer/load-balancer-basic-upgrade-guidance
    """
    evidence = cluster.at(ManagedCluster.load_balancer_sku)
    match cluster.load_balancer_sku:
        case None:
            return undecided("The body does not name the load balancer's SKU", evidence)
        case LoadBalancerSku.STANDARD:
            return passes("The load balancer has the Standard SKU", evidence)
        case LoadBalancerSku.BASIC:
            return fails("The load balancer has the Basic SKU, which is retired", evidence)
        case other:
            assert_never(other)


@rule(
    "AKS-ING-20",
    title="The HTTP application routing add-on is off",
    severity=Severity.HIGH,
    controls=(
        review_checklist("8008ae7d-7e4b-4475-a6c8-bdbf59bce65d"),
        azqr("aks-010"),
        psrule("Azure.AKS.HttpAppRouting"),
        checkov("CKV_AZURE_246"),
    ),
)
def http_application_routing_add_on_off(cluster: ManagedCluster) -> Verdict:
    """The add-on puts an ingress controller on a public address, and since 3 March 2025 nobody patches it.

    It was a preview that never became fit for production: an old NGINX controller behind a public load balancer and a
    public DNS zone, which any namespace can publish through.

    Severity: an unpatched proxy that anybody on the internet can reach, with the TLS keys of what it publishes.
    Decided: `addonProfiles.httpApplicationRouting.enabled`, the key and values compared without case. No entry: the
    add-on is not installed, and the rule not applicable. An entry that does not say whether it is enabled is unknown.
    Fix: az aks disable-addons --resource-group {group} --name {name} --addons http_application_routing
    Bicep: properties.addonProfiles.httpApplicationRouting.enabled: false
    Change: in place; move the ingresses to another controller first, since their names and addresses end with the add-on
    References: https://learn.microsoft.com/azure/aks/app-routing-migration
        https://github.com/Azure/AKS/issues/3841
    """
    return http_application_routing_off(cluster)


RULES = (standard_load_balancer, http_application_routing_add_on_off)
