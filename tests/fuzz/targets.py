"""What is fuzzed: each target takes bytes, does with them what aks-audit does, and raises where that goes wrong.

Whatever stands in the bytes, a target raises nothing but what is wrong: the errors that a reader documents are expected
and end there. A crashed rule is wrong too, though an audit survives it.
"""

import asyncio
import gzip
import importlib.metadata
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import NamedTuple

import msgspec
from azure.core.exceptions import ServiceResponseError

from aks_audit import baseline, config, drift, exceptions, snapshot, source_map
from aks_audit.declarations import repository
from aks_audit.engine import ask, audit, load_rules
from aks_audit.errors import AuditError
from aks_audit.facts import Estate, Subjects, UnreadSubject
from aks_audit.packs import declarative
from aks_audit.report import Report, Reporter
from aks_audit.results import Finding, Outcome
from aks_audit.rule import Rule
from aks_audit.scan import Wish, scan
from aks_audit.snapshot import Collected, Gap, Packed, Record, Resource
from aks_audit.sources import azure_json
from aks_audit.sources.azure import pipeline
from aks_audit.sources.azure.graph import Graph
from aks_audit.sources.azure.reader import Reader as AzureReader
from aks_audit.sources.deadline import Deadline
from aks_audit.sources.kubernetes import kubeconfig, users
from aks_audit.sources.kubernetes.api import Answer, UnreachableError
from aks_audit.sources.kubernetes.plan import Kind
from aks_audit.sources.kubernetes.reader import Reader
from cases import BASE, INSIDE, ROOT
from decisions import exception

TODAY = date(2026, 11, 22)
CLUSTER = (
    "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg-aks-prod"
    "/providers/Microsoft.ContainerService/managedClusters/aks-prod"
)
ESTATES = (BASE, *sorted((ROOT / "fixtures" / "estates").glob("*.jsonl")))
SHARED = ROOT.parent / "shared" / "data"


class Target(NamedTuple):
    """What is fuzzed, and inputs to begin with; all of a target's inputs are like those."""

    check: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]]


@cache
def rules() -> tuple[Rule, ...]:
    """All built-in rules."""
    return load_rules()


def _of_file(name: str, data: bytes, read: Callable[[Path], object]) -> None:
    """Let something read the bytes as a file; the errors that are made for people may come of it."""
    with TemporaryDirectory(prefix="fuzz-") as folder:
        file = Path(folder) / name
        file.write_bytes(data)
        try:
            read(file)
        except AuditError as error:
            str(error).encode()  # it is shown, so it can be


def _snapshot(data: bytes) -> None:
    def read(file: Path) -> None:
        recorded = snapshot.read([file])
        Estate(recorded)
        records = _records(recorded)
        snapshot.write(file, records)
        again = snapshot.read([file])
        if [one for one, _ in again.resources] != [one for one, _ in recorded.resources]:
            raise AssertionError("what was written is not what is read")

    _of_file("estate.jsonl", data, read)


def _records(recorded: snapshot.Snapshot) -> list[Record]:
    return [
        *recorded.headers,
        *recorded.listings,
        *(gap for gap, _ in recorded.gaps),
        *(resource for resource, _ in recorded.resources),
    ]


def _gzipped(data: bytes) -> None:
    _of_file("estate.jsonl.gz", data, lambda file: _audited(snapshot.read([file])))


def _estate(data: bytes) -> None:
    _of_file("estate.jsonl", data, lambda file: _audited(snapshot.read([file])))


def _audited(recorded: snapshot.Snapshot) -> Sequence[Finding]:
    findings = audit(Estate(recorded), rules())
    for finding in findings:
        for missing in finding.missing:
            if missing.kind == "crashed":
                raise AssertionError(missing.reason)
    return findings


def _report(data: bytes) -> None:
    """Every format that needs no browser, of whatever estate."""

    def read(file: Path) -> None:
        document = scan(snapshot.read([file]), Wish(today=TODAY, rules=rules()))
        for reporter in _reporters():
            reporter.render(document, colour=True)
        msgspec.json.decode(msgspec.json.encode(document), type=Report)

    _of_file("estate.jsonl", data, read)


@cache
def _reporters() -> tuple[Reporter, ...]:
    """All but that to PDF, which asks a browser."""
    entries = importlib.metadata.entry_points(group="aks_audit.reports")
    return tuple(entry.load() for entry in entries if entry.name != "pdf")


def _damage(data: bytes) -> None:
    """Damage to a snapshot turns no outcome into a pass: lines that are lost, cut, broken, doubled or in another order.

    What clusters share may be well for those that are known to use it still, where the rule is unknown about another
    that did; a baseline carries such a failure on. The bytes are only where chance begins.
    """
    random = Random(data)  # noqa: S311 - chance that can be had again
    path = random.choice(ESTATES)
    lines = path.read_bytes().splitlines()
    for _ in range(random.choice((1, 1, 3))):
        at = random.randrange(len(lines))
        match random.randrange(5):
            case 0 if at:
                del lines[at]
            case 1:
                lines[at] = lines[at][: random.randrange(len(lines[at]) + 1)]
            case 2:
                lines[at] = lines[at].replace(b":", b"", 1)
            case 3:
                lines.insert(random.randrange(len(lines)), lines[at])
            case _:
                random.shuffle(lines)

    def read(file: Path) -> None:
        before = _before(path)
        found = _audited(snapshot.read([file]))
        unknown = {(one.rule, cluster) for one in found if one.outcome is Outcome.UNKNOWN for cluster in one.clusters}
        for finding in (one for one in found if one.outcome is Outcome.PASS):
            was = before.get((finding.rule, finding.resource.lower()))
            gone = set(was.clusters).difference(finding.clusters) if was else ()
            if was and (was.outcome is Outcome.PASS or any((finding.rule, one) in unknown for one in gone)):
                continue
            told = was.outcome if was else None
            raise AssertionError(f"{path.name}: {finding.rule} about {finding.resource} was {told}, and is a pass")

    _of_file("estate.jsonl", b"\n".join(lines), read)


@cache
def _before(path: Path) -> dict[tuple[str, str], Finding]:
    return {(finding.rule, finding.resource.lower()): finding for finding in _audited(snapshot.read([path]))}


def _imported(data: bytes) -> None:
    def read(file: Path) -> None:
        records = azure_json.read_files([file]).records
        snapshot.write(file.with_suffix(".jsonl"), records)
        _audited(snapshot.read([file.with_suffix(".jsonl")]))

    _of_file("bodies.json", data, read)


def _config(data: bytes) -> None:
    def read(file: Path) -> None:
        told = config.read(file)
        known = [rule.id for rule in rules()]
        exceptions.chosen(rules(), told)
        exceptions.standing(told, known, TODAY)
        findings, policy = exceptions.decide(_findings(), told, known, TODAY)
        msgspec.json.encode((findings, policy))

    _of_file("aks-audit.toml", data, read)


@cache
def _findings() -> Sequence[Finding]:
    return _audited(snapshot.read([ESTATES[1]]))


def _kubeconfig(data: bytes) -> None:
    def read(file: Path) -> None:
        for context in kubeconfig.read([file], required=True).contexts:
            for ask_of in (
                lambda of: of.hosts,
                lambda of: of.address,
                lambda of: of.server_name,
                lambda of: of.authority,
                lambda of: of.proxy,
                users.of,
            ):
                try:
                    ask_of(context)
                except AuditError as error:
                    str(error).encode()
            users.claims(kubeconfig.text(context.user, "token") or "")

    _of_file("config", data, read)


def _pack(data: bytes) -> None:
    def read(file: Path) -> None:
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:  # which `packs` says of the file
            return
        for rule in declarative.read(file.name, text):
            for subject in list(_subjects().of(rule.subject))[:3]:
                verdict = None if isinstance(subject, UnreadSubject) else ask(rule, subject)
                for missing in verdict.missing if verdict else ():
                    if missing.kind == "crashed":
                        raise AssertionError(missing.reason)

    _of_file("house.rule.toml", data, read)


@cache
def _subjects() -> Subjects:
    return Subjects(Estate(snapshot.read([ESTATES[1], INSIDE])))


_SUFFIXES = (".bicep", ".tf", ".json", ".yaml")


def _declarations(data: bytes) -> None:
    """The first byte says of which language the rest is."""
    suffix = _SUFFIXES[data[0] % len(_SUFFIXES)] if data else ".tf"

    def read(file: Path) -> None:
        found = repository.read(file.parent)
        for several in found.declared.values():
            for one in several:
                found.line(one.declaration.file, one.declaration.node.line)
        told = config.Config()
        source_map.name_sources(_document(), snapshot.read([ESTATES[1]]), told, file.parent)

    _of_file(f"main{suffix}", data[1:], read)


@cache
def _document() -> Report:
    return scan(snapshot.read([ESTATES[1]]), Wish(today=TODAY, rules=rules()))


def _baseline(data: bytes) -> None:
    def read(file: Path) -> None:
        before = baseline.read(file)
        now = baseline.Now(_document().scan, {rule.id for rule in rules()}, ())
        msgspec.json.encode(baseline.compare(before, _document().findings, now))
        drift.compare(drift.Audit(before), drift.Audit(_document()), _document().tool)

    _of_file("aks-audit.json", data, read)


class _Answers:
    """What a server answers: a line each, as `200 {"value": []}`. The first line's number says what is read of it."""

    def __init__(self, data: bytes) -> None:
        number, *self._left = data.split(b"\n")
        self.number = int(number) if re.fullmatch(rb"[0-9]{1,4}", number) else 0

    def next(self) -> tuple[int, bytes] | None:
        """The next status and body; None where there are no more."""
        if not self._left:
            return None
        status, _, body = self._left.pop(0).partition(b" ")
        return int(status) if re.fullmatch(rb"[1-5][0-9]{2}", status) else 200, body


def _azure(data: bytes) -> None:
    answers = _Answers(data)

    async def get(_: str) -> pipeline.Answer:
        answer = answers.next()
        if answer is None:
            raise ServiceResponseError("there are no more answers")
        return pipeline.Answer(*answer)

    async def post(url: str, _: object) -> pipeline.Answer:
        return await get(url)

    subscription = CLUSTER.partition("/resourceGroups")[0]
    reader = AzureReader(get)
    reads: tuple[Callable[[], Awaitable[Sequence[Record]]], ...] = (
        lambda: reader.listing(f"{subscription}/x", subscription, "Microsoft.Network/routeTables"),
        lambda: reader.resource(CLUSTER, "2025-01-01"),
        lambda: reader.application("11111111-1111-1111-1111-111111111111"),
        reader.access_policies,
        lambda: reader.whole(f"{subscription}/x", CLUSTER, "Microsoft.ContainerService/x", "category"),
        lambda: Graph(post, reader).lists([subscription]),
        lambda: Graph(post, reader).states([subscription]),
    )
    _kept(asyncio.run(_whole(reads[answers.number % len(reads)])))


async def _whole(reading: Callable[[], Awaitable[Sequence[Collected]]]) -> Sequence[Collected]:
    return await reading()


def _kept(records: Iterable[Collected]) -> None:
    """What was read can be written, and read again as it was."""
    made = [one.unpack() if isinstance(one, Packed) else one for one in records]
    header = snapshot.Header(schema=snapshot.SCHEMA, tool="fuzz")

    def read(file: Path) -> None:
        snapshot.write(file, [header, *made])
        again = snapshot.read([file])
        lost = [gap.reason for gap, _ in again.gaps if gap.cause == "malformed"]
        if lost and not any(isinstance(one, Gap) and one.cause == "malformed" for one in made):
            raise AssertionError(f"what was written cannot be read: {lost[0]}")
        _audited(again)

    _of_file("estate.jsonl", b"", read)


_KINDS = (
    Kind("", "pods"),
    Kind("", "namespaces"),
    Kind("", "services"),
    Kind("apps", "deployments"),
    Kind("networking.k8s.io", "networkpolicies"),
    Kind("rbac.authorization.k8s.io", "clusterroles"),
    Kind("rbac.authorization.k8s.io", "clusterrolebindings"),
)


def _api_server(data: bytes) -> None:
    answers = _Answers(data)

    class Api:
        async def get(self, path: str, accept: str = "application/json") -> Answer:
            del path, accept
            answer = answers.next()
            if answer is None:
                raise UnreachableError("there are no more answers")
            return Answer(*answer)

    async def read() -> Sequence[Collected]:
        reader = Reader(Api(), CLUSTER, Deadline())
        which = answers.number % (len(_KINDS) + 1)
        return await (reader.listing(_KINDS[which], "v1") if which < len(_KINDS) else reader.read())

    _kept(asyncio.run(read()))


def _of_files(*paths: Path) -> Callable[[], Sequence[bytes]]:
    return lambda: [path.read_bytes() for path in paths]


def _small_estates() -> Sequence[bytes]:
    """The estates, and each recorded body of Azure as an estate of its own."""
    recorded = sorted(SHARED.glob("arm/managedClusters/*.json"))
    return [*(path.read_bytes() for path in ESTATES), *(one for path in recorded for one in _alone(path))]


def _alone(path: Path) -> Iterator[bytes]:
    body = msgspec.json.decode(path.read_bytes())
    if isinstance(body, dict) and str(body.get("id")).startswith("/subscriptions/"):
        header = snapshot.Header(schema=snapshot.SCHEMA, tool="fuzz")
        kind = "Microsoft.ContainerService/managedClusters"
        yield snapshot.encode([header, Resource(id=body["id"], type=kind, body=body)])


def _inside_estates() -> Sequence[bytes]:
    """The estates that have been looked into, in few lines each, for most of what may be wrong is in one object."""
    both = BASE.read_bytes() + INSIDE.read_bytes()
    recorded = [(ROOT / "fixtures" / "kubernetes" / f"{name}.jsonl").read_bytes() for name in ("hardened", "weak")]
    return [both, *recorded]


def _zipped() -> Sequence[bytes]:
    return [gzip.compress(path.read_bytes(), 1, mtime=0) for path in ESTATES[:4]]


def _plain_bodies() -> Sequence[bytes]:
    lines = [line for path in ESTATES[:4] for line in path.read_bytes().splitlines()]
    records = [msgspec.json.decode(line) for line in lines]
    bodies = [record["body"] for record in records if record["kind"] == "resource"]
    page = msgspec.json.encode({"value": bodies[:20], "nextLink": None})
    recorded = [path.read_bytes() for path in sorted(SHARED.glob("arm/*/*.json"))[::7]]
    return [*map(msgspec.json.encode, bodies), page, *recorded]


_EXCEPTION = exception(resource_glob='"*/managedClusters/*"', expires="2027-01-31").encode()
_TOML = (
    _EXCEPTION
    + b"""
[[severity]]
rule = "AKS-API-01"
severity = "low"
reason = "the network in front of it"

[[disabled]]
rule = "AKS-CP-01"
reason = "asked elsewhere"

[[source]]
cluster = "aks-*"
file = "infra/main.bicep"
tag = "env=prod"
"""
)

_RULES = (
    b"""\
[[rule]]
id = "HOUSE-TAG-01"
title = "Clusters have an owner"
severity = "low"
severity-reason = "Nobody is called otherwise."
subject = "ManagedCluster"
pass-if = "tags.owner != '' && length(properties.agentPoolProfiles[?mode == 'System']) >= `1`"
when = "properties.powerState.code == 'Running'"
when-absent = "not-applicable"
absent = "fail"
failure = "nobody owns it"
why = "So that somebody answers."
fix = "az aks update --name {name} --resource-group {group} --tags owner=TEAM"
change = "none"
""",
    b"""\
[[rule]]
id = "HOUSE-POD-01"
title = "Pods are small"
severity = "medium"
severity-reason = "They eat."
subject = "Pod"
pass-if = "spec.containers[*].resources.limits.memory | contains(@, '1Gi') || sort_by(spec.containers, &name)[0].name"
absent = "pass"
why = "So that others fit."
fix = "kubectl edit pod {name}"
change = "none"
references = ["https://example.org"]
""",
)

_KUBECONFIG = b"""\
apiVersion: v1
kind: Config
current-context: prod
clusters:
- name: prod
  cluster:
    server: https://aks-prod-1234.hcp.westeurope.azmk8s.io:443
    certificate-authority-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg==
    tls-server-name: aks-prod
    proxy-url: http://127.0.0.1:3128
contexts:
- name: prod
  context: {cluster: prod, user: me, namespace: shop}
users:
- name: me
  user:
    token: aaa.eyJhIjoxfQ.ccc
    client-certificate-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg==
    client-key-data: a2V5
- name: other
  user:
    exec: {apiVersion: client.authentication.k8s.io/v1, command: kubelogin, args: [get-token, --server-id, x]}
"""


def _declared() -> Sequence[bytes]:
    files = sorted(path for path in (ROOT / "fixtures" / "sources").rglob("*") if path.suffix in _SUFFIXES)
    return [bytes([_SUFFIXES.index(path.suffix)]) + path.read_bytes() for path in files]


def _reports() -> Sequence[bytes]:
    return [msgspec.json.encode(_document())]


def _answers() -> Sequence[bytes]:
    """For each read a page that leads to a second, a page without an end, and a refusal."""
    body = {"id": CLUSTER, "type": "Microsoft.ContainerService/managedClusters", "properties": {"a": 1}, "tags": {}}
    words = "The client does not have authorization to perform action 'a/b/read' over scope '/subscriptions/x'."
    policy = {"id": "1", "state": "enabled", "conditions": {"users": {"includeUsers": ["All"]}}, "grantControls": None}
    secret = {"keyId": "1", "startDateTime": "2026-01-01T00:00:00Z", "endDateTime": "2027-01-01T00:00:00Z"}
    answers = (
        (200, {"value": [body], "nextLink": "https://management.azure.com/x"}),
        (200, {"values": [{"category": ["a"]}]}),
        (200, {"data": [body], "totalRecords": 1, "resultTruncated": "false", "$skipToken": None}),
        (200, {"appId": "1", "passwordCredentials": [secret]}),
        (200, {"value": [policy], "@odata.nextLink": "x"}),
        (200, body),
        (403, {"error": {"code": "AuthorizationFailed", "message": words}}),
    )
    lines = [b"%d %s" % (status, msgspec.json.encode(answer)) for status, answer in answers]
    last = b'200 {"value":[]}'
    return [b"\n".join([b"%d" % which, line, line, last]) for which in range(7) for line in lines]


def _objects() -> Sequence[bytes]:
    """For each kind the objects of the estates in two pages; and what a whole cluster begins with."""
    found: dict[str, list[bytes]] = {}
    for line in (*_inside_estates()[0].splitlines(), *_inside_estates()[2].splitlines()):
        record = msgspec.json.decode(line)
        if record.get("source") == "kubernetes":
            found.setdefault(record["type"], []).append(msgspec.json.encode(record["body"]))
    seeds = []
    for number, kind in enumerate(_KINDS):
        bodies = found.get(kind.type, [])[:20]
        first = b'{"kind":"AList","metadata":{"continue":"x"},"items":[%s]}' % b",".join(bodies[:10])
        second = b'{"kind":"AList","metadata":{},"items":[%s]}' % b",".join(bodies[10:])
        gone = b'410 {"kind":"Status","metadata":{"continue":"y"},"reason":"Expired"}'
        seeds.append(b"\n".join([b"%d" % number, b"200 " + first, b"200 " + second]))
        seeds.append(b"\n".join([b"%d" % number, b"200 " + first, gone, b"200 " + second]))
    served = {"resource": "pods", "verbs": ["list"]}
    group = {"metadata": {"name": ""}, "versions": [{"version": "v1", "resources": [served], "freshness": "Current"}]}
    discovery = msgspec.json.encode({"kind": "APIGroupDiscoveryList", "items": [group]})
    start = [b"7", b'200 {"gitVersion":"v1.33.2"}', b"200 " + discovery, b"200 " + discovery]
    denied = b'403 {"kind":"Status","message":"pods is forbidden","reason":"Forbidden"}'
    return [*seeds, b"\n".join([*start, denied, *(seed.split(b"\n")[1] for seed in seeds[:6])])]


TARGETS = {
    "snapshot": Target(_snapshot, _of_files(*ESTATES[:6])),
    "gzip": Target(_gzipped, _zipped),
    "damage": Target(_damage, lambda: [b"0"]),
    "arm": Target(_estate, _small_estates),
    "kubernetes": Target(_estate, _inside_estates),
    "report": Target(_report, _small_estates),
    "import": Target(_imported, _plain_bodies),
    "config": Target(_config, lambda: [_TOML]),
    "kubeconfig": Target(_kubeconfig, lambda: [_KUBECONFIG]),
    "pack": Target(_pack, lambda: list(_RULES)),
    "declarations": Target(_declarations, _declared),
    "baseline": Target(_baseline, _reports),
    "azure": Target(_azure, _answers),
    "api-server": Target(_api_server, _objects),
}
