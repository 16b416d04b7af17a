"""A cluster hardened as the "AKS Security Summit" of 2021 taught, and the Open Service Mesh cluster of the same talk.

The hardened one is private, leaves through a firewall, has pods in a subnet of their own, Entra ID with Azure RBAC and
no local accounts, and uses what was new then and is retired now: managed pod identity, the tier Paid, an old Defender.
"""

from aks_audit.snapshot import Body, Record
from compose.azure import Subscription, reference
from compose.clusters import (
    add_on,
    agent_pool,
    entra,
    kubelet_identity,
    load_balancer_outbound,
    managed_cluster,
    own_routes,
    private_link,
    secrets_provider,
    user_assigned,
    user_pool,
    vnet_pods,
)
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
from compose.services import CONTRIBUTOR, role_assignment, user_assigned_identity, workspace
from compose.snapshots import recorded

SUBSCRIPTION = Subscription("5ecc0000-0000-4000-8000-000000000001", "northeurope")
GROUP = SUBSCRIPTION.group("privatekubernetes-northeurope-rg")


def records() -> list[Record]:
    """The whole estate."""
    network, *beside = _network()
    return recorded([SUBSCRIPTION], [network, *beside, *_hardened(network), *_mesh()], day="2026-11-20")


def _network() -> list[Body]:
    guard = security_group(
        GROUP,
        "nsg-aks",
        [allow("AllowWafToIngress", 100, "10.20.4.0/24", "443", destinationAddressPrefix="10.20.2.0/26")],
    )
    routes = route_table(GROUP, "rt-aks", [route("to-firewall", "0.0.0.0/0", "VirtualAppliance", "10.20.3.4")])
    own = GROUP.of("virtualNetworks", "vnet-secure")
    use = {"networkSecurityGroup": reference(guard["id"]), "routeTable": reference(routes["id"])}
    network = virtual_network(
        GROUP,
        "vnet-secure",
        "10.20.0.0/16",
        [
            subnet(own, "nodes-subnet", "10.20.0.0/27", **use),
            subnet(own, "pods-subnet", "10.20.1.0/24", **use),
            subnet(own, "apps-subnet", "10.20.2.0/26", networkSecurityGroup=reference(guard["id"])),
            subnet(own, "AzureFirewallSubnet", "10.20.3.0/26"),
            subnet(own, "waf-subnet", "10.20.4.0/24"),
        ],
    )
    attach([network], [guard, routes])
    public = public_ip(GROUP, "pip-firewall", "20.54.3.10")
    wall = firewall(GROUP, "fw-aks", subnet_id(network, "AzureFirewallSubnet"), ("10.20.3.4", public["id"]))
    return [network, guard, routes, public, wall]


def _hardened(network: Body) -> list[Body]:
    identity, backend = (user_assigned_identity(GROUP, name) for name in ("id-privatekubernetes", "id-backend"))
    nodes = {
        "vnetSubnetID": subnet_id(network, "nodes-subnet"),
        "podSubnetID": subnet_id(network, "pods-subnet"),
        "maxPods": 30,
        "availabilityZones": ["1", "2", "3"],
    }
    log_analytics = workspace(SUBSCRIPTION.group("rg-security"), "log-security")
    cluster = managed_cluster(
        GROUP,
        "privatekubernetes",
        [
            agent_pool("system", 3, **nodes, nodeTaints=["CriticalAddonsOnly=true:NoSchedule"]),
            user_pool("apps", 7, **nodes, enableAutoScaling=True, minCount=7, maxCount=9),
        ],
        networkProfile=vnet_pods("10.21.0.0/16", networkPolicy="calico", **own_routes()),
        identity=user_assigned([identity]),
        identityProfile=kubelet_identity(identity["id"]),
        aadProfile=entra(["5eccaaaa-0000-4000-8000-00000000000a"]),
        disableLocalAccounts=True,
        addonProfiles={
            "azureKeyvaultSecretsProvider": secrets_provider("false"),
            "azurePolicy": add_on(version="v2"),
            "kubeDashboard": add_on(enabled=False),
        },
        autoUpgradeProfile={},
        securityProfile={"azureDefender": {"enabled": True, "logAnalyticsWorkspaceResourceId": log_analytics}},
        podIdentityProfile=_pod_identity(backend),
        oidcIssuerProfile={"enabled": False},
        sku={"name": "Basic", "tier": "Paid"},
        currentKubernetesVersion="1.32.9",
        **_private(),
    )
    service = Service("apps/internal-app", "10.20.2.4", (80,), subnet_id(network, "apps-subnet"))
    roles = [role_assignment(identity, CONTRIBUTOR, scope) for scope in (GROUP.id, network["id"])]
    return [cluster, identity, backend, *roles, *NodeGroup(cluster, api="10.20.0.4").bodies([service])]


def _private() -> Body:
    """A private cluster of before the switch for its public name: absent means that the name is public."""
    made = private_link(GROUP, "privatekubernetes", enablePrivateClusterPublicFQDN=True)
    del made["apiServerAccessProfile"]["enablePrivateClusterPublicFQDN"]
    return made


def _pod_identity(identity: Body) -> Body:
    ids = {"clientId": identity["properties"]["clientId"], "objectId": identity["properties"]["principalId"]}
    return {
        "enabled": True,
        "userAssignedIdentities": [
            {
                "name": "backend",
                "namespace": "development",
                "identity": {"resourceId": identity["id"], **ids},
                "provisioningState": "Assigned",
            }
        ],
    }


def _mesh() -> list[Body]:
    name = "osm-addon-cluster"
    group = SUBSCRIPTION.group("rg-osm-addon")
    node_group = f"MC_{group.name}_{name}_{group.location}"
    cluster = managed_cluster(
        group,
        name,
        [agent_pool("nodepool1", 3, maxPods=30)],
        networkProfile=vnet_pods("10.0.0.0/16", **load_balancer_outbound(group, name, node_group)),
        addonProfiles={"openServiceMesh": add_on()},
        autoUpgradeProfile={"nodeOSUpgradeChannel": "Unmanaged"},
        oidcIssuerProfile={"enabled": False},
        currentKubernetesVersion="1.32.9",
    )
    return [cluster, *NodeGroup(cluster, outbound="20.54.3.20").bodies()]
