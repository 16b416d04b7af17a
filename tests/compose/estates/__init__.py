"""The estates of `fixtures/estates`: whole environments after the guides behind the checklists, and others."""

from collections.abc import Callable, Mapping

from aks_audit.snapshot import Record
from compose.estates import (
    aks_create_defaults,
    aks_review_networking,
    aks_security_summit,
    api_server_vnet_integration,
    aviatrix_firenet_kubenet,
    azure_firewall_egress_2019,
    checkpoint_per_pod_egress,
    dns_forwarders,
    dns_resolver,
    dual_stack,
    modern_hardened,
    nat_gateway,
    network_isolated,
    shared_hub,
    virtual_wan,
)

ESTATES: Mapping[str, Callable[[], list[Record]]] = {
    "aks-create-defaults": aks_create_defaults.records,
    "aks-review-networking": aks_review_networking.records,
    "aks-security-summit": aks_security_summit.records,
    "api-server-vnet-integration": api_server_vnet_integration.records,
    "aviatrix-firenet-kubenet": aviatrix_firenet_kubenet.records,
    "azure-firewall-egress-2019": azure_firewall_egress_2019.records,
    "checkpoint-per-pod-egress": checkpoint_per_pod_egress.records,
    "dns-forwarders": dns_forwarders.records,
    "dns-resolver": dns_resolver.records,
    "dual-stack": dual_stack.records,
    "modern-hardened": modern_hardened.records,
    "nat-gateway": nat_gateway.records,
    "network-isolated": network_isolated.records,
    "shared-hub": shared_hub.records,
    "virtual-wan": virtual_wan.records,
}
