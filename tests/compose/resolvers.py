"""DNS resolvers and their forwarding rules as Azure sends them."""

from collections.abc import Mapping, Sequence

from aks_audit.snapshot import Body
from compose.azure import Group, child, name_of, network_resource, part, reference


def dns_resolver(group: Group, name: str, network: str, inbound: tuple[str, str]) -> list[Body]:
    """A resolver in a network, with an inbound endpoint: its subnet and address."""
    own = group.of("dnsResolvers", name)
    subnet, address = inbound
    taken = {"subnet": reference(subnet), "privateIpAddress": address, "privateIpAllocationMethod": "Dynamic"}
    return [
        network_resource(group, own, {"virtualNetwork": reference(network), "dnsResolverState": "Connected"}),
        network_resource(group, child(own, "inboundEndpoints", "in"), {"ipConfigurations": [taken]}),
    ]


def ruleset(
    group: Group, name: str, resolver: str, links: Sequence[str], rules: Mapping[str, tuple[str, str, str]]
) -> list[Body]:
    """A ruleset that sends by a resolver, with links to networks and rules: name to domain, server and state."""
    own = group.of("dnsForwardingRulesets", name)
    way = [reference(child(resolver, "outboundEndpoints", "out"))]
    bonds = {f"link-{name_of(one)}": {"virtualNetwork": reference(one)} for one in links}
    return [
        network_resource(group, own, {"dnsResolverOutboundEndpoints": way}),
        *(part(own, "virtualNetworkLinks", *each) for each in bonds.items()),
        *(part(own, "forwardingRules", each, _rule(*rules[each])) for each in rules),
    ]


def _rule(domain: str, server: str, state: str) -> Body:
    targets = [{"ipAddress": server, "port": 53}]
    return {"domainName": domain, "targetDnsServers": targets, "forwardingRuleState": state}
