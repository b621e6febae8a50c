"""The sampler: one task a device, reading all its channels at the model's period for as long as the session lasts.

A device that stops answering is reported lost once and back once. Its gap is an event, never a filled-in value.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.capabilities import Telemetry
from harness.clock import Clock
from harness.connection import Driver
from harness.errors import DeviceError, Misbehaved, Refused, Unreachable
from harness.quantities import Quality, Reading, Sample

LOST_AFTER = 2
"""Failed sweeps in a row until a device counts as lost: one may be a hiccup."""
SWEEP_TIME = 4.0
"""Wall seconds for one sweep, and for opening a device again. One that takes longer is as good as silent: a watched
value that arrives later protects nobody (engineering judgement)."""


@dataclass(slots=True)
class Coverage:
    """How many sweeps of a device were due and how many were taken."""

    due: int = 0
    taken: int = 0


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
    _failures: int = 0
    _lost_at: float | None = None

    async def run(self) -> None:
        """Sweep at a fixed cadence; a late sweep is skipped and counted as due."""
        if not isinstance(self.driver, Telemetry):
            return
        step = max(self.period / self.clock.pace, self.driver.polling_floor)
        due = time.monotonic()
        while True:
            self.coverage.due += 1
            if not await self._sweep(self.driver):
                return
            due += step
            late = time.monotonic() - due
            if late > 0:
                missed = int(late // step)
                self.coverage.due += missed
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
            self._lose(Unreachable(self.name, "read its telemetry", seen, "Check its power and its network cable."))
            return True
        except Refused as error:
            # Asking again with a refused secret locks accounts: this device is out for the rest of the run.
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
        self._failures += 1
        if self._failures >= LOST_AFTER or not self.opened:
            self._lose(error)

    def _lose(self, error: DeviceError) -> None:
        if self._lost_at is None:
            self._lost_at = time.monotonic()
            self.watch.lost(self.name, error)


def _whole(source: Telemetry, samples: Sequence[Sample], clock: Clock) -> Sequence[Sample]:
    """The samples, and one of nothing for each channel that was left out: a sensor that is gone is not a good one."""
    left_out = set(source.channels()) - {sample.channel for sample in samples}
    now = clock.now()
    gone = (Sample(each, Reading(float("nan"), each.unit, now, Quality.ABSENT)) for each in sorted(left_out))
    return (*samples, *gone)
