"""`aks-audit snapshot import`: whatever JSON people have of Azure, the snapshot says what was there, and no more."""

import gzip
import json
import random
from pathlib import Path

import pytest

from aks_audit import snapshot
from aks_audit.cli import main
from aks_audit.facts import Estate, ManagedCluster
from aks_audit.facts.resource_id import parse
from aks_audit.sources.azure_json import read_files
from aks_audit.sources.flattened import SUB_RESOURCES, known
from aks_audit.sources.json_files import ImportFailedError
from aks_audit.sources.scrub import SECRET_KEYS, scrub
from cases import BASE
from recordings import Json, bodies, needs_recordings
from sdk_models import MODELS, fields, sub_resources

SUBSCRIPTION = "/subscriptions/11111111-1111-1111-1111-111111111111"
CLUSTER = f"{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.ContainerService/managedClusters/aks"
NETWORK = f"{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Network"
BODY: dict[str, Json] = {
    "id": CLUSTER,
    "name": "aks",
    "type": "Microsoft.ContainerService/ManagedClusters",
    "location": "westeurope",
    "properties": {"enableRBAC": True, "agentPoolProfiles": [{"name": "one", "count": 1}]},
    "sku": {"name": "Base", "tier": "Free"},
}
TEMPLATE = {
    "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
    "resources": [{"type": BODY["type"], "name": "aks"}],
}
DENIED = (
    "The client 'user@example.com' with object id 'e3e7ef9f-eacd-4446-8eb4-f6d27f7f4f32' does not have authorization "
    f"to perform action 'Microsoft.Network/routeTables/read' over scope '{SUBSCRIPTION}/resourceGroups/rg' or the "
    "scope is invalid."
)


def import_file(folder: Path, content: object, name: str = "some.json") -> tuple[list[Json], list[snapshot.Gap], str]:
    """The resources and gaps that a file gives, and the notes."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    imported = read_files([path])
    read = snapshot.of(imported.records)
    return [r for r, _ in read.resources], [gap for gap, _ in read.gaps], "\n".join(imported.notes)


def command(*arguments: object) -> int:
    """The exit code of the command."""
    return main([str(argument) for argument in arguments])


SHAPES = {
    "one resource": BODY,
    "a list": [BODY],
    "a page": {"value": [BODY]},
    "a Resource Graph answer": {"data": [BODY], "total_records": 1, "count": 1, "skip_token": None},
    "a Resource Graph table": {
        "data": {"columns": [{"name": key, "type": "object"} for key in BODY], "rows": [list(BODY.values())]},
        "totalRecords": 1,
    },
    "an old example of the specifications": {"parameters": {}, "response": BODY},
    "a new example of the specifications": {"parameters": {}, "responses": {"200": {"body": BODY}, "201": {}}},
}


@pytest.mark.parametrize("content", SHAPES.values(), ids=SHAPES)
def test_shapes_give_the_body_as_it_is(tmp_path: Path, content: object) -> None:
    resources, gaps, notes = import_file(tmp_path, content)
    assert [(resource.id, resource.body) for resource in resources] == [(CLUSTER, BODY)]
    assert not gaps
    assert not notes


TEXT = json.dumps(BODY, indent=2)
ENCODINGS = {
    "UTF-8 with a mark": b"\xef\xbb\xbf" + TEXT.encode(),
    "PowerShell's UTF-16": b"\xff\xfe" + TEXT.encode("utf-16-le"),
    "big-endian UTF-16": b"\xfe\xff" + TEXT.encode("utf-16-be"),
    "UTF-16 without a mark": TEXT.encode("utf-16-le"),
    "big-endian UTF-16 without a mark": TEXT.encode("utf-16-be"),
    "gzip": gzip.compress(TEXT.encode()),
    "gzipped UTF-16": gzip.compress(b"\xff\xfe" + TEXT.encode("utf-16-le")),
    "blank lines around": b"\r\n\r\n" + TEXT.encode() + b"\r\n\r\n",
}


@pytest.mark.parametrize("content", ENCODINGS.values(), ids=ENCODINGS)
def test_encodings_of_shells(tmp_path: Path, content: bytes) -> None:
    resources, gaps, _ = import_file(tmp_path, content)
    assert [resource.body for resource in resources] == [BODY]
    assert not gaps


def test_a_windows_code_page_is_read_as_such(tmp_path: Path) -> None:
    resources, _, _ = import_file(
        tmp_path, json.dumps({**BODY, "tags": {"a": "Müller"}}, ensure_ascii=False).encode("cp1252")
    )
    assert resources[0].body["tags"] == {"a": "Müller"}


SEVERAL = {
    "JSON Lines": json.dumps(BODY) + "\n" + json.dumps({**BODY, "id": CLUSTER + "2"}) + "\n",
    "appended pretty documents": TEXT + "\n" + json.dumps({**BODY, "id": CLUSTER + "2"}, indent=2) + "\n",
    "no line between": TEXT + json.dumps({**BODY, "id": CLUSTER + "2"}),
}


@pytest.mark.parametrize("content", SEVERAL.values(), ids=SEVERAL)
def test_several_documents_in_a_file(tmp_path: Path, content: str) -> None:
    resources, gaps, _ = import_file(tmp_path, content.encode())
    assert [resource.id for resource in resources] == [CLUSTER, CLUSTER + "2"]
    assert not gaps


def test_a_broken_line_loses_itself_alone_and_names_its_cluster(tmp_path: Path) -> None:
    cut = json.dumps({**BODY, "id": CLUSTER + "2"})[:-40]
    resources, gaps, notes = import_file(
        tmp_path, f"{TEXT}\n{cut}\n{json.dumps({**BODY, 'id': CLUSTER + '3'})}\n".encode()
    )
    assert [resource.id for resource in resources] == [CLUSTER, CLUSTER + "3"]
    assert [(gap.id, gap.cause) for gap in gaps] == [(CLUSTER + "2", "malformed")]
    assert f"line {TEXT.count(chr(10)) + 2}" in notes


def as_the_azure_cli_prints(node: Json, *, top: bool = True) -> Json:
    """A wire body flattened: properties moved up, null for what is not set, the group beside each id."""
    if isinstance(node, list):
        return [as_the_azure_cli_prints(item, top=False) for item in node]
    if not isinstance(node, dict):
        return node
    inner: Json = node["properties"] if isinstance(node.get("properties"), dict) else {}
    flat = {key: value for key, value in node.items() if key != "properties" or not isinstance(value, dict)}
    for key, value in inner.items():
        flat["typePropertiesType" if key == "type" else key] = value
    printed = {
        key: value if key == "tags" else as_the_azure_cli_prints(value, top=False) for key, value in flat.items()
    }
    parts = str(node.get("id")).split("/")
    if len(parts) > 4 and parts[3].lower() == "resourcegroups":
        printed["resourceGroup"] = parts[4]
    return {"extendedLocation": None, **printed} if top else printed


def without_nulls(node: Json) -> Json:
    """A body without nulls and empty `properties`, which no export tells from absence."""
    if isinstance(node, list):
        return [without_nulls(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: without_nulls(value)
        for key, value in node.items()
        if value is not None and (key, value) != ("properties", {})
    }


BASE_BODIES = [resource.body for resource, _ in snapshot.read([BASE]).resources if known(resource.type)]
"""Those that the Azure CLI flattens; it prints others, such as key vaults, with their `properties`."""


@pytest.mark.parametrize("body", BASE_BODIES, ids=lambda body: body["name"])
def test_what_the_azure_cli_flattened_is_restored(tmp_path: Path, body: Json) -> None:
    resources, gaps, _ = import_file(tmp_path, as_the_azure_cli_prints(body))
    assert not gaps
    assert without_nulls(resources[0].body) == without_nulls(scrub(body))


@needs_recordings
def test_recorded_bodies_that_the_azure_cli_flattened_are_restored(tmp_path: Path) -> None:
    wrong = {}
    for name, body in bodies():
        if known(parse(body["id"]).type):
            resources, gaps, _ = import_file(tmp_path, as_the_azure_cli_prints(body))
            if gaps or without_nulls(resources[0].body) != without_nulls(scrub(body)):
                wrong[name] = differences(resources[0].body if resources else None, scrub(body))
    assert not wrong


def differences(got: Json, wanted: Json, at: str = "") -> list[str]:
    """Where two bodies differ."""
    got, wanted = without_nulls(got), without_nulls(wanted)
    if isinstance(got, dict) and isinstance(wanted, dict):
        return [d for key in sorted({*got, *wanted}) for d in differences(got.get(key), wanted.get(key), f"{at}/{key}")]
    if isinstance(got, list) and isinstance(wanted, list) and len(got) == len(wanted):
        return [d for n, pair in enumerate(zip(got, wanted, strict=True)) for d in differences(*pair, f"{at}/{n}")]
    return [] if got == wanted else [at]


def test_the_table_of_sub_resources_is_the_sdks() -> None:
    scale_sets = {"extensions", "networkinterfaceconfigurations", "publicipaddressconfiguration"}
    every, own = sub_resources()
    assert SUB_RESOURCES - scale_sets <= every
    assert own <= SUB_RESOURCES


def test_a_list_without_properties_was_not_read(tmp_path: Path) -> None:
    row = {key: value for key, value in BODY.items() if key != "properties"}
    listed = {**row, "properties": None, "createdTime": "2026-01-01T00:00:00Z", "resourceGroup": "rg", "identity": None}
    resources, gaps, notes = import_file(tmp_path, [listed, {**row, "id": CLUSTER + "2"}])
    assert not resources
    assert [(gap.id, gap.cause) for gap in gaps] == [(CLUSTER, "not-read"), (CLUSTER + "2", "not-read")]
    assert gaps[0].action == "Microsoft.ContainerService/managedClusters/read"
    assert notes.count("az resource show --ids ID") == 1


def test_a_row_of_a_list_is_no_gap_where_the_resource_was_read(tmp_path: Path) -> None:
    row = {key: value for key, value in BODY.items() if key != "properties"}
    resources, gaps, notes = import_file(tmp_path, [row, BODY])
    assert len(resources) == 1
    assert not gaps
    assert not notes


def test_a_flattened_type_that_is_not_known_is_no_body(tmp_path: Path) -> None:
    lake = {"id": f"{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Lakes/lakes/a", "name": "a", "depth": 3}
    resources, gaps, notes = import_file(tmp_path, [BODY, lake])
    assert [resource.id for resource in resources] == [CLUSTER]
    assert [(gap.id, gap.cause) for gap in gaps] == [(lake["id"], "not-read")]
    assert "Microsoft.Lakes/lakes is not known" in notes


def test_an_id_is_made_of_its_parts_but_never_normalised(tmp_path: Path) -> None:
    parts = {"type": "microsoft.containerservice/managedclusters", "name": "aks", "resourceGroup": "RG"}
    row = {**parts, "subscriptionId": SUBSCRIPTION.rpartition("/")[2], "properties": BODY["properties"]}
    strange = {**BODY, "id": CLUSTER.replace("resourceGroups", "resourcegroups").replace("/aks", "/AKS2")}
    resources, gaps, _ = import_file(tmp_path, [row, strange])
    assert [resource.id for resource in resources] == [
        f"{SUBSCRIPTION}/resourceGroups/RG/providers/microsoft.containerservice/managedclusters/aks",
        strange["id"],
    ]
    assert not gaps


def test_standalone_children_are_kept(tmp_path: Path) -> None:
    subnet = {"id": f"{NETWORK}/virtualNetworks/v/subnets/s", "name": "s", "addressPrefix": "10.0.0.0/24"}
    pool = {
        "id": f"{CLUSTER}/agentPools/one",
        "name": "one",
        "typePropertiesType": "VirtualMachineScaleSets",
        "count": 2,
    }
    resources, _, _ = import_file(tmp_path, [subnet, pool])
    assert [(resource.type, resource.body["properties"]) for resource in resources] == [
        ("Microsoft.ContainerService/managedClusters/agentPools", {"type": "VirtualMachineScaleSets", "count": 2}),
        ("Microsoft.Network/virtualNetworks/subnets", {"addressPrefix": "10.0.0.0/24"}),
    ]


def test_facts_read_what_the_azure_cli_printed(tmp_path: Path) -> None:
    wire = {
        **BODY,
        "properties": {**BODY["properties"], "apiServerAccessProfile": {"authorizedIpRanges": ["10.0.0.0/8"]}},
    }
    path = tmp_path / "aks.json"
    path.write_text(json.dumps(as_the_azure_cli_prints(wire)), encoding="utf-8")
    cluster = Estate(snapshot.of(read_files([path]).records)).resource(ManagedCluster, CLUSTER)
    assert cluster.enable_rbac is True
    assert [str(prefix) for prefix in cluster.authorized_ip_ranges or ()] == ["10.0.0.0/8"]


ERRORS = {
    "nested": {"error": {"code": "AuthorizationFailed", "message": DENIED}},
    "flat": {"code": "AuthorizationFailed", "message": DENIED},
    "as the Azure CLI prints it": f"ERROR: (AuthorizationFailed) {DENIED}\nCode: AuthorizationFailed\n".encode(),
}


@pytest.mark.parametrize("content", ERRORS.values(), ids=ERRORS)
def test_a_refused_call_is_a_gap_without_the_person(tmp_path: Path, content: object) -> None:
    _, gaps, notes = import_file(tmp_path, content)
    assert [(gap.id, gap.type, gap.cause, gap.action, gap.scope) for gap in gaps] == [
        (
            f"{SUBSCRIPTION}/resourceGroups/rg",
            "Microsoft.Network/routeTables",
            "refused",
            "Microsoft.Network/routeTables/read",
            f"{SUBSCRIPTION}/resourceGroups/rg",
        )
    ]
    assert "example.com" not in gaps[0].reason + notes
    assert "e3e7ef9f" not in gaps[0].reason + notes


def test_an_error_that_names_no_scope_is_kept_beside_what_was_read(tmp_path: Path) -> None:
    error = {"error": {"code": "ResourceNotFound", "message": "The Resource 'a' of user@example.com was not found."}}
    resources, gaps, notes = import_file(tmp_path, [BODY, error])
    assert len(resources) == 1
    assert [(gap.cause, "ResourceNotFound" in gap.reason, "@" in gap.reason) for gap in gaps] == [
        ("not-read", True, False)
    ]
    assert "ResourceNotFound" in notes


FOREIGN = {
    "an ARM template": (TEMPLATE, "ARM template"),
    "kubectl": ({"apiVersion": "v1", "kind": "List", "items": []}, "Kubernetes, kind List"),
    "credentials": ({"kubeconfigs": [{"name": "a", "value": "c2VjcmV0"}]}, "credentials"),
    "a snapshot": ({"kind": "header", "schema": snapshot.SCHEMA, "tool": "t"}, "is a snapshot already"),
    "something else": ({"dependencies": {}}, "not Azure JSON"),
    "a number": (7, "not Azure JSON"),
    "a list of texts": (["a"], "not Azure JSON"),
    "a PowerShell object": ({"Id": CLUSTER, "EnableRBAC": True}, "PowerShell"),
    "an id that is no text": ({**BODY, "id": 5}, "not Azure JSON"),
    "an id that is none": ({**BODY, "id": "aks"}, "not Azure JSON"),
    "text": (b"Please run 'az login'", "line 1"),
    "HTML": (b"<html><body>503</body></html>", "line 1"),
    "nothing": (b"", "the file is empty"),
    "binary": (bytes(range(256)), "line"),
    "cut off": (TEXT.encode()[:-5], "line 1"),
    "cut off gzip": (gzip.compress(TEXT.encode())[:-9], "cannot be read to its end"),
    "too deep": (b"[" * 200 + b"]" * 200, "nested deeper than 100 levels"),
    "far too deep": (b"[" * 100_000 + b"]" * 100_000, "nested deeper than 100 levels"),
    "a lone surrogate": (TEXT.replace("westeurope", "\\ud800").encode(), "line 1"),
}


@pytest.mark.parametrize(("content", "says"), FOREIGN.values(), ids=FOREIGN)
def test_foreign_files_are_named_and_lose_nothing_else(tmp_path: Path, content: object, says: str) -> None:
    (tmp_path / "aks.json").write_text(json.dumps({**BODY, "id": CLUSTER + "-good"}), encoding="utf-8")
    foreign = tmp_path / "foreign.json"
    foreign.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    imported = read_files([tmp_path])
    assert imported.damaged
    assert [record.id for record in imported.records if isinstance(record, snapshot.Resource)] == [CLUSTER + "-good"]
    assert all(str(foreign) in note for note in imported.notes)
    assert says in "\n".join(imported.notes)
    with pytest.raises(ImportFailedError, match=r"foreign\.json"):
        read_files([foreign])


def test_a_list_that_goes_on_is_a_gap(tmp_path: Path) -> None:
    link = f"https://management.azure.com{SUBSCRIPTION}/providers/Microsoft.ContainerService/managedClusters?api-version=x&$skipToken=y"
    resources, gaps, notes = import_file(tmp_path, {"value": [BODY], "nextLink": link})
    assert len(resources) == 1
    assert [(gap.id, gap.type, gap.cause) for gap in gaps] == [
        (SUBSCRIPTION, "Microsoft.ContainerService/managedClusters", "not-read")
    ]
    assert "nextLink" in notes


@pytest.mark.parametrize("last", [[], [{**BODY, "id": CLUSTER + "2"}]], ids=["empty", "with rows"])
def test_a_list_whose_last_page_is_there_is_whole(tmp_path: Path, last: list[object]) -> None:
    link = (
        f"https://management.azure.com{SUBSCRIPTION}/providers/Microsoft.ContainerService/managedClusters?api-version=x"
    )
    (tmp_path / "1.json").write_text(json.dumps({"value": [BODY], "nextLink": link}), encoding="utf-8")
    (tmp_path / "2.json").write_text(json.dumps({"value": last}), encoding="utf-8")
    imported = read_files([tmp_path])
    assert not imported.damaged
    assert not imported.notes


@pytest.mark.parametrize("link", [None, ""])
def test_a_list_without_a_next_link_is_whole(tmp_path: Path, link: str | None) -> None:
    _, gaps, _ = import_file(tmp_path, {"value": [BODY], "nextLink": link})
    assert not gaps


@pytest.mark.parametrize(
    "answer",
    [
        {"data": [BODY], "total_records": 7, "skip_token": None},
        {"data": [BODY], "totalRecords": 7, "$skipToken": "x"},
        {"data": [BODY], "count": 1, "skip_token": "x"},
    ],
)
def test_resource_graph_rows_that_are_not_there_are_a_gap(tmp_path: Path, answer: object) -> None:
    resources, gaps, notes = import_file(tmp_path, answer)
    assert len(resources) == 1
    assert [(gap.id, gap.cause) for gap in gaps] == [("/", "not-read")]
    assert "1 of" in notes


def test_resource_graph_pages_that_are_all_there_are_whole(tmp_path: Path) -> None:
    first = {"data": [BODY], "total_records": 2, "skip_token": "x"}
    second = {"data": [{**BODY, "id": CLUSTER + "2"}], "total_records": 2, "skip_token": None}
    _, gaps, _ = import_file(tmp_path, f"{json.dumps(first)}\n{json.dumps(second)}".encode())
    assert not gaps


SECRETS = {
    **BODY,
    "systemData": {"createdBy": "SECRET@example.com", "createdByType": "User"},
    "properties": {
        "linuxProfile": {"adminUsername": "azureuser", "ssh": {"publicKeys": [{"keyData": "ssh-rsa SECRET"}]}},
        "windowsProfile": {"adminUsername": "azureuser", "adminPassword": "SECRET"},
        "servicePrincipalProfile": {"clientId": "c", "secret": "SECRET"},
        "aadProfile": {"managed": True, "serverAppSecret": "SECRET"},
        "httpProxyConfig": {"httpProxy": "http://user:SECRET@proxy:8080/", "noProxy": ["https://SECRET@host/a"]},
        "addonProfiles": {
            "azureKeyvaultSecretsProvider": {
                "config": {"enableSecretRotation": "true", "url": "https://a/?sv=1&sig=SECRET&se=2"}
            },
            "other": {"config": {"token": "SECRET", "Password": "SECRET", "jwt": "eyJhbGciOiJIUzI1NiJ9.SECRET.SECRET"}},
        },
        "pem": "-----BEGIN RSA PRIVATE KEY-----\nSECRET\n-----END RSA PRIVATE KEY-----",
        "kubeconfig": "SECRET",
    },
}


@pytest.mark.parametrize("content", [SECRETS, as_the_azure_cli_prints(SECRETS)], ids=["wire", "Azure CLI"])
def test_secrets_are_never_kept(tmp_path: Path, content: object) -> None:
    resources, _, _ = import_file(tmp_path, content)
    kept = json.dumps(resources[0].body)
    assert "SECRET" not in kept
    properties = resources[0].body["properties"]
    assert properties["httpProxyConfig"] == {"httpProxy": "http://***@proxy:8080/", "noProxy": ["https://***@host/a"]}
    secrets_provider = properties["addonProfiles"]["azureKeyvaultSecretsProvider"]["config"]
    assert secrets_provider == {"enableSecretRotation": "true", "url": "https://a/?sv=1&sig=***&se=2"}
    assert properties["linuxProfile"]["adminUsername"] == "azureuser"


def test_no_secret_key_is_one_that_facts_read() -> None:
    read = {segment.lower() for view in MODELS for field in fields(view).values() for segment in field.path.split(".")}
    assert not read & SECRET_KEYS


def test_the_order_of_files_does_not_matter(tmp_path: Path) -> None:
    contents = [
        BODY,
        {**BODY, "id": CLUSTER + "2"},
        ERRORS["flat"],
        TEMPLATE,
        {**BODY, "location": "northeurope"},
        {"a": 1},
    ]
    paths = []
    for number, content in enumerate(contents):
        paths.append(tmp_path / f"{number}.json")
        paths[-1].write_text(json.dumps(content), encoding="utf-8")
    first = read_files(paths)
    for seed in range(5):
        shuffled = random.Random(seed).sample(paths, len(paths))  # noqa: S311 - not for secrets
        again = read_files(shuffled)
        assert snapshot.encode(again.records) == snapshot.encode(first.records)
        assert again.notes == first.notes


def test_no_times_are_invented(tmp_path: Path) -> None:
    path = tmp_path / "aks.json"
    path.write_text(TEXT, encoding="utf-8")
    header = read_files([path]).records[0]
    assert isinstance(header, snapshot.Header)
    assert (header.started, header.finished, header.scope) == (None, None, (SUBSCRIPTION,))


def test_identical_bodies_collapse_and_contradictory_ones_stay(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(TEXT, encoding="utf-8")
    printed = json.dumps({**as_the_azure_cli_prints(BODY), "id": CLUSTER.replace("resourceGroups", "resourcegroups")})
    (tmp_path / "b.json").write_text(printed, encoding="utf-8")
    same = read_files([tmp_path])
    assert same.summary == "1 resource, 0 gaps"
    assert not same.damaged
    (tmp_path / "c.json").write_text(json.dumps({**BODY, "location": "northeurope"}), encoding="utf-8")
    different = read_files([tmp_path])
    assert different.summary == "2 resources, 0 gaps"
    assert different.damaged
    assert f"{tmp_path / 'a.json'} and {tmp_path / 'b.json'} and 1 more: different bodies of" in different.notes[0]
    estate = Estate(snapshot.of(different.records))
    assert [missing.kind for missing in estate.gaps(ManagedCluster)] == ["contradictory"]


def test_the_command_reads_folders_and_writes_the_same_bytes_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in" / "deeper"
    folder.mkdir(parents=True)
    (folder / "aks.json").write_text(TEXT, encoding="utf-8")
    (folder / "two.jsonl.gz").write_bytes(gzip.compress(json.dumps({**BODY, "id": CLUSTER + "2"}).encode()))
    (folder / "README.md").write_text("no JSON", encoding="utf-8")
    assert command("snapshot", "import", tmp_path / "in", "-o", tmp_path / "1.jsonl.gz") == 0
    assert command("snapshot", "import", folder, "-o", tmp_path / "2.jsonl.gz") == 0
    assert (tmp_path / "1.jsonl.gz").read_bytes() == (tmp_path / "2.jsonl.gz").read_bytes()
    assert "2 resources, 0 gaps" in capsys.readouterr().err
    assert len(snapshot.read([tmp_path / "1.jsonl.gz"]).entries) == 2


def test_the_command_says_what_it_could_not_import(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "aks.json").write_text(TEXT, encoding="utf-8")
    (tmp_path / "pods.json").write_text('{"apiVersion": "v1", "kind": "Pod\\u001b[31m"}', encoding="utf-8")
    assert command("snapshot", "import", tmp_path, "-o", tmp_path / "out.jsonl") == 3
    said = capsys.readouterr().err
    assert "pods.json: not Azure JSON: Kubernetes" in said
    assert "\x1b" not in said


@pytest.mark.parametrize("argument", ["missing.json", "empty"])
def test_the_command_refuses_what_is_not_there(
    tmp_path: Path, argument: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert command("snapshot", "import", tmp_path / argument, "-o", tmp_path / "out.jsonl") == 2
    assert argument in capsys.readouterr().err
    assert not (tmp_path / "out.jsonl").exists()


def test_the_command_writes_nothing_where_nothing_was_imported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "template.json").write_text(json.dumps(TEMPLATE), encoding="utf-8")
    assert command("snapshot", "import", tmp_path / "template.json", "-o", tmp_path / "out.jsonl") == 2
    said = capsys.readouterr().err
    assert "ARM template" in said
    assert "az aks show" in said
    assert not (tmp_path / "out.jsonl").exists()


def test_a_snapshot_is_told_from_azure_json_line_by_line(tmp_path: Path) -> None:
    estate = tmp_path / "estate.jsonl"
    snapshot.write(estate, [*snapshot.read([BASE]).listings, *read_files_of(tmp_path, BODY)])
    with pytest.raises(ImportFailedError, match="is a snapshot already") as refused:
        read_files([estate])
    assert "not Azure JSON" not in str(refused.value)


def read_files_of(folder: Path, content: object) -> list[snapshot.Record]:
    """The records of a file with this content."""
    (folder / "one.json").write_text(json.dumps(content), encoding="utf-8")
    return list(read_files([folder / "one.json"]).records)
