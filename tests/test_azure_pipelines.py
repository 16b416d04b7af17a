"""Which run of Azure Pipelines made a report: all that the agent tells, or nothing."""

import json
from pathlib import Path

import pytest

from aks_audit.cli import main
from aks_audit.commands import azure_pipelines
from aks_audit.report import PipelineRun

VARIABLES = {
    "TF_BUILD": "True",
    "SYSTEM_COLLECTIONURI": "https://dev.azure.com/contoso/",
    "SYSTEM_TEAMPROJECTID": "11111111-1111-1111-1111-111111111111",
    "BUILD_DEFINITIONID": "1234",
    "BUILD_DEFINITIONNAME": "Nightly audit",
    "BUILD_BUILDID": "98765",
    "SYSTEM_PHASEID": "22222222-2222-2222-2222-22222222222A",
    "SYSTEM_PHASENAME": "Audit",
    "BUILD_SOURCEBRANCH": "refs/heads/main",
}
RUN = PipelineRun(
    organization="contoso",
    project="11111111-1111-1111-1111-111111111111",
    definition="1234",
    definition_name="Nightly audit",
    phase="22222222-2222-2222-2222-22222222222a",
    phase_name="Audit",
    branch="refs/heads/main",
    build="98765",
)


def test_a_run_is_what_the_agent_says() -> None:
    assert azure_pipelines.current(VARIABLES) == RUN
    older = VARIABLES | {"SYSTEM_COLLECTIONURI": "https://contoso.visualstudio.com/"}
    assert azure_pipelines.current(older) == RUN
    job = {name.replace("SYSTEM_PHASE", "SYSTEM_JOB"): value for name, value in VARIABLES.items()}
    assert azure_pipelines.current(job) == RUN


@pytest.mark.parametrize("name", VARIABLES)
def test_half_a_pipeline_is_none(name: str) -> None:
    assert azure_pipelines.current({key: value for key, value in VARIABLES.items() if key != name}) is None
    assert azure_pipelines.current(VARIABLES | {name: " "}) is None


@pytest.mark.parametrize(
    "odd",
    [
        {"TF_BUILD": "False"},
        {"SYSTEM_COLLECTIONURI": "https://tfs.contoso.example/DefaultCollection/"},
        {"SYSTEM_COLLECTIONURI": "https://[contoso/"},
        {"SYSTEM_TEAMPROJECTID": "shop"},
        {"SYSTEM_TEAMPROJECTID": "00000000-0000-0000-0000-000000000000"},
        {"BUILD_DEFINITIONID": "0"},
        {"BUILD_BUILDID": "\u0661"},
    ],
)
def test_what_is_not_as_documented_is_none(odd: dict[str, str]) -> None:
    assert azure_pipelines.current(VARIABLES | odd) is None


def test_a_report_says_which_run_made_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert _pipeline(tmp_path) is None
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    assert _pipeline(tmp_path) == {
        "organization": "contoso",
        "project": "11111111-1111-1111-1111-111111111111",
        "definition": "1234",
        "definitionName": "Nightly audit",
        "phase": "22222222-2222-2222-2222-22222222222a",
        "phaseName": "Audit",
        "branch": "refs/heads/main",
        "build": "98765",
    }


def _pipeline(folder: Path) -> object:
    main(["scan", "--demo", "--output", str(folder / "out"), "--quiet"])
    return json.loads((folder / "out" / "aks-audit.json").read_bytes())["pipeline"]
