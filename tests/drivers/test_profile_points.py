"""Raw values turned into readings: scales, signs, sentinels, flags, and blocks that never touch a foreign register."""

from __future__ import annotations

import math
import struct
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.points import Block, decode, doubt, good, number, parts_of, plan_blocks, state, text, words_of
from drivers.profile import RegisterPoint, SnmpPoint
from harness.quantities import Quality, Unit

AT = datetime(2026, 1, 1, tzinfo=UTC)
FORMATS = st.sampled_from(["u16", "s16", "u32", "s32", "float"])


def register(**given: Any) -> RegisterPoint:
    return RegisterPoint.model_validate({"register": 0, "format": "u16", "unit": "W", "source": "s"} | given)


def snmp(**given: Any) -> SnmpPoint:
    return SnmpPoint.model_validate({"oid": "1.3.6.1", "unit": "W", "source": "s"} | given)


@pytest.mark.parametrize(
    ("point", "words", "value"),
    [
        (register(precision=10), [51200], 50.0),
        (register(format="s16", precision=7), [0xF380], -25.0),
        (register(scale=0.1), [274], 27.4),
        (register(format="s16", scale=0.1), [0xFFCC], -5.2),
        (register(scale=0.02, offset=-60.0), [3000], 0.0),
        (register(format="u32", words=2), [1, 2], 65538.0),
        (register(format="u32", words=2, word_order="little"), [2, 1], 65538.0),
        (register(format="float", words=2), [0x4248, 0], 50.0),
        (register(absent=[0xFFFF]), [0xFFFF], None),
        (register(plausible=[0, 60]), [61], None),
        (register(plausible=[1, 60]), [0], None),
        (register(format="float", words=2), [0x7FC0, 0], None),
        (register(format="string", words=2), [0x4142, 0x4300], "ABC"),
        (register(format="string", words=2), [0, 0], ""),
        (register(format="state", states={0: False, 1: True}), [1], True),
        (register(format="state", states={0: False, 1: True}), [7], None),
        (register(format="flags", bits={"low": 0, "high": 15}), [0x8000], frozenset({"high"})),
        (register(format="flags", words=2, bits={"low": 0, "far": 31}), [0x8000, 1], frozenset({"low", "far"})),
    ],
)
def test_registers_decode(point: RegisterPoint, words: list[int], value: object) -> None:
    found = decode(point, words)
    assert found == (pytest.approx(value) if isinstance(value, float) else value)


@given(FORMATS, st.lists(st.integers(0, 0xFFFF), min_size=2, max_size=2))
def test_no_registers_decode_to_something_that_is_not_finite(shape: str, words: list[int]) -> None:
    point = register(format=shape, words=1 if shape.endswith("16") else 2)
    value = decode(point, words[: point.words])
    assert value is None or (isinstance(value, float | int) and math.isfinite(value))


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_floats_survive_in_either_word_order(value: float) -> None:
    high, low = struct.unpack(">HH", struct.pack(">f", value))
    assert decode(register(format="float", words=2), [high, low]) == value
    assert decode(register(format="float", words=2, word_order="little"), [low, high]) == value


@given(st.sets(st.integers(0, 300), min_size=1), st.integers(1, 60))
def test_blocks_cover_what_is_needed_and_nothing_undeclared(registers: set[int], limit: int) -> None:
    declared = [register(register=at) for at in registers]
    blocks = plan_blocks(declared, declared, limit)
    covered = [at for block in blocks for at in range(block.address, block.address + block.count)]
    assert sorted(covered) == sorted(registers)
    assert all(block.count <= limit for block in blocks)


def test_blocks_join_over_declared_registers_only() -> None:
    declared = [register(register=at) for at in (1, 2, 3, 5)]
    assert plan_blocks([declared[0], declared[2], declared[3]], declared, 60) == (Block(1, 3), Block(5, 1))
    assert words_of(declared[0], {2: 1}) is None


@pytest.mark.parametrize(
    ("point", "arguments", "value"),
    [
        (snmp(scale=10), (16,), 160.0),
        (snmp(absent=[-1]), (-1,), None),
        (snmp(), (None,), None),
        (snmp(), (b"21.5 kPa",), 21.5),
        (snmp(), (b"n/a",), None),
        (snmp(), (b"nan",), None),
        (snmp(), (b"inf",), None),
        (snmp(digits="1.3.6.2"), (633, 3), 0.633),
        (snmp(digits="1.3.6.2"), (633, None), None),
        (snmp(available="1.3.6.3"), (633, None, 2), None),
        (snmp(), ((1, 3, 6),), None),
    ],
)
def test_numbers_decode(point: SnmpPoint, arguments: tuple[Any, ...], value: float | None) -> None:
    assert number(point, *arguments) == value


def test_states_that_are_not_in_the_table_are_unknown() -> None:
    point = snmp(format="state", states={1: False, 2: True}, unit="bool")
    assert [state(point, raw) for raw in (1, 2, 3, None, b"2")] == [False, True, None, None, None]


def test_parts_are_found_wherever_the_template_has_them() -> None:
    assert parts_of("1.3.6.5.{part}", {(2,): 1, (10,): 1, (1,): 1}) == ["1", "2", "10"]
    assert parts_of("1.3.6.5.{part}.14", {(2, 14): 1, (2, 5): 1, (3, 14): 1}) == ["2", "3"]
    assert parts_of("1.3.6.5.{part}", {(1, 1, 2): 1, (1, 1, 10): 1}) == ["1.1.2", "1.1.10"]


@given(st.binary(max_size=30))
def test_text_of_any_octets_is_text(raw: bytes) -> None:
    assert "\x00" not in text(raw)


def test_what_is_not_finite_is_bad() -> None:
    assert good(math.inf, Unit.WATT, AT).quality is Quality.BAD
    assert good(1.0, Unit.WATT, AT).quality is Quality.GOOD


@given(st.integers(0, 0xFFFF))
def test_a_number_is_believed_or_doubted_or_not_there(raw: int) -> None:
    point = register(scale=0.1, plausible=[0, 400], absent=[0xFFFF])
    value, why = decode(point, [raw]), doubt("coolant.flow", point, [raw])
    if raw == 0xFFFF:
        assert (value, why) == (None, "")
    elif raw <= 4000:
        assert value == pytest.approx(raw / 10)
        assert why == ""
    else:
        assert value is None
        assert why == f"coolant.flow: {raw / 10:g} W from register 0 lies outside of 0 … 400"


def test_a_number_of_an_agent_has_a_plausible_range_too() -> None:
    point = snmp(plausible=[0, 100])
    assert [number(point, raw) for raw in (-1, 0, 100, 101)] == [None, 0.0, 100.0, None]
