"""Which endpoints a selector takes: LabelSelectors read, and expressions held against endpoints."""

from collections.abc import Mapping

from aks_audit.policies.body import Body
from aks_audit.policies.model import (
    NAMES,
    Endpoint,
    Every,
    Expression,
    Labels,
    Not,
    Of,
    Requirement,
    Some,
)


def label_selector(selector: Body, of: Of) -> Expression:
    """A LabelSelector: all of `matchLabels` and `matchExpressions`; an empty one takes everything.

    NotIn and DoesNotExist take what does not have the label at all.

    Raises:
        Malformed: it is none, or has an operator that Kubernetes does not know.
    """
    selector.only(("matchLabels", "matchExpressions"))
    exact = selector.part("matchLabels")
    equal = [Requirement(of, key, "in", frozenset({exact.text(key)})) for key in exact.names] if exact else []
    return every(*equal, *(_requirement(one, of) for one in selector.parts("matchExpressions")))


def every(*parts: Expression) -> Expression:
    """All of the parts, without needless nesting, so that equal selectors are equal values."""
    flat = [inner for part in parts for inner in (part.parts if isinstance(part, Every) else (part,))]
    unique = tuple(dict.fromkeys(flat))
    return unique[0] if len(unique) == 1 else Every(unique)


def in_namespace(namespace: str) -> Requirement:
    """What is in a namespace, by its name."""
    return Requirement(Of.NAME, "namespace", "in", frozenset({namespace}))


def _requirement(expression: Body, of: Of) -> Expression:
    key, operator = expression.text("key"), expression.text("operator")
    values = frozenset(expression.texts("values"))
    match operator:
        case "In" | "NotIn" if values:
            found = Requirement(of, key, "in", values)
            return found if operator == "In" else Not(found)
        case "Exists" | "DoesNotExist" if not values:
            found = Requirement(of, key, "exists")
            return found if operator == "Exists" else Not(found)
        case _:
            raise expression.malformed(f"operator {operator!r} with {len(values)} values")


def holds(expression: Expression, endpoint: Endpoint) -> bool | None:
    """Whether an expression is true of an endpoint; None where labels that decide could not be read."""
    match expression:
        case Requirement():
            labels = labels_of(endpoint, expression.of)
            return None if labels is None else fits(expression, labels.get(expression.key))
        case Not(part):
            found = holds(part, endpoint)
            return None if found is None else not found
        case Every(parts):
            answers = {holds(part, endpoint) for part in parts}
            return False if False in answers else None if None in answers else True
        case Some(parts):
            answers = {holds(part, endpoint) for part in parts}
            return True if True in answers else None if None in answers else False


def fits(requirement: Requirement, value: str | None) -> bool:
    """Whether a label's value (None: it is absent) is what a requirement asks for."""
    if value is None:
        return False
    match requirement.operator:
        case "exists":
            return True
        case "in":
            return value in requirement.values
        case "contains":
            return any(part in value for part in requirement.values)
        case "starts with":
            return value.startswith(tuple(requirement.values))
        case "ends with":
            return value.endswith(tuple(requirement.values))


def labels_of(endpoint: Endpoint, of: Of) -> Labels | None:
    """The labels of one sort that an endpoint has."""
    match of:
        case Of.OWN:
            return endpoint.labels
        case Of.NAMESPACE:
            return endpoint.namespace_labels
        case Of.SERVICE_ACCOUNT:
            return endpoint.service_account_labels
        case Of.NODE:
            return endpoint.node_labels
        case Of.NAME:
            return _names(endpoint)


def _names(endpoint: Endpoint) -> Mapping[str, str]:
    own = (endpoint.name, endpoint.namespace, endpoint.service_account, endpoint.node)
    return {key: name for key, name in zip(NAMES, own, strict=True) if name}
