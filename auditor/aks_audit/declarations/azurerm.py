"""How Terraform's provider azurerm writes what Azure's own names say: `data/terraform.toml`, read once."""

import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any, NamedTuple


class Written(NamedTuple):
    """A resource of the provider.

    `type` is Azure's; `parent` the argument that names the resource around it; `arguments` gives by Azure's path,
    without `properties` and places in lists, the paths of arguments, any of which may be written; `lists` says of which
    resource of the provider the items of a list are written like.
    """

    type: str
    parent: str
    arguments: Mapping[str, tuple[str, ...]]
    lists: Mapping[str, str]


def _written(table: Mapping[str, Any]) -> Written:
    arguments = table.get("arguments", {})
    return Written(
        type=table["type"],
        parent=table.get("parent", ""),
        arguments={path.lower(): tuple(names) for path, names in arguments.items()},
        lists={path.lower(): name for path, name in table.get("lists", {}).items()},
    )


def _read() -> dict[str, Written]:
    text = (resources.files("aks_audit") / "data" / "terraform.toml").read_text(encoding="utf-8")
    return {name: _written(table) for name, table in tomllib.loads(text).items() if isinstance(table, dict)}


WRITTEN: Mapping[str, Written] = _read()
"""The provider's resources by name."""
