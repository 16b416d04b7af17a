"""Whether anybody searches images for known flaws: those in the registries of clusters, and those that run."""

from collections.abc import Iterable, Iterator
from contextlib import suppress

from aks_audit.facts import Estate, Evidence, ManagedCluster, Unread
from aks_audit.facts.defender import DefenderPlan, PlanExtension
from aks_audit.facts.enumerations import ExtensionState, PlanCoverage, PricingTier
from aks_audit.facts.registry_use import registries_of
from aks_audit.facts.resource_id import parse
from aks_audit.facts.workloads import workloads
from aks_audit.results import Outcome, Severity, Verdict
from aks_audit.rule import each, fails, passes, rule, undecided
from aks_audit_rules.frameworks import (
    aks_health_check,
    azure_policy,
    prowler,
    psrule,
    review_checklist,
    the_aks_checklist,
)
from aks_audit_rules.known_software import KNOWN

_PLANS = frozenset({"containers", "cloudposture"})
"""The plans that search images; `ContainerRegistry`, which once did, is deprecated."""

_REGISTRY_ACCESS = "ContainerRegistriesVulnerabilityAssessments"
_MACHINES = "AgentlessVmScanning"
_API_ACCESS = "AgentlessDiscoveryForKubernetes"
_NAMES = {
    _REGISTRY_ACCESS: "Registry access",
    _MACHINES: "Agentless scanning for machines",
    _API_ACCESS: "K8S API access",
}
"""What the portal calls the extensions of the plans."""


@rule(
    "AKS-PAAS-10",
    title="Images are searched for known flaws, in the registry and where they run",
    severity=Severity.HIGH,
    controls=(
        azure_policy("090c7b07-b4ed-4561-ad20-e9075f3ccaff"),
        azure_policy("17f4b1cc-c55c-4d94-b1f9-2978f6ac2957"),
        psrule("Azure.ACR.ContainerScan"),
        review_checklist("59bce65d-e8a0-43f9-9879-468d66a786d6"),
        the_aks_checklist("59bce65d-e8a0-43f9-9879-468d66a786d6"),
        aks_health_check("IMG-2"),
        prowler("defender_container_images_scan_enabled"),
    ),
)
def images_searched(cluster: ManagedCluster) -> Verdict:
    """An image is as it was built. The flaws that become known of it later, nobody learns of who does not search it again.

    The registry is searched for what may be deployed; what runs is searched too, for it may come from elsewhere, and
    stays long after its tag has moved on.

    Severity: a flaw with a public exploit in a reachable workload is a way in, and stays one until somebody knows.
    Decided: plans of Defender for Cloud, Containers or CloudPosture, that are on (`pricingTier` Standard). In the
    subscription of each registry of the cluster one needs Registry access on
    (`ContainerRegistriesVulnerabilityAssessments`); in the cluster's own, Agentless scanning for machines
    (`AgentlessVmScanning`), and to know what runs K8S API access (`AgentlessDiscoveryForKubernetes`) or the sensor in
    the cluster (AKS-CP-09). A plan that is on and does not name an extension leaves it unknown: clouds of
    governments have them on by themselves. So does one that covers some resources of the subscription and not others.
    Registries are those that the cluster names or its kubelet identity may pull from, else those of its subscription;
    with none, it is unknown rather than a pass. That a plan is on says nothing of what it found. Where what runs in the cluster was
    read and holds another scanner, what runs is unknown, not a failure; a registry's own or a pipeline's scanner shows
    nowhere: accept the finding as an exception. Plans are read with `--read defender-plans`.
    Fix: az security pricing create --subscription {subscription} --name Containers --tier Standard --extensions name=ContainerRegistriesVulnerabilityAssessments isEnabled=True --extensions name=AgentlessDiscoveryForKubernetes isEnabled=True --extensions name=AgentlessVmScanning isEnabled=True
    Bicep: Microsoft.Security/pricings 'Containers' properties.pricingTier: 'Standard', with these properties.extensions
    Change: in place, for the whole subscription; priced by the cores of nodes and by images
    References: https://learn.microsoft.com/azure/defender-for-cloud/agentless-vulnerability-assessment-azure
    https://learn.microsoft.com/azure/defender-for-cloud/support-matrix-defender-for-containers
    https://learn.microsoft.com/rest/api/defenderforcloud/pricings/list
    """
    found = registries_of(cluster)
    subscriptions = dict.fromkeys(parse(use.registry).subscription.lower() for use in found.known)
    verdicts = [_running(cluster)]
    verdicts += [_extension(cluster.estate, one, _REGISTRY_ACCESS, "registry") for one in subscriptions]
    if found.missing:
        verdicts.append(undecided("; ".join(one.reason for one in found.missing), missing=found.missing))
    elif not found.known:
        evidence = cluster.at(ManagedCluster.kubelet_object_id)
        verdicts.append(undecided("Nothing tells which registry the cluster's images come from", evidence))
    return each(verdicts, lambda verdict: verdict)


def _running(cluster: ManagedCluster) -> Verdict:
    """Whether the images that run in the cluster are searched."""
    own = cluster.parsed.subscription.lower()
    sensor = cluster.at(ManagedCluster.defender_enabled)
    known = passes("The sensor tells Defender what runs", sensor) if cluster.defender_enabled else None
    known = known or _extension(cluster.estate, own, _API_ACCESS, "cluster")
    verdict = each((_extension(cluster.estate, own, _MACHINES, "cluster"), known), lambda one: one)
    if verdict.outcome is Outcome.FAIL and (scanner := _scanner(cluster)):
        return undecided(
            f"{verdict.message}; {scanner} runs in the cluster, and may search what runs", *verdict.evidence
        )
    return verdict


def _extension(estate: Estate, subscription: str, extension: str, about: str) -> Verdict:
    """Whether some plan of a subscription has an extension on."""
    held = estate.within(DefenderPlan, f"/subscriptions/{subscription}")
    said = [_said(plan, extension, about) for plan in held if plan.name.lower() in _PLANS]
    if on := next((one for one in said if one.outcome is Outcome.PASS), None):
        return on
    try:
        held.whole()
    except Unread as unread:
        return undecided(str(unread), missing=unread.missing)
    if unsure := [one for one in said if one.outcome is Outcome.UNKNOWN]:
        return each(unsure, lambda one: one)
    message = f"No plan of Defender for Cloud in the {about}'s subscription has {_NAMES[extension]} on"
    return fails(message, *(evidence for one in said for evidence in one.evidence))


def _said(plan: DefenderPlan, extension: str, about: str) -> Verdict:
    """What one plan says of an extension."""
    return each((plan,), lambda one: _of_plan(one, extension, about))


def _of_plan(plan: DefenderPlan, extension: str, about: str) -> Verdict:
    evidence: tuple[Evidence, ...] = (plan.at(DefenderPlan.tier),)
    if plan.tier is None:
        return undecided(f"The plan {plan.name} does not say whether it is on", *evidence)
    if plan.coverage is PlanCoverage.PARTIALLY_COVERED:
        told = f"The plan {plan.name} covers some resources of the {about}'s subscription, and not others"
        return undecided(told, plan.at(DefenderPlan.coverage))
    if plan.tier is PricingTier.FREE:
        return fails(f"The plan {plan.name} is off", *evidence)
    states = [(one, one.state) for one in plan.extensions or () if (one.name or "").lower() == extension.lower()]
    if any(state is ExtensionState.ON for _, state in states):
        told = f"{_NAMES[extension]} is on in the plan {plan.name} of the {about}'s subscription"
        return passes(told, *evidence, *_shown(one for one, _ in states))
    if any(state is ExtensionState.OFF for _, state in states):
        return fails(
            f"{_NAMES[extension]} is off in the plan {plan.name}", *evidence, *_shown(one for one, _ in states)
        )
    told = f"The plan {plan.name} is on, and does not say whether {_NAMES[extension]} is"
    return undecided(told, *evidence, plan.at(DefenderPlan.extensions))


def _shown(extensions: Iterable[PlanExtension]) -> Iterator[Evidence]:
    for one in extensions:
        yield one.at(PlanExtension.state)


def _scanner(cluster: ManagedCluster) -> str | None:
    """The workload that is a scanner of images, as far as workloads were read."""
    for workload in workloads(cluster).known:
        with suppress(Unread):  # a workload that cannot be read is told of where workloads are judged
            images = [container.image or "" for spec in workload.specs for container in spec.every_container]
            if any(name in image.lower() for image in images for name in KNOWN.image_scanners):
                return f"{workload.namespace}/{workload.name}"
    return None


RULES = (images_searched,)
