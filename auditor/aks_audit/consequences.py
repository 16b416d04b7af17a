"""Which rules a scan would leave unknown if it may not read something: tried out on an estate, not kept in a list."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypeAlias

from aks_audit import engine
from aks_audit.facts import Estate
from aks_audit.facts.resource_id import parse, scopes
from aks_audit.results import Outcome
from aks_audit.rule import Rule
from aks_audit.snapshot import Gap, Listing, Record, Resource, Snapshot, of

_CLUSTERS = "microsoft.containerservice/managedclusters"
_ROLES = "microsoft.authorization/roleassignments"
_Outcomes: TypeAlias = Mapping[tuple[str, str], Outcome]


class Trial:
    """An estate that is audited again and again, each time with something refused.

    `rules` are those that it decides something by. Of the others it can tell nothing; and another estate may depend on
    more, such as on the load balancer in front of its own appliances.
    """

    def __init__(self, snapshot: Snapshot, rules: Sequence[Rule]) -> None:
        self._records: tuple[Record, ...] = (
            *snapshot.headers,
            *snapshot.listings,
            *(gap for gap, _ in snapshot.gaps),
            *(resource for resource, _ in snapshot.resources),
        )
        self._known = self._audit(self._records, rules)
        decided = {rule for (rule, _), outcome in self._known.items() if outcome is not Outcome.UNKNOWN}
        self.rules = tuple(rule for rule in rules if rule.id in decided)

    def unknown_without(self, types: Collection[str]) -> frozenset[str]:
        """The ids of the rules that get unknown about something, or have nothing left to be asked about.

        `types` are those of Azure (`Microsoft.Network/routeTables`) and kinds of Kubernetes (`pods`), as in snapshots;
        they are refused everywhere.
        """
        found = self._audit(tuple(self._without({kind.lower() for kind in types})), self.rules)
        unknown = {key for key, outcome in found.items() if outcome is Outcome.UNKNOWN}
        unknown -= {key for key, outcome in self._known.items() if outcome is Outcome.UNKNOWN}
        asked = {rule for rule, _ in found}
        return frozenset(rule for rule, _ in unknown) | {rule.id for rule in self.rules if rule.id not in asked}

    @staticmethod
    def _audit(records: Sequence[Record], rules: Sequence[Rule]) -> _Outcomes:
        found = engine.audit(Estate(of(records)), rules)
        return {(finding.rule, finding.resource.lower()): finding.outcome for finding in found}

    def _without(self, types: Collection[str]) -> Iterator[Record]:
        """The records as a scan would have them, had each call that gives these types been refused."""
        resources = [record for record in self._records if isinstance(record, Resource)]
        # What stands below something that is not read, as records do in a zone, is not asked for; roles are listed.
        lost = {resource.id.lower() for resource in resources if resource.type.lower() in types}
        for record in self._records:
            if not isinstance(record, Resource | Listing):
                yield record
                continue
            about = record.id if isinstance(record, Resource) else record.scope
            apart = record.type.lower() == _ROLES
            if record.type.lower() not in types and (apart or lost.isdisjoint((about.lower(), *scopes(about)))):
                yield record
        subscriptions = {f"/subscriptions/{parse(resource.id).subscription}" for resource in resources}
        clusters = {resource.id for resource in resources if resource.type.lower() == _CLUSTERS}
        for kind in sorted(types):
            for scope in sorted(subscriptions if "/" in kind else clusters):
                yield Gap(id=scope, type=kind, reason="not permitted", action=f"{kind}/read", scope=scope)
