"""The news as the messages that Teams, Slack and others take. What clusters tell pings, links and formats nothing.

Sources: https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using and
https://learn.microsoft.com/adaptive-cards/authoring-cards/text-features for Teams,
https://docs.slack.dev/reference/block-kit/blocks and
https://docs.slack.dev/messaging/formatting-message-text for Slack.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

from aks_audit.notify import NotifyError
from aks_audit.notify.news import Item, News
from aks_audit_reports.markdown import text as marked

Json: TypeAlias = dict[str, Any]

SCHEMA_VERSION = "1.0"

MOST = (15, 10, 8, 6, 4, 2, 1, 0)
"""How many items of a kind are told: the first of these with which a message is small enough."""

LARGEST_CARD = 24_000
"""Teams takes 28 KB, to which the workflow adds what says who it is of."""

LARGEST_SECTION = 3_000
LARGEST_HEADER = 150
"""How many characters Slack takes in a block's text; of blocks it takes 50."""

LARGEST_GENERIC = 200_000


def teams(news: News) -> bytes:
    """An Adaptive Card for a workflow's "When a Teams webhook request is received".

    All text stands in text runs, in which Teams knows no Markdown, so that no name is a link or a mention.
    """
    return _fitting(news, _teams, LARGEST_CARD)


def slack(news: News) -> bytes:
    """A message of blocks for an incoming webhook; what clusters tell stands in code, escaped."""
    return _fitting(news, _slack, None)


def generic(news: News) -> bytes:
    """JSON for whatever else: the news as Markdown in `text`, and in parts."""
    return _fitting(news, _generic, LARGEST_GENERIC)


FORMATS: Mapping[str, Callable[[News], bytes]] = {"teams": teams, "slack": slack, "generic": generic}


def _fitting(news: News, render: Callable[[News, int], Json], largest: int | None) -> bytes:
    for most in MOST:
        message = msgspec.json.encode(render(news, most))
        if largest is None or len(message) <= largest:
            return message
    raise NotifyError("the message is too large, whatever is left out of it; this is a fault of aks-audit")


def _more(items: tuple[Item, ...], most: int) -> str:
    left = len(items) - most
    return f"and {left:,} more, which the report tells" if left > 0 else ""


# --- Teams


def _teams(news: News, most: int) -> Json:
    body = [_runs(_run(news.headline, size="large", weight="bolder"))]
    body += [_runs(_run(f"{name}: ", weight="bolder"), _run(value)) for name, value in news.facts]
    for title, items in news.sections:
        body.append({**_runs(_run(f"{title} ({len(items):,})", weight="bolder")), "separator": True})
        body += [_teams_item(item) for item in items[:most]]
        body += [_runs(_run(more, isSubtle=True)) for more in (_more(items, most),) if more]
    card: Json = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.2",
        "fallbackText": news.headline,
        "msteams": {"width": "Full"},
        "body": body,
    }
    if news.run.link:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Open the report", "url": news.run.link}]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "summary": news.headline, "attachments": [attachment]}


def _teams_item(item: Item) -> Json:
    runs = [
        _run(f"{item.severity} ", weight="bolder"),
        _run(f"{item.rule} "),
        _run(f"{item.resource}: ", fontType="monospace"),
        _run(item.message),
    ]
    return _runs(*runs, *[_run(f" ({item.why})", isSubtle=True)] * bool(item.why))


def _runs(*runs: Json) -> Json:
    return {"type": "RichTextBlock", "inlines": [*runs]}


def _run(text: str, **style: object) -> Json:
    """A piece of text; `{{`, with which Teams begins its dates and times, is parted."""
    return {"type": "TextRun", "text": re.sub(r"\{(?=\{)", "{ ", text), **style}


# --- Slack


def _slack(news: News, most: int) -> Json:
    blocks: list[Json] = [_slack_header(news.headline)]
    facts = "\n".join(f"*{name}:* {_escaped(value)}" for name, value in news.facts)
    blocks += _slack_sections(facts.split("\n"))
    for title, items in news.sections:
        lines = [f"*{title} ({len(items):,})*", *(_slack_item(item) for item in items[:most])]
        blocks += _slack_sections([*lines, *filter(None, [_more(items, most)])])
    if news.run.link:
        blocks += _slack_sections([f"<{_slack_link(news.run.link)}|Open the report>"])
    return {"text": _escaped(news.headline), "blocks": blocks, "unfurl_links": False, "unfurl_media": False}


def _slack_header(text: str) -> Json:
    shown = text if len(text) <= LARGEST_HEADER else f"{text[: LARGEST_HEADER - 1]}…"
    return {"type": "header", "text": {"type": "plain_text", "text": shown, "emoji": False}}


def _slack_sections(lines: list[str]) -> Iterator[Json]:
    """Blocks that hold the lines whole; each line fits into one. Slack looks for no links and names in them itself."""
    block: list[str] = []
    for line in [*lines, None]:
        if line is None or len("\n".join([*block, line])) > LARGEST_SECTION:
            yield {"type": "section", "text": {"type": "mrkdwn", "text": "\n".join(block), "verbatim": True}}
            block = []
        if line is not None:
            block.append(line)


def _slack_item(item: Item) -> str:
    why = f" ({item.why})" if item.why else ""
    return (
        f"• *{item.severity}* {_slack_code(item.rule)} {_slack_code(item.resource)}: {_slack_code(item.message)}{why}"
    )


def _slack_code(hostile: str) -> str:
    """Text in code, in which Slack formats nothing; its own end of code is told by another character."""
    return f"`{_escaped(hostile).replace('`', chr(0x2CB))}`" if hostile.strip() else ""


def _slack_link(url: str) -> str:
    return _escaped(url.replace("|", "%7C").replace("<", "%3C").replace(">", "%3E"))


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


# --- everything else


def markdown(news: News, most: int = MOST[0]) -> str:
    """The news as Markdown; what clusters tell stands in code, unless it is plain words."""
    lines = [f"## {news.headline}", "", *(f"- **{name}**: {value}" for name, value in news.facts)]
    for title, items in news.sections:
        lines += ["", f"### {title} ({len(items):,})", ""]
        lines += [_markdown_item(item) for item in items[:most]]
        lines += [f"- {more}" for more in (_more(items, most),) if more]
    if news.run.link:
        lines += ["", f"[Open the report](<{news.run.link}>)"]
    return "\n".join([*lines, ""])


def _markdown_item(item: Item) -> str:
    why = f" ({item.why})" if item.why else ""
    return f"- **{item.severity}** {marked(item.rule)} {marked(item.resource)}: {marked(item.message)}{why}"


def _generic(news: News, most: int) -> Json:
    run = news.run
    return {
        "schemaVersion": SCHEMA_VERSION,
        "text": markdown(news, most),
        "scope": run.scope,
        "run": run.name,
        "scan": run.scan,
        "started": run.started.isoformat(timespec="seconds"),
        "finished": run.finished.isoformat(timespec="seconds"),
        "exitCode": run.exit_code,
        "first": news.first,
        "complete": news.complete,
        "wasComplete": news.was_complete,
        "clusters": news.clusters,
        "failures": dict(news.failures),
        "unknown": news.undecided,
        "score": news.score.value,
        "scoreBefore": news.score_before.value if news.score_before else None,
        "changes": {
            name: {"count": len(items), "items": [item._asdict() for item in items[:most]]}
            for name, items in (("new", news.new), ("fixed", news.fixed), ("unknown", news.unknown))
        },
        "report": run.link or None,
    }
