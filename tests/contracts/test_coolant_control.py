"""CoolantControl: what may be set is bounded and reads back, and what is outside is never sent.

Only a simulated CDU is told anything, and everything is put back; hardware and recordings are only read.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from harness.controls import CoolantControl, CoolantMode
from harness.quantities import Unit

if TYPE_CHECKING:
    from tests.contracts.conftest import Witness

SUITE = ("cdu",)
UNITS = {"coolant.flow": Unit.LITRE_PER_MINUTE, "coolant.supply.temperature": Unit.CELSIUS}


def test_set_points_have_their_units_and_lie_within_their_bounds(witness: Witness) -> None:
    witness.needs(CoolantControl)
    for point in witness.ask(lambda cdu: cdu.set_points()):
        assert point.value.unit is UNITS[point.quantity]
        assert point.low is None or point.low <= point.value.number
        assert point.high is None or point.value.number <= point.high


def test_nothing_outside_of_the_bounds_is_sent(witness: Witness) -> None:
    witness.needs(CoolantControl)

    async def question(cdu: Any) -> None:
        before = await cdu.set_points()
        for point in before:
            write = {"coolant.flow": cdu.set_flow, "coolant.supply.temperature": cdu.set_supply_temperature}
            for value in (point.low - 0.1, point.high + 0.1, math.nan, math.inf):
                with pytest.raises(ValueError, match="may be set within"):
                    await write[point.quantity](value)
        after = await cdu.set_points()
        assert [point.value.value for point in after] == [point.value.value for point in before]

    witness.ask(question)


def test_what_is_set_reads_back(witness: Witness) -> None:
    witness.needs(CoolantControl)
    if witness.kind != "simulated":
        pytest.skip("only a simulated CDU is told anything")

    async def question(cdu: Any) -> None:
        before = {point.quantity: point.value.number for point in await cdu.set_points()}
        assert (await cdu.set_supply_temperature(33.5)).value.number == pytest.approx(33.5)
        assert (await cdu.set_flow(24.0)).value.number == pytest.approx(24.0)
        for mode in (CoolantMode.MANUAL, CoolantMode.STOPPED, CoolantMode.AUTOMATIC):
            assert await cdu.set_mode(mode) is mode
            assert await cdu.mode() is mode
        await cdu.set_supply_temperature(before["coolant.supply.temperature"])
        await cdu.set_flow(before["coolant.flow"])
        assert {point.quantity: point.value.number for point in await cdu.set_points()} == pytest.approx(before)

    witness.ask(question)
