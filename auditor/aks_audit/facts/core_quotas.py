"""Facts about how many cores a subscription may have in a region, by the families of VM sizes.

Source: Microsoft.Compute/locations/usages 2025-11-01 as in the REST API reference. It is read only where a scan is
asked to (`--read quotas`), for the regions in which clusters are.
"""

import re
from typing import NamedTuple

from aks_audit.facts.field import View, number, parts, text
from aks_audit.facts.resource import AzureResource

ALL_CORES = "cores"
"""The quota of all cores of a region together, but for those of Spot machines."""

SPOT_CORES = "lowPriorityCores"
"""The one quota of Spot machines, of whatever family."""

_SIZE = re.compile(r"standard_(?P<letters>[a-z]+?)(?P<number>[0-9]+)(?P<features>[a-z]*)(?P<version>_v[0-9]+)?")
_OLD = frozenset({"d", "ds"})
"""The series whose numbers are no cores in their first two versions."""

_CORES = {1: 1, 2: 2, 3: 4, 4: 8, 5: 16, 11: 2, 12: 4, 13: 8, 14: 16, 15: 20}
"""The cores of D and DS machines of the first two versions.

Source: https://learn.microsoft.com/azure/virtual-machines/sizes/general-purpose/dsv2-series
"""

_OTHER = frozenset({"a", "g", "gs"})
"""The series whose numbers are no cores in their first version, and are not told here."""


class VMSize(NamedTuple):
    """What a VM size takes of quotas: so many cores of its family, by the quota's name in lower case."""

    family: str
    cores: int


def vm_size(name: str) -> VMSize | None:
    """The family and cores of a size, as its name tells; None where a name like this may tell something else.

    A family that is made of a name may be none of Azure's: only one that stands among the quotas is right. Sizes with
    an accelerator in their names, or with some of their cores switched off (`Standard_E8-2ds_v5`), are not told.
    Source: https://learn.microsoft.com/azure/virtual-machines/vm-naming-conventions
    """
    found = _SIZE.fullmatch(name.lower())
    if found is None:
        return None
    letters, figure, version = found["letters"], int(found["number"]), (found["version"] or "").strip("_")
    family = f"standard{letters}{found['features']}{version}family"
    if letters in _OLD and version in {"", "v2"}:
        return VMSize(family, _CORES[figure]) if figure in _CORES else None
    if letters in _OTHER and not version:
        return None
    return VMSize(family, figure)


class CoreUsage(View):
    """A quota of a region: its name, how much it allows, and how much of that is taken."""

    __slots__ = ()

    name = text("name.value")
    limit = number("limit")
    current_value = number("currentValue")


class ComputeUsages(AzureResource):
    """The quotas of a subscription for machines in a region."""

    __slots__ = ()

    TYPE = "Microsoft.Compute/locations/usages"

    usages = parts("value", CoreUsage)

    @classmethod
    def id_of(cls, subscription: str, region: str) -> str:
        """The id of the quotas of a subscription (its id's last part) in a region."""
        return f"/subscriptions/{subscription}/providers/Microsoft.Compute/locations/{region}/usages"
