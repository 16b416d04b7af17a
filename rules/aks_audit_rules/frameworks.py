"""Frameworks whose controls the rules answer."""

from aks_audit.results import Control


def mcsb(control_id: str) -> Control:
    """A control of the Microsoft cloud security benchmark v1."""
    return Control("MCSB", control_id)


def azure_policy(definition: str) -> Control:
    """A built-in Azure Policy definition, by its name (a GUID)."""
    return Control("Azure Policy", definition)


def psrule(name: str) -> Control:
    """A rule of PSRule for Azure."""
    return Control("PSRule", name)


def aprl(recommendation: str) -> Control:
    """A recommendation of the Azure Proactive Resiliency Library."""
    return Control("APRL", recommendation)


def review_checklist(guid: str) -> Control:
    """An item of the Azure review checklists."""
    return Control("Azure review checklist", guid)
