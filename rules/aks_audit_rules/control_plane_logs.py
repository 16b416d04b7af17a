"""What the control plane writes down: who asked the API server for what, and who was let in."""

from collections.abc import Iterator

from aks_audit.facts import Evidence, Malformed, ManagedCluster, Missing, Unread
from aks_audit.facts.monitoring import DiagnosticSetting
from aks_audit.results import Severity, Verdict
from aks_audit.rule import fails, passes, rule, undecided
from aks_audit_rules.firewall_logs import kept_logs
from aks_audit_rules.frameworks import (
    aks_health_check,
    azqr,
    azure_policy,
    community_policy,
    mcsb,
    psrule,
    review_checklist,
    the_aks_checklist,
)

_GROUPS = ("alllogs", "audit")
_AUDIT = (*_GROUPS, "kube-audit", "kube-audit-admin")
_SIGN_INS = (*_GROUPS, "guard")


@rule(
    "AKS-OP-03",
    title="The API server's audit log is kept",
    severity=Severity.HIGH,
    controls=(
        review_checklist("5b56ad48-408f-4e72-934c-476ba280dcf5"),
        the_aks_checklist("5b56ad48-408f-4e72-934c-476ba280dcf5"),
        azqr("aks-001"),
        azure_policy("245fc9df-fa96-4414-9a0b-3738c2f7341c"),
        azure_policy("6c66c325-74c8-42fd-a286-a74b0e2939d8"),
        psrule("Azure.AKS.AuditLogs"),
        aks_health_check("CSM-5"),
        mcsb("MCSB v1 LT-4"),
        community_policy("f18e54e4-f480-4559-9d20-a6f37e9a62ea"),
        # PSRule's PlatformLogs asks for logs of the scheduler and controllers, and its AuditAdmin for the cheaper of two
        # audit logs, of which either does here.
    ),
)
def audit_log_kept(cluster: ManagedCluster) -> Verdict:
    """Who made that role binding, who read that Secret, who ran a shell in that pod: only the API server's audit log knows.

    AKS writes it and throws it away, unless a diagnostic setting sends it somewhere.

    Severity: after an intrusion nobody can tell what was done, and by whom; an attacker with a stolen token leaves no other trace.
    Low where the audit log is kept and `guard` is not, which tells whom Entra ID and Azure RBAC let in and whom not.
    Decided: the cluster's diagnostic settings together send `kube-audit` or `kube-audit-admin` (which leaves out what only reads),
    and `guard` (empty, and so free, without Entra ID), or one of the groups `allLogs` and `audit`, to a workspace, a storage
    account, an event hub or a partner. A setting beside them that sends only metrics, or other logs, changes nothing. How long the
    destination keeps the logs is set there, and not judged: 30 days in a workspace unless somebody says otherwise. Diagnostic
    settings are read with `--read diagnostic-settings`.
    Fix: az monitor diagnostic-settings create --resource {name} --resource-group {group} --resource-type Microsoft.ContainerService/managedClusters --name audit --workspace <workspace-id> --export-to-resource-specific true --logs '[{{"category": "kube-audit-admin", "enabled": true}}, {{"category": "guard", "enabled": true}}]'
    Bicep: a Microsoft.Insights/diagnosticSettings with the cluster as its scope
    Change: in place; the workspace bills what it takes in, much for kube-audit and little for kube-audit-admin
    References: https://learn.microsoft.com/azure/aks/monitor-aks#aks-control-planeresource-logs
    https://learn.microsoft.com/azure/aks/monitor-aks-reference
    Disagreement: PSRule wants `kube-audit-admin` and not `kube-audit`, for its price. Where it must be known who read a Secret,
    only `kube-audit` tells.
    """
    settings = cluster.estate.within(DiagnosticSetting, cluster.id)
    kept: dict[str, Evidence] = {}
    unread: list[Missing] = []
    for setting in settings:
        try:
            kept.update((category.lower(), evidence) for category, evidence in _sent(setting))
        except Unread as problem:
            unread += problem.missing
    audit, sign_ins = ([kept[one] for one in names if one in kept] for names in (_AUDIT, _SIGN_INS))
    if audit and sign_ins:
        return passes("The audit log is kept", *audit, *sign_ins)
    if unread:
        return undecided("Whether a diagnostic setting keeps the audit log cannot be told", missing=unread)
    settings.whole()
    if audit:
        return fails("The audit log is kept, and the log of sign-ins (guard) is not", *audit, severity=Severity.LOW)
    shown = tuple(kept.values()) or (cluster.at(ManagedCluster.aad_managed),)
    return fails("No diagnostic setting of the cluster keeps the audit log", *shown)


def _sent(setting: DiagnosticSetting) -> Iterator[tuple[str, Evidence]]:
    """The categories, and groups of categories, that a setting sends somewhere.

    Raises:
        Malformed: it does not say which, or where to; Azure always does.
    """
    kept = list(kept_logs(setting))
    places = (setting.workspace_id, setting.storage_account_id, setting.event_hub_rule_id, setting.partner_id)
    if kept and not any(places):
        raise Malformed(setting.id, "/properties", "a diagnostic setting that sends logs nowhere")
    yield from kept


RULES = (audit_log_kept,)
