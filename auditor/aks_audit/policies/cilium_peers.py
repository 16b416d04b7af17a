"""Whom Cilium's policies take: selectors, entities, CIDRs, services, names.

https://docs.cilium.io/en/stable/security/policy/language/
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple

from aks_audit.facts import Malformed
from aks_audit.facts.resource_id import parse as parse_id
from aks_audit.network.addresses import AddressSet
from aks_audit.policies.body import Body
from aks_audit.policies.cilium_settings import IGNORED_LABELS, Settings
from aks_audit.policies.model import (
    ALL_KINDS,
    ANYTHING,
    CLUSTER,
    EVERYONE,
    HOSTS,
    NO_ADDRESS,
    NOTHING,
    OUTSIDE,
    PODS,
    Endpoint,
    Expression,
    Kind,
    Near,
    Not,
    Object,
    Of,
    Operator,
    Requirement,
    Selection,
)
from aks_audit.policies.selectors import every, holds, in_namespace, label_selector

_NAMESPACE = "io.kubernetes.pod.namespace"
_NAMESPACE_LABELS = "io.cilium.k8s.namespace.labels."
_CLUSTER_LABEL = "io.cilium.k8s.policy.cluster"
_NAMED = {_NAMESPACE: "namespace", "io.cilium.k8s.policy.serviceaccount": "service account"}
_RESERVED = "reserved"

CIDR_GROUPS = "ciliumcidrgroups.cilium.io"
SERVICES = "services"
SLICES = "endpointslices.discovery.k8s.io"


class Undecided(Exception):  # noqa: N818 - the name of a state, not of a mistake
    """What a rule does depends on something that is not known."""


class Restricting(Undecided):
    """The same; and it may stop what other rules allow."""


class Refusable(Exception):  # noqa: N818 - as above
    """Cilium may refuse the policy as a whole."""


class Group(NamedTuple):
    """A CiliumCIDRGroup: its labels, as an endpoint's, and its addresses; `unread`: why these are not known."""

    labelled: Endpoint
    addresses: AddressSet
    unread: str = ""


class Surroundings(NamedTuple):
    """What policies refer to. `unread` are the types of object of which some may be missing."""

    settings: Settings
    groups: tuple[Group, ...]
    services: tuple[Object, ...]
    slices: tuple[Object, ...]
    unread: frozenset[str]


def surroundings(objects: Sequence[Object], unread: Collection[str], settings: Settings) -> Surroundings:
    """What policies refer to, of all the objects of a cluster."""
    groups = tuple(_group(one) for one in objects if one.type == CIDR_GROUPS)
    services, slices = (tuple(one for one in objects if one.type == kind) for kind in (SERVICES, SLICES))
    return Surroundings(settings, groups, services, slices, frozenset(unread))


def _group(one: Object) -> Group:
    name = parse_id(one.id).name
    try:
        body = Body(one.id, one.body)
        spec = body.required("spec")
        spec.only(("externalCIDRs",))
        labels = _plain_labels(body)
        return Group(Endpoint(Kind.ADDRESS, name, labels=labels), AddressSet.of(spec.networks("externalCIDRs")))
    except Malformed as damage:
        return Group(Endpoint(Kind.ADDRESS, name), NO_ADDRESS, str(damage))


def _plain_labels(body: Body) -> dict[str, str]:
    labels = body.required("metadata").part("labels")
    return {key: labels.text(key) for key in labels.names} if labels else {}


# --- selectors


class _Term(NamedTuple):
    """One requirement of a selector, its key taken apart at the colon; `any` where there is none."""

    source: str
    key: str
    operator: str
    values: frozenset[str]


def _terms(selector: Body) -> list[_Term]:
    selector.only(("matchExpressions", "matchLabels"))
    exact = selector.part("matchLabels")
    terms = [_term(selector, key, "In", frozenset({exact.text(key)})) for key in exact.names] if exact else []
    for one in selector.parts("matchExpressions"):
        one.only(("key", "operator", "values"))
        terms.append(_term(one, one.text("key"), one.text("operator"), frozenset(one.texts("values"))))
    return terms


def _term(where: Body, key: str, operator: str, values: frozenset[str]) -> _Term:
    if operator not in {"In", "NotIn", "Exists", "DoesNotExist"} or (operator in {"In", "NotIn"}) != bool(values):
        raise where.malformed(f"operator {operator!r} with {len(values)} values")
    source, colon, name = key.partition(":")
    return _Term(source, name, operator, values) if colon else _Term("any", key, operator, values)


def _expression(term: _Term, settings: Settings) -> Expression:
    """What a requirement means for pods. None has a reserved label."""
    positive = term.operator in {"In", "Exists"}
    if term.source == _RESERVED:
        return NOTHING if positive else ANYTHING
    if term.source not in {"any", "k8s"}:
        raise Undecided(f"it is not known which endpoints have labels of the source {term.source!r}")
    found = _requirement(term, settings)
    return found if positive else Not(found)


def _requirement(term: _Term, settings: Settings) -> Expression:
    operator: Operator = "in" if term.values else "exists"
    if name := _NAMED.get(term.key):
        return Requirement(Of.NAME, name, operator, term.values)
    if term.key == _CLUSTER_LABEL:
        if term.values and settings.cluster_name is None:
            raise Undecided("the name that Cilium has for the cluster is not known")
        return ANYTHING if not term.values or settings.cluster_name in term.values else NOTHING
    if settings.chosen_labels:
        raise Undecided("it is configured which labels Cilium regards")
    if term.key.startswith(_NAMESPACE_LABELS):
        return Requirement(Of.NAMESPACE, term.key.removeprefix(_NAMESPACE_LABELS), operator, term.values)
    if IGNORED_LABELS.match(term.key) or term.key.startswith("io.cilium."):
        raise Undecided(f"Cilium mostly disregards the label {term.key}")
    return Requirement(Of.OWN, term.key, operator, term.values)


def subject(selector: Body, namespace: str, settings: Settings) -> Expression:
    """The pods that an endpointSelector takes; of a namespaced policy those in its namespace, whatever it says.

    Raises:
        Malformed: it is no selector.
        Undecided: it cannot be known.
    """
    terms = _terms(selector)
    if namespace:
        # Cilium puts the policy's own namespace in the place of another that is written here.
        terms = [one for one in terms if not (one.key == _NAMESPACE and one.source == "k8s" and one.operator == "In")]
    home = [in_namespace(namespace)] if namespace else []
    return every(*home, *(_expression(term, settings) for term in terms))


def endpoints(selector: Body, namespace: str, settings: Settings) -> tuple[Selection, ...]:
    """The peers that a selector takes: pods of the policy's namespace, where it does not say itself of which.

    Raises:
        Malformed: it is no selector.
        Undecided: it cannot be known.
    """
    terms = _terms(selector)
    if any(term.source == _RESERVED for term in terms):
        return _reserved(terms, settings)
    home = _home(terms, namespace)
    where = every(*home, *(_expression(term, settings) for term in terms))
    known = Selection(PODS, where)
    # What is no pod has none of these labels; a selector that only asks for absent ones takes it, too.
    others = Endpoint(Kind.ADDRESS, "", labels={}, namespace_labels={}, service_account_labels={})
    return (known, Selection(ALL_KINDS - PODS)) if holds(where, others) else (known,)


def _home(terms: Sequence[_Term], namespace: str) -> list[Expression]:
    if any(term.key == _NAMESPACE and term.source in {"any", "k8s"} for term in terms):
        return []
    if not namespace:
        return [Requirement(Of.NAME, "namespace", "exists")]
    return [] if any(term.key.startswith(_NAMESPACE_LABELS) for term in terms) else [in_namespace(namespace)]


def _reserved(terms: Sequence[_Term], settings: Settings) -> tuple[Selection, ...]:
    if len(terms) == 1 and terms[0].operator in {"In", "Exists"} and terms[0].key in _BY_LABEL:
        return entity(terms[0].key, settings)
    raise Undecided("it is not known what a selector with reserved labels beside others takes")


# --- entities

_ENTITIES: Mapping[str, tuple[Selection, ...]] = {
    "all": (EVERYONE,),
    "world": (Selection(OUTSIDE),),
    "host": (Selection(HOSTS, near=Near.OWN_NODE),),
    "remote-node": (Selection(HOSTS, near=Near.OTHER_NODE),),
    "kube-apiserver": (Selection(frozenset({Kind.API_SERVER})),),
    "cluster": (Selection(CLUSTER | {Kind.API_SERVER}),),
    # No pod, node or address is one of these.
    "health": (), "ingress": (), "init": (), "none": (), "unmanaged": (),
}  # fmt: skip
_FAMILIES = {
    "world-ipv4": Selection(OUTSIDE, addresses=AddressSet.of([IPv4Network("0.0.0.0/0")])),
    "world-ipv6": Selection(OUTSIDE, addresses=AddressSet.of([IPv6Network("::/0")])),
}
_BY_LABEL = frozenset(_ENTITIES) - {"all", "cluster"}


def entity(name: str, settings: Settings) -> tuple[Selection, ...]:
    """The peers of an entity. One of a family of addresses is only where a cluster has both.

    Raises:
        KeyError: there is no such entity.
        Undecided: it cannot be known whether the cluster has both families.
    """
    if name not in _FAMILIES:
        return _ENTITIES[name]
    if settings.dual_stack is None:
        raise Undecided("it is not known whether the cluster has addresses of both families")
    return (_FAMILIES[name],) if settings.dual_stack else ()


# --- addresses


def cidr(addresses: AddressSet, settings: Settings) -> Selection:
    """The peers of a CIDR: by default nothing that Cilium knows as a pod or a node."""
    return Selection(OUTSIDE | HOSTS if settings.nodes_in_cidrs else OUTSIDE, addresses=addresses)


def cidr_set(one: Body, around: Surroundings) -> Iterator[Selection]:
    """The peers of one entry of a toCIDRSet or fromCIDRSet.

    Raises:
        Malformed: it is not of a form that Cilium takes.
        Undecided: a group of CIDRs could not be read.
    """
    one.only(("cidr", "cidrGroupRef", "cidrGroupSelector", "except"))
    if len({"cidr", "cidrGroupRef", "cidrGroupSelector"}.intersection(one.names)) != 1:
        raise one.malformed("expected one of cidr, cidrGroupRef and cidrGroupSelector")
    if one.has("cidr"):
        inside = AddressSet.of([one.network("cidr")])
        yield cidr(inside.difference(AddressSet.of(one.networks("except"))), around.settings)
        return
    if one.has("except"):
        raise Undecided("exceptions from a group of CIDRs")
    if CIDR_GROUPS in around.unread:
        raise Undecided("the groups of CIDRs could not all be read")
    for group in _groups(one, around):
        if group.unread:
            raise Undecided(group.unread)
        yield cidr(group.addresses, around.settings)


def _groups(one: Body, around: Surroundings) -> Iterator[Group]:
    if one.has("cidrGroupRef"):
        name = one.text("cidrGroupRef")
        yield from (group for group in around.groups if group.labelled.name == name)
        return
    where = label_selector(one.required("cidrGroupSelector"), Of.OWN)
    yield from (group for group in around.groups if holds(where, group.labelled) is not False)


def names(one: Body) -> str:
    """A name or a pattern of names.

    Raises:
        Malformed: it is neither.
    """
    one.only(("matchName", "matchPattern"))
    if len(one.names) != 1:
        raise one.malformed("expected one of matchName and matchPattern")
    return one.text(one.names[0])


# --- services


def service(one: Body, around: Surroundings) -> Iterator[Selection]:
    """The peers of one entry of toServices: the pods of a Service; of one without a selector, its addresses.

    Raises:
        Malformed: it is not of a form that Cilium takes.
        Undecided: services or their endpoints could not be read.
    """
    if around.unread & {SERVICES, SLICES}:
        raise Undecided("services and their endpoints could not all be read")
    match list(one.names):
        case ["k8sService"]:
            named = one.required("k8sService")
            named.only(("namespace", "serviceName"))
            wanted: Expression = Requirement(Of.NAME, "name", "in", frozenset({named.text("serviceName")}))
        case ["k8sServiceSelector"]:
            named = one.required("k8sServiceSelector")
            named.only(("namespace", "selector"))
            wanted = label_selector(named.required("selector"), Of.OWN)
        case _:
            raise one.malformed("expected one of k8sService and k8sServiceSelector")
    if not named.text("namespace", ""):
        raise Undecided("a service without its namespace")
    wanted = every(in_namespace(named.text("namespace")), wanted)
    try:
        for found in around.services:
            yield from _backends(found, wanted, around)
    except Malformed as damage:
        raise Undecided(str(damage)) from damage


def _backends(one: Object, wanted: Expression, around: Surroundings) -> Iterator[Selection]:
    body = Body(one.id, one.body)
    metadata = body.required("metadata")
    own = Endpoint(Kind.ADDRESS, metadata.text("name"), metadata.text("namespace", ""), labels=_plain_labels(body))
    if not holds(wanted, own):
        return
    selector = body.required("spec").part("selector")
    if selector and selector.names:
        parts = [Requirement(Of.OWN, key, "in", frozenset({selector.text(key)})) for key in selector.names]
        yield Selection(PODS, every(in_namespace(own.namespace), *parts))
        return
    for addresses in _listed(own, around):
        yield cidr(addresses, around.settings)


def _listed(own: Endpoint, around: Surroundings) -> Iterator[AddressSet]:
    for one in around.slices:
        body = Body(one.id, one.body)
        belongs = _plain_labels(body).get("kubernetes.io/service-name") == own.name
        if belongs and body.required("metadata").text("namespace", "") == own.namespace:
            yield AddressSet.of(
                network for endpoint in body.parts("endpoints") for network in endpoint.networks("addresses")
            )
