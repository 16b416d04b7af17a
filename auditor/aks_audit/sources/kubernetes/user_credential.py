"""The way `aad`: one POST for the address and the certificate of a cluster; who signs in is whoever signed in to Azure.

The POST changes nothing. Of its answer server and certificate authority are used. Only a cluster without Entra
integration answers with something to sign in with, and that is a cluster administrator's: it stays in memory.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from azure.core.exceptions import AzureError

from aks_audit.facts.gaps import INSIDE
from aks_audit.snapshot import Gap, Resource, decode
from aks_audit.sources.azure import errors
from aks_audit.sources.azure.pipeline import USER_CREDENTIAL
from aks_audit.sources.azure.plan import CLUSTERS, LISTED
from aks_audit.sources.kubernetes import kubeconfig, managed, users
from aks_audit.sources.kubernetes.access import Access
from aks_audit.sources.kubernetes.kubeconfig import Context, KubeconfigError
from aks_audit.sources.kubernetes.users import Identity

if TYPE_CHECKING:
    from aks_audit.sources.azure.pipeline import Poster
    from aks_audit.sources.kubernetes.entra import EntraToken

ACTION = f"{CLUSTERS}/listClusterUserCredential/action"
"""The permission that the POST needs."""

_OK = 200


async def find(cluster: Resource, post: "Poster", token: "EntraToken") -> Access | Gap:
    """The way into a cluster by its user credential, or the gap that says why there is none."""
    url = f"{cluster.id}{USER_CREDENTIAL}?api-version={LISTED[CLUSTERS]}&format=exec"
    try:
        answer = await post(url, None)
    except AzureError as problem:
        return errors.failed(cluster.id, INSIDE, f"no answer: {problem.message or type(problem).__name__}")
    if answer.status != _OK:
        return errors.refused(cluster.id, INSIDE, answer.status, answer.body, ACTION)
    try:
        context = _context(answer.body)
        entra = managed.entra(cluster)
        identity = Identity(token) if entra else users.of(context)
        return Access(
            cluster=cluster.id,
            way="aad",
            server=context.address,
            authority=context.authority,
            server_name=context.server_name,
            token=identity.token,
            certificate=identity.certificate,
            administrator=not entra,
            detail="token of Microsoft Entra ID" if entra else "user credential of a cluster without Entra integration",
        )
    except KubeconfigError as problem:
        return errors.failed(cluster.id, INSIDE, f"the user credential of {managed.name(cluster)}: {problem}")


def _context(body: bytes) -> Context:
    """The context of an answer.

    Raises:
        KubeconfigError: it has none.
    """
    try:
        given = managed.items(decode(body), "kubeconfigs")
    except ValueError:
        raise KubeconfigError("the answer is not JSON") from None
    # It holds the file in base64, as a kubeconfig holds its certificates.
    value = managed.words(given[0], "value") if given else ""
    content = kubeconfig.data({"kubeconfig-data": value}, "kubeconfig", Path())
    found = kubeconfig.contexts([(kubeconfig.parse(content or b""), Path())])
    if not found:
        raise KubeconfigError("it names no server")
    return found[0]
