"""Files of the Helm chart that are made: its README from the comments of its values, its roles from the permissions."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec.yaml
import yaml

from aks_audit import permissions

CHART = Path(__file__).parent.parent / "deploy" / "chart"

_LINE = re.compile(r"(?P<indent> *)(?P<key>[A-Za-z]+):(?P<value>.*)")

_HEAD = """# Helm chart of aks-audit

Made by `python tests/renew.py` from the comments of `values.yaml`. How to run it: [docs/kubernetes.md]\
(../../docs/kubernetes.md).

```sh
helm install aks-audit deploy/chart --namespace aks-audit --values values.yaml
```

| value | default | what it is |
|---|---|---|
"""


class Value(NamedTuple):
    """A value of the chart: its path, its default, and what the comment above it says."""

    path: str
    default: Any
    says: str


def values() -> tuple[Value, ...]:
    """Every value that a comment describes, in order."""
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    defaults = yaml.safe_load(text)
    return tuple(Value(path, _at(defaults, path), says) for path, says in _commented(text))


def _commented(text: str) -> Iterator[tuple[str, str]]:
    above: list[str] = []
    says = ""
    for line in text.splitlines():
        if line.strip().startswith("# -- "):
            says = line.strip().removeprefix("# -- ")
        elif says and line.strip().startswith("# "):
            says += line.strip().removeprefix("#")
        elif found := _LINE.fullmatch(line):
            above = [*above[: len(found["indent"]) // 2], found["key"]]
            if says:
                yield ".".join(above), says
            says = ""


def _at(defaults: Any, path: str) -> Any:  # noqa: ANN401 - any YAML value
    for name in path.split("."):
        defaults = defaults[name]
    return defaults


def files() -> dict[str, bytes]:
    """The files by their paths from the repository's root."""
    rows = (f"| `{value.path}` | `{json.dumps(value.default)}` | {value.says} |\n" for value in values())
    roles = {item["kind"]: item for item in permissions.manifests(permissions.load())["items"]}
    return {
        "deploy/chart/README.md": (_HEAD + "".join(rows)).encode(),
        "deploy/chart/files/cluster-rules.yaml": msgspec.yaml.encode(roles["ClusterRole"]["rules"]),
        "deploy/chart/files/kube-system-rules.yaml": msgspec.yaml.encode(roles["Role"]["rules"]),
    }
