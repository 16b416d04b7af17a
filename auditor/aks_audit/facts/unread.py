"""Why a value cannot be had. A rule lets these pass through; the engine turns them into the outcome unknown."""

from typing import NamedTuple

from aks_audit.results import Missing


class Unread(Exception):  # noqa: N818 - the name of a state that rules meet, not of a mistake
    """Something that a rule asked for was not read; `missing` says what, why, and what would mend it."""

    def __init__(self, *missing: Missing) -> None:
        super().__init__("; ".join(part.reason for part in missing))
        self.missing = missing


class NotCollected(Unread):
    """A resource or a list that is not in the snapshot: refused, not asked for, or contradictory."""


class Malformed(Unread):
    """A value whose shape is not the one its field has on the wire."""

    def __init__(self, resource: str, pointer: str, problem: str) -> None:
        reason = f"{pointer or 'the body'} of {resource} is malformed: {problem}"
        super().__init__(Missing(what=resource, kind="malformed", reason=reason))


class UnheardOf(Unread):
    """An enumeration value that this version does not know. New is not wrong."""

    def __init__(self, resource: str, pointer: str, value: str) -> None:
        reason = f"{pointer} of {resource} has a value that this version of aks-audit does not know: {value!r}"
        super().__init__(Missing(what=resource, kind="unheard-of", reason=reason))


class UnreadSubject(NamedTuple):
    """A subject, or a list of subjects, that could not be read: rules about it are unknown."""

    id: str
    clusters: tuple[str, ...]
    missing: tuple[Missing, ...]
