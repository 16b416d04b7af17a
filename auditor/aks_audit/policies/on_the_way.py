"""Network policies on the way of a connection from a pod: the hop of a walk that says whether they let it go."""

from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from typing import Any

from aks_audit.facts import Estate, Evidence, ManagedCluster, NotCollected
from aks_audit.facts.workloads import Pod
from aks_audit.network.addresses import PUBLIC, AddressSet, RangeSet
from aks_audit.network.backends import is_of_services
from aks_audit.network.flows import Destination, Passage
from aks_audit.network.hops import Hop, HopKind, Steps
from aks_audit.network.origins import Origin
from aks_audit.policies.enforcement import Enforced, Engine, enforced
from aks_audit.policies.evaluate import Passage as Part
from aks_audit.policies.evaluate import Reason, Verdict
from aks_audit.policies.inhabitants import Inhabitants, api_server, inhabitants
from aks_audit.policies.model import ICMP, ICMP_V6, TCP, UDP, Action, Endpoint, Kind, Labels
from aks_audit.policies.names import is_about_names, is_met
from aks_audit.policies.ports import icmp, traffic
from aks_audit.policies.reach import Reach, atoms
from aks_audit.policies.words import policy_in_words, why

_ECHO, _ECHO_V6 = 8, 128
_IPV4 = 4


def network_policies(origin: Origin, destination: Destination) -> Steps[None]:
    """Whether the policies about a pod, and those about a pod that it goes to, let a connection go.

    They see connections to Services as these were handed on; there is no hop for the address of an unknown Service.

    Raises:
        Unread: what enforces policies is not known.
    """
    cluster, pod = origin.cluster, origin.pod
    if pod is None or (destination.address and is_of_services(cluster, destination.address)):
        return
    policies = enforced(cluster)
    if policies.engine is Engine.NONE:
        says = "Nothing enforces network policies in the cluster: none holds the pod back"
        evidence = (cluster.at(ManagedCluster.network_policy),)
        yield Hop(HopKind.NETWORK_POLICY, cluster.id, Passage.ALLOWED, says, evidence=evidence)
        return
    found = inhabitants(cluster)
    parts = list(_parts(cluster, pod, destination, policies, found))
    yield _hop(cluster, parts, policies, found)._replace(conditions=_conditions(parts))


def _parts(
    cluster: ManagedCluster, pod: Pod, destination: Destination, policies: Enforced, found: Inhabitants
) -> Iterator[Part]:
    """What becomes of the connection; of more than one address it may be different things."""
    own = next((one for one in found.endpoints if (one.namespace, one.name) == (pod.namespace, pod.name)), None)
    if own is None:
        raise NotCollected(*found.missing)
    others = list(_destinations(cluster, destination, policies, found))
    reach = Reach([own, *others], policies.ruleset)
    wanted = _wanted(destination)
    for number in range(1, len(others) + 1):
        for part in reach.between(0, number):
            if part.traffic & wanted:
                yield _by_name(part, _name(destination))


def _name(destination: Destination) -> str | None:
    """The name that the pod asks DNS for; None where an address is known past all DNS."""
    return destination.asked or (None if destination.evidence else destination.name)


def _by_name(part: Part, name: str | None) -> Part:
    """What becomes of a connection to a name, which decides what policies say of names; an address leaves them open.

    An engine knows the addresses of a name by the answers to the pod's own DNS queries, and the name by the query:
    https://docs.cilium.io/en/stable/security/policy/language/#dns-based
    """
    if name is None:
        return part
    egress, ingress = (tuple(_known(reasons, name)) for reasons in (part.egress, part.ingress))
    return part._replace(egress=egress, ingress=ingress)


def _known(reasons: Sequence[Reason], name: str) -> Iterator[Reason]:
    """The reasons that are left where a name is known: to the first that holds surely, without other conditions."""
    for reason in reasons:
        deep = bool(reason.policies) and not reason.policies[0].kind.startswith("Cilium")
        met = {one: is_met(one, name, deep=deep) for one in reason.conditions if is_about_names(one)}
        if False not in met.values():
            left = tuple(condition for condition in reason.conditions if not met.get(condition))
            yield reason._replace(conditions=left)
            if not left and reason.sure and reason.action is not Action.UNREAD:
                return


def _conditions(parts: Sequence[Part]) -> tuple[str, ...]:
    """What lets a connection through, where that are conditions alone: each of the same side, and all in one text."""
    for part in parts:
        if part.verdict is not Verdict.CONDITIONAL or len(parts) > 1:
            return ()
        sides = [side for side in (part.egress, part.ingress) if any(reason.conditions for reason in side)]
        if len(sides) == 1 and all(reason.action is Action.ALLOW or not reason.conditions for reason in sides[0]):
            last = sides[0][-1]
            if last.action is Action.DENY:
                return tuple(dict.fromkeys(" and ".join(one.conditions) for one in sides[0] if one.conditions))
    return ()


def _destinations(
    cluster: ManagedCluster, destination: Destination, policies: Enforced, found: Inhabitants
) -> Iterator[Endpoint]:
    """Who has the address in the cluster; else the address, or what policies tell apart of the internet."""
    nobody: Labels = {}
    server = api_server(cluster)
    if destination.address is None:
        wanted = PUBLIC._replace(v6=RangeSet())
    else:
        wanted = AddressSet.of([ip_network(destination.address)])
    inside = [one for one in found.endpoints if wanted.covers(one.addresses) and not one.addresses.empty]
    if inside:
        # Pods in the network of a node have its address; whichever listens, the node is what is reached.
        yield next((one for one in inside if one.kind is Kind.NODE), inside[0])
    elif destination.name in _names(cluster) or (wanted.covers(server.addresses) and not server.addresses.empty):
        yield Endpoint(Kind.API_SERVER, server.name, "", nobody, nobody, "", nobody, wanted, node_labels=nobody)
    else:
        for part in atoms(wanted, policies.ruleset):
            yield Endpoint(Kind.ADDRESS, "", "", nobody, nobody, "", nobody, part, node_labels=nobody)


def _names(cluster: ManagedCluster) -> set[str]:
    """The names of the API server, in lower case."""
    return {name.lower().rstrip(".") for name in (cluster.fqdn, cluster.private_fqdn) if name}


def _wanted(destination: Destination) -> RangeSet:
    if destination.protocol == "icmp":
        v4 = destination.address is None or destination.address.version == _IPV4
        return icmp(ICMP, _ECHO, 0) if v4 else icmp(ICMP_V6, _ECHO_V6, 0)
    port = destination.port
    return traffic({"tcp": TCP, "udp": UDP}[destination.protocol], *(() if port is None else (port, port)))


def _hop(cluster: ManagedCluster, parts: Sequence[Part], policies: Enforced, found: Inhabitants) -> Hop:
    verdicts = {part.verdict for part in parts}
    verdict = verdicts.pop() if len(verdicts) == 1 else None
    passage, says = _SAYS[verdict] if verdict else _VARIOUS
    reasons = list(dict.fromkeys(why(part.verdict, part.egress, part.ingress) for part in parts))
    more = f", and {len(reasons) - 1} more" if len(reasons) > 1 else ""
    deciding = [reason for part in parts[:1] for reason in _deciding(part)]
    by = next((policy_in_words(policy) for reason in deciding for policy in reason.policies), "")
    evidence = [cluster.at(ManagedCluster.network_policy)]
    evidence += [_evidence(cluster.estate, reason) for reason in deciding if reason.policies]
    missing = (*policies.missing, *found.missing) if passage is Passage.UNKNOWN else ()
    return Hop(
        HopKind.NETWORK_POLICY, cluster.id, passage, f"{says}: {reasons[0]}{more}", by, tuple(evidence), tuple(missing)
    )


_SAYS = {
    Verdict.ALLOWED: (Passage.ALLOWED, "Network policies let it go"),
    Verdict.DENIED: (Passage.BLOCKED, "Network policies do not let it go"),
    Verdict.CONDITIONAL: (Passage.UNKNOWN, "Network policies let it go under conditions"),
    Verdict.UNKNOWN: (Passage.UNKNOWN, "Whether network policies let it go cannot be told"),
}
_VARIOUS = (Passage.UNKNOWN, "Network policies let it go to some of the addresses that it may have")


def _deciding(part: Part) -> Sequence[Reason]:
    if part.verdict is Verdict.DENIED and any(reason.action is not Action.DENY for reason in part.egress):
        return part.ingress
    return part.egress


def _evidence(estate: Estate, reason: Reason) -> Evidence:
    """What a reason rests on: the rule; or of what no rule allows, whom the first policy that isolates selects."""
    policy = reason.policies[0]
    pointer = reason.rule.pointer if reason.rule else policy.subject_pointer
    document = estate.document(policy.id)
    return Evidence(policy.id, pointer, _value(document.body, pointer) if document else None)


def _value(body: Any, pointer: str) -> Any:  # noqa: ANN401 - any JSON value
    for name in pointer.split("/")[1:]:
        key = name.replace("~1", "/").replace("~0", "~")
        body = body[int(key)] if isinstance(body, list) else body.get(key) if isinstance(body, dict) else None
    return body
