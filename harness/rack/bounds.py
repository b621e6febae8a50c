"""Cross-checks of limits and interlocks: each says exactly one thing, in the right unit, of something that exists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.errors import Problem
from harness.quantities import Unit, Value
from harness.rack.baselines import LEARNED, SCALED
from harness.rack.document import Document, Place
from harness.rack.model import Interlock, LimitSpec, Role
from harness.rack.suggest import did_you_mean
from harness.rack.vocabulary import CHANNELS, LIMIT_KEYS, STATION, is_same_quantity

WORDS = (Unit.TEXT, Unit.BOOLEAN)
"""Units without an order: nothing is above or below them."""


def check_limits(document: Document, limits: Mapping[str, LimitSpec]) -> Iterator[Problem]:
    """What is wrong with the limits of a model."""
    for key, spec in limits.items():
        place: Place = ("limits", key)
        known = LIMIT_KEYS.get(key)
        if known is None:
            yield document.problem(place, f"no plan measures anything of this name{did_you_mean(key, LIMIT_KEYS)}")
        elif not is_same_quantity(known, spec.unit):
            yield document.problem((*place, "unit"), f"this is measured in {known}, not in {spec.unit}")
        if not spec.source.strip():
            yield document.problem((*place, "source"), "must name the document that the limit comes from")
        yield from _check_kind(document, place, spec)


def _check_kind(document: Document, place: Place, spec: LimitSpec) -> Iterator[Problem]:
    bounded, expected = spec.min is not None or spec.max is not None, spec.baseline is not None
    if bounded + expected + (spec.equals is not None) + spec.by_definition + spec.recorded_only != 1:
        text = "must have exactly one of: min and/or max; baseline; equals; by_definition: true; recorded_only: true"
        yield document.problem(place, text)
        return
    if spec.equals is not None and (wanted := _unfit(spec.equals, spec.unit)):
        yield document.problem((*place, "equals"), f"in unit {spec.unit} this must be {wanted}")
    if expected:
        yield from _check_baseline(document, place, spec)
        return
    for name in ("tolerance", "warn", "better"):
        if getattr(spec, name) is not None:
            yield document.problem((*place, name), "belongs to a baseline only")
    if not bounded:
        if spec.guard:
            yield document.problem((*place, "guard"), "a guard band belongs to min and max only")
        return
    if spec.unit in WORDS:
        yield document.problem(place, f"min and max have no meaning in unit {spec.unit}: use equals")
    if spec.min is None or spec.max is None:
        return
    if spec.min > spec.max:
        yield document.problem((*place, "min"), f"min {spec.min:g} is above max {spec.max:g}")
    elif spec.guard and spec.guard >= (spec.max - spec.min) / 2:
        text = f"a guard band of {spec.guard:g} leaves nothing to pass between {spec.min:g} and {spec.max:g}"
        yield document.problem((*place, "guard"), text)


def _check_baseline(document: Document, place: Place, spec: LimitSpec) -> Iterator[Problem]:
    if isinstance(spec.baseline, str):
        if spec.baseline != LEARNED:
            text = f"must be a number above 0, or {LEARNED}; is {spec.baseline!r}"
            yield document.problem((*place, "baseline"), text + did_you_mean(spec.baseline, (LEARNED,)))
    elif spec.baseline is not None and spec.baseline <= 0:
        text = f"must be above 0, is {spec.baseline:g}: a tolerance in percent of it would mean nothing"
        yield document.problem((*place, "baseline"), text)
    if spec.unit not in SCALED:
        text = f"a percentage of a value in {spec.unit} means nothing: use min, max or equals"
        yield document.problem((*place, "baseline"), text)
    if spec.guard:
        yield document.problem((*place, "guard"), "the guard band of a baseline follows from tolerance and warn")
    if spec.tolerance is None:
        yield document.problem((*place, "tolerance"), "is missing: how many percent worse than the baseline may it be?")
        return
    if spec.tolerance >= 100 and spec.better != "lower":
        text = f"must be below 100, is {spec.tolerance:g}: nothing would ever be too low"
        yield document.problem((*place, "tolerance"), text)
    if spec.warn is not None and spec.warn > spec.tolerance:
        text = f"warn {spec.warn:g} is beyond tolerance {spec.tolerance:g}: it would never be seen"
        yield document.problem((*place, "warn"), text)


def _unfit(value: Value, unit: Unit) -> str:
    """What a value of this unit must be, where this one is not."""
    if unit is Unit.BOOLEAN:
        return "" if isinstance(value, bool) else "true or false"
    if unit is Unit.TEXT:
        return "" if isinstance(value, str) else "text in quotes (on, off, yes and no are not text without them)"
    return "a number" if isinstance(value, bool | str) else ""


def check_interlocks(
    document: Document, interlocks: Mapping[str, Interlock], roles: frozenset[str] | None
) -> Iterator[Problem]:
    """What is wrong with the interlocks of a model; `roles` are those of its devices, None where they are not known."""
    for name, interlock in interlocks.items():
        place: Place = ("interlocks", name)
        channels = STATION if interlock.role == "station" else CHANNELS[interlock.role]
        unit = channels.get(interlock.quantity)
        if unit is None:
            hint = did_you_mean(interlock.quantity, channels)
            yield document.problem((*place, "quantity"), f"no {interlock.role} reports this quantity{hint}")
        elif not is_same_quantity(unit, interlock.unit):
            yield document.problem((*place, "unit"), f"this is reported in {unit}, not in {interlock.unit}")
        if interlock.unit in WORDS:
            yield document.problem((*place, "unit"), f"min and max have no meaning in unit {interlock.unit}")
        if roles is not None and interlock.role != "station" and interlock.role not in roles:
            yield document.problem((*place, "role"), f"the rack has no {interlock.role}: this would watch nothing")
        if interlock.min is None and interlock.max is None:
            yield document.problem(place, "must have min, max or both: without them it never trips")
        elif interlock.min is not None and interlock.max is not None and interlock.min > interlock.max:
            text = f"min {interlock.min:g} is above max {interlock.max:g}"
            yield document.problem((*place, "min"), text)


def check_watch(
    document: Document, interlocks: Mapping[str, Interlock], periods: Mapping[Role, float]
) -> Iterator[Problem]:
    """Where an interlock would take one late sample of a healthy device for silence."""
    for name, interlock in interlocks.items():
        period = None if interlock.role == "station" else periods.get(interlock.role)
        if period is not None and 2 * period > interlock.max_silence:
            text = (
                f"every {period:g} s is too seldom for interlock {name}: one late sample would be longer than its "
                f"max_silence of {interlock.max_silence:g} s"
            )
            yield document.problem(("sampling", "periods", interlock.role), text)
