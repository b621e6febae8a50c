"""How the supplies of a shelf share the current, and what stands beside them: manager, batteries, other line speeds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from drivers.power_shelf import connect
from drivers.power_shelf.units import Links, places_of
from drivers.recognition import candidates
from drivers.transports.modbus import ModbusLink, connect_modbus
from harness.capabilities import FirmwareInventory, Identity, Inventory, PowerSupplies, Telemetry
from harness.connection import Connection, Driver, Option
from harness.controls import BusQuality
from harness.errors import DefinitionError, Unreachable, Unsupported
from harness.power import Batteries, CurrentSharing
from harness.quantities import Quality, Unit

if TYPE_CHECKING:
    from tests.drivers.conftest import Line

SETTING, SHARING = 94, 1 << 11


def words(text: str, count: int) -> list[int]:
    octets = text.encode().ljust(2 * count, b"\x00")
    return [int.from_bytes(octets[at : at + 2], "big") for at in range(0, 2 * count, 2)]


def texts(*placed: tuple[int, int, str]) -> dict[int, int]:
    return {first + at: word for first, count, text in placed for at, word in enumerate(words(text, count))}


def supply(number: int, current: float, *, strong: bool = False) -> dict[int, int]:
    """A supply by the register map of ORV3, or of the high-power kind, at 50 V."""
    registers = dict.fromkeys(range(107), 0)
    registers |= texts((0, 8, "PSU-A"), (8, 8, "ORV3-PSU"), (24, 16, f"S{number}"), (48, 4, "0207"))
    registers |= {79: 50 * 1024, 80: int(current * 64), 81: int(current * 64) + 32, 82: int(current * 400), 87: 20000}
    registers |= {88: 230 * 64, SETTING: SHARING | 1 << 8}
    return registers | ({111: 0, 112: 0, 113: 51200, 114: 49664, 115: 0, 116: 0} if strong else {})


def manager(number: int, alarms: int = 0) -> dict[int, int]:
    """A shelf manager: six modules planned, the sixth not there, the second one alerting, the third one dumb."""
    registers = dict.fromkeys(range(126), 0)
    registers |= texts(
        (0, 8, "PMM-A"), (8, 8, "Bench Power"), (16, 8, "PMM-33"), (32, 16, f"M{number}"), (56, 4, "0101")
    )
    return registers | {86: 1, 87: 0b011111, 88: 0b000010, 89: alarms, 90: 0b111111, 93: 1 << 3}


def battery(number: int) -> dict[int, int]:
    """A full battery at rest."""
    registers = dict.fromkeys(range(104, 169), 0)
    registers |= texts(
        (0, 8, "Bench Cells"), (8, 8, "BBU-3000"), (24, 8, "BBU-A"), (56, 4, "0103"), (64, 16, f"B{number}")
    )
    registers |= dict.fromkeys(range(109, 120), 4050) | dict.fromkeys(range(122, 126), 2990)
    return registers | {108: 1 << 7 | 1 << 5, 126: 97, 128: 44550, 142: 99, 147: 50020}


def use(line: Line, question: Callable[[Any], Awaitable[None]], profile: str = "orv3-psu", **options: Option) -> None:
    async def run() -> None:
        chosen = {"units": "200,201", "timeout": 0.25, **options}
        at = datetime(2026, 1, 1, tzinfo=UTC)
        shelf = connect(Connection("shelf-1", line.address(), profile, options=chosen, now=lambda: at))
        try:
            await shelf.open()
            await question(shelf)
        finally:
            await shelf.close()

    asyncio.run(run())


@pytest.fixture
def bus(line: Line) -> Line:
    """Two supplies, a manager and one of two batteries."""
    line.units = {200: supply(200, 48.0), 201: supply(201, 40.0), 32: manager(32), 64: battery(64)}
    return line


def test_shares_are_output_current_and_what_each_is_told(bus: Line) -> None:
    bus.units[201][SETTING] = 0

    async def question(shelf: Any) -> None:
        assert isinstance(shelf, CurrentSharing)
        assert not isinstance(shelf, Batteries)
        first, second = await shelf.shares()
        assert (first.name, first.enabled, first.cable_ok) == ("psu-1", True, None)
        assert [first.output and first.output.value, first.told and first.told.value] == [48.0, 48.5]
        assert first.told is not None
        assert first.told.unit is Unit.AMPERE
        assert (second.name, second.enabled, second.output and second.output.value) == ("psu-2", False, 40.0)

    use(bus, question)


def test_a_silent_supply_shares_nothing_and_says_nothing(bus: Line) -> None:
    async def question(shelf: Any) -> None:
        del bus.units[201]
        _, silent = await shelf.shares()
        assert (silent.name, silent.enabled, silent.output, silent.told) == ("psu-2", None, None, None)

    use(bus, question)


def test_firmware_without_the_setting_is_measured_all_the_same(bus: Line) -> None:
    for unit in (200, 201):
        del bus.units[unit][SETTING]

    async def question(shelf: Any) -> None:
        assert [(each.enabled, each.output.value) for each in await shelf.shares()] == [(None, 48.0), (None, 40.0)]

    use(bus, question)


@pytest.mark.parametrize(("alarms", "cable"), [(0, True), (1 << 12, False), (1 << 6, True)])
def test_the_share_cable_is_what_the_manager_detects(bus: Line, alarms: int, cable: bool) -> None:
    bus.units[32] = manager(32, alarms)

    async def question(shelf: Any) -> None:
        assert [each.cable_ok for each in await shelf.shares()] == [cable, cable]
        assert [each.unit for each in shelf.exchanges()] == ["psu-1", "psu-2", "manager-1"]
        del bus.units[32]
        assert [each.cable_ok for each in await shelf.shares()] == [None, None]

    use(bus, question, manager="orv3-hpr-pmm-psu:32")


def test_a_manager_alone_knows_which_modules_are_there(bus: Line) -> None:
    async def question(shelf: Any) -> None:
        for capability in (Driver, Identity, Inventory, FirmwareInventory, BusQuality):
            assert isinstance(shelf, capability)
        assert not isinstance(shelf, PowerSupplies | Telemetry)
        who = await shelf.identify()
        assert (who.manufacturer, who.model, who.serial, who.firmware) == ("Bench Power", "PMM-33", "M32", "0101")
        assert [(each.component, each.version) for each in await shelf.firmware()] == [("manager-1", "0101")]
        assert [(part.name, part.present, part.healthy) for part in await shelf.parts()] == [
            ("module-1", True, True),
            ("module-2", True, False),
            ("module-3", True, False),
            ("module-4", True, True),
            ("module-5", True, True),
            ("module-6", False, False),
        ]

    use(bus, question, "orv3-hpr-pmm-psu", units="32")


def test_batteries_stand_beside_supplies_and_neither_takes_the_others_evidence(bus: Line) -> None:
    async def question(shelf: Any) -> None:
        for capability in (PowerSupplies, CurrentSharing, Batteries, Telemetry, Inventory):
            assert isinstance(shelf, capability)
        assert [part.name for part in await shelf.parts()] == ["psu-1", "psu-2", "bbu-1", "bbu-2"]
        assert [each.component for each in await shelf.firmware()] == ["psu-1", "psu-2", "bbu-1"]
        assert [(each.name, each.present) for each in await shelf.batteries()] == [("bbu-1", True), ("bbu-2", False)]
        samples = await shelf.sample()
        assert [each.channel for each in samples] == list(shelf.channels())
        kept = {number: bus.units.pop(number) for number in (200, 201)}
        lost = {each.channel.part for each in await shelf.sample() if each.reading.quality is not Quality.GOOD}
        assert lost == {"psu-1", "psu-2", "bbu-2", ""}
        with pytest.raises(Unreachable, match="none of 2 supplies answers"):
            await shelf.supplies()
        del bus.units[64]
        with pytest.raises(Unreachable, match="none of 2 supplies answers, and none of 2 batteries answers"):
            await shelf.sample()
        bus.units |= kept

    use(bus, question, batteries="orv3-bbu:64,65")


def test_a_shelf_opens_as_long_as_somebody_answers(bus: Line) -> None:
    for number in (200, 201):
        del bus.units[number]

    async def question(shelf: Any) -> None:
        assert [part.present for part in await shelf.parts()] == [False, False, True, False]

    use(bus, question, batteries="orv3-bbu:64,65")
    del bus.units[64]
    with pytest.raises(Unreachable, match="none of 2 supplies answers"):
        use(bus, question, batteries="orv3-bbu:64,65")


def test_a_high_power_supply_is_told_from_the_older_kind(bus: Line) -> None:
    async def question(shelf: Any) -> None:
        lows = [each.reading.number for each in await shelf.sample() if each.channel.quantity == "supply.bus.lowest"]
        assert lows == [48.5, 48.5]

    with pytest.raises(Unsupported):
        use(bus, question, "orv3-hpr-psu")
    bus.units |= {200: supply(200, 48.0, strong=True), 201: supply(201, 40.0, strong=True)}
    use(bus, question, "orv3-hpr-psu")


def test_a_supply_that_was_exchanged_is_not_measured_as_the_one_before(bus: Line) -> None:
    async def question(shelf: Any) -> None:
        assert all(each.output_power for each in await shelf.supplies())
        bus.units[201] = supply(999, 40.0)
        bus.plan[len(bus.asked) + 3] = "crc"  # something happened on the bus: who is there is asked again
        found = {each.name: each.output_power for each in await shelf.supplies()}
        assert found["psu-1"] is not None
        assert found["psu-2"] is None

    use(bus, question)


@pytest.mark.parametrize(
    ("unit", "registers", "first"),
    [
        (200, supply(200, 48.0), "orv3-psu"),
        (250, supply(250, 48.0, strong=True), "orv3-hpr-psu"),
        (32, manager(32), "orv3-hpr-pmm-psu"),
        (64, battery(64), "orv3-bbu"),
    ],
)
def test_a_unit_is_likeliest_of_the_family_that_has_its_number(
    line: Line, unit: int, registers: dict[int, int], first: str
) -> None:
    long_serial = texts((24, 16, "S1234567890123456789012"))  # reaches where a manager has its serial number
    line.units = {unit: registers | (long_serial if unit in (200, 250) else {})}
    options: Mapping[str, Option] = {"unit": unit, "timeout": 0.25}
    asked = candidates(Connection("shelf-1", line.address(), options=options, now=lambda: datetime.now(UTC)))

    async def ask() -> list[str]:
        return [each.profile for each in await asked()]

    assert asyncio.run(ask())[0] == first


def given(address: str = "modbus+rtu:///dev/ttyUSB6?baud=19200&parity=E") -> Connection:
    return Connection("shelf-1", address, "orv3-psu", now=lambda: datetime.now(UTC))


def test_units_may_speak_faster_or_with_another_parity() -> None:
    reached: list[str] = []

    def join(connection: Connection) -> ModbusLink:
        reached.append(connection.address)
        return connect_modbus(connection)

    connection = given()
    places = places_of(connection, "units", "200, 201;64@115200/8E1;70,71@9600/8N2")
    assert [each.number for each in places] == [200, 201, 64, 70, 71]
    lines = [each.line and (each.line.baud, each.line.parity, each.line.stopbits) for each in places]
    assert lines == [None, None, ("115200", "E", "1"), ("9600", "N", "2"), ("9600", "N", "2")]
    units = Links(connection, join).units("units", places[:2], "psu")
    assert [(each.name, each.number) for each in units] == [("psu-1", 200), ("psu-2", 201)]
    assert units[0].link is units[1].link
    Links(given("modbus+rtu:///dev/ttyUSB7?baud=19200&parity=E"), join).units("units", places[2:3], "bbu")
    assert reached == [
        "modbus+rtu:///dev/ttyUSB6?baud=19200&parity=E",
        "modbus+rtu:///dev/ttyUSB7?baud=115200&parity=E&stopbits=1",
    ]


@pytest.mark.parametrize(
    "text", ["200;201", "200@115200", "200@115200/7E1", "200@115200/8X1", "200@fast/8E1", "@9600/8N1", "200,@9600/8N1"]
)
def test_a_line_that_nobody_understands_is_told(text: str) -> None:
    with pytest.raises(DefinitionError, match=r"options\.units"):
        places_of(given(), "units", text)


def test_the_speed_behind_a_device_server_is_not_ours_to_set() -> None:
    options: Mapping[str, Option] = {"units": "200@115200/8E1"}
    with pytest.raises(DefinitionError, match="set at the device server"):
        connect(
            Connection(
                "s", "modbus+rtu+tcp://10.0.0.1:4001", "orv3-psu", options=options, now=lambda: datetime.now(UTC)
            )
        )


def test_numbers_that_the_standard_reserves_are_taken_where_a_family_uses_them() -> None:
    def at(profile: str) -> Connection:
        units: Mapping[str, Option] = {"units": "255"}
        return Connection("s", "modbus+rtu:///dev/ttyUSB5", profile, options=units, now=lambda: datetime.now(UTC))

    assert connect(at("orv3-hpr-psu"))
    with pytest.raises(DefinitionError, match="from 1 to 247"):
        connect(at("orv3-psu"))
