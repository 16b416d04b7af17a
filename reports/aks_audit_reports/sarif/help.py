"""A rule's text as SARIF help: once plain, once as GitHub Markdown."""

from collections.abc import Iterator
from typing import NamedTuple

from aks_audit.results import RuleText
from aks_audit_reports.sarif.log import MultiformatMessage


class _Part(NamedTuple):
    heading: str
    text: str
    code: str = ""
    """The language of the text where it is code."""


def help_text(rule: RuleText) -> MultiformatMessage:
    """Everything a rule says of itself."""
    parts = [part for part in _parts(rule) if part.text]
    return MultiformatMessage(
        text="\n\n".join([rule.why, *(f"{part.heading}:\n{part.text}" for part in parts)]),
        markdown="\n\n".join([rule.why, *(_markdown(part) for part in parts)]),
    )


def _parts(rule: RuleText) -> Iterator[_Part]:
    yield _Part("Severity", rule.severity_reason)
    yield _Part("How it is decided", rule.decided)
    yield _Part("Fix", rule.command_to_fill_in, "sh")
    yield _Part("Bicep", rule.bicep, "bicep")
    yield _Part("What the change does", rule.change)
    yield _Part("Where guides disagree", rule.disagreement)
    yield _Part("References", "\n".join(f"- {reference}" for reference in rule.references))
    yield _Part("Controls", "\n".join(f"- {control.framework} {control.id}" for control in rule.controls))


def _markdown(part: _Part) -> str:
    if part.code:
        return f"**{part.heading}**\n\n```{part.code}\n{part.text}\n```"
    return f"**{part.heading}**\n\n{part.text}"
