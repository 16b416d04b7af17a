"""Which run of Azure Pipelines a command is part of, by the variables that the agent sets.

Azure DevOps knows the alerts of a pipeline by them. They are
https://learn.microsoft.com/azure/devops/pipelines/build/variables; which of them it reads is told by Microsoft's
validator of SARIF (rules GHAzDO1019 and GHAzDO1020, and its `AdoPipelineContext`).
"""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit
from uuid import UUID

from aks_audit.report import PipelineRun


def current(variables: Mapping[str, str]) -> PipelineRun | None:
    """The run whose variables these are; None outside of a pipeline, and where one is absent or not as documented.

    All of it or nothing: Azure DevOps refuses a file that names half of a pipeline.
    """
    if variables.get("TF_BUILD", "").strip().lower() not in {"true", "1"}:
        return None
    run = PipelineRun(
        organization=_organization(variables.get("SYSTEM_COLLECTIONURI", "")),
        project=_guid(variables.get("SYSTEM_TEAMPROJECTID", "")),
        definition=_number(variables.get("BUILD_DEFINITIONID") or variables.get("SYSTEM_DEFINITIONID", "")),
        definition_name=variables.get("BUILD_DEFINITIONNAME", "").strip(),
        phase=_guid(variables.get("SYSTEM_PHASEID") or variables.get("SYSTEM_JOBID", "")),
        phase_name=(variables.get("SYSTEM_PHASENAME") or variables.get("SYSTEM_JOBNAME", "")).strip(),
        branch=variables.get("BUILD_SOURCEBRANCH", "").strip(),
        build=_number(variables.get("BUILD_BUILDID", "")),
    )
    parts = (run.organization, run.project, run.definition, run.definition_name, run.phase, run.phase_name, run.branch)
    return run if all((*parts, run.build)) else None


def _organization(collection: str) -> str:
    """The organization of `https://dev.azure.com/NAME/`, or of `https://NAME.visualstudio.com/` as it was before."""
    try:
        host, path = urlsplit(collection.strip())[1:3]
    except ValueError:
        return ""
    if host.lower() == "dev.azure.com":
        return path.strip("/").partition("/")[0]
    name, _, domain = host.partition(".")
    return name if domain.lower() == "visualstudio.com" else ""


def _guid(text: str) -> str:
    try:
        found = UUID(text.strip())
    except ValueError:
        return ""
    return str(found) if found.int else ""


def _number(text: str) -> str:
    return text.strip() if re.fullmatch(r"0*[1-9][0-9]*", text.strip(), re.ASCII) else ""
