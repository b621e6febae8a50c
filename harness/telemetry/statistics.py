"""Statistics over samples; pure. What cannot be computed honestly is NaN, which no limit passes.

Each function refuses (NaN) where there are too few samples, or where one of them is unusable: stale, absent, bad, text,
not finite. Leaving unusable ones out is the caller's choice and is written down as `usable(...)`; what was left out
must then be accounted for by `coverage`. Mixed units or, for a course over time, mixed channels raise ValueError.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from harness.quantities import Sample

LEAST_FOR_SLOPE = 3
LEAST_FOR_OUTLIERS = 4
"""With fewer, a median and its deviation say nothing of the odd one out."""

MAD_TO_SIGMA = 1.4826
"""Median absolute deviation to standard deviation of a normal distribution, 1 / Φ⁻¹(3/4)."""

JITTER = 0.1
"""Share of a period by which a sample may be late at the edge of a window before one counts as lost."""


def usable(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Those that are numbers and may be judged."""
    return tuple(sample for sample in samples if math.isfinite(sample.reading.number))


def mean(samples: Sequence[Sample], least: int = 1) -> float:
    """The arithmetic mean in the samples' unit; NaN for fewer than `least`."""
    numbers = _numbers(samples, least)
    return statistics.fmean(numbers) if numbers else math.nan


def maximum(samples: Sequence[Sample], least: int = 1) -> float:
    """The greatest value in the samples' unit; NaN for fewer than `least`."""
    return max(_numbers(samples, least), default=math.nan)


def slope(samples: Sequence[Sample], least: int = LEAST_FOR_SLOPE) -> float:
    """The slope of the least-squares line of one channel, in its unit per minute of rack time.

    NaN for fewer than `least` (never fewer than 3) samples, or where all are of one instant.
    """
    _one_channel(samples)
    numbers = _numbers(samples, max(least, LEAST_FOR_SLOPE))
    if not numbers:
        return math.nan
    first = samples[0].reading.at
    minutes = [(sample.reading.at - first).total_seconds() / 60.0 for sample in samples]
    if max(minutes) - min(minutes) <= 0:
        return math.nan
    return statistics.linear_regression(minutes, numbers).slope


def robust_z(values: Sequence[float], s_min: float) -> tuple[float, ...]:
    """How far each value lies from the median of all, in robust standard deviations (1.4826 MAD, at least `s_min`).

    `s_min` (above zero, in the values' unit) keeps a set of near twins from calling its least spread an outlier. All
    NaN for fewer than 4 values or where one is not finite (Iglewicz and Hoaglin 1993, section 3.3).
    """
    if not s_min > 0:
        raise ValueError(f"a least deviation of {s_min} cannot divide")
    if len(values) < LEAST_FOR_OUTLIERS or not all(math.isfinite(value) for value in values):
        return tuple(math.nan for _ in values)
    middle = statistics.median(values)
    sigma = max(s_min, MAD_TO_SIGMA * statistics.median(abs(value - middle) for value in values))
    return tuple((value - middle) / sigma for value in values)


def coverage(samples: Sequence[Sample], begin: datetime, end: datetime, period: float) -> float:
    """Usable samples of one channel taken of those due between two instants, in percent, 0 … 100.

    `period` is in rack seconds. One time stamp counts once, and a burst does not make up for a gap: of what is due,
    what is missing inside gaps is subtracted. NaN where not even one sample was due.
    """
    _one_channel(samples)
    if not period > 0:
        raise ValueError(f"a period of {period} s is none")
    due = math.floor((end - begin) / timedelta(seconds=period) + JITTER)
    if due < 1:
        return math.nan
    times = sorted({s.reading.at for s in usable(samples) if begin <= s.reading.at <= end})
    if not times:
        return 0.0
    gaps = [(later - earlier).total_seconds() / period for earlier, later in pairwise(times)]
    edges = [(times[0] - begin).total_seconds() / period, (end - times[-1]).total_seconds() / period]
    lost = sum(max(0, math.floor(gap + 0.5) - 1) for gap in gaps)
    lost += sum(max(0, math.floor(gap - JITTER)) for gap in edges)
    return 100.0 * max(0, min(len(times), due - lost)) / due


def _numbers(samples: Sequence[Sample], least: int) -> list[float]:
    """Every value, or none at all where one is unusable or they are too few."""
    if len({sample.reading.unit for sample in samples}) > 1:
        raise ValueError("samples of different units cannot be counted together")
    numbers = [sample.reading.number for sample in samples]
    return numbers if len(numbers) >= max(1, least) and all(map(math.isfinite, numbers)) else []


def _one_channel(samples: Sequence[Sample]) -> None:
    if len({sample.channel for sample in samples}) > 1:
        raise ValueError("a course over time is that of one channel")
