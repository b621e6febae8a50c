"""Quantities: a reading knows what it is worth; conversions are exact, and refused between different quantities."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.quantities import Channel, Quality, Reading, Unit, convert

AT = datetime(2026, 11, 22, tzinfo=UTC)
PAIRS = (
    (Unit.KILOWATT, Unit.WATT, 1000.0),
    (Unit.SECOND, Unit.MILLISECOND, 1000.0),
    (Unit.MILLISECOND, Unit.MICROSECOND, 1000.0),
    (Unit.SECOND, Unit.MICROSECOND, 1e6),
    (Unit.GIGABIT_PER_SECOND, Unit.BIT_PER_SECOND, 1e9),
    (Unit.RATIO, Unit.PERCENT, 100.0),
)
CONVERTIBLE = {frozenset(pair[:2]) for pair in PAIRS}


@pytest.mark.parametrize("quality", [Quality.STALE, Quality.ABSENT, Quality.BAD])
@pytest.mark.parametrize("value", [1.0, 0, True, "dry"])
def test_only_good_readings_are_usable(quality: Quality, value: float | str) -> None:
    reading = Reading(value, Unit.COUNT, AT, quality)
    assert not reading.usable
    assert math.isnan(reading.number)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_finite_number_is_never_usable(value: float) -> None:
    reading = Reading(value, Unit.WATT, AT)
    assert not reading.usable
    assert math.isnan(reading.number)


def test_text_is_usable_but_no_number() -> None:
    reading = Reading("12", Unit.TEXT, AT)
    assert reading.usable
    assert math.isnan(reading.number)


@pytest.mark.parametrize(("large", "small", "factor"), PAIRS)
def test_conversion_goes_both_ways(large: Unit, small: Unit, factor: float) -> None:
    assert convert(2.0, large, small) == 2.0 * factor
    assert convert(factor, small, large) == 1.0
    assert Reading(3, large, AT).to(small) == Reading(3 * factor, small, AT)


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12), st.sampled_from(PAIRS))
def test_conversion_and_back_is_the_same(value: float, pair: tuple[Unit, Unit, float]) -> None:
    assert convert(convert(value, pair[0], pair[1]), pair[1], pair[0]) == pytest.approx(value)


@given(st.sampled_from(list(Unit)), st.sampled_from(list(Unit)))
def test_other_units_are_refused(unit: Unit, other: Unit) -> None:
    if unit is other or frozenset((unit, other)) in CONVERTIBLE:
        assert math.isfinite(convert(1.0, unit, other))
    else:
        with pytest.raises(ValueError, match="cannot be converted"):
            convert(1.0, unit, other)


@pytest.mark.parametrize("value", [True, "1"])
def test_words_are_not_converted(value: bool | str) -> None:
    with pytest.raises(ValueError, match="cannot be converted"):
        Reading(value, Unit.KILOWATT, AT).to(Unit.WATT)


def test_conversion_keeps_quality_and_time() -> None:
    reading = Reading(1.0, Unit.KILOWATT, AT, Quality.STALE).to(Unit.WATT)
    assert (reading.at, reading.quality, reading.value) == (AT, Quality.STALE, 1000.0)


def test_channel_names_its_subject() -> None:
    channel = Channel("tray-03", "accelerator.temperature", Unit.CELSIUS, "accelerator-2")
    assert str(channel) == "tray-03/accelerator-2.accelerator.temperature"
    assert Channel("cdu-1", "coolant.flow", Unit.LITRE_PER_MINUTE).subject == "cdu-1"
