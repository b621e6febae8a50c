"""Limits: what cannot be judged never passes, and the guard band draws every acceptance limit in."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.limits import Judgement, Limit, judge
from harness.quantities import Quality, Reading, Unit, Value

AT = datetime(2026, 11, 22, tzinfo=UTC)
NUMBERS = st.floats(min_value=-1e6, max_value=1e6, allow_nan=False)
VALUES: st.SearchStrategy[Value] = st.one_of(
    st.floats(), st.integers(-(10**9), 10**9), st.booleans(), st.text(max_size=8)
)
GRAVITY = [Judgement.PASS, Judgement.MARGINAL, Judgement.FAIL]

limits = st.builds(
    Limit,
    key=st.just("k"),
    unit=st.sampled_from([Unit.WATT, Unit.COUNT, Unit.TEXT, Unit.BOOLEAN]),
    source=st.just("s"),
    minimum=st.none() | NUMBERS,
    maximum=st.none() | NUMBERS,
    allowed=st.none() | st.tuples(VALUES),
    guard=st.floats(0, 10),
    by_definition=st.booleans(),
    recorded_only=st.booleans(),
)


def reading(value: Value, unit: Unit = Unit.WATT, quality: Quality = Quality.GOOD) -> Reading:
    return Reading(value, unit, AT, quality)


def band(low: float | None = None, high: float | None = None, guard: float = 0.0) -> Limit:
    return Limit("k", Unit.WATT, "s", minimum=low, maximum=high, guard=guard)


@given(VALUES, st.sampled_from([Quality.STALE, Quality.ABSENT, Quality.BAD]), limits)
def test_what_is_not_good_is_never_judged(value: Value, quality: Quality, limit: Limit) -> None:
    assert judge(reading(value, limit.unit, quality), limit) is Judgement.UNJUDGED


@given(st.sampled_from([math.nan, math.inf, -math.inf]), limits)
def test_no_finite_number_is_ever_judged(value: float, limit: Limit) -> None:
    assert judge(reading(value, limit.unit), limit) is Judgement.UNJUDGED


@given(st.text(max_size=8) | st.booleans(), st.none() | NUMBERS, st.none() | NUMBERS)
def test_words_are_never_judged_against_bounds(value: str | bool, low: float | None, high: float | None) -> None:
    assert judge(reading(value), band(low, high)) is Judgement.UNJUDGED


@given(NUMBERS, st.sampled_from([Unit.KELVIN, Unit.COUNT, Unit.PERCENT]))
def test_another_quantity_is_never_judged(value: float, unit: Unit) -> None:
    assert judge(reading(value, unit), band(-1e6, 1e6)) is Judgement.UNJUDGED
    allowed = Limit("k", Unit.WATT, "s", allowed=(value,))
    assert judge(reading(value, unit), allowed) is Judgement.UNJUDGED


@given(VALUES)
def test_limit_without_bounds_passes_nothing(value: Value) -> None:
    assert judge(reading(value), band()) is Judgement.UNJUDGED
    defined = Limit("k", Unit.WATT, "s", by_definition=True)
    assert judge(reading(value), defined) is Judgement.UNJUDGED


@given(VALUES)
def test_nothing_allowed_passes_nothing(value: Value) -> None:
    assert judge(reading(value), Limit("k", Unit.WATT, "s", allowed=())) is not Judgement.PASS


@given(NUMBERS, NUMBERS, NUMBERS, st.floats(0, 100))
def test_judgement_follows_the_decision_rule(value: float, one: float, other: float, guard: float) -> None:
    low, high = min(one, other), max(one, other)
    found = judge(reading(value), band(low, high, guard))
    if value < low or value > high:
        assert found is Judgement.FAIL
    elif value < low + guard or value > high - guard:
        assert found is Judgement.MARGINAL
    else:
        assert found is Judgement.PASS


@given(NUMBERS, NUMBERS, NUMBERS, st.floats(0, 100))
def test_farther_out_is_never_better(one: float, other: float, high: float, guard: float) -> None:
    near, far = sorted((one, other))
    limit = band(high=high, guard=guard)
    assert GRAVITY.index(judge(reading(near), limit)) <= GRAVITY.index(judge(reading(far), limit))
    mirrored = band(low=-high, guard=guard)
    assert GRAVITY.index(judge(reading(-near), mirrored)) <= GRAVITY.index(judge(reading(-far), mirrored))


@given(NUMBERS, NUMBERS, st.floats(0, 50), st.floats(0, 50))
def test_wider_guard_band_is_never_kinder(value: float, high: float, one: float, other: float) -> None:
    narrow, wide = sorted((one, other))
    found = [judge(reading(value), band(high=high, guard=guard)) for guard in (narrow, wide)]
    assert GRAVITY.index(found[0]) <= GRAVITY.index(found[1])


def test_edges_belong_to_the_band() -> None:
    limit = band(10.0, 20.0, 1.0)
    judged = {value: judge(reading(value), limit) for value in (9.999, 10.0, 10.999, 11.0, 19.0, 19.001, 20.0, 20.001)}
    assert [judged[value] for value in sorted(judged)] == [
        Judgement.FAIL,
        Judgement.MARGINAL,
        Judgement.MARGINAL,
        Judgement.PASS,
        Judgement.PASS,
        Judgement.MARGINAL,
        Judgement.MARGINAL,
        Judgement.FAIL,
    ]


def test_value_is_judged_in_the_unit_of_the_limit() -> None:
    limit = band(700.0, 900.0)
    assert judge(reading(0.85, Unit.KILOWATT), limit) is Judgement.PASS
    assert judge(reading(0.95, Unit.KILOWATT), limit) is Judgement.FAIL
    assert judge(reading(850, Unit.KILOWATT), limit) is Judgement.FAIL


@pytest.mark.parametrize(
    ("value", "allowed", "unit"),
    [
        (1, True, Unit.BOOLEAN),
        (True, 1, Unit.COUNT),
        (0, False, Unit.BOOLEAN),
        ("1", 1, Unit.COUNT),
        (1, "1", Unit.TEXT),
        ("true", True, Unit.BOOLEAN),
        ("dry ", "dry", Unit.TEXT),
        ("Dry", "dry", Unit.TEXT),
        ("", "dry", Unit.TEXT),
    ],
)
def test_look_alikes_do_not_pass(value: Value, allowed: Value, unit: Unit) -> None:
    assert judge(reading(value, unit), Limit("k", unit, "s", allowed=(allowed,))) is not Judgement.PASS


@given(VALUES, VALUES)
def test_allowed_values_pass_and_others_do_not(value: Value, other: Value) -> None:
    assume(not isinstance(value, float) or math.isfinite(value))
    limit = Limit("k", Unit.WATT, "s", by_definition=True).expecting(value)
    assert judge(reading(value), limit) is Judgement.PASS
    if type(value) is type(other) and value != other:
        assert judge(reading(other), limit) is not Judgement.PASS


def test_recorded_values_pass_only_if_usable() -> None:
    limit = Limit("k", Unit.WATT, "s", recorded_only=True)
    assert judge(reading(5.0), limit) is Judgement.PASS
    assert judge(reading(math.nan), limit) is Judgement.UNJUDGED


def test_the_words_of_a_judgement_are_those_of_the_journal() -> None:
    """They are evidence: a journal of last year says the same."""
    assert [each.value for each in Judgement] == ["pass", "marginal", "fail", "unjudged"]


def test_a_limit_draws_nothing_in_unless_it_says_so() -> None:
    plain = Limit("k", Unit.WATT, "s", minimum=10.0, maximum=10.5)
    assert (plain.guard, plain.uncertainty, plain.by_definition, plain.recorded_only) == (0.0, None, False, False)
    assert judge(reading(10.0), plain) is Judgement.PASS


def test_what_the_definition_expects_is_expected_from_then_on() -> None:
    limit = Limit("k", Unit.TEXT, "s", by_definition=True).expecting("dry")
    assert (limit.allowed, limit.by_definition) == (("dry",), False)


def test_a_lone_maximum_has_no_lower_edge() -> None:
    assert judge(reading(-1e300), band(high=3.0)) is Judgement.PASS
    assert judge(reading(1e300), band(low=3.0)) is Judgement.PASS


def test_bounds_are_described_as_people_write_them() -> None:
    assert band(1.2, 2).describe() == "1.2 … 2 W"
    assert band(low=3).describe() == "≥ 3 W"
    assert band(high=3).describe() == "≤ 3 W"
    assert Limit("k", Unit.TEXT, "s", allowed=("dry", "none")).describe() == "= dry or none"
    assert Limit("k", Unit.BOOLEAN, "s", allowed=(True,)).describe() == "= yes"
    assert Limit("k", Unit.BOOLEAN, "s", allowed=(False, True)).describe() == "= no or yes"
    assert Limit("k", Unit.RATIO, "s", maximum=3).describe() == "≤ 3"
    assert Limit("k", Unit.COUNT, "s", allowed=(1.50, 2)).describe() == "= 1.5 or 2"
    assert Limit("k", Unit.TEXT, "s", by_definition=True).describe() == "as defined"
    assert Limit("k", Unit.TEXT, "s", recorded_only=True).describe() == "recorded"
