"""The controls of the Pod Security Standards, against the fields and values that their specification lists.

The tables are those of https://kubernetes.io/docs/concepts/security/pod-security-standards/: for each control the
fields that it restricts and the values that it allows. A pod that keeps to all of them is changed field by field.
"""

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from aks_audit import snapshot
from aks_audit.facts import Estate, Malformed
from aks_audit.facts.workloads import Pod, PodSpec
from aks_audit.snapshot import Resource
from aks_audit_rules.pod_security_standards import Level, broken
from cases import CLUSTER
from mutations import RETYPED, keys

Json = Any
CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
ABSENT = object()


def kept() -> dict[str, Json]:
    """A pod that keeps to the restricted standard, with one container of each kind and everything said by each."""
    own = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    containers = {
        kind: [{"name": kind.lower(), "image": "web:1", "securityContext": copy.deepcopy(own)}] for kind in CONTAINERS
    }
    return {"securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}, **containers}


class Restricted(NamedTuple):
    """A restricted field: its control, its level, values that are allowed and some that are not."""

    control: str
    level: Level
    path: str
    allowed: tuple[Json, ...]
    refused: tuple[Json, ...]


def _each(path: str) -> Iterator[str]:
    """A path in every kind of container, or one of the pod as it is."""
    if path.startswith("*."):
        yield from (f"{kind}.0.{path[2:]}" for kind in CONTAINERS)
    else:
        yield path


BASE, STRICT = Level.BASELINE, Level.RESTRICTED
CONFINED = ({"type": "RuntimeDefault"}, {"type": "Localhost", "localhostProfile": "x.json"})
NEVER = (True,)
NO = (ABSENT, None, False)
HANDLERS = tuple(
    f"*.{caller}.{handler}.host"
    for caller in ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle.postStart", "lifecycle.preStop")
    for handler in ("httpGet", "tcpSocket")
)
SAFE_SYSCTLS = (
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
)
CORE_VOLUMES = (
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
)
OLD_VOLUMES = ("gcePersistentDisk", "awsElasticBlockStore", "gitRepo", "nfs", "iscsi", "glusterfs", "rbd", "flexVolume")
DEFAULT_CAPABILITIES = (
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
    "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
)  # fmt: skip

SPECIFICATION = (
    Restricted("Windows host processes", BASE, "securityContext.windowsOptions.hostProcess", NO, NEVER),
    Restricted("Windows host processes", BASE, "*.securityContext.windowsOptions.hostProcess", NO, NEVER),
    *(Restricted("host namespaces", BASE, path, NO, NEVER) for path in ("hostNetwork", "hostPID", "hostIPC")),
    Restricted("privileged containers", BASE, "*.securityContext.privileged", NO, NEVER),
    Restricted(
        "added capabilities",
        BASE,
        "*.securityContext.capabilities.add",
        (ABSENT, None, [], list(DEFAULT_CAPABILITIES), *([name] for name in DEFAULT_CAPABILITIES)),
        (["NET_RAW"], ["SYS_ADMIN"], ["ALL"], ["CHOWN", "SYS_PTRACE"]),
    ),
    Restricted("hostPath volumes", BASE, "volumes", (ABSENT, None, []), ([{"name": "v", "hostPath": {"path": "/"}}],)),
    Restricted(
        "host ports",
        BASE,
        "*.ports",
        (ABSENT, [{"containerPort": 80}], [{"containerPort": 80, "hostPort": 0}]),
        ([{"containerPort": 80, "hostPort": 80}],),
    ),
    *(Restricted("hosts of probes and hooks", BASE, path, (ABSENT, ""), ("10.0.0.1",)) for path in HANDLERS),
    *(
        Restricted("AppArmor profiles", BASE, path, (ABSENT, None, *CONFINED), ({"type": "Unconfined"},))
        for path in ("securityContext.appArmorProfile", "*.securityContext.appArmorProfile")
    ),
    *(
        Restricted(
            "SELinux labels",
            BASE,
            path,
            (ABSENT, None, {}, {"type": ""}, {"type": "container_t"}, {"type": "container_init_t"},
             {"type": "container_kvm_t"}, {"type": "container_engine_t"}, {"level": "s0"}),
            ({"type": "spc_t"}, {"user": "system_u"}, {"role": "sysadm_r"}),
        )
        for path in ("securityContext.seLinuxOptions", "*.securityContext.seLinuxOptions")
    ),
    Restricted("/proc mount type", BASE, "*.securityContext.procMount", (ABSENT, None, "Default"), ("Unmasked",)),
    Restricted(
        "/proc masked for all users", STRICT, "*.securityContext.procMount", (ABSENT, None, "Default"), ("Unmasked",)
    ),
    Restricted("seccomp switched off", BASE, "*.securityContext.seccompProfile", CONFINED, ({"type": "Unconfined"},)),
    Restricted("seccomp switched off", BASE, "securityContext.seccompProfile", CONFINED, ({"type": "Unconfined"},)),
    Restricted(
        "kernel parameters",
        BASE,
        "securityContext.sysctls",
        (ABSENT, None, [], *([{"name": name, "value": "1"}] for name in SAFE_SYSCTLS)),
        ([{"name": "kernel.msgmax", "value": "1"}], [{"name": SAFE_SYSCTLS[0]}, {"name": "net.core.somaxconn"}]),
    ),
    Restricted(
        "volume types",
        STRICT,
        "volumes",
        (ABSENT, [], *([{"name": "v", kind: {}}] for kind in CORE_VOLUMES)),
        tuple([{"name": "v", kind: {}}] for kind in OLD_VOLUMES),
    ),
    Restricted(
        "privilege escalation", STRICT, "*.securityContext.allowPrivilegeEscalation", (False,), (True, ABSENT, None)
    ),
    Restricted("running as non-root", STRICT, "*.securityContext.runAsNonRoot", (True, ABSENT, None), (False,)),
    Restricted("running as non-root", STRICT, "securityContext.runAsNonRoot", (True, ABSENT, None), (False,)),
    Restricted("user 0", STRICT, "*.securityContext.runAsUser", (1000, ABSENT, None), (0,)),
    Restricted("user 0", STRICT, "securityContext.runAsUser", (1000, ABSENT, None), (0,)),
    Restricted("seccomp profile", STRICT, "*.securityContext.seccompProfile", (*CONFINED, ABSENT, None), ()),
    Restricted("all dropped", STRICT, "*.securityContext.capabilities.drop", (["ALL"], ["ALL", "KILL"]), (ABSENT, [])),
    Restricted(
        "all dropped", STRICT, "*.securityContext.capabilities.add", (ABSENT, [], ["NET_BIND_SERVICE"]), (["CHOWN"],)
    ),
)  # fmt: skip
CASES = [
    (row, path, value) for row in SPECIFICATION for path in _each(row.path) for value in (*row.allowed, *row.refused)
]
NAMES = [f"{row.control}: {path} = {'absent' if value is ABSENT else value}" for row, path, value in CASES]


def spec(body: dict[str, Json]) -> PodSpec:
    estate = Estate(snapshot.of([]))
    resource = Resource(id=f"{CLUSTER}/api/v1/namespaces/shop/pods/p", type="pods", body={"metadata": {}, "spec": body})
    held = Estate(snapshot.of([resource])).resource(Pod, resource.id).spec
    assert held, estate
    return held


def changed(path: str, value: Json) -> dict[str, Json]:
    pod = kept()
    *way, last = path.split(".")
    holder: Json = pod
    for name in way:
        holder = holder[int(name)] if isinstance(holder, list) else holder.setdefault(name, {})
    if value is ABSENT:
        holder.pop(last, None)
    else:
        holder[last] = value
    return pod


def test_a_pod_that_keeps_to_everything_is_refused_by_nothing() -> None:
    assert broken(spec(kept()), STRICT) == ()


@pytest.mark.parametrize(("row", "path", "value"), CASES, ids=NAMES)
def test_each_restricted_field_allows_its_values_and_no_others(row: Restricted, path: str, value: Json) -> None:
    pod = spec(changed(path, value))
    assert (row.control not in {control.name for control in broken(pod, row.level)}) is (value in row.allowed)
    if row.level is STRICT:
        assert row.control not in {control.name for control in broken(pod, BASE)}


def without(*paths: str) -> dict[str, Json]:
    pod = kept()
    for path in paths:
        *way, last = path.split(".")
        holder: Json = pod
        for name in way:
            holder = holder[int(name)] if isinstance(holder, list) else holder[name]
        holder.pop(last)
    return pod


def refusals(pod: dict[str, Json]) -> set[str]:
    return {control.name for control in broken(spec(pod), STRICT)}


def test_what_neither_pod_nor_container_says_is_refused() -> None:
    for field, control in (("runAsNonRoot", "running as non-root"), ("seccompProfile", "seccomp profile")):
        own = tuple(f"{kind}.0.securityContext.{field}" for kind in CONTAINERS)
        assert refusals(without(*own)) == set()
        assert refusals(without(f"securityContext.{field}")) == set()
        assert refusals(without(f"securityContext.{field}", own[1])) == {control}


def test_windows_pods_need_no_settings_that_windows_does_not_have() -> None:
    fields = ("allowPrivilegeEscalation", "capabilities", "seccompProfile")
    bare = [f"{kind}.0.securityContext.{field}" for kind in CONTAINERS for field in fields]
    pod = without("securityContext.seccompProfile", *bare)
    assert refusals(pod) == {"privilege escalation", "seccomp profile", "all dropped"}
    assert refusals({**pod, "os": {"name": "windows"}}) == set()
    assert refusals({**pod, "os": {"name": "linux"}}) == {
        "privilege escalation",
        "seccomp profile",
        "all dropped",
    }


def test_root_in_a_user_namespace_of_its_own_is_nobody_outside() -> None:
    pod = without("securityContext.runAsNonRoot", *(f"{kind}.0.securityContext.runAsNonRoot" for kind in CONTAINERS))
    pod["securityContext"]["runAsUser"] = 0
    pod["containers"][0]["securityContext"]["procMount"] = "Unmasked"
    unmasked = "/proc masked for all users"
    assert refusals({**pod, "hostUsers": True}) == {"running as non-root", "user 0", "/proc mount type", unmasked}
    assert refusals({**pod, "hostUsers": False}) == {unmasked}
    assert broken(spec({**pod, "hostUsers": False}), BASE) == ()


def test_no_damage_to_a_pod_makes_a_refused_one_pass() -> None:
    bad = kept()
    for kind in CONTAINERS:
        bad[kind][0]["securityContext"] |= {
            "privileged": True,
            "procMount": "Unmasked",
            "capabilities": {"add": ["ALL"]},
        }
    bad |= {"hostPID": True}
    before = refusals(bad)
    for way in keys(bad):
        if isinstance(way[-1], int):
            continue
        for value in RETYPED:
            hurt = copy.deepcopy(bad)
            holder: Json = hurt
            for step in way[:-1]:
                holder = holder[step]
            holder[way[-1]] = value
            try:
                assert refusals(hurt), (way, value, before)
            except Malformed:
                continue
