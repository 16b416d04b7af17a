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


def kubebuddy(name: str) -> Control:
    """A check of KubeBuddy."""
    return Control("KubeBuddy", name)


def azqr(name: str) -> Control:
    """A rule of Azure Quick Review."""
    return Control("azqr", name)


def community_policy(definition: str) -> Control:
    """A definition of the Azure community policy repository, by its name (a GUID)."""
    return Control("Azure Community Policy", definition)


def aks_health_check(name: str) -> Control:
    """A check of the AKS health check."""
    return Control("AKS health check", name)


def the_aks_checklist(guid: str) -> Control:
    """An item of The AKS Checklist (the-aks-checklist.com)."""
    return Control("The AKS Checklist", guid)


def cis_aks(number: str) -> Control:
    """A recommendation of the CIS Azure Kubernetes Service benchmark 1.8."""
    return Control("CIS AKS", number)


def checkov(number: str) -> Control:
    """A policy of Checkov."""
    return Control("Checkov", number)


def prowler(name: str) -> Control:
    """A check of Prowler, of its providers for Azure and Kubernetes."""
    return Control("Prowler", name)
