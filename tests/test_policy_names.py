"""Names in policies: which names have the addresses that a condition is about."""

import pytest

from aks_audit.policies.names import address_of, is_about_names, is_met


@pytest.mark.parametrize(
    ("names", "name", "shallow", "deep"),
    [
        (["example.com"], "example.com", True, True),
        (["Example.com."], "EXAMPLE.com.", True, True),
        (["example.com"], "www.example.com", False, False),
        (["example.com"], "examplexcom", False, False),
        (["*.example.com"], "www.example.com", True, True),
        (["*.example.com"], "a.www.example.com", False, True),
        (["*.example.com"], "example.com", False, False),
        (["**.example.com"], "a.www.example.com", True, True),
        (["**.example.com"], "example.com", False, False),
        (["sub*.example.com"], "subway.example.com", True, True),
        (["sub*.example.com"], "sub.example.com", True, True),
        (["sub*.example.com"], "sub.way.example.com", False, False),
        (["*"], "a.b.c", True, True),
        (["one.example.com", "two.example.com"], "two.example.com", True, True),
    ],
)
def test_names_and_patterns(names: list[str], name: str, shallow: bool, deep: bool) -> None:  # noqa: FBT001 - a table
    condition = address_of(names)
    assert is_about_names(condition)
    assert is_met(condition, name, deep=False) is shallow
    assert is_met(condition, name, deep=True) is deep


def test_other_conditions_are_not_about_names() -> None:
    assert not is_about_names("HTTP GET /x")
