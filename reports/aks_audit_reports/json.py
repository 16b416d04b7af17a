"""The report as JSON: the contract that others build on (schema in `docs/report.schema.json`)."""

import msgspec

from aks_audit.report import Report


class JsonReporter:
    """Writes `aks-audit.json`, two spaces, keys in the schema's order."""

    file_name = "aks-audit.json"

    def render(self, report: Report, *, colour: bool = False) -> bytes:
        """The report as indented JSON with a final newline."""
        del colour  # a file has none
        return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


REPORTER = JsonReporter()
