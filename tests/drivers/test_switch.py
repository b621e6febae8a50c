"""Switches: recorded ones, and the habits of LLDP and ENTITY tables."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.entity import VOLTS_AC, chassis, scaled, supplies
from drivers.lldp import Interfaces, mac, natural, neighbours, own_port
from drivers.switch import Switch, connect
from drivers.transports.snmp import Oid, Value
from harness.capabilities import FirmwareInventory, Identity, Inventory, LinkPorts, PowerSupplies, Telemetry
from harness.connection import Connection, Driver, Secret
from harness.errors import Misbehaved, Unreachable, Unsupported
from harness.quantities import Quality, Unit

if TYPE_CHECKING:
    from tests.drivers.conftest import Agents

CAPTURED = Path(__file__).parents[3] / "shared" / "captures" / "snmprec"
T = TypeVar("T")
Recorded = Callable[[str], dict[str, list[str]]]
Columns = dict[str, Mapping[Oid, Value]]
ROOTS = ("1.3.6.1.2.1", "1.0.8802")
IF = "1.3.6.1.2.1.2.2.1"
IFX = "1.3.6.1.2.1.31.1.1.1"
LOCAL = "1.0.8802.1.1.2.1.3.7.1"
REMOTE = "1.0.8802.1.1.2.1.4.1.1"
ENTITY = "1.3.6.1.2.1.47.1.1.1.1"
SENSOR = "1.3.6.1.2.1.99.1.1.1"


def connection(port: int) -> Connection:
    return Connection(
        "switch-1",
        f"snmp://127.0.0.1:{port}",
        profile="standard-switch",
        secrets={"community": Secret("community", "public")},
        options={"version": 2, "timeout": 0.5},
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

    use(connection(port), question)


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


PORTS = Interfaces({1: "swp1", 2: "swp2", 10: "eth0"}, {10: "mgmt"}, {2: "uplink"}, {1: "02:00:00:00:00:01"})


@pytest.mark.parametrize(
    ("number", "identifier", "description", "port"),
    [
        (612, b"swp1", b"", "swp1"),
        (612, b"", b"swp2", "swp2"),
        (612, b"uplink", b"", "swp2"),
        (612, b"mgmt", b"", "eth0"),
        (612, b"\x02\x00\x00\x00\x00\x01", b"", "swp1"),
        (612, b"02-00-00-00-00-01", b"", "swp1"),
        (612, b"2", b"", "swp2"),
        (2, None, None, "swp2"),
        (77, None, None, "port-77"),
        (1, b"unheard-of", b"", "unheard-of"),
    ],
)
def test_local_port_numbers_lead_to_names(
    number: int, identifier: bytes | None, description: bytes | None, port: str
) -> None:
    local = {"port": {(number,): identifier}, "description": {(number,): description}}
    assert own_port(number, {name: {k: v for k, v in t.items() if v} for name, t in local.items()}, PORTS) == port


def remote(rows: dict[tuple[int, ...], dict[str, object]]) -> dict[str, dict[tuple[int, ...], object]]:
    columns = ("chassis_subtype", "chassis", "port_subtype", "port", "port_description", "system")
    return {name: {index: row[name] for index, row in rows.items() if name in row} for name in columns}


def test_time_marks_do_not_multiply_neighbours() -> None:
    row = {"chassis_subtype": 4, "chassis": b"\x02\x00\x00\x00\x00\x99", "port_subtype": 5, "port": b"nic-0"}
    old, new = row | {"system": b"old"}, row | {"system": b"tray-01"}
    (found,) = neighbours(remote({(5, 1, 1): old, (900, 1, 1): new}), {}, PORTS)  # type: ignore[arg-type]
    assert (found.port, found.system, found.remote_port, found.chassis) == (
        "swp1",
        "tray-01",
        "nic-0",
        "02:00:00:00:00:99",
    )


def test_two_neighbours_on_one_port_are_both_there() -> None:
    firmware = {"port_subtype": 3, "port": b"\x02\x00\x00\x00\x00\x07"}
    system = {"port_subtype": 3, "port": b"02:00:00:00:00:07", "port_description": b"nic-0", "system": b"tray-01"}
    found = neighbours(remote({(0, 1, 0): firmware, (0, 1, 1): system}), {}, PORTS)  # type: ignore[arg-type]
    assert [(each.system, each.remote_port) for each in found] == [("", "02:00:00:00:00:07"), ("tray-01", "nic-0")]


@pytest.mark.parametrize(
    "raw",
    [b"\xe4\xf0\x04\xfb\x1f\xfb", b"e4:f0:04:fb:1f:fb", b"e4 f0 04 fb 1f fb", b"E4-F0-4-FB-1F-FB", b"e4f0.04fb.1ffb"],
)
def test_addresses_in_every_spelling(raw: bytes) -> None:
    assert mac(raw) == "e4:f0:04:fb:1f:fb"


@given(st.binary(max_size=24))
def test_no_octets_break_the_reading_of_an_address(raw: bytes) -> None:
    assert mac(raw) == "" or len(mac(raw)) == 17


def test_names_sort_as_people_count() -> None:
    assert sorted(["swp10", "swp2", "eth0", "swp1s3"], key=natural) == ["eth0", "swp1s3", "swp2", "swp10"]


@pytest.mark.parametrize(
    ("value", "scale", "precision", "real"),
    [
        (6322, 8, 4, 0.0006322),
        (3345, 8, 2, 0.03345),
        (45542, 8, 0, 45.542),
        (28945300, 9, 6, 28.9453),
        (2302, 9, 1, 230.2),
    ],
)
def test_sensor_scales(value: int, scale: int, precision: int, real: float) -> None:
    assert scaled(value, scale, precision) == pytest.approx(real)


def test_a_sensor_deep_inside_a_supply_belongs_to_it_and_a_faulty_one_has_no_value() -> None:
    entities: Columns = {
        "class": {(1,): 3, (2,): 6, (3,): 5, (4,): 8, (5,): 6},
        "inside": {(1,): 0, (2,): 1, (3,): 2, (4,): 3, (5,): 5},  # the last one holds itself: agents do
        "name": {(2,): b"psu 2", (5,): b"psu 1"},
    }
    sensors: Columns = {
        "type": {(4,): 3},
        "scale": {(4,): 9},
        "precision": {(4,): 0},
        "value": {(4,): 230},
        "status": {(4,): 3},
    }
    first, second = supplies(entities, sensors, {})
    assert (first.name, second.name) == ("psu-1", "psu-2")
    assert second.measured(VOLTS_AC) is None
    assert second.works is False
    assert first.works is None
    box = chassis(entities)
    assert box is not None
    assert box.index == 1
