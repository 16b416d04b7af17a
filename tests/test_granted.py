"""What an identity is permitted, as Azure's list of permissions tells it."""

import asyncio
import json

import pytest

from aks_audit.snapshot import Gap
from aks_audit.sources.azure.granted import Grant, Granted, granted
from aks_audit.sources.azure.pipeline import Answer
from aks_audit.sources.azure.reader import Reader

READ = "Microsoft.Network/routeTables/read"
SCOPE = "/subscriptions/11111111-1111-1111-1111-111111111111"


@pytest.mark.parametrize(
    ("actions", "not_actions", "permitted"),
    [
        ((), (), False),
        ((READ,), (), True),
        ((READ.upper(),), (), True),
        (("*",), (), True),
        (("*/read",), (), True),
        (("Microsoft.Network/*",), (), True),
        (("Microsoft.Network/*/read",), (), True),
        (("microsoft.network/routetables/*",), (), True),
        (("Microsoft.Network/routeTables",), (), False),
        (("Microsoft.Network/routeTables/write",), (), False),
        (("Microsoft.Network/routeTables/routes/read",), (), False),
        (("Microsoft-Network/routeTables/read",), (), False),
        (("Microsoft?Network/routeTables/read",), (), False),
        (("Microsoft.Network/*/*/read",), (), False),
        (("*",), ("Microsoft.Network/*",), False),
        (("*/read",), ("MICROSOFT.NETWORK/ROUTETABLES/READ",), False),
        (("*",), ("Microsoft.Authorization/*/Write",), True),
    ],
)
def test_a_role_permits_its_actions_without_its_not_actions(
    actions: tuple[str, ...], not_actions: tuple[str, ...], permitted: object
) -> None:
    assert Granted((Grant(actions, not_actions),)).permits(READ) is permitted


def test_what_one_role_leaves_out_another_may_permit() -> None:
    without = Grant(("*",), ("Microsoft.Network/*",))
    assert not Granted((without, Grant(("Microsoft.Compute/*",)))).permits(READ)
    assert Granted((without, Grant(("*/read",)))).permits(READ)
    assert not Granted(()).permits(READ)


def test_data_actions_are_permitted_apart_from_actions() -> None:
    pods, secrets = (f"Microsoft.ContainerService/managedClusters/{kind}/read" for kind in ("pods", "secrets"))
    wide = Granted((Grant(("*",)), Grant(data_actions=("*/read",), not_data_actions=(secrets.upper(),))))
    assert wide.permits_data(pods)
    assert not wide.permits_data(secrets)
    assert not Granted((Grant(("*",)),)).permits_data(pods)
    assert not Granted((Grant(data_actions=("*",)),)).permits(READ)


def read(*bodies: object) -> Granted | Gap:
    pages = iter(bodies)

    async def get(_url: str) -> Answer:
        return Answer(200, json.dumps(next(pages)).encode())

    return asyncio.run(granted(Reader(get), SCOPE))


def test_permissions_are_read_to_the_last_page() -> None:
    first = {"value": [{"actions": ["*"], "notActions": ["Microsoft.Network/*"], "dataActions": []}], "nextLink": "/2"}
    found = read(first, {"value": [{"actions": [READ], "notActions": []}]})
    assert isinstance(found, Granted)
    assert found.permits(READ)
    assert not found.permits("Microsoft.Network/natGateways/read")


@pytest.mark.parametrize(
    "item", [{"actions": "*"}, {"actions": [1]}, {"actions": ["*"], "notActions": None}, None, "*"]
)
def test_what_cannot_be_read_permits_nothing_and_is_told(item: object) -> None:
    found = read({"value": [item]})
    assert isinstance(found, Gap)
    assert (found.id, found.cause) == (SCOPE, "not-read")
