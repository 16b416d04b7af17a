"""The report as JSON: the contract that others build on (schema in `docs/report.schema.json`)."""

import inspect
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from aks_audit.findings import encoded
from aks_audit.report import Report

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
        before = b"{"
        for name, written in zip(report.__struct_fields__, report.__struct_encode_fields__, strict=True):
            value = getattr(report, name)
            yield before + f'\n  "{written}": '.encode()
            if name == "findings":
                yield from _listed(encoded(value))
            elif isinstance(value, tuple):
                yield from _listed(_indented(item, "    ") for item in value)
            else:
                yield _indented(value, "  ")
            before = b","
        yield b"\n}\n"


def _listed(items: Iterable[bytes]) -> Iterator[bytes]:
    before = b"[\n    "
    for item in items:
        yield before + item
        before = b",\n    "
    yield b"\n  ]" if before.startswith(b",") else b"[]"


def schema() -> bytes:
    """The JSON Schema of the report. It allows further keys: a minor version may add some."""
    (root,), definitions = msgspec.json.schema_components([Report], ref_template="#/$defs/{name}")
    described = {name: _described(definition) for name, definition in definitions.items()}
    return _indented({"$schema": DIALECT, "title": "The report of aks-audit", **root, "$defs": described}) + b"\n"


def _described(definition: dict[str, Any]) -> dict[str, Any]:
    """The definition of a type, its docstring without the indentation of the source."""
    return {**definition, "description": inspect.cleandoc(definition["description"])}


def _indented(value: object, by: str = "") -> bytes:
    """A value as JSON on several lines, those after the first indented by something more."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).replace(b"\n", f"\n{by}".encode())


REPORTER = JsonReporter()
