"""Power shelves: supplies on one bus, some of them silent, unfed or broken."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import pytest

from drivers.power_shelf import connect as connect_any
from drivers.power_shelf.registers import connect_registers as connect
from drivers.power_shelf.shelf import PowerShelf
from harness.capabilities import FirmwareInventory, Identity, Inventory, PowerInlet, PowerSupplies, Telemetry
from harness.connection import Connection, Driver, Option
from harness.controls import BusQuality
from harness.errors import DefinitionError, Misbehaved, Unreachable
from harness.quantities import Quality, Unit

if TYPE_CHECKING:
    from tests.drivers.conftest import Line

T = TypeVar("T")
UNITS = (200, 201, 202)


def words(text: str, count: int) -> list[int]:
    octets = text.encode().ljust(2 * count, b"\x00")
    return [int.from_bytes(octets[at : at + 2], "big") for at in range(0, 2 * count, 2)]


def supply(number: int, *, fed: bool = True) -> dict[int, int]:
    """One Open Rack v3 supply by its register map: 50 V, 48.5 A, 2425 W out of 2500 W at 230 V."""
    registers = dict.fromkeys([*range(107)], 0)
    for first, count, text in ((0, 8, "ORV3-5500-A"), (8, 8, "ORV3-PSU-5500"), (24, 16, f"S{number}"), (48, 4, "0207")):
        registers |= dict(enumerate(words(text, count), first))
    registers[64] = 1 << 8  # Modbus is in use: no alarm
    values = {79: 50 * 1024, 80: 48.5 * 64, 82: 2425 * 8, 87: 2500 * 8, 88: 230 * 64}
    if fed:
        registers |= {register: int(value) for register, value in values.items()}
    else:
        registers[61] = 1 << 8 | 1 << 10
    return registers


SILENT = 0.25
"""Wall seconds to wait where some answer does not come."""


def connection(address: str, units: Option = "200,201,202", timeout: float = 10.0) -> Connection:
    return Connection(
        "shelf-1",
        address,
        profile="orv3-psu",
        options={"units": units, "timeout": timeout},
        now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
    )


def use(line: Line, question: Callable[[PowerShelf], Awaitable[T]], timeout: float = 10.0) -> T:
    async def run() -> T:
        shelf = connect(connection(line.address(), timeout=timeout))
        assert isinstance(shelf, PowerShelf)
        try:
            await shelf.open()
            return await question(shelf)
        finally:
            await shelf.close()

    return asyncio.run(run())


@pytest.fixture
def shelf(line: Line) -> Line:
    """A line with three supplies."""
    line.units = {unit: supply(unit) for unit in UNITS}
    return line


def test_it_satisfies_its_capabilities() -> None:
    shelf = connect(connection("modbus+rtu:///dev/ttyUSB0"))
    for capability in (Driver, Identity, Inventory, FirmwareInventory, PowerSupplies, PowerInlet, Telemetry):
        assert isinstance(shelf, capability)


def test_a_shelf_is_read_whole(shelf: Line) -> None:
    async def question(driver: PowerShelf) -> None:
        who = await driver.identify()
        assert (who.model, who.part_number, who.serial, who.firmware) == (
            "ORV3-PSU-5500",
            "ORV3-5500-A",
            "S200",
            "0207",
        )
        assert [(part.name, part.kind, part.serial, part.healthy) for part in await driver.parts()] == [
            (f"psu-{index}", "psu", f"S{unit}", True) for index, unit in enumerate(UNITS, 1)
        ]
        assert [(each.component, each.version) for each in await driver.firmware()] == [
            (f"psu-{index}", "0207") for index in (1, 2, 3)
        ]
        first = (await driver.supplies())[0]
        readings = (first.input_voltage, first.input_power, first.output_power, first.output_current)
        assert [(each.value, each.unit) for each in readings if each] == [
            (230.0, Unit.VOLT),
            (2500.0, Unit.WATT),
            (2425.0, Unit.WATT),
            (48.5, Unit.AMPERE),
        ]
        assert (first.input_ok, first.healthy) == (True, True)
        total = await driver.input_power()
        assert (total.value, total.unit) == (7500.0, Unit.WATT)
        samples = await driver.sample()
        assert [each.channel for each in samples] == list(driver.channels())
        assert all(each.reading.quality is Quality.GOOD for each in samples)
        bus = next(each.reading for each in samples if each.channel.quantity == "bus.voltage")
        assert (bus.value, bus.unit) == (50.0, Unit.VOLT)

    use(shelf, question)


def test_a_silent_supply_is_reported_and_spoils_the_sum(shelf: Line) -> None:
    async def question(driver: PowerShelf) -> None:
        del shelf.units[201]
        _, silent, _ = await driver.supplies()
        assert (silent.name, silent.input_ok, silent.healthy) == ("psu-2", None, False)
        assert (silent.input_power, silent.output_power, silent.output_current, silent.input_voltage) == (None,) * 4
        total = await driver.input_power()
        assert total.quality is Quality.BAD
        assert math.isnan(total.number)
        samples = await driver.sample()
        assert len(samples) == len(driver.channels())
        bad = {each.channel.part for each in samples if each.reading.quality is not Quality.GOOD}
        assert bad == {"psu-2"}
        (part,) = [part for part in await driver.parts() if part.name == "psu-2"]
        assert (part.present, part.healthy, part.serial) == (False, False, "")
        assert "psu-2" not in [each.component for each in await driver.firmware()]

    use(shelf, question, SILENT)


def test_a_supply_without_input_says_so_and_does_not_pull_down_the_bus(shelf: Line) -> None:
    shelf.units[202] = supply(202, fed=False)

    async def question(driver: PowerShelf) -> None:
        assert [(each.input_ok, each.healthy) for each in await driver.supplies()] == [
            (True, True),
            (True, True),
            (False, False),
        ]
        bus = next(each.reading for each in await driver.sample() if each.channel.quantity == "bus.voltage")
        assert bus.value == 50.0

    use(shelf, question)


@pytest.mark.parametrize(("register", "bit"), [(60, 11), (61, 9), (62, 1), (63, 8), (64, 1)])
def test_every_alarm_makes_a_supply_unhealthy(shelf: Line, register: int, bit: int) -> None:
    shelf.units[200][register] = 1 << bit

    async def question(driver: PowerShelf) -> None:
        assert [each.healthy for each in await driver.supplies()] == [False, True, True]

    use(shelf, question)


def test_without_any_input_the_bus_is_unknown(shelf: Line) -> None:
    shelf.units = {unit: supply(unit, fed=False) for unit in UNITS}

    async def question(driver: PowerShelf) -> None:
        bus = next(each.reading for each in await driver.sample() if each.channel.quantity == "bus.voltage")
        assert bus.quality is Quality.BAD

    use(shelf, question)


def test_an_output_voltage_beyond_belief_is_bad_and_said(shelf: Line) -> None:
    for unit in UNITS:
        shelf.units[unit][79] = 0xFFFF  # 64 V: a wrong scale or a wrong map

    async def question(driver: PowerShelf) -> None:
        assert driver.doubts() == ()
        bus = next(each.reading for each in await driver.sample() if each.channel.quantity == "bus.voltage")
        assert bus.quality is Quality.BAD
        assert driver.doubts()[0] == ("psu-1: supply.output.voltage: 63.999 V from register 79 lies outside of 0 … 60")

    use(shelf, question)


def test_a_scale_that_is_wrong_by_two_is_doubted_though_every_value_is_plausible(shelf: Line) -> None:
    shelf.units[201][80] = int(24.25 * 64)

    async def question(driver: PowerShelf) -> None:
        await driver.supplies()
        assert driver.doubts() == ("psu-2: supply.output.power: 2425 W, but 50 V and 24.25 A make 1212 W",)
        shelf.units[201][80] = int(48.5 * 64)
        await driver.sample()
        assert driver.doubts() == ()

    use(shelf, question)


def test_all_silent_is_unreachable_and_garbage_is_not_silence(shelf: Line) -> None:
    async def question(driver: PowerShelf) -> None:
        shelf.units.clear()
        with pytest.raises(Unreachable, match="none of 3 supplies answers"):
            await driver.sample()
        shelf.units = {unit: supply(unit) for unit in UNITS}
        shelf.plan = {-unit: "crc" for unit in UNITS}
        with pytest.raises(Misbehaved, match="checksum"):
            await driver.input_power()

    use(shelf, question, SILENT)


def test_the_maker_of_a_supply_is_what_function_43_says(shelf: Line) -> None:
    shelf.identifications = {200: (b"Bench Power", b"PSU", b"1"), 201: (b"Other Power", b"PSU", b"1")}

    async def question(driver: PowerShelf) -> None:
        assert (await driver.identify()).manufacturer == "Bench Power"
        assert [part.manufacturer for part in await driver.parts()] == ["Bench Power", "Other Power", ""]

    use(shelf, question)


def test_exchanges_are_counted_by_supply(shelf: Line) -> None:
    async def question(driver: PowerShelf) -> None:
        assert isinstance(driver, BusQuality)
        del shelf.units[201]
        await driver.supplies()
        first, silent, _ = driver.exchanges()
        assert (first.unit, silent.unit) == ("psu-1", "psu-2")
        assert (first.silent, first.checksum, silent.silent > 0, silent.dormant) == (0, 0, True, False)

    use(shelf, question, SILENT)


def test_the_address_decides_the_way_in() -> None:
    def at(address: str, profile: str = "", **options: Option) -> Connection:
        return Connection("shelf-1", address, profile, options=options, now=lambda: datetime.now(UTC))

    assert type(connect_any(at("https://10.0.0.1"))).__name__ == "RedfishShelf"
    assert type(connect_any(at("modbus+rtu+tcp://10.0.0.1:4001", "orv3-psu", units="200"))).__name__ == "PowerShelf"


@pytest.mark.parametrize("units", ["", "200;201", "200,200", "0,1", "248", "psu-1"])
def test_wrong_unit_numbers_are_told_before_the_first_contact(units: str) -> None:
    with pytest.raises(DefinitionError, match=r"options\.units"):
        connect(connection("modbus+rtu:///dev/ttyUSB0", units))


def test_a_misspelt_option_is_told() -> None:
    wrong = Connection("shelf-1", "modbus+rtu:///dev/x", "orv3-psu", options={"unit": 1}, now=lambda: datetime.now(UTC))
    with pytest.raises(DefinitionError, match="did you mean 'units'"):
        connect(wrong)
