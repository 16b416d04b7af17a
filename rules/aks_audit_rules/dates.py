"""When support ends: what the one dated table, `data/dates.toml`, says, and of which day an audit is."""

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from importlib.resources import files

import msgspec

from aks_audit.facts import Estate, OSSku


class Component(StrEnum):
    """A component with a date of retirement."""

    HTTP_APPLICATION_ROUTING = "http-application-routing"
    BASIC_LOAD_BALANCER = "basic-load-balancer"
    AVAILABILITY_SET = "availability-set"
    POD_IDENTITY = "pod-identity"
    AZURE_NPM_WINDOWS = "azure-npm-windows"
    OPEN_SERVICE_MESH = "open-service-mesh"
    KUBENET = "kubenet"
    AZURE_NPM_LINUX = "azure-npm-linux"
    INGRESS_NGINX = "ingress-nginx"
    APP_ROUTING_NGINX = "app-routing-nginx"
    UNROTATED_KUBELET_CERTIFICATES = "unrotated-kubelet-certificates"


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """A table of the file; nothing in it goes unread."""


class Announcement(_Table, frozen=True, kw_only=True):
    """What is retired, the first day without support, what to do instead, and the address that announces it."""

    what: str
    date: dt.date
    action: str
    source: str


class Retirement(Announcement, frozen=True, kw_only=True):
    """The retirement of a component."""

    component: Component


class NodeImage(Announcement, frozen=True, kw_only=True):
    """The retirement of a node image: how names of its versions start, and OS SKUs that mean it alone."""

    images: tuple[str, ...]
    os_skus: tuple[OSSku, ...] = ()


class VMSeries(Announcement, frozen=True, kw_only=True):
    """The retirement of VM sizes: a pattern that a whole name of a size fits, in any case."""

    sizes: str


class Version(_Table, frozen=True):
    """A minor version of Kubernetes in AKS: when it came, and when community and long-term support end."""

    general: dt.date
    community: dt.date
    long_term: dt.date


class Calendar(_Table, frozen=True):
    """AKS's release calendar, as of a day: versions such as `1.34`, in their order."""

    source: str
    calendar: dt.date
    versions: dict[str, Version]


class Images(_Table, frozen=True):
    """Images of one publisher, with the first day without support of each of their lines."""

    names: tuple[str, ...]
    source: str
    lines: dict[str, dt.date]


class _Dates(_Table, frozen=True):
    as_of: dt.date
    kubernetes: Calendar
    retirement: tuple[Retirement, ...]
    node_image: tuple[NodeImage, ...]
    vm_series: tuple[VMSeries, ...]
    image: tuple[Images, ...]


_DATES = msgspec.toml.decode(files("aks_audit_rules").joinpath("data/dates.toml").read_bytes(), type=_Dates)

RETIREMENTS: Mapping[Component, Retirement] = {one.component: one for one in _DATES.retirement}
NODE_IMAGES = _DATES.node_image
VM_SERIES = _DATES.vm_series
CALENDAR = _DATES.kubernetes
IMAGES = _DATES.image


def day_of(estate: Estate) -> dt.date:
    """The day of the snapshot, so that the same snapshot always gives the same answer.

    A snapshot that does not say when it was made is judged by the day of the table.
    """
    return dt.date.fromisoformat(estate.as_of[:10]) if estate.as_of else _DATES.as_of
