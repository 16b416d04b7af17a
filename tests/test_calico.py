"""Calico's policies: what its documentation says of its examples, and selectors one by one."""

from collections.abc import Mapping

import pytest

from aks_audit.policies.calico_selectors import DEEPEST, Scope, SelectorError, parse
from aks_audit.policies.model import Endpoint, Kind
from aks_audit.policies.selectors import holds
from policy_worlds import Case, answers, cases


@pytest.mark.parametrize("case", cases("calico"), ids=lambda case: case["name"])
def test_policies_do_what_the_documentation_says(case: Case) -> None:
    assert [(asked, found) for asked, found in answers("calico", case) if asked.verdict != found] == []


def test_every_kind_of_answer_is_expected_somewhere() -> None:
    verdicts = {line.rpartition(" ")[2] for case in cases("calico") for line in case["expect"]}
    assert verdicts == {"allowed", "denied", "conditional", "unknown"}


def taken(text: str, labels: Mapping[str, str] | None = None, scope: Scope = Scope.ENDPOINT) -> bool | None:
    """Whether a selector takes a pod web of the namespace shop with labels of its own."""
    pod = Endpoint(
        Kind.POD,
        "web",
        namespace="shop",
        labels=labels or {},
        namespace_labels={"team": "a"},
        service_account="robot",
        service_account_labels={"role": "r"},
    )
    return holds(parse(text, scope), pod)


# https://docs.tigera.io/calico/latest/reference/resources/networkpolicy#selector
@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("", {}, True),
        ("all()", {}, True),
        ("!all()", {}, False),
        ("k == 'v'", {"k": "v"}, True),
        ('k == "v"', {"k": "v"}, True),
        ("k == 'v'", {"k": "w"}, False),
        ("k == 'v'", {}, False),
        ("k != 'v'", {"k": "v"}, False),
        ("k != 'v'", {"k": "w"}, True),
        ("k != 'v'", {}, True),
        ("k == ''", {"k": ""}, True),
        ("has(k)", {"k": ""}, True),
        ("has(k)", {}, False),
        ("!has(k)", {}, True),
        ("! ! has( k )", {"k": ""}, True),
        ("k in {'a', 'b'}", {"k": "b"}, True),
        ("k in{'a','b',}", {"k": "b"}, True),
        ("k in {'a', 'b'}", {"k": "c"}, False),
        ("k in {'a', 'b'}", {}, False),
        ("k in {}", {"k": ""}, False),
        ("k not in {'a', 'b'}", {"k": "c"}, True),
        ("k not in {'a', 'b'}", {"k": "a"}, False),
        ("k not in {'a', 'b'}", {}, True),
        ("k notin {'a'}", {"k": "a"}, False),
        ("k not in {}", {"k": "a"}, True),
        ("k contains 'bc'", {"k": "abcd"}, True),
        ("k contains 'bc'", {"k": "acbd"}, False),
        ("k contains ''", {"k": "x"}, True),
        ("k contains 'bc'", {}, False),
        ("k starts with 'ab'", {"k": "abc"}, True),
        ("k startswith 'ab'", {"k": "xab"}, False),
        ("k ends with 'bc'", {"k": "abc"}, True),
        ("k ends  with 'bc'", {"k": "bcd"}, False),
        ("a == '1' && b == '2'", {"a": "1", "b": "2"}, True),
        ("a == '1' && b == '2'", {"a": "1"}, False),
        ("a == '1' || b == '2'", {"b": "2"}, True),
        ("a == '1' || b == '2' && c == '3'", {"a": "1"}, True),
        ("(a == '1' || b == '2') && c == '3'", {"a": "1"}, False),
        ("!a == '1' && b == '2'", {"a": "0", "b": "2"}, True),
        ("!(a == '1' && b == '2')", {"a": "1", "b": "2"}, False),
        ("in in {'in'}", {"in": "in"}, True),
        ("not not in {'not'}", {"not": "not"}, False),
        ("app.kubernetes.io/name == 'x'", {"app.kubernetes.io/name": "x"}, True),
        ("k == 'a && b'", {"k": "a && b"}, True),
        ("""k == 'a"b'""", {"k": 'a"b'}, True),
        ("projectcalico.org/namespace == 'shop'", {"projectcalico.org/namespace": "forged"}, True),
        ("projectcalico.org/serviceaccount == 'robot'", {}, True),
        ("projectcalico.org/orchestrator == 'k8s'", {}, True),
        ("projectcalico.org/orchestrator == 'openstack'", {}, False),
        ("pcns.team == 'a'", {}, True),
        ("pcsa.role == 'r' && pcns.projectcalico.org/name == 'shop'", {}, True),
        ("team == 'a'", {}, False),
        (" k\t==\t'v' ", {"k": "v"}, True),
    ],
)
def test_selectors_take_what_the_reference_says(text: str, labels: dict[str, str], expected: bool) -> None:  # noqa: FBT001 - a parameter of a test
    assert taken(text, labels) is expected


@pytest.mark.parametrize(
    ("text", "scope", "expected"),
    [
        ("team == 'a'", Scope.NAMESPACE, True),
        ("projectcalico.org/name == 'shop'", Scope.NAMESPACE, True),
        ("projectcalico.org/name == 'other'", Scope.NAMESPACE, False),
        ("has(role)", Scope.NAMESPACE, False),
        ("all()", Scope.NAMESPACE, True),
        ("global()", Scope.NAMESPACE, False),
        ("role == 'r'", Scope.SERVICE_ACCOUNT, True),
        ("projectcalico.org/name == 'robot'", Scope.SERVICE_ACCOUNT, True),
        ("all()", Scope.SERVICE_ACCOUNT, True),
    ],
)
def test_a_selector_is_about_the_labels_of_its_field(text: str, scope: Scope, expected: bool) -> None:  # noqa: FBT001 - a parameter of a test
    assert taken(text, scope=scope) is expected


@pytest.mark.parametrize(
    "text",
    [
        *("k", "k ==", "k = 'v'", "k == v", "'v' == k", "k in 'v'", "k in {'v'", "k in {v}", "k like 'v'"),
        *(
            "k starts 'v'",
            "k not 'v'",
            "has(k",
            "has()",
            "has k",
            "all(",
            "all(k)",
            "(k == 'v'",
            "k == 'v')",
            "k == 'v",
        ),
        *("k == 'v' &&", "&& k == 'v'", "k == 'v' k == 'w'", "k == 'v' & k == 'w'", "k == 'v' | k == 'w'", "!"),
        *("k == 'v'\n&& has(k)", "k@ == 'v'", "()", "k == 'v' || ", "{}", "has(k) == 'v'"),
    ],
)
def test_what_calico_cannot_read_is_refused(text: str) -> None:
    with pytest.raises(SelectorError):
        parse(text)


def test_parentheses_may_be_nested_but_not_without_end() -> None:
    assert taken("(" * DEEPEST + "has(k)" + ")" * DEEPEST, {"k": ""}) is True
    with pytest.raises(SelectorError):
        parse("(" * 100_000 + "has(k)" + ")" * 100_000)


def test_labels_that_could_not_be_read_decide_nothing() -> None:
    pod = Endpoint(Kind.POD, "web", namespace="shop")
    assert holds(parse("k == 'v'"), pod) is None
    assert holds(parse("k == 'v' || projectcalico.org/namespace == 'shop'"), pod) is True
