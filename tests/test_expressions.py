"""JMESPath over bodies: what is not there is not false, and what is of another type is no answer."""

import copy
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import jmespath
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aks_audit.packs.expressions import Absent, Expression, ExpressionError, Unfit

BODY: dict[str, Any] = {
    "tags": {"Owner": "Shop", "empty": ""},
    "properties": {
        "count": 3,
        "on": True,
        "off": False,
        "nothing": None,
        "mode": "Enabled",
        "zones": ["1", "2"],
        "pools": [{"name": "a", "mode": "System", "size": 1}, {"name": "b", "mode": "User", "size": 2}],
        "lists": [[1], [2, 3]],
        "half": [{"x": 1}, {}],
        "nulls": [None, None],
        "twins": {"a": 1, "A": 2},
    },
}


def answer(text: str, *, caseless: bool = True, body: Any = BODY) -> str:  # noqa: ANN401 - any JSON value
    """true, false, absent or unfit."""
    try:
        return str(Expression(text, caseless=caseless).holds(body)).lower()
    except Absent:
        return "absent"
    except Unfit:
        return "unfit"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tags.owner == 'shop'", "true"),
        ("tags.owner != 'SHOP'", "false"),
        ("tags.nobody != 'x'", "absent"),
        ("tags.empty == ''", "absent"),
        ("properties.nothing == 'x'", "absent"),
        ("!(properties.nobody)", "absent"),
        ("properties.on", "true"),
        ("!(properties.on)", "false"),
        ("!(properties.off)", "true"),
        ("properties.on || properties.nobody", "true"),
        ("properties.nobody || properties.on", "true"),
        ("properties.nobody || properties.off", "absent"),
        ("properties.off || properties.nobody", "absent"),
        ("properties.off && properties.nobody", "false"),
        ("properties.nobody && properties.off", "false"),
        ("properties.nobody && properties.on", "absent"),
        ("properties.on && properties.nobody", "absent"),
        ("not_null(tags.nobody, tags.owner) == 'shop'", "true"),
        ("not_null(tags.nobody, tags.empty) == 'shop'", "absent"),
        ("properties.count >= `3`", "true"),
        ("properties.count < `3.5`", "true"),
        ("properties.count == '3'", "unfit"),
        ("properties.on == 'true'", "unfit"),
        ("properties.on == `1`", "unfit"),
        ("properties.mode > 'disabled'", "unfit"),
        ("properties.on > properties.off", "unfit"),
        ("properties.mode", "unfit"),
        ("properties.zones", "unfit"),
        ("!(properties.zones)", "unfit"),
        ("properties.mode && properties.on", "unfit"),
        ("properties.mode.value == 'x'", "unfit"),
        ("properties.count.value == 'x'", "unfit"),
        ("properties.twins.a == `1`", "unfit"),
        ("length(properties.zones) == `2`", "true"),
        ("length(properties.count) == `2`", "unfit"),
        ("length(properties.nobody) == `0`", "absent"),
        ("contains(properties.zones, '2')", "true"),
        ("contains(keys(tags), 'OWNER')", "true"),
        ("contains(tags.owner, 'HO')", "true"),
        ("contains(tags.owner, `1`)", "unfit"),
        ("starts_with(properties.mode, 'en')", "true"),
        ("ends_with(properties.mode, 'LED')", "true"),
        ("properties.zones[0] == '1'", "true"),
        ("properties.zones[-1] == '2'", "true"),
        ("properties.zones[5] == '1'", "absent"),
        ("properties.mode[0] == 'E'", "unfit"),
        ("properties.zones[:1] == ['1']", "true"),
        ('properties.zones[:1] == `["1"]`', "true"),
        ("length(properties.pools[?mode == 'system']) == `1`", "true"),
        ("length(properties.pools[?nobody == 'system']) == `0`", "absent"),
        ("length(properties.mode[?x == 'system']) == `0`", "unfit"),
        ("max(properties.pools[*].size) == `2`", "true"),
        ("length(properties.half[*].x) == `2`", "absent"),
        ("length(properties.count[*].x) == `0`", "unfit"),
        ("length(properties.nulls[*]) == `0`", "absent"),
        ("length(properties.nulls[?@]) == `0`", "absent"),
        ("properties.nulls[0] == `0`", "absent"),
        ("sum(properties.lists[]) == `6`", "true"),
        ("length(properties.mode[]) == `0`", "unfit"),
        ("length(tags.*) == `2`", "true"),
        ("length(properties.zones.*) == `2`", "unfit"),
        ("max_by(properties.pools, &size).name == 'b'", "true"),
        ("length(map(&nobody, properties.pools)) == `2`", "absent"),
        ("{a: tags.owner}.a == 'shop'", "true"),
        ("[tags.owner, tags.nobody] == `[1]`", "absent"),
        ("properties | count == `3`", "true"),
        ("max(properties.half[?x == `2`].x) == `1`", "absent"),
        ("!to_number(properties.mode)", "absent"),
        ("@ == tags", "unfit"),
        ("properties.pools[*] == tags.*", "unfit"),
        ("properties.pools[0] == `{}`", "unfit"),
        ("properties.mode == 'x' || properties.on", "true"),
        ("properties.mode || properties.on", "true"),
        ("properties.mode && properties.off", "false"),
        ("contains(properties.pools, `{}`)", "unfit"),
        ("contains(properties.zones, `1`)", "false"),
        ("contains(properties.zones, properties.nobody)", "absent"),
        ("sort_by(properties.pools, &mode)[0].name == 'a'", "true"),
    ],
)
def test_an_answer_rests_on_what_is_there(text: str, says: str) -> None:
    assert answer(text) == says


def test_the_properties_that_everything_has_are_never_absent() -> None:
    assert answer("properties.on", body={"tags": {}}) == "unfit"
    assert answer("metadata.labels.owner == 'x'", body={"metadata": None}, caseless=False) == "unfit"
    assert answer("metadata.labels.owner == 'x'", body={"metadata": {}}, caseless=False) == "absent"


def test_names_and_strings_of_kubernetes_have_case() -> None:
    body = {"metadata": {"labels": {"owner": "shop", "Owner": "bank"}}}
    assert answer("metadata.labels.owner == 'shop'", body=body, caseless=False) == "true"
    assert answer("metadata.labels.owner == 'Shop'", body=body, caseless=False) == "false"
    assert answer("metadata.labels.OWNER == 'shop'", body=body, caseless=False) == "absent"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a ==", "Incomplete expression|nvalid"),
        ("a.b[", "Incomplete|nvalid"),
        ("!a.b == 'x'", r"write !\(a\.b\)"),
        ("!a[0].b", r"write !\(a\.b\)"),
        ("", "xpression"),
        ("nosuch(a)", r"there is no function nosuch\(\)"),
        ("length(a, b)", r"length\(\) takes 1 arguments, here are 2"),
        ("length()", r"length\(\) takes 1 arguments, here are 0"),
        ("a == `null`", "nothing is compared with null"),
        ("`true`", "it reads nothing"),
        ("'a' == 'a'", "it reads nothing"),
        ("(" * 5000 + "a" + ")" * 5000, "nested too deep"),
        ("a" + " || a" * 5000, "nested too deep"),
    ],
)
def test_an_expression_that_nobody_could_answer_is_refused(text: str, says: str) -> None:
    with pytest.raises(ExpressionError, match=says):
        Expression(text, caseless=True)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("tags.owner == 'x'", {("tags", "Owner"): "Shop"}),
        ("tags.\"a/b~c\" == 'x'", {("tags", "a/b~c"): None}),
        ("properties.zones[1] == 'x'", {("properties", "zones", 1): "2"}),
        ("properties.zones[9] == 'x'", {("properties", "zones", 9): None}),
        ("properties.zones[-1] == 'x'", {("properties", "zones"): ["1", "2"]}),
        ("length(properties.pools[?mode == 'x'].name) == `0`", {("properties", "pools"): BODY["properties"]["pools"]}),
        ("sort_by(properties.pools, &mode)[0].name == 'a'", {("properties", "pools"): BODY["properties"]["pools"]}),
        ("properties.on && !(properties.off)", {("properties", "on"): True, ("properties", "off"): False}),
        ("properties.{a: on, b: off}.a", {("properties", "on"): True, ("properties", "off"): False}),
        ("properties | on", {("properties", "on"): True}),
        ("properties.zones[:1] == tags", {("properties", "zones"): ["1", "2"], ("tags",): BODY["tags"]}),
        ("contains(keys(@), 'x')", {(): BODY}),
    ],
)
def test_evidence_is_what_the_expression_reads(text: str, found: dict[tuple[str | int, ...], Any]) -> None:
    assert dict(Expression(text, caseless=True).found(BODY)) == found


NAMES = st.sampled_from(["a", "b", "c"])
LITERALS = st.sampled_from(["'x'", "''", "`1`", "`0`", "`true`", "`false`", "`[]`", "`{}`"])
CHAINS = st.lists(NAMES, min_size=1, max_size=3).map(".".join)
SIMPLE = st.builds("{} {} {}".format, CHAINS, st.sampled_from(["==", "!=", "<", ">="]), LITERALS)


def joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("!({})".format, inner),
        st.builds("length({}[?{}]) == `0`".format, CHAINS, inner),
        st.builds("contains({}[*].{}, {})".format, CHAINS, NAMES, LITERALS),
        st.builds("max({}[].{}) > `0`".format, CHAINS, NAMES),
    )


EXPRESSIONS = st.recursive(st.one_of(SIMPLE, CHAINS), joined, max_leaves=5)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-1, 2), st.floats(allow_nan=True), st.sampled_from(["", "x", "X"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=12,
)
BODIES = st.dictionaries(NAMES, VALUES, max_size=3)


@given(text=EXPRESSIONS, body=BODIES)
def test_an_answer_is_that_of_jmespath_or_none(text: str, body: dict[str, Any]) -> None:
    said = answer(text, caseless=False, body=body)
    if said in {"true", "false"}:
        assert bool(jmespath.search(text, body)) is (said == "true")
    list(Expression(text, caseless=False).found(body))


@given(text=EXPRESSIONS, body=BODIES)
def test_what_is_dropped_never_makes_anything_true(text: str, body: dict[str, Any]) -> None:
    assume(answer(text, caseless=False, body=body) != "true")
    for smaller in without_a_key(body):
        assert answer(text, caseless=False, body=smaller) != "true"


def without_a_key(body: Any) -> Iterator[Any]:  # noqa: ANN401 - any JSON value
    """The body, each time with another key gone, wherever it stands."""
    if isinstance(body, (dict, list)):
        for key in list(body) if isinstance(body, dict) else range(len(body)):
            if isinstance(body, dict):
                yield {name: value for name, value in body.items() if name != key}
            for inner in without_a_key(body[key]):
                changed = copy.copy(body)
                changed[key] = inner
                yield changed


@given(text=st.one_of(st.text(max_size=40), EXPRESSIONS), body=st.one_of(BODIES, VALUES), caseless=st.booleans())
def test_nothing_else_is_raised(text: str, body: Any, *, caseless: bool) -> None:  # noqa: ANN401 - any JSON value
    try:
        expression = Expression(text, caseless=caseless)
    except ExpressionError:
        return
    with suppress(Absent, Unfit):
        expression.holds(body)
    list(expression.found(body))
