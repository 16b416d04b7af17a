"""What an organisation's own Azure policies found of a cluster."""

from aks_audit.facts import Evidence, Malformed, ManagedCluster, Missing, Unread
from aks_audit.facts.enumerations import ComplianceState
from aks_audit.facts.policy_states import PolicyState
from aks_audit.results import Severity, Verdict
from aks_audit.rule import fails, not_applicable, passes, rule, undecided
from aks_audit_rules.frameworks import aprl

_WELL = frozenset({ComplianceState.COMPLIANT, ComplianceState.EXEMPT})


@rule(
    "AKS-CP-08",
    title="The cluster is as the Azure policies want it that are assigned to it",
    severity=Severity.INFO,
    controls=(aprl("26ebaf1f-c70d-4ebd-8641-4b60a0ce0094"),),
)
def compliant(cluster: ManagedCluster) -> Verdict:
    """What an organisation demands of its clusters stands in its policies, and what became of it in their states.

    Severity: which policies somebody assigned says nothing about how grave it is to fail one; rules here judge that by
    themselves. It is told so that nobody has to look in two places.
    Decided: the states of policies about the cluster itself, what policies for Kubernetes found inside it included: one that is
    NonCompliant fails. It passes where all are Compliant or Exempt. Conflict, Error, Unknown, NotStarted and what is new leave it
    unknown. They are read with `--read policy-states`, by a query of Azure Resource Graph, which leaves out in silence what the
    caller may not read: where it gives none, it is unknown whether no policy is assigned.
    Fix: az policy state list --resource <cluster id> --filter "complianceState eq 'NonCompliant'"
    Bicep: none: what each policy wants
    Change: in place, mostly; what each policy wants says more
    References: https://learn.microsoft.com/azure/governance/policy/concepts/compliance-states
    https://learn.microsoft.com/azure/governance/policy/samples/resource-graph-samples
    """
    held = cluster.estate.within(PolicyState, cluster.id)
    well: list[Evidence] = []
    broken: dict[str, Evidence] = {}
    unsure: list[Evidence] = []
    missing: list[Missing] = []
    for one in held:
        try:
            evidence = one.at(PolicyState.state)
            match _state(one):
                case ComplianceState.NON_COMPLIANT:
                    broken[one.assignment or one.name] = evidence
                case state if state in _WELL:
                    well.append(evidence)
                case _:
                    unsure.append(evidence)
        except Unread as unread:
            missing += unread.missing
    if broken:
        return fails(f"The cluster is not as it should be by {', '.join(sorted(broken))}", *broken.values())
    if missing or unsure:
        told = (
            "; ".join(dict.fromkeys(one.reason for one in missing)) or "Some policies have not come to an end with it"
        )
        return undecided(told, *unsure, missing=dict.fromkeys(missing))
    if well:
        return passes(f"The cluster is as {len(well)} policies want it", *well)
    held.whole()
    return not_applicable("No policy is about the cluster")


def _state(one: PolicyState) -> ComplianceState:
    if one.state is None:
        raise Malformed(one.id, "/properties/complianceState", "a state of a policy that does not say what it is")
    return one.state


RULES = (compliant,)
