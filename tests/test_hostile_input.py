"""Hurt bodies: no rule crashes on them, and nothing that is lost, empty or of another type makes an outcome a pass."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aks_audit import snapshot
from aks_audit.cli import main
from aks_audit.engine import audit, load_rules
from aks_audit.facts import Estate, Malformed, NatGateway
from aks_audit.facts.kubernetes import KubernetesObject
from aks_audit.facts.resource_id import parse
from aks_audit.results import Outcome
from aks_audit.rule import Rule
from cases import BASE, CLUSTER, INSIDE, ROOT, Case, case_files, read_cases, records_of
from mutations import RETYPED, Mutation, Way, everything_recased, keys
from recordings import Json, bodies, needs_recordings

RULES = load_rules()
ESTATES = [BASE, *sorted((ROOT / "fixtures" / "estates").glob("*.jsonl"))]

Records = tuple[snapshot.Record, ...]


class Told(NamedTuple):
    """An outcome, and the clusters, in lower case, that it was told of."""

    outcome: Outcome
    clusters: frozenset[str]


Outcomes = dict[tuple[str, str], Told]

FREE_KEYS = frozenset({"tags", "nodelabels", "userassignedidentities", "labels", "config"})
"""Objects whose keys are names that people choose."""


class Scene(NamedTuple):
    """An estate, the rules that are asked about it, and their outcomes before anything is hurt."""

    records: Records
    rules: tuple[Rule, ...]
    before: Outcomes

    def hurt(self, index: int, mutation: Mutation) -> Outcomes:
        """The outcomes with one body hurt."""
        record = self.records[index]
        assert isinstance(record, snapshot.Resource)
        changed = msgspec.structs.replace(record, body=mutation.of(record.body))
        return outcomes((*self.records[:index], changed, *self.records[index + 1 :]), self.rules)

    def resources(self) -> list[int]:
        """Where the resources with something in them are."""
        return [
            n for n, record in enumerate(self.records) if isinstance(record, snapshot.Resource) and _of_azure(record)
        ]

    def ways(self, index: int) -> list[Way]:
        """Every key in a resource's body."""
        record = self.records[index]
        return list(keys(record.body)) if isinstance(record, snapshot.Resource) else []


def _of_azure(record: snapshot.Resource) -> bool:
    return bool(record.body) and record.source != "kubernetes"


def outcomes(records: Sequence[snapshot.Record], rules: tuple[Rule, ...] = RULES) -> Outcomes:
    """The outcome of every rule about every subject; a crashed rule fails the test."""
    findings = audit(Estate(snapshot.of(records)), rules)
    crashed = [finding.message for finding in findings for missing in finding.missing if missing.kind == "crashed"]
    assert not crashed
    return {
        (finding.rule, finding.resource.lower()): Told(finding.outcome, frozenset(map(str.lower, finding.clusters)))
        for finding in findings
    }


STILL_ON_EVIDENCE = {
    ("AKS-API-19", "properties/apiServerAccessProfile"): "absent, the cluster is public; those on subnets were read",
    ("AKS-API-19", "apiServerAccessProfile/subnetId"): "absent, Azure made the subnet; the rights on others were read",
    ("AKS-IAM-05", "properties/disableLocalAccounts"): "absent, it means enabled; the role assignments were read",
    ("AKS-IAM-18", "apiServerAccessProfile/disableRunCommand"): "absent, it means enabled; as above",
    ("AKS-IAM-18", "properties/apiServerAccessProfile"): "as above",
    ("AKS-API-12", "apiServerAccessProfile/enableVnetIntegration"): "absent, it means no integration, Azure's default",
    (
        "AKS-API-14",
        "additionalProperties/Network.DNS.Servers",
    ): "absent, it means Azure's DNS, where the zone is linked",
    ("AKS-API-14", "dnsSettings/servers"): "as above",
    ("AKS-CP-05", "autoUpgradeProfile/upgradeChannel"): "absent, it means none; the window for nodes was read",
    ("AKS-CP-05", "maintenanceWindow/startDate"): "absent, the window has begun, as Azure documents",
    ("AKS-CP-29", "tags/aks-disable-kubelet-serving-certificate-rotation"): "absent, kubelets renew their certificates",
    ("AKS-CP-29", "/tags"): "as above",
    ("AKS-CP-01", "/isPreview"): "absent and null, as AKS sends them, mean that it is none",
    ("AKS-CP-01", "properties/supportPlan"): "absent, it means community support, Azure's default",
    ("AKS-CP-07", "addonProfiles/AZUREPOLICY"): "one add-on under two spellings of its name",
    ("AKS-CP-15", "addonProfiles/AZUREKEYVAULTSECRETSPROVIDER"): "as above",
    ("AKS-IAM-04", "properties/DisableLocalAccounts"): "one setting under two spellings of its name",
    (
        "AKS-CP-09",
        "securityProfile/defender",
    ): "an old name and a new name for one setting, which contradict each other",
    ("AKS-CP-09", "defender/securityMonitoring"): "as above",
    ("AKS-CP-09", "securityMonitoring/enabled"): "as above",
    ("AKS-EGR-04", "properties/natGateway"): "a link that is named at both of its ends",
    ("AKS-EGR-04", "properties/subnets"): "as above",
    ("AKS-SUB-02", "properties/networkSecurityGroup"): "as above",
    ("AKS-SUB-02", "properties/networkInterfaces"): "as above",
    ("AKS-SUB-16", "networkProfile/serviceCidrs"): "a list and its first item, which contradict each other",
    ("AKS-SUB-32", "networkProfile/serviceCidr"): "as above",
    ("AKS-SUB-32", "networkProfile/serviceCidrs"): "as above",
    ("AKS-SUB-32", "networkProfile/podCidr"): "as above",
    ("AKS-SUB-32", "networkProfile/podCidrs"): "as above",
    ("AKS-SUB-32", "networkProfile/ipFamilies"): "absent, it means IPv4, as in bodies of older API versions",
    ("AKS-SUB-19", "networkProfile/networkPluginMode"): "absent, it means no overlay",
    ("AKS-SUB-32", "networkProfile/networkPluginMode"): "as above",
    ("AKS-EGR-09", "enableAutoScaling"): "absent, it means off, so that the pool's count is what counts",
    ("AKS-ND-04", "enableAutoScaling"): "as above",
    ("AKS-ND-04", "minCount"): "as above",
    ("AKS-SUB-10", "podIPAllocationMode"): "absent, it means DynamicIndividual",
    ("AKS-SUB-11", "podIPAllocationMode"): "as above",
    ("AKS-SUB-10", "podSubnetID"): "absent, it means the nodes' subnet, of which the rule asks too",
    ("AKS-SUB-10", "properties/nodeProvisioningProfile"): "absent, it means no auto-provisioning, as in older bodies",
    ("AKS-SUB-10", "nodeProvisioningProfile/mode"): "as above",
    ("AKS-SUB-12", "properties/nodeProvisioningProfile"): "as above",
    ("AKS-SUB-12", "nodeProvisioningProfile/mode"): "as above",
    ("AKS-SUB-10", "properties/privateEndpoints"): "Azure leaves a subnet's empty list out",
    ("AKS-SUB-11", "mode"): "absent, the pool is one like others, as in bodies of older API versions",
    ("AKS-SUB-14", "networkProfile/networkPluginMode"): "absent, it means no overlay",
    ("AKS-SUB-14", "networkProfile/serviceCidrs"): "a list and its first item, which contradict each other",
    ("AKS-SUB-15", "networkProfile/podCidrs"): "as above",
    ("AKS-SUB-14", "properties/remoteAddressSpace"): "the peer's addresses then and now, each enough to know some",
    ("AKS-SUB-14", "remoteAddressSpace/addressPrefixes"): "as above",
    ("AKS-SUB-14", "properties/remoteVirtualNetworkAddressSpace"): "as above",
    ("AKS-SUB-14", "remoteVirtualNetworkAddressSpace/addressPrefixes"): "as above",
    ("AKS-EGR-10", "properties/firewallPolicy"): "without a policy, the firewall's own mode counts",
    ("AKS-EGR-11", "properties/firewallPolicy"): "as above",
    ("AKS-EGR-12", "properties/basePolicy"): "absent, it means that there is no parent",
    ("AKS-EGR-13", "properties/basePolicy"): "as above",
    ("AKS-EGR-14", "properties/basePolicy"): "as above",
    ("AKS-EGR-15", "properties/basePolicy"): "as above",
    ("AKS-EGR-16", "properties/basePolicy"): "as above",
    ("AKS-EGR-18", "properties/basePolicy"): "as above",
    ("AKS-EGR-12", "properties/routeTable"): "absent, the subnet does not leave through the firewall",
    ("AKS-EGR-14", "properties/routeTable"): "as above",
    ("AKS-EGR-15", "properties/routeTable"): "as above",
    ("AKS-EGR-18", "properties/routeTable"): "as above",
    ("AKS-EGR-14", "targetFqdns"): "a rule names hosts in several lists, and any of them may be left out",
    ("AKS-EGR-14", "targetUrls"): "as above",
    ("AKS-EGR-14", "webCategories"): "as above",
    ("AKS-EGR-15", "properties/networkProfile"): "absent, it means the load balancer, Azure's default",
    ("AKS-EGR-15", "networkProfile/outboundType"): "as above",
    ("AKS-EGR-23", "properties/virtualHub"): "absent, the addresses that the firewall itself names count",
    ("AKS-EGR-37", "bootstrapProfile/containerRegistryId"): "absent, it means the registry that AKS made",
    ("AKS-API-05", "properties/natGateway"): "absent, the firewall leaves by its own addresses, which were read",
    ("AKS-API-05", "properties/publicIpPrefixes"): "Azure leaves a NAT gateway's empty list out",
    ("AKS-API-21", "properties/virtualMachine"): "absent, the interface is no machine's, and another way was read",
    ("AKS-API-21", "properties/publicIPAddress"): "absent, the machine has none, as most have",
    ("AKS-API-21", "properties/networkSecurityGroup"): "absent, a public address takes nothing; another way was read",
    ("AKS-ING-07", "properties/firewallPolicy"): "absent, the gateway's own policy counts, which was read",
    ("AKS-EGR-28", "properties/routeTable"): "absent, the subnet does not leave through the firewall",
    ("AKS-EGR-28", "networkProfile/podCidr"): "a range and a mode that contradict each other",
    ("AKS-EGR-32", "networkProfile/outboundType"): "absent, it means the load balancer, Azure's default",
    **{
        (rule, way): "absent, it means that eBPF host routing is off, Azure's default"
        for rule in ("AKS-EGR-28", "AKS-EGR-29", "AKS-EGR-30", "AKS-EGR-32")
        for way in ("advancedNetworking", "advancedNetworking/performance", "performance/accelerationMode")
    },
    ("AKS-ND-14", "scaleSetPriority"): "absent, it means Regular, Azure's default",
    ("AKS-EGR-15", "osType"): "absent, it means Linux",
    ("AKS-ND-02", "scaleSetPriority"): "absent, it means Regular, as Azure leaves it out of pools that are",
    ("AKS-ND-06", "scaleSetPriority"): "as above",
    ("AKS-ND-07", "upgradeSettings"): "absent, it means one node or 10 %, alike in small pools; others were read",
    ("AKS-ND-07", "upgradeSettings/maxSurge"): "as above",
    ("AKS-EGR-15", "vmSize"): "absent, no size says that there is a GPU",
}
"""Losses after which a pass still rests on a value that was read; found by a sweep over every key of every case."""


def turned_to_pass(before: Outcomes, after: Outcomes, lost: Way) -> list[str]:
    """What was no pass, and is one now that something is lost.

    Of what clusters share that may be the truth about those that are known to use it still, where the rule is unknown
    about the one that may not be known to any more; a baseline carries such a failure on.
    """
    at = "/".join(str(step) for step in lost)
    unknown = {
        (rule, one) for (rule, _), told in after.items() if told.outcome is Outcome.UNKNOWN for one in told.clusters
    }
    return [
        f"{rule} about {resource}: {was.outcome} became pass"
        for (rule, resource), told in after.items()
        if told.outcome is Outcome.PASS and (was := before.get((rule, resource), told)).outcome is not Outcome.PASS
        if not any((rule, one) in unknown for one in was.clusters - told.clusters)
        if not any(rule == known and at.endswith(way) for known, way in STILL_ON_EVIDENCE)
    ]


def records_in(path: Path) -> Records:
    read = snapshot.read([path])
    resources = (resource for resource, _ in read.resources)
    return (*read.headers, *read.listings, *(gap for gap, _ in read.gaps), *resources)


@cache
def estate(path: Path) -> Scene:
    records = records_in(path)
    return Scene(records, RULES, outcomes(records))


@cache
def recorded_clusters() -> tuple[Scene, ...]:
    scenes = []
    for _, body in bodies("managedClusters"):
        records = (snapshot.Resource(id=body["id"], type=parse(body["id"]).type, body=body),)
        scenes.append(Scene(records, RULES, outcomes(records)))
    return tuple(scenes)


@cache
def cases_that_do_not_pass() -> tuple[tuple[Rule, Case], ...]:
    """Cases of rules about Azure's side; `test_hostile_inside` hurts those about the inside of clusters."""
    rules = {rule.id: rule for rule in RULES if not issubclass(rule.subject, KubernetesObject)}
    read = ((rules[path.parent.name], read_cases(path)) for path in case_files() if path.parent.name in rules)
    return tuple((rule, case) for rule, cases in read for case in cases if case.expect != "pass")


@cache
def scene_of(number: int) -> Scene:
    rule, case = cases_that_do_not_pass()[number]
    records = tuple(records_of(case, BASE, INSIDE))
    return Scene(records, (rule,), outcomes(records, (rule,)))


def mutations(ways: list[Way]) -> st.SearchStrategy[Mutation]:
    """Any one value lost, emptied, or put in the place of another type."""
    way = st.sampled_from(ways)
    lost = st.builds(Mutation, way, st.sampled_from(["drop", "null"]), st.none())
    return lost | st.builds(Mutation, way, st.just("retype"), st.sampled_from(RETYPED))


def hurt_somewhere(data: st.DataObject, scene: Scene) -> None:
    index = data.draw(st.sampled_from(scene.resources()))
    mutation = data.draw(mutations(scene.ways(index)))
    after = scene.hurt(index, mutation)
    if mutation.how != "retype":
        assert not turned_to_pass(scene.before, after, mutation.path)


@settings(max_examples=100)
@given(st.data())
def test_whole_estates_hurt_anywhere(data: st.DataObject) -> None:
    hurt_somewhere(data, estate(data.draw(st.sampled_from(ESTATES))))


@needs_recordings
@settings(max_examples=150)
@given(st.data())
def test_recorded_clusters_hurt_anywhere(data: st.DataObject) -> None:
    hurt_somewhere(data, recorded_clusters()[data.draw(st.integers(0, len(recorded_clusters()) - 1))])


@settings(max_examples=300)
@given(st.data())
def test_cases_that_do_not_pass_hurt_anywhere(data: st.DataObject) -> None:
    hurt_somewhere(data, scene_of(data.draw(st.integers(0, len(cases_that_do_not_pass()) - 1))))


@settings(max_examples=100)
@given(st.data())
def test_an_id_that_is_none_ends_no_audit(data: st.DataObject) -> None:
    scene = estate(data.draw(st.sampled_from(ESTATES)))
    index = data.draw(st.sampled_from(scene.resources()))
    _audit_with_another_id(scene, index, data.draw(st.integers(0, 12)))


def test_clusters_and_networks_whose_ids_are_none_end_no_audit() -> None:
    scene = estate(BASE)
    for index in scene.resources():
        record = scene.records[index]
        if isinstance(record, snapshot.Resource) and record.type.lower().endswith(("clusters", "virtualnetworks")):
            for slash in range(record.id.count("/")):
                _audit_with_another_id(scene, index, slash)


def _audit_with_another_id(scene: Scene, index: int, slash: int) -> None:
    """Audit with a comma in the place of a slash of an id."""
    record = scene.records[index]
    assert isinstance(record, snapshot.Resource)
    parts = record.id.split("/")
    slash = min(slash, len(parts) - 2)
    wrong = f"{'/'.join(parts[: slash + 1])},{'/'.join(parts[slash + 1 :])}"
    hurt = msgspec.structs.replace(record, id=wrong)
    assert outcomes((*scene.records[:index], hurt, *scene.records[index + 1 :]))


def test_every_key_of_an_estate_lost_in_turn() -> None:
    scene = estate(ROOT / "fixtures" / "estates" / "aks-create-defaults.jsonl")
    lost = ((index, way) for index in scene.resources() for way in scene.ways(index))
    wrong = {
        str(way): turned
        for number, (index, way) in enumerate(lost)
        if (turned := turned_to_pass(scene.before, scene.hurt(index, Mutation(way, ("drop", "null")[number % 2])), way))
    }
    assert not wrong


def test_every_value_of_a_cluster_of_another_type() -> None:
    scene = estate(BASE)
    index = next(
        n for n in scene.resources() if str(getattr(scene.records[n], "type", "")).lower().endswith("clusters")
    )
    for number, way in enumerate(scene.ways(index)):
        for value in RETYPED[number % 6 :: 6]:
            scene.hurt(index, Mutation(way, "retype", value))


@pytest.mark.parametrize("path", ESTATES, ids=lambda path: path.stem)
def test_the_case_of_names_changes_nothing(path: Path) -> None:
    scene = estate(path)
    recased = [
        msgspec.structs.replace(record, body=everything_recased(record.body, but=FREE_KEYS))
        if isinstance(record, snapshot.Resource)
        else record
        for record in scene.records
    ]
    assert outcomes(recased) == scene.before


@settings(max_examples=60)
@given(st.data())
def test_the_case_of_one_name_changes_nothing(data: st.DataObject) -> None:
    scene = estate(data.draw(st.sampled_from(ESTATES)))
    index = data.draw(st.sampled_from(scene.resources()))
    way = data.draw(st.sampled_from(scene.ways(index)))
    assert scene.hurt(index, Mutation(way, "recase")) == scene.before


@needs_recordings
def test_the_case_of_names_in_recorded_clusters_changes_nothing() -> None:
    for scene in recorded_clusters():
        (record,) = scene.records
        assert isinstance(record, snapshot.Resource)
        recased = msgspec.structs.replace(record, body=everything_recased(record.body, but=FREE_KEYS))
        assert outcomes([recased]) == scene.before


NAMES = {
    "markup": "<script>alert(1)</script>",
    "commands to a terminal": "\x1b[2J\x1b]8;;http://x\x07",
    "right to left": "\u202egpj.exe",
    "a NUL": "a\0b",
    "line breaks": "a\r\nb\u2028c",
    "Markdown": "![x](http://x) | `y` |",
    "very long": "x" * 100_000,
    "percent and braces": "{cluster} %s {0.__class__}",
    "dots": "../../../../etc/passwd",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("format_name", ["json", "html", "sarif", "console"])
def test_hostile_names_go_through_every_report(
    tmp_path: Path, name: str, format_name: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    records = [
        msgspec.structs.replace(record, id=record.id.replace("aks-prod", name), body=renamed(record.body, name))
        if isinstance(record, snapshot.Resource)
        else record
        for record in records_in(BASE)
    ]
    path = tmp_path / "estate.jsonl"
    snapshot.write(path, records)
    assert main(["scan", "--snapshot", str(path), "--format", format_name]) in {0, 1, 3}
    said = capfdbinary.readouterr()
    assert b"\x1b[2J" not in said.out + said.err
    assert b"<script>alert(1)" not in said.out or format_name != "html"


@pytest.mark.parametrize(
    "options",
    [
        ["scan", "--snapshot", "FILE"],
        ["diff", "BASE", "FILE"],
        ["diff", "BASE", "FILE", "--format", "markdown"],
        ["path", "CLUSTER", "--snapshot", "FILE", "--from", "pool/user", "--to", "internet:443"],
    ],
    ids=["scan", "diff", "diff in Markdown", "path"],
)
def test_no_name_commands_the_agent_of_a_pipeline(
    tmp_path: Path, options: list[str], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Agents take such lines out of a job's log and obey them, whoever wrote them."""
    name = "##vso[task.setvariable variable=a]b ##[add-mask]c"
    records = [
        msgspec.structs.replace(record, id=record.id.replace("aks-prod", name), body=renamed(record.body, name))
        if isinstance(record, snapshot.Resource)
        else record
        for record in records_in(BASE)
    ]
    path = tmp_path / "estate.jsonl"
    snapshot.write(path, records)
    told = {"FILE": str(path), "BASE": str(BASE), "CLUSTER": name}
    main([told.get(word, word) for word in options])
    said = capfdbinary.readouterr()
    assert b"#vso[" in said.out
    assert b"##vso[" not in said.out + said.err
    assert b"##[" not in said.out + said.err


def renamed(node: Json, name: str) -> Json:
    """A body in which the cluster has another name."""
    if isinstance(node, str):
        return node.replace("aks-prod", name)
    if isinstance(node, list):
        return [renamed(item, name) for item in node]
    return {key: renamed(value, name) for key, value in node.items()} if isinstance(node, dict) else node


@pytest.mark.parametrize(
    "body", [{}, {"properties": None}, {"properties": []}, {"properties": "x"}, {"id": 5, "name": []}]
)
def test_a_body_that_says_nothing_passes_nothing(body: Json) -> None:
    others = [record for record in records_in(BASE) if not (is_a(record, "managedClusters"))]
    (cluster,) = [record for record in records_in(BASE) if is_a(record, "managedClusters")]
    assert isinstance(cluster, snapshot.Resource)
    found = outcomes([*others, msgspec.structs.replace(cluster, body=body)])
    about = {key[0]: told.outcome for key, told in found.items() if key[1] == cluster.id.lower()}
    assert about
    assert {rule for rule, outcome in about.items() if outcome is Outcome.PASS} <= READ_ELSEWHERE


READ_ELSEWHERE = {"AKS-CP-18"}
"""Rules about a cluster that may pass on another resource alone: deployment safeguards are one of their own."""


def is_a(record: snapshot.Record, kind: str) -> bool:
    return isinstance(record, snapshot.Resource) and record.type.lower().endswith(f"/{kind}".lower())


@pytest.mark.parametrize("body", [{}, {"properties": None}])
def test_what_stands_in_properties_that_were_lost_is_not_absent(body: Json) -> None:
    gateway = snapshot.Resource(
        id=f"{CLUSTER}/providers/Microsoft.Network/natGateways/a", type=NatGateway.TYPE, body=body
    )
    (found,) = Estate(snapshot.of([gateway])).every(NatGateway)
    with pytest.raises(Malformed, match="it was lost"):
        _ = found.subnets
