"""Options that several commands share, and the help that teaches them."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from aks_audit.progress import Progress
    from aks_audit.shards import Share

    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - has no public name
    Run: TypeAlias = Callable[[argparse.Namespace, Progress], int]


IN_CLUSTER = ("auto", "kubeconfig", "aad", "run-command", "service-account", "none")


AUTH = ("cli", "workload", "managed", "environment", "browser")


OPTIONAL_READS = {
    "alerts": "4 calls a subscription",
    "app-credentials": "1 call a service principal of a cluster",
    "backups": "1 call a subscription, 1 call a backup vault",
    "conditional-access": "1 call a tenant",
    "custom-roles": "1 call a subscription",
    "defender-plans": "1 call a subscription",
    "deployment-safeguards": "1 call a cluster",
    "diagnostic-settings": "1 call a cluster and a firewall and a registry",
    "eligible-roles": "1 call a subscription",
    "extensions": "1 call a cluster",
    "federated-credentials": "1 call a user-assigned identity",
    "fleets": "1 call a subscription, 1 call a fleet",
    "flow-logs": "1 call a subscription, 1 call a network watcher",
    "kubelet-config": "1 call a node",
    "kubernetes-versions": "1 call a region of clusters",
    "maintenance-configurations": "1 call a cluster",
    "outbound-endpoints": "1 call a cluster",
    "policy-states": "1 call for 250 subscriptions, 1 call a subscription with a cluster that no state is told of",
    "quotas": "1 call a region of clusters",
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


def add_command(  # noqa: PLR0913, PLR0917 - what a command is
    commands: "Commands", run: "Run", name: str, summary: str, description: str, epilog: str = ""
) -> argparse.ArgumentParser:
    """Put a command on the parser: what runs it and gives the exit code, its name and its texts."""
    added = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    added.set_defaults(run=run)
    return added


def add_estate(command: argparse.ArgumentParser, demo: str) -> None:
    """Put on a command which estate it is about: recorded, live, or the sample; `demo` says what it does there."""
    add_live(command)
    command.add_argument("--keep-snapshot", type=Path, metavar="FILE", help="also write what was read live")
    source = command.add_mutually_exclusive_group()
    source.add_argument(
        "--snapshot",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="snapshot files (.jsonl, .jsonl.gz), or folders of them",
    )
    source.add_argument("--demo", action="store_true", help=demo)


def add_live(command: argparse.ArgumentParser) -> None:
    """Put on a command what is read live and how."""
    live = command.add_argument_group("live state (without --snapshot and --demo)")
    add_scope(live)
    live.add_argument(
        "--source",
        choices=("arm", "graph"),
        help="where lists are read: arm, Azure Resource Manager (the default), or graph, Azure Resource Graph: a few "
        "queries for all subscriptions, which may lag behind by minutes, and arm for what it has not whole",
    )
    add_connection(live)
    add_inside(command)
    live.add_argument("--dry-run", action="store_true", help="print which calls would be made, and make none of them")
    add_log(live)


def add_scope(live: "argparse._ArgumentGroup") -> None:
    """Put on a command which clusters are meant."""
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
    live.add_argument("--tag", type=tag, action="append", default=[], metavar="K=V", help="only clusters with this tag")


def add_shard(command: argparse.ArgumentParser) -> None:
    """Put on a command that it can take a share of the subscriptions in scope."""
    command.add_argument(
        "--shard",
        type=share,
        default=_share_of_job(),
        metavar="K/N",
        help="only the Kth of N shares of the subscriptions in scope, such as 3/8; `aks-audit merge` unites the shares "
        "(default: all, or in an Indexed Job share $AKS_AUDIT_SHARD_INDEX + 1 of $AKS_AUDIT_SHARDS)",
    )


def _share_of_job() -> str | None:
    """The share of a pod of an Indexed Job of Kubernetes, whose indexes begin with 0."""
    index, of = (os.environ.get(f"AKS_AUDIT_{name}", "") for name in ("SHARD_INDEX", "SHARDS"))
    if not index and not of:
        return None
    return f"{int(index) + 1 if index.isdecimal() else index}/{of}"


def add_connection(live: "argparse._ArgumentGroup") -> None:
    """Put on a command how Azure is asked."""
    live.add_argument(
        "--read",
        action="append",
        default=[],
        choices=OPTIONAL_READS,
        metavar="NAME",
        help="also read this (repeatable): " + ", ".join(f"{name} ({price})" for name, price in OPTIONAL_READS.items()),
    )
    add_sign_in(live)
    live.add_argument(
        "--timeout",
        type=seconds,
        default=900.0,
        metavar="SECONDS",
        help="report what there is after this (default: 900)",
    )


def add_sign_in(live: "argparse._ArgumentGroup") -> None:
    """Put on a command how to sign in, and where."""
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


def add_log(live: "argparse._ArgumentGroup") -> None:
    """Put on a command what is said on the way."""
    live.add_argument("--log-format", choices=("text", "json"), default="text", help="of what is said on the way")
    live.add_argument("-v", "--verbose", action="store_true", help="show each call")
    live.add_argument("--quiet", action="store_true", help="say nothing on the way")


def add_inside(command: argparse.ArgumentParser) -> None:
    """Put on a command the way into clusters."""
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
        "--cluster-timeout", type=seconds, default=120.0, metavar="SECONDS", help="for each cluster (default: 120)"
    )


def add_rules(command: argparse.ArgumentParser) -> None:
    """Put on a command further rules than those that are installed."""
    command.add_argument(
        "--rules",
        action="append",
        type=Path,
        default=[],
        metavar="DIR",
        help="also the rules of this folder: *.py and *.rule.toml (repeatable; its Python code is run)",
    )


def seconds(text: str) -> float:
    """Read a number of seconds above 0."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0, such as 900")
    return seconds


def share(text: str) -> "Share":
    """Read a share of a fleet as K/N."""
    from aks_audit import shards  # noqa: PLC0415 - only where it was asked for

    try:
        return shards.read(text)
    except shards.ShardError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def tag(text: str) -> tuple[str, str]:
    """Read a tag as KEY=VALUE."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form KEY=VALUE, such as environment=production")
    return key, value
