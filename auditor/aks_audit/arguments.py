"""The command's arguments, and the help that teaches them. Imports nothing that a command needs to run."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from aks_audit import __version__

if TYPE_CHECKING:
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - has no public name

SEVERITIES = ("critical", "high", "medium", "low", "info")

EXIT_CODES = """\
exit codes:
  0  no finding at or over the threshold (--fail-on), and everything in scope was read
  1  findings at or over the threshold
  2  wrong usage, or input that cannot be read
  3  incomplete: a rule or the program crashed, or something in scope could not be read (wins over 0, not over 1)
"""

SCAN_EXAMPLES = """\
examples:
  aks-audit scan --output out                           audit all subscriptions that the signed-in identity sees
  aks-audit scan --demo --output out                    audit the built-in sample estate
  aks-audit scan --snapshot estate.jsonl                audit a recorded estate, print the summary
  aks-audit scan --snapshot estate.jsonl --output out   also write aks-audit.html, .json and .sarif
  aks-audit scan --snapshot a.jsonl b.jsonl.gz --checklist azure-firewall-egress --fail-on medium

"""

PATH_EXAMPLES = """\
examples:
  aks-audit path aks-payments --demo --from node --to mcr.microsoft.com:443
                                            may a node pull images, and which firewall rule says so?
  aks-audit path aks-shop --snapshot estate.jsonl --from user --to 10.20.0.5:5432
                                            do nodes of pool "user" reach a database in a peered network?
  aks-audit path aks-shop --snapshot estate.jsonl --from shop/web-7d9f --to internet
                                            with which public address does this pod leave?
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

COLLECT_EXAMPLES = """\
examples:
  aks-audit collect -o estate.jsonl                     all subscriptions that the signed-in identity sees
  aks-audit collect -o shop.jsonl --subscription shop --cluster 'aks-*'
"""

IN_CLUSTER = ("auto", "kubeconfig", "aad", "run-command", "service-account", "none")
AUTH = ("cli", "workload", "managed", "environment", "browser")
OPTIONAL_READS = {
    "alerts": "3 calls a subscription",
    "custom-roles": "1 call a subscription",
    "deployment-safeguards": "1 call a cluster",
    "diagnostic-settings": "1 call a cluster and a firewall and a registry",
    "federated-credentials": "1 call a user-assigned identity",
    "flow-logs": "1 call a subscription, 1 call a network watcher",
    "maintenance-configurations": "1 call a cluster",
    "outbound-endpoints": "1 call a cluster",
}
"""The optional reads by name, and what each costs."""

IN_CLUSTER_WAYS = """\
Read are the kinds that `aks-audit permissions --plane kubernetes` lists; never Secrets. Ways in:
  auto             whichever of service-account and kubeconfig leads there, but never as an administrator
  kubeconfig       the context whose server is the cluster's; where people sign in with Entra ID, with your Entra token
  aad              your Entra token, for the address that Azure names: one POST a cluster, listClusterUserCredential.
                   Of a cluster without Entra ID this is an administrator's credential; it is kept in memory alone
  service-account  of the pod that aks-audit runs in, for that pod's own cluster
  run-command      kubectl in a pod that AKS makes in the cluster for each call: this is a write, and slow; for private
                   clusters that cannot be reached
  none             nothing inside clusters is read
"""

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

IMPORT_EXAMPLES = """\
example:
  az aks show --resource-group GROUP --name NAME > aks.json
  aks-audit snapshot import aks.json -o estate.jsonl
  aks-audit scan --snapshot estate.jsonl
"""


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command. `command` names what was asked for."""
    parser = argparse.ArgumentParser(
        prog="aks-audit",
        description="Tells the truth about Azure Kubernetes Service clusters: asks their live or recorded state\n"
        "the questions of the best-practice checklists, scores the answers, and reports.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"aks-audit {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_scan(commands)
    _add(commands, "rules", "list the rules", "List the rules, one a line.")
    explain = _add(
        commands,
        "explain",
        "explain a rule",
        "Why a rule matters, how it is decided, how to mend it.",
        "example:\n  aks-audit explain AKS-IAM-04",
    )
    explain.add_argument("rule", metavar="RULE", help="the rule's id, such as AKS-IAM-04")
    _add(commands, "checklists", "list the checklists", "List the checklists.")
    _add_path(commands)
    _add_reach(commands)
    _add_collect(commands)
    _add_import(commands)
    _add_permissions(commands)
    return parser


def _add(commands: "Commands", name: str, summary: str, description: str, epilog: str = "") -> argparse.ArgumentParser:
    added = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    added.set_defaults(command=name)
    return added


def _add_scan(commands: "Commands") -> None:
    scan = _add(
        commands,
        "scan",
        "audit an estate and report",
        "Audit an estate and report. Prints a summary; with --output also writes files.",
        SCAN_EXAMPLES + EXIT_CODES,
    )
    _add_live(scan)
    scan.add_argument("--keep-snapshot", type=Path, metavar="FILE", help="also write what was read live")
    source = scan.add_mutually_exclusive_group()
    source.add_argument(
        "--snapshot",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="snapshot files (.jsonl, .jsonl.gz), or folders of them",
    )
    source.add_argument("--demo", action="store_true", help="audit the built-in sample estate")
    scan.add_argument("--output", type=Path, metavar="DIR", help="write the reports here (made if missing)")
    scan.add_argument(
        "--format",
        type=_names,
        metavar="F[,F]",
        help="what to make: console, html, json, sarif (default: console, and with --output all of them)",
    )
    scan.add_argument(
        "--checklist",
        action="append",
        default=[],
        metavar="NAME",
        help="ask only what this checklist asks (repeatable; `aks-audit checklists` lists them)",
    )
    scan.add_argument(
        "--fail-on",
        type=_threshold,
        default=(False, "high"),
        metavar="[new:]SEVERITY",
        help=f"exit with 1 on failures this severe or worse: {', '.join(SEVERITIES)} (default: high); with new: before "
        "it, on those alone that the baseline has not",
    )
    scan.add_argument(
        "--baseline",
        type=Path,
        metavar="REPORT",
        help="an earlier aks-audit.json: say what is new, mended, changed, or was not looked at again",
    )
    scan.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="exceptions, severities, disabled rules and sources (default: the nearest aks-audit.toml, from here up to "
        "the root of the repository)",
    )


def _add_path(commands: "Commands") -> None:
    path = _add(
        commands,
        "path",
        "walk a connection hop by hop",
        "Walk a connection from a node or pod hop by hop, as Azure would carry it: DNS, network policies,\n"
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
        help="node (of the first system pool), the name of an agent pool, or a pod as NAMESPACE/POD",
    )
    path.add_argument(
        "--to",
        dest="target",
        required=True,
        metavar="WHERE",
        help="HOST[:PORT], an address with or without port, internet, or api-server (default port: 443)",
    )
    path.add_argument("--protocol", choices=("tcp", "udp", "icmp"), default="tcp", help="default: tcp")
    path.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    _add_live(path)
    path.add_argument("--keep-snapshot", type=Path, metavar="FILE", help="also write what was read live")
    source = path.add_mutually_exclusive_group()
    source.add_argument(
        "--snapshot",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="snapshot files (.jsonl, .jsonl.gz), or folders of them",
    )
    source.add_argument("--demo", action="store_true", help="walk in the built-in sample estate")


def _add_reach(commands: "Commands") -> None:
    reach = _add(
        commands,
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
    _add_live(reach)
    reach.add_argument("--keep-snapshot", type=Path, metavar="FILE", help="also write what was read live")
    source = reach.add_mutually_exclusive_group()
    source.add_argument(
        "--snapshot",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="snapshot files (.jsonl, .jsonl.gz), or folders of them",
    )
    source.add_argument("--demo", action="store_true", help="ask about the built-in sample estate")


def _add_collect(commands: "Commands") -> None:
    collect = _add(
        commands,
        "collect",
        "read live state into a snapshot",
        "Read live state of Azure into a snapshot; audit it later with: aks-audit scan --snapshot FILE",
        COLLECT_EXAMPLES,
    )
    collect.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the snapshot to write")
    _add_live(collect)


def _add_live(command: argparse.ArgumentParser) -> None:
    live = command.add_argument_group("live state (without --snapshot and --demo)")
    _add_scope(live)
    live.add_argument(
        "--source",
        choices=("arm", "graph"),
        help="where lists are read: arm, Azure Resource Manager (the default), or graph, Azure Resource Graph: a few "
        "queries for all subscriptions, which may lag behind by minutes, and arm for what it has not whole",
    )
    _add_connection(live)
    _add_inside(command)
    live.add_argument("--dry-run", action="store_true", help="print which calls would be made, and make none of them")
    _add_log(live)


def _add_scope(live: "argparse._ArgumentGroup") -> None:
    live.add_argument(
        "--subscription",
        action="append",
        default=[],
        metavar="S",
        help="only this subscription, by id or name (repeatable; default: all that the signed-in identity sees)",
    )
    live.add_argument(
        "--resource-group", action="append", default=[], metavar="G", help="only clusters in this group (repeatable)"
    )
    live.add_argument(
        "--cluster",
        action="append",
        default=[],
        metavar="C",
        help="only these clusters, by id, name or glob (repeatable)",
    )
    live.add_argument(
        "--tag", type=_tag, action="append", default=[], metavar="K=V", help="only clusters with this tag"
    )


def _add_connection(live: "argparse._ArgumentGroup") -> None:
    live.add_argument(
        "--read",
        action="append",
        default=[],
        choices=OPTIONAL_READS,
        metavar="NAME",
        help="also read this (repeatable): " + ", ".join(f"{name} ({price})" for name, price in OPTIONAL_READS.items()),
    )
    live.add_argument(
        "--auth", choices=AUTH, help="how to sign in (default: the first of azure-identity's credentials that works)"
    )
    live.add_argument(
        "--cloud",
        default=os.environ.get("AKS_AUDIT_CLOUD", "AzureCloud"),
        metavar="CLOUD",
        help="AzureCloud, AzureUSGovernment, AzureChinaCloud or the https:// address of a Resource Manager "
        "(default: $AKS_AUDIT_CLOUD or AzureCloud)",
    )
    live.add_argument(
        "--timeout",
        type=_seconds,
        default=900.0,
        metavar="SECONDS",
        help="report what there is after this (default: 900)",
    )


def _add_log(live: "argparse._ArgumentGroup") -> None:
    live.add_argument("--log-format", choices=("text", "json"), default="text", help="of what is said on the way")
    live.add_argument("-v", "--verbose", action="store_true", help="show each call")
    live.add_argument("--quiet", action="store_true", help="say nothing on the way")


def _add_inside(command: argparse.ArgumentParser) -> None:
    inside = command.add_argument_group("state inside clusters", IN_CLUSTER_WAYS)
    inside.add_argument(
        "--in-cluster", choices=IN_CLUSTER, default="auto", help="the way into clusters (default: auto)"
    )
    inside.add_argument(
        "--kubeconfig", type=Path, metavar="FILE", help="instead of $KUBECONFIG or the file in your home directory"
    )
    inside.add_argument(
        "--context", metavar="NAME", help="this context of the kubeconfig, which must lead to the one cluster in scope"
    )
    inside.add_argument("--allow-exec", action="store_true", help="let the kubeconfig run programs to sign in")
    inside.add_argument(
        "--cluster-timeout", type=_seconds, default=120.0, metavar="SECONDS", help="for each cluster (default: 120)"
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0, such as 900")
    return seconds


def _threshold(text: str) -> tuple[bool, str]:
    new, _, severity = text.rpartition(":")
    if severity not in SEVERITIES or new not in {"", "new"}:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(SEVERITIES)}, nor one of them after new:")
    return bool(new), severity


def _tag(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form KEY=VALUE, such as environment=production")
    return key, value


def _add_import(commands: "Commands") -> None:
    snapshot = commands.add_parser("snapshot", help="make snapshots", description="Make snapshots.")
    imported = _add(
        snapshot.add_subparsers(metavar="ACTION", required=True),
        "import",
        "make a snapshot of Azure JSON",
        "Make a snapshot of plain Azure JSON: a resource, a list, {'value': […]}, the output of\n"
        "az aks show and az network … list, Resource Graph rows; plain or gzipped. What the files\n"
        "refer to and do not hold is unknown in an audit.",
        IMPORT_EXAMPLES,
    )
    imported.add_argument("files", nargs="+", type=Path, metavar="FILE", help="JSON files, or folders of them")
    imported.add_argument("-o", "--output", type=Path, required=True, metavar="SNAPSHOT", help="the snapshot to write")


def _add_permissions(commands: "Commands") -> None:
    permissions = _add(
        commands,
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
    _add_scope(live)
    _add_connection(live)
    _add_inside(permissions)
    _add_log(live)


def _scope(text: str) -> str:
    scope = text.rstrip("/")
    if not scope.lower().startswith(("/subscriptions/", "/providers/microsoft.management/managementgroups/")):
        raise argparse.ArgumentTypeError(f"{text!r} is no scope; give an id such as /subscriptions/ID")
    return scope


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
