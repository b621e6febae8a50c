"""What counted bits prove about a bit error ratio; pure.

Errors are taken for independent (Poisson): the greatest ratio that would still have shown so few errors with the
probability 1 - confidence is what is proven (Telcordia GR-253, 5.2; the tables of BER testers). Nothing seen is no
ratio of zero: it is a bound that shrinks with the bits.
"""

from __future__ import annotations

import math
from statistics import NormalDist

CONFIDENCE = 0.95
EXACT = 1000
"""Up to so many errors the Poisson sum is inverted; above, Wilson and Hilferty's approximation is within 1E-6 of it."""


def bound_on_ratio(bits: float, errors: int, confidence: float = CONFIDENCE) -> float:
    """The bit error ratio that is excluded from above with `confidence`; NaN where no bit was carried.

    Raises ValueError for a negative count or a confidence outside of 0 … 1.
    """
    if errors < 0 or not 0 < confidence < 1:
        raise ValueError(f"{errors} errors at a confidence of {confidence} make no sense")
    if not (math.isfinite(bits) and bits > 0):
        return math.nan
    return expected_errors(errors, confidence) / bits


def bits_needed(ratio: float, errors: int = 0, confidence: float = CONFIDENCE) -> float:
    """How many bits with no more than `errors` prove a ratio below `ratio`; raises ValueError as above."""
    if not (0 < ratio < 1) or errors < 0 or not 0 < confidence < 1:
        raise ValueError(f"a ratio of {ratio} with {errors} errors at a confidence of {confidence} makes no sense")
    return expected_errors(errors, confidence) / ratio


def expected_errors(errors: int, confidence: float) -> float:
    """The mean of a Poisson distribution that gives `errors` or fewer with the probability 1 - `confidence`."""
    if errors > EXACT:
        degrees = errors + 1.0
        z = NormalDist().inv_cdf(confidence)
        return degrees * (1 - 1 / (9 * degrees) + z / (3 * math.sqrt(degrees))) ** 3
    low, high = 0.0, errors + 1.0
    while _at_most(errors, high) > 1 - confidence:
        low, high = high, 2 * high
    for _ in range(80):
        middle = (low + high) / 2
        if _at_most(errors, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def _at_most(errors: int, mean: float) -> float:
    """The probability of `errors` or fewer at a mean above zero; summed from the greatest count down."""
    if mean == 0:
        return 1.0
    term = total = math.exp(errors * math.log(mean) - mean - math.lgamma(errors + 1))
    for count in range(errors, 0, -1):
        term *= count / mean
        total += term
    return total
