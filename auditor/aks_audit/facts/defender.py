"""Facts about the plans of Microsoft Defender for Cloud that a subscription has on.

Source: Microsoft.Security/pricings 2024-01-01 as in the REST API specification and its examples. They are read only
where a scan is asked to (`--read defender-plans`).
"""

from aks_audit.facts.enumerations import ExtensionState, PlanCoverage, PricingTier
from aks_audit.facts.field import Choice, View, parts, text
from aks_audit.facts.resource import AzureResource


class PlanExtension(View):
    """A part of a plan that is switched on by itself, by its name, such as `AgentlessVmScanning`."""

    __slots__ = ()

    name = text("name")
    state = Choice("isEnabled", ExtensionState)


class DefenderPlan(AzureResource):
    """A plan, such as `Containers` or `CloudPosture`, in a subscription, whether it is on or not."""

    __slots__ = ()

    TYPE = "Microsoft.Security/pricings"

    tier = Choice("properties.pricingTier", PricingTier)
    coverage = Choice("properties.resourcesCoverageStatus", PlanCoverage)
    extensions = parts("properties.extensions", PlanExtension)
