"""The subcommands of `aks-audit`, one module each: its arguments and help, and how it is run.

A module's `add` puts its command on the parser with `run`, which gives the exit code. Modules import at once only what
the help needs; what a command needs is imported when it runs.
"""

from aks_audit.errors import AuditError

OK, FINDINGS, UNUSABLE, INCOMPLETE, LOCKED = range(5)
"""The exit codes, as `EXIT_CODES` tells them."""

EXIT_CODES = """\
exit codes:
  0  no finding at or over the threshold (--fail-on), and everything in scope was read
  1  findings at or over the threshold
  2  wrong usage, or input that cannot be read
  3  incomplete: a rule or the program crashed, not all could be read, or somebody not be told (wins over 0, not over 1)
  4  another run is under way, of the same scope or shard of a store or into the same file; nothing was written
"""


class UsageError(AuditError):
    """A request that cannot be served; the message says what to do."""
