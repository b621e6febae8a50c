"""LLDP tables: every subtype, and each trap that recorded switches set."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from drivers.lldp import Interfaces, Table, neighbours, network_address, own_port
from drivers.transports.snmp import Oid, Value
from harness.capabilities import Neighbour

PORTS = Interfaces(
    {1: "swp1", 2: "swp2", 513: "et-0/0/3", 20: "ethernet1/1/25"},
    {1: "swp1", 2: "swp2", 513: "et-0/0/3", 20: "ethernet1/1/25"},
    {1: "fortyGigE0/0"},
    {1: "02:00:00:00:00:01", 2: "02:00:00:00:00:02"},
)
NIC: dict[str, Value] = {
    "chassis_subtype": 4,
    "chassis": b"\x02\x00\x00\x00\x00\x99",
    "port_subtype": 5,
    "port": b"nic-0",
}
Rows = Mapping[Oid, Mapping[str, Value]]


def found(rows: Rows, local: Mapping[str, Table] | None = None) -> tuple[Neighbour, ...]:
    columns = ("chassis_subtype", "chassis", "port_subtype", "port", "port_description", "system")
    remote = {name: {index: row[name] for index, row in rows.items() if name in row} for name in columns}
    return neighbours(remote, local or {}, PORTS)


@pytest.mark.parametrize("mark", [0, 1, 4_294_967_295])
def test_trap_time_mark_is_zero_or_large(mark: int) -> None:
    (one,) = found({(mark, 1, 5): NIC})
    assert (one.port, one.remote_port) == ("swp1", "nic-0")


def test_trap_time_mark_changes_between_columns_of_one_walk() -> None:
    """Junos, OS10, Aruba, SONiC: the row with the latest mark is the neighbour; older ones are no second ones."""
    (one,) = found({(7, 1, 5): NIC | {"system": b"before"}, (90, 1, 5): NIC | {"system": b"now"}})
    assert one.system == "now"


def test_trap_remote_index_zero() -> None:
    """Nexus 5000 counts neighbours from 0."""
    assert [each.port for each in found({(0, 1, 0): NIC, (0, 2, 0): NIC})] == ["swp1", "swp2"]


def test_trap_local_number_is_not_the_interface() -> None:
    """Dell OS10: 612 is ethernet1/1/25."""
    local: dict[str, Table] = {"port": {(612,): b"ethernet1/1/25"}}
    assert own_port(612, local, PORTS) == "ethernet1/1/25"


def test_trap_local_identifier_is_the_interface_number_as_text() -> None:
    """Junos: lldpLocPortId is `513`, the ifIndex in words."""
    local: dict[str, Table] = {"port": {(513,): b"513"}}
    assert own_port(513, local, PORTS) == "et-0/0/3"


@pytest.mark.parametrize("raw", [b"\x02\x00\x00\x00\x00\x02", b"02:00:00:00:00:02", b"02 00 00 00 00 02"])
def test_trap_local_identifier_is_an_address_in_three_spellings(raw: bytes) -> None:
    """Nexus 5000; six octets on EOS, colons on SONiC, spaces on DNOS."""
    assert own_port(4711, {"port": {(4711,): raw}}, PORTS) == "swp2"


def test_trap_local_identifier_is_an_alias() -> None:
    """SONiC: fortyGigE0/0 for a port whose ifName is another."""
    assert own_port(4711, {"port": {(4711,): b"fortyGigE0/0"}}, PORTS) == "swp1"


def test_trap_remote_port_is_a_number_of_the_far_end() -> None:
    """Junos sends subtype 7 and `2150`, its own ifIndex; the name is in the description."""
    (one,) = found({(0, 1, 1): NIC | {"port_subtype": 7, "port": b"2150", "port_description": b"et-0/0/7"}})
    assert one.remote_port == "et-0/0/7"


def test_trap_remote_port_is_an_address_and_its_name_the_description() -> None:
    """lldpd by default."""
    row = NIC | {"port_subtype": 3, "port": b"\x02\x00\x00\x00\x00\x07", "port_description": b"eth2"}
    assert [each.remote_port for each in found({(0, 1, 1): row})] == ["eth2"]


def test_trap_two_neighbours_on_one_port_are_both_kept() -> None:
    """The firmware of a card, and the operating system behind it (lldpd issue 502)."""
    assert len(found({(0, 1, 1): NIC, (0, 1, 2): NIC | {"system": b"tray-01"}})) == 2


def test_trap_a_neighbour_without_system_name_hides_no_other() -> None:
    """ConnectX firmware sends none, and agents leave the cell out (lldpd issue 392)."""
    both = found({(0, 1, 1): NIC, (0, 2, 1): NIC | {"system": b"tray-02"}})
    assert [(each.port, each.system) for each in both] == [("swp1", ""), ("swp2", "tray-02")]


@pytest.mark.parametrize(
    ("subtype", "raw", "spelt"),
    [
        (1, b"chassis-7", "chassis-7"),
        (2, b"uplink", "uplink"),
        (3, b"port-7", "port-7"),
        (4, b"\x02\x00\x00\x00\x00\x99", "02:00:00:00:00:99"),
        (4, b"02-00-00-00-00-99", "02:00:00:00:00:99"),
        (5, b"\x01\x0a\x00\x00\x07", "10.0.0.7"),
        (5, b"\x02" + bytes(15) + b"\x01", "::1"),
        (6, b"eth0", "eth0"),
        (7, b"4711", "4711"),
    ],
)
def test_every_subtype_of_a_chassis(subtype: int, raw: bytes, spelt: str) -> None:
    (one,) = found({(0, 1, 1): NIC | {"chassis_subtype": subtype, "chassis": raw}})
    assert one.chassis == spelt


@pytest.mark.parametrize(
    ("subtype", "raw", "spelt"),
    [
        (1, b"uplink", "uplink"),
        (2, b"module-1", "module-1"),
        (3, b"\x02\x00\x00\x00\x00\x07", "02:00:00:00:00:07"),
        (4, b"\x01\x0a\x00\x00\x07", "10.0.0.7"),
        (5, b"nic-0", "nic-0"),
        (6, b"circuit-9", "circuit-9"),
        (7, b"2150", "2150"),
    ],
)
def test_every_subtype_of_a_port(subtype: int, raw: bytes, spelt: str) -> None:
    (one,) = found({(0, 1, 1): NIC | {"port_subtype": subtype, "port": raw}})
    assert one.remote_port == spelt


@pytest.mark.parametrize("raw", [b"", b"\x01", b"\x01\x0a\x00\x00", b"\x03\x0a\x00\x00\x07", None, 7])
def test_what_is_no_network_address_is_none(raw: Value) -> None:
    assert network_address(raw) == ""
