"""What of a broken run stands: a pure decision over its journal and over who the devices prove to be now.

A step that was interrupted is run again whole. One that passed stands as long as all that it rests on is the same, else
it is run again. One that ended otherwise stands as it is: no resumption makes it better.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from harness.journal import events as e
from harness.verdict import RunSummary, StepResult, Verdict

UNFINISHED = "it was interrupted"


def take_up(
    before: RunSummary,
    entries: Sequence[e.Entry],
    found: Mapping[str, e.Fingerprinted],
    drivers: Mapping[str, str],
    changed: Sequence[str],
) -> e.TakenUp:
    """Which steps stand and which are run again, each with its reason.

    `before` is the run as it broke, `found` who the devices prove to be now, `drivers` as in `RunStarted`, `changed`
    what else is not as it was: of that, each is reason enough for every step.
    """
    others = doubts(entries, found, drivers)
    touched = _touched(entries)
    reasons: dict[str, str] = {}
    for result in before.steps:
        step = result.planned.step
        if _is_interrupted(result, entries):
            reasons[step] = UNFINISHED
        elif result.verdict is Verdict.PASS:
            devices = touched.get(step) or (*found, *drivers)
            reason = next(iter([*changed, *(others[name] for name in devices if name in others)]), "")
            if reason:
                reasons[step] = reason
    reasons |= _conditions(before.steps, entries, reasons)
    began = [r for r in before.steps if r.verdict is not Verdict.NOT_RUN and r.planned.step not in reasons]
    listed = [e.Repeated(r.planned.step, reasons[r.planned.step]) for r in before.steps if r.planned.step in reasons]
    return e.TakenUp(tuple(r.planned.step for r in began), tuple(listed))


def doubts(
    entries: Iterable[e.Entry], found: Mapping[str, e.Fingerprinted], drivers: Mapping[str, str]
) -> dict[str, str]:
    """Why a device is not known to be the same as before the break, by its name; none for those that are."""
    known: dict[str, e.Fingerprinted] = {}
    driven: Mapping[str, str] = {}
    for entry in entries:
        if isinstance(entry.event, e.Fingerprinted):
            known[entry.event.device] = entry.event
        elif isinstance(entry.event, e.RunStarted | e.Resumed):
            driven = entry.event.drivers
    reasons = {}
    for name in sorted({*known, *found}):
        was, now = known.get(name), found.get(name)
        if now is None or not now.digest:
            reasons[name] = f"{name} does not prove to be the same: {now.text if now else 'it was not reached'}"
        elif was is None or not was.digest:
            reasons[name] = f"{name} was not known before the break{f': {was.text}' if was else ''}"
        elif was.digest != now.digest:
            what = f"serial {now.serial}, was {was.serial}" if was.serial != now.serial else "its parts or its firmware"
            reasons[name] = f"{name} is not as it was: {what}"
    for name in sorted({*driven, *drivers}):
        if driven.get(name) != drivers.get(name):
            reasons.setdefault(name, f"{name} is driven otherwise: {drivers.get(name)}, was {driven.get(name)}")
    return reasons


def lasting(entries: Iterable[e.Entry]) -> dict[str, object]:
    """What steps left for later ones and still holds, by name: the latest of each."""
    kept = [entry.event for entry in entries if isinstance(entry.event, e.Kept)]
    return {event.name: json.loads(event.value) for event in kept if event.lasts}


def dark_outlets(entries: Iterable[e.Entry], watchdog: Iterable[e.WatchdogActed] = ()) -> tuple[str, ...]:
    """Outlets that a step had switched off and nobody is known to have switched on again."""
    dark: set[str] = set()
    for event in (*(entry.event for entry in entries), *watchdog):
        if isinstance(event, e.Switched):
            (dark.discard if event.on else dark.add)(event.outlet)
        elif isinstance(event, e.SafetyAction | e.WatchdogActed) and event.confirmed:
            # As making safe words it; what it switched off stays off, and no run with a trip is taken up again.
            outlet = event.action.removeprefix("switch outlet ").removesuffix(" back on")
            dark.discard(f"{event.device}/{outlet}")
    return tuple(sorted(dark))


def _is_interrupted(result: StepResult, entries: Iterable[e.Entry]) -> bool:
    """Whether the last attempt at a step began and did not come to an end of its own."""
    running = False
    for entry in entries:
        match entry.event:
            case e.StepStarted(step=step) if step == result.planned.step:
                running = True
            case e.StepFinished(step=step, outcome=outcome) if step == result.planned.step:
                running = outcome == "stopped"
            case e.TakenUp(again=again) if any(each.step == result.planned.step for each in again):
                # It was to be run again and that never came: it still is.
                running = True
            case _:
                pass
    return running


def _touched(entries: Iterable[e.Entry]) -> dict[str, tuple[str, ...]]:
    return {entry.event.step: entry.event.touched for entry in entries if isinstance(entry.event, e.StepFinished)}


def _conditions(steps: Sequence[StepResult], entries: Iterable[e.Entry], reasons: Mapping[str, str]) -> dict[str, str]:
    """Passed steps that left what a break takes away (a load, a steady state), where their stage is not through."""
    kept = [entry.event for entry in entries if isinstance(entry.event, e.Kept)]
    fleeting = {event.step: event.name for event in kept if not event.lasts}
    found = {}
    for index, result in enumerate(steps):
        step, stage = result.planned.step, result.planned.stage
        later = [each for each in steps[index + 1 :] if each.planned.stage == stage]
        due = any(each.verdict is Verdict.NOT_RUN or each.planned.step in reasons for each in later)
        if step in fleeting and step not in reasons and result.verdict is Verdict.PASS and due:
            found[step] = f"what it left ({fleeting[step]}) did not outlast the break"
    return found
