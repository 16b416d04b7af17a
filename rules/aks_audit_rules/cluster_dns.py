"""What people changed in the cluster's DNS, CoreDNS."""

import re
from collections.abc import Iterator
from ipaddress import ip_address
from typing import NamedTuple

from aks_audit.facts import ManagedCluster
from aks_audit.facts.kubernetes import ConfigMap, config_map
from aks_audit.network.addresses import PUBLIC, AddressSet
from aks_audit.results import Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import kubebuddy

CUSTOM = "coredns-custom"

_MICROSOFTS = (
    "azure.com", "azure.net", "azurecr.io", "azmk8s.io", "microsoft.com", "microsoftonline.com", "windows.net",
)  # fmt: skip
"""Names that a cluster signs in at, and pulls from."""

_SCHEME = re.compile(r"(?:dns|tls|grpc|https|quic)://", re.IGNORECASE)
_PORT = re.compile(r"^(?:\[(?P<six>[^\]]+)\]|(?P<four>[\d.]+))(?::\d+)?(?:/.*)?$")


class Statement(NamedTuple):
    """A line of a Corefile: below which zones and plugin it stands (the plugin's own line is its first), and its words."""

    zones: tuple[str, ...]
    plugin: str
    words: tuple[str, ...]


@rule(
    "AKS-KN-17",
    title="CoreDNS asks and answers for nobody else",
    severity=Severity.MEDIUM,
    controls=(kubebuddy("CFG006"),),
)
def own_answers(cluster: ManagedCluster) -> Verdict:
    """Whoever may write the ConfigMap coredns-custom decides where every name of every pod leads.

    A server of the internet that is asked learns the names of what is inside, and its answers are believed.

    Severity: whoever answers for a name gets its traffic; TLS still has to be broken, or not be there.
    Decided: in the entries of coredns-custom that CoreDNS imports (`*.server`, `*.override`), `forward` names addresses
    that are not of the internet, Azure's own 168.63.129.16, or a file; no `*.server` claims `.` on port 53, which is
    AKS's own and keeps CoreDNS from starting; `hosts` gives no address of the internet; and `rewrite` and `template`
    take no name of Microsoft's, such as login.microsoftonline.com. An upstream that is no address is unknown. Without
    the ConfigMap, or with nothing in it, the question does not arise.
    Fix: az aks command invoke --resource-group {group} --name {name} --command 'kubectl apply -f dns.yaml' --file dns.yaml
    Bicep: none; in the manifest: data of the ConfigMap coredns-custom
    Change: in place; CoreDNS reads it again once its pods are restarted
    References: https://learn.microsoft.com/azure/aks/coredns-custom
    https://coredns.io/plugins/forward/
    """
    found = config_map(cluster.estate, cluster.id, CUSTOM)
    if found is None:
        return not_applicable("there is no ConfigMap coredns-custom")
    evidence = found.at(ConfigMap.data)
    read = {name: text for name, text in (found.data or {}).items() if name.endswith((".server", ".override"))}
    if not any(list(_statements(name, text)) for name, text in read.items()):
        return not_applicable("coredns-custom changes nothing", evidence)
    statements = [(name, one) for name, text in sorted(read.items()) for one in _statements(name, text)]
    verdict = each(statements, lambda named: _judge(*named, found))
    if verdict.outcome == "not-applicable":
        return passes(f"{', '.join(sorted(read))} send no question and no answer elsewhere", evidence)
    return verdict


def _judge(entry: str, said: Statement, custom: ConfigMap) -> Verdict:
    evidence = custom.at(ConfigMap.data)
    if said.plugin == "" and {zone.partition(":")[0] for zone in said.words} & {"."}:
        ports = {zone.partition(":")[2] or "53" for zone in said.words if zone.startswith(".")}
        if "53" in ports:
            return fails(f"{entry} claims all names, which AKS's own configuration does already", evidence)
    if said.plugin == "forward" and said.words[0] == "forward":
        return _upstreams(entry, said, custom)
    if said.plugin == "hosts" and (address := _address(said.words[0])) and _foreign(address):
        return fails(f"{entry} answers {' '.join(said.words[1:3])} with {said.words[0]}, of the internet", evidence)
    if said.plugin in {"rewrite", "template"} and (taken := _taken(said)):
        return fails(f"{entry} takes {taken}, a name of Microsoft's", evidence)
    return not_applicable(f"{entry} says nothing else", evidence)


def _upstreams(entry: str, said: Statement, custom: ConfigMap) -> Verdict:
    evidence = custom.at(ConfigMap.data)
    upstreams = said.words[2:]
    addresses = {word: _address(word) for word in upstreams if not word.startswith("/")}
    foreign = [word for word, address in addresses.items() if address and _foreign(address)]
    if foreign:
        names = " ".join(said.zones or (said.words[1],))
        return fails(f"{entry} sends questions for {names} to {', '.join(foreign)}, on the internet", evidence)
    if unread := [word for word, address in addresses.items() if address is None]:
        return undecided(f"{entry} forwards to {unread[0]!r}, which is no address", evidence)
    return passes(f"{entry} forwards to {', '.join(upstreams)}", evidence)


def _statements(name: str, text: str) -> Iterator[Statement]:
    """The lines of an entry. A `.server` holds blocks by zones with plugins in them, an `.override` plugins alone."""
    outer = 1 if name.endswith(".server") else 0
    depth, zones, plugin = 0, tuple[str, ...](), ""
    for line in text.splitlines():
        words = tuple(line.partition("#")[0].split())
        said = tuple(word for word in words if word not in {"{", "}"})
        if said and depth < outer:
            zones, plugin = said, ""
            yield Statement(zones, "", said)
        elif said:
            plugin = said[0] if depth == outer else plugin
            yield Statement(zones, plugin, said)
        depth += words.count("{") - words.count("}")


def _address(written: str) -> AddressSet | None:
    """An upstream's address; None where it is none."""
    found = _PORT.match(_SCHEME.sub("", written.partition("%")[0]))
    bare = (found["six"] or found["four"]) if found else written
    try:
        return AddressSet.written(str(ip_address(bare)))
    except ValueError:
        return None


def _foreign(address: AddressSet) -> bool:
    return PUBLIC.covers(address)


def _taken(said: Statement) -> str | None:
    """The first name of Microsoft's that a rewrite or template is about; what it is rewritten to is not asked."""
    words = [word.replace("\\.", ".").rstrip("$.").lower() for word in said.words]
    about = words[:-1] if said.plugin == "rewrite" else words
    return next((word for word in about for name in _MICROSOFTS if word == name or word.endswith(f".{name}")), None)


RULES = (own_answers,)
