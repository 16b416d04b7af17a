"""Policies with answers that others have written: there is to be no difference."""

import pytest

from netpol import needs_netpol
from policy_answers import SETS, Case, cases, name_of

pytestmark = needs_netpol


@pytest.mark.parametrize(
    ("folder", "case"),
    [pytest.param(folder, case, id=f"{folder}-{name_of(case)}") for folder in SETS for case in cases(folder)],
)
def test_policies_mean_what_others_say_they_mean(folder: str, case: Case) -> None:
    assert not [answer for answer in SETS[folder](case) if answer.expected != answer.found]


def test_no_set_has_become_smaller() -> None:
    assert {folder: len(cases(folder)) for folder in SETS} == {
        "k8s-e2e": 48,
        "recipes": 15,
        "np-guard": 85,
        "exposure": 31,
    }
