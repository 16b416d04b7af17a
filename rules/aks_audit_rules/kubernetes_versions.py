"""Whether AKS still mends the cluster's Kubernetes version, and for how long."""

import datetime as dt
from collections.abc import Sequence

from aks_audit.facts import Evidence, ManagedCluster, Missing, NotCollected, UpgradeChannel
from aks_audit.facts.enumerations import SupportPlan
from aks_audit.facts.upkeep import KubernetesRelease, KubernetesVersions, versions_near
from aks_audit.results import Due, Severity, Verdict
from aks_audit.rule import fails, not_applicable, passes, rule, undecided
from aks_audit_rules.dates import CALENDAR, Version, day_of
from aks_audit_rules.frameworks import aks_health_check, azure_policy, psrule, review_checklist, the_aks_checklist

_CALENDAR = f"by its release calendar of {CALENDAR.calendar}"
_LEAVING = dt.timedelta(days=90)
_MOVING_ON = frozenset({UpgradeChannel.STABLE, UpgradeChannel.RAPID})


@rule(
    "AKS-CP-01",
    title="AKS supports the Kubernetes version",
    severity=Severity.HIGH,
    dated=True,
    controls=(
        azure_policy("fb893a29-21bb-418c-a157-e99480ec364c"),
        psrule("Azure.AKS.Version"),
        review_checklist("e189c599-df0d-45a7-9dd4-ce32c1881370"),
        the_aks_checklist("e189c599-df0d-45a7-9dd4-ce32c1881370"),
        aks_health_check("CSM-1"),
    ),
)
def version_supported(cluster: ManagedCluster) -> Verdict:
    """A version without support gets no fixes: the next hole in the API server or the kubelet stays open, and is published.

    Azure answers no questions about Kubernetes in such a cluster, gives its API server no service level, and may upgrade it
    at a time of its own choosing.

    Severity: holes of the control plane that everybody can read about, for good. Medium for a preview, which is mended but
    not supported for production.
    Decided: the minor version of `properties.currentKubernetesVersion`, under `properties.supportPlan`, of which absent means
    KubernetesOfficial, Azure's default. Where AKS's own list of the region was read (`--read kubernetes-versions`), it
    decides: a version that is not in it any more, or not with the cluster's plan, fails, and so does one that `isPreview`
    says is a preview (absent and null, as AKS sends them, mean that it is not). Else AKS's
    release calendar decides, as a dated table holds it, on the day of the snapshot. Nothing is said of a version that is
    newer than the list or the table know, or that the calendar only plans: unknown. Which of both decided, the message
    says. Patches are not judged: AKS supports all of a supported version, with long-term support the two newest.
    Fix: az aks upgrade --resource-group {group} --name {name} --kubernetes-version <version>
    Bicep: properties.kubernetesVersion: '<version>'
    Change: replaces nodes, one minor version after the other; try it out on a cluster that matters less
    References: https://learn.microsoft.com/azure/aks/supported-kubernetes-versions
    https://learn.microsoft.com/azure/aks/long-term-support
    Disagreement: tools name a least version in their rules (1.13 in Azure Policy's definition, 1.20 elsewhere), which is years
    out of date, or demand the newest one. What is supported is a matter of the day, so a dated source decides.
    """
    shown = (cluster.at(ManagedCluster.current_kubernetes_version), cluster.at(ManagedCluster.support_plan))
    minor = minor_version(cluster.current_kubernetes_version)
    if minor is None:
        return undecided("The cluster's body does not say which Kubernetes version runs", *shown)
    plan = cluster.support_plan or SupportPlan.KUBERNETES_OFFICIAL
    try:
        listed = versions_near(cluster)
    except NotCollected as unread:
        return _by_calendar(cluster, minor, plan, shown, unread.missing)
    return _by_list(cluster, minor, plan, shown, listed)


def minor_version(version: str | None) -> str | None:
    """The minor version (`1.34`) of a version as Azure writes it (`1.34.2`); None where it is none."""
    parts = (version or "").split(".")
    whole = len(parts) > 1 and all(part.isascii() and part.isdigit() for part in parts[:2])
    return ".".join(parts[:2]) if whole else None


def number(minor: str) -> tuple[int, ...]:
    """A minor version as numbers, which compare."""
    return tuple(map(int, minor.split(".")))


def _by_list(
    cluster: ManagedCluster, minor: str, plan: SupportPlan, shown: Sequence[Evidence], listed: KubernetesVersions
) -> Verdict:
    """Whether the version is supported, as AKS's own list of the region has it."""
    told = f"by AKS's own list of {cluster.region}"
    evidence = listed.at(KubernetesVersions.releases)
    known = {one: release for release in listed.releases or () if (one := minor_version(release.version))}
    if not known or number(minor) > max(map(number, known)):
        return undecided(f"Kubernetes {minor} is newer than all that AKS has, {told}", *shown, evidence)
    day = day_of(cluster.estate)
    due = _due(minor, plan, day)
    over = [one if _is_past(one, day) else Due(one.what, None, one.action) for one in due]
    if minor not in known:
        return fails(f"Kubernetes {minor} has no support any more, {told}", *shown, evidence, due=over)
    release = known[minor]
    if release.is_preview:
        preview = release.at(KubernetesRelease.is_preview)
        message = f"Kubernetes {minor} is a preview, {told}"
        return fails(message, *shown, preview, severity=Severity.MEDIUM)
    plans = release.at(KubernetesRelease.support_plans)
    if release.support_plans is None:
        return undecided(f"Of Kubernetes {minor} AKS's own list does not say how it is supported", *shown, plans)
    if plan.lower() not in map(str.lower, release.support_plans):
        message = f"Kubernetes {minor} is not supported with the plan {plan} any more, {told}"
        return fails(message, *shown, plans, due=over)
    ahead = [one for one in due if not _is_past(one, day)]  # AKS's list is newer than the calendar
    return passes(f"Kubernetes {minor} is supported with the plan {plan}, {told}", *shown, plans, due=ahead)


def _by_calendar(
    cluster: ManagedCluster, minor: str, plan: SupportPlan, shown: Sequence[Evidence], missing: Sequence[Missing]
) -> Verdict:
    """Whether the version is supported, as AKS's release calendar has it."""
    day, ends = day_of(cluster.estate), CALENDAR.versions.get(minor)
    due = _due(minor, plan, day)
    if _is_older(minor):
        return fails(f"Kubernetes {minor} has had no support for long, {_CALENDAR}", *shown, due=due)
    if ends is None or ends.general > day:
        message = f"Of Kubernetes {minor} AKS says nothing yet, {_CALENDAR}; its list of the region was not read"
        return undecided(message, *shown, missing=missing)
    end = _end(ends, plan)
    if end <= day:
        return fails(f"AKS's support of Kubernetes {minor} ended on {end}, {_CALENDAR}", *shown, due=due)
    return passes(f"AKS supports Kubernetes {minor} until {end}, {_CALENDAR}", *shown, due=due)


def _is_older(minor: str) -> bool:
    """Whether a version is older than all that the calendar tells of."""
    return number(minor) < min(map(number, CALENDAR.versions))


def _end(ends: Version, plan: SupportPlan) -> dt.date:
    return ends.long_term if plan is SupportPlan.AKS_LONG_TERM_SUPPORT else ends.community


def _due(minor: str, plan: SupportPlan, day: dt.date) -> tuple[Due, ...]:
    """When support ends by the calendar; nothing where it knows nothing of the version."""
    ends, what = CALENDAR.versions.get(minor), f"Support of Kubernetes {minor}"
    if ends is None:
        return (Due(what, None, "upgrade the cluster"),) if _is_older(minor) else ()
    longer = plan is SupportPlan.KUBERNETES_OFFICIAL and ends.long_term - day > _LEAVING
    more = f", or take long-term support until {ends.long_term}" if longer else ""
    return (Due(what, str(_end(ends, plan)), f"upgrade the cluster{more}"),)


def _is_past(due: Due, day: dt.date) -> bool:
    return due.date is None or due.date <= str(day)


@rule(
    "AKS-CP-02",
    title="A Kubernetes version that is kept has long-term support, and its patches",
    severity=Severity.INFO,
    controls=(the_aks_checklist("96516e10-4664-421a-992d-1271c29743ea"),),
)
def long_term_support(cluster: ManagedCluster) -> Verdict:
    """Community support of a version lasts a year. Whoever cannot move on by then needs long-term support, or gets no fixes.

    Long-term support in turn is of the two newest patches alone, so it needs somebody to bring them.

    Severity: nothing is open yet; it is a decision to make while there is time. Once support is over, AKS-CP-01 fails.
    Decided: with `properties.supportPlan` AKSLongTermSupport, `autoUpgradeProfile.upgradeChannel` is patch, stable or
    rapid; node-image, none and absent, which means none, fail. With KubernetesOfficial, community support of
    `properties.currentKubernetesVersion` lasts for more than 90 days, by AKS's release calendar on the day of the snapshot,
    or the channel is stable or rapid, which move to the next minor version; patch stays on this one. The 90 days are this
    rule's own. After the end it is not applicable; without a plan in the body, and of versions that the calendar does not
    know, unknown.
    Fix: az aks update --resource-group {group} --name {name} --tier premium --k8s-support-plan AKSLongTermSupport --auto-upgrade-channel patch
    Bicep: properties.supportPlan: 'AKSLongTermSupport', sku.tier: 'Premium', properties.autoUpgradeProfile.upgradeChannel: 'patch'
    Change: in place; the Premium tier costs more. Where nothing keeps the cluster on its version, upgrade it instead
    References: https://learn.microsoft.com/azure/aks/long-term-support
    https://learn.microsoft.com/azure/aks/auto-upgrade-cluster
    """
    plan, channel = cluster.support_plan, cluster.upgrade_channel
    shown = (cluster.at(ManagedCluster.support_plan), cluster.at(ManagedCluster.upgrade_channel))
    if plan is None:
        return undecided("The cluster's body does not name its support plan", *shown)
    if plan is SupportPlan.KUBERNETES_OFFICIAL:
        return _community(cluster, shown)
    if channel is UpgradeChannel.PATCH or channel in _MOVING_ON:
        return passes(f"The cluster has long-term support, and its patches by the channel {channel}", *shown)
    return fails("Long-term support is of the two newest patches alone, and no channel brings them", *shown)


def _community(cluster: ManagedCluster, shown: Sequence[Evidence]) -> Verdict:
    """Whether community support of the version lasts for a while, or the cluster moves on by itself."""
    shown = (cluster.at(ManagedCluster.current_kubernetes_version), *shown)
    minor = minor_version(cluster.current_kubernetes_version)
    if minor is None:
        return undecided("The cluster's body does not say which Kubernetes version runs", *shown)
    ends, day = CALENDAR.versions.get(minor), day_of(cluster.estate)
    if _is_older(minor) or (ends and ends.community <= day):
        return not_applicable(f"Community support of Kubernetes {minor} is over; AKS-CP-01 judges that", *shown)
    if ends is None:
        return undecided(f"Until when Kubernetes {minor} has community support, is not known, {_CALENDAR}", *shown)
    told = f"Community support of Kubernetes {minor} ends on {ends.community}"
    if ends.community - day > _LEAVING:
        return passes(f"{told}, not soon", *shown)
    if cluster.upgrade_channel in _MOVING_ON:
        return passes(f"{told}; the channel {cluster.upgrade_channel} moves the cluster on", *shown)
    return fails(f"{told}, and no channel moves the cluster on: upgrade it, or take long-term support", *shown)


RULES = (version_supported, long_term_support)
