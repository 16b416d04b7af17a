"""Parts of bodies of container registries, api-version 2025-04-01."""

from aks_audit.snapshot import Body
from compose.azure import guid, part, reference

_SINCE = "2026-03-02T09:00:00.0000000+00:00"


def policies(*, exports: bool = True, arm_audience: bool = True, retention: bool = False) -> Body:
    """A registry's policies; by default as Azure makes them, with nothing restricted."""
    return {
        "quarantinePolicy": {"status": "disabled"},
        "trustPolicy": {"type": "Notary", "status": "disabled"},
        "retentionPolicy": {"days": 7, "lastUpdatedTime": _SINCE, "status": _status(on=retention)},
        "exportPolicy": {"status": _status(on=exports)},
        "azureADAuthenticationAsArmPolicy": {"status": _status(on=arm_audience)},
        "softDeletePolicy": {"retentionDays": 7, "lastUpdatedTime": _SINCE, "status": "disabled"},
    }


def approve(registry: Body, endpoint: Body) -> None:
    """Let a registry's body show that a private endpoint leads to it."""
    approved = {"status": "Approved", "description": "Auto-Approved", "actionsRequired": "None"}
    connection = {"privateEndpoint": reference(endpoint["id"]), "privateLinkServiceConnectionState": approved}
    own = part(registry["id"], "privateEndpointConnections", guid(endpoint["id"])[:8], connection)
    registry["properties"]["privateEndpointConnections"] = [own]


def _status(*, on: bool) -> str:
    return "enabled" if on else "disabled"
