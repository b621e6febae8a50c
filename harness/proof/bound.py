"""What a count of failures in independent runs proves about their rate; pure, and exact for any count.

The one-sided bound of Clopper and Pearson (Biometrika 26, 1934): the greatest rate at which so few failures, or fewer,
would still have been seen with the probability 1 - confidence. No failure seen is no rate of zero.
"""

from __future__ import annotations

import math

CONFIDENCE = 0.95


def bound_on_rate(failures: int, runs: int, confidence: float = CONFIDENCE) -> float:
    """The failure rate (0 … 1) that is excluded from above with `confidence`; 1 where nothing was run.

    Raises ValueError for counts that cannot be, and for a confidence outside of 0 … 1.
    """
    if not 0 <= failures <= runs or not 0 < confidence < 1:
        raise ValueError(f"{failures} failures in {runs} runs at a confidence of {confidence} make no sense")
    if failures == runs:
        return 1.0
    if failures == 0:
        return -math.expm1(math.log1p(-confidence) / runs)
    low, high = failures / runs, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        if _at_most(failures, runs, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def _at_most(failures: int, runs: int, rate: float) -> float:
    """The probability of `failures` or fewer at a rate above 0; no failure at all where the rate is 1."""
    if rate >= 1:
        return 0.0
    return math.fsum(math.exp(_log_of(count, runs, rate)) for count in range(failures + 1))


def _log_of(count: int, runs: int, rate: float) -> float:
    ways = math.lgamma(runs + 1) - math.lgamma(count + 1) - math.lgamma(runs - count + 1)
    return ways + count * math.log(rate) + (runs - count) * math.log1p(-rate)
