"""CurrentSharing: every supply by name, its own current and what it is told its share is, in ampere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

from harness.capabilities import PowerSupplies
from harness.power import CurrentSharing, Share
from harness.quantities import Unit

if TYPE_CHECKING:
    from tests.contracts.conftest import Witness

SUITE = ("power_shelf",)


def ask(witness: Witness) -> Sequence[Share]:
    witness.needs(CurrentSharing)
    found: Sequence[Share] = witness.ask(lambda shelf: shelf.shares())
    return found


def test_there_are_shares_in_order_and_in_ampere(witness: Witness) -> None:
    shares = ask(witness)
    assert shares
    assert [each.name for each in shares] == sorted({each.name for each in shares})
    for each in shares:
        for reading in (each.output, each.told):
            assert reading is None or reading.unit is Unit.AMPERE


def test_a_cable_or_a_setting_that_is_not_told_is_not_taken_for_good(witness: Witness) -> None:
    for each in ask(witness):
        assert each.enabled in (True, False, None)
        assert each.cable_ok in (True, False, None)
    if witness.kind == "simulated":
        assert {(each.enabled, each.cable_ok) for each in ask(witness)} == {(True, None)}


def test_the_shares_are_those_of_the_supplies(witness: Witness) -> None:
    witness.needs(CurrentSharing)
    witness.needs(PowerSupplies)

    async def question(shelf: Any) -> None:
        supplies = {each.name: each.output_current for each in await shelf.supplies()}
        shares = await shelf.shares()
        assert [each.name for each in shares] == list(supplies)
        for each in shares:
            metered = supplies[each.name]
            if each.output is not None and each.output.usable and metered is not None and metered.usable:
                near = pytest.approx(metered.number, rel=0.25, abs=2.0)  # read a moment later, under load that moves
                assert each.output.number == near, each.name

    witness.ask(question)
