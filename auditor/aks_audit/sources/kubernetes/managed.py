"""What a managed cluster's own body says of the ways into it. It may hold anything; what is not there is empty."""

from typing import Any

from aks_audit.facts.resource_id import parse
from aks_audit.snapshot import Resource


def hosts(cluster: Resource) -> frozenset[str]:
    """The names of its API server, in lower case and without a last dot."""
    names = (words(cluster.body, "properties", key) for key in ("fqdn", "privateFQDN", "azurePortalFQDN"))
    return frozenset({name.lower().rstrip(".") for name in names} - {""})


def entra(cluster: Resource) -> bool:
    """Whether its API server knows the users and applications of Microsoft Entra ID."""
    return isinstance(at(cluster.body, "properties", "aadProfile"), dict)


def stopped(cluster: Resource) -> bool:
    """Whether it is stopped, so that it has no API server."""
    return words(cluster.body, "properties", "powerState", "code").lower() == "stopped"


def runs_commands(cluster: Resource) -> bool:
    """Whether it lets Azure run commands in it, which is how clusters are made."""
    return at(cluster.body, "properties", "apiServerAccessProfile", "disableRunCommand") is not True


def name(cluster: Resource) -> str:
    """Its name."""
    return parse(cluster.id).name


def at(value: Any, *keys: str) -> Any:  # noqa: ANN401 - any JSON value
    """What stands at a path of keys; None where nothing does."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def words(value: Any, *keys: str) -> str:  # noqa: ANN401 - any JSON value
    """The text at a path of keys; empty where there is none."""
    found = at(value, *keys)
    return found if isinstance(found, str) else ""


def items(value: Any, *keys: str) -> list[Any]:  # noqa: ANN401 - any JSON value
    """The list at a path of keys; empty where there is none."""
    found = at(value, *keys)
    return found if isinstance(found, list) else []
