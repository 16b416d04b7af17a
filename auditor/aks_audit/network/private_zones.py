"""Private DNS zones: where they are asked, and which of their records answers.

Sources: https://learn.microsoft.com/azure/dns/private-dns-privatednszone (of the zones that are linked to a network the
one with the longest suffix decides) and https://learn.microsoft.com/azure/dns/private-dns-virtual-network-links.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address

from aks_audit.facts import Malformed, VirtualNetwork
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
    for found in zone.links:
        if found.virtual_network and found.virtual_network.id.lower() == network.id.lower():
            return found
    zone.links.whole()
    return None


def linked_zone(network: VirtualNetwork, name: str) -> tuple[PrivateDnsZone, VirtualNetworkLink] | None:
    """The zone with the longest suffix of a name that is linked to a network, and its link."""
    zones = [zone for zone in network.estate.every(PrivateDnsZone) if zone.holds(name)]
    for zone in sorted(zones, key=lambda zone: (-len(zone.name), zone.id.lower())):
        bond = link_to(zone, network)
        if bond and bond.state is None:
            raise Malformed(bond.id, bond.at(VirtualNetworkLink.state).pointer, "a link without its state")
        if bond and bond.state is LinkState.COMPLETED:
            return zone, bond
    return None


def record_of(zone: PrivateDnsZone, name: str) -> ARecordSet | CNameRecordSet | None:
    """The record set that answers for a host name in its zone: the name's own, else a wildcard (RFC 4592), else None.

    Raises:
        NotCollected: it may be one that was not read.
    """
    relative = name.lower().removesuffix(zone.name.lower()).rstrip(".") or "@"
    sets: dict[str, ARecordSet | CNameRecordSet] = {one.name.lower(): one for one in zone.cname_records}
    sets.update({one.name.lower(): one for one in zone.a_records})
    if relative not in sets:
        zone.a_records.whole()
    return next((sets[one] for one in _that_answer(relative, sets) if one in sets), None)


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


def _that_answer(relative: str, sets: dict[str, ARecordSet | CNameRecordSet]) -> Iterator[str]:
    """The names of record sets that may answer: the name itself, and the wildcard of the nearest name that exists."""
    yield relative
    if _exists(relative, sets):
        return
    labels = relative.split(".")
    for count in range(1, len(labels)):
        parent = ".".join(labels[count:])
        if _exists(parent, sets):
            yield f"*.{parent}"
            return
    if relative != "@":
        yield "*"


def _exists(name: str, sets: dict[str, ARecordSet | CNameRecordSet]) -> bool:
    return any(one == name or one.endswith(f".{name}") for one in sets)
