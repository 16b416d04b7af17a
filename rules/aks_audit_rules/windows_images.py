"""Whether images for Windows are built for the version of Windows that their nodes run."""

import re

from aks_audit.facts import Malformed
from aks_audit.facts.images import read_reference
from aks_audit.facts.platform import is_component
from aks_audit.facts.workloads import Container, Node, Pod, PodSpec, Workload
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import review_checklist, the_aks_checklist
from aks_audit_rules.workload_verdicts import component, with_unread

_SYSTEM = "kubernetes.io/os"
_WINDOWS = "windows"
_BUILD = "node.kubernetes.io/windows-build"
"""The label with the build that the kubelet sets: https://kubernetes.io/docs/reference/labels-annotations-taints/"""

_OF_LINE = {"1809": 17763, "ltsc2019": 17763, "ltsc2022": 20348, "ltsc2025": 26100}
_LINE = re.compile(r"(?<![a-z0-9])(1809|ltsc20(?:19|22|25))(?![a-z0-9])")
_NUMBER = re.compile(r"(?<![0-9.])10\.0\.(\d{5})(?!\d)", re.ASCII)

_RUNS_OLDER = 20348
"""From this build on, Windows Server 2022, newer nodes run what was built for it."""


@rule(
    "AKS-KW-19",
    title="Images for Windows are built for the version of their nodes",
    severity=Severity.LOW,
    controls=(
        review_checklist("c1881370-6f7c-44c0-b4e5-14648d2457ed"),
        the_aks_checklist("c1881370-6f7c-44c0-b4e5-14648d2457ed"),
        review_checklist("67138b82-0102-4ce1-9ee3-01e6e882e52e"),
        the_aks_checklist("67138b82-0102-4ce1-9ee3-01e6e882e52e"),
        the_aks_checklist("4d3e8a06-b724-43a3-b9b9-328a08325c61"),
    ),
)
def windows_images_fit(workload: Workload) -> Verdict:
    """A Windows container shares its node's kernel, and does not start where it was built for another version of Windows.

    Pods that run now fail so when their pool is upgraded, or when they are moved to a newer one.

    Severity: it shows itself with the first pod that is moved, and nothing is open meanwhile.
    Decided: of pods that are for Windows by `os.name` or their node selector, or are on a Windows node, the tag of each image
    names the version (ltsc2019 or 1809, ltsc2022, ltsc2025, or a number such as 10.0.20348), and a node has the same build by
    its label `node.kubernetes.io/windows-build`, or a newer one where the image is for Windows Server 2022 or later. The
    live pods count, and of those that are alike the first, with the node that it is on; the template where no pod lives,
    with each node whose labels its node selector asks for. Where a tag names no version a
    live pod that is Running shows that its images fit; else it is unknown. HostProcess containers fit every version. How
    old the patches in an image are no API tells without its registry. Pods for Linux and components of AKS are not asked about.
    Fix: kubectl edit --namespace {namespace} {kind}/{name} # containers[].image
    Bicep: none; in the manifest: containers[].image, nodeSelector: kubernetes.azure.com/os-sku
    Change: replaces the workload's pods, by its own update strategy
    References: https://learn.microsoft.com/virtualization/windowscontainers/deploy-containers/version-compatibility
        https://learn.microsoft.com/azure/aks/upgrade-windows-os
        https://kubernetes.io/docs/concepts/windows/user-guide/
    """
    if is_component(workload):
        return component(workload)
    pods = {one.document.id: one for one in workload.pods}
    return with_unread(workload, each(workload.running, lambda spec: _fits(workload, spec, pods.get(spec.document.id))))


def _fits(workload: Workload, spec: PodSpec, pod: Pod | None) -> Verdict:
    asked = {(spec.os or "").lower(), (spec.node_selector or {}).get(_SYSTEM, "").lower()}
    node = _node(pod) if pod and pod.node_name else None
    if _WINDOWS not in asked and (node is None or _labels(node).get(_SYSTEM) != _WINDOWS):
        return not_applicable(f"The pods of {workload.kind} {workload.name} are not for Windows")
    nodes = (node,) if node else _candidates(workload, spec)
    return each(
        spec.every_container, lambda one: _container(spec, one, nodes, runs=bool(pod and pod.phase == "Running"))
    )


def _container(spec: PodSpec, container: Container, nodes: tuple[Node, ...], *, runs: bool) -> Verdict:
    evidence = container.at(Container.image)
    host = spec.host_process if container.host_process is None else container.host_process
    if host:
        return not_applicable("HostProcess containers fit every version of Windows", evidence)
    reference = read_reference(container.image or "")
    if reference is None:
        raise Malformed(container.document.id, evidence.pointer, f"{container.image!r} is no reference to an image")
    build = _built_for(reference.tag)
    if build is None:
        good = "The images run on the nodes where their pods are"
        bad = f"The tag of {container.image} names no version of Windows, and no pod shows that it runs"
        return passes(good, evidence) if runs else undecided(bad, evidence)
    builds = sorted({_build_of(one) for one in nodes})
    if any(_runs(build, one) for one in builds):
        return passes("The images are built for the Windows of their nodes", evidence)
    if not builds:
        return undecided("No node of the cluster is one that the pods ask for", evidence)
    told = ", ".join(map(str, builds))
    return fails(f"{container.image} is built for Windows build {build}, and nodes run {told}", evidence)


def _runs(image: int, node: int) -> bool:
    return image == node or _RUNS_OLDER <= image < node


def _built_for(tag: str) -> int | None:
    """The build of Windows that a tag names."""
    if found := _NUMBER.search(tag):
        return int(found[1])
    line = _LINE.search(tag.lower())
    return _OF_LINE[line[1]] if line else None


def _build_of(node: Node) -> int:
    found = _NUMBER.search(_labels(node).get(_BUILD, ""))
    if found is None:
        raise Malformed(node.id, node.at(Node.object_labels).pointer, f"a Windows node without the label {_BUILD}")
    return int(found[1])


def _labels(node: Node) -> dict[str, str]:
    return node.object_labels or {}


def _node(pod: Pod) -> Node:
    return pod.estate.resource(Node, f"{pod.cluster_id}/api/v1/nodes/{pod.node_name}")


def _candidates(workload: Workload, spec: PodSpec) -> tuple[Node, ...]:
    """The Windows nodes that a node selector asks for."""
    wanted = {**(spec.node_selector or {}), _SYSTEM: _WINDOWS}.items()
    return tuple(
        one for one in workload.estate.within(Node, workload.cluster_id).whole() if wanted <= _labels(one).items()
    )


RULES = (windows_images_fit,)
