"""The sampler reads at a cadence, reports a device lost once and back once, and never fills a gap."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from harness.clock import Clock
from harness.errors import DeviceError, Refused, Unreachable
from harness.quantities import Channel, Reading, Sample, Unit
from harness.telemetry.sampler import DeviceSampler, Watch

CHANNEL = Channel("meter-1", "input.power", Unit.WATT)


@dataclass
class Meter:
    """A device that answers, or fails, as its script says; it answers for ever after the script."""

    script: list[DeviceError | None]
    device: str = "meter-1"
    polling_floor: float = 0.001
    opened: int = 0
    asked: int = 0

    async def open(self) -> None:
        self.opened += 1

    async def close(self) -> None:
        """Nothing to let go of."""

    def channels(self) -> Sequence[Channel]:
        return (CHANNEL,)

    async def sample(self) -> Sequence[Sample]:
        self.asked += 1
        failure = self.script.pop(0) if self.script else None
        if failure is not None:
            raise failure
        return (Sample(CHANNEL, Reading(1.0, Unit.WATT, datetime.now(UTC))),)


@dataclass
class Told:
    """What the sampler told."""

    enough: int
    sampled: int = 0
    lost: list[DeviceError] = field(default_factory=list)
    back: list[float] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, _: str, samples: Sequence[Sample]) -> None:
        self.sampled += 1
        if self.sampled >= self.enough:
            self.done.set()

    def lose(self, _: str, error: DeviceError) -> None:
        self.lost.append(error)

    def see(self, _: str, silent: float) -> None:
        self.back.append(silent)


def run(meter: Meter, enough: int, *, opened: bool = True) -> tuple[Told, DeviceSampler]:
    """Sample until so many sweeps were taken, or the sampler gave up."""

    async def main() -> tuple[Told, DeviceSampler]:
        told = Told(enough)
        watch = Watch(told.take, told.lose, told.see)
        sampler = DeviceSampler(meter.device, meter, 0.001, Clock.real(), watch, opened)
        task = asyncio.create_task(sampler.run())
        waiting = asyncio.create_task(told.done.wait())
        await asyncio.wait([task, waiting], timeout=60, return_when=asyncio.FIRST_COMPLETED)
        for each in (task, waiting):
            each.cancel()
        await asyncio.gather(task, waiting, return_exceptions=True)
        return told, sampler

    return asyncio.run(main())


def silent() -> DeviceError:
    return Unreachable("meter-1", "read it", "no answer")


def test_one_hiccup_is_no_loss() -> None:
    told, sampler = run(Meter([None, silent(), None]), 3)
    assert told.lost == []
    assert sampler.coverage.due > sampler.coverage.taken


def test_a_device_is_lost_once_and_back_once() -> None:
    told, _ = run(Meter([None, silent(), silent(), silent(), silent(), None]), 3)
    assert len(told.lost) == 1
    assert len(told.back) == 1


def test_a_refused_device_is_not_asked_again() -> None:
    meter = Meter([Refused("meter-1", "log in", "wrong password")])
    told, _ = run(meter, 1)
    assert (meter.asked, told.sampled, len(told.lost)) == (1, 0, 1)


def test_a_device_that_could_not_be_opened_is_tried_again() -> None:
    meter = Meter([])
    told, _ = run(meter, 2, opened=False)
    assert meter.opened == 1
    assert told.sampled >= 2


def test_every_sweep_that_was_due_is_counted() -> None:
    _, sampler = run(Meter([silent(), silent(), None]), 1)
    assert sampler.coverage.due >= 3
    assert sampler.coverage.taken >= 1
