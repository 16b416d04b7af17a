"""Calico's policies against recorded answers of network-config-analyzer."""

import json
from typing import Any

import pytest

from policy_worlds import FIXTURES, Asked, answers, cases, decide, endpoints, ruleset

RECORDED: dict[str, Any] = json.loads((FIXTURES / "nca.json").read_text())
DIFFERENT = {
    "of the same order the name decides": "it does not order policies of one order",
    "a CIDR is held against pods, too": "it holds CIDRs against what is outside alone",
    "a negated selector leaves out network sets, and in a namespaced policy means its namespace": (
        "it does not limit notSelector to the namespace of the policy, as Felix does"
    ),
    "a policy of Kubernetes stands in the tier default with the order 1000": "it orders policies of one order somehow",
    "a version of IP": "it does not regard ipVersion",
    "a profile opens a host endpoint, and a policy finds it by its labels and addresses": (
        "it does not know the label projectcalico.org/orchestrator"
    ),
    "what a host endpoint forwards, or decides before translation, is not known": "it does not regard preDNAT",
}
"""The cases of the documentation in which it says otherwise, and why we don't follow it."""


@pytest.mark.parametrize("world", RECORDED["worlds"])
def test_both_say_the_same(world: dict[str, Any]) -> None:
    outside, questions = RECORDED["addresses"], RECORDED["questions"]
    ends = [*world["pods"], *outside]
    pairs = [(one, other) for one in ends for other in ends if one != other and not {one, other} <= set(outside)]
    asked = [Asked(*pair, protocol, number, "") for pair in pairs for protocol, number in questions]
    case = {**world, "expect": [f"{address} -> {address} TCP 1: denied" for address in outside]}
    found = decide(ruleset("calico", case), endpoints(case), asked)
    assert "".join(verdict[0] for _, verdict in found) == world["answers"]


def test_it_says_the_same_of_the_documentation_but_where_we_know_better() -> None:
    differing = set()
    for case in cases("calico"):
        recorded = RECORDED["documented"].get(case["name"], {})
        for asked, found in answers("calico", case):
            question = f"{asked.source} -> {asked.destination} {asked.protocol} {asked.number}"
            if found in {"allowed", "denied", "unknown"} and recorded.get(question, found) != found:
                differing.add(case["name"])
    assert differing == DIFFERENT.keys()
