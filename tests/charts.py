"""The Helm chart as tests see it: rendered by Helm's own engine, and as a cluster would keep what it makes."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

from aks_audit.facts.resource_id import parse
from aks_audit.snapshot import Body, Resource
from cases import CLUSTER, ROOT
from compose.azure import guid

DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "chart"
RELEASE = "aks-audit"
NAMESPACE = "aks-audit"

MINUTE = 29_921_880
"""When the runs of these tests were scheduled, in minutes since 1970, as a CronJob names its Jobs: 2026-11-22 02:00."""

_PLURALS = {"NetworkPolicy": "networkpolicies", "CiliumNetworkPolicy": "ciliumnetworkpolicies"}
_CLUSTER_WIDE = {"Namespace", "ClusterRole", "ClusterRoleBinding", "PersistentVolume"}
_NODE = "aks-user-12345678-vmss000000"
_AROUND: tuple[Body, ...] = (
    {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "auditor", "namespace": NAMESPACE},
        "automountServiceAccountToken": False,
    },
    {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "runs", "namespace": NAMESPACE},
        "spec": {"accessModes": ["ReadWriteMany"], "storageClassName": "azurefile-csi"},
    },
)
"""What `ci/cilium-values.yaml` says is there."""


def variants() -> dict[str, Body]:
    """The values that `deploy/chart/ci` has for tests, by their names."""
    files = sorted((CHART / "ci").glob("*-values.yaml"))
    return {file.name.removesuffix("-values.yaml"): yaml.safe_load(file.read_text(encoding="utf-8")) for file in files}


def ask(values: Iterable[Mapping[str, Any]], lint: Iterable[Mapping[str, Any]] = (), chart: Path = CHART) -> Any:  # noqa: ANN401 - what Helm answers
    """Have Helm render the chart with each of the values, and lint it with others."""
    if find_spec("helm_python") is None:
        pytest.skip("Helm's engine is not installed: helm-python-sdk has no wheel for this machine")
    asked = {"chart": str(chart), "values": [*values], "lint": [*lint], "name": RELEASE, "namespace": NAMESPACE}
    command = [sys.executable, str(ROOT / "tests" / "helm_render.py")]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def render(*values: Mapping[str, Any], chart: Path = CHART) -> list[list[Body]]:
    """The objects that the chart makes of each of the values."""
    found = []
    for texts in ask(values, chart=chart)["rendered"]:
        assert isinstance(texts, dict), texts
        found.append([*_objects(texts)])
    return found


def refused(values: Mapping[str, Any]) -> str:
    """What Helm says of values that the chart does not take."""
    (said,) = ask([values])["rendered"]
    assert isinstance(said, str), "the chart takes these values"
    return said


@cache
def made() -> dict[str, list[Body]]:
    """The objects that the chart makes of each of the values in `deploy/chart/ci`, by the values' names."""
    known = variants()
    return dict(zip(known, render(*known.values()), strict=True))


def _objects(texts: Mapping[str, str]) -> Iterator[Body]:
    for name, text in texts.items():
        if name.endswith(".yaml"):
            yield from filter(None, yaml.safe_load_all(text))


def of_kind(objects: Iterable[Body], kind: str) -> list[Body]:
    """Those of the objects that are of a kind."""
    return [one for one in objects if one["kind"] == kind]


def jobs(objects: list[Body]) -> dict[str, Body]:
    """What each CronJob runs, by its component: `scan` and `merge`."""
    crons = of_kind(objects, "CronJob")
    specs = [cron["spec"]["jobTemplate"]["spec"] for cron in crons]
    return {spec["template"]["metadata"]["labels"]["app.kubernetes.io/component"]: spec for spec in specs}


def container(job: Body) -> Body:
    """The container of a Job's pods."""
    only: Body
    (only,) = job["template"]["spec"]["containers"]
    return only


def variables(job: Body, index: int) -> dict[str, str]:
    """The variables of the pod of a Job with this index, as the kubelet resolves them."""
    fields = {
        "metadata.labels['batch.kubernetes.io/job-name']": f"{RELEASE}-{MINUTE}",
        "metadata.annotations['batch.kubernetes.io/job-completion-index']": str(index),
        "metadata.uid": guid("pod", str(index)),
    }
    return {
        one["name"]: one["value"] if "value" in one else fields[one["valueFrom"]["fieldRef"]["fieldPath"]]
        for one in container(job)["env"]
    }


def kept(objects: Iterable[Body]) -> list[Resource]:
    """What is in a cluster after the objects were installed in the namespace made for them, and a run has begun.

    Each CronJob has made its Job, the Job its pods, and the webhook of workload identity has put its token into them;
    each claim has its volume.
    """
    documents = [*yaml.safe_load_all((DEPLOY / "namespace.yaml").read_text(encoding="utf-8")), *objects]
    names = {_path(one) for one in documents}
    documents += [one for one in _AROUND if _path(one) not in names]
    used = json.dumps(documents)
    installed = [one for one in documents if one["kind"] != "ConfigMap" and (one not in _AROUND or _used(one, used))]
    running = [_claimed(one) if one["kind"] == "PersistentVolumeClaim" else [one] for one in deepcopy(installed)]
    everything = [one for some in running for one in some]
    addresses = (f"10.40.17.{number}" for number in count(1))
    everything += [one for cron in of_kind(everything, "CronJob") for one in _run(cron, addresses)]
    return [_resource(one) for one in everything]


def _used(one: Body, text: str) -> bool:
    name = one["metadata"]["name"]
    return any(f'"{key}": "{name}"' in text for key in ("serviceAccountName", "claimName"))


def _claimed(claim: Body) -> list[Body]:
    name, where = claim["metadata"]["name"], claim["metadata"]
    claim["spec"]["volumeName"] = f"pv-{name}"
    claim["status"] = {"phase": "Bound"}
    reference = {"kind": "PersistentVolumeClaim", "namespace": where["namespace"], "name": name}
    spec = {
        "claimRef": reference,
        "storageClassName": claim["spec"]["storageClassName"],
        "persistentVolumeReclaimPolicy": "Delete",
        "csi": {"driver": "file.csi.azure.com", "volumeHandle": name},
    }
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"pv-{name}"}, "spec": spec}
    return [claim, {**volume, "status": {"phase": "Bound"}}]


def _run(cron: Body, addresses: Iterator[str]) -> Iterator[Body]:
    """The Job of a CronJob, and its pods."""
    spec = deepcopy(cron["spec"]["jobTemplate"]["spec"])
    name = f"{cron['metadata']['name']}-{MINUTE}"
    place = {"namespace": cron["metadata"]["namespace"]}
    yield {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, **place, "ownerReferences": _owned(cron)},
        "spec": spec,
        "status": {"active": spec.get("completions", 1)},
    }
    job: Body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}}
    for index in range(spec.get("completions", 1)):
        template = deepcopy(spec["template"])
        labels = {**template["metadata"]["labels"], "batch.kubernetes.io/job-name": name, "job-name": name}
        metadata = {"name": f"{name}-{index}-x1y2z", **place, "labels": labels, "ownerReferences": _owned(job)}
        running = [{"name": one["name"], "ready": True, "restartCount": 0} for one in template["spec"]["containers"]]
        status = {"phase": "Running", "podIP": next(addresses), "containerStatuses": running}
        body = {**_signed_in(template["spec"], labels), "nodeName": _NODE}
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": body, "status": status}


def _owned(owner: Body) -> list[Body]:
    named = {"name": owner["metadata"]["name"], "uid": "x", "controller": True}
    return [{"apiVersion": owner["apiVersion"], "kind": owner["kind"], **named}]


def _signed_in(spec: Body, labels: Mapping[str, str]) -> Body:
    """The specification of a pod with the token that the webhook of workload identity puts into it."""
    if labels.get("azure.workload.identity/use") != "true":
        return spec
    token = {"audience": "api://AzureADTokenExchange", "expirationSeconds": 3600, "path": "azure-identity-token"}
    projected = {"defaultMode": 420, "sources": [{"serviceAccountToken": token}]}
    spec["volumes"].append({"name": "azure-identity-token", "projected": projected})
    folder = "/var/run/secrets/azure/tokens"
    for container in spec["containers"]:
        container["volumeMounts"].append({"name": "azure-identity-token", "mountPath": folder, "readOnly": True})
        container["env"].append({"name": "AZURE_FEDERATED_TOKEN_FILE", "value": f"{folder}/azure-identity-token"})
    return spec


def _path(one: Body) -> str:
    plural = _PLURALS.get(one["kind"], f"{one['kind'].lower()}s")
    root = f"/apis/{one['apiVersion']}" if "/" in one["apiVersion"] else f"/api/{one['apiVersion']}"
    metadata = one["metadata"]
    where = "" if one["kind"] in _CLUSTER_WIDE else f"/namespaces/{metadata['namespace']}"
    return f"{root}{where}/{plural}/{metadata['name']}"


def _resource(one: Body) -> Resource:
    resource_id = CLUSTER + _path(one)
    metadata = {"creationTimestamp": "2026-11-20T05:00:00Z", "managedFields": [{"apiVersion": one["apiVersion"]}]}
    if one["kind"] == "Namespace":
        labels = {"kubernetes.io/metadata.name": one["metadata"]["name"], **one["metadata"]["labels"]}
        one = {**one, "metadata": {**one["metadata"], "labels": labels}, "status": {"phase": "Active"}}
    body = {key: value for key, value in one.items() if key not in {"apiVersion", "kind"}}
    body["metadata"] = {**metadata, **body["metadata"]}
    return Resource(id=resource_id, type=parse(resource_id).type, body=body, source="kubernetes")
