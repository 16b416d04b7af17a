"""The report as one HTML file that asks nothing of any network: the report that people forward.

The markup stands in `templates/`, the style and the script in `assets/`. All three are put into one file, and the
page's own Content-Security-Policy names the style and the script by their hashes and forbids everything else.
"""

import base64
import hashlib
from functools import cache
from importlib.resources import files

import jinja2
import msgspec
from markupsafe import Markup

from aks_audit.report import Report
from aks_audit_reports.html.cluster import pages
from aks_audit_reports.html.data import embedded
from aks_audit_reports.html.page import page
from aks_audit_reports.html.states import worst_first
from aks_audit_reports.summary import printable


class HtmlReporter:
    """Writes `aks-audit.html`."""

    file_name = "aks-audit.html"

    def render(self, report: Report, *, colour: bool = False) -> bytes:
        """The page, complete without scripts but for the findings past the most severe ones."""
        del colour  # a page has its own
        style, script = _assets(".css"), _assets(".js")
        report = msgspec.structs.replace(report, findings=tuple(report.findings))  # each is made once
        findings = worst_first(report.findings)
        template, shown = _template(), page(report, findings)
        html = template.render(
            page=shown,
            pages=pages(report, shown.matrix, template.environment),
            data=Markup(embedded(report, findings)),  # noqa: S704 - base64
            style=style,
            script=script,
            policy=_policy(style, script),
        )
        return html.encode()


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("aks_audit_reports.html"),
        autoescape=True,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("report.html.j2")


def _visible(shown: object) -> object:
    """Every plain text that a template shows goes through here; what is marked as ours stays as it is."""
    return printable(shown) if type(shown) is str else shown


@cache
def _assets(ending: str) -> Markup:
    """All styles, or all scripts, in order of their names."""
    there = (asset for asset in (files("aks_audit_reports.html") / "assets").iterdir() if asset.name.endswith(ending))
    text = "".join(asset.read_text(encoding="utf-8") for asset in sorted(there, key=lambda asset: asset.name))
    return Markup(text)  # noqa: S704 - our own style and script, put in as they are


def _policy(style: str, script: str) -> str:
    """What the page may do: apply this style, run this script, show the icon within it; no request, no form."""
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src '{_hash(style)}'",
            f"script-src '{_hash(script)}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


REPORTER = HtmlReporter()
