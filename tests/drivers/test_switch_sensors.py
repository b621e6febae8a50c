"""Every sensor of a switch with its thresholds: those of ENTITY-SENSOR-MIB and of the modules in its ports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from drivers.switch import connect
from harness.connection import Connection, Secret
from harness.quantities import Quality, Unit
from harness.sensors import Sensor, Sensors, Thresholds

if TYPE_CHECKING:
    from tests.drivers.conftest import Agents

IF, IFX = "1.3.6.1.2.1.2.2.1", "1.3.6.1.2.1.31.1.1.1"
ENTITY, SENSOR = "1.3.6.1.2.1.47.1.1.1.1", "1.3.6.1.2.1.99.1.1.1"
LIMITS = "1.3.6.1.4.1.30065.3.12.1.1.1"
SUPPLY, SENSED = 6, 8
"""Classes of entPhysicalTable."""


def octets(words: str) -> list[str]:
    return ["octet", words.encode().hex(" ")]


def bench() -> dict[str, list[str]]:
    """One port with a module, one supply, sensors of all kinds; as EOS shows them."""
    table = {
        "1.3.6.1.2.1.1.1.0": octets("Arista Networks EOS"),
        "1.3.6.1.2.1.1.2.0": ["objectid", ".1.3.6.1.4.1.30065.1"],
        "1.3.6.1.2.1.1.3.0": ["timeticks", "500000"],
        f"{IF}.3.1": ["integer", "6"],
        f"{IFX}.1.1": octets("Ethernet1"),
        f"{ENTITY}.5.20": ["integer", str(SUPPLY)],
        f"{ENTITY}.7.20": octets("PSU 1"),
    }
    rows = {
        # index: name, holder, type, scale, precision, value, status
        21: ("PSU 1 input power", 20, 6, 9, 0, 310, 1),
        22: ("PSU 1 input voltage", 20, 3, 9, 1, 0, 3),
        30: ("Inlet", 0, 8, 9, 1, 251, 1),
        31: ("Outlet", 0, 8, 9, 1, 0, 2),
        32: ("Fan", 0, 2, 9, 0, 34, 1),
        33: ("Fan", 0, 10, 9, 0, 5698, 1),
        40: ("DOM RX Power Sensor for Ethernet1", 0, 6, 8, 4, 5000, 1),
    }
    for index, (name, holder, *cells) in rows.items():
        table |= {f"{ENTITY}.5.{index}": ["integer", str(SENSED)], f"{ENTITY}.7.{index}": octets(name)}
        table[f"{ENTITY}.4.{index}"] = ["integer", str(holder)]
        table |= {f"{SENSOR}.{column}.{index}": ["integer", str(cell)] for column, cell in enumerate(cells, 1)}
    for index, levels in {21: (50, 0, 900, 1000), 30: (50, 0, 450, 550), 40: (1259, 1000, 15849, 19953)}.items():
        table |= {f"{LIMITS}.{column}.{index}": ["integer", str(raw)] for column, raw in enumerate(levels, 1)}
    return table


def read(agents: Agents, table: dict[str, list[str]], profile: str, *roots: str) -> dict[str, Sensor]:
    made = Connection(
        "switch-1",
        f"snmp://127.0.0.1:{agents.start(table, roots=('1.3.6.1.2.1', '1.0.8802', *roots))}",
        profile=profile,
        secrets={"community": Secret("community", "public")},
        options={"version": 2, "timeout": 10.0},
        now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
    )

    async def run() -> dict[str, Sensor]:
        switch = connect(made)
        assert isinstance(switch, Sensors)
        try:
            await switch.open()
            found = await switch.sensors()
        finally:
            await switch.close()
        assert [each.name for each in found] == sorted({each.name for each in found})
        return {each.name: each for each in found}

    return asyncio.run(run())


def test_sensors_have_their_unit_part_and_thresholds(agents: Agents) -> None:
    found = read(agents, bench(), "arista-eos", "1.3.6.1.4.1")
    power = found["PSU 1 input power"]
    assert (power.reading.number, power.reading.unit, power.part, power.healthy) == (310, Unit.WATT, "psu-1", True)
    assert power.thresholds == Thresholds(None, 0, 50, 900, 1000)
    inlet = found["Inlet"]
    assert (inlet.reading.number, inlet.reading.unit, inlet.part) == (25.1, Unit.CELSIUS, "")
    assert inlet.thresholds == Thresholds(None, 0, 5, 45, 55)


def test_a_sensor_that_is_broken_and_one_that_is_unavailable_are_told_apart(agents: Agents) -> None:
    found = read(agents, bench(), "arista-eos", "1.3.6.1.4.1")
    broken, away = found["PSU 1 input voltage"], found["Outlet"]
    assert (broken.reading.quality, broken.present, broken.healthy) == (Quality.BAD, True, False)
    assert (away.reading.quality, away.present, away.healthy) == (Quality.ABSENT, False, None)


def test_sensors_of_one_name_are_numbered_and_a_type_without_unit_has_none(agents: Agents) -> None:
    found = read(agents, bench(), "arista-eos", "1.3.6.1.4.1")
    first, second = found["Fan #1"], found["Fan #2"]
    assert (first.reading.unit, first.quantity) == (Unit.RATIO, "unknown")
    assert (second.reading.unit, second.reading.number) == (Unit.RPM, 5698)


def test_a_module_has_its_light_in_dbm_with_the_thresholds_of_its_maker(agents: Agents) -> None:
    light = read(agents, bench(), "arista-eos", "1.3.6.1.4.1")["Ethernet1 rx_power"]
    assert (light.part, light.reading.unit, light.present) == ("optic-Ethernet1", Unit.DECIBEL_MILLIWATT, True)
    assert light.reading.number == pytest.approx(-3.01, abs=0.01)
    levels = [light.thresholds.lower_critical, light.thresholds.lower_caution, light.thresholds.upper_caution]
    assert levels == pytest.approx([-10.0, -9.0, 2.0], abs=0.01)


def test_a_recorded_switch_lists_all_its_sensors(
    agents: Agents, recorded: Callable[[str], dict[str, list[str]]]
) -> None:
    table = recorded("switch/dell-sonic")
    types = [oid for oid in table if oid.startswith(f"{SENSOR}.1.")]
    found = read(agents, table, "sonic")
    assert len(found) == len(types) > 20
    assert {each.reading.unit for each in found.values()} >= {Unit.CELSIUS}
