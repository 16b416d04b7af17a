"""Tells in words what would be read inside clusters, by which way and for how many calls; nothing is read for it."""

from collections.abc import Iterator, Mapping
from typing import assert_never

from aks_audit.progress import one_line
from aks_audit.sources.azure.pipeline import RUN_COMMAND, USER_CREDENTIAL
from aks_audit.sources.kubernetes import kubeconfig, kubelets, run_command
from aks_audit.sources.kubernetes.plan import CORE, GROUPS, PAGE, VERSION, kinds, named
from aks_audit.sources.kubernetes.ways import Asked


def describe(asked: Asked, environment: Mapping[str, str]) -> str:
    """The plan of what is inside clusters, in words."""
    if asked.way == "none":
        return "inside clusters nothing is read (--in-cluster none)\n"
    told = [f"inside each cluster (--in-cluster {asked.way}):", *_way(asked, environment), *_reads(asked)]
    return "\n".join(told) + "\n"


def _way(asked: Asked, environment: Mapping[str, str]) -> Iterator[str]:
    match asked.way:
        case "auto":
            yield "  by the service account of the pod that this runs in, into the pod's own cluster; into any other"
            yield from _by_kubeconfig(asked, environment)
            yield "  but never as an administrator; a cluster that none of this leads to is not read"
        case "kubeconfig":
            yield from _by_kubeconfig(asked, environment)
        case "service-account":
            yield "  by the service account of the pod that this runs in, into the pod's own cluster alone"
        case "aad":
            yield "  by Microsoft Entra ID; where a cluster has none, by an administrator's credential"
            yield f"  1 call: POST {USER_CREDENTIAL.lstrip('/')}"
        case "run-command":
            number = run_command.commands(len(kinds()) + len(named()))
            yield "  by kubectl in pods that Azure makes in the cluster, which is a write"
            yield f"  about {number} commands, {run_command.AT_ONCE} at a time, and more where lists are long; for each"
            yield f"    1 call: POST {RUN_COMMAND.lstrip('/')}, and some more, GET, until it has ended"
        case "none":
            return
        case _:
            assert_never(asked.way)


def _by_kubeconfig(asked: Asked, environment: Mapping[str, str]) -> Iterator[str]:
    files = " or ".join(one_line(str(file)) for file in kubeconfig.files(asked.kubeconfig, environment))
    context = f"context {one_line(asked.context)}" if asked.context else "a context"
    programs = "run" if asked.allow_exec else "not run without --allow-exec"
    yield f"  by {context} of {files} that leads to the cluster; programs that it names are {programs}"


def _reads(asked: Asked) -> Iterator[str]:
    how, page = ("by these commands", run_command.PAGE) if asked.way == "run-command" else ("all of them GET", PAGE)
    listed, by_name = kinds(), named()
    stable = [kind for kind in listed if kind.stable]
    discovery = (VERSION, CORE, GROUPS)
    yield f"  at least {len(discovery) + len(stable) + len(by_name)} calls, {how}:"
    yield f"    {len(discovery)} calls: {', '.join(discovery)}"
    yield f"    {len(listed)} kinds, 1 call each that is served and 1 for each further {page} objects, never Secrets:"
    yield from (f"      {kind.type}" for kind in listed)
    yield from (f"    1 call: {one.path}" for one in by_name)
    asked_for = "asked for" if kubelets.NAME in asked.reads else f"not asked for; --read {kubelets.NAME}"
    yield f"    {kubelets.PRICE}: {kubelets.PATH.format('NODE')} ({asked_for})"
