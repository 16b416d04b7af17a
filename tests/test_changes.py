"""Which settings of a resource differ, and what is no difference."""

import copy
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aks_audit.changes import NOISE, Change, changes

KEYS = st.sampled_from(["a", "b", "count", "mode", "name", "type", "tags"])
LEAVES = st.one_of(st.booleans(), st.integers(0, 3), st.sampled_from(["x", "y", "z"]))
NAMED = st.lists(st.sampled_from(["one", "two", "three"]), unique=True)


def _named(names: list[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A list of objects that are called so."""
    item = st.dictionaries(KEYS, values, max_size=3)
    items = st.lists(item, min_size=len(names), max_size=len(names))
    return items.map(lambda found: [{**one, "name": name} for one, name in zip(found, names, strict=True)])


def _inner(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.dictionaries(KEYS, values, max_size=4),
        st.lists(values, max_size=4),
        NAMED.flatmap(lambda names: _named(names, values)),
    )


BODIES: st.SearchStrategy[Any] = st.dictionaries(KEYS, st.recursive(LEAVES, _inner, max_leaves=12), max_size=4)


def told(found: tuple[Change, ...]) -> list[tuple[str, Any, Any]]:
    return [(one.path, _shown(one.old), _shown(one.new)) for one in found]


def _shown(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    return None if value is msgspec.UNSET else value


@given(BODIES, st.booleans())
def test_a_body_does_not_differ_from_itself(body: Any, azure: bool) -> None:  # noqa: ANN401, FBT001 - hypothesis gives it
    assert changes(body, copy.deepcopy(body), azure=azure) == ()


@given(BODIES, st.randoms(use_true_random=False))
def test_the_order_of_named_items_and_noise_are_no_difference(body: Any, random: Any) -> None:  # noqa: ANN401
    assert changes(body, _shuffled(copy.deepcopy(body), random), azure=True) == ()


def _shuffled(node: Any, random: Any) -> Any:  # noqa: ANN401
    if isinstance(node, dict):
        items = [(key, _shuffled(value, random) if key != "tags" else value) for key, value in node.items()]
        random.shuffle(items)
        return dict(items) | {random.choice(sorted(NOISE)): random.random(), "absent": None}
    if isinstance(node, list):
        items = [_shuffled(item, random) for item in node]
        random.shuffle(items)
        return items
    return node


@given(BODIES, BODIES, st.booleans())
def test_back_is_the_mirror_of_there(old: Any, new: Any, azure: bool) -> None:  # noqa: ANN401, FBT001
    there, back = (told(changes(*pair, azure=azure)) for pair in ((old, new), (new, old)))
    assert sorted(map(repr, there)) == sorted(repr((path, was, now)) for path, now, was in back)


@given(BODIES, st.booleans(), st.data())
def test_a_value_that_changed_is_found(body: Any, azure: bool, data: st.DataObject) -> None:  # noqa: ANN401, FBT001
    places = list(_leaves(body, ()))
    assume(places)
    place = data.draw(st.sampled_from(places))
    other = copy.deepcopy(body)
    _set(other, place, "CHANGED")
    found = told(changes(body, other, azure=azure))
    assert found
    assert "CHANGED" in repr([new for _, _, new in found])
    assert "CHANGED" not in repr([old for _, old, _ in found])
    if place[-1] not in {"name", "type"} and not any(isinstance(part, int) for part in place):
        assert len(found) == 1


def _leaves(node: Any, place: tuple[Any, ...]) -> Any:  # noqa: ANN401
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _leaves(value, (*place, key))
    else:
        yield place


def _set(node: Any, place: tuple[Any, ...], value: Any) -> None:  # noqa: ANN401
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value


def azure(old: Any, new: Any) -> list[tuple[str, Any, Any]]:  # noqa: ANN401
    return told(changes({"properties": old}, {"properties": new}, azure=True))


def test_items_are_told_by_name_and_pointed_at_where_they_stand_now() -> None:
    old = {"pools": [{"name": "system", "count": 3}, {"name": "user", "count": 2}]}
    new = {"pools": [{"name": "user", "count": 5}, {"name": "system", "count": 3}, {"name": "gpu"}]}
    found = changes(old, new, azure=True)
    assert told(found) == [("pools[gpu]", None, {"name": "gpu"}), ("pools[user].count", 2, 5)]
    assert [one.pointer for one in found] == ["/pools/2", "/pools/0/count"]


def test_a_pointer_is_escaped() -> None:
    (found,) = changes({"a/b~c": 1}, {"a/b~c": 2}, azure=True)
    assert found.pointer == "/a~1b~0c"


def test_azure_is_compared_without_case_and_tags_with() -> None:
    assert azure({"tier": "Standard"}, {"tier": "standard"}) == []
    assert azure({"tags": {"env": "Prod"}}, {"tags": {"env": "prod"}}) == [("properties.tags.env", "Prod", "prod")]
    assert told(changes({"spec": {"a": "X"}}, {"spec": {"a": "x"}}, azure=False)) == [("spec.a", "X", "x")]


def test_the_items_that_one_list_has_alone_are_told() -> None:
    ranges = {"ranges": ["10.0.0.0/8", "1.2.3.4/32", "1.2.3.5/32"]}
    assert azure(ranges, {"ranges": ["1.2.3.4/32", "0.0.0.0/0"]}) == [
        ("properties.ranges[]", "10.0.0.0/8", None),
        ("properties.ranges[]", "1.2.3.5/32", None),
        ("properties.ranges[]", None, "0.0.0.0/0"),
    ]
    assert azure({"ranges": ["a", "b"]}, {"ranges": ["c", "a"]}) == [("properties.ranges[]", "b", "c")]
    assert azure({"ranges": ["a", "a"]}, {"ranges": ["a"]}) == [("properties.ranges[]", "a", None)]


def test_order_counts_where_it_means_something() -> None:
    assert azure({"zones": ["1", "2"]}, {"zones": ["2", "1"]}) == []
    assert azure({"dnsServers": ["a", "b"]}, {"dnsServers": ["b", "a"]}) == [
        ("properties.dnsServers", ["a", "b"], ["b", "a"])
    ]
    assert told(changes({"args": ["a", "b"]}, {"args": ["b", "a"]}, azure=False))


@pytest.mark.parametrize("key", sorted(NOISE))
def test_noise_is_no_setting_but_for_peoples_own_words(key: str) -> None:
    assert azure({key: 1}, {key: 2}) == []
    assert azure([{key: 1}, {key: 2}], [{key: 3}, {key: 4}]) == []
    assert azure({"tags": {key: "1"}}, {"tags": {key: "2"}}) == [(f"properties.tags.{key}", "1", "2")]


def test_of_the_state_of_an_object_only_where_it_is_reached_is_told() -> None:
    old = {"status": {"phase": "Running", "loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}}
    new = {"status": {"phase": "Failed", "loadBalancer": {"ingress": [{"ip": "20.0.0.1"}]}}}
    assert told(changes(old, new, azure=False)) == [("status.loadBalancer.ingress[].ip", "10.0.0.1", "20.0.0.1")]


def test_null_is_as_absent_and_a_type_is_a_value() -> None:
    assert azure({"a": None}, {}) == []
    assert azure({"a": True}, {"a": 1}) == [("properties.a", True, 1)]
    assert azure({"a": []}, {"a": {}}) == [("properties.a", [], {})]
