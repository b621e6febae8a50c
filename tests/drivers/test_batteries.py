"""Battery units of a shelf: what they hold, what they are doing, whether they would carry the load, who is absent."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.power_shelf import connect
from drivers.power_shelf.readiness import disagreement, motion, readiness
from harness.capabilities import FirmwareInventory, Identity, Inventory, PowerSupplies, Telemetry
from harness.connection import Connection, Driver, Option
from harness.controls import BusQuality
from harness.errors import DefinitionError, Unreachable
from harness.power import Batteries, Battery, CurrentSharing
from harness.quantities import Quality, Unit

if TYPE_CHECKING:
    from tests.drivers.conftest import Line

STATUS, PERMANENT, MODE, CONDITION, BOOST = 104, 105, 107, 108, 154
INITIALISED, FULL, EMPTY = 1 << 7, 1 << 5, 1 << 4


def words(text: str, count: int) -> list[int]:
    octets = text.encode().ljust(2 * count, b"\x00")
    return [int.from_bytes(octets[at : at + 2], "big") for at in range(0, 2 * count, 2)]


def labelled(number: int) -> dict[int, int]:
    registers: dict[int, int] = {}
    texts = ((0, 8, "Bench Cells"), (8, 8, "BBU-3000"), (24, 8, "BBU-A"), (56, 4, "0103"), (64, 16, f"B{number}"))
    for first, count, text in texts:
        registers |= dict(enumerate(words(text, count), first))
    return registers


def battery(number: int) -> dict[int, int]:
    """An Open Rack v3 battery unit by its register map: full, at rest, eleven cells of 4.05 V, 26.9 degC at most."""
    registers = dict.fromkeys([*range(104, 120), *range(121, 169)], 0) | labelled(number)
    registers |= {109 + cell: 4050 + cell for cell in range(11)}
    registers |= {CONDITION: INITIALISED | FULL, 126: 97, 128: 44605, 142: 99, 147: 50020}
    return registers | {122: 2980, 123: 3000, 124: 2990, 125: 2981}


def strong_battery(number: int) -> dict[int, int]:
    """A high-power unit: twelve cells, the gauge in other places, 12.5 A out of it."""
    registers = dict.fromkeys([*range(90, 103), *range(104, 122), *range(133, 169)], 0) | labelled(number)
    registers |= {109 + cell: 3900 for cell in range(12)}
    registers |= {CONDITION: INITIALISED, MODE: 1 << 1, 94: 61, 96: 46800, 97: -1250 & 0xFFFF, 142: 100, 147: 48000}
    return registers | dict.fromkeys(range(90, 94), 3031)


def use(line: Line, question: Callable[[Any], Awaitable[None]], profile: str = "orv3-bbu", **options: Option) -> None:
    async def run() -> None:
        chosen = {"units": "64,65,66", "timeout": 0.25, **options}
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
    """A line with two batteries at 64 and 65; nobody is at 66."""
    line.units = {64: battery(64), 65: battery(65)}
    return line


def test_a_shelf_of_batteries_is_read_whole(bus: Line) -> None:
    async def question(shelf: Any) -> None:
        for capability in (Driver, Identity, Inventory, FirmwareInventory, Telemetry, BusQuality, Batteries):
            assert isinstance(shelf, capability)
        assert not isinstance(shelf, PowerSupplies | CurrentSharing)
        who = await shelf.identify()
        assert (who.manufacturer, who.model, who.part_number) == ("Bench Cells", "BBU-3000", "BBU-A")
        assert (who.serial, who.firmware) == ("B64", "0103")
        first, second, absent = await shelf.batteries()
        assert (first.name, first.present, first.ready, first.state) == ("bbu-1", True, True, "standby")
        assert [first.charge.number, first.health.number] == [97.0, 99.0]
        assert first.voltage.number == pytest.approx(44.605)
        assert first.temperature.number == pytest.approx(26.85)
        assert (first.charge.unit, first.voltage.unit, first.temperature.unit) == (
            Unit.PERCENT,
            Unit.VOLT,
            Unit.CELSIUS,
        )
        assert (first.current, first.problems, second.problems) == (None, (), ())
        assert absent == Battery("bbu-3", False, None, "", None, None, None, None, None, problems=("does not answer",))
        assert [(part.name, part.kind, part.present, part.healthy) for part in await shelf.parts()] == [
            ("bbu-1", "bbu", True, True),
            ("bbu-2", "bbu", True, True),
            ("bbu-3", "bbu", False, False),
        ]
        assert [each.component for each in await shelf.firmware()] == ["bbu-1", "bbu-2"]
        assert [each.unit for each in shelf.exchanges()] == ["bbu-1", "bbu-2", "bbu-3"]

    use(bus, question)


def test_channels_show_the_lowest_and_the_highest_cell(bus: Line) -> None:
    async def question(shelf: Any) -> None:
        samples = await shelf.sample()
        assert [each.channel for each in samples] == list(shelf.channels())
        values = {each.channel.quantity: each.reading.number for each in samples if each.channel.part == "bbu-1"}
        assert values == pytest.approx(
            {
                "battery.charge": 97,
                "battery.voltage": 44.605,
                "battery.temperature": 26.85,
                "battery.cell.lowest": 4.05,
                "battery.cell.highest": 4.06,
                "battery.bus.voltage": 50.02,
            }
        )
        assert all(math.isnan(each.reading.number) for each in samples if each.channel.part == "bbu-3")

    use(bus, question)


def test_a_high_power_battery_has_its_gauge_elsewhere(line: Line) -> None:
    line.units = {48: strong_battery(48)}

    async def question(shelf: Any) -> None:
        (found,) = await shelf.batteries()
        assert (found.ready, found.state, found.problems) == (True, "discharging", ())
        assert found.current.number == pytest.approx(-12.5)
        assert found.temperature.number == pytest.approx(29.95)
        assert found.voltage.number == pytest.approx(46.8)

    use(line, question, "orv3-hpr-bbu", units="48")


@pytest.mark.parametrize(
    ("register", "value", "problem"),
    [
        (STATUS, 1 << 11, "cell-under-voltage"),
        (STATUS, 1 << 7, "end-of-life"),
        (STATUS, 1 << 15, "discharge-not-allowed"),
        (PERMANENT, 1 << 8, "permanent-fuse"),
        (CONDITION, INITIALISED | EMPTY, "fully-discharged"),
        (CONDITION, FULL, "not-initialised"),
        (CONDITION, INITIALISED | 1 << 11, "terminate-discharge"),
        (MODE, 1 << 5, "can-bus"),
        (BOOST, 1 << 1, "boost-over-current"),
        (158, 1, "worn-out"),
    ],
)
def test_a_battery_with_an_alarm_is_not_relied_upon(bus: Line, register: int, value: int, problem: str) -> None:
    bus.units[64][register] = value

    async def question(shelf: Any) -> None:
        first, second, _ = await shelf.batteries()
        assert (first.ready, first.problems) == (False, (problem,))
        assert (second.ready, second.problems) == (True, ())

    use(bus, question)


def test_a_full_battery_takes_no_charge_and_that_is_no_problem(bus: Line) -> None:
    bus.units[64][STATUS] = bus.units[65][STATUS] = 1 << 14
    bus.units[65][CONDITION] = INITIALISED

    async def question(shelf: Any) -> None:
        full, other, _ = await shelf.batteries()
        assert (full.problems, other.problems) == ((), ("charge-not-allowed",))

    use(bus, question)


def test_what_cannot_be_true_is_bad_and_said(bus: Line) -> None:
    bus.units[64] |= {126: 970, 122: 27}  # a charge in tenths of a percent, a temperature in whole degrees
    bus.units[65] |= {110: 0}  # a cell that is not wired, or a wire that is off

    async def question(shelf: Any) -> None:
        first, second, _ = await shelf.batteries()
        assert (first.charge.quality, first.temperature.quality) == (Quality.BAD, Quality.BAD)
        assert first.problems == (
            "battery.charge: 970 % from register 126 lies outside of 0 … 100",
            "battery.temperature[sensor-1]: -270.45 degC from register 122 lies outside of -40 … 120",
        )
        assert [each for each in shelf.doubts() if each.startswith("bbu-1: ")] == [
            f"bbu-1: {each}" for each in first.problems
        ]
        assert second.problems == ("battery.cell[cell-2]: 0 V from register 110 lies outside of 1 … 5",)
        low = next(each for each in await shelf.sample() if str(each.channel) == "shelf-1/bbu-2.battery.cell.lowest")
        assert low.reading.quality is Quality.BAD
        bus.units[64] |= {126: 97, 122: 2980}
        bus.units[65] |= {110: 4050}
        await shelf.batteries()
        assert shelf.doubts() == ()

    use(bus, question)


def test_cells_that_do_not_add_up_to_the_pack_spoil_its_voltage(bus: Line) -> None:
    bus.units[64][128] = 22302  # plausible, and half of what the cells say

    async def question(shelf: Any) -> None:
        first, _, _ = await shelf.batteries()
        assert first.voltage.quality is Quality.BAD
        assert first.problems == ("battery.voltage: 22.302 V, but its 11 cells add up to 44.6 V",)
        mine = {each.channel.quantity: each.reading for each in await shelf.sample() if each.channel.part == "bbu-1"}
        assert mine["battery.voltage"].quality is Quality.BAD
        assert mine["battery.charge"].quality is Quality.GOOD

    use(bus, question)


def test_all_silent_is_unreachable(bus: Line) -> None:
    async def question(shelf: Any) -> None:
        bus.units.clear()
        with pytest.raises(Unreachable, match="none of 3 batteries answers"):
            await shelf.batteries()

    use(bus, question)


@given(*[st.sampled_from([True, False, None])] * 3, st.sampled_from([None, (), ("x",)]))
def test_ready_is_said_only_when_everything_was_read(
    allowed: bool | None, initialised: bool | None, empty: bool | None, alarms: tuple[str, ...] | None
) -> None:
    said = readiness(allowed=allowed, initialised=initialised, empty=empty, alarms=alarms)
    assert (said is True) == ((allowed, initialised, empty, alarms) == (True, True, False, ()))
    if said is None:
        assert None in (allowed, initialised, empty, alarms)


def test_states_and_sums() -> None:
    assert motion(charging=True, discharging=True) == ""
    assert motion(charging=None, discharging=False) == ""
    assert motion(charging=False, discharging=True, testing=True) == "testing"
    assert motion(charging=True, discharging=False) == "charging"
    assert disagreement([4.0, None], 8.0) == ""
    assert disagreement([4.0, 4.0], None) == ""
    assert disagreement([], 8.0) == ""
    assert disagreement([4.0, 4.0], 8.1) == ""
    assert "add up to 8.0 V" in disagreement([4.0, 4.0], 8.5)


@pytest.mark.parametrize(
    ("profile", "options", "words_"),
    [
        ("orv3-psu", {"batteries": "64,65"}, "must be a profile and its units"),
        ("orv3-psu", {"batteries": "orv3-hpr-psu:64"}, "is not one of batteries"),
        ("orv3-psu", {"batteries": "orv3-bub:64"}, "did you mean 'orv3-bbu'"),
        ("orv3-psu", {"manager": "orv3-bbu:64"}, "is not one of managers"),
        ("orv3-bbu", {"batteries": "orv3-bbu:70"}, "belongs to a shelf of supplies"),
        ("orv3-psu", {"batteries": "orv3-bbu:64,201"}, "201 stands in more than one"),
    ],
)
def test_what_does_not_fit_together_is_told_before_the_first_contact(
    profile: str, options: dict[str, Option], words_: str
) -> None:
    given = Connection(
        "s",
        "modbus+rtu:///dev/ttyUSB8",
        profile,
        options={"units": "200,201", **options},
        now=lambda: datetime.now(UTC),
    )
    with pytest.raises(DefinitionError, match=words_):
        connect(given)
