"""The guard of one run: interlocks, making safe and the watchdog, in one hand.

Everything here happens on the rack's loop, unless it says otherwise, and owes nothing to the step that runs.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.clock import Clock
from harness.connection import Driver
from harness.each import end_within
from harness.errors import DeviceError
from harness.journal import events as e
from harness.loop import RackLoop, run_aside
from harness.quantities import Channel, Quality, Reading, Sample, Unit
from harness.rack.definition import RackDefinition
from harness.safety.interlocks import STATION, Interlocks, Trip
from harness.safety.make_safe import Safing, stronger
from harness.safety.watchdog import DarkOutlets, Watchdog
from harness.telemetry.window import Window

SAFING_TIME = 120.0
"""Wall seconds that the end of a run waits for making safe; every action in it has a box of its own."""
COOL_AGE = 60.0
"""Rack seconds after which a temperature no longer proves that an accelerator is cool."""
STATION_PERIOD = 1.0
"""Wall seconds between two looks of the station at itself."""
DISK_TIME = 4.0
"""Wall seconds for the disk to say how much of it is free; a file server that is gone never does."""


@dataclass(frozen=True, slots=True)
class Run:
    """What the guard needs of the run that it guards."""

    definition: RackDefinition
    drivers: Mapping[str, Driver]
    clock: Clock
    run_dir: Path
    window: Window
    loop: RackLoop
    opened: Collection[str]
    """Devices whose drivers are open; it grows."""
    record: Callable[[e.Event], None]
    blind: Callable[[DeviceError], None]
    halt: Callable[[str], None]
    """Cancel the present step and take no further one; from any thread."""
    stop: Callable[[str, str], None]
    """Stop the run, by whom and why; from any thread."""


@dataclass(slots=True)
class Guard:
    """Keeps one rack safe from the first contact to the last."""

    run: Run
    watchdog: Watchdog | None = None
    dark: DarkOutlets = field(init=False)
    interlocks: Interlocks = field(init=False)
    _safings: list[asyncio.Task[e.MadeSafe]] = field(default_factory=list)
    _actions: list[e.SafetyAction] = field(default_factory=list)
    _untold: list[e.Event] = field(default_factory=list)
    _cut: str = ""
    _given_up: str = ""

    def __post_init__(self) -> None:
        run, dog = self.run, self.watchdog
        self.dark = DarkOutlets() if dog is None else DarkOutlets(dog.darkened)
        self.interlocks = Interlocks(run.definition, self._on_trip, blind=run.blind)

    def arm(self) -> None:
        """Start to count silence, and watch the loop itself."""
        self.interlocks.arm()
        if self.watchdog is not None:
            self.watchdog.call(lambda why: self.run.stop("the watchdog", f"{why}; a run must not go on unwatched"))
        if self.interlocks.watches(STATION, "loop.stall"):
            self.run.loop.watch(self._on_stall)

    def works(self, stalls: Callable[[], Mapping[str, float]]) -> Mapping[str, Coroutine[Any, Any, None]]:
        """What has to run beside the plan, by name; `stalls` gives by how much the sampling of a device is overdue."""
        return {"interlocks": self.interlocks.watch_silence(), "station": self._watch_station(stalls)}

    def beats(self) -> Mapping[str, Coroutine[Any, Any, None]]:
        """The heartbeat, which has to run before anything is waited for: to connect to a rack may take long."""
        return {} if self.watchdog is None else {"watchdog": self.watchdog.beat()}

    def make_safe(self, reason: str, cut: str) -> None:
        """Start making safe, unless something at least as drastic is under way or was done, or the rack is lost."""
        if self._given_up:
            return
        running = [task for task in self._safings if not task.done()]
        if self._cut and stronger(self._cut, cut) == self._cut and (running or self._cut != "never"):
            return
        self._cut = stronger(self._cut, cut) if self._cut else cut
        if self.watchdog is not None:
            self.watchdog.cutting(self._cut)
        for task in running:
            task.cancel()  # it may be switching on again what has to go off now
        run = self.run
        safing = Safing(
            definition=run.definition,
            drivers=run.drivers,
            clock=run.clock,
            record=self._record,
            hottest=self._hottest,
            dark=self.dark,
            unopened=set(run.drivers) - set(run.opened),
        )
        self._safings.append(asyncio.get_running_loop().create_task(safing.run(reason, self._cut)))

    def give_up(self, why: str) -> None:
        """Send nothing more to the rack: another station holds it, and what runs there now is not ours to end."""
        if self._given_up:
            return
        self._given_up = why
        for task in self._safings:
            task.cancel()
        if self.watchdog is not None:
            self.watchdog.dismiss()
        self._record(e.MadeSafe(why, confirmed=False, unconfirmed=("rack: left to the station that holds it now",)))

    async def finish(self) -> None:
        """Make safe at the end of a run, wait until all of that is over, and relieve the watchdog."""
        self.make_safe("end of run", "never")
        while running := [task for task in self._safings if not task.done()]:
            if await end_within(SAFING_TIME, {"making safe": asyncio.wait(running)}):
                self._record(e.MadeSafe("end of run", confirmed=False, unconfirmed=("it did not end",)))
                break
        self._tell()
        for task in self._safings:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                self._record(e.MadeSafe("end of run", confirmed=False, unconfirmed=(f"it broke: {error}",)))
        if self.watchdog is not None:
            await asyncio.to_thread(self.watchdog.dismiss)

    def unconfirmed(self) -> list[str]:
        """What is not yet confirmed safe, for somebody who will not wait any longer; from any thread."""
        done = {(a.device, a.action) for a in self._actions if a.confirmed}
        left = [f"{a.device}: {a.action}" for a in self._actions if (a.device, a.action) not in done]
        hosts = [entry.name for entry in self.run.definition.role("host")]
        told = {device for device, _ in done} | {a.device for a in self._actions}
        if ("rack", "stop loads") not in done:
            left += [f"{name}: stop loads" for name in hosts if name not in told]
        return list(dict.fromkeys(left + [f"{outlet}: switch back on" for outlet in self.dark]))

    # --- what trips ----------------------------------------------------------------------------------------------

    def _on_trip(self, trip: Trip) -> None:
        event = trip.event
        why = f"interlock {event.interlock}: {event.text}"
        if self.run.loop.is_here:
            # The first command goes out before the disk has taken a line; `_record` keeps the order in the journal.
            self._untold.append(event)
            self.make_safe(f"interlock {event.interlock}", trip.cut_power)
            self.run.halt(why)
            asyncio.get_running_loop().call_later(0.0, self._tell)
            return
        # The loop stands still, and with it every driver: the watchdog has its own.
        if self.watchdog is not None:
            self.watchdog.relieve(why)
        self.run.record(event)
        self.run.loop.call_soon(self.make_safe, f"interlock {event.interlock}", trip.cut_power)
        self.run.halt(why)

    def _on_stall(self, seconds: float) -> None:
        """On the thread that watches the loop."""
        self.interlocks.check(STATION, [self._own("loop.stall", Unit.SECOND, seconds)])

    async def _watch_station(self, stalls: Callable[[], Mapping[str, float]]) -> None:
        while True:
            samples = [self._own("loop.stall", Unit.SECOND, 0.0)]
            samples += [self._own("sampler.stall", Unit.SECOND, by, device) for device, by in stalls().items()]
            if self.interlocks.watches(STATION, "disk.free"):
                samples.append(self._own("disk.free", Unit.OCTET, await self._free()))
            self.interlocks.check(STATION, samples)
            await asyncio.sleep(STATION_PERIOD)

    async def _free(self) -> float | None:
        """Free octets where the run is kept; None where that cannot be known."""
        try:
            async with asyncio.timeout(DISK_TIME):
                usage = await run_aside(lambda: shutil.disk_usage(self.run.run_dir))
            return float(usage().free)
        except (TimeoutError, OSError):
            return None

    def _own(self, quantity: str, unit: Unit, value: float | None, part: str = "") -> Sample:
        now = self.run.clock.now()
        known = Reading(0.0, unit, now, Quality.BAD) if value is None else Reading(value, unit, now)
        return Sample(Channel(STATION, quantity, unit, part), known)

    # --- what is recorded ----------------------------------------------------------------------------------------

    def _record(self, event: e.Event) -> None:
        self._tell()
        if isinstance(event, e.SafetyAction):
            self._actions.append(event)
        self.run.record(event)

    def _tell(self) -> None:
        """Put trips into the journal: before whatever came of them, but after that was set going."""
        while self._untold:
            self.run.record(self._untold.pop(0))

    def _hottest(self) -> float | None:
        found: list[float] = []
        window = self.run.window
        for tray in self.run.definition.role("compute_tray"):
            for channel in window.channels(tray.name, "accelerator.temperature"):
                sample = window.latest(channel)
                stale = window.age(channel, self.run.clock.now()) >= COOL_AGE
                if sample is None or stale or not sample.reading.usable:
                    return None
                found.append(sample.reading.number)
        return max(found, default=None)
