"""A rule's text for the terminal."""

from aks_audit.results import RuleText


def explain(text: RuleText) -> str:
    """The whole text of a rule as plain text."""
    parts = [
        f"{text.id}  {text.title}",
        text.why,
        f"Severity: {text.severity}; {text.severity_reason}",
        f"Asked about: each {text.subject}",
        f"Decided: {text.decided}",
        f"Fix ({text.change}):\n\n    {text.command_to_fill_in.replace(chr(10), chr(10) + '    ')}",
        f"Bicep:\n\n    {text.bicep.replace(chr(10), chr(10) + '    ')}",
        f"Where guides disagree: {text.disagreement}" if text.disagreement else "",
        f"To mend first, where they fail about the same thing: {', '.join(text.follows)}" if text.follows else "",
        "References:\n" + "\n".join(f"  {reference}" for reference in text.references) if text.references else "",
        "Controls: " + ", ".join(f"{c.framework} {c.id}" for c in text.controls) if text.controls else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
