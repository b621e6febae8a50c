"""When an interlock trips: debounce, time, votes; what cannot be judged neither trips nor takes anything back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.quantities import Channel, Quality, Reading, Sample, Unit
from harness.rack.model import Interlock
from harness.safety.condition import Condition

START = datetime(2026, 11, 23, tzinfo=UTC)
HOT, COLD = 95.0, 60.0
SPEC: dict[str, Any] = {
    "role": "compute_tray", "quantity": "accelerator.temperature", "unit": "degC", "max": 92, "blames": "rack",
    "max_silence": 15, "when_silent": "record", "cut_power": "never", "advice": "Look.", "source": "test",
}  # fmt: skip


def condition(**words: Any) -> Condition:
    return Condition(Interlock(**SPEC | words))


def sample(part: str, value: float | None, at: float) -> Sample:
    """A reading taken at so many seconds; None is one that cannot be judged."""
    when = START + timedelta(seconds=at)
    quality = Quality.BAD if value is None else Quality.GOOD
    reading = Reading(float("nan") if value is None else value, Unit.CELSIUS, when, quality)
    return Sample(Channel("tray-01", "accelerator.temperature", Unit.CELSIUS, part), reading)


def feed(watched: Condition, *rows: tuple[float | None, ...]) -> list[set[str]]:
    """One row of sensors a second; what has tripped after each."""
    tripped = []
    for at, row in enumerate(rows):
        watched.take([sample(f"accelerator-{n}", value, at) for n, value in enumerate(row)], float(at))
        tripped.append({each.subject for each in watched.tripped(float(at))})
    return tripped


def test_the_first_value_out_of_bounds_trips_unless_said() -> None:
    assert feed(condition(), (COLD,), (HOT,)) == [set(), {"tray-01/accelerator-0"}]


def test_a_spike_is_not_confirmed() -> None:
    assert not any(feed(condition(samples=3), (HOT,), (HOT,), (COLD,), (HOT,), (HOT,)))


def test_so_many_samples_in_a_row_confirm() -> None:
    assert feed(condition(samples=3), (HOT,), (HOT,), (HOT,))[-1]


def test_a_value_that_cannot_be_judged_takes_nothing_back() -> None:
    assert feed(condition(samples=2), (HOT,), (None,), (HOT,))[-1]


def test_one_time_stamp_is_one_sample() -> None:
    watched = condition(samples=2)
    for now in (0.0, 1.0, 2.0):
        watched.take([sample("accelerator-0", HOT, 0)], now)
        assert not list(watched.tripped(now))


def test_a_value_that_is_never_taken_back_counts_as_confirmed() -> None:
    watched = condition(samples=2)
    watched.take([sample("accelerator-0", HOT, 0)], 0.0)
    assert not list(watched.tripped(14.9))
    assert list(watched.tripped(15.0))


def test_a_value_has_to_hold() -> None:
    assert [bool(row) for row in feed(condition(hold=2), (HOT,), (HOT,), (HOT,))] == [False, False, True]
    assert not any(feed(condition(hold=2), (HOT,), (HOT,), (COLD,), (HOT,), (HOT,)))


def test_two_of_three_have_to_agree() -> None:
    assert feed(condition(votes=2), (HOT, COLD, COLD), (HOT, HOT, COLD))[-1] == {
        "tray-01/accelerator-0",
        "tray-01/accelerator-1",
    }
    assert not any(feed(condition(votes=2), (HOT, COLD, COLD), (HOT, COLD, COLD)))


def test_a_sensor_that_gives_nothing_is_no_vote_against() -> None:
    assert feed(condition(votes=2), (COLD, COLD, COLD), (HOT, None, COLD))[-1] == {"tray-01/accelerator-0"}


def test_a_lone_sensor_needs_no_other() -> None:
    assert feed(condition(votes=3), (HOT,))[-1]


def test_nothing_to_judge_is_silence_and_no_trip() -> None:
    watched = condition(votes=2)
    assert watched.take([sample("accelerator-0", None, 0)], 0.0) is False
    assert not list(watched.tripped(0.0))
    assert watched.take([], 1.0) is False


@pytest.mark.parametrize("bounds", [{"max": 92}, {"max": None, "min": 92}, {"min": 92, "max": 92}])
def test_the_bounds_belong_to_what_is_right(bounds: dict[str, Any]) -> None:
    assert feed(condition(**bounds), (92.0,)) == [set()]


def test_what_has_no_upper_bound_trips_below_the_lower_one_only() -> None:
    assert feed(condition(max=None, min=60), (1e9,), (59.9,)) == [set(), {"tray-01/accelerator-0"}]


def test_a_sensor_that_is_back_has_its_vote_again() -> None:
    assert feed(condition(votes=2), (COLD, None, COLD), (HOT, COLD, COLD))[-1] == set()


def test_one_sensor_that_cannot_be_judged_is_enough_for_silence() -> None:
    watched = condition()
    both = [sample("accelerator-0", COLD, 0), sample("accelerator-1", None, 0)]
    assert watched.take(both, 0.0) is False
    assert watched.take(both[:1], 1.0) is True


def test_the_newest_value_is_what_is_told() -> None:
    watched = condition(samples=2)
    feed(watched, (HOT,), (HOT + 1,))
    (found,) = watched.tripped(1.0)
    assert (found.since, found.value, found.samples) == (0.0, HOT + 1, 2)
    assert found.text == "tray-01/accelerator-0.accelerator.temperature is 96 degC"


def test_samples_and_time_are_both_needed() -> None:
    watched = condition(samples=2, hold=2)
    watched.take([sample("accelerator-0", HOT, 0)], 0.0)
    assert not list(watched.tripped(2.0))
    watched.take([sample("accelerator-0", HOT, 1)], 1.0)
    assert not list(watched.tripped(1.9))
    assert list(watched.tripped(2.0))


def test_another_quantity_is_nobodys_affair() -> None:
    watched = condition()
    other = Sample(Channel("tray-01", "tray.power", Unit.WATT), Reading(1e9, Unit.WATT, START))
    assert watched.take([other], 0.0) is False
    assert not watched.seen


@given(
    st.lists(st.tuples(*[st.sampled_from([HOT, COLD, None])] * 3), max_size=12), st.integers(1, 3), st.integers(1, 3)
)
def test_all_sensors_hot_for_long_enough_always_trip(rows: list[Any], samples: int, votes: int) -> None:
    watched = condition(samples=samples, votes=votes)
    feed(watched, *rows, *[(HOT, HOT, HOT)] * 3)
    assert list(watched.tripped(float(len(rows) + 3)))


@given(st.lists(st.tuples(*[st.sampled_from([COLD, None])] * 3), max_size=12), st.integers(1, 3), st.integers(1, 3))
def test_what_was_never_out_of_bounds_never_trips(rows: list[Any], samples: int, votes: int) -> None:
    assert not any(feed(condition(samples=samples, votes=votes), *rows))


@pytest.mark.parametrize("unit", [Unit.CELSIUS, Unit.BOOLEAN])
def test_a_unit_that_cannot_be_right_is_out_of_bounds(unit: Unit) -> None:
    watched = condition(unit="kPa")
    watched.take([Sample(Channel("tray-01", "accelerator.temperature", unit), Reading(1.0, unit, START))], 0.0)
    assert list(watched.tripped(0.0))
