"""Facts about how many pods there are to be: what scales workloads, and how many of their pods may be taken away.

Sources: the Kubernetes API reference (autoscaling/v2, policy/v1), https://keda.sh/docs/latest/reference/scaledobject-spec/
and https://github.com/kubernetes/autoscaler/blob/master/vertical-pod-autoscaler/docs/api.md
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from aks_audit.facts.admission import LabelSelector
from aks_audit.facts.field import Field, View, number, part, parts, text, texts
from aks_audit.facts.kubernetes import KubernetesObject
from aks_audit.facts.unread import Malformed


class Amount(NamedTuple):
    """A number of pods, or with `percent` a share of them."""

    value: int
    percent: bool

    def of(self, pods: int) -> int:
        """How many pods it is of so many; a share is rounded up, as Kubernetes does it for budgets."""
        return -(-self.value * pods // 100) if self.percent else self.value


def _amount(view: View, value: object, pointer: str) -> Amount:
    if isinstance(value, int) and not isinstance(value, bool):
        return Amount(value, percent=False)
    share = re.fullmatch(r"([0-9]{1,9})%", value) if isinstance(value, str) else None
    if share is None:
        raise Malformed(view.document.id, pointer, "expected a number of pods, or a share such as 50%")
    return Amount(int(share[1]), percent=True)


class PodDisruptionBudget(KubernetesObject):
    """How many pods may be taken away at once, of those that it selects."""

    __slots__ = ()

    TYPE = "poddisruptionbudgets.policy"

    min_available: Field[Amount] = Field("spec.minAvailable", _amount)
    max_unavailable: Field[Amount] = Field("spec.maxUnavailable", _amount)
    selector = part("spec.selector", LabelSelector)

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Whether it is about pods with these labels, of its own namespace.

        Raises:
            Malformed: it has no selector, as nobody means it, or one with an operator that Kubernetes does not know.
        """
        if self.selector is None:
            pointer = self.at(PodDisruptionBudget.selector).pointer
            raise Malformed(self.document.id, pointer, "a budget without its selector")
        return self.selector.selects(labels)

    def allowed(self, pods: int) -> int:
        """How many of so many healthy pods may be taken away at once; one that says nothing lets all go."""
        if self.max_unavailable is not None:
            return self.max_unavailable.of(pods)
        return pods - self.min_available.of(pods) if self.min_available is not None else pods


class ScaleTarget(View):
    """What an autoscaler scales, in its own namespace."""

    __slots__ = ()

    api_version = text("apiVersion")
    kind = text("kind")
    name = text("name")


class MetricSpec(View):
    """What an autoscaler goes by: of kind Resource or ContainerResource, how much CPU or memory its pods use."""

    __slots__ = ()

    type = text("type")
    resource = text("resource.name")
    resource_target = text("resource.target.type")
    container_resource = text("containerResource.name")
    container_resource_target = text("containerResource.target.type")
    container = text("containerResource.container")


class Condition(View):
    """What the controller of an object says of it."""

    __slots__ = ()

    type = text("type")
    status = text("status")
    reason = text("reason")


class Autoscaler(KubernetesObject):
    """What scales a workload."""

    __slots__ = ()

    TYPE = ""

    target = part("spec.scaleTargetRef", ScaleTarget)


class HorizontalPodAutoscaler(Autoscaler):
    """Kubernetes' own autoscaler of the number of pods."""

    __slots__ = ()

    TYPE = "horizontalpodautoscalers.autoscaling"

    min_replicas = number("spec.minReplicas")
    metrics = parts("spec.metrics", MetricSpec)
    conditions = parts("status.conditions", Condition)


class ScaledObject(Autoscaler):
    """KEDA's: it makes a HorizontalPodAutoscaler, and takes the workload to no pod where nothing is to be done."""

    __slots__ = ()

    TYPE = "scaledobjects.keda.sh"

    min_replica_count = number("spec.minReplicaCount")
    idle_replica_count = number("spec.idleReplicaCount")


class ContainerPolicy(View):
    """What a VerticalPodAutoscaler may change of a container, `*` for all others; without a list, CPU and memory."""

    __slots__ = ()

    container_name = text("containerName")
    mode = text("mode")
    controlled_resources = texts("controlledResources")


class VerticalPodAutoscaler(Autoscaler):
    """The autoscaler of what pods ask for."""

    __slots__ = ()

    TYPE = "verticalpodautoscalers.autoscaling.k8s.io"

    target = part("spec.targetRef", ScaleTarget)
    update_mode = text("spec.updatePolicy.updateMode")
    container_policies = parts("spec.resourcePolicy.containerPolicies", ContainerPolicy)
