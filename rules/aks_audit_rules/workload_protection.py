"""What looks at workloads: at admission, while they run, and after they are gone."""

from typing import assert_never

from aks_audit.facts import AddOn, DeploymentSafeguards, ManagedCluster, SafeguardsLevel
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import (
    aks_health_check,
    azure_policy,
    checkov,
    kubebuddy,
    mcsb,
    prowler,
    psrule,
    review_checklist,
    the_aks_checklist,
)


@rule(
    "AKS-CP-07",
    title="The Azure Policy add-on is enabled",
    severity=Severity.MEDIUM,
    controls=(
        mcsb("AM-2"),
        azure_policy("0a15ec92-a229-4763-bb14-0ea34a568f8d"),
        azure_policy("a8eff44f-8c92-45c3-a3fb-9880802d67a7"),
        psrule("Azure.AKS.AzurePolicyAddOn"),
        kubebuddy("AKSSEC002"),
        review_checklist("9ca48e4a-85e2-4223-bce8-bb12307ca5f1"),
        the_aks_checklist("9ca48e4a-85e2-4223-bce8-bb12307ca5f1"),
        aks_health_check("CSP-9"),
        checkov("CKV_AZURE_116"),
    ),
)
def azure_policy_enabled(cluster: ManagedCluster) -> Verdict:
    """Kubernetes lets whoever may create pods create privileged ones.

    The add-on lets Azure Policy deny them at admission.

    Severity: without any admission control, the right to deploy in one namespace is in effect root on a node.
    Decided: `properties.addonProfiles.azurepolicy.enabled` is true, whatever the key's case. No entry means not
    installed. The add-on denies nothing until policies are assigned. Another admission controller (Gatekeeper, Kyverno,
    Pod Security Admission) cannot be seen in Azure: accept the finding as an exception.
    Fix: az aks enable-addons --resource-group {group} --name {name} --addons azure-policy
    Bicep: properties.addonProfiles.azurepolicy.enabled: true
    Change: in place; assign policies with the effect audit first, then deny
    References: https://learn.microsoft.com/azure/governance/policy/concepts/policy-for-kubernetes
    """
    add_on = cluster.azure_policy
    if add_on is None:
        return fails("The Azure Policy add-on is not installed", cluster.at(ManagedCluster.azure_policy))
    if add_on.enabled:
        return passes("The Azure Policy add-on is enabled", add_on.at(AddOn.enabled))
    return fails("The Azure Policy add-on is disabled", add_on.at(AddOn.enabled))


@rule(
    "AKS-CP-09",
    title="Defender watches the running cluster",
    severity=Severity.MEDIUM,
    controls=(
        mcsb("LT-1"),
        mcsb("DP-2"),
        azure_policy("a1840de2-8088-4ea8-b153-b4c723e9cb01"),
        azure_policy("64def556-fbad-4622-930e-72d1d5589bf5"),
        psrule("Azure.AKS.DefenderProfile"),
        kubebuddy("AKSSEC003"),
        review_checklist("c9e95ffe-6dd1-4a17-8c5f-110389ca9b21"),
        the_aks_checklist("c9e95ffe-6dd1-4a17-8c5f-110389ca9b21"),
        aks_health_check("CSM-3"),
        aks_health_check("IMG-4"),
        prowler("aks_cluster_defender_enabled"),
    ),
)
def defender_enabled(cluster: ManagedCluster) -> Verdict:
    """The Defender sensor sees what happens inside containers: a shell in a web server, a miner, a try at the node.

    No log of Azure or Kubernetes shows that.

    Severity: it lets nobody in, but decides whether an intruder is noticed in minutes or months later.
    Decided: `properties.securityProfile.defender.securityMonitoring.enabled` is true. Where that is absent,
    `securityProfile.azureDefender.enabled` counts, which is the same profile as api-versions before mid-2022 call it.
    Neither is on by default, so absent fails. That the subscription pays for the Defender for Containers plan is not in
    the body. Another runtime sensor cannot be seen here: accept the finding as an exception.
    Fix: az aks update --resource-group {group} --name {name} --enable-defender
    Bicep: properties.securityProfile.defender.securityMonitoring.enabled: true
    Change: in place; adds a DaemonSet, and a price for each core if the plan is not yet on
    References: https://learn.microsoft.com/azure/defender-for-cloud/defender-for-containers-enable
    """
    evidence = cluster.at(ManagedCluster.defender_enabled)
    if cluster.defender_enabled:
        return passes("Defender watches the running cluster", evidence)
    if cluster.defender_enabled is None and cluster.legacy_defender_enabled:
        legacy = cluster.at(ManagedCluster.legacy_defender_enabled)
        return passes("Defender watches the running cluster (azureDefender, the profile's old name)", legacy)
    return fails("Defender does not watch the running cluster", evidence)


@rule(
    "AKS-CP-13",
    title="Image Cleaner removes stale images from nodes",
    severity=Severity.LOW,
    controls=(
        azure_policy("af3c26b2-6fad-493e-9236-9c68928516ab"),
        azure_policy("7e49285c-4bed-4564-b26a-5225ccc311f3"),
        the_aks_checklist("ca62d835-69cc-476d-bd8e-ea8fa58fab9c"),
        kubebuddy("AKSSEC006"),
    ),
)
def image_cleaner_enabled(cluster: ManagedCluster) -> Verdict:
    """Nodes keep images that nothing runs any more, and can start them again years later, holes and all.

    Image Cleaner removes unused images with known vulnerabilities.

    Severity: a stale image harms nobody until someone who may deploy starts it. It fills disks and vulnerability
    reports.
    Decided: `properties.securityProfile.imageCleaner.enabled` is true. Absent means off (the default). Windows nodes
    are not cleaned in any case.
    Fix: az aks update --resource-group {group} --name {name} --enable-image-cleaner
    Bicep: properties.securityProfile.imageCleaner.enabled: true (with intervalHours)
    Change: in place
    References: https://learn.microsoft.com/azure/aks/image-cleaner
    """
    evidence = cluster.at(ManagedCluster.image_cleaner_enabled)
    if cluster.image_cleaner_enabled:
        return passes("Image Cleaner is enabled", evidence)
    return fails("Image Cleaner is not enabled", evidence)


@rule(
    "AKS-CP-17",
    title="The Kubernetes dashboard add-on is off",
    severity=Severity.HIGH,
    controls=(
        the_aks_checklist("aefbf509-a9e8-46cc-8ae9-80f07acffd7c"),
        kubebuddy("AKSSEC007"),
        aks_health_check("CSP-7"),
        checkov("CKV_AZURE_8"),
    ),
)
def kubernetes_dashboard_off(cluster: ManagedCluster) -> Verdict:
    """The add-on runs a web console with rights of its own in the cluster, in a version that gets no fixes any more.

    Severity: an open or tricked dashboard acts on the cluster with its service account's rights, and has been a way
    into clusters in public incidents.
    Decided: `properties.addonProfiles.kubeDashboard.enabled`, whatever the key's case: true fails, false passes. No
    entry is not applicable. A dashboard that someone installed by other means cannot be seen here.
    Fix: az aks disable-addons --resource-group {group} --name {name} --addons kube-dashboard
    Bicep: properties.addonProfiles.kubeDashboard.enabled: false
    Change: in place; the Azure portal shows the same resources with the reader's own rights
    References: https://learn.microsoft.com/azure/aks/kubernetes-portal
    """
    add_on = cluster.kube_dashboard
    if add_on is None:
        return not_applicable("The dashboard add-on is not installed", cluster.at(ManagedCluster.kube_dashboard))
    evidence = add_on.at(AddOn.enabled)
    match add_on.enabled:
        case True:
            return fails("The dashboard add-on is enabled", evidence)
        case False:
            return passes("The dashboard add-on is disabled", evidence)
        case None:
            return undecided("The dashboard add-on has an entry that does not say whether it is enabled", evidence)


@rule(
    "AKS-CP-18",
    title="Deployment safeguards are on",
    severity=Severity.LOW,
    controls=(kubebuddy("AKSBP015"),),
)
def deployment_safeguards_on(cluster: ManagedCluster) -> Verdict:
    """Deployment safeguards warn about, or deny, workloads without probes, resource requests or a fixed image tag.

    Severity: they catch carelessness rather than attacks. Pod Security Standards are a setting of their own in them.
    Decided: the cluster's `Microsoft.ContainerService/deploymentSafeguards` resource has the level Warn or Enforce; or
    the cluster's body does in `properties.safeguardsProfile.level`, where preview api-versions have it (Warning,
    Enforcement). If that resource was looked for and is not there, it fails; if it could not be read, it is unknown.
    Fix: az aks safeguards create --resource-group {group} --name {name} --level Warn
    Bicep: Microsoft.ContainerService/deploymentSafeguards, scope: the cluster, properties.level: 'Warn'
    Change: in place; needs the Azure Policy add-on. Enforce denies and changes deployments: start with Warn
    References: https://learn.microsoft.com/azure/aks/deployment-safeguards
    Follows: AKS-CP-07
    Disagreement: one tool reads `properties.guardrailsProfile`, which the API does not have, and fails every cluster.
    """
    safeguards = cluster.deployment_safeguards
    if safeguards.known:
        return each(safeguards, _level)
    evidence = cluster.at(ManagedCluster.legacy_safeguards_level)
    level = cluster.legacy_safeguards_level
    if level is not None and level is not SafeguardsLevel.OFF:
        return passes(f"The level of deployment safeguards is {level}", evidence)
    safeguards.whole()
    return fails("Deployment safeguards are not on", evidence)


def _level(safeguards: DeploymentSafeguards) -> Verdict:
    evidence = safeguards.at(DeploymentSafeguards.level)
    level = safeguards.level
    match level:
        case SafeguardsLevel.WARN | SafeguardsLevel.WARNING | SafeguardsLevel.ENFORCE | SafeguardsLevel.ENFORCEMENT:
            return passes(f"The level of deployment safeguards is {level}", evidence)
        case SafeguardsLevel.OFF:
            return fails("The level of deployment safeguards is Off", evidence)
        case None:
            return undecided("Deployment safeguards do not say at which level", evidence)
        case _:
            assert_never(level)


RULES = (
    azure_policy_enabled,
    defender_enabled,
    image_cleaner_enabled,
    kubernetes_dashboard_off,
    deployment_safeguards_on,
)
