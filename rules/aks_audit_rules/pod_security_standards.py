"""The Pod Security Standards, control by control, as the API server's own admission of them reads a pod.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/ and the checks of
`k8s.io/pod-security-admission/policy` in Kubernetes 1.35, which admit or refuse pods by them. Where they and the page
differ, the checks count: restricted permits volumes of images (kubernetes/kubernetes#130394), and refuses an unmasked
/proc even to a pod with users of its own, which baseline permits it (kubernetes/kubernetes#132157).
"""

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from aks_audit.facts import Malformed
from aks_audit.facts.field import Field, View
from aks_audit.facts.workloads import Container, ContainerPort, PodSpec, Sysctl, Volume
from aks_audit.results import Evidence

Looked: TypeAlias = Iterator[tuple[Evidence, bool]]
"""Each value that a control looks at, and whether the control permits it."""


class Level(StrEnum):
    """How strict a standard is. What is restricted is baseline, too."""

    BASELINE = "baseline"
    RESTRICTED = "restricted"


class Control(NamedTuple):
    """One control: what it looks at of a pod as a whole, and of each of its containers; one of a standard has a name."""

    of_pod: Callable[[PodSpec], Looked]
    of_container: Callable[[PodSpec, Container], Looked]
    name: str = ""
    level: Level | None = None

    def permits(self, spec: PodSpec) -> bool:
        """Whether a pod that is made so gets past the control.

        Raises:
            Malformed: a value that it looks at cannot be read.
        """
        looked = [*self.of_pod(spec), *(one for each in spec.every_container for one in self.of_container(spec, each))]
        return all(permitted for _, permitted in looked)


CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
        "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
    }
)  # fmt: skip
"""The capabilities that baseline lets a container add: those that container runtimes give anyway."""

SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)
"""Kernel parameters that are the pod's own, and do nothing to its neighbours."""

VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)

_CONFINED = frozenset({"RuntimeDefault", "Localhost"})
_SELINUX_TYPES = frozenset({"container_t", "container_init_t", "container_kvm_t", "container_engine_t"})
_APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"


def nothing_of_pod(_spec: PodSpec) -> Looked:
    """Look at nothing; for controls of containers alone."""
    yield from ()


def nothing_of_container(_spec: PodSpec, _container: Container) -> Looked:
    """Look at nothing; for controls of whole pods alone."""
    yield from ()


def windows(spec: PodSpec) -> bool:
    """Whether a pod says that it is for Windows, where much of a security context means nothing."""
    return (spec.os or "").lower() == "windows"


def _own_users(spec: PodSpec) -> bool:
    """Whether its users are other users on the node, so that being root inside is nothing outside."""
    return spec.host_users is False


def _host_namespaces(spec: PodSpec) -> Looked:
    for field in (PodSpec.host_network, PodSpec.host_pid, PodSpec.host_ipc):
        yield spec.at(field), not field.__get__(spec, PodSpec)


def _host_ports(_spec: PodSpec, container: Container) -> Looked:
    yield container.at(Container.ports), True
    for port in container.ports or ():
        yield port.at(ContainerPort.host_port), not port.host_port


def _handler_hosts(_spec: PodSpec, container: Container) -> Looked:
    for field in Container.HANDLER_HOSTS:
        if field.__get__(container, Container):
            yield container.at(field), False


def _privileged(_spec: PodSpec, container: Container) -> Looked:
    yield container.at(Container.privileged), not container.privileged


def _host_process_of_pod(spec: PodSpec) -> Looked:
    yield spec.at(PodSpec.host_process), not spec.host_process


def _host_process(_spec: PodSpec, container: Container) -> Looked:
    yield container.at(Container.host_process), not container.host_process


def _default_capabilities(_spec: PodSpec, container: Container) -> Looked:
    yield container.at(Container.capabilities_added), set(container.capabilities_added or ()) <= CAPABILITIES


def _few_capabilities(spec: PodSpec, container: Container) -> Looked:
    if windows(spec):
        yield spec.at(PodSpec.os), True
        return
    yield container.at(Container.capabilities_dropped), "ALL" in (container.capabilities_dropped or ())
    yield container.at(Container.capabilities_added), set(container.capabilities_added or ()) <= {"NET_BIND_SERVICE"}


def _host_paths(spec: PodSpec) -> Looked:
    yield spec.at(PodSpec.volumes), True
    for volume in spec.volumes or ():
        yield volume.at(Volume.host_path), "hostPath" not in volume.sources


def _volume_types(spec: PodSpec) -> Looked:
    yield spec.at(PodSpec.volumes), True
    for volume in spec.volumes or ():
        yield volume.at(Volume.name), bool(VOLUMES.intersection(volume.sources)) or not volume.sources


def _profile(view: View, field: Field[str]) -> str | None:
    """The type of a profile; None where there is no profile.

    Raises:
        Malformed: there is one without a type, which the API server takes from nobody.
    """
    found = field.__get__(view, View)
    if found is None and view.find(field.path.rpartition(".")[0])[0] is not None:
        raise Malformed(view.document.id, view.at(field).pointer, "a profile without its type")
    return found


def _app_armor_of_pod(spec: PodSpec) -> Looked:
    yield spec.at(PodSpec.app_armor_type), _profile(spec, PodSpec.app_armor_type) in {None, *_CONFINED}


def _app_armor(spec: PodSpec, container: Container) -> Looked:
    yield container.at(Container.app_armor_type), _profile(container, Container.app_armor_type) in {None, *_CONFINED}
    if container.name is None:
        raise Malformed(container.document.id, container.at(Container.name).pointer, "a container without its name")
    profile = spec.pod_annotations.get(f"{_APP_ARMOR}{container.name}", "")
    yield container.at(Container.name), profile in {"", "runtime/default"} or profile.startswith("localhost/")


def _se_linux_of_pod(spec: PodSpec) -> Looked:
    yield spec.at(PodSpec.se_linux_type), spec.se_linux_type is None or spec.se_linux_type in _SELINUX_TYPES
    yield spec.at(PodSpec.se_linux_user), not spec.se_linux_user
    yield spec.at(PodSpec.se_linux_role), not spec.se_linux_role


def _se_linux(_spec: PodSpec, container: Container) -> Looked:
    yield container.at(Container.se_linux_type), container.se_linux_type in {None, *_SELINUX_TYPES}
    yield container.at(Container.se_linux_user), not container.se_linux_user
    yield container.at(Container.se_linux_role), not container.se_linux_role


def _proc_mount(spec: PodSpec, container: Container) -> Looked:
    yield container.at(Container.proc_mount), container.proc_mount in {None, "Default"} or _own_users(spec)


def _proc_masked(_spec: PodSpec, container: Container) -> Looked:
    yield container.at(Container.proc_mount), container.proc_mount in {None, "Default"}


def _seccomp_of_pod(spec: PodSpec) -> Looked:
    yield spec.at(PodSpec.seccomp_type), _profile(spec, PodSpec.seccomp_type) in {None, *_CONFINED}


def _seccomp(_spec: PodSpec, container: Container) -> Looked:
    yield container.at(Container.seccomp_type), _profile(container, Container.seccomp_type) in {None, *_CONFINED}


def _seccomp_chosen(spec: PodSpec, container: Container) -> Looked:
    if windows(spec):
        yield spec.at(PodSpec.os), True
        return
    own = _profile(container, Container.seccomp_type)
    if own:
        yield container.at(Container.seccomp_type), own in _CONFINED
    else:
        yield spec.at(PodSpec.seccomp_type), _profile(spec, PodSpec.seccomp_type) in _CONFINED


def _sysctls(spec: PodSpec) -> Looked:
    yield spec.at(PodSpec.sysctls), True
    for sysctl in spec.sysctls or ():
        yield sysctl.at(Sysctl.name), sysctl.name in SYSCTLS


def _no_escalation(spec: PodSpec, container: Container) -> Looked:
    if windows(spec):
        yield spec.at(PodSpec.os), True
    else:
        yield container.at(Container.allow_privilege_escalation), container.allow_privilege_escalation is False


def _non_root_of_pod(spec: PodSpec) -> Looked:
    if _own_users(spec):
        yield spec.at(PodSpec.host_users), True
    else:
        yield spec.at(PodSpec.run_as_non_root), spec.run_as_non_root is not False


def _non_root(spec: PodSpec, container: Container) -> Looked:
    if _own_users(spec):
        return
    own = container.run_as_non_root
    if own is None:
        yield spec.at(PodSpec.run_as_non_root), spec.run_as_non_root is True
    else:
        yield container.at(Container.run_as_non_root), own


def _user_of_pod(spec: PodSpec) -> Looked:
    if not _own_users(spec):
        yield spec.at(PodSpec.run_as_user), spec.run_as_user != 0


def _user(spec: PodSpec, container: Container) -> Looked:
    if not _own_users(spec):
        yield container.at(Container.run_as_user), container.run_as_user != 0


_BASE, _STRICT = Level.BASELINE, Level.RESTRICTED

HOST_NAMESPACES = Control(_host_namespaces, nothing_of_container, "host namespaces", _BASE)
HOST_PORTS = Control(nothing_of_pod, _host_ports, "host ports", _BASE)
HANDLER_HOSTS = Control(nothing_of_pod, _handler_hosts, "hosts of probes and hooks", _BASE)
PRIVILEGED = Control(nothing_of_pod, _privileged, "privileged containers", _BASE)
HOST_PROCESS = Control(_host_process_of_pod, _host_process, "Windows host processes", _BASE)
DEFAULT_CAPABILITIES = Control(nothing_of_pod, _default_capabilities, "added capabilities", _BASE)
HOST_PATHS = Control(_host_paths, nothing_of_container, "hostPath volumes", _BASE)
APP_ARMOR = Control(_app_armor_of_pod, _app_armor, "AppArmor profiles", _BASE)
SE_LINUX = Control(_se_linux_of_pod, _se_linux, "SELinux labels", _BASE)
PROC_MOUNT = Control(nothing_of_pod, _proc_mount, "/proc mount type", _BASE)
SECCOMP = Control(_seccomp_of_pod, _seccomp, "seccomp switched off", _BASE)
KERNEL_PARAMETERS = Control(_sysctls, nothing_of_container, "kernel parameters", _BASE)
PROC_MASKED = Control(nothing_of_pod, _proc_masked, "/proc masked for all users", _STRICT)
VOLUME_TYPES = Control(_volume_types, nothing_of_container, "volume types", _STRICT)
NO_ESCALATION = Control(nothing_of_pod, _no_escalation, "privilege escalation", _STRICT)
NON_ROOT = Control(_non_root_of_pod, _non_root, "running as non-root", _STRICT)
NON_ROOT_USER = Control(_user_of_pod, _user, "user 0", _STRICT)
SECCOMP_CHOSEN = Control(_seccomp_of_pod, _seccomp_chosen, "seccomp profile", _STRICT)
FEW_CAPABILITIES = Control(nothing_of_pod, _few_capabilities, "all dropped", _STRICT)

STANDARDS: Sequence[Control] = (
    HOST_NAMESPACES,
    HOST_PORTS,
    HANDLER_HOSTS,
    PRIVILEGED,
    HOST_PROCESS,
    DEFAULT_CAPABILITIES,
    HOST_PATHS,
    APP_ARMOR,
    SE_LINUX,
    PROC_MOUNT,
    SECCOMP,
    KERNEL_PARAMETERS,
    PROC_MASKED,
    VOLUME_TYPES,
    NO_ESCALATION,
    NON_ROOT,
    NON_ROOT_USER,
    SECCOMP_CHOSEN,
    FEW_CAPABILITIES,
)


def broken(spec: PodSpec, level: Level) -> tuple[Control, ...]:
    """The controls of a standard that would refuse a pod that is made so.

    Raises:
        Malformed: a value that one of them looks at cannot be read.
    """
    asked = STANDARDS if level is Level.RESTRICTED else [one for one in STANDARDS if one.level is Level.BASELINE]
    return tuple(control for control in asked if not control.permits(spec))
