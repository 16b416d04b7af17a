"""Gauges of a report and of its run, as a Pushgateway takes them and node_exporter reads them."""

import asyncio
import base64
import stat
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as older_text

import report_samples
from aks_audit.notify import NotifyError
from aks_audit.notify.gauges import CONTENT_TYPE, Ended, credentials, push, write_file
from aks_audit.notify.secrets import address
from aks_audit.report import Report
from full_reports import HOSTILE, full
from listener import Answer, Listener, Sent, listening

START, END = datetime(2026, 11, 22, 2, tzinfo=UTC), datetime(2026, 11, 22, 2, 5, tzinfo=UTC)
LATER = datetime(2026, 11, 23, 2, 5, tzinfo=UTC)
WHOLE = Ended("production", START, END, 1, complete=True)
PART = WHOLE._replace(finished=LATER, exit_code=3, complete=False)
FAILED = PART._replace(exit_code=2)

Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(body: bytes) -> Values:
    """Every series, as both formats of Prometheus read it; none has a time of its own, or is there twice."""
    text = body.decode()
    for line in text.splitlines():
        assert line.startswith("#") or len(line.rsplit(" ", 1)[1]) > 0
    told: list[Values] = []
    for parser in (openmetrics, older_text):
        samples = [sample for family in parser(text) for sample in family.samples]
        assert not [sample for sample in samples if sample.timestamp is not None]
        told.append({(one.name, tuple(sorted(one.labels.items()))): one.value for one in samples})
        assert len(told[-1]) == len(samples)
    assert told[0] == told[1]
    return told[0]


def value(values: Values, name: str, **labels: str) -> float | None:
    return values.get((f"aks_audit_{name}", tuple(sorted(labels.items()))))


def pushed(server: Listener, report: Report | None, ended: Ended) -> list[Sent]:
    """What a Pushgateway is sent of a run."""
    before = len(server.sent)
    asyncio.run(push(address(server.url, "the gateway", secret=False), credentials(), report, ended))
    return server.sent[before:]


def test_a_report_takes_the_place_of_the_last_and_the_run_stands_beside_it() -> None:
    with listening() as server:
        findings, run = pushed(server, full(), WHOLE)
    assert (findings.method, findings.path) == ("PUT", "/metrics/job/aks-audit/scope/production")
    assert (run.method, run.path) == ("POST", "/metrics/job/aks-audit/scope/production/about/run")
    assert findings.headers["Content-Type"] == run.headers["Content-Type"] == CONTENT_TYPE
    assert value(read(findings.body), "score_ratio") == 0.647
    values = read(run.body)
    assert value(values, "run_timestamp_seconds") == END.timestamp()
    assert value(values, "run_duration_seconds") == 300
    assert value(values, "run_exit_code") == 1
    assert value(values, "run_complete") == 1
    assert value(values, "run_success_timestamp_seconds") == END.timestamp()
    assert not {name for name, _ in read(findings.body)} & {name for name, _ in values}


def test_the_labels_of_the_group_are_in_no_series() -> None:
    with listening() as server:
        for request in pushed(server, full(), WHOLE):
            assert not [labels for _, labels in read(request.body) if {"job", "scope", "about"} & dict(labels).keys()]
            assert request.body.endswith(b"\n"), "each line has to"


def test_the_last_success_stays_where_a_run_is_incomplete_or_fails() -> None:
    with listening() as server:
        _, part = pushed(server, full(), PART)
        (failed,) = pushed(server, None, FAILED)
    for request, code in ((part, 3), (failed, 2)):
        assert request.method == "POST", "which leaves what it does not name"
        values = read(request.body)
        assert value(values, "run_success_timestamp_seconds") is None
        assert value(values, "run_exit_code") == code
        assert value(values, "run_complete") == 0


def test_the_gateway_may_stand_below_a_path_and_refuse() -> None:
    with listening() as server:
        to = address(f"{server.url}/gateway/", "the gateway", secret=False)
        asyncio.run(push(to, {}, None, FAILED))
    assert server.sent[0].path == "/gateway/metrics/job/aks-audit/scope/production/about/run"
    says = b"pushed metrics are invalid or inconsistent with existing metrics"
    with listening(Answer(400, body=says)) as server, pytest.raises(NotifyError, match=says.decode()):
        pushed(server, full(), WHOLE)
    assert len(server.sent) == 1


def test_the_name_and_password_are_of_the_environment_or_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "password"
    file.write_text("hunter2:ü\n", encoding="utf-8")
    monkeypatch.setenv("AKS_AUDIT_PUSHGATEWAY_USER", "audit")
    with pytest.raises(NotifyError, match="one of the two is not set"):
        credentials()
    monkeypatch.setenv("AKS_AUDIT_PUSHGATEWAY_PASSWORD_FILE", str(file))
    with listening() as server:
        (request,) = pushed(server, None, FAILED)
    kind, told = request.headers["Authorization"].split()
    assert (kind, base64.b64decode(told).decode()) == ("Basic", "audit:hunter2:ü")
    monkeypatch.setenv("AKS_AUDIT_PUSHGATEWAY_USER", "a:b")
    with pytest.raises(NotifyError, match="colon"):
        credentials()


@pytest.mark.parametrize("hostile", [*HOSTILE, '"} 1\nevil 1'])
def test_a_name_is_a_label_and_no_more(hostile: str, tmp_path: Path) -> None:
    file = tmp_path / "aks-audit.prom"
    write_file(file, full(f"aks{hostile}{{n}}".replace("/", ""), hostile), WHOLE)
    assert not [name for name, _ in read(file.read_bytes()) if "evil" in name]


# --- the file


def test_a_file_has_both_and_says_of_which_scope(tmp_path: Path) -> None:
    file = tmp_path / "aks-audit.prom"
    write_file(file, full(), WHOLE)
    values = read(file.read_bytes())
    assert {dict(labels)["scope"] for _, labels in values} == {"production"}
    assert value(values, "score_ratio", scope="production") == 0.647
    assert value(values, "run_success_timestamp_seconds", scope="production") == END.timestamp()
    assert stat.S_IMODE(file.stat().st_mode) == 0o644, "another user's node_exporter reads it"
    assert [one.name for one in tmp_path.iterdir()] == ["aks-audit.prom"]


def test_files_of_two_scopes_have_no_series_in_common(tmp_path: Path) -> None:
    written: list[Values] = []
    for scope in ("production", "test"):
        file = tmp_path / f"{scope}.prom"
        write_file(file, full(), WHOLE._replace(scope=scope))
        written.append(read(file.read_bytes()))
    assert not written[0].keys() & written[1].keys()


def test_a_file_keeps_the_last_success_and_the_last_report(tmp_path: Path) -> None:
    file = tmp_path / "aks-audit.prom"
    write_file(file, full(), WHOLE)
    before = read(file.read_bytes())
    write_file(file, None, FAILED)
    failed = read(file.read_bytes())
    assert value(failed, "run_exit_code", scope="production") == 2
    assert value(failed, "run_success_timestamp_seconds", scope="production") == END.timestamp()
    stays = {key: told for key, told in before.items() if "_run_" not in key[0]}
    assert stays == {key: told for key, told in failed.items() if "_run_" not in key[0]}
    write_file(file, report_samples.report(clusters=1), PART)
    part = read(file.read_bytes())
    assert value(part, "clusters", scope="production") == 1
    assert value(part, "run_success_timestamp_seconds", scope="production") == END.timestamp()
    write_file(file, full(), WHOLE._replace(finished=LATER))
    again = read(file.read_bytes())
    assert value(again, "run_success_timestamp_seconds", scope="production") == LATER.timestamp()


@pytest.mark.parametrize("damaged", [b"", b"\xff\xfe", b"aks_audit_clusters 1", b"<html>\n# EOF\n", b"{}"])
def test_a_damaged_file_is_written_anew(damaged: bytes, tmp_path: Path) -> None:
    file = tmp_path / "aks-audit.prom"
    file.write_bytes(damaged)
    write_file(file, None, FAILED)
    values = read(file.read_bytes())
    assert {name for name, _ in values} == {
        "aks_audit_run_timestamp_seconds",
        "aks_audit_run_duration_seconds",
        "aks_audit_run_exit_code",
        "aks_audit_run_complete",
    }


def test_the_report_itself_tells_nothing_of_its_run() -> None:
    assert "run" not in msgspec.to_builtins(full())
