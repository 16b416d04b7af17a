"""The built-in rules, one module a topic."""

from aks_audit_rules import (
    api_server,
    availability,
    data_protection,
    egress,
    identity,
    ingress,
    monitoring,
    network_profile,
    nodes,
    peerings,
    retirements,
    route_tables,
    security_groups,
    subnets,
    upgrades,
    workload_protection,
)

RULES = (
    *api_server.RULES,
    *availability.RULES,
    *data_protection.RULES,
    *egress.RULES,
    *identity.RULES,
    *ingress.RULES,
    *monitoring.RULES,
    *network_profile.RULES,
    *nodes.RULES,
    *peerings.RULES,
    *retirements.RULES,
    *route_tables.RULES,
    *security_groups.RULES,
    *subnets.RULES,
    *upgrades.RULES,
    *workload_protection.RULES,
)
