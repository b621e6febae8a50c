"""Batteries: every unit by name, absent ones included, and none that is ready without saying so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.power import Batteries, Battery
from harness.quantities import Reading, Unit

if TYPE_CHECKING:
    from tests.contracts.conftest import Witness

SUITE = ("power_shelf",)


def ask(witness: Witness) -> Sequence[Battery]:
    witness.needs(Batteries)
    found: Sequence[Battery] = witness.ask(lambda shelf: shelf.batteries())
    return found


def test_there_are_batteries_and_their_names_are_in_order(witness: Witness) -> None:
    names = [each.name for each in ask(witness)]
    assert names
    assert names == sorted(set(names))


def test_values_have_the_units_of_the_capability(witness: Witness) -> None:
    for each in ask(witness):
        expected = (
            (each.charge, Unit.PERCENT),
            (each.health, Unit.PERCENT),
            (each.voltage, Unit.VOLT),
            (each.current, Unit.AMPERE),
            (each.temperature, Unit.CELSIUS),
        )
        assert all(reading is None or reading.unit is unit for reading, unit in expected)
        for reading in (each.charge, each.health):
            assert reading is None or not reading.usable or 0 <= reading.number <= 100


def test_one_that_is_absent_says_nothing(witness: Witness) -> None:
    for each in ask(witness):
        if not each.present:
            assert each.ready is not True
            assert [
                value for value in (each.charge, each.health, each.voltage, each.temperature) if usable(value)
            ] == []


def test_one_that_is_ready_says_all_of_it(witness: Witness) -> None:
    ready = [each for each in ask(witness) if each.ready]
    if witness.kind == "simulated":
        assert [each.name for each in ready] == ["bbu-1", "bbu-2"]
    for each in ready:
        assert each.present
        assert each.state in ("charging", "standby", "discharging", "testing", "")
        assert usable(each.charge)


def test_the_parts_are_the_same_batteries(witness: Witness) -> None:
    witness.needs(Batteries)

    async def question(shelf: Any) -> None:
        held = {each.name: each.present for each in await shelf.batteries()}
        assert {part.name: part.present for part in await shelf.parts() if part.kind == "bbu"} == held

    witness.ask(question)


def usable(reading: Reading | None) -> bool:
    return reading is not None and reading.usable
