"""Traps of names: which finding is which, what an exception means, and which rules were asked."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from aks_audit import snapshot
from aks_audit.engine import audit, load_rules
from aks_audit.facts import Estate
from aks_audit.snapshot import SCHEMA, Header, Resource
from cases import CLUSTER, Case, records_of
from decisions import exception
from reports import GROUP, bare_clusters, cluster_id
from traps.command import command

_RULE = "AKS-IAM-04"


def same_name(_folder: Path) -> None:
    """Clusters of one name in two resource groups, and one of them once more in capitals."""
    records = records_of(Case(name="", expect=""))
    original = next(one for one in records if isinstance(one, Resource) and one.id == CLUSTER)
    ids = [CLUSTER, CLUSTER.replace("rg-aks-prod/", "rg-aks-twin/"), CLUSTER.upper()]
    (rule,) = (rule for rule in load_rules() if rule.id == _RULE)
    known = [
        audit(
            Estate(snapshot.of([msgspec.structs.replace(original, id=one, body={**original.body, "id": one})])), [rule]
        )
        for one in ids
    ]
    first, twin, capitals = (finding.fingerprint for (finding,) in known)
    assert first != twin, "two clusters share a finding"
    assert first == capitals, "one cluster has two findings"
    both = audit(Estate(snapshot.of([*records, msgspec.structs.replace(original, id=ids[1])])), [rule])
    assert len(both) == 2, both


def exact_exceptions(folder: Path) -> None:
    """A scan of three clusters with an exception by id, by the beginning of an id, and by a glob."""
    clusters = ["aks-1", "aks-10", "aks-2"]
    (folder / "estate.jsonl").write_bytes(snapshot.encode([Header(schema=SCHEMA, tool=""), *bare_clusters(*clusters)]))
    assert _accepted(folder, resource=f'"{cluster_id("aks-1")}"') == {"aks-1"}
    assert _accepted(folder, resource='"aks-1"') == set(), "a name is taken for an id"
    assert _accepted(folder, resource=f'"{GROUP}"') == set(), "the beginning of an id is taken for it"
    assert _accepted(folder, resource_glob='"*/aks-1"') == {"aks-1"}
    assert _accepted(folder, resource_glob='"*/aks-1*"') == {"aks-1", "aks-10"}


def every_rule_is_asked(folder: Path) -> None:
    """The list of rules beside a scan without options, and beside one that disables a rule."""
    listed = {line.split()[0] for line in command(folder, "rules").out.splitlines() if line.startswith("AKS-")}
    assert listed == {rule.id for rule in load_rules()}, "the list is not of all rules"
    plain = command(folder, "scan", "--demo", "--format", "json").document
    assert {rule["id"] for rule in plain["rules"]} == listed, "a rule of the list was not asked"
    subjects = {rule["subject"] for rule in plain["rules"] if rule["id"] in {f["rule"] for f in plain["findings"]}}
    silent = {rule["id"] for rule in plain["rules"] if rule["subject"] in subjects}
    silent -= {finding["rule"] for finding in plain["findings"]}
    assert not silent, f"{silent} were asked and say nothing"
    (folder / "aks-audit.toml").write_text(f'[[disabled]]\nrule = "{_RULE}"\nreason = "public by contract"\n')
    without = command(folder, "scan", "--demo", "--format", "json").document
    assert {rule["id"] for rule in without["rules"]} == listed - {_RULE}, "more than the disabled rule was not asked"
    (told,) = without["policy"]["entries"]
    assert (told["rule"], told["reason"]) == (_RULE, "public by contract"), told


CHECKS: Mapping[int, Callable[[Path], None]] = {36: same_name, 37: exact_exceptions, 38: every_rule_is_asked}


def _accepted(folder: Path, **which: str) -> set[str]:
    """The names of the clusters whose failure of one rule an exception accepts."""
    expires = (datetime.now(UTC).date() + timedelta(days=30)).isoformat()
    (folder / "aks-audit.toml").write_text(exception(rule=f'"{_RULE}"', expires=expires, **which))
    report = command(folder, "scan", "--snapshot", "estate.jsonl", "--format", "json").document
    failed = [one for one in report["findings"] if (one["rule"], one["outcome"]) == (_RULE, "fail")]
    assert len(failed) == 3, f"{len(failed)} clusters fail {_RULE}"
    return {one["resource"].rpartition("/")[2] for one in failed if "exception" in one}
