"""The session: one rack, open. It owns the loop, the journal, telemetry and safety; the only stateful object of a run.

It composes and does little itself: steps run through `run_step`, everything that happens becomes an event.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import platform
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from harness.capabilities import Workload
from harness.clock import Clock
from harness.connection import Driver
from harness.each import each
from harness.errors import DeviceError, RackproofError
from harness.journal import events as e
from harness.journal.reader import read_journal
from harness.journal.writer import JournalFailure, JournalWriter
from harness.limits import Judgement, judge
from harness.loop import RackLoop
from harness.observing import Audience, Observer
from harness.quantities import Reading, Sample, Value
from harness.rack.definition import RackDefinition
from harness.safety.interlocks import Interlocks, Trip
from harness.safety.make_safe import Safing, stronger
from harness.telemetry.sampler import DeviceSampler, Watch
from harness.telemetry.segments import SegmentWriter
from harness.telemetry.window import Window
from harness.verdict import Verdict, fold

T = TypeVar("T")

PACKAGES = ("rackproof", "pytest", "redfish", "pysnmp", "pymodbus", "pyserial", "paramiko", "duckdb")
COOL_AGE = 60.0
"""Rack seconds after which a temperature no longer proves that an accelerator is cool."""


@dataclass(frozen=True, slots=True)
class Setup:
    """All that a session is made of, prepared and checked before anything is contacted."""

    definition: RackDefinition
    drivers: Mapping[str, Driver]
    tiers: Mapping[str, str]
    clock: Clock
    run_id: str
    run_dir: Path
    operator: str = ""


class RackSession:
    """One rack from first contact to the last event."""

    def __init__(self, setup: Setup, observers: Sequence[Observer]) -> None:
        self.definition = setup.definition
        self.clock = setup.clock
        self.window = Window()
        self.failure: RackproofError | None = None
        """Why no evidence can be kept any more, such as a full disk."""
        self._setup = setup
        self._audience = Audience(observers)
        self._journal = JournalWriter(setup.run_dir / "journal.jsonl", setup.clock)
        self._journal.subscribe(self._audience.entry)
        self._segments = SegmentWriter(setup.run_dir, self.record)
        self._interlocks = Interlocks(self.definition, self._on_trip)
        self._loop = RackLoop()
        self._samplers: dict[str, DeviceSampler] = {}
        self._unopened: dict[str, DeviceError] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._safings: list[asyncio.Task[object]] = []
        self._actions: list[e.SafetyAction] = []
        self._cut = ""
        self.kept: dict[str, object] = {}
        """What one step leaves for a later one."""
        self.lost: dict[str, DeviceError] = {}
        """Devices whose telemetry is silent at present, and why."""
        self._stopped = ""
        self._step = ""
        self._step_task: asyncio.Task[Any] | None = None

    # --- beginning and end -------------------------------------------------------------------------------------

    def start(self, plan: e.Planned) -> None:
        """Write what is about to happen, connect to every device side by side, and start sampling and interlocks."""
        definition = self.definition
        self.record(
            e.RunStarted(
                run_id=self._setup.run_id,
                definition=definition.as_json(),
                definition_digest=definition.digest,
                software={name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
                drivers=dict(self._setup.tiers),
                simulated=definition.simulated,
                operator=self._setup.operator,
                station=platform.node(),
            )
        )
        self.record(plan)
        self._loop.run(self._start())

    async def _start(self) -> None:
        self.progress(f"connecting to {len(self._setup.drivers)} devices", 0.0, 1.0)
        for result in await each(self._setup.drivers.items(), lambda pair: pair[1].open()):
            if result.error is not None:
                self._unopened[result.device[0]] = result.error
                self.device_failed(result.error)
        watch = Watch(self._on_samples, self._on_lost, self._on_back)
        periods = self.definition.model.sampling.periods
        for entry in self.definition.devices:
            if entry.role in periods:
                opened = entry.name not in self._unopened
                driver = self._setup.drivers[entry.name]
                sampler = DeviceSampler(entry.name, driver, periods[entry.role], self.clock, watch, opened)
                self._samplers[entry.name] = sampler
        self._interlocks.arm()
        work = [sampler.run() for sampler in self._samplers.values()]
        work += [self._interlocks.watch_silence(), self._seal_regularly()]
        work += [self._renew(host) for host in self._setup.drivers.values() if isinstance(host, Workload)]
        self._tasks = [asyncio.get_running_loop().create_task(coroutine) for coroutine in work]
        self.progress("connected", 1.0, 1.0)

    def close(self) -> None:
        """Make safe, seal the evidence, write the last event, let go of every device. The verdict is folded later."""
        try:
            self._loop.run(self._close())
            self._segments.close()
            self._attach_history()
            finish = e.RunFinished(Verdict.NOT_RUN.value)
            entries = read_journal(self._journal.path).entries
            last = e.Entry(len(entries), "", "", 0.0, "", finish)
            self.record(e.RunFinished(fold((*entries, last)).verdict.value))
        except RackproofError as error:
            self.failure = self.failure or error
        finally:
            self._loop.close()
            self._journal.close()
            self._audience.close()

    async def _close(self) -> None:
        self._begin_safing("end of run", "never")
        await asyncio.gather(*self._safings, return_exceptions=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(driver.close() for driver in self._setup.drivers.values()), return_exceptions=True)

    def _attach_history(self) -> None:
        simulated = self.definition.bay.simulated
        if simulated is not None and simulated.history and Path(simulated.history).is_file():
            text = Path(simulated.history).read_text("utf-8")
            self.attach("simulation.jsonl", text, "faults of the simulated rack and when each began")

    # --- evidence ----------------------------------------------------------------------------------------------

    def record(self, event: e.Event) -> None:
        """Append an event. If evidence can no longer be kept, the run is stopped and the rack made safe."""
        try:
            self._journal.append(event)
        except (JournalFailure, ValueError) as error:
            self._fail(error if isinstance(error, RackproofError) else RackproofError(f"not recorded: {error}"))

    def _fail(self, error: RackproofError) -> None:
        """Evidence can no longer be kept: nothing that follows could be proven."""
        if self.failure is None:
            self.failure = error
            self.stop("the station", str(error))

    def attach(self, name: str, text: str, what: str) -> None:
        """Keep a text as evidence below `attachments/`, with its digest in the journal."""
        folder = self._setup.run_dir / "attachments"
        folder.mkdir(exist_ok=True)
        data = text.encode("utf-8")
        try:
            with (folder / name).open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise RackproofError(f"attachments/{name} could not be written: {error.strerror}") from error
        self.record(e.Attached(f"attachments/{name}", hashlib.sha256(data).hexdigest(), what))

    def measured(self, key: str, reading: Reading, subject: str, expected: tuple[Value, ...]) -> Judgement:
        """Judge a reading against the limit `key` and record it for the present step."""
        limit = self.definition.limit(key)
        if expected:
            limit = limit.expecting(*expected)
        judgement = judge(reading, limit)
        used = e.LimitUsed(
            key,
            limit.unit.value,
            limit.describe(),
            limit.source,
            limit.minimum,
            limit.maximum,
            limit.allowed,
            limit.guard,
            limit.uncertainty,
        )
        value = _plain(reading.value) if reading.usable else None
        at = reading.at.isoformat()
        event = e.Measured(
            self._step, key, subject, value, reading.unit.value, at, reading.quality.value, judgement.value, used
        )
        self.record(event)
        return judgement

    def device_failed(self, error: DeviceError) -> None:
        """Record that a device could not be used as asked."""
        self.record(e.DeviceFailed(self._step, error.device, type(error).__name__, str(error)))

    def progress(self, text: str, elapsed: float, total: float) -> None:
        """Tell how far the present step is, in rack seconds."""
        self.record(e.Progressed(self._step, text, round(elapsed, 1), round(total, 1)))

    def coverage(self, device: str, since: tuple[int, int] | None) -> tuple[int, int]:
        """Sweeps due and taken of a device, so far or since an earlier answer."""
        counted = self._samplers[device].coverage
        due, taken = since or (0, 0)
        return counted.due - due, counted.taken - taken

    # --- steps -------------------------------------------------------------------------------------------------

    @property
    def stopped(self) -> str:
        """Why the session takes no further step; empty while it does."""
        return self._stopped

    def driver(self, device: str) -> Driver:
        """An open driver; raises why it could not be opened."""
        if device in self._unopened:
            raise self._unopened[device]
        return self._setup.drivers[device]

    def begin(self, step: str) -> None:
        """The step that everything recorded from now on belongs to."""
        self._step = step
        self.record(e.StepStarted(step))

    def finish(self, outcome: str, text: str = "") -> None:
        """End the present step: completed, error or stopped."""
        self.record(e.StepFinished(self._step, outcome, text))
        self._step = ""

    def run_step(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a step's coroutine on the rack loop; it is cancelled (CancelledError) by a trip or a stop."""
        return self._loop.run(self._guarded(work))

    async def _guarded(self, work: Coroutine[Any, Any, T]) -> T:
        self._step_task = asyncio.current_task()
        if self._stopped:
            work.close()
            raise asyncio.CancelledError
        try:
            return await work
        finally:
            self._step_task = None

    # --- safety ------------------------------------------------------------------------------------------------

    def stop(self, by: str, text: str) -> None:
        """Stop the run and make the rack safe; callable from any thread and from a signal handler."""
        self._loop.call_soon(self._stop, by, text)

    def _stop(self, by: str, text: str) -> None:
        if self._stopped:
            return
        self._halt(f"stopped by {by}: {text}")
        self._begin_safing(f"stopped by {by}", "never")
        self.record(e.StopRequested(by, text))

    def _on_trip(self, trip: Trip) -> None:
        self.record(trip.event)
        self._begin_safing(f"interlock {trip.event.interlock}", trip.cut_power)
        self._halt(f"interlock {trip.event.interlock}: {trip.event.text}")

    def _halt(self, why: str) -> None:
        self._stopped = self._stopped or why
        if self._step_task is not None:
            self._step_task.cancel()

    def _begin_safing(self, reason: str, cut: str) -> None:
        """Start making safe, unless something at least as drastic is already under way."""
        if self._cut and stronger(self._cut, cut) == self._cut:
            return
        self._cut = cut
        safing = Safing(self.definition, self._setup.drivers, self.clock, self._record_action, self._hottest)
        self._safings.append(asyncio.get_running_loop().create_task(safing.run(reason, cut)))

    def _record_action(self, event: e.Event) -> None:
        if isinstance(event, e.SafetyAction):
            self._actions.append(event)
        self.record(event)

    def unconfirmed(self) -> list[str]:
        """What is not yet confirmed safe, for somebody who will not wait any longer."""
        done = {(a.device, a.action) for a in self._actions if a.confirmed}
        left = [f"{a.device}: {a.action}" for a in self._actions if (a.device, a.action) not in done]
        return left or (["making safe is still under way"] if any(not t.done() for t in self._safings) else [])

    def _hottest(self) -> float | None:
        found: list[float] = []
        for tray in self.definition.role("compute_tray"):
            for channel in self.window.channels(tray.name, "accelerator.temperature"):
                sample = self.window.latest(channel)
                stale = self.window.age(channel, self.clock.now()) >= COOL_AGE
                if sample is None or stale or not sample.reading.usable:
                    return None
                found.append(sample.reading.number)
        return max(found, default=None)

    # --- the sampler's news, on the rack loop ------------------------------------------------------------------

    def _on_samples(self, device: str, samples: Sequence[Sample]) -> None:
        self._interlocks.check(device, samples)
        now = self.clock.now()
        self.window.add(samples, now)
        try:
            self._segments.write(samples, now)
        except RackproofError as error:
            self._fail(error)
        self._audience.sampled(samples)

    def _on_lost(self, device: str, error: DeviceError) -> None:
        self.lost[device] = error
        self.record(e.DeviceLost(device, str(error)))

    def _on_back(self, device: str, silent: float) -> None:
        self._unopened.pop(device, None)
        self.lost.pop(device, None)
        self.record(e.DeviceBack(device, round(silent, 3)))

    async def _seal_regularly(self) -> None:
        while True:
            await asyncio.sleep(self.definition.model.sampling.segment)
            try:
                await asyncio.to_thread(self._segments.seal)
            except RackproofError as error:
                self._fail(error)

    async def _renew(self, host: Workload) -> None:
        while True:
            await asyncio.sleep(host.lease / 3)
            try:
                await host.renew()
            except DeviceError as error:
                self.record(e.Noted(f"a lease could not be renewed, its loads will end by themselves: {error}"))


def _plain(value: Value) -> Value:
    return round(value, 9) if isinstance(value, float) else value
