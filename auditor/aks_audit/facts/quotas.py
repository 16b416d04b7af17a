"""Facts about what a namespace may take of its cluster, and what its containers get that ask for nothing."""

from aks_audit.facts.field import View, named_texts, parts, text, texts
from aks_audit.facts.kubernetes import KubernetesObject


class ScopeRequirement(View):
    """What a quota asks of the pods that it counts."""

    __slots__ = ()

    scope_name = text("scopeName")


class ResourceQuota(KubernetesObject):
    """The most that the objects of a namespace may ask for together; with scopes, that some of its pods may."""

    __slots__ = ()

    TYPE = "resourcequotas"

    hard = named_texts("spec.hard")
    scope_list = texts("spec.scopes")
    scope_requirements = parts("spec.scopeSelector.matchExpressions", ScopeRequirement)

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes of the pods that it counts, in either form; none means all pods."""
        return frozenset({*(self.scope_list or ()), *(one.scope_name or "" for one in self.scope_requirements or ())})


class Limits(View):
    """Bounds and defaults for containers, pods or claims, as `type` says."""

    __slots__ = ()

    type = text("type")
    default = named_texts("default")
    default_request = named_texts("defaultRequest")


class LimitRange(KubernetesObject):
    """What admission demands of each container, pod or claim of a namespace, and gives to those that do not say."""

    __slots__ = ()

    TYPE = "limitranges"

    limits = parts("spec.limits", Limits)
