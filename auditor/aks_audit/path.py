"""`aks-audit path`: the question as a person writes it, and the walk as text for a terminal or as JSON."""

import json
import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from ipaddress import ip_address
from typing import NamedTuple

import msgspec

from aks_audit import __version__
from aks_audit.errors import AuditError
from aks_audit.facts import AgentPool, Estate, ManagedCluster, Unread
from aks_audit.facts.resource_id import parse
from aks_audit.facts.services import Service
from aks_audit.facts.workloads import Pod, workloads
from aks_audit.network.api_servers import api_server
from aks_audit.network.backends import asked_service, cluster_name, ports_in_words
from aks_audit.network.firewall import KnownDestination
from aks_audit.network.flows import Address, Destination, FlowProtocol, Passage
from aks_audit.network.hops import Hop, HopKind, Walk
from aks_audit.network.origins import Origin, first_pool, of_pod, of_pool
from aks_audit.network.required_egress import Need, needs
from aks_audit.network.walk import ON_THE_INTERNET, Knowledge, walk
from aks_audit.network.workload_origins import of_workload
from aks_audit.policies.on_the_way import network_policies
from aks_audit.results import Evidence, JsonValue, Missing, Record
from aks_audit.terminal import Pen, Style

SCHEMA = "aks-audit/path/1"

_HTTPS = 443
_MOST_NAMES = 12
_MOST_NEAR = 3
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*\.?", re.IGNORECASE)


class PathError(AuditError):
    """A question that cannot be asked; the message says what there is to ask about."""


class Question(NamedTuple):
    """What was asked: the words for both ends, and the protocol."""

    cluster: ManagedCluster
    source: str
    target: str
    protocol: FlowProtocol


def ask(estate: Estate, question: Question) -> Walk:
    """Walk from where the question starts to where it goes.

    Raises:
        PathError: there is no such pool, pod or workload, or the destination cannot be understood.
    """
    cluster = question.cluster
    target = question.target.strip()
    inside = "/" in target and "://" not in target
    asked = None if inside or target.lower() == "api-server" else destination(target, question.protocol)
    try:
        origin, before = _origin(estate, cluster, question.source)
        if inside:
            asked = _inside(estate, cluster, question)
        elif asked and not _host_and_port(target)[1]:
            asked = _at_its_port(origin, asked)
        found = walk(origin, asked or api_server(cluster), knowledge(cluster), network_policies)
        return Walk((*before, *found.hops))
    except Unread as unread:
        says = f"Where it starts, or is to go, cannot be told: {unread}"
        if "/" in question.source or inside:
            says += "; --in-cluster says how clusters are read inside, and --from node or a pool needs none of it"
        return Walk((Hop(HopKind.SOURCE, cluster.id, Passage.UNKNOWN, says, missing=unread.missing),))


def knowledge(cluster: ManagedCluster) -> Knowledge:
    """What is documented about public names: which tags hold those that the cluster needs, and that none holds others.

    Azure's tags hold names of Microsoft, and a few others that AKS needs: the tag AzureKubernetesService holds all that
    is documented as required.
    Source: https://learn.microsoft.com/azure/aks/limit-egress-traffic and
    https://learn.microsoft.com/azure/firewall/fqdn-tags
    """

    def known(name: str | None) -> KnownDestination:
        found = next((need.known for need in _needed(cluster) if _is_called(need.name, name)), None) if name else None
        if found:
            return found
        if name and name.endswith(_MICROSOFTS):
            return ON_THE_INTERNET
        return KnownDestination(public=True, fqdn_tags=frozenset())

    return known


def _needed(cluster: ManagedCluster) -> tuple[Need, ...]:
    try:
        return needs(cluster)
    except Unread:
        return ()


_MICROSOFTS = (
    ".aka.ms", ".azmk8s.io", ".azure.com", ".azure.net", ".azurecr.io", ".azureedge.net", ".azurefd.net",
    ".azurewebsites.net", ".live.com", ".microsoft.com", ".microsoftonline.com", ".msauth.net", ".msftauth.net",
    ".msftconnecttest.com", ".office.com", ".office.net", ".office365.com", ".sharepoint.com", ".trafficmanager.net",
    ".visualstudio.com", ".windows.com", ".windows.net", ".windowsupdate.com",
)  # fmt: skip
"""Domains whose names an FQDN tag may hold."""


def _is_called(pattern: str, name: str) -> bool:
    return name.endswith(pattern[1:]) if pattern.startswith("*.") else name == pattern


def find_cluster(estate: Estate, wanted: str) -> ManagedCluster:
    """The cluster of a name or id, without case.

    Raises:
        PathError: there is none, or more than one of that name.
    """
    clusters = estate.every(ManagedCluster)
    exact = [one for one in clusters if one.id.lower() == wanted.lower().rstrip("/")]
    found = exact or [one for one in clusters if one.name.lower() == wanted.lower()]
    if len(found) == 1:
        return found[0]
    if found:
        raise PathError(f"{len(found)} clusters are called {wanted!r}; name one by its id: {_listed(_ids(found))}")
    for missing in estate.gaps(ManagedCluster):
        if wanted.lower() in {missing.what.lower(), parse(missing.what).name.lower()}:
            raise PathError(f"cluster {wanted!r} could not be read: {missing.reason}")
    names = [one.name for one in clusters]
    close = get_close_matches(wanted.lower(), [name.lower() for name in names], 1)
    meant = next((f"did you mean {name}? " for name in names if name.lower() in close), "")
    raise PathError(f"no cluster {wanted!r}; {meant}there are: {_listed(names)}")


def destination(written: str, protocol: FlowProtocol) -> Destination:
    """What `HOST[:PORT]`, an address or `internet` stands for; port 443 where none is given.

    Raises:
        PathError: it is none of these.
    """
    if "://" in written:
        host = written.partition("://")[2].partition("/")[0]
        raise PathError(f"{written!r} is a URL; give its host alone: {host or 'HOST[:PORT]'}")
    host, port = _host_and_port(written)
    number = None if protocol == "icmp" else _port(port, written)
    if protocol == "icmp" and port:
        raise PathError(f"{written!r} has a port, and icmp has none")
    if host.lower() == "internet":
        return Destination(None, None, protocol, number)
    if address := _address(host):
        return Destination(address, None, protocol, number)
    if not _HOST.fullmatch(host) or re.fullmatch(r"[0-9.]+", host):
        raise PathError(
            f"{written!r} is no destination; give HOST[:PORT], an address, NAMESPACE/SERVICE[:PORT], "
            "NAMESPACE/POD[:PORT], internet or api-server, such as mcr.microsoft.com:443, 10.0.0.4:5432, "
            "[2001:db8::1]:443 or shop/web"
        )
    return Destination(None, host.lower().rstrip("."), protocol, number)


def _inside(estate: Estate, cluster: ManagedCluster, question: Question) -> Destination:
    """The Service or pod that `NAMESPACE/NAME[:PORT]` stands for.

    Raises:
        PathError: there is none, or the port is to be said.
        Unread: it may be among what was not read.
    """
    written, port = _host_and_port(question.target.strip())
    namespace, _, name = written.partition("/")
    service = next(
        (one for one in estate.within(Service, cluster.id) if (one.namespace, one.name) == (namespace, name)), None
    )
    if service is None:
        pod = _pod_called(estate, cluster, written)
        if pod is None:
            services = ["/".join(one.parsed.names) for one in estate.within(Service, cluster.id).whole()]
            raise PathError(_no_pod(estate, cluster, written, "pod or Service", services))
        if pod.pod_ip is None:
            raise PathError(f"pod {written!r} has no address yet; ask for one that runs")
        return destination(f"[{pod.pod_ip}]{f':{port}' if port else ''}", question.protocol)
    asked = destination(f"{cluster_name(service)}{f':{port}' if port else ''}", question.protocol)
    return asked if port else _with_only_port(service, asked)


def _at_its_port(origin: Origin, asked: Destination) -> Destination:
    """The destination, where it is a Service to a pod, at the port of that: 443 is no port of most."""
    if origin.pod is None or asked.protocol == "icmp":
        return asked
    service = asked_service(origin, asked)
    return _with_only_port(service, asked) if service else asked


def _with_only_port(service: Service, asked: Destination) -> Destination:
    """At the one port that a Service has of the protocol.

    Raises:
        PathError: it has several.
    """
    ports = [one.port for one in service.ports or () if (one.protocol or "TCP").lower() == asked.protocol]
    if len(ports) > 1 and _HTTPS not in ports:
        named = f"{service.namespace}/{service.name}"
        raise PathError(
            f"Service {named} has several ports ({ports_in_words(service)}); say which, as {named}:{ports[0]}"
        )
    return asked if _HTTPS in ports or not ports else asked._replace(port=ports[0])


def _host_and_port(written: str) -> tuple[str, str]:
    if found := re.fullmatch(r"\[([^\]]+)\](?::(.*))?", written):
        return found[1], found[2] or ""
    if written.count(":") > 1:
        return written, ""
    host, _, port = written.partition(":")
    return host, port


def _port(written: str, whole: str) -> int:
    if not written:
        return _HTTPS
    if not re.fullmatch(r"[0-9]{1,5}", written) or not 0 < int(written) <= 65535:  # noqa: PLR2004 - the last port
        raise PathError(f"{written!r} in {whole!r} is no port; give a number from 1 to 65535, such as 443")
    return int(written)


def _address(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _origin(estate: Estate, cluster: ManagedCluster, source: str) -> tuple[Origin, tuple[Hop, ...]]:
    """Where the walk starts, and what is to be said before."""
    if "/" in source:
        return _from_inside(estate, cluster, source.strip())
    if source.lower() == "node":
        return of_pool(first_pool(cluster), cluster), ()
    return of_pool(_pool(cluster, source), cluster), ()


def _from_inside(estate: Estate, cluster: ManagedCluster, source: str) -> tuple[Origin, tuple[Hop, ...]]:
    """A pod, or one of those of a workload.

    Raises:
        PathError: there is none of that name, or no pod of it runs.
        Unread: it may be among what was not read.
    """
    if pod := _pod_called(estate, cluster, source):
        return of_pod(pod, cluster), ()
    namespace, _, name = source.partition("/")
    start = of_workload(cluster, namespace, name)
    if start is None:
        there = [f"{one.namespace}/{one.name}" for one in workloads(cluster).known]
        raise PathError(_no_pod(estate, cluster, source, "pod or workload", there))
    if start.origin is None:
        raise PathError(f"{start.hop.says} in {cluster.name}")
    return start.origin, (start.hop,)


def _pool(cluster: ManagedCluster, wanted: str) -> AgentPool:
    for pool in cluster.pools:
        if pool.name.lower() == wanted.lower():
            return pool
    names = _listed([pool.name for pool in cluster.pools])
    close = get_close_matches(wanted.lower(), [pool.name.lower() for pool in cluster.pools], 1)
    meant = f"did you mean {close[0]}? " if close else ""
    raise PathError(
        f"no pool {wanted!r} in {cluster.name}; {meant}there are: node (any), {names}, or a pod as NAMESPACE/POD "
        "(or its workload)"
    )


def _pod_called(estate: Estate, cluster: ManagedCluster, wanted: str) -> Pod | None:
    names = tuple(wanted.split("/"))
    return next((pod for pod in estate.within(Pod, cluster.id) if pod.parsed.names == names), None)


def _no_pod(estate: Estate, cluster: ManagedCluster, wanted: str, what: str, others: Sequence[str]) -> str:
    """That there is none of a name, and what there is; beside pods, others.

    Raises:
        NotCollected: nothing says so.
    """
    there = dict.fromkeys(["/".join(pod.parsed.names) for pod in estate.within(Pod, cluster.id).whole()])
    return f"no {what} {wanted!r} in {cluster.name}; {_near(wanted, [*dict.fromkeys(others), *there])}"


def _near(wanted: str, there: Sequence[str]) -> str:
    """Names that may be meant; else those of the same namespace, else the namespaces."""
    if close := get_close_matches(wanted, there, _MOST_NEAR):
        return f"near to it: {', '.join(close)}"
    namespace = wanted.partition("/")[0]
    same = [name for name in there if name.startswith(f"{namespace}/")]
    namespaces = dict.fromkeys(f"{name.partition('/')[0]}/…" for name in there)
    return f"there are: {_listed(same or list(namespaces))}"


def _ids(clusters: Sequence[ManagedCluster]) -> list[str]:
    return [cluster.id for cluster in clusters]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(sorted(names, key=str.lower)[:_MOST_NAMES])
    more = len(names) - _MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown or "none"


class HopRecord(Record, frozen=True):
    """A hop as JSON."""

    kind: str
    where: str
    passage: str | None
    says: str
    by: str
    evidence: tuple[Evidence, ...]
    missing: tuple[Missing, ...]
    conditions: tuple[str, ...]


class WalkRecord(Record, frozen=True):
    """A walk as JSON; `decided_by` is the position of the hop that decides, from 0."""

    schema: str
    tool: str
    cluster: str
    source: str
    target: str
    protocol: str
    end: str
    decided_by: int
    hops: tuple[HopRecord, ...]


def as_json(question: Question, walked: Walk) -> str:
    """The walk as JSON, in the form that docs/path.md tells."""
    record = WalkRecord(
        schema=SCHEMA,
        tool=f"aks-audit {__version__}",
        cluster=question.cluster.id,
        source=question.source,
        target=question.target,
        protocol=question.protocol,
        end=walked.end,
        decided_by=walked.hops.index(walked.decided_by),
        hops=tuple(HopRecord(*hop) for hop in walked.hops),
    )
    return json.dumps(msgspec.to_builtins(record), indent=2, ensure_ascii=False) + "\n"


_OF_PASSAGE = {
    Passage.ALLOWED: ("✓", Style.ALLOWED),
    Passage.BLOCKED: ("✗", Style.BLOCKED),
    Passage.UNKNOWN: ("?", Style.UNKNOWN),
    None: ("●", Style.QUIET),
}
_TITLES = max(len(kind) for kind in HopKind)
_NARROW = 60
_MOST_EVIDENCE = 4
_LONGEST_VALUE = 60


def as_text(question: Question, walked: Walk, *, colour: bool, width: int) -> str:
    """The walk for a terminal of so many columns; with escape codes for colour only if asked."""
    pen = Pen.of(width, colour=colour)
    return "\n".join(_text(question, walked, pen)) + "\n"


def _text(question: Question, walked: Walk, pen: Pen) -> Iterator[str]:
    source = _source_words(question.source, walked.hops[0])
    asked = f"{question.cluster.name}: {source} → {question.target}{_service(question, walked)}"
    yield from pen.wrapped(asked, Style.STRONG, "", "    ")
    yield ""
    decides = walked.decided_by
    last = walked.hops[-1]
    for hop in walked.hops:
        yield from _hop(hop, pen, last=hop is last)
        if hop is decides and hop.passage is Passage.BLOCKED and hop is not last:
            yield from pen.wrapped("│ Were that let through, it would go on:", Style.QUIET, "", "│ ")
            yield pen.styled("│", Style.QUIET)
    yield ""
    mark, style = _OF_PASSAGE[walked.end]
    first, *others = _end(walked, decides)
    yield from pen.wrapped(f"{mark} {first}", style, "", "  ")
    for other in others:
        yield from pen.wrapped(other, Style.NONE, "  ", "  ")


def _end(walked: Walk, decides: Hop) -> Iterator[str]:
    """How it ends, and by what; then why, where that says more."""
    where, end = parse(decides.where).name, walked.end
    if decides.conditions and not [one for one in walked.hops if one.passage is Passage.UNKNOWN and one != decides]:
        yield f"allowed only if {', or if '.join(decides.conditions)}"
        yield decides.says
        return
    if end is Passage.ALLOWED:
        translated = decides.kind is HopKind.TRANSLATION
        yield f"allowed: {decides.says[:1].lower()}{decides.says[1:]}" if translated else f"allowed: {decides.says}"
        return
    by = "by" if end is Passage.BLOCKED else "at"
    if decides.kind is HopKind.NAME and end is Passage.BLOCKED:
        yield f"{end}: {decides.says.partition(':')[0]}"
        return
    if decides.kind is HopKind.NAME:
        yield f"{end} {by} name resolution in {where}"
    elif decides.kind is HopKind.TRANSLATION:
        yield f"{end} at the NAT of {where}"
    elif decides.kind in {HopKind.ROUTE, HopKind.PEERING} and decides.by:
        yield f"{end} {by} {decides.by}"
    else:
        yield f"{end} {by} {decides.kind} {where}{f', {decides.by}' if decides.by else ''}"
    yield decides.says


def _service(question: Question, walked: Walk) -> str:
    """The protocol and port, in parentheses, as far as neither the destination nor what is said of a Service does."""
    named, target = question.protocol.upper(), question.target.strip()
    if named == "ICMP" or _host_and_port(target)[1]:
        return "" if named == "TCP" else f" ({named})"
    of_service = any(hop.kind is HopKind.SERVICE for hop in walked.hops)
    return f" ({named})" if of_service else f" ({named} {_HTTPS})"


def _source_words(source: str, first: Hop) -> str:
    if "/" in source:
        start = parse(first.where)
        of_workload = start.names == tuple(source.split("/")) and start.type != Pod.TYPE
        return f"workload {source}" if of_workload else f"pod {source}"
    return "a node" if source.lower() == "node" else f"pool {source}"


def _hop(hop: Hop, pen: Pen, *, last: bool) -> Iterator[str]:
    mark, style = _OF_PASSAGE[hop.passage]
    line = " " if last else "│"
    narrow = pen.width < _NARROW
    title = f"{hop.kind:{_TITLES}}"
    head = f"{mark} {title.strip()}" if narrow else f"{mark} {title}  "
    rest = f"{line}   " if narrow else f"{line}{' ' * (_TITLES + 3)}"
    painted = f"{pen.styled(mark, style)} {pen.styled(title.strip() if narrow else title, Style.STRONG)}"
    if narrow:
        yield painted
        yield from pen.wrapped(hop.says, Style.NONE, rest, rest)
    else:
        first, *others = pen.wrapped(hop.says, Style.NONE, " " * len(head), rest)
        yield f"{painted}  {first[len(head) :]}"
        yield from others
    quiet = pen.styled(line, Style.QUIET) + rest[1:]
    if hop.by and hop.by.removeprefix("rule ") not in hop.says:
        yield from (quiet + text[len(rest) :] for text in pen.wrapped(f"by {hop.by}", Style.NONE, rest, rest))
    for evidence in _evidence(hop, pen.width * 6 // 10):
        yield from (quiet + text[len(rest) :] for text in pen.wrapped(evidence, Style.QUIET, rest, rest))
    for missing in hop.missing:
        if missing.action:
            text = f"it takes {missing.action} on {missing.scope or missing.what}"
            yield from (quiet + piece[len(rest) :] for piece in pen.wrapped(text, Style.QUIET, rest, rest))
    if not last:
        yield pen.styled("│", Style.QUIET)


def _evidence(hop: Hop, longest: int) -> Iterator[str]:
    """The values that say so; of a pointer that is longer than a part of the line, its end."""
    for piece in hop.evidence[:_MOST_EVIDENCE]:
        yield f"{parse(piece.resource).name}  {_dotted(piece.pointer, longest)} = {_value(piece.value)}"
    if (more := len(hop.evidence) - _MOST_EVIDENCE) > 0:
        yield f"and {more} more, which --format json has"


def _dotted(pointer: str, longest: int) -> str:
    """A JSON pointer as people read it, without the `properties` of every level; the JSON has the exact one."""
    names = [name for name in pointer.split("/")[1:] if name != "properties"]
    written = "".join(f"[{name}]" if name.isdecimal() else f".{name}" for name in names).lstrip(".")
    shown = written
    while len(shown) > longest and "." in shown:
        shown = shown.partition(".")[2]
    return shown if shown == written else f"….{shown}"


def _value(value: JsonValue) -> str:
    """A value, short: of an id the name, of anything long the beginning."""
    if value is None:
        return "not set"
    if isinstance(value, list) and value and all(isinstance(one, dict) and set(one) == {"id"} for one in value):
        return ", ".join(_value(one) for one in value)
    if isinstance(value, dict) and len(value) == 1:
        value = next(iter(value.values()))
    if isinstance(value, str) and value.lower().startswith("/subscriptions/"):
        return parse(value).name or value
    written = json.dumps(value, ensure_ascii=False)
    return written if len(written) <= _LONGEST_VALUE else f"{written[: _LONGEST_VALUE - 1]}…"
