"""Where a repository declares what findings are about: files, names and lines, and what is not guessed."""

import os
import shutil
import time
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aks_audit import config, exceptions, source_map
from aks_audit.cli import main
from aks_audit.commands import UNUSABLE
from aks_audit.config import Config
from aks_audit.declarations import repository
from aks_audit.declarations.declared import FILL, Unit, names, scopes
from aks_audit.declarations.lines import place, steps
from aks_audit.declarations.manifests import objects
from aks_audit.declarations.text import DEEPEST, BrokenError, Language, parse
from aks_audit.report import Report
from aks_audit.results import Evidence, Finding
from aks_audit.snapshot import Resource, of
from cases import ROOT
from reports import finding, report_of

SOURCES = ROOT / "fixtures" / "sources"
GROUP = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg-aks-prod/providers"
NETWORK = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg-network/providers/Microsoft.Network"
CLUSTER = f"{GROUP}/Microsoft.ContainerService/managedClusters/aks-prod"
VNET = f"{NETWORK}/virtualNetworks/vnet-aks-prod"
NSG = f"{NETWORK}/networkSecurityGroups/nsg-nodes"
DISABLED = "/properties/disableLocalAccounts"
BY = "by a [[source]] in aks-audit.toml"
ROUTES = f"{NETWORK}/routeTables/rt-aks-prod"
BODIES: dict[str, dict[str, Any]] = {
    CLUSTER: {"properties": {"agentPoolProfiles": [{"name": "user"}, {"name": "system"}, {"name": "gpu"}]}},
    VNET: {"properties": {"subnets": [{"name": "snet-nodes"}, {"name": "snet-pods"}]}},
    NSG: {"properties": {"securityRules": [{"name": "DenyInternetInbound"}]}},
    ROUTES: {"properties": {"routes": []}},
}
RECORDED = of([Resource(id=one, type="/".join(one.split("/")[6:8]), body=body) for one, body in BODIES.items()])


def about(resource: str, pointer: str) -> Finding:
    """A failure that stands on one value of a resource."""
    evidence = (Evidence(resource=resource, pointer=pointer, value=None),)
    return msgspec.structs.replace(finding("a"), resource=resource, clusters=(CLUSTER,), evidence=evidence)


def named(folder: Path, *findings: Finding, told: Config | None = None) -> tuple[Report, tuple[str, ...]]:
    return source_map.name_sources(report_of(findings), RECORDED, told or Config(), folder.resolve())


def source(folder: Path, resource: str, pointer: str) -> str:
    """The file and the text of the line that a finding about a value names; empty where none is named."""
    made, _ = named(folder, about(resource, pointer))
    where = made.findings[0].source
    if where is None:
        return ""
    lines = (folder / where.path).read_text(encoding="utf-8").splitlines()
    assert lines[where.line - 1].strip() == where.text
    return f"{where.path}: {where.text}"


@pytest.mark.parametrize(
    ("resource", "pointer", "expected"),
    [
        (CLUSTER, "/properties/disableLocalAccounts", "modules/cluster.bicep: disableLocalAccounts: true"),
        (CLUSTER.upper(), "/properties/disablelocalaccounts", "modules/cluster.bicep: disableLocalAccounts: true"),
        (
            CLUSTER,
            "/properties/apiServerAccessProfile/enablePrivateCluster",
            "modules/cluster.bicep: enablePrivateCluster: true",
        ),
        (
            CLUSTER,
            "/properties/apiServerAccessProfile/authorizedIPRanges/0",
            "modules/cluster.bicep: apiServerAccessProfile: {",
        ),
        (CLUSTER, "/sku/tier", "modules/cluster.bicep: tier: 'Standard'"),
        (CLUSTER, "/properties/autoUpgradeProfile/upgradeChannel", "modules/cluster.bicep: properties: {"),
        (
            CLUSTER,
            "/properties/networkProfile/outboundType",
            "modules/cluster.bicep: networkProfile: union({ outboundType: 'userDefinedRouting' }, {})",
        ),
        (
            CLUSTER,
            "/identity/type",
            "modules/cluster.bicep: resource aks 'Microsoft.ContainerService/managedClusters@2025-05-01' = {",
        ),
        # The pool by its name, whatever place it has in the answer of Azure: inline, apart, and not known at all.
        (CLUSTER, "/properties/agentPoolProfiles/0/count", "modules/cluster.bicep: count: 3"),
        (CLUSTER, "/properties/agentPoolProfiles/1/mode", "modules/cluster.bicep: mode: 'System'"),
        (CLUSTER, "/properties/agentPoolProfiles/2/count", "modules/cluster.bicep: agentPoolProfiles: ["),
        (
            VNET,
            "/properties/addressSpace/addressPrefixes",
            "main.bicep: addressSpace: { addressPrefixes: ['10.40.0.0/16'] }",
        ),
        (VNET, "/properties/subnets/1/properties/routeTable", "main.bicep: properties: {"),
        (
            VNET,
            "/properties/subnets/0/properties/networkSecurityGroup",
            "main.bicep: networkSecurityGroup: { id: nodes.id }",
        ),
        (
            NSG,
            "/properties/securityRules/0/properties/access",
            "main.bicep: access: 'Deny' // resource a 'Microsoft.Network/routeTables@1' = { name: 'rt-aks-prod' }",
        ),
        (ROUTES, "", ""),
    ],
)
def test_bicep(resource: str, pointer: str, expected: str) -> None:
    assert source(SOURCES / "bicep", resource, pointer) == expected


@pytest.mark.parametrize(
    ("resource", "pointer", "expected"),
    [
        (CLUSTER, "/properties/disableLocalAccounts", "main.tf: local_account_disabled    = true"),
        (
            CLUSTER,
            "/properties/apiServerAccessProfile/enablePrivateCluster",
            "main.tf: private_cluster_enabled   = true",
        ),
        (CLUSTER, "/properties/autoUpgradeProfile/upgradeChannel", 'main.tf: automatic_channel_upgrade = "patch"'),
        (CLUSTER, "/properties/aadProfile/enableAzureRBAC", "main.tf: azure_rbac_enabled = true"),
        (CLUSTER, "/properties/aadProfile/managed", "main.tf: azure_active_directory_role_based_access_control {"),
        (CLUSTER, "/properties/networkProfile/outboundType", 'main.tf: outbound_type  = "userDefinedRouting"'),
        (CLUSTER, "/properties/networkProfile/networkPolicy", "main.tf: network_profile {"),
        (CLUSTER, "/sku/tier", 'main.tf: sku_tier            = "Standard"'),
        (CLUSTER, "/properties/oidcIssuerProfile/enabled", 'main.tf: resource "azurerm_kubernetes_cluster" "this" {'),
        (CLUSTER, "/properties/agentPoolProfiles/1/count", "main.tf: node_count = 3"),
        (CLUSTER, "/properties/agentPoolProfiles/0/enableAutoScaling", "main.tf: auto_scaling_enabled  = true"),
        (
            CLUSTER,
            "/properties/agentPoolProfiles/0/enableEncryptionAtHost",
            'main.tf: resource "azurerm_kubernetes_cluster_node_pool" "user" {',
        ),
        (CLUSTER, "/properties/agentPoolProfiles/2/count", "main.tf: default_node_pool {"),
        (VNET, "/properties/addressSpace/addressPrefixes", 'network/main.tf: address_space       = ["10.40.0.0/16"]'),
        (
            VNET,
            "/properties/subnets/0/properties/networkSecurityGroup",
            'network/main.tf: resource "azurerm_subnet" "nodes" {',
        ),
        (NSG, "/properties/securityRules/0/properties/access", 'network/main.tf: access = "Deny"'),
        (ROUTES, "", ""),  # which is in another resource group
        (
            f"{NETWORK}/azureFirewalls/afw-hub",
            "/properties/threatIntelMode",
            'network/main.tf: threatIntelMode = "Alert"',
        ),
    ],
)
def test_terraform(resource: str, pointer: str, expected: str) -> None:
    assert source(SOURCES / "terraform", resource, pointer) == expected


@pytest.mark.parametrize(
    ("resource", "pointer", "expected"),
    [
        (CLUSTER, "/properties/disableLocalAccounts", '"disableLocalAccounts": true,'),
        (CLUSTER, "/sku/tier", '"sku": { "name": "Base", "tier": "Standard" }'),
        (CLUSTER, "/properties/agentPoolProfiles/0/count", '"count": 3 }'),
        (CLUSTER, "/properties/agentPoolProfiles/1/type", "{"),
        (VNET, "/properties/subnets/0/properties/addressPrefix", '"addressPrefix": "10.40.0.0/22"'),
        (
            NSG,
            "/properties/securityRules",
            '{ "type": "Microsoft.Network/networkSecurityGroups", "name": "nsg-nodes" }',
        ),
    ],
)
def test_arm_json(resource: str, pointer: str, expected: str) -> None:
    assert source(SOURCES / "arm", resource, pointer) == f"azuredeploy.json: {expected}"


VERIFIED = """\
param stage string = 'prod'
module cluster 'br/public:avm/res/container-service/managed-cluster:0.9.0' = if (stage == 'prod') {
  name: 'cluster-deployment'
  params: {
    name: 'aks-${stage}'
    disableLocalAccounts: true
    outboundType: 'userDefinedRouting'
    primaryAgentPoolProfiles: [
      {
        name: 'system'
        count: 5
      }
    ]
  }
}
module acr 'br:mcr.microsoft.com/bicep/avm/res/container-registry/registry:0.5.1' = { params: { name: 'acrshop' } }
"""


@pytest.mark.parametrize(
    ("resource", "pointer", "expected"),
    [
        (CLUSTER, "/properties/disableLocalAccounts", "disableLocalAccounts: true"),
        (CLUSTER, "/properties/networkProfile/outboundType", "outboundType: 'userDefinedRouting'"),
        (CLUSTER, "/properties/agentPoolProfiles/1/count", "count: 5"),
        (CLUSTER, "/properties/agentPoolProfiles/0/count", VERIFIED.splitlines()[1]),
        (CLUSTER, "/properties/oidcIssuerProfile/enabled", VERIFIED.splitlines()[1]),
        (
            f"{GROUP}/Microsoft.ContainerRegistry/registries/acrshop",
            "/properties/policies/exportPolicy/status",
            VERIFIED.splitlines()[-1],
        ),
        (CLUSTER.replace("aks-prod", "cluster-deployment"), "", ""),
    ],
)
def test_verified_modules(tmp_path: Path, resource: str, pointer: str, expected: str) -> None:
    (tmp_path / "a.bicep").write_text(VERIFIED)
    assert source(tmp_path, resource, pointer) == (f"a.bicep: {expected}" if expected else "")


def test_blocks_that_terraform_writes_for_each_of_several(tmp_path: Path) -> None:
    (tmp_path / "a.tf").write_text(
        'resource "azurerm_network_security_group" "a" {\n  name = "nsg-nodes"\n  dynamic "security_rule" {\n'
        "    for_each = var.rules\n    content {\n      name = security_rule.key\n    }\n  }\n}\n"
    )
    assert source(tmp_path, NSG, "/properties/securityRules/0/properties/access") == 'a.tf: dynamic "security_rule" {'


def test_a_finding_without_evidence_names_the_first_line_of_its_resource() -> None:
    bare = msgspec.structs.replace(about(CLUSTER, ""), evidence=())
    made, _ = named(SOURCES / "arm", bare)
    assert made.findings[0].source is not None
    assert made.findings[0].source.line == 12


def test_what_is_declared_twice_is_not_guessed_and_is_told() -> None:
    made, notes = named(SOURCES / "ambiguous", about(CLUSTER, "/properties/disableLocalAccounts"))
    assert made.findings[0].source is None
    assert notes == (f"aks-prod is declared in 2 places (dev.bicep:1, prod.bicep:3); tell which {BY}",)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.bicep", "resource a 'Microsoft.ContainerService/managedClusters@1' existing = { name: 'aks-prod' }"),
        ("a.tf", 'data "azurerm_kubernetes_cluster" "a" {\n  name = "aks-prod"\n}'),
        ("a.bicep", "resource a 'Microsoft.ContainerService/fleets@1' = { name: 'aks-prod' }"),
        ("a.bicep", "resource a 'Microsoft.ContainerService/managedClusters@1' = { name: 'aks-${uniqueString('a')}' }"),
        ("a.bicep", "resource a 'Microsoft.ContainerService/managedClusters@1' = { name: b ? 'aks-prod' : 'aks-dev' }"),
        ("a.tf", 'resource "azurerm_kubernetes_cluster" "a" {\n  name = each.key\n}'),
        ("a.json", '{"type": "Microsoft.ContainerService/managedClusters", "name": "aks-prod"}'),
    ],
)
def test_what_only_refers_or_cannot_be_worked_out_declares_nothing(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert not source(tmp_path, CLUSTER, DISABLED)


def test_two_resources_of_one_name_do_not_share_a_declaration() -> None:
    twin = CLUSTER.replace("rg-aks-prod", "rg-another")
    recorded = of([Resource(id=one, type="x/y", body=BODIES[CLUSTER]) for one in (CLUSTER, twin)])
    made = source_map.name_sources(report_of([about(CLUSTER, "/sku")]), recorded, Config(), SOURCES / "arm")
    assert made.report.findings[0].source is None
    assert made.notes == (f"azuredeploy.json:12 may declare any of 2 resources called aks-prod; tell which {BY}",)
    # Where the file says in which resource group, that decides.
    made = source_map.name_sources(report_of([about(CLUSTER, "/sku")]), recorded, Config(), SOURCES / "terraform")
    assert made.report.findings[0].source is not None


def decided(folder: Path, text: str, *findings: Finding) -> tuple[Report, tuple[str, ...]]:
    """A report whose `aks-audit.toml`, in the folder, says this."""
    file = folder / config.FILE_NAME
    file.write_text(text)
    asked = config.read(file)
    _, policy = exceptions.decide(findings, asked, [], date(2026, 11, 21))
    made = msgspec.structs.replace(report_of(findings), policy=policy)
    return source_map.name_sources(made, RECORDED, asked, folder.resolve())


def copied(name: str, folder: Path) -> Path:
    return Path(shutil.copytree(SOURCES / name, folder / name))


@pytest.mark.parametrize(
    ("text", "line", "state", "says"),
    [
        ('cluster = "aks-prod"\nfile = "prod.bicep"', 6, "in-force", ""),
        ('cluster = "AKS-*"\nfile = "./dev.bicep"', 1, "in-force", ""),
        (f'cluster = "{CLUSTER}"\nfile = "prod.bicep"\ntag = "stage=other"', 9, "in-force", ""),
        (
            'cluster = "aks-prod"\nfile = "prod.bicep"\ntag = "stage=none"',
            0,
            "unused",
            "does not declare aks-prod exactly",
        ),
        (
            'cluster = "aks-prod"\nfile = "nowhere.bicep"',
            0,
            "unused",
            "nowhere.bicep declares nothing, or is not below",
        ),
        ('cluster = "aks-prod"\nfile = "../bicep/main.bicep"', 0, "unused", "declares nothing, or is not below"),
        ('cluster = "aks-web"\nfile = "dev.bicep"', 0, "unused", "no finding is about what it names"),
    ],
)
def test_what_people_tell_decides(tmp_path: Path, text: str, line: int, state: str, says: str) -> None:
    folder = copied("ambiguous", tmp_path)
    made, notes = decided(folder, f"[[source]]\n{text}\n", about(CLUSTER, DISABLED))
    where = made.findings[0].source
    assert (where.line if where else 0) == line
    (entry,) = made.policy.entries
    assert (entry.state, entry.matched) == (state, int(line > 0))
    assert says in entry.says
    assert bool(notes) == (not line)


def test_an_entry_may_be_about_what_is_around_a_cluster(tmp_path: Path) -> None:
    folder = copied("terraform", tmp_path)
    text = '[[source]]\ncluster = "aks-prod"\nresource = "Microsoft.Network/routeTables"\nfile = "network/main.tf"\n'
    assert not source(folder, ROUTES, "")
    made, _ = decided(folder, text, about(ROUTES, "/properties/routes"))
    assert made.findings[0].source
    assert made.findings[0].source.text == 'resource "azurerm_route_table" "elsewhere" {'
    other = msgspec.structs.replace(about(ROUTES, ""), clusters=(CLUSTER + "-2",))
    made, _ = decided(folder, text, other)
    assert made.findings[0].source is None


def test_only_a_repository_that_has_decisions_or_is_told_is_searched(tmp_path: Path) -> None:
    nested = tmp_path / "repository" / "infra"
    nested.mkdir(parents=True)
    file = nested / config.FILE_NAME
    assert source_map.root_of(Config(), None) is None
    assert source_map.root_of(Config(file=file), None) == nested
    (tmp_path / "repository" / ".git").mkdir()
    assert source_map.root_of(Config(file=file), None) == tmp_path / "repository"
    assert source_map.root_of(Config(file=file), nested) == nested
    assert source_map.root_of(Config(file=Path.home() / config.FILE_NAME), None) is None
    assert source_map.root_of(Config(file=Path("/") / config.FILE_NAME), None) is None


def test_what_is_hidden_linked_large_or_not_text_is_passed_over(tmp_path: Path) -> None:
    good = (SOURCES / "ambiguous" / "dev.bicep").read_bytes()
    for name in (".git/a.bicep", "node_modules/a/a.bicep", ".terraform/modules/a.tf", ".hidden.bicep", "a.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(good)
    (tmp_path / "large.bicep").write_bytes(good + b"//" + b" " * repository.LARGEST_FILE)
    (tmp_path / "latin.bicep").write_bytes(good + b"// \xe9")
    (tmp_path / "link.bicep").symlink_to(SOURCES / "ambiguous" / "dev.bicep")
    (tmp_path / "loop").symlink_to(tmp_path)
    found = repository.read(tmp_path)
    assert not found.found
    assert [note.partition(":")[0] for note in found.notes] == ["large.bicep", "latin.bicep"]
    (tmp_path / "good.bicep").write_bytes(b"\xef\xbb\xbf" + good.replace(b"\n", b"\r\n"))
    assert len(repository.read(tmp_path).found) == 1


def test_a_file_whose_name_is_no_text_is_told_and_not_read(tmp_path: Path) -> None:
    """No report can hold its path: JSON would end the scan where it is written."""
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    try:
        os.mkdir(folder)  # noqa: PTH102 - a name that is no text
    except OSError:  # pragma: no cover - macOS
        pytest.skip("this file system takes names in UTF-8 alone")
    with open(folder + b"/dev.bicep", "wb") as file:  # noqa: PTH123 - as above
        file.write((SOURCES / "ambiguous" / "dev.bicep").read_bytes())
    found = repository.read(tmp_path)
    assert not found.found
    assert found.notes == (r"'caf\udce9/dev.bicep': its name is not UTF-8, and it was not read",)


def test_what_is_read_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(SOURCES, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(repository, "MOST_BYTES", (SOURCES / "ambiguous" / "dev.bicep").stat().st_size)
    monkeypatch.setattr(repository, "LARGEST_FILE", 2000)
    found = repository.read(tmp_path)
    assert list(found.declared) == ["ambiguous/dev.bicep"]
    assert "not read, since" in found.notes[-1]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.bicep", "\n" * 900_000 + "resource a 'b/c@1' = {}"),
        ("a.tf", "\n" * 900_000 + 'module "a" {}'),
        ("a.yaml", "apiVersion:\n" * 80_000),
        ("b.yaml", "apiVersion: v1\nkind: Pod\nmetadata:\n" + "  name:" + " " * 800_000),
        ("b.bicep", "resource a 'b/c@1' = { name: '${" + "[" * 500_000 + "}' }"),
        ("c.bicep", "resource a 'b/c@1' = { name: " + "a." * 200_000 + " }"),
        ("d.bicep", "resource a 'b/c@1' = { name: '" + "${a}" * 200_000 + "' }"),
        (
            "a.json",
            '{"$schema": "deploymentTemplate.json", "resources": [{"type": "a/b", "name": "[' + "concat(" * 90_000,
        ),
    ],
)
def test_large_files_take_no_long_time(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    begun = time.process_time()
    assert not repository.read(tmp_path).found
    assert time.process_time() - begun < 5


def test_too_many_files_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "MOST_FILES", 2)
    for folder in ("a", "b", "c"):
        shutil.copytree(SOURCES / "ambiguous", tmp_path / folder)
    assert "holds too many files" in repository.read(tmp_path).notes[0]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        (Language.BICEP, "resource a 'b@1' = {"),
        (Language.BICEP, "var a = 'b"),
        (Language.BICEP, "var a = '''b"),
        (Language.BICEP, "/* resource"),
        (Language.BICEP, "var a = f({)}"),
        (Language.TERRAFORM, 'a = "${b'),
        (Language.TERRAFORM, "a = <<EOT\n b"),
        (Language.JSON, '{"a": "b'),
        (Language.JSON, '{"a": ['),
        (Language.JSON, "[" * (DEEPEST + 2)),
        (Language.BICEP, "var a = " + "if (b) " * 5000),
        (Language.TERRAFORM, "a {\n" * 5000),
    ],
)
def test_what_is_broken_is_refused(language: Language, text: str) -> None:
    with pytest.raises(BrokenError):
        parse(text, language)


def test_a_broken_file_loses_no_other_and_is_told(tmp_path: Path) -> None:
    folder = copied("bicep", tmp_path)
    (folder / "broken.bicep").write_text("resource a 'b@1' = {\n")
    assert source(folder, CLUSTER, "/sku/tier")
    assert repository.read(folder).notes == ("broken.bicep: declares nothing that can be read: line 1: { has no end",)


def taken_in(text: str, language: Language) -> None:
    """Read a text as far as it goes; nothing but what is broken may be raised."""
    unit = Unit("a", {}, [], [])
    try:
        FILL[language](unit, "a", parse(text, language))
    except BrokenError:
        return
    for of_unit in scopes({"a": unit})["a"]:
        for declaration in unit.declared:
            names(declaration, of_unit)


PIECES = (
    *"{}[]()=:,'\"\n$#@?|/*<-\\ ",
    *("${", "'''", "<<EOT\n", "EOT\n", "//", "/*", "*/", "name", "resource", "module", "for", "if", "jsonencode("),
    *("param a string", "'Microsoft.Network/x@1'", '"type"', '"resources"', "parent", "variable", '"azurerm_subnet"'),
    *("[parameters('a')]", "locals", "dynamic", "1", "resource a 'b@1' = {", 'resource "azapi_resource" "a" {'),
)


@settings(max_examples=500)
@given(
    st.lists(st.sampled_from(PIECES), max_size=60).map("".join) | st.text(max_size=80), st.sampled_from(list(Language))
)
def test_nothing_crashes_on_hostile_text(text: str, language: Language) -> None:
    taken_in(text, language)


@settings(max_examples=200)
@given(st.data(), st.sampled_from(["bicep/main.bicep", "terraform/main.tf", "arm/azuredeploy.json"]))
def test_nothing_crashes_on_damaged_files(data: st.DataObject, name: str) -> None:
    text = (SOURCES / name).read_text(encoding="utf-8")
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    taken_in(text[:start] + data.draw(st.text(max_size=3)) + text[end:], Language("." + name.rpartition(".")[2]))


READ = {name: repository.read(SOURCES / name) for name in ("bicep", "terraform", "arm")}
PARTS = (
    *("properties", "agentPoolProfiles", "0", "1", "99999999999", "count", "networkProfile", "name", "", "~1", "sku"),
    *("subnets", "securityRules", "routes", "tags", "identity", "²"),
)


@given(st.lists(st.sampled_from(PARTS), max_size=6).map("/".join), st.sampled_from(sorted(READ)))
def test_every_pointer_leads_to_a_line(pointer: str, name: str) -> None:
    for resource in (CLUSTER, VNET, NSG):
        for found in READ[name].found.get(("/".join(resource.split("/")[6:8]).lower(), (resource.split("/")[-1],)), ()):
            file, line = place(found, list(steps(f"/{pointer}", BODIES[resource])), lambda *_: None)
            assert READ[name].line(file, line)
            assert line >= found.declaration.node.line


@pytest.mark.parametrize(
    ("language", "piece"),
    [
        (Language.TERRAFORM, "<<A\n"),
        (Language.TERRAFORM, '"${'),
        (Language.TERRAFORM, "a = b ? c : d\n"),
        (Language.BICEP, "'${'"),
        (Language.BICEP, "/* */"),
        (Language.BICEP, "'''"),
        (Language.BICEP, "var a = [for b in c: {d: e}]\n"),
        (Language.BICEP, "@a(\n"),
        (Language.BICEP, "resource a 'b@1' = {"),
        (Language.JSON, '"\\'),
        (Language.JSON, "[],"),
    ],
)
def test_time_grows_with_the_size_and_not_faster(language: Language, piece: str) -> None:
    begun = time.process_time()
    taken_in(piece * 20_000, language)
    assert time.process_time() - begun < 5


def test_a_manifest_declares_an_object_by_kind_namespace_and_name(tmp_path: Path) -> None:
    shutil.copytree(SOURCES / "manifests", tmp_path, dirs_exist_ok=True)
    inside = f"{CLUSTER}/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies/deny-all"
    assert source(tmp_path, inside, "/spec/policyTypes") == "shop.yaml: apiVersion: networking.k8s.io/v1"
    made, _ = named(tmp_path, about(inside, ""))
    assert made.findings[0].source is not None
    assert made.findings[0].source.line == 9
    assert source(tmp_path, f"{CLUSTER}/api/v1/namespaces/shop", "") == "shop.yaml: kind: Namespace"
    assert source(tmp_path, f"{CLUSTER}/api/v1/namespaces/shop/services/web", "") == "shop.yaml: apiVersion: v1"
    for other in ("/api/v1/namespaces/other/services/web", "/api/v1/namespaces/shop/services/templated"):
        assert not source(tmp_path, CLUSTER + other, "")
    # One manifest for two clusters is none too many, two for one object are.
    both = [about(one + "/api/v1/namespaces/shop", "") for one in (CLUSTER, CLUSTER + "-2")]
    made, notes = named(tmp_path, *both)
    assert all(one.source for one in made.findings)
    assert not notes
    shutil.copy(tmp_path / "shop.yaml", tmp_path / "copy.yml")
    made, notes = named(tmp_path, *both)
    assert not any(one.source for one in made.findings)
    assert "shop is declared in 2 places (copy.yml:2, shop.yaml:2)" in notes[0]


@given(
    st.lists(
        st.sampled_from(["---\n", "apiVersion: v1\n", "kind: Pod\n", "metadata:\n", "  name: a\n", " ", "\n", "x: "])
    )
)
def test_nothing_crashes_on_hostile_manifests(lines: list[str]) -> None:
    for one in objects("".join(lines)):
        assert one.names == ("a",)


def test_modules_in_a_circle_or_a_long_row_end(tmp_path: Path) -> None:
    for number in range(1100):
        (tmp_path / f"{number}.bicep").write_text(
            f"param name string\nmodule m '{number + 1}.bicep' = {{ params: {{ name: name }} }}\n"
            "resource r 'Microsoft.Network/x@1' = { name: name }\n"
        )
    circle = (
        "param name string = 'a'\nmodule m 'circle.bicep' = {}\nresource r 'Microsoft.Network/x@1' = { name: name }"
    )
    (tmp_path / "circle.bicep").write_text(circle)
    (tmp_path / "0.bicep").write_text("module m '1.bicep' = { params: { name: 'first' } }\n")
    found = repository.read(tmp_path).found
    assert {key[1] for key in found} <= {("first",), ("a",)}


def test_names_that_double_themselves_end(tmp_path: Path) -> None:
    lines = [f"var a{number} = '${{a{number + 1}}}${{a{number + 1}}}'" for number in range(60)]
    lines += ["var loop = '${loop}'", "var a60 = 'x'"]
    (tmp_path / "a.bicep").write_text("\n".join([*lines, "resource r 'Microsoft.Network/x@1' = { name: a0 }"]))
    (tmp_path / "b.bicep").write_text("module b 'b.bicep' = {}\nresource r 'Microsoft.Network/x@1' = { name: loop }")
    assert not repository.read(tmp_path).found


def test_a_module_that_is_used_twice_declares_both(tmp_path: Path) -> None:
    (tmp_path / "m.bicep").write_text("param name string = 'none'\nresource r 'Microsoft.Network/x@1' = { name: name }")
    uses = "\n".join(f"module {name} 'm.bicep' = {{ params: {{ name: '{name}' }} }}" for name in ("one", "two"))
    (tmp_path / "main.bicep").write_text(uses)
    found = repository.read(tmp_path).found
    assert {key[1] for key in found} == {("one",), ("two",)}


def test_five_thousand_files_are_read_in_a_moment(tmp_path: Path) -> None:
    for number in range(5000):
        folder = tmp_path / f"f{number % 50}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.json").write_text('{"a": 1}')
    for name in ("bicep", "terraform", "arm"):
        shutil.copytree(SOURCES / name, tmp_path / name)
    begun = time.process_time()
    assert repository.read(tmp_path).found
    assert time.process_time() - begun < 5


def test_a_scan_names_the_lines_of_its_repository(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    (tmp_path / "aks-audit.toml").write_text('[[source]]\ncluster = "aks-web"\nfile = "web.bicep"\n')
    (tmp_path / "web.bicep").write_text(
        "param n string\n\nresource aks 'Microsoft.ContainerService/managedClusters@2025-05-01' = {\n  name: n\n}\n"
    )
    (tmp_path / "broken.bicep").write_text("resource \x1b[31m 'x' = {")
    main(["scan", "--demo", "--format", "json", "--config", str(tmp_path / "aks-audit.toml")])
    written = capfdbinary.readouterr()
    made = msgspec.json.decode(written.out)
    placed = [one for one in made["findings"] if "source" in one]
    assert placed
    assert {one["source"]["path"] for one in placed} == {"web.bicep"}
    assert {one["source"]["line"] for one in placed} == {3}
    assert made["policy"]["entries"][0]["state"] == "in-force"
    assert b"broken.bicep: declares nothing" in written.err
    assert b"\x1b" not in written.err


def test_sources_that_nobody_looks_for_are_told(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "aks-audit.toml").write_text('[[source]]\ncluster = "aks-web"\nfile = "web.bicep"\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    main(["scan", "--demo", "--format", "json", "--config", str(tmp_path / "aks-audit.toml")])
    assert b"no repository is around it; name yours by --source-root" in capfdbinary.readouterr().err


def test_a_root_that_is_no_folder_is_refused(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["scan", "--demo", "--source-root", str(tmp_path / "nowhere")]) == UNUSABLE
    assert b"is no folder" in capfdbinary.readouterr().err
