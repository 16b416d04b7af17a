"""`aks-audit path`: walk a connection hop by hop."""

import shutil
from typing import TYPE_CHECKING

from aks_audit.commands import FINDINGS, INCOMPLETE, OK
from aks_audit.commands.live import only_plans, print_plan, snapshot_of
from aks_audit.commands.options import add_command, add_estate
from aks_audit.commands.output import colours, print_bytes, print_lines
from aks_audit.progress import Progress

if TYPE_CHECKING:
    from argparse import Namespace

    from aks_audit.commands.options import Commands


PATH_EXAMPLES = """\
examples:
  aks-audit path aks-payments --demo --from node --to mcr.microsoft.com:443
                                            may a node pull images, and which firewall rule says so?
  aks-audit path aks-shop --snapshot estate.jsonl --from user --to 10.20.0.5:5432
                                            do nodes of pool "user" reach a database in a peered network?
  aks-audit path aks-shop --snapshot estate.jsonl --from shop/web-7d9f --to internet
                                            with which public address does this pod leave?
  aks-audit path aks-shop --snapshot estate.jsonl --from shop/web-7d9f --to payments/api
                                            does it reach the pods of a Service, and which policy says so?
  aks-audit path aks-shop --snapshot estate.jsonl --from node --to ntp.ubuntu.com:123 --protocol udp
  aks-audit path aks-shop --snapshot estate.jsonl --from node --to '[2001:db8::5]:443'
                                            does IPv6 go another way than IPv4, past the firewall?
  aks-audit path aks-shop --subscription shop --from node --to api-server
                                            reads live state, then walks

how to read it:
  each line is a hop in the order that a packet meets it; below it stands what decides, and the values that say so
    ✓  lets it through     ✗  stops it     ?  cannot be told from what was read     ●  leads on
  the last line says how it ends and by what. Answers come back by themselves, and are not walked.

exit codes:
  0  allowed
  1  blocked
  2  wrong usage, or input that cannot be read
  3  unknown: something on the way was not read, or cannot be known from Azure's resources
"""


def add(commands: "Commands") -> None:
    """Put the command on the parser."""
    path = add_command(
        commands,
        _run,
        "path",
        "walk a connection hop by hop",
        "Walk a connection from a node or pod hop by hop, as Azure would carry it: DNS, Services, network policies,\n"
        "masquerade, security groups, routes, peerings, the firewall with the rule that decides, and the public\n"
        "address it leaves with.",
        PATH_EXAMPLES,
    )
    path.add_argument("of", metavar="CLUSTER", help="the cluster, by name or id")
    path.add_argument(
        "--from",
        dest="origin",
        required=True,
        metavar="WHERE",
        help="node (of the first system pool), the name of an agent pool, or a pod as NAMESPACE/POD (or its workload)",
    )
    path.add_argument(
        "--to",
        dest="target",
        required=True,
        metavar="WHERE",
        help="HOST[:PORT], an address with or without port, a Service or pod as NAMESPACE/NAME[:PORT], internet, or "
        "api-server (default port: 443, or the one of a Service)",
    )
    path.add_argument("--protocol", choices=("tcp", "udp", "icmp"), default="tcp", help="default: tcp")
    path.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    add_estate(path, "walk in the built-in sample estate")


def _run(arguments: "Namespace", progress: Progress) -> int:
    from aks_audit.facts import Estate  # noqa: PLC0415
    from aks_audit.path import Question, as_json, as_text, ask, find_cluster  # noqa: PLC0415

    if only_plans(arguments):
        return print_plan(arguments, progress)
    estate = Estate(snapshot_of(arguments, progress))
    question = Question(find_cluster(estate, arguments.of), arguments.origin, arguments.target, arguments.protocol)
    walked = ask(estate, question)
    width = shutil.get_terminal_size((100, 24)).columns
    if arguments.format == "json":
        print_bytes(as_json(question, walked).encode())
    else:
        print_lines(as_text(question, walked, colour=colours(), width=width).encode())
    return {"allowed": OK, "blocked": FINDINGS, "unknown": INCOMPLETE}[walked.end]
