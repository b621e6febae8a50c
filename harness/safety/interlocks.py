"""Interlocks: conditions that must hold from the first contact to the last.

They are fed by the sampler on the rack loop and owe nothing to pytest. Silence counts: a watched quantity without a
good reading for longer than its `max_silence` trips where the model says so, and is told once in any case.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from harness.errors import DeviceError, Unreachable
from harness.journal.events import Tripped
from harness.limits import Limit
from harness.quantities import Sample
from harness.rack.definition import RackDefinition
from harness.rack.model import Interlock

WATCH_PERIOD = 0.1
"""Wall seconds between two looks at the silence of the watched quantities."""


@dataclass(frozen=True, slots=True)
class Trip:
    """An interlock that fired: its event, and how far `make_safe` has to go."""

    event: Tripped
    cut_power: str


class Interlocks:
    """All interlocks of a model over all their devices. Each fires at most once a subject."""

    def __init__(
        self,
        definition: RackDefinition,
        fire: Callable[[Trip], None],
        now: Callable[[], float] = time.monotonic,
        blind: Callable[[DeviceError], None] = lambda _error: None,
    ) -> None:
        self._fire = fire
        self._blind = blind
        self._now = now
        self._fired: set[tuple[str, str]] = set()
        self._told: set[tuple[str, str]] = set()
        self._watched = [
            (name, spec, entry.name)
            for name, spec in definition.model.interlocks.items()
            for entry in definition.role(spec.role)
        ]
        self._good: dict[tuple[str, str], float] = {}

    def arm(self) -> None:
        """Start counting silence for every watched quantity."""
        now = self._now()
        self._good = {(name, device): now for name, _, device in self._watched}

    def check(self, device: str, samples: Sequence[Sample]) -> None:
        """Judge one device's fresh samples."""
        for name, spec, watched in self._watched:
            if watched == device:
                self._check_one(name, spec, device, samples)

    def _check_one(self, name: str, spec: Interlock, device: str, samples: Iterable[Sample]) -> None:
        mine = [sample for sample in samples if sample.channel.quantity == spec.quantity]
        usable = [sample for sample in mine if sample.reading.usable]
        if mine and len(usable) == len(mine):
            self._good[name, device] = self._now()
        for sample in usable:
            try:
                value = sample.reading.to(spec.unit).number
            except ValueError:
                value = float("nan")
            low = float("-inf") if spec.min is None else spec.min
            high = float("inf") if spec.max is None else spec.max
            if not low <= value <= high:
                text = f"{sample.channel} is {value:g} {spec.unit}"
                self._trip(name, spec, sample.channel.subject, text, value)

    async def watch_silence(self) -> None:
        """Run until cancelled: trip on quantities that have gone without a good reading for too long."""
        while True:
            now = self._now()
            for name, spec, device in self._watched:
                silent = now - self._good.get((name, device), now)
                if silent <= spec.max_silence:
                    continue
                if spec.when_silent == "trip":
                    text = f"no good reading of {device}.{spec.quantity} for {silent:.1f} s"
                    self._trip(name, spec, device, text)
                elif (name, device) not in self._told:
                    self._told.add((name, device))
                    seen = f"no good reading for {silent:.1f} s"
                    advice = f"Interlock {name} saw nothing meanwhile: check the device and its sensors."
                    self._blind(Unreachable(device, f"watch {spec.quantity}", seen, advice))
            await asyncio.sleep(WATCH_PERIOD)

    def _trip(self, name: str, spec: Interlock, subject: str, text: str, value: float | None = None) -> None:
        """Fire once a subject; without a value it is silence that fired, and that is the rig's failing."""
        if (name, subject) in self._fired:
            return
        self._fired.add((name, subject))
        bounds = Limit(name, spec.unit, spec.source, spec.min, spec.max).describe()
        blames = "rig" if value is None else spec.blames
        finite = value if value is not None and math.isfinite(value) else None
        event = Tripped(name, subject, finite, spec.unit.value, bounds, blames, text, spec.advice)
        self._fire(Trip(event, spec.cut_power))
