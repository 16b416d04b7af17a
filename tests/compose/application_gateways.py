"""Bodies of application gateways, the policies of their firewalls, and the add-on by which clusters run them."""

from aks_audit.snapshot import Body
from compose.azure import Group, child, network_resource, part, reference, resource
from compose.networks import public_ip


def application_gateway(group: Group, name: str, subnet_id: str, address: str, mode: str) -> list[Body]:
    """A gateway with one listener, its public address, and the policy of its firewall in a mode."""
    own = group.of("applicationGateways", name)
    public = public_ip(group, f"pip-{name}", address)
    policy = _policy(group, f"waf-{name}", own, mode)
    listener = {
        "frontendIPConfiguration": reference(child(own, "frontendIPConfigurations", "public")),
        "frontendPort": reference(child(own, "frontendPorts", "https")),
        "protocol": "Https",
        "hostNames": [],
        "requireServerNameIndication": False,
    }
    front = {"privateIPAllocationMethod": "Dynamic", "publicIPAddress": reference(public["id"])}
    gateway = {
        "sku": {"name": "WAF_v2", "tier": "WAF_v2", "family": "Generation_1"},
        "operationalState": "Running",
        "gatewayIPConfigurations": [part(own, "gatewayIPConfigurations", "own", {"subnet": reference(subnet_id)})],
        "frontendIPConfigurations": [part(own, "frontendIPConfigurations", "public", front)],
        "frontendPorts": [part(own, "frontendPorts", "https", {"port": 443})],
        "backendAddressPools": [part(own, "backendAddressPools", "pods", {"backendAddresses": []})],
        "httpListeners": [part(own, "httpListeners", "https", listener)],
        "urlPathMaps": [],
        "firewallPolicy": reference(policy["id"]),
        "autoscaleConfiguration": {"minCapacity": 2, "maxCapacity": 10},
    }
    return [public, network_resource(group, own, gateway, tags={"managed-by-k8s-ingress": "1.8.1"}), policy]


def run_by(cluster: Body, gateway: Body) -> None:
    """Let the ingress add-on of a cluster run a gateway."""
    config = {"applicationGatewayId": gateway["id"], "effectiveApplicationGatewayId": gateway["id"]}
    cluster["properties"]["addonProfiles"]["ingressApplicationGateway"] = {"enabled": True, "config": config}


def _policy(group: Group, name: str, gateway: str, mode: str) -> Body:
    rules = [{"ruleSetType": "Microsoft_DefaultRuleSet", "ruleSetVersion": "2.1", "ruleGroupOverrides": []}]
    return resource(
        group,
        group.of("ApplicationGatewayWebApplicationFirewallPolicies", name),
        {
            "policySettings": {"state": "Enabled", "mode": mode, "requestBodyCheck": True},
            "managedRules": {"managedRuleSets": rules, "exclusions": []},
            "customRules": [],
            "applicationGateways": [reference(gateway)],
        },
    )
