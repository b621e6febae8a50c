"""How one finished run of a proof is judged: from its journal, never from an exit code alone. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from harness.journal import events as e
from harness.limits import Judgement
from harness.proof.results import Catch, Fault, FaultResult, Found, Mark, SeedResult
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
    if not problem and summary.stops and not right:
        problem = f"the run was stopped by {summary.stops[0].by}: {summary.stops[0].text}"
    if problem:
        return FaultResult(fault, Catch.NOT_RUN, text=problem)
    silent = None if right or fault.kind != "limit" else _silence(fault, summary, ran.entries)
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
    if silent is not None:
        step, rack = silent
        marks = {**result.marks, step: Mark.RIGHT}
        text = f"{fault.subject} fell silent, which {fault.check} could not judge"
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


def is_caught(fault: Fault, line: bytes) -> bool:
    """Whether a line of a journal is the fault's own check failing: nothing that follows can make that a pass."""
    if b'"event":"Measured"' not in line and b'"event":"Tripped"' not in line:
        return False
    try:
        entry = json.loads(line)
        body = entry["body"]
        if entry["event"] == "Tripped":
            return bool((body["interlock"], body["subject"]) == (fault.check, fault.subject))
        judged = (body["key"], body["subject"], body["judgement"])
        return bool(judged == (fault.check, fault.subject, Judgement.FAIL.value))
    except (ValueError, KeyError, TypeError):
        return False


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


def _silence(fault: Fault, summary: RunSummary, entries: Sequence[e.Entry]) -> tuple[str, str] | None:
    """Step and rack time at which the check could not judge because its own subject had fallen silent for good.

    A device that does not come back cannot be measured: the check that names it then ends INCONCLUSIVE and says so.
    """
    if summary.verdict is not Verdict.INCONCLUSIVE:
        return None
    lost: dict[str, str] = {}
    for entry in entries:
        if isinstance(entry.event, e.DeviceLost):
            lost.setdefault(entry.event.device, entry.rack)
        elif isinstance(entry.event, e.DeviceBack):
            lost.pop(entry.event.device, None)
    wanted = {f"{fault.check}@{fault.subject}", fault.check}
    for step in summary.steps:
        named = any(failure.device == fault.subject for failure in step.device_failures)
        if fault.subject in lost and named and wanted & set(step.missing):
            return function_of(step.planned.step), lost[fault.subject]
    return None


def _blames(fault: Fault, summary: RunSummary) -> bool:
    """Whether what the rig could not tell is about the very device that has the fault."""
    device = fault.subject.partition("/")[0]
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
