"""A live scan from end to end: sign in, read Azure and then clusters under a deadline, tell how it goes."""

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from aks_audit.progress import Progress, one_line
from aks_audit.signals import Signals
from aks_audit.snapshot import Collected, Gap, Header, Resource
from aks_audit.sources.azure.collect import Collector, Scope
from aks_audit.sources.azure.pipeline import RESOURCE_GRAPH, RUN_COMMAND, USER_CREDENTIAL, Pipeline
from aks_audit.sources.azure.plan import CLUSTERS, OF_DIRECTORY, POLICY_STATES, describe
from aks_audit.sources.azure.sign_in import Cloud, SignInError, cloud, credential, sign_in
from aks_audit.sources.deadline import Deadline
from aks_audit.sources.journal import Journal
from aks_audit.sources.kubernetes import ways
from aks_audit.sources.kubernetes.collect import Inside
from aks_audit.sources.kubernetes.reader import Reader
from aks_audit.sources.kubernetes.run_command import RunCommand

if TYPE_CHECKING:
    from aks_audit.permission_check import Asked, Need

_T = TypeVar("_T")

_OBJECTS_BETWEEN_COLLECTIONS = 200_000
_BETWEEN_TICKS = 0.2


class Request(NamedTuple):
    """What is asked for, where, as whom, for how long (seconds), and whether Resource Graph is asked first.

    `inside` is the way into clusters, `cluster_timeout` the seconds that each of them has.
    """

    scope: Scope
    cloud: str
    auth: str | None
    timeout: float
    graph: bool = False
    inside: ways.Asked = ways.Asked("none")
    cluster_timeout: float = 120

    @property
    def posts(self) -> list[str]:
        """The POSTs to Azure that were asked for."""
        queries = self.graph or POLICY_STATES in self.scope.optional
        asked = {RESOURCE_GRAPH: queries, USER_CREDENTIAL: "aad", RUN_COMMAND: "run-command"}
        return [path for path, wish in asked.items() if wish is True or wish == self.inside.way]


class Plan(NamedTuple):
    """What a dry run gives: the plan in words, and whether the subscriptions could be listed."""

    text: str
    complete: bool


class _Session(NamedTuple):
    """What there is while signed in."""

    collector: Collector
    pipeline: Pipeline
    credential: Any
    deadline: Deadline


def collect(
    request: Request, progress: Progress, signals: Signals | None = None, journal: Journal | None = None
) -> Sequence[Collected]:
    """Collect the records of a scan. `progress` is told of each step, call and read.

    A signal ends it in order. What the `journal` has fresh is not read again, and what is read goes there.

    Raises:
        KubeconfigError: the kubeconfig that was asked for by name cannot be used.
        ScopeError: nothing is there that was asked for.
        SignInError: the cloud or the way to sign in is not known.
    """
    usual = gc.get_threshold()
    # Bodies hold no cycles; looking for some in all of them again and again takes as long as reading them.
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS, *usual[1:])
    try:
        scanning = partial(_scan, request=request, progress=progress, journal=journal)
        return asyncio.run(_signed_in(request, progress, scanning, signals, journal))
    finally:
        gc.freeze()  # what was read is kept to the end, and need not be looked through
        gc.set_threshold(*usual)


def plan(request: Request, progress: Progress) -> Plan:
    """Tell what a scan would read. Only the list of subscriptions is read for it.

    Raises:
        ScopeError: a subscription was asked for that is not there.
        SignInError: the cloud or the way to sign in is not known.
    """
    from aks_audit.sources.kubernetes.describe import describe as in_clusters  # noqa: PLC0415 - for a dry run alone

    async def told(session: _Session) -> Plan:
        subscriptions, lost = await session.collector.subscriptions()
        gaps = [f"not read: {one_line(gap.reason)}\n" for gap in lost if isinstance(gap, Gap)]
        elsewhere = len(session.collector.elsewhere) if request.scope.share else None
        named = [one_line(one) for one in subscriptions]
        text = describe(named, request.scope.optional, graph=request.graph, elsewhere=elsewhere)
        return Plan("".join([*gaps, text, "\n", in_clusters(request.inside, os.environ)]), not gaps)

    return asyncio.run(_signed_in(request, progress, told))


def permitted(request: Request, needs: "Sequence[Need]", progress: Progress) -> "tuple[Asked, ...]":
    """Ask what of the needs is lacking in the scope; nothing of what they are for is kept.

    Raises:
        KubeconfigError: the kubeconfig that was asked for by name cannot be used.
        ScopeError: nothing is there that was asked for.
        SignInError: the cloud or the way to sign in is not known.
    """
    from aks_audit.sources.azure import check  # noqa: PLC0415 - knows the rules, which a collection needs not
    from aks_audit.sources.kubernetes import check as in_clusters  # noqa: PLC0415 - as above

    async def asked(session: _Session) -> "tuple[Asked, ...]":
        if not any(need.plane == in_clusters.PLANE for need in needs):
            return await check.ask(session.collector, needs)
        means = _means(session, request)

        async def inside(clusters: Sequence[Resource]) -> "Sequence[Asked]":
            known = means.knowing(clusters, alone=len(clusters) == 1)
            return await in_clusters.ask(_inside(session, request, progress, known, in_clusters.Asker), clusters)

        return await check.ask(session.collector, needs, inside)

    return asyncio.run(_signed_in(request, progress, asked))


async def _scan(
    session: _Session, request: Request, progress: Progress, journal: Journal | None = None
) -> list[Collected]:
    """Everything that is asked for of Azure, and then of its clusters."""
    means = _means(session, request)
    records: list[Collected] = [*await session.collector.collect()]
    resources = [record for record in records if isinstance(record, Resource)]
    clusters = [one for one in resources if one.type.lower() == CLUSTERS.lower()]
    means = means.knowing(resources, alone=len(clusters) == 1)
    records += await _inside(session, request, progress, means, journal=journal).collect(clusters)
    since = journal.since if journal else None
    return [_finished(record, since) if isinstance(record, Header) else record for record in records]


def _means(session: _Session, request: Request) -> ways.Means:
    return ways.means(request.inside, session.pipeline.post, session.credential, environment=os.environ)


def _inside(  # noqa: PLR0913, PLR0917 - each is needed, and the last two can stay as they are
    session: _Session,
    request: Request,
    progress: Progress,
    means: ways.Means,
    reader: type[Reader] = Reader,
    journal: Journal | None = None,
) -> Inside:
    """What reads inside clusters, each by the way that was asked for."""
    pipeline = session.pipeline
    return Inside(
        lambda cluster: ways.find(cluster, request.inside, means),
        session.deadline,
        request.cluster_timeout,
        note=progress.note,
        called=progress.called,
        read=progress.read,
        command=lambda access: RunCommand(access, pipeline.post, pipeline.get),
        reader=reader,
        optional=request.inside.reads,
        left=progress.left,
        journal=journal,
        asked="\n".join(map(str, request.inside)),
    )


def _finished(header: Header, since: str | None) -> Header:
    """The header with the end of the scan; it began when the earliest of what was taken from a journal was read."""
    started = min(filter(None, (header.started, since)), default=None)
    return msgspec.structs.replace(header, started=started, finished=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


async def _signed_in(
    request: Request,
    progress: Progress,
    ask: Callable[[_Session], Awaitable[_T]],
    signals: Signals | None = None,
    journal: Journal | None = None,
) -> _T:
    where = cloud(request.cloud)
    deadline = Deadline()
    loop = asyncio.get_running_loop()
    timer = loop.call_later(request.timeout, deadline.end, f"the scan's time of {request.timeout:g} s was up")
    ticking = asyncio.ensure_future(_tick(progress))
    progress.enter("reading")

    def end(reason: str) -> None:
        loop.call_soon_threadsafe(deadline.end, reason)

    try:
        with nullcontext(signals) if signals else Signals(progress) as heard, heard.meanwhile(end):
            async with (
                credential(request.auth, where) as signed_in,
                Pipeline(
                    signed_in,
                    where.resource_manager,
                    where.scope,
                    called=progress.called,
                    waited=progress.waited,
                    posts=request.posts,
                ) as pipeline,
                _directory(signed_in, where, request, progress) as directory,
            ):
                await _sign_in(signed_in, where.scope, deadline)
                collector = Collector(
                    pipeline.get,
                    request.scope,
                    deadline,
                    progress.note,
                    progress.read,
                    left=progress.left,
                    journal=journal,
                    post=pipeline.post if request.graph else None,
                    directory=directory.get if directory else None,
                    query=pipeline.post if POLICY_STATES in request.scope.optional else None,
                )
                return await ask(_Session(collector, pipeline, signed_in, deadline))
    finally:
        ticking.cancel()
        timer.cancel()


def _directory(
    signed_in: Any,  # noqa: ANN401 - one of several kinds
    where: Cloud,
    request: Request,
    progress: Progress,
) -> AbstractAsyncContextManager[Pipeline | None]:
    """Calls to the cloud's Microsoft Graph, with tokens of its own; None where nobody asked for what it tells."""
    if where.graph is None or not set(OF_DIRECTORY) & set(request.scope.optional):
        return nullcontext()
    return Pipeline(signed_in, where.graph, f"{where.graph}/.default", called=progress.called, waited=progress.waited)


async def _sign_in(signed_in: Any, scope: str, deadline: Deadline) -> None:  # noqa: ANN401 - one of several kinds
    async def signing_in() -> list[None]:
        await sign_in(signed_in, scope)
        return []

    if await deadline.bound(signing_in(), "/subscriptions", "sign-in"):
        raise SignInError(f"cannot sign in: {deadline.reason} before a token was there; name another way with --auth")


async def _tick(progress: Progress) -> None:
    """Let what is said go on where an answer is long in coming."""
    while True:
        await asyncio.sleep(_BETWEEN_TICKS)
        progress.tick()
