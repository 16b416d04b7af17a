"""What a page is made with that asks nothing of any network: its template, and the policy that it carries."""

import base64
import hashlib
from functools import cache

import jinja2

from aks_audit_reports.summary import printable


@cache
def template(package: str, name: str) -> jinja2.Template:
    """A template of a package (its folder `templates`), which escapes what it shows; what it names must be there."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        autoescape=True,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(name)


def _visible(shown: object) -> object:
    """Every plain text that a template shows goes through here; what is marked as ours stays as it is."""
    return printable(shown) if type(shown) is str else shown


def policy(style: str, script: str = "") -> str:
    """What a page may do: apply this style, run this script if any, show the icon within it; no request, no form."""
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src '{_hash(style)}'",
            *([f"script-src '{_hash(script)}'"] if script else []),
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
