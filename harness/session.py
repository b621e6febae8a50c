"""The session: one rack, open. It owns the loop, the journal, telemetry and safety; the only stateful object of a run.

It composes and does little itself: steps run through `run_step`, everything that happens becomes an event.
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from harness.capabilities import Workload
from harness.clock import Clock
from harness.connection import Driver
from harness.each import each, end_within
from harness.errors import DeviceError, RackproofError
from harness.evidence import Evidence
from harness.journal import events as e
from harness.loop import RackLoop
from harness.observing import Audience, Observer
from harness.proof.finding import ProofFound
from harness.quantities import Sample
from harness.rack.definition import RackDefinition
from harness.safety.interlocks import Interlocks, Trip
from harness.safety.make_safe import Safing, stronger
from harness.telemetry.sampler import DeviceSampler, Watch
from harness.telemetry.window import Window
from harness.verdict import Verdict, fold

T = TypeVar("T")

PACKAGES = ("rackproof", "pytest", "redfish", "pysnmp", "pymodbus", "pyserial", "paramiko", "duckdb")
SAFING_TIME = 120.0
"""Wall seconds that the end of a run waits for making safe; every action in it has a box of its own."""
CLOSING_TIME = 5.0
"""Wall seconds for tasks and drivers to let go."""
CANCEL_AGAIN = 0.2
"""Wall seconds after which a step that was cancelled and goes on is cancelled again."""
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
    proof: ProofFound | None = None


class RackSession:
    """One rack from first contact to the last event."""

    def __init__(self, setup: Setup, observers: Sequence[Observer]) -> None:
        self.definition = setup.definition
        self.clock = setup.clock
        self.window = Window()
        self._setup = setup
        self.evidence = Evidence(setup.run_dir, setup.clock, Audience(observers), self._cannot_record)
        self._interlocks = Interlocks(self.definition, self._on_trip, blind=self.evidence.device_failed)
        self._loop = RackLoop()
        self._samplers: dict[str, DeviceSampler] = {}
        self._unopened: dict[str, DeviceError] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._safings: list[asyncio.Task[object]] = []
        self._actions: list[e.SafetyAction] = []
        self._cut = ""
        self.dark: set[str] = set()
        """Outlets that a step has switched off and means to switch on again."""
        self.kept: dict[str, object] = {}
        """What one step leaves for a later one."""
        self.lost: dict[str, DeviceError] = {}
        """Devices whose telemetry is silent at present, and why."""
        self._stopped = ""
        self._step_task: asyncio.Task[Any] | None = None

    # --- beginning and end -------------------------------------------------------------------------------------

    def start(self, plan: e.Planned) -> None:
        """Write what is about to happen, connect to every device side by side, and start sampling and interlocks."""
        definition = self.definition
        self.evidence.record(
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
        self.evidence.record(plan)
        if self._setup.proof is not None:
            self.evidence.record(self._setup.proof.checked)
            if self._setup.proof.text:
                self.evidence.attach("proof.json", self._setup.proof.text, "what the plan was shown to catch")
        self._loop.run(self._start())

    async def _start(self) -> None:
        self.evidence.progress(f"connecting to {len(self._setup.drivers)} devices", 0.0, 1.0)
        for result in await each(self._setup.drivers.items(), lambda pair: pair[1].open()):
            if result.error is not None:
                self._unopened[result.device[0]] = result.error
                self.evidence.device_failed(result.error)
        watch = Watch(self._on_samples, self._on_lost, self._on_back)
        periods = self.definition.model.sampling.periods
        for entry in self.definition.devices:
            if entry.role in periods:
                opened = entry.name not in self._unopened
                driver = self._setup.drivers[entry.name]
                sampler = DeviceSampler(entry.name, driver, periods[entry.role], self.clock, watch, opened)
                self._samplers[entry.name] = sampler
        self._interlocks.arm()
        work = {f"sampling {name}": sampler.run() for name, sampler in self._samplers.items()}
        work |= {"interlocks": self._interlocks.watch_silence(), "sealing": self._seal_regularly()}
        for name, host in self._setup.drivers.items():
            if isinstance(host, Workload):
                work[f"leases of {name}"] = self._renew(name, host)
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(coroutine, name=name) for name, coroutine in work.items()]
        for task in self._tasks:
            task.add_done_callback(self._on_end)
        self.evidence.progress("connected", 1.0, 1.0)

    def close(self) -> None:
        """Make safe, seal the evidence, write the last event, let go of every device. The verdict is folded later."""
        try:
            self._loop.run(self._close())
            self._attach_history()
            entries = self.evidence.seal_last().entries
            last = e.Entry(len(entries), "", "", 0.0, "", e.RunFinished(Verdict.NOT_RUN.value))
            self.evidence.record(e.RunFinished(fold((*entries, last)).verdict.value))
        except RackproofError as error:
            self.evidence.failure = self.evidence.failure or error
        finally:
            self._loop.close()
            self.evidence.close()

    async def _close(self) -> None:
        self._begin_safing("end of run", "never")
        if await end_within(SAFING_TIME, {"making safe": asyncio.gather(*self._safings)}):
            self.evidence.record(e.MadeSafe("end of run", confirmed=False, unconfirmed=("it did not end",)))
        for task in self._tasks:
            task.cancel()
        late = await end_within(CLOSING_TIME, {task.get_name(): task for task in self._tasks})
        drivers = {name: driver.close() for name, driver in self._setup.drivers.items()}
        late += await end_within(CLOSING_TIME, drivers)
        for name in late:
            self.evidence.record(e.Noted(f"{name} did not end within {CLOSING_TIME:.0f} s and was left behind"))

    def _attach_history(self) -> None:
        simulated = self.definition.bay.simulated
        if simulated is not None and simulated.history and Path(simulated.history).is_file():
            text = Path(simulated.history).read_text("utf-8")
            self.evidence.attach("simulation.jsonl", text, "faults of the simulated rack and when each began")

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
        self.evidence.step = step
        self.evidence.record(e.StepStarted(step))

    def finish(self, outcome: str, text: str = "") -> None:
        """End the present step: completed, error or stopped."""
        self.evidence.record(e.StepFinished(self.evidence.step, outcome, text))
        self.evidence.step = ""

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

    def _cannot_record(self, error: RackproofError) -> None:
        self.stop("the station", str(error))

    def _stop(self, by: str, text: str) -> None:
        if self._stopped:
            return
        self._halt(f"stopped by {by}: {text}")
        self._begin_safing(f"stopped by {by}", "never")
        self.evidence.record(e.StopRequested(by, text))

    def _on_end(self, task: asyncio.Task[None]) -> None:
        """One of the run's organs ended: what it broke of must not go unnoticed."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._stop("the station", f"{task.get_name()} broke: {type(error).__name__}: {error}")

    def _on_trip(self, trip: Trip) -> None:
        self.evidence.record(trip.event)
        self._begin_safing(f"interlock {trip.event.interlock}", trip.cut_power)
        self._halt(f"interlock {trip.event.interlock}: {trip.event.text}")

    def _halt(self, why: str) -> None:
        self._stopped = self._stopped or why
        self._cancel_step()

    def _cancel_step(self) -> None:
        """Cancel the present step, and again until it ends: a library under it may swallow a cancellation."""
        if self._step_task is not None:
            self._step_task.cancel()
            asyncio.get_running_loop().call_later(CANCEL_AGAIN, self._cancel_step)

    def _begin_safing(self, reason: str, cut: str) -> None:
        """Start making safe, unless something at least as drastic is already under way."""
        if self._cut and stronger(self._cut, cut) == self._cut:
            return
        self._cut = cut
        safing = Safing(self.definition, self._setup.drivers, self.clock, self._record_action, self._hottest, self.dark)
        self._safings.append(asyncio.get_running_loop().create_task(safing.run(reason, cut)))

    def _record_action(self, event: e.Event) -> None:
        if isinstance(event, e.SafetyAction):
            self._actions.append(event)
        self.evidence.record(event)

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
        self.evidence.sampled(samples, now)

    def _on_lost(self, device: str, error: DeviceError) -> None:
        self.lost[device] = error
        self.evidence.record(e.DeviceLost(device, str(error)))

    def _on_back(self, device: str, silent: float) -> None:
        self._unopened.pop(device, None)
        self.lost.pop(device, None)
        self.evidence.record(e.DeviceBack(device, round(silent, 3)))

    async def _seal_regularly(self) -> None:
        while True:
            await asyncio.sleep(self.definition.model.sampling.segment)
            await asyncio.to_thread(self.evidence.seal)

    async def _renew(self, name: str, host: Workload) -> None:
        while True:
            await asyncio.sleep(host.lease / 3)
            try:
                await host.renew()
            except DeviceError as error:
                self.evidence.record(
                    e.Noted(f"no lease of {name} could be renewed, its loads will end by themselves: {error}")
                )
