"""Reports for the tests of formats: with something in each part, with hostile text in it, and of every estate."""

from functools import cache
from pathlib import Path

import msgspec

import report_samples
from aks_audit import snapshot
from aks_audit.report import Comparison, Fix, Fixed, Policy, PolicyEntry, Report
from aks_audit.results import Effort, Exemption, Finding, Place, Severity
from reports import audited_snapshot

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "auditor" / "aks_audit" / "demo" / "estate.jsonl"
ESTATES = [*sorted((ROOT / "fixtures" / "estates").glob("*.jsonl")), DEMO]

HOSTILE = [
    "[click](https://evil.example)",
    "![x](http://evil.example/x.png)",
    "https://evil.example",
    "www.evil.example",
    "@everyone please",
    "mail me@evil.example",
    "#1 and org/repo#2 and GH-3",
    "a1b2c3d4e5f6",
    "<img src=x onerror=alert(1)>",
    "</code><script>alert(1)</script>",
    "&lt;b&gt; &#64;everyone",
    "a | b | c",
    "a \\| b",
    "`tick` and ``two``",
    "```\nrm -rf /\n```",
    "line\n\n# heading\n\n- item",
    "| --- |\r\n| x |",
    "**bold** _it_ ~~no~~ $x$ :tada:",
    "\x1b[31mred\x07\u202e\u2028",
    "1. one",
    "- dash",
    "`",
    "\\",
    " ",
    "",
]
"""Text that means something to some reader of some format."""


@cache
def estate_report(estate: Path) -> Report:
    """The report of a recorded estate, asked all rules."""
    return audited_snapshot(snapshot.read([estate]))


def full(name: str = "aks-{n}", message: str = "") -> Report:
    """A report with something in each of its parts."""
    sample = report_samples.report(name=name, message=message)
    failures = sample.failures()
    said = message or "Kept open"
    exemption = Exemption(reason=said, owner=said, approved_by=said, expires="2026-12-01")
    marked = {
        failures[0].fingerprint: msgspec.structs.replace(failures[0], exception=exemption, change="unchanged"),
        failures[1].fingerprint: msgspec.structs.replace(failures[1], change="new", source=Place("a.tf", 3, said)),
    }
    findings = tuple(marked.get(one.fingerprint, one) for one in sample.findings)
    entry = PolicyEntry("exception", 7, "expired", said, 0, "AKS-IAM-04", said, said, said, said, "2026-01-01", "")
    fixed = Fixed("AKS-IAM-04", failures[0].resource, Severity.LOW, said, "f" * 64, "pass")
    return msgspec.structs.replace(
        sample,
        findings=findings,
        policy=Policy(said, (entry, msgspec.structs.replace(entry, state="in-force", line=9))),
        fixes=tuple(fix(failure, said) for failure in failures),
        comparison=Comparison("2026-11-20T12:00:00Z", sample.score.overall, 1, 0, 4, (fixed,), (failures[-1],)),
        scan=msgspec.structs.replace(sample.scan, narrowed=(f"cluster={said}",) * 12),
    )


def fix(failure: Finding, command: str) -> Fix:
    """What mends this failure."""
    return Fix(
        title="The door is shut",
        rules=(failure.rule,),
        resources=(failure.resource,),
        severity=failure.severity,
        command=command,
        change="in place",
        effort=Effort.SETTING,
        risk=6,
        findings=(failure.fingerprint,),
        clusters=failure.clusters,
    )
