"""LinkPorts and Inventory: what every switch owes, and what an independent reader makes of the recorded ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from drivers.lldp import natural
from harness.capabilities import Inventory, LinkPorts
from harness.quantities import Unit

if TYPE_CHECKING:
    from drivers.switch import Switch
    from tests.contracts.conftest import Witness

SUITE = ("switch",)
NEIGHBOURS = {"dell-sonic": 23, "cumulus_bgp": 0, "junos_qfx5130-32cd-evo": 0}
COUNTERS = {
    "octets_in": "ifInOctets",
    "octets_out": "ifOutOctets",
    "errors_in": "ifInErrors",
    "errors_out": "ifOutErrors",
}
MODULES = {"junos_qfx5130-32cd-evo": {"optic-et-0/0/0": "ADD8095B6271"}}
"""The Juniper recording gives every entity but one the class 0, which RFC 6933 does not have: no fans, no supplies."""


def test_ports_are_named_in_order_and_counted_in_whole_numbers(witness: Witness) -> None:
    witness.needs(LinkPorts)
    ports = witness.ask(lambda switch: switch.ports())
    names = [port.name for port in ports]
    assert names == sorted(names, key=natural)
    assert len(set(names)) == len(names) > 0
    for port in ports:
        assert {type(port.up)} <= {bool, type(None)}
        assert min(port.octets_in, port.octets_out, port.errors_in, port.errors_out) >= 0
        assert port.speed is None or (port.speed.unit is Unit.GIGABIT_PER_SECOND and port.speed.number > 0)
        assert port.epoch


def test_the_epoch_stands_while_nothing_was_reset(witness: Witness) -> None:
    async def question(switch: Switch) -> None:
        first = {port.name: port.epoch for port in await switch.ports()}
        assert {port.name: port.epoch for port in await switch.ports()} == first

    witness.ask(question)


def test_neighbours_are_on_ports_of_the_switch_in_order(witness: Witness) -> None:
    async def question(switch: Switch) -> None:
        found = await switch.neighbours()
        assert len(found) == NEIGHBOURS.get(witness.name, len(found))
        assert [each.port for each in found] == sorted((each.port for each in found), key=natural)
        assert {each.port for each in found} <= {port.name for port in await switch.ports()}
        for each in found:
            assert each.system or each.remote_port or each.chassis

    witness.ask(question)


def test_parts_are_named_by_kind_and_place(witness: Witness) -> None:
    witness.needs(Inventory)
    parts = witness.ask(lambda switch: switch.parts())
    assert len({part.name for part in parts}) == len(parts)
    assert all(part.name.startswith(f"{part.kind}-") for part in parts)
    assert {type(part.healthy) for part in parts} <= {bool, type(None)}
    optics = {part.name: part.serial for part in parts if part.kind == "optic"}
    assert optics == MODULES.get(witness.name, optics)


def test_a_recorded_switch_reads_as_the_independent_reader_reads_it(witness: Witness) -> None:
    """Every Ethernet port: state, speed and 64-bit counters; and the temperatures of optics."""
    if not witness.expected:
        pytest.skip("nobody else has read this device")
    rows = {row["ifName"]: row for row in witness.expected["ports"]["poller"]["ports"]}
    sensors = witness.sensors()

    async def question(switch: Switch) -> int:
        compared = 0
        for port in await switch.ports():
            row: dict[str, Any] = rows[port.name]
            assert row["ifType"] == "ethernetCsmacd"
            if row["ifOperStatus"] is not None:
                assert (port.up is True) == (row["ifOperStatus"] == "up"), port.name
            if row.get("ifSpeed") and port.speed is not None:
                assert port.speed.number == pytest.approx(row["ifSpeed"] / 1e9), port.name
            for ours, theirs in COUNTERS.items():
                if row.get(theirs) is not None:
                    assert getattr(port, ours) == row[theirs], (port.name, theirs)
            compared += 1
        for optic, diode in zip(await switch.optics(), switch.diodes, strict=True):
            expected = sensors.get(".".join(map(str, diode.oid)))
            if expected is not None:
                assert optic.reading.number == pytest.approx(expected["sensor_current"])
                assert optic.limits.high_critical == pytest.approx(expected["sensor_limit"])
                assert optic.limits.low_critical == pytest.approx(expected["sensor_limit_low"])
        missing = {name for name, row in rows.items() if row["ifType"] == "ethernetCsmacd"}
        assert len(missing) >= compared
        return compared

    assert witness.ask(question) >= 30
