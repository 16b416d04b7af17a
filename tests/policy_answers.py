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
from aks_audit.policies.model import ALL_TRAFFIC, OUTSIDE, Direction, Endpoint, Kind
from aks_audit.policies.ports import KUBERNETES_TRAFFIC, PROTOCOLS, in_words, traffic
from aks_audit.policies.universe import Universe
from netpol import NETPOL, Manifests, read

Case: TypeAlias = Mapping[str, Any]


class Answer(NamedTuple):
    """A question, and both answers."""

    asked: str
    expected: str
    found: str


def cases(folder: str) -> list[Case]:
    """The cases of a set; none where it is not here."""
    index = NETPOL / folder / "index.json"
    return list(json.loads(index.read_text())) if index.exists() else []


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


SETS: dict[str, Callable[[Case], Iterator[Answer]]] = {
    "k8s-e2e": of_e2e,
    "recipes": of_recipes,
    "np-guard": of_np_guard,
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
