"""The state of a run as it happens: what the screen draws and the exporter serves. Pure bookkeeping, no I/O."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from harness.journal import events as e
from harness.limits import Judgement
from harness.quantities import Channel, Sample
from harness.verdict import Verdict, worst
from reports.identity import Identity, identity

DEVICE_STATES = ("waiting", "ok", "measuring", "marginal", "error", "failed", "lost")
"""Mildest first. `error`: it could not be asked or judged, which is no failing of its own. `lost` gives way to what it
was when the device comes back."""


@dataclass(slots=True)
class StepState:
    """One planned step: `state` is waiting, running or done."""

    planned: e.PlannedStep
    state: str = "waiting"
    verdict: Verdict = Verdict.NOT_RUN
    measured: int = 0
    failed: int = 0
    unjudged: int = 0
    troubled: bool = False
    taken: set[str] = field(default_factory=set)
    ended: str = ""
    """The gravest outcome so far: nothing that comes later makes a step better."""


@dataclass(slots=True)
class Board:
    """Follows the journal, entry by entry."""

    who: Identity = field(default_factory=Identity)
    run_id: str = ""
    plan: str = ""
    first: str = ""
    wall: str = ""
    rack_first: str = ""
    rack: str = ""
    steps: dict[str, StepState] = field(default_factory=dict)
    current: str = ""
    progress: e.Progressed | None = None
    devices: dict[str, str] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    recent: deque[e.Measured] = field(default_factory=lambda: deque(maxlen=32))
    values: dict[tuple[str, str, str], e.Measured] = field(default_factory=dict)
    judged: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*Judgement,), 0))
    trips: list[e.Tripped] = field(default_factory=list)
    actions: list[e.SafetyAction] = field(default_factory=list)
    made_safe: bool = False
    """Whether `make_safe` is over; `unconfirmed` says what it could not confirm."""
    unconfirmed: tuple[str, ...] = ()
    stop: e.StopRequested | None = None
    finished: str = ""
    channels: dict[Channel, Sample] = field(default_factory=dict)

    @property
    def elapsed(self) -> float:
        """Rack seconds between the first entry and the latest."""
        return _between(self.rack_first, self.rack)

    def stages(self) -> dict[str, tuple[str, int, int]]:
        """By stage: its state (waiting, running, or the worst verdict), the steps done and all of them."""
        grouped: dict[str, list[StepState]] = {}
        for step in self.steps.values():
            grouped.setdefault(step.planned.stage, []).append(step)
        table = {}
        for stage, steps in grouped.items():
            done = [step for step in steps if step.state == "done"]
            if len(done) == len(steps):
                state = str(worst(step.verdict for step in done))
            elif done or any(step.state == "running" for step in steps):
                bad = worst([Verdict.PASS, *(step.verdict for step in done)])
                state = "running" if bad is Verdict.PASS else str(bad)
            else:
                state = "waiting"
            table[stage] = (state, len(done), len(steps))
        return table

    def sampled(self, sample: Sample) -> None:
        """Keep the latest sample of its channel."""
        self.channels[sample.channel] = sample

    def apply(self, entry: e.Entry) -> None:  # noqa: PLR0912  one arm an event
        """Take one entry in."""
        self.first = self.first or entry.wall
        self.rack_first = self.rack_first or entry.rack
        self.wall, self.rack = entry.wall, entry.rack
        match entry.event:
            case e.RunStarted() as event:
                self.who, self.run_id = identity(event), event.run_id
                for device in self.who.devices:
                    self.devices.setdefault(device.name, "waiting")
            case e.Planned() as event:
                self.plan = event.plan
                self.steps = {planned.step: StepState(planned) for planned in event.steps}
            case e.StepStarted() as event:
                self._start(event.step)
            case e.Progressed() as event:
                self.progress = event
            case e.Measured() as event:
                self._measure(event)
            case e.DeviceFailed() as event:
                self._mark(event.device.partition("/")[0], "error")
                if event.step in self.steps:
                    self.steps[event.step].troubled = True
            case e.StepFinished() as event:
                self._finish(event)
            case e.DeviceLost() as event:
                self.lost.add(event.device)
            case e.DeviceBack() as event:
                self.lost.discard(event.device)
            case e.Tripped() as event:
                self.trips.append(event)
                self._mark(event.subject.partition("/")[0], "failed")
            case e.SafetyAction() as event:
                self.actions.append(event)
            case e.MadeSafe() as event:
                self.made_safe, self.unconfirmed = True, event.unconfirmed
            case e.StopRequested() as event:
                self.stop = event
            case e.Resumed():
                # What ended the sitting before is over; what tripped is not.
                self.finished, self.stop, self.made_safe, self.unconfirmed = "", None, False, ()
            case e.TakenUp() as event:
                for again in event.again:
                    if (step := self.steps.get(again.step)) is not None:
                        # Begun anew; what it failed before stays failed.
                        self.steps[again.step] = StepState(step.planned, failed=step.failed)
            case e.RunFinished() as event:
                self.finished = event.verdict
            case _:
                pass

    def device_state(self, device: str) -> str:
        """One of DEVICE_STATES."""
        return "lost" if device in self.lost else self.devices.get(device, "waiting")

    def _start(self, name: str) -> None:
        self.current, self.progress = name, None
        step = self.steps.get(name)
        if step is None:
            return
        step.state = "running"
        about = [step.planned.device] if step.planned.device else list(self.devices)
        for device in about:
            if self.devices.get(device) in ("waiting", "ok"):
                self.devices[device] = "measuring"

    def _measure(self, event: e.Measured) -> None:
        self.recent.append(event)
        self.values[event.key, event.subject, event.step] = event
        self.judged[event.judgement] = self.judged.get(event.judgement, 0) + 1
        step = self.steps.get(event.step)
        if step is not None:
            step.measured += 1
            step.taken |= {event.key, f"{event.key}@{event.subject}"}
            step.failed += event.judgement == Judgement.FAIL
            step.unjudged += event.judgement not in (Judgement.PASS, Judgement.MARGINAL, Judgement.FAIL)
        if event.judgement != Judgement.PASS:
            state = {"marginal": "marginal", "fail": "failed"}.get(event.judgement, "error")
            self._mark(event.subject.partition("/")[0], state)

    def _mark(self, device: str, state: str) -> None:
        known = self.devices.get(device)
        if known is not None and DEVICE_STATES.index(state) > DEVICE_STATES.index(known):
            self.devices[device] = state

    def _finish(self, event: e.StepFinished) -> None:
        """A quick verdict for the screen; the one that counts is folded from the whole journal."""
        self.progress = None
        self.current = "" if self.current == event.step else self.current
        for device, state in self.devices.items():
            if state == "measuring":
                self.devices[device] = "ok"
        step = self.steps.get(event.step)
        if step is None:
            return
        step.state = "done"
        if step.ended in ("", "completed"):
            step.ended = event.outcome
        if step.failed:
            step.verdict = Verdict.FAIL
        elif step.ended == "stopped":
            step.verdict = Verdict.ABORTED
        elif step.ended == "not_run":
            step.verdict = Verdict.NOT_RUN
        elif step.troubled or step.ended != "completed":
            step.verdict = Verdict.INCONCLUSIVE
        elif not step.taken.issuperset(step.planned.measures):
            step.verdict = Verdict.FAIL
        elif step.unjudged or not step.measured:
            step.verdict = Verdict.INCONCLUSIVE
        else:
            step.verdict = Verdict.PASS


def _between(first: str, last: str) -> float:
    try:
        return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()
    except (ValueError, TypeError):
        return 0.0
