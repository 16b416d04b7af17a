"""The shape in which the Azure CLI prints resources, and the way back to the wire.

`az aks show` and most of its kin print a resource without its `properties` object: what stands in it on the wire is
moved up, in the sub-resources too, nulls are written out, and `resourceGroup` is added beside each id.

Source: the models of azure-mgmt-network 33.1 and azure-mgmt-containerservice 41.8 (tests hold the table against them),
and recorded scale sets.
"""

from typing import Any

from aks_audit.facts.resource_id import parse

ENVELOPE = frozenset(
    {
        "id", "name", "type", "location", "tags", "sku", "identity", "kind", "plan", "zones", "etag",
        "extendedlocation", "systemdata", "managedby", "placement",
    }
)  # fmt: skip
"""What stands beside `properties` on the wire, lower case."""

INSIDE = {
    "microsoft.containerservice/managedclusters/agentpools": frozenset({"tags", "etag"}),
    "microsoft.containerservice/managedclusters/agentpools/machines": frozenset({"tags", "etag"}),
    "microsoft.network/applicationgateways": frozenset({"sku"}),
    "microsoft.network/azurefirewalls": frozenset({"sku"}),
    "microsoft.network/firewallpolicies": frozenset({"sku"}),
    "microsoft.network/virtualnetworkgateways": frozenset({"sku"}),
}
"""Types whose `properties` hold what elsewhere stands beside them."""

PLAIN = {"microsoft.network/dnsresolvers/inboundendpoints": frozenset({"ipconfigurations"})}
"""Types with values that elsewhere are sub-resources, and there have no `properties` of their own."""

KNOWN = (
    "microsoft.containerservice/", "microsoft.network/", "microsoft.compute/virtualmachinescalesets",
    "microsoft.containerregistry/registries", "microsoft.authorization/roleassignments",
    "microsoft.managedidentity/userassignedidentities", "microsoft.insights/diagnosticsettings",
)  # fmt: skip
"""Beginnings of the types whose wire shape can be restored, lower case."""

SUB_RESOURCES = frozenset(
    {
        # virtual networks and subnets
        "applicationgatewayipconfigurations", "delegations", "flowlogs", "ipconfigurationprofiles",
        "networksecuritygroup", "privateendpoints", "resourcenavigationlinks", "routetable",
        "serviceassociationlinks", "serviceendpointpolicies", "serviceendpointpolicydefinitions", "subnet",
        "subnets", "virtualnetworkpeerings", "virtualnetworktap",
        # security groups and route tables
        "applicationsecuritygroups", "defaultsecurityrules", "destinationapplicationsecuritygroups",
        "networkinterfaces", "routes", "securityrules", "sourceapplicationsecuritygroups",
        # load balancers
        "backendaddresspools", "backendipconfigurations", "frontendipconfigurations", "inboundnatpools",
        "inboundnatrules", "loadbalancerbackendaddresses", "loadbalancingrules", "outboundrules", "probes",
        # interfaces, addresses, private endpoints and private link
        "ipconfiguration", "ipconfigurations", "linkedpublicipaddress", "loadbalancerbackendaddresspools",
        "loadbalancerfrontendipconfigurations", "loadbalancerinboundnatrules",
        "manualprivatelinkserviceconnections", "natgateway", "privateendpoint", "privateendpointconnections",
        "privatelinkservice", "privatelinkserviceconnections", "privatednszoneconfigs", "publicipaddress",
        "servicepublicipaddress", "tapconfigurations", "virtualnetworktaps",
        # firewalls and gateways
        "advancedroutingconditionsets", "advancedroutingmaps", "advancedroutingrules",
        "applicationrulecollections", "authenticationcertificates", "backendhttpsettingscollection",
        "backendsettingscollection", "entrajwtvalidationconfigs", "frontendports", "gatewayipconfigurations",
        "httplisteners", "listeners", "loaddistributionpolicies", "loaddistributiontargets",
        "managementipconfiguration", "natrulecollections", "natrules", "networkrulecollections", "pathrules",
        "privatelinkconfigurations", "redirectconfigurations", "requestroutingrules", "rewriterulesets",
        "routingrules", "sslcertificates", "sslprofiles", "trustedclientcertificates",
        "trustedrootcertificates", "urlpathmaps", "virtualnetworkgatewaypolicygroups",
        # scale sets
        "extensions", "networkinterfaceconfigurations", "publicipaddressconfiguration",
    }
)  # fmt: skip
"""Properties that hold sub-resources (one or a list), which have `properties` of their own on the wire, lower case."""

RENAMED = {"typepropertiestype": "type"}
"""Names that the Azure CLI gives where a property would clash with one beside it."""

_CHILD_ENVELOPE = frozenset({"id", "name", "type", "etag", "zones", "location", "tags", "sku"})

_ADDED_BY_LISTS = frozenset(
    {"createdtime", "changedtime", "provisioningstate", "resourcegroup", "tenantid", "subscriptionid"}
)


def bare(body: dict[str, Any]) -> bool:
    """Whether a body holds nothing but what every list of resources shows, and so was not read.

    Such lists show no etag, so a body with one was read, however little it holds.
    """
    listed = (ENVELOPE | _ADDED_BY_LISTS) - {"etag"}
    return all(value is None or key.lower() in listed for key, value in body.items())


def known(resource_type: str) -> bool:
    """Whether the wire shape of a type can be restored."""
    return resource_type.lower().startswith(KNOWN)


def restore(body: dict[str, Any], resource_type: str) -> dict[str, Any]:
    """Give a flattened body of a known type as on the wire; the spelling of its keys stays the Azure CLI's."""
    kind = resource_type.lower()
    return _wrap(body, ENVELOPE - INSIDE.get(kind, frozenset()), PLAIN.get(kind, frozenset()))


def _wrap(node: dict[str, Any], envelope: frozenset[str], plain: frozenset[str] = frozenset()) -> dict[str, Any]:
    there = {key: value for key, value in node.items() if value is not None and not _added(node, key)}
    whole = {key: _restored("" if key.lower() in plain else key, value) for key, value in there.items()}
    inside = {key for key in whole if key.lower() not in envelope}
    if not inside or any(key.lower() == "properties" for key in inside):
        return whole
    outside = {key: value for key, value in whole.items() if key not in inside}
    return outside | {"properties": {RENAMED.get(key.lower(), key): whole[key] for key in whole if key in inside}}


def _restored(key: str, value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if key.lower() == "tags":
        return value
    if isinstance(value, list):
        return [_restored(key, item) for item in value]
    if not isinstance(value, dict):
        return value
    if key.lower() in SUB_RESOURCES:
        return _wrap(value, _CHILD_ENVELOPE)
    return {name: _restored(name, item) for name, item in value.items() if item is not None and not _added(value, name)}


def _added(node: dict[str, Any], key: str) -> bool:
    """Whether a key is the group's name that the Azure CLI adds beside an id."""
    own = node.get("id")
    value = node[key]
    return (
        key.lower() == "resourcegroup"
        and isinstance(own, str)
        and isinstance(value, str)
        and parse(own).group.lower() == value.lower()
    )
