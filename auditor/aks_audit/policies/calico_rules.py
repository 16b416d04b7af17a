"""The rules of Calico's policies, compiled.

https://docs.tigera.io/calico/latest/reference/resources/globalnetworkpolicy#rule
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network

from aks_audit.facts import Malformed
from aks_audit.network.addresses import EVERYTHING, AddressSet, RangeSet
from aks_audit.policies.body import Body
from aks_audit.policies.calico_cluster import Cluster, Undecided
from aks_audit.policies.calico_selectors import Scope, SelectorError, parse
from aks_audit.policies.model import (
    ALL_KINDS,
    ALL_TRAFFIC,
    ANY_PORT,
    ANYTHING,
    EVERYONE,
    ICMP,
    ICMP_V6,
    PODS,
    SCTP,
    TCP,
    UDP,
    UDP_LITE,
    Action,
    Direction,
    Expression,
    NamedPort,
    Not,
    Of,
    Ports,
    Requirement,
    Rule,
    Selection,
)
from aks_audit.policies.ports import icmp, traffic
from aks_audit.policies.selectors import every, in_namespace

_ACTIONS = {"Allow": Action.ALLOW, "Deny": Action.DENY, "Log": Action.LOG, "Pass": Action.PASS}
_PROTOCOLS = {"TCP": TCP, "UDP": UDP, "ICMP": ICMP, "ICMPV6": ICMP_V6, "SCTP": SCTP, "UDPLITE": UDP_LITE}
_WITH_NAMES = (TCP, UDP, SCTP)
_WITH_PORTS = (*_WITH_NAMES, UDP_LITE)
_HIGHEST_PORT, _HIGHEST_PROTOCOL, _HIGHEST_CODE = 65535, 255, 255
_RANGE = re.compile(r"(?P<first>\d{1,5})(?::(?P<last>\d{1,5}))?")
_FAMILIES = {4: AddressSet.of([IPv4Network("0.0.0.0/0")]), 6: AddressSet.of([IPv6Network("::/0")])}

_RULE = (
    *("action", "destination", "http", "icmp", "ipVersion", "metadata", "notICMP", "notProtocol", "protocol"),
    *("source",),
)
_ENTITY = (
    *("namespaceSelector", "nets", "notNets", "notPorts", "notSelector", "ports", "selector", "serviceAccounts"),
    *("services",),
)
_Matched = tuple[tuple[Selection, ...], RangeSet]
"""Endpoints, and the traffic with them, for what names both at once."""


def compile_rules(spec: Body, direction: Direction, namespace: str, cluster: Cluster) -> tuple[Rule, ...]:
    """The rules of a policy in a direction, in their order. One that cannot be read is UNREAD.

    Raises:
        Malformed: they are no list of objects.
    """
    return tuple(rule for body in spec.parts(direction.value) for rule in _rules(body, direction, namespace, cluster))


def unread(reason: str, pointer: str) -> Rule:
    """A rule of which it is not known what it does, nor to whom."""
    return Rule(Action.UNREAD, (EVERYONE,), ANY_PORT, pointer, unread=reason)


def _rules(body: Body, direction: Direction, namespace: str, cluster: Cluster) -> Iterator[Rule]:
    """One rule; several where it narrows the selected endpoint, or its peers and ports together, in several ways."""
    try:
        yield from list(_read_rules(body, direction, namespace, cluster))
    except (Malformed, SelectorError, Undecided) as reason:
        yield unread(str(reason), body.pointer)


def _read_rules(body: Body, direction: Direction, namespace: str, cluster: Cluster) -> Iterator[Rule]:
    body.only(_RULE)
    action = body.text("action")
    if action not in _ACTIONS:
        raise body.malformed(f"not an action that is known: {action!r}", "action")
    family = _family(body)
    source, destination = body.part("source"), body.part("destination")
    own, peer = (destination, source) if direction is Direction.INGRESS else (source, destination)
    ports = _ports(body, destination, cluster)
    conditions = (*_source_ports(source), *_http(body))
    for peers, numbers in _entity(peer, family, namespace, cluster):
        for owns, own_numbers in _entity(own, EVERYTHING, namespace, cluster):
            narrowed = ports._replace(numbers=ports.numbers & numbers & own_numbers)
            for selected in owns:
                yield Rule(_ACTIONS[action], peers, narrowed, body.pointer, conditions, selected)


def _family(body: Body) -> AddressSet:
    if not body.has("ipVersion"):
        return EVERYTHING
    version = body.number("ipVersion")
    if version not in _FAMILIES:
        raise body.malformed(f"not a version of IP: {version}", "ipVersion")
    return _FAMILIES[version]


# --- endpoints


def subject(spec: Body, namespace: str) -> Expression:
    """Which endpoints a policy selects.

    Raises:
        Malformed: a selector is no string.
        SelectorError: a selector cannot be read.
    """
    parts = [in_namespace(namespace)] if namespace else []
    return every(*parts, *_selectors(spec, (("selector", Scope.ENDPOINT), ("namespaceSelector", Scope.NAMESPACE),
                                            ("serviceAccountSelector", Scope.SERVICE_ACCOUNT))))  # fmt: skip


def _selectors(body: Body, fields: Iterable[tuple[str, Scope]]) -> list[Expression]:
    """The selectors that are there; the empty one is as good as none."""
    return [parse(text, scope) for name, scope in fields if (text := body.text(name, ""))]


def _entity(entity: Body | None, family: AddressSet, namespace: str, cluster: Cluster) -> Sequence[_Matched]:
    """Whom a source or destination takes, with which traffic."""
    if entity is None:
        return [((EVERYONE if family is EVERYTHING else Selection(ALL_KINDS, addresses=family),), ALL_TRAFFIC)]
    entity.only(_ENTITY)
    if service := entity.part("services"):
        return list(_service(entity, service, family, namespace, cluster))
    addresses = family
    if entity.has("nets") and (networks := entity.networks("nets")):
        addresses = addresses.intersection(AddressSet.of(networks))
    addresses = addresses.difference(AddressSet.of(entity.networks("notNets")))
    return [(_labelled(entity, addresses, namespace, cluster), ALL_TRAFFIC)]


def _labelled(entity: Body, addresses: AddressSet, namespace: str, cluster: Cluster) -> tuple[Selection, ...]:
    """What is left of addresses by the selectors.

    As soon as a namespaced policy uses any selector but a namespaceSelector, it means what is in its own namespace.
    Where nothing says what is taken, `notSelector` leaves out of everything what it takes.
    """
    wanted = _selectors(entity, (("selector", Scope.ENDPOINT), ("namespaceSelector", Scope.NAMESPACE)))
    wanted += _service_accounts(entity)
    unwanted = _selectors(entity, (("notSelector", Scope.ENDPOINT),))
    if namespace and (wanted or unwanted) and not entity.text("namespaceSelector", ""):
        wanted.append(in_namespace(namespace))
    negated: list[Expression] = [Not(part) for part in unwanted]
    if wanted:
        where = every(*wanted, *negated)
        listed = addresses.intersection(cluster.addresses(where))
        known = Selection(PODS, where, addresses)
        return (known,) if listed.empty else (known, Selection(ALL_KINDS, addresses=listed))
    for part in unwanted:
        addresses = addresses.difference(cluster.addresses(part))
    if not negated:
        return (Selection(ALL_KINDS, addresses=addresses),)
    return Selection(PODS, every(*negated), addresses), Selection(ALL_KINDS - PODS, addresses=addresses)


def _service_accounts(entity: Body) -> list[Expression]:
    accounts = entity.part("serviceAccounts")
    if not accounts:
        return []
    accounts.only(("names", "selector"))
    found = _selectors(accounts, (("selector", Scope.SERVICE_ACCOUNT),))
    if names := accounts.texts("names"):
        found.append(Requirement(Of.NAME, "service account", "in", frozenset(names)))
    return found


def _service(entity: Body, service: Body, family: AddressSet, namespace: str, cluster: Cluster) -> Iterator[_Matched]:
    """The endpoints of a Service; as a destination each with its own ports."""
    if set(entity.names) - {"services", "ports", "notPorts"}:
        raise entity.malformed("services stand alone in a source or destination", "services")
    service.only(("name", "namespace"))
    destination = entity.pointer.endswith("/destination")
    found = cluster.backends(service.text("namespace", "") or namespace, service.text("name"))
    for backend in found:
        peers = (Selection(ALL_KINDS, ANYTHING, backend.addresses.intersection(family)),)
        yield peers, backend.numbers if destination else ALL_TRAFFIC


# --- traffic


def _ports(body: Body, destination: Body | None, cluster: Cluster) -> Ports:
    """The traffic of a rule, by protocol, ICMP type and destination port."""
    protocol = _protocol(body, "protocol") if body.has("protocol") else None
    numbers = ALL_TRAFFIC if protocol is None else traffic(protocol)
    if body.has("notProtocol"):
        numbers -= traffic(_protocol(body, "notProtocol"))
    numbers = _icmp(body, protocol, numbers)
    if destination is None:
        return Ports(numbers)
    wanted, wanted_names = _port_list(destination, "ports", protocol)
    unwanted, unwanted_names = _port_list(destination, "notPorts", protocol)
    named = {one.name for one in wanted_names | unwanted_names}
    if ambiguous := named & {name for host in cluster.hosts for name in host.ports}:
        raise Undecided(f"a host endpoint gives a port the name {min(ambiguous)}")
    if wanted or wanted_names:
        numbers = wanted
    return Ports(numbers - unwanted, wanted_names, unwanted_names)


def _protocol(body: Body, name: str) -> int:
    if body.is_text(name):
        written = body.text(name)
        if written.upper() in _PROTOCOLS:
            return _PROTOCOLS[written.upper()]
        number = int(written) if written.isascii() and written.isdecimal() else 0
    else:
        number = body.number(name)
    if not 0 < number <= _HIGHEST_PROTOCOL:
        raise body.malformed("not a protocol", name)
    return number


def _icmp(body: Body, protocol: int | None, numbers: RangeSet) -> RangeSet:
    for name in ("icmp", "notICMP"):
        if fields := body.part(name):
            fields.only(("code", "type"))
            if protocol not in (ICMP, ICMP_V6):
                raise body.malformed("a type of ICMP without that protocol", name)
            kind = _byte(fields, "type")
            taken = icmp(protocol, kind, _byte(fields, "code") if kind is not None else None)
            numbers = numbers & taken if name == "icmp" else numbers - taken
    return numbers


def _byte(fields: Body, name: str) -> int | None:
    if not fields.has(name):
        return None
    number = fields.number(name)
    if not 0 <= number <= _HIGHEST_CODE:
        raise fields.malformed("not between 0 and 255", name)
    return number


def _port_list(entity: Body, name: str, protocol: int | None) -> tuple[RangeSet, frozenset[NamedPort]]:
    """The numbers and the names in a list of ports."""
    numbers, names = RangeSet(), frozenset[NamedPort]()
    for one in entity.numbers_or_texts(name):
        if protocol not in _WITH_PORTS:
            raise entity.malformed("ports without a protocol that has some", name)
        if found := _RANGE.fullmatch(str(one)):
            first, last = int(found["first"]), int(found["last"] or found["first"])
            if not first <= last <= _HIGHEST_PORT:
                raise entity.malformed(f"not a range of ports: {one!r}", name)
            numbers |= traffic(protocol, first, last)
        elif protocol in _WITH_NAMES and isinstance(one, str):
            names |= {NamedPort(protocol, one)}
        else:
            raise entity.malformed(f"not a port: {one!r}", name)
    return numbers, names


def _source_ports(source: Body | None) -> Iterator[str]:
    """Source ports, which are a condition: a client takes whichever is free."""
    for name, words in (("ports", "from source port"), ("notPorts", "not from source port")):
        if source and (written := source.numbers_or_texts(name)):
            yield f"{words} {', '.join(str(one).replace(':', '-') for one in written)}"


def _http(body: Body) -> Iterator[str]:
    """What Calico holds HTTP requests against, where its application layer policy is on."""
    match = body.part("http")
    if not match:
        return
    match.only(("methods", "paths"))
    methods = match.texts("methods")
    paths: list[str] = []
    for path in match.parts("paths"):
        path.only(("exact", "prefix"))
        paths.append(path.text("exact", "") or f"{path.text('prefix', '')}*")
    yield " ".join(["HTTP", " or ".join(methods), " or ".join(paths)]).strip().replace("  ", " ")
