"""The traps of registers and their maps, one test each; what is decoded is right, or nothing.

From register maps in the open (rackmon, Schneider, Vertiv and PLC cards) and their errors.

| trap | test |
|---|---|
| a block reads over registers that mean nothing | test_trap_reserved_registers_inside_a_block |
| more than 125 registers in a read | test_trap_block_longer_than_125 |
| words in the other order | test_trap_word_order |
| 0xFFFF for a value that is not there | test_trap_absent_value_is_a_sentinel |
| signed registers and offsets | test_trap_signed_and_offset_registers |
| precision and scale both given | test_trap_precision_and_scale_both_given |
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from drivers.points import decode, plan_blocks
from drivers.profile import ModbusProfile, RegisterPoint, profiles
from drivers.transports.modbus_wire import Ask


def point(**given: object) -> RegisterPoint:
    return RegisterPoint.model_validate({"register": 0, "format": "u16", "unit": "W", "source": "test"} | given)


def test_every_trap_of_the_table_has_its_test() -> None:
    rows = re.findall(r"^\| .+ \| (test_\w+) \|$", __doc__ or "", re.MULTILINE)
    found = re.findall(r"^def (test_trap_\w+)\(", Path(__file__).read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(found)


def test_trap_reserved_registers_inside_a_block() -> None:
    """Some cards answer 0 for reserved registers in a block that begins well: no register is read that is not ours."""
    for profile in profiles().values():
        if isinstance(profile, ModbusProfile):
            points = list(profile.points.values())
            declared = {each.register_ + at for each in points for at in range(each.words)}
            for block in plan_blocks(points, points, profile.block):
                assert {*range(block.address, block.address + block.count)} <= declared


def test_trap_block_longer_than_125() -> None:
    """V1.1b3, 6.3: 125 registers, 123 to be written; maps speak of less, and no profile of more."""
    Ask.read(0, 125)
    with pytest.raises(ValueError, match="do not fit"):
        Ask.read(0, 126)
    with pytest.raises(ValueError, match="cannot be written"):
        Ask.write(0, [0] * 124)
    assert all(each.block <= 125 for each in profiles().values() if isinstance(each, ModbusProfile))


def test_trap_word_order() -> None:
    """Most send the more significant word first; some (Vertiv DCD) the other one: the profile says which."""
    assert decode(point(format="u32", words=2), [1, 2]) == 0x10002
    assert decode(point(format="u32", words=2, word_order="little"), [2, 1]) == 0x10002
    assert decode(point(format="float", words=2, word_order="little"), [0x0000, 0x3F80]) == 1.0


def test_trap_absent_value_is_a_sentinel() -> None:
    """0xFFFF, 0x7FFF or 0x8000 for a sensor that is not there would be 6553.5 degC: None, where the map names it."""
    assert decode(point(absent=(0xFFFF,), scale=0.1), [0xFFFF]) is None
    assert decode(point(format="s16", absent=(-32768,)), [0x8000]) is None
    assert decode(point(format="float", words=2), [0x7FC0, 0x0000]) is None


def test_trap_signed_and_offset_registers() -> None:
    """-1 is 65535 to who forgets the sign; and some PLCs code 0 … 60 degC as 3000 … 3600."""
    assert decode(point(format="s16"), [0xFFFF]) == -1
    assert decode(point(scale=0.1, offset=-300.0), [3250]) == pytest.approx(25.0)


def test_trap_precision_and_scale_both_given() -> None:
    """Rackmon's formula has both; a vendor's list that says 1 and 0.1 is a factor of two out. Ours apply as written."""
    assert decode(point(precision=10, scale=1.0), [51200]) == 50.0
    assert decode(point(precision=1, scale=0.1), [1000]) == pytest.approx(50.0)
    for profile in profiles().values():
        if isinstance(profile, ModbusProfile):
            both = [name for name, each in profile.points.items() if each.precision and each.scale != 1.0]
            assert both == [], "a precision and a scale: one of them is likely the other's"
