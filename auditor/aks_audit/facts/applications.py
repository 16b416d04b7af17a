"""Facts about the applications of Entra ID that clusters sign in as, where they have a service principal.

Source: the type application of Microsoft Graph v1.0, of which a snapshot holds the ends of its secrets alone. They are
read only where a scan is asked to (`--read app-credentials`).
"""

from aks_audit.facts.cluster import ManagedCluster
from aks_audit.facts.field import View, moment, parts
from aks_audit.facts.resource import AzureResource


class PasswordCredential(View):
    """A client secret, without the secret: from when and until when it can be used."""

    __slots__ = ()

    start = moment("startDateTime")
    end = moment("endDateTime")


class Application(AzureResource):
    """An application, called by its client id; Azure Resource Manager has no such resource, and no id for it."""

    __slots__ = ()

    TYPE = "Microsoft.Graph/applications"

    password_credentials = parts("passwordCredentials", PasswordCredential)


def application_of(cluster: ManagedCluster) -> Application:
    """The application that a cluster with a service principal signs in as.

    Raises:
        NotCollected: it was not read.
    """
    return cluster.estate.resource(Application, f"/providers/{Application.TYPE}/{cluster.service_principal_client_id}")
