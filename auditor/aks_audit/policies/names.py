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


def is_met(condition: str, name: str, *, deep: bool) -> bool | None:
    """Whether a condition about names holds for the addresses of a name, of any case, with a final dot or not.

    None: that hangs on the engine's version, or is not documented.

    For Cilium a star stands for some of the characters of names but dots, and alone for every name
    (https://docs.cilium.io/en/stable/security/policy/language/#dns-based). Two stars are one, but from 1.19 on they
    stand for one level or more at the beginning, as in `**.example.com` (https://github.com/cilium/cilium/pull/43420).
    Where it is `deep`, as in policies of Kubernetes' administrators, a star stands for one level or more, and may only
    be at the beginning (https://network-policy-api.sigs.k8s.io/npeps/npep-133-fqdn-egress-selector/).
    """
    wanted = name.lower().rstrip(".")
    holds = _of_administrators if deep else _of_cilium
    written = condition.removeprefix(_ADDRESS_OF).split(_SEPARATOR)
    answers = {holds(one.lower().rstrip("."), wanted) for one in written}
    return True if True in answers else None if None in answers else False


def _of_administrators(pattern: str, name: str) -> bool | None:
    rest = pattern.removeprefix("*.")
    if "*" in rest:
        return None
    return _is(f"{_LEVEL}+{re.escape(rest)}", name) if rest != pattern else name == pattern


def _of_cilium(pattern: str, name: str) -> bool | None:
    if pattern == "*":
        return True
    stars, dot, rest = pattern.partition(".")
    if len(stars) < len("**") or stars.strip("*"):
        return _is(_stars(pattern), name)
    if _is(f"{_LEVEL}{_stars(rest)}" if dot else _LABEL, name):
        return True
    return None if not dot or _is(f"{_LEVEL}+{_stars(rest)}", name) else False


_LABEL = "[-a-z0-9_]+"
_LEVEL = rf"({_LABEL}\.)"


def _stars(pattern: str) -> str:
    return "[-a-z0-9_]*".join(map(re.escape, pattern.split("*")))


def _is(pattern: str, name: str) -> bool:
    return re.fullmatch(pattern, name) is not None
