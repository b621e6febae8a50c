"""Learned baselines: the file that holds them, and how a limit given as a baseline becomes a bound.

A limit may say what is expected instead of where the bound lies: a number with its source, or `learned`. Then the value
is the median of accepted racks, from a file beside the model, and only the tolerance is a person's decision. The file
is part of the definition: its digest stands in the source of every limit that it sets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from harness.errors import Problem
from harness.quantities import Unit, convert
from harness.rack.document import Document, Place
from harness.rack.model import Frozen, LimitSpec, Model, Name, NotNegative, Positive, PositiveInt, Text
from harness.rack.vocabulary import is_same_quantity

LEARNED = "learned"
"""A limit's baseline that is taken from the baselines file."""

SCALED = frozenset(Unit) - {
    Unit.TEXT,
    Unit.BOOLEAN,
    Unit.CELSIUS,
    Unit.DECIBEL,
    Unit.DECIBEL_MILLIWATT,
    Unit.PERCENT,
    Unit.RATIO,
    Unit.KELVIN_PER_MINUTE,
}
"""Units in which a percentage of a value means something: with a true zero, no share already, no slope around zero."""

DIGITS = 9
"""Significant figures kept of what is computed: more than any instrument has, fewer than rounding noise shows in."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Expected(Frozen):
    """What racks of one model do under one key: the median of their medians, and how far apart they are."""

    unit: Unit
    median: Positive
    sigma: NotNegative
    """Robust standard deviation of the racks' medians, 1.4826 MAD, in `unit`."""
    racks: PositiveInt
    values: PositiveInt


class Origin(Frozen):
    """One run that was learned from, as its certificate names it."""

    run: Text
    serial: Text
    journal: Sha256
    """Head of the journal's chain."""
    certificate: Sha256
    """Of `certificate.intoto.jsonl`."""


class LeftOut(Frozen):
    """One accepted run that stood apart from the others and was not learned from."""

    run: Text
    serial: Text
    reason: Text


class Baselines(Frozen):
    """What `rackproof baseline` learned from accepted racks of one model."""

    schema_version: Literal[1]
    model: Name
    revisions: Annotated[tuple[Text, ...], Field(min_length=1)]
    simulated: bool
    rackproof: Text
    """Release that learned it."""
    until: date
    """Day (UTC) on which the last of the runs ended."""
    keys: Annotated[dict[Text, Expected], Field(min_length=1)]
    runs: Annotated[tuple[Origin, ...], Field(min_length=1)]
    left_out: tuple[LeftOut, ...] = ()


def rounded(value: float) -> float:
    """A computed value without the noise of its last binary digits."""
    return float(f"{value:.{DIGITS}g}")


def expectation(spec: LimitSpec, expected: float, source: str) -> LimitSpec:
    """A limit given as a baseline with the bound and guard band that follow from `expected`, in the limit's unit.

    Between `warn` and `tolerance` a value is marginal: the guard band is what lies between the two.
    """
    tolerance = spec.tolerance or 0.0
    warn = tolerance if spec.warn is None else spec.warn
    worse = "above" if spec.better == "lower" else "below"
    unit = "" if spec.unit is Unit.COUNT else f" {spec.unit}"
    bound = rounded(expected * (1 + (tolerance if worse == "above" else -tolerance) / 100))
    return spec.model_copy(
        update={
            "max" if worse == "above" else "min": bound,
            "guard": rounded(expected * (tolerance - warn) / 100),
            "source": f"{source}; at most {tolerance:g} % {worse} {expected:g}{unit}",
        }
    )


def with_bounds(
    limits: Mapping[str, LimitSpec], learned: Baselines | None, file: str, digest: str
) -> dict[str, LimitSpec]:
    """The limits of a sound model, every baseline turned into a bound; `file` and `digest` are those of `learned`."""
    found = dict(limits)
    for key, spec in limits.items():
        if spec.baseline == LEARNED and learned is not None:
            known = learned.keys[key]
            middle = rounded(convert(known.median, known.unit, spec.unit))
            racks = f"{known.racks} simulated racks" if learned.simulated else f"{known.racks} racks"
            origin = f"{spec.source}; learned from {racks}, {file} sha256 {digest}"
            found[key] = expectation(spec, middle, origin)
        elif spec.baseline is not None:
            found[key] = expectation(spec, float(spec.baseline), spec.source)
    return found


def check_learned(
    document: Document, limits: Mapping[str, LimitSpec], file: str | None, learned: Baselines | None
) -> Iterator[Problem]:
    """Where limits of a model and its baselines file do not fit; `learned` is None where that cannot be read."""
    wanted = {key: spec for key, spec in limits.items() if spec.baseline == LEARNED}
    for key, spec in wanted.items():
        place: Place = ("limits", key, "baseline")
        if file is None:
            text = "the model names no file to take it from: add `baselines: FILE`, or give a number"
            yield document.problem(place, text)
        elif learned is not None:
            known = learned.keys.get(key)
            if known is None:
                text = f"{file} has no baseline of this: learn it again from racks that measured it, or give a number"
                yield document.problem(place, text)
            elif not is_same_quantity(known.unit, spec.unit):
                yield document.problem((*place[:-1], "unit"), f"{file} has this in {known.unit}, not in {spec.unit}")
    if file is not None and not wanted:
        yield document.problem(("baselines",), f"no limit says `baseline: {LEARNED}`: this file would judge nothing")


def check_belongs(document: Document, model: Model, learned: Baselines, *, docked: bool) -> Iterator[Problem]:
    """Whether baselines were learned from racks of this model, and from real ones where a real one is `docked`."""
    if learned.model != model.name:
        text = f"{model.baselines} was learned from racks of {learned.model}, this model is {model.name}"
        yield document.problem(("baselines",), text)
    if docked and learned.simulated:
        text = f"{model.baselines} was learned from simulated racks: a real one is never judged by them"
        yield document.problem(("baselines",), text)
