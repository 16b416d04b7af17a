"""Facts about what the ip-masq agent of a cluster is told: the files in its two ConfigMaps, as the agent reads them.

Source: https://github.com/Azure/ip-masq-agent-v2, cmd/ip-masq-agent-v2/ip-masq-agent.go: every file in /etc/config
counts whose name begins with ip-masq; one that it cannot use ends it, and what it last wrote on a node stays there. The
volume behind the folder may take some keys of a ConfigMap alone, as in examples/ip-masq-agent.yaml there.
"""

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_network
from typing import NamedTuple

import yaml

from aks_audit.facts.cluster import ManagedCluster
from aks_audit.facts.field import Network, View, parts, text
from aks_audit.facts.kubernetes import ConfigMap, KubernetesObject, config_map
from aks_audit.facts.unread import Malformed
from aks_audit.facts.workloads import DaemonSet, PodSpec
from aks_audit.results import Evidence

CUSTOM = "azure-ip-masq-agent-config"
"""The ConfigMap that people may write."""

RECONCILED = "azure-ip-masq-agent-config-reconciled"
"""The ConfigMap that AKS writes, again and again."""

_FILE = "ip-masq"
_MOST_RANGES = 64
_LARGEST, _DEEPEST = 65_536, 20
_DAEMON = "azure-ip-masq-agent"
_TAG = "tag:yaml.org,2002:"
_YES = frozenset({"yes", "true", "on"})


class AgentFile(NamedTuple):
    """A file of the agent's: the ranges, in order, that pods reach under their own address, and two switches.

    `refused` says why the agent cannot use it, and ends; empty: it can. The ranges are then those that can be read.
    """

    config_map: ConfigMap
    name: str
    ranges: tuple[Network, ...]
    masq_link_local: bool
    masq_link_local_ipv6: bool
    refused: str

    @property
    def evidence(self) -> Evidence:
        """The text of the file."""
        return self.config_map.at(ConfigMap.data)


class _KeyToPath(View):
    """A key of a ConfigMap that becomes a file, and where in the volume it does."""

    __slots__ = ()

    key = text("key")
    path = text("path")


class _Source(View):
    """One of the sources that a volume is put together from; those that are no ConfigMap have no name here."""

    __slots__ = ()

    name = text("configMap.name")
    items = parts("configMap.items", _KeyToPath)


class _Volume(_Source):
    """A volume of the agent's pods: of one ConfigMap, or of several."""

    __slots__ = ()

    sources = parts("projected.sources", _Source)


class _Agent(DaemonSet):
    """The agent, as far as it says which keys of its ConfigMaps become files."""

    __slots__ = ()

    volumes = parts("spec.template.spec.volumes", _Volume)


class EgressGatewayPolicy(KubernetesObject):
    """A CiliumEgressGatewayPolicy: pods that leave by the address of a node of its choice."""

    __slots__ = ()

    TYPE = "ciliumegressgatewaypolicies.cilium.io"


def agent_daemon(cluster: ManagedCluster) -> DaemonSet | None:
    """The DaemonSet that is the agent; None where the cluster has none.

    Raises:
        NotCollected: none was found, and not all DaemonSets were read.
    """
    held = cluster.estate.within(DaemonSet, cluster.id)
    found = _found(held)
    if found is None:
        held.whole()
    return found


def _found(held: Iterable[DaemonSet]) -> DaemonSet | None:
    return next((one for one in held if one.namespace == "kube-system" and one.name.startswith(_DAEMON)), None)


class AgentFlags(NamedTuple):
    """What the agent's command line says: whether it cares for IPv6, and what it exempts where it finds no file."""

    ipv6: bool = False
    all_reserved: bool = False


def agent_flags(daemon: DaemonSet) -> AgentFlags:
    """The flags of the agent; by default both are off.

    Raises:
        Malformed: the DaemonSet has no containers, or a flag is neither on nor off, on which the agent ends.
    """
    spec, pointer = daemon.find("spec.template.spec")
    if not isinstance(spec, dict):
        raise Malformed(daemon.id, pointer, "a DaemonSet without its template")
    found: dict[str, bool] = {}
    for one in PodSpec(daemon.estate, daemon.document, spec, pointer).every_container:
        for name, value in _flags((*(one.command or ()), *(one.args or ()))):
            if value not in _GO_BOOLEANS:
                raise Malformed(daemon.id, pointer, f"--{name} is neither true nor false: {value[:64]!r}")
            found[name] = _GO_BOOLEANS[value]
    return AgentFlags(*(found.get(name, False) for name in _FLAGS))


_FLAGS = ("enable-ipv6", "nomasq-all-reserved-ranges")
_GO_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}


def _flags(words: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The flags of the agent's own that are set, each with its value, as Go's flag package reads a command line.

    With one dash or two. A switch takes a value behind a `=` alone: a word after it ends the flags, as `--` does.
    Source: https://pkg.go.dev/flag#hdr-Command_line_flag_syntax
    """
    switch = False
    for word in words:
        if word == "--" or (switch and not word.startswith("-")):
            return
        name, equals, value = word.removeprefix("-").removeprefix("-").partition("=")
        switch = word.startswith("-") and name in _FLAGS and not equals
        if word.startswith("-") and name in _FLAGS:
            yield name, value if equals else "true"


def agent_files(config: ConfigMap | None, *, ipv6: bool = True) -> tuple[AgentFile, ...]:
    """The files in a ConfigMap that the agent reads, in order of name; `ipv6`: whether it takes IPv6 ranges.

    Raises:
        Malformed: one is no YAML that can be read here, or the ConfigMap has lost its data.
    """
    if config is None:
        return ()
    if config.data is None:
        raise Malformed(config.id, config.at(ConfigMap.data).pointer, "a ConfigMap without its data")
    named = _mounted(config)
    counted = [key for key in sorted(config.data) if (key if named is None else named.get(key, "")).startswith(_FILE)]
    return tuple(_file(config, key, config.data[key], ipv6=ipv6) for key in counted)


def _mounted(config: ConfigMap) -> Mapping[str, str] | None:
    """The names of the files that keys of a ConfigMap become, where the agent names keys; None: each becomes its own.

    Raises:
        Malformed: the agent's volumes cannot be read.
    """
    daemon = _found(config.estate.within(DaemonSet, config.cluster_id))
    volumes = (_Agent(daemon.estate, daemon.document, daemon.node).volumes or ()) if daemon else ()
    sources = [source for volume in volumes for source in (volume, *(volume.sources or ()))]
    of_this = [source.items for source in sources if source.name == config.name]
    if not of_this or None in of_this or () in of_this:
        return None
    return {one.key or "": one.path or "" for items in of_this for one in items or ()}


def masquerade_maps(cluster: ManagedCluster) -> tuple[ConfigMap | None, ConfigMap | None]:
    """The ConfigMap that people may write, and AKS's own; None where there is none.

    Raises:
        NotCollected: one was not read.
    """
    return config_map(cluster.estate, cluster.id, CUSTOM), config_map(cluster.estate, cluster.id, RECONCILED)


class CiliumSettings(KubernetesObject):
    """The ConfigMap that Cilium is set up by, as far as it changes under which address pods leave."""

    __slots__ = ()

    TYPE = "configmaps"

    masquerade = text("data.enable-ipv4-masquerade")
    native_routing_cidr = text("data.ipv4-native-routing-cidr")
    ip_masq_agent = text("data.enable-ip-masq-agent")
    egress_gateway = text("data.enable-ipv4-egress-gateway")


def cilium_settings(cluster: ManagedCluster) -> CiliumSettings | None:
    """Cilium's ConfigMap; None where there is none.

    Raises:
        NotCollected: it was not read.
    """
    found = config_map(cluster.estate, cluster.id, "cilium-config")
    return CiliumSettings(found.estate, found.document, found.node) if found else None


def _file(config: ConfigMap, name: str, content: str, *, ipv6: bool) -> AgentFile:
    root = _composed(config, name, content)
    if root is None or root.tag == f"{_TAG}null":
        return AgentFile(config, name, (), masq_link_local=False, masq_link_local_ipv6=False, refused="")
    if not isinstance(root, yaml.MappingNode):
        problem = f"{name} is no mapping of settings"
        return AgentFile(config, name, (), masq_link_local=False, masq_link_local_ipv6=False, refused=problem)
    problems: list[str] = []
    ranges = tuple(_ranges(_value(config, root, "nonmasqueradecidrs"), problems))
    if any(one.version == 6 for one in ranges) and not ipv6:  # noqa: PLR2004 - IPv6
        problems.append("it lists IPv6 ranges, and the agent is not told to care for IPv6")
    link_local = _switch(_value(config, root, "masqlinklocal"), problems)
    link_local_ipv6 = _switch(_value(config, root, "masqlinklocalipv6"), problems)
    refused = f"{name}: {'; '.join(problems)}" if problems else ""
    return AgentFile(config, name, ranges, link_local, link_local_ipv6, refused)


def _composed(config: ConfigMap, name: str, content: str) -> yaml.Node | None:
    pointer = f"{config.at(ConfigMap.data).pointer}/{name}"
    try:
        _harmless(content)
        return yaml.compose(content, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError) as problem:
        said = str(problem) if isinstance(problem, _HarmfulError) else "it is no YAML"
        raise Malformed(config.id, pointer, said) from None


class _HarmfulError(ValueError):
    """A text that would be made into something too large or too deep."""


def _harmless(content: str) -> None:
    if len(content) > _LARGEST:
        raise _HarmfulError(f"it is longer than {_LARGEST:,} characters")
    depth = 0
    for event in yaml.parse(content, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise _HarmfulError("it has YAML aliases, which are not followed")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise _HarmfulError(f"it is nested deeper than {_DEEPEST} levels")


def _value(config: ConfigMap, root: yaml.MappingNode, name: str) -> yaml.Node | None:
    """The setting of a name, which the agent takes in any case; None where there is none."""
    found = [value for key, value in root.value if isinstance(key, yaml.ScalarNode) and key.value.lower() == name]
    if len(found) > 1:
        raise Malformed(config.id, config.at(ConfigMap.data).pointer, f"more than one {name}")
    return found[0] if found and found[0].tag != f"{_TAG}null" else None


def _switch(value: yaml.Node | None, problems: list[str]) -> bool:
    if value is None:
        return False
    if value.tag != f"{_TAG}bool":
        problems.append("a switch is neither true nor false")
        return False
    return str(value.value).lower() in _YES


def _ranges(value: yaml.Node | None, problems: list[str]) -> Iterator[Network]:
    if value is None:
        return
    if not isinstance(value, yaml.SequenceNode):
        problems.append("nonMasqueradeCIDRs is no list")
        return
    if len(value.value) > _MOST_RANGES:
        problems.append(f"it lists more than {_MOST_RANGES} ranges")
    for item in value.value:
        written = item.value if isinstance(item, yaml.ScalarNode) and item.tag == f"{_TAG}str" else ""
        found = _range(written)
        if found is None:
            problems.append(f"{written[:64]!r} is no range, or has bits set beyond its prefix")
        else:
            yield found


def _range(written: str) -> Network | None:
    """A range as Go reads one: with its length, in digits, and no bit set beyond that; None where it is none."""
    address, _, length = written.partition("/")
    if not (length.isascii() and length.isdigit()) or "%" in address:
        return None
    try:
        return ip_network(written, strict=True)
    except ValueError:
        return None
