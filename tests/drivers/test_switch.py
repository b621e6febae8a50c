"""Switches: recorded ones, and the habits of LLDP and ENTITY tables."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from drivers.switch import Switch, connect
from harness.capabilities import FirmwareInventory, Identity, Inventory, LinkPorts, PowerSupplies, Telemetry
from harness.connection import Connection, Driver, Secret
from harness.errors import Misbehaved, Unreachable, Unsupported
from harness.quantities import Quality, Unit

if TYPE_CHECKING:
    from tests.drivers.conftest import Agents

CAPTURED = Path(__file__).parents[3] / "shared" / "captures" / "snmprec"
T = TypeVar("T")
Recorded = Callable[[str], dict[str, list[str]]]
ROOTS = ("1.3.6.1.2.1", "1.0.8802")
IF = "1.3.6.1.2.1.2.2.1"
IFX = "1.3.6.1.2.1.31.1.1.1"
ENTITY = "1.3.6.1.2.1.47.1.1.1.1"
SENSOR = "1.3.6.1.2.1.99.1.1.1"


def connection(port: int, timeout: float = 10.0) -> Connection:
    return Connection(
        "switch-1",
        f"snmp://127.0.0.1:{port}",
        profile="standard-switch",
        secrets={"community": Secret("community", "public")},
        options={"version": 2, "timeout": timeout},
        now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
    )


def use(what: Connection, question: Callable[[Switch], Awaitable[T]]) -> T:
    async def run() -> T:
        switch = connect(what)
        try:
            await switch.open()
            return await question(switch)
        finally:
            await switch.close()

    return asyncio.run(run())


def octets(words: str) -> list[str]:
    return ["octet", words.encode().hex(" ")]


def bench() -> dict[str, list[str]]:
    """A switch of two ports and two supplies, by the standard MIBs."""
    table = {
        "1.3.6.1.2.1.1.1.0": octets("Bench switch"),
        "1.3.6.1.2.1.1.2.0": ["objectid", ".1.3.6.1.4.1.99999"],
        "1.3.6.1.2.1.1.3.0": ["timeticks", "500000"],
    }
    for index, name in ((1, "lo"), (11, "swp1"), (12, "swp2")):
        row = {
            f"{IF}.2": octets(name),
            f"{IF}.3": ["integer", "24" if name == "lo" else "6"],
            f"{IF}.6": ["octet", f"02 00 00 00 00 {index:02x}"],
            f"{IF}.8": ["integer", "2" if index == 12 else "1"],
            f"{IF}.13": ["counter", "3"],
            f"{IF}.14": ["counter", "1"],
            f"{IF}.19": ["counter", "4"],
            f"{IF}.20": ["counter", "2"],
            f"{IFX}.1": octets(name),
            f"{IFX}.6": ["counter64", str(2**40 + index)],
            f"{IFX}.10": ["counter64", str(2**41 + index)],
            f"{IFX}.15": ["gauge", "400000"],
            f"{IFX}.19": ["timeticks", "7"],
        }
        table |= {f"{column}.{index}": value for column, value in row.items()}
    for index, (kind, inside, name, model, serial) in {
        1: (3, 0, "chassis", "BN6400-32", "SW1"),
        20: (6, 1, "PSU-1", "PSU-1100-AC", "P1"),
        30: (6, 1, "PSU-2", "PSU-1100-AC", "P2"),
        21: (8, 20, "PSU-1 input voltage", "", ""),
        31: (8, 30, "PSU-2 input voltage", "", ""),
    }.items():
        described = {2: "BN-6400" if kind == 3 else name, 7: name, 10: "5.9.2" if kind == 3 else "", 11: serial}
        described |= {12: "Bench Networks" if kind == 3 else "Bench Power", 13: model}
        table |= {f"{ENTITY}.{column}.{index}": octets(words) for column, words in described.items() if words}
        table[f"{ENTITY}.4.{index}"] = ["integer", str(inside)]
        table[f"{ENTITY}.5.{index}"] = ["integer", str(kind)]
    for index, value, status in ((21, 2302, 1), (31, 0, 1)):
        cells = {1: 3, 2: 9, 3: 1, 4: value, 5: status}
        table |= {f"{SENSOR}.{column}.{index}": ["integer", str(cell)] for column, cell in cells.items()}
    return table


def test_it_satisfies_its_capabilities() -> None:
    switch = connect(connection(1161))
    for capability in (Driver, Identity, Inventory, FirmwareInventory, LinkPorts, PowerSupplies, Telemetry):
        assert isinstance(switch, capability)


def test_a_switch_is_read_whole(agents: Agents) -> None:
    port = agents.start(bench(), roots=ROOTS)

    async def question(switch: Switch) -> None:
        who = await switch.identify()
        assert (who.manufacturer, who.model, who.part_number) == ("Bench Networks", "BN-6400", "BN6400-32")
        assert (who.serial, who.firmware) == ("SW1", "5.9.2")
        assert [(part.name, part.part_number, part.serial) for part in await switch.parts()] == [
            ("psu-1", "PSU-1100-AC", "P1"),
            ("psu-2", "PSU-1100-AC", "P2"),
        ]
        first, second = await switch.ports()
        assert (first.name, first.up, first.octets_in, first.octets_out) == ("swp1", True, 2**40 + 11, 2**41 + 11)
        assert (first.errors_in, first.errors_out, first.discards_in, first.discards_out) == (1, 2, 3, 4)
        assert first.speed is not None
        assert (first.speed.value, first.speed.unit) == (400.0, Unit.GIGABIT_PER_SECOND)
        assert second.up is False
        fed, dead = await switch.supplies()
        assert fed.input_voltage is not None
        assert fed.input_voltage.number == pytest.approx(230.2)
        assert fed.input_ok is True
        assert dead.input_ok is False
        samples = await switch.sample()
        assert [each.channel for each in samples] == list(switch.channels())
        assert all(each.reading.quality is Quality.GOOD for each in samples)

    use(connection(port), question)


def test_an_absent_counter_is_no_zero(agents: Agents) -> None:
    table = bench()
    del table[f"{IFX}.6.12"]
    port = agents.start(table, roots=ROOTS)

    async def question(switch: Switch) -> None:
        assert [each.name for each in await switch.ports()] == ["swp1"]
        lost = [each for each in await switch.sample() if str(each.channel) == "switch-1/swp2.port.octets.in"]
        assert [each.reading.quality for each in lost] == [Quality.BAD]

    use(connection(port), question)
    for index in (11, 12):
        table.pop(f"{IFX}.6.{index}", None)

    async def nothing(switch: Switch) -> None:
        with pytest.raises(Unsupported, match="64-bit counters"):
            await switch.ports()

    use(connection(agents.start(table, roots=ROOTS)), nothing)


def test_counters_have_another_epoch_after_a_restart(agents: Agents) -> None:
    port = agents.start(bench(), roots=ROOTS)

    async def question(switch: Switch) -> None:
        before = (await switch.ports())[0].epoch
        assert (await switch.ports())[0].epoch == before
        agents.stop(port)
        younger = bench() | {"1.3.6.1.2.1.1.3.0": ["timeticks", "100"]}
        agents.start(younger, roots=ROOTS, port=port, engine="80001f880411223344")
        assert (await switch.ports())[0].epoch != before

    use(connection(port), question)


def test_counters_have_another_epoch_after_a_discontinuity(agents: Agents) -> None:
    port = agents.start(bench(), roots=ROOTS)
    other = agents.start(bench() | {f"{IFX}.19.11": ["timeticks", "4711"]}, roots=ROOTS)

    async def epoch(switch: Switch) -> str:
        return (await switch.ports())[0].epoch

    assert use(connection(port), epoch) != use(connection(other), epoch)


def test_two_interfaces_of_one_name_are_not_guessed_at(agents: Agents) -> None:
    table = bench() | {f"{IFX}.1.12": octets("swp1")}

    async def question(switch: Switch) -> None:
        raise AssertionError("it should not have opened")

    with pytest.raises(Misbehaved, match="two interfaces are called swp1"):
        use(connection(agents.start(table, roots=ROOTS)), question)


def test_silence_raises(agents: Agents) -> None:
    port = agents.start(bench(), roots=ROOTS)

    async def question(switch: Switch) -> None:
        agents.stop(port)
        for call in (switch.sample, switch.ports, switch.neighbours):
            with pytest.raises(Unreachable):
                await call()

    use(connection(port, timeout=0.5), question)


def test_a_recorded_sonic_has_the_neighbours_that_librenms_sees(agents: Agents, recorded: Recorded) -> None:
    port = agents.start(recorded("switch/dell-sonic"), roots=ROOTS)
    expected = json.loads((CAPTURED / "expected" / "dell-sonic.json").read_text(encoding="utf-8"))
    links = expected["discovery-protocols"]["discovery"]["links"]

    async def question(switch: Switch) -> None:
        found = await switch.neighbours()
        assert len(found) == 23
        by_system = {each.system: each for each in found if each.system}
        for link in links:
            assert by_system[link["remote_hostname"]].port == link["ifName"]
            far, _, chassis_address = link["remote_port"].partition(" ")
            assert by_system[link["remote_hostname"]].remote_port == far
            assert by_system[link["remote_hostname"]].chassis.replace(":", "") == chassis_address.strip("()")
        ports = {each.name: each for each in await switch.ports()}
        assert (ports["Eth1/1"].octets_in, ports["Eth1/1"].octets_out) == (2082986, 631058839)
        who = await switch.identify()
        assert (who.manufacturer, who.part_number) == ("DNT00", "0CCN8D")
        parts = await switch.parts()
        supplies_ = [part.serial for part in parts if part.kind == "psu"]
        assert supplies_ == ["CN0HJ9HDDED0026B0AAQ0", "CN0HJ9HDDED0025C01UJ0"]
        # This agent shows some serials as Python shows octets, and its supplies' fans as AC-DC-54V behind zeros.
        fitted = [part.serial for part in parts if part.kind == "fan"]
        assert fitted == ["TW048M8YDNT0032A0238", "TW048M8YDNT0032A0239", "TW048M8YDNT0032A0240", *["AC-DC-54V"] * 2]

    use(connection(port), question)


def test_a_recorded_cumulus_is_read_right(agents: Agents, recorded: Recorded) -> None:
    port = agents.start(recorded("switch/cumulus_bgp"), roots=ROOTS)

    async def question(switch: Switch) -> None:
        who = await switch.identify()
        assert (who.manufacturer, who.part_number, who.serial) == ("Mellanox", "MSN4600-VS2FC", "MTSERIALNUMER01")
        assert "5.9.2" in who.firmware
        healthy = [(part.name, part.healthy) for part in await switch.parts()]
        assert healthy == [("psu-1", True), ("psu-2", True), *((f"fan-{number}", True) for number in range(1, 6))]
        assert len(await switch.ports()) > 60

    use(connection(port), question)
