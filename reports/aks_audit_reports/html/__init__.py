"""The report as one HTML file that asks nothing of any network: the report that people forward.

The markup stands in `templates/`, the style and the script in `assets/`. All three are put into one file, and the
page's own Content-Security-Policy names the style and the script by their hashes and forbids everything else.
"""

from functools import cache
from importlib.resources import files

import msgspec
from markupsafe import Markup

from aks_audit.findings import shared
from aks_audit.report import Report
from aks_audit_reports.html.cluster import pages
from aks_audit_reports.html.data import embedded
from aks_audit_reports.html.page import page
from aks_audit_reports.html.states import worst_first
from aks_audit_reports.standalone import policy, template


class HtmlReporter:
    """Writes `aks-audit.html`."""

    file_name = "aks-audit.html"

    def render(self, report: Report, *, colour: bool = False) -> bytes:
        """The page, complete without scripts but for the findings past the most severe ones."""
        del colour  # a page has its own
        style, script = _assets(".css"), _assets(".js")
        report = msgspec.structs.replace(report, findings=shared(report.findings))
        findings = worst_first(report.findings)
        filled, shown = template("aks_audit_reports.html", "report.html.j2"), page(report, findings)
        html = filled.render(
            page=shown,
            pages=pages(report, shown.matrix, filled.environment),
            data=Markup(embedded(report, findings)),  # noqa: S704 - base64
            style=style,
            script=script,
            policy=policy(style, script),
        )
        return html.encode()


@cache
def _assets(ending: str) -> Markup:
    """All styles, or all scripts, in order of their names."""
    there = (asset for asset in (files("aks_audit_reports.html") / "assets").iterdir() if asset.name.endswith(ending))
    text = "".join(asset.read_text(encoding="utf-8") for asset in sorted(there, key=lambda asset: asset.name))
    return Markup(text)  # noqa: S704 - our own style and script, put in as they are


REPORTER = HtmlReporter()
