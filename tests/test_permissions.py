"""`aks-audit permissions`: the least that a scan needs, only reads, and ready to apply."""

import json
from itertools import chain

import msgspec.yaml
import pytest

from aks_audit import permissions
from aks_audit.cli import main
from aks_audit.commands.permissions import PERMISSIONS_EXAMPLES
from aks_audit.facts import (
    AzureResource,
    application_gateway,
    cluster,
    firewall,
    name_resolution,
    networking,
    virtual_wan,
)
from aks_audit.permissions import SUBJECT, Document
from aks_audit.sources.azure import plan

LISTED = permissions.load()
SCOPE = "/subscriptions/11111111-1111-1111-1111-111111111111"


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["permissions", *arguments]) == 0
    return capsys.readouterr().out


def stream(text: str) -> list[Document]:
    return [msgspec.yaml.decode(part, type=Document) for part in text.split("---\n")]


def role(capsys: pytest.CaptureFixture[str], plane: str, *arguments: str) -> Document:
    return msgspec.json.decode(printed(capsys, "--plane", plane, *arguments), type=Document)


def manifests(capsys: pytest.CaptureFixture[str]) -> dict[str, Document]:
    return {document["kind"]: document for document in stream(printed(capsys, "--plane", "kubernetes"))}


def test_the_azure_role_is_as_az_takes_it(capsys: pytest.CaptureFixture[str]) -> None:
    made = role(capsys, "arm", "--scope", SCOPE, "--scope", f"{SCOPE}/resourceGroups/hub/")
    assert made["Name"] == "aks-audit reader"
    assert made["IsCustom"] is True
    assert "Microsoft.ContainerService/managedClusters/read" in made["Actions"]
    assert made["DataActions"] == made["NotActions"] == made["NotDataActions"] == []
    assert made["AssignableScopes"] == [SCOPE, f"{SCOPE}/resourceGroups/hub"]


def test_the_data_plane_role_holds_data_actions_alone(capsys: pytest.CaptureFixture[str]) -> None:
    made = role(capsys, "aks-data")
    prefix = "Microsoft.ContainerService/managedClusters/"
    assert made["Actions"] == []
    assert {f"{prefix}{rest}" for rest in ("pods/read", "apps/daemonsets/read", "customresources/read")} <= set(
        made["DataActions"]
    )
    assert all(action.startswith(prefix) for action in made["DataActions"])
    assert made["AssignableScopes"] == ["/subscriptions/SUBSCRIPTION-ID"]


@pytest.mark.parametrize("arguments", [["arm"], ["arm", "--optional"], ["aks-data"]])
def test_every_action_is_one_read_sorted_and_once(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    made = role(capsys, *arguments)
    actions = made["Actions"] + made["DataActions"]
    assert actions == sorted(set(actions), key=str.lower)
    for action in actions:
        assert action.endswith("/read")
        assert "*" not in action
        assert "secret" not in action.lower()
        # A federated identity credential holds no secret: it says whose tokens an identity trusts.
        assert "credential" not in action.lower().replace("federatedidentitycredentials", "")


def test_kubernetes_is_only_read_and_never_its_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    made = manifests(capsys)
    for rule in chain(made["ClusterRole"]["rules"], made["Role"]["rules"]):
        assert set(rule["verbs"]) <= {"get", "list"}
        assert rule["resources"] == sorted(set(rule["resources"]))
        assert "secrets" not in rule["resources"]
        assert "*" not in "".join(rule["apiGroups"] + rule["resources"])
        assert "/" not in "".join(rule["resources"]), "a subresource, such as pods/exec"


def test_config_maps_are_read_by_name_in_kube_system_alone(capsys: pytest.CaptureFixture[str]) -> None:
    made = manifests(capsys)
    assert not [rule for rule in made["ClusterRole"]["rules"] if "configmaps" in rule["resources"]]
    (rule,) = made["Role"]["rules"]
    assert (
        made["Role"]["metadata"] == made["RoleBinding"]["metadata"] == {"name": "aks-audit", "namespace": "kube-system"}
    )
    assert rule["resources"] == ["configmaps"]
    assert rule["verbs"] == ["get"]
    assert "azure-ip-masq-agent-config" in rule["resourceNames"]


@pytest.mark.parametrize("kind", ["ClusterRole", "Role"])
def test_a_binding_leads_to_its_role_and_leaves_the_subject_to_the_reader(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = manifests(capsys)
    binding = made[f"{kind}Binding"]
    assert binding["roleRef"] == {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": kind,
        "name": made[kind]["metadata"]["name"],
    }
    assert [subject["name"] for subject in binding["subjects"]] == [SUBJECT]
    assert SUBJECT in PERMISSIONS_EXAMPLES


def test_every_type_that_facts_read_has_its_permission() -> None:
    kinds = [
        kind
        for module in (application_gateway, cluster, firewall, name_resolution, networking, virtual_wan)
        for kind in vars(module).values()
        if isinstance(kind, type)
    ]
    types = {kind.TYPE for kind in kinds if issubclass(kind, AzureResource) and "TYPE" in vars(kind)}
    types = {kind for kind in types if not kind.startswith("aks-audit/")}  # its own notes, which nobody reads in Azure
    assert len(types) > 10
    assert types <= {kind for read in LISTED.arm for kind in read.reads}


def test_every_call_of_the_plan_has_its_permission_and_optional_is_what_is_optional_there() -> None:
    optional = {read.type for read in plan.optional(plan.OPTIONAL)}
    made = {*plan.LISTED, *plan.IF_RESOLVER, *plan.IF_VIRTUAL_HUB, *(read.type for read in plan.PART_READS)}
    of_graph = {kind for read in LISTED.graph for kind in read.reads}
    assert made | optional <= {kind for read in LISTED.arm for kind in read.reads} | of_graph
    assert of_graph == {plan.APPLICATIONS, plan.ACCESS_POLICIES}
    assert tuple(read.read for read in LISTED.graph) == plan.OF_DIRECTORY
    assert {read.action for read in LISTED.arm if read.optional and made & set(read.reads)} == set()
    assert {read.action for read in LISTED.arm if not read.optional and optional & set(read.reads)} == set()


def test_the_role_permits_nothing_that_the_plan_does_not_ask_for(capsys: pytest.CaptureFixture[str]) -> None:
    lists = {*plan.LISTED, *plan.FOLLOWED, *plan.IF_RESOLVER, *plan.IF_VIRTUAL_HUB}
    made = {*lists, *(read.type for read in plan.PART_READS)}
    asked = {kind.lower() for kind in made}
    needed = {read.action for read in LISTED.arm if read.published and asked & {kind.lower() for kind in read.reads}}
    assert set(role(capsys, "arm")["Actions"]) == needed | {"Microsoft.Resources/subscriptions/read"}


def test_optional_reads_are_permitted_only_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    more = set(role(capsys, "arm", "--optional")["Actions"]) - set(role(capsys, "arm")["Actions"])
    assert more == {read.action for read in LISTED.arm if read.optional and read.published}


def test_an_action_that_azure_does_not_publish_is_named_and_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["permissions", "--plane", "arm", "--optional"]) == 0
    captured = capsys.readouterr()
    assert "deploymentSafeguards" not in captured.out
    assert "needs Reader: Microsoft.ContainerService/deploymentSafeguards/read\n" in captured.err
    assert main(["permissions", "--plane", "arm"]) == 0
    captured = capsys.readouterr()
    assert "routingIntent" not in captured.out
    assert "needs Reader: Microsoft.Network/virtualHubs/routingIntent/read\n" in captured.err
    assert "deploymentSafeguards" not in captured.err


def test_all_planes_are_one_yaml_stream_of_what_each_tool_takes(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys)
    reader, cluster_reader, *rest = text.split("---\n")
    assert json.loads(reader) == role(capsys, "arm")
    assert json.loads(cluster_reader) == role(capsys, "aks-data")
    assert [document["kind"] for document in stream("---\n".join(rest))] == [
        "ClusterRole",
        "ClusterRoleBinding",
        "Role",
        "RoleBinding",
    ]


def test_json_and_yaml_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    as_json = json.loads(printed(capsys, "--format", "json"))
    reader, cluster_reader, *items = stream(printed(capsys, "--format", "yaml"))
    assert as_json == {
        "arm": reader,
        "aks-data": cluster_reader,
        "kubernetes": {"apiVersion": "v1", "kind": "List", "items": items},
    }


def test_the_same_request_gives_the_same_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys) == printed(capsys)


def test_what_is_no_scope_is_refused_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["permissions", "--scope", "production"])
    assert left.value.code == 2
    assert "'production' is no scope; give an id such as /subscriptions/ID" in capsys.readouterr().err


def test_help_teaches_how_to_apply(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["permissions", "--help"])
    text = capsys.readouterr().out
    for command in ("az role definition create --role-definition @", "az role assignment create", "kubectl apply -f"):
        assert command in text


def test_the_list_is_sorted_and_dated() -> None:
    actions = [read.action for read in LISTED.arm]
    assert actions == sorted(set(actions), key=str.lower)
    assert [read.group for read in LISTED.kubernetes] == sorted(read.group for read in LISTED.kubernetes)
    assert LISTED.as_of.year >= 2026
    assert LISTED.sources
