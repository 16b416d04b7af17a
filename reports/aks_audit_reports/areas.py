"""The areas of an audit: the group in a rule's id, by a name that people know."""

from collections.abc import Iterable, Mapping

NAMES: Mapping[str, str] = {
    "API": "API server",
    "EGR": "Egress",
    "SUB": "Subnets",
    "ING": "Ingress",
    "PAAS": "Azure services",
    "CP": "Control plane",
    "IAM": "Identity",
    "ND": "Nodes",
    "KN": "Pod network",
    "KS": "Pod security",
    "KR": "Roles inside",
    "KW": "Workloads",
    "OP": "Operations",
}
"""The areas of the rules that come with aks-audit, from the outside in."""


def area_of(rule: str) -> str:
    """The area of a rule by its id: `EGR` of `AKS-EGR-01`; of a rule of another's pack its prefix."""
    prefix, _, rest = rule.partition("-")
    return rest.partition("-")[0] or prefix if prefix == "AKS" else prefix


def in_order(areas: Iterable[str]) -> tuple[str, ...]:
    """These areas, each once: those that have a name in the order of `NAMES`, then the others by id."""
    known = list(NAMES)
    return tuple(sorted(set(areas), key=lambda area: (known.index(area) if area in NAMES else len(known), area)))


def named(area: str) -> str:
    """An area's name; its id where it has none."""
    return NAMES.get(area, area)
