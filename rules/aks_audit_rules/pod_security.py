"""What a workload's pods may do on their nodes: the Pod Security Standards, a rule for each control."""

from aks_audit.facts.workloads import Container, PodSpec, Volume, Workload
from aks_audit.results import Severity, Verdict
from aks_audit.rule import rule
from aks_audit_rules.frameworks import (
    aks_health_check,
    azure_policy,
    checkov,
    community_policy,
    kubebuddy,
    prowler,
    the_aks_checklist,
)
from aks_audit_rules.pod_security_standards import (
    APP_ARMOR,
    FEW_CAPABILITIES,
    HANDLER_HOSTS,
    HOST_PATHS,
    HOST_PORTS,
    KERNEL_PARAMETERS,
    NO_ESCALATION,
    NON_ROOT,
    NON_ROOT_USER,
    PRIVILEGED,
    PROC_MOUNT,
    SE_LINUX,
    SECCOMP,
    SECCOMP_CHOSEN,
    VOLUMES,
    Control,
    Looked,
    nothing_of_container,
    nothing_of_pod,
    windows,
)
from aks_audit_rules.workload_verdicts import judge


def _host_processes(spec: PodSpec) -> Looked:
    yield spec.at(PodSpec.host_pid), not spec.host_pid
    yield spec.at(PodSpec.host_ipc), not spec.host_ipc


def _host_network(spec: PodSpec) -> Looked:
    yield spec.at(PodSpec.host_network), not spec.host_network


def _sys_admin(_spec: PodSpec, container: Container) -> Looked:
    added = {name.upper().removeprefix("CAP_") for name in container.capabilities_added or ()}
    yield container.at(Container.capabilities_added), added.isdisjoint({"ALL", "SYS_ADMIN"})


def _other_volumes(spec: PodSpec) -> Looked:
    yield spec.at(PodSpec.volumes), True
    for volume in spec.volumes or ():
        yield volume.at(Volume.name), not volume.sources or not {"hostPath", *VOLUMES}.isdisjoint(volume.sources)


def _read_only_root(spec: PodSpec, container: Container) -> Looked:
    if windows(spec):
        yield spec.at(PodSpec.os), True
    else:
        yield container.at(Container.read_only_root_filesystem), container.read_only_root_filesystem is True


HOST_PROCESSES = Control(_host_processes, nothing_of_container)
HOST_NETWORK = Control(_host_network, nothing_of_container)
SYS_ADMIN = Control(nothing_of_pod, _sys_admin)
OTHER_VOLUMES = Control(_other_volumes, nothing_of_container)
READ_ONLY_ROOT = Control(nothing_of_pod, _read_only_root)


@rule(
    "AKS-KS-01",
    title="No container is privileged",
    severity=Severity.HIGH,
    controls=(
        azure_policy("95edb821-ddaf-4404-9732-666045e056b4"),
        azure_policy("7ce7ac02-a5c6-45d6-8d1b-844feb1c1531"),
        kubebuddy("SEC004"),
        kubebuddy("AKSBP002"),
        aks_health_check("IMG-8"),
        the_aks_checklist("bd773172-40dc-4502-b284-137c70d77bc9"),
        checkov("CKV_K8S_16"),
        prowler("core_minimize_privileged_containers"),
    ),
)
def not_privileged(workload: Workload) -> Verdict:
    """A privileged container has every capability and every device of its node: who is in it is root on the node.

    Severity: one step from a container to the node, and so to every pod and identity on it.
    Decided: `securityContext.privileged` is false or absent, which means false. Containers of all kinds count, in the
    template and in each live pod that differs from it.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: securityContext.privileged: false
    Change: replaces the workload's pods, by its own update strategy
    References: https://kubernetes.io/docs/concepts/security/pod-security-standards/
    """
    return judge(
        workload,
        PRIVILEGED,
        good="No container is privileged",
        bad="Is privileged",
    )


@rule(
    "AKS-KS-02",
    title="No process gains more privileges than its container started with",
    severity=Severity.HIGH,
    controls=(
        azure_policy("1c6e92c9-99f0-4e55-9cf2-0c234dc48f99"),
        azure_policy("d77df159-718b-4aca-b94b-8e8890a98231"),
        azure_policy("4ee3ee6a-96ea-4d25-9c00-17f11d2e02c8"),
        community_policy("112b0532-abf7-4a7c-b7c7-80ff3a51675c"),
        checkov("CKV_K8S_20"),
        prowler("core_minimize_allowPrivilegeEscalation_containers"),
    ),
)
def no_privilege_escalation(workload: Workload) -> Verdict:
    """A set-user-ID program such as sudo makes root of any user, unless the container forbids it.

    Running as a user other than root is worth little without this.

    Severity: it turns a bug in an unprivileged program into root in the container.
    Decided: `securityContext.allowPrivilegeEscalation` is false. Absent means true, which fails. A pod whose `os.name`
    is windows has no such setting. Containers of all kinds count, in the template and in each live pod that differs
    from it.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: securityContext.allowPrivilegeEscalation: false
    Change: replaces the workload's pods, by its own update strategy
    References: https://kubernetes.io/docs/concepts/security/pod-security-standards/
    Follows: AKS-KS-01 AKS-KS-08
    """
    return judge(
        workload,
        NO_ESCALATION,
        good="No process gains privileges",
        bad="May gain privileges",
    )


@rule(
    "AKS-KS-03",
    title="Pods do not share the process or IPC namespace of their node",
    severity=Severity.HIGH,
    controls=(
        azure_policy("47a1ee2f-2a2a-4576-bf2a-e0e36709c2b8"),
        kubebuddy("SEC002"),
        kubebuddy("SEC005"),
        kubebuddy("POD011"),
        community_policy("a3c7f75b-0b3d-4d08-8ef2-b9fd6f54cc28"),
        checkov("CKV_K8S_17"),
        checkov("CKV_K8S_18"),
        prowler("core_minimize_hostPID_containers"),
        prowler("core_minimize_hostIPC_containers"),
    ),
)
def own_process_namespaces(workload: Workload) -> Verdict:
    """In the node's process namespace a container sees, and as root ends or reads, every process on the node.

    Environments of other pods' processes, with the secrets in them, can be read in /proc.

    Severity: it undoes the isolation between the pods of a node.
    Decided: `hostPID` and `hostIPC` are false or absent, which means false. `shareProcessNamespace` is not asked
    about: the containers of one pod share a fate and a service account anyway.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: hostPID: false, hostIPC: false
    Change: replaces the workload's pods, by its own update strategy
    References: https://kubernetes.io/docs/concepts/security/pod-security-standards/
    """
    return judge(
        workload,
        HOST_PROCESSES,
        good="The pod has process and IPC namespaces of its own",
        bad="Shares the node's process or IPC namespace",
    )


@rule(
    "AKS-KS-04",
    title="Pods do not use the network of their node",
    severity=Severity.HIGH,
    controls=(
        azure_policy("82985f06-dc18-4a48-bc1c-b9f4f0098cfe"),
        kubebuddy("NET012"),
        kubebuddy("SEC021"),
        community_policy("b6816ed8-f276-474c-a630-de28813533c7"),
        checkov("CKV_K8S_19"),
        checkov("CKV_K8S_26"),
        prowler("core_minimize_hostNetwork_containers"),
        prowler("core_minimize_admission_hostport_containers"),
    ),
)
def own_network_namespace(workload: Workload) -> Verdict:
    """A pod in its node's network listens on the node's addresses, hears its loopback, and speaks as the node.

    Network policies do not apply to it, and the instance metadata service takes it for the node. Probes and hooks that
    name a host make the kubelet call it on the pod's behalf.

    Severity: it goes around every network policy, and reaches what only nodes may reach.
    Decided: `hostNetwork` is false or absent, no `hostPort` is set or all are 0, and no probe or hook names a `host`.
    Containers of all kinds count, in the template and in each live pod that differs from it.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: hostNetwork: false, ports without hostPort, probes without host
    Change: replaces the workload's pods, by its own update strategy
    References: https://kubernetes.io/docs/concepts/security/pod-security-standards/
    """
    return judge(
        workload,
        HOST_NETWORK,
        HOST_PORTS,
        HANDLER_HOSTS,
        good="The pod has a network namespace of its own",
        bad="Uses the node's network",
    )


@rule(
    "AKS-KS-05",
    title="No pod mounts files of its node",
    severity=Severity.HIGH,
    controls=(
        azure_policy("098fc59e-46c7-4d99-9b16-64990e543d75"),
        kubebuddy("SEC010"),
        kubebuddy("SEC029"),
        kubebuddy("SEC038"),
        kubebuddy("POD013"),
        community_policy("035822c0-0ab3-4622-8167-f3b9b8555c9c"),
        prowler("core_minimize_hostpath_volume_mounts"),
    ),
)
def no_host_paths(workload: Workload) -> Verdict:
    """A hostPath volume shows a container its node's files.

    With /, /etc, /var/lib/kubelet or the runtime's socket it owns the node; in any path links can lead out of it.

    Severity: a writable path is a way to take the node over; one that is only read gives its secrets away.
    Decided: no volume has a `hostPath`, whatever path it is and whether it is mounted read-only, as baseline demands.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: use emptyDir, a PersistentVolumeClaim or a projected volume in place of hostPath
    Change: replaces the workload's pods, by its own update strategy
    References: https://kubernetes.io/docs/concepts/security/pod-security-standards/
    """
    return judge(
        workload,
        HOST_PATHS,
        good="No volume is a path of the node",
        bad="Mounts paths of the node",
    )


@rule(
    "AKS-KS-06",
    title="Containers do not run as root",
    severity=Severity.HIGH,
    controls=(
        azure_policy("f06ddb64-5fa3-4b77-b166-acb36f7f6042"),
        azure_policy("2fe7ba7d-f670-41f5-8b70-b61dc7dfbe18"),
        azure_policy("fed6510d-00b9-40db-a347-933125a6a327"),
        azure_policy("a8e3ce3c-cac3-4402-a28a-03ee3ede9790"),
        azure_policy("97de439f-fd35-4d43-a693-3644f51a51fd"),
        azure_policy("fe74a23d-79e4-401c-bd0d-fd7a5b35af32"),
        kubebuddy("SEC003"),
        kubebuddy("SEC011"),
        community_policy("bc5dd487-c01f-4f8d-b0aa-b708e8f33711"),
        checkov("CKV_K8S_23"),
        prowler("core_minimize_root_containers_admission"),
    ),
)
def non_root(workload: Workload) -> Verdict:
    """Root in a container is root on the node, but for what namespaces and capabilities hold back.

    Many an escape out of containers needs no more than that.

    Severity: most published escapes from containers to nodes need root inside.
    Decided: `runAsNonRoot` is true for each container, set by itself or by its pod, and nobody sets it to false;
    `runAsUser` is not 0. A user that the image names is not enough, since nobody reads the image here. A pod with
    `hostUsers: false` is root only in a user namespace of its own. Containers of all kinds count, in the template and
    in each live pod that differs from it.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: securityContext.runAsNonRoot: true, and no runAsUser: 0
    Change: replaces the workload's pods, by its own update strategy
    References: https://kubernetes.io/docs/concepts/security/pod-security-standards/
    """
    return judge(
        workload,
        NON_ROOT,
        NON_ROOT_USER,
        good="No container runs as root",
        bad="May run as root",
    )


@rule(
    "AKS-KS-07",
    title="Containers drop all capabilities and add at most one",
    severity=Severity.MEDIUM,
    controls=(
        azure_policy("c26596ff-4d70-4e6a-9a30-c2506bd2f80c"),
        azure_policy("a27c700f-8a22-44ec-961c-41625264370b"),
        azure_policy("c873b3ba-c605-42e4-a64b-a142a93826fc"),
        azure_policy("c812272d-7488-495f-a505-047d34b83f58"),
        kubebuddy("SEC009"),
        kubebuddy("SEC012"),
        community_policy("b78635dd-cf1b-4ad4-a6d1-3d1b2f4a176a"),
        community_policy("67a37245-1d51-40e2-afbf-cdb3c6145caa"),
        checkov("CKV_K8S_25"),
        checkov("CKV_K8S_28"),
        checkov("CKV_K8S_37"),
        prowler("core_minimize_containers_added_capabilities"),
        prowler("core_minimize_containers_capabilities_assigned"),
        prowler("core_minimize_net_raw_capability_admission"),
    ),
)
def few_capabilities(workload: Workload) -> Verdict:
    """Container runtimes give containers 14 capabilities that few programs use, NET_RAW and MKNOD among them.

    Severity: each is a part of root's power; which of them leads out depends on the kernel's bugs.
    Decided: `securityContext.capabilities.drop` holds ALL, and `add` nothing but NET_BIND_SERVICE. A pod whose
    `os.name` is windows has no capabilities. Containers of all kinds count, in the template and in each live pod that
    differs from it.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: securityContext.capabilities.drop: [ALL]
    Change: replaces the workload's pods, by its own update strategy
    References: https://kubernetes.io/docs/concepts/security/pod-security-standards/
    Follows: AKS-KS-01
    """
    return judge(
        workload,
        FEW_CAPABILITIES,
        good="All capabilities are dropped",
        bad="Keeps or adds capabilities",
    )


@rule(
    "AKS-KS-08",
    title="No container has the capability SYS_ADMIN",
    severity=Severity.HIGH,
    controls=(
        azure_policy("d2e7ea85-6b44-4317-a0be-1b951587f626"),
        checkov("CKV_K8S_39"),
    ),
)
def no_sys_admin(workload: Workload) -> Verdict:
    """SYS_ADMIN lets a container mount file systems and enter other namespaces. It is root on the node under another name.

    Severity: it is one step from taking the node over.
    Decided: `securityContext.capabilities.add` holds neither SYS_ADMIN nor ALL, with or without `CAP_`, in any case.
    Containers of all kinds count, in the template and in each live pod that differs from it.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: take SYS_ADMIN out of securityContext.capabilities.add
    Change: replaces the workload's pods, by its own update strategy
    References: https://kubernetes.io/docs/concepts/security/linux-kernel-security-constraints/
    """
    return judge(
        workload,
        SYS_ADMIN,
        good="No container has SYS_ADMIN",
        bad="Has SYS_ADMIN",
    )


@rule(
    "AKS-KS-09",
    title="A seccomp profile limits the system calls of each container",
    severity=Severity.MEDIUM,
    controls=(
        azure_policy("975ce327-682c-4f2e-aa46-b9598289b86c"),
        azure_policy("6f87d474-38a9-46c9-bdfe-d7fa3b9836bf"),
        azure_policy("6bcd4321-fb89-4e3e-bf6c-999c13d47f43"),
        kubebuddy("SEC016"),
        kubebuddy("SEC020"),
        community_policy("24462566-db44-4475-bc57-43e1b74fa141"),
        checkov("CKV_K8S_31"),
        prowler("core_seccomp_profile_docker_default"),
    ),
)
def seccomp(workload: Workload) -> Verdict:
    """Without a profile a container may make every system call of the kernel, and each is a part of what can be attacked.

    Severity: it matters where the kernel has a hole, and then for every pod on the node.
    Decided: `seccompProfile.type` is RuntimeDefault or Localhost for each container, set by itself or by its pod, and
    nobody sets another. Absent means Unconfined, unless the kubelet was told otherwise, which AKS does only where a
    pool's kubelet configuration says so. Containers of all kinds count, in the template and in each live pod that
    differs from it.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: securityContext.seccompProfile.type: RuntimeDefault
    Change: replaces the workload's pods, by its own update strategy
    References: https://kubernetes.io/docs/concepts/security/pod-security-standards/
    Follows: AKS-KS-01
    """
    return judge(
        workload,
        SECCOMP,
        SECCOMP_CHOSEN,
        good="Each container has a seccomp profile",
        bad="Has no seccomp profile",
    )


@rule(
    "AKS-KS-10",
    title="No container switches its AppArmor profile off",
    severity=Severity.MEDIUM,
    controls=(
        azure_policy("511f5417-5d12-434d-ab2e-816901e72a5e"),
        kubebuddy("SEC019"),
        community_policy("1b775519-c696-4ee1-be63-304c6e908b24"),
    ),
)
def app_armor(workload: Workload) -> Verdict:
    """Ubuntu nodes hold containers to the runtime's AppArmor profile, which keeps them off mounts and parts of /proc.

    Severity: it takes one of several walls away.
    Decided: `appArmorProfile.type` is absent, RuntimeDefault or Localhost, and so is the older annotation
    `container.apparmor.security.beta.kubernetes.io/<container>`. Containers of all kinds count, in the template and in
    each live pod that differs from it.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: leave out securityContext.appArmorProfile, or set its type to RuntimeDefault
    Change: replaces the workload's pods, by its own update strategy
    References: https://kubernetes.io/docs/concepts/security/pod-security-standards/
    Follows: AKS-KS-01
    """
    return judge(
        workload,
        APP_ARMOR,
        good="No container is without its AppArmor profile",
        bad="AppArmor is switched off",
    )


@rule(
    "AKS-KS-11",
    title="No container chooses an SELinux user, role or foreign type",
    severity=Severity.LOW,
    controls=(
        azure_policy("e1e6c427-07d9-46ab-9689-bfa85431e636"),
        community_policy("ea0d43d1-de73-4da3-bf92-c07e933f2f69"),
    ),
)
def se_linux(workload: Workload) -> Verdict:
    """A custom SELinux label can put a container into a domain that may do more.

    Severity: AKS nodes do not enforce SELinux by default; the manifest would matter elsewhere.
    Decided: `seLinuxOptions.user` and `.role` are absent, `.type` is absent or one of container_t, container_init_t,
    container_kvm_t and container_engine_t. Containers of all kinds count, in the template and in each live pod that
    differs from it.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: leave securityContext.seLinuxOptions out
    Change: replaces the workload's pods, by its own update strategy
    References: https://kubernetes.io/docs/concepts/security/pod-security-standards/
    """
    return judge(
        workload,
        SE_LINUX,
        good="No container chooses an SELinux label",
        bad="Chooses an SELinux label",
    )


@rule(
    "AKS-KS-12",
    title="/proc is masked in every container",
    severity=Severity.MEDIUM,
    controls=(
        azure_policy("f85eb0dd-92ee-40e9-8a76-db25a507d6d3"),
        kubebuddy("SEC017"),
        community_policy("6ca88de2-34f1-4136-8438-76c000222a09"),
    ),
)
def proc_mount(workload: Workload) -> Verdict:
    """The runtime hides the parts of /proc that tell of the node or let a container change it.

    Severity: unmasked, root in the container can change the kernel's settings.
    Decided: `securityContext.procMount` is Default or absent, which means Default. With `hostUsers: false` either is
    permitted, as baseline has it; restricted refuses it even then, as AKS-KS-16 says. Containers of all kinds count, in
    the template and in each live pod that differs from it.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: leave securityContext.procMount out
    Change: replaces the workload's pods, by its own update strategy
    References: https://kubernetes.io/docs/concepts/security/pod-security-standards/
    """
    return judge(
        workload,
        PROC_MOUNT,
        good="/proc is masked in every container",
        bad="Sees all of /proc",
    )


@rule(
    "AKS-KS-13",
    title="Pods set only kernel parameters that are their own",
    severity=Severity.MEDIUM,
    controls=(
        azure_policy("56d0a13f-712f-466b-8416-56fb354fb823"),
        azure_policy("5e5a0673-649e-4d50-bf9d-5a387a4e2081"),
        kubebuddy("SEC023"),
        community_policy("ff0741c1-6524-45b9-8671-9501f69a5675"),
    ),
)
def safe_sysctls(workload: Workload) -> Verdict:
    """A kernel parameter that has no namespace changes the node for all its pods.

    Severity: it can weaken or bring down its neighbours; the kubelet refuses most such pods anyway.
    Decided: every name in `securityContext.sysctls` is one of those that baseline permits.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: take the parameter out of securityContext.sysctls
    Change: replaces the workload's pods, by its own update strategy
    References: https://kubernetes.io/docs/concepts/security/pod-security-standards/
    """
    return judge(
        workload,
        KERNEL_PARAMETERS,
        good="No kernel parameter of the node is set",
        bad="Sets kernel parameters of the node",
    )


@rule(
    "AKS-KS-14",
    title="Pods use only core volume types",
    severity=Severity.MEDIUM,
    controls=(
        azure_policy("16697877-1118-4fb1-9b65-9898ec2509ec"),
        azure_policy("f4a8fce0-2dd5-4c21-9a36-8f0ec809d663"),
        kubebuddy("SEC013"),
        kubebuddy("SEC027"),
        community_policy("418bd3c0-39ab-4b41-98ef-a9727752b301"),
        community_policy("bc8be211-0548-4213-8a17-1193a8ec3c99"),
    ),
)
def volume_types(workload: Workload) -> Verdict:
    """Volumes of other kinds, such as gitRepo, nfs, iscsi or flexVolume, are mounted by the node itself, as root.

    What they need to know stands in the manifest, where everybody who may read pods reads it.

    Severity: the drivers of old kinds have had holes; and a manifest chooses what the node connects to.
    Decided: each volume is a configMap, csi, downwardAPI, emptyDir, ephemeral, image, persistentVolumeClaim, projected or
    secret. hostPath is the matter of another rule.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: use persistentVolumeClaim or csi
    Change: replaces the workload's pods, by its own update strategy
    References: https://kubernetes.io/docs/concepts/security/pod-security-standards/
    """
    return judge(
        workload,
        OTHER_VOLUMES,
        good="All volumes are of core types",
        bad="Has volumes of other types",
    )


@rule(
    "AKS-KS-15",
    title="The root file system of containers is read-only",
    severity=Severity.MEDIUM,
    controls=(
        azure_policy("df49d893-a74c-421d-bc95-c663042e5b80"),
        azure_policy("8e875f96-2c56-40ca-86db-b9f6a0be7347"),
        azure_policy("2ae2f266-ecc3-4d26-82c5-8c3cb7774f45"),
        community_policy("48ab964d-5477-47fc-95c5-9cf926f8cd1d"),
        checkov("CKV_K8S_22"),
        prowler("core_readonly_root_filesystem_enabled"),
    ),
)
def read_only_root(workload: Workload) -> Verdict:
    """What cannot write cannot keep a tool, replace a program or fill the node's disk.

    Severity: it slows an intruder down who is in already.
    Decided: `securityContext.readOnlyRootFilesystem` is true. Absent means false, which fails. A pod whose `os.name`
    is windows cannot have it. Containers of all kinds count, in the template and in each live pod that differs from
    it.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: securityContext.readOnlyRootFilesystem: true, and an emptyDir for what must be written
    Change: replaces the workload's pods, by its own update strategy
    References: https://kubernetes.io/docs/tasks/configure-pod-container/security-context/
    """
    return judge(
        workload,
        READ_ONLY_ROOT,
        good="The root file system is read-only",
        bad="The root file system can be written",
    )


RULES = (
    not_privileged,
    no_privilege_escalation,
    own_process_namespaces,
    own_network_namespace,
    no_host_paths,
    non_root,
    few_capabilities,
    no_sys_admin,
    seccomp,
    app_armor,
    se_linux,
    proc_mount,
    safe_sysctls,
    volume_types,
    read_only_root,
)
