"""A fleet, and the snapshots that its shards would write, of the records of a scan of it all."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from aks_audit.facts.resource_id import parse
from aks_audit.shards import Share
from aks_audit.snapshot import Gap, Header, Listing, Record, Resource, Shard
from aks_audit.sources.azure.collect import not_asked
from aks_audit.sources.azure.plan import OPTIONAL
from compose.azure import Subscription, guid
from compose.clusters import agent_pool, load_balancer_outbound, managed_cluster, overlay
from compose.networks import subnet, virtual_network
from compose.nodes import NodeGroup, Service
from compose.snapshots import recorded

NETWORKS = "microsoft.network/virtualnetworks"


class Whole(NamedTuple):
    """A scan of a whole fleet: its header, with the scope in order, and its other records."""

    header: Header
    records: tuple[Record, ...]

    @property
    def all(self) -> tuple[Record, ...]:
        """The records of its snapshot."""
        return (self.header, *self.records)

    def shard(self, share: Share) -> list[Record]:
        """What a shard writes: its subscriptions, what is in none, and a network of each other that it followed to."""
        mine = tuple(share.part(self.header.scope))
        shard = Shard(share.number, share.of, self.header.scope)
        header = msgspec.structs.replace(self.header, scope=mine, shard=shard)
        own = {one.lower() for one in mine}
        kept = [one for one in self.records if (where := subscription(one)) in own or not where]
        return [header, *kept, *(one for where, one in self._networks.items() if where not in own)]

    def shards(self, of: int) -> list[list[Record]]:
        """What each of so many shards writes."""
        return [self.shard(Share(number, of)) for number in range(1, of + 1)]

    @property
    def _networks(self) -> dict[str, Record]:
        """A network of each subscription, by the subscription's id."""
        networks = (one for one in self.records if isinstance(one, Resource) and one.type.lower() == NETWORKS)
        return {subscription(one): one for one in networks}


def whole(records: Sequence[Record]) -> Whole:
    """A scan by its records, of which one is its header."""
    header = next(one for one in records if isinstance(one, Header))
    others = tuple(one for one in records if one is not header)
    return Whole(msgspec.structs.replace(header, scope=tuple(sorted(header.scope))), others)


def subscription(record: Record) -> str:
    """The id, in lower case, of the subscription that a record is about; empty where it is about none."""
    where = record.scope if isinstance(record, Listing) else record.id if isinstance(record, Gap | Resource) else ""
    name = parse(where).subscription.lower()
    return f"/subscriptions/{name}" if name else ""


def clusters_of(seed: str, subscriptions: int) -> Whole:
    """A scan of a cluster and a network in each of so many subscriptions, whose ids come of the seed."""
    own = [Subscription(guid(seed, str(number))) for number in range(subscriptions)]
    bodies = []
    for number, one in enumerate(own):
        group, name = one.group("rg-aks"), f"aks-{number:02}"
        node_group = f"MC_{group.name}_{name}_{group.location}"
        outbound = load_balancer_outbound(group, name, node_group)
        cluster = managed_cluster(group, name, [agent_pool("nodepool1", 3)], networkProfile=overlay(**outbound))
        made = NodeGroup(cluster, outbound=f"20.1.{number}.10").bodies([Service("default/web", f"20.1.{number}.11")])
        network = group.of("virtualNetworks", "vnet-aks")
        nodes = [subnet(network, "snet-nodes", f"10.{number}.0.0/22")]
        bodies += [cluster, *made, virtual_network(group, "vnet-aks", f"10.{number}.0.0/16", nodes)]
    return whole([*recorded(own, bodies), *not_asked(sorted(OPTIONAL))])
