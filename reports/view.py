"""Every word that a person reads in a report: labels, numbers, verdict sentences, and what to do next.

The advice is written for the technician in front of the rack: one action, on one named part.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from harness.journal.events import LimitUsed, Measured, Tripped
from harness.limits import Judgement
from harness.quantities import Value
from harness.verdict import RunSummary, StepResult, Verdict
from reports.advice import sentence_for
from reports.as_found import contradictions
from reports.identity import identity
from reports.texts import NO_VALUE, bounds_text, step_text, value_text

SIMULATED = "SIMULATED"
PROVISIONAL = "PROVISIONAL"
TIERS = ("bronze", "silver", "gold", "platinum")
DECISION_RULE = (
    "A value passes inside its limits drawn in by the guard band, is marginal between there and the limit itself and "
    "fails outside (ILAC-G8:09/2019, 4.2; ISO/IEC 17025:2017, 7.8.6). A marginal value is reported and does not fail "
    "the unit. What was not measured, or cannot be judged, is never a pass. The verdict is the worst of all steps."
)
LIMITATION = (
    "This certificate relates only to the item identified above, in the condition in which it was tested. It shall "
    "not be reproduced except in full."
)
NO_WAIVERS = "None: every step of the plan was required."
OUTCOME_OF = {
    Verdict.PASS: "The unit conforms.",
    Verdict.FAIL: "The unit does not conform.",
    Verdict.INCONCLUSIVE: "No statement on conformity: the rig could not tell.",
    Verdict.ABORTED: "No statement on conformity: the run was stopped.",
    Verdict.NOT_RUN: "No statement on conformity: the plan was not run to its end.",
}
NEVER = "never measured"
NEVER_STARTED = "never started"
NO_INVENTORY = "No device was asked for its serials and parts."
BLAMED = {"rack": "the rack", "rig": "the test rig"}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a run did not pass: where, on what, what was seen and what was wanted."""

    where: str
    subject: str
    what: str
    seen: str
    wanted: str
    action: str
    shared: str = ""
    """The action without its subject, where one action serves many: `gave no usable …`."""

    def __str__(self) -> str:
        return f"{self.where}: {self.told((self.subject,))}"

    def told(self, subjects: Sequence[str]) -> str:
        """The reason without its place, for all of `subjects` at once."""
        named = listed([subject for subject in subjects if subject])
        if self.seen == NEVER:
            return f"{self.what} of {named} was never measured" if named else f"{self.what} was never measured"
        wanted = f", wanted {self.wanted}" if self.wanted else ""
        if self.what and self.seen == NO_VALUE:
            said = f"no usable value for {self.what}"
        else:
            said = f"{self.what} is {self.seen}" if self.what else self.seen
        return f"{named}: {said}{wanted}" if named else f"{said}{wanted}"


def reasons(summary: RunSummary) -> tuple[Reason, ...]:
    """Everything that kept this run from a pass, gravest first, none left out."""
    found = [_tripped(trip) for trip in summary.trips]
    found += [Reason("Stopped", "", "", f"by {stop.by}: {stop.text}", "", "") for stop in summary.stops]
    if not summary.complete:
        found.append(Reason("Run", "", "", "it was interrupted: its journal has no end", "", _AGAIN))
    ranked = sorted(summary.steps, key=lambda step: tuple(Verdict).index(step.verdict))
    for step in ranked:
        found += _step_reasons(step, summary)
    if not summary.steps:
        found.append(Reason("Plan", "", "", "no step was planned", "", "Choose a plan that fits this model."))
    elif summary.left_out:
        seen = f"it judges only a part of the model: {listed(summary.left_out)} were left out"
        found.append(Reason("Plan", "", "", seen, "", "Run the whole plan: a part of it proves no conformity."))
    return tuple(dict.fromkeys(found))


def grouped_reasons(summary: RunSummary) -> dict[str, list[str]]:
    """The reasons by where they arose, those that differ in their subject only told in one line."""
    alike: dict[Reason, list[str]] = {}
    # What came of a trip or of a stop needs no line a step, nor the same words twice.
    ended = bool(summary.trips or summary.stops)
    cut_off = [step for step in summary.steps if ended and step.verdict is Verdict.ABORTED]
    unstarted = [step for step in summary.steps if step.verdict is Verdict.NOT_RUN]
    told_below = {(step_text(step), step.text) for step in cut_off}
    told_below |= {(step_text(step), NEVER_STARTED) for step in unstarted if len(unstarted) > 1}
    for reason in reasons(summary):
        if (reason.where, reason.seen) not in told_below:
            alike.setdefault(replace(reason, subject="", action=""), []).append(reason.subject)
    grouped: dict[str, list[str]] = {}
    for reason, subjects in alike.items():
        grouped.setdefault(reason.where, []).append(reason.told(subjects))
    below = [f"cut off in: {step_text(step)}" for step in cut_off]
    if len(unstarted) > 1:
        below.append(f"{_steps(len(unstarted))} of {len(summary.steps)} never started")
    return grouped | ({"Plan": below} if below else {})


def listed(names: Sequence[str]) -> str:
    """Names in a row, and how many more there are where they are many."""
    if len(names) > _MOST_NAMES + 1:
        return f"{', '.join(names[:_MOST_NAMES])} and {len(names) - _MOST_NAMES} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


_MOST_NAMES = 4


def shortfall(step: StepResult) -> str:
    """What is to be said of a step beside the rows of its measurements; empty for a pass."""
    if step.verdict is not Verdict.FAIL:
        return "" if step.verdict is Verdict.PASS else step.text
    declared: dict[str, list[str]] = {}
    for entry in step.missing:
        key, _, subject = entry.partition("@")
        declared.setdefault(key, []).append(subject)
    return "; ".join(
        Reason("", "", key, NEVER, "", "").told([s or step.planned.device for s in subjects])
        for key, subjects in declared.items()
    )


def remark(step: StepResult) -> str:
    """Why a step did not pass, in one line; empty for a pass."""
    failed = [m for m in step.measurements if m.judgement == Judgement.FAIL]
    said = [f"{m.subject}: {m.key} is {value_text(m.value, m.unit)}, wanted {_wanted(m.limit)}" for m in failed[:1]]
    said += [f"and {len(failed) - 1} more"] if len(failed) > 1 else []
    return ", ".join(said) + ("; " if said and shortfall(step) else "") + shortfall(step)


def not_as_built(summary: RunSummary) -> tuple[str, ...]:
    """What does not carry the serial it was built with, one sentence each."""
    return tuple(
        f"{item.place} carries serial {item.serial}, the build record says {item.built}"
        for item in contradictions(summary)
    )


def next_action(summary: RunSummary) -> tuple[str, ...]:
    """What the technician does now, most urgent first; never empty."""
    unsafe = sorted({name for made in summary.made_safe for name in made.unconfirmed})
    actions = []
    if unsafe:
        actions.append(
            f"NOT CONFIRMED SAFE: {', '.join(unsafe)}. "
            "Check by hand that load and power are off before you touch the rack."
        )
    swapped = [f"{said}. Clear this before the rack leaves." for said in not_as_built(summary)]
    if summary.verdict is Verdict.PASS:
        return (*actions, *swapped, *_release(summary))
    actions += _actions(reasons(summary))
    actions += swapped
    if summary.verdict is Verdict.FAIL:
        actions.append("Then run the acceptance of this rack again from the start.")
    elif not actions or summary.verdict is Verdict.ABORTED:
        actions.append(_AGAIN)
    else:
        actions.append("Then run again: this run says nothing about the rack.")
    return tuple(dict.fromkeys(actions))


def _actions(found: Iterable[Reason]) -> list[str]:
    """The actions of `found` in their order; one for all that are served by the same."""
    gathered: dict[str, list[str]] = {}
    for reason in found:
        key = reason.shared or reason.action
        gathered.setdefault(key, []).append(reason.subject if reason.shared else "")
    return [
        f"{listed(list(dict.fromkeys(filter(None, subjects))))} {action}" if any(subjects) else action
        for action, subjects in gathered.items()
        if action
    ]


_AGAIN = "Start the run again once the reason for the stop is gone; this run says nothing about the rack."


def _release(summary: RunSummary) -> tuple[str, ...]:
    if identity(summary.started).simulated:
        return ("Nothing to release: this rack was simulated.",)
    return ("Release the rack: print certificate.pdf and put it with the shipping papers.",)


def verdict_sentence(summary: RunSummary) -> str:
    """One sentence on what this run says of the unit."""
    who = identity(summary.started)
    unit = f"Unit {who.serial}" if who.serial else "The unit"
    model = f"{who.model} revision {who.revision}" if who.model else "its model"
    taken = [m for step in summary.steps for m in step.measurements]
    marginal = sum(m.judgement == Judgement.MARGINAL for m in taken)
    failed = sum(m.judgement == Judgement.FAIL for m in taken)
    short = sum(step.verdict is Verdict.FAIL for step in summary.steps)
    match summary.verdict:
        case Verdict.PASS:
            margin = f", {marginal} of them marginal" if marginal else ""
            return (
                f"{unit} conforms to {model}: {_steps(len(summary.steps))} ran, {_measured(len(taken))} passed{margin}."
            )
        case Verdict.FAIL:
            tripped = dict.fromkeys(trip.interlock for trip in summary.trips if trip.blames != "rig")
            fell = [f"{'interlocks' if len(tripped) > 1 else 'interlock'} {listed(list(tripped))} tripped"]
            fell = fell if tripped else []
            if short or not tripped:
                fell.append(f"{short} of {_steps(len(summary.steps))} failed")
                fell.append(f"{failed} of {_measured(len(taken))} outside the limits")
            return f"{unit} does not conform to {model}: {', '.join(fell)}."
        case _:
            return (
                f"{OUTCOME_OF[summary.verdict]} {unit} is neither accepted nor rejected, and no certificate is issued."
            )


def advice(measured: Measured) -> str:
    """What to do about one measurement that did not pass."""
    if _is_silent(measured):
        return f"{measured.subject} {_silence(measured)}"
    wanted = _wanted(measured.limit)
    sentence = sentence_for(measured.key)
    if sentence:
        return sentence.format(subject=measured.subject, value=value_text(measured.value, measured.unit), wanted=wanted)
    return f"Check {measured.subject}: {measured.key} must be {wanted}. Ask test engineering if the cause is not plain."


def _is_silent(measured: Measured) -> bool:
    return measured.judgement not in (Judgement.PASS, Judgement.MARGINAL, Judgement.FAIL) or measured.value is None


def _silence(measured: Measured) -> str:
    """What to do where a subject gave nothing to judge, after the subject's name."""
    if measured.quality in ("", "good"):
        # Nothing is wrong with the reading, because there was none: it is worked out of others.
        return f"gave too little to work out {measured.key}. Look for what else was silent or failed, then run again."
    return f"gave no usable {measured.key} ({measured.quality}). Check its power and network cable, then run again."


def _wanted(limit: LimitUsed) -> str:
    return bounds_text(limit).removeprefix("= ")


def _swap(measured: Measured, summary: RunSummary) -> str:
    """Two cables that changed places are one action, not two."""
    for other in summary.failed:
        crossed = _allows(measured, other.value) and _allows(other, measured.value)
        if other.key == measured.key and other.subject != measured.subject and crossed:
            first, second = sorted((measured.subject, other.subject))
            return f"Swap the cables at {first} and {second}."
    return ""


def _allows(measured: Measured, value: Value | None) -> bool:
    return value is not None and value in (measured.limit.allowed or ())


def _tripped(trip: Tripped) -> Reason:
    where = f"Interlock {trip.interlock} ({BLAMED.get(trip.blames, trip.blames)})"
    bounds = trip_bounds(trip)
    action = f"{trip.subject}: {trip.advice}" if trip.advice else ""
    return Reason(where, trip.subject, "", trip_text(trip), bounds, action)


def trip_text(trip: Tripped) -> str:
    """What made an interlock fire, without the name of its subject: `leak.wet is 1`."""
    quantity, verb, _ = trip.text.removeprefix(f"{trip.subject}.").partition(" is ")
    if trip.value is not None and verb and trip.text.startswith(f"{trip.subject}."):
        return f"{quantity} is {value_text(trip.value, trip.unit)}"
    return trip.text.removeprefix(f"{trip.subject}: ")


def trip_bounds(trip: Tripped) -> str:
    """The bounds of an interlock as a person reads them."""
    return trip.bounds.replace("degC", "°C").removesuffix(" count")


def _step_reasons(step: StepResult, summary: RunSummary) -> list[Reason]:
    where = step_text(step)
    found = []
    for measured in step.measurements:
        if measured.judgement in (Judgement.PASS, Judgement.MARGINAL):
            continue
        action = advice(measured)
        if measured.key in ("link.neighbour", "power.outlet.feeds"):
            action = _swap(measured, summary) or action
        seen = value_text(measured.value, measured.unit)
        shared = _silence(measured) if _is_silent(measured) else ""
        found.append(Reason(where, measured.subject, measured.key, seen, _wanted(measured.limit), action, shared))
    for failure in step.device_failures:
        # A device's errors begin with its name.
        said = failure.text.removeprefix(f"{failure.device}: ")
        found.append(Reason(where, failure.device, "", said, "", f"{failure.device}: {said}"))
    for declared in step.missing if step.verdict is Verdict.FAIL else ():
        key, _, subject = declared.partition("@")
        if subject:
            found.append(Reason(where, subject, key, NEVER, "", f"{subject} {_UNSEEN}", _UNSEEN))
        else:
            found.append(Reason(where, step.planned.device, key, NEVER, "", _MISSING))
    if not found and step.verdict is not Verdict.PASS:
        said = NEVER_STARTED if step.verdict is Verdict.NOT_RUN else step.text
        found.append(Reason(where, step.planned.device, "", said, "", ""))
    return found


_UNSEEN = (
    "never gave what the plan asked of it. Check that it is fitted and that its device lists it; "
    "if so, give this run to test engineering."
)
_MISSING = "Give this run to test engineering: the plan declared a measurement and did not take it."


def _steps(count: int) -> str:
    return _count(count, "step")


def _measured(count: int) -> str:
    return _count(count, "measurement")


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
