"""What policies decide: for an endpoint and a direction, with which peers which traffic is allowed, and by which rule.

Everything is decided for all peers at once, as products of peers and traffic.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import groupby
from math import inf
from typing import NamedTuple, TypeAlias, TypeVar

from aks_audit.network.addresses import RangeSet
from aks_audit.policies.model import (
    ALL_TRAFFIC,
    EVERYONE,
    Action,
    Direction,
    Kind,
    Near,
    Policy,
    Rule,
    Selection,
    Side,
    Tier,
)
from aks_audit.policies.ports import resolved
from aks_audit.policies.universe import Universe, numbers_in

T = TypeVar("T")


class Ruleset(NamedTuple):
    """All policies that are in force.

    `own_node` are the directions in which traffic between a pod and the node that it runs on is left alone.
    """

    tiers: tuple[Tier, ...] = ()
    policies: tuple[Policy, ...] = ()
    own_node: frozenset[Direction] = frozenset(Direction)


def selections(ruleset: Ruleset) -> tuple[Selection, ...]:
    """All selections in policies, each once."""
    found: dict[Selection, None] = {}
    for policy in ruleset.policies:
        found.update(dict.fromkeys(policy.subject))
        for rule in (rule for side in (policy.ingress, policy.egress) if side for rule in side.rules):
            found.update(dict.fromkeys((*rule.peers, rule.own)))
    return tuple(found)


class Verdict(StrEnum):
    """Whether traffic gets through. CONDITIONAL: where the conditions of a rule hold, and else not (or the reverse)."""

    ALLOWED = "allowed"
    DENIED = "denied"
    CONDITIONAL = "conditional"
    UNKNOWN = "unknown"


class Reason(NamedTuple):
    """Why traffic is allowed or denied: a rule of a policy; a tier's default, for the policies that isolate; or none.

    `conditions` are all that must hold for it to be so. Where it is not `sure`, it cannot be told whether the rule
    matches, or which of several is asked first. `own_node`: no policy is asked about a pod and the node it runs on.
    """

    action: Action
    policies: tuple[Policy, ...] = ()
    rule: Rule | None = None
    conditions: tuple[str, ...] = ()
    sure: bool = True
    own_node: bool = False


class Part(NamedTuple):
    """Traffic with some peers (a set of members of the universe), and the reasons for what becomes of it.

    More than one reason stands where rules match under conditions; the last is that for when none of them holds.
    """

    peers: int
    traffic: RangeSet
    reasons: tuple[Reason, ...]

    @property
    def verdict(self) -> Verdict:
        """What becomes of it."""
        return verdict_of(self.reasons)


def verdict_of(reasons: Sequence[Reason]) -> Verdict:
    """What becomes of traffic, for these reasons."""
    actions = {reason.action for reason in reasons}
    if actions == {Action.ALLOW}:
        return Verdict.ALLOWED
    if actions == {Action.DENY}:
        return Verdict.DENIED
    if Action.UNREAD in actions or not all(reason.sure for reason in reasons):
        return Verdict.UNKNOWN
    return Verdict.CONDITIONAL


def both(one: Verdict, other: Verdict) -> Verdict:
    """What becomes of traffic that has to pass two."""
    return next(verdict for verdict in _WORST_FIRST if verdict in {one, other})


_WORST_FIRST = (Verdict.DENIED, Verdict.UNKNOWN, Verdict.CONDITIONAL, Verdict.ALLOWED)


class Passage(NamedTuple):
    """What becomes of some of the traffic from one endpoint to another, for what the policies of both sides say."""

    traffic: RangeSet
    egress: tuple[Reason, ...]
    ingress: tuple[Reason, ...]

    @property
    def verdict(self) -> Verdict:
        """What becomes of it."""
        return both(verdict_of(self.egress), verdict_of(self.ingress))


class _Asked(NamedTuple):
    """A rule of a policy that selects the endpoint, surely or perhaps."""

    policy: Policy
    rule: Rule
    sure: bool


class _Match(NamedTuple):
    """What a rule matches."""

    peers: int
    traffic: RangeSet
    conditions: tuple[str, ...]
    sure: bool


class _Flow(NamedTuple):
    """What no rule has decided yet, and what must hold for coming so far."""

    peers: int
    traffic: RangeSet
    conditions: tuple[str, ...] = ()
    sure: bool = True


class _Leaf(NamedTuple):
    """What is decided."""

    peers: int
    traffic: RangeSet
    reason: Reason


class _Answered(NamedTuple):
    """What rules decided, what they left, and what they passed to the next tier."""

    leaves: list[_Leaf]
    left: list[_Flow]
    passed: list[_Flow]


_Selecting: TypeAlias = tuple[tuple[int, bool], ...]


class Evaluation:
    """A set of policies over a universe of endpoints."""

    def __init__(self, ruleset: Ruleset, universe: Universe) -> None:
        self.universe = universe
        self._ruleset = ruleset
        self._tiers = sorted(ruleset.tiers, key=lambda tier: tier.order)
        self._selecting = {direction: self._select(direction) for direction in Direction}
        self._known: dict[object, tuple[Part, ...]] = {}

    def selecting(self, member: int, direction: Direction) -> tuple[Policy, ...]:
        """The policies that select a member in a direction, surely or perhaps."""
        return tuple(self._ruleset.policies[at] for at, _ in self._selecting[direction][member])

    def parts(self, member: int, direction: Direction) -> tuple[Part, ...]:
        """What becomes of all traffic with everybody: parts that have nothing in common, and together are all of it."""
        profile = self.profile(member, direction)
        if profile not in self._known:
            self._known[profile] = tuple(self._decide(member, direction))
        return self._known[profile]

    def between(self, source: int, destination: int, *, own_node: bool = False) -> tuple[Passage, ...]:
        """What becomes of all traffic from one endpoint (by its number) to another; no two have traffic in common.

        `own_node`: one runs on the other, or both on the same node. An address that stands for many is taken as a
        whole: cut it with `atoms` first.
        """
        one = self.universe.member(source, own_node=own_node)
        other = self.universe.member(destination, own_node=own_node)
        coming = [part for part in self.parts(other, Direction.INGRESS) if part.peers >> one & 1]
        return tuple(
            Passage(traffic, leaving.reasons, into.reasons)
            for leaving in self.parts(one, Direction.EGRESS)
            if leaving.peers >> other & 1
            for into in coming
            if (traffic := leaving.traffic & into.traffic)
        )

    def profile(self, member: int, direction: Direction) -> object:
        """A key that is the same for members of which everything is decided alike."""
        selecting = self._selecting[direction][member]
        own = self.universe.members[member].endpoint
        special: list[object] = []
        for at, _ in selecting:
            for rule in _side(self._ruleset.policies[at], direction).rules:
                if rule.own is not EVERYONE:
                    special.append(self._own(rule, member))
                if direction is Direction.INGRESS and (rule.ports.named or rule.ports.not_named):
                    special.append(resolved(rule.ports, own))
        return direction, own.kind, selecting, tuple(special)

    def _select(self, direction: Direction) -> list[_Selecting]:
        found: list[list[tuple[int, bool]]] = [[] for _ in self.universe.members]
        for at, policy in enumerate(self._ruleset.policies):
            if (policy.ingress if direction is Direction.INGRESS else policy.egress) is None:
                continue
            sure = possible = 0
            for selection in policy.subject:
                taken = self.universe.taken(selection)
                sure |= taken.sure | taken.partly if policy.certain else 0
                possible |= taken.possible
            for member in numbers_in(possible):
                found[member].append((at, bool(sure >> member & 1)))
        return [tuple(one) for one in found]

    def _decide(self, member: int, direction: Direction) -> Iterator[Part]:
        flows = [_Flow(self.universe.everyone, ALL_TRAFFIC)]
        leaves: list[_Leaf] = []
        is_pod = self.universe.members[member].endpoint.kind is Kind.POD
        if is_pod and direction in self._ruleset.own_node and (own := self.universe.near(Near.OWN_NODE)):
            leaves.append(_Leaf(own, ALL_TRAFFIC, Reason(Action.ALLOW, own_node=True)))
            flows = [_Flow(self.universe.everyone & ~own, ALL_TRAFFIC)]
        selecting = [(self._ruleset.policies[at], sure) for at, sure in self._selecting[direction][member]]
        for tier in self._tiers:
            if inside := [one for one in selecting if one[0].tier == tier.name]:
                answered = self._ask_tier(tier, inside, flows, (member, direction))
                leaves += answered.leaves
                flows = answered.left + answered.passed
        for flow in flows:
            reason = Reason(Action.ALLOW, conditions=flow.conditions, sure=flow.sure)
            leaves.append(_Leaf(flow.peers, flow.traffic, reason))
        yield from _parts(leaves)

    def _ask_tier(
        self,
        tier: Tier,
        selecting: list[tuple[Policy, bool]],
        flows: list[_Flow],
        about: tuple[int, Direction],
    ) -> _Answered:
        selecting = sorted(selecting, key=lambda one: (one[0].order, one[0].name, one[0].namespace, one[0].kind))
        asked = [_Asked(policy, rule, sure) for policy, sure in selecting for rule in _side(policy, about[1]).rules]
        if tier.deny_wins:
            asked.sort(key=_deny_first)
        ask = self._ask_in_any_order if tier.ties == "any" else self._ask
        answered = ask(asked, flows, about)
        isolating = [(policy, sure) for policy, sure in selecting if _side(policy, about[1]).isolates]
        if tier.default is Action.PASS or not isolating:
            return answered
        certain = any(sure for _, sure in isolating)
        by = tuple(policy for policy, sure in isolating if sure or not certain)
        denied = [
            _Leaf(flow.peers, flow.traffic, Reason(Action.DENY, by, None, flow.conditions, flow.sure and certain))
            for flow in answered.left
        ]
        return _Answered(answered.leaves + denied, [] if certain else answered.left, answered.passed)

    def _ask_in_any_order(self, asked: list[_Asked], flows: list[_Flow], about: tuple[int, Direction]) -> _Answered:
        """Ask policies of the same order in turn as if each were the first; where the answers differ, none is sure."""
        found = _Answered([], flows, [])
        for _, group in groupby(asked, key=lambda one: one.policy.order):
            policies = [list(rules) for _, rules in groupby(group, key=lambda one: id(one.policy))]
            turns = [
                self._ask([one for rules in policies[at:] + policies[:at] for one in rules], found.left, about)
                for at in range(len(policies))
            ]
            next_one = turns[0] if len(turns) == 1 else _agreed(turns)
            found = _Answered(found.leaves + next_one.leaves, next_one.left, found.passed + next_one.passed)
        return found

    def _ask(self, asked: Iterable[_Asked], flows: list[_Flow], about: tuple[int, Direction]) -> _Answered:
        answered = _Answered([], flows, [])
        for one in asked:
            if one.rule.action is not Action.LOG:
                for match in self._matches(one, *about):
                    answered = _apply(one, match, answered)
        return answered

    def _matches(self, asked: _Asked, member: int, direction: Direction) -> Iterator[_Match]:
        """What a rule matches, first what it matches without conditions."""
        rule = asked.rule
        own = self._own(rule, member)
        if own is None:
            return
        conditions, sure = (*rule.conditions, *own[0]), own[1] and asked.sure
        plain = 0
        special: list[tuple[int, tuple[str, ...], bool]] = []
        for selection in rule.peers:
            taken = self.universe.taken(selection)
            if not selection.conditions:
                plain |= taken.sure
            elif taken.sure:
                special.append((taken.sure, selection.conditions, True))
            if taken.partly:
                special.append((taken.partly, (*selection.conditions, _SOME_ADDRESSES), True))
            if taken.unsure:
                special.append((taken.unsure, selection.conditions, False))
        for peers, more, certain in ((plain, (), True), *special):
            for traffic, there in self._traffic(rule, member, direction):
                if peers & there:
                    yield _Match(peers & there, traffic, (*conditions, *more), sure and certain)

    def _traffic(self, rule: Rule, member: int, direction: Direction) -> Iterator[tuple[RangeSet, int]]:
        """The traffic of a rule, and the peers with which it is that: the destination gives ports their names."""
        if direction is Direction.INGRESS:
            yield resolved(rule.ports, self.universe.members[member].endpoint), self.universe.everyone
        else:
            for peers, traffic in self.universe.resolutions(rule.ports):
                yield traffic, peers

    def _own(self, rule: Rule, member: int) -> tuple[tuple[str, ...], bool] | None:
        """Whether a rule is for the selected endpoint itself: under which conditions, and whether surely."""
        if rule.own is EVERYONE:
            return (), True
        taken = self.universe.taken(rule.own)
        if taken.sure >> member & 1:
            return rule.own.conditions, True
        if taken.partly >> member & 1:
            return (*rule.own.conditions, _SOME_ADDRESSES), True
        return ((), False) if taken.unsure >> member & 1 else None


def _deny_first(asked: _Asked) -> int:
    """When a rule is asked where what denies wins. An unread one whose policy comes last can only allow more."""
    if asked.rule.action is Action.UNREAD:
        return 3 if asked.policy.order == inf else 1
    return 0 if asked.rule.action is Action.DENY else 2


_SOME_ADDRESSES = "it has several addresses, and one is used that the CIDR holds"


def _side(policy: Policy, direction: Direction) -> Side:
    return (policy.ingress if direction is Direction.INGRESS else policy.egress) or _SILENT


_SILENT = Side((), isolates=False)


def _apply(asked: _Asked, match: _Match, answered: _Answered) -> _Answered:
    """Take what a rule matches out of what is left, where it does so surely and without conditions."""
    leaves, passed, left = answered.leaves, answered.passed, list[_Flow]()
    action = asked.rule.action
    final = match.sure and not match.conditions and action is not Action.UNREAD
    for flow in answered.left:
        peers = flow.peers & match.peers
        traffic = flow.traffic & match.traffic if peers else _NOTHING
        if not traffic:
            left.append(flow)
            continue
        conditions, sure = (*flow.conditions, *match.conditions), flow.sure and match.sure
        if action is Action.PASS:
            passed.append(_Flow(peers, traffic, conditions, sure))
        else:
            leaves.append(_Leaf(peers, traffic, Reason(action, (asked.policy,), asked.rule, conditions, sure)))
        if not final:
            left.append(flow)
            continue
        if flow.peers & ~peers:
            left.append(flow._replace(peers=flow.peers & ~peers))
        if rest := flow.traffic - traffic:
            left.append(flow._replace(peers=peers, traffic=rest))
    return _Answered(leaves, left, passed)


_NOTHING = RangeSet()


def _agreed(turns: Sequence[_Answered]) -> _Answered:
    """What all turns say, as the first says it; of what they don't agree on, what each says, and none of it surely."""
    found = _Answered([], [], [])
    layers: list[tuple[int, RangeSet, tuple[int, _Leaf | _Flow, bool]]] = []
    for turn, answered in enumerate(turns):
        layers += [(leaf.peers, leaf.traffic, (turn, leaf, False)) for leaf in answered.leaves]
        layers += [(flow.peers, flow.traffic, (turn, flow, False)) for flow in answered.left]
        layers += [(flow.peers, flow.traffic, (turn, flow, True)) for flow in answered.passed]
    for peers, traffic, said in _overlay(layers):
        by_turn = [[(one, passed) for at, one, passed in said if at == turn] for turn in range(len(turns))]
        agreed = len({tuple(_gist(*one) for one in outcomes) for outcomes in by_turn}) == 1
        for one, passed in by_turn[0] if agreed else [one for outcomes in by_turn for one in outcomes]:
            if isinstance(one, _Leaf):
                reason = one.reason if agreed else one.reason._replace(sure=False)
                found.leaves.append(_Leaf(peers, traffic, reason))
            else:
                (found.passed if passed else found.left).append(
                    _Flow(peers, traffic, one.conditions, one.sure and agreed)
                )
    return found


def _gist(one: _Leaf | _Flow, passed: bool) -> object:  # noqa: FBT001 - half of a pair
    """What decides whether two turns say the same."""
    if isinstance(one, _Leaf):
        return one.reason.action, one.reason.conditions, one.reason.sure
    return passed, one.conditions, one.sure


def _parts(leaves: list[_Leaf]) -> Iterator[Part]:
    """Parts of leaves, each with all reasons for it, in order."""
    if all(leaf.reason.sure and not leaf.reason.conditions and leaf.reason.action in _DECIDED for leaf in leaves):
        yield from (Part(leaf.peers, leaf.traffic, (leaf.reason,)) for leaf in leaves)
    else:
        for peers, traffic, reasons in _overlay([(leaf.peers, leaf.traffic, leaf.reason) for leaf in leaves]):
            yield Part(peers, traffic, reasons)


_DECIDED = frozenset({Action.ALLOW, Action.DENY})


def _overlay(layers: Iterable[tuple[int, RangeSet, T]]) -> list[tuple[int, RangeSet, tuple[T, ...]]]:
    """Cut products that may overlap into products that don't, each with the marks of all that it is in, in order."""
    found: list[tuple[int, RangeSet, tuple[T, ...]]] = []
    for peers, traffic, mark in layers:
        cut: list[tuple[int, RangeSet, tuple[T, ...]]] = []
        left = [(peers, traffic)]
        for there, what, marks in found:
            both_peers = there & peers
            both_traffic = what & traffic if both_peers else _NOTHING
            if not both_traffic:
                cut.append((there, what, marks))
                continue
            cut.append((both_peers, both_traffic, (*marks, mark)))
            cut.extend((*rest, marks) for rest in _without((there, what), (both_peers, both_traffic)))
            left = [rest for one in left for rest in _without(one, (both_peers, both_traffic))]
        found = [*cut, *((*one, (mark,)) for one in left)]
    return found


def _without(one: tuple[int, RangeSet], taken: tuple[int, RangeSet]) -> Iterator[tuple[int, RangeSet]]:
    """What is left of a product of peers and traffic when another is taken away."""
    peers, traffic = one
    if rest := peers & ~taken[0]:
        yield rest, traffic
    if (peers & taken[0]) and (left := traffic - taken[1]):
        yield peers & taken[0], left
