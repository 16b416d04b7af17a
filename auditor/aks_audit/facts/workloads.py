"""Facts about what runs inside clusters, as the Kubernetes API sends it: pods, their controllers, and nodes."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeVar

import msgspec

from aks_audit.facts.admission import LabelSelector
from aks_audit.facts.cluster import ManagedCluster
from aks_audit.facts.estate import Estate
from aks_audit.facts.field import View, flag, named_texts, network, networks, number, part, parts, text, texts
from aks_audit.facts.kubernetes import KubernetesObject, OwnerReference
from aks_audit.facts.link import Holding
from aks_audit.facts.resource_id import parse
from aks_audit.facts.unread import Malformed, NotCollected
from aks_audit.results import Missing

K = TypeVar("K", bound=KubernetesObject)


class Sysctl(View):
    """A kernel parameter that a pod sets."""

    __slots__ = ()

    name = text("name")


class ContainerPort(View):
    """A port that a container tells of."""

    __slots__ = ()

    name = text("name")
    container_port = number("containerPort")
    host_port = number("hostPort")
    protocol = text("protocol")


class VolumeMount(View):
    """Where a container has a volume."""

    __slots__ = ()

    name = text("name")
    mount_path = text("mountPath")
    read_only = flag("readOnly")
    mount_propagation = text("mountPropagation")


class Volume(View):
    """A volume of a pod."""

    __slots__ = ()

    name = text("name")
    host_path = text("hostPath.path")
    image = text("image.reference")
    image_pull_policy = text("image.pullPolicy")
    claim_name = text("persistentVolumeClaim.claimName")

    @property
    def sources(self) -> tuple[str, ...]:
        """What it is made of, as Kubernetes names the kind: `emptyDir`, `hostPath`; none means an empty directory."""
        return tuple(sorted(key for key, value in self.node.items() if key != "name" and value is not None))


class Toleration(View):
    """Taints of nodes that a pod puts up with; without a key those of every key, without an effect of every effect."""

    __slots__ = ()

    key = text("key")
    operator = text("operator")
    value = text("value")
    effect = text("effect")


_HANDLERS = ("httpGet", "tcpSocket")
_CALLERS = ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle.postStart", "lifecycle.preStop")


class Container(View):
    """A container of any kind: regular, init (sidecars among them) or ephemeral."""

    __slots__ = ()

    HANDLER_HOSTS = tuple(text(f"{caller}.{handler}.host") for caller in _CALLERS for handler in _HANDLERS)
    """The hosts that the kubelet calls for the container; absent is the pod itself."""

    name = text("name")
    image = text("image")
    image_pull_policy = text("imagePullPolicy")
    command = texts("command")
    args = texts("args")
    ports = parts("ports", ContainerPort)
    volume_mounts = parts("volumeMounts", VolumeMount)
    privileged = flag("securityContext.privileged")
    allow_privilege_escalation = flag("securityContext.allowPrivilegeEscalation")
    read_only_root_filesystem = flag("securityContext.readOnlyRootFilesystem")
    run_as_non_root = flag("securityContext.runAsNonRoot")
    run_as_user = number("securityContext.runAsUser")
    proc_mount = text("securityContext.procMount")
    capabilities_added = texts("securityContext.capabilities.add")
    capabilities_dropped = texts("securityContext.capabilities.drop")
    seccomp_type = text("securityContext.seccompProfile.type")
    app_armor_type = text("securityContext.appArmorProfile.type")
    se_linux_type = text("securityContext.seLinuxOptions.type")
    se_linux_user = text("securityContext.seLinuxOptions.user")
    se_linux_role = text("securityContext.seLinuxOptions.role")
    host_process = flag("securityContext.windowsOptions.hostProcess")
    windows_user_name = text("securityContext.windowsOptions.runAsUserName")
    limits = named_texts("resources.limits")
    requests = named_texts("resources.requests")
    restart_policy = text("restartPolicy")
    liveness_probe = part("livenessProbe", View)
    readiness_probe = part("readinessProbe", View)
    pre_stop = part("lifecycle.preStop", View)
    pre_stop_sleep = part("lifecycle.preStop.sleep", View)
    pre_stop_sleep_seconds = number("lifecycle.preStop.sleep.seconds")

    @property
    def kind(self) -> str:
        """What kind it is, in words."""
        return next((word for name, word in _KINDS.items() if f"/{name}/" in self.pointer), "container")


EPHEMERAL = "ephemeral container"
"""The kind of container that somebody adds to a pod that runs, to debug it."""

_KINDS = {"initContainers": "init container", "ephemeralContainers": EPHEMERAL}


class TopologySpreadConstraint(View):
    """How evenly pods with some labels are to be spread over the values of a label of nodes; no selector means none."""

    __slots__ = ()

    topology_key = text("topologyKey")
    label_selector = part("labelSelector", LabelSelector)


class PodAffinityTerm(TopologySpreadConstraint):
    """Pods with some labels, beside which a pod is to be placed, or not to be placed."""

    __slots__ = ()


class WeightedPodAffinityTerm(View):
    """The same as a wish."""

    __slots__ = ()

    term = part("podAffinityTerm", PodAffinityTerm)


class PodSpec(View):
    """What a pod is made of, in a pod or in a controller's template."""

    __slots__ = ()

    containers = parts("containers", Container)
    init_containers = parts("initContainers", Container)
    ephemeral_containers = parts("ephemeralContainers", Container)
    volumes = parts("volumes", Volume)
    host_network = flag("hostNetwork")
    host_pid = flag("hostPID")
    host_ipc = flag("hostIPC")
    host_users = flag("hostUsers")
    share_process_namespace = flag("shareProcessNamespace")
    service_account_name = text("serviceAccountName")
    service_account = text("serviceAccount")
    automount_service_account_token = flag("automountServiceAccountToken")
    node_selector = named_texts("nodeSelector")
    tolerations = parts("tolerations", Toleration)
    os = text("os.name")
    runtime_class_name = text("runtimeClassName")
    priority_class_name = text("priorityClassName")
    run_as_non_root = flag("securityContext.runAsNonRoot")
    run_as_user = number("securityContext.runAsUser")
    seccomp_type = text("securityContext.seccompProfile.type")
    app_armor_type = text("securityContext.appArmorProfile.type")
    se_linux_type = text("securityContext.seLinuxOptions.type")
    se_linux_user = text("securityContext.seLinuxOptions.user")
    se_linux_role = text("securityContext.seLinuxOptions.role")
    host_process = flag("securityContext.windowsOptions.hostProcess")
    windows_user_name = text("securityContext.windowsOptions.runAsUserName")
    sysctls = parts("securityContext.sysctls", Sysctl)
    limits = named_texts("resources.limits")
    requests = named_texts("resources.requests")
    termination_grace_period_seconds = number("terminationGracePeriodSeconds")
    topology_spread_constraints = parts("topologySpreadConstraints", TopologySpreadConstraint)
    anti_affinity_required = parts(
        "affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution", PodAffinityTerm
    )
    anti_affinity_preferred = parts(
        "affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution", WeightedPodAffinityTerm
    )

    @property
    def pod_annotations(self) -> Mapping[str, str]:
        """The annotations of the pod, or of the template that pods are made from.

        Raises:
            Malformed: they are no strings.
        """
        way = f"{self.pointer.rpartition('/')[0]}/metadata/annotations".strip("/").replace("/", ".")
        whole = View(self.estate, self.document)
        return named_texts(way).__get__(whole, View) or {}

    @property
    def every_container(self) -> tuple[Container, ...]:
        """The containers of all kinds.

        Raises:
            Malformed: there is none, as cannot be.
        """
        if not self.containers:
            pointer = self.at(PodSpec.containers).pointer
            raise Malformed(self.document.id, pointer, "a pod without containers")
        return (*(self.init_containers or ()), *self.containers, *(self.ephemeral_containers or ()))


class Pod(KubernetesObject):
    """A pod."""

    __slots__ = ()

    TYPE = "pods"

    phase = text("status.phase")
    pod_ip = text("status.podIP")
    node_name = text("spec.nodeName")
    host_network = flag("spec.hostNetwork")
    service_account_name = text("spec.serviceAccountName")
    spec = part("spec", PodSpec)

    @property
    def over(self) -> bool:
        """Whether it ran to its end, well or badly, and runs no more."""
        return self.phase in {"Succeeded", "Failed"}


class Node(KubernetesObject):
    """A node."""

    __slots__ = ()

    TYPE = "nodes"

    kubelet_version = text("status.nodeInfo.kubeletVersion")
    os_image = text("status.nodeInfo.osImage")
    provider_id = text("spec.providerID")
    pod_cidr = network("spec.podCIDR")
    pod_cidrs = networks("spec.podCIDRs")

    @property
    def agent_pool(self) -> str | None:
        """The name of its agent pool, by AKS's own label; None where it has none."""
        labels = self.object_labels or {}
        return labels.get("kubernetes.azure.com/agentpool") or labels.get("agentpool") or None

    @property
    def internal_ip(self) -> str | None:
        """Its first internal address; None where it has none."""
        addresses = self.find("status.addresses")[0]
        for address in addresses if isinstance(addresses, list) else ():
            if isinstance(address, dict) and address.get("type") == "InternalIP":
                found: object = address.get("address")
                return found if isinstance(found, str) else None
        return None


class Namespace(KubernetesObject):
    """A namespace."""

    __slots__ = ()

    TYPE = "namespaces"


class Deployment(KubernetesObject):
    """A controller of ReplicaSets."""

    __slots__ = ()

    TYPE = "deployments.apps"


class ReplicaSet(KubernetesObject):
    """A controller of pods that are all alike."""

    __slots__ = ()

    TYPE = "replicasets.apps"

    replicas = number("spec.replicas")
    running = number("status.replicas")


class StatefulSet(KubernetesObject):
    """A controller of pods that keep their names and volumes."""

    __slots__ = ()

    TYPE = "statefulsets.apps"


class DaemonSet(KubernetesObject):
    """A controller of one pod a node."""

    __slots__ = ()

    TYPE = "daemonsets.apps"


class Job(KubernetesObject):
    """A controller of pods that run to their end."""

    __slots__ = ()

    TYPE = "jobs.batch"


class CronJob(KubernetesObject):
    """A controller that makes Jobs by the clock."""

    __slots__ = ()

    TYPE = "cronjobs.batch"


CONTROLLERS: dict[str, tuple[type[KubernetesObject], str]] = {
    "Deployment": (Deployment, "/apis/apps/v1"),
    "ReplicaSet": (ReplicaSet, "/apis/apps/v1"),
    "StatefulSet": (StatefulSet, "/apis/apps/v1"),
    "DaemonSet": (DaemonSet, "/apis/apps/v1"),
    "Job": (Job, "/apis/batch/v1"),
    "CronJob": (CronJob, "/apis/batch/v1"),
}
"""The kinds of Kubernetes' own that make pods, and where they are served."""

_TEMPLATE = {CronJob.TYPE: "spec.jobTemplate.spec.template.spec", Pod.TYPE: "spec"}
_OF_POD = "spec.template.spec"

_MADE = {Pod.TYPE: "", ReplicaSet.TYPE: "Deployment", Job.TYPE: "CronJob"}
"""What controllers make, and which of Kubernetes' own makes it; pods are made by several."""


class Workload(KubernetesObject):
    """What a person deployed: the outermost controller of pods that was read, or a pod that none made.

    `pods` are those that live; where a controller is of a kind that is not read, such as a Rollout, the first thing
    that it made stands for it. `missing` are the lists that could not be read whole, and may hold more of it: pods,
    what is between it and them, and the controller that it names as its own.
    """

    __slots__ = ("missing", "pods")

    TYPE = ""
    pods: tuple[Pod, ...]
    missing: tuple[Missing, ...]

    replicas = number("spec.replicas")
    strategy = text("spec.strategy.type")

    @property
    def kind(self) -> str:
        """Its kind, as people write it: `Deployment`; that of the unread controller, where this stands for one."""
        if owner := _maker(self):
            return owner.kind or "Pod"
        kinds = (kind for kind, (one, _) in CONTROLLERS.items() if self.document.type == one.TYPE)
        return next(kinds, "Pod")

    @property
    def id(self) -> str:
        """Its id; of an unread controller the one that it should have, which stays the same when its pods change."""
        owner = _maker(self)
        if owner is None:
            return self.document.id
        kind, version = (owner.kind or "").lower(), owner.api_version or ""
        served = f"apis/{version}" if "/" in version else f"api/{version}"
        return f"{self.cluster_id}/{served}/namespaces/{self.namespace}/{kind}s/{owner.name}"

    @property
    def cluster_id(self) -> str:
        """The id of the cluster that it is in."""
        return parse(self.document.id).parent

    @property
    def namespace(self) -> str:
        """The namespace that it is in."""
        return next(iter(parse(self.document.id).names), "")

    @property
    def labels(self) -> Mapping[str, str]:
        """The names that a fix needs."""
        return {**super().labels, "kind": self.kind.lower()}

    @property
    def pod_labels(self) -> Mapping[str, str]:
        """The labels that it gives its pods.

        Raises:
            Malformed: it has nothing that pods are made from, or the labels are no strings.
        """
        template = self._own()
        way = f"{template.pointer.rpartition('/')[0]}/metadata/labels".strip("/").replace("/", ".")
        return named_texts(way).__get__(View(self.estate, self.document), View) or {}

    @property
    def template(self) -> PodSpec | None:
        """What its pods are made from."""
        path = _TEMPLATE.get(self.document.type, _OF_POD)
        value, pointer = self.find(path)
        return PodSpec(self.estate, self.document, value, pointer) if isinstance(value, dict) else None

    @property
    def specs(self) -> tuple[PodSpec, ...]:
        """Every pod specification in it that differs from the others: the template's, then those of the live pods.

        A pod has more than its template says: what admission put in, and containers that were added to debug it.

        Raises:
            Malformed: the template's or a pod's specification is not there, or no object.
        """
        found: dict[bytes, PodSpec] = {}
        for spec in (self._own(), *map(_own, self.pods)):
            found.setdefault(_content(spec), spec)
        return tuple(found.values())

    @property
    def running(self) -> tuple[PodSpec, ...]:
        """What its live pods are made of, with all that admission filled in; the template where none lives.

        Raises:
            NotCollected: none was read, and there may be some.
            Malformed: as `specs`.
        """
        found: dict[bytes, PodSpec] = {}
        for spec in map(_own, self.pods):
            found.setdefault(_content(spec), spec)
        if self.missing and not found:
            raise NotCollected(*self.missing)
        return tuple(found.values()) or (self._own(),)

    def _own(self) -> PodSpec:
        template = self.template
        if template is None:
            pointer = self.find(_TEMPLATE.get(self.document.type, _OF_POD))[1]
            raise Malformed(self.document.id, pointer, "a workload without what its pods are made from")
        return template


def _own(pod: Pod) -> PodSpec:
    if pod.spec is None:
        raise Malformed(pod.document.id, pod.at(Pod.spec).pointer, "a pod without a specification")
    return pod.spec


class Workloads(NamedTuple):
    """The workloads of a cluster that are known, and what was not read that may hold more of them."""

    known: tuple[Workload, ...]
    missing: tuple[Missing, ...]


def workloads(cluster: ManagedCluster) -> Workloads:
    """The workloads of a cluster, found once."""
    return cluster.estate.once(_found, cluster)


def workloads_of(estate: Estate, cluster_id: str) -> Workloads:
    """The workloads of a cluster: controllers without one of their own, and pods without one that was read.

    A ReplicaSet that keeps no pod, as a Deployment leaves them behind, is none; nor is a pod that has run to its end.
    One whose owner or state cannot be read counts as missing, and loses no other.
    """
    missing: dict[str, tuple[Missing, ...]] = {}
    kinds = {kind: one for kind, (one, _) in CONTROLLERS.items()}
    controllers = {kind: _known(estate.within(one, cluster_id), one, missing) for kind, one in kinds.items()}
    by_name = {(kind, one.namespace, one.name): one for kind, found in controllers.items() for one in found}
    pods: dict[str, list[Pod]] = defaultdict(list)
    outermost: dict[str, KubernetesObject] = {}
    odd: list[Missing] = []
    for one in (*by_name.values(), *_known(estate.within(Pod, cluster_id), Pod, missing)):
        try:
            if _is_over(one):
                continue
            top, key = _outermost(one, by_name)
        except Malformed as unread:
            odd += unread.missing
            continue
        outermost.setdefault(key, top)
        if isinstance(one, Pod):
            pods[key].append(one)
    known = (_workload(top, pods[key], missing) for key, top in outermost.items())
    lost = [one for several in missing.values() for one in several]
    return Workloads(tuple(sorted(known, key=lambda one: one.id)), (*lost, *odd))


def _is_over(one: KubernetesObject) -> bool:
    """Whether nothing runs of it, nor will.

    Raises:
        Malformed: its state cannot be read.
    """
    if isinstance(one, ReplicaSet):
        return one.replicas == 0 and not one.running
    return isinstance(one, Pod) and one.over


def _found(cluster: ManagedCluster) -> Workloads:
    return workloads_of(cluster.estate, cluster.id)


def _known(held: Holding[K], kind: type[K], missing: dict[str, tuple[Missing, ...]]) -> tuple[K, ...]:
    try:
        return held.whole()
    except NotCollected as unread:
        missing[kind.TYPE] = unread.missing
        return held.known


def _outermost(
    one: KubernetesObject, by_name: dict[tuple[str, str, str], KubernetesObject]
) -> tuple[KubernetesObject, str]:
    """The outermost controller of an object that was read, and what all that belong to one workload share."""
    while owner := _maker(one):
        above = by_name.get((owner.kind or "", one.namespace, owner.name or "")) if _native(owner) else None
        if above is None:
            return one, f"{one.namespace} {owner.api_version} {owner.kind} {owner.name}"
        one = above
    return one, one.id


def _native(owner: OwnerReference) -> bool:
    """Whether a controller is of a kind of Kubernetes' own; others have kinds so called, too, in groups of theirs."""
    _, path = CONTROLLERS.get(owner.kind or "", (None, ""))
    group = owner.api_version.partition("/")[0] if owner.api_version else None
    return bool(path) and group in {None, path.split("/")[2]}


def _maker(one: KubernetesObject) -> OwnerReference | None:
    """The controller that made a pod, a ReplicaSet or a Job. A node that keeps a pod from a file of its own is none.

    Whoever writes an object may write owners into it. Of controllers of Kubernetes' own only the one counts that makes
    such objects, so that nothing hides behind another workload, and no two are each other's owners.
    """
    owner = one.controller if one.document.type in _MADE else None
    if owner is None:
        return None
    if one.document.type == Pod.TYPE:
        return None if owner.kind == "Node" else owner
    return owner if owner.kind == _MADE[one.document.type] or not _native(owner) else None


def _workload(top: KubernetesObject, pods: Iterable[Pod], missing: Mapping[str, tuple[Missing, ...]]) -> Workload:
    workload = Workload(top.estate, top.document, top.node)
    workload.pods = tuple(pods)
    owner = _maker(top) if missing else None
    alone = isinstance(top, Pod) and owner is None
    above = CONTROLLERS[owner.kind][0].TYPE if owner and owner.kind in CONTROLLERS else ""
    around = (above, *_BETWEEN.get(top.TYPE, ()), *(() if alone else (Pod.TYPE,)))
    workload.missing = tuple(one for kind in around for one in missing.get(kind, ()))
    return workload


_BETWEEN = {Deployment.TYPE: (ReplicaSet.TYPE,), CronJob.TYPE: (Job.TYPE,)}
"""What is between a controller and its pods."""


_EACH_POD = frozenset({"affinity", "hostname", "nodeName", "subdomain"})
"""What differs between the pods of one template, and says nothing about security."""

_TOKEN_VOLUME = re.compile(rb"kube-api-access-\w{5}")
"""The volume that admission puts into each pod, under a name of its own."""


def _content(spec: PodSpec) -> bytes:
    said = {key: value for key, value in spec.node.items() if key not in _EACH_POD}
    return _TOKEN_VOLUME.sub(b"", msgspec.json.encode(said, order="deterministic"))
