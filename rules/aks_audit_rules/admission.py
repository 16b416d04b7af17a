"""What is asked before the API server takes an object: whether it is there, and whether it may be gone around."""

from collections.abc import Callable
from typing import NamedTuple

from aks_audit.facts import Malformed, ManagedCluster, NotCollected, Unread
from aks_audit.facts.admission import (
    AdmissionObject,
    AdmissionPolicy,
    AdmissionPolicyBinding,
    ValidatingAdmissionPolicy,
    ValidatingWebhookConfiguration,
    Webhook,
    WebhookConfiguration,
)
from aks_audit.facts.platform import marked, of_aks, system_namespaces
from aks_audit.facts.services import EndpointSlice, Service
from aks_audit.facts.workloads import Namespace
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import kubebuddy

_FAIL, _IGNORE = "Fail", "Ignore"


@rule(
    "AKS-KS-25",
    title="Admission webhooks and policies are in force",
    severity=Severity.MEDIUM,
    controls=(kubebuddy("SEC024"), kubebuddy("SEC025"), kubebuddy("SEC026"), kubebuddy("SEC030")),
)
def admission_in_force(one: AdmissionObject) -> Verdict:
    """A webhook that nobody answers lets everything through, or nothing; a policy that nothing binds is a wish.

    Severity: what was meant to be refused is taken; or, with a webhook that must answer, no pod starts any more.
    Decided: of each webhook, its Service is there and has a ready back end, and one that may refuse objects has the
    failure policy Fail, which absent means. Whether an address outside the cluster answers cannot be told: unknown. Of
    each admission policy, its failure policy is Fail, and something binds it; of a validating one, with the action Deny
    (with Audit and Warn alone of less weight). What AKS made is not asked about: what bears its mark or is known by its
    name, and webhooks of its own Services. Namespaces of people that a webhook is not asked about are named, and held to be meant. The certificates
    of webhooks are not read.
    Fix: kubectl edit {kind} {name}
    Bicep: none; in the manifest: webhooks[].failurePolicy: Fail, or a binding with validationActions: [Deny]
    Change: in place, at once; with Fail, let the namespaces of the webhook itself and of AKS be left out first
    References: https://kubernetes.io/docs/concepts/cluster-administration/admission-webhooks-good-practices/
        https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
        https://learn.microsoft.com/azure/aks/faq#can-i-use-admission-controller-webhooks-on-aks
    """
    if of_aks(one):
        return not_applicable(f"{one.name} is AKS's own", one.at(AdmissionObject.object_labels))
    match one:
        case WebhookConfiguration():
            return each(one.webhooks or (), lambda webhook: _webhook(one, webhook))
        case AdmissionPolicy():
            return _policy(one)
        case _:
            raise TypeError(one.TYPE)


def _webhook(configuration: WebhookConfiguration, webhook: Webhook) -> Verdict:
    service = _service(configuration, webhook)
    if service and service.of_platform:
        return not_applicable(f"{webhook.name} is AKS's own", webhook.at(Webhook.service_name))
    evidence = webhook.at(Webhook.failure_policy)
    policy = webhook.failure_policy or _FAIL
    if policy not in {_FAIL, _IGNORE}:
        return undecided(f"{webhook.name} has a failure policy that is not known: {policy}", evidence)
    what = "everything goes through unasked" if policy == _IGNORE else "what it would be asked about is refused"
    who = f"{webhook.service_namespace}/{webhook.service_name}" if webhook.service_name else webhook.url
    if webhook.service_name and service is None:
        return fails(f"{webhook.name} asks the Service {who}, which is not there: {what}", evidence)
    if policy == _IGNORE and isinstance(configuration, ValidatingWebhookConfiguration):
        return fails(f"{webhook.name} lets everything through while {who} does not answer", evidence)
    if service and not _answers(service):
        return fails(f"{webhook.name} asks the Service {who}, which has no ready back end: {what}", evidence)
    told = f"{webhook.name} is in force{_left_out(configuration, webhook)}"
    outside = undecided(f"Whether {who}, which {webhook.name} asks, answers cannot be told", webhook.at(Webhook.url))
    return passes(told, evidence) if service else outside


def _service(configuration: WebhookConfiguration, webhook: Webhook) -> Service | None:
    """The Service that a webhook asks; None where it asks an address outside, or a Service that is not there."""
    if webhook.service_name is None:
        if webhook.url is None:
            raise Malformed(configuration.id, webhook.pointer, "a webhook that names nobody to ask")
        return None
    if webhook.service_namespace is None:
        raise Malformed(configuration.id, webhook.pointer, "a webhook with a Service in no namespace")
    cluster, estate = configuration.cluster_id, configuration.estate
    path = f"/api/v1/namespaces/{webhook.service_namespace}/services/{webhook.service_name}"
    try:
        return estate.resource(Service, f"{cluster}{path}")
    except NotCollected:
        estate.within(Service, cluster).whole()
        return None


class _BackEnds(NamedTuple):
    """The Services with a ready back end, by namespace and name, and what could not be read that may hold more."""

    ready: frozenset[tuple[str, str]]
    unread: Unread | None


def _back_ends(cluster: ManagedCluster) -> _BackEnds:
    ready: set[tuple[str, str]] = set()
    unread: Unread | None = None
    held = cluster.estate.within(EndpointSlice, cluster.id)
    for one in held:
        try:
            if any(endpoint.ready is not False and endpoint.addresses for endpoint in one.endpoints or ()):
                ready.add((one.namespace, one.service))
        except Unread as lost:
            unread = lost
    try:
        held.whole()
    except NotCollected as lost:
        unread = lost
    return _BackEnds(frozenset(ready), unread)


def _answers(service: Service) -> bool:
    """Whether something stands ready behind a Service.

    Raises:
        Unread: what could not be read may stand behind it.
    """
    found = service.estate.once(_back_ends, service.cluster)
    if (service.namespace, service.name) in found.ready:
        return True
    if found.unread:
        raise found.unread
    return False


def _left_out(configuration: WebhookConfiguration, webhook: Webhook) -> str:
    """The namespaces of people that a webhook is not asked about, in words."""
    selector = webhook.namespace_selector
    if selector is None:
        return ""
    selector.selects({})  # what it cannot be read for, it cannot, whichever namespaces are known
    known = configuration.estate.within(Namespace, configuration.cluster_id)
    theirs = [one for one in known if one.name not in system_namespaces() and not marked(one)]
    names = sorted(one.name for one in theirs if not selector.selects(one.object_labels or {}))
    return f", but not asked about {', '.join(names)}" if names else ""


def _policy(policy: AdmissionPolicy) -> Verdict:
    evidence = policy.at(AdmissionPolicy.failure_policy)
    if policy.find("spec")[0] is None:
        raise Malformed(policy.id, f"{policy.pointer}/spec", "a policy without what it is made of")
    failing = policy.failure_policy or _FAIL
    if failing not in {_FAIL, _IGNORE}:
        return undecided(f"{policy.name} has a failure policy that is not known: {failing}", evidence)
    bindings = _bindings(policy, lambda _: True)
    if not bindings:
        return fails(f"Nothing binds {policy.name}: it is not in force", evidence)
    cited = [one.at(AdmissionPolicyBinding.validation_actions) for one in bindings]
    if isinstance(policy, ValidatingAdmissionPolicy) and not _bindings(policy, _denies):
        told = f"{policy.name} refuses nothing: no binding of it has the action Deny"
        return fails(told, *cited, severity=Severity.LOW)
    if failing == _IGNORE:
        told = f"{policy.name} lets through what it cannot be evaluated for"
        return fails(told, evidence, severity=Severity.LOW)
    return passes(f"{policy.name} is in force", evidence, *cited)


def _bindings(
    policy: AdmissionPolicy, wanted: Callable[[AdmissionPolicyBinding], bool]
) -> tuple[AdmissionPolicyBinding, ...]:
    """The bindings of a policy that are wanted.

    Raises:
        NotCollected: there are none among those that were read, and not all were read.
        Malformed: there are none, and one cannot be read.
    """
    held = policy.estate.within(policy.BINDING, policy.cluster_id)
    found: list[AdmissionPolicyBinding] = []
    unread: Unread | None = None
    for one in held:
        try:
            if _policy_of(one) == policy.name and wanted(one):
                found.append(one)
        except Unread as lost:
            unread = lost
    if not found:
        held.whole()
        if unread:
            raise unread
    return tuple(found)


def _policy_of(binding: AdmissionPolicyBinding) -> str:
    if binding.policy_name is None:
        pointer = binding.at(AdmissionPolicyBinding.policy_name).pointer
        raise Malformed(binding.id, pointer, "a binding that names no policy")
    return binding.policy_name


def _denies(binding: AdmissionPolicyBinding) -> bool:
    if not binding.validation_actions:
        pointer = binding.at(AdmissionPolicyBinding.validation_actions).pointer
        raise Malformed(binding.id, pointer, "a binding without its actions")
    return "Deny" in binding.validation_actions


RULES = (admission_in_force,)
