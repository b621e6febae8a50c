"""Every sensor of every recorded tree, through the real drivers over TLS, against the files read plainly.

Nothing here knows the drivers' tables: what a sensor ought to read is worked out again from its JSON. Where a tree
contradicts itself, the test names the sensor and why.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from drivers.bmc import connect as connect_tray
from drivers.cdu import connect as connect_cdu
from drivers.power_shelf import connect as connect_shelf
from drivers.redfish_pdu import connect as connect_pdu
from harness.quantities import Quality
from harness.sensors import Sensor, Sensors

if TYPE_CHECKING:
    from tests.drivers.redfish_mockups.conftest import Connect, Mockup, Serve

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
AGE = 60.0
Json = dict[str, Any]
TREES: dict[str, tuple[Callable[..., Any], str, int]] = {
    "gb300-compute-tray": (connect_tray, "", 266),
    "public-liquid-cooled-server": (connect_tray, "", 42),
    "public-cooling-unit": (connect_cdu, "", 18),
    # The transfer switch of this tree is another device, with sensors of its own.
    "public-pdu": (connect_pdu, "Chassis/PDU/", 66),
    "public-power-shelf": (connect_shelf, "", 31),
}
"""Driver, where the sensors of its device are, and how many a person counted."""
SAYS: dict[str, tuple[str, float]] = {
    "Cel": ("degC", 1), "W": ("W", 1), "kW": ("W", 1000), "V": ("V", 1), "A": ("A", 1), "Hz": ("Hz", 1), "%": ("%", 1),
    "RPM": ("rpm", 1), "kPa": ("kPa", 1), "Pa": ("kPa", 1e-3), "L/min": ("L/min", 1), "kW.h": ("kWh", 1),
    "J": ("kWh", 1 / 3_600_000),
}  # fmt: skip
CONTRADICTIONS = {
    # An altitude in pascal: it is the air's pressure, and an altitude it is not.
    "Chassis/HGX_ProcessorModule_0/Sensors/HGX_ProcessorModule_0_AltitudePressure_0",
    "Chassis/HGX_ProcessorModule_1/Sensors/HGX_ProcessorModule_1_AltitudePressure_0",
    # A temperature in "C", which is coulomb in UCUM; degrees are "Cel".
    "Chassis/PDU/Sensors/CabTemp",
}
STALE = {
    # Stamped 2019 in trees that call it the present.
    "Chassis/1U/Sensors/CPU1Power",
    "Chassis/1U/Sensors/TotalPower",
    "Chassis/PDU/Sensors/PDUPower",
}
THRESHOLDS = {
    "LowerFatal": "lower_fatal", "LowerCritical": "lower_critical", "LowerCaution": "lower_caution",
    "UpperCaution": "upper_caution", "UpperCritical": "upper_critical", "UpperFatal": "upper_fatal",
}  # fmt: skip


def sensors_in(folder: Path, below: str) -> dict[str, Json]:
    """Every Sensor resource of a recorded tree, by its path below the service root."""
    found = {}
    for file in folder.rglob("index.json"):
        resource: Json = json.loads(file.read_text("utf-8"))
        path = file.parent.relative_to(folder).as_posix()  # two sensors of the power shelf bear paths of others
        if str(resource.get("@odata.type", "")).startswith("#Sensor.") and path.startswith(below):
            found[path] = resource
    return found


@pytest.fixture
def listed(serve: Serve, reach: Connect) -> Callable[..., tuple[Sensor, ...]]:
    """The sensors that a driver lists of a mock-up, read twice: first proven, then at the least cost."""

    def read(connect: Callable[..., Any], tree: Mockup, now: datetime = NOW) -> tuple[Sensor, ...]:
        async def scenario() -> tuple[Sensor, ...]:
            async with serve(tree):
                driver = connect(reach(tree, "x-1", now))
                try:
                    await driver.open()
                    assert isinstance(driver, Sensors)
                    first = await driver.sensors()
                    assert await driver.sensors() == first
                    return tuple(first)
                finally:
                    await driver.close()

        return asyncio.run(scenario())

    return read


@pytest.mark.parametrize("name", TREES)
def test_every_sensor_of_a_recorded_tree_is_read_right(
    name: str, recorded: Callable[[str], Mockup], listed: Callable[..., tuple[Sensor, ...]]
) -> None:
    connect, below, count = TREES[name]
    tree = recorded(name)
    assert tree.folder is not None
    wanted = sensors_in(tree.folder, below)
    assert len(wanted) == count
    found = {sensor.name: sensor for sensor in listed(connect, tree)}
    assert set(found) == set(wanted)
    for path, said in wanted.items():
        sensor, status = found[path], said.get("Status", {})
        assert sensor.present is (status.get("State") != "Absent"), path
        assert sensor.healthy is (None if not sensor.present else status["Health"] == "OK"), path
        assert sensor.quantity.split(" ")[0] == (said.get("ReadingType") or ""), path
        if not sensor.present:
            assert sensor.reading.quality is Quality.ABSENT, path
            assert math.isnan(sensor.reading.number), path
            continue
        quality = Quality.BAD if path in CONTRADICTIONS else Quality.STALE if path in STALE else Quality.GOOD
        assert sensor.reading.quality is quality, path
        unit, factor = SAYS.get(said["ReadingUnits"], ("degC", math.nan))
        assert sensor.reading.unit.value == unit, path
        assert sensor.reading.value == pytest.approx(said["Reading"] * factor, nan_ok=True), path
        for word, bound in THRESHOLDS.items():
            stated = said.get("Thresholds", {}).get(word, {}).get("Reading")
            told = getattr(sensor.thresholds, bound)
            scale = 1 if path in CONTRADICTIONS and math.isnan(factor) else factor
            assert told == (None if stated is None else pytest.approx(stated * scale)), (path, word)


def test_a_drive_that_is_not_there_is_not_critical(
    recorded: Callable[[str], Mockup], listed: Callable[..., tuple[Sensor, ...]]
) -> None:
    """The tray calls the temperatures of its eight empty bays Critical; nothing that is absent is well or ill."""
    absent = [each for each in listed(connect_tray, recorded("gb300-compute-tray")) if not each.present]
    assert len(absent) == 8
    assert {each.name.split("/")[1] for each in absent} == {"StorageBackplane_0", "StorageBackplane_1"}
    assert {each.healthy for each in absent} == {None}


def test_headroom_is_no_temperature(
    recorded: Callable[[str], Mockup], listed: Callable[..., tuple[Sensor, ...]]
) -> None:
    """TEMP_1 is the distance to the throttle limit, so its bounds are below zero; EnvironmentMetrics points at it."""
    found = {each.name: each for each in listed(connect_tray, recorded("gb300-compute-tray"))}
    for number in range(4):
        die, headroom = (found[f"Chassis/HGX_GPU_{number}/Sensors/HGX_GPU_{number}_TEMP_{at}"] for at in (0, 1))
        assert (die.quantity, die.part, die.thresholds.upper_caution) == ("Temperature", f"accelerator-{number}", 87.0)
        assert (headroom.quantity, headroom.part) == ("Temperature Headroom", f"accelerator-{number}")
        assert headroom.thresholds.lower_critical == -4.0


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("gb300-compute-tray", {"accelerator-0": 7, "accelerator-3": 7, "cpu-0": 84, "cpu-1": 84}),
        ("public-liquid-cooled-server", {"fan-1": 1, "fan-2": 1, "memory-0": 1}),
        ("public-power-shelf", {"psu-1": 12, "branch-A": 3, "main-AC1": 4}),
        ("public-pdu", {"outlet-B2": 4, "main-AC1": 17}),
        ("public-cooling-unit", {}),
    ],
)
def test_sensors_are_on_the_part_that_leads_to_them(
    name: str, parts: dict[str, int], recorded: Callable[[str], Mockup], listed: Callable[..., tuple[Sensor, ...]]
) -> None:
    found = [each.part for each in listed(TREES[name][0], recorded(name))]
    assert {part: found.count(part) for part in parts} == parts


def test_a_sensor_that_vanishes_is_still_listed(tree: Mockup, serve: Serve, reach: Connect) -> None:
    async def scenario() -> None:
        async with serve(tree):
            tray = connect_tray(reach(tree, "tray-01", NOW))
            await tray.open()
            del tree.tree["/redfish/v1/Chassis/Tray/Sensors/T"]
            power, temperature = await tray.sensors()
            assert (power.reading.value, power.part, power.reading.quality) == (700.0, "accelerator-0", Quality.GOOD)
            assert (temperature.name, temperature.reading.quality) == ("Chassis/Tray/Sensors/T", Quality.BAD)
            assert temperature.healthy is None
            await tray.close()

    asyncio.run(scenario())
