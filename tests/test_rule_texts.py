"""What every rule must say of itself."""

import re
import string

import pytest

from aks_audit.engine import load_rules
from aks_audit.facts.kubelets import KubeletConfiguration
from aks_audit.facts.kubernetes import KubernetesObject
from aks_audit.rule import Rule

RULES = [pytest.param(rule, id=rule.id) for rule in load_rules()]
LABELS = {
    "ManagedCluster": {"group", "name", "cluster", "subscription", "location", "node_group"},
    "AgentPool": {"group", "cluster", "pool", "subscription"},
    "ClusterAccess": {"group", "name", "subscription"},
    "ClusterSubnet": {"group", "vnet", "subnet", "subscription"},
    "ClusterNetwork": {"group", "vnet", "subscription"},
    "ClusterDataStore": {"group", "kind", "name", "subscription"},
    "ClusterRegistry": {"group", "kind", "name", "registry", "subscription"},
    "ClusterService": {"group", "kind", "name", "subscription"},
    "ClusterVault": {"group", "kind", "name", "subscription", "vault"},
    "ClusterRouteTable": {"group", "table", "subscription"},
    "ClusterApplicationGateway": {"group", "gateway", "subscription"},
    "ClusterZone": {"group", "zone", "subscription"},
    "ClusterFirewall": {"group", "firewall", "policy", "subscription"},
    "ClusterSecurityGroup": {"group", "nsg", "subscription"},
}


@pytest.mark.parametrize("rule", RULES)
def test_title_states_the_desired_condition(rule: Rule) -> None:
    assert not rule.text.title.startswith(("Ensure", "Check", "Verify", "Use "))
    assert not rule.text.title.endswith(".")
    assert len(rule.text.title) < 100


INSIDE = {"group", "cluster", "subscription", "namespace", "kind", "name"}


@pytest.mark.parametrize("rule", RULES)
def test_fix_is_a_command_with_placeholders_that_the_subject_can_fill(rule: Rule) -> None:
    inside = issubclass(rule.subject, KubernetesObject)
    by_kubectl = inside and rule.subject is not KubeletConfiguration  # which AKS alone writes
    assert rule.text.command.startswith("kubectl " if by_kubectl else "az "), rule.text.command
    for text in (rule.text.command, rule.text.bicep):
        names = {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
        assert names <= (INSIDE if inside else LABELS[rule.text.subject])


@pytest.mark.parametrize("rule", RULES)
def test_change_says_how_far_the_fix_reaches(rule: Rule) -> None:
    assert rule.text.change.startswith(("in place", "replaces ", "new cluster", "new node pool")), rule.text.change


@pytest.mark.parametrize("rule", RULES)
def test_references_are_addresses_of_pages(rule: Rule) -> None:
    assert rule.text.references
    for address in rule.text.references:
        assert re.fullmatch(r"https://[a-z.]+/\S+", address), address


@pytest.mark.parametrize("rule", RULES)
def test_severity_has_a_reason_that_does_not_repeat_the_word(rule: Rule) -> None:
    assert not rule.text.severity_reason.lower().startswith(rule.text.severity)
    assert len(rule.text.severity_reason) > 20
