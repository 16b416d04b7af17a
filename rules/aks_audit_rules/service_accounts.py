"""What pods bring to the API server and to others: service accounts, their tokens, and secrets in environments."""

import re
from collections.abc import Iterator

from aks_audit.facts import Evidence
from aks_audit.facts.environment import (
    ContainerStatus,
    Environment,
    EnvSource,
    EnvVar,
    environment,
    mounted_secrets,
    statuses,
    tokens,
)
from aks_audit.facts.platform import is_component, system_namespaces
from aks_audit.facts.rbac import AnyBinding, ServiceAccount, Subject, TokenSecret
from aks_audit.facts.workloads import Container, Pod, PodSpec, Workload
from aks_audit.rbac.accounts import DEFAULT, account_name, automount, users
from aks_audit.rbac.authorizer import service_account
from aks_audit.rbac.bindings import Bindings, bindings, existing
from aks_audit.rbac.platform import judged
from aks_audit.results import Outcome, Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule
from aks_audit_rules.frameworks import azure_policy, checkov, community_policy, kubebuddy, prowler
from aks_audit_rules.workload_verdicts import component, of_workload, with_unread

_DAY = 86_400
_MOST = 5
"""How many workloads a verdict names and cites."""

_AUTOMATIC = re.compile(r"kube-api-access-\w{5}")
"""The volume that admission puts into pods; its token lives as long as the API server wants."""

_SECRET = re.compile(
    r"(?:^|[-_.:]|(?-i:(?<=[a-z0-9])(?=[A-Z])))"
    r"(?:PASS(?:WORD|WD|PHRASE)|PWD|SECRET|TOKEN|CREDENTIALS?|CONNECTION_?STRING"
    r"|(?:ACCESS|ACCOUNT|API|ENCRYPTION|PRIVATE|SAS|SECRET|SHARED|SIGNING)[-_.]?KEY)$"
    r"|^CONNECTIONSTRINGS(?:__|:)",
    re.IGNORECASE,
)
"""How variables are called that hold a secret itself, and not the name of a file or of an object with one."""

_NO_SECRET = frozenset({"applicationinsights_connection_string"})
"""Called like a secret, and none: https://learn.microsoft.com/azure/azure-monitor/app/connection-strings."""

_TAKEN_OUT = re.compile(r"(?:^|[=:\s])\*\*\*$")
"""A word of a command line from which a secret was taken when the cluster was read."""


@rule(
    "AKS-KR-04",
    title="Pods that never ask the API server have no token for it",
    severity=Severity.MEDIUM,
    controls=(
        azure_policy("423dd1ba-798e-40e4-9c4d-b6902674b423"),
        azure_policy("57f274ef-580a-4ed2-bcf8-5c6fa3775253"),
        kubebuddy("POD008"),
        kubebuddy("SEC018"),
        community_policy("79513fd8-8581-4eb1-b995-ab085e70e6f2"),
        checkov("CKV_K8S_38"),
    ),
)
def no_needless_token(workload: Workload) -> Verdict:
    """Who breaks into a container finds the token, and is an authenticated identity of the cluster with it.

    What it may do today is little; the next binding of everybody, or of the service account, changes that unseen.

    Severity: it is a key that opens little, in every pod that has it.
    Decided: `automountServiceAccountToken` of the pod, where it is absent that of its service account, where that is
    absent true. A service account of its own that a binding names is taken to need the token; `default` never is. Live
    pods count where they differ from the template.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: automountServiceAccountToken: false
    Change: replaces the workload's pods, by its own update strategy
    References: https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/
    """
    if is_component(workload):
        return component(workload)
    return with_unread(workload, each(workload.specs, lambda spec: _token(workload, spec)))


@rule(
    "AKS-KR-05",
    title="The default service account has no rights, and no pod has its token",
    severity=Severity.MEDIUM,
    controls=(
        kubebuddy("SEC015"),
        kubebuddy("RBAC009"),
        checkov("CKV_K8S_41"),
        checkov("CKV_K8S_42"),
    ),
)
def default_unused(account: ServiceAccount) -> Verdict:
    """Every pod that names no service account runs as `default`, and has what it has.

    A right that one of them needs is a right of all of them, and of every pod that comes later.

    Severity: where it has rights, any pod of the namespace is a way to them; a token without rights weighs less.
    Decided: no binding names the service account `default` of the namespace; rights of all service accounts at once are
    the matter of AKS-KR-07. No workload runs as it with its token (AKS-KR-04 says what decides). In namespaces of AKS's
    own only bindings count that people made, and AKS's components do not.
    Fix: kubectl patch serviceaccount --namespace {namespace} {name} --patch 'automountServiceAccountToken: false'
    Bicep: none; in the manifest: serviceAccountName: one of the workload's own; subjects: that one in place of default
    Change: in place for pods made from then on; pods that run keep what they have
    References: https://kubernetes.io/docs/concepts/security/rbac-good-practices/ https://kubernetes.io/docs/concepts/security/service-accounts/
    """
    evidence = account.at(ServiceAccount.automount_service_account_token)
    if account.name != DEFAULT:
        return not_applicable(f"{account.name} is a service account that somebody made", evidence)
    known, running = bindings(account.cluster), users(account.cluster)
    bound = _bound(known, account.namespace, DEFAULT)
    if bound:
        names = ", ".join(dict.fromkeys(f"{one.name} ({one.role_name})" for one, _ in bound))
        return fails(f"default of {account.namespace} is bound by {names}", *(subject.itself for _, subject in bound))
    theirs = [one for one in running.by_account.get((account.namespace, DEFAULT), ()) if not is_component(one)]
    using = each(theirs, _mounted)
    if using.outcome is Outcome.FAIL:
        names = ", ".join(one.name for one in theirs[:_MOST]) + (", …" if len(theirs) > _MOST else "")
        message = f"Workloads of {account.namespace} run as default, with its token: {names}"
        return fails(message, *using.evidence[:_MOST], severity=Severity.LOW)
    known.whole()
    running.whole()
    if account.namespace in system_namespaces():
        return not_applicable(f"{account.namespace} is a namespace of AKS's own", evidence)
    if using.outcome is Outcome.UNKNOWN:
        return using
    return passes(f"default of {account.namespace} has no rights, and no pod has its token", evidence)


@rule(
    "AKS-KR-10",
    title="Tokens of service accounts expire within a day",
    severity=Severity.LOW,
    controls=(kubebuddy("SEC040"), kubebuddy("CFG008")),
)
def short_tokens(workload: Workload) -> Verdict:
    """A token that was stolen is worth as long as it lives; the kubelet renews it in time, however short that is.

    Before Kubernetes 1.24 each service account had a Secret with a token that lives for ever, and keeps it.

    Severity: it needs a token to be stolen first.
    Decided: each `serviceAccountToken` of a projected volume has `expirationSeconds` of at most a day (absent means an
    hour; less than ten minutes, or more than 2^32, no API server takes), and neither does the service account name nor
    a volume hold a Secret called `<its name>-token-<five letters>`. Without an `audience` the token is for the API
    server, which is what some pods mount it for. The volume that admission puts into pods is not asked about, nor are
    workloads without any token. Secrets are not read, so that a token that somebody made in one of another name is not
    seen; nor is `serviceAccount`, the old name of `serviceAccountName`, which the API server sends whatever the
    manifest says.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: volumes.projected.sources.serviceAccountToken.expirationSeconds: 3600
    Change: replaces the workload's pods, by its own update strategy
    References: https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/ https://kubernetes.io/docs/concepts/security/service-accounts/
        https://kubernetes.io/docs/concepts/storage/projected-volumes/#serviceaccounttoken
    """
    if is_component(workload):
        return component(workload)
    return with_unread(workload, each(workload.specs, lambda spec: _lifetimes(workload, spec)))


@rule(
    "AKS-KR-11",
    title="Secrets are in no manifest and in no environment",
    severity=Severity.MEDIUM,
    controls=(
        kubebuddy("SEC001"),
        kubebuddy("SEC008"),
        kubebuddy("SEC022"),
        kubebuddy("SEC031"),
        kubebuddy("SEC032"),
        kubebuddy("SEC033"),
        checkov("CKV_K8S_35"),
        prowler("core_no_secrets_envs"),
    ),
)
def secrets_in_files(workload: Workload) -> Verdict:
    """What stands in a manifest is read by everybody who may read pods, and lies in every repository that it came from.

    An environment is inherited by every child process, and ends in crash dumps and logs; a mounted Secret, or one of
    Key Vault, is read by who opens its file, and changes without a restart.

    Severity: a secret in the manifest is as good as published inside the company. One that a Secret gives to an
    environment is a smaller step, and of low weight, as is one that is not there, for which pods wait.
    Decided: no environment variable that is called like a secret (it ends in PASSWORD, TOKEN, API_KEY, CONNECTION_STRING
    and the like, or is one of .NET's ConnectionStrings) has a value of its own, even an empty one, and no word of a
    command line had a secret, which is taken out when a cluster is read, as values are. The connection string of
    Application Insights is none. No variable comes from a Secret, and no live pod waits for one that its environment
    names and that is not there, as its kubelet says. A container without variables and without a command is not asked
    about. Secrets are never read, nor are other ConfigMaps than a few of kube-system: whether a Secret that a volume
    names is missing, whether one is of no use, whether a certificate in one is about to expire, and what ConfigMaps
    hold is not decided.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: volumes with a secret, or with csi and the SecretProviderClass of a key vault, in place of env
    Change: replaces the workload's pods, by its own update strategy; the program reads a file
    References: https://kubernetes.io/docs/concepts/security/secrets-good-practices/ https://learn.microsoft.com/azure/aks/csi-secrets-store-driver
    """
    if is_component(workload):
        return component(workload)
    containers = [container for _, held in of_workload(workload) for container in held]
    verdict = with_unread(workload, each(containers, _secrets))
    if verdict.outcome is not Outcome.FAIL:
        return verdict
    return each((verdict, each(workload.pods, _absent)), lambda one: one)


def _token(workload: Workload, spec: PodSpec) -> Verdict:
    mounted = automount(workload, spec)
    name = account_name(spec)
    if not mounted.on:
        return passes("The pod has no token", mounted.evidence)
    if name == DEFAULT:
        return fails("The pod has the token of default, which no pod should need", mounted.evidence)
    known = bindings(workload.cluster)
    if bound := _bound(known, workload.namespace, name):
        return not_applicable(f"{bound[0][0].name} binds {name}, so that its token may be needed", mounted.evidence)
    known.whole()
    return fails(f"The pod has the token of {name}, which nothing binds", mounted.evidence)


def _bound(known: Bindings, namespace: str, name: str) -> list[tuple[AnyBinding, Subject]]:
    """The bindings of people's that name a service account itself, and no group that it is in."""
    itself = service_account(namespace, name)._replace(groups=frozenset())
    return [(binding, subject) for binding, subject in known.of(itself) if _theirs(binding, subject)]


def _theirs(binding: AnyBinding, subject: Subject) -> bool:
    return any(one.pointer == subject.pointer for one in judged(binding))


def _mounted(workload: Workload) -> Verdict:
    return each(workload.specs, lambda spec: _default_token(workload, spec))


def _default_token(workload: Workload, spec: PodSpec) -> Verdict:
    mounted = automount(workload, spec)
    if mounted.on and account_name(spec) == DEFAULT:
        return fails(f"{workload.name} has the token of default", mounted.evidence)
    return passes(f"{workload.name} has no token of default", mounted.evidence)


def _lifetimes(workload: Workload, spec: PodSpec) -> Verdict:
    volumes = [volume for volume in spec.volumes or () if not _AUTOMATIC.fullmatch(volume.name or "")]
    held = [token for volume in volumes for token in tokens(volume)]
    long = [token for token in held if token.lifetime > _DAY]
    if long:
        hours = max(token.lifetime for token in long) // 3600
        return fails(f"A token lives for {hours} hours", *(token.itself for token in long))
    name = account_name(spec)
    mounted = dict(found for volume in volumes for found in mounted_secrets(volume) if _of_account(name, found[0]))
    if mounted:
        secret, evidence = next(iter(mounted.items()))
        return fails(f"The pod has a token of {name} that lives for ever, in {secret}", evidence)
    old = _eternal(workload, name)
    if old:
        return fails(f"{name} has a token that lives for ever, in {old[0].name}", *(secret.itself for secret in old))
    if not held:
        return not_applicable("No volume holds a token but the one that admission puts in")
    return passes("Each token expires within a day", *(token.itself for token in held))


def _eternal(workload: Workload, name: str) -> tuple[TokenSecret, ...]:
    """The Secrets with tokens that Kubernetes made for a service account before 1.24."""
    path = f"api/v1/namespaces/{workload.namespace}/{ServiceAccount.TYPE}/{name}"
    account = existing(workload, ServiceAccount, f"{workload.cluster_id}/{path}")
    secrets = (account.secrets if account else None) or ()
    return tuple(secret for secret in secrets if _of_account(name, secret.name or ""))


def _of_account(name: str, secret: str) -> bool:
    """Whether a Secret is called as those are in which Kubernetes put tokens of a service account before 1.24."""
    return bool(re.fullmatch(rf"{re.escape(name)}-token-\w{{5}}", secret))


def _absent(pod: Pod) -> Verdict:
    waiting = [one for one in statuses(pod) if one.absent_secret]
    if not waiting:
        return not_applicable("No container waits for a Secret")
    told = ", ".join(f"{one.name} waits for {one.absent_secret}" for one in waiting)
    evidence = (one.at(ContainerStatus.waiting_message) for one in waiting)
    return fails(f"A Secret is not there, or lacks a key: {told}", *evidence, severity=Severity.LOW)


def _secrets(container: Container) -> Verdict:
    env = environment(container)
    variables, sources = env.env or (), env.env_from or ()
    words = (*(container.command or ()), *(container.args or ()))
    written = [one for one in variables if one.value_from is None and _is_secret(one.name or "")]
    if written:
        names = ", ".join(one.name or "" for one in written)
        message = f"{_whose(container)} sets {names} in the manifest"
        return fails(message, *(one.itself for one in written), severity=Severity.MEDIUM)
    if any(map(_TAKEN_OUT.search, words)):
        evidence = (container.at(Container.command), container.at(Container.args))
        return fails(f"The command line of {_whose(container)} holds a secret", *evidence, severity=Severity.MEDIUM)
    both: tuple[EnvVar | EnvSource, ...] = (*variables, *sources)
    given = [one for one in both if one.secret]
    if given:
        message = f"{_whose(container)} has Secrets in its environment"
        return fails(message, *(one.itself for one in given), severity=Severity.LOW)
    if not variables and not sources and not words:
        return not_applicable(f"{_whose(container)} sets no variables and no command")
    return passes(f"{_whose(container)} has no secret in its environment or command", *_shown(container, env))


def _is_secret(name: str) -> bool:
    return bool(_SECRET.search(name)) and name.lower() not in _NO_SECRET


def _whose(container: Container) -> str:
    return f"{container.kind} {container.name}"


def _shown(container: Container, env: Environment) -> Iterator[Evidence]:
    """What of a container was looked at, but for what it does not have."""
    looked = (env.at(Environment.env), env.at(Environment.env_from))
    command = (container.at(Container.command), container.at(Container.args))
    yield from (one for one in (*looked, *command) if one.value is not None)


RULES = (no_needless_token, default_unused, short_tokens, secrets_in_files)
