"""Facts about what is asked before the API server takes an object: admission webhooks and admission policies.

Source: admissionregistration.k8s.io/v1. The certificates of webhooks (`caBundle`) are not kept in snapshots.
"""

from collections.abc import Mapping

from aks_audit.facts.field import View, named_texts, part, parts, text, texts
from aks_audit.facts.kubernetes import KubernetesObject
from aks_audit.facts.unread import Malformed


class SelectorRequirement(View):
    """What a selector asks of one label."""

    __slots__ = ()

    key = text("key")
    operator = text("operator")
    values = texts("values")

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Whether labels are what it asks for; NotIn and DoesNotExist take what has no such label.

        Raises:
            Malformed: it has an operator that Kubernetes does not know.
        """
        value, values = labels.get(self.key or ""), self.values or ()
        match self.operator:
            case "In":
                return value in values
            case "NotIn":
                return value not in values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
            case _:
                raise Malformed(self.document.id, self.pointer, f"an operator {self.operator!r}")


class LabelSelector(View):
    """Which objects are meant, by their labels; an empty one means all."""

    __slots__ = ()

    match_labels = named_texts("matchLabels")
    match_expressions = parts("matchExpressions", SelectorRequirement)

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Whether it means an object with these labels.

        Raises:
            Malformed: it has an operator that Kubernetes does not know.
        """
        equal = all(labels.get(key) == value for key, value in (self.match_labels or {}).items())
        return equal and all(one.fits(labels) for one in self.match_expressions or ())


class Webhook(View):
    """A webhook: a Service of the cluster or an address outside, which is asked about certain objects.

    Without a failure policy it is Fail: what it cannot be asked about is refused.
    """

    __slots__ = ()

    name = text("name")
    failure_policy = text("failurePolicy")
    service_name = text("clientConfig.service.name")
    service_namespace = text("clientConfig.service.namespace")
    url = text("clientConfig.url")
    namespace_selector = part("namespaceSelector", LabelSelector)


class AdmissionObject(KubernetesObject):
    """A configuration of webhooks, or an admission policy."""

    __slots__ = ()

    TYPE = ""

    @property
    def labels(self) -> Mapping[str, str]:
        """The names that a fix needs."""
        return {**super().labels, "kind": self.TYPE}


class WebhookConfiguration(AdmissionObject):
    """Webhooks that are asked before objects are taken."""

    __slots__ = ()

    webhooks = parts("webhooks", Webhook)


class ValidatingWebhookConfiguration(WebhookConfiguration):
    """Webhooks that may refuse objects."""

    __slots__ = ()

    TYPE = "validatingwebhookconfigurations.admissionregistration.k8s.io"


class MutatingWebhookConfiguration(WebhookConfiguration):
    """Webhooks that may change objects."""

    __slots__ = ()

    TYPE = "mutatingwebhookconfigurations.admissionregistration.k8s.io"


class AdmissionPolicyBinding(KubernetesObject):
    """What puts an admission policy into force."""

    __slots__ = ()

    TYPE = ""

    policy_name = text("spec.policyName")
    validation_actions = texts("spec.validationActions")


class ValidatingAdmissionPolicyBinding(AdmissionPolicyBinding):
    """What puts a validating policy into force, with what is done about an object that breaks it."""

    __slots__ = ()

    TYPE = "validatingadmissionpolicybindings.admissionregistration.k8s.io"


class MutatingAdmissionPolicyBinding(AdmissionPolicyBinding):
    """What puts a mutating policy into force."""

    __slots__ = ()

    TYPE = "mutatingadmissionpolicybindings.admissionregistration.k8s.io"


class AdmissionPolicy(AdmissionObject):
    """A policy that the API server itself evaluates. Without a failure policy it is Fail."""

    __slots__ = ()

    BINDING: type[AdmissionPolicyBinding]

    failure_policy = text("spec.failurePolicy")


class ValidatingAdmissionPolicy(AdmissionPolicy):
    """A policy that may refuse objects."""

    __slots__ = ()

    TYPE = "validatingadmissionpolicies.admissionregistration.k8s.io"
    BINDING = ValidatingAdmissionPolicyBinding


class MutatingAdmissionPolicy(AdmissionPolicy):
    """A policy that may change objects."""

    __slots__ = ()

    TYPE = "mutatingadmissionpolicies.admissionregistration.k8s.io"
    BINDING = MutatingAdmissionPolicyBinding


ADMISSION: Mapping[type[KubernetesObject], tuple[type[AdmissionObject], ...]] = {
    AdmissionObject: (
        ValidatingWebhookConfiguration,
        MutatingWebhookConfiguration,
        ValidatingAdmissionPolicy,
        MutatingAdmissionPolicy,
    )
}
"""The kinds that the kind made of several stands for."""
