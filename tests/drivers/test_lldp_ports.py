"""Where a neighbour is: local port numbers, addresses in every spelling, rows that are one neighbour or two."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.lldp import Interfaces, mac, natural, neighbours, own_port

PORTS = Interfaces({1: "swp1", 2: "swp2", 10: "eth0"}, {10: "mgmt"}, {2: "uplink"}, {1: "02:00:00:00:00:01"})


@pytest.mark.parametrize(
    ("number", "identifier", "description", "port"),
    [
        (612, b"swp1", b"", "swp1"),
        (612, b"", b"swp2", "swp2"),
        (612, b"uplink", b"", "swp2"),
        (612, b"mgmt", b"", "eth0"),
        (612, b"\x02\x00\x00\x00\x00\x01", b"", "swp1"),
        (612, b"02-00-00-00-00-01", b"", "swp1"),
        (612, b"2", b"", "swp2"),
        (2, None, None, "swp2"),
        (77, None, None, "port-77"),
        (1, b"unheard-of", b"", "unheard-of"),
    ],
)
def test_local_port_numbers_lead_to_names(
    number: int, identifier: bytes | None, description: bytes | None, port: str
) -> None:
    local = {"port": {(number,): identifier}, "description": {(number,): description}}
    assert own_port(number, {name: {k: v for k, v in t.items() if v} for name, t in local.items()}, PORTS) == port


def remote(rows: dict[tuple[int, ...], dict[str, object]]) -> dict[str, dict[tuple[int, ...], object]]:
    columns = ("chassis_subtype", "chassis", "port_subtype", "port", "port_description", "system")
    return {name: {index: row[name] for index, row in rows.items() if name in row} for name in columns}


def test_time_marks_do_not_multiply_neighbours() -> None:
    row = {"chassis_subtype": 4, "chassis": b"\x02\x00\x00\x00\x00\x99", "port_subtype": 5, "port": b"nic-0"}
    old, new = row | {"system": b"old"}, row | {"system": b"tray-01"}
    (found,) = neighbours(remote({(5, 1, 1): old, (900, 1, 1): new}), {}, PORTS)  # type: ignore[arg-type]
    assert (found.port, found.system, found.remote_port, found.chassis) == (
        "swp1",
        "tray-01",
        "nic-0",
        "02:00:00:00:00:99",
    )


def test_two_neighbours_on_one_port_are_both_there() -> None:
    firmware = {"port_subtype": 3, "port": b"\x02\x00\x00\x00\x00\x07"}
    system = {"port_subtype": 3, "port": b"02:00:00:00:00:07", "port_description": b"nic-0", "system": b"tray-01"}
    found = neighbours(remote({(0, 1, 0): firmware, (0, 1, 1): system}), {}, PORTS)  # type: ignore[arg-type]
    assert [(each.system, each.remote_port) for each in found] == [("", "02:00:00:00:00:07"), ("tray-01", "nic-0")]


@pytest.mark.parametrize(
    "raw",
    [b"\xe4\xf0\x04\xfb\x1f\xfb", b"e4:f0:04:fb:1f:fb", b"e4 f0 04 fb 1f fb", b"E4-F0-4-FB-1F-FB", b"e4f0.04fb.1ffb"],
)
def test_addresses_in_every_spelling(raw: bytes) -> None:
    assert mac(raw) == "e4:f0:04:fb:1f:fb"


@given(st.binary(max_size=24))
def test_no_octets_break_the_reading_of_an_address(raw: bytes) -> None:
    assert mac(raw) == "" or len(mac(raw)) == 17


def test_names_sort_as_people_count() -> None:
    assert sorted(["swp10", "swp2", "eth0", "swp1s3"], key=natural) == ["eth0", "swp1s3", "swp2", "swp10"]
