"""A cluster's picture as SVG.

The internet and the ways to it are on the left, the cluster's networks in the middle, its API server and what else is
joined to them on the right. Where each thing stands hangs on the picture alone, so that the same report gives the same
drawing. Colours are the page's; whatever a colour says stands there as a shape and in words, too.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from typing import NamedTuple

from markupsafe import Markup, escape

from aks_audit.picture import Box, BoxKind, ClusterPicture, Join
from aks_audit_reports.summary import count, printable

KINDS: Mapping[BoxKind, str] = {
    "internet": "",
    "network": "Virtual network",
    "subnet": "Subnet",
    "pool": "Node pool",
    "security-group": "Security group",
    "route-table": "Route table",
    "nat-gateway": "NAT gateway",
    "load-balancer": "Load balancer",
    "firewall": "Azure Firewall",
    "appliance": "Appliance",
    "api-server": "",
    "private-endpoint": "Private endpoint",
    "private-zone": "Private DNS zone",
    "dns-server": "DNS server",
}
"""What boxes are called; nothing where the name says it."""

HOSTS = {"internet": "any host"}
"""The targets of ways in a person's words, where they are not names themselves."""

ENDS = {"allowed": "\N{CHECK MARK}", "unknown": "?", "blocked": "\N{MULTIPLICATION SIGN}"}
"""How ways end, the best first, and the marks for it."""

_DRAWN = frozenset({"peered with", "in", "leads to", "named by"})
"""What is drawn as a line; what else joins boxes is said in them, or one stands in the other."""

_LEFT, _MIDDLE, _RIGHT = (0, 250), (330, 360), (770, 250)
"""Where the columns begin, and how wide they are."""

_WIDTH = 1020
_LINE, _PAD, _GAP, _CHARACTER, _BOLD = 16, 10, 14, 6.2, 7.4
_LANE = 9
_MOST_LINES = 5
_MOST_POOLS = 8
_MOST_PEERS = 4
_MOST_FARES = 3
_MARK = 46


class Mark(NamedTuple):
    """The failures that are about what a box stands for: how many, the link to the worst, and all of it in words."""

    failures: int
    link: str
    says: str


class _Node(NamedTuple):
    """A box and where it is drawn, and the boxes in it."""

    place: int
    x: int
    y: int
    width: int
    height: int
    lines: tuple[str, ...]
    inside: tuple["_Node", ...] = ()

    @property
    def middle(self) -> int:
        """The height at which lines meet it."""
        return self.y + min(self.height, 44) // 2

    def all(self) -> Iterator["_Node"]:
        """It, and all in it."""
        yield self
        for one in self.inside:
            yield from one.all()


def drawing(picture: ClusterPicture, marks: Mapping[int, Mark], name: str, key: str) -> Markup:
    """The SVG of a picture, with marks on its boxes; `key` is what ids in it begin with."""
    return _Sheet(picture, marks).svg(name, key)


def _text(text: str, room: float, character: float = _CHARACTER) -> Markup:
    """A text, cut to some room."""
    shown = printable(text).replace("\n", " ")
    most = max(4, int(room / character))
    return escape(shown if len(shown) <= most else f"{shown[: most - 1]}\N{HORIZONTAL ELLIPSIS}")


class _Sheet:
    """The boxes of a picture, laid out."""

    def __init__(self, picture: ClusterPicture, marks: Mapping[int, Mark]) -> None:
        self.boxes = picture.boxes
        self.picture = picture
        self.marks = marks
        self.drawn: dict[int, _Node] = {}
        self._lanes = 0
        self._own = [place for place, box in enumerate(self.boxes) if box.kind == "network" and self._subnets(place)]
        self._passed = {place for way in picture.ways for place in way.boxes}
        self._ends = _ends(picture)
        nodes = [*self._middle(), *self._left(), *self._right()]
        for node in chain.from_iterable(one.all() for one in nodes):
            self.drawn.setdefault(node.place, node)
        self._nodes = nodes

    def svg(self, name: str, key: str) -> Markup:
        """The whole drawing."""
        boxes = chain.from_iterable(map(self._drawn, self._nodes))
        below, above = self._connections()
        parts = [*below, *boxes, *above, *self._ways(), *self._said_of_ends(), *self._marks()]
        height = max(node.y + node.height for node in self._nodes) + _GAP
        title = Markup('<title id="{0}-title">{1}</title><desc id="{0}-desc">{2}</desc>').format(
            key, _text(f"The network of {name}", 900), _text(self._described(), 6000)
        )
        return Markup(
            '<svg class="network" role="group" aria-labelledby="{0}-title" aria-describedby="{0}-desc" '
            'viewBox="-6 -6 {1} {2}">{3}{4}</svg>'
        ).format(key, _WIDTH + 12, height + 12, title, Markup("").join(parts))

    # --- where things stand

    def _joined(self, kind: str, source: int) -> list[int]:
        return [join.target for join in self.picture.joins if join.kind == kind and join.source == source]

    def _sources(self, kind: str, target: int) -> list[int]:
        return [join.source for join in self.picture.joins if join.kind == kind and join.target == target]

    def _subnets(self, network: int | None) -> list[int]:
        return [place for place, box in enumerate(self.boxes) if box.kind == "subnet" and box.inside == network]

    def _within(self, network: int) -> list[int]:
        """What stands in a network beside subnets."""
        return [place for place, box in enumerate(self.boxes) if box.inside == network and box.kind != "subnet"]

    def _middle(self) -> list[_Node]:
        public = any(join.kind == "leads to" and join.source == 0 for join in self.picture.joins)
        x, width = _MIDDLE
        y = 64 if public else 0
        found: list[_Node] = []
        for network in self._own:
            node = self._container(network, x, y, width, [*self._within(network), *self._subnets(network)])
            found.append(node)
            y += node.height + _GAP
        alone = self._subnets(None)
        pools = [
            place for place, box in enumerate(self.boxes) if box.kind == "pool" and not self._joined("nodes in", place)
        ]
        return [*found, *self._stack([*alone, *pools], x, y, width)]

    def _left(self) -> list[_Node]:
        x, width = _LEFT
        internet = self._plain(0, x, 0, width)
        homes = [place for place in self._passed if self.boxes[place].kind not in {"internet", "subnet"}]
        outer: dict[int, None] = {}
        for place in sorted(homes):
            inside = self.boxes[place].inside
            if inside is None:
                outer.setdefault(place)
            elif inside not in self._own:
                outer.setdefault(inside)
        below = internet.height + 2 * _GAP + _LINE * len(self._ends)
        return [internet, *self._stack(outer, x + 28, below, width - 28)]

    def _right(self) -> list[_Node]:
        x, width = _RIGHT
        kinds: Sequence[BoxKind] = ("api-server", "private-endpoint", "private-zone", "dns-server")
        found = [
            place for kind in kinds for place, box in enumerate(self.boxes) if box.kind == kind and (box.inside is None)
        ]
        left = {self.boxes[place].inside for place in self._passed}
        peers = [
            place
            for place, box in enumerate(self.boxes)
            if box.kind == "network" and place not in self._own and place not in left
        ]
        return self._stack([*found, *peers[:_MOST_PEERS]], x, 0, width)

    def _stack(self, places: Iterable[int], x: int, y: int, width: int) -> list[_Node]:
        """Boxes one below the other; pools two in a row."""
        found: list[_Node] = []
        half = (width - _PAD) // 2
        for place in places:
            last = found[-1] if found else None
            pool = self.boxes[place].kind == "pool"
            if last and pool and self.boxes[last.place].kind == "pool" and last.x == x:
                node = self._node(place, x + half + _PAD, last.y, half)
            else:
                node = self._node(place, x, y, half if pool else width)
            found.append(node)
            y = max(y, node.y + node.height + _GAP)
        return found

    def _node(self, place: int, x: int, y: int, width: int) -> _Node:
        kind = self.boxes[place].kind
        if kind == "network":
            return self._container(place, x, y, width, self._within(place))
        if kind == "subnet":
            return self._container(place, x, y, width, self._of_subnet(place))
        return self._plain(place, x, y, width)

    def _of_subnet(self, subnet: int) -> list[int]:
        """What is drawn in a subnet: what guards and routes it, its pools, and what guards their nodes."""
        pools = self._sources("nodes in", subnet)
        on_nodes = dict.fromkeys(chain.from_iterable(self._joined("guarded by", pool) for pool in pools))
        own = [*self._joined("guarded by", subnet), *self._joined("routed by", subnet)]
        return list(dict.fromkeys([*own, *pools[:_MOST_POOLS], *on_nodes]))

    def _container(self, place: int, x: int, y: int, width: int, inside: Iterable[int]) -> _Node:
        lines = self._lines(place)
        top = y + self._head(place) + _LINE * len(lines) + _PAD
        nodes = self._stack(inside, x + _PAD, top, width - 2 * _PAD)
        end = max((node.y + node.height for node in nodes), default=top - _PAD) + _PAD
        return _Node(place, x, y, width, end - y, lines, tuple(nodes))

    def _plain(self, place: int, x: int, y: int, width: int) -> _Node:
        lines = self._lines(place)
        return _Node(place, x, y, width, self._head(place) + _LINE * len(lines) + _PAD // 2, lines)

    def _head(self, place: int) -> int:
        return _PAD + _LINE * (2 if KINDS[self.boxes[place].kind] else 1)

    def _lines(self, place: int) -> tuple[str, ...]:
        """What is said in a box: its facts, what it is joined to without a line, and that it was not read."""
        box = self.boxes[place]
        lines = [*box.lines[:_MOST_LINES], *self._joins_in_words(place)]
        if box.kind == "subnet":
            pools = self._sources("nodes in", place)
            lines += [f"and {count(len(pools) - _MOST_POOLS, 'pool')} more"] if len(pools) > _MOST_POOLS else []
            pods = [self.boxes[pool].name for pool in self._sources("pods in", place)]
            lines += [f"pods of {', '.join(pods)}"] if pods else []
        if box.unread:
            lines.append("? in part not read" if box.seen else "? not read")
        return tuple(lines)

    def _joins_in_words(self, place: int) -> Iterator[str]:
        for join in self.picture.joins:
            other = self.boxes[join.source]
            if join.target == place and join.kind == "peered with":
                yield f"peered with {other.name}: {join.says or 'state not known'}"
            elif join.target == place and join.kind == "asks" and self.boxes[place].kind == "private-zone":
                yield f"asked in {other.name}{'' if join.says == 'Completed' else f': {join.says}'}"
            elif join.source == place and join.kind == "asks" and self.boxes[join.target].kind != "private-zone":
                yield f"DNS: {self.boxes[join.target].name}"
            elif join.target == place and join.kind == "guarded by" and join.says:
                yield join.says
                return

    # --- lines between boxes

    def _connections(self) -> tuple[list[Markup], list[Markup]]:
        """The lines between boxes: those within the right column, which pass behind boxes, and the others."""
        drawn = [join for join in self.picture.joins if join.kind in _DRAWN and self._both(join)]
        behind = [self.drawn[join.source].x >= _RIGHT[0] and self.drawn[join.target].x >= _RIGHT[0] for join in drawn]
        below = [self._connected(join) for join, hidden in zip(drawn, behind, strict=True) if hidden]
        return below, [self._connected(join) for join, hidden in zip(drawn, behind, strict=True) if not hidden]

    def _both(self, join: Join) -> bool:
        return join.source in self.drawn and join.target in self.drawn

    def _connected(self, join: Join) -> Markup:
        one, other = self.drawn[join.source], self.drawn[join.target]
        broken = join.kind == "peered with" and join.says != "Connected"
        if join.source == 0:
            return _path("join", f"M{one.x + one.width} {one.y + 14}H{other.x}", "right", other.x, one.y + 14)
        if one.x >= _RIGHT[0] and other.x >= _RIGHT[0]:
            upper, lower = sorted((one, other), key=lambda node: node.y)
            x = upper.x + 24
            return _path("join", f"M{x} {upper.y + upper.height}V{lower.y}")
        near, far = sorted((one, other), key=lambda node: node.x)
        if far.x >= _RIGHT[0] and near.x >= _MIDDLE[0]:
            lane = _RIGHT[0] - 12 - self._lane()
            edge = near.x + near.width
            drawn = _path("join", f"M{edge} {near.middle}H{lane}V{far.middle}H{far.x}")
            return drawn + _sign("blocked", lane, (near.middle + far.middle) // 2) if broken else drawn
        if far.x < _RIGHT[0] and near.x < _MIDDLE[0] and far.x >= _MIDDLE[0]:
            lane = _LEFT[0] + _LEFT[1] + 12 + self._lane()
            drawn = _path("join", f"M{far.x} {far.middle}H{lane}V{near.middle}H{near.x + near.width}")
            return drawn + _sign("blocked", lane, (near.middle + far.middle) // 2) if broken else drawn
        return Markup("")

    def _lane(self) -> int:
        """The next free lane between two columns."""
        self._lanes = (self._lanes + 1) % 6
        return self._lanes * _LANE

    def _ways(self) -> Iterator[Markup]:
        """The ways from subnets to what they pass, and to the internet: of several to there, how the best one ends."""
        hops: dict[tuple[int, int], None] = {}
        outs: dict[int, set[str]] = {}
        for way in self.picture.ways:
            passed = [place for place in way.boxes if place in self.drawn and place != 0]
            hops.update(dict.fromkeys(pairwise(passed)))
            if passed:
                outs.setdefault(passed[-1], set()).add(way.end)
        for one, other in hops:
            yield self._hop(self.drawn[one], self.drawn[other])
        for last, ends in outs.items():
            yield self._out(self.drawn[last], next(end for end in ENDS if end in ends))

    def _hop(self, one: _Node, other: _Node) -> Markup:
        lane = _LEFT[0] + _LEFT[1] + 12 + self._lane()
        x = other.x + other.width if other.x < _MIDDLE[0] else other.x
        way = "left" if other.x < _MIDDLE[0] else "right"
        return _path("way", f"M{one.x} {one.middle + 8}H{lane}V{other.middle + 8}H{x}", way, x, other.middle + 8)

    def _out(self, last: _Node, end: str) -> Markup:
        internet = self.drawn[0]
        style = f"way {end}" if end != "allowed" else "way"
        if last.x < _MIDDLE[0]:
            bottom = internet.y + internet.height
            line = f"M{last.x} {last.middle}H{_LEFT[0] + 12}V{bottom}"
            drawn = _path(style, line, "up", _LEFT[0] + 12, bottom)
            return drawn if end == "allowed" else drawn + _sign(end, _LEFT[0] + 12, (bottom + last.middle) // 2 + 20)
        lane = _LEFT[0] + _LEFT[1] + 12 + self._lane()
        edge = internet.x + internet.width
        drawn = _path(
            style, f"M{last.x} {last.middle - 8}H{lane}V{internet.middle + 8}H{edge}", "left", edge, internet.middle + 8
        )
        return drawn if end == "allowed" else drawn + _sign(end, lane, (internet.middle + last.middle) // 2)

    def _said_of_ends(self) -> Iterator[Markup]:
        internet = self.drawn[0]
        for number, (end, told) in enumerate(self._ends):
            y = internet.y + internet.height + _LINE * (number + 1)
            yield Markup('<text class="end {}" x="28" y="{}">{} {}</text>').format(
                end, y, ENDS.get(end, "+"), _text(told, _LEFT[1] - 44)
            )

    # --- boxes

    def _drawn(self, node: _Node) -> Iterator[Markup]:
        box, mark = self.boxes[node.place], self.marks.get(node.place)
        classes = " ".join(["box", box.kind, *([] if box.seen else ["unseen"]), *(["failing"] if mark else [])])
        yield Markup('<g class="{}"><title>{}</title><rect x="{}" y="{}" width="{}" height="{}" rx="6"/>').format(
            classes, _text(_whole(box), 4000), node.x, node.y, node.width, node.height
        )
        yield from self._words(node, box, marked=mark is not None)
        yield Markup("</g>")
        for one in node.inside:
            yield from self._drawn(one)

    def _marks(self) -> Iterator[Markup]:
        """The marks, over all else; a box that is drawn twice has one each time."""
        for node in chain.from_iterable(one.all() for one in self._nodes):
            if mark := self.marks.get(node.place):
                yield _marked(mark, node.x + node.width, node.y)

    def _words(self, node: _Node, box: Box, *, marked: bool) -> Iterator[Markup]:
        x, y, room = node.x + _PAD, node.y + _PAD + 6, node.width - 2 * _PAD
        head = room - _MARK if marked else room
        if KINDS[box.kind]:
            yield _line("kind", x, y, _text(KINDS[box.kind], head))
            y += _LINE
        yield _line("name", x, y, _text(box.name, head if not KINDS[box.kind] else room, _BOLD))
        for line in node.lines:
            y += _LINE
            yield _line("said", x, y, _text(line, room))

    def _described(self) -> str:
        """The picture in words, for those who do not see it."""
        names = [box.name for box in self.boxes]
        nets = "; ".join(
            f"{names[place]} with {', '.join(names[one] for one in self._subnets(place))}" for place in self._own
        )
        failing = "; ".join(f"{names[place]}: {count(mark.failures, 'failure')}" for place, mark in self.marks.items())
        ways = "; ".join(f"{told} {end}".strip() for end, told in self._ends)
        return (
            f"Networks: {nets or 'none known'}. Ways out: {ways or 'none known'}. Failing: {failing or 'nothing here'}."
        )


def _ends(picture: ClusterPicture) -> list[tuple[str, str]]:
    """How the ways end, in few words: the end and the hosts; with the pools, where not all of them fare alike."""
    fares: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for way in picture.ways:
        fares.setdefault(way.pools, {}).setdefault(way.end, []).append(HOSTS.get(way.to, way.to.partition(":")[0]))
    alike = all(fare == next(iter(fares.values())) for fare in fares.values())
    shown = list(fares.items())[: 1 if alike else _MOST_FARES]
    ends = [
        (end, ", ".join(hosts) if alike else f"{_first(pools)}: {', '.join(hosts)}")
        for pools, fare in shown
        for end, hosts in fare.items()
    ]
    more = 0 if alike else len(fares) - len(shown)
    return [*ends, ("", f"{count(more, 'group')} of pools more, told below")] if more else ends


def _first(pools: Sequence[str]) -> str:
    return pools[0] if len(pools) == 1 else f"{pools[0]} and {len(pools) - 1} more"


def _whole(box: Box) -> str:
    """All that is known of a box, in a line; shown when it is pointed at."""
    lead = f"{KINDS[box.kind]} {box.name}".strip()
    return ". ".join([lead, *box.lines, *box.unread])


def _line(style: str, x: int, y: int, text: Markup) -> Markup:
    return Markup('<text class="{}" x="{}" y="{}">{}</text>').format(style, x, y, text)


_HEADS = {"left": "l8-4v8z", "right": "l-8-4v8z", "up": "l-4 8h8z"}


def _path(style: str, line: str, head: str = "", x: int = 0, y: int = 0) -> Markup:
    drawn = Markup('<path class="{}" d="{}"/>').format(style, line)
    return drawn + Markup('<path class="head {}" d="M{} {}{}"/>').format(style, x, y, _HEADS[head]) if head else drawn


def _sign(end: str, x: int, y: int) -> Markup:
    """Where a way is cut off, or cannot be told."""
    return Markup('<g class="sign {}"><circle cx="{}" cy="{}" r="8"/><text x="{}" y="{}">{}</text></g>').format(
        end, x, y, x, y + 4, ENDS[end]
    )


def _marked(mark: Mark, right: int, top: int) -> Markup:
    """The mark of what fails: a link with a cross and how many."""
    return Markup(
        '<a class="mark" href="{0}" aria-label="{1}"><title>{1}</title><path d="M{2} {3}h30l7 10-7 10h-30l-7-10z"/>'
        '<text x="{4}" y="{5}">\N{MULTIPLICATION SIGN} {6}</text></a>'
    ).format(mark.link, _text(mark.says, 3000), right - 40, top - 6, right - 25, top + 8, min(mark.failures, 99))
