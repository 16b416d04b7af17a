"""What runs in pods that no pod should run: engines of containers, shells from outside, administrators of Windows."""

import re
from functools import partial

from aks_audit.facts import Malformed
from aks_audit.facts.images import read_reference
from aks_audit.facts.workloads import Container, ContainerPort, PodSpec, Volume, Workload
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, every, fails, not_applicable, passes, rule
from aks_audit_rules.frameworks import azure_policy, checkov, kubebuddy, prowler, review_checklist, the_aks_checklist
from aks_audit_rules.pod_security_standards import (
    Control,
    Looked,
    nothing_of_container,
    nothing_of_pod,
    windows,
)
from aks_audit_rules.workload_verdicts import judge, judge_specs

_SOCKETS = (
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/docker.sock",
    "/run/podman/podman.sock",
)
_PROGRAMS = frozenset({"buildkitd", "dockerd", "dockerd-entrypoint.sh", "dropbear", "sshd"})
_FIRST_PROGRAMS = _PROGRAMS | {"containerd", "crio"}
"""What is named in arguments of other programs, too, counts only where it is the program."""
_ENGINE_IMAGES = re.compile(r"(^|[-_./])(dind|dockerd|docker-in-docker)([-_./]|$)")
_SHELL_IMAGES = re.compile(r"(^|[-_./])(openssh|openssh-server|sshd)([-_./]|$)")
_SSH = 22


def _engine_image(_spec: PodSpec, container: Container) -> Looked:
    found = read_reference(container.image or "")
    if found is None:
        pointer = container.at(Container.image).pointer
        raise Malformed(container.document.id, pointer, f"{container.image!r} is no reference to an image")
    named = f"{found.repository}-{found.tag}"
    yield container.at(Container.image), not (_ENGINE_IMAGES.search(named) or _SHELL_IMAGES.search(named))


def _programs(_spec: PodSpec, container: Container) -> Looked:
    for field in (Container.command, Container.args):
        words = " ".join(field.__get__(container, Container) or ())
        names = [word.rpartition("/")[2] for word in re.split(r"[\s;&|()'\"]+", words)]
        yield container.at(field), _PROGRAMS.isdisjoint(names) and names[0] not in _FIRST_PROGRAMS


def _ssh_ports(_spec: PodSpec, container: Container) -> Looked:
    for port in container.ports or ():
        if port.container_port is None:
            raise Malformed(
                port.document.id, port.at(ContainerPort.container_port).pointer, "a port without its number"
            )
        yield port.at(ContainerPort.container_port), port.container_port != _SSH


def _sockets(spec: PodSpec) -> Looked:
    for volume in spec.volumes or ():
        if "hostPath" in volume.sources:
            if volume.host_path is None:
                raise Malformed(volume.document.id, volume.at(Volume.host_path).pointer, "a hostPath without its path")
            yield volume.at(Volume.host_path), not _holds_socket(volume.host_path)


def _holds_socket(path: str) -> bool:
    """Whether a path of the node is the socket of an engine, or a directory in which one lies."""
    real = re.sub(r"/+", "/", f"/{path}/").replace("/./", "/")
    real = re.sub(r"^/var/run/", "/run/", real).rstrip("/")
    return any(socket == real or socket.startswith(f"{real}/") for socket in _SOCKETS)


ENGINE_IMAGES = Control(nothing_of_pod, _engine_image)
PROGRAMS = Control(nothing_of_pod, _programs)
SSH_PORTS = Control(nothing_of_pod, _ssh_ports)
SOCKETS = Control(_sockets, nothing_of_container)


@rule(
    "AKS-KS-23",
    title="No container runs a container engine, holds the node's, or serves SSH",
    severity=Severity.HIGH,
    controls=(
        kubebuddy("SEC036"),
        kubebuddy("SEC037"),
        checkov("CKV_K8S_27"),
    ),
)
def no_engines_or_shells(workload: Workload) -> Verdict:
    """Who may speak to a node's container engine starts any container there, as root and past all admission.

    An engine inside a container needs a privileged one. A server for SSH is a way in that Kubernetes neither permits nor
    writes down.

    Severity: the engine's socket is root on the node; SSH goes around the API server's sign-in and its audit log.
    Decided: no volume is a path of the node that is, or holds, the socket of containerd, Docker, CRI-O or Podman, which a
    read-only mount lets be used all the same; no command, argument, or name of an image says an engine (dockerd,
    containerd, buildkitd, Docker in Docker) or a server for SSH; and no container tells of port 22. What an image starts
    by itself is not seen. Containers of all kinds count, in the template and in each live pod that differs from it.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: build images in Azure Container Registry Tasks or a build service; use kubectl debug
    Change: replaces the workload's pods, by its own update strategy
    References: https://learn.microsoft.com/azure/container-registry/container-registry-tasks-overview
        https://kubernetes.io/docs/tasks/debug/debug-application/debug-running-pod/
    """
    return judge(
        workload,
        SOCKETS,
        ENGINE_IMAGES,
        PROGRAMS,
        SSH_PORTS,
        good="No container is seen to run an engine or a server for SSH",
        bad="Runs a container engine or a server for SSH, or holds the node's engine",
    )


_ADMINISTRATOR = "containeradministrator"
_RESOURCES = ("cpu", "memory")


@rule(
    "AKS-KS-24",
    title="Containers on Windows run as no administrator, and within limits",
    severity=Severity.MEDIUM,
    controls=(
        azure_policy("5485eac0-7e8f-4964-998b-a44f4f0c1e75"),
        azure_policy("077f0ce1-86d6-4058-bc60-de05067e8622"),
        azure_policy("57dde185-5c62-4063-b965-afbb201e9c1c"),
        azure_policy("a2abc456-f0ae-464b-bd3a-07a3cdbd7fb1"),
        review_checklist("ab5351f6-383a-45ed-9c5e-b143b16db40a"),
        the_aks_checklist("ab5351f6-383a-45ed-9c5e-b143b16db40a"),
        prowler("core_minimize_admission_windows_hostprocess_containers"),
    ),
)
def hardened_windows(workload: Workload) -> Verdict:
    """A host process container is a process of the node; ContainerAdministrator may change all in its container.

    Windows ends no process for want of memory, as Linux does: without limits one container brings its node to a halt.

    Severity: a host process is an administrator of the node, and of high severity; the rest makes an escape easier.
    Decided: pods whose `os.name` or node selector `kubernetes.io/os` says windows, or that ask for a host process, which
    only Windows has. `windowsOptions.hostProcess` is true neither of the pod nor of a container; each container's user, its own or its pod's `runAsUserName`, is named and is not
    ContainerAdministrator, or `runAsNonRoot` is true, with which the kubelet starts no ContainerAdministrator; and each
    container has limits of CPU and memory. Without a user the image's counts, which of Server Core is
    ContainerAdministrator: that fails. Containers of all kinds count, limits only of those that may have them.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: securityContext.windowsOptions.runAsUserName: ContainerUser, resources.limits
    Change: replaces the workload's pods, by its own update strategy
    References: https://kubernetes.io/docs/concepts/security/windows-security/
        https://kubernetes.io/docs/tasks/configure-pod-container/configure-runasusername/
    """
    return judge_specs(workload, _on_windows, every)


def _on_windows(spec: PodSpec, containers: tuple[Container, ...]) -> Verdict:
    if not _for_windows(spec, containers):
        return not_applicable("It is no pod for Windows", spec.at(PodSpec.os), spec.at(PodSpec.node_selector))
    verdicts = [partial(_host_process, spec, one) for one in containers]
    verdicts += [partial(_user, spec, one) for one in containers]
    verdicts += [partial(_limits, one) for one in containers if one.kind != "ephemeral container"]
    return each(verdicts, lambda verdict: verdict())


def _for_windows(spec: PodSpec, containers: tuple[Container, ...]) -> bool:
    selected = (spec.node_selector or {}).get("kubernetes.io/os", "")
    asked = spec.host_process or any(one.host_process for one in containers)
    return windows(spec) or selected.lower() == "windows" or asked is True


def _host_process(spec: PodSpec, container: Container) -> Verdict:
    asked, evidence = container.host_process, container.at(Container.host_process)
    if asked is None:
        asked, evidence = spec.host_process, spec.at(PodSpec.host_process)
    if asked:
        told = f"{_named(container)} is a process of the node"
        return fails(told, evidence, severity=Severity.HIGH)
    return passes("No container is a process of the node", evidence)


def _user(spec: PodSpec, container: Container) -> Verdict:
    user, evidence = container.windows_user_name, container.at(Container.windows_user_name)
    if not user:
        user, evidence = spec.windows_user_name, spec.at(PodSpec.windows_user_name)
    protected = spec.run_as_non_root if container.run_as_non_root is None else container.run_as_non_root
    if user and user.rpartition("\\")[2].lower() == _ADMINISTRATOR:
        return fails(f"{_named(container)} runs as ContainerAdministrator", evidence)
    if user:
        return passes("No container runs as ContainerAdministrator", evidence)
    if protected:
        return passes("No container runs as ContainerAdministrator", container.at(Container.run_as_non_root))
    return fails(f"{_named(container)} may run as ContainerAdministrator, as its image says", evidence)


def _limits(container: Container) -> Verdict:
    lacking = [name for name in _RESOURCES if not (container.limits or {}).get(name)]
    evidence = container.at(Container.limits)
    if lacking:
        return fails(f"{_named(container)} has no limit of {' and '.join(lacking)}", evidence)
    return passes("Each container has limits of CPU and memory", evidence)


def _named(container: Container) -> str:
    return f"{container.kind} {container.node.get('name', '?')}"


RULES = (no_engines_or_shells, hardened_windows)
