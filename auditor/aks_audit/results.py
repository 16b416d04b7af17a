"""What an audit says: outcomes, evidence and findings. Values only; no facts, no decisions."""

from enum import StrEnum
from string import Formatter
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    JsonValue: TypeAlias = "str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None"
else:
    JsonValue = Any  # msgspec takes no type that holds itself, and lets Any be every JSON value


class Outcome(StrEnum):
    """The four answers a rule can give about a subject. There is no fifth."""

    __hash__ = str.__hash__  # findings are counted by it

    PASS = "pass"  # noqa: S105 - an outcome, not a password
    FAIL = "fail"
    NOT_APPLICABLE = "not-applicable"
    UNKNOWN = "unknown"


class Severity(StrEnum):
    """What an attacker or an outage gains where a rule fails, worst first."""

    __hash__ = str.__hash__  # findings are counted by it

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"

    def reaches(self, threshold: "Severity") -> bool:
        """Whether this severity is at least as bad as `threshold`."""
        order = list(Severity)
        return order.index(self) <= order.index(threshold)


class Record(msgspec.Struct, frozen=True, rename="camel"):
    """A value of the report document; its JSON names are camelCase."""


class Control(Record, frozen=True, order=True):
    """A control of a framework that asks the same question, such as MCSB `NS-2`."""

    framework: str
    id: str


Index: TypeAlias = Literal["graph"]
"""What may lag behind the resources themselves: Azure Resource Graph."""


class Evidence(Record, frozen=True, omit_defaults=True):
    """A value that was read: the resource, the JSON pointer (RFC 6901) in its body, and the value.

    `value` is null where the body was read and holds no such value. Where it is not of the resource itself but of an
    index, `source` is that index, and `read` when it was asked (RFC 3339); else there is neither.
    """

    resource: str
    pointer: str
    value: JsonValue
    source: Index | None = None
    read: str | None = None


MissingKind: TypeAlias = Literal[
    "refused", "not-asked", "not-read", "not-sent", "malformed", "contradictory", "unheard-of", "crashed"
]


ENOUGH = frozenset({"unheard-of", "not-sent", "not-asked"})
"""What leaves a scan complete: a value that is new, an answer that does not hold a value, and what nobody asked for."""


class Missing(Record, frozen=True):
    """What could not be read, why, and what would mend it.

    `action` and `scope` are in Azure's or Kubernetes' own words (`Microsoft.Network/routeTables/read` on an id).
    """

    what: str
    kind: MissingKind
    reason: str
    action: str | None = None
    scope: str | None = None


class Location(Record, frozen=True, order=True):
    """A line of a snapshot file, counted from 1 in the snapshot's canonical order (as aks-audit writes it)."""

    file: str
    line: int


class Place(Record, frozen=True):
    """Where in its own pretty-printed body a finding's first evidence stands: a stable path, line and text."""

    path: str
    line: int
    text: str


class Due(Record, frozen=True, order=True):
    """Something that ends on a day (RFC 3339 date): support, maintenance, a credential. On that day it has ended.

    `date` is null where it has ended and the day is not known. `action` says what to do before.
    """

    what: str
    date: str | None
    action: str


class Verdict(Record, frozen=True):
    """A rule's answer about one subject; `due` is what it knows of that ends, whatever the answer."""

    outcome: Outcome
    message: str
    evidence: tuple[Evidence, ...] = ()
    missing: tuple[Missing, ...] = ()
    severity: Severity | None = None
    due: tuple[Due, ...] = ()


class Remediation(Record, frozen=True):
    """How to mend a finding, with the resource's own names in the command."""

    command: str
    bicep: str
    change: str


class Exemption(Record, frozen=True):
    """A person's decision to live with a failure until a day (RFC 3339 date). It stays a failure, and in the score."""

    reason: str
    owner: str
    approved_by: str
    expires: str


Change: TypeAlias = Literal["new", "unchanged", "changed"]
"""How a failure stands to the baseline: not failed there, failed alike, or failed with other evidence."""


class Finding(Record, frozen=True, omit_defaults=True):
    """One rule's outcome about one resource (or a named part of it), with its evidence.

    `exception` stands where a person accepted the failure, `change` where it was held against a baseline, and `source`
    where the infrastructure's own code says so: its file from the repository's root, line and text. `causes` are the
    fingerprints of the failures that must be mended before this one can be; `due` stands where it is known that
    something ends, whatever the outcome.
    """

    rule: str
    resource: str
    clusters: tuple[str, ...]
    outcome: Outcome
    severity: Severity
    message: str
    evidence: tuple[Evidence, ...]
    remediation: Remediation | None
    missing: tuple[Missing, ...]
    location: Location | None
    place: Place
    fingerprint: str
    exception: Exemption | None = None
    change: Change | None = None
    source: Place | None = None
    causes: tuple[str, ...] = ()
    due: tuple[Due, ...] = ()


class Effort(StrEnum):
    """What a fix costs those who run the cluster, least first."""

    SETTING = "in place"
    ROLLOUT = "restarts workloads"
    NODES = "replaces nodes"
    REBUILD = "new cluster"


_EFFORTS = {
    "in place": Effort.SETTING,
    "replaces the pod": Effort.ROLLOUT,
    "replaces the workload": Effort.ROLLOUT,
    "replaces workloads": Effort.ROLLOUT,
    "replaces nodes": Effort.NODES,
    "replaces the nodes": Effort.NODES,
    "replaces what all nodes run": Effort.NODES,
    "new node pool": Effort.NODES,
    "new cluster": Effort.REBUILD,
}


def effort(change: str) -> Effort:
    """What a fix costs, by the first words of what is said of its change; in place where they are none of ours."""
    return next((cost for words, cost in _EFFORTS.items() if change.startswith(words)), Effort.SETTING)


class RuleText(Record, frozen=True):
    """All that a rule says of itself. It stands once, in the rule, and feeds every report and `explain`.

    `follows` are the rules whose failures about the same thing must be mended before its own can be.
    """

    id: str
    title: str
    severity: Severity
    why: str
    severity_reason: str
    decided: str
    command: str
    bicep: str
    change: str
    references: tuple[str, ...]
    controls: tuple[Control, ...]
    subject: str
    disagreement: str = ""
    follows: tuple[str, ...] = ()

    @property
    def command_to_fill_in(self) -> str:
        """The command with `<group>` where a finding's own has the name of the resource group, and so on."""
        pieces = Formatter().parse(self.command)
        return "".join(text + (f"<{name}>" if name else "") for text, name, _, _ in pieces)
