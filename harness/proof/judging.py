"""How one finished run of a proof is judged: from its journal, never from an exit code alone. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from harness.journal import events as e
from harness.journal.lines import decode
from harness.limits import Judgement
from harness.proof.results import Catch, Fault, FaultResult, Found, Mark, SeedResult, device_of
from harness.proof.untold import Untold
from harness.verdict import RunSummary, StepResult, Verdict, fold


@dataclass(frozen=True, slots=True)
class Ran:
    """A run as it lies on the disk, or why there is none.

    `history` is what the simulated rack noted of its faults, None where the run keeps nothing of it.
    """

    entries: tuple[e.Entry, ...] = ()
    history: str | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Seen:
    """Something that counts against the rack, and when (rack time)."""

    found: Found
    rack: str


def judge_fault(fault: Fault, ran: Ran, running: Mapping[str, str]) -> FaultResult:
    """What became of a fault in a run; `running` is what the proof is about, and the run must have been of that."""
    summary = fold(ran.entries)
    seen = tuple(_seen(ran.entries))
    right = [one for one in seen if (one.found.check, one.found.subject) == (fault.check, fault.subject)]
    problem = ran.problem or _unfit(summary, running, (fault.spec,)) or _never_begun(fault, ran.history)
    untold = None if right or fault.kind != "limit" else _untold(fault, ran.entries)
    if not problem and summary.stops and not right and untold is None:
        problem = f"the run was stopped by {summary.stops[0].by}: {summary.stops[0].text}"
    if problem:
        return FaultResult(fault, Catch.NOT_RUN, text=problem)
    result = FaultResult(
        fault,
        Catch.MISSED,
        summary.verdict.value,
        found=tuple(dict.fromkeys(one.found for one in seen)),
        marks=_marks(summary, {one.found.step for one in right}, {one.found.step for one in seen}),
    )
    if summary.verdict is Verdict.PASS:
        return replace(result, text="the rack passed")
    if right:
        return replace(result, catch=Catch.RIGHT, after=_after(fault, ran.history, right[0].rack))
    if untold is not None:
        step, rack = untold
        marks = {**result.marks, step: Mark.RIGHT}
        text = f"{fault.check} on {fault.subject} could not be judged"
        return replace(result, catch=Catch.RIGHT, text=text, marks=marks, after=_after(fault, ran.history, rack))
    if summary.verdict is Verdict.FAIL and seen:
        first = seen[0].found
        said = f"{first.check} on {first.subject}"
        return replace(result, catch=Catch.OTHER, text=said, after=_after(fault, ran.history, seen[0].rack))
    if summary.verdict is Verdict.FAIL or _blames(fault, summary):
        return replace(result, catch=Catch.OTHER, text="; ".join(summary.reasons[:2]))
    return FaultResult(
        fault, Catch.NOT_RUN, summary.verdict.value, f"the rig could not tell: {'; '.join(summary.reasons[:2])}"
    )


BEARING = tuple(
    f'"event":"{name}"'.encode()
    for name in (
        *("Planned", "StepStarted", "Measured", "Tripped"),
        *("DeviceFailed", "DeviceLost", "DeviceBack", "StepFinished"),
    )
)
"""Marks of the journal lines that can bear on a catch."""


class Watching:
    """Follows a journal while it is written, until the fault is caught by its own check."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._untold = Untold(fault) if fault.kind == "limit" else None

    def is_caught(self, line: bytes) -> bool:
        """Whether with this line the fault is caught by its own check: nothing that follows makes that a pass."""
        if not any(mark in line for mark in BEARING):
            return False
        try:
            entry = decode(json.loads(line))
        except (ValueError, KeyError, TypeError):
            return False
        wanted = (self._fault.check, self._fault.subject)
        match entry.event:
            case e.Tripped() as trip:
                return (trip.interlock, trip.subject) == wanted
            case e.Measured() as m if m.judgement == Judgement.FAIL:
                return (m.key, m.subject) == wanted
        return self._untold is not None and self._untold.take(entry.event, entry.rack) is not None


def judge_seed(seed: int, ran: Ran, running: Mapping[str, str]) -> SeedResult:
    """What became of a healthy rack. Whatever is no pass is a false alarm, unless the run never even began."""
    summary = fold(ran.entries)
    problem = _unfit(summary, running, (), complete=False)
    if problem:
        return SeedResult(seed, "", (ran.problem or problem,))
    if ran.problem:
        verdict = Verdict.ABORTED if summary.verdict is Verdict.PASS else summary.verdict
        return SeedResult(seed, verdict.value, (ran.problem, *summary.reasons[:4]))
    return SeedResult(seed, summary.verdict.value, summary.reasons[:5])


def _unfit(summary: RunSummary, running: Mapping[str, str], faults: Sequence[str], *, complete: bool = True) -> str:
    """Why a run is not one of this proof; empty where it is."""
    if summary.started is None:
        return "the run left no journal"
    if complete and not summary.complete:
        return "the run was interrupted: its journal has no end"
    bay = summary.started.definition.get("bay")
    simulated = (bay.get("simulated") if isinstance(bay, dict) else None) or {}
    if tuple(simulated.get("faults", ())) != tuple(faults):
        return "the simulated rack did not have the faults that were asked for"
    if summary.proof is None or summary.proof.running != dict(running):
        return "files of the plan, the model or Rackproof were changed while the plan was being proven"
    return ""


def _history(history: str | None) -> Iterator[Mapping[str, object]]:
    for line in (history or "").splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found


def _never_begun(fault: Fault, history: str | None) -> str:
    """A fault whose onset was never reached was not missed: it was not there."""
    if any(line.get("fault") == fault.spec for line in _history(history)):
        return ""
    return "the fault never began in this run"


def _after(fault: Fault, history: str | None, rack: str) -> float | None:
    """Rack seconds from the onset to an instant; None where either is not known."""
    began = next((str(line.get("rack")) for line in _history(history) if line.get("fault") == fault.spec), "")
    try:
        return round((datetime.fromisoformat(rack) - datetime.fromisoformat(began)).total_seconds(), 1)
    except (ValueError, TypeError):
        return None


def _seen(entries: Sequence[e.Entry]) -> Iterator[_Seen]:
    """Everything that counts against the rack, in the order in which it was seen."""
    step = ""
    for entry in entries:
        match entry.event:
            case e.StepStarted():
                step = function_of(entry.event.step)
            case e.StepFinished():
                step = ""
            case e.Measured() as m if m.judgement == Judgement.FAIL:
                yield _Seen(Found(function_of(m.step), m.key, m.subject), entry.rack)
            case e.Tripped() as trip:
                yield _Seen(Found(step, trip.interlock, trip.subject), entry.rack)


def function_of(step: str) -> str:
    """The function of a step, without the device it was run for."""
    return step.partition("[")[0]


def _untold(fault: Fault, entries: Sequence[e.Entry]) -> tuple[str, str] | None:
    """Step and rack time at which the check could not judge, by the doing of the faulty device."""
    untold = Untold(fault)
    for entry in entries:
        if (found := untold.take(entry.event, entry.rack)) is not None:
            step, rack = found
            return function_of(step), rack
    return None


def _blames(fault: Fault, summary: RunSummary) -> bool:
    """Whether what the rig could not tell is about the very device that has the fault."""
    device = fault.device or device_of(fault.subject)
    named = {failure.device for step in summary.steps for failure in step.device_failures}
    named |= {trip.subject.partition("/")[0] for trip in summary.trips}
    return any(name == device or name.startswith(f"{device}-") for name in named)


def _marks(summary: RunSummary, right: set[str], seen: set[str]) -> dict[str, Mark]:
    marks: dict[str, Mark] = {}
    for step in summary.steps:
        name = function_of(step.planned.step)
        mark = Mark.RIGHT if name in right else Mark.OTHER if name in seen else _mark(step)
        marks[name] = min(marks.get(name, mark), mark, key=tuple(Mark).index)
    return marks


def _mark(step: StepResult) -> Mark:
    match step.verdict:
        case Verdict.PASS:
            return Mark.CLEAN
        case Verdict.FAIL:
            return Mark.OTHER
        case Verdict.NOT_RUN:
            return Mark.UNREACHED
        case _:
            return Mark.UNSURE
