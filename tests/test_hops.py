"""Steps of a walk that cannot be told: the hop names what it lacks, and itself only once."""

from aks_audit.facts import Missing, NotCollected
from aks_audit.network.flows import Passage
from aks_audit.network.hops import Hop, HopKind, Steps, told

_NETWORK = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network"
_WALL, _POLICY = f"{_NETWORK}/azureFirewalls/fw", f"{_NETWORK}/firewallPolicies/fwp"


def _unread(*ids: str) -> Steps[None]:
    yield from ()
    raise NotCollected(*(Missing(what=one, kind="not-read", reason=f"{one[-3:]} was not read") for one in ids))


def _hop(*ids: str) -> Hop:
    (hop,) = told(HopKind.FIREWALL, _WALL, _unread(*ids))
    return hop


def test_what_is_missing_is_named_once_and_the_hop_itself_is_not() -> None:
    hop = _hop(_POLICY, _WALL, _POLICY, "the list of policies")
    assert hop.says.startswith("fw cannot be told without fwp: ")
    assert (hop.passage, hop.where, len(hop.missing)) == (Passage.UNKNOWN, _WALL, 4)


def test_without_another_name_there_is_none() -> None:
    assert _hop(_WALL).says == "fw cannot be told: /fw was not read"
