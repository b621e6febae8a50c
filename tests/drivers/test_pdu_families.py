"""PDU families: each one's own encoding of on and off, its own units, and what it does not measure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import pytest

from drivers.pdu import Pdu, connect
from harness.connection import Connection, Secret
from harness.errors import Misbehaved, Unsupported
from harness.quantities import Unit

if TYPE_CHECKING:
    from tests.drivers.conftest import Agents

T = TypeVar("T")
Table = dict[str, list[str]]
E = "1.3.6.1.4.1"


@dataclass(frozen=True)
class Family:
    """One family as its own MIB has it: an outlet that is off, one that is on, and one in between.

    `state` and the controls end before the outlet's index; `off`, `on`, `moving` are states, `cut`, `energise` numbers
    to be written, taken from the makers' MIBs (facts, section 4.4) and not from the profile.
    """

    profile: str
    object_id: str
    identity: tuple[str, str, str]
    state: str
    off: int
    on: int
    moving: int
    on_control: str
    energise: int
    off_control: str
    cut: int
    indices: tuple[str, str, str]
    power: tuple[str, str, int, float]
    """OID, type, raw value of the PDU's power, and that in W."""
    labels: str = ""

    def table(self) -> Table:
        model, serial, firmware = self.identity
        rows: Table = {
            "1.3.6.1.2.1.1.1.0": octets("a PDU"),
            "1.3.6.1.2.1.1.2.0": ["objectid", f".{self.object_id}"],
            model: octets("MODEL-1"),
            serial: octets("SERIAL-1"),
            firmware: octets("Sentry Version 6.0g" if "sentry" in self.profile else "6.0g"),
            self.power[0]: [self.power[1], str(self.power[2])],
        }
        for index, raw in zip(self.indices, (self.off, self.on, self.moving), strict=True):
            rows[f"{self.state}.{index}"] = ["integer", str(raw)]
            rows[f"{self.on_control}.{index}"] = ["integer", "0"]
            rows[f"{self.off_control}.{index}"] = ["integer", "0"]
            if self.labels:
                rows[f"{self.labels}.{index}"] = octets(f"AA{index.rpartition('.')[2]}")
        return rows

    def rules(self) -> tuple[dict[str, object], ...]:
        ways = [(self.on_control, self.energise, self.on), (self.off_control, self.cut, self.off)]
        maps: dict[str, dict[str, str]] = {}
        for control, number, becomes in ways:
            maps.setdefault(control, {})[str(number)] = str(becomes)
        return tuple(
            {"control": control, "state": self.state, "map": moves, "looks": 1, "says": "DONE"}
            for control, moves in maps.items()
        )

    def names(self) -> tuple[str, ...]:
        return tuple(f"AA{index.rpartition('.')[2]}" if self.labels else index for index in self.indices)


def octets(words: str) -> list[str]:
    return ["octet", words.encode().hex(" ")]


ONE = ("1", "2", "3")
FAMILIES = [
    Family(
        "apc-rpdu",
        f"{E}.318.1.3.4.5",
        (f"{E}.318.1.1.12.1.5.0", f"{E}.318.1.1.12.1.6.0", f"{E}.318.1.1.12.1.3.0"),
        f"{E}.318.1.1.12.3.5.1.1.4",
        2,
        1,
        4,
        f"{E}.318.1.1.12.3.3.1.1.4",
        1,
        f"{E}.318.1.1.12.3.3.1.1.4",
        2,
        ONE,
        (f"{E}.318.1.1.12.1.16.0", "integer", 160, 160.0),
    ),
    Family(
        "apc-rpdu2",
        f"{E}.318.1.3.4.6",
        (f"{E}.318.1.1.26.2.1.8.1", f"{E}.318.1.1.26.2.1.9.1", f"{E}.318.1.1.26.2.1.6.1"),
        f"{E}.318.1.1.26.9.2.3.1.5",
        1,
        2,
        7,
        f"{E}.318.1.1.26.9.2.4.1.5",
        1,
        f"{E}.318.1.1.26.9.2.4.1.5",
        2,
        ONE,
        (f"{E}.318.1.1.26.4.3.1.5.1", "integer", 16, 160.0),
    ),
    Family(
        "servertech-sentry3",
        f"{E}.1718.3",
        (f"{E}.1718.3.2.1.1.7.1", f"{E}.1718.3.2.1.1.6.1", f"{E}.1718.3.1.1.0"),
        f"{E}.1718.3.2.3.1.5",
        0,
        1,
        2,
        f"{E}.1718.3.2.3.1.11",
        1,
        f"{E}.1718.3.2.3.1.11",
        2,
        ("1.1.1", "1.1.2", "1.1.3"),
        (f"{E}.1718.3.2.2.1.12.1.1", "integer", 806, 806.0),
        f"{E}.1718.3.2.3.1.2",
    ),
    Family(
        "servertech-sentry4",
        f"{E}.1718.4",
        (f"{E}.1718.4.1.2.2.1.5.1", f"{E}.1718.4.1.2.2.1.4.1", f"{E}.1718.4.1.1.1.3.0"),
        f"{E}.1718.4.1.8.3.1.1",
        2,
        1,
        0,
        f"{E}.1718.4.1.8.5.1.2",
        1,
        f"{E}.1718.4.1.8.5.1.2",
        2,
        ("1.1.1", "1.1.2", "1.1.3"),
        (f"{E}.1718.4.1.3.3.1.3.1.1", "integer", 806, 806.0),
        f"{E}.1718.4.1.8.2.1.2",
    ),
    Family(
        "vertiv-geist-v5",
        f"{E}.21239.42.1.52",
        (f"{E}.21239.5.2.1.8.0", f"{E}.21239.5.2.1.10.0", f"{E}.21239.5.2.1.2.0"),
        f"{E}.21239.5.2.3.5.1.4",
        2,
        1,
        3,
        f"{E}.21239.5.2.3.5.1.6",
        2,
        f"{E}.21239.5.2.3.5.1.6",
        4,
        ONE,
        (f"{E}.21239.5.2.3.1.1.9.1", "gauge", 1017, 1017.0),
    ),
    Family(
        "liebert-mph2",
        f"{E}.476.1.42",
        (
            f"{E}.476.1.42.3.8.30.20.1.20.1.1",
            f"{E}.476.1.42.3.8.30.20.1.55.1.1",
            f"{E}.476.1.42.3.8.30.20.1.60.1.1",
        ),
        f"{E}.476.1.42.3.8.50.20.1.95",
        1,
        2,
        3,
        f"{E}.476.1.42.3.8.50.20.1.100",
        1,
        f"{E}.476.1.42.3.8.50.20.1.100",
        0,
        ("1.2.1", "1.2.2", "1.2.3"),
        (f"{E}.476.1.42.3.8.30.20.1.65.1.1", "gauge", 514, 514.0),
        f"{E}.476.1.42.3.8.50.20.1.25",
    ),
    Family(
        "eaton-g3",
        f"{E}.534.6.6.7",
        (f"{E}.534.6.6.7.1.2.1.3.0", f"{E}.534.6.6.7.1.2.1.4.0", f"{E}.534.6.6.7.1.2.1.5.0"),
        f"{E}.534.6.6.7.6.6.1.2",
        0,
        1,
        2,
        f"{E}.534.6.6.7.6.6.1.4",
        0,
        f"{E}.534.6.6.7.6.6.1.3",
        0,
        ("0.1", "0.2", "0.3"),
        (f"{E}.534.6.6.7.3.5.1.4.0.1", "integer", 1584, 1584.0),
        f"{E}.534.6.6.7.6.1.1.6",
    ),
    Family(
        "enlogic",
        f"{E}.38446.1",
        (f"{E}.38446.1.1.2.1.10.1", f"{E}.38446.1.1.2.1.11.1", f"{E}.38446.1.1.2.1.13.1"),
        f"{E}.38446.1.5.4.1.4.1",
        0,
        1,
        5,
        f"{E}.38446.1.5.5.1.4.1",
        2,
        f"{E}.38446.1.5.5.1.4.1",
        1,
        ONE,
        (f"{E}.38446.1.2.4.1.4.1", "integer", 548, 548.0),
    ),
]
EACH = pytest.mark.parametrize("family", FAMILIES, ids=lambda each: each.profile)


def connection(port: int, profile: str) -> Connection:
    return Connection(
        "pdu-a",
        f"snmp://127.0.0.1:{port}",
        profile=profile,
        secrets={"community": Secret("community", "public")},
        options={"version": 2, "timeout": 10.0},
        now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
    )


def use(what: Connection, question: Callable[[Pdu], Awaitable[T]]) -> T:
    async def run() -> T:
        pdu = connect(what)
        assert isinstance(pdu, Pdu)
        try:
            await pdu.open()
            return await question(pdu)
        finally:
            await pdu.close()

    return asyncio.run(run())


def start(agents: Agents, family: Family, table: Table | None = None) -> int:
    enterprise = ".".join(family.object_id.split(".")[:7])
    return agents.start(table or family.table(), roots=("1.3.6.1.2.1.1", enterprise), rules=family.rules())


@EACH
def test_a_family_is_recognised_and_identified(agents: Agents, family: Family) -> None:
    async def question(pdu: Pdu) -> None:
        who = await pdu.identify()
        assert (who.model, who.serial, who.firmware) == ("MODEL-1", "SERIAL-1", "6.0g")
        power = await pdu.input_power()
        assert (power.value, power.unit) == (family.power[3], Unit.WATT)

    use(connection(start(agents, family), family.profile), question)


@EACH
def test_off_on_and_between_are_told_apart_and_nothing_is_metered(agents: Agents, family: Family) -> None:
    async def question(pdu: Pdu) -> None:
        outlets = await pdu.outlets()
        assert [outlet.on for outlet in outlets] == [False, True, None]
        assert tuple(outlet.name for outlet in outlets) == family.names()
        assert {outlet.power for outlet in outlets} == {outlet.current for outlet in outlets} == {None}
        assert [each.quantity for each in pdu.channels() if each.quantity.startswith("outlet.")] == ["outlet.on"] * 3

    use(connection(start(agents, family), family.profile), question)


@EACH
def test_each_family_is_switched_in_its_own_numbers(agents: Agents, family: Family) -> None:
    async def question(pdu: Pdu) -> None:
        first, second, _ = [outlet.name for outlet in await pdu.outlets()]
        assert (await pdu.switch(first, on=True)).on is True
        assert (await pdu.switch(second, on=False)).on is False
        assert [outlet.on for outlet in await pdu.outlets()] == [True, False, None]

    use(connection(start(agents, family), family.profile), question)


def test_another_familys_device_is_not_taken_for_it(agents: Agents) -> None:
    sentry4 = next(each for each in FAMILIES if each.profile == "servertech-sentry4")
    port = start(agents, sentry4)

    async def nothing(pdu: Pdu) -> None:
        raise AssertionError("it should not have opened")

    for profile in ("servertech-sentry3", "eaton-g3", "enlogic", "apc-rpdu"):
        with pytest.raises(Misbehaved, match="recognise it as"):
            use(connection(port, profile), nothing)


def test_an_outlet_that_the_pdu_does_not_switch_is_unsupported_and_nothing_is_written(agents: Agents) -> None:
    """outletControlSwitchable: yes 1, no 2; left out for the first outlet (NUT issue 936), which is no `no`."""
    eaton = next(each for each in FAMILIES if each.profile == "eaton-g3")
    switchable = f"{E}.534.6.6.7.6.6.1.9"
    table = eaton.table() | {f"{switchable}.0.2": ["integer", "2"], f"{switchable}.0.3": ["integer", "1"]}

    async def question(pdu: Pdu) -> None:
        assert (await pdu.switch("AA1", on=True)).on is True
        with pytest.raises(Unsupported, match="cannot be switched"):
            await pdu.switch("AA2", on=False)
        assert [outlet.on for outlet in await pdu.outlets()] == [True, True, None]

    use(connection(start(agents, eaton, table), "eaton-g3"), question)


def test_a_pending_command_of_sentry4_is_neither_on_nor_off(agents: Agents) -> None:
    """st4OutletControlState pendOn 8, pendOff 9, on 11."""
    sentry4 = next(each for each in FAMILIES if each.profile == "servertech-sentry4")
    control = f"{E}.1718.4.1.8.5.1.1"
    table = sentry4.table() | {f"{control}.1.1.1": ["integer", "8"], f"{control}.1.1.2": ["integer", "11"]}

    async def question(pdu: Pdu) -> None:
        assert [outlet.on for outlet in await pdu.outlets()] == [None, True, None]

    use(connection(start(agents, sentry4, table), "servertech-sentry4"), question)


def test_the_power_of_several_cords_is_their_sum_and_one_that_is_unknown_spoils_it(agents: Agents) -> None:
    sentry4 = next(each for each in FAMILIES if each.profile == "servertech-sentry4")
    second = f"{E}.1718.4.1.3.3.1.3.2.1"
    both = start(agents, sentry4, sentry4.table() | {second: ["integer", "856"]})
    lost = start(agents, sentry4, sentry4.table() | {second: ["integer", "-1"]})
    assert use(connection(both, "servertech-sentry4"), lambda pdu: pdu.input_power()).value == 1662.0
    assert not use(connection(lost, "servertech-sentry4"), lambda pdu: pdu.input_power()).usable


def test_labels_that_do_not_tell_outlets_apart_are_not_used(agents: Agents) -> None:
    sentry3 = next(each for each in FAMILIES if each.profile == "servertech-sentry3")
    table = sentry3.table() | {f"{E}.1718.3.2.3.1.2.1.1.2": octets("AA1")}
    found = use(connection(start(agents, sentry3, table), "servertech-sentry3"), lambda pdu: pdu.outlets())
    assert [outlet.name for outlet in found] == ["1.1.1", "1.1.2", "1.1.3"]
