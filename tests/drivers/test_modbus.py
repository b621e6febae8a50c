"""The Modbus transport: pymodbus' server over TCP, and a serial line that loses, mangles and delays answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar, cast

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.transports.modbus import ModbusLink, connect_modbus
from drivers.transports.modbus_wire import Counters, Fault, classify
from harness.connection import Connection, Option
from harness.errors import DefinitionError, Misbehaved, Unreachable, Unsupported

if TYPE_CHECKING:
    from tests.drivers.conftest import Line

T = TypeVar("T")
UNIT = 200
ANSWERED, SILENT = 10.0, 0.3
"""Wall seconds to wait where an answer comes, and where some are missing or spoilt."""


def connection(address: str, **options: Option) -> Connection:
    return Connection("shelf-1", address, options=options, now=lambda: datetime.now(UTC))


def ask(address: str, question: Callable[[ModbusLink], Awaitable[T]], **options: Option) -> T:
    async def run() -> T:
        link = connect_modbus(connection(address, **options))
        try:
            return await question(link)
        finally:
            await link.close()
            await link.close()

    return asyncio.run(run())


def ask_bus(line: Line, question: Callable[[ModbusLink], Awaitable[T]], timeout: float = SILENT) -> T:
    line.units.setdefault(UNIT, {register: register for register in range(500)})
    return ask(line.address(), question, timeout=timeout)


def test_registers_are_read_over_a_bus(line: Line) -> None:
    async def question(link: ModbusLink) -> None:
        assert await link.read(UNIT, 79, 4) == (79, 80, 81, 82)
        assert link.counters(UNIT) == Counters(ok=1)

    ask_bus(line, question, ANSWERED)


@pytest.mark.parametrize("fate", ["drop", "late", "crc", "garbage", "cut", "other-unit"])
def test_one_fault_is_overcome_and_the_values_are_the_right_ones(line: Line, fate: str) -> None:
    line.plan[1] = fate

    async def question(link: ModbusLink) -> None:
        assert await link.read(UNIT, 100, 4) == (100, 101, 102, 103)
        assert await link.read(UNIT, 300, 4) == (300, 301, 302, 303)

    ask_bus(line, question)


def test_a_late_answer_never_becomes_the_answer_to_the_next_request(line: Line) -> None:
    """Every second answer is late; blocks of equal length follow each other, which is when RTU deceives."""
    line.plan |= dict.fromkeys(range(1, 30, 3), "late")

    async def question(link: ModbusLink) -> None:
        for address in (10, 110, 210, 310):
            try:
                assert await link.read(UNIT, address, 4) == tuple(range(address, address + 4))
            except (Unreachable, Misbehaved):
                continue

    ask_bus(line, question)
    assert len(line.asked) > 8


def test_a_unit_is_first_asked_for_another_length_after_a_failure(line: Line) -> None:
    line.plan |= {1: "drop", 2: "drop"}

    async def question(link: ModbusLink) -> None:
        with pytest.raises(Unreachable):
            await link.read(UNIT, 10, 4)
        assert await link.read(UNIT, 20, 4) == (20, 21, 22, 23)

    ask_bus(line, question)
    lengths = [count for _, _, count in line.asked]
    assert lengths[-1] == 4
    assert lengths[-2] not in lengths[:-2]


@pytest.mark.parametrize(
    ("fate", "kind", "words"),
    [
        ("drop", Unreachable, "no answer within"),
        ("crc", Misbehaved, "checksum error"),
        ("cut", Misbehaved, "cut off"),
        ("garbage", Misbehaved, "no answer of unit 200"),
        ("other-unit", Misbehaved, "no answer of unit 200"),
        ("exception-2", Unsupported, "illegal data address"),
        ("exception-4", Misbehaved, "server device failure"),
        ("exception-11", Unreachable, "gateway"),
    ],
)
def test_faults_are_told_apart(line: Line, fate: str, kind: type[Exception], words: str) -> None:
    line.plan[-UNIT] = fate

    async def question(link: ModbusLink) -> None:
        with pytest.raises(kind, match=words):
            await link.read(UNIT, 7, 3)

    ask_bus(line, question)


def test_faults_are_counted_by_unit(line: Line) -> None:
    line.plan |= {2: "crc", 5: "drop", 8: "exception-2"}

    async def question(link: ModbusLink) -> None:
        await link.read(UNIT, 0, 2)
        await link.read(UNIT, 0, 2)  # crc, fence, good
        await link.read(UNIT, 0, 2)  # silence, fence, good
        with pytest.raises(Unsupported):
            await link.read(UNIT, 0, 2)
        assert link.counters(UNIT) == Counters(ok=5, silence=1, crc=1, exception=1)
        assert link.counters(201) == Counters()

    ask_bus(line, question)


def test_a_regular_refusal_is_not_asked_again(line: Line) -> None:
    async def question(link: ModbusLink) -> None:
        with pytest.raises(Unsupported):
            await link.read(UNIT, 9000, 1)

    ask_bus(line, question, ANSWERED)
    assert len(line.asked) == 1


def test_a_dead_unit_does_not_hold_up_the_others(line: Line) -> None:
    line.units = {UNIT: {0: 7}}

    async def question(link: ModbusLink) -> None:
        for _ in range(3):
            with pytest.raises(Unreachable):
                await link.read(201, 0, 1)
        assert await link.read(UNIT, 0, 1) == (7,)

    ask_bus(line, question)
    assert len([unit for unit, *_ in line.asked if unit == 201]) < 6


def test_devices_share_one_bus(line: Line) -> None:
    line.units = {unit: {0: unit} for unit in (200, 201)}

    async def run() -> None:
        first, second = (connect_modbus(connection(line.address())) for _ in range(2))
        reads = [first.read(200, 0, 1), second.read(201, 0, 1)]
        assert await asyncio.gather(*reads, first.read(200, 0, 1)) == [(200,), (201,), (200,)]
        await first.close()
        assert await second.read(201, 0, 1) == (201,)  # the port stays open for the other one
        await second.close()
        assert await second.read(200, 0, 1) == (200,)  # and opens again when asked
        with pytest.raises(DefinitionError, match="another time-out"):
            connect_modbus(connection(line.address(), timeout=0.5))
        await second.close()

    asyncio.run(run())


def test_a_port_that_does_not_exist_is_unreachable() -> None:
    async def question(link: ModbusLink) -> None:
        with pytest.raises(Unreachable, match="cannot be opened"):
            await link.read(UNIT, 0, 1)

    ask("modbus+rtu:///dev/no-such-port", question)


async def _served(question: Callable[[ModbusLink], Awaitable[T]], **options: Option) -> T:
    device = SimDevice(12, simdata=[SimData(100, values=list(range(100, 160)), datatype=DataType.REGISTERS)])
    server = ModbusTcpServer(device, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    port = cast(asyncio.Server, server.transport).sockets[0].getsockname()[1]
    link = connect_modbus(connection(f"modbus+tcp://127.0.0.1:{port}", **{"timeout": ANSWERED, **options}))
    try:
        return await question(link)
    finally:
        await link.close()
        await server.shutdown()  # type: ignore[no-untyped-call]


def test_registers_are_read_over_tcp() -> None:
    async def question(link: ModbusLink) -> None:
        assert await link.read(12, 100, 50) == tuple(range(100, 150))
        with pytest.raises(Unsupported, match="illegal data address"):
            await link.read(12, 5000, 2)
        assert link.counters(12) == Counters(ok=1, exception=1)
        await link.close()
        assert await link.read(12, 101, 1) == (101,)  # a closed connection is made again

    asyncio.run(_served(question))


async def _raw(
    answer: Callable[[bytes, int], bytes | None], question: Callable[[ModbusLink], Awaitable[T]], timeout: float = 0.2
) -> T:
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        serving.append(asyncio.current_task())
        while request := await reader.read(256):
            asked += 1
            reply = answer(request, asked)
            if reply is None:
                break
            writer.write(reply)
            await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    serving: list[asyncio.Task[None] | None] = []
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    link = connect_modbus(connection(f"modbus+tcp://127.0.0.1:{port}", timeout=timeout))
    try:
        return await question(link)
    finally:
        await link.close()
        server.close()
        await server.wait_closed()
        await asyncio.gather(*filter(None, serving))


def frame(request: bytes, registers: list[int], *, stale: bool = False) -> bytes:
    """A response by MBAP (MODBUS Messaging on TCP/IP V1.0b, 3.1.3)."""
    number = b"\xff\xfe" if stale else request[:2]
    body = bytes([request[6], 3, 2 * len(registers)]) + b"".join(each.to_bytes(2, "big") for each in registers)
    return number + b"\x00\x00" + len(body).to_bytes(2, "big") + body


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (lambda request, _: b"", Unreachable, "no answer within"),
        (lambda request, _: None, Unreachable, "closed the connection"),
        (lambda request, _: b"HTTP/1.1 400 Bad Request\r\n", Misbehaved, "no answer of unit"),
        (lambda request, _: frame(request, [1, 2, 3]), Misbehaved, "3 registers came where 2 were asked for"),
        (lambda request, _: frame(request, [1, 2], stale=True), Misbehaved, "no answer of unit"),
    ],
)
def test_a_tcp_peer_that_fails(answer: Callable[[bytes, int], bytes | None], kind: type[Exception], words: str) -> None:
    async def question(link: ModbusLink) -> None:
        with pytest.raises(kind, match=words):
            await link.read(12, 0, 2)

    asyncio.run(_raw(answer, question))


def test_a_connection_lost_once_is_made_again() -> None:
    async def question(link: ModbusLink) -> None:
        assert await link.read(12, 0, 2) == (5, 6)

    asyncio.run(_raw(lambda request, asked: None if asked == 1 else frame(request, [5, 6]), question, ANSWERED))


def test_nobody_listening_is_unreachable() -> None:
    async def question(link: ModbusLink) -> None:
        with pytest.raises(Unreachable, match="refused or not answered"):
            await link.read(12, 0, 2)

    ask("modbus+tcp://127.0.0.1:1", question)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("modbus+rtu:///dev/ttyUSB0?bauds=9600", "did you mean 'baud'"),
        ("modbus+rtu:///dev/ttyUSB0?parity=even", "parity is N, E or O"),
        ("modbus+rtu:///dev/ttyUSB0?baud=fast", "no speed"),
        ("modbus+rtu://dev/ttyUSB0", "three slashes"),
        ("modbus+udp://10.0.0.1", "must begin with modbus"),
        ("modbus+tcp://10.0.0.1:http", "no URL"),
    ],
)
def test_a_wrong_address_is_told_before_the_first_contact(address: str, words: str) -> None:
    with pytest.raises(DefinitionError, match=words):
        connect_modbus(connection(address))


@pytest.mark.parametrize(
    ("heard", "fault"),
    [
        (b"", Fault.SILENCE),
        (b"\xc8\x03\x02\x00\x01\x00\x00", Fault.CRC),
        (b"\xc8\x03\x04\x00", Fault.CRC),
        (b"\xc8", Fault.GARBAGE),
        (b"\xc9\x03\x02\x00\x01\x00\x00", Fault.GARBAGE),
    ],
)
def test_what_was_heard_is_classified(heard: bytes, fault: Fault) -> None:
    assert classify(heard, UNIT, 0.3).fault is fault
