"""What policies do for namespaces, asked directly: of many pods at once, and of Corefiles that nobody meant."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aks_audit import snapshot
from aks_audit.engine import audit, load_rules
from aks_audit.facts import Estate, ManagedCluster
from aks_audit.policies.coverage import Coverage, coverage, people, written
from aks_audit.policies.evaluate import Verdict
from aks_audit.policies.model import Direction
from aks_audit.results import Finding, Outcome
from cases import BASE, CLUSTER, INSIDE, Case, records_of

DENY = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
ALLOW = {**DENY, "ingress": [{}], "egress": [{}]}
SOME = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": 443}]}]}
LABELLED = {"podSelector": {"matchLabels": {"app": "x"}}, "policyTypes": ["Ingress", "Egress"]}
POLICIES = {"deny": DENY, "allow": ALLOW, "some": SOME, "labelled": LABELLED}


def inside(path: str, body: dict[str, object]) -> snapshot.Resource:
    name = path.rpartition("/")[2]
    kind = path.split("/")[-2]
    type_ = "networkpolicies.networking.k8s.io" if kind == "networkpolicies" else kind
    return snapshot.Resource(
        id=CLUSTER + path, type=type_, source="kubernetes", body={"metadata": {"name": name}, **body}
    )


def policies(namespace: str, names: frozenset[str]) -> list[snapshot.Record]:
    path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"
    return [inside(f"{path}/{name}", {"spec": POLICIES[name]}) for name in sorted(names)]


def pods(namespace: str, count: int) -> list[snapshot.Record]:
    path = f"/api/v1/namespaces/{namespace}/pods"
    containers = [{"name": "c", "image": "registry.example.com/x:1"}]
    return [
        inside(
            f"{path}/x-{number}",
            {
                "metadata": {"name": f"x-{number}", "namespace": namespace, "labels": {"n": str(number)}},
                "spec": {"containers": containers},
                "status": {"phase": "Running", "podIP": f"10.50.{number // 250}.{number % 250}"},
            },
        )
        for number in range(count)
    ]


def estate(*more: snapshot.Record) -> Estate:
    return Estate(snapshot.of([*records_of(Case(name="base", expect="pass"), BASE, INSIDE), *more]))


def covered(*more: snapshot.Record) -> Coverage:
    return coverage(estate(*more).resource(ManagedCluster, CLUSTER))


@settings(max_examples=40)
@given(st.frozensets(st.sampled_from(sorted(POLICIES))))
def test_a_new_pod_is_closed_where_a_policy_for_all_closes_it_and_none_opens_it(names: frozenset[str]) -> None:
    found = covered(*policies("default", names))
    number = found.people.new["default"]
    for direction in Direction:
        closing = names & ({"deny", "some"} if direction is Direction.INGRESS else {"deny"})
        expected = Verdict.DENIED if closing and "allow" not in names else Verdict.ALLOWED
        for peer in (found.people.stranger, found.people.internet):
            assert found.by_default(number, direction, peer).verdict is expected


@settings(max_examples=20)
@given(st.frozensets(st.sampled_from(sorted(POLICIES))))
def test_a_pod_without_their_labels_is_restricted_by_the_policies_for_all_unless_one_allows_all(
    names: frozenset[str],
) -> None:
    found = covered(*policies("default", names), *pods("default", 1))
    [pod] = found.people.theirs("default")
    sure, unsure, undone = ({policy.name for policy in one} for one in found.restricting(pod.number))
    about_all = names - {"labelled"}
    assert (undone, sure) == ((about_all, set()) if "allow" in names else (set(), about_all))
    assert not unsure


def test_pods_that_all_policies_treat_alike_are_asked_about_once() -> None:
    found = covered(*policies("default", frozenset({"deny"})), *pods("default", 400))
    numbers = [pod.number for pod in found.people.theirs("default")]
    assert len(numbers) == len(set(numbers)) == 400
    answers = [found.restricting(number) for number in numbers]
    assert all(one is answers[0] for one in answers)


def test_who_is_asked_about_is_found_once() -> None:
    cluster = estate().resource(ManagedCluster, CLUSTER)
    assert people(cluster) is people(cluster)
    assert coverage(cluster) is coverage(cluster)
    assert written(cluster) is written(cluster)
    real = people(cluster).endpoints[: people(cluster).real]
    assert {one.name for one in real} >= {"web-6d5f7c9b8d-aaaaa", "coredns-5c8d6f-aaaaa"}


# --- CoreDNS


def answered(text: str, name: str) -> Finding:
    [rule] = [rule for rule in load_rules() if rule.id == "AKS-KN-17"]
    custom = inside("/api/v1/namespaces/kube-system/configmaps/coredns-custom", {"data": {name: text}})
    [finding] = audit(estate(custom), [rule])
    return finding


WORDS = st.sampled_from(
    [
        "forward",
        ".",
        "{",
        "}",
        "8.8.8.8",
        "tls://",
        "[::1]:53",
        "#",
        "rewrite",
        "hosts",
        "template",
        "%eth0",
        "\n",
        "\t",
    ]
)


@settings(max_examples=60)
@given(st.lists(WORDS | st.text(max_size=6), max_size=25).map(" ".join), st.sampled_from(["a.server", "a.override"]))
def test_whatever_stands_in_a_corefile_is_answered(text: str, name: str) -> None:
    assert all(missing.kind != "crashed" for missing in answered(text, name).missing)


@pytest.mark.parametrize(
    ("upstream", "outcome"),
    [
        ("8.8.8.8", Outcome.FAIL),
        ("dns://8.8.8.8:53", Outcome.FAIL),
        ("tls://9.9.9.9", Outcome.FAIL),
        ("[2620:fe::fe]:53", Outcome.FAIL),
        ("2620:fe::fe", Outcome.FAIL),
        ("10.0.0.4", Outcome.PASS),
        ("10.0.0.4:5353", Outcome.PASS),
        ("[fd00::1]:53", Outcome.PASS),
        ("168.63.129.16", Outcome.PASS),
        ("/etc/resolv.conf", Outcome.PASS),
        ("dns.example.com", Outcome.UNKNOWN),
        ("300.1.1.1", Outcome.UNKNOWN),
    ],
)
def test_an_upstream_is_of_the_internet_or_not(upstream: str, outcome: Outcome) -> None:
    assert answered(f"example.com {{\n  forward . {upstream}\n}}\n", "a.server").outcome is outcome
