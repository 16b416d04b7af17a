"""The cases of the built-in rules: where they stand, and what tests ask of `aks_audit.cases`."""

from collections.abc import Sequence
from pathlib import Path

from aks_audit.cases import (
    ALIASES,
    BASE,
    CLUSTER,
    INSIDE,
    INSIDE_ALIASES,
    Case,
    estate_of,
    read_cases,
    records_of,
    verdict_of,
)

__all__ = [
    "ALIASES",
    "BASE",
    "CLUSTER",
    "INSIDE",
    "INSIDE_ALIASES",
    "ROOT",
    "RULE_CASES",
    "Case",
    "case_files",
    "estate_of",
    "read_cases",
    "records_of",
    "verdict_of",
]

ROOT = Path(__file__).parent.parent
RULE_CASES = ROOT / "fixtures" / "rules"


def case_files() -> Sequence[Path]:
    """Every case file of a rule."""
    return sorted(RULE_CASES.glob("*/cases.toml"))
