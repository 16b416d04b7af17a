"""The page that lists what a scan reads and the permission for it, made of the list that the roles are made of."""

from collections.abc import Iterator
from pathlib import Path

from aks_audit.commands.permissions import PERMISSIONS_EXAMPLES
from aks_audit.consequences import Trial
from aks_audit.engine import load_rules
from aks_audit.permissions import AzureRead, KubernetesRead, Permissions, data_actions, load
from aks_audit.snapshot import read as read_snapshot

ROOT = Path(__file__).parent.parent

_HEAD = """\
# Permissions

Made by `python tests/renew.py`; `aks-audit permissions` prints the roles themselves.

The least that a scan needs, as of {day}. Sources: {sources}.

```text
{apply}```

A management group can be the scope of the role for Azure Resource Manager, once; Azure has none of roles with data
actions there.

## Before a scan

`aks-audit permissions --check` signs in as a scan does and asks Azure what the identity is permitted in each
subscription of the scope: one GET each, and nothing else is read. It tells which of the actions below are missing
where, which rules would be unknown without each and without all of them, and the commands that permit them. With
`--read NAME` and `--optional` it checks the optional reads too; `--subscription` narrows the scope, `--format json` is
for jobs. The exit code is 0 where nothing is missing, and 3 where something is or where Azure does not say.

- The rules are not from a list: the built-in sample estate is audited again without what the action reads.
  So they are at least these; an estate with what the sample has none of, such as an application gateway, may lose more.
- A scan lists whole subscriptions. A role on a resource group alone does not permit that, and does not count.
- Only the scope is asked about. What clusters lead to beyond it, such as a hub, may be refused in the scan.
- `--plane aks-data` checks the data actions in each cluster with Azure RBAC: one GET a subscription and one a cluster.
  What Kubernetes' own roles permit, Azure does not know.
- `--plane kubernetes` asks the clusters themselves, whatever their authorization. It lists the clusters, one GET a
  subscription, and goes into each by the way that a scan would go (`--in-cluster` and its options, as for `scan`), but
  for private endpoints, which it does not look up. There it asks for one object of each kind that is served, and for
  the named ConfigMaps, and keeps nothing: 40 to 80 GETs a cluster, and no POST but those of `--in-cluster aad` and
  `run-command`. What is refused is missing; what could not be asked, and a cluster without a way in, are not known.
- `--plane all` checks all three; of a cluster without Azure RBAC, only what it says itself counts.
"""


_GRAPH = """\
No role of Azure holds it, so neither the printed roles nor `--check` are about it. An administrator of Entra ID grants
it to the identity that scans, or consents to it for people; whoever owns an application may read it without."""


_KUBELETS = """\
`--read kubelet-config` needs `get` on `nodes/proxy` besides. **That is a powerful permission**: whoever has it can run
commands in every pod. No printed role holds it, and `--check` is not about it; [Security](security.md) says how to give
it for an audit alone."""


def page() -> bytes:
    """`docs/permissions.md`."""
    listed = load()
    head = _HEAD.format(
        day=listed.as_of, sources=", ".join(f"<{source}>" for source in listed.sources), apply=PERMISSIONS_EXAMPLES
    )
    return (head + "\n".join(_tables(listed)) + "\n").encode()


def _tables(listed: Permissions) -> Iterator[str]:
    yield from ("", "## Azure Resource Manager", "")
    yield from ("| action | gives | asked for | unknown without it | |", "|---|---|---|---|---|")
    trial = Trial(read_snapshot([ROOT / "auditor" / "aks_audit" / "demo" / "estate.jsonl"]), load_rules())
    yield from (
        f"| `{one.action}` | {'<br>'.join(one.reads)} | {one.call} | {_rules(one, trial)} | {_note(one)} |"
        for one in listed.arm
    )
    yield from ("", "## Microsoft Graph", "", "| permission | gives | asked for | by |", "|---|---|---|---|")
    yield from (
        f"| `{one.permission}` | {', '.join(one.reads)} | {one.call} | `--read {one.read}` |" for one in listed.graph
    )
    yield from ("", _GRAPH)
    yield from ("", "## The cluster", "", "| API group | resources | verbs | data actions |", "|---|---|---|---|")
    yield from (_row(read) for read in listed.kubernetes)
    yield from ("", _KUBELETS)


def _rules(one: AzureRead, trial: Trial) -> str:
    unknown = trial.unknown_without(one.reads)
    return "every rule" if len(unknown) == len(trial.rules) else ", ".join(sorted(unknown))


def _note(read: AzureRead) -> str:
    unpublished = "in no published list of Azure's actions, so it needs Reader"
    return "; ".join([*(["optional"] if read.optional else []), *([] if read.published else [unpublished])])


def _row(read: KubernetesRead) -> str:
    resources = ", ".join(read.reads)
    if read.names:
        resources += f" in {read.namespace}: {', '.join(read.names)}"
    actions = "<br>".join(f"`{action}`" for action in data_actions(read))
    return f"| {read.group or 'core'} | {resources} | {'get' if read.names else 'get, list'} | {actions} |"
