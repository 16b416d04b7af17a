"""The node resource group of a cluster: what AKS itself makes there, worked out from the cluster's body."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from aks_audit.facts.resource_id import parse
from aks_audit.snapshot import Body
from compose.azure import Group, Subscription, child, digits, guid, name_of, part, reference, resource
from compose.clusters import outbound_address
from compose.networks import (
    allow,
    attach,
    balancing_rule,
    load_balancer,
    nat_gateway,
    network_interface,
    private_endpoint,
    private_frontend,
    private_zone,
    public_frontend,
    public_ip,
    route,
    route_table,
    security_group,
    subnet,
    virtual_network,
)


class Service(NamedTuple):
    """A Kubernetes service of type LoadBalancer: with a subnet it is internal, without one its address is public."""

    name: str
    address: str
    ports: tuple[int, ...] = (80, 443)
    subnet: str = ""

    @property
    def frontend(self) -> str:
        """The front end's name, as the cloud provider makes it of the service's UID."""
        uid = "a" + guid("service", self.name, self.address).replace("-", "")[1:]
        return f"{uid}-{name_of(self.subnet)}" if self.subnet else uid


class NodeGroup:
    """The node resource group of a cluster and the bodies in it."""

    def __init__(self, cluster: Body, *, outbound: str = "20.4.0.10", api: str = "", network: str = "") -> None:
        """Make the group of a cluster.

        `outbound` is the public address that the cluster leaves by, where AKS makes one; `api` the private address
        of its API server; `network` the id of the network that its private DNS zone is linked to.
        """
        self.cluster = cluster
        self.properties: Body = cluster["properties"]
        subscription = Subscription(parse(cluster["id"]).subscription, cluster["location"])
        self.group = Group(subscription, self.properties["nodeResourceGroup"])
        self.suffix = digits(cluster["id"])
        self.outbound = outbound
        self.api = api
        self.network = network
        self.pools: list[Body] = self.properties["agentPoolProfiles"]
        self.own_network = all(pool.get("vnetSubnetID") for pool in self.pools)

    def bodies(self, services: Sequence[Service] = ()) -> list[Body]:
        """Everything in the group, with a load balancer rule for each of the services."""
        guard = self._guard([each for each in services if not each.subnet])
        return [
            *self._kubelet_identity(),
            guard,
            *self._nodes(guard),
            *([] if self.own_network else self._managed_network(guard)),
            *self._balancers(services),
            *self._api_server(),
        ]

    @property
    def subnet_of_nodes(self) -> str:
        """The subnet of the network that AKS makes where the pools name none."""
        return child(self.group.of("virtualNetworks", f"aks-vnet-{self.suffix}"), "subnets", "aks-subnet")

    def _kubelet_identity(self) -> Iterator[Body]:
        kubelet = self.properties.get("identityProfile", {}).get("kubeletidentity")
        if kubelet and self.group.name.lower() == parse(kubelet["resourceId"]).group.lower():
            ids = {"principalId": kubelet["objectId"], "clientId": kubelet["clientId"]}
            yield {**resource(self.group, kubelet["resourceId"], {}), "properties": ids}

    def _guard(self, public: Sequence[Service]) -> Body:
        """AKS's own security group: on the nodes' interfaces, or on the subnet where AKS made the network."""
        rules = []
        for number, service in enumerate(public):
            name = f"k8s-azure-lb_allow_IPv4_{guid(service.name, service.address).replace('-', '')}"
            plural = {
                "destinationPortRanges": [str(port) for port in service.ports],
                "destinationAddressPrefix": "",
                "destinationAddressPrefixes": [service.address],
            }
            rules.append(allow(name, 500 + number, "Internet", "", **plural))
        return security_group(self.group, f"aks-agentpool-{self.suffix}-nsg", rules)

    def _nodes(self, guard: Body) -> list[Body]:
        nodes: list[Body] = []
        for pool in self.pools:
            if pool["type"] == "AvailabilitySet":
                nodes += self._machines(pool, guard)
            elif pool["type"] == "VirtualMachineScaleSets":
                nodes.append(self._scale_set(pool, guard))
        return nodes

    def _machines(self, pool: Body, guard: Body) -> list[Body]:
        subnet_id = pool.get("vnetSubnetID") or self.subnet_of_nodes
        first = f"aks-{pool['name']}-{self.suffix}"
        interfaces = [
            network_interface(
                self.group,
                f"{first}-nic-{number}",
                subnet_id,
                f"10.0.5.{4 + number * 31}",
                networkSecurityGroup=reference(guard["id"]),
                enableIPForwarding=True,
                virtualMachine=reference(self.group.of("Microsoft.Compute/virtualMachines", f"{first}-{number}")),
            )
            for number in range(pool["count"])
        ]
        guard["properties"]["networkInterfaces"] = [
            *guard["properties"].get("networkInterfaces", []),
            *(reference(each["id"]) for each in interfaces),
        ]
        return interfaces

    def _scale_set(self, pool: Body, guard: Body) -> Body:
        name = f"aks-{pool['name']}-{digits(self.cluster['id'], pool['name'])}-vmss"
        own = self.group.of("Microsoft.Compute/virtualMachineScaleSets", name)
        interface: Body = {
            "primary": True,
            "enableAcceleratedNetworking": True,
            "disableTcpStateTracking": False,
            "dnsSettings": {"dnsServers": []},
            "enableIPForwarding": True,
            "ipConfigurations": self._addresses(pool),
        }
        if self.own_network:
            interface["networkSecurityGroup"] = reference(guard["id"])
            instances = child(own, "virtualMachines", "{}") + f"/networkInterfaces/{name}"
            on = [reference(instances.format(number)) for number in range(pool["count"])]
            guard["properties"]["networkInterfaces"] = [*guard["properties"].get("networkInterfaces", []), *on]
        zones = pool.get("availabilityZones")
        return {
            **resource(
                self.group,
                own,
                {
                    "singlePlacementGroup": False,
                    "orchestrationMode": "Uniform",
                    "upgradePolicy": {"mode": "Manual"},
                    "virtualMachineProfile": self._machine_profile(pool, name, interface),
                    "overprovision": False,
                    "doNotRunExtensionsOnOverprovisionedVMs": False,
                    "uniqueId": guid(own),
                    "platformFaultDomainCount": 1,
                },
                sku={"name": pool["vmSize"], "tier": "Standard", "capacity": pool["count"]},
                tags=self._tags(pool, name),
                identity=self._identity(),
            ),
            **({"zones": zones} if zones else {}),
        }

    def _addresses(self, pool: Body) -> list[Body]:
        """A node's addresses: one, or with Azure CNI in the nodes' own subnet one more for each pod it may hold."""
        profile = self.properties["networkProfile"]
        in_subnet = profile["networkPlugin"] == "azure" and not (
            profile.get("networkPluginMode") or pool.get("podSubnetID")
        )
        subnet_id = pool.get("vnetSubnetID") or self.subnet_of_nodes
        balancers = self._back_ends()
        configurations = []
        for number in range(pool["maxPods"] + 1 if in_subnet else 1):
            properties: Body = {"subnet": reference(subnet_id), "privateIPAddressVersion": "IPv4"}
            if number == 0:
                properties |= {"primary": True, "loadBalancerBackendAddressPools": balancers}
                if pool.get("enableNodePublicIP"):
                    properties["publicIPAddressConfiguration"] = {
                        "name": "publicIPConfiguration",
                        "properties": {"idleTimeoutInMinutes": 10, "publicIPAddressVersion": "IPv4"},
                    }
            configurations.append({"name": f"ipconfig{number + 1}", "properties": properties})
        return configurations

    def _back_ends(self) -> list[Body]:
        balancer = self.group.of("loadBalancers", "kubernetes")
        if self.properties["networkProfile"].get("outboundType") == "loadBalancer":
            return [
                reference(child(balancer, "backendAddressPools", pool))
                for pool in ("aksOutboundBackendPool", "kubernetes")
            ]
        return [reference(child(f"{balancer}-internal", "backendAddressPools", "kubernetes"))]

    def _machine_profile(self, pool: Body, name: str, interface: Body) -> Body:
        return {
            "osProfile": {
                "computerNamePrefix": name,
                "adminUsername": "azureuser",
                "linuxConfiguration": {"disablePasswordAuthentication": True, "provisionVMAgent": True},
                "allowExtensionOperations": True,
                "requireGuestProvisionSignal": True,
            },
            "storageProfile": {
                "osDisk": {
                    "osType": pool["osType"],
                    "createOption": "FromImage",
                    "caching": "ReadOnly",
                    "diskSizeGB": pool["osDiskSizeGB"],
                },
                "diskControllerType": "SCSI",
            },
            "securityProfile": {"encryptionAtHost": bool(pool.get("enableEncryptionAtHost"))},
            "networkProfile": {"networkInterfaceConfigurations": [{"name": name, "properties": interface}]},
        }

    def _tags(self, pool: Body, name: str) -> Body:
        kubelet = self.properties.get("identityProfile", {}).get("kubeletidentity", {})
        return {
            "aks-managed-createOperationID": guid(name, "create"),
            "aks-managed-creationSource": f"vmssclient-{name}",
            "aks-managed-kubeletIdentityClientID": kubelet.get("clientId", ""),
            "aks-managed-orchestrator": f"Kubernetes:{pool.get('currentOrchestratorVersion', '')}",
            "aks-managed-poolName": pool["name"],
            "aks-managed-resourceNameSuffix": self.suffix,
            "aks-managed-ssh-access": pool.get("securityProfile", {}).get("sshAccess", "LocalUser"),
            "aks-managed-coordination": "true",
        }

    def _identity(self) -> Body:
        kubelet = self.properties.get("identityProfile", {}).get("kubeletidentity")
        if not kubelet:
            return {"type": "None"}
        ids = {"principalId": kubelet["objectId"], "clientId": kubelet["clientId"]}
        return {"type": "UserAssigned", "userAssignedIdentities": {kubelet["resourceId"]: ids}}

    def _managed_network(self, guard: Body) -> list[Body]:
        """The network that AKS makes where the pools name no subnet, with what its outbound type needs."""
        profile = self.properties["networkProfile"]
        made: list[Body] = []
        uses: dict[str, object] = {"networkSecurityGroup": reference(guard["id"]), "defaultOutboundAccess": False}
        if profile["networkPlugin"] == "kubenet":
            made.append(route_table(self.group, f"aks-agentpool-{self.suffix}-routetable", self.pod_routes()))
            uses["routeTable"] = reference(made[-1]["id"])
        if profile.get("outboundType") == "managedNATGateway":
            address = self._outbound_ip("aks-natgateway-managed-outbound-ip")
            made += [address, nat_gateway(self.group, f"aks-{self.suffix}-natgateway", [address["id"]])]
            uses["natGateway"] = reference(made[-1]["id"])
        own = self.group.of("virtualNetworks", f"aks-vnet-{self.suffix}")
        subnets = [subnet(own, "aks-subnet", "10.224.0.0/16", **uses)]
        if self.properties.get("apiServerAccessProfile", {}).get("enableVnetIntegration"):
            delegation = part(own, "delegations", "aks-delegation", {"serviceName": parse(self.cluster["id"]).type})
            subnets.append(subnet(own, "aks-apiserver-subnet", "10.226.0.0/28", delegations=[delegation]))
        network = virtual_network(self.group, f"aks-vnet-{self.suffix}", "10.224.0.0/12", subnets)
        attach([network], [guard, *made])
        return [network, *made]

    def pod_routes(self, first: str = "10.224.0.") -> list[tuple[str, Body]]:
        """The routes that kubenet writes: for each node its share of the pod addresses, by the node's own address."""
        pods = str(self.properties["networkProfile"]["podCidr"]).rsplit(".", 2)[0]
        names = [
            f"aks-{pool['name']}-{digits(self.cluster['id'], pool['name'])}-vmss{number:06}"
            for pool in self.pools
            for number in range(pool["count"])
        ]
        return [
            (
                f"{name}____{pods.replace('.', '')}{number}024",
                route("", f"{pods}.{number}.0/24", "VirtualAppliance", f"{first}{4 + number}")[1],
            )
            for number, name in enumerate(names)
        ]

    def _outbound_ip(self, kind: str) -> Body:
        own = parse(self.cluster["id"])
        name = name_of(outbound_address(Group(self.group.subscription, own.group), own.name, self.group.name))
        return public_ip(self.group, name, self.outbound, tags={"aks-managed-type": kind})

    def _balancers(self, services: Sequence[Service]) -> list[Body]:
        inside = [each for each in services if each.subnet]
        outside = [each for each in services if not each.subnet]
        made: list[Body] = []
        if outside or self.properties["networkProfile"].get("outboundType") == "loadBalancer":
            made += self._public_balancer(outside)
        if inside:
            frontends = {each.frontend: private_frontend(each.subnet, each.address) for each in inside}
            own = self.group.of("loadBalancers", "kubernetes-internal")
            made.append(load_balancer(self.group, "kubernetes-internal", frontends, _rules(own, inside)))
        return made

    def _public_balancer(self, services: Sequence[Service]) -> list[Body]:
        own = self.group.of("loadBalancers", "kubernetes")
        sku = str(self.properties["networkProfile"]["loadBalancerSku"]).capitalize()
        addresses = {
            each.frontend: public_ip(self.group, f"kubernetes-{each.frontend}", each.address) for each in services
        }
        changes: dict[str, Any] = {"sku": sku}
        if self.properties["networkProfile"].get("outboundType") == "loadBalancer" and sku == "Standard":
            address = self._outbound_ip("aks-slb-managed-outbound-ip")
            addresses = {address["name"]: address, **addresses}
            changes |= {
                "pools": ["aksOutboundBackendPool", "kubernetes"],
                "outboundRules": [self._outbound_rule(own, address["name"])],
            }
        frontends = {name: public_frontend(address["id"]) for name, address in addresses.items()}
        return [
            *addresses.values(),
            load_balancer(self.group, "kubernetes", frontends, _rules(own, services), **changes),
        ]

    def _outbound_rule(self, balancer: str, frontend: str) -> Body:
        rule = {
            "allocatedOutboundPorts": 0,
            "protocol": "All",
            "enableTcpReset": True,
            "idleTimeoutInMinutes": 30,
            "backendAddressPool": reference(child(balancer, "backendAddressPools", "aksOutboundBackendPool")),
            "frontendIPConfigurations": [reference(child(balancer, "frontendIPConfigurations", frontend))],
        }
        return part(balancer, "outboundRules", "aksOutboundRule", rule)

    def _api_server(self) -> list[Body]:
        profile = self.properties.get("apiServerAccessProfile", {})
        if profile.get("enableVnetIntegration"):
            api_subnet = profile.get("subnetId") or self.subnet_of_nodes.replace("aks-subnet", "aks-apiserver-subnet")
            frontend = {"kube-apiserver-frontend": private_frontend(api_subnet, self.api or "10.226.0.4")}
            return [load_balancer(self.group, "kube-apiserver", frontend, pools=["kube-apiserver-backendpool"])]
        if not profile.get("enablePrivateCluster"):
            return []
        subnet_id = self.pools[0].get("vnetSubnetID") or self.subnet_of_nodes
        fqdn = self.properties["privateFQDN"]
        made = private_endpoint(self.group, "kube-apiserver", subnet_id, self.cluster["id"], {fqdn: self.api})
        host, _, zone = fqdn.partition(".")
        if profile.get("privateDNSZone") == "system":
            made += private_zone(
                self.group, zone, [self.network or subnet_id.partition("/subnets/")[0]], {host: self.api}
            )
        return made


def _rules(balancer: str, services: Sequence[Service]) -> list[Body]:
    return [balancing_rule(balancer, each.frontend, port) for each in services for port in each.ports]
