"""Plain Azure JSON, as people have it, made a snapshot.

What a file says is kept as on the wire; what it does not say is never made up. So there are no listings and no times in
an imported snapshot, and whatever the files do not hold is unknown in an audit.

Understood are: a resource, a list of resources, a page (`{"value": […]}`), the Azure CLI's flattened output, Resource
Graph answers, ARM errors, examples of the REST specifications, and several of these one after the other in a file;
in UTF-8, or in UTF-16 as PowerShell writes it; plain or gzipped.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlsplit

import msgspec

from aks_audit import __version__
from aks_audit.facts.resource_id import parse, within
from aks_audit.snapshot import SCHEMA, Gap, Header, Record, Resource, is_id
from aks_audit.sources.flattened import bare, known, restore
from aks_audit.sources.json_files import Broken, ImportFailedError, JsonFile, documents, json_files
from aks_audit.sources.scrub import scrub, scrub_message

Body: TypeAlias = dict[str, Any]


class Imported(NamedTuple):
    """What the files gave: the snapshot's records, and what to tell whoever asked, a line each.

    `damaged` is true where something in the files could not be imported.
    """

    records: tuple[Record, ...]
    notes: tuple[str, ...]
    damaged: bool

    @property
    def summary(self) -> str:
        """How much was imported, such as `174 resources, 3 gaps`."""
        resources = sum(isinstance(record, Resource) for record in self.records)
        gaps = sum(isinstance(record, Gap) for record in self.records)
        return f"{resources} resource{'s' * (resources != 1)}, {gaps} gap{'s' * (gaps != 1)}"


class _Found(NamedTuple):
    """A resource that a file holds."""

    resource: Resource
    file: JsonFile


class _Lost(NamedTuple):
    """What a file says, or seems to say, and what is not in it; the note is for whoever runs the import."""

    gap: Gap
    file: JsonFile
    note: str


class _Refused(NamedTuple):
    """A file, or a document in it, that is not about the live state of Azure."""

    file: JsonFile
    note: str


class _Page(NamedTuple):
    """One page of a list: the type of its rows and an id of one of them ("" where it is empty), and its `nextLink`."""

    file: JsonFile
    type: str
    example: str
    link: str


class _Rows(NamedTuple):
    """One answer of Resource Graph: its rows, and how many there are in all (None where it only says: more)."""

    file: JsonFile
    here: int
    total: int | None


_Piece: TypeAlias = _Found | _Lost | _Refused | _Page | _Rows


def read_files(paths: Sequence[Path]) -> Imported:
    """Read JSON files, and all in the folders named; the order of the files does not matter.

    Raises:
        ImportFailedError: there is no such file, or not one of them says anything about Azure resources.
    """
    pieces = [piece for file in json_files(paths) for piece in _read(file)]
    found, contradictions = _distinct([piece for piece in pieces if isinstance(piece, _Found)])
    read = {resource.id.lower() for resource in found}
    lost = [piece for piece in pieces if isinstance(piece, _Lost)]
    lost += _unfollowed([piece for piece in pieces if isinstance(piece, _Page)])
    lost += _cut_short([piece for piece in pieces if isinstance(piece, _Rows)])
    lost = [piece for piece in lost if piece.gap.cause != "not-read" or piece.gap.id.lower() not in read]
    gaps = sorted({piece.gap for piece in lost}, key=lambda gap: (gap.id.lower(), gap.reason, gap.id))
    refused = [piece for piece in pieces if isinstance(piece, _Refused)]
    notes = [*_notes([*lost, *refused]), *contradictions]
    if not found and not any(gap.id.startswith("/") and gap.cause != "malformed" for gap in gaps):
        hint = "Azure JSON comes from: az aks show --resource-group GROUP --name NAME > aks.json"
        raise ImportFailedError("\n".join(["the files hold no Azure resource", *notes[:5], hint]))
    header = Header(schema=SCHEMA, tool=f"aks-audit {__version__}", scope=_scope(found))
    return Imported((header, *found, *gaps), tuple(notes), damaged=bool(gaps or refused or contradictions))


def _notes(pieces: Iterable[_Lost | _Refused]) -> list[str]:
    return sorted({f"{piece.file.path}: {piece.note}" for piece in pieces})


def _read(file: JsonFile) -> Iterator[_Piece]:
    for part in documents(file.path):
        if isinstance(part, Broken):
            yield from _damaged(file, part)
        else:
            yield from _understood(file, part)


_CLUSTER = re.compile(
    r'"(/subscriptions/[^"\s/]+/resourcegroups/[^"\s/]+/providers/[^"\s/]+/managedclusters/[^"\s/]+)"', re.IGNORECASE
)
_DENIED = re.compile(r"perform action '(?P<action>[^']+)'.{0,60}?over scope '(?P<scope>[^']+)'", re.DOTALL)


def _damaged(file: JsonFile, broken: Broken) -> Iterator[_Piece]:
    """A gap for a text that is no JSON, and one for each cluster that it names."""
    if denied := _DENIED.search(broken.text):
        yield _error(file, "", denied[0])
        return
    for about in sorted(set(_CLUSTER.findall(broken.text))) or [file.name]:
        gap = Gap(id=about, reason=f"{file.name}: {broken.problem}", cause="malformed")
        yield _Lost(gap, file, broken.problem)


def _understood(file: JsonFile, value: object) -> Iterator[_Piece]:
    """Tell what a document is, and take it apart."""
    if isinstance(value, list):
        for row in value:
            yield from _row(file, row)
        return
    if not isinstance(value, dict):
        yield from _unrecognised(file, value)
        return
    if refusal := _not_live_state(value):
        yield _Refused(file, refusal)
    elif (body := _example(value)) is not None:
        yield from _understood(file, body)
    elif isinstance(value.get("value"), list) and "id" not in value:
        yield from _page(file, value["value"], value.get("nextLink"))
    elif "data" in value and "id" not in value and (rows := _graph_rows(value["data"])) is not None:
        yield from _graph(file, value, rows)
    else:
        yield from _row(file, value)


def _not_live_state(value: Body) -> str | None:
    schema = value.get("$schema")
    if isinstance(schema, str) and "deployment" in schema.lower():
        return "is an ARM template, not live state: it says what was asked for; export resources with az … show or list"
    if isinstance(value.get("apiVersion"), str) and isinstance(value.get("kind"), str) and "id" not in value:
        return f"not Azure JSON: Kubernetes, kind {value['kind']}"
    if value.get("kind") in ("header", "listing", "gap", "resource") and "properties" not in value:
        return "is a snapshot already; scan it beside the new one: aks-audit scan --snapshot OLD NEW"
    if "kubeconfigs" in value:
        return "holds credentials of a cluster, which a snapshot never does"
    return None


def _example(value: Body) -> object:
    """The answer in an example of the REST specifications, or None."""
    if not isinstance(value.get("parameters"), dict) or "id" in value:
        return None
    if isinstance(value.get("response"), dict | list):
        return value["response"]
    responses = value.get("responses")
    if not isinstance(responses, dict):
        return None
    bodies = [
        answer["body"] for _, answer in sorted(responses.items()) if isinstance(answer, dict) and "body" in answer
    ]
    return bodies[0] if bodies else None


def _page(file: JsonFile, rows: list[Any], link: object) -> Iterator[_Piece]:
    named = [row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]
    example = named[0]["id"] if named else ""
    kind = _type(named[0]) if named else ""
    yield _Page(file, kind, example if rows else "", link if isinstance(link, str) else "?" if link else "")
    for row in rows:
        yield from _row(file, row)


def _graph_rows(data: object) -> list[Any] | None:
    """The rows of Resource Graph: objects, or a table of columns and rows."""
    if isinstance(data, list):
        return data
    if isinstance(data, dict) and isinstance(data.get("columns"), list) and isinstance(data.get("rows"), list):
        names = [str(column.get("name")) if isinstance(column, dict) else "" for column in data["columns"]]
        return [dict(zip(names, row, strict=False)) if isinstance(row, list) else row for row in data["rows"]]
    return None


def _graph(file: JsonFile, value: Body, rows: list[Any]) -> Iterator[_Piece]:
    totals = [value.get(name) for name in ("totalRecords", "total_records")]
    total = next((number for number in totals if isinstance(number, int)), None)
    more = any(value.get(name) for name in ("$skipToken", "skipToken", "skip_token"))
    if total is not None or more:
        yield _Rows(file, len(rows), total)
    for row in rows:
        yield from _row(file, row)


def _row(file: JsonFile, row: object) -> Iterator[_Piece]:
    if not isinstance(row, dict):
        yield from _unrecognised(file, row)
    elif (error := _arm_error(row)) is not None:
        yield _error(file, *error)
    elif refusal := _not_live_state(row):
        yield _Refused(file, refusal)
    elif about := _id(row):
        yield _resource(file, about, row)
    else:
        yield from _unrecognised(file, row)


def _unrecognised(file: JsonFile, value: object) -> Iterator[_Piece]:
    about = file.name
    if isinstance(value, dict):
        problem = f"not Azure JSON: an object without a resource id ({', '.join(sorted(value)[:5])})"
        if isinstance(own := value.get("Id"), str) and own.startswith("/"):
            about = own
            problem = "a PowerShell object, which is not what Azure sends; export it with az, or Invoke-AzRestMethod"
    else:
        problem = "not Azure JSON: a value where a resource should be"
    gap = Gap(id=about, reason=f"{file.name}: {problem}", cause="not-read" if about == file.name else "malformed")
    yield _Lost(gap, file, problem)


def _id(row: Body) -> str | None:
    """The resource's id; made of its parts where a query left it out, which says the same."""
    own = row.get("id")
    if own is not None:
        return own if isinstance(own, str) and is_id(own) and parse(own).type else None
    parts = [row.get(name) for name in ("subscriptionId", "resourceGroup", "type", "name")]
    texts = [part for part in parts if isinstance(part, str) and part]
    if len(texts) != len(parts):
        return None
    subscription, group, kind, name = texts
    namespace, *types = kind.split("/")
    names = name.split("/")
    if len(types) != len(names) or not types:
        return None
    path = "/".join(part for pair in zip(types, names, strict=True) for part in pair)
    return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{namespace}/{path}"


def _type(row: Body) -> str:
    """The resource's type: as its id spells it, else as Azure sent it."""
    from_id = parse(row["id"]).type if isinstance(row.get("id"), str) else ""
    sent = row.get("type")
    if not isinstance(sent, str) or not sent or sent.lower() == from_id.lower():
        return from_id
    return sent


def _resource(file: JsonFile, about: str, row: Body) -> _Piece:
    kind = _type({**row, "id": about})
    body = _wire(row, kind)
    if body is not None:
        return _Found(Resource(id=about, type=kind, body=scrub({**body, "id": about})), file)
    quoted = shlex.quote(about)
    if bare(row):
        problem = "a list without properties, so the resource itself was not read"
    else:
        problem = f"printed without its properties object, and the wire shape of {kind} is not known"
    command = f"az resource show --ids {quoted}"
    note = f"{problem} ({kind}); export it with: {command}, or for many with the type's own az … list"
    gap = Gap(
        id=about, type=kind, reason=f"{file.name}: {problem}", cause="not-read", action=f"{kind}/read", scope=about
    )
    return _Lost(gap, file, note.replace(quoted, "ID"))


_ADDED_BY_GRAPH = ("tenantId", "subscriptionId", "resourceGroup")


def _wire(row: Body, kind: str) -> Body | None:
    """The body as on the wire, or None where the row does not hold it."""
    if any(key.lower() == "properties" and value is not None for key, value in row.items()):
        return {key: value for key, value in row.items() if key not in _ADDED_BY_GRAPH}
    if bare(row) or not known(kind):
        return None
    return restore(row, kind)


def _arm_error(row: Body) -> tuple[str, str] | None:
    """Code and message of an ARM error, nested or flat."""
    error = row.get("error", row)
    if not isinstance(error, dict) or "id" in row:
        return None
    code, message = error.get("code"), error.get("message")
    return (code, message) if isinstance(code, str) and isinstance(message, str) else None


_REFUSALS = frozenset(
    {"authorizationfailed", "linkedauthorizationfailed", "forbidden", "unauthorized", "authenticationfailed"}
)


def _error(file: JsonFile, code: str, message: str) -> _Lost:
    denied = _DENIED.search(message)
    said = f"{code}: {message}" if code else message
    answered = f"Azure answered {scrub_message(said)}"
    reason = f"{file.name}: {answered}"
    if denied is None:
        refused = code.lower() in _REFUSALS
        return _Lost(Gap(id=file.name, reason=reason, cause="refused" if refused else "not-read"), file, answered)
    action, scope = denied["action"], denied["scope"]
    gap = Gap(
        id=scope, type=action.rpartition("/")[0], reason=reason, cause="refused", status=403, action=action, scope=scope
    )
    return _Lost(gap, file, f"Azure refused {action} on {scope}")


def _distinct(found: Sequence[_Found]) -> tuple[list[Resource], list[str]]:
    """One record for each body that differs, and a note where one resource has several."""
    by_id: dict[str, dict[bytes, list[_Found]]] = {}
    for piece in found:
        same = msgspec.json.encode(_meaning(piece.resource.body), order="deterministic")
        by_id.setdefault(piece.resource.id.lower(), {}).setdefault(same, []).append(piece)
    resources: list[Resource] = []
    notes: list[str] = []
    for bodies in by_id.values():
        kept = [
            min(same, key=lambda piece: msgspec.json.encode(piece.resource, order="deterministic"))
            for same in bodies.values()
        ]
        resources += [piece.resource for piece in kept]
        if len(kept) > 1:
            files = sorted({str(piece.file.path) for same in bodies.values() for piece in same})
            rest = f" and {len(files) - 2} more" if len(files) > 2 else ""  # noqa: PLR2004 - two show the contradiction
            about = min(piece.resource.id for piece in kept)
            notes.append(f"{' and '.join(files[:2])}{rest}: different bodies of {about}; keep one")
    return sorted(resources, key=lambda resource: (resource.id.lower(), resource.id)), sorted(notes)


def _meaning(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """A body without what differs between ways of exporting it: nulls, and the case of names and ids."""
    if isinstance(value, dict):
        return {key.lower(): _meaning(item) for key, item in value.items() if item is not None}
    if isinstance(value, str) and value.startswith("/"):
        return value.lower()
    return [_meaning(item) for item in value] if isinstance(value, list) else value


def _unfollowed(pages: Sequence[_Page]) -> Iterator[_Lost]:
    """Lists that name a further page which is not among the files.

    AKS sends a `nextLink` with complete lists too, and the page behind it is empty; so an empty page, or one of the
    same list without a link, ends a list. Only where there is none may something be missing.
    """
    chains: dict[tuple[str, str], list[_Page]] = {}
    for page in pages:
        if page.link:
            scope, kind = _collection(page)
            chains.setdefault((scope.lower(), kind.lower()), []).append(page)
    ends = [page for page in pages if not page.link]
    empty = sum(not page.example for page in ends)
    for (scope, kind), linked in sorted(chains.items()):
        if any(page.type.lower() == kind and within(page.example, scope) for page in ends if page.example):
            continue
        empty -= 1
        if empty >= 0:
            continue
        last = min(linked, key=lambda page: page.file.name)
        name, spelled = _collection(last)
        problem = (
            f"the list of {spelled or 'resources'} goes on behind its nextLink, or that page is empty; import it too"
        )
        gap = Gap(id=name, type=spelled, reason=f"{last.file.name}: {problem}", cause="not-read")
        yield _Lost(gap, last.file, problem)


def _collection(page: _Page) -> tuple[str, str]:
    """The scope and the type that a page lists: as its link says, else as its rows do."""
    path = urlsplit(page.link).path.rstrip("/") if page.link.startswith("https://") else ""
    kind = parse(path).type
    if not kind:
        subscription = parse(page.example).subscription
        return (f"/subscriptions/{subscription}" if subscription else page.file.name), page.type
    return re.sub(r"/providers/[^/]+$", "", path.rpartition("/")[0], flags=re.IGNORECASE), kind


def _cut_short(answers: Sequence[_Rows]) -> Iterator[_Lost]:
    """Answers of Resource Graph with more rows than the files hold. The same total means the same query."""
    here: Mapping[int | None, list[_Rows]] = {
        total: [answer for answer in answers if answer.total == total] for total in {answer.total for answer in answers}
    }
    for total, parts in here.items():
        rows = sum(part.here for part in parts)
        if total is not None and rows >= total:
            continue
        last = min(parts, key=lambda part: part.file.name)
        problem = (
            f"Resource Graph has more rows than are here ({rows} of {total or 'an unknown number'}); export them all"
        )
        yield _Lost(Gap(id="/", reason=f"{last.file.name}: {problem}", cause="not-read"), last.file, problem)


def _scope(resources: Iterable[Resource]) -> tuple[str, ...]:
    """The subscriptions that the resources are in."""
    named = sorted({parse(resource.id).subscription for resource in resources})
    return tuple({name.lower(): f"/subscriptions/{name}" for name in reversed(named) if name}.values())[::-1]
