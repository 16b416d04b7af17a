"""The way `run-command`: Azure runs `kubectl get` in a pod inside the cluster, for clusters out of sight.

This is a write, as Azure makes a pod in the namespace `aks-command` for each command, and so it is done only where it
was asked for by name. Nothing but `kubectl get` is ever run, with `--raw` and a path, so that what comes is the API
server's own answer, page by page. Azure lets through one call a second, so what is wanted at the same time shares a
command. Output ends at 512 kB without a word; but behind each answer a mark is written, and an answer without its mark
is not whole.

Source: https://learn.microsoft.com/azure/aks/access-private-cluster, and the RunCommandResult of
azure-mgmt-containerservice 41.8.
"""

import asyncio
import json
import math
import re
from collections.abc import Awaitable, Callable, Iterator
from secrets import token_hex
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

import msgspec
from azure.core.exceptions import AzureError

from aks_audit.facts.gaps import INSIDE
from aks_audit.snapshot import decode
from aks_audit.sources.azure import errors
from aks_audit.sources.azure.pipeline import RUN_COMMAND
from aks_audit.sources.azure.plan import CLUSTERS, LISTED
from aks_audit.sources.kubernetes import managed
from aks_audit.sources.kubernetes.api import Answer, UnreachableError
from aks_audit.sources.scrub import scrub_message

if TYPE_CHECKING:
    from aks_audit.snapshot import Gap
    from aks_audit.sources.azure import pipeline
    from aks_audit.sources.kubernetes.access import Access

ACTION = f"{CLUSTERS}/runcommand/action"
"""The permission that the POST needs."""

PAUSE = 2.0
"""Seconds between two looks at whether a command has ended."""

MOST_LOOKS = 150
"""How often is looked: five minutes. A pod has one to be scheduled."""

PAGE = 50
"""How many objects a page holds at most, at some 10 kB a pod."""

AT_ONCE = 2
"""How many commands run at the same time; each has a pod of its own."""

TOGETHER = 20
"""How many paths one command reads at most."""

_FIRST = 6
"""How many commands or so tell what an API server serves: its version, the core, the groups, and their kinds."""

_NAMES = {
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions": "customresourcedefinitions.v1.apiextensions.k8s.io",
}
"""The lists, as kubectl calls them, of which only the names are of use: the objects hold schemas of 100 kB each."""

_OK, _ACCEPTED = 200, 202
_NOT_FOUND, _UNAUTHORIZED, _SERVER_ERROR = 404, 401, 500
_STATUSES = {
    "BadRequest": 400, "Unauthorized": _UNAUTHORIZED, "Forbidden": 403, "NotFound": _NOT_FOUND,
    "MethodNotAllowed": 405, "NotAcceptable": 406, "Conflict": 409, "Gone": 410, "Expired": 410,
    "TooManyRequests": 429, "InternalError": _SERVER_ERROR, "ServiceUnavailable": 503, "Timeout": 504,
}  # fmt: skip
_PATH = re.compile(r"/[\w./~%?&=:,+-]*", re.ASCII)
_NAME = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_SAID = re.compile(r"^Error from server(?: \((?P<reason>\w+)\))?: (?P<message>.*)", re.MULTILINE)
_LOGGED_OUT = "You must be logged in to the server"
_LONGEST_REASON = 300


def commands(reads: int) -> int:
    """About how many commands it takes to read so many paths, and first what the API server serves."""
    return _FIRST + math.ceil(reads / TOGETHER)


class NotRunError(UnreachableError):
    """Azure did not run the command; `gap` says why in Azure's words, and names the permission that lacks."""

    def __init__(self, gap: "Gap") -> None:
        super().__init__(gap.reason)
        self.gap = gap


class _Properties(msgspec.Struct, rename="camel"):
    provisioning_state: str | None = None
    exit_code: int | None = None
    logs: str | None = None
    reason: str | None = None


class _Result(msgspec.Struct):
    properties: _Properties


class _Output(NamedTuple):
    """What kubectl wrote for a path, and its exit code; None: the output was cut off before its end."""

    code: int | None
    text: str


class RunCommand:
    """Reads an API server by commands. `pause` waits between two looks at whether one has ended."""

    def __init__(
        self,
        access: "Access",
        post: "pipeline.Poster",
        get: "pipeline.Getter",
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._access, self._post, self._look, self._pause = access, post, get, pause
        self._most: dict[str, int] = {}
        self._room = asyncio.Semaphore(AT_ONCE)
        self._waiting: list[tuple[str, asyncio.Future[_Output | None]]] = []

    async def get(self, path: str, accept: str = "application/json") -> Answer:
        """GET a path with its query. Of forms other than plain JSON, discovery and lists of names are put together.

        Raises:
            UnreachableError: no whole answer came.
        """
        if not _PATH.fullmatch(path):
            raise UnreachableError("a path with such characters is not put into a command")
        if "apidiscovery" in accept:
            return await self._discover(path)
        return await self._raw(path)

    async def _raw(self, path: str) -> Answer:
        plain, _, query = path.partition("?")
        wish = {} if plain in _NAMES else dict(parse_qsl(query))
        alone = False
        while True:
            limit = self._limit(plain, wish)
            asked = f"{plain}?{urlencode({**wish, 'limit': limit})}" if limit else path if wish else plain
            output = await (self._alone(asked) if alone else self._shared(asked))
            if output is None:
                continue
            if output.code is not None:
                return _answer(plain, output)
            if alone and (not limit or limit == 1):
                raise UnreachableError(
                    f"the answer to {plain} came truncated: run-command cuts output at 512 kB, and "
                    f"{len(output.text.encode()):,} bytes came"
                )
            if alone and limit:
                self._most[plain] = limit // 2
            alone = True

    def _limit(self, plain: str, wish: dict[str, str]) -> int | None:
        """How many objects to ask for; None where there is no list to be cut."""
        asked = wish.get("limit", "")
        return min(int(asked), self._most.get(plain, PAGE)) if asked.isdecimal() else None

    async def _discover(self, path: str) -> Answer:
        """What `/api` or `/apis` serve, put together in the form that only an Accept header would get from the server.

        Raises:
            UnreachableError: as with `get`.
        """
        answer = await self._raw(path)
        if answer.status != _OK:
            return answer
        groups = dict(_groups(path, json.loads(answer.body)))
        every = [version for versions in groups.values() for version in versions]
        answers = await asyncio.gather(*(self.get(f"{path}/{version}") for version in every))
        kinds = dict(zip(every, map(_kinds, answers), strict=True))
        items = [
            {"metadata": {"name": group}, "versions": [_version(name, kinds[name]) for name in versions]}
            for group, versions in groups.items()
        ]
        return Answer(_OK, json.dumps({"kind": "APIGroupDiscoveryList", "items": items}).encode())

    async def _alone(self, path: str) -> _Output | None:
        async with self._room:
            return (await self._run([path]))[0]

    async def _shared(self, path: str) -> _Output | None:
        """The output for a path, by a command that others share. None: it was cut off before this path's turn."""
        own: asyncio.Future[_Output | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((path, own))
        await asyncio.sleep(0)  # whoever is about to ask joins in
        try:
            await self._turn(own)
        except asyncio.CancelledError:
            own.cancel()
            raise
        return await own

    async def _turn(self, own: "asyncio.Future[_Output | None]") -> None:
        """Wait for room to run a command, and run one if nobody has done so for this one meanwhile."""
        async with self._room:
            # Those who asked before and have gone would fill a command with what nobody wants.
            self._waiting = [one for one in self._waiting if not one[1].done()]
            if any(future is own for _, future in self._waiting):
                shared, self._waiting = self._waiting[:TOGETHER], self._waiting[TOGETHER:]
                await self._share(shared)

    async def _share(self, waiting: list[tuple[str, "asyncio.Future[_Output | None]"]]) -> None:
        """Run a command, and tell each who waits for a path of it."""
        problem: UnreachableError | None = UnreachableError("run-command: it was given up")
        try:
            outputs = await self._run([path for path, _ in waiting])
            problem = None
            for (_, future), output in zip(waiting, outputs, strict=True):
                if not future.done():  # who waited for it may have gone
                    future.set_result(output)
        except UnreachableError as refusal:
            problem = refusal
        finally:
            for _, future in waiting:
                if problem and not future.done():
                    future.set_exception(problem)
                    future.exception()  # asyncio complains of what nobody looked at

    async def _run(self, paths: list[str]) -> list[_Output | None]:
        """What kubectl wrote for each path: of the first that is cut off a part, and of those behind it nothing.

        Raises:
            UnreachableError: the command was not run.
        """
        mark = f"--- {token_hex(8)} "  # which nobody inside the cluster can foresee
        reads = (f"{_command(path)} 2>&1; printf '\\n{mark}%s\\n' $?" for path in paths)
        body = {"command": "; ".join(reads)}
        if self._access.token:
            body["clusterToken"] = await self._access.token()
        try:
            result = await self._ended(await self._started(body))
        except AzureError as problem:
            raise UnreachableError(f"run-command: no answer: {problem.message}") from None
        logs = result.logs or ""
        if result.exit_code != 0 and mark not in logs:
            raise UnreachableError(f"run-command: {scrub_message(logs.strip())[:_LONGEST_REASON] or 'it failed'}")
        return _parts(logs, mark, len(paths))

    async def _started(self, body: dict[str, str]) -> "pipeline.Answer":
        url = f"{self._access.cluster}{RUN_COMMAND}?api-version={LISTED[CLUSTERS]}"
        answer = await self._post(url, body)
        if answer.status not in {_OK, _ACCEPTED}:
            raise NotRunError(errors.refused(self._access.cluster, INSIDE, answer.status, answer.body, ACTION))
        return answer

    async def _ended(self, answer: "pipeline.Answer") -> _Properties:
        """What a command gave, after however many looks."""
        location = answer.location
        for _ in range(MOST_LOOKS):
            if answer.status == _OK and (result := _result(answer.body)):
                return result
            if location is None:
                raise UnreachableError("run-command: Azure did not say where the result will be")
            await self._pause(PAUSE)
            answer = await self._look(location)
            if answer.status not in {_OK, _ACCEPTED}:
                raise NotRunError(errors.refused(self._access.cluster, INSIDE, answer.status, answer.body))
        raise UnreachableError(f"run-command: the command did not end within {MOST_LOOKS * PAUSE:g} s")


def _result(body: bytes) -> _Properties | None:
    """The result in an answer; None where the command still runs.

    Raises:
        UnreachableError: it failed, or the answer is none.
    """
    try:
        found = msgspec.json.decode(body, type=_Result).properties
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise UnreachableError("run-command: the answer is not the result of a command") from None
    if (found.provisioning_state or "").lower() in {"failed", "canceled"}:
        why = scrub_message(found.reason or "no reason given")[:_LONGEST_REASON]
        raise UnreachableError(f"run-command: the command was not run: {why}")
    return None if found.exit_code is None else found


def _parts(logs: str, mark: str, count: int) -> list[_Output | None]:
    """The output of a command, taken apart at the marks: each stands on a line of its own with an exit code."""
    found: list[_Output | None] = []
    text: list[str] = []
    for line in logs.split("\n"):
        code = line.removeprefix(mark)
        if line.startswith(mark) and code.isdecimal() and len(found) < count:
            found.append(_Output(int(code), "\n".join(text).strip()))
            text = []
        elif not line.startswith("Warning: "):  # of the API server
            text.append(line)
    if len(found) < count:
        found.append(_Output(None, "\n".join(text)))
    return [*found, *[None] * (count - len(found))]


def _answer(path: str, output: _Output) -> Answer:
    """The answer of the API server.

    Raises:
        UnreachableError: there was none.
    """
    if output.code != 0:
        return _refused(output.text)
    if path in _NAMES:
        return _named(path, output.text)
    try:
        decode(output.text.encode())
    except ValueError as problem:
        raise UnreachableError(f"the output of kubectl for {path} is not JSON: {problem}") from None
    return Answer(_OK, output.text.encode())


def _named(path: str, output: str) -> Answer:
    """The list of names that kubectl wrote, `TYPE/NAME` a line, as the API server has such lists.

    Raises:
        UnreachableError: it holds something else.
    """
    lines = [line for line in output.split("\n") if line and line != "No resources found"]
    if not all(_NAME.fullmatch(line) for line in lines):
        raise UnreachableError(f"the output of kubectl for {path} is not a list of names")
    items = [{"metadata": {"name": line.partition("/")[2]}} for line in lines]
    return Answer(_OK, json.dumps({"kind": "PartialObjectMetadataList", "metadata": {}, "items": items}).encode())


def _command(path: str) -> str:
    """What reads a path."""
    return f"kubectl get {_NAMES[path]} -o name" if path in _NAMES else f"kubectl get --raw '{path}'"


def _refused(logs: str) -> Answer:
    """The answer of the API server that kubectl tells of in its own words.

    Raises:
        UnreachableError: there was none.
    """
    said = _SAID.search(logs)
    if said is None and _LOGGED_OUT not in logs:
        raise UnreachableError(
            f"kubectl: {scrub_message(logs.strip())[:_LONGEST_REASON] or 'it failed without a word'}"
        )
    reason = (said["reason"] or "InternalError") if said else "Unauthorized"
    message = said["message"] if said else _LOGGED_OUT
    status = _STATUSES.get(reason, _SERVER_ERROR)
    body = {"kind": "Status", "status": "Failure", "message": message, "reason": reason, "code": status}
    return Answer(status, msgspec.json.encode(body))


def _groups(path: str, body: object) -> Iterator[tuple[str, list[str]]]:
    """The groups of an answer, each with its versions as paths go on with them, the preferred one first."""
    if path == "/api":
        yield "", [version for version in managed.items(body, "versions") if isinstance(version, str)]
    for group in managed.items(body, "groups"):
        versions = [managed.words(one, "groupVersion") for one in managed.items(group, "versions")]
        preferred = managed.words(group, "preferredVersion", "groupVersion")
        yield managed.words(group, "name"), sorted(versions, key=lambda version: version != preferred)


def _kinds(answer: Answer) -> list[Any] | None:
    """The kinds of a version of a group; None where whoever serves them does not answer."""
    return managed.items(json.loads(answer.body), "resources") if answer.status == _OK else None


def _version(group_version: str, resources: list[Any] | None) -> dict[str, Any]:
    """A version of a group as aggregated discovery has it. Where the kinds did not come, they are not known."""
    return {
        "version": group_version.rpartition("/")[2],
        "freshness": "Current" if resources is not None else "Stale",
        "resources": [
            {"resource": managed.words(one, "name"), "verbs": managed.items(one, "verbs")} for one in resources or []
        ],
    }
