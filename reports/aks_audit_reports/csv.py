"""The findings as CSV (RFC 4180): a row each, for those who sort, filter and file them in a spreadsheet."""

import csv
import io

from aks_audit.report import Report
from aks_audit_reports.table import COLUMNS, harmless, rows


class CsvReporter:
    """Writes `aks-audit.csv`, in UTF-8 with the mark by which Excel knows it, each cell in quotes."""

    file_name = "aks-audit.csv"

    def render(self, report: Report, *, colour: bool = False) -> bytes:
        """All findings, whatever their outcome; no cell is a formula to a spreadsheet."""
        del colour  # a file has none
        file = io.StringIO(newline="")
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        writer.writerows([harmless(cell) for cell in row] for row in rows(report))
        return file.getvalue().encode("utf-8-sig")


REPORTER = CsvReporter()
