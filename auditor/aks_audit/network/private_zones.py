"""Private DNS zones: where they are asked, and which of their records answers.

Sources: https://learn.microsoft.com/azure/dns/private-dns-privatednszone (of the zones that are linked to a network the
one with the longest suffix decides) and https://learn.microsoft.com/azure/dns/private-dns-virtual-network-links.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import NamedTuple

from aks_audit.facts import Estate, Malformed, VirtualNetwork
from aks_audit.facts.enumerations import LinkState
from aks_audit.facts.name_resolution import (
    ARecord,
    ARecordSet,
    CNameRecordSet,
    PrivateDnsZone,
    VirtualNetworkLink,
)
from aks_audit.network.flows import address_of


def link_to(zone: PrivateDnsZone, network: VirtualNetwork) -> VirtualNetworkLink | None:
    """The link, whatever its state, by which a private zone is asked in a network; None where there is none.

    Raises:
        NotCollected: none was read, and the zone may have others.
    """
    found, unread = zone.estate.once(_links, zone)
    bond = found.get(network.id.lower())
    if bond is None:
        if unread:
            _network_of(unread)  # raises what stops the search there
        zone.links.whole()
    return bond


def _links(zone: PrivateDnsZone) -> tuple[dict[str, VirtualNetworkLink], VirtualNetworkLink | None]:
    """The links of a zone by their network, up to the first whose network cannot be read, and that one."""
    found: dict[str, VirtualNetworkLink] = {}
    for one in zone.links:
        try:
            found.setdefault(_network_of(one), one)
        except Malformed:
            return found, one
    return found, None


def _network_of(bond: VirtualNetworkLink) -> str:
    return bond.virtual_network.id.lower() if bond.virtual_network else ""


def linked_zone(network: VirtualNetwork, name: str) -> tuple[PrivateDnsZone, VirtualNetworkLink] | None:
    """The zone with the longest suffix of a name that is linked to a network, and its link."""
    by_name = network.estate.indexed(_zones_by_name)
    labels = name.lower().split(".")
    zones = [zone for start in range(len(labels)) for zone in by_name.get(".".join(labels[start:]), ())]
    for zone in sorted(zones, key=lambda zone: (-len(zone.name), zone.id.lower())):
        bond = link_to(zone, network)
        if bond and bond.state is None:
            raise Malformed(bond.id, bond.at(VirtualNetworkLink.state).pointer, "a link without its state")
        if bond and bond.state is LinkState.COMPLETED:
            return zone, bond
    return None


def _zones_by_name(estate: Estate) -> dict[str, list[PrivateDnsZone]]:
    """All private zones by name in lower case; those of several teams may have the same."""
    found: dict[str, list[PrivateDnsZone]] = {}
    for zone in estate.every(PrivateDnsZone):
        found.setdefault(zone.name.lower(), []).append(zone)
    return found


def record_of(zone: PrivateDnsZone, name: str) -> ARecordSet | CNameRecordSet | None:
    """The record set that answers for a host name in its zone: the name's own, else a wildcard (RFC 4592), else None.

    Raises:
        NotCollected: it may be one that was not read.
    """
    relative = name.lower().removesuffix(zone.name.lower()).rstrip(".") or "@"
    records = zone.estate.once(_records, zone)
    if relative not in records.sets:
        zone.a_records.whole()
    return next((records.sets[one] for one in _that_answer(relative, records) if one in records.sets), None)


class _Records(NamedTuple):
    """The record sets of a zone by name in lower case, and all names that exist: theirs, and those above them."""

    sets: dict[str, ARecordSet | CNameRecordSet]
    names: frozenset[str]


def _records(zone: PrivateDnsZone) -> _Records:
    sets: dict[str, ARecordSet | CNameRecordSet] = {one.name.lower(): one for one in zone.cname_records}
    sets.update({one.name.lower(): one for one in zone.a_records})
    labels = [name.split(".") for name in sets]
    return _Records(sets, frozenset(".".join(one[start:]) for one in labels for start in range(len(one))))


def addresses_of(records: ARecordSet) -> frozenset[IPv4Address]:
    """The addresses of a record set.

    Raises:
        Malformed: the list is missing, or one of them is missing or no IPv4 address.
    """
    if records.records is None:
        raise Malformed(records.id, records.at(ARecordSet.records).pointer, "an A record without its list of addresses")
    return frozenset(_ipv4(record) for record in records.records)


def _ipv4(record: ARecord) -> IPv4Address:
    found = address_of(record, record.ipv4_address, record.at(ARecord.ipv4_address))
    if not isinstance(found, IPv4Address):
        raise Malformed(record.document.id, record.pointer, f"{found} is no IPv4 address")
    return found


def _that_answer(relative: str, records: _Records) -> Iterator[str]:
    """The names of record sets that may answer: the name itself, and the wildcard of the nearest name that exists."""
    yield relative
    if relative in records.names:
        return
    labels = relative.split(".")
    for count in range(1, len(labels)):
        parent = ".".join(labels[count:])
        if parent in records.names:
            yield f"*.{parent}"
            return
    if relative != "@":
        yield "*"
