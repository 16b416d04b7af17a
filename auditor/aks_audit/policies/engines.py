"""What engines of network policies do by default, as of a date. Sources are named in `data/policy_engines.toml`."""

from importlib.resources import files

import msgspec


class FailsafePorts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ports that stay open, by protocol."""

    tcp: tuple[int, ...]
    udp: tuple[int, ...]


class Failsafe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ports of Calico's host endpoints that stay open whatever policies say."""

    source: str
    inbound: FailsafePorts
    outbound: FailsafePorts


class CalicoFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of Calico."""

    failsafe: Failsafe


class IgnoredLabels(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Labels that no selector of Cilium finds: regular expressions for the beginning of their keys."""

    source: str
    patterns: tuple[str, ...]


class Layer7(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sorts of rule above layer 4 that AKS has Cilium enforce, by its setting."""

    source: str
    none: frozenset[str]
    fqdn: frozenset[str]
    l7: frozenset[str]


class CiliumFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of Cilium."""

    ignored_labels: IgnoredLabels
    aks_layer_7: Layer7


class Support(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Since which version an engine enforces a type of policy, and before which; `switch` turns it on."""

    engine: str
    type: str
    since: tuple[int, int]
    source: str
    before: tuple[int, int] = (999, 0)
    switch: str = ""

    def __contains__(self, version: tuple[int, int]) -> bool:
        """Whether a version is one of those."""
        return self.since <= version < self.before


class Engines(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of all engines. `as_of` is a date."""

    as_of: str
    calico: CalicoFacts
    cilium: CiliumFacts
    support: tuple[Support, ...]


ENGINES = msgspec.toml.decode(files("aks_audit").joinpath("data/policy_engines.toml").read_bytes(), type=Engines)
