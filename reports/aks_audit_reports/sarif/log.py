"""The part of SARIF 2.1.0 that the reporter writes, under the names of the standard."""

from typing import Literal, TypeAlias

import msgspec

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

Level: TypeAlias = Literal["none", "note", "warning", "error"]
Kind: TypeAlias = Literal["pass", "open", "notApplicable", "fail"]
BaselineState: TypeAlias = Literal["new", "unchanged", "updated", "absent"]


class Node(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel", gc=False):
    """An object of the file; properties with their default value are left out. None is ever part of a cycle."""


class Message(Node, frozen=True):
    """What a result or notification says (3.11): plain text, in which only `[text](target)` has a meaning."""

    text: str


class MultiformatMessage(Node, frozen=True):
    """A text of a rule (3.12), plain and as GitHub Markdown."""

    text: str
    markdown: str | None = None


class ArtifactLocation(Node, frozen=True):
    """A file (3.4), as a relative URI."""

    uri: str


class ArtifactContent(Node, frozen=True):
    """The text of a part of a file (3.3)."""

    text: str


class Region(Node, frozen=True):
    """A line of a file (3.30), counted from 1, with its text."""

    start_line: int
    snippet: ArtifactContent


class PhysicalLocation(Node, frozen=True):
    """A place in a file (3.29)."""

    artifact_location: ArtifactLocation
    region: Region


class LogicalLocation(Node, frozen=True):
    """A place in what is audited (3.33): a resource, or a property of its body."""

    name: str
    fully_qualified_name: str
    kind: Literal["resource", "property"]


class Location(Node, frozen=True):
    """A place (3.28), in a file and in what is audited. Without the file GitHub refuses the whole upload."""

    logical_locations: tuple[LogicalLocation, ...]
    physical_location: PhysicalLocation | None = None
    message: Message | None = None


class Fingerprints(Node, frozen=True):
    """What identifies a result from run to run (3.27.17); GitHub reads this one name."""

    primary_location_line_hash: str


class ResultProperties(Node, frozen=True):
    """What SARIF has no name for.

    That is the finding's severity, the clusters it concerns, the command that mends it, where its evidence was read if
    not of the resources themselves, and whether it is of an earlier scan and could not be evaluated again.
    """

    severity: str
    clusters: tuple[str, ...] = ()
    command: str | None = None
    evidence_origin: str | None = None
    carried: bool = False


class Exemption(Node, frozen=True):
    """Who accepted a failure, and until when (a date)."""

    owner: str
    approved_by: str
    expires: str


class Suppression(Node, frozen=True):
    """A person's decision to live with a result (3.35), which stands outside of what was audited."""

    kind: Literal["external"]
    status: Literal["accepted"]
    justification: str
    properties: Exemption


class Result(Node, frozen=True):
    """What one rule says about one resource (3.27). A `kind` that is left out means `fail`."""

    rule_id: str
    rule_index: int
    level: Level
    message: Message
    locations: tuple[Location, ...]
    partial_fingerprints: Fingerprints
    properties: ResultProperties
    related_locations: tuple[Location, ...] = ()
    kind: Kind = "fail"
    baseline_state: BaselineState | None = None
    suppressions: tuple[Suppression, ...] = ()


class Configuration(Node, frozen=True):
    """How a rule reports unless a result says otherwise (3.50)."""

    level: Level


class RuleProperties(Node, frozen=True):
    """What GitHub reads of a rule: `security-severity` (a number in a string) or, for others, `problem.severity`."""

    tags: tuple[str, ...]
    precision: Literal["very-high", "high", "medium", "low"]
    security_severity: str = msgspec.field(name="security-severity")
    problem_severity: Literal["error", "warning", "recommendation"] | None = msgspec.field(
        default=None, name="problem.severity"
    )


class Rule(Node, frozen=True):
    """A rule (3.49)."""

    id: str
    name: str
    short_description: MultiformatMessage
    full_description: MultiformatMessage
    help: MultiformatMessage
    default_configuration: Configuration
    properties: RuleProperties
    help_uri: str | None = None


class Component(Node, frozen=True):
    """The tool and its rules (3.19)."""

    name: str
    full_name: str
    version: str
    semantic_version: str
    rules: tuple[Rule, ...]


class Tool(Node, frozen=True):
    """The tool (3.18)."""

    driver: Component


class Notification(Node, frozen=True):
    """Something about the run itself (3.58)."""

    level: Level
    message: Message


class Invocation(Node, frozen=True):
    """The run (3.20). Where `execution_successful` is false, an absent result does not mean that it was mended."""

    execution_successful: bool
    tool_execution_notifications: tuple[Notification, ...] = ()
    start_time_utc: str | None = None
    end_time_utc: str | None = None


class PipelineProperties(msgspec.Struct, frozen=True, kw_only=True):
    """What Azure DevOps reads of the pipeline: all of it is text, numbers too."""

    definition_id: str = msgspec.field(name="azuredevops/pipeline/build/buildDefinitionId")
    definition_name: str = msgspec.field(name="azuredevops/pipeline/build/buildDefinitionName")
    phase_id: str = msgspec.field(name="azuredevops/pipeline/build/phaseId")
    phase_name: str = msgspec.field(name="azuredevops/pipeline/build/phaseName")


class AutomationDetails(Node, frozen=True):
    """Which series of runs this one belongs to (3.17): for GitHub `category/run`."""

    id: str
    properties: PipelineProperties | None = None


class Run(Node, frozen=True):
    """One run of the tool (3.14)."""

    tool: Tool
    invocations: tuple[Invocation, ...]
    results: tuple[Result, ...]
    column_kind: Literal["utf16CodeUnits", "unicodeCodePoints"]
    automation_details: AutomationDetails | None = None


class Log(Node, frozen=True):
    """A SARIF file (3.13)."""

    schema: str = msgspec.field(name="$schema")
    version: Literal["2.1.0"]
    runs: tuple[Run, ...]
