"""The sampler: one task a device, reading all its channels at the model's period for as long as the session lasts.

A device that stops answering is reported lost once and back once. Its gap is an event, never a filled-in value. Leak
detectors have a lane of their own: no slow sweep of other sensors delays what water does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.capabilities import LeakDetection, LeakState, Telemetry
from harness.clock import Clock
from harness.connection import Driver
from harness.errors import DeviceError, Misbehaved, Refused, Unreachable
from harness.quantities import Channel, Quality, Reading, Sample, Unit

LOST_AFTER = 2
"""Failed sweeps in a row until a device counts as lost: one may be a hiccup."""
SWEEP_TIME = 4.0
"""Wall seconds for one sweep, and for opening a device again. One that takes longer is as good as silent: a watched
value that arrives later protects nobody (engineering judgement)."""
LEAK_QUANTITY = "leak.wet"
LEAK_PAUSE = 1.0
"""Wall seconds without a reading of the leak detectors after one that failed: the sweep tells that a device is lost."""


@dataclass(slots=True)
class Coverage:
    """What became of the sweeps of a device: `due` is the sum of the others, but for one that is under way.

    `failed` gave nothing that could be used; `late` were not begun, since the one before took too long.
    """

    due: int = 0
    taken: int = 0
    failed: int = 0
    late: int = 0


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told what the sampler sees. All are called on the rack loop."""

    sampled: Callable[[str, Sequence[Sample]], None]
    lost: Callable[[str, DeviceError], None]
    back: Callable[[str, float], None]
    """Device and wall seconds of silence."""


@dataclass(slots=True)
class DeviceSampler:
    """Samples one device until cancelled. `opened` says whether its driver has been opened already."""

    name: str
    driver: Driver
    period: float
    """Rack seconds."""
    clock: Clock
    watch: Watch
    opened: bool
    coverage: Coverage = field(default_factory=Coverage)
    turned: float = field(default_factory=time.monotonic)
    """When a sweep last ended, well or not (monotonic)."""
    _failures: int = 0
    _lost_at: float | None = None
    _over: bool = False

    @property
    def step(self) -> float:
        """Wall seconds from one sweep to the next."""
        floor = self.driver.polling_floor if isinstance(self.driver, Telemetry) else 0.0
        return max(self.period / self.clock.pace, floor)

    def stall(self) -> float:
        """By how many wall seconds a sweep is overdue; 0 while there is none, and once the device is given up."""
        return 0.0 if self._over else max(0.0, time.monotonic() - self.turned - self.step)

    async def run(self) -> None:
        """Sweep at a fixed cadence; a late sweep is skipped and counted as due."""
        if not isinstance(self.driver, Telemetry):
            self._over = True
            return
        step = self.step
        due = time.monotonic()
        while True:
            self.coverage.due += 1
            try:
                goes_on = await self._sweep(self.driver)
            except asyncio.CancelledError:
                self.coverage.due -= 1  # the run is over before this one is
                raise
            self.turned = time.monotonic()
            if not goes_on:
                self._over = True
                return
            due += step
            late = time.monotonic() - due
            if late > 0:
                missed = int(late // step)
                self.coverage.due += missed
                self.coverage.late += missed
                due += missed * step
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _sweep(self, source: Telemetry) -> bool:
        try:
            async with asyncio.timeout(SWEEP_TIME):
                if not self.opened:
                    await self.driver.open()
                    self.opened = True
                samples = _whole(source, await source.sample(), self.clock)
        except TimeoutError:
            seen = f"no answer within {SWEEP_TIME:.0f} s"
            self.coverage.failed += 1
            self._lose(Unreachable(self.name, "read its telemetry", seen, "Check its power and its network cable."))
            return True
        except Refused as error:
            # Asking again with a refused secret locks accounts: this device is out for the rest of the run.
            self.coverage.failed += 1
            self._lose(error)
            return False
        except DeviceError as error:
            self._miss(error)
            return True
        except Exception as error:  # noqa: BLE001 - a driver that breaks is a device that is silent, not a task that is gone
            seen = f"its driver broke: {type(error).__name__}: {error}"
            self._miss(Misbehaved(self.name, "read its telemetry", seen, "Report it together with this journal."))
            return True
        self._failures = 0
        self.coverage.taken += 1
        if self._lost_at is not None:
            self.watch.back(self.name, time.monotonic() - self._lost_at)
            self._lost_at = None
        self.watch.sampled(self.name, samples)
        return True

    def _miss(self, error: DeviceError) -> None:
        self.coverage.failed += 1
        self._failures += 1
        if self._failures >= LOST_AFTER or not self.opened:
            self._lose(error)

    def _lose(self, error: DeviceError) -> None:
        if self._lost_at is None:
            self._lost_at = time.monotonic()
            self.watch.lost(self.name, error)


@dataclass(slots=True)
class LeakSampler:
    """Reads a device's leak detectors beside its sweeps until cancelled, and tells what can be judged.

    That they give nothing is for the sweeps to say: this lane is there to be early. The period is in wall seconds.
    """

    sweeps: DeviceSampler
    period: float
    told: Callable[[str, Sequence[Sample]], None]

    @property
    def needed(self) -> bool:
        """Whether the sweeps of this device alone would see a leak late."""
        return isinstance(self.sweeps.driver, LeakDetection) and self.sweeps.step > 2 * self.period

    async def run(self) -> None:
        """Read at the period, one reading at a time."""
        source, name = self.sweeps.driver, self.sweeps.name
        if not isinstance(source, LeakDetection):
            return
        while True:
            began, pause = time.monotonic(), self.period
            try:
                async with asyncio.timeout(SWEEP_TIME):
                    states = [leak.state for leak in await source.leaks()] if self.sweeps.opened else []
            except Refused:
                return
            except (TimeoutError, DeviceError):
                states, pause = [], LEAK_PAUSE
            except Exception:  # noqa: BLE001 - a driver that breaks is silent, and the sweep will say so
                states, pause = [], LEAK_PAUSE
            wet = sum(state in (LeakState.WET, LeakState.FAULT) for state in states)
            if wet or (states and LeakState.UNKNOWN not in states):
                reading = Reading(wet, Unit.COUNT, self.sweeps.clock.now())
                self.told(name, (Sample(Channel(name, LEAK_QUANTITY, Unit.COUNT), reading),))
            await asyncio.sleep(max(0.0, began + pause - time.monotonic()))


def _whole(source: Telemetry, samples: Sequence[Sample], clock: Clock) -> Sequence[Sample]:
    """The samples, and one of nothing for each channel that was left out: a sensor that is gone is not a good one."""
    left_out = set(source.channels()) - {sample.channel for sample in samples}
    now = clock.now()
    gone = (Sample(each, Reading(float("nan"), each.unit, now, Quality.ABSENT)) for each in sorted(left_out))
    return (*samples, *gone)
