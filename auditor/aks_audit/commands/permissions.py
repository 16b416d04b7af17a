"""`aks-audit permissions`: the roles that a scan needs, and what of them is missing."""

import argparse
import sys
from typing import TYPE_CHECKING

from aks_audit.commands import INCOMPLETE, OK, UsageError
from aks_audit.commands.live import demo, of_clusters, of_inside, request_of
from aks_audit.commands.options import add_command, add_connection, add_inside, add_log, add_scope
from aks_audit.progress import Progress

if TYPE_CHECKING:
    from aks_audit.commands.options import Commands
    from aks_audit.permission_check import Need


PLANES = ("arm", "aks-data", "kubernetes")


PERMISSIONS_EXAMPLES = """\
how to apply (GROUP is the object id of the Entra group, or of the identity, that scans):
  arm: to read clusters and their networks; the built-in role Reader permits more, and serves as well
    aks-audit permissions --plane arm --scope /subscriptions/ID > reader.json
    az role definition create --role-definition @reader.json
    az role assignment create --role "aks-audit reader" --assignee GROUP --scope /subscriptions/ID
  aks-data: to read inside clusters whose authorization is Azure RBAC
    aks-audit permissions --plane aks-data --scope /subscriptions/ID > cluster-reader.json
    az role definition create --role-definition @cluster-reader.json
    az role assignment create --role "aks-audit cluster reader" --assignee GROUP --scope CLUSTER-ID
  kubernetes: to read inside the other clusters
    aks-audit permissions --plane kubernetes > manifests.yaml
    put GROUP in the place of ENTRA-GROUP-OBJECT-ID, then: kubectl apply -f manifests.yaml
  To find the way into a cluster by Entra ID, both need this built-in role too:
    az role assignment create --role "Azure Kubernetes Service Cluster User Role" --assignee GROUP --scope CLUSTER-ID

before a scan: what of this is missing, and which rules would be unknown without it
    aks-audit permissions --check                       asks Azure
    aks-audit permissions --check --plane kubernetes    asks the API servers of the clusters
    exit codes: 0 nothing is missing, 2 wrong usage, 3 something is missing, or it is not known whether it is

Every action is a read, none by wildcard, and no Secret is read. ConfigMaps are read by name in kube-system alone; a
data action cannot say so, and permits the ConfigMaps of all namespaces. What is not permitted is unknown in the audit.
"""


def add(commands: "Commands") -> None:
    """Put the command on the parser."""
    permissions = add_command(
        commands,
        _run,
        "permissions",
        "print the roles that a scan needs",
        "Print the least-privilege roles that a scan needs: the Azure custom role, the AKS data-plane role,\n"
        "and the Kubernetes roles with their bindings, ready to apply. With --check, ask what of them is missing.",
        PERMISSIONS_EXAMPLES,
    )
    permissions.add_argument(
        "--plane",
        choices=(*PLANES, "all"),
        help="which role to print (default: all, parted by ---), or what to check (default: arm)",
    )
    permissions.add_argument(
        "--format",
        choices=("json", "yaml"),
        help="default: what applies it, JSON for az and YAML for kubectl; all planes as JSON are one object; "
        "of a check, text for a person",
    )
    permissions.add_argument(
        "--scope",
        type=_scope,
        action="append",
        default=[],
        metavar="ID",
        help="where Azure's roles can be assigned: the id of a subscription, resource group or management group "
        "(repeatable; default: a placeholder)",
    )
    permissions.add_argument(
        "--optional", action="store_true", help="permit, or check, also what a scan reads only where it is asked for"
    )
    permissions.add_argument(
        "--check",
        action="store_true",
        help="print no role; sign in, and ask Azure what a scan would lack: 1 call a subscription; with --plane "
        "aks-data, in the clusters with Azure RBAC: 1 call a subscription to list the clusters, and 1 a cluster; with "
        "--plane kubernetes, ask the clusters themselves: 1 call a subscription, and 40 to 80 GETs a cluster",
    )
    live = permissions.add_argument_group("with --check, as for a scan")
    add_scope(live)
    add_connection(live)
    add_inside(permissions)
    add_log(live)


def _scope(text: str) -> str:
    scope = text.rstrip("/")
    if not scope.lower().startswith(("/subscriptions/", "/providers/microsoft.management/managementgroups/")):
        raise argparse.ArgumentTypeError(f"{text!r} is no scope; give an id such as /subscriptions/ID")
    return scope


def _run(arguments: argparse.Namespace, progress: Progress) -> int:
    from aks_audit import permissions  # noqa: PLC0415

    if arguments.check:
        return _check(arguments, progress)
    if arguments.subscription or arguments.read or arguments.auth or of_clusters(arguments) or of_inside(arguments):
        raise UsageError("--subscription, --read, --auth and what is about clusters say what to check: with --check")
    listed = permissions.load()
    scopes = arguments.scope or ["/subscriptions/SUBSCRIPTION-ID"]
    planes = PLANES if arguments.plane in {None, "all"} else (arguments.plane,)
    made = {plane: permissions.document(plane, listed, scopes, optional=arguments.optional) for plane in planes}
    sys.stdout.write(permissions.render(made, arguments.format))
    sys.stdout.flush()
    asked = [read for read in listed.arm if arguments.optional or not read.optional]
    for action in [read.action for read in asked if not read.published] if "arm" in made else []:
        progress.note(f"left out, being in no published list of Azure's actions; needs Reader: {action}")
    for one in listed.graph if "arm" in made and arguments.optional else ():
        progress.note(f"left out, being of no role of Azure: Microsoft Graph's {one.permission}, for --read {one.read}")
    progress.note("how to apply: aks-audit permissions --help")
    return OK


def _check(arguments: argparse.Namespace, progress: Progress) -> int:
    from aks_audit import engine, snapshot  # noqa: PLC0415
    from aks_audit.consequences import Trial  # noqa: PLC0415
    from aks_audit.permission_check import as_json, as_text, conclude  # noqa: PLC0415
    from aks_audit.sources.live import permitted  # noqa: PLC0415

    needs = _needs(arguments)
    try:
        asked = permitted(request_of(arguments), needs, progress)
    finally:
        progress.close()
    check = conclude(asked, needs, Trial(snapshot.read([demo()]), engine.load_rules()))
    sys.stdout.write(as_json(check) if arguments.format == "json" else as_text(check))
    return OK if check.complete else INCOMPLETE


def _needs(arguments: argparse.Namespace) -> "list[Need]":
    """What is to be checked."""
    from aks_audit.permission_check import azure_needs, data_needs  # noqa: PLC0415
    from aks_audit.permissions import load  # noqa: PLC0415
    from aks_audit.sources.azure.plan import OPTIONAL, optional  # noqa: PLC0415
    from aks_audit.sources.kubernetes.check import needs  # noqa: PLC0415

    if arguments.scope:
        raise UsageError("--scope says where a role can be assigned; what --check asks about, --subscription says")
    if arguments.format == "yaml":
        raise UsageError("--check prints text, or with --format json JSON")
    plane, listed = arguments.plane or "arm", load()
    if plane in {"arm", "aks-data"} and (given := of_inside(arguments)):
        raise UsageError(f"{given[0]} is about the inside of clusters, and goes with --plane kubernetes or all")
    if plane == "arm" and (given := of_clusters(arguments)):
        raise UsageError(f"{given[0]} is about clusters, and goes with --plane aks-data, kubernetes or all")
    reads = optional(name for name in OPTIONAL if arguments.optional or name in arguments.read)
    azure = azure_needs(listed, [read.type for read in reads])
    of = {"arm": azure, "aks-data": data_needs(listed), "kubernetes": needs()}
    return [need for name in PLANES if plane in {name, "all"} for need in of[name]]
