"""Who made an appliance, as far as its name, its resource group, its tags or its plan tell.

Nothing is judged by it: whose an appliance is only helps a reader to find it. The words stand in a table with a date.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from aks_audit.facts import AzureResource, LoadBalancer, NetworkInterface, Unread, VirtualMachineScaleSet
from aks_audit.network.next_hops import Appliance


class Vendor(NamedTuple):
    """A vendor, and what shows that an appliance is one of theirs: `name`, `resource group`, `tags` or `plan`."""

    name: str
    shown_by: str

    def __str__(self) -> str:
        """In words."""
        return f"of {self.name}, by its {self.shown_by}"


def vendor_of(appliance: Appliance) -> Vendor | None:
    """Whose an appliance is; None where nothing that was read tells. What cannot be read tells nothing."""
    if not isinstance(appliance.resource, LoadBalancer | NetworkInterface):
        return None
    for resource in (appliance.resource, *_behind(appliance.resource)):
        for shown_by, text in _texts(resource):
            for name, words in _patterns().items():
                if words.search(text.lower()):
                    return Vendor(name, shown_by)
    return None


def _texts(resource: AzureResource) -> Iterator[tuple[str, str]]:
    yield "name", resource.name
    yield "resource group", resource.parsed.group
    tags = resource.node.get("tags")
    for key, value in tags.items() if isinstance(tags, Mapping) else ():
        yield "tags", f"{key} {value}"
    plan = resource.node.get("plan")
    if isinstance(plan, Mapping):
        yield "plan", " ".join(str(plan.get(key, "")) for key in ("publisher", "product", "name"))


def _behind(resource: AzureResource) -> Iterator[AzureResource]:
    """The interfaces and scale sets behind a load balancer that were read."""
    if not isinstance(resource, LoadBalancer):
        return
    try:
        pools = resource.backend_pools or ()
        links = [link.id for pool in pools for link in pool.ip_configurations or ()]
    except Unread:
        return
    for link in links:
        owner, scaled, _ = link.lower().partition("/virtualmachines/")
        kind = VirtualMachineScaleSet if scaled else NetworkInterface
        try:
            yield resource.estate.resource(kind, owner if scaled else link.lower().partition("/ipconfigurations/")[0])
        except Unread:
            continue


@cache
def _patterns() -> Mapping[str, re.Pattern[str]]:
    read = (files("aks_audit") / "data" / "vendors.toml").read_text(encoding="utf-8")
    vendors: dict[str, list[str]] = tomllib.loads(read)["vendors"]
    return {
        name: re.compile("|".join(rf"(?<![a-z]){re.escape(word)}(?![a-z])" for word in words))
        for name, words in vendors.items()
    }
