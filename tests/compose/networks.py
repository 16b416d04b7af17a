"""Bodies of Microsoft.Network: networks, what guards and routes them, load balancers, addresses, private endpoints."""

from collections.abc import Iterable, Mapping, Sequence

from aks_audit.snapshot import Body
from compose.azure import Group, child, digits, etag, guid, name_of, network_resource, part, reference, resource

_EMPTY_LISTS: Body = {
    "sourcePortRanges": [],
    "destinationPortRanges": [],
    "sourceAddressPrefixes": [],
    "destinationAddressPrefixes": [],
}
_ANY, _VNET = "*", "VirtualNetwork"
_DEFAULT_RULES = (
    ("AllowVnetInBound", "inbound traffic from all VMs in VNET", "Inbound", _VNET, _VNET, 65000),
    (
        "AllowAzureLoadBalancerInBound",
        "inbound traffic from azure load balancer",
        "Inbound",
        "AzureLoadBalancer",
        _ANY,
        65001,
    ),
    ("DenyAllInBound", "all inbound traffic", "Inbound", _ANY, _ANY, 65500),
    ("AllowVnetOutBound", "outbound traffic from all VMs to all VMs in VNET", "Outbound", _VNET, _VNET, 65000),
    ("AllowInternetOutBound", "outbound traffic from all VMs to Internet", "Outbound", _ANY, "Internet", 65001),
    ("DenyAllOutBound", "all outbound traffic", "Outbound", _ANY, _ANY, 65500),
)


def virtual_network(group: Group, name: str, prefix: str, subnets: Iterable[Body], **properties: object) -> Body:
    """A virtual network; its subnets are made by `subnet` with the same group and network name."""
    own = group.of("virtualNetworks", name)
    return network_resource(
        group,
        own,
        {
            "addressSpace": {"addressPrefixes": [prefix]},
            "encryption": {"enabled": False, "enforcement": "AllowUnencrypted"},
            "privateEndpointVNetPolicies": "Disabled",
            "subnets": list(subnets),
            "virtualNetworkPeerings": [],
            "enableDdosProtection": False,
            **properties,
        },
    )


def subnet(network: str, name: str, prefix: str, **properties: object) -> Body:
    """A subnet; guards and routes are given as `networkSecurityGroup=reference(id)` and `routeTable=reference(id)`."""
    standard = {
        "addressPrefix": prefix,
        "delegations": [],
        "privateEndpointNetworkPolicies": "Disabled",
        "privateLinkServiceNetworkPolicies": "Enabled",
    }
    return part(network, "subnets", name, {**standard, **properties})


def peer(left: Body, right: Body) -> None:
    """Peer two networks, each under the other's name."""
    for near, far in ((left, right), (right, left)):
        peering = {
            "resourceGuid": guid(near["id"], far["id"]),
            "peeringState": "Connected",
            "peeringSyncLevel": "FullyInSync",
            "remoteVirtualNetwork": reference(far["id"]),
            "allowVirtualNetworkAccess": True,
            "allowForwardedTraffic": True,
            "allowGatewayTransit": False,
            "useRemoteGateways": False,
            "doNotVerifyRemoteGateways": False,
            "peerCompleteVnets": True,
            "remoteAddressSpace": far["properties"]["addressSpace"],
            "remoteVirtualNetworkAddressSpace": far["properties"]["addressSpace"],
        }
        name = f"to-{far['name']}"
        near["properties"]["virtualNetworkPeerings"].append(part(near["id"], "virtualNetworkPeerings", name, peering))


def allow(name: str, priority: int, source: str, ports: str, **properties: object) -> tuple[str, Body]:
    """An inbound TCP rule, and its name; any property may be replaced, and an empty text takes one away."""
    rule = {
        "protocol": "Tcp",
        "sourcePortRange": "*",
        "destinationPortRange": ports,
        "sourceAddressPrefix": source,
        "destinationAddressPrefix": "*",
        "access": "Allow",
        "priority": priority,
        "direction": "Inbound",
        **_EMPTY_LISTS,
    }
    return name, {key: value for key, value in {**rule, **properties}.items() if value != ""}


def deny(name: str, priority: int, source: str, ports: str = "*", **properties: object) -> tuple[str, Body]:
    """An inbound deny rule for every protocol, and its name."""
    return allow(name, priority, source, ports, access="Deny", protocol="*", **properties)


def security_group(group: Group, name: str, rules: Iterable[tuple[str, Body]] = (), **top: object) -> Body:
    """A network security group with Azure's six default rules."""
    own = group.of("networkSecurityGroups", name)
    return network_resource(
        group,
        own,
        {
            "securityRules": [part(own, "securityRules", rule, properties) for rule, properties in rules],
            "defaultSecurityRules": [_default_rule(own, *rule) for rule in _DEFAULT_RULES],
        },
        **top,
    )


def _default_rule(group: str, name: str, description: str, direction: str, *ends: str | int) -> Body:
    source, destination, priority = ends
    access = "Deny" if name.startswith("Deny") else "Allow"
    rule = {
        "description": f"{access} {description}",
        "protocol": "*",
        "sourcePortRange": "*",
        "destinationPortRange": "*",
        "sourceAddressPrefix": source,
        "destinationAddressPrefix": destination,
        "access": access,
        "priority": priority,
        "direction": direction,
        **_EMPTY_LISTS,
    }
    return part(group, "defaultSecurityRules", name, rule)


def attach(networks: Iterable[Body], guards: Iterable[Body]) -> None:
    """Name the subnets in the bodies of the security groups, route tables and NAT gateways that they use."""
    owners = {guard["id"].lower(): guard for guard in guards}
    for network in networks:
        for each in network["properties"]["subnets"]:
            for use in ("networkSecurityGroup", "routeTable", "natGateway"):
                owner = owners.get(each["properties"].get(use, {}).get("id", "").lower())
                if owner:
                    owner["properties"].setdefault("subnets", []).append(reference(each["id"]))


def route(name: str, prefix: str, hop: str, address: str | None = None) -> tuple[str, Body]:
    """A route and its name; `address` is the appliance's."""
    properties = {"addressPrefix": prefix, "nextHopType": hop, "hasBgpOverride": False}
    return name, {**properties, "nextHopIpAddress": address} if address else properties


def route_table(group: Group, name: str, routes: Iterable[tuple[str, Body]], **properties: object) -> Body:
    """A route table."""
    own = group.of("routeTables", name)
    made = [part(own, "routes", each, body) for each, body in routes]
    return network_resource(group, own, {"disableBgpRoutePropagation": False, **properties, "routes": made})


def public_ip(group: Group, name: str, address: str, **top: object) -> Body:
    """A static Standard public IPv4 address."""
    return network_resource(
        group,
        group.of("publicIPAddresses", name),
        {
            "ipAddress": address,
            "publicIPAddressVersion": "IPv4",
            "publicIPAllocationMethod": "Static",
            "idleTimeoutInMinutes": 4,
            "ipTags": [],
            "ddosSettings": {"protectionMode": "VirtualNetworkInherited"},
        },
        **{"sku": {"name": "Standard", "tier": "Regional"}, "zones": ["1", "2", "3"], **top},
    )


def nat_gateway(group: Group, name: str, addresses: Sequence[str], **top: object) -> Body:
    """A NAT gateway with public addresses."""
    return network_resource(
        group,
        group.of("natGateways", name),
        {"idleTimeoutInMinutes": 4, "publicIpAddresses": [reference(each) for each in addresses], "subnets": []},
        sku={"name": "Standard", "tier": "Regional"},
        **top,
    )


def network_interface(group: Group, name: str, subnet_id: str, address: str, **properties: object) -> Body:
    """A network interface of a machine, an appliance or a private endpoint."""
    own = group.of("networkInterfaces", name)
    configuration = {
        "privateIPAddress": address,
        "privateIPAllocationMethod": "Dynamic",
        "subnet": reference(subnet_id),
        "primary": True,
        "privateIPAddressVersion": "IPv4",
    }
    standard = {
        "ipConfigurations": [part(own, "ipConfigurations", "ipconfig1", configuration)],
        "dnsSettings": {"dnsServers": [], "appliedDnsServers": []},
        "enableAcceleratedNetworking": False,
        "vnetEncryptionSupported": False,
        "enableIPForwarding": False,
        "disableTcpStateTracking": False,
        "hostedWorkloads": [],
        "tapConfigurations": [],
        "nicType": "Standard",
        "allowPort25Out": False,
        "auxiliaryMode": "None",
        "auxiliarySku": "None",
    }
    return network_resource(group, own, {**standard, **properties}, kind="Regular")


def private_endpoint(group: Group, name: str, subnet_id: str, target: str, service: Mapping[str, str]) -> list[Body]:
    """A private endpoint and its network interface. `service` maps each FQDN to the private address it gets."""
    own = group.of("privateEndpoints", name)
    interface = f"{name}.nic.{guid(own, 'nic')}"
    members = {
        "managedClusters": "management",
        "registries": "registry",
        "vaults": "vault",
        "storageAccounts": "blob",
        "Microsoft.Sql/servers": "sqlServer",
    }
    group_id = next(found for kind, found in members.items() if kind in target)
    connection = {
        "privateLinkServiceId": target,
        "groupIds": [group_id],
        "privateLinkServiceConnectionState": {"status": "Approved", "description": "", "actionsRequired": "None"},
    }
    endpoint = network_resource(
        group,
        own,
        {
            "privateLinkServiceConnections": [part(own, "privateLinkServiceConnections", name, connection)],
            "manualPrivateLinkServiceConnections": [],
            "customNetworkInterfaceName": "",
            "subnet": reference(subnet_id),
            "ipConfigurations": [],
            "networkInterfaces": [reference(group.of("networkInterfaces", interface))],
            "customDnsConfigs": [{"fqdn": fqdn, "ipAddresses": [address]} for fqdn, address in service.items()],
        },
    )
    nic = network_interface(group, interface, subnet_id, next(iter(service.values())), privateEndpoint=reference(own))
    return [endpoint, nic]


def private_zone(group: Group, name: str, links: Sequence[str], records: Mapping[str, str]) -> list[Body]:
    """A private DNS zone with links to networks (by id) and A records (name to address)."""
    own = group.of("privateDnsZones", name)
    zone = {
        "id": own,
        "name": name,
        "type": "Microsoft.Network/privateDnsZones",
        "etag": guid(own, "etag"),
        "location": "global",
        "properties": {
            "internalId": f"SW1tdXRhYmxlWm9uZUlkZW50aXR5{digits(own)}",
            "maxNumberOfRecordSets": 25000,
            "maxNumberOfVirtualNetworkLinks": 1000,
            "maxNumberOfVirtualNetworkLinksWithRegistration": 100,
            "numberOfRecordSets": 1 + len(records),
            "numberOfVirtualNetworkLinks": len(links),
            "numberOfVirtualNetworkLinksWithRegistration": 0,
            "provisioningState": "Succeeded",
        },
    }
    return [zone, *(_zone_link(own, each) for each in links), *(_a_record(own, *each) for each in records.items())]


def _zone_link(zone: str, network: str) -> Body:
    name = f"link-{name_of(network)}"
    return {
        "id": child(zone, "virtualNetworkLinks", name),
        "name": name,
        "type": "Microsoft.Network/privateDnsZones/virtualNetworkLinks",
        "etag": f'"{guid(zone, network)}"',
        "location": "global",
        "properties": {
            "provisioningState": "Succeeded",
            "registrationEnabled": False,
            "resolutionPolicy": "Default",
            "virtualNetwork": reference(network),
            "virtualNetworkLinkState": "Completed",
        },
    }


def _a_record(zone: str, name: str, address: str) -> Body:
    return {
        "id": child(zone, "A", name),
        "name": name,
        "type": "Microsoft.Network/privateDnsZones/A",
        "etag": guid(zone, name),
        "properties": {
            "fqdn": f"{name}.{name_of(zone)}.",
            "ttl": 300,
            "aRecords": [{"ipv4Address": address}],
            "isAutoRegistered": False,
        },
    }


def load_balancer(
    group: Group, name: str, frontends: Mapping[str, Body], rules: Sequence[Body] = (), **properties: object
) -> Body:
    """A Standard load balancer; `frontends` maps names to properties, rules are made by `balancing_rule`."""
    own = group.of("loadBalancers", name)
    pools = properties.pop("pools", ["kubernetes"])
    sku = properties.pop("sku", "Standard")
    standard: Body = {
        "frontendIPConfigurations": [part(own, "frontendIPConfigurations", *each) for each in frontends.items()],
        "backendAddressPools": [
            part(own, "backendAddressPools", str(pool), {"loadBalancerBackendAddresses": []})
            for pool in (pools if isinstance(pools, list) else [])
        ],
        "loadBalancingRules": list(rules),
        "probes": [],
        "inboundNatRules": [],
        "outboundRules": [],
        "inboundNatPools": [],
    }
    return network_resource(group, own, {**standard, **properties}, sku={"name": sku, "tier": "Regional"})


def balancing_rule(balancer: str, frontend: str, port: int, **properties: object) -> Body:
    """A rule that gives a front end's TCP port to the nodes, as the cloud provider of Kubernetes makes it."""
    rule = {
        "frontendIPConfiguration": reference(child(balancer, "frontendIPConfigurations", frontend)),
        "frontendPort": port,
        "backendPort": port,
        "enableFloatingIP": True,
        "idleTimeoutInMinutes": 4,
        "protocol": "Tcp",
        "enableTcpReset": True,
        "loadDistribution": "Default",
        "disableOutboundSnat": True,
        "backendAddressPool": reference(child(balancer, "backendAddressPools", "kubernetes")),
        **properties,
    }
    return part(balancer, "loadBalancingRules", f"{frontend}-TCP-{port}", rule)


def private_frontend(subnet_id: str, address: str) -> Body:
    """A front end with a private address."""
    return {
        "privateIPAddress": address,
        "privateIPAllocationMethod": "Dynamic",
        "privateIPAddressVersion": "IPv4",
        "subnet": reference(subnet_id),
    }


def public_frontend(address: str) -> Body:
    """A front end with a public address, by its id."""
    return {"privateIPAllocationMethod": "Dynamic", "publicIPAddress": reference(address)}


def bastion(group: Group, name: str, subnet_id: str, address: str) -> Body:
    """An Azure Bastion host."""
    own = group.of("bastionHosts", name)
    configuration = {
        "privateIPAllocationMethod": "Dynamic",
        "publicIPAddress": reference(address),
        "subnet": reference(subnet_id),
    }
    return network_resource(
        group,
        own,
        {
            "dnsName": f"bst-{guid(own)}.bastion.azure.com",
            "scaleUnits": 2,
            "ipConfigurations": [part(own, "bastionHostIpConfigurations", "IpConf", configuration)],
        },
        sku={"name": "Standard"},
    )


def firewall(
    group: Group,
    name: str,
    subnet_id: str,
    addresses: tuple[str, str],
    more: Sequence[str] = (),
    **properties: object,
) -> Body:
    """An Azure Firewall; `addresses` are its private address and its public one's id, `more` those of further ones."""
    own = group.of("azureFirewalls", name)
    private, public = addresses
    configuration = {
        "privateIPAddress": private,
        "subnet": reference(subnet_id),
        "publicIPAddress": reference(public),
    }
    standard = {
        "sku": {"name": "AZFW_VNet", "tier": "Standard"},
        "threatIntelMode": "Alert",
        "additionalProperties": {},
        "ipConfigurations": [
            part(own, "azureFirewallIpConfigurations", "ipconfig", configuration),
            *(
                part(own, "azureFirewallIpConfigurations", f"ipconfig-{n}", {"publicIPAddress": reference(address)})
                for n, address in enumerate(more, start=2)
            ),
        ],
        "networkRuleCollections": [],
        "applicationRuleCollections": [],
        "natRuleCollections": [],
    }
    return {**resource(group, own, {**standard, **properties}, zones=["1", "2", "3"]), "etag": etag(own)}


def firewall_policy(
    group: Group, name: str, firewalls: Sequence[str], groups: Mapping[str, Body], **properties: object
) -> list[Body]:
    """A firewall policy and its rule collection groups (name to properties)."""
    own = group.of("firewallPolicies", name)
    policy = {
        "id": own,
        "name": name,
        "type": "Microsoft.Network/FirewallPolicies",
        "etag": guid(own, "etag"),
        "location": group.location,
        "properties": {
            "size": "0.01 MB",
            "sku": {"tier": "Premium"},
            "childPolicies": [],
            "ruleCollectionGroups": [reference(child(own, "ruleCollectionGroups", each)) for each in groups],
            "firewalls": [reference(each) for each in firewalls],
            "threatIntelMode": "Deny",
            "dnsSettings": {"servers": [], "enableProxy": True},
            "provisioningState": "Succeeded",
            **properties,
        },
    }
    return [policy, *(_rule_collection_group(own, group, *each) for each in groups.items())]


def _rule_collection_group(policy: str, group: Group, name: str, properties: Body) -> Body:
    return {
        "id": child(policy, "ruleCollectionGroups", name),
        "name": name,
        "type": "Microsoft.Network/FirewallPolicies/RuleCollectionGroups",
        "etag": guid(policy, name),
        "location": group.location,
        "properties": {"size": "0.005 MB", "provisioningState": "Succeeded", **properties},
    }


def application_rules(name: str, priority: int, rules: Mapping[str, Body]) -> Body:
    """A rule collection of a firewall policy that allows FQDNs; `rules` map names to what differs."""
    standard = {
        "ruleType": "ApplicationRule",
        "protocols": [{"protocolType": "Https", "port": 443}],
        "fqdnTags": [],
        "webCategories": [],
        "targetFqdns": [],
        "targetUrls": [],
        "terminateTLS": False,
        "destinationAddresses": [],
        "sourceIpGroups": [],
        "httpHeadersToInsert": [],
    }
    return _collection(name, priority, [{**standard, "name": rule, **body} for rule, body in rules.items()])


def network_rules(name: str, priority: int, rules: Mapping[str, Body]) -> Body:
    """A rule collection of a firewall policy that allows addresses and ports."""
    standard = {
        "ruleType": "NetworkRule",
        "ipProtocols": ["TCP"],
        "sourceIpGroups": [],
        "destinationAddresses": [],
        "destinationIpGroups": [],
        "destinationFqdns": [],
    }
    return _collection(name, priority, [{**standard, "name": rule, **body} for rule, body in rules.items()])


def _collection(name: str, priority: int, rules: list[Body]) -> Body:
    return {
        "ruleCollectionType": "FirewallPolicyFilterRuleCollection",
        "action": {"type": "Allow"},
        "rules": rules,
        "name": name,
        "priority": priority,
    }


def subnet_id(network: Body, name: str) -> str:
    """The id of a network's subnet."""
    return child(network["id"], "subnets", name)
