"""What others say of policies, in ../shared/data/netpol, beside what we say; run it to print how many answers agree."""

import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

from aks_audit.network.addresses import AddressSet, RangeSet
from aks_audit.policies.evaluate import Evaluation, Ruleset, Verdict, selections
from aks_audit.policies.kubernetes import PLAIN
from aks_audit.policies.model import ALL_TRAFFIC, OUTSIDE, Direction, Endpoint, Kind, Labels
from aks_audit.policies.ports import KUBERNETES_TRAFFIC, PROTOCOLS, in_words, traffic
from aks_audit.policies.universe import Universe
from netpol import NETPOL, Manifests, read

Case: TypeAlias = Mapping[str, Any]


class Answer(NamedTuple):
    """A question, and both answers."""

    asked: str
    expected: str
    found: str


def cases(name: str) -> list[Case]:
    """The cases of a set; none where it is not here. Those of exposure are np-guard's that tell of it."""
    index = NETPOL / ("np-guard" if name == "exposure" else name) / "index.json"
    found = list(json.loads(index.read_text())) if index.exists() else []
    return [one for one in found if name != "exposure" or "exposure" in one["expected"]]


def name_of(case: Case) -> str:
    """What a case is called."""
    return str(case.get("ID") or case["name"])


def _evaluation(manifests: Manifests) -> tuple[Evaluation, dict[str, int]]:
    at = {f"{one.namespace}/{one.name}": at for at, (_, one) in enumerate(manifests.endpoints)}
    return Evaluation(manifests.ruleset(PLAIN), Universe(one for _, one in manifests.endpoints)), at


def of_e2e(case: Case) -> Iterator[Answer]:
    """Kubernetes' own tests of network plugins."""
    for step in case["Steps"]:
        evaluation, at = _evaluation(read(NETPOL / "k8s-e2e" / step["manifest"]))
        wanted = traffic(PROTOCOLS[step["protocol"]], step["port"], step["port"])
        for expected in (Verdict.ALLOWED, Verdict.DENIED):
            for source, destination in step[expected.value] or ():
                passages = evaluation.between(at[source], at[destination])
                assert sum(passage.traffic.size for passage in passages) == ALL_TRAFFIC.size
                found = {passage.verdict.value for passage in passages if passage.traffic & wanted}
                yield Answer(f"{step['step']} {source} {destination}", expected, " ".join(found))


def of_recipes(case: Case) -> Iterator[Answer]:
    """Cyclonus on the well-known recipes; it answers for each side, and for a pod with itself too."""
    for step in case["Steps"]:
        evaluation, at = _evaluation(read(NETPOL / "recipes" / step["manifest"]))
        for asked, expected in step["results"].items():
            if "invalidportprotocol" not in expected:
                source, destination, port = asked.split()
                protocol, _, number = port.partition("/")
                wanted = traffic(PROTOCOLS[protocol], int(number), int(number))
                ingress = _side(evaluation, Direction.INGRESS, (at[destination], at[source]), wanted)
                egress = _side(evaluation, Direction.EGRESS, (at[source], at[destination]), wanted)
                yield Answer(f"{step['step']} {asked}", expected, f"ingress={ingress} egress={egress}")


def _side(evaluation: Evaluation, direction: Direction, pair: tuple[int, int], wanted: RangeSet) -> str:
    parts = evaluation.parts(pair[0], direction)
    verdicts = {part.verdict for part in parts if part.peers >> pair[1] & 1 and part.traffic & wanted}
    return " ".join({Verdict.ALLOWED: "allowed", Verdict.DENIED: "blocked"}.get(one, one) for one in verdicts)


# --- np-guard

_APART = PLAIN._replace(in_cidr=OUTSIDE)
"""np-guard holds CIDRs against what is outside of the cluster alone."""

_LINE = re.compile(r"(\S+) => (\S+) : (.+)")
_EXTERNAL = re.compile(r"([0-9.]+)-([0-9.]+)\[External\]")
_PORT_ZERO = RangeSet(one for protocol in PROTOCOLS.values() for one in traffic(protocol, 0, 0).ranges)


def of_np_guard(case: Case) -> Iterator[Answer]:
    """The golden files of np-guard: every pair of workloads, and of a workload and a range of addresses."""
    lines = list(_golden(name_of(case)))
    manifests = read(NETPOL / "np-guard" / name_of(case) / "manifests", host_network=False)
    ruleset = manifests.ruleset(_APART)
    outside = _outside(lines, ruleset)
    expected = {
        (source, destination): connections
        for first, last, connections in lines
        for source in _covering(first, outside)
        for destination in _covering(last, outside)
    }
    named = [*manifests.endpoints, *outside.items()]
    evaluation = Evaluation(ruleset, Universe(one for _, one in named))
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one, (source, _) in enumerate(named):
        for other, (destination, _) in enumerate(named):
            if source != destination and not {source, destination} <= outside.keys():
                found[source, destination].add(in_words(_allowed(evaluation, one, other)))
    for pair in sorted(expected.keys() | found.keys()):
        golden = in_words(expected.get(pair, RangeSet()))
        yield Answer(" => ".join(pair), golden, " or ".join(sorted(found.get(pair, set()))))


def _golden(name: str) -> Iterator[tuple[str, str, RangeSet]]:
    """The connections of a golden file, but those of an ingress controller, which is no pod that is there."""
    folder = NETPOL / "np-guard" / name / "expected"
    file = next(one for one in (folder / "connlist.txt", folder / "exposure.txt") if one.exists())
    text, _, _ = file.read_text().partition("Exposure Analysis Result")
    for line in text.splitlines():
        if (found := _LINE.fullmatch(line.strip())) and found[1] != "{ingress-controller}":
            yield found[1], found[2], _connections(found[3])


def _connections(written: str) -> RangeSet:
    """`TCP 80,90-100,UDP 53`, in which there is no port 0."""
    if written == "All Connections":
        return KUBERNETES_TRAFFIC - _PORT_ZERO
    found, protocol = RangeSet(), ""
    for piece in written.split(","):
        *named, ports = piece.split(" ")
        protocol = named[0] if named else protocol
        first, _, last = ports.partition("-")
        found |= traffic(PROTOCOLS[protocol], int(first), int(last or first))
    return found


def _outside(lines: list[tuple[str, str, RangeSet]], ruleset: Ruleset) -> dict[str, Endpoint]:
    """All IPv4 addresses, cut wherever the golden file or a policy does."""
    edges = {0, 2**32}
    for line in lines:
        for found in filter(None, map(_EXTERNAL.fullmatch, line[:2])):
            edges |= {int(ip_address(found[1])), int(ip_address(found[2])) + 1}
    for selection in selections(ruleset):
        edges |= {edge for low, high in selection.addresses.v4.ranges for edge in (low, high + 1)}
    return {
        f"{ip_address(low)}-{ip_address(high - 1)}": Endpoint(
            Kind.ADDRESS, str(ip_address(low)), addresses=AddressSet(RangeSet([(low, high - 1)]))
        )
        for low, high in pairwise(sorted(edges))
    }


def _covering(name: str, outside: Mapping[str, Endpoint]) -> list[str]:
    """The pieces of an external range as they are cut; of a workload its name."""
    if not (found := _EXTERNAL.fullmatch(name)):
        return [name]
    whole = AddressSet(RangeSet([(int(ip_address(found[1])), int(ip_address(found[2])))]))
    return [piece for piece, endpoint in outside.items() if whole.covers(endpoint.addresses)]


def _allowed(evaluation: Evaluation, source: int, destination: int) -> RangeSet:
    passages = [one for one in evaluation.between(source, destination) if one.verdict is Verdict.ALLOWED]
    allowed = RangeSet(piece for one in passages for piece in one.traffic.ranges)
    return (allowed & KUBERNETES_TRAFFIC) - _PORT_ZERO


# --- what np-guard says of pods that are not there

_EXPOSED = re.compile(r"(\S+)\s+(=>|<=)\s+(.+?) : (.+)")
_EXPRESSION = re.compile(r"\{Key:([^,]+),Operator:(\w+),Values:\[([^\]]*)\],\}")
_SELECTED = re.compile(r"\[(?:namespace|pod) with \{(.*)\}\]")
_ALL = {"[all pods]", "[all namespaces]"}


def of_exposure(case: Case) -> Iterator[Answer]:
    """Its exposure analysis: what a workload's own policies let through with pods that anybody may make.

    It says of a selector what that alone opens. A pod that it takes may be taken by others, too, and so have more.
    """
    file = NETPOL / "np-guard" / name_of(case) / "expected" / "exposure.txt"
    if not file.exists():
        return
    manifests = read(NETPOL / "np-guard" / name_of(case) / "manifests", host_network=False)
    namespaces = {one.namespace: one.namespace_labels for _, one in manifests.endpoints}
    for line in file.read_text().partition("Exposure Analysis Result")[2].splitlines():
        found = _EXPOSED.fullmatch(line.strip())
        if found and not _EXTERNAL.fullmatch(found[3]) and not re.search(r"[ ,][a-z]", found[4].removesuffix("s")):
            expected = RangeSet() if found[4] == "No Connections" else _connections(found[4])
            (own, *_) = [one for name, one in manifests.endpoints if name == found[1]]
            direction = Direction.EGRESS if found[2] == "=>" else Direction.INGRESS
            peer = _made(found[3], namespaces)
            parts = Evaluation(manifests.ruleset(_APART), Universe([own, peer])).parts(0, direction)
            open_ = [part.traffic for part in parts if part.peers & 2 and part.verdict is Verdict.ALLOWED]
            allowed = RangeSet(piece for one in open_ for piece in one.ranges)
            said = in_words(expected)
            yield Answer(f"exposure: {line.strip()}", said, said if expected <= allowed else in_words(allowed))


def _made(written: str, namespaces: Mapping[str, Labels | None]) -> Endpoint:
    """A pod as the analysis describes it, without any label that is not asked for."""
    place, _, pod = written.partition("/") if "]/[" not in written else written.partition("/[")
    pod = pod if not pod or pod.startswith("[") else f"[{pod}"
    if place == "entire-cluster":
        return Endpoint(Kind.POD, "made", "new", {}, {})
    if place.startswith("["):
        name, own = "new", {} if place in _ALL else _asked_for(place)
    else:
        name, own = place, dict(namespaces.get(place) or {"kubernetes.io/metadata.name": place})
    return Endpoint(Kind.POD, "made", name, {} if pod in _ALL else _asked_for(pod), own)


def _asked_for(written: str) -> dict[str, str]:
    """Labels that a selector takes."""
    selected = _SELECTED.fullmatch(written)
    assert selected, written
    found = {
        key: values.split(" ")[0] or "any"
        for key, operator, values in _EXPRESSION.findall(selected[1])
        if operator in {"In", "Exists"}
    }
    plain = _EXPRESSION.sub("", selected[1])
    return found | dict(pair.split("=") for pair in plain.split(",") if "=" in pair)


SETS: dict[str, Callable[[Case], Iterator[Answer]]] = {
    "k8s-e2e": of_e2e,
    "recipes": of_recipes,
    "np-guard": of_np_guard,
    "exposure": of_exposure,
}


def counts() -> Iterator[str]:
    """For each set how many cases and answers agree, and how many differ."""
    for folder, answers in SETS.items():
        differing = {name_of(case): [one.expected != one.found for one in answers(case)] for case in cases(folder)}
        per_case = Counter(any(one) for one in differing.values())
        each = Counter(one for answered in differing.values() for one in answered)
        of_cases = f"{per_case[False]:3} agree, {per_case[True]} differ"
        yield f"{folder:8}  cases: {of_cases}   answers: {each[False]:5} agree, {each[True]} differ"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in counts())
