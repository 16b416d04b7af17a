"""May somebody do something in a cluster? Slow and obvious, over plain JSON, for the tests: no index, no sets.

Written for itself from https://kubernetes.io/docs/reference/access-authn-authz/rbac/; it shares nothing with
`aks_audit.rbac`.
"""

from typing import Any, NamedTuple, TypeAlias

Json: TypeAlias = dict[str, Any]


class Question(NamedTuple):
    """Who asks for what: `resource` with its subresource after a slash, or a `path`."""

    user: str
    groups: tuple[str, ...]
    verb: str
    group: str
    resource: str
    name: str
    namespace: str
    path: str


def may(objects: list[Json], asked: Question) -> bool:
    """Whether the roles and bindings among objects allow what is asked."""
    for binding in objects:
        if binding["kind"] == "ClusterRoleBinding":
            pass
        elif binding["kind"] == "RoleBinding":
            if asked.path or not asked.namespace or binding["metadata"]["namespace"] != asked.namespace:
                continue
        else:
            continue
        for subject in binding.get("subjects") or []:
            if not is_subject(subject, asked):
                continue
            for rule in rules_of(objects, binding):
                if rule_allows(rule, asked):
                    return True
    return False


def is_subject(subject: Json, asked: Question) -> bool:
    """Whether a subject is who asks."""
    if subject["kind"] == "User":
        return bool(subject["name"] == asked.user)
    if subject["kind"] == "Group":
        return subject["name"] in asked.groups
    return bool(asked.user == "system:serviceaccount:" + subject["namespace"] + ":" + subject["name"])


def rules_of(objects: list[Json], binding: Json) -> list[Json]:
    """The rules of the role that a binding binds; none where there is no such role."""
    for role in objects:
        if role["kind"] != binding["roleRef"]["kind"] or role["metadata"]["name"] != binding["roleRef"]["name"]:
            continue
        if role["kind"] == "Role" and role["metadata"]["namespace"] != binding["metadata"].get("namespace"):
            continue
        return list(role.get("rules") or [])
    return []


def rule_allows(rule: Json, asked: Question) -> bool:
    """Whether one rule allows what is asked."""
    if "*" not in rule["verbs"] and asked.verb not in rule["verbs"]:
        return False
    if asked.path:
        return any(url_covers(url, asked.path) for url in rule.get("nonResourceURLs") or [])
    if "*" not in (rule.get("apiGroups") or []) and asked.group not in (rule.get("apiGroups") or []):
        return False
    if not any(resource_covers(one, asked.resource) for one in rule.get("resources") or []):
        return False
    return not rule.get("resourceNames") or asked.name in rule["resourceNames"]


def url_covers(url: str, path: str) -> bool:
    """Whether a URL of a rule is a path, or the beginning of it where it ends with a star."""
    if url[-1] == "*":
        while url and url[-1] == "*":
            url = url[:-1]
        return path[: len(url)] == url
    return url == path


def resource_covers(allowed: str, resource: str) -> bool:
    """Whether a resource of a rule is the one that is asked for: `*`, itself, or `*/` and its subresource."""
    if allowed in {"*", resource}:
        return True
    main, slash, subresource = resource.partition("/")
    return bool(main and slash) and allowed == "*/" + subresource
