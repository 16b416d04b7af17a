"""What the form that policies are compiled to means, against every world that may be: conditions, labels, orders."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice, permutations, product
from typing import NamedTuple

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aks_audit.network.addresses import RangeSet
from aks_audit.policies.evaluate import Evaluation, Ruleset, Verdict
from aks_audit.policies.model import (
    ALL_KINDS,
    ANYTHING,
    EVERYONE,
    NOTHING,
    Action,
    Direction,
    Endpoint,
    Every,
    Expression,
    Kind,
    Near,
    Not,
    Of,
    Policy,
    Ports,
    Requirement,
    Rule,
    Selection,
    Side,
    Some,
    Tier,
)
from aks_audit.policies.ports import traffic
from aks_audit.policies.universe import Universe

VALUES = ("x", "y")
POINTS = (6 * 65536 + 80, 6 * 65536 + 443)
TRAFFIC = (traffic(6), traffic(6, 80, 80), traffic(6, 443, 443), traffic(17))

requirements = st.builds(
    lambda operator, values: Requirement(Of.OWN, "app", operator, frozenset(values if operator == "in" else ())),
    st.sampled_from(("in", "exists")),
    st.sets(st.sampled_from(VALUES), min_size=1),
)
expressions: st.SearchStrategy[Expression] = st.recursive(
    requirements | st.sampled_from((ANYTHING, NOTHING)),
    lambda inner: (
        inner.map(Not)
        | st.lists(inner, max_size=2).map(lambda parts: Every(tuple(parts)))
        | st.lists(inner, max_size=2).map(lambda parts: Some(tuple(parts)))
    ),
    max_leaves=3,
)
mostly_all = st.one_of(st.just(ANYTHING), st.just(ANYTHING), expressions)
selections = st.builds(
    lambda kinds, where, near: Selection(kinds, where, near=near),
    st.sampled_from((ALL_KINDS, ALL_KINDS, frozenset({Kind.POD}), frozenset({Kind.NODE}))),
    mostly_all,
    st.sampled_from((Near.ANYWHERE, Near.ANYWHERE, *Near)),
)
subjects = mostly_all.map(lambda where: Selection(ALL_KINDS, where))
rules = st.builds(
    lambda action, peers, numbers, conditional, own: Rule(
        action, tuple(peers), Ports(numbers), "/spec", ("its own",) if conditional else (), own
    ),
    st.sampled_from((*Action, Action.ALLOW, Action.DENY, Action.PASS)),
    st.lists(selections, min_size=1, max_size=2),
    st.sampled_from(TRAFFIC),
    st.sampled_from((False, False, False, True)),
    st.one_of(st.just(EVERYONE), st.just(EVERYONE), subjects),
)
sides = st.builds(
    lambda found, isolates: Side(tuple(found), isolates), st.lists(rules, min_size=1, max_size=2), st.booleans()
)
policies = st.lists(
    st.builds(
        lambda tier, order, subject, ingress, kind: Policy(
            "", kind, "", "", tier, order, (subject,), ingress, None, certain=kind == "sure"
        ),
        st.sampled_from(("first", "last")),
        st.sampled_from((0.0, 0.0, 0.0, 1.0)),
        subjects,
        st.one_of(sides, sides, sides, st.none()),
        st.sampled_from(("sure", "sure", "sure", "one", "other")),
    ),
    min_size=2,
    max_size=4,
)
of_kinds = st.sets(
    st.sampled_from([frozenset(some) for some in ((), ("one",), ("other",), ("one", "other"))]), max_size=3
).map(tuple)
tiers = st.tuples(
    *(
        st.builds(
            lambda default, deny_wins, ties, name=name, order=order: Tier(
                name, order, default, deny_wins, "name" if deny_wins else ties
            ),
            st.sampled_from((Action.DENY, Action.PASS)),
            st.booleans(),
            st.sampled_from(("name", "any", "any")),
        )
        for order, name in enumerate(("first", "last"))
    )
)
labels: st.SearchStrategy[Mapping[str, str] | None] = (
    st.none() | st.just({}) | st.sampled_from(VALUES).map(lambda value: {"app": value})
)


class World(NamedTuple):
    """What may be: which conditions hold, what unread rules do, which policies are enforced, and all labels."""

    holds: frozenset[int]
    unread: Mapping[int, Action | None]
    enforced: frozenset[int]
    endpoints: tuple[Endpoint, Endpoint]


def worlds(ruleset: Ruleset, own: Endpoint, peer: Endpoint) -> Iterator[World]:
    """Every world that is possible."""
    every = [rule for policy in ruleset.policies if policy.ingress for rule in policy.ingress.rules]
    conditional = [id(rule) for rule in every if rule.conditions]
    unread = [id(rule) for rule in every if rule.action is Action.UNREAD]
    kinds = ruleset.worlds or [frozenset(some) for some in ((), ("one",), ("other",), ("one", "other"))]
    choices = [[one.labels] if one.labels is not None else [{}, {"app": "x"}, {"app": "y"}] for one in (own, peer)]
    for chosen in product(*choices):
        ends = (replace(own, labels=chosen[0]), replace(peer, labels=chosen[1]))
        for held in product((True, False), repeat=len(conditional)):
            holds = frozenset(one for one, is_held in zip(conditional, held, strict=True) if is_held)
            for acts in product((Action.ALLOW, Action.DENY, None), repeat=len(unread)):
                for there in kinds:
                    enforced = frozenset(id(one) for one in ruleset.policies if one.certain or one.kind in there)
                    yield World(holds, dict(zip(unread, acts, strict=True)), enforced, ends)


def takes(selection: Selection, endpoint: Endpoint, *, own_node: bool) -> bool:
    near = Near.ANYWHERE if endpoint.kind is Kind.POD else Near.OWN_NODE if own_node else Near.OTHER_NODE
    return (
        endpoint.kind in selection.kinds
        and selection.near in {Near.ANYWHERE, near}
        and is_true(selection.where, (endpoint.labels or {}).get("app"))
    )


def is_true(expression: Expression, value: str | None) -> bool:
    match expression:
        case Requirement():
            return value is not None and (expression.operator == "exists" or value in expression.values)
        case Not(part):
            return not is_true(part, value)
        case Every(parts):
            return all(is_true(part, value) for part in parts)
    return any(is_true(part, value) for part in expression.parts)


def outcomes(ruleset: Ruleset, world: World, point: int, *, own_node: bool) -> set[Action]:
    """What becomes of a point of traffic in a world; more than one thing where any order of policies may be."""
    own = world.endpoints[0]
    found: set[Action] = set()
    orders = []
    for tier in sorted(ruleset.tiers, key=lambda one: one.order):
        selecting = [
            policy
            for policy in ruleset.policies
            if policy.tier == tier.name
            and policy.ingress
            and id(policy) in world.enforced
            and any(takes(one, own, own_node=False) for one in policy.subject)
        ]
        orders.append([(tier, order) for order in _orders(tier, selecting)])
    for chosen in product(*orders):
        found.add(_walk(chosen, world, point, own_node=own_node))
    return found


def _orders(tier: Tier, selecting: list[Policy]) -> list[list[Policy]]:
    if tier.ties == "name":
        return [sorted(selecting, key=lambda one: one.order)]
    every = [[*one] for one in permutations(selecting)]
    return [one for one in every if [policy.order for policy in one] == sorted(policy.order for policy in one)]


def _walk(chosen: tuple[tuple[Tier, list[Policy]], ...], world: World, point: int, *, own_node: bool) -> Action:
    own, peer = world.endpoints
    for tier, selecting in chosen:
        asked = [rule for policy in selecting if policy.ingress for rule in policy.ingress.rules]
        if tier.deny_wins:
            asked.sort(key=lambda one: {Action.DENY: 0, Action.UNREAD: 1}.get(one.action, 2))
        for rule in asked:
            action = world.unread[id(rule)] if rule.action is Action.UNREAD else rule.action
            matches = (
                action not in {None, Action.LOG}
                and point in rule.ports.numbers
                and (not rule.conditions or id(rule) in world.holds)
                and takes(rule.own, own, own_node=False)
                and any(takes(one, peer, own_node=own_node) for one in rule.peers)
            )
            if matches and (action is Action.ALLOW or action is Action.DENY):
                return action
            if matches:
                break
        else:
            if any(policy.ingress and policy.ingress.isolates for policy in selecting) and tier.default is Action.DENY:
                return Action.DENY
    return Action.ALLOW


_MOST_WORLDS = 300


@settings(max_examples=500, deadline=None)
@given(policies, tiers, of_kinds, labels, labels, st.sampled_from((Kind.POD, Kind.NODE)), st.booleans())
def test_what_is_said_is_true_in_every_world(  # noqa: PLR0913, PLR0917 - each is drawn for itself
    written: list[Policy],
    of_tiers: tuple[Tier, ...],
    kinds: tuple[frozenset[str], ...],
    own_labels: Mapping[str, str] | None,
    peer_labels: Mapping[str, str] | None,
    kind: Kind,
    own_node: bool,  # noqa: FBT001 - drawn
) -> None:
    named = tuple(replace(policy, name=f"{at}") for at, policy in enumerate(written))
    ruleset = Ruleset(of_tiers, named, frozenset(), kinds)
    own = Endpoint(Kind.POD, "own", labels=own_labels)
    peer = Endpoint(kind, "peer", labels=peer_labels)
    evaluation = Evaluation(ruleset, Universe((own, peer)))
    seen = evaluation.universe.member(1, own_node=own_node)
    parts = [part for part in evaluation.parts(0, Direction.INGRESS) if part.peers >> seen & 1]
    every = list(islice(worlds(ruleset, own, peer), _MOST_WORLDS + 1))
    assume(len(every) <= _MOST_WORLDS)
    known = own_labels is not None and peer_labels is not None
    for point in POINTS:
        (part,) = (part for part in parts if point in part.traffic)
        possible = set().union(*(outcomes(ruleset, world, point, own_node=own_node) for world in every))
        if part.verdict is Verdict.ALLOWED:
            assert possible == {Action.ALLOW}
        elif part.verdict is Verdict.DENIED:
            assert possible == {Action.DENY}
        elif known:
            assert possible == {Action.ALLOW, Action.DENY}
        if possible == {Action.ALLOW, Action.DENY} and not _doubts(ruleset) and known:
            assert part.verdict is Verdict.CONDITIONAL
        if possible == {Action.ALLOW, Action.DENY} and not _conditions(ruleset):
            assert part.verdict is Verdict.UNKNOWN
    assert sum(RangeSet(part.traffic.ranges).size for part in parts) == 256 * 65536


def _conditions(ruleset: Ruleset) -> bool:
    return any(rule.conditions for policy in ruleset.policies if policy.ingress for rule in policy.ingress.rules)


def _doubts(ruleset: Ruleset) -> bool:
    """Whether anything cannot be known, other than whether conditions hold."""
    every = [rule for policy in ruleset.policies if policy.ingress for rule in policy.ingress.rules]
    ties = any(tier.ties == "any" for tier in ruleset.tiers)
    unread = any(rule.action is Action.UNREAD for rule in every)
    return ties or unread or not all(policy.certain for policy in ruleset.policies)


def test_what_is_conditional_in_every_world_is_conditional() -> None:
    everyone, traffic_of_all = (Selection(ALL_KINDS),), Ports(TRAFFIC[0])
    passing = Side((Rule(Action.PASS, everyone, traffic_of_all, "/spec"),))
    allowing = Side((Rule(Action.ALLOW, everyone, traffic_of_all, "/spec", ("HTTP GET",)),))
    perhaps = Policy("", "one", "perhaps", "", "first", 0, everyone, passing, None, certain=False)
    surely = Policy("", "sure", "surely", "", "last", 0, everyone, allowing, None)
    of_tiers = (Tier("first", 0, Action.DENY), Tier("last", 1, Action.DENY))
    ends = Universe((Endpoint(Kind.POD, "own", labels={}), Endpoint(Kind.POD, "peer", labels={})))
    found = Evaluation(Ruleset(of_tiers, (perhaps, surely), frozenset()), ends).parts(0, Direction.INGRESS)
    verdicts = {part.verdict for part in found if POINTS[0] in part.traffic and part.peers >> 1 & 1}
    assert verdicts == {Verdict.CONDITIONAL}
