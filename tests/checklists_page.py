"""The page that tells of the checklists: what each is, where it comes from, and how much of it rules decide."""

from aks_audit.checklist import EVERYTHING, Checklist, load_checklists
from aks_audit.engine import load_rules
from aks_audit.score import everything

_HEAD = """\
# Checklists

Made by `python tests/renew.py`. [The items](reference/checklists.md) stand in the reference, with the rules to them.

A scan answers all checklists. `aks-audit scan --checklist NAME` asks only what a checklist asks (repeatable), and
`aks-audit checklists` lists them.

"""

_TAIL = """

## How an item is answered

- By a rule, or by several together: the item's answer about a cluster is the worst of theirs, a failure before an
  unknown before a pass. Where one of several rules was not asked, as when it is disabled, the item can fail, but not
  pass.
- By a person, where no API tells. Such an item is a question in the report, and neither passes nor fails.
- With a note, where the guide or its usual audits are wrong about AKS, or the rule asks more than the item.

The sentences are ours: they say what should hold, and never repeat a benchmark's text. The numbers are the benchmark's
own, so that an answer is found beside the text that you have.

## Where the numbers come from

- **CIS AKS 1.8**: the text of the benchmark is under terms of its own and was not used. Numbers, and what each of them
  asks, were taken from the configuration `aks-1.8` of kube-bench, which has all 51. Files on nodes (3.1) are for a
  person. The kubelet (3.2) is decided where its configuration was read, by [`--read kubelet-config`](security.md), and
  else unknown.
- **Microsoft cloud security benchmark v2**, a preview: controls that concern a cluster and what is around it. Numbers
  and what they ask were taken from Microsoft's training for SC-100, which links the controls of version 2, and from
  public lists of the domains NS, IM, DS and LT. Where only version 1 could be opened, the item says so.
- **AKS baseline architecture**: the article of the Azure Architecture Center, section by section. It has no numbers.
- **Pod Security Standards**: the controls of Kubernetes' page, by level. AKS-KS-16 asks whether namespaces enforce
  them.
- **Azure Policy**: the id of the definition that audits. The definitions are those that Microsoft listed for
  `Microsoft.ContainerService` on 2023-11-21, and the one about SSH to nodes.
- **questions**: what guides ask and no API tells; numbers are those of the rows in our catalogue, and
  [coverage](coverage.md) says of each why.
- **all**: every rule, also of other packs, by area. Its score is the score of the report.
"""


def page() -> bytes:
    """`docs/checklists.md`."""
    rules = [rule.text for rule in load_rules()]
    lines = ["| name | checklist | items | decided by rules | for a person |", "|---|---|---:|---:|---:|"]
    lines += [_row(checklist) for checklist in (*load_checklists(), everything(rules))]
    return (_HEAD + "\n".join(lines) + _TAIL).encode()


def _row(checklist: Checklist) -> str:
    manual = sum(item.manual for item in checklist.item)
    linked = f"[{checklist.title}](reference/checklists.md#{checklist.name})"
    title = checklist.title if checklist.name == EVERYTHING else linked
    return f"| `{checklist.name}` | {title} | {len(checklist.item)} | {len(checklist.item) - manual} | {manual} |"
