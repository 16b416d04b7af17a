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
        (["**.example.com"], "www.example.com", True, None),
        (["**.example.com"], "a.www.example.com", None, None),
        (["**.example.com"], "example.com", False, None),
        (["***.example.com"], "a.www.example.com", None, None),
        (["www.**.com"], "www.example.com", True, None),
        (["www.**.com"], "www.a.example.com", False, None),
        (["**a.example.com"], "b.a.example.com", False, None),
        (["sub*.example.com"], "subway.example.com", True, None),
        (["sub*.example.com"], "sub.example.com", True, None),
        (["sub*.example.com"], "sub.way.example.com", False, None),
        (["*"], "a.b.c", True, None),
        (["**"], "a.b.c", None, None),
        (["**"], "localhost", True, None),
        (["one.example.com", "two.example.com"], "two.example.com", True, True),
        (["**.example.com", "a.www.example.com"], "a.www.example.com", True, True),
    ],
)
def test_names_and_patterns(names: list[str], name: str, shallow: bool | None, deep: bool | None) -> None:  # noqa: FBT001 - a table
    condition = address_of(names)
    assert is_about_names(condition)
    assert is_met(condition, name, deep=False) is shallow
    assert is_met(condition, name, deep=True) is deep


def test_other_conditions_are_not_about_names() -> None:
    assert not is_about_names("HTTP GET /x")
