"""Exceptions, severities of one's own and disabled rules: what they change, and what they never do."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest

from aks_audit import config, exceptions
from aks_audit.config import Config, ConfigError
from aks_audit.facts import ManagedCluster
from aks_audit.report import Policy
from aks_audit.results import Finding, Outcome, Severity
from aks_audit.rule import Rule
from aks_audit.score import answers, by_severity
from decisions import EXCEPTION, exception
from reports import cluster_id, finding, never, rule_text

TODAY = date(2026, 11, 21)
RULE = Rule(rule_text(), ManagedCluster, never)
OURS = {"rule": '"AKS-TST-01"', "resource": f'"{cluster_id("a")}"', "expires": "2027-03-01"}


def told(tmp_path: Path, *texts: str) -> Config:
    file = tmp_path / config.FILE_NAME
    file.write_text("\n".join(texts), encoding="utf-8")
    return config.read(file)


def entry(**changed: str | None) -> str:
    return exception(**{**OURS, **changed})


def decided(read: Config, *findings: Finding) -> tuple[Sequence[Finding], Policy]:
    return exceptions.decide(findings, read, [RULE.id], TODAY)


def state(tmp_path: Path, text: str, *findings: Finding) -> tuple[str, str, bool]:
    """What became of one exception over the failure `a`, what it says, and whether that was accepted."""
    found, policy = decided(told(tmp_path, text), *(findings or (finding("a"),)))
    (one,) = policy.entries
    return one.state, one.says, any(accepted.exception for accepted in found)


def test_an_exception_accepts_the_failure_of_its_resource_alone(tmp_path: Path) -> None:
    found, policy = decided(told(tmp_path, entry()), finding("a"), finding("A"), finding("b"))
    assert [bool(one.exception) for one in found] == [True, True, False]
    assert found[0].exception
    assert (found[0].exception.owner, found[0].exception.expires) == ("platform", "2027-03-01")
    assert found[0].outcome is Outcome.FAIL
    assert (policy.entries[0].state, policy.entries[0].matched, policy.entries[0].line) == ("in-force", 2, 1)


def test_an_accepted_failure_stays_in_the_score(tmp_path: Path) -> None:
    before = finding("a"), finding("b", outcome=Outcome.PASS)
    after, _ = decided(told(tmp_path, entry()), *before)
    assert by_severity(answers(after), [RULE.text]) == by_severity(answers(before), [RULE.text])


def test_a_glob_is_told_to_be_one(tmp_path: Path) -> None:
    assert state(tmp_path, entry(resource=None, resource_glob='"*/managedClusters/A*"'))[::2] == ("in-force", True)
    pattern, says, accepted = state(tmp_path, entry(resource='"*/managedClusters/a"'))
    assert (pattern, accepted) == ("malformed", False)
    assert "resource-glob" in says


@pytest.mark.parametrize("outcome", [Outcome.PASS, Outcome.UNKNOWN, Outcome.NOT_APPLICABLE])
def test_only_failures_are_accepted(tmp_path: Path, outcome: Outcome) -> None:
    assert state(tmp_path, entry(), finding("a", outcome=outcome))[::2] == ("unused", False)


@pytest.mark.parametrize(
    ("expires", "expected", "accepts"),
    [
        ("2026-11-20", "expired", False),
        ("2026-11-21", "expiring", True),
        ("2026-12-21", "expiring", True),
        ("2026-12-22", "in-force", True),
        ("2027-11-22", "in-force", True),
        ("2027-11-23", "malformed", False),
        ("9999-12-31", "malformed", False),
    ],
)
def test_an_exception_ends(tmp_path: Path, expires: str, expected: str, *, accepts: bool) -> None:
    assert state(tmp_path, entry(expires=expires))[::2] == (expected, accepts)


@pytest.mark.parametrize("name", ["rule", "reason", "owner", "approved_by", "expires", "resource"])
def test_each_part_is_needed(tmp_path: Path, name: str) -> None:
    absent: dict[str, str | None] = {name: None}
    assert state(tmp_path, entry(**absent))[::2] == ("malformed", False)
    assert state(tmp_path, entry(**(absent | {name: '" "'})))[::2] == ("malformed", False)


@pytest.mark.parametrize(
    "changed",
    [
        {"rule": '"AKS-TST-99"'},
        {"resource_glob": '"*/a"'},
        {"resource": None, "resource_glob": '"*"'},
        {"resource": None, "resource_glob": '"/*/*"'},
        {"expires": '"next spring"'},
        {"expires": "2027"},
        {"because": '"a key that there is not"'},
        {"owner": "[1, 2]"},
    ],
)
def test_what_is_at_fault_accepts_nothing_and_says_so(tmp_path: Path, changed: dict[str, str | None]) -> None:
    became, says, accepted = state(tmp_path, entry(**changed))
    assert (became, accepted) == ("malformed", False)
    assert says


def test_an_entry_at_fault_loses_no_other(tmp_path: Path) -> None:
    found, policy = decided(told(tmp_path, entry(owner=None), entry()), finding("a"))
    assert [(one.state, one.line) for one in policy.entries] == [("malformed", 1), ("in-force", 8)]
    assert found[0].exception


def test_a_severity_of_ones_own_is_the_rules_and_the_findings(tmp_path: Path) -> None:
    text = '[[severity]]\nrule = "aks-tst-01"\nseverity = "low"\nreason = "behind a proxy"\n'
    read = told(tmp_path, text)
    (rule,) = exceptions.chosen([RULE], read)
    assert rule.text.severity is Severity.LOW
    assert rule.text.severity_reason.startswith("behind a proxy (set here; high by itself: ")
    assert decided(read, finding("a"))[0][0].severity is Severity.LOW


def test_of_two_severities_of_a_rule_the_first_counts_and_the_other_is_told(tmp_path: Path) -> None:
    text = '[[severity]]\nrule = "AKS-TST-01"\nseverity = "low"\nreason = "x"\n'
    read = told(tmp_path, text, text.replace("low", "critical").replace("TST", "tst"))
    found, policy = decided(read, finding("a"))
    assert found[0].severity is Severity.LOW
    assert exceptions.chosen([RULE], read)[0].text.severity is Severity.LOW
    assert [(one.state, one.says) for one in policy.entries] == [
        ("in-force", ""),
        ("malformed", "the rule has one already, in line 1"),
    ]


def test_a_disabled_rule_is_not_asked_and_needs_a_reason(tmp_path: Path) -> None:
    assert exceptions.chosen([RULE], told(tmp_path, '[[disabled]]\nrule = "AKS-TST-01"\nreason = "no Windows"\n')) == ()
    nameless = told(tmp_path, '[[disabled]]\nrule = "AKS-TST-01"\n')
    assert exceptions.chosen([RULE], nameless) == (RULE,)
    assert decided(nameless)[1].entries[0].state == "malformed"


def test_a_rule_that_there_is_not_is_told(tmp_path: Path) -> None:
    _, policy = decided(told(tmp_path, '[[disabled]]\nrule = "AKS-TST-99"\nreason = "no Windows"\n'))
    assert "AKS-TST-99" in policy.entries[0].says


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[exception]\n", "is not TOML"),
        ("[[exeption]]\nrule = 1\n", "[[exception]]"),
        ("[exception]\nrule = 1\n", "[[exception]]"),
        ("exception = 3\n", "[[exception]]"),
        ("\x00", "is not TOML"),
        ("a = " + "9" * 5000, "is not TOML"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=r"aks-audit\.toml") as refused:
        told(tmp_path, text)
    assert says in str(refused.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        config.read(tmp_path)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not TOML"):
        config.read(tmp_path / "bytes.toml")


def test_the_nearest_file_is_found_up_to_the_root_of_the_repository(tmp_path: Path) -> None:
    (tmp_path / config.FILE_NAME).touch()
    inner = tmp_path / "repository" / "infra"
    inner.mkdir(parents=True)
    assert config.find(inner) == tmp_path / config.FILE_NAME
    (tmp_path / "repository" / ".git").mkdir()
    assert config.find(inner) is None
    (inner.parent / config.FILE_NAME).touch()
    assert config.find(inner) == inner.parent / config.FILE_NAME


def test_a_link_that_leads_nowhere_is_no_absent_file(tmp_path: Path) -> None:
    """What stands above it would be what nobody decided here."""
    (tmp_path / config.FILE_NAME).write_text("")
    below = tmp_path / "below"
    below.mkdir()
    (below / config.FILE_NAME).symlink_to("nowhere")
    assert config.find(below) == below / config.FILE_NAME
    with pytest.raises(ConfigError, match="cannot be read"):
        config.read(below / config.FILE_NAME)


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    (read,) = told(tmp_path, "\ufeff" + entry()).exceptions
    assert (read.line, read.problem) == (1, "")


def test_inline_entries_are_read_too(tmp_path: Path) -> None:
    inline = "{" + ", ".join(f"{name} = {value}" for name, value in {**EXCEPTION, **OURS}.items()) + "}"
    _, policy = decided(told(tmp_path, f"exception = [{inline}]"), finding("a"))
    assert (policy.entries[0].state, policy.entries[0].line) == ("in-force", 1)
