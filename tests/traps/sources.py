"""Traps of sources: what a live scan says of what it could not read. By the installed command, against loopback."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aks_audit.commands import INCOMPLETE
from aks_audit.snapshot import SCHEMA, Header, Record, Resource
from cases import CLUSTER, Case, records_of
from live import Done, run
from resource_manager import Answer, Fault, ResourceManager

TYPE = "Microsoft.ContainerService/managedClusters"
_LIST = f"{TYPE}/read"
_FIRST, _SECOND = (f"/subscriptions/{digit * 8}-{digit * 4}-{digit * 4}-{digit * 4}-{digit * 12}" for digit in "12")
_TWIN = CLUSTER.replace(_FIRST, _SECOND)
_FLEET = [f"/subscriptions/5ca1ab1e-0000-4000-8000-{number:012}" for number in range(30)]
"""More subscriptions than the 25 at which an export once ended."""


def refused_clusters(folder: Path) -> None:
    """A live scan whose list of clusters is denied: exit code, permission and scope."""
    with ResourceManager(_estate(), deny={_LIST: _FIRST}) as server:
        done = _scan(server, folder, "--subscription", _name(_FIRST))
    assert done.code == INCOMPLETE, f"exit code {done.code}"
    assert not done.report["clusters"], done.report["clusters"]
    assert not done.report["scan"]["complete"], "the scan is told to be complete"
    assert _unread_clusters(done.report) == {_FIRST}, _unread_clusters(done.report)


def refused_subscription(folder: Path) -> None:
    """A live scan of two subscriptions, of which one is denied: coverage, and the other's cluster."""
    twin = Resource(id=_TWIN, type=TYPE, body={**_cluster().body, "id": _TWIN})
    with ResourceManager([*_estate(), twin], deny={_LIST: _FIRST}) as server:
        done = _scan(server, folder)
    assert done.code == INCOMPLETE, f"exit code {done.code}"
    assert _unread_clusters(done.report) == {_FIRST}, _unread_clusters(done.report)
    assert [cluster["id"] for cluster in done.report["clusters"]] == [_TWIN], done.report["clusters"]
    read = {row["subscription"] for row in done.report["coverage"]["read"] if row["type"].lower() == TYPE.lower()}
    assert read == {_name(_SECOND)}, f"clusters are told to be read in {read}"


def one_failing_query(folder: Path) -> None:
    """A live scan in which one list answers 400 each time, beside one in which none does."""
    failing = Fault(r"/networkSecurityGroups\?", Answer(400, b'{"error":{"code":"BadRequest"}}'), times=None)
    with ResourceManager(_estate()) as server:
        whole = _outcomes(_scan(server, folder).report)
    with ResourceManager(_estate(), faults=[failing]) as server:
        done = _scan(server, folder)
    partial = _outcomes(done.report)
    assert done.code == INCOMPLETE, f"exit code {done.code}"
    assert _FIRST in {missing["what"] for missing in done.report["coverage"]["unread"]}, "the query is not named"
    assert {rule for rule, _ in partial} == {rule for rule, _ in whole}, "a rule was not asked"
    lost = {resource for _, resource in whole.keys() - partial.keys()}
    assert all("/networkSecurityGroups/" in resource for resource in lost), lost
    changed = {asked: outcome for asked, outcome in partial.items() if outcome != whole.get(asked)}
    assert set(changed.values()) == {"unknown"}, changed
    assert len(changed) < len(partial) / 4, f"{len(changed)} answers of {len(partial)} were lost with one list"


def throttled_fleet(folder: Path) -> None:
    """Live scans of 30 subscriptions by both sources, some calls throttled for a while, those of one for ever."""
    clusters = [f"{scope}/resourceGroups/rg/providers/{TYPE}/aks" for scope in _FLEET]
    bodies = [Resource(id=one, type=TYPE, body={**_cluster().body, "id": one}) for one in clusters]
    fleet: list[Record] = [Header(schema=SCHEMA, tool="", scope=tuple(_FLEET)), *bodies]
    throttled = Answer(429, b"{}", headers={"Retry-After": "1"})
    once, always = Fault("/managedClusters", throttled, nth=11, times=5), Fault(_FLEET[-1], throttled, times=None)
    with ResourceManager(fleet, faults=[once, always]) as server:
        done = _scan(server, folder, "--timeout", "10")
    assert _ids(done) == clusters[:-1], "clusters are missing besides that which stays throttled"
    assert done.code == INCOMPLETE, f"exit code {done.code}"
    assert _FLEET[-1] in {missing["what"] for missing in done.report["coverage"]["unread"]}, "it is not named"
    with ResourceManager(fleet) as server:
        assert _ids(_scan(server, folder, "--source", "graph")) == clusters, "clusters are missing by Resource Graph"


CHECKS: Mapping[int, Callable[[Path], None]] = {
    1: refused_clusters,
    2: refused_subscription,
    5: one_failing_query,
    6: throttled_fleet,
}


def _scan(server: ResourceManager, folder: Path, *arguments: str) -> Done:
    done = run(server, folder, "scan", "--format", "json", "--fail-on", "critical", *arguments)
    assert done.out, done.err
    return done


def _estate() -> list[Record]:
    return records_of(Case(name="", expect=""))


def _cluster() -> Resource:
    return next(one for one in _estate() if isinstance(one, Resource) and one.id == CLUSTER)


def _name(scope: str) -> str:
    return scope.rpartition("/")[2]


def _ids(done: Done) -> list[str]:
    return [cluster["id"] for cluster in done.report["clusters"]]


def _outcomes(report: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {(finding["rule"], finding["resource"]): finding["outcome"] for finding in report["findings"]}


def _unread_clusters(report: dict[str, Any]) -> set[str]:
    """The scopes in which coverage says that clusters were not read."""
    return {missing["scope"] for missing in report["coverage"]["unread"] if missing.get("action") == _LIST}
