"""What a count of failures proves is exact: no approximation, for none and for many."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.proof.bound import bound_on_rate
from harness.proof.matrix import FALSE_ALARMS


def test_no_failure_in_299_runs_is_under_one_percent_and_in_298_is_not() -> None:
    assert bound_on_rate(0, 299) < FALSE_ALARMS <= bound_on_rate(0, 298)
    assert bound_on_rate(0, 300) == pytest.approx(1 - 0.05 ** (1 / 300), rel=1e-12)
    assert bound_on_rate(0, 0) == bound_on_rate(7, 7) == 1.0


def test_the_sample_sizes_are_those_of_wilks() -> None:
    """The 95/95 rule: 59, 93, 124, 153 and 181 runs with 0 … 4 failures show a rate under 5 % (Wilks, 1941)."""
    for failures, runs in enumerate((59, 93, 124, 153, 181)):
        assert bound_on_rate(failures, runs) < 0.05 <= bound_on_rate(failures, runs - 1)


@given(runs=st.integers(1, 3000), data=st.data())
def test_the_bound_leaves_exactly_the_doubt_that_it_says(runs: int, data: st.DataObject) -> None:
    failures = data.draw(st.integers(0, min(runs - 1, 30)))
    rate = bound_on_rate(failures, runs)
    assert failures / runs < rate < 1
    ways = [math.comb(runs, k) for k in range(failures + 1)]
    left = math.fsum(
        math.exp(math.log(way) + k * math.log(rate) + (runs - k) * math.log1p(-rate)) for k, way in enumerate(ways)
    )
    assert left == pytest.approx(0.05, rel=1e-6)


@pytest.mark.parametrize(("failures", "runs", "confidence"), [(-1, 3, 0.95), (4, 3, 0.95), (0, 3, 1.0), (0, 3, 0.0)])
def test_counts_that_cannot_be_are_refused(failures: int, runs: int, confidence: float) -> None:
    with pytest.raises(ValueError, match="make no sense"):
        bound_on_rate(failures, runs, confidence)
