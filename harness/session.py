"""The session: one rack, open. It owns the loop, the journal, telemetry and safety; the only stateful object of a run.

It composes and does little itself: steps run through `run_step`, everything that happens becomes an event.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import platform
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from harness.connection import Driver
from harness.each import each, end_within
from harness.errors import DeviceError, RackproofError
from harness.evidence import Evidence
from harness.journal import events as e
from harness.loop import RackLoop, run_aside
from harness.observing import Audience, Observer
from harness.quantities import Sample
from harness.resuming.fingerprints import fingerprint
from harness.resuming.resumption import Resumption
from harness.resuming.taking_up import TakingUp
from harness.safety.guard import Guard, Run
from harness.safety.takeover import FILE as TAKEOVER
from harness.safety.watchdog import DarkOutlets, Watchdog
from harness.setup import Setup, software
from harness.verdict import Verdict, fold
from harness.watching import RackWatch
from harness.workload import Workload

T = TypeVar("T")

CLOSING_TIME = 5.0
"""Wall seconds for tasks and drivers to let go."""
CANCEL_AGAIN = 0.2
"""Wall seconds after which a step that was cancelled and goes on is cancelled again."""


class RackSession:
    """One rack from first contact to the last event."""

    def __init__(self, setup: Setup, observers: Sequence[Observer], watchdog: Watchdog | None = None) -> None:
        """The `watchdog`, where there is one, is the session's from now on."""
        self.definition = setup.definition
        self.clock = setup.clock
        self._setup = setup
        breach = setup.resumption.breach if setup.resumption else None
        self.evidence = Evidence(setup.run_dir, setup.clock, Audience(observers), self._cannot_record, breach)
        self._loop = RackLoop()
        self._unopened: dict[str, DeviceError] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._opened: set[str] = set()
        self.kept: dict[str, object] = {}
        """What one step leaves for a later one."""
        self.touched: set[str] = set()
        """The devices that the present step was handed."""
        self.standing: frozenset[str] = frozenset()
        """Steps of an earlier sitting that stand and are not run again."""
        self._stopped = ""
        self._begun = False
        self._over = False
        self._wanted: tuple[str, str] | None = None
        self._step_task: asyncio.Task[Any] | None = None
        self.watch = RackWatch(
            definition=setup.definition,
            drivers=setup.drivers,
            clock=setup.clock,
            evidence=self.evidence,
            check=self._check,
            returned=self._on_return,
        )
        self._guard = Guard(
            Run(
                definition=self.definition,
                drivers=setup.drivers,
                clock=setup.clock,
                run_dir=setup.run_dir,
                window=self.watch.window,
                loop=self._loop,
                opened=self._opened,
                record=self.evidence.record,
                blind=self.evidence.device_failed,
                halt=self._halt,
                stop=self.stop,
            ),
            watchdog,
        )

    # --- beginning and end -------------------------------------------------------------------------------------

    def start(self, plan: e.Planned) -> None:
        """Write what is about to happen, connect to every device side by side, and start sampling and interlocks."""
        before = self._setup.resumption.broken.summary if self._setup.resumption else None
        if before is None:
            self._record_start()
        if self._setup.claim is not None:
            self.evidence.record(self._setup.claim.event())
            self._setup.claim.lost = self._fenced
        if before is None or before.plan is None:
            self.evidence.record(plan)
        if self._setup.proof is not None and (before is None or before.proof is None):
            self.evidence.record(self._setup.proof.checked)
            if self._setup.proof.text:
                self.evidence.attach("proof.json", self._setup.proof.text, "what the plan was shown to catch")
        self._guard.arm()
        self._loop.call_soon(self._begin)
        with contextlib.suppress(concurrent.futures.CancelledError):
            self._loop.run(self._guarded(self._start()))

    def _record_start(self) -> None:
        definition = self.definition
        self.evidence.record(
            e.RunStarted(
                run_id=self._setup.run_id,
                definition=definition.as_json(),
                definition_digest=definition.digest,
                software=software(),
                drivers=dict(self._setup.tiers),
                simulated=definition.simulated,
                operator=self._setup.operator,
                station=platform.node(),
                ordered=dict(self._setup.ordered),
            )
        )

    def _begin(self) -> None:
        """A stop that was asked for before the run had begun stops it now, at its first event."""
        self._begun = True
        if self._wanted is not None:
            self._stop(*self._wanted)

    async def _open(self, device: tuple[str, Driver]) -> e.Fingerprinted | None:
        name, driver = device
        await driver.open()
        self._opened.add(name)
        return await fingerprint(driver)

    async def _start(self) -> None:
        self._run_beside(self._guard.beats())
        self.evidence.progress(f"connecting to {len(self._setup.drivers)} devices", 0.0, 1.0)
        found: dict[str, e.Fingerprinted] = {}
        for result in await each(self._setup.drivers.items(), self._open):
            if result.error is not None:
                self._unopened[result.device[0]] = result.error
                self.evidence.device_failed(result.error)
            elif result.value is not None:
                found[result.device[0]] = result.value
                self.evidence.record(result.value)
        if self._setup.resumption is not None:
            await self._take_up(self._setup.resumption, found)
        self._guard.interlocks.arm()
        work = {**self.watch.works(self._unopened), **self._guard.works(self.watch.stalls)}
        for name, host in self._setup.drivers.items():
            if isinstance(host, Workload):
                work[f"leases of {name}"] = self._renew(name, host)
        self._run_beside(work)
        self.evidence.progress("connected", 1.0, 1.0)

    def _run_beside(self, work: Mapping[str, Coroutine[Any, Any, None]]) -> None:
        """Have the run's organs run until the session closes, by name."""
        loop = asyncio.get_running_loop()
        for name, coroutine in work.items():
            task = loop.create_task(coroutine, name=name)
            task.add_done_callback(self._on_end)
            self._tasks.append(task)

    async def _take_up(self, resumption: Resumption, found: Mapping[str, e.Fingerprinted]) -> None:
        """Put the rack in order after the break, and decide what of the run stands."""
        taking = TakingUp(resumption, self._setup.drivers, self._unopened, self.evidence.record)
        taking.tell_the_break()
        await taking.put_in_order(self.dark, self.definition.model.make_safe.action_time)
        taken, stranger = taking.decide(found, self._setup.tiers)
        if stranger:
            self._stop("the station", stranger)
            return
        self.kept |= taking.lasting()
        self.standing = frozenset(taken.stands)
        self.evidence.record(taken)

    def close(self) -> None:
        """Make safe, seal the evidence, write the last event, let go of every device. The verdict is folded later."""
        try:
            self._loop.run(self._close())
            self._attach_history()
            self._attach_takeover()
            entries = self.evidence.seal_last().entries
            last = e.Entry(len(entries), "", "", 0.0, "", e.RunFinished(Verdict.NOT_RUN.value))
            self.evidence.record(e.RunFinished(fold((*entries, last)).verdict.value))
        except RackproofError as error:
            self.evidence.failure = self.evidence.failure or error
        except Exception as error:  # noqa: BLE001 - safety: whatever breaks at the end, evidence that lacks it says so
            broken = RackproofError(f"the run's end broke: {type(error).__name__}: {error}")
            self.evidence.failure = self.evidence.failure or broken
        finally:
            self._loop.close()
            self.evidence.close()
            if self._setup.claim is not None:
                self._setup.claim.release()

    async def _close(self) -> None:
        await self._guard.finish()
        # From now on there is nothing to stop, and no event may come after the last one.
        self._over = True
        for task in self._tasks:
            task.cancel()
        late = await end_within(CLOSING_TIME, {task.get_name(): task for task in self._tasks})
        self.watch.account()
        drivers = {name: driver.close() for name, driver in self._setup.drivers.items()}
        late += await end_within(CLOSING_TIME, drivers)
        for name in late:
            self.evidence.record(e.Noted(f"{name} did not end within {CLOSING_TIME:.0f} s and was left behind"))

    def _attach_history(self) -> None:
        simulated = self.definition.bay.simulated
        if simulated is not None and simulated.history and Path(simulated.history).is_file():
            text = Path(simulated.history).read_text("utf-8")
            self.evidence.attach("simulation.jsonl", text, "faults of the simulated rack and when each began")

    def _attach_takeover(self) -> None:
        """A watchdog that had to step in has written down what it did; it belongs to the evidence of this run."""
        path = self._setup.run_dir / TAKEOVER
        if path.is_file():
            self.evidence.attach(
                TAKEOVER, path.read_text("utf-8", "replace"), "what the watchdog did in the station's place"
            )

    @property
    def resumes(self) -> bool:
        """Whether this is a run that broke and goes on."""
        return self._setup.resumption is not None

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

    def _check(self, device: str, samples: Sequence[Sample]) -> None:
        self._guard.interlocks.check(device, samples)

    def _on_return(self, device: str) -> None:
        self._unopened.pop(device, None)
        self._opened.add(device)

    def begin(self, step: str) -> None:
        """The step that everything recorded from now on belongs to."""
        self.evidence.step = step
        self.evidence.record(e.StepStarted(step))

    def finish(self, outcome: str, text: str = "") -> None:
        """End the present step: completed, error or stopped."""
        self.evidence.record(e.StepFinished(self.evidence.step, outcome, text, tuple(sorted(self.touched))))
        # Not when a step begins: by then it has been handed its devices.
        self.touched.clear()
        self.evidence.step = ""

    def run_step(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a step's coroutine on the rack loop; it is cancelled (CancelledError) by a trip or a stop."""
        return self._loop.run(self._guarded(work))

    def run_blocking(self, work: Callable[[], T]) -> T:
        """Run a plain step on a thread of its own, and wait for it here.

        A trip or a stop ends the wait (CancelledError), not what blocks: that is left behind and ends with the process.
        """
        return self.run_step(run_aside(work))()

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

    def _fenced(self, why: str) -> None:
        """Another station has the rack: what this one would send now could harm a run of theirs."""
        self._loop.call_soon(self._give_up, f"another station has taken the rack over: {why}")

    def _give_up(self, text: str) -> None:
        self._guard.give_up(text)
        self._stop("the station", text)

    def _cannot_record(self, error: RackproofError) -> None:
        self.stop("the station", str(error))

    def _stop(self, by: str, text: str) -> None:
        if not self._begun:
            self._wanted = self._wanted or (by, text)
        if self._stopped or not self._begun or self._over:
            return
        self._halt(f"stopped by {by}: {text}")
        self._guard.make_safe(f"stopped by {by}", "never")
        self.evidence.record(e.StopRequested(by, text))

    def _on_end(self, task: asyncio.Task[None]) -> None:
        """One of the run's organs ended: what it broke of must not go unnoticed."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._stop("the station", f"{task.get_name()} broke: {type(error).__name__}: {error}")

    def _halt(self, why: str) -> None:
        self._stopped = self._stopped or why
        self._loop.call_soon(self._cancel_step)

    def _cancel_step(self) -> None:
        """Cancel the present step, and again until it ends: a library under it may swallow a cancellation."""
        if self._step_task is not None:
            self._step_task.cancel()
            asyncio.get_running_loop().call_later(CANCEL_AGAIN, self._cancel_step)

    @property
    def dark(self) -> DarkOutlets:
        """Outlets that a step has switched off and means to switch on again."""
        return self._guard.dark

    @property
    def is_watched(self) -> bool:
        """Whether a watchdog goes on where the session ends."""
        return self._guard.watchdog is not None and self._guard.watchdog.is_on_duty

    def unconfirmed(self) -> list[str]:
        """What is not yet confirmed safe, for somebody who will not wait any longer."""
        return self._guard.unconfirmed()

    async def _renew(self, name: str, host: Workload) -> None:
        while True:
            await asyncio.sleep(host.lease / 3)
            try:
                await host.renew()
            except DeviceError as error:
                self.evidence.record(
                    e.Noted(f"no lease of {name} could be renewed, its loads will end by themselves: {error}")
                )
