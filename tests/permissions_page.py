"""The page that lists what a scan reads and the permission for it, made of the list that the roles are made of."""

from collections.abc import Iterator

from aks_audit.arguments import PERMISSIONS_EXAMPLES
from aks_audit.permissions import AzureRead, KubernetesRead, Permissions, data_actions, load

_HEAD = """\
# Permissions

Made by `python tests/renew.py`; `aks-audit permissions` prints the roles themselves.

The least that a scan needs, as of {day}. Sources: {sources}.

```text
{apply}```

A management group can be the scope of the role for Azure Resource Manager, once; Azure has none of roles with data
actions there.
"""


def page() -> bytes:
    """`docs/permissions.md`."""
    listed = load()
    head = _HEAD.format(
        day=listed.as_of, sources=", ".join(f"<{source}>" for source in listed.sources), apply=PERMISSIONS_EXAMPLES
    )
    return (head + "\n".join(_tables(listed)) + "\n").encode()


def _tables(listed: Permissions) -> Iterator[str]:
    yield from ("", "## Azure Resource Manager", "", "| action | gives | asked for | |", "|---|---|---|---|")
    yield from (f"| `{read.action}` | {'<br>'.join(read.reads)} | {read.call} | {_note(read)} |" for read in listed.arm)
    yield from ("", "## The cluster", "", "| API group | resources | verbs | data actions |", "|---|---|---|---|")
    yield from (_row(read) for read in listed.kubernetes)


def _note(read: AzureRead) -> str:
    if not read.optional:
        return ""
    return "optional" if read.published else "optional; in no published list of Azure's actions, so it needs Reader"


def _row(read: KubernetesRead) -> str:
    resources = ", ".join(read.reads)
    if read.names:
        resources += f" in {read.namespace}: {', '.join(read.names)}"
    actions = "<br>".join(f"`{action}`" for action in data_actions(read))
    return f"| {read.group or 'core'} | {resources} | {'get' if read.names else 'get, list'} | {actions} |"
