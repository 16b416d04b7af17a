"""The walk of a connection once more: straight from JSON bodies, address by address and rule by rule, slow and obvious.

It knows nothing of the analyses: no sets of addresses, no facts, no links. It answers for what `test_walk` generates.
"""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple

Json = dict[str, Any]
ALLOWED, BLOCKED, UNKNOWN = "allowed", "blocked", "unknown"
YES, PERHAPS, NO = "yes", "perhaps", "no"
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "168.63.129.16/32")
UNNAMED = "99.9.9.9"
"""A public address that nothing which is generated names."""
LEADING = {"source", "name", "route", "appliance"}
"""Where a hop that cannot be told may lead elsewhere, so that nothing after it counts."""
FEW = 256


class LostError(Exception):
    """A body that is needed was not read."""


class To(NamedTuple):
    """Where it is to go: an address, a name of public DNS, or neither, for the internet."""

    address: str | None
    name: str | None
    protocol: str
    port: int

    @property
    def internet(self) -> bool:
        """Whether it is the internet as such."""
        return self.address is None and self.name is None


class Said(NamedTuple):
    """What a hop decides: its kind, the name of where it is, and the verdict (None: it leads on)."""

    kind: str
    where: str
    verdict: str | None


def inside(address: str, prefix: str) -> bool:
    """Whether a prefix holds an address."""
    one, network = ip_address(address), ip_network(prefix)
    return one.version == network.version and one in network


def is_public(address: str) -> bool:
    """Whether an address is on the internet."""
    return not any(inside(address, prefix) for prefix in PRIVATE)


def name(resource_id: str) -> str:
    """The last name of an id."""
    return resource_id.rpartition("/")[2]


def end_of(said: Iterator[Said]) -> Said:
    """The hop that decides: a block, or what may lead elsewhere; else the first that cannot be told; else the last."""
    unsure, last = None, Said("", "", None)
    for last in said:
        if last.verdict == BLOCKED or (last.verdict == UNKNOWN and last.kind in LEADING):
            return last
        if last.verdict == UNKNOWN and unsure is None:
            unsure = last
    return unsure or last._replace(verdict=ALLOWED)


class SlowWalk:
    """One walk from some node of the pool."""

    def __init__(self, bodies: dict[str, Json], lost: str, cluster: str) -> None:
        self.bodies = bodies
        self.lost = lost
        self.cluster = cluster

    def read(self, resource_id: str) -> Json:
        """The properties of a resource."""
        if self.lost == resource_id or resource_id not in self.bodies:
            raise LostError
        properties: Json = self.bodies[resource_id]["properties"]
        return properties

    def subnet(self, subnet_id: str) -> Json:
        """The properties of a subnet."""
        network, _, own = subnet_id.partition("/subnets/")
        return next(one["properties"] for one in self.read(network)["subnets"] if one["name"] == own)

    def all_of(self, kind: str) -> Iterator[tuple[str, Json]]:
        """All resources of a type."""
        for resource_id in self.bodies:
            if f"/{kind}/" in resource_id:
                yield resource_id, self.read(resource_id)

    def said(self, to: To) -> Iterator[Said]:
        """The hops that decide something, from the nodes on."""
        here = self.read(self.cluster)["agentPoolProfiles"][0]["vnetSubnetID"]
        version = ip_address(to.address).version if to.address else 4
        prefixes = [one for one in self.subnet(here)["addressPrefixes"] if ip_network(one).version == version]
        if version == 6 and ("IPv6" not in self.read(self.cluster)["networkProfile"]["ipFamilies"] or not prefixes):
            yield Said("source", name(here), BLOCKED)
            return
        senders = [str(one) for prefix in prefixes for one in ip_network(prefix)]
        for _, scale_set in self.all_of("virtualMachineScaleSets"):
            for interface in scale_set["virtualMachineProfile"]["networkProfile"]["networkInterfaceConfigurations"]:
                if group := interface["properties"].get("networkSecurityGroup"):
                    yield self.group(group["id"], here, "Outbound", senders, to)
        if group := self.subnet(here).get("networkSecurityGroup"):
            yield self.group(group["id"], here, "Outbound", senders, to)
        yield from self.onward(here, senders, to, firewall="")

    # Security groups

    def group(self, group_id: str, here: str, direction: str, senders: list[str], to: To) -> Said:
        """What a group does, with Azure's own rules at the end."""
        try:
            rules = [one["properties"] for one in self.read(group_id)["securityRules"]]
            decided = self.decide(sorted(rules, key=lambda one: one["priority"]), here, direction, senders, to)
        except LostError:
            decided = UNKNOWN
        return Said("security group", name(group_id), decided)

    def decide(self, rules: list[Json], here: str, direction: str, senders: list[str], to: To) -> str:
        """The first rule that is about all of it, unless an earlier one that may be would do otherwise."""
        own = ["VirtualNetwork/VirtualNetwork/Allow", "*/Internet/Allow", "*/*/Deny"]
        if direction == "Inbound":
            own[1] = "AzureLoadBalancer/*/Allow"
        every = [one for one in rules if one["direction"] == direction]
        for written in own:
            source, destination, access = written.split("/")
            every.append(
                {
                    "protocol": "*",
                    "access": access,
                    "sourceAddressPrefix": source,
                    "destinationAddressPrefix": destination,
                    "destinationPortRange": "*",
                }
            )
        before: set[str] = set()
        for rule in every:
            found = self.matches(rule, here, senders, to)
            if found == PERHAPS:
                before.add(rule["access"])
            if found == YES:
                if before - {rule["access"]}:
                    return UNKNOWN
                return ALLOWED if rule["access"] == "Allow" else BLOCKED
        raise AssertionError

    def matches(self, rule: Json, here: str, senders: list[str], to: To) -> str:
        """Whether a rule is about the connection of every sender, of some, or of none."""
        if rule["protocol"].lower() not in {"*", to.protocol}:
            return NO
        low, _, high = rule["destinationPortRange"].replace("*", "0-65535").partition("-")
        if to.protocol != "icmp" and not int(low) <= to.port <= int(high or low):
            return NO
        source, destination = rule["sourceAddressPrefix"], rule["destinationAddressPrefix"]
        sides = {self.holds(source, here, sender) for sender in senders}
        from_ = sides.pop() if len(sides) == 1 else PERHAPS
        if to.address or to.internet:
            towards = self.holds(destination, here, to.address or UNNAMED)
            if to.internet and destination == "Storage":
                towards = NO
        else:
            towards = self.holds_a_name(destination, here)
        untold = to.protocol == "icmp" and rule["protocol"] == "*" and rule["destinationPortRange"] != "*"
        both = {from_, towards, PERHAPS if untold else YES}
        return NO if NO in both else PERHAPS if PERHAPS in both else YES

    def holds(self, side: str, here: str, address: str) -> str:  # noqa: PLR0911 - one a kind of side
        """Whether a side of a rule holds an address."""
        if side == "*":
            return YES
        if side == "Internet":
            return YES if is_public(address) else NO
        if side == "Storage":
            return PERHAPS if is_public(address) else NO
        if side == "AzureLoadBalancer":
            return NO
        if side == "VirtualNetwork" and not self.knows(here):
            return PERHAPS
        if side == "VirtualNetwork":
            if any(inside(address, prefix) for prefix in self.virtual_network(here)):
                return YES
            defaults = [prefix for prefix in self.routed(here) if prefix.endswith("/0")]
            return PERHAPS if any(inside(address, prefix) for prefix in defaults) else NO
        return YES if inside(address, side) else NO

    def holds_a_name(self, side: str, here: str) -> str:
        """Whether a side of a rule holds the address of a public name, whichever it is."""
        if side in {"*", "Internet"}:
            return YES
        if side == "VirtualNetwork" and not self.knows(here):
            return PERHAPS
        prefixes = [side]
        if side in {"Storage", "AzureLoadBalancer"}:
            return PERHAPS if side == "Storage" else NO
        if side == "VirtualNetwork":
            prefixes = [*self.virtual_network(here), *self.routed(here)]
        return (
            PERHAPS
            if any(is_public(str(ip_network(prefix)[0])) or prefix == "0.0.0.0/0" for prefix in prefixes)
            else NO
        )

    def knows(self, here: str) -> bool:
        """Whether all that the tag VirtualNetwork stands for was read."""
        try:
            return bool(self.virtual_network(here))
        except LostError:
            return False

    def virtual_network(self, here: str) -> list[str]:
        """The prefixes that are surely behind the tag VirtualNetwork: own space, that of peers, routes' prefixes."""
        network = self.read(here.partition("/subnets/")[0])
        peers = [one["remoteAddressSpace"]["addressPrefixes"] for one in self.peers(network)]
        routed = [prefix for prefix in self.routed(here) if not prefix.endswith("/0")]
        space: list[str] = network["addressSpace"]["addressPrefixes"]
        return [*space, *(prefix for prefixes in peers for prefix in prefixes), *routed, "168.63.129.16/32"]

    def routed(self, here: str) -> list[str]:
        """The prefixes of the subnet's route table."""
        return [one["addressPrefix"] for one in self.table(here) if "/" in one["addressPrefix"]]

    def table(self, here: str) -> list[Json]:
        """The routes of the subnet's route table."""
        link = self.subnet(here).get("routeTable")
        return [one["properties"] for one in self.read(link["id"])["routes"]] if link else []

    @staticmethod
    def peers(network: Json) -> list[Json]:
        """The peerings that work."""
        every = [one["properties"] for one in network["virtualNetworkPeerings"]]
        return [one for one in every if one["peeringState"] == "Connected" and one["allowVirtualNetworkAccess"]]

    # Routes

    def onward(self, here: str, senders: list[str], to: To, firewall: str) -> Iterator[Said]:
        """From a subnet on, until it ends."""
        try:
            hop, doubtful = self.route(here, to)
            if doubtful or hop == "None":
                yield Said("route", name(here), UNKNOWN if doubtful else BLOCKED)
                return
            yield from self.led(hop, here, senders, to, firewall)
        except LostError:
            yield Said("route", name(here), UNKNOWN)

    def best(self, here: str, address: str) -> tuple[int, int, str]:
        """The route with the longest prefix; of equals, the user's."""
        network = self.read(here.partition("/subnets/")[0])
        found: list[tuple[str, int, str]] = [(one, 0, "local") for one in network["addressSpace"]["addressPrefixes"]]
        for peering in self.peers(network):
            remote = peering["remoteVirtualNetwork"]["id"]
            found += [(one, 0, f"peer {remote}") for one in peering["remoteAddressSpace"]["addressPrefixes"]]
        found += [("0.0.0.0/0", 0, "Internet"), ("::/0", 0, "Internet")]
        table = [one for one in self.table(here) if "/" in one["addressPrefix"]]
        if not any(one["addressPrefix"] == "0.0.0.0/0" for one in table):
            found += [(one, 0, "None") for one in PRIVATE[:4]]
        for one in table:
            hop = one["nextHopType"].replace("VnetLocal", "local")
            found.append((one["addressPrefix"], 1, f"to {one['nextHopIpAddress']}" if "Appl" in hop else hop))
        return max((ip_network(prefix).prefixlen, rank, hop) for prefix, rank, hop in found if inside(address, prefix))

    def route(self, here: str, to: To) -> tuple[str, bool]:
        """Where the route leads, and whether another that cannot be seen may win."""
        address = to.address or UNNAMED
        length, rank, hop = self.best(here, address)
        exact = rank == 1 and length == ip_address(address).max_prefixlen
        doubtful = False
        if to.address and rank == 1 and not exact:
            hop, doubtful = self.past_user_routes(here, to.address, length, hop)
        public = is_public(address) and not to.internet
        if public and not exact and any("/" not in one["addressPrefix"] for one in self.table(here)):
            doubtful = True
        if public and hop != "Internet" and self.subnet(here).get("serviceEndpoints"):
            doubtful = True
        if to.name and not to.address:
            for prefix in self.routed(here):
                network = ip_network(prefix)
                wide = network.version == 4 and network.prefixlen > 1 and network.num_addresses >= FEW
                if wide and is_public(str(network[0])) and self.best(here, str(network[0]))[2] != hop:
                    doubtful = True
        return hop, doubtful

    def past_user_routes(self, here: str, address: str, length: int, hop: str) -> tuple[str, bool]:
        """A private endpoint's route for its one address, before any that is the user's and shorter."""
        network_id = here.partition("/subnets/")[0]
        network = self.read(network_id)
        homes = [(network_id, "local", prefix) for prefix in network["addressSpace"]["addressPrefixes"]]
        for peering in self.peers(network):
            remote = peering["remoteVirtualNetwork"]["id"]
            homes += [(remote, f"peer {remote}", one) for one in peering["remoteAddressSpace"]["addressPrefixes"]]
        for home, direct, space in homes:
            if not inside(address, space):
                continue
            try:
                holder = self.at(home, address)
                if holder is None or (self.heeds_routes(holder) and length >= ip_network(space).prefixlen):
                    return hop, False
                return (direct, False) if self.endpoint(holder, address) else (hop, False)
            except LostError:
                return hop, True
        return hop, False

    def heeds_routes(self, subnet_id: str) -> bool:
        """Whether a subnet's private endpoints are reached by the routes of the user's, where these are long enough."""
        return self.subnet(subnet_id)["privateEndpointNetworkPolicies"] in {"Enabled", "RouteTableEnabled"}

    def at(self, network_id: str, address: str) -> str | None:
        """The id of the subnet that holds an address."""
        for one in self.read(network_id)["subnets"]:
            if any(inside(address, prefix) for prefix in one["properties"]["addressPrefixes"]):
                return f"{network_id}/subnets/{one['name']}"
        return None

    def endpoint(self, subnet_id: str, address: str) -> str:
        """The name of the private endpoint of a subnet with an address."""
        for resource_id, endpoint in self.all_of("privateEndpoints"):
            if endpoint["subnet"]["id"] == subnet_id:
                for link in endpoint["networkInterfaces"]:
                    for one in self.read(link["id"])["ipConfigurations"]:
                        if one["properties"]["privateIPAddress"] == address:
                            return name(resource_id)
        return ""

    # Next hops

    def led(self, hop: str, here: str, senders: list[str], to: To, firewall: str) -> Iterator[Said]:
        """What a route leads to."""
        network = here.partition("/subnets/")[0]
        if hop == "Internet":
            yield self.out(here, senders, to, firewall)
        elif hop == "VirtualNetworkGateway":
            yield Said("appliance", name(network), UNKNOWN)
        elif hop == "local":
            yield from self.arrived(network, senders, to)
        elif hop.startswith("peer "):
            yield Said("peering", name(network), ALLOWED)
            yield from self.arrived(hop.removeprefix("peer "), senders, to)
        else:
            yield from self.at_appliance(hop.removeprefix("to "), here, senders, to)

    def at_appliance(self, address: str, here: str, senders: list[str], to: To) -> Iterator[Said]:
        """What is at a next hop's address: a network interface of this network, or the firewall of the hub."""
        network_id = here.partition("/subnets/")[0]
        network = self.read(network_id)
        home = network_id if any(inside(address, one) for one in network["addressSpace"]["addressPrefixes"]) else ""
        for peering in network["virtualNetworkPeerings"]:
            remote = peering["properties"]["remoteVirtualNetwork"]["id"]
            if any(inside(address, one) for one in peering["properties"]["remoteAddressSpace"]["addressPrefixes"]):
                works = peering["properties"] in self.peers(network)
                yield Said("peering", name(network_id), ALLOWED if works else BLOCKED)
                home = remote
        for resource_id, firewall in self.all_of("azureFirewalls"):
            for own in firewall["ipConfigurations"]:
                if own["properties"]["privateIPAddress"] == address:
                    yield from self.at_firewall(resource_id, own["properties"]["subnet"]["id"], senders, to)
                    return
        for resource_id, interface in self.all_of("networkInterfaces"):
            for own in interface["ipConfigurations"]:
                if own["properties"]["privateIPAddress"] == address:
                    forwards = interface["enableIPForwarding"]
                    yield Said("appliance", name(resource_id), UNKNOWN if forwards else BLOCKED)
                    return
        self.read(home)
        yield Said("appliance", name(home), BLOCKED)

    def at_firewall(self, firewall_id: str, subnet_id: str, senders: list[str], to: To) -> Iterator[Said]:
        """The firewall's rules for every sender; what it lets through goes on from its own subnet."""
        try:
            answers = {sender: self.judged(firewall_id, sender, to) for sender in senders}
            verdicts = {verdict for verdict, _ in answers.values()}
            if len(verdicts) > 1 or UNKNOWN in verdicts:
                yield Said("firewall", name(firewall_id), UNKNOWN)
                return
            verdict = verdicts.pop()
        except LostError:
            yield Said("firewall", name(firewall_id), UNKNOWN)
            return
        yield Said("firewall", name(firewall_id), verdict)
        if verdict == ALLOWED:
            try:
                prefixes = self.subnet(subnet_id)["addressPrefixes"]
            except LostError:
                yield Said("route", name(subnet_id), UNKNOWN)
                return
            own = [str(one) for prefix in prefixes for one in ip_network(prefix)]
            kept = [sender for sender, (_, translated) in answers.items() if not translated]
            yield from self.onward(subnet_id, kept + own * (len(kept) < len(answers)), to, firewall_id)

    def judged(self, firewall_id: str, sender: str, to: To) -> tuple[str, bool]:
        """The first rule about a connection, network rules first; and whether the firewall's address is seen."""
        policy = self.read(firewall_id)["firewallPolicy"]["id"]
        self.read(policy)
        groups = [group for key, group in self.all_of("ruleCollectionGroups") if key.startswith(policy)]
        collections = [one for group in groups for one in group["ruleCollections"]]
        before: set[str] = set()
        for kind in ("NetworkRule", "ApplicationRule"):
            for collection in sorted(collections, key=lambda one: int(one["priority"])):
                for rule in (one for one in collection["rules"] if one["ruleType"] == kind):
                    found = self.about(rule, sender, to)
                    verdict = ALLOWED if collection["action"]["type"] == "Allow" else BLOCKED
                    if found == PERHAPS:
                        before.add(verdict)
                    if found == YES:
                        snat = kind == "ApplicationRule" or to.address is None or is_public(to.address)
                        return (UNKNOWN if before - {verdict} else verdict), snat
        return (UNKNOWN if ALLOWED in before else BLOCKED), False

    def about(self, rule: Json, sender: str, to: To) -> str:  # noqa: PLR0911 - one a condition
        """Whether a rule of the firewall is about a connection."""
        if not any(one == "*" or inside(sender, one) for one in rule["sourceAddresses"]):
            return NO
        if rule["ruleType"] == "ApplicationRule":
            wanted = {443: "Https", 80: "Http"}.get(to.port)
            spoken = [(one["protocolType"], one["port"]) for one in rule["protocols"]]
            if to.protocol != "tcp" or (wanted, to.port) not in spoken:
                return NO
            host = "no.rule.invalid" if to.internet else to.name
            found = {self.is_called(pattern, host) for pattern in rule["targetFqdns"]}
            return YES if YES in found else PERHAPS if PERHAPS in found else NO
        if not {"Any", to.protocol.upper()} & set(rule["ipProtocols"]):
            return NO
        if to.protocol != "icmp" and not any(one in {"*", str(to.port)} for one in rule["destinationPorts"]):
            return NO
        every = rule["destinationAddresses"]
        if "*" in every:
            return YES
        if to.address or to.internet:
            return YES if any(inside(to.address or UNNAMED, one) for one in every) else NO
        return PERHAPS if any(is_public(str(ip_network(one)[0])) for one in every) else NO

    @staticmethod
    def is_called(pattern: str, host: str | None) -> str:
        """Whether a pattern of an application rule is about a host."""
        if pattern == "*":
            return YES
        if host is None:
            return PERHAPS
        return YES if host == pattern or (pattern[0] == "*" and host.endswith(pattern[1:])) else NO

    # Ends

    def arrived(self, network_id: str, senders: list[str], to: To) -> Iterator[Said]:
        """The subnet with the address, its group, and who is there."""
        holder = self.at(network_id, to.address) if to.address else None
        if holder is None or to.address is None:
            self.read(network_id)
            yield Said("destination", name(network_id), BLOCKED)
            return
        subnet = self.subnet(holder)
        heeds = subnet["privateEndpointNetworkPolicies"] in {"Enabled", "NetworkSecurityGroupEnabled"}
        try:
            endpoint, known = self.endpoint(holder, to.address), True
        except LostError:
            endpoint, known = "", False
        if (not endpoint or heeds) and (group := subnet.get("networkSecurityGroup")):
            said = self.group(group["id"], holder, "Inbound", senders, to)
            yield said if known or heeds or said.verdict != BLOCKED else said._replace(verdict=UNKNOWN)
        yield Said("destination", endpoint or name(holder), ALLOWED)

    def out(self, here: str, senders: list[str], to: To, firewall: str) -> Said:
        """The public address with which it leaves."""
        where, verdict = self.translated(here, firewall)
        if verdict == ALLOWED and to.protocol == "icmp":
            verdict = BLOCKED if "/natGateways/" in where else UNKNOWN if "/" in where else ALLOWED
        public = to.name is not None or (to.address is not None and is_public(to.address))
        if verdict == BLOCKED and public and self.subnet(here).get("serviceEndpoints"):
            verdict = UNKNOWN
        if verdict == ALLOWED and ":" in senders[0]:
            verdict = UNKNOWN
        return Said("NAT", name(where), verdict)

    def translated(self, here: str, firewall: str) -> tuple[str, str]:
        """Who translates, and whether anyone does."""
        subnet = self.subnet(here)
        if gateway := subnet.get("natGateway"):
            return (gateway["id"], ALLOWED) if gateway["id"] != self.lost else (here, UNKNOWN)
        if firewall:
            own = [one["properties"].get("publicIPAddress") for one in self.read(firewall)["ipConfigurations"]]
            return firewall, ALLOWED if any(own) else BLOCKED
        pool = self.read(self.cluster)["agentPoolProfiles"][0]
        if pool["enableNodePublicIP"]:
            return pool["name"], ALLOWED
        for resource_id, balancer in self.all_of("loadBalancers"):
            if balancer["outboundRules"]:
                return resource_id, ALLOWED
        return here, {True: ALLOWED, False: BLOCKED, None: UNKNOWN}[subnet["defaultOutboundAccess"]]
