"""`aks-audit scan` with a configuration and a baseline: what it says, writes, and ends with."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

import decisions
from aks_audit.cli import main
from aks_audit.commands import FINDINGS, INCOMPLETE, OK, UNUSABLE


def exception(expires: str) -> str:
    """An exception that does not stand in the first line."""
    text = decisions.exception(rule='"AKS-API-01"', resource_glob='"*/managedClusters/aks-web"', expires=expires)
    return f"\n{text}"


def scanned(capfdbinary: pytest.CaptureFixture[bytes], *options: str) -> tuple[int, dict[str, Any], str]:
    """The exit code of a scan of the sample estate, its report, and what it says on standard error."""
    code = main(["scan", "--demo", "--format", "json", *options])
    written = capfdbinary.readouterr()
    return code, msgspec.json.decode(written.out or b"{}"), written.err.decode()


def in_two_months() -> str:
    return (datetime.now(UTC).date() + timedelta(days=60)).isoformat()


def test_an_accepted_failure_is_shown_and_no_work(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    file = tmp_path / "aks-audit.toml"
    file.write_text(exception(in_two_months()))
    _, plain, _ = scanned(capfdbinary)
    _, report, said = scanned(capfdbinary, "--config", str(file))
    accepted = [one for one in report["findings"] if "exception" in one]
    assert [(one["rule"], one["outcome"]) for one in accepted] == [("AKS-API-01", "fail")]
    assert report["policy"]["entries"][0]["state"] == "in-force"
    assert report["score"] == plain["score"]
    mended = {one for fix in report["fixes"] for one in fix["findings"]}
    assert accepted[0]["fingerprint"] not in mended
    assert not said


def test_an_expired_exception_is_told_by_file_and_line(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    file = tmp_path / "aks-audit.toml"
    file.write_text(exception("2020-01-01"))
    _, report, said = scanned(capfdbinary, "--config", str(file))
    assert not any("exception" in one for one in report["findings"])
    assert f"{file.as_posix()}:2: exception of AKS-API-01: accepts nothing: it expired on 2020-01-01" in said


@pytest.mark.parametrize("named", ["loop", "a\\u0000b", "x" * 5000], ids=["a loop of links", "NUL", "too long"])
def test_a_source_that_no_file_can_be_is_told_and_crashes_nothing(
    named: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    (tmp_path / "loop").symlink_to("loop")
    file = tmp_path / "aks-audit.toml"
    file.write_text(f'[[source]]\ncluster = "aks-web"\nfile = "{named}"\n')
    code, report, said = scanned(
        capfdbinary, "--config", str(file), "--source-root", str(tmp_path), "--fail-on", "critical"
    )
    assert (code, len(report["clusters"])) == (INCOMPLETE, 5)
    assert "a fault of aks-audit" not in said
    assert f"{file.as_posix()}:1: source of aks-web" in said
    assert main(["config", "check", str(file)]) == UNUSABLE
    assert "aks-audit.toml:1: source: there is no file" in capfdbinary.readouterr().out.decode()


def test_a_folder_whose_name_is_no_text_stops_no_scan(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    file = tmp_path / os.fsdecode(b"caf\xe9") / "aks-audit.toml"
    file.parent.mkdir()
    file.write_text('[[disabled]]\nrule = "AKS-API-01"\nreason = "public by contract"\n')
    _, report, _ = scanned(capfdbinary, "--config", str(file))
    assert report["policy"]["file"].endswith("caf\ufffd/aks-audit.toml")


def test_the_file_is_found_where_the_command_runs(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "aks-audit.toml").write_text('[[disabled]]\nrule = "AKS-API-01"\nreason = "public by contract"\n')
    monkeypatch.chdir(tmp_path)
    _, report, _ = scanned(capfdbinary)
    assert not any(one["rule"] == "AKS-API-01" for one in report["findings"])


def test_what_was_accepted_then_and_is_not_now_counts_as_new(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Else an exception would last for ever behind a baseline that was made while it did."""
    file, before = tmp_path / "aks-audit.toml", tmp_path / "aks-audit.json"
    file.write_text(exception(in_two_months()))
    main(["scan", "--demo", "--format", "json", "--config", str(file), "--output", str(tmp_path)])
    options = ("--config", str(file), "--baseline", str(before), "--fail-on", "new:high")
    assert scanned(capfdbinary, *options)[0] == INCOMPLETE
    file.write_text(exception("2020-01-01"))
    assert scanned(capfdbinary, *options)[0] == FINDINGS


def test_what_was_less_severe_than_the_threshold_counts_as_new(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    before = tmp_path / "aks-audit.json"
    main(["scan", "--demo", "--format", "json", "--output", str(tmp_path)])
    report = msgspec.json.decode(before.read_bytes())
    next(one for one in report["findings"] if (one["rule"], one["outcome"]) == ("AKS-API-01", "fail"))["severity"] = (
        "low"
    )
    before.write_bytes(msgspec.json.encode(report))
    assert scanned(capfdbinary, "--baseline", str(before), "--fail-on", "new:low")[0] == INCOMPLETE
    assert scanned(capfdbinary, "--baseline", str(before), "--fail-on", "new:high")[0] == FINDINGS


def test_a_baseline_tells_what_is_new(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    file = tmp_path / "aks-audit.json"
    main(["scan", "--demo", "--format", "json", "--output", str(tmp_path)])
    code, report, _ = scanned(capfdbinary, "--baseline", str(file), "--fail-on", "new:low")
    assert code == INCOMPLETE  # nothing is new, and the sample estate was not read whole
    assert report["comparison"]["new"] == 0
    assert report["comparison"]["unchanged"] > 0
    before = msgspec.json.decode(file.read_bytes())
    dropped = next(one for one in before["findings"] if one["outcome"] == "fail" and one["severity"] == "high")
    before["findings"].remove(dropped)
    file.write_bytes(msgspec.json.encode(before))
    code, report, _ = scanned(capfdbinary, "--baseline", str(file), "--fail-on", "new:high")
    assert code == FINDINGS
    assert [one["fingerprint"] for one in report["findings"] if one.get("change") == "new"] == [dropped["fingerprint"]]


def test_a_checklist_scanned_against_a_whole_report_closes_nothing(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    main(["scan", "--demo", "--format", "json", "--output", str(tmp_path)])
    options = ("--baseline", str(tmp_path / "aks-audit.json"), "--checklist", "azure-firewall-egress")
    _, report, _ = scanned(capfdbinary, *options)
    assert report["scan"]["checklists"] == ["azure-firewall-egress"]
    assert report["comparison"]["fixed"] == []
    assert report["comparison"]["carried"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--fail-on", "new:high"), "needs --baseline"),
        (("--baseline", "nowhere.json"), "nowhere.json: cannot be read"),
        (("--config", "nowhere.toml"), "nowhere.toml: cannot be read"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_read(
    capfdbinary: pytest.CaptureFixture[bytes], options: tuple[str, ...], says: str
) -> None:
    code, report, said = scanned(capfdbinary, *options)
    assert (code, report) == (UNUSABLE, {})
    assert says in said


@pytest.mark.parametrize("threshold", ["worst", "new:worst", "old:high", "new:", ""])
def test_a_threshold_that_there_is_not_is_refused(threshold: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["scan", "--demo", "--fail-on", threshold])
    assert "critical, high, medium, low, info" in capsys.readouterr().err


def test_a_scan_without_failures_ends_well(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    file = tmp_path / "empty.jsonl"
    file.write_text(
        '{"kind":"header","schema":"aks-audit/snapshot/1","tool":"aks-audit","scope":["/subscriptions/1"]}\n'
        '{"kind":"listing","type":"Microsoft.ContainerService/managedClusters","scope":"/subscriptions/1"}\n'
    )
    assert main(["scan", "--snapshot", str(file), "--format", "json"]) == OK
    assert msgspec.json.decode(capfdbinary.readouterr().out)["clusters"] == []
