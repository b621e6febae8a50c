"""The verdict: a pure fold over the journal, and the only place where it is decided.

    FAIL          the rack fell short: a measurement failed, a declared one was not taken, an interlock blamed the rack
    ABORTED       the run was stopped: by somebody, by an interlock blaming the rig, or it never finished
    INCONCLUSIVE  the rig could not tell: a device did not answer or was lost and never came back, a value could not be
                  judged, the plan broke or is only a part of one: it leaves limits of the model unjudged; or nobody
                  could confirm that the rack was left safe
    NOT_RUN       a planned step never started
    PASS          every planned step ran and every measurement it declared was taken and passed

The verdict of a run is the worst of its planned steps and of its trips, in that order of gravity.

A run that broke and was taken up again has several sittings. What one of them failed stays failed, and so does a trip;
of a step that is run again, all else is judged by its last attempt, unless an earlier one had ended without a pass.
That somebody stopped a run, and how the rack was left then, counts for its last sitting only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from harness.journal import events as e
from harness.journal.sittings import Sitting, gone, irregularities, last_sitting, sittings
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
    superseded: tuple[e.Measured, ...] = ()
    """What earlier attempts measured and did not fail: kept, and no part of the verdict."""
    attempts: int = 1


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
    sittings: tuple[Sitting, ...] = ()
    """One for an undisturbed run, and one more each time that it was taken up again."""

    @property
    def failed(self) -> tuple[e.Measured, ...]:
        """The measurements that failed."""
        return tuple(m for step in self.steps for m in step.measurements if m.judgement == Judgement.FAIL)


@dataclass(slots=True)
class _Attempt:
    measurements: list[e.Measured] = field(default_factory=list)
    failures: list[e.DeviceFailed] = field(default_factory=list)
    finish: e.StepFinished | None = None
    started: str = ""
    finished: str = ""
    doubled: bool = False
    """Whether it was started twice: nobody can tell which of its measurements belong together."""


@dataclass(slots=True)
class _Step:
    planned: e.PlannedStep
    attempts: list[_Attempt] = field(default_factory=lambda: [_Attempt()])

    @property
    def last(self) -> _Attempt:
        return self.attempts[-1]


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
    stops = tuple(x for x in last_sitting(seen) if isinstance(x, e.StopRequested))
    complete = bool(seen) and isinstance(seen[-1], e.RunFinished)
    left_out = _left_out(started, plan)
    oddities = ("the journal holds results of steps that were never planned",) if strays else ()
    verdict, reasons = _decide(
        results,
        trips,
        stops,
        complete=complete,
        defined=started is not None,
        left_out=left_out,
        unproven=(
            *oddities,
            *irregularities(seen),
            *(f"gone until the end: {text}" for text in gone(seen).values()),
            *_unsafe(last_sitting(seen)),
        ),
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
        made_safe=tuple(x for x in last_sitting(seen) if isinstance(x, e.MadeSafe)),
        stops=stops,
        inventory=tuple(x for x in seen if isinstance(x, e.Inventoried)),
        segments=tuple(x for x in seen if isinstance(x, e.SegmentSealed)),
        attachments=tuple(x for x in seen if isinstance(x, e.Attached)),
        lost_devices=tuple(x for x in seen if isinstance(x, e.DeviceLost)),
        first=everything[0].wall if everything else "",
        last=everything[-1].wall if everything else "",
        complete=complete,
        left_out=left_out,
        sittings=sittings(everything),
    )


def _left_out(started: e.RunStarted | None, plan: e.Planned | None) -> tuple[str, ...]:
    """The limits of the definition that no planned step declares to measure."""
    model = started.definition.get("model") if started else None
    limits = model.get("limits") if isinstance(model, dict) else None
    judged = {measure.partition("@")[0] for step in plan.steps for measure in step.measures} if plan else set()
    return tuple(key for key in limits if key not in judged) if isinstance(limits, dict) else ()


def _unsafe(seen: Iterable[e.Event]) -> tuple[str, ...]:
    """What could not be confirmed when the rack was made safe."""
    made = [event for event in seen if isinstance(event, e.MadeSafe) and not event.confirmed]
    return tuple(f"not confirmed safe ({event.reason}): {', '.join(event.unconfirmed)}" for event in made)


def _file(entry: e.Entry, steps: dict[str, _Step]) -> bool:
    """Put an entry with its step; False where it names a step that was never planned."""
    event = entry.event
    if isinstance(event, e.TakenUp):
        known = [steps[again.step] for again in event.again if again.step in steps]
        for again in known:
            again.attempts.append(_Attempt())
        return len(known) == len(event.again)
    if not isinstance(event, e.StepStarted | e.Measured | e.DeviceFailed | e.StepFinished) or not event.step:
        return True
    step = steps.get(event.step)
    if step is None:
        return False
    attempt = step.last
    match event:
        case e.StepStarted():
            attempt.doubled = bool(attempt.started)
            attempt.started = entry.rack
        case e.Measured():
            attempt.measurements.append(event)
        case e.DeviceFailed():
            attempt.failures.append(event)
        case _:
            # Of two ends the graver counts: nothing that comes later may make a step better.
            if attempt.finish is None or attempt.finish.outcome == "completed":
                attempt.finish = event
            attempt.finished = entry.rack
    return True


def _result(step: _Step) -> StepResult:
    judged = [_judge_attempt(step.planned, attempt) for attempt in step.attempts]
    *earlier, last = step.attempts
    # An attempt that broke off, or that passed and had to be repeated, gives way; any other end of one stays.
    stays = [found for found in judged[:-1] if found[0] in (Verdict.FAIL, Verdict.INCONCLUSIVE)]
    verdict, text = min([*stays, judged[-1]], key=lambda found: GRAVITY.index(found[0]))
    before = [m for attempt in earlier for m in attempt.measurements]
    failed = [m for m in before if m.judgement == Judgement.FAIL]
    return StepResult(
        step.planned,
        verdict,
        (*failed, *last.measurements),
        tuple(last.failures),
        _missing(step.planned, last),
        text,
        last.started,
        last.finished,
        tuple(m for m in before if m.judgement != Judgement.FAIL),
        sum(bool(attempt.started) for attempt in step.attempts),
    )


def _missing(planned: e.PlannedStep, attempt: _Attempt) -> tuple[str, ...]:
    taken = {m.key for m in attempt.measurements} | {f"{m.key}@{m.subject}" for m in attempt.measurements}
    return tuple(key for key in planned.measures if key not in taken)


def _judge_attempt(planned: e.PlannedStep, step: _Attempt) -> tuple[Verdict, str]:
    missing = _missing(planned, step)
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
    if step.doubled:
        return Verdict.INCONCLUSIVE, "it was started twice, and nobody said why"
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
