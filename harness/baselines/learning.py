"""Learning: what accepted racks do, by limit key, without those that stand apart. Pure.

Every rack counts once, by the median of what it measured under a key; the baseline is the median of these, and their
spread is 1.4826 MAD, so that a few odd racks move neither (Rousseeuw and Croux 1993, section 1; Iglewicz and Hoaglin
1993, section 3.3). Racks that stand apart are left out, and the rest is looked at again until none does: learning from
the racks that are left gives the same baseline.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.baselines.runs import RackRun
from harness.errors import DefinitionError
from harness.quantities import Unit
from harness.rack.baselines import Expected, LeftOut, rounded
from harness.rack.vocabulary import LIMIT_KEYS
from harness.telemetry.statistics import LEAST_FOR_OUTLIERS, MAD_TO_SIGMA, robust_z

LEAST = 5
"""Racks that a baseline needs: engineering judgement. Of five, two odd ones do not move the median."""

APART = 6.0
"""Robust standard deviations from the median beyond which a rack stands apart: engineering judgement, as for parts
within a rack (thermal.plate.outlier)."""

FLOOR = 0.01
"""Least standard deviation, as a share of the median: engineering judgement. Racks of one make that differ by less than
1 % are alike, whatever the least spread of a few of them; benchmarks repeat no better."""

TINIEST = 1e-100
"""What is not above this is zero, whatever its last binary digits say."""

MOST_APART = 0.25
"""Share of the racks that may stand apart. Where it is more they are no outliers: there are two kinds of racks."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What was learned by key, from which racks, which stood apart, and which keys have no baseline and why."""

    keys: Mapping[str, Expected]
    racks: tuple[RackRun, ...]
    left_out: tuple[LeftOut, ...]
    unlearned: Mapping[str, str]


def middle(values: Sequence[float]) -> float:
    """The median; raises ValueError where there is none or a value is not finite, which is never averaged."""
    if not values or not all(map(math.isfinite, values)):
        raise ValueError("a value is missing or is no finite number: nothing is learned from it")
    return statistics.median(values)


def floor(median: float, unit: Unit) -> float:
    """The least standard deviation that racks are held against; for a count, no less than that of chance (Poisson)."""
    return max(FLOOR * abs(median), math.sqrt(abs(median)) if unit is Unit.COUNT else 0.0)


def has_scale(expected: float) -> bool:
    """Whether a percentage of an expected value means something."""
    return expected > TINIEST


def learn(racks: Iterable[RackRun], least: int = LEAST) -> Lesson:
    """Learn a baseline from at least `least` racks, one run each; values that are not finite raise ValueError.

    Raises DefinitionError where they are too few, where too many stand apart, or where nothing can be learned.
    """
    if least < LEAST_FOR_OUTLIERS:
        raise DefinitionError(f"a baseline needs at least {LEAST_FOR_OUTLIERS} racks: of fewer, none is the odd one")
    kept = sorted(racks, key=lambda rack: rack.serial)
    if len({rack.serial for rack in kept}) < len(kept):
        raise ValueError("a rack counts once")
    count = len(kept)
    _check_count(count, least, "")
    left_out: list[LeftOut] = []
    while apart := _apart(kept, least):
        left_out += apart
        kept = [rack for rack in kept if rack.run not in {each.run for each in apart}]
    told = "; ".join(f"{each.serial}: {each.reason}" for each in left_out)
    if len(left_out) > MOST_APART * count:
        raise DefinitionError(
            f"{len(left_out)} of {count} racks stand apart, these are no outliers but racks of two kinds: "
            f"find out what differs and learn from one kind. {told}"
        )
    _check_count(len(kept), least, told)
    keys: dict[str, Expected] = {}
    unlearned: dict[str, str] = {}
    for key in sorted({key for rack in kept for key in rack.values}):
        medians = _medians(kept, key)
        expected = middle(list(medians.values()))
        if len(medians) < least:
            unlearned[key] = f"only {len(medians)} of {len(kept)} racks measured it, {least} are needed"
        elif not has_scale(expected):
            unlearned[key] = f"its median is {expected:g}: there is no percentage of it"
        else:
            keys[key] = Expected(
                unit=LIMIT_KEYS[key],
                median=rounded(expected),
                sigma=rounded(MAD_TO_SIGMA * middle([abs(value - expected) for value in medians.values()])),
                racks=len(medians),
                values=sum(len(rack.values.get(key, ())) for rack in kept),
            )
    if not keys:
        why = "; ".join(f"{key}: {text}" for key, text in unlearned.items()) or "no number was measured"
        raise DefinitionError(f"nothing can be learned from these {len(kept)} racks: {why}")
    return Lesson(keys, tuple(kept), tuple(sorted(left_out, key=lambda each: each.serial)), unlearned)


def _medians(racks: Iterable[RackRun], key: str) -> dict[str, float]:
    """The median of every rack that measured a key, by its serial."""
    return {rack.serial: middle(rack.values[key]) for rack in racks if key in rack.values}


def _apart(racks: Sequence[RackRun], least: int) -> list[LeftOut]:
    """The racks that stand apart from the others under any key, each with the key where it does so most."""
    worst: dict[str, tuple[float, str]] = {}
    for key in sorted({key for rack in racks for key in rack.values}):
        medians = _medians(racks, key)
        expected = middle(list(medians.values()))
        if len(medians) < least or not has_scale(expected):
            continue
        scores = robust_z(list(medians.values()), floor(expected, LIMIT_KEYS[key]))
        for (serial, value), score in zip(medians.items(), scores, strict=True):
            if abs(score) > max(APART, worst.get(serial, (0.0, ""))[0]):
                side = "above" if score > 0 else "below"
                text = (
                    f"{key} is {value:g} {LIMIT_KEYS[key]}, {abs(score):.1f} robust standard deviations {side} the "
                    f"{expected:g} {LIMIT_KEYS[key]} of {len(medians)} racks"
                )
                worst[serial] = abs(score), text
    return [
        LeftOut(run=rack.run, serial=rack.serial, reason=worst[rack.serial][1])
        for rack in racks
        if rack.serial in worst
    ]


def _check_count(count: int, least: int, told: str) -> None:
    if count < least:
        apart = f", without those that stand apart ({told})" if told else ""
        text = f"a baseline needs {least} accepted racks, these runs hold {count}{apart}: give more of them"
        raise DefinitionError(text)
