"""Which failures must be mended before others can be: one cause, many rules.

A rule says which rules it follows. Where one of those fails about the same thing, its own failure is a later step of
that work. A failure that a person accepted is nobody's cause: what follows it is then work of its own.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from aks_audit.findings import failed, with_failures
from aks_audit.results import Finding, RuleText


class _Failed:
    """The failures of a rule, by what they are about."""

    def __init__(self) -> None:
        self.by_resource: dict[str, Finding] = {}
        self.by_cluster: dict[str, list[Finding]] = {}

    def add(self, finding: Finding) -> None:
        """Add a failure. One about an object in a cluster is not about the cluster."""
        resource = finding.resource.lower()
        self.by_resource[resource] = finding
        for cluster in map(str.lower, finding.clusters):
            if not resource.startswith(f"{cluster}/api"):
                self.by_cluster.setdefault(cluster, []).append(finding)


def traced(findings: Sequence[Finding], rules: Iterable[RuleText]) -> Sequence[Finding]:
    """The findings, each failure with those that must be mended first, by their fingerprints; these have none before.

    A failure of a rule that it follows is one if it is about the same resource, about what holds that, or, where the
    two rules ask about different things, about Azure's side of the same clusters, each of them.
    """
    texts = {rule.id: rule for rule in rules}
    followed = {rule for text in texts.values() for rule in text.follows}
    open_failures: dict[str, _Failed] = {}
    for failure in failed(findings):
        if failure.rule in followed and failure.exception is None:
            open_failures.setdefault(failure.rule, _Failed()).add(failure)

    def with_causes(failure: Finding) -> Finding:
        if failure.exception or not texts[failure.rule].follows:
            return failure
        causes = tuple(dict.fromkeys(_roots(failure, texts, open_failures)))
        return msgspec.structs.replace(failure, causes=causes) if causes else failure

    return with_failures(findings, with_causes)


def _roots(finding: Finding, texts: Mapping[str, RuleText], failures: Mapping[str, _Failed]) -> Iterator[str]:
    own = texts[finding.rule]
    for rule in own.follows:
        if rule in failures and rule in texts:
            for cause in _causes(finding, failures[rule], apart=texts[rule].subject != own.subject):
                yield from tuple(_roots(cause, texts, failures)) or (cause.fingerprint,)


def _causes(finding: Finding, failures: _Failed, *, apart: bool) -> Iterable[Finding]:
    resource = finding.resource.lower()
    while resource:
        if resource in failures.by_resource:
            return (failures.by_resource[resource],)
        resource = resource.rpartition("/")[0]
    found = [failures.by_cluster.get(cluster.lower(), []) for cluster in finding.clusters]
    return (cause for causes in found for cause in causes) if apart and all(found) else ()
