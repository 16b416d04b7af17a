"""The pods and nodes of a cluster as endpoints of policies."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import NamedTuple, TypeAlias, TypeVar

from aks_audit.facts import Malformed, ManagedCluster, Missing, Network, NotCollected
from aks_audit.facts.kubernetes import KubernetesObject
from aks_audit.facts.workloads import Namespace, Node, Pod
from aks_audit.network.addresses import AddressSet
from aks_audit.policies.body import Body
from aks_audit.policies.model import ContainerPort, Endpoint, Kind, Labels
from aks_audit.policies.ports import PROTOCOLS

K = TypeVar("K", bound=KubernetesObject)


class ServiceAccount(KubernetesObject):
    """A service account, of which the labels count."""

    __slots__ = ()

    TYPE = "serviceaccounts"


class Inhabitants(NamedTuple):
    """Pods that have not run to their end, and nodes; and what was not read that may hold more, or say more of them."""

    endpoints: tuple[Endpoint, ...]
    missing: tuple[Missing, ...]


def inhabitants(cluster: ManagedCluster) -> Inhabitants:
    """Who lives in a cluster; read once."""
    return cluster.estate.once(_inhabitants, cluster)


def api_server(cluster: ManagedCluster) -> Endpoint:
    """The API server, as the cluster itself knows it; without addresses where its EndpointSlice was not read."""
    place = f"{cluster.id}/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes"
    document = cluster.estate.document(place)
    addresses = AddressSet()
    if document and document.id.lower() == place.lower():
        with suppress(Malformed):
            endpoints = Body(document.id, document.body).parts("endpoints")
            addresses = AddressSet.of(network for one in endpoints for network in one.networks("addresses"))
    return Endpoint(Kind.API_SERVER, "api-server", "", _NONE, _NONE, "", _NONE, addresses, node_labels=_NONE)


_NONE: Labels = {}


def _inhabitants(cluster: ManagedCluster) -> Inhabitants:
    missing: dict[Missing, None] = {}
    around = _Around(*(_labels_by_name(cluster, kind, missing) for kind in (Namespace, ServiceAccount, Node)))
    endpoints: list[Endpoint] = []
    reads: list[Callable[[], Endpoint | None]] = [partial(_pod, pod, around) for pod in _known(cluster, Pod, missing)]
    reads += [partial(_node, node) for node in _known(cluster, Node, missing)]
    for read in reads:
        try:
            endpoints += [endpoint] if (endpoint := read()) else []
        except Malformed as damage:
            missing.update(dict.fromkeys(damage.missing))
    return Inhabitants(tuple(endpoints), tuple(missing))


def _known(cluster: ManagedCluster, kind: type[K], missing: dict[Missing, None]) -> tuple[K, ...]:
    held = cluster.estate.within(kind, cluster.id)
    try:
        return held.whole()
    except NotCollected as unread:
        missing.update(dict.fromkeys(unread.missing))
        return held.known


_ByName: TypeAlias = Mapping[tuple[str, str], Labels | None]


class _Around(NamedTuple):
    """The labels of what pods are in, by namespace (empty where there is none) and name. None: they cannot be read."""

    namespaces: _ByName
    service_accounts: _ByName
    nodes: _ByName


def _labels_by_name(cluster: ManagedCluster, kind: type[K], missing: dict[Missing, None]) -> _ByName:
    return {(one.namespace, one.name): _labels(Body(one.id, one.node)) for one in _known(cluster, kind, missing)}


def _labels(body: Body) -> Labels | None:
    """The labels of an object, which the API leaves out where there are none; None where they are damaged."""
    try:
        labels = body.required("metadata").part("labels")
        return {name: labels.text(name) for name in labels.names} if labels else {}
    except Malformed:
        return None


def _pod(pod: Pod, around: _Around) -> Endpoint | None:
    """A pod; None where it has run to its end."""
    body = Body(pod.id, pod.node)
    spec, status = body.required("spec"), body.part("status") or Body(pod.id, {})
    if status.text("phase", "") in _OVER:
        return None
    node, account = spec.text("nodeName", ""), spec.text("serviceAccountName", "default")
    own_network = not spec.flag("hostNetwork")
    return Endpoint(
        Kind.POD if own_network else Kind.HOST_POD,
        pod.name,
        pod.namespace,
        labels=_labels(body),
        namespace_labels=around.namespaces.get(("", pod.namespace)),
        service_account=account,
        service_account_labels=around.service_accounts.get((pod.namespace, account)),
        addresses=AddressSet.of(_pod_addresses(status)),
        ports=tuple(_ports(spec)),
        node=node,
        node_labels=around.nodes.get(("", node)),
    )


def _pod_addresses(status: Body) -> Iterator[Network]:
    yield from (one.network("ip") for one in status.parts("podIPs"))
    if status.has("podIP"):
        yield status.network("podIP")


_OVER = frozenset({"Succeeded", "Failed"})


def _ports(spec: Body) -> Iterator[ContainerPort]:
    """The ports that containers name; those of init containers count where these go on running."""
    running = (one for one in spec.parts("initContainers") if one.text("restartPolicy", "") == "Always")
    for container in (*spec.parts("containers"), *running):
        for port in container.parts("ports"):
            if port.has("name"):
                protocol = PROTOCOLS.get(port.text("protocol", "TCP"))
                if protocol is None:
                    raise port.malformed(f"not a protocol that is known: {port.text('protocol')!r}", "protocol")
                yield ContainerPort(port.text("name"), protocol, port.number("containerPort"))


def _node(node: Node) -> Endpoint:
    body = Body(node.id, node.node)
    labels = _labels(body)
    status = body.part("status") or Body(node.id, {})
    addresses = [one for one in status.parts("addresses") if one.text("type") in {"InternalIP", "ExternalIP"}]
    return Endpoint(
        Kind.NODE,
        node.name,
        labels=labels,
        namespace_labels=_NONE,
        service_account_labels=_NONE,
        addresses=AddressSet.of(one.network("address") for one in addresses),
        node=node.name,
        node_labels=labels,
    )
