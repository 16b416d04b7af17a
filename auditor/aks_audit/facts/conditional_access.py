"""Facts about the policies of conditional access in Entra ID: what is demanded of whom who signs in to what.

Source: the type conditionalAccessPolicy of Microsoft Graph v1.0. A snapshot holds of whom a policy is about only
whether that is everybody. They are read only where a scan is asked to (`--read conditional-access`).
"""

from typing import NamedTuple

from aks_audit.facts.enumerations import ConditionalAccessState
from aks_audit.facts.estate import Estate
from aks_audit.facts.field import Choice, View, part, texts
from aks_audit.facts.resource import AzureResource
from aks_audit.facts.unread import Malformed, Unread
from aks_audit.results import Evidence, Missing

POLICIES = "/providers/Microsoft.Graph/identity/conditionalAccess"
"""What holds all policies of the tenant; Microsoft Graph has no id of this form."""

AKS_SERVER = "6dae42f8-4368-4678-94ff-3960e28e3630"
"""The application that people sign in to where AKS manages the integration; the same in every tenant and cloud."""

_ALL, _NOBODY = "all", "none"
_NARROWER = (
    "authenticationFlows",
    "devices",
    "insiderRiskLevels",
    "locations",
    "platforms",
    "signInRiskLevels",
    "userRiskLevels",
)
"""Conditions under which a policy is not asked of every sign-in."""

_KUBECTL = frozenset({"all", "mobileappsanddesktopclients"})
"""What clients are called among which kubectl is."""


class ConditionalAccessPolicy(AzureResource):
    """A policy of conditional access; Azure Resource Manager has no such resource, and no id for it."""

    __slots__ = ()

    TYPE = "Microsoft.Graph/conditionalAccessPolicies"

    state = Choice("state", ConditionalAccessState)
    included = texts("conditions.applications.includeApplications")
    excluded = texts("conditions.applications.excludeApplications")
    application_filter = part("conditions.applications.applicationFilter", View)
    client_app_types = texts("conditions.clientAppTypes")
    included_users = texts("conditions.users.includeUsers")
    grant_controls = part("grantControls", View)
    built_in_controls = texts("grantControls.builtInControls")
    authentication_strength = part("grantControls.authenticationStrength", View)

    @property
    def narrower(self) -> bool:
        """Whether it is asked of some sign-ins only, or of some people."""
        clients = {one.lower() for one in self.client_app_types or ("all",)}
        everybody = _ALL in {one.lower() for one in self.included_users or ()}
        conditions = any(self.find(f"conditions.{name}")[0] for name in _NARROWER)
        return conditions or not everybody or not clients & _KUBECTL


class Demand(NamedTuple):
    """A policy that is in force and demands something: of sign-ins to which applications, and whether of each."""

    evidence: Evidence
    included: frozenset[str]
    excluded: frozenset[str]
    narrower: bool

    def is_about(self, application: str) -> bool:
        """Whether it is about signing in to an application, by its client id in lower case."""
        return bool(self.included & {_ALL, application}) and application not in self.excluded


class Demands:
    """What policies demand. Made once: `estate.indexed(Demands)`. `missing`: why of some it cannot be told."""

    def __init__(self, estate: Estate) -> None:
        known: list[Demand] = []
        missing: list[Missing] = []
        for policy in estate.every(ConditionalAccessPolicy):
            try:
                if demand := _demand(policy):
                    known.append(demand)
            except Unread as unread:
                missing += unread.missing
        self.known, self.missing = tuple(known), tuple(missing)


def _demand(policy: ConditionalAccessPolicy) -> Demand | None:
    """What a policy demands; None where it is not in force, demands nothing, or is about nobody."""
    if policy.state is None:
        raise Malformed(policy.id, "/state", "a policy that is neither on nor off")
    if policy.state is not ConditionalAccessState.ENABLED:
        return None
    if not policy.built_in_controls and not policy.authentication_strength:
        return None
    if {one.lower() for one in policy.included_users or ()} == {_NOBODY}:
        return None
    if policy.included is None:
        pointer = policy.at(ConditionalAccessPolicy.included).pointer
        raise Malformed(policy.id, pointer, "a policy that does not say what it is about")
    filtered = policy.application_filter is not None
    return Demand(
        evidence=policy.at(ConditionalAccessPolicy.grant_controls),
        included=frozenset({*(one.lower() for one in policy.included), *((_ALL,) if filtered else ())}),
        excluded=frozenset(one.lower() for one in policy.excluded or ()),
        narrower=policy.narrower or filtered,
    )
