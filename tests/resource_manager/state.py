"""The live state: what exists in the subscriptions of a snapshot, and what may not be read there."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from aks_audit.facts.resource_id import parse, within
from aks_audit.snapshot import Gap, Header, Listing, Record, Resource, read
from resource_manager import answers
from resource_manager.answers import Answer
from resource_manager.of_clusters import VERSIONS, kubernetes_versions, of_cluster
from resource_manager.paging import Body
from resource_manager.targets import Target

# Extension resources have no list that reaches into what lies below its scope.
_DIRECT = frozenset({"microsoft.containerservice/deploymentsafeguards", "microsoft.insights/diagnosticsettings"})

# Azure has no list of these by subscription.
_NOT_BY_SUBSCRIPTION = frozenset(
    {
        "microsoft.containerservice/deploymentsafeguards",
        "microsoft.network/connections",
        "microsoft.network/virtualnetworkgateways",
    }
)

_CLUSTERS = "microsoft.containerservice/managedclusters"
_ZONES = "microsoft.network/privatednszones"
_GATEWAYS = "microsoft.network/virtualnetworkgateways"


def load(path: Path) -> tuple[Record, ...]:
    """The records of a snapshot file, to serve them."""
    found = read([path])
    return (
        *found.headers,
        *found.listings,
        *(gap for gap, _ in found.gaps),
        *(resource for resource, _ in found.resources),
    )


class State:
    """Everything of the snapshot's Azure part, by id and by type, without case."""

    def __init__(self, records: Iterable[Record], names: Mapping[str, str]) -> None:
        records = tuple(records)
        scopes = [scope for record in records for scope in _scopes(record)]
        self._listed = {parse(scope).subscription: None for scope, listed in scopes if listed}
        self._listed |= dict.fromkeys(names)
        self._listed.pop("", None)
        self._known = {parse(scope).subscription.lower() for scope, _ in scopes} | {name.lower() for name in names}
        self._groups = {
            f"{parse(scope).subscription}/{parse(scope).group}".lower(): parse(scope) for scope, _ in scopes
        }
        self._scopes = {_key(scope) for scope, _ in scopes}
        self._names = {subscription.lower(): name for subscription, name in names.items()}
        self._listed_types = {record.type.lower() for record in records if isinstance(record, Listing)}
        self._bodies: dict[str, Body] = {}
        self._types: dict[str, dict[str, Body]] = {}
        self._record_sets: dict[str, list[Body]] = {}
        for record in records:
            if isinstance(record, Resource) and record.source == "azure":
                self._bodies[_key(record.id)] = record.body
                self._types.setdefault(parse(record.id).type.lower(), {})[_key(record.id)] = record.body
        for key, body in self._bodies.items():
            if _is_record_set(key):
                self._record_sets.setdefault(_key(parse(key).parent), []).append(body)

    def missing(self, target: Target, api_version: str) -> Answer | None:
        """The 404 that Azure gives before it asks for permissions: an unknown subscription, or no such list."""
        if target.subscription and target.subscription.lower() not in self._known:
            return answers.subscription_not_found(target.subscription)
        if target.collection and not target.group and target.type.lower() in _NOT_BY_SUBSCRIPTION:
            return answers.no_such_type(target.type, api_version)
        return None

    def get(self, target: Target) -> Body | Answer:
        """One resource, subscription or resource group."""
        match target.type.lower():
            case "microsoft.resources/subscriptions":
                return self._subscription(target.subscription)
            case "microsoft.resources/subscriptions/resourcegroups":
                key = f"{target.subscription}/{target.group}".lower()
                return _group(target.scope) if key in self._groups else answers.group_not_found(target.group)
        body = self._find(target.path)
        if body is not None:
            return body
        what = target.path[target.path.lower().rindex("/providers/") + len("/providers/") :]
        return answers.resource_not_found(what, target.group)

    def of_type(self, kind: str) -> list[Body]:
        """All of a type (in lower case), wherever they are."""
        return list(self._types.get(kind, {}).values())

    def members(self, target: Target) -> list[Body] | Answer:
        """All of a type in a scope, in the order of the snapshot."""
        match target.type.lower():
            case "microsoft.resources/subscriptions":
                return [self._subscription(subscription) for subscription in self._listed]
            case "microsoft.resources/subscriptions/resourcegroups":
                return [
                    _group(f"/subscriptions/{of.subscription}/resourceGroups/{of.group}")
                    for of in self._groups.values()
                    if of.group and of.subscription.lower() == target.subscription.lower()
                ]
        return self._absent_holder(target) or self._of_type(target)

    def _absent_holder(self, target: Target) -> Answer | None:
        if "/providers/" in target.scope.lower():
            region = parse(target.scope).type.lower().endswith("/locations")
            known = region or _key(target.scope) in self._scopes or self._find(target.scope) is not None
            return None if known else answers.parent_not_found(parse(target.scope).name)
        known = not target.group or f"{target.subscription}/{target.group}".lower() in self._groups
        return None if known else answers.group_not_found(target.group)

    def _of_type(self, target: Target) -> list[Body]:
        kind, scope = target.type.lower(), _key(target.scope)
        if (items := self._bodies.get(_key(target.path), {}).get("value")) is not None:
            return list(items)  # kept as one resource, for its items have no ids
        if kind == VERSIONS:
            return kubernetes_versions()
        if kind == f"{_ZONES}/all":
            return self._record_sets.get(scope, [])
        if kind == f"{_GATEWAYS}/connections":
            return [body for body in self.of_type("microsoft.network/connections") if _starts_from(body, scope)]
        if kind in _DIRECT:
            scope = _key(target.path)
        inside = f"{scope.rstrip('/')}/"  # as `within` has it, for lower-case keys: there may be many
        found = [body for key, body in self._types.get(kind, {}).items() if key == scope or key.startswith(inside)]
        return found or self._inline(target) or self._about_cluster(kind, scope)

    def _about_cluster(self, kind: str, scope: str) -> list[Body]:
        cluster = self._types.get(_CLUSTERS, {}).get(scope.partition("/providers/microsoft.insights/")[0])
        return of_cluster(kind, cluster) if cluster and kind not in self._listed_types else []

    def _find(self, resource_id: str) -> Body | None:
        """A resource of its own, or one that stands in the body of its parent, as subnets do."""
        key = _key(resource_id)
        if key in self._bodies:
            return self._bodies[key]
        holder, _, name = resource_id.rpartition("/")
        holder, _, kind = holder.rpartition("/")
        return next(
            (item for item in self._items(holder, kind) if item["id"].lower().endswith(f"/{name.lower()}")), None
        )

    def _inline(self, target: Target) -> list[Body]:
        return self._items(target.scope, target.path.rpartition("/")[2])

    def _items(self, holder: str, kind: str) -> list[Body]:
        properties = self._bodies.get(_key(holder), {}).get("properties")
        if not isinstance(properties, dict):
            return []
        lists = [
            value for name, value in properties.items() if name.lower() == kind.lower() and isinstance(value, list)
        ]
        items = [item for found in lists for item in found if isinstance(item, dict)]
        return [item for item in items if str(item.get("id", "")).lower().startswith(f"{_key(holder)}/")]

    def _subscription(self, subscription: str) -> Body:
        name = self._names.get(subscription.lower(), f"Subscription {subscription[-4:]}")
        return {
            "id": f"/subscriptions/{subscription}",
            "authorizationSource": "RoleBased",
            "subscriptionId": subscription,
            "tenantId": "7e4a0000-0000-4000-8000-000000000001",
            "displayName": name,
            "state": "Enabled",
        }


class Denials:
    """Which actions are denied, and where; of an action the last part may be a pattern (`Microsoft.Network/*`)."""

    def __init__(self, records: Iterable[Record], deny: Mapping[str, str | None]) -> None:
        gaps = [record for record in records if isinstance(record, Gap)]
        self._rules = [(action.lower(), scope) for action, scope in deny.items()]
        self._rules += [(gap.action.lower(), gap.scope) for gap in gaps if gap.action and gap.scope]

    def refuses(self, action: str, scope: str) -> bool:
        """Whether an action over a scope is denied."""
        return any(
            fnmatchcase(action.lower(), denied) and (where is None or within(scope, where))
            for denied, where in self._rules
        )

    def granted(self, scope: str) -> Body:
        """The one role that the caller has in a scope: everything, but for what is denied there or somewhere below.

        Azure adds roles up from above, so that an identity which lacks an action somewhere lacks it above, too.
        """
        here = {
            denied for denied, where in self._rules if where is None or within(scope, where) or within(where, scope)
        }
        return {"actions": ["*"], "notActions": sorted(here), "dataActions": [], "notDataActions": []}


def _scopes(record: Record) -> list[tuple[str, bool]]:
    """The ids that a record tells of, each with whether its subscription is listed to the caller."""
    match record:
        case Header():
            return [(scope, True) for scope in record.scope]
        case Listing():
            return [(record.scope, True)]
        case Gap():
            return [(record.id, False), (record.scope or record.id, False)]
        case Resource():
            return [(record.id, True)] if record.source == "azure" else []


def _key(resource_id: str) -> str:
    return "/" + resource_id.strip("/").lower()


def _is_record_set(key: str) -> bool:
    kind = parse(key).type
    return kind.startswith(f"{_ZONES}/") and kind != f"{_ZONES}/virtualnetworklinks"


def _starts_from(connection: Body, gateway: str) -> bool:
    """Whether a connection is one of the gateway with this key, below which it does not stand."""
    return _key(connection["properties"]["virtualNetworkGateway1"]["id"]) == gateway


def _group(group_id: str) -> Body:
    return {
        "id": group_id,
        "name": group_id.rpartition("/")[2],
        "type": "Microsoft.Resources/resourceGroups",
        "location": "westeurope",
        "properties": {"provisioningState": "Succeeded"},
    }
