"""What roles inside clusters allow, and which roles, bindings and service accounts are of no use."""

from aks_audit.facts.platform import system_namespaces
from aks_audit.facts.rbac import AccessObject, AnyBinding, AnyRole, ClusterRole, Permission, PolicyRule, ServiceAccount
from aks_audit.facts.workloads import PodSpec
from aks_audit.rbac.accounts import DEFAULT, users
from aks_audit.rbac.authorizer import Request, allows
from aks_audit.rbac.bindings import account_of, aggregated, bindings, existing, role_of
from aks_audit.rbac.platform import added_wildcard, built_in, judged, of_platform
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule
from aks_audit_rules.frameworks import azure_policy, checkov, kubebuddy, prowler

_READ = frozenset({"get", "list", "watch"})
_WRITE = ("create", "delete", "deletecollection", "patch", "update")
_BACKENDS = (("", "endpoints"), ("discovery.k8s.io", "endpointslices"))
_EDITED = "system:aggregate-to-edit"


@rule(
    "AKS-KR-02",
    title="Roles have no wildcards",
    severity=Severity.HIGH,
    controls=(
        azure_policy("ca8d5704-aa2b-40cf-b110-dc19052825ad"),
        checkov("CKV_K8S_49"),
        prowler("rbac_minimize_wildcard_use_roles"),
    ),
)
def no_wildcards(role: AnyRole) -> Verdict:
    """A wildcard allows what nobody thought of: subresources such as pods/exec, and every kind and verb that is yet to come.

    Severity: with every verb it is full control of what it names. A rule that only reads, and no Secrets, weighs little;
    so does a role that nobody is bound to, until somebody is.
    Decided: no rule has `*` among its verbs, resources (`*/scale` too) or API groups, or `*` or `/*` among its URLs; a
    longer prefix such as `/healthz*` is none. A rule with wildcards that only reads is of low weight, unless it reads
    Secrets; one that names its verbs of medium weight. An aggregated ClusterRole has the rules of others, which are
    judged. Kubernetes' own roles are judged by the wildcards that people added; those of AKS's own are not.
    Fix: kubectl edit --namespace {namespace} {kind}/{name}
    Bicep: none; in the manifest: rules: the verbs, resources and apiGroups that are used
    Change: in place, at once; whoever used what is no longer named is refused
    References: https://kubernetes.io/docs/concepts/security/rbac-good-practices/#least-privilege
    """
    evidence = role.at(AnyRole.rules)
    if not role.rules:
        return not_applicable(f"{role.name} has no rules", evidence)
    if role.aggregation_rule is not None:
        return not_applicable(f"{role.name} has the rules of other ClusterRoles, which are judged", evidence)
    if built_in(role):
        wild = [one for one in role.rules if _stars(one.permission)]
        return each(wild, lambda one: _wildcard(role, one)) if wild else _platforms(role)
    return _platforms(role) if of_platform(role) else each(role.rules, lambda one: _wildcard(role, one))


@rule(
    "AKS-KR-03",
    title="Nobody who may edit may edit endpoints",
    severity=Severity.MEDIUM,
    controls=(azure_policy("1ddac26b-ed48-4c30-8cc5-3a68c79b8001"),),
)
def no_endpoints_edited(role: ClusterRole) -> Verdict:
    """Whoever writes endpoints sends what a load balancer or an ingress receives to pods of other namespaces.

    Network policies see the ingress as the sender, and let it through (CVE-2021-25740). Kubernetes took the right out of
    `edit` in 1.22, but not in clusters that are older than that.

    Severity: it needs the right to edit in one namespace, and reaches past the policies of others.
    Decided: a ClusterRole that is a part of `edit` or `admin`, by its label or as system:aggregate-to-edit, allows no
    verb that writes on endpoints or on endpointslices.discovery.k8s.io. Other roles are not asked about.
    Fix: kubectl edit clusterrole/{name}
    Bicep: none; in the manifest: take endpoints and endpointslices out of the rules that write; of a role of Kubernetes' own, set rbac.authorization.kubernetes.io/autoupdate: "false", too
    Change: in place, at once
    References: https://github.com/kubernetes/kubernetes/issues/103675
    """
    evidence = role.at(AnyRole.object_labels)
    if role.name != _EDITED and not role.part_of("edit") and not role.part_of("admin"):
        return not_applicable(f"{role.name} is no part of edit or admin", evidence)
    if not role.rules:
        return not_applicable(f"{role.name} has no rules", role.at(AnyRole.rules))
    return each(role.rules, lambda one: _endpoints(role, one))


@rule(
    "AKS-KR-09",
    title="Roles, bindings and service accounts are of use",
    severity=Severity.LOW,
    controls=(kubebuddy("RBAC003"), kubebuddy("RBAC004")),
)
def nothing_orphaned(one: AccessObject) -> Verdict:
    """A binding to what does not exist gives its rights to whoever makes a thing so called. What is not used is not watched.

    Severity: it takes the right to create a role or service account, in a namespace that may not be there, either.
    Decided: a binding has subjects, its role exists, and so do the service accounts among them. A role is bound, or a part
    of an aggregated ClusterRole. A service account other than `default` is used by a workload, or bound, since
    somebody outside may use its tokens. Groups and users are not Kubernetes' to know. What is Kubernetes' or AKS's own,
    and service accounts in namespaces of AKS's own, are not asked about.
    Fix: kubectl delete --namespace {namespace} {kind}/{name}
    Bicep: none; take the object out of the manifests that made it
    Change: in place, at once
    References: https://kubernetes.io/docs/concepts/security/rbac-good-practices/#periodically-reviewing-rbac
    """
    if isinstance(one, AnyBinding):
        return _binding(one)
    return _role(one) if isinstance(one, AnyRole) else _account(one)


def _platforms(one: AccessObject) -> Verdict:
    return not_applicable(f"{one.name} is Kubernetes' or AKS's own", one.at(AccessObject.object_labels))


def _stars(permission: Permission) -> tuple[str, ...]:
    """Where a rule has wildcards, in words."""
    everywhere = (
        ("verbs", "*" in permission.verbs),
        ("resources", any(one == "*" or one.startswith("*/") for one in permission.resources)),
        ("API groups", "*" in permission.api_groups),
        ("URLs", not permission.non_resource_urls.isdisjoint({"*", "/*"})),
    )
    return tuple(name for name, found in everywhere if found)


def _wildcard(role: AnyRole, one: PolicyRule) -> Verdict:
    stars = _stars(one.permission)
    if not stars:
        return passes(f"{role.name} has no wildcards", one.itself)
    if built_in(role) and not added_wildcard(role, one):
        return _platforms(role)
    severity, unused = _weight(one.permission), ""
    if not aggregated(role) and not _bound(role):
        severity, unused = Severity.LOW, "; nobody is bound to it"
    return fails(f"{role.name} has wildcards for {' and '.join(stars)}{unused}", one.itself, severity=severity)


def _weight(permission: Permission) -> Severity:
    """How bad a rule with wildcards is."""
    if permission.verbs <= _READ:
        secrets = not permission.resources.isdisjoint({"*", "secrets"})
        return Severity.HIGH if secrets and not permission.api_groups.isdisjoint({"", "*"}) else Severity.LOW
    return Severity.HIGH if "*" in permission.verbs and "*" in permission.resources else Severity.MEDIUM


def _bound(role: AnyRole) -> bool:
    """Whether a role is bound, or may be by a binding that was not read."""
    known = bindings(role.cluster)
    return bool(known.binding(role) or known.missing)


def _endpoints(role: ClusterRole, one: PolicyRule) -> Verdict:
    permission = one.permission
    edited = [
        resource
        for group, resource in _BACKENDS
        if any(allows(permission, Request(verb, group, resource)) for verb in _WRITE)
    ]
    if edited:
        return fails(f"{role.name} lets everybody who may edit write {' and '.join(edited)}", one.itself)
    return passes(f"{role.name} writes no endpoints", one.itself)


def _binding(binding: AnyBinding) -> Verdict:
    theirs = judged(binding)
    if of_platform(binding) and not theirs:
        return _platforms(binding)
    if not theirs:
        return fails(f"{binding.name} binds nobody", binding.at(AnyBinding.subjects))
    role = binding.at(AnyBinding.role_ref)
    if role_of(binding) is None:
        return fails(f"{binding.name} binds {binding.role_name}, which does not exist", role)
    accounts = [one for one in theirs if one.key[0] == "ServiceAccount"]
    gone = [one for one in accounts if existing(binding, ServiceAccount, account_of(binding, one)) is None]
    if gone:
        named = ", ".join(one.told for one in gone)
        return fails(f"{binding.name} binds {named}, which does not exist", *(one.itself for one in gone))
    return passes(f"{binding.name} binds what exists", role, *(one.itself for one in accounts))


def _role(role: AnyRole) -> Verdict:
    if of_platform(role):
        return _platforms(role)
    known = bindings(role.cluster)
    if by := known.binding(role):
        return passes(f"{by[0].name} binds {role.name}", by[0].at(AnyBinding.role_ref))
    if aggregated(role):
        return passes(f"{role.name} is a part of another ClusterRole", role.at(AnyRole.object_labels))
    known.whole()
    return fails(f"Nobody is bound to {role.name}", role.at(AnyRole.rules))


def _account(account: AccessObject) -> Verdict:
    evidence = account.at(ServiceAccount.automount_service_account_token)
    if account.name == DEFAULT or account.namespace in system_namespaces():
        return not_applicable(f"{account.name} of {account.namespace} was made by no person", evidence)
    known, running = bindings(account.cluster), users(account.cluster)
    if by := running.by_account.get((account.namespace, account.name)):
        spec = by[0].specs[0]
        return passes(f"{by[0].kind} {by[0].name} uses {account.name}", spec.at(PodSpec.service_account_name))
    if bound := known.subjects.get(("ServiceAccount", f"{account.namespace}/{account.name}")):
        binding, subject = bound[0]
        return passes(f"No workload uses {account.name}, but {binding.name} binds it", subject.itself)
    running.whole()
    known.whole()
    return fails(f"No workload uses {account.name}, and nothing binds it", evidence)


RULES = (no_wildcards, no_endpoints_edited, nothing_orphaned)
