"""The recorded cluster whose policies are of every kind, as Calico would have them and as Cilium would.

What is expected was worked out by hand from the policies in fixtures/kubernetes/hardened.jsonl.
"""

import copy
from functools import cache
from ipaddress import ip_network

import msgspec
import pytest

from aks_audit import snapshot
from aks_audit.facts import Estate, ManagedCluster
from aks_audit.network.addresses import AddressSet
from aks_audit.policies.enforcement import enforced
from aks_audit.policies.inhabitants import inhabitants
from aks_audit.policies.model import Endpoint, Kind
from policy_worlds import decide, questions
from recorded_clusters import records

APPS, SYSTEM = "aks-apps-55667788-vmss00000", "aks-system-19283746-vmss00000"
WEB0, WEB1 = "storefront/web-d85c795d9-mr22j", "storefront/web-d85c795d9-nttnw"
"""On the first and on the second node of the pool of applications."""
API0, API1 = "orders/orders-api-65885bd496-j7png", "orders/orders-api-65885bd496-k89td"
CACHE0, CACHE1 = "data/cache-1", "data/cache-0"
DNS = "kube-system/coredns-7475bbd657-xkl2h"

EXPECTED = {
    "calico": [
        # The order 100 goes before the policies of Kubernetes, the tier platform before both.
        f"{WEB0} -> {API1} TCP 8080: allowed",
        f"{WEB0} -> {API1} TCP 8081: denied",
        f"{WEB0} -> 169.254.169.254 TCP 80: denied",
        f"{API0} -> 10.10.16.70 TCP 443: allowed",
        f"{API0} -> 198.51.100.7 TCP 443: denied",
        f"{API0} -> 192.0.2.1 TCP 443: denied",
        # Nothing recorded tells the version of Calico, so the policies of administrators are enforced or not. Only
        # baselines say anything of kube-system. The cache is reached either way: where isolate-data is enforced, it
        # passes what comes from orders to the NetworkPolicy that allows it.
        f"{API0} -> {CACHE0} TCP 6379: allowed",
        f"{WEB0} -> {CACHE0} TCP 6379: denied",
        f"{WEB0} -> {DNS} UDP 53: unknown",
        f"{DNS} -> 169.254.169.254 TCP 80: unknown",
        f"{DNS} -> 192.0.2.1 TCP 443: unknown",
        # The first node has a host endpoint, and a policy for what that forwards.
        f"{WEB1} -> {API0} TCP 8080: unknown",
        f"{WEB0} -> {API0} TCP 8080: allowed",
        f"10.10.5.5 -> node:{APPS}0 TCP 10250: allowed",
        f"10.10.5.5 -> node:{APPS}0 TCP 443: denied",
        f"192.0.2.1 -> node:{APPS}0 TCP 22: allowed",
        f"192.0.2.1 -> node:{APPS}0 TCP 10250: denied",
        f"192.0.2.1 -> node:{APPS}1 TCP 10250: allowed",
        # default-deny is for what is not in three namespaces: host endpoints are in none.
        f"node:{APPS}0 -> 192.0.2.1 TCP 443: denied",
        f"node:{APPS}0 -> 192.0.2.1 UDP 53: allowed",
        f"node:{APPS}1 -> 192.0.2.1 TCP 443: allowed",
    ],
    "cilium": [
        # What a policy of Kubernetes allows without conditions needs none of those that Cilium's own sets.
        f"{WEB0} -> {API1} TCP 8080: allowed",
        f"{WEB0} -> {API1} TCP 8081: denied",
        f"{WEB0} -> 192.0.2.1 TCP 443: conditional",
        f"{WEB0} -> 192.0.2.1 TCP 80: denied",
        f"{WEB0} -> 169.254.169.254 TCP 443: denied",
        f"{API0} -> 10.10.16.70 TCP 443: allowed",
        f"{API0} -> 10.10.17.9 TCP 443: allowed",
        f"{API0} -> 10.10.16.5 TCP 443: denied",
        f"{API0} -> 192.0.2.1 TCP 1433: conditional",
        f"{API0} -> 192.0.2.1 TCP 1434: denied",
        f"{API0} -> {CACHE0} TCP 6379: allowed",
        f"{WEB0} -> {CACHE0} TCP 6379: denied",
        f"node:{APPS}0 -> {CACHE0} TCP 6379: denied",
        f"node:{APPS}1 -> {CACHE0} TCP 6379: denied",
        f"node:{APPS}0 -> {WEB0} TCP 8080: allowed",
        f"{DNS} -> 192.0.2.1 TCP 443: denied",
        f"{DNS} -> node:{SYSTEM}0 TCP 10250: allowed",
        f"192.0.2.1 -> {DNS} UDP 53: denied",
    ],
}


@cache
def cluster(engine: str) -> ManagedCluster:
    found = records("hardened")
    own = next(
        one for one in found if isinstance(one, snapshot.Resource) and one.type.lower() == ManagedCluster.TYPE.lower()
    )
    body = copy.deepcopy(own.body)
    profile = body["properties"]["networkProfile"]
    profile["networkPolicy"], profile["networkDataplane"] = engine, "cilium" if engine == "cilium" else "azure"
    changed = msgspec.structs.replace(own, body=body)
    estate = Estate(snapshot.of([changed if one is own else one for one in found]))
    return estate.resource(ManagedCluster, own.id)


def named(one: Endpoint) -> str:
    return f"{one.namespace}/{one.name}" if one.namespace else f"node:{one.name}"


@pytest.mark.parametrize("engine", EXPECTED)
def test_both_engines_do_with_the_recorded_policies_what_a_person_expects(engine: str) -> None:
    ends = {named(one): one for one in inhabitants(cluster(engine)).endpoints}
    wanted = list(questions(EXPECTED[engine]))
    for name in {end for one in wanted for end in (one.source, one.destination)} - ends.keys():
        ends[name] = Endpoint(Kind.ADDRESS, name, labels={}, addresses=AddressSet.of([ip_network(name)]))
    found = decide(enforced(cluster(engine)).ruleset, ends, wanted)
    assert [(asked, answer) for asked, answer in found if asked.verdict != answer] == []


def test_calico_only_shows_what_the_recorded_staged_policy_would_do() -> None:
    staged = [one for one in enforced(cluster("calico")).ignored if "staged" in one.type]
    assert [one.id.rpartition("/")[2] for one in staged] == ["platform.trial"]
