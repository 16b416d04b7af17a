"""Facts about how nodes and workloads are at the moment of a snapshot, as their controllers and kubelets say."""

from aks_audit.facts.field import View, moment, number, parts, text
from aks_audit.facts.gateways import Condition
from aks_audit.facts.workloads import CronJob, Deployment, Job, Namespace, Node, Pod


class ContainerStatus(View):
    """A container of a pod, as the kubelet sees it; `waiting` is why it does not run, if it does not."""

    __slots__ = ()

    name = text("name")
    restart_count = number("restartCount")
    waiting = text("state.waiting.reason")


class RunningPod(Pod):
    """A pod, and how its containers are."""

    __slots__ = ()

    init_container_statuses = parts("status.initContainerStatuses", ContainerStatus)
    container_statuses = parts("status.containerStatuses", ContainerStatus)
    priority = number("spec.priority")
    scheduling_gates = parts("spec.schedulingGates", View)


class Taint(View):
    """What keeps pods away from a node."""

    __slots__ = ()

    key = text("key")


class RunningNode(Node):
    """A node, and how it is."""

    __slots__ = ()

    taints = parts("spec.taints", Taint)
    conditions = parts("status.conditions", Condition)


class RunningDeployment(Deployment):
    """A Deployment, and how far it has come."""

    __slots__ = ()

    conditions = parts("status.conditions", Condition)


class RunningJob(Job):
    """A Job, and how far it has come."""

    __slots__ = ()

    conditions = parts("status.conditions", Condition)


class RunningCronJob(CronJob):
    """A CronJob, and when one of its Jobs last ended well."""

    __slots__ = ()

    last_successful = moment("status.lastSuccessfulTime")


class RunningNamespace(Namespace):
    """A namespace, and whether it is going."""

    __slots__ = ()

    phase = text("status.phase")
