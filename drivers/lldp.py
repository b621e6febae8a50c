"""LLDP neighbours out of the tables of LLDP-MIB (IEEE 802.1AB-2005) and LLDP-V2-MIB (802.1AB-2016). Pure; no I/O.

What real switches do to these tables (recorded walks): the first index, timeMark, changes all the time; localPortNum is
the ifIndex on most switches and something else on others; addresses come as six octets or as text in three spellings;
one port may have two neighbours, the firmware of a card and the operating system behind it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

from drivers.points import text
from drivers.transports.snmp import Oid, Value
from harness.capabilities import Neighbour

Table = Mapping[Oid, Value]
_MAC_TEXT = re.compile(r"^[0-9A-Fa-f]{1,2}([:\- ][0-9A-Fa-f]{1,2}){5}$|^[0-9A-Fa-f]{4}(\.[0-9A-Fa-f]{4}){2}$")
_CHASSIS_MAC, _CHASSIS_ADDRESS = 4, 5
"""LldpChassisIdSubtype; those not named here are names or texts and read as such."""
_PORT_MAC, _PORT_ADDRESS, _PORT_LOCAL = 3, 4, 7
"""LldpPortIdSubtype; likewise."""
_NOTHING = 0
_EMPTY: Table = {}


@dataclass(frozen=True, slots=True)
class Interfaces:
    """What IF-MIB tells of the switch's own ports, each by ifIndex."""

    names: Mapping[int, str]
    descriptions: Mapping[int, str]
    aliases: Mapping[int, str]
    addresses: Mapping[int, str]


def mac(raw: Value) -> str:
    """A hardware address as `aa:bb:cc:dd:ee:ff`, whether it came as six octets or as text; else an empty string."""
    if isinstance(raw, bytes) and len(raw) == 6 and not _MAC_TEXT.match(text(raw)):
        return raw.hex(":")
    spelt = text(raw)
    if not _MAC_TEXT.match(spelt):
        return ""
    digits = spelt.replace(".", "") if "." in spelt else "".join(part.zfill(2) for part in re.split("[: -]", spelt))
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2)).lower()


def network_address(raw: Value) -> str:
    """An IP address behind its IANA address family (IPv4 1, IPv6 2), as LLDP gives it; else an empty string."""
    if isinstance(raw, bytes) and (raw[:1], len(raw)) in ((b"\x01", 5), (b"\x02", 17)):
        return str(ipaddress.ip_address(raw[1:]))
    return ""


def own_port(number: int, local: Mapping[str, Table], ports: Interfaces) -> str:
    """The ifName of a localPortNum: by the port's own identifier where that leads anywhere, else by ifIndex."""
    identifier = local.get("port", _EMPTY).get((number,))
    description = text(local.get("description", _EMPTY).get((number,)))
    spelt, address = text(identifier), mac(identifier)
    for wanted in (spelt, description):
        for table in (ports.names, ports.descriptions, ports.aliases):
            found = [index for index, name in table.items() if wanted and name == wanted]
            if len(found) == 1:
                return ports.names.get(found[0], wanted)
    if address:
        found = [index for index, each in ports.addresses.items() if each == address]
        if len(found) == 1:
            return ports.names.get(found[0], address)
    if spelt.isdigit() and int(spelt) in ports.names:
        return ports.names[int(spelt)]
    if not spelt and not description and number in ports.names:
        return ports.names[number]
    return spelt or description or f"port-{number}"


def neighbours(remote: Mapping[str, Table], local: Mapping[str, Table], ports: Interfaces) -> tuple[Neighbour, ...]:
    """Every neighbour, ordered by port; of rows that differ in timeMark alone only the latest.

    `remote` and `local` hold the columns of lldpRemTable and lldpLocPortTable by the words of the profile.
    """
    latest: dict[tuple[int, int], Oid] = {}
    for index in sorted({index for table in remote.values() for index in table}):
        if len(index) == 3:
            latest[index[1], index[2]] = index  # timeMark, localPortNum, remIndex: sorted, so the latest one stays
    found = [_neighbour(remote, index, own_port(port, local, ports)) for (port, _), index in latest.items()]
    return tuple(sorted(found, key=lambda each: (natural(each.port), each.system, each.remote_port)))


def neighbours_v2(remote: Mapping[str, Table], local: Mapping[str, Table], ports: Interfaces) -> tuple[Neighbour, ...]:
    """Every neighbour of lldpV2RemTable, ordered by port; its rows count ports by ifIndex.

    The index is timeMark, ifIndex, destination address, remIndex: a neighbour that speaks to two of the three group
    addresses of 802.1AB (7.1) has a row for each, and is one neighbour.
    """
    latest: dict[tuple[int, int, int], Oid] = {}
    for index in sorted({index for table in remote.values() for index in table}):
        if len(index) == 4:
            latest[index[1], index[2], index[3]] = index
    found = {
        _neighbour(remote, index, ports.names.get(port) or own_port(port, local, ports))
        for (port, _, _), index in latest.items()
    }
    return tuple(sorted(found, key=lambda each: (natural(each.port), each.system, each.remote_port)))


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts `swp2` before `swp10`."""
    pieces = re.findall(r"\d+|\D+", name)
    return tuple((0, int(piece), "") if piece.isdigit() else (1, 0, piece) for piece in pieces)


def _neighbour(remote: Mapping[str, Table], index: Oid, port: str) -> Neighbour:
    def cell(column: str) -> Value:
        return remote.get(column, _EMPTY).get(index)

    raw, subtype = cell("chassis"), cell("chassis_subtype")
    address = mac(raw) if subtype == _CHASSIS_MAC else network_address(raw) if subtype == _CHASSIS_ADDRESS else ""
    return Neighbour(port, text(cell("system")), _remote_port(remote, index), address or text(raw))


def _remote_port(remote: Mapping[str, Table], index: Oid) -> str:
    """The name of the far port: its identifier, unless that is an address or a bare number and the description a name.

    lldpd by default sends the address of the interface as identifier and its name as description.
    """
    raw = remote.get("port", _EMPTY).get(index)
    subtype = remote.get("port_subtype", _EMPTY).get(index, _NOTHING)
    description = text(remote.get("port_description", _EMPTY).get(index))
    address = mac(raw) if subtype == _PORT_MAC else network_address(raw) if subtype == _PORT_ADDRESS else ""
    identifier = address or text(raw)
    opaque = subtype in (_PORT_MAC, _PORT_ADDRESS) or (subtype == _PORT_LOCAL and identifier.isdigit())
    looks_like_a_name = bool(description) and not any(character.isspace() for character in description)
    return description if opaque and looks_like_a_name else identifier
