"""Who brings security fixes to the control plane and the nodes, and whether both arrive at the same version."""

import datetime as dt
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import assert_never

from aks_audit.facts import (
    AgentPool,
    AgentPoolMode,
    Evidence,
    Malformed,
    ManagedCluster,
    NodeOSUpgradeChannel,
    NotCollected,
    UpgradeChannel,
)
from aks_audit.facts.kubernetes import ServerVersion
from aks_audit.facts.workloads import Node
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import (
    aks_health_check,
    azure_policy,
    checkov,
    kubebuddy,
    prowler,
    psrule,
    review_checklist,
    the_aks_checklist,
)
from aks_audit_rules.live_nodes import IMAGE, nodes_apart, nodes_of, plain_version

_DAY = re.compile(r"-(20\d\d)(\d\d)\.(\d\d)\.\d+$", re.ASCII)
_OLDEST_IMAGE = dt.timedelta(days=90)
_SUPPORTED_SKEW = 2  # minor versions that AKS lets a pool be behind; agentPoolProfiles[].orchestratorVersion says so


@rule(
    "AKS-CP-03",
    title="Kubernetes is upgraded automatically",
    severity=Severity.MEDIUM,
    controls=(
        azure_policy("5c345cdf-2049-47e0-b8fe-b0e96bc2df35"),
        psrule("Azure.AKS.AutoUpgrade"),
        kubebuddy("AKSBP008"),
        review_checklist("e189c599-df0d-45a7-9dd4-ce32c1881370"),
        the_aks_checklist("01deb8ed-b6f5-40bb-8d0b-d0ee2d933f51"),
        checkov("CKV_AZURE_171"),
        prowler("aks_cluster_auto_upgrade_enabled"),
    ),
)
def kubernetes_upgraded_automatically(cluster: ManagedCluster) -> Verdict:
    """A Kubernetes version gets security fixes for about a year. Without a channel, someone has to remember each one.

    A cluster that falls out of support is then upgraded by Microsoft, at a time of Microsoft's choosing.

    Severity: known holes of the API server and the kubelet stay open until a person acts, but most need a foothold in
    the cluster first.
    Decided: `properties.autoUpgradeProfile.upgradeChannel` is patch, stable or rapid. Absent means none (the default).
    node-image fails at low severity: it renews node images and never Kubernetes.
    Fix: az aks update --resource-group {group} --name {name} --auto-upgrade-channel patch
    Bicep: properties.autoUpgradeProfile.upgradeChannel: 'patch'
    Change: in place; later upgrades replace nodes one by one, so set a maintenance window
    (aksManagedAutoUpgradeSchedule)
    References: https://learn.microsoft.com/azure/aks/auto-upgrade-cluster
    Disagreement: Azure Policy and most guides accept every channel but none. node-image is the odd one: it leaves the
    Kubernetes version where it is, so this rule says so, at low severity.
    """
    evidence = cluster.at(ManagedCluster.upgrade_channel)
    channel = cluster.upgrade_channel
    match channel:
        case UpgradeChannel.PATCH | UpgradeChannel.STABLE | UpgradeChannel.RAPID:
            return passes(f"Kubernetes is upgraded on the channel {channel}", evidence)
        case UpgradeChannel.NODE_IMAGE:
            return fails("The channel node-image never upgrades Kubernetes", evidence, severity=Severity.LOW)
        case UpgradeChannel.NONE | None:
            return fails("No channel upgrades Kubernetes", evidence)
        case _:
            assert_never(channel)


@rule(
    "AKS-CP-04",
    title="AKS keeps the operating system of nodes patched",
    severity=Severity.HIGH,
    controls=(
        azure_policy("04408ca5-aa10-42ce-8536-98955cdddd4c"),
        azure_policy("40f1aee2-4db4-4b74-acb1-c6972e24cca8"),
        psrule("Azure.AKS.NodeAutoUpgrade"),
        kubebuddy("AKSBP009"),
        review_checklist("139c9580-ade3-426a-ba09-cf157d9f6477"),
        review_checklist("6f7c4c0d-4e51-4464-ad24-57ed67138b82"),
        the_aks_checklist("945889a8-a9e9-4059-b1aa-0a0df2b8a82c"),
        aks_health_check("CSM-2"),
    ),
)
def node_os_patched(cluster: ManagedCluster) -> Verdict:
    """All containers of a node share its kernel. A known hole in it lets a container become root on the node.

    Severity: where nothing patches (None), a public exploit is all that an intruder in one container needs to own the
    node. Medium for Unmanaged: patches do arrive nightly on Linux, but new nodes start without them, kernel fixes wait
    for a reboot that nobody is in charge of, and Windows nodes get none.
    Decided: `properties.autoUpgradeProfile.nodeOSUpgradeChannel` is SecurityPatch or NodeImage. Absent is unknown:
    api-versions before 2023-06-01 leave it out, and a cluster made with one of them had no such default. AKS Automatic
    always has NodeImage, and says so in the field. Where the nodes of the cluster were read, and the channel is NodeImage,
    one fails as medium whose image (the label `kubernetes.azure.com/node-image-version`) is more than 90 days older than
    the snapshot: the channel did not reach it. AKS makes an image a week for Linux and one a month for Windows, and brings
    it to all regions in about two weeks; no page of Azure's names an age that is too old, so the 90 days are this
    rule's own, and leave room for a maintenance window a month. SecurityPatch patches nodes as they run and leaves their
    image as it is, so that its age says nothing there. So does one fail that AKS patches not at all: its label names no pool of
    `agentPoolProfiles`, node auto-provisioning did not make it and it is no virtual node, or its `spec.providerID` is in
    another resource group than `nodeResourceGroup`. One with another image than the `nodeImageVersion` of its pool fails
    as low: an upgrade is under way, or stuck. Where nodes were asked for and not all read, it is unknown.
    Fix: az aks update --resource-group {group} --name {name} --node-os-upgrade-channel NodeImage
    Bicep: properties.autoUpgradeProfile.nodeOSUpgradeChannel: 'NodeImage'
    Change: in place; each new image replaces nodes one by one, so set a maintenance window
    (aksManagedNodeOSUpgradeSchedule)
    References: https://learn.microsoft.com/azure/aks/auto-upgrade-node-os-image
    https://learn.microsoft.com/azure/aks/node-image-upgrade
    Disagreement: some tools call every other channel medium, Azure's review checklist high. Each is right of some: nodes
    that nothing patches stay open for good, those that patch themselves for a while.
    """
    evidence = cluster.at(ManagedCluster.node_os_upgrade_channel)
    channel = cluster.node_os_upgrade_channel
    match channel:
        case NodeOSUpgradeChannel.SECURITY_PATCH | NodeOSUpgradeChannel.NODE_IMAGE:
            patched = passes(f"AKS patches nodes on the channel {channel}", evidence)
            old = _old_images(cluster) if channel is NodeOSUpgradeChannel.NODE_IMAGE else ()
            return each((patched, *old, *nodes_apart(cluster)), lambda verdict: verdict)
        case NodeOSUpgradeChannel.UNMANAGED:
            message = (
                "Nodes patch themselves (Unmanaged): new nodes start unpatched, and nobody reboots for kernel fixes"
            )
            return fails(message, evidence, severity=Severity.MEDIUM)
        case NodeOSUpgradeChannel.NONE:
            return fails("Nothing patches the operating system of nodes", evidence)
        case None:
            return undecided(
                "The body names no node OS upgrade channel; its default depends on when the cluster was made", evidence
            )
        case _:
            assert_never(channel)


def _old_images(cluster: ManagedCluster) -> Iterator[Verdict]:
    """The nodes, as far as they were read, whose image is too old; and that there may be more, where they were not."""
    as_of = cluster.estate.as_of
    if as_of and (missing := cluster.estate.unlisted(Node, cluster.id)):
        yield undecided(missing[0].reason, missing=missing)
    for node in cluster.estate.within(Node, cluster.id) if as_of else ():
        with suppress(Malformed):  # labels that cannot be read are no proof of an old image
            image = (node.object_labels or {}).get(IMAGE, "")
            made = _day_of(image)
            if made and as_of and dt.date.fromisoformat(as_of[:10]) - made > _OLDEST_IMAGE:
                message = f"Node {node.name} runs the image {image}, which the channel did not renew"
                yield fails(message, node.at(Node.object_labels), severity=Severity.MEDIUM)


def _day_of(image: str) -> dt.date | None:
    """The day that the name of a node image ends with; None where it names none."""
    found = _DAY.search(image)
    with suppress(ValueError):
        return dt.date(*map(int, found.groups())) if found else None
    return None


@rule(
    "AKS-ND-13",
    title="The agent pool runs the control plane's Kubernetes version",
    severity=Severity.MEDIUM,
    controls=(psrule("Azure.AKS.PoolVersion"), kubebuddy("AKSBP012")),
)
def pool_runs_control_plane_version(pool: AgentPool) -> Verdict:
    """A pool that stayed behind keeps old kubelets, with holes that the control plane's upgrade was meant to close.

    It also blocks the next upgrade: the control plane cannot move on while a pool is too far behind.

    Severity: a pool that is behind misses fixes. Low where only the patch differs; high beyond two minor versions,
    which AKS does not support.
    Decided: the pool's `currentOrchestratorVersion` equals the cluster's `properties.currentKubernetesVersion`, to the
    patch. Where either is absent it is unknown: the wanted versions (`orchestratorVersion`, `kubernetesVersion`) may
    not have been reached. During an upgrade a difference is normal; ask again afterwards. Pools that Microsoft runs
    (ManagedSystem) are not applicable when behind, and nodes of node auto-provisioning belong to no pool. Where the inside
    of the cluster was read, the API server must say this version of itself (`/version`), and the kubelet of each node that
    is labelled as the pool's must be of it, too: Azure's answer names the versions that both are to have. Where nodes
    were asked for and not all read, it is unknown.
    Fix: az aks nodepool upgrade --resource-group {group} --cluster-name {cluster} --name {pool} --kubernetes-version <version>
    Bicep: properties.agentPoolProfiles[].orchestratorVersion: '<version>'
    Change: replaces nodes, one by one with surge
    References: https://learn.microsoft.com/azure/aks/upgrade-node-pools
    https://kubernetes.io/releases/version-skew-policy/
    """
    cluster = pool.cluster.read()
    evidence = (
        pool.at(AgentPool.current_orchestrator_version),
        cluster.at(ManagedCluster.current_kubernetes_version),
    )
    ours, theirs = pool.current_orchestrator_version, cluster.current_kubernetes_version
    if ours is None or theirs is None:
        return undecided("The body does not say which versions run", *evidence)
    if pool.mode is AgentPoolMode.MANAGED_SYSTEM and ours != theirs:
        return not_applicable("Microsoft runs and upgrades this pool", *evidence)
    if ours != theirs:
        return fails(f"The pool runs {ours}, the control plane {theirs}", *evidence, severity=_severity(ours, theirs))
    return _as_azure_says(pool, cluster, ours, evidence)


def _as_azure_says(pool: AgentPool, cluster: ManagedCluster, version: str, evidence: tuple[Evidence, ...]) -> Verdict:
    """Whether the API server and the pool's nodes, where they were read, run the version that Azure tells of both."""
    if server := _server_apart(cluster, version):
        running = plain_version(server.git_version or "")
        message = f"The API server runs {running}, where Azure says {version}, and the pool {version}"
        shown = (server.at(ServerVersion.git_version), *evidence)
        return fails(message, *shown, severity=_severity(version, running))
    behind = [node for node in nodes_of(pool, cluster) if plain_version(node.kubelet_version or version) != version]
    if behind:
        return each(behind, lambda node: _behind(node, version, evidence[1]))
    if missing := cluster.estate.unlisted(Node, cluster.id):
        return undecided(missing[0].reason, *evidence, missing=missing)
    return passes(f"Pool and control plane run {version}", *evidence)


def _server_apart(cluster: ManagedCluster, version: str) -> ServerVersion | None:
    """What the API server says of itself, where it was asked and says another version than Azure."""
    with suppress(NotCollected):
        server = cluster.estate.resource(ServerVersion, f"{cluster.id}/version")
        return server if plain_version(server.git_version or version) != version else None
    return None


def _behind(node: Node, control_plane: str, shown: Evidence) -> Verdict:
    version = plain_version(node.kubelet_version or "")
    message = f"Node {node.name} runs {version}, the control plane {control_plane}"
    return fails(message, node.at(Node.kubelet_version), shown, severity=_severity(version, control_plane))


def _severity(pool: str, control_plane: str) -> Severity:
    """How bad a difference of versions is; medium where they are not of the form MAJOR.MINOR.PATCH."""
    try:
        skew = abs(int(control_plane.split(".")[1]) - int(pool.split(".")[1]))
    except (IndexError, ValueError):
        return Severity.MEDIUM
    if skew > _SUPPORTED_SKEW:
        return Severity.HIGH
    return Severity.MEDIUM if skew else Severity.LOW


RULES = (kubernetes_upgraded_automatically, node_os_patched, pool_runs_control_plane_version)
