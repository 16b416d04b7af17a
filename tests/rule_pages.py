"""The pages of the rules and checklists, made of them: what `aks-audit explain` says, for readers of the web."""

import re
from collections.abc import Iterator
from itertools import groupby

from aks_audit.checklist import Checklist, Item, load_checklists
from aks_audit.engine import load_rules
from aks_audit.results import RuleText
from aks_audit_reports.areas import area_of, named

FOLDER = "docs/reference"
_MADE = "<!-- Made by `python tests/renew.py` of the rule itself. -->\n\n"


def pages() -> dict[str, bytes]:
    """Every page by its path from the repository's root."""
    rules = [rule.text for rule in load_rules()]
    checklists = load_checklists()
    made = {f"{FOLDER}/rules/{rule.id}.md": _rule(rule, checklists) for rule in rules}
    made[f"{FOLDER}/rules.md"] = _index(rules)
    made[f"{FOLDER}/checklists.md"] = _checklists(checklists, {rule.id for rule in rules})
    return {path: text.encode() for path, text in made.items()}


def _rule(rule: RuleText, checklists: tuple[Checklist, ...]) -> str:
    return _MADE + "\n\n".join(part for part in _parts(rule, checklists) if part) + "\n"


def _parts(rule: RuleText, checklists: tuple[Checklist, ...]) -> Iterator[str]:
    yield f"# {rule.id}: {rule.title}"
    yield f"**{rule.severity}** · asked about each {rule.subject} · {named(area_of(rule.id))}"
    yield _text(rule.why)
    yield f"## Why it is {rule.severity}\n\n{_text(rule.severity_reason)}"
    yield f"## How it is decided\n\n{_text(rule.decided)}"
    yield f"## Fix\n\n```sh\n{rule.command_to_fill_in}\n```\n\nIn Bicep:\n\n```bicep\n{rule.bicep}\n```"
    yield f"## What the change does\n\n{_text(rule.change)}"
    yield f"## Where guides disagree\n\n{_text(rule.disagreement)}" if rule.disagreement else ""
    if rule.follows:
        first = ", ".join(f"[{other}]({other}.md)" for other in rule.follows)
        yield f"## What to mend first\n\nWhere they fail about the same thing: {first}"
    yield "## References\n\n" + "\n".join(f"- <{reference}>" for reference in rule.references)
    asking = [f"- [{one.title}](../checklists.md#{one.name})" for one in checklists if _asks(one, rule)]
    yield "## Checklists that ask it\n\n" + "\n".join(asking) if asking else ""
    controls = ", ".join(f"{control.framework} {control.id}" for control in rule.controls)
    yield f"## The same question elsewhere\n\n{controls}" if controls else ""


def _asks(checklist: Checklist, rule: RuleText) -> bool:
    return any(rule.id in item.rules for item in checklist.item)


def _text(text: str) -> str:
    """A rule's text as Markdown: a sentence, in which what looks like a tag stands as it is read."""
    pieces = re.split(r"(`[^`]*`)", text[:1].upper() + text[1:])
    return "".join(
        piece if piece.startswith("`") else piece.replace("<", "&lt;").replace("*", "\\*") for piece in pieces
    )


def _index(rules: list[RuleText]) -> str:
    lines = [_MADE + "# Rules", "", f"{len(rules)} rules. `aks-audit explain RULE` says the same in a terminal."]
    for area, held in groupby(rules, key=lambda rule: area_of(rule.id)):
        lines += ["", f"## {named(area)}", "", "| rule | severity | what should hold |", "|---|---|---|"]
        lines += [f"| [{rule.id}](rules/{rule.id}.md) | {rule.severity} | {_text(rule.title)} |" for rule in held]
    return "\n".join(lines) + "\n"


_PLAIN = ["| item | weight | answered by |", "|---|---|---|"]


def _answered(item: Item, rules: set[str]) -> str:
    if item.manual:
        return "a person"
    return ", ".join(f"[{rule}](rules/{rule}.md)" if rule in rules else f"{rule}, not there yet" for rule in item.rules)


def _checklists(checklists: tuple[Checklist, ...], rules: set[str]) -> str:
    lines = [_MADE + "# Checklists", "", "`aks-audit scan --checklist NAME` asks only what a checklist asks."]
    for one in checklists:
        lines += ["", f"## {one.title} {{ #{one.name} }}", "", f"`{one.name}`: {_text(one.summary)}", ""]
        numbered = any(item.number for item in one.item)
        lines += ["| number | item | weight | answered by |", "|---|---|---|---|"] if numbered else _PLAIN
        for item in one.item:
            said = " ".join(filter(None, (_text(item.sentence), _text(item.note)))).replace("|", chr(92) + "|")
            number = f"| {item.number} " if numbered else ""
            lines.append(f"{number}| {said} | {item.weight:g} | {_answered(item, rules)} |")
    return "\n".join(lines) + "\n"
