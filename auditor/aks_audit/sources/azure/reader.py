"""Reads lists to their last page and resources by id; every read ends in records, and none in an exception."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from azure.core.exceptions import AzureError

from aks_audit.facts.resource_id import parse
from aks_audit.snapshot import Gap, Listing, Record, Resource, decode
from aks_audit.sources.azure import errors
from aks_audit.sources.azure.pipeline import Answer, Getter
from aks_audit.sources.azure.plan import ACCESS, ACCESS_POLICIES, APPLICATIONS, DIRECTORY
from aks_audit.sources.scrub import scrub

MOST_PAGES = 10_000
"""How many pages a list may have; more is a server that goes round in a circle."""

_CIRCLE = "the list leads back to a page that was read, and has no end"
_OK = 200
TIME = "%Y-%m-%dT%H:%M:%SZ"
"""How times of reading are written: RFC 3339, in UTC."""


class Page(NamedTuple):
    """A page of a list: its items, scrubbed."""

    items: list[Any]
    next_link: str | None


class _Page(msgspec.Struct, rename={"next_link": "nextLink"}):
    """A page as on the wire. Its items are decoded one by one, for of most a look at their bytes says much already.

    AKS calls those of its list of versions `values`.
    """

    value: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    values: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    next_link: str | None = None


class _PasswordCredential(msgspec.Struct, rename="camel"):
    """What is kept of a client secret."""

    key_id: str | None = None
    start_date_time: str | None = None
    end_date_time: str | None = None


class _Application(msgspec.Struct, rename="camel"):
    """What is kept of an application."""

    app_id: str
    password_credentials: list[_PasswordCredential]


class _AccessPolicies(msgspec.Struct):
    """A page of policies of conditional access, as Microsoft Graph sends it."""

    value: list[dict[str, Any]]
    next_link: str | None = msgspec.field(name="@odata.nextLink", default=None)


_KEPT_CONDITIONS = (
    "applications",
    "authenticationFlows",
    "clientAppTypes",
    "devices",
    "insiderRiskLevels",
    "locations",
    "platforms",
    "signInRiskLevels",
    "userRiskLevels",
)
"""What is kept of the conditions of a policy, which also name people."""

_KEPT_USERS = ("All", "GuestsOrExternalUsers", "None")
"""What is kept of whom a policy is about: words, and no ids."""


class Reader:
    """Reads by a pipeline's `get`."""

    def __init__(self, get: Getter, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._get, self._now = get, now

    async def listing(self, url: str, scope: str, kind: str) -> list[Record]:
        """All resources of a type in a scope and the listing that says so; or what came, and the gap that says why."""
        found: list[Record] = []
        link: str | None = url
        passed = set[str | None]()
        for _ in range(MOST_PAGES):
            if link in passed:
                return [*found, errors.failed(scope, kind, _CIRCLE)]
            passed.add(link)
            answer = await self._answer(link, scope, kind)
            if isinstance(answer, Gap):
                return [*found, answer]
            page = _page(answer.body)
            if isinstance(page, str):
                return [*found, errors.failed(scope, kind, page)]
            read = self._now().strftime(TIME)
            found += [_record(item, kind, scope, read) for item in page.items]
            link = page.next_link
            if link is None:
                # Something without an id may be one of those that the list is asked for.
                whole = not any(isinstance(record, Gap) for record in found)
                return [*found, Listing(type=kind, scope=scope)] if whole else found
        return [*found, errors.failed(scope, kind, f"the list did not end after {MOST_PAGES:,} pages")]

    async def resource(self, resource_id: str, api_version: str) -> list[Record]:
        """One resource by id, or the gap that says why not."""
        kind = parse(resource_id).type
        answer = await self._answer(f"{resource_id}?api-version={api_version}", resource_id, kind)
        if isinstance(answer, Gap):
            return [answer]
        try:
            body = scrub(decode(answer.body))
        except ValueError as problem:
            return [errors.failed(resource_id, kind, f"the answer is not JSON: {problem}")]
        return [_record(body, kind, resource_id, self._now().strftime(TIME))]

    async def application(self, client_id: str) -> list[Record]:
        """When the secrets of an application begin and end, of Microsoft Graph; or the gap that says why not.

        Nothing else of it is kept: Graph gives no secrets, but three letters of each.
        """
        own = f"{DIRECTORY}/applications/{client_id}"
        url = f"/v1.0/applications(appId='{client_id}')?$select=appId,passwordCredentials"
        answer = await self._answer(url, own, APPLICATIONS, "Application.Read.All")
        if isinstance(answer, Gap):
            return [answer]
        try:
            found = msgspec.json.decode(answer.body, type=_Application)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
            return [errors.failed(own, APPLICATIONS, f"the answer is not an application: {problem}")]
        body = {"id": own, **msgspec.to_builtins(found)}
        return [Resource(id=own, type=APPLICATIONS, body=body, read=self._now().strftime(TIME))]

    async def access_policies(self) -> list[Record]:
        """The policies of conditional access, of Microsoft Graph, and the listing; or the gap that says why not.

        People and groups are left out.
        """
        found: list[Record] = []
        url: str | None = "/v1.0/identity/conditionalAccess/policies?$select=id,state,conditions,grantControls"
        for _ in range(MOST_PAGES):
            answer = await self._answer(url, ACCESS, ACCESS_POLICIES, "Policy.Read.All")
            if isinstance(answer, Gap):
                return [*found, answer]
            try:
                page = msgspec.json.decode(answer.body, type=_AccessPolicies)
                bodies = [_access_policy(one) for one in page.value]
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, _NoPolicyError) as problem:
                reason = f"the answer is not a list of policies: {problem}"
                return [*found, errors.failed(ACCESS, ACCESS_POLICIES, reason)]
            read = self._now().strftime(TIME)
            found += [Resource(id=body["id"], type=ACCESS_POLICIES, body=body, read=read) for body in bodies]
            url = page.next_link
            if url is None:
                return [*found, Listing(type=ACCESS_POLICIES, scope=ACCESS)]
        return [*found, errors.failed(ACCESS, ACCESS_POLICIES, f"the list did not end after {MOST_PAGES:,} pages")]

    async def whole(self, url: str, own: str, kind: str, held: str) -> list[Record]:
        """A list whose items have no ids, as one resource called `own`; or the gap that says why not.

        `held`: a list or an object that each of the items has.
        """
        items = await self.items(url, own, kind)
        if isinstance(items, Gap):
            return [items]
        if not all(isinstance(item, dict) and isinstance(item.get(held), list | dict) for item in items):
            return [errors.failed(own, kind, f"the answer holds something without its {held}")]
        return [Resource(id=own, type=kind, body={"value": items}, read=self._now().strftime(TIME))]

    async def items(self, url: str, about: str, kind: str) -> list[Any] | Gap:
        """The items of a list to its last page, scrubbed; or the gap that says why it is not whole."""
        items: list[Any] = []
        link: str | None = url
        passed = set[str | None]()
        for _ in range(MOST_PAGES):
            if link in passed:
                return errors.failed(about, kind, _CIRCLE)
            passed.add(link)
            answer = await self._answer(link, about, kind)
            if isinstance(answer, Gap):
                return answer
            page = _page(answer.body)
            if isinstance(page, str):
                return errors.failed(about, kind, page)
            items += page.items
            link = page.next_link
            if link is None:
                return items
        return errors.failed(about, kind, f"the list did not end after {MOST_PAGES:,} pages")

    async def _answer(self, url: str | None, scope: str, kind: str, action: str | None = None) -> Answer | Gap:
        try:
            answer = await self._get(url or "")
        except AzureError as problem:
            return errors.failed(scope, kind, f"no answer: {problem.message or type(problem).__name__}")
        if answer.status == _OK:
            return answer
        return errors.refused(scope, kind, answer.status, answer.body, action)


class _NoPolicyError(Exception):
    """What stands among policies, and is none."""


def _access_policy(policy: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a policy."""
    own, conditions, controls = policy.get("id"), policy.get("conditions"), policy.get("grantControls")
    if not isinstance(own, str) or not isinstance(conditions, dict) or not isinstance(controls, dict | None):
        raise _NoPolicyError("one lacks its id or its conditions")
    users = conditions.get("users")
    included = users.get("includeUsers") if isinstance(users, dict) else None
    named = [one for one in included if one in _KEPT_USERS] if isinstance(included, list) else []
    strength = controls.get("authenticationStrength") if controls else None
    kept = {name: conditions[name] for name in _KEPT_CONDITIONS if name in conditions}
    body = {
        "id": f"{DIRECTORY}/conditionalAccessPolicies/{own}",
        "state": policy.get("state"),
        "conditions": {**kept, "users": {"includeUsers": named}},
        "grantControls": controls
        and {
            "builtInControls": controls.get("builtInControls"),
            "authenticationStrength": {"id": strength.get("id")} if isinstance(strength, dict) else None,
        },
    }
    return scrub(body)  # type: ignore[no-any-return]  # an object stays one


def _record(body: object, kind: str, scope: str, read: str) -> Record:
    own = body.get("id") if isinstance(body, dict) else None
    # A role that was assigned above a subscription is listed in it, and stands in none.
    if not isinstance(body, dict) or not isinstance(own, str) or not own.startswith(("/subscriptions/", "/providers/")):
        return errors.failed(scope, kind, "the answer holds something without a resource id")
    return Resource(id=own, type=parse(own).type or kind, body=body, read=read)


def _page(data: bytes) -> Page | str:
    """The items of a page and the link to the next, or what is wrong with it."""
    try:
        page = msgspec.json.decode(data, type=_Page)
        items = page.values if page.value is msgspec.UNSET else page.value
        if items is msgspec.UNSET:
            return "the answer is not a page of a list: it has no `value`"
        return Page([scrub(decode(bytes(item))) for item in items], page.next_link or None)
    except msgspec.ValidationError as problem:
        return f"the answer is not a page of a list: {problem}"
    except (ValueError, msgspec.DecodeError, RecursionError) as problem:
        return f"the answer is not JSON: {problem}"
