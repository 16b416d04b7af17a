"""Facts about what Azure Policy found of clusters.

Source: rows of type microsoft.policyinsights/policystates in the table policyresources of Azure Resource Graph, as in
its documentation. They are read only where a scan is asked to (`--read policy-states`).
"""

from aks_audit.facts.enumerations import ComplianceState
from aks_audit.facts.field import Choice, text
from aks_audit.facts.resource import AzureResource


class PolicyState(AzureResource):
    """What one policy of one assignment found of a resource, below whose id its own stands."""

    __slots__ = ()

    TYPE = "Microsoft.PolicyInsights/policyStates"

    state = Choice("properties.complianceState", ComplianceState)
    assignment = text("properties.policyAssignmentName")
