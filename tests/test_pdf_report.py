"""The report as a PDF: what prints it is contained, and what it prints is the HTML report."""

import os
import shutil
import stat
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

import report_samples
from aks_audit.cli import main
from aks_audit.report import ReportError
from aks_audit_reports import pdf
from aks_audit_reports.pdf import REPORTER, VARIABLE
from full_reports import HOSTILE, full

Fake = Callable[[str], Path]

PRINT = """
for argument in "$@"; do case "$argument" in --print-to-pdf=*) target="${argument#--print-to-pdf=}";; esac; done
"""
GOOD = PRINT + "printf '%%PDF-1.4\\n/CreationDate (D:20200101000000+00'\"'00'\"')\\n%%%%EOF\\n' > \"$target\"\n"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Puts a shell script in Chromium's place."""

    def put(script: str) -> Path:
        program = tmp_path / "browser"
        program.write_text(f"#!/bin/sh\n{script}", encoding="utf-8")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv(VARIABLE, str(program))
        return program

    return put


@pytest.fixture
def chromium(monkeypatch: pytest.MonkeyPatch) -> str:
    """A real one; skips where there is none."""
    found = os.environ.get(VARIABLE) or shutil.which("chromium")
    if not found:
        pytest.skip("no Chromium is installed")
    monkeypatch.setenv(VARIABLE, found)
    return found


def test_a_real_chromium_prints_the_report_the_same_each_time(chromium: str) -> None:
    assert chromium
    report = full()
    first, second = REPORTER.render(report), REPORTER.render(report)
    assert first.startswith(b"%PDF-")
    assert first == second
    assert first.count(b"(D:20261121120130+00'00')") == 2, "it is dated by the scan"
    assert len(first) > 20_000
    assert b"/StructTreeRoot" in first, "it is tagged for screen readers"


def test_a_real_chromium_prints_hostile_names(chromium: str) -> None:
    assert chromium
    report = full(f"aks{''.join(HOSTILE)}{{n}}".replace("/", ""), "".join(HOSTILE))
    assert b"evil.example" not in b"".join(part for part in REPORTER.render(report).split() if b"/URI" in part)


def test_it_gets_nothing_of_ours_and_leaves_nothing(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "hunter2")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "elsewhere"))
    told = tmp_path / "told"
    fake(f'env > {told}; pwd >> {told}; printf "%s\\n" "$@" >> {told}; cat >> {told}\n{GOOD}')
    assert REPORTER.render(full()).startswith(b"%PDF-")
    said = told.read_text(encoding="utf-8")
    assert "hunter2" not in said
    names = {line.partition("=")[0] for line in said.split("--headless")[0].splitlines() if "=" in line}
    assert names <= {"PATH", "HOME", "TMPDIR", "LANG", "TZ", "PWD", "OLDPWD", "SHLVL", "_"}
    for flag in ("--headless", "--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9"):
        assert f"\n{flag}\n" in said
    assert f"\n--user-data-dir={tmp_path}/elsewhere/aks-audit-" in said
    assert ("\n--no-sandbox\n" in said) == (os.geteuid() == 0)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo broken >&2; exit 3", "ended with 3; at the end it said: broken"),
        ("exit 0", "wrote no PDF; at the end it said: nothing"),
        (PRINT + 'echo "<html>" > "$target"', "wrote no PDF"),
        (PRINT + 'printf "%%PDF-1.4 cut short" > "$target"', "wrote no PDF"),
        ("printf '\\033[31mred'; exit 1", "\\u001b[31mred"),
        (GOOD + "exit 1", "ended with 1"),
    ],
)
def test_what_is_no_pdf_is_an_error_that_says_why(fake: Fake, script: str, says: str) -> None:
    fake(script)
    with pytest.raises(ReportError) as raised:
        REPORTER.render(full())
    assert says in str(raised.value)


def test_one_that_hangs_is_ended_with_all_that_it_started(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pdf, "SECONDS", 0.5)
    child = tmp_path / "child"
    fake(f"sleep 300 &\necho $! > {child}\nwait")
    with pytest.raises(ReportError, match=r"did not print within 0\.5 seconds"):
        REPORTER.render(full())
    number = child.read_text(encoding="utf-8").strip()
    status = Path(f"/proc/{number}/stat")
    for _ in range(50):
        if not status.exists() or status.read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.1)
    pytest.fail("what it started runs on")


def test_where_there_is_none_it_is_refused_before_anything_is_scanned(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    command = ["scan", "--snapshot", "nowhere.jsonl", "--format", "pdf", "--output", str(tmp_path)]
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "install the package chromium" in said
    assert "nowhere" not in said
    monkeypatch.setenv(VARIABLE, "/no/such/browser")
    assert main(command) == 2
    assert "AKS_AUDIT_CHROMIUM names '/no/such/browser', which is no program here" in capsys.readouterr().err


def test_the_other_formats_are_written_where_printing_fails(
    fake: Fake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake("exit 7")
    output = tmp_path / "out"
    assert main(["scan", "--demo", "--format", "pdf,markdown,csv", "--output", str(output)]) == 2
    assert {path.name for path in output.iterdir()} == {"aks-audit.md", "aks-audit.csv"}
    assert "ended with 7" in capsys.readouterr().err


def test_a_scan_without_a_time_is_dated_like_any_other_of_its_kind(fake: Fake) -> None:
    fake(GOOD)
    sample = report_samples.report()
    for odd in (None, "yesterday"):
        undated = msgspec.structs.replace(sample, scan=msgspec.structs.replace(sample.scan, finished=odd))
        assert b"(D:20000101000000+00'00')" in REPORTER.render(undated)
