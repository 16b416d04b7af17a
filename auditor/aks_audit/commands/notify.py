"""The options by which a run tells of itself, and the telling."""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from aks_audit.commands import INCOMPLETE, OK, UNUSABLE, UsageError
from aks_audit.commands.live import options_given
from aks_audit.commands.output import must_hold
from aks_audit.errors import AuditError, BusyError
from aks_audit.progress import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping
    from types import TracebackType

    from aks_audit.commands.stored import StoredRun
    from aks_audit.notify.gauges import Ended
    from aks_audit.notify.log_analytics import Row, Stream
    from aks_audit.notify.news import Run, Since
    from aks_audit.notify.secrets import Address
    from aks_audit.progress import Progress
    from aks_audit.report import Report
    from aks_audit.store.runs import Run as StoredAs

WEBHOOK_URL = "AKS_AUDIT_WEBHOOK_URL"
WEBHOOKS = ("teams", "slack", "generic")

DEFAULT_SCOPE = "default"
DEFAULT_STREAM = "Custom-AksAudit_CL"


def add_notify(command: argparse.ArgumentParser) -> None:
    """Put on a command whom it tells of what it found."""
    told = command.add_argument_group("telling of the run (docs/notify.md)")
    told.add_argument(
        "--webhook",
        choices=WEBHOOKS,
        help="tell a channel what changed since the baseline, if anything did; the address, which is a secret, is in "
        f"{WEBHOOK_URL}, or in the file that {WEBHOOK_URL}_FILE names",
    )
    told.add_argument("--webhook-always", action="store_true", help="tell it also where nothing changed")
    told.add_argument(
        "--report-url", metavar="URL", help="where people find the report, for a link in the message; no secret"
    )
    told.add_argument(
        "--metrics-file",
        type=Path,
        metavar="FILE",
        help="write gauges of the report and of the run for node_exporter's textfile collector, such as "
        "/var/lib/node_exporter/aks-audit.prom",
    )
    told.add_argument(
        "--pushgateway",
        metavar="URL",
        help="push the same gauges to a Prometheus Pushgateway; its name and password, if it has them, are in "
        "AKS_AUDIT_PUSHGATEWAY_USER and AKS_AUDIT_PUSHGATEWAY_PASSWORD, or in files (with _FILE)",
    )
    told.add_argument(
        "--log-analytics",
        metavar="URL",
        help="send a row of the run, and one of each finding that changed, to this endpoint of Azure Monitor's logs "
        "ingestion, with --dcr-id and --stream",
    )
    told.add_argument("--dcr-id", metavar="ID", help="the immutable id of the data collection rule (dcr-…)")
    told.add_argument(
        "--stream", metavar="NAME", help=f"its stream (default: {DEFAULT_STREAM}, as deploy/log-analytics.bicep has it)"
    )


def teller_of(arguments: argparse.Namespace, progress: "Progress") -> "Teller | Nobody":
    """Who tells of a run: used as a context manager around it, so that a run that fails is told of, too.

    Raises:
        UsageError, NotifyError: something that the options need is not there, or is no address.
    """
    _check(arguments)
    if asked_to_tell(arguments):
        return Teller(arguments, progress)
    return Nobody()


def asked_to_tell(arguments: argparse.Namespace) -> list[str]:
    """The options that name somebody to tell."""
    return options_given(arguments, "webhook", "metrics_file", "pushgateway", "log_analytics")


def _check(arguments: argparse.Namespace) -> None:
    since = arguments.store or arguments.baseline
    asked = asked_to_tell(arguments)
    needs = (
        (arguments.webhook_always and not arguments.webhook, f"--webhook-always needs --webhook {'|'.join(WEBHOOKS)}"),
        (arguments.report_url and not arguments.webhook, f"--report-url needs --webhook {'|'.join(WEBHOOKS)}"),
        (
            arguments.webhook and not since and not arguments.webhook_always,
            "--webhook tells what changed, and needs --store or --baseline, which say since when; or --webhook-always",
        ),
        (
            (arguments.dcr_id or arguments.stream) and not arguments.log_analytics,
            "--dcr-id and --stream need --log-analytics URL",
        ),
        (
            asked and getattr(arguments, "shard", None),
            f"a shard tells nobody; give {', '.join(asked)} to aks-audit merge, which has the whole",
        ),
        (arguments.log_analytics and not arguments.dcr_id, "--log-analytics needs --dcr-id, the rule's immutable id"),
    )
    for wrong, says in needs:
        if wrong:
            raise UsageError(says)
    if arguments.metrics_file:
        if arguments.metrics_file.suffix != ".prom":
            raise UsageError(f"{arguments.metrics_file}: node_exporter reads only files that end with .prom")
        must_hold(arguments.metrics_file.parent, arguments.metrics_file.name)


class Nobody:
    """Tells nobody."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Tell nobody."""

    def tell(self, _now: "Report", _before: "Report | None", code: int, _run: "StoredRun | None") -> int:
        """Leave the exit code as it is."""
        return code


class Teller:
    """Tells of a run whom the options name. What cannot be told changes no report; it makes an exit code of 0 a 3."""

    def __init__(self, arguments: argparse.Namespace, progress: "Progress") -> None:
        self._arguments, self._progress = arguments, progress
        self._scope: str = arguments.scope or DEFAULT_SCOPE
        self._webhook = _webhook(arguments)
        self._link = _link(arguments.report_url)
        self._gateway = _gateway(arguments.pushgateway)
        self._stream = _stream(arguments)
        self._started = datetime.now(UTC)
        self._done = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        """Set the gauges of a run that failed before it had a report, unless another is under way, which sets them."""
        if problem is not None and not self._done and not isinstance(problem, (BusyError, KeyboardInterrupt)):
            code = UNUSABLE if isinstance(problem, (AuditError, OSError)) else INCOMPLETE
            self._set_gauges(None, self._ended(code, complete=False))

    def tell(self, now: "Report", baseline: "Report | None", code: int, kept: "StoredRun | None") -> int:
        """Tell of a report and the one before it, and give the exit code: 3 for 0 where somebody was not told."""
        self._done = True
        run = self._run(code, kept)
        past = _Past(now, baseline, None if self._arguments.baseline else kept, self._progress)
        reached: list[bool] = []
        if webhook := self._webhook:
            reached.append(past.told("webhook", lambda since: self._send_webhook(webhook, since, run)))
        if stream := self._stream:
            reached.append(past.told("log-analytics", lambda since: self._send_rows(stream, since, run)))
        code = code if all(reached) else _not_told(code)
        reached += self._set_gauges(now, self._ended(code, complete=now.scan.complete))
        return code if all(reached) else _not_told(code)

    def _run(self, code: int, kept: "StoredRun | None") -> "Run":
        from aks_audit.notify.news import Run  # noqa: PLC0415 - only who tells needs it

        name = kept.place.run if kept else self._started.strftime("%Y%m%dT%H%M%SZ")
        link = self._link.replace("{scope}", self._scope).replace("{run}", name)
        return Run(self._scope, name, self._progress.scan_id, self._started, datetime.now(UTC), code, link)

    def _ended(self, code: int, *, complete: bool) -> "Ended":
        from aks_audit.notify.gauges import Ended  # noqa: PLC0415 - only who tells needs it

        return Ended(self._scope, self._started, datetime.now(UTC), code, complete)

    def _send_webhook(self, webhook: "Address", since: "Since", run: "Run") -> bool:
        """Whether nobody waits for a message that did not arrive."""
        from aks_audit.notify.client import Message, send  # noqa: PLC0415 - only who tells needs it
        from aks_audit.notify.messages import FORMATS  # noqa: PLC0415
        from aks_audit.notify.news import news  # noqa: PLC0415

        found = news(since, run)
        if not (found.anything or self._arguments.webhook_always):
            self._progress.note("nothing changed: no message is sent")
            return True
        body = FORMATS[self._arguments.webhook](found)
        message = Message("POST", body, {"Content-Type": "application/json; charset=utf-8"})
        return self._did(f"told {webhook.called}", lambda: _finished(send(webhook, message)))

    def _send_rows(self, stream: "Stream", since: "Since", run: "Run") -> bool:
        from aks_audit.notify.log_analytics import rows  # noqa: PLC0415 - only who tells it needs it

        return self._did("told Log Analytics", lambda: _finished(self._upload(stream, rows(since, run))))

    async def _upload(self, stream: "Stream", found: "Iterable[Row]") -> None:
        from aks_audit.notify.log_analytics import upload  # noqa: PLC0415 - only who tells it needs it
        from aks_audit.sources.azure.sign_in import cloud, credential  # noqa: PLC0415

        async with credential(self._arguments.auth, cloud(self._arguments.cloud)) as signed_in:
            await upload(stream, signed_in, found)

    def _set_gauges(self, now: "Report | None", ended: "Ended") -> list[bool]:
        from aks_audit.notify import gauges  # noqa: PLC0415 - only who tells needs it

        reached: list[bool] = []
        if path := self._arguments.metrics_file:
            reached.append(self._did(f"wrote {path}", lambda: gauges.write_file(path, now, ended)))
        if gateway := self._gateway:
            reached.append(
                self._did(
                    f"told {gateway.address.called}",
                    lambda: _finished(gauges.push(gateway.address, gateway.header, now, ended)),
                )
            )
        return reached

    def _did(self, what: str, do: "Callable[[], None]") -> bool:
        """Whether it was done; else it is said why not."""
        try:
            do()
        except (AuditError, OSError) as problem:
            self._progress.error(one_line(str(problem)))
            return False
        self._progress.note(what)
        return True


def _finished(sending: "Coroutine[Any, Any, None]") -> None:
    """Do it to its end."""
    import asyncio  # noqa: PLC0415 - takes longer than all else that --help imports

    asyncio.run(sending)


class _Past:
    """What was before: the baseline that was named, else the run before in the store, complete or not.

    An incomplete run was told of, and the next is not to tell the same since the last complete one. Who could not be
    told of runs is told since the last of which they were.
    """

    def __init__(
        self, now: "Report", baseline: "Report | None", kept: "StoredRun | None", progress: "Progress"
    ) -> None:
        self._now, self._baseline, self._kept, self._progress = now, baseline, kept, progress
        self._since: dict[str | None, Since] = {}

    def told(self, whom: str, tell: "Callable[[Since], bool]") -> bool:
        """Whether somebody was told of what moved; else there is a mark of it in the store."""
        from aks_audit.notify.untold import Untold  # noqa: PLC0415 - only who tells needs it

        earlier = self._earlier(self._kept) if self._kept else None
        if self._kept is None or earlier is None:
            return tell(self._from(_GIVEN, self._baseline))
        untold = Untold(self._kept.store, self._kept.place.scope, whom, self._progress.warn)
        name = untold.mark.since if untold.mark else next(reversed(earlier), None)
        reached = tell(self._from(name, self._report(self._kept, earlier, name)))
        if reached:
            untold.forget()
        else:
            untold.keep(name)
        return reached

    def _from(self, name: str | None, before: "Report | None") -> "Since":
        from aks_audit.notify.news import since  # noqa: PLC0415 - only who tells needs it

        if name not in self._since:
            self._since[name] = since(before, self._now)
        return self._since[name]

    def _earlier(self, kept: "StoredRun") -> "dict[str, StoredAs] | None":
        """The runs of the scope before this one that have a report, in order of time; None: the store does not say."""
        from aks_audit.store.runs import REPORT, runs  # noqa: PLC0415 - only where there is a store

        try:
            found = runs(kept.store, kept.place.scope, self._progress.warn)
        except AuditError as problem:
            self._progress.warn(f"{one_line(str(problem))}; what is told is since the last complete run")
            return None
        return {run.place.run: run for run in found if run.place.run < kept.place.run and REPORT in run.files}

    def _report(self, kept: "StoredRun", earlier: "dict[str, StoredAs]", name: str | None) -> "Report | None":
        """The report of an earlier run, or the baseline, where that is the same or the run's is gone."""
        from aks_audit.commands.stored import report_of  # noqa: PLC0415 - only where there is a store

        complete = [run for run, told in earlier.items() if told.manifest.complete]
        if name is None:
            return None
        if name not in earlier or complete[-1:] == [name]:
            return self._baseline
        try:
            return report_of(kept.store, earlier[name])
        except AuditError as problem:
            self._progress.warn(f"{one_line(str(problem))}; what is told is since the last complete run")
            return self._baseline


_GIVEN = "--baseline"


def _not_told(code: int) -> int:
    return INCOMPLETE if code == OK else code


class _Gateway(NamedTuple):
    """A Pushgateway, and the header with which it lets one in."""

    address: "Address"
    header: "Mapping[str, str]"


def _webhook(arguments: argparse.Namespace) -> "Address | None":
    if not arguments.webhook:
        return None
    from aks_audit.notify.secrets import address, secret  # noqa: PLC0415 - only who tells needs it

    url = secret(WEBHOOK_URL)
    if url is None:
        raise UsageError(
            f"--webhook needs the address in {WEBHOOK_URL}, or in a file that {WEBHOOK_URL}_FILE names; it is a "
            "secret, and no option takes it"
        )
    return address(url, f"the {arguments.webhook} webhook of {WEBHOOK_URL}")


def _link(url: str | None) -> str:
    """The address of the report, which people open: no secret, and nothing that ends a link early."""
    from aks_audit.sources.scrub import scrub_message  # noqa: PLC0415 - only who tells needs it

    if not url:
        return ""
    if not url.startswith(("https://", "http://")) or any(c in '<>"|\\`' or c.isspace() for c in url):
        raise UsageError(f"--report-url {one_line(scrub_message(url))}: is no https:// address")
    if scrub_message(url) != url:
        raise UsageError("--report-url holds a secret, which everybody in the channel would read; name it without")
    return url


def _gateway(url: str | None) -> _Gateway | None:
    if not url:
        return None
    from aks_audit.notify.gauges import credentials  # noqa: PLC0415 - only who tells needs it
    from aks_audit.notify.secrets import address  # noqa: PLC0415

    return _Gateway(address(url, "the Pushgateway of --pushgateway", secret=False), credentials())


def _stream(arguments: argparse.Namespace) -> "Stream | None":
    if not arguments.log_analytics:
        return None
    from aks_audit.notify.log_analytics import Stream, endpoint  # noqa: PLC0415 - only who tells it needs it

    return Stream(endpoint(arguments.log_analytics), arguments.dcr_id, arguments.stream or DEFAULT_STREAM)
