"""The window keeps the recent past honestly; statistics refuse what they cannot compute."""

from __future__ import annotations

import math
import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.limits import Judgement, Limit, judge
from harness.quantities import Channel, Quality, Reading, Sample, Unit, Value
from harness.telemetry.statistics import coverage, maximum, mean, robust_z, slope, usable
from harness.telemetry.window import Window

T0 = datetime(2026, 11, 22, 8, tzinfo=UTC)
FLOW = Channel("cdu-1", "coolant.flow", Unit.LITRE_PER_MINUTE)
HOT = [Channel("tray-01", "accelerator.temperature", Unit.CELSIUS, f"accelerator-{n}") for n in range(4)]


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def sample(value: Value, seconds: float, channel: Channel = FLOW, quality: Quality = Quality.GOOD) -> Sample:
    return Sample(channel, Reading(value, channel.unit, at(seconds), quality))


def course(*values: Value, period: float = 10.0) -> list[Sample]:
    return [sample(value, number * period) for number, value in enumerate(values)]


# --- window ----------------------------------------------------------------------------------------------------


def test_window_tells_latest_and_history() -> None:
    window = Window()
    window.add(course(1.0, 2.0, 3.0), at(20))
    assert window.latest(FLOW) == sample(3.0, 20)
    assert window.history("cdu-1", "coolant.flow") == tuple(course(1.0, 2.0, 3.0))
    assert window.history("cdu-1", "coolant.flow", since=at(10)) == tuple(course(1.0, 2.0, 3.0)[1:])
    assert window.history("cdu-1", "coolant.flow", part="pump-1") == ()
    assert window.history("cdu-2", "coolant.flow") == ()
    assert window.latest(HOT[0]) is None


def test_history_of_all_parts_or_one() -> None:
    window = Window()
    window.add([sample(float(n), 5 - n, channel) for n, channel in enumerate(HOT)], at(5))
    assert [s.channel.part for s in window.history("tray-01", "accelerator.temperature")] == [
        "accelerator-3",
        "accelerator-2",
        "accelerator-1",
        "accelerator-0",
    ]
    (only,) = window.history("tray-01", "accelerator.temperature", "accelerator-2")
    assert only.reading.value == 2.0


def test_channels_are_listed_in_order() -> None:
    window = Window()
    window.add([sample(1.0, 0, channel) for channel in reversed(HOT)])
    window.add([sample(1.0, 0)])
    assert window.channels() == (FLOW, *HOT)
    assert window.channels("tray-01") == tuple(HOT)
    assert window.channels(quantity="coolant.flow") == (FLOW,)
    assert window.channels("cdu-1", "leak.wet") == ()


def test_history_is_bounded_by_the_horizon() -> None:
    window = Window(horizon=100)
    for number in range(1000):
        window.add([sample(float(number), number * 10)], at(number * 10))
    assert len(window.history("cdu-1", "coolant.flow")) == 11
    with pytest.raises(ValueError, match="keeps nothing"):
        Window(0)


def test_value_read_twice_counts_once() -> None:
    window = Window()
    for arrival in range(5):
        window.add([sample(20.0, 0)], at(arrival))
    assert len(window.history("cdu-1", "coolant.flow")) == 1
    window.add([sample(20.0, 0, quality=Quality.STALE)], at(9))
    (left,) = window.history("cdu-1", "coolant.flow")
    assert left.reading.quality is Quality.STALE
    assert window.latest(FLOW) == left


def test_age_counts_from_the_values_own_time_and_never_from_the_future() -> None:
    window = Window()
    assert window.age(FLOW, T0) == math.inf
    window.add([sample(20.0, 0)], at(4))
    assert window.age(FLOW, at(10)) == 10
    ahead = sample(20.0, 3600)
    window.add([ahead], at(10))
    assert window.age(FLOW, at(10)) == 0
    window.add([ahead], at(40))
    assert window.age(FLOW, at(40)) == 30


def test_clock_set_back_shows_as_age_and_history_stays_in_order() -> None:
    window = Window()
    window.add([sample(1.0, 100)], at(100))
    window.add([sample(2.0, 50)], at(110))
    latest = window.latest(FLOW)
    assert latest is not None
    assert latest.reading.value == 2.0
    assert window.age(FLOW, at(110)) == 60
    assert [s.reading.value for s in window.history("cdu-1", "coolant.flow")] == [2.0, 1.0]


def test_window_is_read_while_it_is_written() -> None:
    window = Window(horizon=50)
    failures: list[BaseException] = []
    done = threading.Event()

    def read() -> None:
        try:
            while not done.is_set():
                times = [s.reading.at for s in window.history("cdu-1", "coolant.flow")]
                assert times == sorted(times)
                window.channels()
        except BaseException as error:  # noqa: BLE001 - carried to the test's own thread
            failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(3000):
        window.add([sample(float(number), number), sample(1.0, number, Channel("d", f"q{number % 50}", Unit.WATT))])
    done.set()
    reader.join()
    assert not failures


# --- statistics ------------------------------------------------------------------------------------------------

UNUSABLE = [
    sample(math.nan, 15),
    sample(math.inf, 15),
    sample("22", 15),
    *(sample(22.0, 15, quality=quality) for quality in Quality if quality is not Quality.GOOD),
]


@pytest.mark.parametrize("bad", UNUSABLE)
def test_one_unusable_sample_spoils_a_statistic_until_left_out(bad: Sample) -> None:
    samples = [*course(1.0, 2.0, 3.0, 4.0), bad]
    assert all(math.isnan(function(samples)) for function in (mean, maximum, slope))
    left = usable(samples)
    assert len(left) == 4
    assert mean(left) == 2.5
    assert maximum(left) == 4.0
    assert slope(left) == pytest.approx(6.0)


def test_too_few_samples_are_refused() -> None:
    assert all(math.isnan(function([])) for function in (mean, maximum, slope))
    assert math.isnan(slope(course(1.0, 2.0)))
    assert math.isnan(slope(course(1.0, 2.0), least=1))
    assert math.isnan(mean(course(1.0, 2.0), least=3))
    assert math.isnan(maximum(course(1.0, 2.0), least=3))
    assert math.isnan(slope([sample(1.0, 0)] * 5))


def test_refusal_never_passes_a_limit() -> None:
    limit = Limit("k", Unit.LITRE_PER_MINUTE, "s", minimum=-1e9, maximum=1e9)
    for value in (mean([]), slope([]), maximum([]), *robust_z([1.0], 1.0), coverage([], T0, T0, 1.0)):
        assert judge(Reading(value, Unit.LITRE_PER_MINUTE, T0), limit) is Judgement.UNJUDGED


def test_mixed_units_and_channels_raise() -> None:
    mixed = [sample(1.0, 0), sample(1.0, 0, HOT[0])]
    with pytest.raises(ValueError, match="units"):
        mean(mixed)
    two = [sample(float(n), n, channel) for n, channel in enumerate(HOT)]
    with pytest.raises(ValueError, match="one channel"):
        slope(two)
    with pytest.raises(ValueError, match="one channel"):
        coverage(two, T0, at(10), 1.0)
    assert maximum(two) == 3.0


@given(
    st.floats(-100, 100),
    st.floats(-50, 50),
    st.lists(st.integers(0, 3600), min_size=3, max_size=30, unique=True),
)
def test_slope_of_a_line_is_its_own(start: float, per_minute: float, seconds: list[int]) -> None:
    samples = [sample(start + per_minute * second / 60, second) for second in seconds]
    assert slope(samples) == pytest.approx(per_minute, abs=1e-6)


def test_outlier_stands_out_and_near_twins_do_not() -> None:
    z = robust_z([30.0, 31.0, 30.5, 29.5, 30.2, 45.0], 0.5)
    assert z[-1] > 6
    assert all(abs(each) < 3 for each in z[:-1])
    assert max(map(abs, robust_z([30.0, 30.0, 30.0, 30.0001], 0.5))) < 1
    assert robust_z([5.0] * 4, 1.0) == (0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0, math.nan], [1.0, 2.0, 3.0, math.inf]])
def test_outliers_of_too_few_or_no_numbers_are_refused(values: list[float]) -> None:
    z = robust_z(values, 1.0)
    assert len(z) == len(values)
    assert all(map(math.isnan, z))


@pytest.mark.parametrize("floor", [0.0, -1.0, math.nan])
def test_least_deviation_must_divide(floor: float) -> None:
    with pytest.raises(ValueError, match="cannot divide"):
        robust_z([1.0, 2.0, 3.0, 4.0], floor)


def steady(seconds: float, phase: float = 3.0, period: float = 10.0) -> list[Sample]:
    return [sample(1.0, phase + n * period) for n in range(int((seconds - phase) / period) + 1)]


@given(st.floats(0, 9.9), st.integers(1, 50))
def test_regular_samples_cover_everything(phase: float, count: int) -> None:
    samples = [sample(1.0, phase + n * 10) for n in range(count)]
    assert coverage(samples, T0, at(count * 10), 10) == 100


@given(st.sets(st.integers(0, 59)), st.floats(0, 9))
def test_missing_samples_are_subtracted(missing: set[int], phase: float) -> None:
    samples = [sample(1.0, phase + n * 10) for n in range(60) if n not in missing]
    assert coverage(samples, T0, at(600), 10) == pytest.approx(100 * (60 - len(missing)) / 60, abs=1e-9)


def test_burst_does_not_make_up_for_a_gap() -> None:
    burst = [sample(1.0, n / 10) for n in range(500)]
    assert coverage(burst, T0, at(100), 1) < 52


def test_slow_sampling_is_not_complete() -> None:
    assert coverage(steady(600, period=14), T0, at(600), 10) < 75


def test_unusable_repeated_and_foreign_samples_do_not_cover() -> None:
    assert coverage([sample(math.nan, n * 10) for n in range(10)], T0, at(100), 10) == 0
    assert coverage([sample(1.0, 50)] * 10, T0, at(100), 10) == 10
    assert coverage([sample(1.0, 1000 + n * 10) for n in range(10)], T0, at(100), 10) == 0
    assert coverage([], T0, at(100), 10) == 0
    assert math.isnan(coverage([], T0, at(5), 10))
    assert math.isnan(coverage(course(1.0, 2.0), at(100), T0, 10))
    with pytest.raises(ValueError, match="period"):
        coverage([], T0, at(5), 0)
