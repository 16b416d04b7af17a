"""Cilium's policies: what its documentation says of its examples."""

import pytest

from policy_worlds import Case, answers, cases


@pytest.mark.parametrize("case", cases("cilium"), ids=lambda case: case["name"])
def test_policies_do_what_the_documentation_says(case: Case) -> None:
    assert [(asked, found) for asked, found in answers("cilium", case) if asked.verdict != found] == []


def test_every_kind_of_answer_is_expected_somewhere() -> None:
    verdicts = {line.rpartition(" ")[2] for case in cases("cilium") for line in case["expect"]}
    assert verdicts == {"allowed", "denied", "conditional", "unknown"}
