"""The evidence of a report as files: each resource that findings cite, printed in the lines that the report counts."""

from collections.abc import Iterable
from pathlib import Path

from aks_audit.facts import Estate
from aks_audit.facts.document import Document, evidence_path
from aks_audit.results import Finding
from aks_audit.snapshot import write_atomically


def write(folder: Path, findings: Iterable[Finding], estate: Estate) -> int:
    """Write the files below a folder, each where `Finding.place` says (`aks-audit/…`); give how many there are.

    What was not read has no file. Each file is replaced at once, and none that stood there before is taken away.

    Raises:
        SnapshotError: a file cannot be written.
    """
    cited = _cited(findings, estate)
    for path, document in cited.items():
        write_atomically(folder / path, document.printed().encode())
    return len(cited)


def _cited(findings: Iterable[Finding], estate: Estate) -> dict[str, Document]:
    """The resources that findings are about or cite, by the path of their file."""
    ids = dict.fromkeys(
        resource for one in findings for resource in (one.resource, *(item.resource for item in one.evidence))
    )
    documents = [document for document in map(estate.document, ids) if document]
    return {evidence_path(document.id): document for document in documents}
