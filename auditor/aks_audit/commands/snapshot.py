"""`aks-audit snapshot import`: make snapshots of Azure JSON."""

from pathlib import Path
from typing import TYPE_CHECKING

from aks_audit.commands import INCOMPLETE, OK
from aks_audit.commands.options import add_command
from aks_audit.progress import Progress

if TYPE_CHECKING:
    from argparse import Namespace

    from aks_audit.commands.options import Commands


IMPORT_EXAMPLES = """\
example:
  az aks show --resource-group GROUP --name NAME > aks.json
  aks-audit snapshot import aks.json -o estate.jsonl
  aks-audit scan --snapshot estate.jsonl
"""


def add(commands: "Commands") -> None:
    """Put the command on the parser."""
    snapshot = commands.add_parser("snapshot", help="make snapshots", description="Make snapshots.")
    imported = add_command(
        snapshot.add_subparsers(metavar="ACTION", required=True),
        _run,
        "import",
        "make a snapshot of Azure JSON",
        "Make a snapshot of plain Azure JSON: a resource, a list, {'value': […]}, the output of\n"
        "az aks show and az network … list, Resource Graph rows; plain or gzipped. What the files\n"
        "refer to and do not hold is unknown in an audit.",
        IMPORT_EXAMPLES,
    )
    imported.add_argument("files", nargs="+", type=Path, metavar="FILE", help="JSON files, or folders of them")
    imported.add_argument("-o", "--output", type=Path, required=True, metavar="SNAPSHOT", help="the snapshot to write")


def _run(arguments: "Namespace", progress: Progress) -> int:
    from aks_audit.snapshot import write  # noqa: PLC0415
    from aks_audit.sources.azure_json import read_files  # noqa: PLC0415

    imported = read_files(arguments.files)
    write(arguments.output, imported.records)
    for note in imported.notes:
        progress.note(note)
    progress.note(f"wrote {arguments.output}: {imported.summary}")
    return INCOMPLETE if imported.damaged else OK
