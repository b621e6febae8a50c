"""Interlocks: conditions that must hold from the first contact to the last.

They are fed by the sampler on the rack loop and owe nothing to pytest. Silence counts: a watched quantity without a
good reading for longer than its `max_silence` trips where the model says so, and is told once in any case. What has
tripped stays so: a value that is good again takes nothing back.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.errors import DeviceError, Unreachable
from harness.journal.events import Tripped
from harness.limits import Limit
from harness.quantities import Sample
from harness.rack.definition import RackDefinition
from harness.rack.model import Interlock
from harness.safety.condition import Condition

WATCH_PERIOD = 0.1
"""Wall seconds between two looks at the silence of the watched quantities."""
STOOD_STILL = 1.0
"""Wall seconds by which a look is late that say that this process did not run: no device was silent because of that.
That the loop stands still is a condition of its own, and what the watchdog watches for."""
STATION = "station"
"""What the station is called as a device: it watches itself, too."""


@dataclass(frozen=True, slots=True)
class Trip:
    """An interlock that fired: its event, and how far `make_safe` has to go."""

    event: Tripped
    cut_power: str


@dataclass(frozen=True, slots=True)
class _Watched:
    name: str
    spec: Interlock
    device: str
    condition: Condition


class Interlocks:
    """All interlocks of a model over all their devices. Each fires at most once a subject.

    `check` may be called from any thread; `fire` is called in the one that saw the condition.
    """

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
        self._lock = threading.Lock()
        self._watched = [
            _Watched(name, spec, device, Condition(spec))
            for name, spec in definition.model.interlocks.items()
            for device in _devices(definition, spec)
        ]
        self._good: dict[tuple[str, str], float] = {}

    def arm(self) -> None:
        """Start counting silence for every watched quantity."""
        now = self._now()
        self._good = {(each.name, each.device): now for each in self._watched}

    def watches(self, device: str, quantity: str) -> bool:
        """Whether an interlock watches this quantity of a device."""
        return any(each.device == device and each.spec.quantity == quantity for each in self._watched)

    def check(self, device: str, samples: Sequence[Sample]) -> None:
        """Judge one device's fresh samples."""
        now = self._now()
        for each in self._watched:
            if each.device == device:
                with self._lock:
                    if each.condition.take(samples, now):
                        self._good[each.name, device] = now
                self._judge(each, now)

    async def watch_silence(self) -> None:
        """Run until cancelled: trip on quantities that have gone without a good reading for too long."""
        last = self._now()
        while True:
            now = self._now()
            if now - last > WATCH_PERIOD + STOOD_STILL:
                self._good = {key: good + now - last for key, good in self._good.items()}
            last = now
            for each in self._watched:
                self._judge(each, now)
                silent = now - self._good.get((each.name, each.device), now)
                if silent > each.spec.max_silence:
                    self._silent(each, silent)
            await asyncio.sleep(WATCH_PERIOD)

    def _silent(self, each: _Watched, silent: float) -> None:
        name, spec, device = each.name, each.spec, each.device
        if spec.when_silent == "trip":
            text = f"no good reading of {device}.{spec.quantity} for {silent:.1f} s"
            self._trip(name, spec, device, text)
        elif (name, device) not in self._told:
            self._told.add((name, device))
            seen = f"no good reading for {silent:.1f} s"
            advice = f"Interlock {name} saw nothing meanwhile: check the device and its sensors."
            self._blind(Unreachable(device, f"watch {spec.quantity}", seen, advice))

    def _judge(self, each: _Watched, now: float) -> None:
        with self._lock:
            found = list(each.condition.tripped(now))
        for outside in found:
            self._trip(each.name, each.spec, outside.subject, outside.text, outside.value)

    def _trip(self, name: str, spec: Interlock, subject: str, text: str, value: float | None = None) -> None:
        """Fire once a subject; without a value it is silence that fired, and that is the rig's failing."""
        with self._lock:
            if (name, subject) in self._fired:
                return
            self._fired.add((name, subject))
        bounds = Limit(name, spec.unit, spec.source, spec.min, spec.max).describe()
        blames = "rig" if value is None else spec.blames
        finite = value if value is not None and math.isfinite(value) else None
        event = Tripped(name, subject, finite, spec.unit.value, bounds, blames, text, spec.advice)
        self._fire(Trip(event, spec.cut_power))


def _devices(definition: RackDefinition, spec: Interlock) -> tuple[str, ...]:
    if spec.role == "station":
        return (STATION,)
    return tuple(entry.name for entry in definition.role(spec.role))
