"""Leak detectors are read beside the sweeps: a sweep that hangs does not hide water, and only what is known is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.capabilities import Leak, LeakState
from harness.clock import Clock
from harness.errors import DeviceError, Refused, Unreachable
from harness.quantities import Channel, Sample
from harness.telemetry.sampler import DeviceSampler, LeakSampler, Watch

Answer = Sequence[LeakState] | Exception


@dataclass
class Wetted:
    """A device whose sweep never ends, and whose detectors answer by a script; the last answer is given for ever."""

    script: list[Answer]
    device: str = "cdu-1"
    polling_floor: float = 60.0
    asked: int = 0

    async def open(self) -> None:
        """Always open."""

    async def close(self) -> None:
        """Never closed."""

    def channels(self) -> Sequence[Channel]:
        return ()

    async def sample(self) -> Sequence[Sample]:
        await asyncio.Event().wait()
        return ()

    async def leaks(self) -> Sequence[Leak]:
        self.asked += 1
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(answer, Exception):
            raise answer
        return [Leak(f"detector-{n}", state) for n, state in enumerate(answer)]


@dataclass
class Told:
    """What the lane told."""

    counts: list[float] = field(default_factory=list)

    def take(self, device: str, samples: Sequence[Sample]) -> None:
        (sample,) = samples
        assert (device, sample.channel.quantity) == ("cdu-1", "leak.wet")
        self.counts.append(sample.reading.number)


def read(script: list[Answer], until: Callable[[Wetted, Told], bool], *, opened: bool = True) -> tuple[Wetted, Told]:
    """Sample until something has happened, or the lane is given up."""

    async def main() -> tuple[Wetted, Told]:
        device, told = Wetted(script), Told()
        watch = Watch(lambda *_: None, lambda *_: None, lambda *_: None)
        sweeps = DeviceSampler("cdu-1", device, 60.0, Clock.real(), watch, opened)
        lane = LeakSampler(sweeps, 0.001, told.take)
        assert lane.needed
        tasks = [asyncio.create_task(sweeps.run()), asyncio.create_task(lane.run())]
        async with asyncio.timeout(60):
            while not until(device, told) and not tasks[1].done():
                await asyncio.wait(tasks, timeout=0.001)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return device, told

    return asyncio.run(main())


DRY, WET, FAULT, UNKNOWN = LeakState.DRY, LeakState.WET, LeakState.FAULT, LeakState.UNKNOWN


def test_water_is_seen_while_a_sweep_hangs() -> None:
    _, told = read([[DRY, DRY], [DRY, WET]], lambda _, told: 1.0 in told.counts)
    assert told.counts[0] == 0.0


def test_a_detector_in_fault_is_not_dry() -> None:
    read([[FAULT, WET]], lambda _, told: told.counts[-1:] == [2.0])


def test_one_that_is_wet_counts_whatever_the_others_do() -> None:
    read([[UNKNOWN, WET]], lambda _, told: told.counts[-1:] == [1.0])


def test_what_is_not_known_is_not_told() -> None:
    nothing: list[list[Answer]] = [[[UNKNOWN, DRY]], [[]], [Unreachable("cdu-1", "read", "silent")], [KeyError("x")]]
    for script in nothing:
        _, told = read(script, lambda device, _: device.asked >= 2)
        assert told.counts == []


def test_a_refused_device_is_not_asked_again() -> None:
    refusal: DeviceError = Refused("cdu-1", "log in", "wrong password")
    device, _ = read([refusal], lambda *_: False)
    assert device.asked == 1


def test_no_lane_where_the_sweeps_are_fast_enough() -> None:
    watch = Watch(lambda *_: None, lambda *_: None, lambda *_: None)
    device = Wetted([[DRY]], polling_floor=0.1)
    paced = Clock.real()
    fast = DeviceSampler("cdu-1", device, 0.4, paced, watch, opened=True)
    slow = DeviceSampler("cdu-1", device, 1.0, paced, watch, opened=True)
    assert not LeakSampler(fast, 0.25, lambda *_: None).needed
    assert LeakSampler(slow, 0.25, lambda *_: None).needed
