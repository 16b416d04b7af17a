"""Score and findings over time: what a store's reports say, as table, JSON and page, whatever else is in the store."""

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aks_audit.cli import main
from aks_audit.due import back
from aks_audit.history import plots, text
from aks_audit.history.model import RunPoint, Score
from aks_audit.report import SCHEMA_VERSION
from aks_audit.store.directory import DirectoryStore
from aks_audit.store.runs import MANIFEST, REPORT
from history_store import Audit, Failure, cluster, keep

SHOP, DATA = cluster("shop"), cluster("data")
HOSTILE = '/subscriptions/s/<script>alert(1)</script>/"><img src=x onerror=alert(1)>\x1b[2J##vso[x]'


def report(version: str = SCHEMA_VERSION, **overall: float) -> bytes:
    score = {"value": 1, "low": 1, "high": 1, "unknown": 0, **overall}
    return json.dumps({"schemaVersion": version, "score": {"overall": score, "clusters": []}, "findings": []}).encode()


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store")


def history(capsysbinary: pytest.CaptureFixture[bytes], *arguments: str) -> tuple[int, str, str]:
    code = main(["history", *arguments])
    captured = capsysbinary.readouterr()
    return code, captured.out.decode(), captured.err.decode()


def told(capsysbinary: pytest.CaptureFixture[bytes], store: DirectoryStore, *arguments: str) -> dict[str, Any]:
    """The scopes of the JSON, by name."""
    code, out, err = history(capsysbinary, "--store", store.place, "--format", "json", *arguments)
    assert (code, err) == (0, "")
    return {scope["scope"]: scope for scope in json.loads(out)["scopes"]}


def test_each_run_says_its_score_and_what_of_each_severity_failed(
    store: DirectoryStore, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    first = keep(store, 0, Audit(50.0, {SHOP: 50.0}, (Failure("high", (SHOP,)), Failure("high", (SHOP,)))))
    failures = (
        Failure("high", (SHOP,), "unchanged"),
        Failure("low", (SHOP, DATA), "new"),
        Failure("low", (DATA,), "new", accepted=True),
    )
    second = keep(store, 1, Audit(62.5, {SHOP: 75.0, DATA: 50.0}, failures, ("high",), unknown=4, complete=False))
    scope = told(capsysbinary, store)["default"]
    none = {"critical": 0, "high": 0, "medium": 0, "low": 0, "info": 0}
    assert scope["runs"] == [
        {
            "run": first,
            "finished": "2026-09-01T02:00:00Z",
            "complete": True,
            "score": {"value": 50.0, "low": 50.0, "high": 50.0},
            "clusters": 1,
            "failures": {**none, "high": 2},
            "accepted": 0,
            "unknown": 0,
            "new": None,
            "mended": None,
        },
        {
            "run": second,
            "finished": "2026-09-02T02:00:00Z",
            "complete": False,
            "score": {"value": 62.5, "low": 58.5, "high": 66.5},
            "clusters": 2,
            "failures": {**none, "high": 1, "low": 1},
            "accepted": 1,
            "unknown": 4,
            "new": {**none, "low": 1},
            "mended": {**none, "high": 1},
        },
    ]
    assert scope["clusters"] == [
        {
            "id": DATA,
            "runs": [
                {"run": second, "score": {"value": 50.0, "low": 50.0, "high": 50.0}, "failures": {**none, "low": 1}}
            ],
        },
        {
            "id": SHOP,
            "runs": [
                {"run": first, "score": {"value": 50.0, "low": 50.0, "high": 50.0}, "failures": {**none, "high": 2}},
                {
                    "run": second,
                    "score": {"value": 75.0, "low": 75.0, "high": 75.0},
                    "failures": {**none, "high": 1, "low": 1},
                },
            ],
        },
    ]


def test_a_cluster_is_the_same_whatever_the_case_of_its_id(
    store: DirectoryStore, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    keep(store, 0, Audit(50.0, {SHOP: 50.0}, (Failure("high", (SHOP.upper(),)),)))
    keep(store, 1, Audit(50.0, {SHOP.upper(): 50.0}))
    (found,) = told(capsysbinary, store)["default"]["clusters"]
    assert found["id"] == SHOP.upper()
    assert [point["failures"]["high"] for point in found["runs"]] == [1, 0]


def test_scopes_stand_apart_and_can_be_asked_for_alone(
    store: DirectoryStore, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    for scope in ("prod", "test"):
        keep(store, 0, Audit(50.0, {SHOP: 50.0}), scope)
    assert list(told(capsysbinary, store)) == ["prod", "test"]
    assert list(told(capsysbinary, store, "--scope", "test")) == ["test"]


def test_since_takes_a_day_and_a_span(store: DirectoryStore, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    for day in range(4):
        keep(store, day, Audit(50.0, {SHOP: 50.0}))
    runs = told(capsysbinary, store, "--since", "2026-09-03")["default"]["runs"]
    assert [run["finished"][:10] for run in runs] == ["2026-09-03", "2026-09-04"]
    assert len(told(capsysbinary, store, "--since", "9999y")["default"]["runs"]) == 4
    code, _, err = history(capsysbinary, "--store", store.place, "--since", "2999-01-01")
    assert code == 2
    assert "there is no run since 2999-01-01 whose report can be read" in err


def test_a_span_leads_back() -> None:
    assert back("90d", date(2026, 11, 22)) == date(2026, 8, 24)
    assert back("2w", date(2026, 11, 22)) == date(2026, 11, 8)
    assert back("6m", date(2026, 8, 31)) == date(2026, 2, 28)
    assert back("1y", date(2024, 2, 29)) == date(2023, 2, 28)
    assert back("9999y", date(2024, 2, 29)) == date.min


@pytest.mark.parametrize("since", ["yesterday", "90", "2026-13-01", "-1d", "90d "])
def test_what_is_no_time_is_refused(since: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["history", "--store", "x", f"--since={since}"])
    assert "is no day, such as 2026-09-01, nor a span, such as 90d" in capsys.readouterr().err


def test_clusters_are_shown_by_name_glob_and_id(
    store: DirectoryStore, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    keep(store, 0, Audit(50.0, dict.fromkeys([SHOP, DATA, cluster("shop", "other")], 50.0)))
    for wanted, found in (("SH*", 2), ("data", 1), (SHOP.lower(), 1), ("none", 0)):
        assert len(told(capsysbinary, store, "--cluster", wanted)["default"]["clusters"]) == found


def test_the_table_names_runs_and_clusters(store: DirectoryStore, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    clusters: dict[str, float | None] = {SHOP: 40.0, cluster("shop", "other"): 60.0, DATA: 90.0}
    keep(store, 0, Audit(50.0, clusters))
    keep(store, 1, Audit(None, dict.fromkeys(clusters)))
    keep(store, 2, Audit(63.3, {**clusters, SHOP: 55.0}, (Failure("critical", (SHOP,), "new"),), ("low", "low"), 3))
    code, out, err = history(capsysbinary, "--store", store.place)
    assert (code, err) == (0, "")
    lines = [re.sub(" +", " ", line).strip() for line in out.splitlines()]
    none = "\N{EN DASH}"
    assert lines[:2] == ["default: 3 runs, 2026-09-01 to 2026-09-03", "Score 63.3 % (+13.3) ▁ █"]
    assert lines[3:7] == [
        "Run Finished Score crit high med low info New Mended Unknown",
        f"20260901T020000Z 2026-09-01 02:00 50.0 % 0 0 0 0 0 {none} {none} 0",
        f"20260902T020000Z 2026-09-02 02:00 {none} 0 0 0 0 0 {none} {none} 0",
        "20260903T020000Z 2026-09-03 02:00 63.3 % (60.3 to 66.3) 1 0 0 0 0 1 2 3",
    ]
    assert lines[8:12] == [
        "Cluster, lowest score first Score crit high med low info",
        "rg/shop 55.0 % (+15.0) 1 0 0 0 0 ▁ █",
        "other/shop 60.0 % 0 0 0 0 0 ▁ ▁",
        "data 90.0 % 0 0 0 0 0 ▁ ▁",
    ]


def test_a_cluster_that_the_last_run_did_not_see_is_not_told_of_as_of_now(
    store: DirectoryStore, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    keep(store, 0, Audit(90.0, {SHOP: 100.0, DATA: 80.0}))
    keep(store, 1, Audit(80.0, {DATA: 80.0}))
    _, out, _ = history(capsysbinary, "--store", store.place)
    rows = {line.split()[0]: line for line in out.splitlines() if line.startswith(("shop", "data"))}
    assert rows["shop"].endswith("last seen in 20260901T020000Z")
    assert "last seen" not in rows["data"]
    assert page_of(store, tmp_path).count("last seen in 20260901T020000Z") == 1


def test_clusters_past_the_first_are_counted(store: DirectoryStore, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    keep(store, 0, Audit(50.0, {cluster(f"c{place:02}"): float(place) for place in range(25)}))
    _, out, _ = history(capsysbinary, "--store", store.place)
    assert "c19" in out
    assert "c20" not in out
    assert "and 5 more, whose scores are higher" in out


def test_a_run_that_cannot_be_read_is_said_and_the_others_are_told(
    store: DirectoryStore, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    names = [keep(store, day, Audit(50.0, {SHOP: 50.0})) for day in range(4)]
    folder = tmp_path / "store" / "default"
    (folder / names[0] / REPORT).write_bytes(b"\x1f\x8b")
    (folder / names[1] / REPORT).unlink()
    (folder / names[2] / MANIFEST).write_text("{", encoding="utf-8")
    (folder / "link").symlink_to(tmp_path)
    (folder / "photo.jpeg").touch()
    code, out, err = history(capsysbinary, "--store", store.place)
    assert code == 3
    assert [line.split()[0] for line in out.splitlines() if line.startswith("2026")] == [names[3]]
    assert "is not what was written" in err
    assert "is not there" in err
    assert "is passed over; it is damaged" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"null",
        b"[" * 100_000,
        report("9.0"),
        b'{"schemaVersion": "1.1", "score": {"overall": {"value": "much"}}}',
        b'{"schemaVersion": "1.1", "score": {"overall": {"value": 1e999, "low": 1, "high": 1, "unknown": 0}}}',
        b"\xff",
        report(value=-5),
        report(high=101),
        report(unknown=10**19),
    ],
)
def test_a_report_that_is_none_is_said(
    store: DirectoryStore, wrong: bytes, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(store, 0, Audit(50.0, {SHOP: 50.0}))
    monkeypatch.setattr("aks_audit.history.reports.fetch", lambda *_: b"")
    monkeypatch.setattr("aks_audit.history.reports.lines", lambda *_: [wrong])
    code, _, err = history(capsysbinary, "--store", store.place)
    assert code == 2
    assert "is no report of aks-audit" in err or "is of schema '9.0'" in err
    assert "there is no run whose report can be read" in err


def test_an_empty_store_is_said(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    code, _, err = history(capsysbinary, "--store", str(tmp_path / "none"), "--scope", "prod")
    assert code == 2
    assert "none: there is no run of prod whose report can be read; runs are kept by `aks-audit scan --store`" in err
    assert not (tmp_path / "none").exists()


def test_without_duckdb_it_is_said_what_to_install(
    store: DirectoryStore, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(store, 0, Audit(50.0, {SHOP: 50.0}))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    code, _, err = history(capsysbinary, "--store", store.place)
    assert code == 2
    assert "pip install 'aks-audit[history]'" in err


def test_what_is_hostile_is_text(store: DirectoryStore, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    keep(store, 0, Audit(50.0, {HOSTILE: 50.0}, (Failure("high", (HOSTILE,)),)))
    keep(store, 1, Audit(50.0, {HOSTILE: 40.0}))
    _, out, _ = history(capsysbinary, "--store", store.place)
    assert "\x1b" not in out
    assert "##vso[" not in out
    _, page, _ = history(capsysbinary, "--store", store.place, "--format", "html")
    assert "<script" not in page
    assert "<img" not in page
    assert "\x1b" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def page_of(store: DirectoryStore, tmp_path: Path) -> str:
    file = tmp_path / "history.html"
    assert main(["history", "--store", store.place, "--format", "html", "-o", str(file)]) == 0
    return file.read_text(encoding="utf-8")


def test_the_page_stands_alone(store: DirectoryStore, tmp_path: Path) -> None:
    keep(store, 0, Audit(50.0, {SHOP: 50.0}, (Failure("high", (SHOP,)),)))
    keep(store, 1, Audit(70.0, {SHOP: 70.0}, (Failure("low", (SHOP,), "new"),), ("high",), complete=False))
    page = page_of(store, tmp_path)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    assert policy[1].startswith("default-src &#39;none&#39;; style-src &#39;sha256-")
    assert "script-src" not in policy[1]
    assert not re.findall(r"(?:src|href)=[\"'](?!#|data:)", page)
    assert not re.findall(r"\sstyle=|\son\w+=|<script|@import|url\(", page)
    assert page.count('<svg class="plot"') == 3
    assert "20.0 points up" in page
    assert "incomplete" in page
    assert page == page_of(store, tmp_path)


def test_a_page_of_one_run_and_of_nothing_decided(store: DirectoryStore, tmp_path: Path) -> None:
    keep(store, 0, Audit(None, {}))
    page = page_of(store, tmp_path)
    assert page.count('<svg class="plot"') == 2  # nothing is new without a baseline
    assert "nan" not in page.lower().replace("nano", "")


def test_a_page_where_nothing_ever_failed(store: DirectoryStore, tmp_path: Path) -> None:
    keep(store, 0, Audit(100.0, {SHOP: 100.0}))
    keep(store, 1, Audit(100.0, {SHOP: 100.0}))
    axis = re.findall(r'<text class="tick end"[^>]*>([^<]*) %<', page_of(store, tmp_path))
    assert (axis[0], axis[-1]) == ("90", "100")


def point(day: int, value: float | None, high: int = 0) -> RunPoint:
    counts = {"critical": 0, "high": high, "medium": 0, "low": 0, "info": 0}
    score = Score(value, value, value)
    return RunPoint(f"r{day}", f"2026-09-{day:02}T00:00:00Z", True, score, 1, counts, 0, 0, counts, counts)  # noqa: FBT003


def test_runs_stand_where_their_time_is_and_no_line_crosses_what_was_not_decided() -> None:
    drawn = plots.score_plot([point(1, 50.0), point(2, 60.0), point(3, None), point(11, 80.0)])
    lines = re.findall(r'<polyline class="value" points="([^"]*)"', drawn)
    places = [[float(pair.split(",")[0]) for pair in line.split()] for line in lines]
    assert [len(line) for line in places] == [2, 1]
    first, second, last = *places[0], *places[1]
    assert (second - first) * 10 == pytest.approx(last - first, abs=0.5)


def test_severities_stand_on_top_of_each_other() -> None:
    drawn = plots.severity_plot([point(1, 50.0, 4), point(2, 50.0, 2)])
    assert re.findall(r'<polygon class="(\w+)"', drawn) == ["high"]


@pytest.mark.parametrize(
    ("new", "mended", "axis"),
    [
        (37, 3, ["10", "0", "10", "20", "30", "40"]),
        (0, 2, ["2", "1", "0", "1"]),
        (3, 0, ["0", "1", "2", "3"]),
        (0, 0, ["0", "1"]),
    ],
)
def test_new_and_mended_stand_on_both_sides_of_nothing(new: int, mended: int, axis: list[str]) -> None:
    last = msgspec.structs.replace(point(2, 50.0), new={"high": new}, mended={"high": mended})
    drawn = plots.change_plot([point(1, 50.0), last])
    assert re.findall(r'<text class="tick end"[^>]*>(\d+)<', drawn) == axis


@pytest.mark.parametrize(
    ("most", "axis"), [(0, 4), (4, 4), (5, 8), (13, 20), (21, 40), (99, 100), (101, 120), (2345, 4000)]
)
def test_an_axis_ends_in_a_round_number(most: int, axis: int) -> None:
    assert plots._round_up(most) == axis  # noqa: SLF001 - arithmetic of its own


def test_bars_go_from_the_lowest_to_the_highest() -> None:
    assert text.bars([Score(value, None, None) for value in (10.0, 20.0, None, 30.0)]) == "▁▅ █"
    assert text.bars([Score(5.0, None, None)] * 40) == "▁" * 30
    assert not text.bars([])
