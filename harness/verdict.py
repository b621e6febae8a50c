"""The verdict: a pure fold over the journal, and the only place where it is decided.

    FAIL          the rack fell short: a measurement failed, a declared one was not taken, an interlock blamed the rack
    ABORTED       the run was stopped: by somebody, by an interlock blaming the rig, or it never finished
    INCONCLUSIVE  the rig could not tell: a device did not answer or was lost and never came back, a value could not be
                  judged, the plan broke or is only a part of one: it leaves limits of the model unjudged; or nobody
                  could confirm that the rack was left safe
    NOT_RUN       a planned step never started
    PASS          every planned step ran and every measurement it declared was taken and passed

The verdict of a run is the worst of its planned steps and of its trips, in that order of gravity.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from harness.journal import events as e
from harness.limits import Judgement


class Verdict(StrEnum):
    """Verdicts, gravest first."""

    FAIL = "FAIL"
    ABORTED = "ABORTED"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_RUN = "NOT_RUN"
    PASS = "PASS"


GRAVITY = tuple(Verdict)

EXIT_CODES = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 3, Verdict.ABORTED: 4, Verdict.NOT_RUN: 3}


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The gravest of `verdicts`; NOT_RUN where there are none, since nothing proven is never a pass."""
    return min(verdicts, key=GRAVITY.index, default=Verdict.NOT_RUN)


@dataclass(frozen=True, slots=True)
class StepResult:
    """What became of one planned step."""

    planned: e.PlannedStep
    verdict: Verdict
    measurements: tuple[e.Measured, ...]
    device_failures: tuple[e.DeviceFailed, ...]
    missing: tuple[str, ...]
    """What was declared and never measured: `key`, or `key@subject`."""
    text: str
    started: str = ""
    """Rack time, ISO 8601; empty if it never started."""
    finished: str = ""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Everything that a report says of a run."""

    run_id: str
    verdict: Verdict
    reasons: tuple[str, ...]
    started: e.RunStarted | None
    plan: e.Planned | None
    proof: e.ProofChecked | None
    """Whether the plan is proven; it never bears on the verdict. None in a journal that does not say."""
    steps: tuple[StepResult, ...]
    trips: tuple[e.Tripped, ...]
    safety_actions: tuple[e.SafetyAction, ...]
    made_safe: tuple[e.MadeSafe, ...]
    stops: tuple[e.StopRequested, ...]
    inventory: tuple[e.Inventoried, ...]
    segments: tuple[e.SegmentSealed, ...]
    attachments: tuple[e.Attached, ...]
    lost_devices: tuple[e.DeviceLost, ...]
    first: str
    """Wall time of the first event, ISO 8601 UTC."""
    last: str
    complete: bool
    """Whether the journal ends with RunFinished."""
    left_out: tuple[str, ...]
    """Limits of the model that no planned step judges: a part of a plan proves no conformity with the whole model."""

    @property
    def failed(self) -> tuple[e.Measured, ...]:
        """The measurements that failed."""
        return tuple(m for step in self.steps for m in step.measurements if m.judgement == Judgement.FAIL)


@dataclass(slots=True)
class _Step:
    planned: e.PlannedStep
    measurements: list[e.Measured] = field(default_factory=list)
    failures: list[e.DeviceFailed] = field(default_factory=list)
    finish: e.StepFinished | None = None
    started: str = ""
    finished: str = ""


def fold(entries: Iterable[e.Entry]) -> RunSummary:
    """Derive the summary of a run, verdict included, from its journal. Pure: the same entries, the same result."""
    everything = list(entries)
    seen = [entry.event for entry in everything]
    started = next((x for x in seen if isinstance(x, e.RunStarted)), None)
    plan = next((x for x in seen if isinstance(x, e.Planned)), None)
    steps = {planned.step: _Step(planned) for planned in plan.steps} if plan else {}
    strays = [entry for entry in everything if not _file(entry, steps)]
    results = tuple(_result(step) for step in steps.values())
    trips = tuple(x for x in seen if isinstance(x, e.Tripped))
    stops = tuple(x for x in seen if isinstance(x, e.StopRequested))
    complete = bool(seen) and isinstance(seen[-1], e.RunFinished)
    left_out = _left_out(started, plan)
    verdict, reasons = _decide(
        results,
        trips,
        stops,
        complete=complete,
        strays=bool(strays),
        defined=started is not None,
        left_out=left_out,
        unproven=(*_gone(seen), *_unsafe(seen)),
    )
    return RunSummary(
        run_id=started.run_id if started else "",
        verdict=verdict,
        reasons=reasons,
        started=started,
        plan=plan,
        proof=next((x for x in seen if isinstance(x, e.ProofChecked)), None),
        steps=results,
        trips=trips,
        safety_actions=tuple(x for x in seen if isinstance(x, e.SafetyAction)),
        made_safe=tuple(x for x in seen if isinstance(x, e.MadeSafe)),
        stops=stops,
        inventory=tuple(x for x in seen if isinstance(x, e.Inventoried)),
        segments=tuple(x for x in seen if isinstance(x, e.SegmentSealed)),
        attachments=tuple(x for x in seen if isinstance(x, e.Attached)),
        lost_devices=tuple(x for x in seen if isinstance(x, e.DeviceLost)),
        first=everything[0].wall if everything else "",
        last=everything[-1].wall if everything else "",
        complete=complete,
        left_out=left_out,
    )


def _left_out(started: e.RunStarted | None, plan: e.Planned | None) -> tuple[str, ...]:
    """The limits of the definition that no planned step declares to measure."""
    model = started.definition.get("model") if started else None
    limits = model.get("limits") if isinstance(model, dict) else None
    judged = {measure.partition("@")[0] for step in plan.steps for measure in step.measures} if plan else set()
    return tuple(key for key in limits if key not in judged) if isinstance(limits, dict) else ()


def _gone(seen: Iterable[e.Event]) -> tuple[str, ...]:
    """Why devices were out of reach at the end: lost or never opened, and not back since."""
    gone: dict[str, str] = {}
    for event in seen:
        if isinstance(event, e.DeviceLost) or (isinstance(event, e.DeviceFailed) and not event.step):
            gone[event.device] = f"gone until the end: {event.text}"
        elif isinstance(event, e.DeviceBack):
            gone.pop(event.device, None)
    return tuple(gone.values())


def _unsafe(seen: Iterable[e.Event]) -> tuple[str, ...]:
    """What could not be confirmed when the rack was made safe."""
    made = [event for event in seen if isinstance(event, e.MadeSafe) and not event.confirmed]
    return tuple(f"not confirmed safe ({event.reason}): {', '.join(event.unconfirmed)}" for event in made)


def _file(entry: e.Entry, steps: dict[str, _Step]) -> bool:
    """Put an entry with its step; False where it names a step that was never planned."""
    event = entry.event
    if not isinstance(event, e.StepStarted | e.Measured | e.DeviceFailed | e.StepFinished) or not event.step:
        return True
    step = steps.get(event.step)
    if step is None:
        return False
    match event:
        case e.StepStarted():
            step.started = entry.rack
        case e.Measured():
            step.measurements.append(event)
        case e.DeviceFailed():
            step.failures.append(event)
        case e.StepFinished():
            # Of two ends the graver counts: nothing that comes later may make a step better.
            if step.finish is None or step.finish.outcome == "completed":
                step.finish = event
            step.finished = entry.rack
    return True


def _result(step: _Step) -> StepResult:
    taken = {m.key for m in step.measurements} | {f"{m.key}@{m.subject}" for m in step.measurements}
    missing = tuple(key for key in step.planned.measures if key not in taken)
    verdict, text = _judge_step(step, missing)
    return StepResult(
        step.planned,
        verdict,
        tuple(step.measurements),
        tuple(step.failures),
        missing,
        text,
        step.started,
        step.finished,
    )


def _judge_step(step: _Step, missing: tuple[str, ...]) -> tuple[Verdict, str]:
    failed = [m for m in step.measurements if m.judgement == Judgement.FAIL]
    unjudged = [m for m in step.measurements if m.judgement not in tuple(Judgement) or m.judgement == "unjudged"]
    if failed:
        return (
            Verdict.FAIL,
            f"{failed[0].subject}: {failed[0].key} is {failed[0].value}, limit {failed[0].limit.bounds}",
        )
    if not step.started:
        return Verdict.NOT_RUN, "never started"
    if step.finish is None:
        return Verdict.ABORTED, "never finished"
    if step.finish.outcome == "stopped":
        return Verdict.ABORTED, step.finish.text
    if step.failures:
        return Verdict.INCONCLUSIVE, step.failures[0].text
    if step.finish.outcome != "completed":
        return Verdict.INCONCLUSIVE, step.finish.text
    if missing:
        return Verdict.FAIL, f"declared but never measured: {', '.join(missing)}"
    if unjudged:
        return Verdict.INCONCLUSIVE, f"{unjudged[0].subject}: {unjudged[0].key} could not be judged"
    if not step.measurements:
        return Verdict.INCONCLUSIVE, "nothing was measured"
    return Verdict.PASS, ""


def _decide(
    results: tuple[StepResult, ...],
    trips: tuple[e.Tripped, ...],
    stops: tuple[e.StopRequested, ...],
    *,
    complete: bool,
    strays: bool,
    defined: bool,
    left_out: tuple[str, ...],
    unproven: tuple[str, ...],
) -> tuple[Verdict, tuple[str, ...]]:
    found: list[tuple[Verdict, str]] = []
    for trip in trips:
        blamed = Verdict.ABORTED if trip.blames == "rig" else Verdict.FAIL
        found.append((blamed, f"interlock {trip.interlock}: {trip.text}"))
    found += [(Verdict.ABORTED, f"stopped by {stop.by}: {stop.text}") for stop in stops]
    if not complete:
        found.append((Verdict.ABORTED, "the run was interrupted: its journal has no end"))
    if strays:
        found.append((Verdict.INCONCLUSIVE, "the journal holds results of steps that were never planned"))
    if not results:
        found.append((Verdict.NOT_RUN, "no step was planned"))
    if not defined:
        found.append((Verdict.INCONCLUSIVE, "the journal does not say what was to be proven: it holds no definition"))
    if results and left_out:
        some = ", ".join(left_out[:3]) + (" …" if len(left_out) > 3 else "")
        found.append((Verdict.INCONCLUSIVE, f"the plan leaves {len(left_out)} limits of the model unjudged: {some}"))
    for result in results:
        if result.verdict is not Verdict.PASS:
            found.append((result.verdict, f"{result.planned.title or result.planned.step}: {result.text}"))
    found += [(Verdict.INCONCLUSIVE, text) for text in unproven]
    if not found:
        return Verdict.PASS, ()
    verdict = worst(v for v, _ in found)
    ordered = sorted(found, key=lambda pair: GRAVITY.index(pair[0]))
    return verdict, tuple(dict.fromkeys(text for _, text in ordered))
