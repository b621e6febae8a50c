"""The station's looks at itself: its disk, its sampler, and whether every accelerator is proven cool."""

from __future__ import annotations

import asyncio
import shutil
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.journal import events as e
from harness.quantities import Channel, Quality, Reading, Sample, Unit
from harness.safety import guard as room
from harness.safety.guard import Guard
from tests.failopen.bench import FLOW, Bench
from tests.harness.safety.scene import NOW, OWN, SAMPLER, STALL, Scene


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(room, "DISK_TIME", 60.0)
    own = {"disk": OWN, "stall": STALL, "sampler": SAMPLER}
    return Scene(Bench(tmp_path).rack(FLOW, interlocks=own), run_dir=tmp_path)


@pytest.fixture
def plain(tmp_path: Path) -> Scene:
    """Of a rack that watches nothing."""
    return Scene(Bench(tmp_path).rack(FLOW), run_dir=tmp_path)


def looks(scene: Scene, stalls: dict[str, float]) -> list[e.Tripped]:
    """Have the station look at itself once."""

    async def look(guard: Guard) -> None:
        guard.arm()
        task = asyncio.create_task(guard._watch_station(lambda: stalls))
        before = len(scene.said)
        async with asyncio.timeout(60):
            while scene.clock.asked < 2 + len(stalls):  # noqa: ASYNC110 - what it waits for is a thread
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, *guard._safings, return_exceptions=True)
        assert before == 0

    scene.clock = Counting()
    return [each for each in scene.do(look) if isinstance(each, e.Tripped)]


@dataclass
class Counting:
    """Rack time, and how often it was asked for: once a sample."""

    asked: int = 0
    pace: float = 1.0

    def now(self) -> datetime:
        self.asked += 1
        return NOW


def test_a_healthy_station_does_not_trip(scene: Scene) -> None:
    assert looks(scene, {"cdu-1": 0.1}) == []


def test_a_sampler_that_is_overdue_trips_by_its_device(scene: Scene) -> None:
    (tripped,) = looks(scene, {"tray-01": 0.1, "cdu-1": 6.0})
    assert (tripped.interlock, tripped.subject, tripped.value) == ("sampler", "station/cdu-1", 6.0)


def test_a_full_disk_trips(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def usage(path: object) -> object:
        asked.append(path)
        return SimpleNamespace(free=9)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    (tripped,) = looks(scene, {})
    assert (tripped.interlock, tripped.value, tripped.unit) == ("disk", 9.0, "octet")
    # A machine that is busy may have it look again.
    assert set(asked) == {scene.run_dir}


def test_a_disk_that_cannot_be_asked_gives_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def usage(_: object) -> object:
        raise OSError("gone")

    monkeypatch.setattr(shutil, "disk_usage", usage)

    async def ask(guard: Guard) -> None:
        assert await guard._free() is None
        sample = guard._own("disk.free", Unit.OCTET, None)
        assert (sample.reading.usable, sample.reading.quality) == (False, Quality.BAD)
        assert sample.reading.value == 0.0

    scene.do(ask)


def test_a_disk_that_never_answers_is_not_waited_for(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    end = threading.Event()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: end.wait(60))
    monkeypatch.setattr(room, "DISK_TIME", 0.01)

    async def ask(guard: Guard) -> None:
        assert await guard._free() is None
        end.set()

    scene.do(ask)


def hot(part: int, value: float, age: float, quality: Quality = Quality.GOOD) -> Sample:
    at = NOW - timedelta(seconds=age)
    channel = Channel("tray-01", "accelerator.temperature", Unit.CELSIUS, f"accelerator-{part}")
    return Sample(channel, Reading(value, Unit.CELSIUS, at, quality))


@pytest.mark.parametrize(
    ("samples", "hottest"),
    [
        ([], None),
        ([hot(0, 40, 0), hot(1, 45, 0)], 45.0),
        ([hot(0, 45, 59.9), hot(1, 40, 0)], 45.0),
        ([hot(0, 40, 60.0), hot(1, 45, 0)], None),
        ([hot(0, 40, 0), hot(1, 45, 0, Quality.BAD)], None),
    ],
    ids=["none", "the hottest", "just fresh enough", "one is stale", "one is bad"],
)
def test_only_fresh_readings_of_all_accelerators_prove_that_it_is_cool(
    plain: Scene, samples: list[Sample], hottest: float | None
) -> None:
    plain.clock = Counting()
    plain.window.add(samples)
    assert plain.guard()._hottest() == hottest
