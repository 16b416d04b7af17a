"""Cases of rules: a small, whole, hardened estate, a few changes, and the outcome that a person decided.

For the tests of rules, one's own among them: `questions(rules, cases)` gives what a test asks. A case file is TOML with
`[[case]]` tables; `docs/writing-rules.md` describes the keys, and `ALIASES` names what can be changed.
"""

import copy
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from aks_audit import engine, packs, snapshot
from aks_audit.errors import AuditError
from aks_audit.facts import Estate
from aks_audit.facts.resource_id import parse, within
from aks_audit.rule import Rule

BASE = Path(__file__).parent / "base.jsonl"
"""The estate that cases change: what Azure says of it."""

INSIDE = Path(__file__).parent / "inside.jsonl"
"""What is inside the cluster of the base estate: cases of rules have it, scans of Azure alone do not."""

_SUBSCRIPTION = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups"
_HUB = "/subscriptions/22222222-2222-2222-2222-222222222222/resourceGroups/rg-hub/providers"
_NODES = f"{_SUBSCRIPTION}/rg-aks-prod-nodes/providers"
_NETWORK = f"{_SUBSCRIPTION}/rg-network/providers/Microsoft.Network"
_ZONE = f"{_HUB}/Microsoft.Network/privateDnsZones/privatelink.westeurope.azmk8s.io"
_RULESET = f"{_HUB}/Microsoft.Network/dnsForwardingRulesets/rules-hub"
CLUSTER = f"{_SUBSCRIPTION}/rg-aks-prod/providers/Microsoft.ContainerService/managedClusters/aks-prod"
_ROLE = "providers/Microsoft.Authorization/roleAssignments/77777777-0000-4000-8000-00000000000"
_AZURE = {
    "cluster": CLUSTER,
    "own-list": f"{CLUSTER}/outboundNetworkDependenciesEndpoints",
    "window-kubernetes": f"{CLUSTER}/maintenanceConfigurations/aksManagedAutoUpgradeSchedule",
    "window-nodes": f"{CLUSTER}/maintenanceConfigurations/aksManagedNodeOSUpgradeSchedule",
    "vnet": f"{_NETWORK}/virtualNetworks/vnet-aks-prod",
    "nsg-nodes": f"{_NETWORK}/networkSecurityGroups/nsg-nodes",
    "nsg-pods": f"{_NETWORK}/networkSecurityGroups/nsg-pods",
    "nsg-aks": f"{_NODES}/Microsoft.Network/networkSecurityGroups/aks-agentpool-12345678-nsg",
    "routes": f"{_NETWORK}/routeTables/rt-aks-prod",
    "vmss-system": f"{_NODES}/Microsoft.Compute/virtualMachineScaleSets/aks-system-12345678-vmss",
    "vmss-user": f"{_NODES}/Microsoft.Compute/virtualMachineScaleSets/aks-user-12345678-vmss",
    "lb-internal": f"{_NODES}/Microsoft.Network/loadBalancers/kubernetes-internal",
    "safeguards": f"{CLUSTER}/providers/Microsoft.ContainerService/deploymentSafeguards/default",
    "hub-vnet": f"{_HUB}/Microsoft.Network/virtualNetworks/vnet-hub",
    "firewall": f"{_HUB}/Microsoft.Network/azureFirewalls/fw-hub",
    "firewall-rules": f"{_HUB}/Microsoft.Network/firewallPolicies/fwp-hub/ruleCollectionGroups/rcg-aks",
    "firewall-policy": f"{_HUB}/Microsoft.Network/firewallPolicies/fwp-hub",
    "resolver": f"{_HUB}/Microsoft.Network/dnsResolvers/dnspr-hub",
    "inbound-endpoint": f"{_HUB}/Microsoft.Network/dnsResolvers/dnspr-hub/inboundEndpoints/in",
    "ruleset": _RULESET,
    "ruleset-link": f"{_RULESET}/virtualNetworkLinks/link",
    "forwarding-rule": f"{_RULESET}/forwardingRules/aks",
    "zone": _ZONE,
    "zone-link": f"{_ZONE}/virtualNetworkLinks/aks",
    "zone-link-hub": f"{_ZONE}/virtualNetworkLinks/hub",
    "record": f"{_ZONE}/A/aks-prod-a1b2c3d4",
    "endpoint": f"{_NODES}/Microsoft.Network/privateEndpoints/kube-apiserver",
    "endpoint-nic": f"{_NODES}/Microsoft.Network/networkInterfaces/kube-apiserver.nic.a1b2c3d4",
    "registry": f"{_SUBSCRIPTION}/rg-aks-prod/providers/Microsoft.ContainerRegistry/registries/craksprod",
    "vault": f"{_SUBSCRIPTION}/rg-aks-prod/providers/Microsoft.KeyVault/vaults/kv-aks-prod",
    "endpoint-registry": f"{_NETWORK}/privateEndpoints/pe-craksprod",
    "role-owner": f"{_SUBSCRIPTION.rsplit('/', 1)[0]}/{_ROLE}1",
    "role-contributor": f"{_SUBSCRIPTION}/rg-aks-prod/{_ROLE}2",
    "role-kubernetes": f"{CLUSTER}/{_ROLE}3",
    "role-pull": f"{_SUBSCRIPTION}/rg-aks-prod/providers/Microsoft.ContainerRegistry/registries/craksprod/{_ROLE}4",
    "role-network": f"{_NETWORK}/virtualNetworks/vnet-aks-prod/{_ROLE}5",
    "role-zone": f"{_HUB}/Microsoft.Network/privateDnsZones/privatelink.westeurope.azmk8s.io/{_ROLE}6",
    "role-reader": f"{_SUBSCRIPTION.rsplit('/', 1)[0]}/{_ROLE}7",
}

_CORE, _APPS, _RBAC = "/api/v1/namespaces", "/apis/apps/v1/namespaces", "/apis/rbac.authorization.k8s.io/v1"
_POLICIES = "/apis/networking.k8s.io/v1/namespaces"
_GATEWAYS = "/apis/egressgateway.kubernetes.azure.com/v1alpha1/namespaces"
INSIDE_ALIASES = {
    alias: f"{CLUSTER}{path}"
    for alias, path in {
        "version": "/version",
        "node-system": "/api/v1/nodes/aks-system-12345678-vmss000000",
        "node-user": "/api/v1/nodes/aks-user-12345678-vmss000000",
        "kubelet": "/apis/kubelet.config.k8s.io/v1beta1/kubeletconfigurations/aks-user-12345678-vmss000000",
        "namespace-default": f"{_CORE}/default",
        "namespace-shop": f"{_CORE}/shop",
        "namespace-system": f"{_CORE}/kube-system",
        "namespace-ingress": f"{_CORE}/ingress",
        "deployment": f"{_APPS}/shop/deployments/web",
        "replica-set": f"{_APPS}/shop/replicasets/web-6d5f7c9b8d",
        "pod": f"{_CORE}/shop/pods/web-6d5f7c9b8d-aaaaa",
        "pod-b": f"{_CORE}/shop/pods/web-6d5f7c9b8d-bbbbb",
        "pod-dns": f"{_CORE}/kube-system/pods/coredns-5c8d6f-aaaaa",
        "service-account": f"{_CORE}/shop/serviceaccounts/web",
        "service-account-default": f"{_CORE}/shop/serviceaccounts/default",
        "service": f"{_CORE}/shop/services/web",
        "slice": "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/web-x1y2z",
        "gateway": f"{_APPS}/ingress/deployments/gateway",
        "gateway-pod": f"{_CORE}/ingress/pods/gateway-7f8b9c6d5f-aaaaa",
        "gateway-pod-b": f"{_CORE}/ingress/pods/gateway-7f8b9c6d5f-bbbbb",
        "gateway-replica-set": f"{_APPS}/ingress/replicasets/gateway-7f8b9c6d5f",
        "daemonset": f"{_APPS}/kube-system/daemonsets/cilium",
        "gateway-service": f"{_CORE}/ingress/services/gateway",
        "ingress": f"{_POLICIES}/shop/ingresses/web",
        "ingress-class": "/apis/networking.k8s.io/v1/ingressclasses/gateway",
        "default-deny": f"{_POLICIES}/shop/networkpolicies/default-deny",
        "allow-dns": f"{_POLICIES}/shop/networkpolicies/allow-dns",
        "allow-web": f"{_POLICIES}/shop/networkpolicies/allow-web",
        "default-deny-ingress": f"{_POLICIES}/ingress/networkpolicies/default-deny",
        "allow-dns-ingress": f"{_POLICIES}/ingress/networkpolicies/allow-dns",
        "allow-gateway": f"{_POLICIES}/ingress/networkpolicies/allow-gateway",
        "quota": f"{_CORE}/shop/resourcequotas/quota",
        "limits": f"{_CORE}/shop/limitranges/limits",
        "budget": "/apis/policy/v1/namespaces/shop/poddisruptionbudgets/web",
        "autoscaler": "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/web",
        "scaled-object": "/apis/keda.sh/v1alpha1/namespaces/shop/scaledobjects/web",
        "vertical-autoscaler": "/apis/autoscaling.k8s.io/v1/namespaces/shop/verticalpodautoscalers/web",
        "claim": f"{_CORE}/shop/persistentvolumeclaims/data",
        "coredns": f"{_APPS}/kube-system/deployments/coredns",
        "coredns-config": f"{_CORE}/kube-system/configmaps/coredns",
        "cluster-admin": f"{_RBAC}/clusterroles/cluster-admin",
        "cluster-view": f"{_RBAC}/clusterroles/view",
        "cluster-admins": f"{_RBAC}/clusterrolebindings/cluster-admin",
        "role": f"{_RBAC}/namespaces/shop/roles/reader",
        "role-binding": f"{_RBAC}/namespaces/shop/rolebindings/readers",
        "static-gateway": f"{_GATEWAYS}/shop/staticgatewayconfigurations/partner",
        "web-gateway": "/apis/gateway.networking.k8s.io/v1/namespaces/ingress/gateways/public",
        "web-route": "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/web",
        "service-cidr": "/apis/networking.k8s.io/v1/servicecidrs/kubernetes",
        "storage-class": "/apis/storage.k8s.io/v1/storageclasses/zone-redundant",
        "storage-class-default": "/apis/storage.k8s.io/v1/storageclasses/default",
    }.items()
}
ALIASES = _AZURE | INSIDE_ALIASES
"""What cases call the resources of the base estate, with their ids."""

UNENTERED = "inside"
"""What a case refuses that has nothing inside the cluster read."""


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One case: what is changed in the base estate, and what the rule must say of the subject."""

    name: str
    expect: str
    subject: str = ""
    says: str = ""
    severity: str = ""
    why: str = ""
    set: dict[str, Any] = {}
    drop: tuple[str, ...] = ()
    lose: tuple[str, ...] = ()
    refuse: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    add: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    only: tuple[str, ...] = ()


class CaseError(AuditError):
    """Cases that cannot be asked; the message names the file or the rule, and what is wrong."""


class Question(NamedTuple):
    """A rule and a case of it. Its text is for the names of tests."""

    rule: Rule
    case: Case

    def __str__(self) -> str:
        return f"{self.rule.id}: {self.case.name}"

    def check(self) -> None:
        """Ask the rule.

        Raises:
            AssertionError: it does not answer as the case expects.
        """
        outcome, message, severity = verdict_of(self.rule, self.case)
        if outcome != self.case.expect:
            raise AssertionError(f"{self}: expected {self.case.expect}, found {outcome}: {message}")
        if self.case.says.lower() not in message.lower():
            raise AssertionError(f"{self}: expected it to say {self.case.says!r}, it says {message!r}")
        if self.case.severity not in {"", severity}:
            raise AssertionError(f"{self}: expected severity {self.case.severity}, found {severity}")


def questions(rules: Path | Iterable[Rule], cases: Path) -> tuple[Question, ...]:
    """Every rule (of a folder, or these) with each of its cases, which stand in a folder of theirs as `<ID>.toml`.

    Raises:
        CaseError: a rule has no case for pass, fail or unknown, a file is not well formed or belongs to no rule, or two
            cases of a rule have the same name.
        EngineError, PackError, DeclarationError: the rules cannot be used.
    """
    told = str(rules) if isinstance(rules, Path) else "the rules"
    pack = engine.merged([(told, packs.of_folder(rules) if isinstance(rules, Path) else tuple(rules))])
    strange = sorted({file.stem for file in cases.glob("*.toml")} - {rule.id for rule in pack})
    if strange:
        raise CaseError(f"{cases / strange[0]}.toml: there is no rule {strange[0]} in {told}")
    return tuple(Question(rule, case) for rule in pack for case in _own(rule, cases))


def _own(rule: Rule, folder: Path) -> tuple[Case, ...]:
    file = folder / f"{rule.id}.toml"
    found = read_cases(file) if file.exists() else ()
    if lacking := {"pass", "fail", "unknown"} - {case.expect for case in found}:
        raise CaseError(f"{file}: rule {rule.id} has no case for {', '.join(sorted(lacking))}")
    names = [case.name for case in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise CaseError(f"{file}: two cases are called {twice[0]!r}")
    return found


def read_cases(path: Path) -> tuple[Case, ...]:
    """The cases of a file.

    Raises:
        CaseError: it is not TOML, or a case in it is not well formed.
    """
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")).get("case", []), tuple[Case, ...])
    except (ValueError, RecursionError, msgspec.ValidationError) as problem:
        raise CaseError(f"{path}: {problem}") from None


def estate_of(case: Case) -> Estate:
    """The base estate with the case's changes made."""
    return Estate(snapshot.of(records_of(case, BASE, INSIDE)))


def records_of(case: Case, *files: Path) -> list[snapshot.Record]:
    """The records of the base estate with the case's changes made; of Azure alone where no files are named."""
    base = _base(*(one for one in files or (BASE,) if one != INSIDE or UNENTERED not in case.refuse))
    bodies = {record.id: copy.deepcopy(record.body) for record in base if isinstance(record, snapshot.Resource)}
    for target, value in case.set.items():
        _change(bodies, target, lambda holder, key, value=value: _put(holder, key, value))
    for target in case.drop:
        _change(bodies, target, _remove)
    unread = {_id(alias) for alias in (*case.lose, *case.refuse) if alias != UNENTERED}
    gone = unread | {_id(alias) for alias in case.absent}
    kept = {_id(alias) for alias in case.only} if case.only else set(bodies)
    unlisted = {parse(resource_id).type.lower() for resource_id in unread}
    records: list[snapshot.Record] = []
    for record in base:
        match record:
            case snapshot.Resource() if record.id in kept - gone:
                records.append(msgspec.structs.replace(record, body=bodies[record.id]))
            case snapshot.Listing() if not case.only and record.type.lower() not in unlisted:
                records.append(record)
            case snapshot.Gap() if not case.only:  # what nobody asked for
                records.append(record)
            case snapshot.Header():
                records.append(msgspec.structs.replace(record, documents=None))
            case _:
                continue
    return [*records, *_gaps(case), *_added(case), *_listed(case)]


def verdict_of(rule: Rule, case: Case) -> tuple[str, str, str]:
    """Outcome, message and severity of the rule about the case's subject.

    Raises:
        AssertionError: the case does not mean one subject.
    """
    findings = [f for f in engine.audit(estate_of(case), [rule]) if f.resource.lower().endswith(case.subject.lower())]
    if len(findings) != 1:
        subjects = "\n  ".join(finding.resource for finding in findings)
        raise AssertionError(f"the case's subject {case.subject!r} means {len(findings)} findings:\n  {subjects}")
    return findings[0].outcome.value, findings[0].message, findings[0].severity.value


@cache
def _base(*files: Path) -> tuple[snapshot.Record, ...]:
    read = snapshot.read(files)
    gaps = (gap for gap, _ in read.gaps)
    return (*read.headers, *read.listings, *gaps, *(resource for resource, _ in read.resources))


def _id(alias: str) -> str:
    if alias not in ALIASES:
        raise CaseError(f"a case names {alias!r}; there are: {', '.join(ALIASES)}")
    return ALIASES[alias]


def _change(bodies: dict[str, Any], target: str, change: Any) -> None:  # noqa: ANN401 - any change of a JSON value
    alias, _, path = target.partition(" ")
    *way, last = [part.replace("~1", "/") for part in path[1:].split("/")] if path.startswith("/") else path.split(".")
    holder: Any = bodies[_id(alias)]
    for name in way:
        if isinstance(holder, list):
            holder = holder[int(name)]
        elif name in holder and holder[name] is not None:
            holder = holder[name]
        else:
            holder[name] = {}
            holder = holder[name]
    change(holder, last)


def _put(holder: Any, key: str, value: object) -> None:  # noqa: ANN401 - any JSON container
    if not isinstance(holder, list):
        holder[key] = value
    elif int(key) == len(holder):
        holder.append(value)
    else:
        holder[int(key)] = value


def _remove(holder: Any, key: str) -> None:  # noqa: ANN401 - any JSON container
    del holder[int(key) if isinstance(holder, list) else key]


def _gaps(case: Case) -> Iterator[snapshot.Gap]:
    for alias in case.refuse:
        if alias == UNENTERED:
            yield snapshot.Gap(id=CLUSTER, type="kubernetes", reason="inside aks-prod: 401 Unauthorized", status=401)
            continue
        resource_id = _id(alias)
        kind = parse(resource_id).type
        if alias in INSIDE_ALIASES:
            yield snapshot.Gap(
                id=CLUSTER,
                type=kind,
                reason=f"403 Forbidden: cannot list {kind}",
                status=403,
                action=f"list {kind}",
                scope=CLUSTER,
            )
            continue
        scope = next(part for part in _scopes() if within(resource_id, part))
        reason = f"403 AuthorizationFailed: needs {kind}/read on {scope}"
        yield snapshot.Gap(id=scope, type=kind, reason=reason, status=403, action=f"{kind}/read", scope=scope)


def _listed(case: Case) -> Iterator[snapshot.Listing]:
    for written in case.listed:
        kind, _, scope = written.partition(" ")
        yield snapshot.Listing(type=kind, scope=scope)


def _scopes() -> tuple[str, ...]:
    return (CLUSTER, _SUBSCRIPTION.rsplit("/", 1)[0], _HUB.split("/resourceGroups", maxsplit=1)[0])


def _added(case: Case) -> Iterator[snapshot.Resource]:
    for text in case.add:
        body = msgspec.json.decode(text)
        path = body.pop("path", None)
        if path:  # an object inside the cluster
            yield snapshot.Resource(id=CLUSTER + path, type=parse(CLUSTER + path).type, body=body, source="kubernetes")
        else:
            yield snapshot.Resource(id=body["id"], type=body["type"], body=body)
