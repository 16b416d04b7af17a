"""Makes what the benchmarks read, in a process of its own: what is measured must not inherit its memory.

python benchmarks/inputs.py fleet|hubs COUNT FILE     a snapshot of so many clusters, with networks of their own or
                                                      behind 20 hubs
python benchmarks/inputs.py bytes COUNT FILE          a snapshot of at least so many bytes
python benchmarks/inputs.py templates COUNT FOLDER    the clusters of `fleet` as ARM templates, one a file
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from aks_audit import snapshot
from compose.fleet import fleet
from compose.hubs import Sizes, hubs

TEMPLATE_SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
CLUSTERS = "Microsoft.ContainerService/managedClusters"
"""As the documentation writes it: checkov finds no cluster whose type has other capitals, as Azure's answers have."""

API_VERSION = "2025-05-01"
HUBS = 20


def write_fleet(count: int, file: Path) -> None:
    """Write the snapshot of a fleet."""
    snapshot.write(file, fleet(count))


def write_hubs(count: int, file: Path) -> None:
    """Write the snapshot of clusters behind hubs, with the long lists that large estates have."""
    snapshot.write(file, hubs(count, min(HUBS, count), Sizes()))


def write_bytes(count: int, file: Path) -> None:
    """Write the snapshot of as large a fleet as it takes."""
    small, large = (len(snapshot.encode(fleet(clusters))) for clusters in (50, 100))
    each = (large - small) / 50
    write_fleet(max(1, round(count / each * 1.01)), file)


def write_templates(count: int, folder: Path) -> None:
    """Write each cluster of a fleet as an ARM template."""
    folder.mkdir(parents=True)
    for number, record in enumerate(fleet(count)):
        if isinstance(record, snapshot.Resource) and record.type.lower() == CLUSTERS.lower():
            body = {key: value for key, value in record.body.items() if key not in {"id", "eTag"}}
            body |= {"type": CLUSTERS, "apiVersion": API_VERSION}
            template = {"$schema": TEMPLATE_SCHEMA, "contentVersion": "1.0.0.0", "resources": [body]}
            (folder / f"{number:05}.json").write_text(json.dumps(template, indent=2), encoding="utf-8")


MAKERS: Mapping[str, Callable[[int, Path], None]] = {
    "fleet": write_fleet,
    "hubs": write_hubs,
    "bytes": write_bytes,
    "templates": write_templates,
}


def main(arguments: Sequence[str]) -> None:
    """Make what is asked for."""
    kind, count, place = arguments
    MAKERS[kind](int(count), Path(place))


if __name__ == "__main__":
    main(sys.argv[1:])
