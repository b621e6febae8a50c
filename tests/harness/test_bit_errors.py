"""Bit errors: the published tables, and what can never be proven."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.telemetry.bit_errors import EXACT, bits_needed, bound_on_ratio, expected_errors


@pytest.mark.parametrize(
    ("errors", "confidence", "expected"),
    [
        (0, 0.95, 2.996),
        (1, 0.95, 4.744),
        (2, 0.95, 6.296),
        (3, 0.95, 7.754),
        (4, 0.95, 9.154),
        (0, 0.99, 4.605),
        (1, 0.99, 6.638),
        (2, 0.99, 8.406),
    ],
)
def test_the_published_table_is_met(errors: int, confidence: float, expected: float) -> None:
    """Bits times ratio for a number of errors, as the tables of BER testers give them."""
    assert expected_errors(errors, confidence) == pytest.approx(expected, abs=0.001)


def test_half_an_hour_at_400_gigabit_without_an_error_proves_4e_15() -> None:
    assert bound_on_ratio(400e9 * 1800, 0) == pytest.approx(4.16e-15, rel=0.01)
    assert bits_needed(1e-12) / 106.25e9 == pytest.approx(28.2, abs=0.1)


def test_no_bit_proves_nothing() -> None:
    for bits in (0, -1, math.nan, math.inf):
        assert math.isnan(bound_on_ratio(bits, 0))


@pytest.mark.parametrize(("errors", "confidence"), [(-1, 0.95), (0, 0.0), (0, 1.0), (0, math.nan)])
def test_senseless_questions_are_refused(errors: int, confidence: float) -> None:
    with pytest.raises(ValueError, match="make no sense"):
        bound_on_ratio(1e12, errors, confidence)


@given(st.integers(0, 3000), st.floats(0.5, 0.999))
def test_the_bound_lies_above_what_was_seen_and_grows_with_errors(errors: int, confidence: float) -> None:
    bound = expected_errors(errors, confidence)
    assert bound > errors * (1 - 1e-9)
    assert expected_errors(errors + 1, confidence) > bound


def test_exact_and_approximate_meet() -> None:
    below, above = expected_errors(EXACT, 0.95), expected_errors(EXACT + 1, 0.95)
    assert 0.9 < above - below < 1.2
