"""The Helm chart: Helm renders it, Kubernetes' schemas take what it makes, and our own parser what it runs."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped] # has none
import pytest
import yaml

from aks_audit import __version__, config, permissions
from aks_audit.cli import parser
from aks_audit.commands import EXIT_CODES, FINDINGS, INCOMPLETE
from aks_audit.commands.options import OPTIONAL_READS
from aks_audit.progress import Progress
from aks_audit.snapshot import Body
from aks_audit.store.runs import run_name
from chart_pages import values as described
from charts import CHART, MINUTE, ask, container, jobs, made, of_kind, refused, render, variables, variants
from compose.azure import guid

KUBERNETES = "1.37"
NOT_ITS_OWN = {"CiliumNetworkPolicy"}
"""Kinds that Kubernetes has no schema of."""

MINIMAL = variants()["default"]


def paths(tree: Any, above: str = "") -> Iterator[str]:  # noqa: ANN401 - any YAML value
    for name, value in tree.items():
        path = f"{above}{name}"
        yield path
        if isinstance(value, dict):
            yield from paths(value, f"{path}.")


def test_helm_finds_nothing_wrong_with_the_chart() -> None:
    for found in ask([], variants().values())["lint"]:
        assert not found["errors"]
        assert {message["error"] for message in found["messages"]} <= {"icon is recommended"}


@pytest.mark.parametrize("name", variants())
def test_what_the_chart_makes_is_what_kubernetes_takes(name: str) -> None:
    documents = [one for one in made()[name] if one["kind"] not in NOT_ITS_OWN]
    assert len(documents) > 1
    for one in documents:
        kubernetes_validate.validate(one, KUBERNETES, strict=True)
        assert "namespace" in one["metadata"] or one["kind"].startswith("Cluster")


def test_a_name_that_kubernetes_does_not_know_is_noticed() -> None:
    (cron,) = of_kind(made()["default"], "CronJob")
    strange = {**cron, "spec": {**cron["spec"], "schedul": "@daily"}}
    with pytest.raises(kubernetes_validate.ValidationError, match="schedul"):
        kubernetes_validate.validate(strange, KUBERNETES, strict=True)


def test_the_namespace_for_it_is_what_kubernetes_takes() -> None:
    for one in yaml.safe_load_all((CHART.parent / "namespace.yaml").read_text(encoding="utf-8")):
        kubernetes_validate.validate(one, KUBERNETES, strict=True)


@pytest.mark.parametrize("name", variants())
def test_our_own_parser_takes_what_the_pods_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for component, job in jobs(made()[name]).items():
        for index in range(job.get("completions", 1)):
            with monkeypatch.context() as patched:
                for variable, value in variables(job, index).items():
                    patched.setenv(variable, value)
                arguments = parser().parse_args(container(job)["args"])
                assert Progress().scan_id == guid("pod", str(index))  # the log's name of the scan is the pod's
            assert container(job)["args"][0] == component
            assert set(getattr(arguments, "read", [])) <= set(OPTIONAL_READS)
            if component == "scan":
                of = job.get("completions", 1)
                assert arguments.run_name == run_name(datetime.fromtimestamp(MINUTE * 60, UTC)) == "20261122T020000Z"
                assert str(arguments.shard) == (f"{index + 1}/{of}" if of > 1 else "None")


def test_a_fleet_is_an_indexed_job_of_shards_and_a_merge_that_has_the_whole() -> None:
    found = jobs(made()["fleet"])
    scan, merge = found["scan"], found["merge"]
    assert (scan["completionMode"], scan["completions"], scan["parallelism"]) == ("Indexed", 8, 8)
    assert "completionMode" not in merge
    assert "--format=json" in container(scan)["args"]  # who reads a share of the fleet has nothing for people
    assert "--format=json,html,sarif" in container(merge)["args"]
    whole = ("--keep", "--webhook", "--pushgateway", "--log-analytics")
    assert not [one for one in container(scan)["args"] if one.startswith(whole)]
    assert len([one for one in container(merge)["args"] if one.startswith(whole)]) == len(whole)
    assert [one["name"] for one in scan["template"]["spec"]["volumes"]] == ["tmp", "config"]
    assert [one["name"] for one in merge["template"]["spec"]["volumes"]] == ["tmp", "config", "secrets"]


def test_one_pod_needs_no_merge_and_has_the_whole() -> None:
    found = jobs(made()["internet"])
    assert list(found) == ["scan"]
    assert {"--keep=90", "--webhook=slack", "--format=json,html,sarif"} <= set(container(found["scan"])["args"])


def test_no_more_shards_run_at_once_than_there_are() -> None:
    (objects,) = render({**MINIMAL, "fleet": {"shards": 3}})
    assert jobs(objects)["scan"]["parallelism"] == 3


@pytest.mark.parametrize("name", variants())
def test_a_finding_fails_no_job_and_what_could_not_be_read_is_not_tried_again(name: str) -> None:
    for job in jobs(made()[name]).values():
        assert "--fail-on=none" in container(job)["args"]  # so that 1 is no exit code of it
        ignored, ended = job["podFailurePolicy"]["rules"]
        assert (ignored["action"], ignored["onPodConditions"]) == ("Ignore", [{"type": "DisruptionTarget"}])
        assert ended["action"] == ("FailIndex" if "completions" in job else "FailJob")
        assert ended["onExitCodes"]["values"] == [INCOMPLETE]
        assert ended["onExitCodes"]["containerName"] == container(job)["name"]
        assert (FINDINGS, INCOMPLETE) == (1, 3), EXIT_CODES
        assert job["template"]["spec"]["restartPolicy"] == "Never"  # a failure policy needs it


@pytest.mark.parametrize("name", variants())
def test_runs_do_not_overlap_and_have_an_end(name: str) -> None:
    for cron in of_kind(made()[name], "CronJob"):
        assert cron["spec"]["concurrencyPolicy"] == "Forbid"
        assert cron["spec"]["timeZone"] == "Etc/UTC"
        assert cron["spec"]["startingDeadlineSeconds"] == 3600
        assert len(cron["metadata"]["name"]) <= 52
        job = cron["spec"]["jobTemplate"]["spec"]
        timeouts = [one for one in container(job)["args"] if one.startswith("--timeout=")]
        for timeout in timeouts:
            assert int(timeout.partition("=")[2]) < job["activeDeadlineSeconds"]
        assert 60 <= job["activeDeadlineSeconds"] <= 86400  # what hangs is ended by this, and by no probe
        assert "livenessProbe" not in container(job)


def test_a_long_name_leaves_room_for_what_kubernetes_puts_after_it() -> None:
    (objects,) = render({**MINIMAL, "fleet": {"shards": 2}, "nameOverride": "a" * 46})
    names = [cron["metadata"]["name"] for cron in of_kind(objects, "CronJob")]
    assert max(map(len, names)) <= 52
    assert len(set(names)) == 2


@pytest.mark.parametrize("name", variants())
def test_pods_sign_in_by_workload_identity_without_a_token_for_the_api_server(name: str) -> None:
    objects = made()[name]
    values = variants()[name]
    inside = values.get("scan", {}).get("inCluster") == "service-account"
    federated = values.get("scan", {}).get("auth") != "managed"
    for component, job in jobs(objects).items():
        labels = job["template"]["metadata"]["labels"]
        assert labels.get("azure.workload.identity/use") == ("true" if federated else None)
        assert job["template"]["spec"]["automountServiceAccountToken"] is (inside and component == "scan")
    for account in of_kind(objects, "ServiceAccount"):
        assert account["metadata"]["annotations"]["azure.workload.identity/client-id"]
        assert account["automountServiceAccountToken"] is False


@pytest.mark.parametrize("flavor", ["kubernetes", "cilium"])
def test_who_signs_in_as_its_node_is_let_out_to_where_that_tells_tokens(flavor: str) -> None:
    policy = {**MINIMAL["networkPolicy"], "flavor": flavor}
    found = render(*({**MINIMAL, "networkPolicy": policy, "scan": {"auth": auth}} for auth in ("managed", "workload")))
    told = [json.dumps(one, separators=(",", ":")) for one in found]
    assert [text.count("169.254.169.254/32") for text in told] == [1, 0]
    named = {"name": "AZURE_CLIENT_ID", "value": MINIMAL["serviceAccount"]["clientId"]}
    assert [[named in container(job)["env"] for job in jobs(one).values()] for one in found] == [[True], [False]]


def test_who_reads_inside_its_cluster_is_permitted_what_the_command_prints() -> None:
    printed = {item["kind"]: item for item in permissions.manifests(permissions.load())["items"]}
    for name in ("inside", "cilium"):
        objects = made()[name]
        for kind in ("ClusterRole", "Role"):
            (role,) = of_kind(objects, kind)
            (binding,) = of_kind(objects, f"{kind}Binding")
            assert role["rules"] == printed[kind]["rules"]
            assert binding["roleRef"]["name"] == role["metadata"]["name"]
            (subject,) = binding["subjects"]
            (scan,) = jobs(objects).values()
            assert subject["name"] == scan["template"]["spec"]["serviceAccountName"]
        assert of_kind(objects, "Role")[0]["metadata"]["namespace"] == printed["Role"]["metadata"]["namespace"]
    assert not of_kind(made()["fleet"], "ClusterRole")


def test_the_configuration_is_one_that_aks_audit_takes(tmp_path: Any) -> None:  # noqa: ANN401 - pytest's own path
    (kept,) = of_kind(made()["fleet"], "ConfigMap")
    file = tmp_path / "aks-audit.toml"
    file.write_text(kept["data"]["aks-audit.toml"], encoding="utf-8")
    assert len(config.read(file).exceptions) == 1


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"image": {}}, "image.repository: push the image"),
        ({"store": {}}, "store.url: name the blob container"),
        ({"store": {**MINIMAL["store"], "volume": {"existingClaim": "runs"}}}, "runs are kept in one place"),
        ({"networkPolicy": {}}, "networkPolicy.cidrs: name the ranges"),
        (
            {"store": {"volume": {"create": True, "accessModes": ["ReadWriteOnce"]}}, "fleet": {"shards": 2}},
            "shards run on several nodes",
        ),
        ({"shards": 8}, "additional properties 'shards' not allowed"),
        ({"fleet": {"shards": 0}}, "/fleet/shards"),
        ({"schedule": "nightly"}, "/schedule"),
        ({"scan": {"inCluster": "kubeconfig"}}, "/scan/inCluster"),
        ({"scan": {"scope": "../other"}}, "/scan/scope"),
        ({"runAs": 0}, "/runAs"),
        ({"notify": {"webhook": "https://hooks.example.com/secret"}}, "/notify/webhook"),
        ({"resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": None}}}, "/resources/limits"),
        ({"env": {"PORT": 443}}, "/env/PORT"),
        ({"notify": {"webhook": "teams"}}, "notify.existingSecret: name the Secret"),
        ({"notify": {"pushgateway": "https://p", "pushgatewayPassword": True}}, "notify.existingSecret: name the"),
        ({"notify": {"logAnalytics": {"url": "https://x"}}}, "notify.logAnalytics.dcrId: name the"),
        ({"fleet": {"shards": 2}, "notify": {"webhook": "teams"}}, "notify.existingSecret: name the Secret"),
    ],
)
def test_values_that_cannot_be_are_refused_by_their_names(changed: Body, says: str) -> None:
    assert says in refused({**MINIMAL, **changed})


def test_further_labels_of_pods_take_away_none_of_ours() -> None:
    ours = {"app.kubernetes.io/name": "other", "app.kubernetes.io/component": "other"}
    plain, labelled = render(MINIMAL, {**MINIMAL, "podLabels": {**ours, "team": "security"}})
    (before,), (after,) = (jobs(one).values() for one in (plain, labelled))
    labels = before["template"]["metadata"]["labels"]
    assert after["template"]["metadata"]["labels"] == {**labels, "team": "security"}


def test_text_of_values_stays_text() -> None:
    strange = '": {}\n#\t $(HOME) {{ .Values }}'
    (objects,) = render({**MINIMAL, "scan": {"tags": {"a": strange}}, "env": {"A": strange}, "config": f"# {strange}"})
    (job,) = jobs(objects).values()
    assert f"--tag=a={strange}" in container(job)["args"]
    assert {"name": "A", "value": strange} in container(job)["env"]
    assert strange.split("\n")[1] in of_kind(objects, "ConfigMap")[0]["data"]["aks-audit.toml"]


def test_every_value_is_described_and_in_the_schema() -> None:
    defaults = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    told = {value.path for value in described()}
    untold = {path for path in paths(defaults) if not any(path == one or path.startswith(f"{one}.") for one in told)}
    groups = {
        "image",
        "fleet",
        "fleet.merge",
        "scan",
        "store",
        "store.volume",
        "serviceAccount",
        "rbac",
        "networkPolicy",
    }
    assert untold == groups | {"notify", "notify.logAnalytics"}
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    for path in told:
        there = schema
        for name in path.split("."):
            assert there["additionalProperties"] is False, path
            there = there["properties"][name]


def test_the_chart_is_of_the_version_it_runs() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["appVersion"] == __version__
