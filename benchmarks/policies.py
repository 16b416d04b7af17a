"""Times who can talk to whom in clusters with many policies, and holds small ones against pairs asked one by one.

    python benchmarks/policies.py [--namespaces 100 250 500] [--pods 20] [--policies 2]

`--pods` and `--policies` are those of a namespace. Prints the processor's seconds for reading the policies, making the
classes and filling the matrix of namespaces, and the most memory that was held. Then asks as `aks-audit reach` does in
the largest cluster, whose pods have no owners, in a fresh process each: from the snapshot in memory to the text.
"""

import argparse
import multiprocessing
import resource
import sys
import time
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from aks_audit import reach_reports, snapshot
from aks_audit.facts import Estate
from aks_audit.network.addresses import PUBLIC, AddressSet
from aks_audit.path import find_cluster
from aks_audit.policies.evaluate import Ruleset, Verdict
from aks_audit.policies.kubernetes import compile_kubernetes
from aks_audit.policies.model import TCP, ContainerPort, Endpoint, Kind, Object
from aks_audit.policies.reach import Matrix, Reach, atoms
from aks_audit.reach import Question, ask
from cases import BASE, CLUSTER, INSIDE, Case, records_of
from netpol import stored
from policy_oracle import Connection, Pod, allowed

APPS = ("web", "api", "worker", "db", "cache")
PORTS = (80, 443, 5432, 8080)


class Cluster(NamedTuple):
    """Pods, and the bodies of policies."""

    pods: list[Pod]
    policies: list[dict[str, Any]]


def make(namespaces: int, pods: int, policies: int) -> Cluster:
    """A cluster as people build them: a default deny, an allow for each of some apps, a few rules for all."""
    random = Random(namespaces)  # noqa: S311 - the same cluster each time
    names = [f"team-{at}" for at in range(namespaces)]
    teams = {name: {"team": name, "tier": random.choice(("gold", "silver"))} for name in names}
    made = [
        Pod(
            name,
            f"pod-{at}",
            {"app": APPS[at % len(APPS)], "version": f"v{at % 3}", "pod-template-hash": f"{name}-{at % 7}"},
            {**teams[name], "kubernetes.io/metadata.name": name},
            f"10.{100 + number // 256}.{number % 256}.{at + 1}",
            (("http", "TCP", 8080 if at % 2 else 80),),
        )
        for number, name in enumerate(names)
        for at in range(pods)
    ]
    written = [one for name in names for one in _policies(random, name, names, policies)]
    return Cluster(made, [*written, *_of_administrators()])


def _policies(random: Random, name: str, names: list[str], count: int) -> Iterator[dict[str, Any]]:
    yield _network_policy(
        name, "default-deny", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"][: random.choice((1, 1, 2))]}
    )
    for at in range(count - 1):
        friend = {"matchLabels": {"team": random.choice(names)}}
        app = {"matchLabels": {"app": random.choice(APPS)}}
        other = {"matchExpressions": [{"key": "app", "operator": "In", "values": random.sample(APPS, 2)}]}
        spec = {
            "podSelector": app,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"from": [{"podSelector": {}}, {"namespaceSelector": friend, "podSelector": other}]},
                {"from": [{"ipBlock": {"cidr": f"203.0.{random.randrange(256)}.0/24"}}], "ports": [{"port": "http"}]},
            ],
            "egress": [
                {
                    "to": [{"namespaceSelector": {"matchLabels": {"tier": "gold"}}}],
                    "ports": [{"port": random.choice(PORTS)}],
                },
                {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}], "ports": [{"port": 443}]},
            ],
        }
        yield _network_policy(name, f"allow-{at}", spec)


def _network_policy(namespace: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"namespace": namespace, "name": name}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def _of_administrators() -> Iterator[dict[str, Any]]:
    gold = {"namespaces": {"matchLabels": {"tier": "gold"}}}
    rules = [
        {"action": "Deny", "from": [gold], "ports": [{"portNumber": {"protocol": "TCP", "port": 5432}}]},
        {"action": "Pass", "from": [{"namespaces": {}}]},
    ]
    yield {
        "apiVersion": "policy.networking.k8s.io/v1alpha1",
        "kind": "AdminNetworkPolicy",
        "metadata": {"name": "databases"},
        "spec": {"priority": 10, "subject": {"namespaces": {"matchLabels": {"tier": "silver"}}}, "ingress": rules},
    }


def endpoint(pod: Pod) -> Endpoint:
    """A pod as the evaluation takes it."""
    return Endpoint(
        Kind.POD,
        pod.name,
        pod.namespace,
        labels=pod.labels,
        namespace_labels=pod.namespace_labels,
        addresses=AddressSet.of([ip_network(pod.address)]),
        ports=tuple(ContainerPort(name, TCP, number) for name, _, number in pod.ports),
    )


class Timing(NamedTuple):
    """Processor seconds of each step, and what came of it."""

    compiled: float
    classed: float
    filled: float
    reach: Reach
    matrix: Matrix


def timed(endpoints: list[Endpoint], objects: list[Object]) -> Timing:
    """Read the policies, make the classes, fill the matrix."""
    began = time.process_time()
    ruleset = Ruleset(*compile_kubernetes(objects))
    compiled = time.process_time()
    outside = [Endpoint(Kind.ADDRESS, "internet", addresses=part) for part in atoms(PUBLIC, ruleset)]
    reach = Reach([*endpoints, *outside], ruleset)
    classed = time.process_time()
    matrix = Matrix(reach, [one.namespace or "internet" for one in reach.endpoints])
    done = time.process_time()
    return Timing(compiled - began, classed - compiled, done - classed, reach, matrix)


QUESTIONS = (
    (None, "internet"), ("internet", None), (None, "team-1"), ("team-1", None), ("team-1", "team-2"),
    (None, "10.100.0.0/16"),
)  # fmt: skip


def recorded(cluster: Cluster) -> Iterator[snapshot.Record]:
    """The cluster of the base estate with other pods and NetworkPolicies in it."""
    replaced = {"pods", "namespaces", "networkpolicies.networking.k8s.io"}
    for record in records_of(Case(name="", expect=""), BASE, INSIDE):
        if not isinstance(record, snapshot.Resource) or record.type not in replaced:
            yield record
    spaces = {pod.namespace: pod.namespace_labels for pod in cluster.pods}
    for name, labels in spaces.items():
        yield _object("namespaces", f"/api/v1/namespaces/{name}", {"metadata": {"name": name, "labels": labels}})
    for pod in cluster.pods:
        ports = [{"name": name, "protocol": protocol, "containerPort": port} for name, protocol, port in pod.ports]
        body = {
            "metadata": {"name": pod.name, "namespace": pod.namespace, "labels": pod.labels},
            "spec": {"containers": [{"name": "main", "ports": ports}]},
            "status": {"phase": "Running", "podIP": pod.address, "podIPs": [{"ip": pod.address}]},
        }
        yield _object("pods", f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}", body)
    for policy in cluster.policies:
        if policy["kind"] == "NetworkPolicy":
            name, namespace = policy["metadata"]["name"], policy["metadata"]["namespace"]
            path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/{name}"
            yield _object("networkpolicies.networking.k8s.io", path, dict(stored(policy).body))


def _object(kind: str, path: str, body: dict[str, Any]) -> snapshot.Resource:
    return snapshot.Resource(f"{CLUSTER}{path}", kind, body, "kubernetes")


def question(sizes: tuple[int, int, int], ends: tuple[str | None, str | None]) -> str:
    """A line on a question."""
    estate = Estate(snapshot.of(list(recorded(make(*sizes)))))
    began = time.process_time()
    asked = Question(find_cluster(estate, "aks-prod"), *ends)
    answer = ask(estate, asked)
    text = reach_reports.as_text(asked, answer, colour=False, width=100)
    seconds = time.process_time() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    words = [f"--{name} {end}" for name, end in zip(("from", "to"), ends, strict=True) if end]
    return f"{' '.join(words):26} {len(answer.flows):8,} {len(text.splitlines()):8,} {seconds:10.2f} {memory:3}"


def brute(cluster: Cluster) -> tuple[float, dict[tuple[str, str], set[Verdict]]]:
    """Ask pair by pair and port by port; the verdicts between namespaces, and the seconds that it took."""
    began = time.process_time()
    found: dict[tuple[str, str], set[Verdict]] = {}
    for source in cluster.pods:
        for destination in cluster.pods:
            if source != destination:
                cell = found.setdefault((source.namespace, destination.namespace), set())
                for port in (*PORTS, 1):
                    through = allowed(cluster.policies, Connection(source, destination, "TCP", port))
                    cell.add(Verdict.ALLOWED if through else Verdict.DENIED)
    return time.process_time() - began, found


def compare(namespaces: int, pods: int, policies: int) -> str:
    """A line on a size that brute force can do."""
    cluster = make(namespaces, pods, policies)
    timing = timed([endpoint(pod) for pod in cluster.pods], [stored(one) for one in cluster.policies])
    seconds, found = brute(cluster)
    differ = sum(timing.matrix.cell(*cell) != verdicts for cell, verdicts in found.items())
    own = timing.compiled + timing.classed + timing.filled
    return f"{len(cluster.pods):8,} {own:10.2f} {seconds:12.2f} {len(found) - differ:8,} cells agree, {differ} differ"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--namespaces", type=int, nargs="+", default=[100, 250, 500])
    parser.add_argument("--pods", type=int, default=20)
    parser.add_argument("--policies", type=int, default=2)
    asked = parser.parse_args()
    print("namespaces     pods policies  classes  reading  classes   matrix    total s  MB")
    for namespaces in asked.namespaces:
        cluster = make(namespaces, asked.pods, asked.policies)
        timing = timed([endpoint(pod) for pod in cluster.pods], [stored(one) for one in cluster.policies])
        total = timing.compiled + timing.classed + timing.filled
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        sizes = f"{namespaces:10,} {len(cluster.pods):8,} {len(cluster.policies):8,} {len(timing.reach.classes):8,}"
        print(f"{sizes} {timing.compiled:8.2f} {timing.classed:8.2f} {timing.filled:8.2f} {total:10.2f} {memory:3}")
    print("\nquestion                      flows    lines    total s  MB")
    largest = max(asked.namespaces), asked.pods, asked.policies
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as fresh:
        for ends in QUESTIONS:
            print(fresh.apply(question, (largest, ends)))
    print("\n    pods  classes s  brute force s")
    for namespaces in (3, 6, 10):
        print(compare(namespaces, 6, asked.policies))


if __name__ == "__main__":
    main()
