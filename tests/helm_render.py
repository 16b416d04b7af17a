"""Renders a chart as `helm template` does: asked and answered in JSON, on standard input and output.

A process of its own, because Helm's engine brings Go's runtime with it.
"""

import json
import sys
from typing import Any

from helm_python import Chart, HelmError, lint


def main() -> None:
    """Answer, for each set of values, the text of each template, or what is wrong with them."""
    asked = json.load(sys.stdin)
    with Chart.load(asked["chart"]) as chart:
        rendered = [_render(chart, values, asked["name"], asked["namespace"]) for values in asked["values"]]
    found = [lint(asked["chart"], values, strict=True) for values in asked["lint"]]
    json.dump({"rendered": rendered, "lint": found}, sys.stdout)


def _render(chart: Chart, values: dict[str, Any], name: str, namespace: str) -> dict[str, str] | str:
    try:
        return chart.render(values, name=name, namespace=namespace)
    except HelmError as problem:
        return str(problem)


if __name__ == "__main__":
    main()
