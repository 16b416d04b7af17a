"""What reads an API server, whatever the way to it."""

from typing import TYPE_CHECKING, NamedTuple, Protocol

from aks_audit.errors import AuditError

if TYPE_CHECKING:
    from aks_audit.snapshot import Gap


class Answer(NamedTuple):
    """An answer of an API server: status and body as on the wire."""

    status: int
    body: bytes


class UnreachableError(AuditError):
    """No answer came; the message says why, and what may mend it. `gap` is there where Azure refused the way."""

    gap: "Gap | None" = None


class TooLargeError(UnreachableError):
    """An answer is larger than what is read of one."""


class Getter(Protocol):
    """Whatever reads a path of an API server."""

    async def get(self, path: str, accept: str = "application/json") -> Answer:
        """GET a path with its query.

        Raises:
            TooLargeError: the answer is too large to be read.
            UnreachableError: no answer came.
        """
        ...
