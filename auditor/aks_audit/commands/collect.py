"""`aks-audit collect`: read live state into a snapshot."""

from pathlib import Path
from typing import TYPE_CHECKING

from aks_audit.commands import INCOMPLETE, OK
from aks_audit.commands.live import lost, print_plan, read_live
from aks_audit.commands.operating import add_operating, operated
from aks_audit.commands.options import add_command, add_live, add_shard
from aks_audit.progress import Progress

if TYPE_CHECKING:
    from argparse import Namespace

    from aks_audit.commands.options import Commands


COLLECT_EXAMPLES = """\
examples:
  aks-audit collect -o estate.jsonl                     all subscriptions that the signed-in identity sees
  aks-audit collect -o shop.jsonl --subscription shop --cluster 'aks-*'
  aks-audit collect -o 3-of-8.jsonl.gz --shard 3/8      a share of them; `aks-audit merge` unites the shares
"""


def add(commands: "Commands") -> None:
    """Put the command on the parser."""
    collect = add_command(
        commands,
        _run,
        "collect",
        "read live state into a snapshot",
        "Read live state of Azure into a snapshot; audit it later with: aks-audit scan --snapshot FILE",
        COLLECT_EXAMPLES,
    )
    collect.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the snapshot to write")
    add_live(collect)
    add_shard(collect)
    add_operating(collect)


def _run(arguments: "Namespace", progress: Progress) -> int:
    if arguments.dry_run:
        return print_plan(arguments, progress)
    with operated(arguments, progress) as operation:
        records = read_live(arguments, arguments.output, progress, operation, beside=arguments.output)
    return INCOMPLETE if lost(records) else OK
