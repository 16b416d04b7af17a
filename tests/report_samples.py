"""Reports to render in tests: plausible estates of any size, made without the engine, the same each time."""

import hashlib
from collections import Counter
from typing import Any, Literal

import msgspec

from aks_audit.report import (
    ChecklistScore,
    ClusterScore,
    ClusterSummary,
    Coverage,
    ItemResult,
    ReadCount,
    Report,
    Scan,
    Scores,
    Tool,
)
from aks_audit.results import (
    Control,
    Evidence,
    Finding,
    JsonValue,
    Missing,
    Outcome,
    Place,
    Remediation,
    RuleText,
    Severity,
)
from aks_audit.score import Score

SUBSCRIPTION = "11111111-1111-1111-1111-111111111111"

# Id, severity, title, what a failure says, pointer, the value found, command
_RULES: tuple[tuple[str, Severity, str, str, str, JsonValue, str], ...] = (
    (
        "AKS-API-01",
        Severity.HIGH,
        "The API server is private",
        "The API server has a public endpoint",
        "/properties/apiServerAccessProfile",
        None,
        "az aks update --resource-group {group} --name {name} --enable-private-cluster",
    ),
    (
        "AKS-API-04",
        Severity.CRITICAL,
        "The authorized IP ranges of a public API server do not add up to the whole internet",
        "0.0.0.0/1 and 128.0.0.0/1 together are every IPv4 address",
        "/properties/apiServerAccessProfile/authorizedIPRanges",
        ["0.0.0.0/1", "128.0.0.0/1"],
        "az aks update --resource-group {group} --name {name} --api-server-authorized-ip-ranges RANGES",
    ),
    (
        "AKS-IAM-04",
        Severity.HIGH,
        "Local accounts are disabled",
        "Local accounts are enabled",
        "/properties/disableLocalAccounts",
        False,
        "az aks update --resource-group {group} --name {name} --disable-local-accounts",
    ),
    (
        "AKS-EGR-02",
        Severity.HIGH,
        "Every node and pod subnet sends its default route to an appliance",
        "0.0.0.0/0 goes to the internet",
        "/properties/routes/0/properties/nextHopType",
        "Internet",
        "az network route-table route create --resource-group {group} --name default \\\n  --address-prefix 0.0.0.0/0",
    ),
    (
        "AKS-NET-07",
        Severity.MEDIUM,
        "A network policy engine enforces NetworkPolicy objects",
        "No network policy engine is installed",
        "/properties/networkProfile/networkPolicy",
        None,
        "az aks update --resource-group {group} --name {name} --network-policy cilium",
    ),
    (
        "AKS-POOL-03",
        Severity.MEDIUM,
        "The pools of a production cluster span availability zones",
        "The pool is in no zone",
        "/properties/availabilityZones",
        None,
        "az aks nodepool add --resource-group {group} --cluster-name {name} --name zoned --zones 1 2 3",
    ),
    (
        "AKS-UPG-01",
        Severity.LOW,
        "Kubernetes versions are upgraded automatically",
        "No upgrade channel is set",
        "/properties/autoUpgradeProfile/upgradeChannel",
        None,
        "az aks update --resource-group {group} --name {name} --auto-upgrade-channel patch",
    ),
    (
        "AKS-MON-01",
        Severity.INFO,
        "Control plane logs are sent to a workspace",
        "No diagnostic setting sends kube-audit-admin anywhere",
        "/properties/logs",
        [],
        "az monitor diagnostic-settings create --resource {name} --name audit --workspace WORKSPACE",
    ),
)

_STATES: tuple[Literal["pass", "fail", "unknown", "not-applicable", "not-covered", "manual"], ...] = (
    "fail",
    "pass",
    "unknown",
    "not-applicable",
    "not-covered",
    "manual",
)


def report(
    clusters: int = 3, *, copies: int = 1, name: str = "aks-{n}", message: str = "", outcome: Outcome | None = None
) -> Report:
    """A report of so many clusters, every rule asked `copies` times of each.

    `name` and `message` take the place of the cluster's name and of a failure's message; `outcome` of each outcome.
    """
    ids = tuple(_cluster_id(number, name) for number in range(1, clusters + 1))
    rules = tuple(_text(index, copy) for copy in range(copies) for index in range(len(_RULES)))
    findings = tuple(
        _finding(rule, index % len(_RULES), cluster, outcome or _outcome(index, number), message)
        for index, rule in enumerate(rules)
        for number, cluster in enumerate(ids, 1)
    )
    counted = Counter(finding.outcome for finding in findings)
    unread = tuple(dict.fromkeys(missing for finding in findings for missing in finding.missing))
    return Report(
        schema_version="1.0",
        tool=Tool("aks-audit", "1.2.3"),
        scan=Scan(
            scope=(f"/subscriptions/{SUBSCRIPTION}",),
            started="2026-11-21T12:00:00Z",
            finished="2026-11-21T12:01:30Z",
            complete=not unread,
        ),
        coverage=Coverage(
            read=(
                ReadCount(SUBSCRIPTION, "Microsoft.ContainerService/managedClusters", clusters),
                ReadCount(SUBSCRIPTION, "Microsoft.Network/routeTables", 2 * clusters),
            ),
            unread=unread,
            decided=counted[Outcome.PASS] + counted[Outcome.FAIL],
            unknown=counted[Outcome.UNKNOWN],
        ),
        score=Scores(
            overall=_score(findings),
            checklists=(_checklist("azure-firewall-egress", "Restrict egress with Azure Firewall", findings),),
            clusters=tuple(ClusterScore(id=cluster, **_fields(_score(findings, cluster))) for cluster in ids),
            explanation="The score is the weight of the questions that passed, divided by the weight of those decided.",
        ),
        clusters=tuple(
            ClusterSummary(
                id=cluster,
                name=cluster.rpartition("/managedClusters/")[2],
                resource_group=f"rg-{number}",
                subscription=SUBSCRIPTION,
                outcomes=_outcomes(findings, cluster),
            )
            for number, cluster in enumerate(ids, 1)
        ),
        rules=rules,
        findings=findings,
    )


def _cluster_id(number: int, name: str) -> str:
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-{number}"
    return f"{group}/providers/Microsoft.ContainerService/managedClusters/{name.replace('{n}', str(number))}"


def _text(index: int, copy: int) -> RuleText:
    rule_id, severity, title, _, pointer, _, command = _RULES[index]
    return RuleText(
        id=f"{rule_id}{f'-{copy}' if copy else ''}",
        title=title,
        severity=severity,
        why=f"An attacker or an outage gains where this is not so: {title[0].lower()}{title[1:]}.",
        severity_reason=f"{severity}; what is lost is lost for the whole cluster.",
        decided=f"The value at `{pointer}`. Absent means that it is off, the default.",
        command=command,
        bicep=f"properties: {{ {pointer.rpartition('/')[2]}: true }}",
        change="in place",
        references=("https://learn.microsoft.com/azure/aks/concepts-network",),
        controls=(Control("MCSB", "NS-1"), Control("CIS AKS", "5.4.2")),
        subject="ManagedCluster",
        disagreement="One guide asks for it, another leaves it open." if index == 0 else "",
    )


def _outcome(index: int, number: int) -> Outcome:
    cycle = tuple(Outcome(name) for name in ("fail", "pass", "pass", "unknown", "pass", "not-applicable", "fail"))
    return cycle[(index * 3 + number) % len(cycle)]


def _finding(rule: RuleText, index: int, cluster: str, outcome: Outcome, message: str) -> Finding:
    _, _, _, failing, pointer, value, command = _RULES[index]
    failed = outcome is Outcome.FAIL
    name = cluster.rpartition("/managedClusters/")[2]
    number = int(cluster.partition("/rg-")[2].partition("/")[0])
    gap = Missing(
        what=f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-{number}/providers/Microsoft.Network/routeTables/rt-{number}",
        kind="refused",
        reason=f"Reading route table rt-{number} was refused (403 AuthorizationFailed)",
        action="Microsoft.Network/routeTables/read",
        scope=f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-{number}",
    )
    says = {
        Outcome.FAIL: message or failing,
        Outcome.UNKNOWN: gap.reason,
        Outcome.PASS: f"{rule.title}, as it should be",
        Outcome.NOT_APPLICABLE: "The question does not arise for this cluster",
    }
    return Finding(
        rule=rule.id,
        resource=cluster,
        clusters=(cluster,),
        outcome=outcome,
        severity=rule.severity,
        message=says[outcome],
        evidence=(Evidence(cluster, pointer, value if failed else True),) if outcome is not Outcome.UNKNOWN else (),
        remediation=Remediation(
            command=command.replace("{group}", f"rg-{number}").replace("{name}", name),
            bicep=rule.bicep,
            change=rule.change,
        )
        if failed
        else None,
        missing=(gap,) if outcome is Outcome.UNKNOWN else (),
        location=None,
        place=Place(path=f"aks-audit/{number}.json", line=1, text=""),
        fingerprint=hashlib.sha256(f"{rule.id}/{number}".encode()).hexdigest(),
    )


def _fields(score: Score) -> dict[str, Any]:
    return msgspec.structs.asdict(score)


def _score(findings: tuple[Finding, ...], cluster: str | None = None) -> Score:
    counted = _outcomes(findings, cluster)
    passed, failed, unknown = (counted[name] for name in ("pass", "fail", "unknown"))
    decided = passed + failed
    return Score(
        value=round(100 * passed / decided, 1) if decided else None,
        low=round(100 * passed / (decided + unknown), 1) if decided + unknown else None,
        high=round(100 * (passed + unknown) / (decided + unknown), 1) if decided + unknown else None,
        decided=decided,
        unknown=unknown,
    )


def _outcomes(findings: tuple[Finding, ...], cluster: str | None) -> dict[str, int]:
    counted = Counter(finding.outcome for finding in findings if cluster in {None, *finding.clusters})
    return {outcome.value: counted[outcome] for outcome in Outcome}


def _checklist(name: str, title: str, findings: tuple[Finding, ...]) -> ChecklistScore:
    return ChecklistScore(
        name=name,
        title=title,
        source="https://learn.microsoft.com/azure/aks/limit-egress-traffic",
        summary="What a cluster needs so that nothing leaves it unseen.",
        items=tuple(
            ItemResult(
                rule="" if state == "manual" else _RULES[index][0],
                sentence=_RULES[index][2],
                weight=1 + index % 3,
                state=state,
            )
            for index, state in enumerate(_STATES)
        ),
        **_fields(_score(findings)),
    )
