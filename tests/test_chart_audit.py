"""Our own audit of the chart: no rule about workloads fails, and one does for each line of its hardening that goes."""

import shutil
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from aks_audit import snapshot
from aks_audit.engine import audit, load_rules
from aks_audit.facts import Estate
from aks_audit.snapshot import Body, Resource
from cases import BASE, INSIDE, Case, records_of
from charts import CHART, NAMESPACE, kept, made, render, variants

RULES = [rule for rule in load_rules() if rule.id.startswith("AKS-K")]
"""What is asked of clusters' insides: workloads (KW), their safety (KS), network policies (KN), rights (KR)."""

ADVANCED = {"enabled": True, "security": {"enabled": True, "advancedNetworkPolicies": "FQDN"}}
CLUSTER = Case(name="", expect="", set={"cluster properties.networkProfile.advancedNetworking": ADVANCED})
"""A hardened cluster whose Cilium looks at names, so that policies of both kinds are in force."""

CHOSEN = {
    "internet": {("AKS-KN-08", "networkpolicies/aks-audit")},  # who names 0.0.0.0/0 has opened the internet
    "inside": {("AKS-KR-08", "rolebindings/aks-audit-aks-audit")},  # what is read in kube-system is another namespace
    "cilium": {
        ("AKS-KR-08", "rolebindings/aks-audit-nightly"),
        ("AKS-KN-14", "namespaces/aks-audit"),  # who signs in as the node has to reach what tells its tokens
    },
}
"""What fails because the values ask for it, by the values' names."""


def unwell(added: Iterable[Resource]) -> set[tuple[str, str]]:
    """The rules that fail, or cannot decide, in the cluster with what is added, and about which objects."""
    found = audit(Estate(snapshot.of([*records_of(CLUSTER, BASE, INSIDE), *added])), RULES)
    return {
        (one.rule, "/".join(one.resource.split("/")[-2:])) for one in found if one.outcome.value in {"fail", "unknown"}
    }


@cache
def without_it() -> frozenset[tuple[str, str]]:
    return frozenset(unwell(()))


def test_every_rule_about_workloads_and_their_safety_is_asked_of_the_chart() -> None:
    found = audit(Estate(snapshot.of([*records_of(CLUSTER, BASE, INSIDE), *kept(made()["fleet"])])), RULES)
    ours = [one for one in found if f"/namespaces/{NAMESPACE}" in one.resource]
    passed = {one.rule for one in ours if one.outcome.value == "pass"}
    assert {f"AKS-KS-{number:02}" for number in (*range(1, 16), 16, 18, 19, 20, 23)} <= passed
    assert {"AKS-KN-04", "AKS-KN-05", "AKS-KN-06", "AKS-KN-07", "AKS-KN-08", "AKS-KN-14"} <= passed
    assert {"AKS-KR-04", "AKS-KR-10", "AKS-KR-11", "AKS-KW-01", "AKS-KW-02", "AKS-KW-09", "AKS-KW-10"} <= passed
    assert {one.resource.rpartition("/")[2] for one in ours if "cronjobs" in one.resource} == {
        "aks-audit",
        "aks-audit-merge",
    }


@pytest.mark.parametrize("name", variants())
def test_no_rule_fails_on_what_the_chart_makes(name: str) -> None:
    assert unwell(kept(made()[name])) - without_it() == CHOSEN.get(name, set())


class Line(NamedTuple):
    """A line of the chart's hardening: where it stands, what stands in its place, and the rule that fails then."""

    template: str
    text: str
    instead: str
    rule: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.text.split()[0]}"


POD, POLICY = "_helpers.tpl", "networkpolicy.yaml"
LINES = (
    Line(POD, "runAsNonRoot: true", "runAsNonRoot: false", "AKS-KS-06"),
    Line(POD, "    runAsNonRoot: true\n    runAsUser: {{ int $values.runAs }}\n", "", "AKS-KS-06"),
    Line(POD, "runAsUser: {{ int $values.runAs }}", "runAsUser: 0", "AKS-KS-06"),
    Line(POD, "    seccompProfile:\n      type: RuntimeDefault\n", "", "AKS-KS-09"),
    Line(POD, "type: RuntimeDefault", "type: Unconfined", "AKS-KS-09"),
    Line(POD, "        allowPrivilegeEscalation: false\n", "", "AKS-KS-02"),
    Line(POD, "privileged: false", "privileged: true", "AKS-KS-01"),
    Line(POD, "        readOnlyRootFilesystem: true\n", "", "AKS-KS-15"),
    Line(POD, "        capabilities:\n          drop: [ALL]\n", "", "AKS-KS-07"),
    Line(POD, "drop: [ALL]", "add: [SYS_ADMIN]", "AKS-KS-08"),
    Line(POD, "restartPolicy: Never", "restartPolicy: Never\n  hostNetwork: true", "AKS-KS-04"),
    Line(POD, "restartPolicy: Never", "restartPolicy: Never\n  hostPID: true", "AKS-KS-03"),
    Line(POD, "emptyDir:\n        sizeLimit: {{ $values.tmpSize }}", "hostPath:\n        path: /tmp", "AKS-KS-05"),
    Line(POD, '{{ and $inside (eq .component "scan") }}', "true", "AKS-KR-04"),
    Line(POD, '  serviceAccountName: {{ include "aks-audit.serviceAccount" .root }}\n', "", "AKS-KR-09"),
    Line(POD, "      resources:\n        {{- toYaml .resources | nindent 8 }}\n", "", "AKS-KW-01"),
    Line(POD, 'app.kubernetes.io/name: {{ include "aks-audit.name" . }}', "", "AKS-KW-10"),
    Line(POD, "/etc/aks-audit/secrets/webhook-url", "x\n- name: WEBHOOK_TOKEN\n  value: x", "AKS-KR-11"),
    Line(POD, "(default .Chart.AppVersion $image.tag)", '"latest"', "AKS-KS-19"),
    Line(POLICY, "  policyTypes: [Ingress, Egress]\n", "", "AKS-KN-14"),
    Line(POLICY, "policyTypes: [Ingress, Egress]", "policyTypes: [Egress]\n  ingress: [{}]", "AKS-KN-09"),
    Line(
        POLICY,
        "cidr: {{ . }}\n        {{- end }}\n      ports:\n        - {protocol: TCP",
        "cidr: 0.0.0.0/0\n        {{- end }}\n      ports:\n        - {protocol: TCP",
        "AKS-KN-08",
    ),
)


def mutated(line: Line, folder: Path) -> list[Body]:
    """What the chart makes of its smallest values and of a secret when the line is another."""
    chart = folder / "chart"
    shutil.copytree(CHART, chart)
    template = chart / "templates" / line.template
    text = template.read_text(encoding="utf-8")
    assert text.count(line.text) == 1, "the chart has no such line, or several"
    template.write_text(text.replace(line.text, line.instead), encoding="utf-8")
    values = {**variants()["default"], "notify": {"existingSecret": "aks-audit", "webhook": "slack"}}
    (objects,) = render(values, chart=chart)
    return objects


@pytest.mark.parametrize("line", LINES, ids=str)
def test_a_rule_fails_where_a_line_of_the_hardening_is_gone(line: Line, tmp_path: Path) -> None:
    failing = {rule for rule, _ in unwell(kept(mutated(line, tmp_path))) - without_it()}
    assert line.rule in failing
