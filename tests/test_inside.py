"""What is inside clusters, read from the recorded answers of a real API server over HTTPS."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import pytest

from aks_audit.facts import Estate, NotCollected
from aks_audit.facts.gaps import INSIDE
from aks_audit.facts.kubelets import KubeletConfiguration
from aks_audit.facts.resource_id import fold, parse
from aks_audit.snapshot import Gap, Listing, Packed, Record, Resource, encode, of
from aks_audit.sources.deadline import Deadline
from aks_audit.sources.kubernetes import kubelets, plan
from aks_audit.sources.kubernetes.access import Access, ClientCertificate
from aks_audit.sources.kubernetes.api import UnreachableError
from aks_audit.sources.kubernetes.client import Client
from aks_audit.sources.kubernetes.collect import Inside
from kubernetes_api import AUDITOR_TOKEN, NORIGHTS_TOKEN, Fault, Hang, KubernetesApi, Reset, Truncated
from resource_manager import Answer

CLUSTER = "/subscriptions/1/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/weak"


def token(text: str) -> Callable[[], Awaitable[str]]:
    async def give() -> str:
        return text

    return give


def access(api: KubernetesApi, *, as_: str = AUDITOR_TOKEN, cluster: str = CLUSTER) -> Access:
    return Access(cluster, "kubeconfig", api.url, api.ca, token=token(as_))


def read(*ways: Access | Gap, seconds: float = 30, optional: Sequence[str] = ()) -> list[Record]:
    by_id = {way.cluster if isinstance(way, Access) else way.id: way for way in ways}

    async def find(cluster: Resource) -> Access | Gap:
        return by_id[cluster.id]

    async def collected() -> list[Record]:
        inside = Inside(find, Deadline(), seconds, note=lambda _: None, called=lambda *_: None, optional=optional)
        found = await inside.collect([Resource(id=one, type="", body={}) for one in by_id])
        return [record.unpack() if isinstance(record, Packed) else record for record in found]

    return asyncio.run(collected())


def resources(records: Iterable[Record], kind: str) -> list[Resource]:
    return [record for record in records if isinstance(record, Resource) and record.type == kind]


def gaps(records: Iterable[Record]) -> dict[str, Gap]:
    return {record.type: record for record in records if isinstance(record, Gap)}


def listed(records: Iterable[Record], *, served: bool) -> set[str]:
    return {
        record.type
        for record in records
        if isinstance(record, Listing) and record.served is served and record.scope == CLUSTER
    }


def test_everything_that_the_role_permits_is_read_and_nothing_else() -> None:
    with KubernetesApi("weak") as api:
        records = read(access(api))
        requests = api.requests
    assert not gaps(records)
    assert len(resources(records, "pods")) == 49
    assert len(resources(records, "services")) == 18
    assert {"pods", "networkpolicies.networking.k8s.io", "clusterroles.rbac.authorization.k8s.io"} <= listed(
        records, served=True
    )
    assert "ciliumnetworkpolicies.cilium.io" in listed(records, served=False)
    assert {kind.type for kind in plan.kinds()} == listed(records, served=True) | listed(records, served=False)
    assert {request.method for request in requests} == {"GET"}
    assert not [request.path for request in requests if "secrets" in request.path]
    assert {request.path for request in requests if "configmaps" in request.path} == {one.path for one in plan.named()}


def test_ids_are_those_of_the_cluster_and_its_own_paths() -> None:
    with KubernetesApi("weak") as api:
        records = read(access(api))
    services = {record.id for record in resources(records, "services")}
    assert f"{CLUSTER}/api/v1/namespaces/default/services/kubernetes" in services
    for record in records:
        if isinstance(record, Resource) and record.source == "kubernetes":
            parsed = parse(record.id)
            assert parsed.type == record.type, record.id
            assert parsed.parent == CLUSTER
            if parsed.names:
                assert parsed.name == record.body["metadata"]["name"]
    version = next(iter(resources(records, "version")))
    assert version.body["gitVersion"] == "v1.36.2"


def test_names_inside_clusters_are_told_apart_by_case() -> None:
    path = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    assert fold(f"{CLUSTER}{path}/Admin") != fold(f"{CLUSTER}{path}/admin")
    assert fold(f"{CLUSTER.upper()}{path}/admin") == fold(f"{CLUSTER}{path}/admin")
    assert fold(f"{CLUSTER.upper()}/agentPools/ONE") == fold(f"{CLUSTER}/agentpools/one")


def test_a_named_object_that_is_absent_is_known_to_be() -> None:
    with KubernetesApi("weak") as api:
        records = read(access(api))
    absent = [r.scope for r in records if isinstance(r, Listing) and r.type == "configmaps"]
    assert f"{CLUSTER}/api/v1/namespaces/kube-system/configmaps/cilium-config" in absent
    assert f"{CLUSTER}/api/v1/namespaces/kube-system/configmaps/coredns" not in absent


def test_calico_is_read_from_one_of_its_two_groups() -> None:
    with KubernetesApi("hardened") as api:
        records = read(access(api))
    kinds = {record.type for record in records if isinstance(record, Resource)}
    assert "globalnetworkpolicies.projectcalico.org" in kinds
    assert not [kind for kind in kinds if kind.endswith("crd.projectcalico.org")]


def test_nothing_that_is_left_out_reaches_the_snapshot() -> None:
    planted = "s3cr3t-of-a-pod"

    def plant(path: str, body: Any) -> Any:  # noqa: ANN401 - any JSON value
        for item in body.get("items", []) if "/pods" in path else []:
            item["metadata"]["managedFields"] = [{"manager": planted}]
            item["spec"]["containers"][0]["env"] = [{"name": "PASSWORD", "value": planted}]
            item["metadata"].setdefault("annotations", {})["kubectl.kubernetes.io/last-applied-configuration"] = planted
        return body

    with KubernetesApi("weak", edit=plant) as api:
        records = read(access(api))
    assert len(resources(records, "pods")) == 49
    assert planted.encode() not in encode(records)


def test_without_rights_every_kind_is_refused_or_known_not_to_be_served() -> None:
    with KubernetesApi("weak") as api:
        records = read(access(api, as_=NORIGHTS_TOKEN))
    refused = gaps(records)
    assert refused["pods"].cause == "refused"
    assert refused["pods"].action == "list pods"
    assert refused["pods"].scope == CLUSTER
    assert "cannot list resource" in refused["pods"].reason
    assert "ciliumnetworkpolicies.cilium.io" in listed(records, served=False)
    assert not listed(records, served=True)
    assert {kind.type for kind in plan.kinds()} <= set(refused) | listed(records, served=False)


def test_a_token_that_is_not_known_is_one_gap() -> None:
    with KubernetesApi("weak") as api:
        records = read(access(api, as_="unknown"))
    assert [(gap.type, gap.status, gap.cause) for gap in gaps(records).values()] == [(INSIDE, 401, "refused")]


def test_a_kind_that_is_refused_loses_no_other() -> None:
    with KubernetesApi("weak", deny=["networkpolicies.networking.k8s.io"]) as api:
        records = read(access(api))
    assert set(gaps(records)) == {"networkpolicies.networking.k8s.io"}
    assert len(resources(records, "pods")) == 49


def test_without_discovery_the_stable_kinds_are_read_and_the_others_are_not_called_absent() -> None:
    with KubernetesApi("weak", deny=["/apis"]) as api:
        records = read(access(api))
    assert len(resources(records, "pods")) == 49
    assert not listed(records, served=False)
    lost = gaps(records)
    assert lost["apis"].cause == "refused"
    assert "discovery" in lost["ciliumnetworkpolicies.cilium.io"].reason


@pytest.mark.parametrize("expire", [False, True])
def test_long_lists_are_read_by_pages_and_go_on_after_they_expired(expire: bool) -> None:  # noqa: FBT001 - of pytest
    with KubernetesApi("weak", pods=1234, expire_continue=expire) as api:
        records = read(access(api))
        pages = [request for request in api.requests if request.path == "/api/v1/pods"]
    assert len({record.id for record in resources(records, "pods")}) == 1234
    assert "pods" in listed(records, served=True)
    assert [page.query["limit"] for page in pages] == ["500"] * len(pages)
    assert len(pages) == 3 + expire


@pytest.mark.parametrize(
    ("effect", "status"),
    [
        (Answer(500, b'{"kind":"Status","message":"etcdserver: leader changed"}'), 500),
        (Answer(503, b"service unavailable", "text/plain"), 503),
        (Answer(404, b"404 page not found", "text/plain"), 404),
        (Answer(200, b"null"), None),
        (Answer(200, b'{"kind":"Status","metadata":{},"items":null}'), None),
        (Answer(200, b'{"kind":"PodList","metadata":{}}'), None),
        (Answer(200, b'{"kind":"PodList","metadata":{},"items":{}}'), None),
        (Answer(200, b'{"kind":"PodList","metadata":{},"items":[{"metadata":{}}]}'), None),
        (Answer(200, b'{"kind":"PodList","metadata":{},"items":[{"metadata":{"name":"../../x"}}]}'), None),
        (Answer(200, b'{"kind":"PodList","metadata":{"continue":7},"items":[]}'), None),
        (Answer(410, b'{"kind":"Status","message":"expired"}'), 410),
        (Reset(), None),
        (Truncated(), None),
        (Truncated(announced=True), None),
    ],
)
def test_a_list_that_fails_is_a_gap_and_never_an_empty_list(effect: Any, status: int | None) -> None:  # noqa: ANN401
    fault = Fault("^/api/v1/pods[?]", effect, times=None)
    with KubernetesApi("weak", faults=[fault]) as api:
        records = read(access(api))
    lost = gaps(records)
    assert set(lost) == {"pods"}
    assert (lost["pods"].cause, lost["pods"].status) == ("not-read", status)
    assert "pods" not in listed(records, served=True) | listed(records, served=False)
    assert len(resources(records, "services")) == 18


def test_patience_is_had_with_a_server_that_asks_for_it() -> None:
    busy = Answer(429, b"Too many requests, please try again later.\n", "text/plain", {"Retry-After": "0"})
    with KubernetesApi("weak", faults=[Fault("^/api/v1/(pods|services)[?]", busy, times=4)]) as api:
        records = read(access(api))
    assert not gaps(records)


def test_a_cluster_that_hangs_costs_its_own_time_and_is_one_gap() -> None:
    with KubernetesApi("weak", faults=[Fault("^/version", Hang(60))]) as slow, KubernetesApi("hardened") as api:
        records = read(access(slow, cluster=f"{CLUSTER}-slow"), access(api), seconds=4)
    assert [(gap.id, gap.type) for gap in records if isinstance(gap, Gap)] == [(f"{CLUSTER}-slow", INSIDE)]
    assert "--cluster-timeout" in gaps(records)[INSIDE].reason
    assert len(resources(records, "pods")) == 53


def test_a_kind_that_hangs_is_the_only_one_that_is_lost() -> None:
    with KubernetesApi("weak", faults=[Fault("^/api/v1/pods", Hang(60), times=None)]) as api:
        records = read(access(api), seconds=3)
    assert set(gaps(records)) == {"pods"}
    assert len(resources(records, "services")) == 18


def test_a_cluster_that_is_not_there_is_one_gap_that_says_what_may_be() -> None:
    records = read(Access(CLUSTER, "kubeconfig", "https://127.0.0.1:1", b"", token=token("x")))
    lost = gaps(records)
    assert set(lost) == {INSIDE}
    assert "authorized IP ranges" in lost[INSIDE].reason


def test_no_way_in_is_told_as_it_was_found() -> None:
    none = Gap(id=CLUSTER, type=INSIDE, reason="no kubeconfig leads there", cause="not-asked")
    assert read(none) == [none]


def test_an_endpoint_is_dialled_by_its_address_and_known_by_its_name() -> None:
    async def asked(server_name: str | None) -> int:
        way = Access(CLUSTER, "aad", api.url, api.ca, server_name, token(AUDITOR_TOKEN))
        async with Client(way, tries=1) as client:
            return (await client.get("/version")).status

    with KubernetesApi("weak", names=["aks-weak.hcp.westeurope.azmk8s.io"]) as api:
        assert asyncio.run(asked("aks-weak.hcp.westeurope.azmk8s.io")) == 200
        with pytest.raises(UnreachableError, match=r"127\.0\.0\.1"):
            asyncio.run(asked(None))
        with pytest.raises(UnreachableError, match=r"other\.example"):
            asyncio.run(asked("other.example"))


def test_an_administrators_certificate_signs_in_and_leaves_no_file() -> None:
    with KubernetesApi("weak") as api:
        certificate = ClientCertificate(api.admin_certificate, api.admin_key)
        way = Access(CLUSTER, "aad", api.url, api.ca, certificate=certificate, administrator=True)
        records = read(way)
        seen = {request.certificate for request in api.requests}
    assert seen == {"O=system:masters,CN=masterclient"}
    assert not gaps(records)
    assert resources(records, "aks-audit/clusterAccess")[0].body["administrator"] is True
    assert b"PRIVATE KEY" not in encode(records)


def test_a_server_that_sends_elsewhere_is_not_followed() -> None:
    elsewhere = Answer(302, b"", headers={"Location": "https://127.0.0.1:1/version"})
    with KubernetesApi("weak", faults=[Fault("^/version", elsewhere, times=None)]) as api:
        records = read(access(api))
    assert "sends elsewhere" in gaps(records)[INSIDE].reason


def test_kubelets_are_not_asked_unless_by_name() -> None:
    with KubernetesApi("weak", kubelets=True) as api:
        records = read(access(api))
        assert not [request.path for request in api.requests if "proxy" in request.path]
    assert not gaps(records)
    with pytest.raises(NotCollected, match=f"add --read {kubelets.NAME}, {kubelets.PRICE}") as told:
        Estate(of(records)).within(KubeletConfiguration, CLUSTER).whole()
    assert [missing.kind for missing in told.value.missing] == ["not-asked"]


def test_of_a_kubelets_configuration_what_rules_look_at_is_kept() -> None:
    with KubernetesApi("weak", kubelets=True) as api:
        records = read(access(api), optional=[kubelets.NAME])
        asked = [request.path for request in api.requests if "proxy" in request.path]
    nodes = [node.id.rpartition("/")[2] for node in resources(records, "nodes")]
    found = resources(records, kubelets.TYPE)
    assert not gaps(records)
    assert sorted(asked) == sorted(f"/api/v1/nodes/{node}/proxy/configz" for node in nodes)
    assert kubelets.TYPE in listed(records, served=True)
    assert [(one.body["metadata"], parse(one.id).type) for one in found] == [
        ({"name": node}, kubelets.TYPE) for node in sorted(nodes)
    ]
    assert all(one.read for one in found)
    assert found[0].body["authentication"] == {
        "anonymous": {"enabled": False},
        "x509": {"clientCAFile": "/etc/kubernetes/certs/ca.crt"},
    }
    assert set(found[0].body) == {
        "metadata", "authentication", "authorization", "eventRecordQPS", "featureGates", "makeIPTablesUtilChains",
        "rotateCertificates", "serverTLSBootstrap", "streamingConnectionIdleTimeout",
    }  # fmt: skip


def test_who_may_not_reach_kubelets_is_refused_once() -> None:
    with KubernetesApi("weak") as api:
        records = read(access(api), optional=[kubelets.NAME])
        asked = [request.path for request in api.requests if "proxy" in request.path]
    lost = gaps(records)
    assert set(lost) == {kubelets.TYPE}
    assert (lost[kubelets.TYPE].id, lost[kubelets.TYPE].action) == (CLUSTER, "get nodes/proxy")
    assert lost[kubelets.TYPE].cause == "refused"
    assert len(asked) == 1


def test_a_kubelet_that_does_not_answer_is_the_only_one_that_is_lost() -> None:
    with KubernetesApi("weak", kubelets=True) as api:
        first, *others = sorted(node.id.rpartition("/")[2] for node in resources(read(access(api)), "nodes"))
    broken = [
        (Answer(503, b"dial tcp: i/o timeout", "text/plain", {"Retry-After": "0"}), "503"),
        (Answer(200, b"[]", "application/json"), "not a JSON object"),
        (Answer(200, b'{"kind": "Status"}', "application/json"), "not its configuration"),
    ]
    for answer, said in broken:
        fault = Fault(f"^/api/v1/nodes/{first}/proxy", answer, times=None)
        with KubernetesApi("weak", kubelets=True, faults=[fault]) as api:
            records = read(access(api), optional=[kubelets.NAME])
        lost = gaps(records)[kubelets.TYPE]
        assert (lost.cause, lost.id.rpartition("/")[2]) == ("not-read", first)
        assert said in lost.reason
        assert [one.id.rpartition("/")[2] for one in resources(records, kubelets.TYPE)] == others
        assert kubelets.TYPE not in listed(records, served=True)


def test_without_the_list_of_nodes_no_kubelet_is_asked() -> None:
    with KubernetesApi("weak", kubelets=True, deny=["nodes"], faults=[]) as api:
        records = read(access(api), optional=[kubelets.NAME])
    assert "which nodes there are" in gaps(records)[kubelets.TYPE].reason


def test_a_virtual_node_has_no_kubelet_to_ask() -> None:
    def virtual(path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path == "/api/v1/nodes":
            body["items"][0]["metadata"]["labels"]["type"] = "virtual-kubelet"
        return body

    with KubernetesApi("weak", kubelets=True, edit=virtual) as api:
        records = read(access(api), optional=[kubelets.NAME])
    assert len(resources(records, kubelets.TYPE)) == len(resources(records, "nodes")) - 1
