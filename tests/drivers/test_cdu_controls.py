"""A CDU by registers that is told what to do: bounds, read-back, control words; and who says who made it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from drivers.cdu import connect as connect_any
from drivers.cdu.registers import Cdu, connect_registers
from drivers.profile import RegisterControl
from harness.connection import Connection
from harness.controls import BusQuality, CoolantControl, CoolantMode, Exchanges
from harness.errors import Misbehaved
from harness.quantities import Unit

if TYPE_CHECKING:
    from tests.drivers.conftest import Line

UNIT = 12
FLOW, TEMPERATURE, WORD = 37888, 37889, 37904


@pytest.fixture
def unit(line: Line) -> Line:
    """A pumping unit on a bus: 27.4 L/min wanted at 35.0 degC, automatic, a pump's reset bit left set by somebody."""
    registers = dict.fromkeys(
        [*range(6561, 6573), *range(6596, 6640), *range(36864, 36920), *range(37376, 37379), *range(37888, 37906)], 0
    )
    line.units[UNIT] = registers | {FLOW: 274, TEMPERATURE: 350, WORD: 1 << 3 | 1 << 0 | 1 << 12, 36874: 4100, 36882: 2}
    return line


def use(line: Line, question: Callable[[Cdu], Awaitable[None]], timeout: float = 10.0) -> None:
    async def run() -> None:
        cdu = connect_registers(
            Connection(
                "cdu-1",
                line.address(),
                profile="orv3-rpu",
                options={"unit": UNIT, "timeout": timeout},
                now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
            )
        )
        try:
            await cdu.open()
            await question(cdu)
        finally:
            await cdu.close()

    asyncio.run(run())


def test_set_points_are_written_within_hard_bounds_and_read_back(unit: Line) -> None:
    async def question(cdu: Cdu) -> None:
        assert isinstance(cdu, CoolantControl)
        points = {point.quantity: point for point in await cdu.set_points()}
        flow, temperature = points["coolant.flow"], points["coolant.supply.temperature"]
        assert flow.value.number == pytest.approx(27.4)
        assert flow.value.unit is Unit.LITRE_PER_MINUTE
        assert (temperature.value.number, temperature.low, temperature.high) == (35.0, 18.0, 45.0)
        assert (await cdu.set_flow(120.0)).value.number == pytest.approx(120.0)
        assert (await cdu.set_supply_temperature(32.5)).value.number == pytest.approx(32.5)
        for outside in (17.9, 45.1, math.nan, math.inf):
            with pytest.raises(ValueError, match="may be set within 18 … 45 degC"):
                await cdu.set_supply_temperature(outside)

    use(unit, question)
    assert unit.written == [(UNIT, FLOW, [1200]), (UNIT, TEMPERATURE, [325])]


def test_a_mode_is_set_without_touching_the_command_bits(unit: Line) -> None:
    async def question(cdu: Cdu) -> None:
        assert await cdu.mode() is CoolantMode.AUTOMATIC
        assert await cdu.set_mode(CoolantMode.STOPPED) is CoolantMode.STOPPED
        assert await cdu.set_mode(CoolantMode.MANUAL) is CoolantMode.MANUAL
        assert await cdu.set_mode(CoolantMode.AUTOMATIC) is CoolantMode.AUTOMATIC
        unit.units[UNIT][WORD] = 0
        assert await cdu.mode() is CoolantMode.UNKNOWN

    use(unit, question)
    for _, register, (word,) in unit.written:
        assert register == WORD
        assert word & 0b1111_1100_0100_0000 == 0  # power cycle, clear log, clear run time, pump resets
        assert word & 1  # kept as it was


def test_a_set_point_that_does_not_read_back_is_misbehaviour(unit: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    unit.stubborn = True

    async def question(cdu: Cdu) -> None:
        control = cdu._profile.controls["coolant.flow"]
        monkeypatch.setitem(cdu._profile.controls, "coolant.flow", control.model_copy(update={"deadline": 0.3}))
        with pytest.raises(Misbehaved, match=r"still reads 27\.4 L/min"):
            await cdu.set_flow(100.0)

    use(unit, question)
    assert len(unit.written) == 1


def test_a_write_that_is_refused_ends_there(unit: Line) -> None:
    async def question(cdu: Cdu) -> None:
        unit.plan[-UNIT] = "exception-4"
        with pytest.raises(Misbehaved, match="server device failure"):
            await cdu.set_flow(100.0)

    use(unit, question)
    assert unit.written == []


def test_a_write_whose_answer_was_lost_counts_if_it_reads_back(unit: Line) -> None:
    async def question(cdu: Cdu) -> None:
        unit.plan[len(unit.asked) + 1] = "late"
        assert (await cdu.set_flow(100.0)).value.number == pytest.approx(100.0)

    use(unit, question, 0.3)
    assert unit.written == [(UNIT, FLOW, [1000])]


def test_the_maker_is_what_function_43_says_or_nobody(unit: Line) -> None:
    async def nobody(cdu: Cdu) -> None:
        assert (await cdu.identify()).manufacturer == ""

    async def somebody(cdu: Cdu) -> None:
        assert (await cdu.identify()).manufacturer == "Bench Cooling"

    use(unit, nobody)
    unit.identifications[UNIT] = (b"Bench Cooling", b"RPU", b"1")
    use(unit, somebody)


def test_exchanges_are_counted(unit: Line) -> None:
    async def question(cdu: Cdu) -> None:
        assert isinstance(cdu, BusQuality)
        (before,) = cdu.exchanges()
        unit.plan[len(unit.asked) + 1] = "crc"
        await cdu.coolant()
        (after,) = cdu.exchanges()
        assert isinstance(after, Exchanges)
        assert (after.unit, after.checksum - before.checksum, after.silent, after.dormant) == ("12", 1, 0, False)
        assert after.ok > before.ok

    use(unit, question, 0.3)


def test_the_address_decides_the_way_in() -> None:
    def at(address: str, profile: str = "") -> Connection:
        return Connection("cdu-1", address, profile=profile, now=lambda: datetime.now(UTC))

    assert type(connect_any(at("https://10.0.0.1"))).__name__ == "RedfishCdu"
    assert type(connect_any(at("modbus+tcp://10.0.0.1", "orv3-rpu"))).__name__ == "Cdu"
    assert type(connect_any(at("modbus+rtu+tcp://10.0.0.1:502", "orv3-rpu"))).__name__ == "Cdu"


@pytest.mark.parametrize(
    "given",
    [
        {"minimum": 20, "maximum": 10},
        {"minimum": -5, "maximum": 10},
        {"minimum": 0, "maximum": 7000, "scale": 0.1},
        {"minimum": 0, "maximum": 10, "scale": 0},
    ],
)
def test_bounds_that_do_not_fit_the_register_are_refused(given: dict[str, float]) -> None:
    plain = {"register": 1, "format": "u16", "unit": "degC", "deadline": 1, "source": "s"}
    with pytest.raises(ValidationError):
        RegisterControl.model_validate(plain | given)
