"""The category of a scan's uploads: a service closes what a later upload of the same category does not repeat.

So a category is made of exactly what was asked: the scope, what of it was asked for alone, and the checklists. A scan
of one cluster then never closes what a scan of its subscription found, nor the other way round.
"""

import hashlib
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from urllib.parse import quote

from aks_audit.report import PipelineRun, Report, Scan
from aks_audit.results import Finding
from aks_audit_reports.sarif.log import AutomationDetails, PipelineProperties

LONGEST_CATEGORY = 200


def category(scan: Scan) -> AutomationDetails | None:
    """The category of a scan; None where nothing says what its scope is, and who uploads must say it.

    It is readable where one scope was scanned, and has a hash of all where there are several. It ends with a slash: a
    run's own name would follow.
    """
    scopes = _scopes(scan)
    if not scopes:
        return None
    asked = (*scan.narrowed, *(f"checklist={name.lower()}" for name in sorted(scan.checklists)))
    name = "/".join([quote(scopes[0]), *(quote(part, safe="=*") for part in asked)])
    if len(scopes) > 1 or len(name) > LONGEST_CATEGORY:
        name = "scopes-" + hashlib.sha256("\n".join([*scopes, *asked]).encode()).hexdigest()[:16]
    return AutomationDetails(id=f"aks-audit/{name}/")


def of_pipeline(run: PipelineRun) -> AutomationDetails:
    """The category that Azure DevOps gives a pipeline's alerts. It has no place for a scope."""
    parts = (run.organization, run.project, run.definition, run.phase, run.branch, run.build)
    return AutomationDetails(
        id="/".join(["azuredevops/pipeline/build", *parts]),
        properties=PipelineProperties(
            definition_id=run.definition,
            definition_name=run.definition_name,
            phase_id=run.phase,
            phase_name=run.phase_name,
        ),
    )


def could_hold(report: Report) -> Callable[[Finding], bool]:
    """Whether a failure of the baseline could stand in this scan's category: whether it was asked for by what is known.

    One that could not was asked for by another scan, and is of that one's category; here it would never be seen again.
    """
    scopes = tuple(f"/{scope}/" for scope in _scopes(report.scan))
    anywhere = not scopes or not all(scope.startswith("/subscriptions/") for scope in scopes)
    wished = _wished(report)
    limited = {item.rule for checklist in report.score.checklists for item in checklist.items}

    def held(failure: Finding) -> bool:
        if report.scan.checklists and failure.rule not in limited:
            return False
        clusters = [cluster.lower() for cluster in failure.clusters]
        return not clusters or any(
            (anywhere or f"{cluster}/".startswith(scopes)) and wished(cluster) for cluster in clusters
        )

    return held


def _wished(report: Report) -> Callable[[str], bool]:
    """Whether a cluster (an id in lower case) is what a scan was narrowed to. Tags are not known here: any may be it.

    Where the scan holds a cluster that is not, it was put together from several, and any may be it.
    """
    told = [part.partition("=") for part in report.scan.narrowed]
    groups = [value.lower() for key, _, value in told if key == "resource-group"]
    globs = [value.lower() for key, _, value in told if key == "cluster"]

    def wished(cluster: str) -> bool:
        group, name = cluster.split("/")[4:5], cluster.rpartition("/")[2]
        return (not groups or any(one in groups for one in group)) and (
            not globs or any(fnmatchcase(one, glob) for glob in globs for one in (cluster, name))
        )

    return wished if all(wished(cluster.id.lower()) for cluster in report.clusters) else lambda _cluster: True


def _scopes(scan: Scan) -> Sequence[str]:
    return sorted({scope.lower().strip("/") for scope in scan.scope})
