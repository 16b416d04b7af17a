"""What run-command reads of an API server on loopback, through a Resource Manager on loopback that runs kubectl."""

import asyncio
import json
import os
import re
import stat
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeVar

import pytest
from azure.core.credentials import AccessToken

import live
from aks_audit.cli import main
from aks_audit.snapshot import Gap, Resource
from aks_audit.sources.azure import limiter
from aks_audit.sources.azure.pipeline import RUN_COMMAND, Pipeline
from aks_audit.sources.deadline import Deadline
from aks_audit.sources.kubernetes import discovery, plan, run_command
from aks_audit.sources.kubernetes.access import Access
from aks_audit.sources.kubernetes.api import Answer, UnreachableError
from aks_audit.sources.kubernetes.client import Client
from aks_audit.sources.kubernetes.reader import Reader
from aks_audit.sources.kubernetes.run_command import RunCommand
from cases import CLUSTER as PRODUCTION
from cases import Case, records_of
from kubernetes_api import AUDITOR_TOKEN, NORIGHTS_TOKEN, KubernetesApi
from kubernetes_api.recordings import METADATA
from resource_manager import Fault, Request, Reset, ResourceManager
from resource_manager import answers as azure
from resource_manager.answers import Answer as Said
from resource_manager.inside import Run

SUBSCRIPTION = "/subscriptions/11111111-1111-1111-1111-111111111111"
CLUSTER = f"{SUBSCRIPTION}/resourceGroups/rg-shop/providers/Microsoft.ContainerService/managedClusters/aks-shop"
ESTATE = [Resource(id=CLUSTER, type="Microsoft.ContainerService/managedClusters", body={"id": CLUSTER})]
DENIED = "Microsoft.ContainerService/managedClusters/runcommand/action"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CUT = 512 * 1024

T = TypeVar("T")
Kubectl = Callable[[str], tuple[int, str]]
"""What `kubectl get --raw` of a path does: its exit code, and what it writes."""


class Credential:
    """Signs in."""

    async def get_token(self, *_scopes: str, **_: object) -> AccessToken:
        """Give a token."""
        return AccessToken("of-resource-manager", 2**33)

    async def close(self) -> None:
        """Nothing is open."""


@pytest.fixture(autouse=True)
def _no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the client call AKS as often as it likes: here nobody waits two seconds between two looks."""
    monkeypatch.setattr(limiter, "AKS_BURST", 1e6)


class Done(NamedTuple):
    """What was read, the requests that Azure got for it, and the pauses (seconds) between them."""

    result: Any
    requests: Sequence[Request]
    pauses: Sequence[float]

    @property
    def commands(self) -> list[list[str]]:
        """The paths that each command read."""
        posts = [request.body for request in self.requests if request.method == "POST"]
        return [reads(json.loads(body)["command"]) for body in posts]


def use(  # noqa: PLR0913 - most are left out by most
    tool: Kubectl,
    ask: Callable[[RunCommand], Awaitable[Any]],
    monkeypatch: pytest.MonkeyPatch,
    *,
    token: str | None = None,
    deny: Mapping[str, str | None] = {},
    faults: Sequence[Fault] = (),
    cut: int = CUT,
) -> Done:
    """Read by run-command, without waiting."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0)

    async def give() -> str:
        return token or ""

    async def used(url: str) -> Any:  # noqa: ANN401 - whatever was asked
        credential: Any = Credential()
        access = Access(CLUSTER, "run-command", "", token=give if token else None)
        async with Pipeline(credential, url, "scope", retries=0, posts=[RUN_COMMAND]) as pipeline:
            return await ask(RunCommand(access, pipeline.post, pipeline.get, pause))

    with ResourceManager(ESTATE, run=pod(tool, cut), deny=deny, faults=faults) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(server.ca_file))
        result = asyncio.run(used(server.url))
        return Done(result, server.requests, pauses)


def get(path: str, accept: str = "application/json") -> Callable[[RunCommand], Awaitable[Answer]]:
    return lambda command: command.get(path, accept)


def fail(path: str) -> Callable[[RunCommand], Awaitable[UnreachableError]]:
    async def failed(command: RunCommand) -> UnreachableError:
        with pytest.raises(UnreachableError) as problem:
            await command.get(path)
        return problem.value

    return failed


def says(code: int, text: str) -> Kubectl:
    return lambda _path: (code, text)


def kubectl(api: KubernetesApi, token: str) -> Kubectl:
    """The kubectl of the one who has a token."""

    def run(path: str) -> tuple[int, str]:
        names = path == CRDS
        answer = in_thread(lambda: asyncio.run(ask(api, token, path, METADATA if names else "application/json")))
        if answer.status == 200 and names:
            items = json.loads(answer.body)["items"]
            return 0, "".join(f"customresourcedefinition.apiextensions.k8s.io/{i['metadata']['name']}\n" for i in items)
        if answer.status == 200:
            return 0, answer.body.decode()
        if not answer.body.startswith(b"{"):
            reason = {404: "NotFound", 503: "ServiceUnavailable"}[answer.status]
            return 1, f"Error from server ({reason}): {answer.body.decode()}\n"
        status = json.loads(answer.body)
        return 1, f"Error from server ({status['reason']}): {status['message']}\n"

    return run


def pod(tool: Kubectl, cut: int) -> Run:
    """The pod that a command runs in: a shell, and a kubectl that writes what it is told to. Azure cuts the output."""

    def run(_cluster: str, command: str) -> tuple[int, str]:
        with TemporaryDirectory() as folder:
            cases = []
            for number, path in enumerate(reads(command)):
                code, text = tool(path)
                (Path(folder) / str(number)).write_text(text, encoding="utf-8")
                asked = (
                    "customresourcedefinitions.v1.apiextensions.k8s.io -o name" if path == CRDS else f"--raw {path} "
                )
                cases.append(f"'{asked}') cat '{folder}/{number}' {'>&2' * bool(code)}; exit {code};;")
            stand_in = Path(folder) / "kubectl"
            script = ["#!/bin/sh", 'case "$2 $3 $4" in', *cases, "esac", ""]
            stand_in.write_text("\n".join(script), encoding="utf-8")
            stand_in.chmod(stat.S_IRWXU)
            environment = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
            done = subprocess.run(["/bin/sh", "-c", command], env=environment, capture_output=True, check=False)
            return done.returncode, (done.stdout + done.stderr)[:cut].decode(errors="ignore")

    return run


def reads(command: str) -> list[str]:
    """The paths that a command reads; it does nothing else."""
    one = r"kubectl get (?:--raw '([^']+)'|(cust[a-z0-9.]+ -o name)) 2>&1; printf '\\n--- [0-9a-f]{16} %s\\n' \$\?"
    assert re.fullmatch(f"{one}(; {one})*", command), command
    return [path or CRDS for path, _ in re.findall(one, command)]


def in_thread(call: Callable[[], T]) -> T:
    """Call something that runs a loop of its own, from within another."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


def access(api: KubernetesApi, token: str) -> Access:
    async def give() -> str:
        return token

    return Access(CLUSTER, "kubeconfig", api.url, api.ca, token=give)


async def ask(api: KubernetesApi, token: str, path: str, accept: str = "application/json") -> Answer:
    async with Client(access(api, token)) as client:
        return await client.get(path, accept)


def test_a_page_is_the_api_servers_own_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with KubernetesApi() as api:
        path = "/api/v1/pods?limit=5"
        done = use(kubectl(api, AUDITOR_TOKEN), get(path), monkeypatch, token="of-entra")  # noqa: S106 - of nobody
        assert done.result == asyncio.run(ask(api, AUDITOR_TOKEN, path))
    posted, *looks = done.requests
    assert (posted.method, posted.path, posted.query) == (
        "POST",
        f"{CLUSTER}/runCommand",
        {"api-version": "2026-08-01"},
    )
    assert json.loads(posted.body).keys() == {"command", "clusterToken"}
    assert json.loads(posted.body)["clusterToken"] == "of-entra"
    assert done.commands == [[path]]
    assert [(look.method, look.status) for look in looks] == [("GET", 202), ("GET", 200)]
    assert done.pauses == [2.0, 2.0]


def test_a_cluster_without_entra_gets_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    done = use(says(0, "{}"), get("/version"), monkeypatch)
    assert json.loads(done.requests[0].body).keys() == {"command"}


@pytest.mark.parametrize("token", [AUDITOR_TOKEN, NORIGHTS_TOKEN])
def test_the_reader_reads_the_same_as_by_https(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with KubernetesApi() as api:

        async def by_https() -> list[Any]:
            async with Client(access(api, token)) as client:
                return list(await Reader(client, CLUSTER, Deadline()).read())

        direct = asyncio.run(by_https())
        done = use(kubectl(api, token), lambda command: Reader(command, CLUSTER, Deadline()).read(), monkeypatch)
    assert told(done.result) == told(direct)
    assert len(told(direct)) > 20
    assert len(done.commands) < 16


def told(records: Sequence[Any]) -> set[str]:
    """What records say but for the time of reading; of gaps not in which words."""
    return {
        f"{type(record).__name__} {getattr(record, 'id', '')} {getattr(record, 'type', '')} "
        f"{getattr(record, 'scope', '')} {getattr(record, 'status', '')} {getattr(record, 'cause', '')}"
        for record in records
    }


def test_discovery_is_put_together_from_what_kubectl_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    with KubernetesApi() as api:
        for path in ("/api", "/apis"):
            done = use(kubectl(api, AUDITOR_TOKEN), get(path, discovery.ACCEPT), monkeypatch)
            direct = asyncio.run(ask(api, AUDITOR_TOKEN, path, discovery.ACCEPT))
            assert discovery.read(json.loads(done.result.body)) == discovery.read(json.loads(direct.body))
            assert len(done.commands) <= 4


def groups(*names: str) -> dict[str, Any]:
    versions = [(name, {"groupVersion": f"{name}/v1"}) for name in names]
    return {
        "kind": "APIGroupList",
        "groups": [{"name": name, "versions": [one], "preferredVersion": one} for name, one in versions],
    }


def kinds(name: str) -> dict[str, Any]:
    return {"groupVersion": f"{name}/v1", "resources": [{"name": "things", "verbs": ["get", "list"]}]}


def test_a_group_whose_server_does_not_answer_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    def tool(path: str) -> tuple[int, str]:
        if path == "/apis/metrics/v1":
            return 1, "Error from server (ServiceUnavailable): the server is currently unable to handle the request"
        return 0, json.dumps(groups("a", "metrics", "z") if path == "/apis" else kinds(path.split("/")[2]))

    done = use(tool, get("/apis", discovery.ACCEPT), monkeypatch)
    served = discovery.read(json.loads(done.result.body))
    assert served.stale == {"metrics": "v1"}
    assert {kind.group for kind in served.versions} == {"a", "z"}
    assert done.commands == [["/apis"], ["/apis/a/v1", "/apis/metrics/v1", "/apis/z/v1"]]


def test_what_does_not_fit_together_is_read_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"group-{n}" for n in range(20)]

    def tool(path: str) -> tuple[int, str]:
        return 0, json.dumps(groups(*names) if path == "/apis" else kinds(path.split("/")[2]))

    done = use(tool, get("/apis", discovery.ACCEPT), monkeypatch, cut=len(json.dumps(groups(*names))) + 50)
    whole = use(tool, get("/apis", discovery.ACCEPT), monkeypatch)
    assert done.result == whole.result
    assert {kind.group for kind in discovery.read(json.loads(done.result.body)).versions} == set(names)
    tight = use(tool, get("/api/group-1/v1"), monkeypatch, cut=len(json.dumps(kinds("group-1"))) + 30)
    assert tight.commands == [["/api/group-1/v1"]]


def test_what_is_wanted_together_shares_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    async def many(command: RunCommand) -> list[Answer]:
        return list(await asyncio.gather(*(command.get(f"/api/v1/a{n}") for n in range(60))))

    done = use(lambda path: (0, json.dumps({"path": path})), many, monkeypatch)
    assert [json.loads(answer.body)["path"] for answer in done.result] == [f"/api/v1/a{n}" for n in range(60)]
    assert [len(paths) for paths in done.commands] == [run_command.TOGETHER] * 3
    running = most = 0
    for request in done.requests:
        running += (request.method == "POST") - (request.method == "GET" and request.status == 200)
        most = max(most, running)
    assert most == run_command.AT_ONCE


def test_a_path_that_fails_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def some(command: RunCommand) -> list[Answer | BaseException]:
        paths = [f"/api/v1/{name}" for name in ("a", "forbidden", "broken", "b")]
        return await asyncio.gather(*(command.get(path) for path in paths), return_exceptions=True)

    outputs = {"forbidden": (1, "Error from server (Forbidden): no"), "broken": (137, "killed")}
    first, refused, broken, last = use(
        lambda path: outputs.get(path.split("/")[3], (0, "{}")), some, monkeypatch
    ).result
    assert (first, last) == (Answer(200, b"{}"), Answer(200, b"{}"))
    assert refused.status == 403
    assert str(broken) == "kubectl: killed"


def test_who_goes_away_takes_nobody_with_him(monkeypatch: pytest.MonkeyPatch) -> None:
    async def some(command: RunCommand) -> list[Answer | BaseException]:
        tasks = [asyncio.ensure_future(command.get(f"/api/v1/a{n}")) for n in range(50)]
        await asyncio.sleep(0)
        tasks[1].cancel()  # shares the command of another
        await asyncio.sleep(0.05)
        tasks[49].cancel()  # waits for its turn
        return await asyncio.gather(*tasks, return_exceptions=True)

    results = use(says(0, "{}"), some, monkeypatch).result
    assert [n for n, result in enumerate(results) if isinstance(result, asyncio.CancelledError)] == [1, 49]
    assert sum(result == Answer(200, b"{}") for result in results) == 48


def test_those_who_have_gone_leave_no_empty_command_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    async def some(command: RunCommand) -> list[Answer | BaseException]:
        many = 4 * run_command.TOGETHER
        tasks = [asyncio.ensure_future(command.get(f"/api/v1/a{n}")) for n in range(many)]
        await asyncio.sleep(0.01)
        for task in tasks[2 * run_command.TOGETHER : -1]:
            task.cancel()
        return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)

    done = use(says(0, "{}"), some, monkeypatch)
    assert done.result[-1] == Answer(200, b"{}")
    assert [len(paths) for paths in done.commands] == [run_command.TOGETHER, run_command.TOGETHER, 1]


def test_who_runs_a_command_for_others_and_goes_away_tells_them(monkeypatch: pytest.MonkeyPatch) -> None:
    async def some(command: RunCommand) -> list[Answer | BaseException]:
        tasks = [asyncio.ensure_future(command.get(f"/api/v1/a{n}")) for n in range(3)]
        for _ in range(5):
            await asyncio.sleep(0)
        tasks[0].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, *others = use(says(0, "{}"), some, monkeypatch).result
    assert isinstance(first, asyncio.CancelledError)
    assert {str(other) for other in others} == {"run-command: it was given up"}


@pytest.mark.parametrize(
    ("logs", "status", "message"),
    [
        ('Error from server (Forbidden): pods is forbidden: User "x" cannot list', 403, 'pods is forbidden: User "x"'),
        ("Error from server (NotFound): the server could not find it\n", 404, "the server could not find it"),
        ("Warning: old\nError from server (Expired): too old\ncommand terminated", 410, "too old"),
        ("error: You must be logged in to the server (Unauthorized)", 401, "You must be logged in"),
        ("Error from server: etcdserver: request timed out", 500, "request timed out"),
        ("Error from server (SomethingNew): said", 500, "said"),
    ],
)
def test_a_refusal_is_the_api_servers(logs: str, status: int, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = use(says(1, logs), get("/api/v1/pods?limit=500"), monkeypatch).result
    body = json.loads(answer.body)
    assert (answer.status, body["code"], body["kind"]) == (status, status, "Status")
    assert message in body["message"]


@pytest.mark.parametrize(
    ("tool", "reason"),
    [
        (says(1, "Unable to connect to the server: dial tcp: i/o timeout"), "kubectl: Unable to connect to the server"),
        (says(127, ""), "kubectl: it failed without a word"),
        (says(0, "no resources"), "kubectl for /api/v1/pods is not JSON"),
        (says(0, ""), "kubectl for /api/v1/pods is not JSON"),
        (says(0, '{"kind": "PodList", "items": ['), "kubectl for /api/v1/pods is not JSON"),
        (says(0, f'["{"x" * CUT}"]'), "/api/v1/pods came truncated: run-command cuts output at 512 kB"),
    ],
)
def test_no_answer_is_told_and_never_taken_for_an_empty_one(
    tool: Kubectl, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reason in str(use(tool, fail("/api/v1/pods?limit=500"), monkeypatch).result)


def test_what_does_not_fit_is_asked_for_in_smaller_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    def wide(_path: str, body: Any) -> Any:  # noqa: ANN401 - any JSON value
        for item in body.get("items") or []:
            item["metadata"]["annotations"] = {"wide": "x" * 20_000}
        return body

    with KubernetesApi(pods=40, edit=wide) as api:

        async def read(command: RunCommand) -> list[str]:
            names, proceed = [], ""
            while True:
                answer = await command.get(f"/api/v1/pods?limit=500{proceed}")
                body = json.loads(answer.body)
                names += [item["metadata"]["name"] for item in body["items"]]
                if not body["metadata"].get("continue"):
                    return names
                proceed = f"&continue={body['metadata']['continue']}"

        done = use(kubectl(api, AUDITOR_TOKEN), read, monkeypatch)
    assert len(done.result) == len(set(done.result)) == 40
    assert limits(done) == [50, 50, 25, 12, 12, 12, 12]


def test_one_object_that_does_not_fit_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    large = json.dumps({"items": ["x" * CUT]})[:CUT]
    done = use(says(0, large), fail("/api/v1/pods?limit=500"), monkeypatch)
    assert "truncated" in str(done.result)
    assert "524,288 bytes came" in str(done.result)
    assert limits(done) == [50, 50, 25, 12, 6, 3, 1]
    assert len(use(says(0, large), fail("/api/v1/namespaces/a/configmaps/b"), monkeypatch).commands) == 2


def limits(done: Done) -> list[int]:
    """How many objects each command asked for."""
    return [int(limit) for (path,) in done.commands for limit in re.findall(r"limit=(\d+)", path)]


def test_warnings_are_no_part_of_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    logs = 'Warning: v1 ComponentStatus is deprecated\n{"items": []}\nWarning: once more\n'
    answer = use(says(0, logs), get("/api/v1/componentstatuses?limit=1"), monkeypatch).result
    assert json.loads(answer.body) == {"items": []}


@pytest.mark.parametrize(
    ("text", "names"),
    [("No resources found\n", []), ("", []), ("crd.x/a.b.c\nWarning: old\ncrd.x/d\n", ["a.b.c", "d"])],
)
def test_of_large_objects_the_names_are_read(text: str, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    answer = use(says(0, text), get(f"{CRDS}?limit=500", METADATA), monkeypatch).result
    body = json.loads(answer.body)
    assert [item["metadata"]["name"] for item in body["items"]] == names


def test_what_is_no_list_of_names_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "is not a list of names" in str(use(says(0, "crd.x/a\nsurprise"), fail(CRDS), monkeypatch).result)
    refused = use(says(1, "Error from server (Forbidden): no"), get(CRDS), monkeypatch).result
    assert refused.status == 403


@pytest.mark.parametrize("path", ["/a'; rm -rf /; '", "/a b", "/a\n", "/a$(b)", "/a`b`", "a", "/ä", '/a"', "/a\\"])
def test_nothing_but_a_path_is_ever_put_into_a_command(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done = use(says(0, "{}"), fail(path), monkeypatch)
    assert done.requests == ()


def test_a_denied_action_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    gap = use(says(0, "{}"), fail("/version"), monkeypatch, deny={DENIED: None}).result.gap
    assert isinstance(gap, Gap)
    assert (gap.id, gap.type, gap.cause, gap.status, gap.scope) == (CLUSTER, "kubernetes", "refused", 403, CLUSTER)
    assert (gap.action or "").lower() == DENIED.lower()
    assert "@" not in gap.reason


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (
            Fault("runCommand", azure.flat_error(400, "RunCommandDisabled", "Run command is disabled"), method="POST"),
            "400 RunCommandDisabled: Run command is disabled",
        ),
        (Fault("runCommand", Said(202), method="POST"), "did not say where the result will be"),
        (Fault("runCommand", Reset(), method="POST", times=None), "no answer"),
        (Fault("commandResults", azure.not_found(), times=None), "404 NotFound"),
        (Fault("commandResults", Said(200, b"<html>")), "not the result of a command"),
        (Fault("commandResults", Said(200, b'{"properties": null}')), "not the result of a command"),
        (
            Fault(
                "commandResults",
                Said(200, b'{"properties": {"provisioningState": "Failed", "reason": "the pod was not scheduled"}}'),
            ),
            "the command was not run: the pod was not scheduled",
        ),
        (
            Fault("commandResults", Said(202, b'{"properties": {"provisioningState": "Running"}}'), times=None),
            "did not end within 300 s",
        ),
    ],
    ids=["disabled", "no location", "reset", "gone", "HTML", "null", "failed", "for ever"],
)
def test_what_azure_does_not_run_is_told(fault: Fault, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reason in str(use(says(0, "{}"), fail("/version"), monkeypatch, faults=[fault]).result)


def test_the_token_goes_to_azure_alone_and_into_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln"  # noqa: S105 - of nobody
    done = use(says(1, f"error: {token} is no good"), fail("/version"), monkeypatch, token=token)
    assert token not in str(done.result)
    assert all(token not in request.path for request in done.requests)


def test_a_scan_reads_by_commands_where_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_command, "PAUSE", 0.01)
    allowed = Case(name="", expect="", set={"cluster properties.apiServerAccessProfile.disableRunCommand": False})
    with (
        KubernetesApi("hardened") as api,
        ResourceManager(records_of(allowed), run=pod(kubectl(api, AUDITOR_TOKEN), CUT)) as azure,
    ):
        for name, value in live.environment(azure.url, azure.ca_file, tmp_path).items():
            monkeypatch.setenv(name, value)
        counts = []
        for way in ("none", "run-command"):
            main(["scan", "--format", "json", "--auth", "cli", "--in-cluster", way])
            told = capsys.readouterr()
            counts.append({read["type"]: read["count"] for read in json.loads(told.out)["coverage"]["read"]})
            assert live.TOKEN not in told.out + told.err
            assert any(request.method == "POST" for request in azure.requests) == (way == "run-command")
        posts = [request for request in azure.requests if request.method == "POST"]
    assert {request.path for request in posts} == {f"{PRODUCTION}/runCommand"}
    assert abs(len(posts) - run_command.commands(len(plan.kinds()) + len(plan.named()))) <= 3  # a dry run says about
    assert {json.loads(request.body)["clusterToken"] for request in posts} == {live.TOKEN}
    assert "pods" not in counts[0]
    assert counts[1]["pods"] == 53
