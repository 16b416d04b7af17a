"""What a live command says on standard error: lines, on a terminal one that counts, or JSON objects alone."""

import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any, get_args

import pytest

from aks_audit.progress import EventName, Progress, unobeyed
from cases import CLUSTER, Case, records_of
from live import Done, environment, run
from resource_manager import Answer, Fault, Hang, ResourceManager

BASE = Case(name="", expect="")
SUBSCRIPTION = CLUSTER.split("/")[2]
COLLECT = ("collect", "-o", "estate.jsonl")
HOSTILE = "shop\x1b[2J\u202e\naks-audit: error: forged"


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def read(self) -> float:
        """The time in seconds."""
        return self.now


def said(err: str) -> list[dict[str, Any]]:
    """The objects on standard error, where there is nothing else."""
    objects: list[dict[str, Any]] = [json.loads(line) for line in err.splitlines()]
    for line in objects:
        assert {"time", "level", "scan", "event", "message"} <= set(line)
        assert line["event"] in get_args(EventName)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
        assert line["level"] in {"debug", "info", "warning", "error"}
    assert len({line["scan"] for line in objects}) <= 1
    return objects


def between(err: str) -> list[dict[str, Any]]:
    """What was said between the beginning and the end of a command."""
    first, *lines, last = said(err)
    assert (first["event"], last["event"]) == ("started", "finished")
    return lines


def levels(done: Done) -> set[str]:
    return {line["level"] for line in said(done.err)}


def test_calls_are_objects_with_method_address_and_status(tmp_path: Path) -> None:
    with ResourceManager(records_of(BASE)) as server:
        done = run(
            server, tmp_path, "scan", "--output", "out", "--keep-snapshot", "k.jsonl", "--log-format", "json", "-v"
        )
        asked = sorted(request.path for request in server.requests)
    calls = [line for line in said(done.err) if line["level"] == "debug"]
    assert sorted(line["url"].removeprefix(server.url).partition("?")[0] for line in calls) == asked
    assert {(line["method"], line["status"]) for line in calls} == {("GET", 200)}
    wrote = [line["message"] for line in said(done.err) if line["message"].startswith("wrote ")]
    assert wrote == ["wrote k.jsonl", *(f"wrote out/aks-audit.{form}" for form in ("html", "json", "sarif"))]


def test_what_is_refused_is_a_warning_that_names_it(tmp_path: Path) -> None:
    with ResourceManager(records_of(BASE), deny={"Microsoft.Network/routeTables/read": None}) as server:
        done = run(server, tmp_path, *COLLECT, "--log-format", "json")
    assert done.code == 3
    (warning,) = [line["message"] for line in said(done.err) if line["level"] == "warning"]
    assert "Microsoft.Network/routeTables in /subscriptions/" in warning
    assert "403 AuthorizationFailed" in warning


def test_who_is_not_signed_in_gets_one_object(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "az").write_text("#!/bin/sh\necho \"Please run 'az login'\" >&2; exit 1\n", encoding="utf-8")
    with ResourceManager(records_of(BASE)) as server:
        done = run(server, tmp_path, "scan", "--log-format", "json")
    assert done.code == 2
    (line,) = between(done.err)
    assert line["level"] == "error"
    assert line["message"].startswith("cannot sign in: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["scan", "--format", "docx"],
        ["scan", "--format", "json,sarif"],
        ["scan", "--snapshot", "nowhere\x1b[31m.jsonl"],
        ["scan", "--cluster", "nobody"],
        ["scan", "--subscription", "nowhere"],
        [*COLLECT, "--cloud", "nowhere"],
        ["collect", "-o", "."],
    ],
)
def test_wrong_usage_is_one_error(arguments: list[str], tmp_path: Path) -> None:
    with ResourceManager(records_of(BASE)) as server:
        done = run(server, tmp_path, *arguments, "--log-format", "json")
        quiet = run(server, tmp_path, *arguments, "--quiet")
    assert done.code == quiet.code == 2
    assert [line["level"] for line in said(done.err)].count("error") == 1
    assert between(done.err)[-1]["level"] == "error"
    assert quiet.err.startswith("aks-audit: error: ")


def test_ctrl_c_leaves_objects_alone(tmp_path: Path) -> None:
    with ResourceManager(records_of(BASE), faults=[Fault("routeTables", Hang(60), times=None)]) as server:
        done = run(server, tmp_path, *COLLECT, "--log-format", "json", interrupt_after=20)
    assert done.code == 3
    assert any("interrupted" in line["message"] for line in said(done.err) if line["level"] == "warning")


def test_a_fault_and_the_warnings_of_packages_are_objects_too(tmp_path: Path) -> None:
    script = (
        "import asyncio, logging, sys, warnings\n"
        "from aks_audit import cli, engine\n"
        "class Lost:\n    def __del__(self): raise ValueError('lost')\n"
        "def broken(*_):\n"
        "    warnings.warn('old')\n"
        "    logging.getLogger('asyncio').error('Task exception was never retrieved: password=hunter2')\n"
        "    logging.getLogger('azure.identity').warning('what the error holds')\n"
        "    Lost()\n"
        "    raise ZeroDivisionError('https://me:hunter2@x')\n"
        "engine.load_rules = broken\n"
        "sys.exit(cli.command())\n"
    )
    arguments = ["scan", "--demo", "--log-format", "json"]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    first, *lines = said(done.stderr)
    assert first["event"] == "started"
    assert done.returncode == 3
    assert [line["level"] for line in lines] == ["warning", "warning", "warning", "error"]
    for line, word in zip(lines, ("old", "Task exception", "lost", "ZeroDivisionError"), strict=True):
        assert word in line["message"]
    assert "what the error holds" not in done.stderr
    assert "hunter2" not in done.stderr


def test_without_a_terminal_it_is_plain_lines_and_one_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    progress = Progress(clock=clock.read)
    progress.note("reading")
    for _ in range(25):
        clock.now += 1
        progress.called("GET", "/subscriptions", 200)
        progress.read(50)
    progress.close()
    assert capsys.readouterr().err.splitlines() == [
        "aks-audit: reading",
        "aks-audit: 450 resources, 10 calls, 10 s",
        "aks-audit: 950 resources, 20 calls, 20 s",
    ]


def test_where_nothing_is_read_it_says_what_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    progress = Progress(clock=clock.read)
    progress.enter("auditing")
    clock.now += 12
    progress.beat()
    assert capsys.readouterr().err == "aks-audit: auditing, 12 s\n"


def test_the_line_every_ten_seconds_has_its_numbers_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    progress = Progress(form="json", clock=clock.read)
    progress.read(1234)
    clock.now += 10.5
    progress.tick()
    (line,) = said(capsys.readouterr().err)
    assert line["message"] == "1,234 resources, 0 calls, 10 s"
    assert (line["resources"], line["calls"], line["seconds"]) == (1234, 0, 10)


def test_quiet_is_errors_alone(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    for form in ("text", "json"):
        progress = Progress(form=form, verbose=True, quiet=True, clock=clock.read)
        progress.note("reading")
        progress.warn("lost")
        clock.now += 60
        progress.called("GET", "/subscriptions", 200)
        progress.close()
        assert capsys.readouterr().err == ""
        progress.error("ended")
        assert "ended" in capsys.readouterr().err


def test_text_is_escaped_wherever_it_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(verbose=True)
    progress.note("a\x1b[31mb\u202e")
    progress.called("GET", "/\x1b]0;x\x07", 200)
    assert capsys.readouterr().err == "aks-audit: a\\x1b[31mb\\x202e\naks-audit: GET /\\x1b]0;x\\x07 200\n"


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_text_is_a_command_to_the_agent_of_a_pipeline(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    Progress(form=form).note("cluster ##vso[task.setvariable variable=x]y ###[add-mask]z\n  ::add-mask::z")
    said = capsys.readouterr().err
    assert "##vso[" not in said
    assert "##[" not in said
    assert not re.search(r"^\s*::", said, re.MULTILINE)
    assert "23#vso[task.setvariable variable=x]y" in said


@pytest.mark.parametrize("text", ["## heading", "aks-1 :: x", "#[x]", "a::b", "fe80::1", "", "##", "::1"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert unobeyed(f"- {text}\n") == f"- {text}\n"


def test_nobody_who_listens_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    read, written = os.pipe()
    os.close(read)
    with io.TextIOWrapper(io.FileIO(written, "w"), write_through=True) as gone:  # as Python opens standard error
        monkeypatch.setattr(sys, "stderr", gone)
        Progress().note("still there")


def on_terminal(server: ResourceManager, folder: Path, columns: int, **variables: str) -> str:
    """What `collect` sends to a terminal so wide."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    variables = {"TERM": "xterm", **variables}
    inherited = {k: v for k, v in environment(server.url, server.ca_file, folder).items() if k != "NO_COLOR"}
    process = subprocess.Popen(
        [sys.executable, "-m", "aks_audit", *COLLECT, "--auth", "cli"],
        stderr=theirs,
        cwd=folder,
        env={**inherited, **variables},
    )
    os.close(theirs)
    sent = b""
    with process, os.fdopen(ours, "rb", buffering=0) as terminal:
        # Linux says EIO where the last one that had the other end open is gone.
        try:
            while piece := terminal.read(4096):
                sent += piece
        except OSError:
            pass
    assert process.returncode == 0, sent
    return sent.decode()


def screen(sent: str) -> list[str]:
    """The lines that stand there in the end. Nothing but CR, LF and the sequence that clears a line is understood."""
    lines = [""]
    for part in re.split(r"(\r\n|\r\x1b\[K)", sent):
        match part:
            case "\r\n":
                lines.append("")
            case "\r\x1b[K":
                lines[-1] = ""
            case _:
                assert part.isprintable(), part
                lines[-1] += part
    return lines


@pytest.mark.parametrize("columns", [20, 34, 200])
def test_on_a_terminal_a_line_counts_never_wraps_and_goes(columns: int, tmp_path: Path) -> None:
    with ResourceManager(records_of(BASE), delay=0.15) as server:
        sent = on_terminal(server, tmp_path, columns)
    drawn = re.findall(r"\r\x1b\[K(aks-audit: \d[^\r\n]*)(?=\r\x1b)", sent)
    assert drawn
    assert max(map(len, drawn)) < columns
    if columns == 200:
        assert all(re.fullmatch(r"aks-audit: \d+ resources?, \d+ calls?, \d+ s", line) for line in drawn)
    assert [line.partition("read ")[0] for line in screen(sent) if "calls" in line] == ["aks-audit: "]
    assert screen(sent)[-2:] == ["aks-audit: wrote estate.jsonl", ""]


@pytest.mark.parametrize("variable", ["NO_COLOR", "TERM"])
def test_a_terminal_that_obeys_nothing_gets_plain_lines(variable: str, tmp_path: Path) -> None:
    with ResourceManager(records_of(BASE), delay=0.15) as server:
        sent = on_terminal(server, tmp_path, 80, **{variable: "dumb"})
    assert "\x1b" not in sent
    lines = sent.replace("\r\n", "\n").splitlines()
    assert lines[0] == "aks-audit: reading 2 subscriptions"
    assert all(line.startswith("aks-audit: ") and line.isprintable() for line in lines)


def test_a_hostile_name_reaches_no_terminal_and_makes_no_line(tmp_path: Path) -> None:
    (cluster,) = [record for record in records_of(BASE) if getattr(record, "id", "") == CLUSTER]
    forged = f"{CLUSTER}-{HOSTILE}"
    hostile = Fault(
        "managedClusters", Answer(200, json.dumps({"value": [{"id": forged, "name": HOSTILE}]}).encode()), times=None
    )
    with ResourceManager([cluster], names={SUBSCRIPTION: HOSTILE}, faults=[hostile]) as server:
        nowhere = run(server, tmp_path, "scan", "--subscription", "sandbox")
        nobody = run(server, tmp_path, "scan", "--cluster", "dev-*")
        refused = run(server, tmp_path, *COLLECT)
    for done in (nowhere, nobody, refused):
        lines = done.err.splitlines()
        assert lines
        assert all(line.isprintable() and line.startswith("aks-audit: ") for line in lines), done.err
        assert not any(line.startswith("aks-audit: error: forged") for line in lines)
    assert "shop\\x1b[2J\\x202e\\x0aaks-audit: error: forged" in nowhere.err
    assert "aks-prod-shop\\x1b[2J" in nobody.err
