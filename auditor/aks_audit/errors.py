"""The errors that are made for people."""


class AuditError(Exception):
    """A request that cannot be served. The message stands alone: what happened, to what, and what to do."""
