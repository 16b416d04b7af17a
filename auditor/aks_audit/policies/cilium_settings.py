"""How the Cilium of a cluster is set up, as far as it changes what its policies mean.

https://docs.cilium.io/en/stable/security/policy/intro/#policy-enforcement-modes
"""

import re
from typing import NamedTuple

from aks_audit.policies.body import Body
from aks_audit.policies.engines import ENGINES

CONFIGURATION = "cilium-config"
"""The name of the ConfigMap, in kube-system."""

IGNORED_LABELS = re.compile("|".join(ENGINES.cilium.ignored_labels.patterns))
"""The keys of labels that no selector finds, by default."""

_SWITCHES = {"true": True, "false": False}


class Settings(NamedTuple):
    """What matters of Cilium's configuration. None: not known.

    `enforcement` is default, always or never. `audit`: what policies deny is let through and noted. `layer_7` are the
    sorts of rule above layer 4 that are enforced: dns, fqdn, http, kafka, tls. `nodes_in_cidrs`: CIDRs are held against
    nodes, too. `own_node`: a node reaches its own pods unless that is denied. `chosen_labels`: which labels count is
    configured.
    """

    enforcement: str = "default"
    audit: bool = False
    layer_7: frozenset[str] | None = None
    host_firewall: bool | None = None
    nodes_in_cidrs: bool = False
    own_node: bool = True
    dual_stack: bool | None = None
    cluster_name: str | None = None
    chosen_labels: bool = False

    @property
    def enforces(self) -> bool:
        """Whether policies stop anything at all."""
        return self.enforcement != "never" and not self.audit


def read_settings(configuration: Body | None, advanced_policies: str | None = None) -> Settings:
    """The settings by the data of the ConfigMap, where it was read, and by what AKS enforces above layer 4.

    `advanced_policies` is what networkProfile.advancedNetworking comes to: `none`, `fqdn` or `l7`, in whatever case;
    None where that is not known.

    Raises:
        Malformed: a value is not what Cilium takes.
    """
    data = configuration or Body(CONFIGURATION, {})
    ipv4, ipv6 = _switch(data, "enable-ipv4"), _switch(data, "enable-ipv6")
    return Settings(
        enforcement=_one_of(data, "enable-policy", ("default", "always", "never")),
        audit=bool(_switch(data, "policy-audit-mode")),
        layer_7=_layer_7(_switch(data, "enable-l7-proxy"), advanced_policies),
        host_firewall=None if configuration is None else bool(_switch(data, "enable-host-firewall")),
        nodes_in_cidrs="nodes" in data.text("policy-cidr-match-mode", ""),
        own_node=_one_of(data, "allow-localhost", ("auto", "always", "policy")) != "policy",
        dual_stack=None if ipv4 is None or ipv6 is None else ipv4 and ipv6,
        cluster_name=data.text("cluster-name", "") or None,
        chosen_labels=bool(data.text("labels", "").strip()),
    )


def _switch(data: Body, name: str) -> bool | None:
    if not (written := data.text(name, "").lower()):
        return None
    if written not in _SWITCHES:
        raise data.malformed(f"neither true nor false: {written!r}", name)
    return _SWITCHES[written]


def _one_of(data: Body, name: str, values: tuple[str, ...]) -> str:
    """A value of a list; the first of it where none is set."""
    written = data.text(name, "") or values[0]
    if written not in values:
        raise data.malformed(f"not a value that is known: {written!r}", name)
    return written


def _layer_7(proxy: bool | None, advanced_policies: str | None) -> frozenset[str] | None:  # noqa: FBT001 - as it is read
    levels = ENGINES.cilium.aks_layer_7
    if proxy is False:
        return levels.none
    if advanced_policies is None:
        return None
    return {"none": levels.none, "fqdn": levels.fqdn, "l7": levels.l7}.get(advanced_policies.lower())
