"""Families of switches: how each is told, where it keeps optics and thresholds, and when its counters were counted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import pytest

from drivers.optics import DARK, RX, TEMPERATURE, TX, level, placed, spellings
from drivers.switch import Switch, connect
from harness.connection import Connection, Secret
from harness.errors import Misbehaved
from harness.quantities import Quality, Unit

if TYPE_CHECKING:
    from tests.drivers.conftest import Agents

T = TypeVar("T")
Table = dict[str, list[str]]
IF, IFX = "1.3.6.1.2.1.2.2.1", "1.3.6.1.2.1.31.1.1.1"
ENTITY, SENSOR = "1.3.6.1.2.1.47.1.1.1.1", "1.3.6.1.2.1.99.1.1.1"
ARISTA, CISCO, JUNIPER = "1.3.6.1.4.1.30065", "1.3.6.1.4.1.9.9.91.1", "1.3.6.1.4.1.2636.3"
ROOTS = ("1.3.6.1.2.1", "1.0.8802", "1.3.6.1.4.1")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def octets(words: str) -> list[str]:
    return ["octet", words.encode().hex(" ")]


def switch(described: str, object_id: str, *ports: tuple[int, str]) -> Table:
    """A switch by IF-MIB."""
    table = {
        "1.3.6.1.2.1.1.1.0": octets(described),
        "1.3.6.1.2.1.1.2.0": ["objectid", f".{object_id}"],
        "1.3.6.1.2.1.1.3.0": ["timeticks", "500000"],
    }
    for index, name in ports:
        numbers = {3: 6, 8: 1}
        table |= {f"{IF}.{column}.{index}": ["integer", str(number)] for column, number in numbers.items()}
        table |= {f"{IF}.{column}.{index}": ["counter", "0"] for column in (13, 14, 19, 20)}
        table |= {f"{IF}.2.{index}": octets(name), f"{IFX}.1.{index}": octets(name)}
        table |= {f"{IFX}.{column}.{index}": ["counter64", "100"] for column in (6, 10)}
        table |= {f"{IFX}.15.{index}": ["gauge", "400000"], f"{IFX}.19.{index}": ["timeticks", "0"]}
    return table


def sensors(base: str, *rows: tuple[int, str, int, int, int, int, int]) -> Table:
    """Sensors in entPhysicalTable and a table of five columns: index, name, type, scale, precision, value, status."""
    table: Table = {}
    for index, name, *cells in rows:
        table |= {f"{ENTITY}.2.{index}": octets(name), f"{ENTITY}.5.{index}": ["integer", "8"]}
        table |= {f"{base}.{column}.{index}": ["integer", str(cell)] for column, cell in enumerate(cells, 1)}
    return table


def connection(port: int, profile: str) -> Connection:
    return Connection(
        "switch-1",
        f"snmp://127.0.0.1:{port}",
        profile=profile,
        secrets={"community": Secret("community", "public")},
        options={"version": 2, "timeout": 10.0},
        now=lambda: NOW,
    )


def use(what: Connection, question: Callable[[Switch], Awaitable[T]]) -> T:
    async def run() -> T:
        made = connect(what)
        try:
            await made.open()
            return await question(made)
        finally:
            await made.close()

    return asyncio.run(run())


FAMILIES = [
    ("cumulus", "Cumulus-linux 5.9.2 (Linux Kernel 6.1)", "1.3.6.1.4.1.40310"),
    ("sonic", "SONiC Software Version: SONiC.4.4.1 - HwSku: X", "1.3.6.1.4.1.8072.3.2.10"),
    ("arista-eos", "Arista Networks EOS version 4.33.6M", "1.3.6.1.4.1.30065.1.3011"),
    ("cisco-nxos", "Cisco NX-OS(tm) Nexus9000 C9336C-FX2", "1.3.6.1.4.1.9.12.3.1.3.1"),
    ("juniper-qfx", "Juniper Networks, Inc. qfx5130-32cd , kernel JUNOS 22.2R3", "1.3.6.1.4.1.2636.1.1.1.4.82.28"),
    ("dell-os10", "Dell EMC Networking OS10 Enterprise.", "1.3.6.1.4.1.674.11000.5000.100.2.1.7"),
]


def test_a_family_is_recognised_and_told_from_others(agents: Agents) -> None:
    ports = {name: agents.start(switch(said, kind, (1, "p1")), roots=ROOTS) for name, said, kind in FAMILIES}

    async def names(made: Switch) -> list[str]:
        return [port.name for port in await made.ports()]

    for number, (profile, _, _) in enumerate(FAMILIES):
        other = FAMILIES[number - 1][0]
        assert use(connection(ports[profile], profile), names) == ["p1"]
        assert use(connection(ports[profile], "standard-switch"), names) == ["p1"]
        with pytest.raises(Misbehaved, match=r"recognise it as .* standard-switch fits any make"):
            use(connection(ports[other], profile), names)


def test_optics_of_eos_are_in_watts_with_thresholds_beside_them(agents: Agents) -> None:
    """As recorded: 6322 in tenths of a microwatt is -1.99 dBm; 1 of them is no light."""
    table = switch("Arista Networks EOS", f"{ARISTA}.1", (1, "Ethernet1"), (2, "Ethernet52/1"))
    table |= sensors(
        SENSOR,
        (101, "DOM TX Power Sensor for Ethernet1", 6, 8, 4, 6322, 1),
        (102, "DOM RX Power Sensor for Ethernet1", 6, 8, 4, 1, 1),
        (103, "DOM Temperature Sensor for Ethernet1", 8, 9, 1, 301, 1),
        (104, "DOM TX Bias Sensor for Ethernet1", 5, 8, 2, 3345, 1),
        (105, "DOM RX Power Sensor for Ethernet52/1", 6, 8, 4, 0, 1),
        (106, "DOM TX Power Sensor for Ethernet52/1", 6, 8, 4, 5000, 2),
        (107, "Inlet temperature", 8, 9, 0, 25, 1),
    )
    for column, raw in ((1, 1259), (2, 1000), (3, 15849), (4, 19953)):
        table[f"{ARISTA}.3.12.1.1.1.{column}.101"] = ["integer", str(raw)]

    async def question(made: Switch) -> None:
        found = {(each.port, each.quantity): each for each in await made.optics()}
        assert set(found) == {
            ("Ethernet1", RX),
            ("Ethernet1", TX),
            ("Ethernet1", TEMPERATURE),
            ("Ethernet52/1", RX),
            ("Ethernet52/1", TX),
        }
        sent = found["Ethernet1", TX]
        assert sent.reading.number == pytest.approx(-1.99, abs=0.01)
        assert sent.reading.unit is Unit.DECIBEL_MILLIWATT
        limits = sent.limits
        levels = [limits.low_critical, limits.low_warning, limits.high_warning, limits.high_critical]
        assert levels == pytest.approx([-10.0, -9.0, 2.0, 3.0], abs=0.01)
        assert found["Ethernet1", RX].reading.number == DARK
        assert found["Ethernet1", TEMPERATURE].reading.number == pytest.approx(30.1)
        assert found["Ethernet52/1", RX].reading.number == DARK  # nothing at all is no error, and no good light
        assert found["Ethernet52/1", TX].reading.quality is Quality.BAD  # the switch says: unavailable
        optical = [str(each) for each in made.channels() if "optic" in each.quantity]
        assert "switch-1/Ethernet1.port.optic.rx_power" in optical
        assert [each.channel for each in await made.sample()] == list(made.channels())

    use(connection(agents.start(table, roots=ROOTS), "arista-eos"), question)


def test_counters_of_eos_carry_the_instant_of_the_hardware(agents: Agents) -> None:
    """aristaIfCounterLastUpdated in the time of sysUpTime: 2.5 s ago on port 1; not told on port 2."""
    table = switch("Arista Networks EOS", f"{ARISTA}.1", (1, "Ethernet1"), (2, "Ethernet2"))
    table[f"{ARISTA}.3.15.1.1.1.1.1"] = ["timeticks", "499750"]

    async def question(made: Switch) -> None:
        samples = {str(each.channel): each.reading.at for each in await made.sample()}
        assert (NOW - samples["switch-1/Ethernet1.port.octets.in"]).total_seconds() == 2.5
        assert samples["switch-1/Ethernet2.port.octets.in"] == NOW
        assert samples["switch-1/Ethernet1.port.up"] == NOW

    use(connection(agents.start(table, roots=ROOTS), "arista-eos"), question)


def test_optics_of_nx_os_have_lanes_and_rows_of_thresholds(agents: Agents) -> None:
    """Milli-dBm; 0 where the port is dark."""
    table = switch("Cisco NX-OS(tm) Nexus9000", "1.3.6.1.4.1.9.12.3.1.3", (1, "Ethernet1/25"))
    table |= sensors(
        f"{CISCO}.1.1.1",
        (201, "Ethernet1/25 Lane 1 Transceiver Receive Power Sensor", 14, 8, 0, -2310, 1),
        (202, "Ethernet1/25 Lane 2 Transceiver Receive Power Sensor", 14, 8, 0, 0, 1),
        (203, "Ethernet1/25 Lane 1 Transceiver Temperature Sensor", 8, 8, 0, 45542, 1),
    )
    rows = ((1, 20, 4, 5000), (2, 10, 4, 3400), (3, 20, 2, -14000), (4, 10, 2, -10000))
    for number, severity, relation, raw in rows:
        for column, cell in ((2, severity), (3, relation), (4, raw)):
            table[f"{CISCO}.2.1.1.{column}.201.{number}"] = ["integer", str(cell)]

    async def question(made: Switch) -> None:
        found = {(each.port, each.lane, each.quantity): each for each in await made.optics()}
        first = found["Ethernet1/25", "1", RX]
        assert first.reading.number == pytest.approx(-2.31)
        limits = first.limits
        assert (limits.low_critical, limits.low_warning) == (-14.0, -10.0)
        assert (limits.high_warning, limits.high_critical) == (3.4, 5.0)
        assert found["Ethernet1/25", "2", RX].reading.quality is Quality.BAD
        assert found["Ethernet1/25", "1", TEMPERATURE].reading.number == pytest.approx(45.542)
        assert "Ethernet1/25/1" in {each.part for each in made.channels()}

    use(connection(agents.start(table, roots=ROOTS), "cisco-nxos"), question)


def test_optics_of_junos_are_rows_of_interfaces_and_lanes_and_empty_cages_are_none(agents: Agents) -> None:
    table = switch(
        "Juniper qfx5100, kernel JUNOS 14.1", "1.3.6.1.4.1.2636.1", (7, "xe-0/0/0"), (8, "et-0/0/1"), (9, "xe-0/0/2")
    )
    dom = f"{JUNIPER}.60.1.1.1.1"
    for index, cells in {7: (-1250, -200, 31), 8: (0, 0, 24), 9: (0, 0, 0)}.items():
        for column, cell in zip((5, 7, 8), cells, strict=True):
            table[f"{dom}.{column}.{index}"] = ["integer", str(cell)]
        for column, cell in ((9, 450), (10, -1349), (11, 349), (12, -1250)):
            table[f"{dom}.{column}.{index}"] = ["integer", str(cell if index != 9 else 0)]
    for lane, raw in enumerate((-310, -320, 0, -330)):
        table[f"{JUNIPER}.60.1.2.1.1.6.8.{lane}"] = ["integer", str(raw)]

    async def question(made: Switch) -> None:
        found = {(each.port, each.lane, each.quantity): each for each in await made.optics()}
        assert found["xe-0/0/0", "", RX].reading.number == -12.5
        limits = found["xe-0/0/0", "", RX].limits
        assert (limits.high_critical, limits.low_critical) == (4.5, -13.49)
        assert [found["et-0/0/1", str(lane), RX].reading.usable for lane in range(4)] == [True, True, False, True]
        assert ("et-0/0/1", "", RX) not in found
        assert not [port for port, _, _ in found if port == "xe-0/0/2"]

    use(connection(agents.start(table, roots=ROOTS), "juniper-qfx"), question)


def test_ethernet_errors_are_channels_where_the_switch_keeps_them(agents: Agents) -> None:
    """ifInErrors counts them already (RFC 3635): they are never added to it, and absent is not zero."""
    table = switch("Bench", "1.3.6.1.4.1.99999", (1, "swp1"), (2, "swp2"))
    table["1.3.6.1.2.1.10.7.2.1.3.1"] = ["counter", "5"]

    async def question(made: Switch) -> None:
        samples = {str(each.channel): each.reading for each in await made.sample()}
        assert samples["switch-1/swp1.port.errors.fcs"].number == 5
        assert "switch-1/swp2.port.errors.fcs" not in samples
        assert not [name for name in samples if name.endswith("symbol")]
        assert [port.errors_in for port in await made.ports()] == [0, 0]

    use(connection(agents.start(table, roots=ROOTS), "standard-switch"), question)


def test_a_port_keeps_its_name_when_the_switch_numbers_its_interfaces_anew(agents: Agents) -> None:
    """ifTableLastChange moves, and what was swp1 has the number of swp2; one port is gone."""
    before = switch("Bench", "1.3.6.1.4.1.99999", (1, "swp1"), (2, "swp2"), (3, "swp3"))
    after = switch("Bench", "1.3.6.1.4.1.99999", (2, "swp1"), (1, "swp2"))
    after |= {f"{IFX}.6.2": ["counter64", "777"], "1.3.6.1.2.1.31.1.5.0": ["timeticks", "499999"]}
    port = agents.start(before, roots=ROOTS)

    async def question(made: Switch) -> None:
        channels = made.channels()
        assert all(each.reading.usable for each in await made.sample())
        agents.stop(port)
        agents.start(after, roots=ROOTS, port=port, engine="80001f880411223344")
        samples = {str(each.channel): each.reading for each in await made.sample()}
        assert made.channels() == channels
        assert samples["switch-1/swp1.port.octets.in"].number == 777
        assert samples["switch-1/swp2.port.octets.in"].number == 100
        assert samples["switch-1/swp3.port.octets.in"].quality is Quality.BAD
        assert [each.name for each in await made.ports()] == ["swp1", "swp2"]

    use(connection(port, "standard-switch"), question)


def test_fans_supplies_and_modules_are_parts(agents: Agents) -> None:
    table = switch("Bench", "1.3.6.1.4.1.99999", (1, "swp1"), (2, "swp2"))
    rows = {
        10: (7, "Fan 1", "F1", ""),
        11: (7, "Fan 2", "F2", ""),
        20: (9, "module of swp1", "M1", "QSFP-DD"),
        21: (10, "swp2", "N/A", ""),
    }
    for index, (kind, name, serial, model) in rows.items():
        table |= {f"{ENTITY}.5.{index}": ["integer", str(kind)], f"{ENTITY}.4.{index}": ["integer", "0"]}
        table |= {f"{ENTITY}.7.{index}": octets(name), f"{ENTITY}.11.{index}": octets(serial)}
        table[f"{ENTITY}.13.{index}"] = octets(model)
    table["1.3.6.1.2.1.47.1.3.2.1.2.20.0"] = ["objectid", ".1.3.6.1.2.1.2.2.1.1.1"]
    for index, speed in ((10, 9000), (11, 0)):
        cells = (10, 9, 0, speed, 1)
        table |= {f"{SENSOR}.{column}.{index}": ["integer", str(cell)] for column, cell in enumerate(cells, 1)}

    async def question(made: Switch) -> None:
        parts = [(part.name, part.kind, part.serial, part.healthy) for part in await made.parts()]
        assert parts == [
            ("fan-1", "fan", "F1", True),
            ("fan-2", "fan", "F2", False),
            ("optic-swp1", "optic", "M1", None),
        ]

    use(connection(agents.start(table, roots=ROOTS), "standard-switch"), question)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("DOM TX Power Sensor for Ethernet52/1", (TX, "Ethernet52/1", "")),
        ("DOM TX Power Sensor for Ethernet48/3", (TX, "Eth1/49", "3")),
        ("DOM RX Power Sensor for Ethernet5", (RX, "Ethernet5", "")),
        ("DOM RX Power Sensor for Ethernet55", None),
        ("Ethernet1/25 Lane 4 Transceiver Receive Power Sensor", (RX, "Ethernet1/25", "4")),
        ("DOM Temperature Sensor for Ethernet5", (TEMPERATURE, "Ethernet5", "")),
        ("PSU 1 input power", None),
        ("CPU temperature", None),
    ],
)
def test_sensors_tell_their_port_and_lane_in_words(said: str, found: tuple[str, str, str] | None) -> None:
    names = {each: each for each in ("Ethernet5", "Ethernet52/1", "Ethernet52", "Ethernet1/25")} | {
        "Ethernet48": "Eth1/49"
    }
    assert placed(said, names) == found


def test_ports_go_by_description_and_alias_where_these_are_names_of_one_port() -> None:
    names = {1: "Eth1/1", 2: "Eth1/2"}
    aliases = {1: "Ethernet0", 2: "to tray 02"}
    assert spellings(names, aliases) == {"Eth1/1": "Eth1/1", "Eth1/2": "Eth1/2", "Ethernet0": "Eth1/1"}
    assert spellings(names, {1: "uplink1", 2: "uplink1"}) == {"Eth1/1": "Eth1/1", "Eth1/2": "Eth1/2"}


@pytest.mark.parametrize(
    ("real", "kind", "dbm"), [(0.001, 6, 0.0), (0.0, 6, DARK), (-1.0, 6, DARK), (0.0, 14, None), (-3.0, 14, -3.0)]
)
def test_light_in_watts_and_in_dbm(real: float, kind: int, dbm: float | None) -> None:
    assert level(real, kind) == dbm
