"""The watch over a rack's telemetry: every device sampled, everything new handed on, and nothing unaccounted for.

All of it happens on the rack's loop, from the first contact to the last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.clock import Clock
from harness.connection import Driver
from harness.errors import DeviceError
from harness.evidence import Evidence
from harness.journal import events as e
from harness.quantities import Sample
from harness.rack.definition import RackDefinition
from harness.telemetry.sampler import DeviceSampler, LeakSampler, Watch
from harness.telemetry.window import Window


@dataclass(slots=True)
class RackWatch:
    """Watches one rack. `check` judges what is fresh before anything else is done with it: the interlocks."""

    definition: RackDefinition
    drivers: Mapping[str, Driver]
    clock: Clock
    evidence: Evidence
    check: Callable[[str, Sequence[Sample]], None]
    returned: Callable[[str], None]
    """Who is told that a device answers that was silent, or had never answered."""
    window: Window = field(default_factory=Window)
    lost: dict[str, DeviceError] = field(default_factory=dict)
    """Devices whose telemetry is silent at present, and why."""
    _samplers: dict[str, DeviceSampler] = field(default_factory=dict)
    _samples: dict[str, int] = field(default_factory=dict)

    def works(self, unopened: Mapping[str, DeviceError]) -> Mapping[str, Coroutine[Any, Any, None]]:
        """What has to run beside the plan, by name: a sampler a device, and the fast lanes of leak detectors."""
        sampling, watch = self.definition.model.sampling, Watch(self._on_samples, self._on_lost, self._on_back)
        for entry in self.definition.devices:
            if entry.role in sampling.periods:
                driver, period = self.drivers[entry.name], sampling.periods[entry.role]
                opened = entry.name not in unopened
                self._samplers[entry.name] = DeviceSampler(entry.name, driver, period, self.clock, watch, opened)
        lanes = [LeakSampler(each, sampling.leaks, self._on_leaks) for each in self._samplers.values()]
        works = {f"sampling {name}": sampler.run() for name, sampler in self._samplers.items()}
        works |= {f"leaks of {lane.sweeps.name}": lane.run() for lane in lanes if lane.needed}
        return works | {"sealing": self._seal_regularly()}

    def coverage(self, device: str, since: tuple[int, int] | None) -> tuple[int, int]:
        """Sweeps due and taken of a device, so far or since an earlier answer."""
        counted = self._samplers[device].coverage
        due, taken = since or (0, 0)
        return counted.due - due, counted.taken - taken

    def stalls(self) -> dict[str, float]:
        """By how many wall seconds the sampling of each device is overdue."""
        return {name: sampler.stall() for name, sampler in self._samplers.items()}

    def account(self) -> None:
        """Say of every device what became of its sweeps; once, when no more are taken."""
        for name, sampler in self._samplers.items():
            counted = sampler.coverage
            if counted.due or name in self._samples:
                samples = self._samples.get(name, 0)
                self.evidence.record(
                    e.TelemetryCounted(name, counted.due, counted.taken, counted.failed, counted.late, samples)
                )

    def _on_samples(self, device: str, samples: Sequence[Sample]) -> None:
        self.check(device, samples)
        self._keep(device, samples)

    def _on_leaks(self, device: str, samples: Sequence[Sample]) -> None:
        self.check(device, samples)
        if any(sample.reading.number > 0 for sample in samples):
            # What made the rack go dark is part of its telemetry; that it was dry four times a second is not.
            self._keep(device, samples)

    def _keep(self, device: str, samples: Sequence[Sample]) -> None:
        now = self.clock.now()
        self.window.add(samples, now)
        self._samples[device] = self._samples.get(device, 0) + len(samples)
        self.evidence.sampled(samples, now)

    def _on_lost(self, device: str, error: DeviceError) -> None:
        self.lost[device] = error
        self.evidence.record(e.DeviceLost(device, str(error)))

    def _on_back(self, device: str, silent: float) -> None:
        self.lost.pop(device, None)
        self.returned(device)
        self.evidence.record(e.DeviceBack(device, round(silent, 3)))

    async def _seal_regularly(self) -> None:
        while True:
            await asyncio.sleep(self.definition.model.sampling.segment)
            await asyncio.to_thread(self.evidence.seal)
