"""Facts about the policies that give Gateways of Application Gateway for Containers a web application firewall."""

from aks_audit.facts.application_gateway import WebApplicationFirewallPolicy
from aks_audit.facts.field import View, part, text, texts
from aks_audit.facts.kubernetes import KubernetesObject
from aks_audit.facts.link import link


class TargetReference(View):
    """The Gateway or HTTPRoute that a policy is for; with names of sections, for those listeners alone."""

    __slots__ = ()

    group = text("group")
    kind = text("kind")
    name = text("name")
    namespace = text("namespace")
    section_names = texts("sectionNames")


class FirewallObject(KubernetesObject):
    """A WebApplicationFirewallPolicy of the ALB Controller: it puts one of Azure's in front of a Gateway or a route."""

    __slots__ = ()

    TYPE = "webapplicationfirewallpolicies.alb.networking.azure.io"

    target = part("spec.targetRef", TargetReference)
    policy = link("spec.webApplicationFirewall.id", WebApplicationFirewallPolicy)
