"""Texts of rules and evidence as the page shows them."""

import msgspec

from aks_audit.results import Evidence, RuleText
from aks_audit_reports.summary import printable

FINGERPRINT = 16
"""How many characters of a finding's fingerprint name it in a link."""

BODY = "the body"
"""What the empty JSON pointer points at."""


def links(rule: RuleText) -> tuple[str, ...]:
    """A rule's references that are addresses of the web, and nothing else that a link could do."""
    return tuple(reference for reference in rule.references if is_link(reference))


def is_link(address: str) -> bool:
    """Whether an address is one of the web, with nothing in it that a reader cannot see."""
    return printable(address) == address and address.startswith(("https://", "http://"))


def controls(rule: RuleText) -> str:
    """A rule's controls in one line."""
    return ", ".join(f"{control.framework} {control.id}" for control in rule.controls)


def value(evidence: Evidence) -> str:
    """A value as JSON; what is not set says so."""
    if evidence.value is None:
        return "not set"
    return msgspec.json.format(msgspec.json.encode(evidence.value), indent=2).decode()
