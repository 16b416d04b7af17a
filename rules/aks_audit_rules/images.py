"""Images: where they come from, whether their names move, and whether anybody still mends their flaws."""

import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from importlib.resources import files
from typing import NamedTuple

import msgspec

from aks_audit.facts import Evidence, Malformed
from aks_audit.facts.images import ImageReference, read_reference
from aks_audit.facts.platform import is_component
from aks_audit.facts.workloads import Container, PodSpec, Volume, Workload
from aks_audit.results import Due, Severity, Verdict
from aks_audit.rule import each, every, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.dates import IMAGES, day_of
from aks_audit_rules.frameworks import (
    aks_health_check,
    azure_policy,
    checkov,
    kubebuddy,
    prowler,
    review_checklist,
    the_aks_checklist,
)
from aks_audit_rules.workload_verdicts import Worst, judge_specs


class _PublicRegistries(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    as_of: dt.date
    hosts: frozenset[str]


def _data(name: str) -> bytes:
    return files("aks_audit_rules").joinpath(f"data/{name}.toml").read_bytes()


_PUBLIC = msgspec.toml.decode(_data("public_registries"), type=_PublicRegistries).hosts
_AZURE = (".azurecr.io", ".azurecr.cn", ".azurecr.us")
_MICROSOFT = frozenset({"mcr.microsoft.com", "mcr.azure.cn", "mcr.azure.us"})
_MOVING = frozenset({"", "latest"})
_ALWAYS, _NEVER = "Always", "Never"


class Used(NamedTuple):
    """An image that a pod uses, by a container or as a volume."""

    whose: str
    view: Container | Volume

    @property
    def evidence(self) -> Evidence:
        """The reference, as it was read."""
        return self.view.at(type(self.view).image)

    @property
    def reference(self) -> ImageReference:
        """The image by its whole name.

        Raises:
            Malformed: the name is not there, or is no reference.
        """
        written = self.view.image
        found = read_reference(written or "")
        if found is None:
            raise Malformed(self.view.document.id, self.evidence.pointer, f"{written!r} is no reference to an image")
        return found

    @property
    def pull_policy(self) -> str:
        """When the image is pulled; Kubernetes' own default where nothing is said."""
        default = _ALWAYS if _moves_by_default(self.reference) else "IfNotPresent"
        return self.view.image_pull_policy or default

    @property
    def policy_evidence(self) -> Evidence:
        """The pull policy, as it was read."""
        return self.view.at(type(self.view).image_pull_policy)


def _moves_by_default(reference: ImageReference) -> bool:
    return not reference.digest and reference.tag in _MOVING


def _judge(workload: Workload, judge_one: Callable[[Used], Verdict], worst: Worst = each) -> Verdict:
    theirs = is_component(workload)

    def judge_spec(spec: PodSpec, containers: tuple[Container, ...]) -> Verdict:
        volumes = () if theirs else spec.volumes or ()
        return worst(tuple(_used(containers, volumes)), judge_one)

    return judge_specs(workload, judge_spec, worst)


def _used(containers: Iterable[Container], volumes: Iterable[Volume]) -> Iterator[Used]:
    for each_container in containers:
        whose = f"{each_container.kind} {each_container.node.get('name', '?')}"
        yield Used(whose, each_container)
    for one in volumes:
        if "image" in one.sources:
            yield Used(f"volume {one.node.get('name', '?')}", one)


@rule(
    "AKS-KS-18",
    title="Images come from private registries or Microsoft's own",
    severity=Severity.HIGH,
    controls=(
        azure_policy("febd0533-8e55-448f-b837-bd0e06f16469"),
        azure_policy("5f86cb6e-c4da-441b-807c-44bd0cc14e66"),
        kubebuddy("AKSBP001"),
        kubebuddy("SEC014"),
        aks_health_check("IMG-3"),
        the_aks_checklist("8dcb9d27-a601-48e6-aeb8-e0469aaf8921"),
        the_aks_checklist("55b46a94-8008-4ae7-b7e4-b475b6c8bdbf"),
        review_checklist("55b46a94-8008-4ae7-b7e4-b475b6c8bdbf"),
    ),
)
def trusted_registries(workload: Workload) -> Verdict:
    """What a public registry serves today it may change, limit or take away tomorrow, and nobody here has looked at it.

    A registry of one's own holds what was searched for flaws, is reached over a private endpoint, and needs no hole in
    the firewall.

    Severity: who takes over a publisher's account runs code in the cluster; with a digest the content stays what it was.
    Decided: the registry of each image of containers of all kinds and of image volumes, in the template and in each live
    pod that differs from it. Azure Container Registry and Microsoft's own registries pass; whose registry it is, is not
    asked. Public registries fail, Docker Hub among them, whose images name no registry; of less weight where a digest is
    named. Whether another host is one's own cannot be told: unknown.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: image: <registry>.azurecr.io/<repository>, after az acr import or with a cache rule
    Change: replaces the workload's pods, by its own update strategy
    References: https://learn.microsoft.com/azure/aks/operator-best-practices-container-image-management
        https://learn.microsoft.com/azure/container-registry/artifact-cache-overview
    """
    return _judge(workload, _from_trusted)


def _from_trusted(used: Used) -> Verdict:
    found = used.reference
    if found.host in _MICROSOFT or found.host.endswith(_AZURE):
        return passes("Images come from Azure Container Registry or Microsoft's own", used.evidence)
    if found.host in _PUBLIC:
        severity = Severity.MEDIUM if found.digest else Severity.HIGH
        told = f"{used.whose} runs an image of the public registry {found.host}: {found}"
        return fails(told, used.evidence, severity=severity)
    return undecided(
        f"Whether {found.registry}, from which {used.whose} comes, is one's own cannot be told", used.evidence
    )


@rule(
    "AKS-KS-19",
    title="Images are named by a version or a digest",
    severity=Severity.LOW,
    controls=(
        azure_policy("021f8078-41a0-40e6-81b6-c6597da9f3ee"),
        kubebuddy("POD007"),
        kubebuddy("SEC035"),
        checkov("CKV_K8S_14"),
        prowler("core_image_tag_fixed"),
    ),
)
def no_latest(workload: Workload) -> Verdict:
    """The tag `latest` is another image each time: what runs cannot be told, and a rollback does not bring it back.

    Severity: it hides what runs from whoever looks for flaws, and opens nothing by itself.
    Decided: the image of each container of any kind and of each image volume, in the template and in each live pod that
    differs from it, has a digest, or a tag other than `latest`. No tag means `latest`. Beside a digest a tag means
    nothing. Any tag may be moved to another image; the message says whether digests pin them all.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: image: <registry>/<repository>@sha256:<digest>
    Change: replaces the workload's pods, by its own update strategy
    References: https://kubernetes.io/docs/concepts/containers/images/#image-names
    """
    return _judge(workload, _versioned)


def _versioned(used: Used) -> Verdict:
    found = used.reference
    if found.digest:
        return passes("Named by a digest", used.evidence)
    if found.tag in _MOVING:
        how = "has the tag latest" if found.tag else "has no tag, which means latest"
        return fails(f"The image of {used.whose} {how}: {found}", used.evidence)
    return passes(f"The image of {used.whose} is named by the tag {found.tag}, and no digest", used.evidence)


@rule(
    "AKS-KS-20",
    title="Images whose names move are pulled for each container",
    severity=Severity.LOW,
    controls=(
        azure_policy("50c83470-d2f0-4dda-a716-1938a4825f62"),
        the_aks_checklist("d457598a-047b-4fd7-88e5-9c61dea67f6a"),
        checkov("CKV_K8S_15"),
    ),
)
def pull_policy(workload: Workload) -> Verdict:
    """A node that has an image of the same name runs that one, old as it is, and the next node another.

    With Never it runs what somebody put there, and needs no right to pull it.

    Severity: what runs depends on the node; it takes access to a node to make use of it.
    Decided: `imagePullPolicy` of each container of any kind, and of image volumes, is Always, or the name has a digest or
    a tag that names a version. Never fails. IfNotPresent fails with the tag latest, without a tag, and with a tag in
    which no digit stands, such as `dev`, which names no version. Absent means Always for the tag latest and without a
    tag, and IfNotPresent else.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: imagePullPolicy: Always, or an image by its digest
    Change: replaces the workload's pods, by its own update strategy
    References: https://kubernetes.io/docs/concepts/containers/images/#image-pull-policy
    """
    return _judge(workload, _pulled)


def _pulled(used: Used) -> Verdict:
    found, policy, evidence = used.reference, used.pull_policy, used.policy_evidence
    if policy == _NEVER:
        return fails(f"The image of {used.whose} is never pulled: {found}", evidence, used.evidence)
    if policy == _ALWAYS:
        return passes("Images are pulled for each container, or their names stand for one version", evidence)
    if policy != "IfNotPresent":
        return undecided(f"{used.whose} has a pull policy that is not known: {policy}", evidence)
    if found.digest or (found.tag not in _MOVING and re.search(r"[0-9]", found.tag)):
        told = "Images are pulled for each container, or their names stand for one version"
        return passes(told, evidence, used.evidence)
    told = f"The image of {used.whose} is not pulled where a node has one of its name, which moves: {found}"
    return fails(told, evidence, used.evidence)


@rule(
    "AKS-KS-21",
    title="No image is of a line whose maintenance has ended",
    dated=True,
    severity=Severity.MEDIUM,
    controls=(
        kubebuddy("SEC034"),
        aks_health_check("IMG-7"),
        aks_health_check("CSP-6"),
        the_aks_checklist("f57ba3a5-93ae-435f-9468-80ccd6a841b9"),
        the_aks_checklist("22882284-a9c2-4e16-b3e3-2d4947cc24b8"),
    ),
)
def maintained_images(workload: Workload) -> Verdict:
    """Flaws that are found in an image after its end of life stay in it, and are published all the same.

    Severity: known flaws without a remedy; how far they lead depends on what runs.
    Decided: images of containers of all kinds and image volumes whose end of life is known by repository and tag, of
    distributions, languages and databases that are widely used as base images, by the day of the snapshot. About others
    the rule is not applicable: what an image was built on, and when, no API of the cluster tells; a scanner of images
    reads it. A digest without a tag names no line.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: image: <registry>/<repository>:<a maintained version>
    Change: replaces the workload's pods, by its own update strategy
    References: https://learn.microsoft.com/azure/aks/operator-best-practices-container-image-management
    """
    return _judge(workload, partial(_maintained, day_of(workload.estate)), every)


def _maintained(day: dt.date, used: Used) -> Verdict:
    found = used.reference
    known = next((line for line in IMAGES if any(_is_of(found.name, name) for name in line.names)), None)
    end = _end(found.tag, known.lines) if known else None
    if known is None or end is None:
        return not_applicable(f"When the maintenance of {found.name} ends is not known", used.evidence)
    due = [
        Due(f"The image {found.name}{found.tag and ':' + found.tag}", str(end), "move to a version that is maintained")
    ]
    if end <= day:
        told = f"The image of {used.whose} has not been maintained since {end}: {found} ({known.source})"
        return fails(told, used.evidence, due=due)
    return passes(f"The image of {used.whose} is maintained until {end}", used.evidence, due=due)


def _is_of(name: str, known: str) -> bool:
    return name.startswith(known.removesuffix("*")) if known.endswith("/*") else name == known


def _end(tag: str, lines: Mapping[str, dt.date]) -> dt.date | None:
    """The first day without maintenance of the line that a tag belongs to; None where none is known."""
    if "*" in lines:
        return lines["*"]
    version = re.split(r"[-_+]", tag, maxsplit=1)[0].removeprefix("v")
    return next((end for line, end in lines.items() if version == line or version.startswith(f"{line}.")), None)


RULES = (trusted_registries, no_latest, pull_policy, maintained_images)
