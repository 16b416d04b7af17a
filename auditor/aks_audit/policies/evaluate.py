"""What policies decide: for an endpoint and a direction, with which peers which traffic is allowed, and by which rule.

Everything is decided for all peers at once, as products of peers and traffic.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import groupby
from math import inf
from typing import NamedTuple, TypeAlias, TypeVar

from aks_audit.network.addresses import RangeSet
from aks_audit.policies.doubts import (
    NOTHING,
    Doubt,
    Given,
    assume,
    branches,
    every_answer,
    possible_worlds,
    together,
)
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

    `own_node` are the directions in which traffic between a pod and the node that it runs on is left alone. `worlds` is
    each set of kinds that may be what is enforced, of those whose policies are not certain; of none, any set may be.
    """

    tiers: tuple[Tier, ...] = ()
    policies: tuple[Policy, ...] = ()
    own_node: frozenset[Direction] = frozenset(Direction)
    worlds: tuple[frozenset[str], ...] = ()


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

    `conditions` are all that must hold for it to be so. Where it is not `sure`, it is so only if what is `given` is:
    whether the rule is enforced or matches, or which of several is asked first, cannot be told. `own_node`: no policy
    is asked about a pod and the node it runs on.
    """

    action: Action
    policies: tuple[Policy, ...] = ()
    rule: Rule | None = None
    conditions: tuple[str, ...] = ()
    given: Given = NOTHING
    own_node: bool = False

    @property
    def sure(self) -> bool:
        """Whether nothing else has to be so."""
        return self.given.certain


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
        """What becomes of it. It is denied, too, where each side lets it through only if the other doesn't."""
        found = both(verdict_of(self.egress), verdict_of(self.ingress))
        if found is not Verdict.UNKNOWN:
            return found
        leaving, coming = ([one for one in side if one.action is not Action.DENY] for side in self[1:])
        possible = any(together(one.given, other.given) for one in leaving for other in coming)
        return found if possible else Verdict.DENIED


class _Asked(NamedTuple):
    """A rule of a policy that selects the endpoint, if all doubts are so."""

    policy: Policy
    rule: Rule
    doubts: tuple[Doubt, ...]


class _Match(NamedTuple):
    """What a rule matches."""

    peers: int
    traffic: RangeSet
    conditions: tuple[str, ...]
    doubts: tuple[Doubt, ...]


class _Flow(NamedTuple):
    """What no rule has decided yet, and what must hold, and be so, for coming so far."""

    peers: int
    traffic: RangeSet
    conditions: tuple[str, ...]
    given: Given


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


_Selecting: TypeAlias = tuple[tuple[int, tuple[Doubt, ...]], ...]
"""The numbers of policies, and what must be so for them to count."""


class Evaluation:
    """A set of policies over a universe of endpoints."""

    def __init__(self, ruleset: Ruleset, universe: Universe) -> None:
        self.universe = universe
        self._ruleset = ruleset
        self._tiers = sorted(ruleset.tiers, key=lambda tier: tier.order)
        self._worlds = possible_worlds(ruleset.policies, ruleset.worlds)
        self._everything = Given((1 << len(self._worlds)) - 1)
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
        found: list[list[tuple[int, tuple[Doubt, ...]]]] = [[] for _ in self.universe.members]
        for at, policy in enumerate(self._ruleset.policies):
            if (policy.ingress if direction is Direction.INGRESS else policy.egress) is None:
                continue
            sure = possible = 0
            for selection in policy.subject:
                taken = self.universe.taken(selection)
                sure |= taken.sure | taken.partly
                possible |= taken.possible
            enforced = self._enforced(policy)
            perhaps = (*enforced, ("selects", direction, policy.subject))
            for member in numbers_in(possible):
                found[member].append((at, enforced if sure >> member & 1 else perhaps))
        return [tuple(one) for one in found]

    def _enforced(self, policy: Policy) -> tuple[Doubt, ...]:
        """The worlds in which a policy is enforced, where those are not all."""
        if policy.certain:
            return ()
        return (sum(1 << at for at, kinds in enumerate(self._worlds) if policy.kind in kinds),)

    def _decide(self, member: int, direction: Direction) -> Iterator[Part]:
        flows = [_Flow(self.universe.everyone, ALL_TRAFFIC, (), self._everything)]
        leaves: list[_Leaf] = []
        is_pod = self.universe.members[member].endpoint.kind is Kind.POD
        if is_pod and direction in self._ruleset.own_node and (own := self.universe.near(Near.OWN_NODE)):
            leaves.append(_Leaf(own, ALL_TRAFFIC, Reason(Action.ALLOW, given=self._everything, own_node=True)))
            flows = [flows[0]._replace(peers=self.universe.everyone & ~own)]
        selecting = [(self._ruleset.policies[at], doubts) for at, doubts in self._selecting[direction][member]]
        for tier in self._tiers:
            if inside := [one for one in selecting if one[0].tier == tier.name]:
                answered = self._ask_tier(tier, inside, flows, (member, direction))
                leaves += answered.leaves
                flows = answered.left + answered.passed
        for flow in flows:
            reason = Reason(Action.ALLOW, conditions=flow.conditions, given=flow.given)
            leaves.append(_Leaf(flow.peers, flow.traffic, reason))
        yield from _parts(leaves)

    def _ask_tier(
        self,
        tier: Tier,
        selecting: list[tuple[Policy, tuple[Doubt, ...]]],
        flows: list[_Flow],
        about: tuple[int, Direction],
    ) -> _Answered:
        selecting = sorted(selecting, key=lambda one: (one[0].order, one[0].name, one[0].namespace, one[0].kind))
        asked = [_Asked(policy, rule, doubts) for policy, doubts in selecting for rule in _side(policy, about[1]).rules]
        if tier.deny_wins:
            asked.sort(key=_deny_first)
        ask = self._ask_in_any_order if tier.ties == "any" else self._ask
        answered = ask(asked, flows, about)
        isolating = [(policy, doubts) for policy, doubts in selecting if _side(policy, about[1]).isolates]
        return answered if tier.default is Action.PASS or not isolating else _isolated(answered, isolating)

    def _ask_in_any_order(self, asked: list[_Asked], flows: list[_Flow], about: tuple[int, Direction]) -> _Answered:
        """Ask policies of the same order in turn as if each were the first; where the answers differ, none is sure."""
        found = _Answered([], flows, [])
        for _, group in groupby(asked, key=lambda one: one.policy.order):
            policies = [list(rules) for _, rules in groupby(group, key=lambda one: id(one.policy))]
            turns = [
                self._ask([one for rules in policies[at:] + policies[:at] for one in rules], found.left, about)
                for at in range(len(policies))
            ]
            next_one = turns[0] if len(turns) == 1 else _agreed(turns, ("first", *about, policies[0][0].policy))
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
        conditions, doubts = (*rule.conditions, *own[0]), (*asked.doubts, *own[1])
        plain = 0
        special: list[tuple[int, tuple[str, ...], tuple[Doubt, ...]]] = []
        for selection in rule.peers:
            taken = self.universe.taken(selection)
            if not selection.conditions:
                plain |= taken.sure
            elif taken.sure:
                special.append((taken.sure, selection.conditions, ()))
            if taken.partly:
                special.append((taken.partly, (*selection.conditions, _SOME_ADDRESSES), ()))
            if taken.unsure:
                special.append((taken.unsure, selection.conditions, (("takes", direction, selection),)))
        for peers, more, unsure in ((plain, (), ()), *special):
            for traffic, there in self._traffic(rule, member, direction):
                if peers & there:
                    yield _Match(peers & there, traffic, (*conditions, *more), (*doubts, *unsure))

    def _traffic(self, rule: Rule, member: int, direction: Direction) -> Iterator[tuple[RangeSet, int]]:
        """The traffic of a rule, and the peers with which it is that: the destination gives ports their names."""
        if direction is Direction.INGRESS:
            yield resolved(rule.ports, self.universe.members[member].endpoint), self.universe.everyone
        else:
            for peers, traffic in self.universe.resolutions(rule.ports):
                yield traffic, peers

    def _own(self, rule: Rule, member: int) -> tuple[tuple[str, ...], tuple[Doubt, ...]] | None:
        """Whether a rule is for the selected endpoint itself: under which conditions, and if what is so."""
        if rule.own is EVERYONE:
            return (), ()
        taken = self.universe.taken(rule.own)
        if taken.sure >> member & 1:
            return rule.own.conditions, ()
        if taken.partly >> member & 1:
            return (*rule.own.conditions, _SOME_ADDRESSES), ()
        return (rule.own.conditions, (("is", rule.own),)) if taken.unsure >> member & 1 else None


def _deny_first(asked: _Asked) -> int:
    """When a rule is asked where what denies wins. An unread one whose policy comes last can only allow more."""
    if asked.rule.action is Action.UNREAD:
        return 3 if asked.policy.order == inf else 1
    return 0 if asked.rule.action is Action.DENY else 2


_SOME_ADDRESSES = "it has several addresses, and one is used that the CIDR holds"


def _side(policy: Policy, direction: Direction) -> Side:
    return policy.side(direction) or _SILENT


_SILENT = Side((), isolates=False)


def _apply(asked: _Asked, match: _Match, answered: _Answered) -> _Answered:
    """Take what a rule matches out of what is left, where it does so without conditions and as far as that is sure."""
    leaves, passed, left = answered.leaves, answered.passed, list[_Flow]()
    action = asked.rule.action
    final = not match.conditions and action is not Action.UNREAD
    for flow in answered.left:
        peers = flow.peers & match.peers
        traffic = flow.traffic & match.traffic if peers else _NOTHING
        given, others = branches(flow.given, match.doubts) if traffic else (None, [])
        if given is None:
            left.append(flow)
            continue
        conditions = (*flow.conditions, *match.conditions)
        if action is Action.PASS:
            passed.append(_Flow(peers, traffic, conditions, given))
        else:
            leaves.append(_Leaf(peers, traffic, Reason(action, (asked.policy,), asked.rule, conditions, given)))
        if not final:
            left.append(flow)
            continue
        left += [flow._replace(peers=peers, traffic=traffic, given=other) for other in others]
        if flow.peers & ~peers:
            left.append(flow._replace(peers=flow.peers & ~peers))
        if rest := flow.traffic - traffic:
            left.append(flow._replace(peers=peers, traffic=rest))
    return _Answered(leaves, left, passed)


def _isolated(answered: _Answered, isolating: Sequence[tuple[Policy, tuple[Doubt, ...]]]) -> _Answered:
    """Deny what is left, as far as one of some policies isolates."""
    surely = tuple(policy for policy, doubts in isolating if not doubts)
    groups: dict[tuple[Doubt, ...], list[Policy]] = {(): list(surely)} if surely else {}
    for policy, doubts in () if surely else isolating:
        groups.setdefault(doubts, []).append(policy)
    left, leaves = answered.left, answered.leaves
    for doubts, policies in groups.items():
        rest: list[_Flow] = []
        for flow in left:
            given, others = branches(flow.given, doubts)
            if given is not None:
                reason = Reason(Action.DENY, tuple(policies), None, flow.conditions, given)
                leaves.append(_Leaf(flow.peers, flow.traffic, reason))
            rest += [flow._replace(given=other) for other in others]
        left = rest
    return answered._replace(left=left)


_NOTHING = RangeSet()


def _agreed(turns: Sequence[_Answered], order: Doubt) -> _Answered:
    """What all turns say, as the first says it; of what they don't agree on, what each says if it is the one."""
    found = _Answered([], [], [])
    layers: list[tuple[int, RangeSet, tuple[int, _Leaf | _Flow, bool]]] = []
    for turn, answered in enumerate(turns):
        layers += [(leaf.peers, leaf.traffic, (turn, leaf, False)) for leaf in answered.leaves]
        layers += [(flow.peers, flow.traffic, (turn, flow, False)) for flow in answered.left]
        layers += [(flow.peers, flow.traffic, (turn, flow, True)) for flow in answered.passed]
    for peers, traffic, said in _overlay(layers):
        by_turn = [[(one, passed) for at, one, passed in said if at == turn] for turn in range(len(turns))]
        agreed = len({tuple(_gist(*one) for one in outcomes) for outcomes in by_turn}) == 1
        for turn, outcomes in enumerate(by_turn[:1] if agreed else by_turn):
            for one, passed in outcomes:
                given = one.reason.given if isinstance(one, _Leaf) else one.given
                if (turned := given if agreed else assume(given, order, f"{turn}")) is None:
                    continue
                if isinstance(one, _Leaf):
                    found.leaves.append(_Leaf(peers, traffic, one.reason._replace(given=turned)))
                else:
                    (found.passed if passed else found.left).append(_Flow(peers, traffic, one.conditions, turned))
    return found


def _gist(one: _Leaf | _Flow, passed: bool) -> object:  # noqa: FBT001 - half of a pair
    """What decides whether two turns say the same."""
    if isinstance(one, _Leaf):
        return one.reason.action, one.reason.conditions, one.reason.given
    return passed, one.conditions, one.given


def _parts(leaves: list[_Leaf]) -> Iterator[Part]:
    """Parts of leaves, each with all reasons for it, in order."""
    if all(leaf.reason.sure and not leaf.reason.conditions and leaf.reason.action in _DECIDED for leaf in leaves):
        yield from (Part(leaf.peers, leaf.traffic, (leaf.reason,)) for leaf in leaves)
    else:
        for peers, traffic, reasons in _overlay([(leaf.peers, leaf.traffic, leaf.reason) for leaf in leaves]):
            yield Part(peers, traffic, reasons if all(one.sure for one in reasons) else _settled(reasons))


def _settled(reasons: tuple[Reason, ...]) -> tuple[Reason, ...]:
    """Reasons of which some have to be given something: for sure, where it is the same whatever is so."""
    actions = {reason.action for reason in reasons}
    if actions <= _DECIDED and len(actions) == 1:
        first = {reason._replace(given=NOTHING): reason for reason in reversed(reasons)}
        return tuple(first) if len(first) == 1 else tuple(first.values())[::-1]
    if Action.UNREAD in actions or not any(reason.conditions for reason in reasons):
        return reasons
    found: dict[object, tuple[Reason, ...]] = {}
    for answer in every_answer([reason.given for reason in reasons]):
        if so := tuple(reason for reason in reasons if together(reason.given, answer)):
            found[tuple((reason.action, reason.conditions) for reason in so)] = so
    if len(found) != 1:
        return reasons
    return tuple(reason._replace(given=NOTHING) for reason in next(iter(found.values())))


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
