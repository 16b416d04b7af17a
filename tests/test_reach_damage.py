"""`aks-audit reach` over damaged bodies: whatever the API server sent, there is an answer."""

from typing import Any

import pytest

from aks_audit import snapshot
from aks_audit.facts import Estate
from aks_audit.path import find_cluster
from aks_audit.reach import Question, ReachError, ask
from aks_audit.reach_reports import as_json, as_text
from aks_audit.snapshot import Record, Resource
from cases import BASE, INSIDE, Case, records_of
from test_kubernetes_policy_damage import places, replaced

ODD: tuple[Any, ...] = (None, "odd", 3, [], {})
EVERY = 23
"""Of so many damages one is tried; with all of them the test takes minutes."""


@pytest.mark.parametrize("kind", ["pods", "nodes", "namespaces", "networkpolicies", "deployments", "replicasets"])
def test_damage_never_crashes(kind: str) -> None:
    records: list[Record] = records_of(Case(name="", expect=""), BASE, INSIDE)
    tried = 0
    for at, record in enumerate(records):
        if not isinstance(record, Resource) or record.type.partition(".")[0] != kind:
            continue
        for number, path in enumerate(places(record.body)):
            if number % EVERY == 0:
                for odd in ODD:
                    body = replaced(record.body, path, odd)
                    damaged = Resource(id=record.id, type=record.type, body=body, source=record.source)
                    answer([*records[:at], damaged, *records[at + 1 :]])
                    tried += 1
    assert tried


def answer(records: list[Record]) -> None:
    estate = Estate(snapshot.of(records))
    everything = Question(find_cluster(estate, "aks-prod"))
    assert as_text(everything, ask(estate, everything), colour=True, width=80)
    one_end = everything._replace(source="kube-system")
    try:
        assert as_json(one_end, ask(estate, one_end))
    except ReachError:
        assert not ask(estate, everything).complete  # every pod of the namespace is damaged, and is missing
