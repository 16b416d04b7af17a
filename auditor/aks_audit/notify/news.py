"""What a run has to tell people: what moved since the report before it, and whether that is anything."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from aks_audit.drift import Audit, FindingMove, compare
from aks_audit.report import FixedBy, Report
from aks_audit.results import Outcome, Severity
from aks_audit.score import Score
from aks_audit.sources.scrub import scrub_message
from aks_audit_reports.summary import count, number, percent, short

_LONGEST = 200
_LONGEST_NAME = 120
_LONGEST_RULE = 60


class Run(NamedTuple):
    """A run: of which scope, its name, the id of the scan, when it began and ended, and the exit code of the audit.

    `link` is where people find its report; empty where nobody said so.
    """

    scope: str
    name: str
    scan: str
    started: datetime
    finished: datetime
    exit_code: int
    link: str = ""


class Item(NamedTuple):
    """A failure that came or was mended, or an answer that cannot be given any more.

    `resource` and `message` are from a cluster and may say anything; `why` is our own words.
    """

    severity: Severity
    rule: str
    resource: str
    message: str
    why: str


class News(NamedTuple):
    """What moved since the report before, worst first. `first`: there was none before."""

    run: Run
    first: bool
    complete: bool
    was_complete: bool | None
    clusters: int
    failures: Mapping[Severity, int]
    undecided: int
    score: Score
    score_before: Score | None
    new: tuple[Item, ...]
    fixed: tuple[Item, ...]
    unknown: tuple[Item, ...]

    @property
    def anything(self) -> bool:
        """Whether there is anything to tell."""
        turned = self.was_complete is not None and self.was_complete != self.complete
        return bool(self.first or turned or self.new or self.fixed or self.unknown)

    @property
    def headline(self) -> str:
        """The news in one line, in our own words but for the scope's name, which is plain."""
        about = f"AKS audit of {self.run.scope}"
        if self.first:
            return f"{about}, the first: {count(sum(self.failures.values()), 'failure')}{self._incomplete()}"
        moved: list[str] = []
        if self.new:
            of_worst = sum(item.severity is self.new[0].severity for item in self.new)
            worst = f"{number(of_worst)} {self.new[0].severity}"
            moved.append(f"{count(len(self.new), 'new failure')} ({worst})")
        moved += [f"{number(len(self.fixed))} fixed"] * bool(self.fixed)
        moved += [f"{number(len(self.unknown))} not known any more"] * bool(self.unknown)
        return f"{about}: {', '.join(moved) or 'nothing new'}{self._incomplete()}"

    def _incomplete(self) -> str:
        if not self.complete:
            return "; the scan became incomplete" if self.was_complete else "; the scan is incomplete"
        return "; the scan is complete again" if self.was_complete is False else ""

    @property
    def facts(self) -> Iterator[tuple[str, str]]:
        """What else there is to know, in our own words."""
        counted = [f"{number(n)} {severity}" for severity, n in self.failures.items() if n]
        yield "Failures", ", ".join(counted) or "none"
        yield "Unknown", count(self.undecided, "finding")
        before = f" (before: {percent(self.score_before)})" if self.score_before else ""
        yield "Score", f"{percent(self.score)}{before}"
        yield "Clusters", number(self.clusters)
        if not self.complete:
            yield "Incomplete", "not everything in scope was read: what is not told here may have changed too"
        yield "Run", f"{self.run.name}, scan {self.run.scan}"

    @property
    def sections(self) -> Iterator[tuple[str, tuple[Item, ...]]]:
        """What moved, by kind; none that is empty."""
        for title, items in (
            ("New failures", self.new),
            ("Fixed", self.fixed),
            ("Could be told before, and cannot now", self.unknown),
        ):
            if items:
                yield title, items


class Since(NamedTuple):
    """A report, the one before it if there was one, and what moved between them."""

    before: Report | None
    now: Report
    moves: tuple[FindingMove, ...]


def since(before: Report | None, now: Report) -> Since:
    """What moved from one report to the next."""
    return Since(before, now, compare(Audit(before), Audit(now), now.tool).findings if before else ())


def news(told: Since, run: Run) -> News:
    """What a report tells that the one before it did not."""
    before, now, moves = told
    failures = Counter(failure.severity for failure in now.failures())
    return News(
        run=run,
        first=before is None,
        complete=now.scan.complete,
        was_complete=before.scan.complete if before else None,
        clusters=len(now.clusters),
        failures={severity: failures[severity] for severity in Severity},
        undecided=now.coverage.unknown,
        score=now.score.overall,
        score_before=before.score.overall if before else None,
        new=tuple(item for move in moves for item in _new(move)),
        fixed=tuple(_item(move, move.messages[0], _FIXED.get(move.why, "")) for move in moves if move.move == "went"),
        unknown=tuple(
            _item(move, move.messages[1] or move.messages[0], _UNKNOWN[move.outcomes[1] is None])
            for move in moves
            if move.move == "unknown"
        ),
    )


_FIXED: Mapping[FixedBy | None, str] = {
    "pass": "it passes now",
    "not-applicable": "it does not apply any more",
    "gone": "what it was about is gone",
    "disabled": "its rule is disabled now; it is not mended",
}
_UNKNOWN = {True: "nobody looked at it again", False: "it cannot be decided now"}


def _new(move: FindingMove) -> Iterator[Item]:
    """The failure that is one for people since the report before; what a person accepts is none."""
    accepted_before, accepted_now = move.accepted
    if move.outcomes[1] is not Outcome.FAIL or accepted_now:
        return
    if move.move in {"came", "known"}:
        yield _item(move, move.messages[1], "" if move.move == "came" else "it was not known before")
    elif accepted_before:
        yield _item(move, move.messages[1], "nobody accepts it any more")


def _item(move: FindingMove, message: str | None, why: str) -> Item:
    rule, resource = _told(move.rule, _LONGEST_RULE), _told(short(move.resource), _LONGEST_NAME)
    return Item(move.severity, rule, resource, _told(message or move.title, _LONGEST), why)


def _told(hostile: str, longest: int) -> str:
    """A text from a cluster on one line, short, and without what looks like a secret."""
    line = " ".join("".join(c if c.isprintable() else " " for c in scrub_message(hostile)).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
