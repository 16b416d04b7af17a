"""Clusters that nobody has used yet: what a real API server makes itself, and what AKS and its add-ons put beside it.

Kubernetes' own objects are those of the recorded API server. AKS's are composed of what `data/access.toml` and
`data/components.toml` cite: listings of running clusters with their subjects, and the manifests of the open projects
that AKS runs. Roles, bindings and some workloads bear no mark of AKS's, so that they must be known by what they are.
"""

import copy
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import msgspec

from aks_audit import snapshot
from aks_audit.facts import ClusterAccess, Estate
from aks_audit.snapshot import Body, Listing, Record, Resource
from aks_audit.sources.kubernetes import plan
from compose.clusters import CLUSTERS, agent_pool, managed_cluster
from compose.estates import aks_create_defaults
from compose.nodes import NodeGroup
from compose.snapshots import recorded as scanned
from recorded_clusters import records as recorded

_OURS = ("aks-audit", "cilium", "coredns-custom")
"""What the recorded cluster has beside Kubernetes' own and AKS's base, by how its name begins."""

_OWN = frozenset({"default", "kube-node-lease", "kube-public", "kube-system"})
_CLUSTER_WIDE = ("clusterrole", "namespaces", "nodes", "servicecidrs", "version")
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_MARK = {"kubernetes.azure.com/managedby": "aks"}
_MARKS = frozenset({*_MARK, "addonmanager.kubernetes.io/mode", "app.kubernetes.io/managed-by"})
_MCR = "mcr.microsoft.com"
_READ, _EDIT = ["get", "list", "watch"], ["create", "delete", "get", "list", "patch", "update", "watch"]
_WRITE = ["create", "patch", "update"]


class _Grant(NamedTuple):
    """A role with its binding: kinds of the API with their groups and verbs, or the name of a role that is there."""

    binding: str
    role: str
    subjects: tuple[str, ...]
    rules: tuple[tuple[str, list[str], list[str]], ...] = ()
    namespace: str = ""


def _account(name: str, namespace: str = "kube-system") -> str:
    return f"ServiceAccount {namespace}/{name}"


_CERTIFICATES = "system:certificates.k8s.io:certificatesigningrequests"
_SUPPORT = (
    ("*", ["*"], _READ),
    ("", ["pods", "pods/exec", "pods/attach", "replicationcontrollers"], _EDIT),
    ("apps", ["deployments"], _EDIT),
    ("batch", ["jobs"], _EDIT),
)
_EVERY_CLUSTER = (
    _Grant("aks-cluster-admin-binding", "cluster-admin", ("User clusterAdmin", "User clusterUser")),
    _Grant("aks-service-rolebinding", "aks-service", ("User aks-support",), _SUPPORT),
    _Grant("auto-approve-csrs-for-group", f"{_CERTIFICATES}:nodeclient", ("Group system:bootstrappers",)),
    _Grant("auto-approve-renewals-for-nodes", f"{_CERTIFICATES}:selfnodeclient", ("Group system:nodes",)),
    _Grant("create-csrs-for-bootstrapping", "system:node-bootstrapper", ("Group system:bootstrappers",)),
    _Grant(
        "container-health-read-logs-global",
        "container-health-log-reader",
        ("User clusterUser",),
        (("", ["pods/log", "events"], ["get", "list"]), ("apps", ["deployments", "replicasets"], ["get", "list"])),
    ),
    _Grant(
        "csi-azuredisk-node-binding",
        "csi-azuredisk-node-role",
        (_account("csi-azuredisk-node-sa"),),
        (("", ["secrets"], ["get", "list"]), ("", ["nodes"], ["get"])),
    ),
    _Grant(
        "csi-azurefile-node-secret-binding",
        "csi-azurefile-node-secret-role",
        (_account("csi-azurefile-node-sa"),),
        (("", ["secrets"], ["get", "list"]),),
    ),
    _Grant("metrics-server-binding", "system:metrics-server", (_account("metrics-server"),), namespace="kube-system"),
    _Grant("system:aks-client-nodes", "system:node", ("Group system:nodes",)),
    _Grant(
        "system:azure-cloud-provider",
        "system:azure-cloud-provider",
        (_account("azure-cloud-provider"), _account("persistent-volume-binder")),
        (("", ["events"], _WRITE), ("", ["secrets"], ["create", "get"])),
    ),
    _Grant(
        "system:azure-cloud-provider-secret-getter",
        "system:azure-cloud-provider-secret-getter",
        (_account("azure-cloud-provider"),),
        (("", ["secrets"], ["get"]),),
    ),
    _Grant(
        "system:coredns-autoscaler",
        "system:coredns-autoscaler",
        (_account("coredns-autoscaler"),),
        (("", ["nodes"], _READ), ("apps", ["deployments/scale"], ["get", "update"])),
    ),
    _Grant(
        "system:konnectivity-agent-autoscaler",
        "system:konnectivity-agent-autoscaler",
        (_account("konnectivity-agent-autoscaler"),),
        (("", ["nodes"], _READ), ("apps", ["deployments/scale"], ["get", "update"])),
    ),
    _Grant("system:kube-proxy", "system:node-proxier", (_account("kube-proxy"),)),
    _Grant(
        "system:persistent-volume-binding",
        "system:persistent-volume-secret-operator",
        (_account("persistent-volume-binder"),),
        (("", ["secrets"], ["create", "get"]),),
    ),
    _Grant(
        "system:prometheus",
        "system:prometheus",
        ("User hcpService", "User konnectivity-prometheus-client"),
        (("", ["nodes", "nodes/proxy", "pods", "services"], _READ),),
    ),
    _Grant(
        "nodeNetConfigEditorRoleBinding",
        "nodeNetConfigEditorRole",
        (_account("azure-cns"),),
        (("acn.azure.com", ["nodenetworkconfigs"], _EDIT),),
        "kube-system",
    ),
    _Grant(
        "pod-reader-all-namespaces-binding",
        "pod-reader-all-namespaces",
        (_account("azure-cns"),),
        (("", ["pods", "nodes"], _READ),),
    ),
)
_ADD_ONS = (
    _Grant(
        "aks-secretprovidersyncing-rolebinding",
        "aks-secretprovidersyncing-role",
        (_account("aks-secrets-store-csi-driver"),),
        (("", ["secrets"], _EDIT),),
    ),
    _Grant(
        "aks-secretprovidertokenrequest-rolebinding",
        "aks-secretprovidertokenrequest-role",
        (_account("aks-secrets-store-csi-driver"),),
        (("", ["serviceaccounts/token"], ["create"]),),
    ),
    _Grant(
        "amalogsclusterrolebinding",
        "ama-logs-reader",
        (_account("ama-logs"),),
        (("", ["pods", "events", "nodes", "nodes/stats", "nodes/metrics", "nodes/proxy"], _READ),),
    ),
    _Grant(
        "ama-metrics-clusterrolebinding",
        "ama-metrics-reader",
        (_account("ama-metrics-serviceaccount"),),
        (("", ["pods", "nodes", "nodes/metrics", "nodes/proxy", "services"], _READ),),
    ),
    _Grant(
        "ama-metrics-secrets-rolebinding",
        "ama-metrics-secrets-reader",
        (_account("ama-metrics-serviceaccount"),),
        (("", ["secrets"], _EDIT),),
        "kube-system",
    ),
    _Grant(
        "azure-policy-webhook-rolebinding",
        "azure-policy-webhook-role",
        (_account("azure-policy-webhook-account"),),
        (("", ["secrets"], _EDIT),),
        "kube-system",
    ),
    _Grant("policy-agent", "policy-agent", (_account("azure-policy"),), (("templates.gatekeeper.sh", ["*"], _EDIT),)),
    _Grant(
        "gatekeeper-manager-rolebinding",
        "gatekeeper-manager-role",
        (_account("gatekeeper-admin", "gatekeeper-system"),),
        (
            ("*", ["*"], _READ),
            ("admissionregistration.k8s.io", ["validatingwebhookconfigurations"], _EDIT),
            ("constraints.gatekeeper.sh", ["*"], _EDIT),
        ),
    ),
    _Grant(
        "azure-wi-webhook-manager-rolebinding",
        "azure-wi-webhook-manager-role",
        (_account("azure-wi-webhook-admin"),),
        (("admissionregistration.k8s.io", ["mutatingwebhookconfigurations"], _EDIT), ("", ["serviceaccounts"], _READ)),
    ),
    _Grant(
        "eraser-manager-rolebinding",
        "eraser-manager-role",
        (_account("eraser-controller-manager"),),
        (("", ["nodes"], _READ), ("", ["pods", "podtemplates"], _EDIT)),
    ),
    _Grant(
        "keda-operator",
        "keda-operator",
        (_account("keda-operator"),),
        (("", ["secrets", "configmaps"], _READ), ("*", ["*/scale"], _EDIT)),
    ),
    _Grant(
        "system:vpa-evicter-binding",
        "system:vpa-evicter",
        (_account("vpa-updater"),),
        (("", ["pods/eviction"], _WRITE),),
    ),
)


class _Run(NamedTuple):
    """A workload of AKS's: where, its account, its image, and whether it takes over its node."""

    plural: str
    name: str
    account: str
    image: str
    namespace: str = "kube-system"
    node: bool = False
    marked: bool = True


_ADDED = (
    _Run(
        "daemonsets",
        "aks-secrets-store-csi-driver",
        "aks-secrets-store-csi-driver",
        "oss/v2/kubernetes-csi/secrets-store/driver",
        node=True,
    ),
    _Run(
        "daemonsets",
        "aks-secrets-store-provider-azure",
        "aks-secrets-store-provider-azure",
        "oss/azure/secrets-store/provider-azure",
    ),
    _Run("daemonsets", "ama-logs", "ama-logs", "azuremonitor/containerinsights/ciprod", node=True, marked=False),
    _Run("deployments", "ama-logs-rs", "ama-logs", "azuremonitor/containerinsights/ciprod", marked=False),
    _Run(
        "deployments",
        "ama-metrics",
        "ama-metrics-serviceaccount",
        "azuremonitor/containerinsights/ciprod/prometheus-collector/images",
        marked=False,
    ),
    _Run(
        "daemonsets",
        "ama-metrics-node",
        "ama-metrics-serviceaccount",
        "azuremonitor/containerinsights/ciprod/prometheus-collector/images",
        marked=False,
    ),
    _Run("deployments", "azure-policy", "azure-policy", "azure-policy/policy-kubernetes-addon-prod"),
    _Run(
        "deployments", "azure-policy-webhook", "azure-policy-webhook-account", "azure-policy/policy-kubernetes-webhook"
    ),
    _Run(
        "deployments",
        "azure-wi-webhook-controller-manager",
        "azure-wi-webhook-admin",
        "oss/v2/azure/workload-identity/webhook",
    ),
    _Run("deployments", "eraser-controller-manager", "eraser-controller-manager", "oss/v2/eraser/eraser-manager"),
    _Run(
        "deployments",
        "gatekeeper-audit",
        "gatekeeper-admin",
        "oss/v2/open-policy-agent/gatekeeper",
        "gatekeeper-system",
    ),
    _Run(
        "deployments",
        "gatekeeper-controller",
        "gatekeeper-admin",
        "oss/v2/open-policy-agent/gatekeeper",
        "gatekeeper-system",
    ),
    _Run("deployments", "keda-operator", "keda-operator", "oss/v2/kedacore/keda"),
    _Run("deployments", "vpa-updater", "vpa-updater", "oss/v2/kubernetes/autoscaler/vpa-updater"),
)


_HOOKS_OF = "/apis/admissionregistration.k8s.io/v1"
_HOOKS = (
    "mutatingwebhookconfigurations/aks-node-mutating-webhook",
    "mutatingwebhookconfigurations/aks-webhook-admission-controller",
    "validatingwebhookconfigurations/aks-node-validating-webhook",
)


class _Hook(NamedTuple):
    """A webhook of an add-on: its configuration, whether it must answer, its Service and the workload behind that."""

    name: str
    policy: str
    service: str
    run: str
    namespace: str = "kube-system"


_ADDED_HOOKS = (
    _Hook(
        "mutatingwebhookconfigurations/azure-wi-webhook-mutating-webhook-configuration",
        "Fail",
        "azure-wi-webhook-webhook-service",
        "azure-wi-webhook-controller-manager",
    ),
    _Hook(
        "validatingwebhookconfigurations/azure-policy-validating-webhook-configuration",
        "Ignore",
        "azure-policy-webhook-service",
        "azure-policy-webhook",
    ),
    _Hook(
        "validatingwebhookconfigurations/gatekeeper-validating-webhook-configuration",
        "Ignore",
        "gatekeeper-webhook-service",
        "gatekeeper-controller",
        "gatekeeper-system",
    ),
)


@cache
def estate(*, add_ons: bool, marked: bool = True) -> Estate:
    """A cluster as `az aks create` leaves it, or one of `--sku automatic` with add-ons, with AKS's marks or without."""
    azure = _automatic() if add_ons else _quickstart()
    cluster = next(one.id for one in azure if isinstance(one, Resource) and one.type.lower() == CLUSTERS.lower())
    inside = list(_inside(cluster, add_ons=add_ons))
    return Estate(snapshot.of([*azure, *(inside if marked else map(_unmarked, inside))]))


def _quickstart() -> list[Record]:
    subscription = aks_create_defaults.SUBSCRIPTION
    cluster = managed_cluster(aks_create_defaults.GROUP, "aks-quickstart", [agent_pool("nodepool1", 3)])
    return scanned([subscription], [cluster, *NodeGroup(cluster, outbound="20.69.8.10").bodies()])


def _automatic() -> list[Record]:
    """The automatic cluster of the estate of defaults, without the other one beside it."""
    return [
        one
        for one in aks_create_defaults.records()
        if not isinstance(one, Resource) or "aks-quickstart" not in one.id.lower()
    ]


def _unmarked(record: Record) -> Record:
    """An object without the labels by which AKS marks what is its own."""
    if not isinstance(record, Resource):
        return record
    body = copy.deepcopy(record.body)
    metadata = body.get("metadata", {})
    if labels := metadata.get("labels"):
        metadata["labels"] = {name: value for name, value in labels.items() if name not in _MARKS}
    return msgspec.structs.replace(record, body=body)


def _inside(cluster: str, *, add_ons: bool) -> Iterator[Record]:
    way = {"way": "kubeconfig", "administrator": False, "detail": "context"}
    yield Resource(ClusterAccess.id_of(cluster), ClusterAccess.TYPE, way, source="aks-audit")
    for kind in plan.kinds():
        yield Listing(kind.type, cluster, served=kind.stable or kind.group == "autoscaling")
    found = dict(_recorded())
    for grant in (*_EVERY_CLUSTER, *(_ADD_ONS if add_ons else ())):
        found |= _objects(grant)
    for name in _HOOKS:
        found[f"{_HOOKS_OF}/{name}"] = _webhook(name, {"url": "https://webhook.azmk8s.io:443/admit"}, "Fail")
    for run in _ADDED if add_ons else ():
        found |= _running(run)
    for hook in _ADDED_HOOKS if add_ons else ():
        found |= _served(hook)
    for path, body in found.items():
        yield Resource(cluster + path, _type(path), body, source="kubernetes")
    for one in plan.named():
        if one.path not in found:
            yield Listing(one.kind.plural, cluster + one.path)


def _recorded() -> Iterator[tuple[str, Body]]:
    """What the recorded cluster has of Kubernetes' own and of AKS's base, by its path."""
    for one in recorded("hardened"):
        if not isinstance(one, Resource) or one.source != "kubernetes":
            continue
        path = one.id.partition("/aks-hardened")[2]
        words = path.split("/")
        namespace = words[words.index("namespaces") + 1] if "namespaces" in words else ""
        ours = words[-1].startswith(_OURS) or (namespace == "default" and "networkpolicies" in words)
        if not ours and (namespace in _OWN or (not namespace and one.type.startswith(_CLUSTER_WIDE))):
            yield path, one.body


def _objects(grant: _Grant) -> dict[str, Body]:
    kind = "Role" if grant.namespace else "ClusterRole"
    place = f"{_RBAC}/namespaces/{grant.namespace}/{{}}s" if grant.namespace else f"{_RBAC}/cluster{{}}s"
    rules = [{"apiGroups": [group], "resources": kinds, "verbs": verbs} for group, kinds, verbs in grant.rules]
    bound: Body = {"roleRef": {"kind": kind, "name": grant.role}, "subjects": [_subject(one) for one in grant.subjects]}
    found = {f"{place.format('rolebinding')}/{grant.binding}": {"metadata": {"name": grant.binding}, **bound}}
    if rules:
        found[f"{place.format('role')}/{grant.role}"] = {"metadata": {"name": grant.role}, "rules": rules}
    for one in bound["subjects"]:
        if one["kind"] == "ServiceAccount":
            found |= _account_of(one["namespace"], one["name"])
    return found


def _subject(told: str) -> dict[str, Any]:
    kind, _, name = told.partition(" ")
    if kind != "ServiceAccount":
        return {"kind": kind, "name": name, "apiGroup": "rbac.authorization.k8s.io"}
    namespace, _, account = name.partition("/")
    return {"kind": kind, "namespace": namespace, "name": account}


def _account_of(namespace: str, name: str) -> dict[str, Body]:
    place = f"/api/v1/namespaces/{namespace}"
    own = {"metadata": {"name": namespace, "labels": {"kubernetes.io/metadata.name": namespace}}}
    account = {"metadata": {"name": name, "namespace": namespace}}
    default = {"metadata": {"name": "default", "namespace": namespace}}
    return {
        place: own,
        f"{place}/serviceaccounts/default": default,
        f"{place}/serviceaccounts/{name}": account,
    }


def _running(run: _Run) -> dict[str, Body]:
    """A workload with a pod of it, as privileged as those that mount things into their nodes are."""
    container: Body = {"name": run.name, "image": f"{_MCR}/{run.image}:1", "securityContext": {"privileged": run.node}}
    spec: Body = {"serviceAccountName": run.account, "hostNetwork": run.node, "containers": [container]}
    if run.node:
        spec["volumes"] = [{"name": "host", "hostPath": {"path": "/var/lib/kubelet"}}]
        container["volumeMounts"] = [{"name": "host", "mountPath": "/host", "mountPropagation": "Bidirectional"}]
    labels = {"app": run.name, **(_MARK if run.marked else {})}
    metadata = {"name": run.name, "namespace": run.namespace, "labels": labels}
    whole = {"selector": {"matchLabels": {"app": run.name}}, "template": {"metadata": {"labels": labels}, "spec": spec}}
    kind = {"daemonsets": "DaemonSet", "deployments": "Deployment"}[run.plural]
    owner = {"apiVersion": "apps/v1", "kind": kind, "name": run.name, "controller": True}
    pod = {"name": f"{run.name}-x7k2p", "namespace": run.namespace, "labels": labels, "ownerReferences": [owner]}
    return {
        **_account_of(run.namespace, run.account),
        f"/apis/apps/v1/namespaces/{run.namespace}/{run.plural}/{run.name}": {"metadata": metadata, "spec": whole},
        f"/api/v1/namespaces/{run.namespace}/pods/{pod['name']}": {
            "metadata": pod,
            "spec": spec,
            "status": {"phase": "Running"},
        },
    }


def _webhook(name: str, client: dict[str, Any], policy: str) -> Body:
    own = name.partition("/")[2]
    hook = {"name": f"{own}.azmk8s.io", "clientConfig": client, "failurePolicy": policy, "sideEffects": "None"}
    return {"metadata": {"name": own}, "webhooks": [hook]}


def _served(hook: _Hook) -> dict[str, Body]:
    """A webhook of an add-on with its Service."""
    metadata = {"name": hook.service, "namespace": hook.namespace}
    ports = [{"port": 443, "targetPort": 9443, "protocol": "TCP"}]
    spec = {"type": "ClusterIP", "clusterIP": "10.0.7.7", "selector": {"app": hook.run}, "ports": ports}
    asked = {"service": {"name": hook.service, "namespace": hook.namespace, "port": 443}}
    return {
        f"{_HOOKS_OF}/{hook.name}": _webhook(hook.name, asked, hook.policy),
        f"/api/v1/namespaces/{hook.namespace}/services/{hook.service}": {"metadata": metadata, "spec": spec},
    }


def _type(path: str) -> str:
    words = path.split("/")
    plural = words[-2] if len(words) > 2 else words[-1]
    return f"{plural}.{words[2]}" if words[1] == "apis" else plural
