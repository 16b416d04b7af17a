"""The errors that are made for people."""


class AuditError(Exception):
    """A request that cannot be served. The message stands alone: what happened, to what, and what to do."""


class BusyError(AuditError):
    """What another process is at, so that this one does nothing; later it may succeed."""
