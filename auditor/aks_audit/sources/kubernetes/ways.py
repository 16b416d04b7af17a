"""Finds the way into a cluster, as `--in-cluster` asks for it.

`auto` sends nothing but reads, runs no program and uses no administrator's credential: in a pod it is the service
account for the pod's own cluster, else a context of a kubeconfig whose server is the cluster's. All others are asked
for by name.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, assert_never, get_args

import msgspec

from aks_audit.facts.gaps import INSIDE
from aks_audit.snapshot import Gap, Resource
from aks_audit.sources.kubernetes import addresses, kubeconfig, managed, service_account, user_credential, users
from aks_audit.sources.kubernetes.access import Access
from aks_audit.sources.kubernetes.addresses import PrivateAddresses
from aks_audit.sources.kubernetes.entra import EntraToken
from aks_audit.sources.kubernetes.exec_plugin import Plugin, command
from aks_audit.sources.kubernetes.kubeconfig import Context, Kubeconfig, KubeconfigError
from aks_audit.sources.kubernetes.service_account import ServiceAccount
from aks_audit.sources.kubernetes.users import Identity
from aks_audit.sources.scrub import scrub_message

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

    from aks_audit.sources.azure.pipeline import Poster

Mode = Literal["auto", "kubeconfig", "aad", "run-command", "service-account", "none"]

MODES: tuple[Mode, ...] = get_args(Mode)
"""What `--in-cluster` takes."""

_REMEDY = "add --in-cluster aad, or run az aks get-credentials"
_LONGEST_REASON = 600


class Asked(NamedTuple):
    """What was asked for: the way, whether programs of a kubeconfig may be run, which context and file.

    `reads` names what is read besides, only where it was asked for.
    """

    way: Mode = "auto"
    allow_exec: bool = False
    context: str | None = None
    kubeconfig: Path | None = None
    reads: tuple[str, ...] = ()


class Means(NamedTuple):
    """What there is to find a way with. `alone`: one single cluster is in the scope of the scan."""

    kubeconfig: Kubeconfig
    pod: ServiceAccount | None
    post: "Poster"
    token: EntraToken
    addresses: PrivateAddresses
    alone: bool

    def knowing(self, resources: Iterable[Resource], *, alone: bool) -> "Means":
        """The means with what was read of Azure since."""
        return self._replace(addresses=PrivateAddresses(resources), alone=alone)


def means(
    asked: Asked,
    post: "Poster",
    credential: "AsyncTokenCredential",
    *,
    environment: Mapping[str, str],
    folder: Path = service_account.FOLDER,
) -> Means:
    """Look once for what leads into clusters: kubeconfig files, and the service account of a pod.

    `folder` is where a pod has its credentials.

    Raises:
        KubeconfigError: the kubeconfig that was asked for by name cannot be used.
    """
    files = kubeconfig.files(asked.kubeconfig, environment) if asked.way in {"auto", "kubeconfig"} else []
    return Means(
        kubeconfig=kubeconfig.read(files, required=asked.kubeconfig is not None),
        pod=service_account.read(environment, folder),
        post=post,
        token=EntraToken(credential),
        addresses=PrivateAddresses(()),
        alone=False,
    )


async def find(cluster: Resource, asked: Asked, means: Means) -> Access | Gap:
    """The way into a cluster, or the gap that says why there is none and what to do."""
    if asked.way == "none":
        return _gap(cluster, "--in-cluster none was given", asked=False)
    if managed.stopped(cluster):
        return _gap(cluster, "the cluster is stopped; start it with az aks start", asked=asked.way != "auto")
    match asked.way:
        case "auto":
            found = await _auto(cluster, asked, means)
        case "kubeconfig":
            found = await _by_kubeconfig(cluster, asked, means)
        case "aad":
            found = await user_credential.find(cluster, means.post, means.token)
        case "service-account":
            found = _by_service_account(cluster, means)
        case "run-command":
            found = _by_run_command(cluster, means)
        case _:
            assert_never(asked.way)
    return found if isinstance(found, Gap) else await _dialled(found, cluster, means)


async def _auto(cluster: Resource, asked: Asked, means: Means) -> Access | Gap:
    if means.pod and means.pod.owned_by(cluster):
        return means.pod.access(cluster)
    found = await _by_kubeconfig(cluster, asked, means)
    return msgspec.structs.replace(found, cause="not-asked") if isinstance(found, Gap) else found


async def _by_kubeconfig(cluster: Resource, asked: Asked, means: Means) -> Access | Gap:
    """The way by the first context that leads to a cluster and can be used, an administrator's last; or the gap."""
    named = [c for c in means.kubeconfig.contexts if asked.context in {None, c.name}]
    leading = [context for context in named if context.hosts & managed.hosts(cluster)]
    reasons = []
    administrators = []
    for context in leading:
        try:
            access = await _by_context(context, cluster, asked, means)
        except KubeconfigError as problem:
            reasons.append(f"context {context.name}: {problem}")
            continue
        if not access.administrator:
            return access
        administrators.append(access)
    if administrators:
        return administrators[0]
    if not leading:
        called = f"context {asked.context}" if asked.context else "kubeconfig context"
        reasons = [f"no {called} leads to {managed.name(cluster)}", *means.kubeconfig.problems]
    return _gap(cluster, "; ".join([_REMEDY, *reasons]))


async def _by_context(context: Context, cluster: Resource, asked: Asked, means: Means) -> Access:
    identity = await _identity(context, cluster, asked, means)
    own = " with a token of Microsoft Entra ID" if identity.token is means.token else ""
    return Access(
        cluster=cluster.id,
        way="kubeconfig",
        server=context.address,
        authority=context.authority,
        server_name=context.server_name,
        token=identity.token,
        certificate=identity.certificate,
        proxy=context.proxy,
        administrator=identity.administrator,
        detail=scrub_message(f"context {context.name} of a kubeconfig{own}"),
    )


async def _identity(context: Context, cluster: Resource, asked: Asked, means: Means) -> Identity:
    """As whom to sign in by a context. Where it is for Entra users, whoever signed in to Azure needs nobody else.

    Raises:
        KubeconfigError: it offers nothing that may be used.
    """
    own, entra = Identity(means.token), managed.entra(cluster)
    program = command(context)
    if program is not None:
        if asked.allow_exec:
            return await Plugin(context).run()
        if entra or program.lower().removesuffix(".exe") == "kubelogin":
            return own
        raise KubeconfigError(f"it signs in by the program {program}, which is run only with --allow-exec")
    try:
        identity = users.of(context)
    except KubeconfigError:
        if entra:
            return own
        raise
    if identity.administrator and asked.way == "auto":
        if entra:
            return own
        raise KubeconfigError("it signs in as an administrator, which is done only with --in-cluster kubeconfig")
    return identity


def _by_service_account(cluster: Resource, means: Means) -> Access | Gap:
    if means.pod is None:
        return _gap(
            cluster, "this is no pod with a service account; --in-cluster service-account is for inside a cluster"
        )
    owned = means.pod.owned_by(cluster)
    if owned or (owned is None and means.alone):
        return means.pod.access(cluster)
    if owned is None:
        return _gap(
            cluster, "whether this pod is in it cannot be told from its token; name the one cluster with --cluster"
        )
    return _gap(cluster, "this pod is in another cluster; its service account is for that one only")


def _by_run_command(cluster: Resource, means: Means) -> Access | Gap:
    if not managed.runs_commands(cluster):
        return _gap(cluster, "the cluster does not let Azure run commands in it (disableRunCommand)")
    entra = managed.entra(cluster)
    return Access(
        cluster=cluster.id,
        way="run-command",
        server="",
        token=means.token if entra else None,
        administrator=not entra,
        detail="commands that Azure ran in a pod, which is a write: it makes the pod in the namespace aks-command",
    )


async def _dialled(access: Access, cluster: Resource, means: Means) -> Access:
    """The way by the private address of the API server, where its name cannot be resolved here."""
    if access.way not in {"kubeconfig", "aad"} or access.proxy or access.server_name:
        return access
    server, name = await addresses.dialled(access.server, cluster, means.addresses)
    return access._replace(server=server, server_name=name)


def _gap(cluster: Resource, reason: str, *, asked: bool = True) -> Gap:
    told = scrub_message(f"inside {managed.name(cluster)}: {reason}")
    return Gap(
        id=cluster.id,
        type=INSIDE,
        reason=told[:_LONGEST_REASON],
        cause="not-read" if asked else "not-asked",
    )
