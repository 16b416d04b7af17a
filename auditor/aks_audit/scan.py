"""One audit: what was read, asked by the rules that are chosen, decided upon, held against a baseline, as a report."""

from collections.abc import Collection, Sequence
from datetime import date
from typing import NamedTuple

import msgspec

from aks_audit import baseline, engine, exceptions, report
from aks_audit.causes import traced
from aks_audit.checklist import Checklist, choose, load_checklists
from aks_audit.config import Config
from aks_audit.facts import Estate
from aks_audit.findings import failed
from aks_audit.fixes import fixes
from aks_audit.pictures import picture
from aks_audit.report import PipelineRun, Report
from aks_audit.rule import Rule
from aks_audit.score import everything
from aks_audit.snapshot import Snapshot


class Wish(NamedTuple):
    """What is asked of what was read, as of a day.

    `checklists` limits the questions to those of their rules (all where none is named); `before` is the baseline;
    `pipeline` is what the report says of the run that made it. `rules` are all the rules there are, of which `named`
    are asked whatever the checklists ask, and `lists` all the checklists: where none are given, what is installed.
    """

    today: date
    checklists: Sequence[str] = ()
    config: Config = Config()
    before: Report | None = None
    pipeline: PipelineRun | None = None
    rules: Sequence[Rule] = ()
    named: Collection[str] = ()
    lists: Sequence[Checklist] = ()


def scan(recorded: Snapshot, wish: Wish) -> Report:
    """Audit what was read.

    Raises:
        ChecklistError, EngineError: there is no such checklist, or the installed rules cannot be used.
    """
    known = wish.rules or engine.load_rules()
    lists = wish.lists or (*load_checklists(), everything(rule.text for rule in known))
    checklists = choose(lists, tuple(wish.checklists))
    ids = [rule.id for rule in known]
    rules = exceptions.chosen(known, wish.config)
    if wish.checklists:
        wanted = {*wish.named, *(rule for checklist in checklists for item in checklist.item for rule in item.rules)}
        rules = tuple(rule for rule in rules if rule.id in wanted)
    estate = Estate(recorded)
    pictures = []
    found = engine.audit(estate, rules, lambda cluster: pictures.append(picture(cluster)))
    decided, policy = exceptions.decide(found, wish.config, ids, wish.today)
    findings = traced(decided, [rule.text for rule in rules])
    made = report.build(recorded, rules, findings, checklists)
    made = msgspec.structs.replace(
        made,
        scan=msgspec.structs.replace(made.scan, checklists=tuple(sorted(wish.checklists))),
        policy=policy,
        fixes=fixes(made.failures(), made.rules),
        pipeline=wish.pipeline,
        pictures=tuple(pictures),
    )
    if wish.before is None:
        return made
    now = baseline.Now(made.scan, {rule.id for rule in rules}, exceptions.disabled(ids, wish.config))
    findings, comparison = baseline.compare(wish.before, findings, now)
    # what people decided then may have ended, and they may have decided anew
    undecided = (msgspec.structs.replace(failure, exception=None) for failure in comparison.carried)
    failures = tuple(failed(findings))
    both, policy = exceptions.decide((*failures, *undecided), wish.config, ids, wish.today)
    comparison = msgspec.structs.replace(comparison, carried=both[len(failures) :])
    return msgspec.structs.replace(made, findings=findings, comparison=comparison, policy=policy)
