"""Policies, and why they allow or deny, as people write it."""

from collections.abc import Sequence

from aks_audit.policies.evaluate import Reason, Verdict
from aks_audit.policies.model import Action, Policy


def policy_in_words(policy: Policy) -> str:
    """A policy by its kind, namespace and name."""
    return f"{policy.kind} {policy.namespace}/{policy.name}" if policy.namespace else f"{policy.kind} {policy.name}"


def reason_in_words(reason: Reason) -> str:
    """What decides on one side, and under which conditions."""
    conditions = f" if {' and '.join(reason.conditions)}" if reason.conditions else ""
    return f"{_cause(reason)}{conditions}{'' if reason.sure else ' (which may not hold)'}"


def _cause(reason: Reason) -> str:
    if reason.own_node:
        return "always open between a pod and its node"
    if not reason.policies:
        return "no policy"
    first, *others = map(policy_in_words, reason.policies)
    if reason.rule is None:
        more = f" and {len(others)} more" if others else ""
        return f"isolated by {first}{more}"
    if reason.action is Action.UNREAD:
        return f"{first} cannot be read: {reason.rule.unread}"
    place = reason.rule.pointer.removeprefix("/").removeprefix("spec/").replace("/", ".")
    named = f"“{reason.rule.name}”" if reason.rule.name else ""
    verb = "denied by " if reason.action is Action.DENY else ""
    return verb + " ".join(filter(None, (first, place, named)))


def side_in_words(reasons: Sequence[Reason]) -> str:
    """What decides on one side, where it may be several, by what holds."""
    return ", else ".join(dict.fromkeys(map(reason_in_words, reasons)))


def why(verdict: Verdict, egress: Sequence[Reason], ingress: Sequence[Reason]) -> str:
    """What decides on both sides; of what is denied, on the side that denies. A side without reasons is not told."""
    leaving, arriving = f"leaving: {side_in_words(egress)}", f"arriving: {side_in_words(ingress)}"
    denying = [bool(side) and all(reason.action is Action.DENY for reason in side) for side in (egress, ingress)]
    if verdict is not Verdict.DENIED or not any(denying):
        return f"{leaving}; {arriving}"
    return leaving if denying[0] else arriving
