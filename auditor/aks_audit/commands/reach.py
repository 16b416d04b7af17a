"""`aks-audit reach`: who reaches whom, by network policies."""

import shutil
from typing import TYPE_CHECKING

from aks_audit.commands import INCOMPLETE, OK
from aks_audit.commands.live import only_plans, print_plan, snapshot_of
from aks_audit.commands.options import add_command, add_estate
from aks_audit.commands.output import colours, print_bytes, print_lines
from aks_audit.progress import Progress

if TYPE_CHECKING:
    from argparse import Namespace

    from aks_audit.commands.options import Commands


REACH_EXAMPLES = """\
examples:
  aks-audit reach aks-shop --snapshot estate.jsonl              which namespaces reach which?
  aks-audit reach aks-shop --snapshot estate.jsonl --to payments
                                                                who reaches the pods of namespace "payments"?
  aks-audit reach aks-shop --snapshot estate.jsonl --from shop/web-7d9f --to payments
                                                                on which ports, and which policies say so?
  aks-audit reach aks-shop --snapshot estate.jsonl --from shop --to internet
  aks-audit reach aks-shop --subscription shop --to payments    reads live state first

how to read it:
  ✓  everything gets through     ◐  some of it             ◇  where the conditions of a policy hold
  ✗  nothing gets through        ?  cannot be told         ·  nobody is there
  below a line stands what decides, for traffic that leaves one end and arrives at the other: a policy with the place of
  the rule in it; "isolated by", where no rule allows it and policies select the pod; or no policy, which allows all.
  Policies that nothing enforces are listed apart, and count for nothing.

exit codes:
  0  everything that was asked is known
  2  wrong usage, or input that cannot be read
  3  some of it is unknown: not all was read
"""


def add(commands: "Commands") -> None:
    """Put the command on the parser."""
    reach = add_command(
        commands,
        _run,
        "reach",
        "who reaches whom, by network policies",
        "Who reaches whom in a cluster, on which ports, and by which policies: of Kubernetes, Calico or Cilium,\n"
        "whichever the cluster's engine enforces. Without --from and --to: a matrix of namespaces.",
        REACH_EXAMPLES,
    )
    reach.add_argument("of", metavar="CLUSTER", help="the cluster, by name or id")
    ends = "NAMESPACE, NAMESPACE/POD (or its workload), an address or CIDR, internet, nodes or api-server"
    reach.add_argument("--from", dest="origin", metavar="WHO", help=ends)
    reach.add_argument("--to", dest="target", metavar="WHO", help="the same")
    reach.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    add_estate(reach, "ask about the built-in sample estate")


def _run(arguments: "Namespace", progress: Progress) -> int:
    from aks_audit.facts import Estate  # noqa: PLC0415
    from aks_audit.path import find_cluster  # noqa: PLC0415
    from aks_audit.reach import Question, ask  # noqa: PLC0415
    from aks_audit.reach_reports import as_json, as_text  # noqa: PLC0415

    if only_plans(arguments):
        return print_plan(arguments, progress)
    estate = Estate(snapshot_of(arguments, progress))
    question = Question(find_cluster(estate, arguments.of), arguments.origin, arguments.target)
    answer = ask(estate, question)
    width = shutil.get_terminal_size((100, 24)).columns
    if arguments.format == "json":
        print_bytes(as_json(question, answer).encode())
    else:
        print_lines(as_text(question, answer, colour=colours(), width=width).encode())
    return OK if answer.complete else INCOMPLETE
