"""The report as JSON: the contract that others build on (schema in `docs/report.schema.json`)."""

import inspect
from collections.abc import Iterator
from typing import Any

import msgspec

from aks_audit.findings import encoded
from aks_audit.report import Report

_NO_FINDINGS = b'\n  "findings": []'
DIALECT = "https://json-schema.org/draft/2020-12/schema"


class JsonReporter:
    """Writes `aks-audit.json`, two spaces, keys in the schema's order, and a line for each finding."""

    file_name = "aks-audit.json"

    def render(self, report: Report, *, colour: bool = False) -> bytes:
        """The report as indented JSON with a final newline."""
        del colour  # a file has none
        return b"".join(self.parts(report))

    def parts(self, report: Report) -> Iterator[bytes]:
        """The report piece by piece: each finding stands on a line of its own, all else is indented."""
        rest = _indented(msgspec.structs.replace(report, findings=()))
        here = rest.index(_NO_FINDINGS) + len(_NO_FINDINGS) - 1
        yield rest[:here]
        between = b"\n    "
        for finding in encoded(report.findings):
            yield between
            yield finding
            between = b",\n    "
        if report.findings:
            yield b"\n  "
        yield rest[here:]


def schema() -> bytes:
    """The JSON Schema of the report. It allows further keys: a minor version may add some."""
    (root,), definitions = msgspec.json.schema_components([Report], ref_template="#/$defs/{name}")
    described = {name: _described(definition) for name, definition in definitions.items()}
    return _indented({"$schema": DIALECT, "title": "The report of aks-audit", **root, "$defs": described})


def _described(definition: dict[str, Any]) -> dict[str, Any]:
    """The definition of a type, its docstring without the indentation of the source."""
    return {**definition, "description": inspect.cleandoc(definition["description"])}


def _indented(document: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


REPORTER = JsonReporter()
