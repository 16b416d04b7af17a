"""What clusters without a managed identity sign in by: the secret of a service principal."""

import datetime as dt
from collections.abc import Sequence

from aks_audit.facts import Malformed, ManagedCluster
from aks_audit.facts.applications import Application, PasswordCredential, application_of
from aks_audit.results import Due, Severity, Verdict
from aks_audit.rule import each, fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import review_checklist, the_aks_checklist

_SOON = dt.timedelta(days=30)
_OLDEST = dt.timedelta(days=366)
_WHAT, _ACTION = "The secret of the service principal", "make another and give it to the cluster"


@rule(
    "AKS-IAM-07",
    title="The secret of the cluster's service principal is rotated",
    severity=Severity.HIGH,
    dated=True,
    controls=(
        review_checklist("b03dda6d-58d7-4c89-8ddb-107d5769ae66"),
        the_aks_checklist("b03dda6d-58d7-4c89-8ddb-107d5769ae66"),
    ),
)
def secret_rotated(cluster: ManagedCluster) -> Verdict:
    """The secret stands on every node, and whoever has read it there is the cluster until it is replaced.

    When it expires, the cluster can no longer scale, attach disks or make load balancers, and nodes cannot pull images.

    Severity: an expired secret stops the cluster, and one that expires within a month does so soon. Medium for one that
    is older than a year: it works as well for whoever took it since.
    Decided: of the secrets of the application that `properties.servicePrincipalProfile.clientId` names, on the day of the
    snapshot: none can be used any more fails; all that can end within 30 days fails; and so does any that can be
    used and was made more than 366 days ago, for a year is how long AKS makes them last. Where some end within 30
    days and others do not, it is unknown: Microsoft Graph does not say which of them the cluster has. An application without
    secrets is unknown, for the service principal may have one of its own. A managed identity ("msi") has no secret, and
    is not applicable (AKS-IAM-06). They are read with `--read app-credentials`; only their dates are kept.
    Fix: az ad app credential reset --id <client id>, then az aks update-credentials --resource-group {group} --name {name} --reset-service-principal --service-principal <client id> --client-secret <secret>
    Bicep: none: properties.servicePrincipalProfile.secret is set, never read; use a managed identity (AKS-IAM-06)
    Change: replaces nodes one by one; without the second command the cluster keeps the old secret
    References: https://learn.microsoft.com/azure/aks/update-credentials
    https://learn.microsoft.com/graph/api/resources/passwordcredential
    """
    evidence = cluster.at(ManagedCluster.service_principal_client_id)
    client = cluster.service_principal_client_id
    if client is None:
        return undecided("The cluster's body does not say whether it uses a service principal", evidence)
    if client.lower() == "msi":
        return not_applicable("The cluster has a managed identity, which has no secret", evidence)
    as_of = cluster.estate.as_of
    if as_of is None:
        return undecided("The snapshot does not say of which day it is", evidence)
    application = application_of(cluster)
    secrets = application.password_credentials
    if not secrets:
        held = application.at(Application.password_credentials)
        return undecided("The application has no secret; the service principal may have one of its own", held)
    day = dt.date.fromisoformat(as_of[:10])
    return each((_lasts, _renewed), lambda judge: judge(secrets, day))


def _lasts(secrets: Sequence[PasswordCredential], day: dt.date) -> Verdict:
    """Whether the secrets last for a while."""
    ordered = sorted(secrets, key=_end)
    last, evidence = ordered[-1], ordered[-1].at(PasswordCredential.end)
    due = [Due(f"{_WHAT} (the last)", str(_end(last)), _ACTION)]
    if _end(last) < day:
        return fails(f"The service principal's last secret expired on {_end(last)}", evidence, due=due)
    if _end(last) - day <= _SOON:
        return fails(f"The service principal's last secret expires on {_end(last)}", evidence, due=due)
    first = next(one for one in ordered if _end(one) >= day)
    due = [Due(f"{_WHAT} (the first of {len(secrets)})", str(_end(first)), _ACTION)]
    if _end(first) - day <= _SOON:
        told = f"A secret expires on {_end(first)}, another later; which the cluster has, Microsoft Graph does not say"
        return undecided(told, first.at(PasswordCredential.end), due=due)
    return passes(
        f"The service principal's secrets last until {_end(first)}", first.at(PasswordCredential.end), due=due
    )


def _renewed(secrets: Sequence[PasswordCredential], day: dt.date) -> Verdict:
    """Whether each secret that can still be used was made within a year."""
    return each(secrets, lambda secret: _age(secret, day))


def _age(secret: PasswordCredential, day: dt.date) -> Verdict:
    evidence = secret.at(PasswordCredential.start)
    if _end(secret) < day:
        return not_applicable("The secret has expired", secret.at(PasswordCredential.end))
    if secret.start is None:
        return undecided("A secret does not say when it was made", evidence)
    made = secret.start.date()
    if day - made > _OLDEST:
        told = f"A secret of the service principal was made on {made}, more than a year ago, and can still be used"
        return fails(told, evidence, severity=Severity.MEDIUM)
    return passes(f"The secret was made on {made}", evidence)


def _end(secret: PasswordCredential) -> dt.date:
    """The day on which a secret expires.

    Raises:
        Malformed: it names none, or not as a time.
    """
    if secret.end is None:
        where = secret.at(PasswordCredential.end)
        raise Malformed(where.resource, where.pointer, "a secret that does not say when it expires")
    return secret.end.date()


RULES = (secret_rotated,)
