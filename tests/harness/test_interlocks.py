"""Interlocks trip on values, on units that cannot be right, and on silence; each once a subject."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import pytest

from harness.quantities import Channel, Quality, Reading, Sample, Unit
from harness.rack.definition import RackDefinition, offline_definition
from harness.rack.load import load_model
from harness.safety.interlocks import Interlocks, Trip

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture(scope="module")
def definition() -> RackDefinition:
    path = Path(str(files("test_plans"))) / "models" / "bench4.yaml"
    return offline_definition(load_model(path), path.name)


def _sample(device: str, quantity: str, value: float, unit: Unit, quality: Quality = Quality.GOOD) -> Sample:
    return Sample(Channel(device, quantity, unit), Reading(value, unit, NOW, quality))


def test_a_leak_trips_once_and_blames_the_rack(definition: RackDefinition) -> None:
    trips: list[Trip] = []
    watched = Interlocks(definition, trips.append)
    watched.arm()
    wet = _sample("cdu-1", "leak.wet", 1, Unit.COUNT)
    watched.check("cdu-1", [wet])
    watched.check("cdu-1", [wet])
    (trip,) = trips
    assert (trip.event.interlock, trip.event.subject, trip.event.blames) == ("coolant-leak", "cdu-1", "rack")
    assert trip.cut_power == "at_once"


def test_a_dry_rack_does_not_trip(definition: RackDefinition) -> None:
    trips: list[Trip] = []
    watched = Interlocks(definition, trips.append)
    watched.arm()
    watched.check("cdu-1", [_sample("cdu-1", "leak.wet", 0, Unit.COUNT)])
    watched.check("cdu-1", [_sample("cdu-1", "coolant.flow", 23.0, Unit.LITRE_PER_MINUTE)])
    assert not trips


def test_a_value_in_a_unit_that_cannot_be_converted_trips(definition: RackDefinition) -> None:
    trips: list[Trip] = []
    watched = Interlocks(definition, trips.append)
    watched.arm()
    watched.check("cdu-1", [_sample("cdu-1", "coolant.flow", 23.0, Unit.CELSIUS)])
    assert [trip.event.interlock for trip in trips] == ["loss-of-flow"]


@pytest.mark.parametrize("quality", [Quality.BAD, Quality.STALE, Quality.ABSENT])
def test_a_reading_without_quality_counts_as_silence(definition: RackDefinition, quality: Quality) -> None:
    moment = [0.0]
    trips: list[Trip] = []
    watched = Interlocks(definition, trips.append, lambda: moment[0])
    watched.arm()
    moment[0] = 1000.0
    watched.check("cdu-1", [_sample("cdu-1", "leak.wet", 0, Unit.COUNT, quality)])
    _look_once(watched)
    blamed = {trip.event.interlock: trip.event.blames for trip in trips}
    assert blamed["coolant-leak"] == "rig"


def test_silence_of_a_recorded_quantity_does_not_trip(definition: RackDefinition) -> None:
    moment = [0.0]
    trips: list[Trip] = []
    watched = Interlocks(definition, trips.append, lambda: moment[0])
    watched.arm()
    moment[0] = 1000.0
    _look_once(watched)
    assert {trip.event.subject for trip in trips} == {"cdu-1", "station"}


def test_a_station_that_did_not_run_finds_no_device_silent(definition: RackDefinition) -> None:
    moments = iter([0.0, 0.0, 500.0, 500.1, 500.2])
    seen: list[float] = []
    trips: list[Trip] = []

    def now() -> float:
        seen.append(next(moments, 500.3))
        return seen[-1]

    watched = Interlocks(definition, trips.append, now)
    watched.arm()

    async def look() -> None:
        task = asyncio.get_running_loop().create_task(watched.watch_silence())
        async with asyncio.timeout(60):
            while len(seen) < 5:
                await asyncio.wait([task], timeout=0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(look())
    assert not trips


def _look_once(watched: Interlocks) -> None:
    async def look() -> None:
        task = asyncio.get_running_loop().create_task(watched.watch_silence())
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(look())
