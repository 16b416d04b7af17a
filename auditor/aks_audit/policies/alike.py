"""Members of a universe with which the same becomes of the same traffic, as far as some others are concerned.

Classes (`reach`) are alike towards everybody; asked about a few, many classes are alike, and need be told of but once.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from aks_audit.policies.evaluate import Evaluation, Part, Reason, Verdict
from aks_audit.policies.model import Direction
from aks_audit.policies.universe import bits_of, numbers_in


class Between:
    """Sources and destinations, those together that are alike towards all of the others, and what is between them.

    `sources` and `destinations` are sets of members; each set is of one kind, and as near. Traffic of a member with
    itself counts as with another.
    """

    def __init__(self, evaluation: Evaluation, sources: Sequence[int], destinations: Sequence[int]) -> None:
        self._evaluation = evaluation
        self._numbers: dict[object, int] = {}
        self._known: dict[object, tuple[int, ...]] = {}
        self.closed: set[int] = set()
        """The numbers of what denies everything."""
        self.sources = self._alike(sources, destinations, Direction.EGRESS)
        self.destinations = self._alike(destinations, sources, Direction.INGRESS)
        first_sources, first_destinations = ([one[0] for one in found] for found in (self.sources, self.destinations))
        self._known = {}
        self._leaving = [self._by_peer(one, Direction.EGRESS, first_destinations) for one in first_sources]
        self._coming = [self._by_peer(one, Direction.INGRESS, first_sources) for one in first_destinations]

    def said(self, one: int, *, arriving: bool) -> Iterator[tuple[int, int]]:
        """What is said by one set of sources (`arriving`: of destinations) and by each of the other end about it.

        Sets go by their places. What is said is a number, the same for the same; first the one's own, then the other's.
        """
        own, others = (self._coming, self._leaving) if arriving else (self._leaving, self._coming)
        return zip(own[one], (other[one] for other in others), strict=True)

    def _alike(self, members: Sequence[int], peers: Sequence[int], direction: Direction) -> list[list[int]]:
        evaluation = self._evaluation
        back = Direction.INGRESS if direction is Direction.EGRESS else Direction.EGRESS
        of_peers = {evaluation.profile(peer, back): peer for peer in peers}.values()
        # What each of the peers says of the members, turned into what all of them say of each member.
        theirs = list(zip(*(self._by_peer(peer, back, members) for peer in of_peers), strict=True))
        found: dict[object, list[int]] = defaultdict(list)
        for member, of_them in zip(members, theirs or [()] * len(members), strict=True):
            one = evaluation.universe.members[member]
            found[one.endpoint.kind, one.near, self._by_peer(member, direction, peers), of_them].append(member)
        self._known = {}
        return list(found.values())

    def _by_peer(self, member: int, direction: Direction, peers: Sequence[int]) -> tuple[int, ...]:
        """What the policies of a member's own side say of its traffic with each of some peers, in their order."""
        profile = self._evaluation.profile(member, direction)
        if profile not in self._known:
            self._known[profile] = tuple(self._numbered(self._evaluation.parts(member, direction), peers))
        return self._known[profile]

    def _numbered(self, parts: Sequence[Part], peers: Sequence[int]) -> Iterable[int]:
        inside = {bits_of(peers, len(self._evaluation.universe.members)): tuple[int, ...]()}
        for at, part in enumerate(parts):
            inside = dict(_divided(inside, part.peers, at))
        sets = sorted(inside, key=int.bit_count)
        known = {one: self._number([parts[at] for at in inside[one]]) for one in sets}
        # The largest set is not taken apart: whoever is in none of the others is in it.
        found = dict.fromkeys(peers, known[sets[-1]])
        for one in sets[:-1]:
            found.update(dict.fromkeys(numbers_in(one), known[one]))
        return found.values()

    def _number(self, parts: Sequence[Part]) -> int:
        gist = frozenset((part.traffic, tuple(map(identity, part.reasons))) for part in parts)
        number = self._numbers.setdefault(gist, len(self._numbers))
        if all(part.verdict is Verdict.DENIED for part in parts):
            self.closed.add(number)
        return number


def _divided(sets: Mapping[int, tuple[int, ...]], peers: int, at: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    """The sets, each divided into who is among some peers, with one place more, and who is not."""
    for one, ats in sets.items():
        if among := one & peers:
            yield among, (*ats, at)
        if others := one & ~peers:
            yield others, ats


def identity(reason: Reason) -> object:
    """What makes a reason the same as another, without the cost of comparing policies and rules."""
    own = reason.own_node
    return reason.action, tuple(map(id, reason.policies)), id(reason.rule), reason.conditions, reason.given, own
