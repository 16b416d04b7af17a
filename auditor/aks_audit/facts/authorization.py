"""Facts about who may do what: role assignments, and the roles that they give.

Source: Microsoft.Authorization/roleAssignments and roleDefinitions 2022-04-01 as on the wire. Definitions are listed
where a scan is asked to (`--read custom-roles`), and only custom ones; roles that Azure itself defines stand in
`data/built_in_roles.toml`.
"""

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

import msgspec

from aks_audit.facts.enumerations import PrincipalType
from aks_audit.facts.estate import Estate
from aks_audit.facts.field import Choice, View, parts, text, texts
from aks_audit.facts.link import Holding, link
from aks_audit.facts.resource import AzureResource
from aks_audit.facts.resource_id import parse, scopes, within
from aks_audit.facts.unread import Malformed, NotCollected, Unread
from aks_audit.results import Missing


class Permissions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """Actions of the control plane and of data planes that are allowed, and those taken off again; `*` is anything."""

    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()


class Role(NamedTuple):
    """What a role allows."""

    name: str
    permissions: tuple[Permissions, ...]

    def allows(self, action: str) -> bool:
        """Whether it allows an action of the control plane (`Microsoft.Network/privateDnsZones/A/write`)."""
        return any(_among(action, one.actions) and not _among(action, one.not_actions) for one in self.permissions)

    def allows_data(self, action: str) -> bool:
        """Whether it allows an action of a data plane."""
        return any(
            _among(action, one.data_actions) and not _among(action, one.not_data_actions) for one in self.permissions
        )


class _BuiltIn(Permissions, frozen=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    id: str
    name: str


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    as_of: dt.date
    sources: tuple[str, ...]
    role: tuple[_BuiltIn, ...]


_TABLE = msgspec.toml.decode(files("aks_audit").joinpath("data/built_in_roles.toml").read_bytes(), type=_Table)
BUILT_IN_ROLES = {role.id: Role(role.name, (role,)) for role in _TABLE.role}
"""Azure's own roles that are known here, by the GUID of the definition in lower case."""


class DefinedPermissions(View):
    """Permissions as a role definition's body holds them; Azure sends all four lists, be they empty."""

    __slots__ = ()

    actions = texts("actions")
    not_actions = texts("notActions")
    data_actions = texts("dataActions")
    not_data_actions = texts("notDataActions")

    @property
    def values(self) -> Permissions:
        """The four lists.

        Raises:
            Malformed: one of them was lost; what is not taken off would otherwise be allowed.
        """
        lists = (self.actions, self.not_actions, self.data_actions, self.not_data_actions)
        if None in lists:
            raise Malformed(self.document.id, self.pointer, "permissions without one of their four lists")
        return Permissions(*(each or () for each in lists))


class RoleDefinition(AzureResource):
    """A role definition, Azure's own or custom."""

    __slots__ = ()

    TYPE = "Microsoft.Authorization/roleDefinitions"

    role_name = text("properties.roleName")
    permissions = parts("properties.permissions", DefinedPermissions)

    @property
    def role(self) -> Role:
        """What it allows."""
        return Role(self.role_name or self.name, tuple(one.values for one in self.permissions or ()))


class RoleDefinitions:
    """The role definitions that were read, by GUID in lower case. Made once: `estate.indexed(RoleDefinitions)`.

    A custom role is listed in each subscription that it can be assigned in, under an id there and the same GUID.
    """

    def __init__(self, estate: Estate) -> None:
        self.by_guid = {definition.name.lower(): definition for definition in estate.every(RoleDefinition)}


_OWN_TYPE = "/providers/microsoft.authorization/roleassignments/"
_MANAGEMENT_GROUP = "/providers/microsoft.management/managementgroups/"


class RoleAssignment(AzureResource):
    """A role that a principal has on a scope and on everything inside it.

    A condition narrows only what it names, which is never an action of the control plane on clusters or networks.
    """

    __slots__ = ()

    TYPE = "Microsoft.Authorization/roleAssignments"

    principal_id = text("properties.principalId")
    principal_type = Choice("properties.principalType", PrincipalType)
    role_definition = link("properties.roleDefinitionId", RoleDefinition)
    condition = text("properties.condition")

    @property
    def scope(self) -> str:
        """The id of what the role was given on; empty for the whole tenant."""
        return _scope(self.id)

    @property
    def principal(self) -> str:
        """The object id of whom the role was given to, in lower case.

        Raises:
            Malformed: the body does not name it; Azure always does.
        """
        principal = self.principal_id
        if principal is None:
            raise Malformed(self.id, "/properties/principalId", "a role assignment without its principal")
        return principal.lower()

    @property
    def role(self) -> Role:
        """The role: by its definition where that was read, in whatever subscription, else by the list of Azure's own.

        Raises:
            NotCollected: it is in neither; a custom role, or one that this version does not know.
            Malformed: the body does not name it.
        """
        if self.role_definition is None:
            raise Malformed(self.id, "/properties/roleDefinitionId", "a role assignment without its role")
        try:
            return self.role_definition.read().role
        except NotCollected:
            defined = self.estate.indexed(RoleDefinitions).by_guid.get(self.role_id)
            known = defined.role if defined else BUILT_IN_ROLES.get(self.role_id)
            if known is None:
                raise
            return known

    @property
    def role_id(self) -> str:
        """The GUID of the role's definition in lower case; empty where the body does not name it."""
        return parse(self.role_definition.id).name.lower() if self.role_definition else ""

    def reaches(self, resource_id: str) -> bool:
        """Whether it applies to a resource.

        Azure lists what is assigned on management groups and the tenant with the subscriptions below. Which these are
        is in no body, so it counts for all of them.
        """
        return _reaches(self.scope, resource_id)


class RoleAssignments:
    """The role assignments of an estate, by scope and by principal. Made once: `estate.indexed(RoleAssignments)`."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._by_scope: dict[str, list[RoleAssignment]] = {}
        self._by_principal: dict[str, list[RoleAssignment]] = {}
        for assignment in estate.every(RoleAssignment):
            scope = assignment.scope.lower()
            key = "" if scope.startswith(_MANAGEMENT_GROUP) else scope
            self._by_scope.setdefault(key, []).append(assignment)
            self._by_principal.setdefault(_principal(assignment), []).append(assignment)
        self._lost = [(_scope(missing.what), missing) for missing in estate.gaps(RoleAssignment)]

    def on(self, resource_id: str) -> Holding[RoleAssignment]:
        """Those that apply to a resource: on itself, on what holds it, and above its subscription."""
        reaching = ("", *scopes(resource_id), resource_id.lower().rstrip("/"))
        known = tuple(assignment for scope in reaching for assignment in self._by_scope.get(scope, ()))
        return Holding(known, next(self._missing(resource_id), None))

    def of(self, principals: Iterable[str]) -> tuple[RoleAssignment, ...]:
        """Those of principals, by object id, wherever they were read, and those of whom cannot be read."""
        wanted = dict.fromkeys(["", *(principal.lower() for principal in principals)])
        return tuple(assignment for each in wanted for assignment in self._by_principal.get(each, ()))

    def _missing(self, resource_id: str) -> Iterator[Missing]:
        try:
            self._estate.within(RoleAssignment, resource_id).whole()
        except NotCollected as unread:
            yield from unread.missing
        yield from (missing for scope, missing in self._lost if _reaches(scope, resource_id))


def _principal(assignment: RoleAssignment) -> str:
    try:
        return assignment.principal
    except Unread:
        return ""


def _scope(assignment_id: str) -> str:
    start = assignment_id.lower().rfind(_OWN_TYPE)
    return assignment_id if start < 0 else assignment_id[:start]


def _reaches(scope: str, resource_id: str) -> bool:
    return not scope or scope.lower().startswith(_MANAGEMENT_GROUP) or within(resource_id, scope)


def _among(action: str, patterns: Iterable[str]) -> bool:
    return any(_matches(pattern, action) for pattern in patterns)


@lru_cache(maxsize=4096)
def _matches(pattern: str, action: str) -> bool:
    expression = ".*".join(re.escape(piece) for piece in pattern.split("*"))
    return re.fullmatch(expression, action, re.IGNORECASE) is not None
