"""Selections of all endpoints at once, against each endpoint for itself."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from aks_audit.network.addresses import EVERYTHING, AddressSet, RangeSet
from aks_audit.policies.evaluate import Ruleset
from aks_audit.policies.model import (
    OUTSIDE,
    Action,
    Endpoint,
    Every,
    Expression,
    Kind,
    Near,
    Not,
    Of,
    Operator,
    Policy,
    Ports,
    Requirement,
    Rule,
    Selection,
    Side,
    Some,
)
from aks_audit.policies.reach import atoms
from aks_audit.policies.selectors import holds
from aks_audit.policies.universe import Universe, bits_of, numbers_in

VALUES = ("ax", "bx", "ay")
OPERATORS: tuple[Operator, ...] = ("in", "exists", "contains", "starts with", "ends with")
requirements = st.builds(
    Requirement,
    st.sampled_from(Of),
    st.sampled_from(("app", "name", "namespace")),
    st.sampled_from(OPERATORS),
    st.frozensets(st.sampled_from((*VALUES, "a", "x")), min_size=1, max_size=2),
)


def combined(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    several = st.lists(inner, max_size=3).map(tuple)
    return st.one_of(inner.map(Not), several.map(Every), several.map(Some))


expressions: st.SearchStrategy[Expression] = st.recursive(requirements, combined, max_leaves=5)
labels = st.none() | st.dictionaries(st.sampled_from(("app", "name")), st.sampled_from(VALUES), max_size=2)
ranges = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 6)).map(lambda one: (one[0], one[0] + one[1])), max_size=3
).map(RangeSet)
single = st.integers(0, 30).map(lambda number: RangeSet([(number, number)]))
addresses = st.builds(AddressSet, st.one_of(ranges, single, single), st.one_of(st.just(RangeSet()), single, ranges))


def endpoint(
    kind: Kind, own: Mapping[str, str] | None, namespace: Mapping[str, str] | None, held: AddressSet, name: str
) -> Endpoint:
    return Endpoint(kind, name, "ax", own, namespace, "", {}, held, (), "ay", own)


endpoints = st.lists(
    st.builds(endpoint, st.sampled_from(Kind), labels, labels, addresses, st.sampled_from(VALUES)), max_size=8
)
selections = st.builds(
    Selection,
    st.frozensets(st.sampled_from(Kind), min_size=1),
    expressions,
    st.just(EVERYTHING) | addresses,
    st.sampled_from((Near.ANYWHERE, Near.ANYWHERE, *Near)),
    st.just(()),
)


@given(endpoints, selections)
def test_all_at_once_is_each_for_itself(everybody: list[Endpoint], selection: Selection) -> None:
    universe = Universe(everybody)
    taken = universe.taken(selection)
    assert not taken.sure & taken.partly | taken.sure & taken.unsure | taken.partly & taken.unsure
    for at, member in enumerate(universe.members):
        expected = one_for_itself(member.endpoint, member.near, selection)
        found = [name for name in ("sure", "partly", "unsure") if getattr(taken, name) >> at & 1]
        assert found == ([expected] if expected else []), (member, selection)


def one_for_itself(one: Endpoint, near: Near, selection: Selection) -> str:
    """How a selection takes an endpoint, as its docstring says; empty where it does not."""
    true = holds(selection.where, one)
    seen = one.kind in selection.kinds and selection.near in {Near.ANYWHERE, near}
    anywhere, nowhere = selection.addresses == EVERYTHING, one.addresses.empty
    if not seen or true is False or not (anywhere or nowhere or selection.addresses.overlaps(one.addresses)):
        return ""
    if true is None or (nowhere and not anywhere):
        return "unsure"
    return "sure" if anywhere or selection.addresses.covers(one.addresses) else "partly"


@given(st.sets(st.integers(0, 200)))
def test_sets_are_kept_as_bits(numbers: set[int]) -> None:
    bits = bits_of(numbers, 201)
    assert list(numbers_in(bits)) == sorted(numbers)
    assert bits == sum(1 << number for number in numbers)


@given(addresses, st.lists(addresses, max_size=4))
def test_atoms_are_all_of_it_and_no_cidr_tells_them_apart(whole: AddressSet, cidrs: list[AddressSet]) -> None:
    peers = tuple(Selection(OUTSIDE, addresses=cidr) for cidr in cidrs)
    side = Side((Rule(Action.ALLOW, peers, Ports(), "/spec"),))
    policy = Policy("", "", "", "", "", 0, (), side, None)
    found = atoms(whole, Ruleset((), (policy,)))
    assert AddressSet.union_of(found) == whole
    assert sum(part.v4.size + part.v6.size for part in found) == whole.v4.size + whole.v6.size
    for part in found:
        assert all(cidr.covers(part) or not cidr.overlaps(part) for cidr in cidrs)
