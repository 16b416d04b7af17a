"""A live scan of Azure from end to end: sign in, collect under a deadline, tell how it goes."""

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeVar

from aks_audit.permission_check import Asked, Need
from aks_audit.progress import Progress, one_line
from aks_audit.snapshot import Gap, Record
from aks_audit.sources.azure.check import ask
from aks_audit.sources.azure.collect import Collector, Scope
from aks_audit.sources.azure.pipeline import Pipeline
from aks_audit.sources.azure.plan import describe
from aks_audit.sources.azure.sign_in import cloud, credential, sign_in
from aks_audit.sources.deadline import Deadline

_T = TypeVar("_T")

_OBJECTS_BETWEEN_COLLECTIONS = 200_000
_BETWEEN_TICKS = 0.2


class Request(NamedTuple):
    """What is asked for, where, as whom, and for how long (seconds)."""

    scope: Scope
    cloud: str
    auth: str | None
    timeout: float


class Plan(NamedTuple):
    """What a dry run gives: the plan in words, and whether the subscriptions could be listed."""

    text: str
    complete: bool


def collect(request: Request, progress: Progress) -> Sequence[Record]:
    """Collect the records of a scan. `progress` is told of each step, call and read.

    Raises:
        ScopeError: nothing is there that was asked for.
        SignInError: the cloud or the way to sign in is not known.
    """
    usual = gc.get_threshold()
    # Bodies hold no cycles; looking for some in all of them again and again takes as long as reading them.
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS, *usual[1:])
    try:
        return asyncio.run(_collect(request, progress, Collector.collect))
    finally:
        gc.set_threshold(*usual)


def plan(request: Request, progress: Progress) -> Plan:
    """Tell what a scan would read. Only the list of subscriptions is read for it.

    Raises:
        ScopeError: a subscription was asked for that is not there.
        SignInError: the cloud or the way to sign in is not known.
    """

    async def told(collector: Collector) -> Plan:
        subscriptions, lost = await collector.subscriptions()
        gaps = [f"not read: {one_line(gap.reason)}\n" for gap in lost if isinstance(gap, Gap)]
        return Plan(
            "".join([*gaps, describe([one_line(one) for one in subscriptions], request.scope.optional)]), not gaps
        )

    return asyncio.run(_collect(request, progress, told))


def permitted(request: Request, needs: Sequence[Need], progress: Progress) -> tuple[Asked, ...]:
    """Ask what of the needs is lacking in the scope; nothing of what they are for is read.

    Raises:
        ScopeError: a subscription was asked for that is not there, or there is none.
        SignInError: the cloud or the way to sign in is not known.
    """
    return asyncio.run(_collect(request, progress, lambda collector: ask(collector, needs)))


async def _collect(request: Request, progress: Progress, ask: Callable[[Collector], Awaitable[_T]]) -> _T:
    where = cloud(request.cloud)
    deadline = Deadline()
    loop = asyncio.get_running_loop()
    timer = loop.call_later(request.timeout, deadline.end, f"the scan's time of {request.timeout:g} s was up")
    ticking = asyncio.ensure_future(_tick(progress))
    with suppress(NotImplementedError):  # no signal handlers on Windows; there Ctrl-C ends the command
        loop.add_signal_handler(signal.SIGINT, deadline.end, "the scan was interrupted")
    try:
        async with (
            credential(request.auth, where) as signed_in,
            Pipeline(signed_in, where.resource_manager, where.scope, called=progress.called) as pipeline,
        ):
            await sign_in(signed_in, where.scope)
            return await ask(Collector(pipeline.get, request.scope, deadline, progress.note, progress.read))
    finally:
        ticking.cancel()
        timer.cancel()
        with suppress(NotImplementedError):
            loop.remove_signal_handler(signal.SIGINT)


async def _tick(progress: Progress) -> None:
    """Let what is said go on where an answer is long in coming."""
    while True:
        await asyncio.sleep(_BETWEEN_TICKS)
        progress.tick()
