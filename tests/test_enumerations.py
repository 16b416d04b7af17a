"""Every enumeration value of the SDK gets a verdict from every rule that reads it; one nobody knows never a failure."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

import pytest

from aks_audit import snapshot
from aks_audit.engine import audit, load_rules
from aks_audit.facts import AgentPool, DeploymentSafeguards, Estate, ManagedCluster, Route, SecurityRule
from aks_audit.facts.field import Choice, Field, View
from aks_audit.results import Outcome
from cases import BASE, CLUSTER, INSIDE, Case, records_of
from sdk_models import MODELS, enumeration, fields

RULES = load_rules()
PLACES: dict[type[View], tuple[str, ...]] = {
    ManagedCluster: ("cluster ",),
    AgentPool: ("cluster properties.agentPoolProfiles.0.", "cluster properties.agentPoolProfiles.1."),
    SecurityRule: tuple(f"{nsg} properties.securityRules.{n}." for nsg in ("nsg-nodes", "nsg-pods") for n in (0, 1)),
    Route: ("routes properties.routes.0.",),
    DeploymentSafeguards: ("safeguards ",),
}
"""Where in the base estate the values of each kind of fact stand."""

_OUTWARD = {
    "name": "DenyInternetOutbound",
    "properties": {
        "access": "Deny",
        "destinationAddressPrefix": "Internet",
        "destinationPortRange": "*",
        "direction": "Outbound",
        "priority": 4000,
        "protocol": "*",
        "sourceAddressPrefix": "*",
        "sourcePortRange": "*",
    },
}
_SUBSCRIPTION = CLUSTER.partition("/resourceGroups")[0]
ALERTS = (
    f"Microsoft.AlertsManagement/prometheusRuleGroups {_SUBSCRIPTION}",
    f"Microsoft.Insights/metricAlerts {_SUBSCRIPTION}",
    f"Microsoft.Insights/scheduledQueryRules {_SUBSCRIPTION}",
)
"""What rules ask for and a scan reads only where it is asked to: their lists, which hold nothing."""

_CORES = ("cores", "lowPriorityCores", "standardDDSv5Family")
QUOTAS = {
    "id": f"{_SUBSCRIPTION}/providers/Microsoft.Compute/locations/westeurope/usages",
    "type": "Microsoft.Compute/locations/usages",
    "value": [{"unit": "Count", "currentValue": 0, "limit": 1000, "name": {"value": name}} for name in _CORES],
}
"""Likewise, the region's quotas, which no pool of the base estate can exhaust."""

CONSISTENT = {
    **{f"{nsg} properties.securityRules.2": _OUTWARD for nsg in ("nsg-nodes", "nsg-pods")},
    "cluster properties.networkProfile.podCidr": "10.244.0.0/16",
    "cluster properties.networkProfile.podCidrs": ["10.244.0.0/16"],
    "routes properties.routes.0.properties.nextHop": {"nextHopIpAddresses": ["10.30.1.4"]},
    **{
        f"cluster properties.agentPoolProfiles.{n}.{name}": value
        for n in (0, 1)
        for name, value in (
            ("virtualMachinesProfile", {"scale": {"manual": [{"size": "Standard_D4ds_v5", "count": 3}]}}),
            ("virtualMachineNodesStatus", [{"size": "Standard_D4ds_v5", "count": 3}]),
        )
    },
}
"""What the base lacks: rules that restrict outward, as some do inward; and what some values bring with them.

Overlay and kubenet have a pod CIDR, ECMP its next hops, pools of virtual machines a profile with their scale.
"""

_RANGE = "pods of the changed base have a range of their own, and no mode says overlay"
_OWN_PLUGIN = "with a network plugin of one's own, nothing tells which policies are enforced"
_NO_GATEWAY = "the base estate has no NAT gateway, whose alerts would decide"
NOT_DECIDED = {
    ("Auto", "AKS-SUB-10"): "node auto-provisioning: its limits stand inside the cluster",
    ("managedNATGateway", "AKS-EGR-25"): _NO_GATEWAY,
    ("userAssignedNATGateway", "AKS-EGR-25"): _NO_GATEWAY,
    **{
        (value, "AKS-EGR-32"): _RANGE
        for value in (
            "azure",
            "loadBalancer",
            "managedNATGateway",
            "userAssignedNATGateway",
            "userDefinedRouting",
            "VirtualAppliance",
            "VirtualApplianceEcmp",
        )
    },
    **{("none", f"AKS-KN-{number}"): _OWN_PLUGIN for number in ("04", "05", "06", "07", "11", "12", "14", "21")},
}
"""Values that leave a rule undecided, with the reason."""

CHOICES = [
    pytest.param(view, choice, id=f"{view.__name__}.{name}")
    for view in PLACES
    for name, choice in fields(view).items()
    if isinstance(choice, Choice)
]


def outcomes(view: type[View], choice: Choice[StrEnum], value: str) -> dict[str, set[Outcome]]:
    """The outcomes of every rule that reads the field, with the value set wherever the field stands."""
    changed = {f"{place}{choice.path}": value for place in PLACES[view]}
    case = Case(name=value, expect="", set={**CONSISTENT, **changed}, add=(json.dumps(QUOTAS),), listed=ALERTS)
    changed_base = snapshot.of(records_of(case, BASE, INSIDE))
    found: dict[str, set[Outcome]] = {}
    for rule in RULES:
        with readings() as read:  # an estate of its own each: what one rule has read, the next would find worked out
            findings = audit(Estate(changed_base), [rule])
        if choice in read:
            found[rule.id] = {finding.outcome for finding in findings}
    return found


@contextmanager
def readings() -> Iterator[set[Field[Any]]]:
    """Note which fields are read meanwhile."""
    read: set[Field[Any]] = set()
    original = Field.__get__

    def noted(self: Field[Any], owner: View | None, kind: type) -> Any:  # noqa: ANN401 - as the original
        if owner is not None:
            read.add(self)
        return original(self, owner, kind)

    Field.__get__ = noted  # type: ignore[method-assign]
    try:
        yield read
    finally:
        Field.__get__ = original  # type: ignore[method-assign]


@pytest.mark.parametrize(("view", "choice"), CHOICES)
def test_known_values_are_decided(view: type[View], choice: Choice[StrEnum]) -> None:
    values = enumeration(view, choice.path) if view in MODELS else ()
    undecided = {
        (value, rule)
        for value in values or tuple(choice.values)
        for rule, found in outcomes(view, choice, value).items()
        if Outcome.UNKNOWN in found
    }
    assert undecided <= NOT_DECIDED.keys()


@pytest.mark.parametrize(("view", "choice"), CHOICES)
def test_case_does_not_matter(view: type[View], choice: Choice[StrEnum]) -> None:
    for member in choice.values:
        assert outcomes(view, choice, member.value.swapcase()) == outcomes(view, choice, member.value)


@pytest.mark.parametrize(("view", "choice"), CHOICES)
def test_a_value_nobody_knows_is_unknown_never_a_failure(view: type[View], choice: Choice[StrEnum]) -> None:
    before = outcomes(view, choice, next(iter(choice.values)).value)
    after = outcomes(view, choice, "NeverHeardOf")
    assert after or not before
    for rule, found in after.items():
        assert found <= {Outcome.UNKNOWN, Outcome.NOT_APPLICABLE} | (found & before.get(rule, set())), rule
        assert Outcome.UNKNOWN in found, rule
