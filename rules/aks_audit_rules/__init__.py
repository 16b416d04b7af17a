"""The built-in rules, one module a topic."""

from aks_audit_rules import identity

RULES = (*identity.RULES,)
