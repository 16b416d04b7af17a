"""Live scans of Azure, end to end: the installed command, the SDK's pipeline, HTTPS, and a server that misbehaves."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from azure.mgmt.containerservice.models import (
    KubernetesVersionListResult,
    MaintenanceConfiguration,
    OutboundEnvironmentEndpoint,
)

from aks_audit import snapshot
from aks_audit.cli import main
from aks_audit.commands.options import OPTIONAL_READS
from aks_audit.facts.upkeep import KubernetesVersions
from aks_audit.sources.azure.plan import CLUSTERS, FIREWALLS, LISTED, OPTIONAL, REGISTRIES, optional
from aks_audit.sources.kubernetes import kubelets
from cases import ALIASES, CLUSTER, ROOT, Case, records_of
from live import TOKEN, environment, run
from resource_manager import Answer, Fault, Hang, Paging, Reset, ResourceManager, Truncated, load

ESTATES = sorted((ROOT / "fixtures" / "estates").glob("*.jsonl"))
REPORTS = ("aks-audit.html", "aks-audit.json", "aks-audit.sarif")
SAFEGUARDS = ("--read", "deployment-safeguards")
BASE = Case(name="", expect="")
_PUBLIC = f"{ALIASES['firewall'].partition('/azureFirewalls/')[0]}/publicIPAddresses/pip-fw-hub"
ADDRESSES = [
    snapshot.Resource(id=own, type="Microsoft.Network/publicIPAddresses", body={"id": own, "properties": {}})
    for own in (_PUBLIC, f"{_PUBLIC}-2")
]
"""The public addresses of the base estate's firewall, which scans of its clusters alone are led to."""
NEAR = "Microsoft.ContainerService/locations/westeurope"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"


def reads_of(path: Path) -> tuple[str, ...]:
    """The options that ask for all that a snapshot says was read."""
    there = {one.type.lower() for one in load(path) if isinstance(one, snapshot.Listing | snapshot.Resource)}
    names = [name for name, reads in OPTIONAL.items() if there & {read.type.lower() for read in reads}]
    return tuple(part for name in names for part in ("--read", name))


@pytest.mark.parametrize("path", ESTATES, ids=lambda path: path.stem)
def test_a_live_scan_reports_what_a_scan_of_its_snapshot_reports(path: Path, tmp_path: Path) -> None:
    kept = "kept.jsonl.gz" if path.stem.startswith("aks") else "kept.jsonl"
    with ResourceManager(load(path)) as server:
        live = run(server, tmp_path, "scan", "--output", "live", "--keep-snapshot", kept, *reads_of(path))
        replayed = run(server, tmp_path, "scan", "--output", "replayed", "--snapshot", kept)
        recorded = run(server, tmp_path, "scan", "--format", "json", "--snapshot", str(path))
    reports = {name: (tmp_path / "live" / name).read_bytes() for name in REPORTS}
    assert reports == {name: (tmp_path / "replayed" / name).read_bytes() for name in REPORTS}
    assert (live.code, live.out) == (replayed.code, replayed.out)
    report = json.loads(reports["aks-audit.json"])
    assert outcomes(report) == outcomes(recorded.report)
    assert {finding["location"]["file"] for finding in report["findings"]} == {kept}


def outcomes(report: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {(finding["rule"], finding["resource"].lower()): finding["outcome"] for finding in report["findings"]}


def test_calls_are_as_few_as_promised_and_all_of_them_reads(tmp_path: Path) -> None:
    with ResourceManager(records_of(BASE)) as server:
        done = run(server, tmp_path, "collect", "-o", "estate.jsonl")
        requests = server.requests
    assert done.code == 0, done.err
    assert {request.method for request in requests} == {"GET"}
    lists = Counter(
        request.path.split("/")[2]
        for request in requests
        if request.path.startswith("/subscriptions/") and any(request.path.endswith(kind) for kind in LISTED)
    )
    assert set(lists.values()) == {len(LISTED)}
    assert len(LISTED) <= 16


def test_a_snapshot_holds_no_token_and_no_person(tmp_path: Path) -> None:
    denied = "Microsoft.Network/routeTables/read"
    with ResourceManager(records_of(BASE), deny={denied: None}) as server:
        run(server, tmp_path, "collect", "-o", "estate.jsonl", "-v")
        done = run(server, tmp_path, "scan", "--output", "out", "--keep-snapshot", "kept.jsonl", "-v")
    written = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.*") if path.is_file()]
    for text in (*written, done.out, done.err):
        assert TOKEN not in text
        assert "@contoso" not in text
    assert denied in done.out


def test_an_action_that_is_denied_is_a_gap_that_names_it(tmp_path: Path) -> None:
    denied = "Microsoft.Network/routeTables/read"
    with ResourceManager(records_of(BASE), deny={denied: None}) as server:
        done = run(server, tmp_path, "scan", "--format", "json", *SAFEGUARDS)
    assert done.code == 3
    routes = [finding for finding in done.report["findings"] if finding["rule"] == "AKS-EGR-02"]
    assert {finding["outcome"] for finding in routes} == {"unknown"}
    assert {missing["action"] for finding in routes for missing in finding["missing"]} == {denied}


@pytest.mark.parametrize(
    "effect",
    [
        Answer(404, b'{"error":{"code":"ResourceNotFound","message":"gone"}}'),
        Answer(500, b'{"code":"InternalServerError","message":"flat"}'),
        Answer(503, b"<html><body>busy</body></html>"),
        Reset(),
        Truncated(),
        Answer(200, b'{"value": null}'),
        Answer(200, b'{"value": [{"name": "nobody"}]}'),
    ],
    ids=["404", "500", "503", "reset", "truncated", "no list", "no id"],
)
def test_what_fails_for_ever_is_a_gap_and_turns_nothing_into_a_pass(effect: Any, tmp_path: Path) -> None:  # noqa: ANN401 - any effect
    struck = Fault("networkSecurityGroups", effect, times=None)
    with ResourceManager(records_of(BASE), faults=[struck]) as server:
        done = run(server, tmp_path, "scan", "--format", "json", "--timeout", "5", *SAFEGUARDS)
    assert done.code == 3, done.err
    guards = {f["outcome"] for f in done.report["findings"] if f["rule"] in {"AKS-SUB-02", "AKS-SUB-05", "AKS-SUB-06"}}
    assert guards == {"unknown"}


def test_what_fails_once_is_asked_again(tmp_path: Path) -> None:
    faults = [
        Fault("routeTables", Answer(429, b"{}", headers={"Retry-After": "1"})),
        Fault("virtualNetworks", Answer(502, b"")),
        Fault("natGateways", Reset()),
    ]
    with ResourceManager(records_of(BASE), faults=faults) as server:
        done = run(server, tmp_path, "scan", "--format", "json", *SAFEGUARDS)
    assert done.code == 0, done.err


def test_paging_is_followed_to_its_end_and_never_elsewhere(tmp_path: Path) -> None:
    with ResourceManager(
        records_of(BASE), paging=Paging(size=1, trailing_empty_page=True, empty_first_page=True)
    ) as server:
        done = run(server, tmp_path, "scan", "--format", "json", *SAFEGUARDS)
    assert done.code == 0, done.err
    with (
        ResourceManager([]) as stranger,
        ResourceManager(records_of(BASE), paging=Paging(size=1, foreign=stranger.url)) as server,
    ):
        done = run(server, tmp_path, "scan", "--format", "json", *SAFEGUARDS)
        assert stranger.requests == ()
    assert done.code == 3
    assert "another host" in done.out


def test_a_scope_that_matches_nothing_lists_what_there_is(tmp_path: Path) -> None:
    with ResourceManager(records_of(BASE), names={CLUSTER.split("/")[2]: "shop"}) as server:
        nobody = run(server, tmp_path, "scan", "--cluster", "dev-*")
        nowhere = run(server, tmp_path, "scan", "--subscription", "sandbox")
        named = run(server, tmp_path, "scan", "--subscription", "SHOP", "--cluster", "AKS-*", "--quiet", *SAFEGUARDS)
    assert nobody.code == 2
    assert "no cluster matches --resource-group, --cluster and --tag; there are: rg-aks-prod/aks-prod" in nobody.err
    assert nowhere.code == 2
    assert "no subscription 'sandbox'; the signed-in identity sees: " in nowhere.err
    assert "shop" in nowhere.err
    assert named.code == 3, named.out + named.err
    assert "Microsoft.Authorization/roleAssignments/read" in named.out  # on the zone in the hub, beyond the scope
    assert named.err == ""


def test_references_are_followed_beyond_the_scope_each_once(tmp_path: Path) -> None:
    with ResourceManager([*records_of(BASE), *ADDRESSES]) as server:
        done = run(server, tmp_path, "collect", "-o", "estate.jsonl", "--subscription", CLUSTER.split("/")[2])
        asked = Counter(request.path.lower() for request in server.requests)
    assert done.code == 0, done.err
    assert set(asked.values()) == {1}
    kept = {resource.id.rsplit("/", 1)[-1] for resource, _ in snapshot.read([tmp_path / "estate.jsonl"]).resources}
    assert {"vnet-hub", "fw-hub"} <= kept


def test_an_identity_beyond_the_scope_is_followed_though_it_stands_as_a_key(tmp_path: Path) -> None:
    own = (
        "/subscriptions/22222222-2222-2222-2222-222222222222/resourceGroups/rg-ids/providers/"
        "Microsoft.ManagedIdentity/userAssignedIdentities/id-of-hub"
    )
    chosen = Case(name="", expect="", set={"cluster identity.userAssignedIdentities": {own: {"clientId": "1"}}})
    identity = snapshot.Resource(id=own, type="Microsoft.ManagedIdentity/userAssignedIdentities", body={"id": own})
    with ResourceManager([*records_of(chosen), *ADDRESSES, identity]) as server:
        done = run(server, tmp_path, "collect", "-o", "estate.jsonl", "--subscription", CLUSTER.split("/")[2])
    assert done.code == 0, done.err
    assert own in {resource.id for resource, _ in snapshot.read([tmp_path / "estate.jsonl"]).resources}


def test_when_the_time_is_up_there_is_a_report_of_what_there_is(tmp_path: Path) -> None:
    with ResourceManager(records_of(BASE), delay=0.5) as server:
        done = run(server, tmp_path, "scan", "--format", "json", "--timeout", "1.2")
    assert done.code == 3, done.err
    assert "time of 1.2 s was up" in done.out


def test_the_arguments_name_the_reads_of_the_plan() -> None:
    assert set(OPTIONAL_READS) == {*OPTIONAL, kubelets.NAME}
    assert OPTIONAL_READS[kubelets.NAME] == kubelets.PRICE
    for name, reads in OPTIONAL.items():
        prices = Counter(read.price.removeprefix("1 call ") for read in reads)
        said = (f"{number} call{'s' * (number > 1)} {price}" for price, number in prices.items())
        assert OPTIONAL_READS[name] == ", ".join(said)


def test_a_dry_run_reads_the_subscriptions_and_tells_the_rest(tmp_path: Path) -> None:
    with ResourceManager(records_of(BASE)) as server:
        done = run(server, tmp_path, "collect", "-o", "estate.jsonl", "--dry-run")
        scanned = run(server, tmp_path, "scan", "--dry-run", "--output", "out", "--keep-snapshot", "kept.jsonl")
        assert {request.path for request in server.requests} == {"/subscriptions"}
    assert done.code == scanned.code == 0, done.err
    assert all(kind in done.out for kind in LISTED)
    assert all(f"{read.price}: {read.path}" in done.out for read in optional(OPTIONAL))
    assert {path.name for path in tmp_path.iterdir()} == {"bin"}
    assert done.err == "aks-audit: nothing is written to estate.jsonl: this was a dry run\n"
    assert [line.split()[5] for line in scanned.err.splitlines()] == ["out:", "kept.jsonl:"]


def test_optional_reads_cost_what_they_say_and_only_where_asked_for(tmp_path: Path) -> None:
    asked = [part for name in OPTIONAL for part in ("--read", name)]
    with ResourceManager(records_of(BASE)) as server:
        done = run(server, tmp_path, "collect", "-o", "estate.jsonl", "--log-format", "json", "-v", *asked)
        paths = Counter(request.path.rpartition("/")[2] for request in server.requests)
    assert done.code == 0, done.err
    subscriptions = {
        "metricAlerts",
        "scheduledQueryRules",
        "activityLogAlerts",
        "prometheusRuleGroups",
        "backupVaults",
        "fleets",
        "roleEligibilityScheduleInstances",
        "roleDefinitions",
        "networkWatchers",
        "pricings",
    }
    held = Counter(record.type.lower() for record in records_of(BASE) if isinstance(record, snapshot.Resource))
    prices = dict.fromkeys(subscriptions, paths["managedClusters"]) | {
        "flowLogs": held["microsoft.network/networkwatchers"],
        "members": held["microsoft.containerservice/fleets"],
        "backupInstances": held["microsoft.dataprotection/backupvaults"],
        "federatedIdentityCredentials": held["microsoft.managedidentity/userassignedidentities"],
        "applications": 0,  # of no service principal
        "diagnosticSettings": sum(held[kind.lower()] for kind in (CLUSTERS, FIREWALLS, REGISTRIES)),
    }
    named = [read.path.rpartition("/")[2] for read in optional(OPTIONAL)]
    assert {name: paths[name] for name in named} == {name: prices.get(name, 1) for name in named}
    said = [json.loads(line) for line in done.err.splitlines()]
    assert all({"time", "level", "message"} <= set(line) for line in said)
    assert {line["status"] for line in said if "url" in line} == {200}


def test_what_is_read_of_a_cluster_on_demand_is_what_the_sdk_reads(tmp_path: Path) -> None:
    sent: dict[str, bytes] = {}

    def heard(path: str, answer: Answer) -> Answer:
        sent[path.rpartition("/")[2]] = answer.body
        return answer

    asked = ("outbound-endpoints", "maintenance-configurations", "diagnostic-settings", "kubernetes-versions")
    with ResourceManager(records_of(BASE), altered=heard) as server:
        done = run(
            server, tmp_path, "collect", "-o", "estate.jsonl", *(part for name in asked for part in ("--read", name))
        )
    assert done.code == 0, done.err
    kept = [resource for resource, _ in snapshot.read([tmp_path / "estate.jsonl"]).resources]
    (endpoints,) = [
        one.body["value"] for one in kept if one.type == f"{CLUSTERS}/{OPTIONAL['outbound-endpoints'][0].path}"
    ]
    models = [
        OutboundEnvironmentEndpoint(item) for item in json.loads(sent[OPTIONAL["outbound-endpoints"][0].path])["value"]
    ]
    assert [model.as_dict() for model in models] == endpoints
    assert all(model.category and model.endpoints for model in models)
    assert {one.domain_name for model in models for one in model.endpoints or ()} > {"mcr.microsoft.com", None}
    windows = [MaintenanceConfiguration(item) for item in json.loads(sent["maintenanceConfigurations"])["value"]]
    assert {window.name for window in windows} == {"aksManagedAutoUpgradeSchedule", "aksManagedNodeOSUpgradeSchedule"}
    assert [window.as_dict() for window in windows] == [
        one.body for one in kept if "/maintenanceConfigurations/" in one.id
    ]
    assert [one.body["name"] for one in kept if one.type.lower() == "microsoft.insights/diagnosticsettings"] == [
        "to-workspace"
    ]
    (versions,) = [one for one in kept if one.type == KubernetesVersions.TYPE]
    assert versions.id == f"{CLUSTER.partition('/resourceGroups')[0]}/providers/{NEAR}/kubernetesVersions"
    listed = KubernetesVersionListResult(json.loads(sent["kubernetesVersions"])).values_property or []
    assert [version.as_dict() for version in listed] == versions.body["value"]
    assert "1.34" in {version.version for version in listed}


def test_a_list_of_endpoints_is_whole_only_where_each_category_has_its_endpoints(tmp_path: Path) -> None:
    without = OutboundEnvironmentEndpoint({"category": "images"})
    answer = Answer(200, json.dumps({"value": [without.as_dict()]}).encode())
    fault = Fault(OPTIONAL["outbound-endpoints"][0].path, answer, times=None)
    with ResourceManager(records_of(BASE), faults=[fault]) as server:
        done = run(server, tmp_path, "collect", "-o", "estate.jsonl", "--read", "outbound-endpoints")
    assert without.endpoints is None
    assert done.code == 3
    assert "the answer holds something without its endpoints" in done.err


def test_ctrl_c_ends_with_a_report_of_what_there_is(tmp_path: Path) -> None:
    answered = 1 + 2 * (len(LISTED) - 1)  # the subscriptions, and in each of two all lists but the one that hangs
    with ResourceManager(records_of(BASE), faults=[Fault("routeTables", Hang(60), times=None)]) as server:
        done = run(server, tmp_path, "scan", "--format", "json", "--quiet", interrupt_after=answered)
    assert done.code in {1, 3}, done.err
    assert "Traceback" not in done.err
    assert "the scan was interrupted" in done.out


def test_who_is_not_signed_in_is_told_so_at_once(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "az").write_text("#!/bin/sh\necho \"Please run 'az login'\" >&2; exit 1\n", encoding="utf-8")
    with ResourceManager(records_of(BASE)) as server:
        done = run(server, tmp_path, "scan")
        assert server.requests == ()
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("aks-audit: error: cannot sign in: ")
    assert "az login" in done.err


def test_a_sign_in_that_hangs_ends_with_the_time(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "az").write_text("#!/bin/sh\nexec sleep 60\n", encoding="utf-8")
    with ResourceManager(records_of(BASE)) as server:
        done = run(server, tmp_path, "scan", "--timeout", "1")
    assert done.code == 2
    assert "cannot sign in: the scan's time of 1 s was up before a token was there" in done.err


@pytest.mark.parametrize(
    ("variables", "auth", "says"),
    [
        ({}, "workload", "cannot sign in: WorkloadIdentityCredential authentication unavailable"),
        ({}, "environment", "cannot sign in: EnvironmentCredential authentication unavailable"),
        ({"AZURE_AUTHORITY_HOST": "http://nowhere.example"}, None, "cannot sign in: "),
        ({"SSL_CERT_FILE": "nowhere.pem"}, "cli", "nowhere.pem: no certificates can be read from it"),
        ({"SSL_CERT_FILE": __file__}, "cli", "SSL_CERT_FILE or REQUESTS_CA_BUNDLE names it"),
    ],
)
def test_what_a_sign_in_lacks_is_said(variables: dict[str, str], auth: str | None, says: str, tmp_path: Path) -> None:
    with ResourceManager([]) as server:
        inherited = environment(server.url, server.ca_file, tmp_path)
        named = ("--auth", auth) if auth else ()
        done = subprocess.run(
            [sys.executable, "-m", "aks_audit", "scan", *named],
            capture_output=True,
            text=True,
            check=False,
            env={name: text for name, text in inherited.items() if not name.startswith("AZURE_")} | variables,
        )
        assert server.requests == ()
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("aks-audit: error: ")
    assert says in done.stderr


@pytest.mark.parametrize("seconds", ["0", "-5", "nan", "inf", "soon"])
def test_a_time_that_is_none_is_refused(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["scan", f"--timeout={seconds}"])
    said = capsys.readouterr().err
    assert f"argument --timeout: '{seconds}' is not a number of seconds above 0, such as 900" in said


@pytest.mark.parametrize(
    "asked",
    [
        ("--cluster", "aks-*"),
        ("--subscription", "shop"),
        ("--resource-group", "rg"),
        ("--tag", "a=b"),
        ("--read", "diagnostic-settings"),
        ("--keep-snapshot", "kept.jsonl"),
        ("--dry-run",),
        ("--in-cluster", "aad"),
        ("--allow-exec",),
    ],
)
def test_what_is_of_live_scans_is_refused_for_a_snapshot(
    asked: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scan", "--demo", *asked]) == 2
    assert f"{asked[0]} is of live scans; with --snapshot or --demo the whole estate is audited" in (
        capsys.readouterr().err
    )


def test_what_cannot_be_written_is_said_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "out" / "aks-audit.json").mkdir(parents=True)
    with ResourceManager(records_of(BASE)) as server:
        said = {
            arguments: run(server, tmp_path, *arguments)
            for arguments in (
                ("scan", "--output", "out"),
                ("scan", "--output", "file"),
                ("scan", "--keep-snapshot", "file/kept.jsonl"),
                ("collect", "-o", "folder.jsonl"),
            )
        }
        assert server.requests == ()
    assert {done.code for done in said.values()} == {2}
    assert [done.err.removeprefix("aks-audit: error: ") for done in said.values()] == [
        "out/aks-audit.json: is a folder; name a file in it\n",
        "file/aks-audit.json: cannot be written, file is a file; name another place\n",
        "file/kept.jsonl: cannot be written, file is a file; name another place\n",
        "folder.jsonl: is a folder; name a file in it\n",
    ]


def test_an_answer_that_stops_in_the_middle_is_a_gap_and_loses_nothing_else(tmp_path: Path) -> None:
    cut = Fault("routeTables", Truncated(announced=True), times=None)
    with ResourceManager(records_of(BASE), faults=[cut]) as server:
        done = run(server, tmp_path, "scan", "--format", "json", "--timeout", "10", *SAFEGUARDS)
    assert done.code == 3, done.err
    assert "Traceback" not in done.err
    found = {finding["rule"]: finding["outcome"] for finding in done.report["findings"]}
    assert (found["AKS-EGR-02"], found["AKS-API-01"]) == ("unknown", "pass")


def test_custom_roles_alone_are_asked_for_and_are_no_list_of_all_roles(tmp_path: Path) -> None:
    subscription = f"/subscriptions/{CLUSTER.split('/')[2]}"
    kind = "Microsoft.Authorization/roleDefinitions"
    roles = [
        snapshot.Resource(
            id=(own := f"{subscription}/providers/{kind}/{guid}"),
            type=kind,
            body={"id": own, "type": kind, "name": guid, "properties": {"roleName": "one", "type": sort}},
        )
        for guid, sort in (("99999999-0000-4000-8000-000000000001", "CustomRole"), (READER, "BuiltInRole"))
    ]
    with ResourceManager([*records_of(BASE), *roles]) as server:
        done = run(server, tmp_path, "collect", "-o", "estate.jsonl", "--read", "custom-roles")
        asked = [request for request in server.requests if request.path.endswith(kind)]
    assert done.code == 0, done.err
    assert {request.query["$filter"] for request in asked} == {"type eq 'CustomRole'"}
    kept = snapshot.read([tmp_path / "estate.jsonl"])
    assert [one.id for one, _ in kept.resources if one.type == kind] == [roles[0].id]
    assert kind not in {listing.type for listing in kept.listings}


def test_the_flow_logs_of_every_network_watcher_are_read_where_they_are_asked_for(tmp_path: Path) -> None:
    records = load(ROOT / "fixtures" / "estates" / "modern-hardened.jsonl")
    watchers, logs = "Microsoft.Network/networkWatchers", "Microsoft.Network/networkWatchers/flowLogs"
    with ResourceManager(records) as server:
        done = run(server, tmp_path, "collect", "-o", "asked.jsonl", "--read", "flow-logs")
        run(server, tmp_path, "collect", "-o", "not.jsonl")
    assert done.code == 0, done.err
    kept, without = (snapshot.read([tmp_path / name]) for name in ("asked.jsonl", "not.jsonl"))
    (watcher,) = [one.id for one, _ in kept.resources if one.type == watchers]
    assert [one.id for one, _ in kept.resources if one.type == logs] == [f"{watcher}/flowLogs/vnet-platform-flowlog"]
    assert [listing.scope for listing in kept.listings if listing.type == logs] == [watcher]
    assert {gap.type: gap.reason for gap, _ in without.gaps}[logs] == (
        "flow-logs were not asked for; add --read flow-logs, 1 call a network watcher"
    )
    assert {watchers, logs}.isdisjoint(gap.type for gap, _ in kept.gaps)
