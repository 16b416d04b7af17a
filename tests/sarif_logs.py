"""SARIF logs for tests: the reports they are of, and what Microsoft's validator says of them.

The validator runs where `AKS_AUDIT_NODE_MODULES` names a folder that holds `@microsoft/sarif-multitool-linux` (an npm
package; its `Sarif.Multitool` must be executable).
"""

import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aks_audit import snapshot
from aks_audit.report import Comparison, Fixed, FixedBy, PipelineRun, Report
from aks_audit.results import Evidence, Exemption, Missing, Outcome, Place, Severity
from reports import SCOPE, audited, bare_clusters, cluster_id, finding, report_of, rule_text

RULES = Path(__file__).parent / "sarif-validator-rules.xml"

# What the validator may say of a good file, and why
ACCEPTED = {
    "SARIF2003 Note_Default": "live state has no version control to name",
    "SARIF2005 Warning_ProvideToolnformationUri": "the project has no address to name as informationUri",
    "SARIF2009 Note_UseConventionalRuleIds": "rule ids name their topic (AKS-IAM-04), not only a number",
    "SARIF2011 Note_Default": "a finding shows one line of a resource, not the lines around it",
    "SARIF2012 Note_FriendlyNameNotAPascalIdentifier": "names keep Azure's own spelling, such as EntraID",
}

PIPELINE = PipelineRun(
    organization="contoso",
    project="11111111-1111-1111-1111-111111111111",
    definition="1234",
    definition_name="Nightly audit",
    phase="22222222-2222-2222-2222-222222222222",
    phase_name="Audit",
    branch="refs/heads/main",
    build="98765",
)
NOT_ASKED = ("AKS-OLD-01", "AKS-OFF-01")
"""The rules in the report that was held against a baseline which only the baseline asked."""

EXEMPTION = Exemption(reason="The pen test needs it", owner="team-a", approved_by="jo", expires="2027-01-31")


def severities(*order: Severity) -> Report:
    """A report with one failure of each severity, and a rule for each."""
    texts = [rule_text(f"AKS-TST-{number:02}", severity) for number, severity in enumerate(order)]
    return report_of([finding(rule_id=text.id, severity=text.severity) for text in texts], texts)


def hostile() -> Report:
    """A report of a resource that was named by an enemy, in each part of which the name stands."""
    name = "a b/../\u202e<script>[x](https://evil.example)\x1b[31m" + "z" * 3000
    about = msgspec.structs.replace(
        finding(name, message=f"{name} is open\nand {{0}} shut"),
        evidence=tuple(Evidence(resource=cluster_id(name), pointer=f"/{n}/{name}", value=name) for n in range(50)),
    )
    place = Place(path=f"/aks-audit/{name}.json", line=1, text=name)
    return report_of([about, msgspec.structs.replace(finding("plain"), place=place)])


def unread(*, crashed: bool = False, things: int = 1) -> Report:
    """A report of a snapshot in which something could not be read."""
    gaps = [
        snapshot.Gap(id=f"{SCOPE}/resourceGroups/rg-{n}", reason=f"rg-{n}: 403", action="x/read", scope=SCOPE)
        for n in range(things)
    ]
    reason = Missing(what="aks-prod", kind="crashed", reason="rule AKS-TST-01 crashed: KeyError")
    unknown = msgspec.structs.replace(finding(outcome=Outcome.UNKNOWN), missing=(reason,) if crashed else ())
    return report_of([finding("a"), unknown], records=gaps)


def compared() -> Report:
    """A report that was held against a baseline, in which each way of a failure to go on or end is once."""
    source = Place(path="infra/aks main.bicep", line=12, text="disableLocalAccounts: false")
    now = [
        msgspec.structs.replace(finding("new", message="New"), change="new"),
        msgspec.structs.replace(finding("same"), change="unchanged", source=source),
        msgspec.structs.replace(finding("other"), change="changed"),
        msgspec.structs.replace(finding("accepted"), change="unchanged", exception=EXEMPTION),
        finding("dark", outcome=Outcome.UNKNOWN, message="The door could not be read"),
        finding("shut", outcome=Outcome.PASS),
        finding("none", outcome=Outcome.NOT_APPLICABLE),
    ]
    carried = (
        msgspec.structs.replace(finding("dark"), source=source),
        finding("away", severity=Severity.CRITICAL),
        finding("unasked", rule_id="AKS-OLD-01"),
        msgspec.structs.replace(finding("away", rule_id="AKS-TST-02"), exception=EXEMPTION),
    )
    ends: dict[str, FixedBy] = {"shut": "pass", "none": "not-applicable", "lost": "gone", "off": "disabled"}
    fixed = tuple(
        Fixed(
            "AKS-OFF-01" if end == "disabled" else "AKS-TST-01",
            cluster_id(name),
            Severity.HIGH,
            "The door is open",
            finding(name).fingerprint,
            end,
        )
        for name, end in ends.items()
    )
    report = report_of(now, [rule_text(), rule_text("AKS-TST-02")])
    comparison = Comparison(None, report.score.overall, new=1, changed=1, unchanged=2, fixed=fixed, carried=carried)
    return msgspec.structs.replace(report, comparison=comparison)


def one_cause() -> Report:
    """A report of two rules, of which one asks about what an enemy named, and the other comes after it."""
    cause = hostile().findings[0]
    step = msgspec.structs.replace(finding(rule_id="AKS-TST-02"), causes=(cause.fingerprint,))
    return report_of([cause, step], [rule_text(), rule_text("AKS-TST-02")])


def samples() -> dict[str, Report]:
    """Reports of all sorts."""
    return {
        "no finding": report_of([]),
        "every severity": severities(*Severity),
        "every outcome": report_of([finding(outcome.value, outcome=outcome) for outcome in Outcome]),
        "a hostile name": hostile(),
        "unread": unread(crashed=True, things=3),
        "a baseline": compared(),
        "one cause": one_cause(),
        "bare clusters": audited(bare_clusters("a", "b")),
    }


def objections(logs: Mapping[str, bytes], kinds: str, folder: Path) -> dict[str, list[str]]:
    """What Microsoft's validator says against logs by its rules of these kinds (`Sarif;Ghas`), by the logs' names.

    Under an empty name stand its own failures. One run is for all logs: it takes a second to start.
    """
    output = folder / "validation.json"
    files = {name: folder / f"{number}.sarif" for number, name in enumerate(logs)}
    for name, file in files.items():
        file.write_bytes(logs[name])
    options = ["--rule-kind", kinds, "--level", "Error;Warning;Note", "--log", "ForceOverwrite", "--quiet"]
    ran = subprocess.run(
        [validator(), "validate", *files.values(), "--config", RULES, "-o", output, *options],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    (run,) = json.loads(output.read_text(encoding="utf-8-sig"))["runs"]
    names = {file.as_uri(): name for name, file in files.items()}
    said: dict[str, list[str]] = {}
    for result in run["results"]:
        remark = f"{result['ruleId']} {result['message']['id']}"
        uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        if remark not in ACCEPTED and not _of_a_rule_that_was_not_asked(remark, result["message"]["arguments"]):
            said.setdefault(names[uri], []).append(f"{remark}: {result['message']}")
    broke = [str(notice) for notice in _own_errors(run["invocations"])]
    broke += [f"exit code {ran.returncode}: {ran.stdout}"] if ran.returncode else []
    broke += [] if f"{len(files)} file" in ran.stdout else [f"it did not read {len(files)} files"]
    return said | ({"": broke} if broke else {})


def _of_a_rule_that_was_not_asked(remark: str, arguments: Iterable[str]) -> bool:
    """Whether it is that there is no page about a rule of which only an earlier scan knew."""
    return remark == "SARIF2012 Note_ProvideHelpUri" and any(one.startswith(NOT_ASKED) for one in arguments)


def _own_errors(invocations: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The validator's own failures, such as a rule of its that crashed: then it has found nothing."""
    kinds = ("toolExecutionNotifications", "toolConfigurationNotifications")
    notices = [notice for run in invocations for kind in kinds for notice in run.get(kind, [])]
    return [notice for notice in notices if notice.get("level") == "error"]


def validator() -> Path:
    """The validator's program; skips the test where it is not installed."""
    folder = os.environ.get("AKS_AUDIT_NODE_MODULES")
    if not folder:
        pytest.skip("AKS_AUDIT_NODE_MODULES does not name a folder that holds @microsoft/sarif-multitool-linux")
    return Path(folder, "@microsoft", "sarif-multitool-linux", "Sarif.Multitool")
