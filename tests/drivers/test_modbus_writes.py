"""Modbus writes, identification, RTU over TCP and dormant units. The traps of pymodbus are in traps/."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus import FramerType, ModbusDeviceIdentification
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.transports import modbus_bus
from drivers.transports.modbus import ModbusLink, connect_modbus
from drivers.transports.modbus_wire import Ask, Fault, classify
from harness.connection import Connection, Option
from harness.errors import DefinitionError, Misbehaved, Unreachable, Unsupported

if TYPE_CHECKING:
    from tests.drivers.conftest import Line

UNIT = 200
NAMES = {0x00: "Bench Cooling", 0x01: "RPU-100", 0x02: "0311"}
ANSWERED = 10.0
"""Wall seconds to wait where every answer comes."""
Question = Callable[[ModbusLink], Awaitable[None]]


def connection(address: str, **options: Option) -> Connection:
    return Connection("cdu-1", address, options=options, now=lambda: datetime.now(UTC))


def ask(address: str, question: Question, **options: Option) -> None:
    async def run() -> None:
        link = connect_modbus(connection(address, **options))
        try:
            await question(link)
        finally:
            await link.close()

    asyncio.run(run())


def on_bus(line: Line, question: Question, timeout: float = 0.25) -> None:
    line.units.setdefault(UNIT, {register: register for register in range(500)})
    ask(line.address(), question, timeout=timeout)


def on_server(question: Question, scheme: str = "modbus+tcp", framer: FramerType = FramerType.SOCKET) -> None:
    """pymodbus' own server, which knows functions 6, 16 and 43/14."""

    async def run() -> None:
        device = SimDevice(12, simdata=[SimData(100, values=list(range(100, 160)), datatype=DataType.REGISTERS)])
        named = ModbusDeviceIdentification(info=NAMES)  # type: ignore[no-untyped-call]
        server = ModbusTcpServer(device, address=("127.0.0.1", 0), framer=framer, identity=named)
        await server.serve_forever(background=True)
        port = cast("asyncio.Server", server.transport).sockets[0].getsockname()[1]
        link = connect_modbus(connection(f"{scheme}://127.0.0.1:{port}", timeout=ANSWERED))
        try:
            await question(link)
        finally:
            await link.close()
            await server.shutdown()  # type: ignore[no-untyped-call]

    asyncio.run(run())


async def writes_and_reads(link: ModbusLink) -> None:
    await link.write(12, 101, [7])
    await link.write(12, 102, [8, 0xFFFF])
    assert await link.read(12, 100, 5) == (100, 7, 8, 0xFFFF, 104)
    with pytest.raises(Unsupported):
        await link.write(12, 5000, [1])
    assert (await link.identification(12))[0] == "Bench Cooling"


def test_registers_are_written_and_the_maker_is_read_over_tcp() -> None:
    on_server(writes_and_reads)


def test_rtu_over_tcp_is_a_bus_like_any_other() -> None:
    on_server(writes_and_reads, "modbus+rtu+tcp", FramerType.RTU)


def test_registers_are_written_over_a_bus_by_functions_6_and_16(line: Line) -> None:
    line.identifications[UNIT] = (b"Bench Power", b"PSU", b"2")

    async def question(link: ModbusLink) -> None:
        await link.write(UNIT, 10, [1])
        await link.write(UNIT, 11, [2, 3])
        assert await link.read(UNIT, 10, 3) == (1, 2, 3)
        assert await link.identification(UNIT) == {0: "Bench Power", 1: "PSU", 2: "2"}
        with pytest.raises(Unsupported, match="illegal data address"):
            await link.write(UNIT, 9000, [1])

    on_bus(line, question, ANSWERED)
    assert line.written == [(UNIT, 10, [1]), (UNIT, 11, [2, 3])]


def test_a_unit_without_identification_says_so_and_goes_on(line: Line) -> None:
    async def question(link: ModbusLink) -> None:
        with pytest.raises(Unsupported, match="illegal function"):
            await link.identification(UNIT)
        assert await link.read(UNIT, 5, 1) == (5,)

    on_bus(line, question, ANSWERED)


@pytest.mark.parametrize(("fate", "kind"), [("drop", Unreachable), ("crc", Misbehaved), ("garbage", Misbehaved)])
def test_a_write_is_sent_once_whatever_happens(line: Line, fate: str, kind: type[Exception]) -> None:
    line.plan[1] = fate

    async def question(link: ModbusLink) -> None:
        with pytest.raises(kind):
            await link.write(UNIT, 10, [77])
        await link.read(UNIT, 20, 2)

    on_bus(line, question)
    assert len(line.written) == (0 if fate == "drop" else 1)


def test_a_late_confirmation_never_confirms_the_next_write(line: Line) -> None:
    line.plan[1] = "late"

    async def question(link: ModbusLink) -> None:
        with pytest.raises(Unreachable):
            await link.write(UNIT, 10, [77])
        await link.write(UNIT, 11, [78])
        assert await link.read(UNIT, 10, 2) == (77, 78)

    on_bus(line, question)
    assert line.written == [(UNIT, 10, [77]), (UNIT, 11, [78])]


@pytest.mark.parametrize("fate", ["trailing", "duplicate", "prefixed", "cut"])
def test_what_is_left_on_the_bus_is_never_the_next_answer(line: Line, fate: str) -> None:
    """pymodbus hands out an answer of the right length without asking what it was an answer to."""
    line.plan |= dict.fromkeys(range(1, 12, 2), fate)

    async def question(link: ModbusLink) -> None:
        for address in (10, 110, 210, 310):
            try:
                assert await link.read(UNIT, address, 4) == tuple(range(address, address + 4))
            except Misbehaved:
                continue

    on_bus(line, question)


class Later:
    """The module `time`, some seconds ahead."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.sleep = time.sleep

    def monotonic(self) -> float:
        return time.monotonic() + self._seconds


def test_a_unit_silent_ten_times_is_dormant_and_wakes_again(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modbus_bus, "_DORMANT_AFTER", 3)
    monkeypatch.setattr(modbus_bus, "_ASK_AGAIN", 600.0)

    async def question(link: ModbusLink) -> None:
        for _ in range(3):
            with pytest.raises(Unreachable):
                await link.read(201, 0, 1)
        asked = len(line.asked)
        assert link.dormant(201)
        assert not link.dormant(UNIT)
        with pytest.raises(Unreachable, match="dormant"):
            await link.read(201, 0, 1)
        assert len(line.asked) == asked
        assert await link.read(UNIT, 0, 1) == (0,)
        line.units[201] = dict.fromkeys(range(10), 9)
        monkeypatch.setattr(modbus_bus, "time", Later(600.0))
        assert await link.read(201, 0, 1) == (9,)

    on_bus(line, question)


@pytest.mark.parametrize(
    "address",
    ["modbus+rtu+tcp://10.0.0.1", "modbus+rtu+tcp:///dev/ttyUSB0", "modbus+rtu+tcp://10.0.0.1:502/x"],
)
def test_an_address_of_a_gateway_that_cannot_be_meant(address: str) -> None:
    with pytest.raises(DefinitionError):
        connect_modbus(connection(address))


@pytest.mark.parametrize("values", [[], [-1], [0x10000], [0] * 124])
def test_what_is_no_word_is_never_sent(values: list[int]) -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        Ask.write(0, values)


@given(st.binary(max_size=40), st.sampled_from([3, 6, 16, 43]))
def test_whatever_comes_is_classified(heard: bytes, function: int) -> None:
    fault = classify(heard, UNIT, 0.3, function).fault
    assert (fault is Fault.SILENCE) is (not heard)
