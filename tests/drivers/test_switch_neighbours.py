"""Neighbours by LLDP-V2-MIB (IEEE 802.1AB-2016), where the first MIB of LLDP has none; read from net-snmp's agent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from drivers.lldp import Interfaces, neighbours_v2
from drivers.switch import connect
from harness.capabilities import Neighbour
from harness.connection import Connection, Secret

if TYPE_CHECKING:
    from tests.drivers.conftest import Agents

IF, IFX = "1.3.6.1.2.1.2.2.1", "1.3.6.1.2.1.31.1.1.1"
FIRST = "1.0.8802.1.1.2.1.4.1.1"
LATER_LOCAL, LATER = "1.3.111.2.802.1.1.13.1.3.7.1", "1.3.111.2.802.1.1.13.1.4.1.1"
ROOTS = ("1.3.6.1.2.1", "1.0.8802", "1.3.111.2.802")
NEAREST_BRIDGE, NEAREST_CUSTOMER_BRIDGE = 1, 3
"""Rows of lldpV2DestAddressTable: two of the group addresses of 802.1AB, table 7-1."""


def octets(words: str | bytes) -> list[str]:
    return ["octet", (words.encode() if isinstance(words, str) else words).hex(" ")]


def bench() -> dict[str, list[str]]:
    table = {
        "1.3.6.1.2.1.1.1.0": octets("Bench"),
        "1.3.6.1.2.1.1.2.0": ["objectid", ".1.3.6.1.4.1.99999"],
        "1.3.6.1.2.1.1.3.0": ["timeticks", "500000"],
    }
    for index, name in ((7, "swp1"), (8, "swp2")):
        table |= {f"{IF}.3.{index}": ["integer", "6"], f"{IFX}.1.{index}": octets(name)}
        table |= {f"{LATER_LOCAL}.2.{index}": ["integer", "5"], f"{LATER_LOCAL}.3.{index}": octets(name)}
    return table


def later(
    mark: int, interface: int, destination: int, number: int, system: str, port: str | bytes, described: str = ""
) -> dict[str, list[str]]:
    """One row of lldpV2RemTable: timeMark, ifIndex, destination address and number are its index."""
    index = f"{mark}.{interface}.{destination}.{number}"
    kind = "3" if isinstance(port, bytes) else "5"
    row = {f"{LATER}.5.{index}": ["integer", "4"], f"{LATER}.6.{index}": octets(b"\x02\x00\x00\x00\x00\x99")}
    row |= {f"{LATER}.7.{index}": ["integer", kind], f"{LATER}.8.{index}": octets(port)}
    return row | {f"{LATER}.9.{index}": octets(described or "-"), f"{LATER}.10.{index}": octets(system)}


def read(agents: Agents, table: dict[str, list[str]]) -> Sequence[Neighbour]:
    made = Connection(
        "switch-1",
        f"snmp://127.0.0.1:{agents.start(table, roots=ROOTS)}",
        secrets={"community": Secret("community", "public")},
        options={"version": 2, "timeout": 10.0},
        now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
    )

    async def run() -> Sequence[Neighbour]:
        switch = connect(made)
        try:
            await switch.open()
            return await switch.neighbours()
        finally:
            await switch.close()

    return asyncio.run(run())


def test_neighbours_of_the_later_mib_are_read_where_the_first_has_none(agents: Agents) -> None:
    table = bench() | later(0, 7, 1, 1, "tray-01", "nic-0")
    table |= later(90, 8, 1, 4, "tray-01", b"\x02\x00\x00\x00\x00\x07", "nic-1")
    assert read(agents, table) == (
        Neighbour("swp1", "tray-01", "nic-0", "02:00:00:00:00:99"),
        Neighbour("swp2", "tray-01", "nic-1", "02:00:00:00:00:99"),
    )


def test_one_neighbour_heard_at_two_group_addresses_is_one(agents: Agents) -> None:
    table = bench() | later(5, 7, NEAREST_BRIDGE, 1, "tray-01", "nic-0")
    table |= later(6, 7, NEAREST_CUSTOMER_BRIDGE, 2, "tray-01", "nic-0")
    assert [each.remote_port for each in read(agents, table)] == ["nic-0"]
    table |= later(7, 7, NEAREST_CUSTOMER_BRIDGE, 3, "tray-02", "nic-0")
    assert [each.system for each in read(agents, table)] == ["tray-01", "tray-02"]


def test_the_first_mib_alone_is_believed_where_it_has_neighbours(agents: Agents) -> None:
    table = bench() | later(0, 8, 1, 1, "elsewhere", "nic-9")
    for column, cell in ((6, ["integer", "5"]), (7, octets("nic-0")), (9, octets("tray-01"))):
        table[f"{FIRST}.{column}.0.7.1"] = cell
    assert [(each.port, each.system) for each in read(agents, table)] == [("swp1", "tray-01")]


def test_no_neighbour_in_either_is_none(agents: Agents) -> None:
    assert read(agents, bench()) == ()


def test_rows_of_another_shape_and_older_marks_are_no_neighbours() -> None:
    ports = Interfaces({7: "swp1"}, {}, {}, {})
    rows = {(5, 7, 1, 1): b"before", (9, 7, 1, 1): b"now", (0, 7, 1): b"short", (0, 99, 1, 1): b"lost"}
    found = neighbours_v2({"system": dict(rows)}, {}, ports)
    assert [(each.port, each.system) for each in found] == [("port-99", "lost"), ("swp1", "now")]
