"""A cluster's network as a picture: boxes, what joins them, the ways out, and who reaches whom inside. Values only."""

from typing import Literal, TypeAlias

from aks_audit.results import Record

BoxKind: TypeAlias = Literal[
    "internet",
    "network",
    "subnet",
    "pool",
    "security-group",
    "route-table",
    "nat-gateway",
    "load-balancer",
    "firewall",
    "appliance",
    "api-server",
    "private-endpoint",
    "private-zone",
    "dns-server",
]
"""What a box stands for."""


class Box(Record, frozen=True, omit_defaults=True):
    """Something in a picture: a resource by its ARM id, or what has none, such as the internet (an empty id).

    `also` are the ids of further resources that it stands for, such as a firewall's policy. `inside` is the position of
    the box that holds it. `lines` are facts in few words. `pointers` are the parts of the cluster's own body that it
    stands for (RFC 6901). `unread` says what is not known of it and why; where nothing of it is known but that it is
    there, `seen` is false.
    """

    kind: BoxKind
    name: str
    id: str = ""
    inside: int | None = None
    lines: tuple[str, ...] = ()
    pointers: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    seen: bool = True


JoinKind: TypeAlias = Literal[
    "nodes in", "pods in", "guarded by", "routed by", "leaves by", "peered with", "asks", "in", "leads to", "named by"
]
"""How a box is joined to another: read it from the first box to the second."""


class Join(Record, frozen=True, omit_defaults=True):
    """Two boxes that belong together, by their positions, and what is to be said of it (`Connected`)."""

    kind: JoinKind
    source: int
    target: int
    says: str = ""


Passage: TypeAlias = Literal["allowed", "blocked", "unknown"]


class Step(Record, frozen=True, omit_defaults=True):
    """A hop of a way, as `aks-audit path` tells it, and the position of the box where it is."""

    kind: str
    says: str
    box: int | None = None
    passage: Passage | None = None
    by: str = ""


class WayOut(Record, frozen=True):
    """How connections from the nodes of some pools to a target go, and how that ends.

    `boxes` are those that they pass, in order, up to where they are stopped; `decided_by` is the position of a step.
    """

    pools: tuple[str, ...]
    to: str
    end: Passage
    decided_by: int
    boxes: tuple[int, ...]
    steps: tuple[Step, ...]


class Inhabitants(Record, frozen=True):
    """Who reaches whom inside a cluster by its network policies, from each place (rows) to each (columns).

    Places are namespaces and what is beside them; `left_out` counts the namespaces past those that are shown. A cell
    holds what is seen of the traffic: `allowed`, `conditional`, `unknown`, `denied`; none where nobody is there.
    `engine` is null where it is not known what enforces policies; `missing` says what was not read.
    """

    engine: str | None
    policies: int
    places: tuple[str, ...]
    cells: tuple[tuple[tuple[str, ...], ...], ...]
    left_out: int
    missing: tuple[str, ...]


class ClusterPicture(Record, frozen=True):
    """The picture of a cluster (by its id). `reach` is null where nobody asked what is inside."""

    cluster: str
    boxes: tuple[Box, ...]
    joins: tuple[Join, ...]
    ways: tuple[WayOut, ...]
    reach: Inhabitants | None = None
