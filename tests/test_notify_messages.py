"""What people are told of a run: only what changed, in each format's limits, and nothing that a name makes of it."""

import json
import re
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft6Validator
from markdown_it import MarkdownIt

from aks_audit.notify import messages
from aks_audit.notify.messages import FORMATS, LARGEST_CARD, LARGEST_SECTION
from aks_audit.notify.news import News, news, since
from aks_audit.report import Report
from aks_audit.results import Exemption, Finding, Outcome, Severity
from aks_audit.snapshot import Gap
from full_reports import HOSTILE
from reports import NIGHT, cluster_id, finding, report_of, rule_text

RUN = NIGHT._replace(link="https://reports.example/production?run=1&x=2")
EXEMPTION = Exemption(reason="known", owner="team", approved_by="boss", expires="2027-01-31")
GAP = Gap(id=cluster_id("aks-prod"), type="pods", cause="refused", status=403, reason="refused")
CARD = json.loads(files("adaptive_cards").joinpath("schemas", "schema-1.2.json").read_text())


def told(before: Report | None, *findings: Finding, complete: bool = True) -> News:
    """The news of a run with these findings."""
    return news(since(before, one(*findings, complete=complete)), RUN)


def one(*findings: Finding, complete: bool = True) -> Report:
    """A report of these findings, or of none about a cluster that passes."""
    rules = {each.rule: rule_text(each.rule, each.severity) for each in findings}
    return report_of(findings, rules.values() or (rule_text(),), () if complete else (GAP,))


def rules(items: Any) -> list[str]:  # noqa: ANN401 - items of the news
    return [item.rule for item in items]


FAILS, PASSES = finding(), finding(outcome=Outcome.PASS)
UNKNOWN = finding(outcome=Outcome.UNKNOWN, message="It was refused")
ACCEPTED = msgspec.structs.replace(FAILS, exception=EXEMPTION)


def test_where_nothing_changed_there_is_nothing_to_tell() -> None:
    for findings in ((FAILS,), (PASSES,), (UNKNOWN,), ()):
        assert not told(one(*findings), *findings).anything
    assert not told(one(FAILS, complete=False), FAILS, complete=False).anything
    moved = msgspec.structs.replace(FAILS, message="The door is wide open")
    assert not told(one(FAILS), moved).anything, "it fails as before"


def test_the_first_run_is_told() -> None:
    found = told(None, FAILS)
    assert found.first
    assert found.anything
    assert found.headline == "AKS audit of production, the first: 1 failure"
    assert told(None, FAILS, complete=False).headline.endswith("; the scan is incomplete")


def test_new_failures_are_told_worst_first() -> None:
    worse = finding("aks-prod", "AKS-TST-02", severity=Severity.CRITICAL)
    found = told(one(PASSES), FAILS, worse)
    assert rules(found.new) == ["AKS-TST-02", "AKS-TST-01"]
    assert found.headline == "AKS audit of production: 2 new failures (1 critical)"
    assert not found.fixed
    assert not found.unknown


def test_a_failure_that_could_not_be_told_before_is_new() -> None:
    (item,) = told(one(UNKNOWN), FAILS).new
    assert item.why == "it was not known before"


def test_what_people_accept_is_no_news_until_they_do_not() -> None:
    assert not told(one(PASSES), ACCEPTED).anything
    assert not told(one(FAILS), ACCEPTED).anything
    (item,) = told(one(ACCEPTED), FAILS).new
    assert item.why == "nobody accepts it any more"


def test_what_is_fixed_is_told_and_how() -> None:
    (item,) = told(one(FAILS), PASSES).fixed
    assert (item.rule, item.why) == ("AKS-TST-01", "it passes now")
    (item,) = told(one(FAILS), finding(outcome=Outcome.NOT_APPLICABLE)).fixed
    assert item.why == "it does not apply any more"
    assert told(one(FAILS), PASSES).headline == "AKS audit of production: 1 fixed"


@pytest.mark.parametrize("before", [FAILS, PASSES])
def test_what_cannot_be_told_any_more_is_neither_fixed_nor_silent(before: Finding) -> None:
    found = told(one(before), UNKNOWN)
    assert rules(found.unknown) == ["AKS-TST-01"]
    assert not found.fixed
    assert found.headline == "AKS audit of production: 1 not known any more"


def test_what_becomes_incomplete_and_complete_again_is_told() -> None:
    less, again = told(one(PASSES), PASSES, complete=False), told(one(PASSES, complete=False), PASSES)
    assert less.anything
    assert again.anything
    assert less.headline == "AKS audit of production: nothing new; the scan became incomplete"
    assert again.headline == "AKS audit of production: nothing new; the scan is complete again"


# --- formats


def many(number: int, name: str = "aks-prod", message: str = "The door is open", before: Report | None = None) -> News:
    """The news that so many rules fail about a cluster, or of those that fail since a report."""
    fails = [finding(name, f"AKS-TST-{n:05}", message=message) for n in range(number)]
    return told(before or one(PASSES), *fails)


def card(found: News) -> dict[str, Any]:
    """The Adaptive Card of the news, which is one."""
    message = json.loads(messages.teams(found))
    (attachment,) = message["attachments"]
    assert (message["type"], attachment["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
    content: dict[str, Any] = attachment["content"]
    plain = {key: value for key, value in content.items() if key != "msteams"}  # which is Teams' own
    Draft6Validator(CARD).validate(plain)
    return content


def runs(content: dict[str, Any]) -> list[str]:
    return [run["text"] for block in content["body"] for run in block["inlines"]]


def blocks(found: News) -> list[dict[str, Any]]:
    """The blocks of a message to Slack, within its limits."""
    message = json.loads(messages.slack(found))
    assert not re.search("[<>]", message["text"])
    listed: list[dict[str, Any]] = message["blocks"]
    assert 1 <= len(listed) <= 50
    for block in listed[1:]:
        assert block["type"] == "section"
        assert block["text"]["type"] == "mrkdwn"
        assert block["text"]["verbatim"] is True
        assert 1 <= len(block["text"]["text"]) <= LARGEST_SECTION
    assert listed[0]["text"]["type"] == "plain_text"
    assert len(listed[0]["text"]["text"]) <= 150
    return listed


def said(found: News) -> str:
    return "\n".join(block["text"]["text"] for block in blocks(found))


def test_each_format_tells_all_that_changed() -> None:
    mended, lost = finding(rule_id="AKS-TST-02"), finding(rule_id="AKS-TST-03")
    now = (
        FAILS,
        finding(rule_id="AKS-TST-02", outcome=Outcome.PASS),
        finding(rule_id="AKS-TST-03", outcome=Outcome.UNKNOWN, message="It was refused"),
    )
    found = told(one(PASSES, mended, lost), *now)
    texts = ["\n".join(runs(card(found))), said(found), json.loads(messages.generic(found))["text"]]
    for text in texts:
        for part in ("production", "New failures (1)", "Fixed (1)", "it passes now", "It was refused", "aks-prod"):
            assert part in text
        assert [rule for rule in ("AKS-TST-01", "AKS-TST-02", "AKS-TST-03") if rule not in text] == []
    assert card(found)["actions"][0]["url"] == RUN.link
    assert "<https://reports.example/production?run=1&amp;x=2|Open the report>" in texts[1]
    assert "[Open the report](<https://reports.example/production?run=1&x=2>)" in texts[2]


def test_what_else_takes_gets_parts_and_markdown() -> None:
    told_ = json.loads(messages.generic(told(one(PASSES), FAILS)))
    assert told_["changes"]["new"] == {
        "count": 1,
        "items": [
            {
                "severity": "high",
                "rule": "AKS-TST-01",
                "resource": "aks-prod",
                "message": "The door is open",
                "why": "",
            }
        ],
    }
    assert told_["failures"] == {"critical": 0, "high": 1, "medium": 0, "low": 0, "info": 0}
    assert (told_["scan"], told_["scope"], told_["complete"], told_["first"]) == (RUN.scan, RUN.scope, True, False)


def test_however_much_changed_a_message_is_as_small_as_it_has_to_be() -> None:
    everything = many(5_000, message='äöü𝕏"\\' * 100)
    assert len(messages.teams(everything)) <= LARGEST_CARD
    assert "and 4,9" in "".join(runs(card(everything)))
    assert "and 4,985 more" in said(everything)
    assert len(messages.generic(everything)) <= 200_000
    assert sum(block["text"]["text"].count("•") for block in blocks(everything)) == 15


def test_of_each_kind_less_is_told_where_all_three_are_too_many_for_teams() -> None:
    long = "名" * 300
    kinds = {
        "new": (Outcome.PASS, Outcome.FAIL),
        "fixed": (Outcome.FAIL, Outcome.PASS),
        "lost": (Outcome.FAIL, Outcome.UNKNOWN),
    }
    sides = [
        [
            finding(f"{kind}-{n}-{long}", outcome=outcomes[side], message=long)
            for kind, outcomes in kinds.items()
            for n in range(20)
        ]
        for side in (0, 1)
    ]
    found = told(one(*sides[0]), *sides[1])
    assert (len(found.new), len(found.fixed), len(found.unknown)) == (20, 20, 20)
    assert len(messages.teams(found)) <= LARGEST_CARD
    texts = "".join(runs(card(found)))
    assert len(re.findall(r"and (?:10|12|14) more", texts)) == 3
    assert said(found).count("and 5 more") == 3


def test_code_ends_where_it_ends_in_slack() -> None:
    (line,) = (line for line in said(many(1, name="a`b", message="` <!here> *x* `")).split("\n") if line[0] == "•")
    tick = "\N{MODIFIER LETTER GRAVE ACCENT}"
    code = f"`AKS-TST-00000` `a{tick}b`: `{tick} &lt;!here&gt; *x* {tick}`"
    assert line == f"• *high* {code} (it was not known before)"


def test_a_name_of_ampersands_fits_into_a_block() -> None:
    blocks(many(40, name="&" * 500, message="<&>" * 500))


@pytest.mark.parametrize("hostile", [*HOSTILE, "<!channel>", "<@U012AB3CD>", "<https://evil.example|x>", "@here"])
def test_a_name_pings_links_and_formats_nothing(hostile: str) -> None:
    name = hostile.replace("/", "\\")
    found = many(1, name=name, message=hostile)
    text = said(found).replace(f"<{RUN.link.replace('&', '&amp;')}|Open the report>", "")
    assert not re.search(r"<|>", text)
    assert text.count("`") % 2 == 0
    outside = re.sub(r"`[^`]*`", "", text)
    assert not [word for word in ("evil", "@", "tada", "channel", "everyone", "~~", "[") if word in outside]
    items = MarkdownIt("gfm-like", {"linkify": False}).parse(messages.markdown(found))
    inline = [child for token in items for child in token.children or ()]
    assert [token.attrs["href"] for token in inline if token.type == "link_open"] == [RUN.link]
    assert not [token for token in inline if token.type in {"image", "html_inline", "s_open"}]
    plain = " ".join(token.content for token in inline if token.type == "text")
    assert not [word for word in ("evil", "@", "everyone") if word in plain.replace(RUN.link, "")]
    content = card(found)
    assert all(block["type"] == "RichTextBlock" for block in content["body"]), "which knows no Markdown"
    assert all("selectAction" not in run for block in content["body"] for run in block["inlines"])
    assert "entities" not in content["msteams"], "without which nobody is mentioned"


def test_no_name_is_a_date_to_teams() -> None:
    texts = runs(card(many(1, name="{{DATE(2017-02-14T06:08:39Z, SHORT)}}", message="{{{x}}}")))
    assert not [text for text in texts if "{{" in text]


def test_no_message_holds_a_secret() -> None:
    secret = "password=hunter2hunter2 https://me:hunter2hunter2@x.example/?sig=hunter2hunter2 alice@corp.example"  # noqa: S105
    found = many(1, message=secret)
    for render in FORMATS.values():
        assert b"hunter2" not in render(found)
        assert b"alice" not in render(found)


@given(name=st.text(min_size=1), message=st.text())
def test_any_text_makes_messages_that_are_whole(name: str, message: str) -> None:
    found = many(2, name=name.replace("/", ""), message=message)
    assert len(runs(card(found))) >= 8
    assert "`" in said(found)
    assert all(text.isprintable() for text in runs(card(found)))
    assert json.loads(messages.generic(found))["changes"]["new"]["count"] == 2


def test_how_long_it_took_is_of_the_run() -> None:
    told_ = json.loads(messages.generic(news(since(None, one(FAILS)), RUN)))
    began, ended = (datetime.fromisoformat(told_[key]) for key in ("started", "finished"))
    assert ended - began == timedelta(minutes=5)
