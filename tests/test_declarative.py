"""Rules without code: what their files may say, what they answer, and that nothing in a file or a body breaks them."""

import builtins
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aks_audit import snapshot
from aks_audit.engine import ask, audit
from aks_audit.facts import Estate, ManagedCluster
from aks_audit.packs.declarative import DeclarationError, read
from aks_audit.results import Evidence, Finding
from aks_audit.rule import Rule
from cases import CLUSTER, Case, estate_of

TABLE: dict[str, Any] = {
    "id": "HOUSE-TAG-01",
    "title": "Clusters bear a cost centre",
    "severity": "medium",
    "severity-reason": "nobody knows who pays",
    "subject": "Microsoft.ContainerService/managedClusters",
    "pass-if": "tags.\"cost-centre\" != 'none'",
    "why": "Costs that nobody is asked for grow.",
    "fix": "az aks update --resource-group {group} --name {name} --tags cost-centre=CENTRE",
    "change": "in place",
}


def toml(*tables: dict[str, Any]) -> str:
    """Tables of rules; strings, numbers, booleans and lists are written alike in JSON and TOML."""
    return "".join(
        "[[rule]]\n" + "".join(f"{json.dumps(key)} = {json.dumps(value)}\n" for key, value in table.items())
        for table in tables
    )


def rule_of(asks: str = TABLE["pass-if"], **changed: object) -> Rule:
    """The rule, with its expression or other keys changed."""
    keys = {key.replace("_", "-"): value for key, value in changed.items()}
    (made,) = read("house.rule.toml", toml(TABLE | {"pass-if": asks} | keys))
    return made


def asked(rule: Rule, case: Case | None = None) -> Finding:
    """The one finding of a rule about the base estate."""
    (finding,) = audit(estate_of(case or Case(name="", expect="")), [rule])
    return finding


def test_a_rule_says_of_itself_what_its_table_says() -> None:
    text = rule_of(references=["https://example.org"], controls=[]).text
    assert (text.id, text.severity, text.subject) == ("HOUSE-TAG-01", "medium", "ManagedCluster")
    assert text.references == ("https://example.org",)
    assert text.decided == "tags.\"cost-centre\" != 'none' is true. Where a value is not there: unknown."


def test_what_is_there_decides_and_is_the_evidence() -> None:
    case = Case(name="", expect="", set={"cluster tags": {"Cost-Centre": "4711"}})
    finding = asked(rule_of(), case)
    assert finding.outcome == "pass"
    assert finding.evidence == (Evidence(CLUSTER, "/tags/Cost-Centre", "4711"),)
    case = Case(name="", expect="", set={"cluster tags": {"cost-centre": "NONE"}})
    finding = asked(rule_of(failure="The cluster bears no cost centre"), case)
    assert (finding.outcome, finding.message) == ("fail", "The cluster bears no cost centre")
    assert finding.remediation
    assert "--name aks-prod --tags" in finding.remediation.command


@pytest.mark.parametrize("absent", ["unknown", "fail", "pass", "not-applicable"])
@pytest.mark.parametrize("tags", [{}, {"cost-centre": None}, {"cost-centre": ""}, None])
def test_what_absence_means_is_for_the_author_to_say(absent: str, tags: object) -> None:
    finding = asked(rule_of(absent=absent), Case(name="", expect="", set={"cluster tags": tags}))
    assert finding.outcome == absent
    assert "is not there" in finding.message
    assert [item.value for item in finding.evidence] in ([None], [""])


@pytest.mark.parametrize(
    "case",
    [
        Case(name="a list for the tags", expect="", set={"cluster tags": [1]}),
        Case(name="a number for a tag", expect="", set={"cluster tags": {"cost-centre": 7}}),
        Case(
            name="two tags that differ in case",
            expect="",
            set={"cluster tags": {"cost-centre": "a", "COST-centre": "b"}},
        ),
    ],
    ids=lambda case: case.name,
)
def test_what_is_of_another_type_is_unknown_whatever_absence_means(case: Case) -> None:
    finding = asked(rule_of(absent="pass"), case)
    assert (finding.outcome, finding.missing[0].kind) == ("unknown", "malformed")
    assert finding.evidence


def test_a_large_value_is_no_part_of_a_message() -> None:
    case = Case(name="", expect="", set={"cluster tags": {"cost-centre": ["x" * 5000]}})
    finding = asked(rule_of(asks="starts_with(tags.\"cost-centre\", 'x')"), case)
    assert finding.message.endswith("starts_with() does not take array")


def test_properties_that_were_lost_are_not_absent() -> None:
    resource = snapshot.Resource(id=CLUSTER, type=ManagedCluster.TYPE, body={"tags": {}})
    rule = rule_of(asks="properties.disableLocalAccounts", absent="pass")
    (finding,) = audit(Estate(snapshot.of([resource])), [rule])
    assert (finding.outcome, finding.missing[0].kind) == ("unknown", "malformed")


@pytest.mark.parametrize(
    ("when", "keys", "outcome"),
    [
        ("location == 'westeurope'", {}, "fail"),
        ("location == 'northeurope'", {}, "not-applicable"),
        ("tags.stage == 'live'", {}, "unknown"),
        ("tags.stage == 'live'", {"when_absent": "not-applicable"}, "not-applicable"),
        ("location > 'a'", {"when_absent": "not-applicable"}, "unknown"),
    ],
)
def test_a_rule_is_asked_where_its_condition_is_true(when: str, keys: dict[str, str], outcome: str) -> None:
    assert asked(rule_of(when=when, absent="fail", **keys)).outcome == outcome


@pytest.mark.parametrize(
    ("subject", "pass_if", "pointer"),
    [
        ("microsoft.containerservice/MANAGEDCLUSTERS", "location == 'WESTEUROPE'", "/location"),
        ("ManagedCluster", "sku.tier != 'Free'", "/sku/tier"),
        ("AgentPool", "osType == 'linux'", "/properties/agentPoolProfiles/0/osType"),
        ("Microsoft.Network/virtualNetworks/subnets", "name != 'x'", "/properties/subnets/0/name"),
        (
            "Microsoft.Network/networkSecurityGroups",
            "length(properties.securityRules) >= `0`",
            "/properties/securityRules",
        ),
        ("Microsoft.ContainerRegistry/registries", "sku.name == 'premium'", "/sku/name"),
        ("namespaces", "metadata.name != 'x'", "/metadata/name"),
        ("Deployments.apps", "spec.replicas > `0`", "/spec/replicas"),
        ("Workload", "metadata.namespace != 'x'", "/metadata/namespace"),
    ],
)
def test_a_subject_is_called_as_azure_kubernetes_or_rules_in_python_call_it(
    subject: str, pass_if: str, pointer: str
) -> None:
    findings = audit(estate_of(Case(name="", expect="")), [rule_of(subject=subject, asks=pass_if)])
    assert {finding.outcome for finding in findings} == {"pass"}
    assert pointer in {item.pointer for finding in findings for item in finding.evidence}


def test_a_pool_that_was_read_by_itself_is_asked_like_one_in_its_cluster() -> None:
    pool = f"{CLUSTER}/agentPools/gpu"
    body = {"id": pool, "name": "gpu", "properties": {"osType": "Linux"}}
    resource = snapshot.Resource(id=pool, type=f"{ManagedCluster.TYPE}/agentPools", body=body)
    rule = rule_of(subject="AgentPool", asks="osType == 'linux' && name == 'GPU'")
    (finding,) = audit(Estate(snapshot.of([resource])), [rule])
    assert finding.outcome == "pass"
    assert [item.pointer for item in finding.evidence] == ["/properties/osType", "/name"]
    lost = snapshot.Resource(id=pool, type=f"{ManagedCluster.TYPE}/agentPools", body={"name": "gpu"})
    (finding,) = audit(Estate(snapshot.of([lost])), [rule])
    assert (finding.outcome, finding.missing[0].kind) == ("unknown", "malformed")


def test_names_of_labels_are_escaped_in_pointers_and_have_case() -> None:
    rule = rule_of(
        subject="namespaces",
        asks="metadata.labels.\"pod-security.kubernetes.io/enforce\" == 'restricted'",
        absent="fail",
    )
    findings = {f.resource.rsplit("/", 1)[-1]: f for f in audit(estate_of(Case(name="", expect="")), [rule])}
    assert findings["shop"].outcome == "pass"
    assert findings["shop"].evidence[0].pointer == "/metadata/labels/pod-security.kubernetes.io~1enforce"
    capital = rule_of(subject="namespaces", asks="metadata.name == 'Shop'")
    findings = {f.resource.rsplit("/", 1)[-1]: f for f in audit(estate_of(Case(name="", expect="")), [capital])}
    assert findings["shop"].outcome == "fail"


def test_what_is_inside_a_cluster_that_nobody_read_is_unknown() -> None:
    rule = rule_of(subject="limitranges", asks="metadata.name != 'x'")
    assert asked(rule, Case(name="", expect="", refuse=("inside",))).outcome == "unknown"


REFUSED = {
    "": "house.rule.toml: holds no rule",
    "rule = 1": "house.rule.toml: holds no rule",
    "rule = [1]": "house.rule.toml: holds no rule",
    "[[rule]": "house.rule.toml: is not TOML",
    "a = " + "[" * 5000: "house.rule.toml: is not TOML",
    "a = " + "9" * 5000: "house.rule.toml: is not TOML",
    "[[rules]]": "house.rule.toml: has no meaning for 'rules'",
    toml({}): "house.rule.toml:1: rule without an id: Object missing required field",
    "# first\n"
    + toml(TABLE, TABLE | {"severity": "worst"}): r"house.rule.toml:\d\d: rule HOUSE-TAG-01: .*worst.*severity",
    toml(TABLE | {"passif": "x"}): "rule HOUSE-TAG-01: .*unknown field `passif`",
    toml(TABLE | {"absent": "maybe"}): "rule HOUSE-TAG-01: .*maybe.*absent",
    toml(TABLE | {"title": " "}): "rule HOUSE-TAG-01: title is empty",
    toml(TABLE | {"fix": "az {group.x}"}): "rule HOUSE-TAG-01: .*fix: {group.x…} is no name",
    toml(TABLE | {"bicep": "{"}): "rule HOUSE-TAG-01: .*bicep: ",
    toml(
        TABLE | {"subject": "Microsoft.Web/sites"}
    ): "subject: 'Microsoft.Web/sites' is nothing that scans read whole; "
    "there are .*managedClusters.*inside clusters .*namespaces",
    toml(TABLE | {"subject": "secrets"}): "subject: 'secrets' is nothing",
    toml(TABLE | {"subject": "configmaps"}): "subject: 'configmaps' is nothing",
    toml(TABLE | {"pass-if": "tags. == 'x'"}): r"house.rule.toml:1: rule HOUSE-TAG-01: pass-if: \"tags. == 'x'\": ",
    toml(TABLE | {"when": "nosuch(tags)"}): r"rule HOUSE-TAG-01: when: 'nosuch\(tags\)': there is no function",
}


@pytest.mark.parametrize("text", REFUSED)
def test_an_error_names_file_rule_and_what_is_wrong(text: str) -> None:
    with pytest.raises(DeclarationError, match=REFUSED[text]):
        list(read("house.rule.toml", text))


def test_without_jmespath_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:  # noqa: ANN401 - as the builtin
        if name == "aks_audit.packs.expressions":
            raise ModuleNotFoundError("No module named 'jmespath'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DeclarationError, match=r"pip install 'aks-audit\[declarative\]'"):
        rule_of()


VALUES = st.one_of(
    st.text(max_size=20),
    st.integers(),
    st.booleans(),
    st.lists(st.text(max_size=3), max_size=2),
    st.sampled_from(["pass", "fail", "{", "{group}", "tags", "@", "namespaces", "high"]),
)


@given(key=st.one_of(st.sampled_from([*TABLE, "absent", "when", "when-absent", "controls"]), st.text()), value=VALUES)
def test_a_hostile_table_is_a_rule_that_answers_or_an_error_for_its_author(key: str, value: object) -> None:
    try:
        rules = list(read("house.rule.toml", toml(TABLE | {key: value})))
    except DeclarationError:
        return
    for finding in audit(estate_of(Case(name="", expect="", only=("cluster", "namespace-shop"))), rules):
        assert not [missing for missing in finding.missing if missing.kind == "crashed"]


@given(text=st.text())
def test_a_hostile_file_is_an_error_for_its_author(text: str) -> None:
    with pytest.raises(DeclarationError, match=r"house\.rule\.toml"):
        list(read("house.rule.toml", text))


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(st.sampled_from(["tags", "owner", "pools", "size"]), st.text(max_size=3)), inner, max_size=3
        ),
    ),
    max_leaves=10,
)
ODD = [
    "tags.owner == 'x'",
    "length(pools[?size > `1`]) == `0`",
    "max(pools[*].size) < `5`",
    "contains(tags.owner, 'x') && starts_with(tags.size, 'y')",
    "to_number(tags.owner) > ceil(tags.size)",
    "join(',', sort(keys(tags))) != 'x'",
    "sort_by(pools, &size)[0].owner == 'x'",
    "avg(values(tags)) > `0`",
    "merge(tags, pools).owner == 'x'",
    "reverse(tags.owner) == to_string(tags.size)",
    "*.owner | [0] == 'x'",
]


@pytest.mark.parametrize("pass_if", ODD)
@given(body=st.dictionaries(st.sampled_from(["tags", "pools", "properties"]), JSON))
def test_no_body_crashes_a_rule(pass_if: str, body: dict[str, Any]) -> None:
    resource = snapshot.Resource(id=CLUSTER, type=ManagedCluster.TYPE, body=body)
    cluster = Estate(snapshot.of([resource])).resource(ManagedCluster, CLUSTER)
    verdict = ask(rule_of(asks=pass_if), cluster)
    assert not [missing for missing in verdict.missing if missing.kind == "crashed"], verdict.message
