"""An exception as people write it into `aks-audit.toml`, for the tests of what reads it."""

from collections.abc import Mapping

EXCEPTION: Mapping[str, str | None] = {
    "rule": '"AKS-IAM-04"',
    "resource": None,
    "reason": '"moves in spring"',
    "owner": '"platform"',
    "approved-by": '"security"',
}
"""Its keys in the order they are written in, and their values as TOML has them."""


def exception(**told: str | None) -> str:
    """Its text with these values, which are TOML; a key is left out whose value is None."""
    values = {**EXCEPTION, **{name.replace("_", "-"): value for name, value in told.items()}}
    lines = [f"{name} = {value}" for name, value in values.items() if value is not None]
    return "\n".join(["[[exception]]", *lines, ""])
