"""Whose tokens the identities around clusters take: federated credentials of user-assigned identities."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from aks_audit.facts import Estate, Malformed, ManagedCluster, Missing, NotCollected, Unread
from aks_audit.facts.federation import FederatedIdentityCredential, UserAssignedIdentity
from aks_audit.facts.resource_id import parse
from aks_audit.results import Outcome, Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import azure_policy

_AKS = ".oic.prod-aks."
"""What stands in the host names of AKS's own issuers, in every cloud."""

_ACCOUNT_PARTS = 4
"""Parts of the subject `system:serviceaccount:NAMESPACE:NAME`."""


class _Credentials:
    """The federated credentials of an estate. Made once: `estate.indexed(_Credentials)`."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._of: dict[str, list[FederatedIdentityCredential]] = {}
        self._trusting: dict[str, list[str]] = {}
        self._unread: dict[str, tuple[Missing, ...]] = {}
        self.issuers = frozenset(_issuers(estate))
        for credential in estate.every(FederatedIdentityCredential):
            identity = credential.parsed.parent.lower()
            self._of.setdefault(identity, []).append(credential)
            with suppress(Unread):
                self._trusting.setdefault(_same(credential.issuer or ""), []).append(identity)

    def of(self, identities: Iterable[str]) -> tuple[FederatedIdentityCredential, ...]:
        """The credentials of some identities, by their ids in lower case."""
        return tuple(credential for identity in identities for credential in self._of.get(identity, ()))

    def trusting(self, issuer: str) -> tuple[str, ...]:
        """The identities that trust an issuer."""
        return tuple(dict.fromkeys(self._trusting.get(_same(issuer), ())))

    def unread(self, subscription: str) -> tuple[Missing, ...]:
        """What is not known of the identities of a subscription, or of their credentials."""
        if subscription not in self._unread:
            held = self._estate.within(UserAssignedIdentity, subscription)
            reads = [held.whole, *(self._estate.within(FederatedIdentityCredential, one.id).whole for one in held)]
            self._unread[subscription] = tuple(dict.fromkeys(_missing(reads)))
        return self._unread[subscription]

    def unread_of(self, identity: str) -> tuple[Missing, ...]:
        """What is not known of the credentials of one identity; all is, where the list of identities lacks it."""
        held = self._estate.within(UserAssignedIdentity, f"/subscriptions/{parse(identity).subscription}")
        if not [*_missing([held.whole])] and identity not in {one.id.lower() for one in held}:
            return ()
        return tuple(_missing([self._estate.within(FederatedIdentityCredential, identity).whole]))


def _missing(reads: Iterable[Callable[[], object]]) -> Iterator[Missing]:
    for read in reads:
        try:
            read()
        except NotCollected as unread:
            yield from unread.missing


def _issuers(estate: Estate) -> Iterator[str]:
    for cluster in estate.every(ManagedCluster):
        with suppress(Unread):
            if cluster.oidc_issuer_url:
                yield _same(cluster.oidc_issuer_url)


def _same(issuer: str) -> str:
    return issuer.lower().rstrip("/")


@rule(
    "AKS-IAM-13",
    title="Identities that serve the cluster trust only the service accounts of clusters",
    severity=Severity.MEDIUM,
    controls=(azure_policy("ae62c456-33de-4dc8-b100-7ce9028a7d99"),),
)
def credentials_of_trusted_issuers(cluster: ManagedCluster) -> Verdict:
    """A federated credential is a password without a secret: whoever has a token of that issuer and subject is the identity.

    A forgotten one, for the repository of a trial or a cluster long gone, is a way to the data of a workload that nobody who
    looks at the workload sees. And it never expires.

    Severity: who controls the issuer, or gets the subject's tokens, acts with all roles of the identity from anywhere.
    Decided: of the identities of the cluster's control plane and kubelet, and of those that trust the cluster's own issuer (its
    workload identities), every federated credential: its issuer is that of a cluster that was read, and its subject one service
    account (`system:serviceaccount:NAMESPACE:NAME`). Another issuer (a forge, another cloud) fails: a pipeline should have an
    identity of its own. So does an expression with a wildcard, and, as low, the account `default`, which every pod has that
    names none. An issuer of AKS whose cluster was not read is unknown: the cluster may be out of scope, or deleted. They are
    read with `--read federated-credentials`.
    Fix: az identity federated-credential delete --resource-group <group> --identity-name <identity> --name <credential>
    Bicep: userAssignedIdentities/federatedIdentityCredentials properties.issuer: the cluster's properties.oidcIssuerProfile.issuerURL
    Change: in place; whoever signs in by it is locked out, so give it an identity of its own first
    References: https://learn.microsoft.com/azure/aks/workload-identity-overview
    https://learn.microsoft.com/entra/workload-id/workload-identity-federation-considerations
    """
    index = cluster.estate.indexed(_Credentials)
    own = tuple(_own_identities(cluster))
    issuer = cluster.oidc_issuer_url
    identities = dict.fromkeys((*own, *(index.trusting(issuer) if issuer else ())))
    verdict = each(index.of(identities), lambda credential: _judge(index.issuers, credential))
    unread = [*index.unread(f"/subscriptions/{cluster.parsed.subscription}")]
    unread += [missing for identity in own for missing in index.unread_of(identity)]
    if unread and verdict.outcome is not Outcome.FAIL:
        told = f"Not all federated credentials of identities were read: {unread[0].reason}"
        return undecided(told, *verdict.evidence, missing=dict.fromkeys((*verdict.missing, *unread)))
    if not index.of(identities):
        evidence = cluster.at(ManagedCluster.oidc_issuer_url)
        return not_applicable("No identity that serves the cluster has federated credentials", evidence)
    return verdict


def _own_identities(cluster: ManagedCluster) -> Iterator[str]:
    """The ids of the user-assigned identities of the control plane and the kubelet, in lower case."""
    assigned = cluster.user_assigned_identities
    yield from (name.lower() for name in (assigned.node if assigned else ()))
    if cluster.kubelet_identity:
        yield cluster.kubelet_identity.lower()


def _judge(issuers: frozenset[str], credential: FederatedIdentityCredential) -> Verdict:
    evidence = credential.at(FederatedIdentityCredential.issuer)
    if credential.issuer is None:
        raise Malformed(credential.id, evidence.pointer, "a federated credential without its issuer")
    identity = parse(credential.parsed.parent).name
    issuer = _same(credential.issuer)
    if issuer in issuers:
        return _subject(credential, identity)
    if _AKS in issuer:
        return undecided(f"{identity} trusts {credential.issuer}, the issuer of a cluster that was not read", evidence)
    return fails(f"{identity} trusts {credential.issuer}, the issuer of no cluster", evidence)


def _subject(credential: FederatedIdentityCredential, identity: str) -> Verdict:
    expression = credential.claims_matching_expression
    if expression:
        shown = credential.at(FederatedIdentityCredential.claims_matching_expression)
        if "*" in expression or "?" in expression:
            return fails(f"{identity} trusts every subject that a pattern matches", shown)
        return undecided(f"{identity} trusts subjects by an expression that is not read here", shown)
    evidence = credential.at(FederatedIdentityCredential.subject)
    if credential.subject is None:
        raise Malformed(credential.id, evidence.pointer, "a federated credential without its subject")
    parts = credential.subject.split(":")
    if parts[:2] != ["system", "serviceaccount"] or len(parts) != _ACCOUNT_PARTS or "*" in credential.subject:
        return fails(f"{identity} trusts {credential.subject}, which is no service account", evidence)
    if parts[3] == "default":
        told = f"{identity} trusts the account default of {parts[2]}, which every pod there has that names none"
        return fails(told, evidence, severity=Severity.LOW)
    return passes("Identities of the cluster trust single service accounts of clusters", evidence)


RULES = (credentials_of_trusted_issuers,)
