"""Watching: accepted racks against a baseline; which of them stand apart, and whether the last ones drift. Pure.

The same runs give the same findings, in whatever order and however often they are named: nothing is remembered between
two checks, and the baseline is not moved by what is checked against it.

Drift: the median of the last K racks against the baseline's, which is one of n racks. The standard error of a median is
1.2533 sigma/√n (√(π/2), for a normal distribution), so that of their difference is 1.2533 sigma √(1/K + 1/n). More than
3 of these is drift: engineering judgement. With K = 5 and the least sigma of 1 %, a healthy line whose racks differ by
1 % is then called drifting in 0.2 % of checks of a key (2 would do so in 3 %), one whose racks differ by 3 % in 1 % of
them after 24 racks and in 9 % after 5: learn from more. A shift of 3.5 %, at which Azure's guidance for GB300 warns, is
seen in 99 % of checks at n = 24 and a spread of 1 % (computed, normal distribution; the tests compute it again).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.baselines.learning import APART, floor, middle
from harness.baselines.runs import RackRun
from harness.errors import DefinitionError
from harness.quantities import convert
from harness.rack.baselines import Baselines, Expected
from harness.rack.vocabulary import LIMIT_KEYS

LAST = 5
"""Racks whose median is held against the baseline for drift: engineering judgement, a day of a line or less."""

LEAST_LAST = 3
"""Fewer would be single racks again: of three, one odd rack does not move the median."""

DRIFTING = 3.0
"""Standard errors; see above."""

MEDIAN_ERROR = math.sqrt(math.pi / 2)
"""Standard error of a median to that of a mean, for a normal distribution."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as the baseline has it. `value` and `expected` are in `unit`; None: never measured."""

    kind: Literal["outlier", "drift", "missing"]
    key: str
    racks: tuple[str, ...]
    value: float | None
    expected: float
    unit: str
    score: float | None
    """Robust standard deviations of a rack, standard errors of a drift; signed."""
    text: str


@dataclass(frozen=True, slots=True)
class Watched:
    """What a check found, and what it could not judge, in words."""

    findings: tuple[Finding, ...]
    unjudged: tuple[str, ...]


def watch(
    baselines: Baselines,
    racks: Iterable[RackRun],
    last: int = LAST,
    tolerances: Mapping[str, float] | None = None,
) -> Watched:
    """Hold racks, one run each, against a baseline; values that are not finite raise ValueError.

    A rack is an outlier where it is beyond both 6 robust standard deviations and the tolerance, in percent, that
    `tolerances` or else its own model sets. Raises DefinitionError where a key is not what it was when it was learned.
    """
    if last < LEAST_LAST:
        raise DefinitionError(f"drift needs at least the last {LEAST_LAST} racks: one odd rack is no drift")
    ordered = sorted(racks, key=lambda rack: (rack.ended, rack.run))
    if len({rack.serial for rack in ordered}) < len(ordered):
        raise ValueError("a rack counts once")
    findings: list[Finding] = []
    unjudged: list[str] = []
    for key, known in sorted(baselines.keys.items()):
        expected = _in_own_unit(key, known)
        medians = [(rack, middle(rack.values[key])) for rack in ordered if key in rack.values]
        findings += (_missing(rack, key, expected) for rack in ordered if key not in rack.values)
        findings += _outliers(key, expected, medians, tolerances)
        if len(medians) < last:
            unjudged.append(f"drift of {key} cannot be judged: {len(medians)} racks measured it, {last} are needed")
        else:
            findings += _drift(key, expected, medians[-last:])
    return Watched(tuple(findings), tuple(unjudged))


def _in_own_unit(key: str, known: Expected) -> Expected:
    """What is expected in the unit that the vocabulary has for the key."""
    unit = LIMIT_KEYS.get(key)
    try:
        if unit is None:
            raise ValueError("no plan measures it any more")
        median, sigma = convert(known.median, known.unit, unit), convert(known.sigma, known.unit, unit)
    except ValueError as error:
        raise DefinitionError(f"the baseline of {key} cannot be used: {error}. Learn it again") from error
    return known.model_copy(update={"unit": unit, "median": median, "sigma": sigma})


def _sigma(expected: Expected) -> float:
    return max(expected.sigma, floor(expected.median, expected.unit))


def _missing(rack: RackRun, key: str, expected: Expected) -> Finding:
    text = f"{rack.serial} was accepted without {key}, which {expected.racks} racks measured: run the whole plan"
    return Finding("missing", key, (rack.serial,), None, expected.median, str(expected.unit), None, text)


def _outliers(
    key: str,
    expected: Expected,
    medians: Sequence[tuple[RackRun, float]],
    tolerances: Mapping[str, float] | None,
) -> Iterator[Finding]:
    sigma = _sigma(expected)
    for rack, value in sorted(medians, key=lambda pair: pair[0].serial):
        score = (value - expected.median) / sigma
        tolerated = (rack.tolerances if tolerances is None else tolerances).get(key, 0.0)
        if abs(score) <= APART or abs(value - expected.median) <= expected.median * tolerated / 100:
            continue
        text = (
            f"{rack.serial}: {key} is {value:g} {expected.unit}, {_away(score, 'robust standard deviations')} the "
            f"{expected.median:g} {expected.unit} of {expected.racks} racks: compare this rack's parts, firmware and "
            "bay with those of the others before it leaves"
        )
        yield Finding("outlier", key, (rack.serial,), value, expected.median, str(expected.unit), round(score, 2), text)


def _drift(key: str, expected: Expected, medians: Sequence[tuple[RackRun, float]]) -> Iterator[Finding]:
    value = statistics.median(median for _, median in medians)
    spread = math.sqrt(1 / len(medians) + 1 / expected.racks)
    score = (value - expected.median) / (MEDIAN_ERROR * _sigma(expected) * spread)
    if abs(score) > DRIFTING:
        since = medians[0][0].ended.date().isoformat()
        text = (
            f"{key} of the last {len(medians)} racks is {value:g} {expected.unit}, {_away(score, 'standard errors')} "
            f"the {expected.median:g} {expected.unit} of {expected.racks} racks: find out what has changed since "
            f"{since} (firmware, parts, bay, coolant); where it is meant, learn the baseline again"
        )
        serials = tuple(rack.serial for rack, _ in medians)
        yield Finding("drift", key, serials, value, expected.median, str(expected.unit), round(score, 2), text)


def _away(score: float, what: str) -> str:
    return f"{abs(score):.1f} {what} {'above' if score > 0 else 'below'}"
