"""Who is given which rights inside clusters: the bindings that people made, and what they changed in others."""

import re
from collections.abc import Iterable, Sequence

from aks_audit.facts import NotCollected, Unread
from aks_audit.facts.platform import system_namespaces
from aks_audit.facts.rbac import AnyBinding, AnyRole, ClusterRoleBinding, PolicyRule, RoleBinding, Subject
from aks_audit.rbac.bindings import role_of
from aks_audit.rbac.effective import Joined, Token, together, tokens, weight
from aks_audit.rbac.platform import everybody, judged
from aks_audit.rbac.powers import TOKENS, Held, allows_everything, powers
from aks_audit.results import Evidence, Severity, Verdict
from aks_audit.rule import fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import azure_policy, checkov, kubebuddy, prowler

_MOST = 5
"""How many subjects a verdict names and cites; the rest stand beside them in the binding."""

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_READ = frozenset({"get", "list", "watch"})


@rule(
    "AKS-KR-01",
    title="Only AKS and Kubernetes bind cluster-admin",
    severity=Severity.HIGH,
    controls=(
        azure_policy("a3dc4946-dba6-43e6-950d-f96532848c9f"),
        kubebuddy("RBAC001"),
        kubebuddy("RBAC002"),
        prowler("rbac_cluster_admin_usage"),
    ),
)
def few_cluster_admins(binding: AnyBinding) -> Verdict:
    """Who is bound to cluster-admin may do everything to everything, and no later right takes any of it back.

    AKS binds its own administrators: those of the Entra groups that the cluster names. Azure RBAC gives the role to
    people for a time and says so in the activity log; a binding stays until somebody finds it.

    Severity: each subject is one stolen token away from the whole cluster. An Entra group has members and a log of its
    own, and one namespace is less than all: these weigh less.
    Decided: a binding of `cluster-admin`, or of another role with a rule that allows every verb on every resource of
    every group. Kubernetes' own binding (system:masters) and AKS's own are not asked about, but for subjects that
    people put into them; of `aks-cluster-admin-binding-aad`, groups that are none of the cluster's
    `adminGroupObjectIDs`, where it names any. One that has a binding on purpose, to break glass, is an exception to
    accept.
    Fix: kubectl delete --namespace {namespace} {kind}/{name}
    Bicep: none; in place of the binding: aadProfile.adminGroupObjectIDs, or a role assignment of Azure RBAC
    Change: in place, at once; whoever needs less should have it before
    References: https://kubernetes.io/docs/concepts/security/rbac-good-practices/ https://learn.microsoft.com/azure/aks/manage-azure-rbac
    """
    cited = binding.at(AnyBinding.role_ref)
    theirs = judged(binding)
    if not theirs:
        return _nobodys(binding)
    role = role_of(binding)
    named = binding.role_name == "cluster-admin" and "/clusterroles/" in binding.role_id
    by = allows_everything(role) if role else None
    if not named and role is None:
        return _dangling(binding)
    if not named and by is None:
        return _nothing(binding) if role and not role.rules else passes(f"{_told(binding)} gives less than all", cited)
    evidence = (cited, *([by.itself] if by else []), *_cited(theirs))
    message = f"{_told(binding)} gives {_names(theirs)} every right {_where(binding)}"
    return fails(message, *evidence, severity=_weight_of_all(binding, theirs))


@rule(
    "AKS-KR-06",
    title="Bindings give no rights that lead to other rights, to secrets or to nodes",
    severity=Severity.HIGH,
    controls=(
        kubebuddy("RBAC005"),
        kubebuddy("RBAC006"),
        kubebuddy("RBAC010"),
        kubebuddy("RBAC011"),
        azure_policy("53a4a537-990c-495a-92e0-7c21a465442c"),
        checkov("CKV_K8S_155"),
        checkov("CKV_K8S_156"),
        checkov("CKV_K8S_157"),
        checkov("CKV_K8S_158"),
        checkov("CKV2_K8S_1"),
        checkov("CKV2_K8S_2"),
        checkov("CKV2_K8S_3"),
        checkov("CKV2_K8S_5"),
        prowler("rbac_minimize_csr_approval_access"),
        prowler("rbac_minimize_node_proxy_subresource_access"),
        prowler("rbac_minimize_pod_creation_access"),
        prowler("rbac_minimize_pv_creation_access"),
        prowler("rbac_minimize_secret_access"),
        prowler("rbac_minimize_service_account_token_creation"),
        prowler("rbac_minimize_webhook_config_access"),
    ),
)
def no_dangerous_rights(binding: AnyBinding) -> Verdict:
    """A few rights are worth many: who may bind, escalate, impersonate, or run pods anywhere, may soon do everything.

    Whoever reads Secrets has what they open. Whoever reaches nodes/proxy runs commands in every pod, past admission and
    audit. A webhook sees and changes every object that is written.

    Whoever makes a PersistentVolume of a node's path takes hostPath past what admission refuses pods; whoever labels
    a namespace decides what admission refuses in it.

    Severity: in the whole cluster most of them are one step from cluster-admin; in one namespace they stay in it, unless
    it is one of AKS's own. Editing nodes, which AKS undoes and policy forbids, making PersistentVolumes and labelling
    namespaces, which take a pod besides, and deleting events weigh less.
    Decided: what the rules of the bound role allow, with wildcards and subresources as the API server has them, where
    the binding gives it: to read Secrets, run commands in pods, get tokens, impersonate, bind, escalate, reach
    kubelets, approve certificates, change webhooks, make PersistentVolumes, change namespaces, edit nodes, delete
    events; to run pods in the whole cluster or in a namespace of AKS's own, while to run them in one of people's own is
    ordinary. Rules limited to `resourceNames` count only for impersonate, bind, escalate and approve, and for tokens of
    service accounts that have such rights themselves. Where a power takes two rights, as approving certificates does
    (`certificatesigningrequests/approval` and `signers`), it counts where a subject has the other one by another binding,
    of its own or of a group that Kubernetes puts it into; other groups of users are not Kubernetes' to know. Of an aggregated
    ClusterRole the rules count that the API server holds. The evidence is the chain: subject, binding, rule. Bindings
    of Kubernetes and AKS themselves are not asked about, but for subjects that people put into them. A role that allows
    everything is the matter of AKS-KR-01.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: bind a role with the verbs and resources that are used, with resourceNames where they are known
    Change: in place, at once; whoever used the right is refused
    References: https://kubernetes.io/docs/concepts/security/rbac-good-practices/#kubernetes-rbac-privilege-escalation-risks
    """
    theirs = judged(binding)
    if not theirs:
        return _nobodys(binding)
    role = role_of(binding)
    if role is None or not role.rules:
        return _nothing(binding) if role else _dangling(binding)
    if allows_everything(role):
        return not_applicable(
            f"{_told(binding)} gives everything, which AKS-KR-01 judges", binding.at(AnyBinding.role_ref)
        )
    held = [(one, severity) for one in powers(role) if (severity := weight(one.power, binding))]
    named = () if any(one.power is TOKENS for one, _ in held) else tuple(tokens(binding, role))
    found = together(binding, role, theirs)
    if held or named or found.joined:
        return _leads_further(binding, theirs, held, named, found.joined)
    evidence = (binding.at(AnyBinding.role_ref), role.at(AnyRole.rules))
    if found.missing:
        return undecided(found.missing[0].reason, *evidence, missing=found.missing)
    return passes(f"{_told(binding)} gives no right that leads further {_where(binding)}", *evidence)


def _leads_further(
    binding: AnyBinding,
    theirs: Sequence[Subject],
    held: Sequence[tuple[Held, Severity]],
    named: Sequence[Token],
    joined: Sequence[Joined],
) -> Verdict:
    """The verdict about rights that a binding gives alone, by the name of a service account, and with others."""
    says = [f"lets {_names(theirs)} {_does(held)} {_where(binding)}"] if held else []
    says += [_had(one, theirs) for one in named[:_MOST]]
    says += dict.fromkeys(map(_with_others, joined[:_MOST]))
    rules = [rule for one, _ in held for rule in one.rules]
    rules += [*(rule for one in joined[:_MOST] for rule in one.rules), *(one.rule for one in named[:_MOST])]
    others = [*(other for one in joined[:_MOST] for other in one.others), *(one.by for one in named[:_MOST])]
    severities = [
        *(severity for _, severity in held),
        *(one.severity for one in named),
        *(one.severity for one in joined),
    ]
    return fails(
        f"{_told(binding)} {', and '.join(says)}",
        binding.at(AnyBinding.role_ref),
        *_cited(theirs),
        *_rules(rules),
        *(other.at(AnyBinding.role_ref) for other in {one.id: one for one in others}.values()),
        severity=min(severities, key=list(Severity).index),
    )


def _does(held: Iterable[tuple[Held, Severity]]) -> str:
    return ", ".join(dict.fromkeys(one.power.does for one, _ in held))


def _had(token: Token, subjects: Sequence[Subject]) -> str:
    """Whose tokens may be had, and what makes that more than it looks."""
    return (
        f"lets {_names(subjects)} get tokens of {token.account}, to which {_told(token.by)} gives {token.by.role_name}"
    )


def _with_others(joined: Joined) -> str:
    """What somebody does by several bindings."""
    return f"with {' and '.join(map(_told, joined.others))} lets {joined.subject.told} {joined.power.does}"


@rule(
    "AKS-KR-07",
    title="No binding names everybody or anonymous",
    severity=Severity.HIGH,
    controls=(kubebuddy("RBAC007"),),
)
def nobody_in_particular(binding: AnyBinding) -> Verdict:
    """A right of system:authenticated or system:anonymous is a right of whoever reaches the API server.

    On AKS every identity of the tenant that may sign in is authenticated, and so is every pod with a token. A right of
    system:serviceaccounts is one of every pod, those of tomorrow included.

    Severity: nobody has to be broken into. Every service account of one namespace is less, and weighs less; so does a
    role that does not exist today.
    Decided: no subject is `system:anonymous`, `system:unauthenticated`, `system:authenticated`, `system:serviceaccounts`
    or `system:serviceaccounts:<namespace>`. What Kubernetes itself gives to everybody (system:basic-user,
    system:discovery, system:public-info-viewer, system:service-account-issuer-discovery) is not asked about; a group that
    it does not put there, such as the unauthenticated in system:discovery since before 1.14, is.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: subjects: name the groups or service accounts that need the right
    Change: in place, at once; whoever used the right is refused
    References: https://kubernetes.io/docs/reference/access-authn-authz/rbac/#discovery-roles
    """
    theirs = judged(binding)
    if not theirs:
        return _nobodys(binding)
    broad = [one for one in theirs if everybody(one)]
    if not broad:
        return passes(f"{_told(binding)} names {_names(theirs)}", *_cited(theirs))
    small = all(one.key[1].startswith("system:serviceaccounts:") for one in broad)
    severity = Severity.LOW if _dangles(binding) else Severity.MEDIUM if small else None
    gives = "a role that does not exist" if _dangles(binding) else binding.role_name
    message = f"{_told(binding)} gives {gives} to {_names(broad)} {_where(binding)}"
    return fails(message, binding.at(AnyBinding.role_ref), *_cited(broad), severity=severity)


@rule(
    "AKS-KR-08",
    title="No service account has rights in another namespace",
    severity=Severity.MEDIUM,
    controls=(kubebuddy("RBAC008"),),
)
def rights_at_home(binding: RoleBinding) -> Verdict:
    """A namespace is a boundary only as long as nobody in another one has rights in it.

    Whoever may run pods beside the service account has what it has, and those who own this namespace do not see it.

    Severity: it joins what was kept apart. Who may only read, and no Secrets, weighs less, as a role that does not exist.
    Decided: each service account among the subjects of a RoleBinding is in the binding's own namespace. Bindings of
    Kubernetes and AKS themselves are not asked about, but for subjects that people put into them; nor is
    `extension-apiserver-authentication-reader` in kube-system, which every extension API server needs from wherever it
    runs. Rights in all namespaces are the matter of AKS-KR-06.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: subjects: a service account of the binding's own namespace
    Change: in place, at once; the service account is refused
    References: https://kubernetes.io/docs/concepts/security/rbac-good-practices/
    """
    theirs = judged(binding)
    if not theirs:
        return _nobodys(binding)
    if binding.role_name == "extension-apiserver-authentication-reader":
        return not_applicable(f"{_told(binding)} is what extension API servers need", binding.at(AnyBinding.role_ref))
    accounts = [one for one in theirs if one.key[0] == "ServiceAccount"]
    if not accounts:
        return not_applicable(f"{_told(binding)} binds no service account", *_cited(theirs))
    strangers = [one for one in accounts if one.namespace != binding.namespace]
    if not strangers:
        return passes(f"{_told(binding)} binds service accounts of its own namespace", *_cited(accounts))
    severity = Severity.LOW if _dangles(binding) or _only_reads(binding) else None
    message = f"{_told(binding)} gives {binding.role_name} {_where(binding)} to {_names(strangers)}"
    return fails(message, binding.at(AnyBinding.role_ref), *_cited(strangers), severity=severity)


def _nobodys(binding: AnyBinding) -> Verdict:
    """The verdict about a binding in which people have nothing."""
    evidence = binding.at(AnyBinding.subjects)
    if not binding.subjects:
        return not_applicable(f"{_told(binding)} binds nobody", evidence)
    return not_applicable(f"{_told(binding)} is Kubernetes' or AKS's own", evidence)


def _dangling(binding: AnyBinding) -> Verdict:
    message = f"{_told(binding)} binds a role that does not exist, which AKS-KR-09 judges"
    return not_applicable(message, binding.at(AnyBinding.role_ref))


def _nothing(binding: AnyBinding) -> Verdict:
    return not_applicable(f"{_told(binding)} binds a role without rules", binding.at(AnyBinding.role_ref))


def _told(binding: AnyBinding) -> str:
    return f"{'ClusterRoleBinding' if isinstance(binding, ClusterRoleBinding) else 'RoleBinding'} {binding.name}"


def _where(binding: AnyBinding) -> str:
    return f"in namespace {binding.namespace}" if binding.namespace else "in the whole cluster"


def _names(subjects: Sequence[Subject]) -> str:
    more = f" and {len(subjects) - _MOST} more" if len(subjects) > _MOST else ""
    return ", ".join(one.told for one in subjects[:_MOST]) + more


def _cited(subjects: Sequence[Subject]) -> list[Evidence]:
    return [one.itself for one in subjects[:_MOST]]


def _rules(rules: Iterable[PolicyRule]) -> list[Evidence]:
    """The rules by which powers are held, each once."""
    found = {(rule.document.id, rule.pointer): rule for rule in rules}
    return [rule.itself for rule in found.values()]


def _weight_of_all(binding: AnyBinding, subjects: Iterable[Subject]) -> Severity | None:
    """How bad it is to be given everything; None: as bad as the rule says."""
    if binding.namespace:
        return None if binding.namespace in system_namespaces() else Severity.MEDIUM
    groups = all(one.key[0] == "Group" and _GUID.fullmatch(one.key[1]) for one in subjects)
    return Severity.MEDIUM if groups else None


def _dangles(binding: AnyBinding) -> bool:
    """Whether a binding is known to bind a role that does not exist."""
    try:
        return role_of(binding) is None
    except NotCollected:
        return False


def _only_reads(binding: AnyBinding) -> bool:
    """Whether the role of a binding is known to do nothing but read, and no Secrets."""
    try:
        role = role_of(binding)
        permissions = [one.permission for one in (role.rules if role else None) or ()]
    except Unread:
        return False
    return all(one.verbs <= _READ and one.resources.isdisjoint({"*", "secrets"}) for one in permissions)


RULES = (few_cluster_admins, no_dangerous_rights, nobody_in_particular, rights_at_home)
