"""Conditions about names: that the address that traffic goes to is one that some names resolve to.

A policy can only say so where the engine has seen the DNS answer; the names that it writes may be patterns.
"""

import re
from collections.abc import Iterable

_ADDRESS_OF = "the address is one of "
_SEPARATOR = ", "


def address_of(names: Iterable[str]) -> str:
    """The condition that the address is one of some names, or of names with these patterns."""
    return f"{_ADDRESS_OF}{_SEPARATOR.join(names)}"


def is_about_names(condition: str) -> bool:
    """Whether it is a condition about names."""
    return condition.startswith(_ADDRESS_OF)


def is_met(condition: str, name: str, *, deep: bool) -> bool:
    """Whether a condition about names holds for the addresses of a name; of any case, with a final dot or not.

    A star stands for some of the characters of names; alone, for every name. For Cilium it spans no dot, but at the
    beginning as `**.` (https://docs.cilium.io/en/stable/security/policy/language/#dns-based). Where it is `deep`, as in
    policies of Kubernetes' administrators, `*.` stands for one level or more
    (https://network-policy-api.sigs.k8s.io/npeps/npep-133-fqdn-egress-selector/).
    """
    wanted = name.lower().rstrip(".")
    return any(
        _pattern(one, deep=deep).fullmatch(wanted) for one in condition.removeprefix(_ADDRESS_OF).split(_SEPARATOR)
    )


def _pattern(written: str, *, deep: bool) -> re.Pattern[str]:
    plain = written.lower().rstrip(".")
    if plain == "*":
        return re.compile(r"[-a-z0-9_.]+")
    if plain.startswith("**.") or (deep and plain.startswith("*.")):
        return re.compile(rf"([-a-z0-9_]+\.)+{_stars(plain.partition('.')[2])}")
    return re.compile(_stars(plain))


def _stars(plain: str) -> str:
    return "[-a-z0-9_]*".join(map(re.escape, plain.split("*")))
