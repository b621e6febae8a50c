"""Silence, look by look: what counts as heard, how long it may last, and what is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness.errors import DeviceError, Unreachable
from harness.quantities import Channel, Quality, Reading, Sample, Unit
from harness.rack.definition import RackDefinition
from harness.safety import interlocks as room
from harness.safety.interlocks import STATION, Interlocks, Trip
from tests.failopen.bench import FLOW, Bench

AT = datetime(2026, 11, 23, tzinfo=UTC)
LEAK = {
    "role": "cdu", "quantity": "leak.wet", "unit": "count", "max": 0, "blames": "rack", "max_silence": 10,
    "when_silent": "trip", "cut_power": "at_once", "advice": "Go and look.", "source": "test",
}  # fmt: skip
FLOWING = LEAK | {"quantity": "coolant.flow", "unit": "L/min", "max": None, "min": 5, "when_silent": "record"}
DISK = LEAK | {"role": "station", "quantity": "disk.free", "unit": "octet", "max": None, "min": 1}


class Over(Exception):
    """The clock has no further moment to give."""


class Watching:
    """Interlocks whose clock gives the moments of a script, one a question: a look asks once."""

    def __init__(self, rack: RackDefinition, *moments: float) -> None:
        self.trips: list[Trip] = []
        self.blind: list[DeviceError] = []
        self._moments: Iterator[float] = iter(moments)
        self.interlocks = Interlocks(rack, self.trips.append, self._now, self.blind.append)
        self.interlocks.arm()

    def _now(self) -> float:
        for moment in self._moments:
            return moment
        raise Over

    def look(self) -> Watching:
        """Look until the script ends."""
        with pytest.raises(Over):
            asyncio.run(self.interlocks.watch_silence())
        return self

    @property
    def tripped(self) -> list[str]:
        return [trip.event.text for trip in self.trips]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def turn(_seconds: float) -> None:
        """The script says what time it is."""

    monkeypatch.setattr(asyncio, "sleep", turn)


@pytest.fixture
def rack(tmp_path: Path) -> RackDefinition:
    return rack_of(tmp_path, leak=LEAK)


def rack_of(folder: Path, **interlocks: Any) -> RackDefinition:
    return Bench(folder).rack(FLOW, {"cdu-1": ["cdu"], "cdu-2": ["cdu"]}, interlocks=interlocks)


def sample(value: float, quality: Quality = Quality.GOOD, device: str = "cdu-1", at: datetime = AT) -> Sample:
    return Sample(Channel(device, "leak.wet", Unit.COUNT), Reading(value, Unit.COUNT, at, quality))


def looks(until: float) -> list[float]:
    """Moments of looks that follow each other as they should."""
    return [number / 2 for number in range(int(until * 2) + 1)]


def test_its_pace() -> None:
    """Ten looks a second; a second late is a process that did not run, and not a device that was silent."""
    assert (room.WATCH_PERIOD, room.STOOD_STILL) == (0.1, 1.0)


def test_what_is_watched_is_told(tmp_path: Path) -> None:
    watched = Interlocks(rack_of(tmp_path, leak=LEAK, disk=DISK), lambda _trip: None)
    assert watched.watches("cdu-1", "leak.wet")
    assert watched.watches(STATION, "disk.free")
    assert not watched.watches("cdu-1", "disk.free")
    assert not watched.watches(STATION, "leak.wet")
    assert not watched.watches("cdu-3", "leak.wet")


def test_silence_may_last_just_as_long_as_the_model_says(rack: RackDefinition) -> None:
    assert Watching(rack, 0.0, *looks(10.0)).look().tripped == []
    assert Watching(rack, 0.0, *looks(10.5)).look().tripped == [
        "no good reading of cdu-1.leak.wet for 10.5 s",
        "no good reading of cdu-2.leak.wet for 10.5 s",
    ]


def test_silence_is_the_rigs_failing_and_has_no_value(rack: RackDefinition) -> None:
    trip = Watching(rack, 0.0, *looks(11.0)).look().trips[0]
    assert (trip.event.blames, trip.event.value, trip.cut_power) == ("rig", None, "at_once")
    assert (trip.event.bounds, trip.event.unit, trip.event.advice) == ("≤ 0 count", "count", "Go and look.")


def test_a_good_reading_is_counted_from_anew_and_for_its_device_alone(rack: RackDefinition) -> None:
    watching = Watching(rack, 0.0, 8.0, *looks(17.0)[17:])
    watching.interlocks.check("cdu-1", [sample(0)])
    assert watching.look().tripped == ["no good reading of cdu-2.leak.wet for 10.5 s"]


def test_a_bad_reading_is_silence(rack: RackDefinition) -> None:
    watching = Watching(rack, 0.0, 8.0, *looks(17.0)[17:])
    watching.interlocks.check("cdu-1", [sample(0, Quality.BAD)])
    assert len(watching.look().tripped) == 2


def test_a_reading_counts_for_its_device_alone(rack: RackDefinition) -> None:
    watching = Watching(rack, 0.0, 1.0)
    watching.interlocks.check("cdu-3", [sample(1, device="cdu-3")])
    assert watching.trips == []


def test_before_it_is_armed_nothing_is_silent(rack: RackDefinition) -> None:
    trips: list[Trip] = []
    moments = iter([*looks(20.0)])

    def now() -> float:
        for moment in moments:
            return moment
        raise Over

    with pytest.raises(Over):
        asyncio.run(Interlocks(rack, trips.append, now).watch_silence())
    assert trips == []


def test_a_look_that_is_a_second_late_is_late_and_no_more(rack: RackDefinition) -> None:
    """Just as late as a busy machine may be: the devices were silent all the same."""
    assert len(Watching(rack, -10.0, 0.0, 1.1).look().tripped) == 2
    assert Watching(rack, -10.0, 0.0, 1.2).look().tripped == []


def test_the_time_in_which_nothing_ran_is_not_counted_but_the_rest_is(rack: RackDefinition) -> None:
    asleep = [*looks(6.0), 506.0, 507.0, 508.0, 509.0, 510.0]
    assert Watching(rack, 0.0, *asleep).look().tripped == []
    assert Watching(rack, 0.0, *asleep, 510.5).look().tripped[0] == "no good reading of cdu-1.leak.wet for 10.5 s"


def test_a_value_that_is_never_taken_back_trips_without_a_further_one(tmp_path: Path) -> None:
    watching = Watching(rack_of(tmp_path, leak=LEAK | {"samples": 2}), 0.0, 0.0, 0.0, *looks(10.0))
    watching.interlocks.check("cdu-1", [sample(1)])
    watching.interlocks.check("cdu-2", [sample(0, device="cdu-2")])
    assert watching.trips == []
    assert watching.look().tripped == ["cdu-1.leak.wet is 1 count"]
    assert watching.trips[0].event.value == 1.0


def test_silence_that_is_only_recorded_is_told_once_a_device(tmp_path: Path) -> None:
    watching = Watching(rack_of(tmp_path, flow=FLOWING), 0.0, *looks(12.0)).look()
    assert watching.trips == []
    assert [(type(error), error.device) for error in watching.blind] == [
        (Unreachable, "cdu-1"),
        (Unreachable, "cdu-2"),
    ]
    said = str(watching.blind[0])
    assert "watch coolant.flow" in said
    assert "no good reading for 10.5 s" in said
    assert "Interlock flow saw nothing meanwhile" in said


def test_who_asks_for_nothing_is_told_of_no_blindness(tmp_path: Path) -> None:
    trips: list[Trip] = []
    moments = iter([0.0, *looks(12.0)])

    def now() -> float:
        for moment in moments:
            return moment
        raise Over

    watched = Interlocks(rack_of(tmp_path, flow=FLOWING), trips.append, now)
    watched.arm()
    with pytest.raises(Over):
        asyncio.run(watched.watch_silence())
    assert trips == []


def test_each_fires_once_a_subject(rack: RackDefinition) -> None:
    watching = Watching(rack, 0.0, 0.0, 1.0, 2.0, *looks(12.0)[5:])
    watching.interlocks.check("cdu-1", [sample(1)])
    watching.interlocks.check("cdu-2", [sample(2, device="cdu-2")])
    watching.interlocks.check("cdu-1", [sample(0)])
    watching.look()
    assert [(trip.event.subject, trip.event.value, trip.event.blames) for trip in watching.trips] == [
        ("cdu-1", 1.0, "rack"),
        ("cdu-2", 2.0, "rack"),
    ]


def test_a_value_that_no_journal_takes_is_told_in_words(rack: RackDefinition) -> None:
    watching = Watching(rack, 0.0, 1.0)
    odd = Sample(Channel("cdu-1", "leak.wet", Unit.CELSIUS), Reading(1.0, Unit.CELSIUS, AT))
    watching.interlocks.check("cdu-1", [odd])
    (trip,) = watching.trips
    assert (trip.event.value, trip.event.blames, trip.event.text) == (None, "rack", "cdu-1.leak.wet is nan count")
