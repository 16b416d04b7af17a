"""Telling people and machines of a run: webhooks, gauges for Prometheus, and rows for Log Analytics.

These are the few writes there are. Each is asked for by name, and goes to the one address that was named for it; none
goes through the pipeline that reads Azure.
"""

from aks_audit.errors import AuditError


class NotifyError(AuditError):
    """Somebody could not be told. The message names what for, never the address, and says what to do."""
