"""The report as JSON: the contract that others build on (schema in `docs/report.schema.json`)."""

import inspect
from typing import Any

import msgspec

from aks_audit.report import Report

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class JsonReporter:
    """Writes `aks-audit.json`, two spaces, keys in the schema's order."""

    file_name = "aks-audit.json"

    def render(self, report: Report, *, colour: bool = False) -> bytes:
        """The report as indented JSON with a final newline."""
        del colour  # a file has none
        return _indented(report)


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
