"""What the nodes of a cluster must reach: by AKS's own list, or by what is documented for its cloud and features.

Source: `data/required_egress.toml`, which names its own.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from typing import Literal, NamedTuple, TypeVar

import msgspec

from aks_audit.facts import AddOn, Malformed, ManagedCluster, NotCollected, OSType, View
from aks_audit.facts.egress import EndpointDependency, EndpointDetail, OutboundEndpoints
from aks_audit.network.firewall import KnownDestination

T = TypeVar("T")

Feature = Literal[
    "base",
    "public-api-server",
    "windows",
    "gpu",
    "defender",
    "container-insights",
    "managed-prometheus",
    "azure-policy",
]
"""What of a cluster needs egress."""

Cloud = Literal["public", "china", "us-government"]


class Egress(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """Names that a feature needs on a TCP port, and the tags of Azure that hold them."""

    cloud: Cloud
    feature: Feature
    names: tuple[str, ...]
    port: int
    fqdn_tags: tuple[str, ...]
    service_tags: tuple[str, ...]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    as_of: dt.date
    sources: tuple[str, ...]
    egress: tuple[Egress, ...]


_TABLE = msgspec.toml.decode(files("aks_audit").joinpath("data/required_egress.toml").read_bytes(), type=_Table)
REQUIRED = _TABLE.egress


class Need(NamedTuple):
    """One connection that nodes must be able to open: where to, and why."""

    name: str
    protocol: Literal["tcp", "udp"]
    port: int
    known: KnownDestination
    why: str

    def __str__(self) -> str:
        """The name and port."""
        return f"{self.name}:{self.port}" + ("/udp" if self.protocol == "udp" else "")


def _enabled(add_on: AddOn | None) -> bool:
    return bool(add_on and add_on.enabled)


_FEATURES: Mapping[Feature, Callable[[ManagedCluster], bool]] = {
    "base": lambda _cluster: True,
    "public-api-server": lambda cluster: not (cluster.enable_private_cluster or cluster.enable_vnet_integration),
    "windows": lambda cluster: any(pool.os_type is OSType.WINDOWS for pool in cluster.pools),
    "gpu": lambda cluster: any(_has_gpu(pool.vm_size or "") for pool in cluster.pools),
    "defender": lambda cluster: bool(cluster.defender_enabled or cluster.legacy_defender_enabled),
    "container-insights": lambda cluster: _enabled(cluster.oms_agent) or bool(cluster.container_insights_enabled),
    "managed-prometheus": lambda cluster: bool(cluster.monitor_metrics_enabled),
    "azure-policy": lambda cluster: _enabled(cluster.azure_policy),
}
"""Whether a cluster has a feature."""


def _has_gpu(vm_size: str) -> bool:
    return vm_size.lower().startswith(("standard_nc", "standard_nd", "standard_ng", "standard_nv"))


def needs(cluster: ManagedCluster) -> tuple[Need, ...]:
    """What the nodes of a cluster must reach: AKS's own list; the documented one only where nobody asked AKS.

    Raises:
        NotCollected: AKS was asked, and its list could not be read. It may hold more than the documented one.
        Malformed: the cluster does not name its region, or its API server, or AKS's list is not whole.
    """
    own = OutboundEndpoints.id_of(cluster)
    try:
        listed = cluster.estate.resource(OutboundEndpoints, own)
    except NotCollected:
        if cluster.estate.tried(OutboundEndpoints, own):
            raise
        return tuple(dict.fromkeys(_documented(cluster)))
    return tuple(dict.fromkeys(_listed(listed)))


def _documented(cluster: ManagedCluster) -> Iterator[Need]:
    location = _stated(cluster, cluster.location, "location").lower().replace(" ", "")
    for egress in REQUIRED:
        if egress.cloud != cloud_of(location) or not _FEATURES[egress.feature](cluster):
            continue
        known = _known(egress.service_tags, egress.fqdn_tags, location)
        for name in egress.names:
            if name == "{api-server}":
                written = _stated(cluster, cluster.fqdn, "properties.fqdn").lower()
            else:
                written = name.format(location=location)
            yield Need(written, "tcp", egress.port, known, egress.feature)


def _known(service_tags: tuple[str, ...], fqdn_tags: tuple[str, ...], location: str) -> KnownDestination:
    held = frozenset(tag.format(location=location).lower() for tag in service_tags)
    return KnownDestination(True, held, frozenset(map(str.lower, fqdn_tags)))  # noqa: FBT003 - a value, not a switch


def cloud_of(location: str) -> Cloud:
    """The Azure cloud that a region is in, by the region's name."""
    if location.startswith("china"):
        return "china"
    return "us-government" if location.startswith(("usgov", "usdod")) else "public"


def _listed(listed: OutboundEndpoints) -> Iterator[Need]:
    for category in _stated(listed, listed.categories, "value"):
        if "optional" in _stated(category, category.category, "category").lower():
            continue
        for endpoint in _stated(category, category.endpoints, "endpoints"):
            for detail in _stated(endpoint, endpoint.details, "endpointDetails"):
                yield _of_detail(endpoint, detail)


def _of_detail(endpoint: EndpointDependency, detail: EndpointDetail) -> Need:
    written = _stated(detail, endpoint.domain_name or detail.ip_address, "ipAddress").lower()
    protocol = _stated(detail, detail.protocol, "protocol").lower()
    port = _stated(detail, detail.port, "port")
    service_tags = _TAGS.get(written) if endpoint.domain_name else frozenset({written})
    known = KnownDestination(public=True, service_tags=service_tags, fqdn_tags=frozenset({"azurekubernetesservice"}))
    return Need(written, "udp" if protocol == "udp" else "tcp", port, known, "AKS's own list")


_TAGS = {
    name: frozenset(tag.lower() for tag in egress.service_tags)
    for egress in REQUIRED
    for name in egress.names
    if "{" not in name
}


def _stated(view: View, value: T | None, name: str) -> T:
    if value is None:
        raise Malformed(view.document.id, f"{view.pointer}/{name.replace('.', '/')}", f"it is without its {name}")
    return value
