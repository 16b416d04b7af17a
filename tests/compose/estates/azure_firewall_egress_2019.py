"""A cluster of 2019 behind Azure Firewall, after "Azure Kubernetes Service and Azure Firewall", and its successor.

The first has the body of an old api-version: what was not there in 2019 is absent. Its machines stand in an
availability set, behind a Basic load balancer, with a service principal. The second came later, with authorized ranges,
and with a security group that lets everybody try SSH.
"""

from aks_audit.snapshot import Body, Record
from compose.azure import Group, Subscription, guid, part, reference
from compose.clusters import add_on, agent_pool, load_balancer_outbound, managed_cluster, vnet_pods
from compose.monitoring import asked_for, defender_plans
from compose.networks import (
    allow,
    attach,
    firewall,
    public_ip,
    route,
    route_table,
    security_group,
    subnet,
    subnet_id,
    virtual_network,
)
from compose.nodes import NodeGroup, Service
from compose.roles import own_rights
from compose.services import workspace
from compose.snapshots import recorded

SUBSCRIPTION = Subscription("af190000-0000-4000-8000-000000000001")
GROUP = SUBSCRIPTION.group("kub-fw")
INGRESS = "10.0.4.4"
FIREWALL = "40.68.20.10"


def records() -> list[Record]:
    """The whole estate."""
    routes = route_table(GROUP, "aks-routes", [route("default", "0.0.0.0/0", "VirtualAppliance", "10.0.3.4")])
    anybody = {"sourceAddressPrefixes": ["10.0.0.0/8", "0.0.0.0/0"], "destinationPortRanges": ["22", "8080-8090"]}
    opened = [allow("AllowHttp", 100, "Internet", "80"), allow("AllowOperators", 110, "", "", **anybody)]
    guard = security_group(GROUP, "aks-6-nsg", opened)
    own = GROUP.of("virtualNetworks", "k8s-agent-vnet")
    routed = reference(routes["id"])
    network = virtual_network(
        GROUP,
        "k8s-agent-vnet",
        "10.0.0.0/16",
        [
            subnet(own, "AzureFirewallSubnet", "10.0.3.0/24"),
            subnet(own, "ing-4-subnet", "10.0.4.0/24"),
            subnet(own, "aks-5-subnet", "10.0.5.0/24", routeTable=routed),
            subnet(own, "aks-6-subnet", "10.0.6.0/24", routeTable=routed, networkSecurityGroup=reference(guard["id"])),
        ],
    )
    attach([network], [routes, guard])
    bodies = [network, routes, guard, *_firewall(network), *_of_2019(network), *_successor(network)]
    bodies += [*defender_plans(SUBSCRIPTION), _application(guid("aks-5", "service principal"))]
    return [*recorded([SUBSCRIPTION], bodies, day="2026-11-20"), *asked_for([SUBSCRIPTION], bodies)]


def _firewall(network: Body) -> list[Body]:
    public = public_ip(GROUP, "fw-public-ip", FIREWALL)
    allow = {"type": "Allow"}
    own = GROUP.of("azureFirewalls", "kub-firewall")
    every_site = _rule("allow-ssh-https", destinationPorts=["22", "443"], destinationAddresses=["*"], protocols=["TCP"])
    nat = {"type": "Dnat"}
    return [
        public,
        firewall(
            GROUP,
            "kub-firewall",
            subnet_id(network, "AzureFirewallSubnet"),
            ("10.0.3.4", public["id"]),
            networkRuleCollections=[_collection(own, "network", "netrules", allow, [every_site])],
            applicationRuleCollections=[
                _collection(
                    own, "application", "aksbasics", allow, [_sites("docker", "*.docker.io", "*.cloudflare.com")]
                )
            ],
            natRuleCollections=[_collection(own, "nat", "ingress", nat, [_translated(80), _translated(443)])],
        ),
    ]


def _collection(firewall_id: str, kind: str, name: str, action: Body, rules: list[Body]) -> Body:
    """A classic rule collection, in the firewall's own body."""
    made = part(firewall_id, f"{kind}RuleCollections", name, {"priority": 100, "action": action, "rules": rules})
    del made["type"]
    return made


def _rule(name: str, **properties: object) -> Body:
    return {"name": name, "sourceAddresses": ["*"], "sourceIpGroups": [], **properties}


def _sites(name: str, *fqdns: str) -> Body:
    protocols = [{"protocolType": "Http", "port": 80}, {"protocolType": "Https", "port": 443}]
    return _rule(name, protocols=protocols, fqdnTags=[], targetFqdns=list(fqdns))


def _translated(port: int) -> Body:
    ports = {"destinationPorts": [str(port)], "translatedPort": str(port)}
    return _rule(f"port{port}", **ports, destinationAddresses=[FIREWALL], translatedAddress=INGRESS, protocols=["TCP"])


def _application(client_id: str) -> Body:
    """The application of a cluster's service principal, whose secret was made to last."""
    secret = {
        "keyId": guid(client_id, "secret"),
        "startDateTime": "2019-04-01T09:00:00Z",
        "endDateTime": "2299-12-31T00:00:00Z",
    }
    own = f"/providers/Microsoft.Graph/applications/{client_id}"
    return {"id": own, "appId": client_id, "passwordCredentials": [secret]}


def _of_2019(network: Body) -> list[Body]:
    name = "aks-5"
    cluster = {
        "id": GROUP.of("Microsoft.ContainerService/managedClusters", name),
        "location": GROUP.location,
        "name": name,
        "type": "Microsoft.ContainerService/ManagedClusters",
        "properties": {
            "provisioningState": "Succeeded",
            "kubernetesVersion": "1.13.5",
            "dnsPrefix": "aks-5-kub-fw-af1900",
            "fqdn": "aks-5-kub-fw-af1900-1f2e3d4c.hcp.westeurope.azmk8s.io",
            "agentPoolProfiles": [_pool_of_2019(network)],
            "linuxProfile": {"adminUsername": "azureuser"},
            "servicePrincipalProfile": {"clientId": guid("aks-5", "service principal")},
            "addonProfiles": {
                "httpApplicationRouting": {"enabled": False, "config": None},
                "kubeDashboard": {"enabled": True, "config": None},
                "omsagent": add_on(logAnalyticsWorkspaceResourceID=workspace(_monitoring(), "log-aks")),
            },
            "nodeResourceGroup": "MC_kub-fw_aks-5_westeurope",
            "enableRBAC": True,
            "networkProfile": {
                "networkPlugin": "azure",
                "serviceCidr": "10.2.0.0/24",
                "dnsServiceIP": "10.2.0.10",
                "dockerBridgeCidr": "172.17.0.1/16",
                "loadBalancerSku": "Basic",
                "outboundType": "loadBalancer",
            },
            "maxAgentPools": 1,
        },
        "sku": {"name": "Basic", "tier": "Free"},
    }
    ingress = Service("ingress/nginx", INGRESS, subnet=subnet_id(network, "ing-4-subnet"))
    return [cluster, *NodeGroup(cluster).bodies([ingress])]


def _pool_of_2019(network: Body) -> Body:
    return {
        "name": "nodepool1",
        "count": 3,
        "vmSize": "Standard_DS2_v2",
        "osDiskSizeGB": 100,
        "vnetSubnetID": subnet_id(network, "aks-5-subnet"),
        "maxPods": 30,
        "type": "AvailabilitySet",
        "provisioningState": "Succeeded",
        "orchestratorVersion": "1.13.5",
        "osType": "Linux",
    }


def _successor(network: Body) -> list[Body]:
    node_group = "MC_kub-fw_aks-6_westeurope"
    nodes = {"vnetSubnetID": subnet_id(network, "aks-6-subnet"), "maxPods": 30, "vmSize": "Standard_DS2_v2"}
    old = agent_pool("nodepool1", 3, **nodes, orchestratorVersion="1.27.9", currentOrchestratorVersion="1.27.9")
    cluster = managed_cluster(
        GROUP,
        "aks-6",
        [old, agent_pool("nodepool2", 2, **nodes, enableNodePublicIP=True)],
        networkProfile=vnet_pods(
            "10.2.0.0/24", networkPolicy="azure", **load_balancer_outbound(GROUP, "aks-6", node_group)
        ),
        apiServerAccessProfile={"authorizedIPRanges": [f"{FIREWALL}/32", "198.51.100.16/29"]},
        addonProfiles={
            "httpApplicationRouting": {
                "enabled": True,
                "config": {"HTTPApplicationRoutingZoneName": "a1.westeurope.aksapp.io"},
            },
            "kubeDashboard": {"enabled": False, "config": None},
            "omsAgent": add_on(logAnalyticsWorkspaceResourceID=workspace(_monitoring(), "log-aks")),
        },
        autoUpgradeProfile=None,
        oidcIssuerProfile={"enabled": False},
        currentKubernetesVersion="1.28.15",
    )
    return [cluster, *own_rights(cluster), *NodeGroup(cluster, outbound="40.68.20.11").bodies()]


def _monitoring() -> Group:
    return SUBSCRIPTION.group("rg-monitoring")
