"""Facts about user-assigned identities, and about whose tokens they take in exchange for their own.

Source: Microsoft.ManagedIdentity/userAssignedIdentities 2024-11-30 as in recorded answers and the REST API reference.
Federated credentials are read only where a scan is asked to (`--read federated-credentials`).
"""

from aks_audit.facts.field import text
from aks_audit.facts.resource import AzureResource


class UserAssignedIdentity(AzureResource):
    """A user-assigned managed identity."""

    __slots__ = ()

    TYPE = "Microsoft.ManagedIdentity/userAssignedIdentities"


class FederatedIdentityCredential(AzureResource):
    """An issuer and a subject, such as a service account of a cluster, whose tokens an identity trusts.

    A flexible one has an expression over the token's claims in the place of the subject.
    """

    __slots__ = ()

    TYPE = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials"

    issuer = text("properties.issuer")
    subject = text("properties.subject")
    claims_matching_expression = text("properties.claimsMatchingExpression.value")
