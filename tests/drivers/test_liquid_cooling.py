"""Liquid cooling packages: variables found by name, units that must be what they claim, leaks that fail closed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import pytest

from drivers.liquid_cooling import LiquidCooling, connect
from harness.capabilities import CoolantLoop, FirmwareInventory, Identity, LeakDetection, LeakState, Telemetry
from harness.connection import Connection, Driver, Secret
from harness.errors import Misbehaved, Unreachable, Unsupported
from harness.quantities import Quality, Unit

if TYPE_CHECKING:
    from tests.drivers.conftest import Agents

T = TypeVar("T")
Table = dict[str, list[str]]
CMC = "1.3.6.1.4.1.2606.7"
COLUMN = f"{CMC}.4.2.2.1"
ROOTS = ("1.3.6.1.2.1.1", "1.3.6.1.4.1.2606")
# Name, unit, scale, value; a status behind each, 4 being OK.
VARIABLES = (
    ("Water.Temperatures.In", "Value", "degree C", -100, 1810),
    ("Water.Temperatures.Out", "Value", "degree C", -100, 2410),
    ("Water.Flowrate", "Value", "l/min", -10, 125),
    ("Cooling Capacity", "Value", "W", 10, 520),
    ("Leakage Sensor", "Input", "", 1, 0),
    ("Condensate Sensor", "Input", "", 1, 0),
)


def octets(words: str) -> list[str]:
    return ["octet", words.encode().hex(" ")]


def package(**values: int) -> Table:
    """A package by RITTAL-CMC-III-MIB; a keyword changes the status of a variable (`flowrate=1`)."""
    table = {
        "1.3.6.1.2.1.1.1.0": octets("Rittal LCP SN 4711 HW V4.01 - SW V3.17.10"),
        "1.3.6.1.2.1.1.2.0": ["objectid", f".{CMC}"],
        f"{CMC}.4.1.2.1.2.1": octets("CMCIII-PU LCP"),
        f"{CMC}.2.6.0": octets("4711"),
        f"{CMC}.2.4.0": octets("V3.17.10"),
    }
    for number, (name, what, unit, scale, value) in enumerate(VARIABLES):
        word = name.rpartition(".")[2].split(" ")[0].lower()
        for offset, (called, spelt, factor, raw) in enumerate(
            ((f"{name}.{what}", unit, scale, value), (f"{name}.Status", "", 0, values.get(word, 4)))
        ):
            index = f"2.{10 * number + offset + 1}"
            table |= {
                f"{COLUMN}.3.{index}": octets(called),
                f"{COLUMN}.5.{index}": octets(spelt),
                f"{COLUMN}.7.{index}": ["integer", str(factor)],
                f"{COLUMN}.11.{index}": ["integer", str(raw)],
            }
    return table


def place(name: str) -> str:
    return f"2.{10 * next(at for at, row in enumerate(VARIABLES) if row[0] == name) + 1}"


def connection(port: int, timeout: float = 10.0) -> Connection:
    return Connection(
        "cdu-1",
        f"snmp://127.0.0.1:{port}",
        profile="rittal-lcp",
        secrets={"community": Secret("community", "public")},
        options={"version": 2, "timeout": timeout},
        now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
    )


def use(port: int, question: Callable[[LiquidCooling], Awaitable[T]], timeout: float = 10.0) -> T:
    async def run() -> T:
        unit = connect(connection(port, timeout))
        try:
            await unit.open()
            return await question(unit)
        finally:
            await unit.close()

    return asyncio.run(run())


def test_it_satisfies_its_capabilities() -> None:
    unit = connect(connection(1161))
    for capability in (Driver, Identity, FirmwareInventory, CoolantLoop, LeakDetection, Telemetry):
        assert isinstance(unit, capability)


def test_a_package_is_read_whole(agents: Agents) -> None:
    async def question(unit: LiquidCooling) -> None:
        who = await unit.identify()
        assert (who.manufacturer, who.model, who.serial, who.firmware) == (
            "Rittal",
            "CMCIII-PU LCP",
            "4711",
            "V3.17.10",
        )
        loop = await unit.coolant()
        assert (loop.supply_temperature.number, loop.return_temperature.number) == pytest.approx((18.1, 24.1))
        assert (loop.flow.number, loop.flow.unit) == (12.5, Unit.LITRE_PER_MINUTE)
        assert loop.supply_pressure is None
        assert await unit.pumps() == ()
        assert [(leak.name, leak.state) for leak in await unit.leaks()] == [
            ("condensate", LeakState.DRY),
            ("leakage", LeakState.DRY),
        ]
        samples = {each.channel.quantity: each.reading for each in await unit.sample()}
        assert samples["cooling.capacity"].number == 5200.0  # a positive scale multiplies
        assert samples["leak.wet"].number == 0
        assert "valve.position" not in samples  # it has none, so there is no channel

    use(agents.start(package(), roots=ROOTS), question)


@pytest.mark.parametrize(
    ("change", "statuses", "state", "count"),
    [
        ({"11": "1"}, {}, LeakState.WET, 1.0),
        ({}, {"leakage": 5}, LeakState.FAULT, 1.0),
        ({}, {"leakage": 1}, LeakState.UNKNOWN, None),
        ({"11": "7"}, {}, LeakState.UNKNOWN, None),
    ],
    ids=["wet", "alarm", "not available", "no known value"],
)
def test_only_a_dry_detector_in_order_is_dry(
    agents: Agents, change: dict[str, str], statuses: dict[str, int], state: LeakState, count: float | None
) -> None:
    table = package(**statuses)
    table |= {f"{COLUMN}.{column}.{place('Leakage Sensor')}": ["integer", raw] for column, raw in change.items()}

    async def question(unit: LiquidCooling) -> None:
        assert {leak.name: leak.state for leak in await unit.leaks()}["leakage"] is state
        wet = next(each.reading for each in await unit.sample() if each.channel.quantity == "leak.wet")
        assert wet.usable is (count is not None)
        assert count is None or wet.number == count

    use(agents.start(table, roots=ROOTS), question)


def test_a_sensor_that_is_not_available_is_no_zero(agents: Agents) -> None:
    async def question(unit: LiquidCooling) -> None:
        assert (await unit.coolant()).flow.quality is Quality.BAD

    use(agents.start(package(flowrate=1), roots=ROOTS), question)


def test_a_variable_that_moved_is_not_believed(agents: Agents) -> None:
    """A sensor is plugged in, variables are numbered anew: the old number now is another quantity."""
    port = agents.start(package(), roots=ROOTS)
    moved = package() | {f"{COLUMN}.3.{place('Water.Flowrate')}": octets("Air.Flowrate.Value")}

    async def question(unit: LiquidCooling) -> None:
        assert (await unit.coolant()).flow.usable
        agents.stop(port)
        agents.start(moved, roots=ROOTS, port=port, engine="80001f880411223344")
        assert (await unit.coolant()).flow.quality is Quality.BAD
        assert (await unit.coolant()).supply_temperature.usable

    use(port, question)


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (
            {f"{COLUMN}.5.{place('Water.Temperatures.In')}": octets("degree F")},
            Misbehaved,
            "in 'degree F', not in degC",
        ),
        ({f"{COLUMN}.3.{place('Water.Flowrate')}": octets("Flow")}, Unsupported, "none called 'Water.Flowrate.Value'"),
        ({"1.3.6.1.2.1.1.1.0": octets("CMC III PU")}, Misbehaved, "recognise it as Rittal LCP"),
        ({f"{COLUMN}.3.2.99": octets("Water.Flowrate.Value")}, Misbehaved, "2 variables have this name"),
    ],
    ids=["fahrenheit", "missing", "another make", "twice"],
)
def test_a_package_that_is_not_as_expected_does_not_open(
    agents: Agents, change: Table, kind: type[Exception], words: str
) -> None:
    async def question(unit: LiquidCooling) -> None:
        raise AssertionError("it should not have opened")

    with pytest.raises(kind, match=words):
        use(agents.start(package() | change, roots=ROOTS), question)


def test_silence_raises(agents: Agents) -> None:
    port = agents.start(package(), roots=ROOTS)

    async def question(unit: LiquidCooling) -> None:
        agents.stop(port)
        for call in (unit.sample, unit.coolant, unit.leaks):
            with pytest.raises(Unreachable):
                await call()

    use(port, question, timeout=0.5)
