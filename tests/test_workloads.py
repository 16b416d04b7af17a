"""Workloads of a cluster: what people deployed, not the pods that controllers made of it."""

from typing import Any

import pytest

from aks_audit import snapshot
from aks_audit.facts import Estate, Subjects, UnreadSubject
from aks_audit.facts.resource_id import parse
from aks_audit.facts.workloads import CONTROLLERS, Pod, Workload, Workloads, workloads_of
from aks_audit.snapshot import Gap, Listing, Record, Resource
from cases import CLUSTER, Case, estate_of

KINDS = (Pod.TYPE, *(kind.TYPE for kind, _ in CONTROLLERS.values()))
SHOP = "/api/v1/namespaces/shop/pods"
APPS = "/apis/apps/v1/namespaces/shop"


MADE_OF: dict[str, Any] = {"containers": [{"name": "web", "image": "web:1"}]}
TEMPLATE: dict[str, Any] = {"template": {"spec": MADE_OF}}


def thing(path: str, *, owner: str = "", **body: Any) -> Resource:  # noqa: ANN401 - any JSON value
    kind, _, name = owner.partition(" ")
    version = "batch/v1" if "Job" in kind else "argoproj.io/v1alpha1" if kind == "Rollout" else "apps/v1"
    owners = [{"apiVersion": version, "kind": kind, "name": name, "controller": True}] if owner else []
    metadata = {"name": path.rpartition("/")[2], "ownerReferences": owners}
    resource_id = f"{CLUSTER}{path}"
    return Resource(
        id=resource_id, type=parse(resource_id).type, body={"metadata": metadata, **body}, source="kubernetes"
    )


def found(*records: Record, unread: tuple[str, ...] = ()) -> Workloads:
    listings = [Listing(type=kind, scope=CLUSTER) for kind in KINDS if kind not in unread]
    gaps = [Gap(id=CLUSTER, type=kind, reason=f"cannot list {kind}", status=403) for kind in unread]
    return workloads_of(Estate(snapshot.of([*records, *listings, *gaps])), CLUSTER)


def ids(workloads: Workloads) -> list[str]:
    return [one.id.removeprefix(CLUSTER) for one in workloads.known]


def test_the_pods_of_a_deployment_are_one_workload() -> None:
    deployment, replica_set = thing(f"{APPS}/deployments/web", spec=TEMPLATE), f"{APPS}/replicasets/web-1"
    workloads = found(
        deployment,
        thing(replica_set, owner="Deployment web", spec={"replicas": 2}),
        *(
            thing(f"{SHOP}/web-1-{n}", owner="ReplicaSet web-1", spec={**MADE_OF, "nodeName": f"n{n}"})
            for n in range(2)
        ),
    )
    assert ids(workloads) == [f"{APPS}/deployments/web"]
    (web,) = workloads.known
    assert (web.kind, web.name, web.namespace, len(web.pods), len(web.specs)) == ("Deployment", "web", "shop", 2, 1)


def test_a_job_of_a_cron_job_belongs_to_it() -> None:
    cron, job = "/apis/batch/v1/namespaces/shop/cronjobs/clean", "/apis/batch/v1/namespaces/shop/jobs/clean-1"
    assert ids(found(thing(cron), thing(job, owner="CronJob clean"))) == [cron]


def test_a_replica_set_that_a_deployment_left_behind_is_no_workload_and_a_lone_one_is() -> None:
    left = thing(f"{APPS}/replicasets/old", spec={"replicas": 0}, status={"replicas": 0})
    alone = thing(f"{APPS}/replicasets/alone", spec={"replicas": 1})
    shrinking = thing(f"{APPS}/replicasets/shrinking", spec={"replicas": 0}, status={"replicas": 1})
    assert ids(found(left, alone, shrinking)) == [f"{APPS}/replicasets/alone", f"{APPS}/replicasets/shrinking"]


def test_pods_of_a_controller_that_is_not_read_are_one_workload_under_its_name() -> None:
    pods = [thing(f"{SHOP}/canary-{n}", owner="Rollout canary") for n in range(3)]
    workloads = found(*pods)
    assert ids(workloads) == ["/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/canary"]
    (canary,) = workloads.known
    assert (canary.kind, canary.namespace, canary.cluster_id, len(canary.pods)) == ("Rollout", "shop", CLUSTER, 3)


def test_replica_sets_and_jobs_of_a_controller_that_is_not_read_are_one_workload_under_its_name() -> None:
    sets = [thing(f"{APPS}/replicasets/canary-{n}", owner="Rollout canary", spec={"replicas": 1}) for n in range(2)]
    pods = [thing(f"{SHOP}/canary-{n}-x", owner=f"ReplicaSet canary-{n}", spec=MADE_OF) for n in range(2)]
    jobs = [thing(f"/apis/batch/v1/namespaces/shop/jobs/tick-{n}", owner="ScaledJob tick") for n in range(2)]
    workloads = found(*sets, *pods, *jobs)
    assert ids(workloads) == [
        "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/canary",
        "/apis/batch/v1/namespaces/shop/scaledjobs/tick",
    ]
    canary, _ = workloads.known
    assert (canary.kind, canary.name, len(canary.pods)) == ("Rollout", "canary", 2)


def test_a_replica_set_of_a_deployment_that_was_not_read_goes_by_its_name() -> None:
    left = thing(f"{APPS}/replicasets/web-1", owner="Deployment web", spec={"replicas": 1})
    assert ids(found(left, unread=("deployments.apps",))) == [f"{APPS}/deployments/web"]


def test_a_controller_of_another_group_is_not_taken_for_one_that_has_its_name() -> None:
    ours = thing(f"{APPS}/statefulsets/web", spec=TEMPLATE)
    pod = thing(f"{SHOP}/web-0", owner="StatefulSet web", spec=MADE_OF)
    pod.body["metadata"]["ownerReferences"][0]["apiVersion"] = "apps.kruise.io/v1beta1"
    workloads = found(ours, pod)
    assert ids(workloads) == [
        "/apis/apps.kruise.io/v1beta1/namespaces/shop/statefulsets/web",
        f"{APPS}/statefulsets/web",
    ]


def test_a_controller_of_the_core_group_is_served_where_its_pods_are() -> None:
    pod = thing(f"{SHOP}/web-0", owner="ReplicationController web", spec=MADE_OF)
    pod.body["metadata"]["ownerReferences"][0]["apiVersion"] = "v1"
    assert ids(found(pod)) == ["/api/v1/namespaces/shop/replicationcontrollers/web"]


def test_controllers_that_name_each_other_as_their_owner_are_told_of_all_the_same() -> None:
    first = thing(f"{APPS}/deployments/a", owner="Deployment b", spec=TEMPLATE)
    second = thing(f"{APPS}/deployments/b", owner="Deployment a", spec=TEMPLATE)
    itself = thing(f"{APPS}/deployments/c", owner="Deployment c", spec=TEMPLATE)
    known = ids(found(first, second, itself))
    assert f"{APPS}/deployments/c" in known
    assert {f"{APPS}/deployments/a", f"{APPS}/deployments/b"} <= set(known)


def test_a_pod_that_nobody_made_or_a_node_keeps_is_a_workload_and_one_that_ended_is_none() -> None:
    lone, ended = thing(f"{SHOP}/lone"), thing(f"{SHOP}/ended", status={"phase": "Succeeded"})
    mirrors = [thing(f"{SHOP}/proxy-{n}", owner="Node n1") for n in range(2)]
    workloads = found(lone, ended, *mirrors)
    assert ids(workloads) == [f"{SHOP}/lone", f"{SHOP}/proxy-0", f"{SHOP}/proxy-1"]
    assert {one.kind for one in workloads.known} == {"Pod"}


def test_a_pod_that_differs_from_its_template_is_looked_at_too() -> None:
    debugged = {**MADE_OF, "ephemeralContainers": [{"name": "debug", "securityContext": {"privileged": True}}]}
    token = {**MADE_OF, "volumes": [{"name": "kube-api-access-abcde"}]}
    other = {**MADE_OF, "volumes": [{"name": "kube-api-access-vwxyz"}]}
    (web,) = found(
        thing(f"{APPS}/statefulsets/web", spec=TEMPLATE),
        thing(f"{SHOP}/web-0", owner="StatefulSet web", spec={**token, "nodeName": "n1"}),
        thing(f"{SHOP}/web-1", owner="StatefulSet web", spec={**other, "nodeName": "n2"}),
        thing(f"{SHOP}/web-2", owner="StatefulSet web", spec=debugged),
    ).known
    assert [len(spec.every_container) for spec in web.specs] == [1, 1, 2]
    assert web.specs[2].pointer == "/spec"


def test_what_could_not_be_read_is_missing_and_loses_nothing_else() -> None:
    workloads = found(thing(f"{SHOP}/agent-1", owner="DaemonSet agent"), unread=("daemonsets.apps",))
    assert ids(workloads) == ["/apis/apps/v1/namespaces/shop/daemonsets/agent"]
    assert [missing.reason for missing in workloads.missing] == ["cannot list daemonsets.apps"]


@pytest.mark.parametrize("odd", [{"status": "x"}, {"metadata": {"ownerReferences": "x"}}])
def test_one_odd_pod_is_missing_and_makes_no_other_workload_vanish(odd: dict[str, Any]) -> None:
    lost = thing(f"{SHOP}/lost", **{"spec": MADE_OF, **odd})
    workloads = found(thing(f"{APPS}/deployments/web", spec=TEMPLATE), lost, thing(f"{SHOP}/lone", spec=MADE_OF))
    assert ids(workloads) == [f"{SHOP}/lone", f"{APPS}/deployments/web"]
    assert [(missing.kind, missing.what) for missing in workloads.missing] == [("malformed", lost.id)]


def test_a_controller_whose_group_was_lost_is_taken_for_one_of_kubernetes_own() -> None:
    pod = thing(f"{SHOP}/web-0", owner="StatefulSet web", spec=MADE_OF)
    del pod.body["metadata"]["ownerReferences"][0]["apiVersion"]
    assert ids(found(thing(f"{APPS}/statefulsets/web", spec=TEMPLATE), pod)) == [f"{APPS}/statefulsets/web"]


def test_a_cluster_that_was_not_read_inside_is_an_unread_subject() -> None:
    (about,) = Subjects(estate_of(Case(name="", expect="", only=("cluster",)))).of(Workload)
    assert isinstance(about, UnreadSubject)
    assert (about.id, {missing.kind for missing in about.missing}) == (CLUSTER, {"not-asked"})
