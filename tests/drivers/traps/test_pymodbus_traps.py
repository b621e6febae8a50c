"""The traps of pymodbus 3.16.1 and of wires, one test each; our transport does not fall in.

Measured, or read in source, registers maps and issues. Where it costs little the test shows beside that the library
still has the trap: once that part fails, ours may be let go. Ports are in test_pyserial_traps.py, what registers mean
in test_register_traps.py.

| trap | test |
|---|---|
| by default a dead unit costs 12 s | test_trap_default_is_four_tries_of_three_seconds |
| `slave=` and `unit=` are gone | test_trap_slave_and_unit_are_gone |
| contexts and data blocks go with release 4 | test_trap_names_change_every_few_releases |
| an absent unit is answered for with exception 4 | test_trap_absent_unit_is_exception_4 |
| the asynchronous client keeps no silence on a bus | test_trap_asynchronous_rtu_keeps_no_silence |
| a late answer becomes that to the next request | test_trap_late_reply_becomes_the_next_answer |
| garbage before an answer is called silence | test_trap_garbage_before_a_reply_is_called_silence |
| a flipped bit is called silence | test_trap_checksum_error_is_called_silence |
| an answer that is cut off is called silence | test_trap_partial_frame_is_called_silence |
| an octet behind an answer | test_trap_trailing_octet |
| a pause inside an answer | test_trap_pause_inside_a_reply |
| an adapter that echoes | test_trap_local_echo |
| a TCP answer with transaction number 0 fits all | test_trap_transaction_number_zero_fits_every_request |
| transaction numbers begin anew with each connection | test_trap_transaction_numbers_begin_anew |
| an exception is no link failure | test_trap_exception_is_no_link_failure |
| a gateway's exception 10 or 11 is one | test_trap_gateway_exception_is_silence |
| one refused register fails the whole block | test_trap_block_with_one_refused_register |
"""

from __future__ import annotations

import asyncio
import inspect
import os
import re
import threading
import time
import tomllib
import tty
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import pytest
from pymodbus.client import AsyncModbusTcpClient, ModbusSerialClient
from pymodbus.exceptions import ModbusIOException
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.transports.modbus import ModbusLink, connect_modbus
from drivers.transports.modbus_wire import Counters
from harness.connection import Connection, Option
from harness.errors import Misbehaved, Unreachable, Unsupported
from tests.drivers.source_names import names_of

if TYPE_CHECKING:
    from tests.drivers.conftest import Line

ROOT_FOLDER = Path(__file__).parents[3]
T = TypeVar("T")
UNIT = 200
Question = Callable[[ModbusLink], Awaitable[T]]


def ask(address: str, question: Question[T], **options: Option) -> T:
    async def run() -> T:
        link = connect_modbus(Connection("shelf-1", address, options=options, now=lambda: datetime.now(UTC)))
        try:
            async with asyncio.timeout(60.0):
                return await question(link)
        finally:
            await link.close()

    return asyncio.run(run())


def on_bus(line: Line, question: Question[T], timeout: float = 0.1) -> T:
    line.units.setdefault(UNIT, {register: register for register in range(500)})
    return ask(line.address(), question, timeout=timeout)


@contextmanager
def library(line: Line) -> Iterator[ModbusSerialClient]:
    """pymodbus' own synchronous client on the line."""
    line.units.setdefault(UNIT, {register: register for register in range(500)})
    client = ModbusSerialClient(line.path, timeout=0.1, retries=0)
    try:
        assert client.connect()
        yield client
    finally:
        client.close()  # type: ignore[no-untyped-call]


@contextmanager
def scripted(answer: Callable[[bytes], list[bytes | float]]) -> Iterator[str]:
    """A pty whose other end gives what `answer` says to a request: octets, and pauses in wall seconds."""
    master, slave = os.openpty()
    for end in (master, slave):
        tty.setraw(end)
    over = threading.Event()

    def serve() -> None:
        while True:
            request = os.read(master, 256)
            if over.is_set():
                return
            for piece in answer(request):
                if isinstance(piece, float):
                    time.sleep(piece)
                else:
                    os.write(master, piece)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield os.ttyname(slave)
    finally:
        over.set()
        os.write(slave, b"x")
        thread.join()
        os.close(master)
        os.close(slave)


def framed(*octets: int) -> bytes:
    """With the checksum of V1.02, 6.2.2."""
    value = 0xFFFF
    for octet in octets:
        value ^= octet
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return bytes(octets) + value.to_bytes(2, "little")


async def over_tcp(answer: Callable[[bytes], bytes], question: Question[T]) -> T:
    """Asks a TCP peer that answers requests as it likes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        while request := await reader.read(256):
            writer.write(answer(request))
        writer.close()
        await writer.wait_closed()

    serving: list[asyncio.Task[None] | None] = []
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = f"modbus+tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    link = connect_modbus(Connection("cdu-1", address, options={"timeout": 0.2}, now=lambda: datetime.now(UTC)))
    try:
        async with asyncio.timeout(60.0):
            return await question(link)
    finally:
        await link.close()
        await asyncio.gather(*filter(None, serving))
        server.close()
        await server.wait_closed()


def mbap(number: bytes, unit: int, words: list[int]) -> bytes:
    body = bytes([unit, 3, 2 * len(words)]) + b"".join(word.to_bytes(2, "big") for word in words)
    return number + b"\x00\x00" + len(body).to_bytes(2, "big") + body


def test_every_trap_of_the_table_has_its_test() -> None:
    rows = re.findall(r"^\| .+ \| (test_\w+) \|$", __doc__ or "", re.MULTILINE)
    found = re.findall(r"^def (test_trap_\w+)\(", Path(__file__).read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(found)


def test_trap_default_is_four_tries_of_three_seconds(line: Line) -> None:
    """timeout=3 and retries=3: ours are stated, and a dead unit is asked twice."""
    given = inspect.signature(AsyncModbusTcpClient.__init__).parameters
    assert given["timeout"].default * (given["retries"].default + 1) == 12

    async def question(link: ModbusLink) -> None:
        with pytest.raises(Unreachable, match=r"no answer within 0\.1 s"):
            await link.read(201, 10, 4)

    on_bus(line, question)
    assert len([unit for unit, *_ in line.asked if unit == 201]) == 2


def test_trap_slave_and_unit_are_gone() -> None:
    """Release 3.10 took `device_id`; much code on the net still says slave= or unit=, which is a TypeError."""
    with pytest.raises(TypeError):
        ModbusSerialClient("x").read_holding_registers(0, count=1, slave=1)  # type: ignore[call-arg]
    names = names_of(ROOT_FOLDER / "drivers" / "transports")
    assert "device_id=" in names
    assert not {"slave=", "unit_id="} & names


def test_trap_names_change_every_few_releases() -> None:
    """slave, device_id, context, SimDevice: pinned to one minor, and nothing is used that leaves with release 4."""
    project = tomllib.loads((ROOT_FOLDER / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert [each for each in project["dependencies"] if each.startswith("pymodbus")] == ["pymodbus>=3.16,<3.17"]
    old = {"ModbusDeviceContext", "ModbusSequentialDataBlock", "ModbusServerContext", "BinaryPayloadDecoder"}
    assert not old & names_of(ROOT_FOLDER / "drivers")


def test_trap_absent_unit_is_exception_4() -> None:
    """pymodbus' server answers for units that it does not have: to us that is a failure of the unit, and no value."""

    async def run() -> None:
        device = SimDevice(12, simdata=[SimData(100, values=[1, 2, 3], datatype=DataType.REGISTERS)])
        server = ModbusTcpServer(device, address=("127.0.0.1", 0), ignore_missing_devices=True)
        await server.serve_forever(background=True)
        port = cast("asyncio.Server", server.transport).sockets[0].getsockname()[1]
        what = Connection("cdu-1", f"modbus+tcp://127.0.0.1:{port}", now=lambda: datetime.now(UTC))
        link = connect_modbus(what)
        try:
            with pytest.raises(Misbehaved, match="exception 4, server device failure"):
                await link.read(99, 100, 2)
            assert await link.read(12, 100, 2) == (1, 2)
        finally:
            await link.close()
            await server.shutdown()  # type: ignore[no-untyped-call]

    asyncio.run(run())


def test_trap_asynchronous_rtu_keeps_no_silence() -> None:
    """Since PR #2510 no client waits 3.5 characters after an answer (#2827: "sleep in the app"). Ours does."""
    assert "AsyncModbusSerialClient" not in names_of(ROOT_FOLDER / "drivers")
    gaps: list[float] = []
    answered = [0.0]

    def answer(request: bytes) -> list[bytes | float]:
        gaps.append(time.monotonic() - answered[0])
        answered[0] = time.monotonic()
        return [framed(UNIT, 3, 2, 0, 7)]

    async def question(link: ModbusLink) -> None:
        for _ in range(5):
            assert await link.read(UNIT, 0, 1) == (7,)

    with scripted(answer) as path:
        ask(f"modbus+rtu://{path}?baud=19200", question, timeout=10.0)
    # At 19200 8E1 a character takes 11 bits: 3.5 of them are 2 ms; adapters want 3.
    assert min(gaps[1:]) >= 0.003


def test_trap_late_reply_becomes_the_next_answer(line: Line) -> None:
    """RTU has no transaction number: pymodbus gives the late registers 10 … 13 out as 110 … 113. We do not."""
    line.plan = {1: "late"}
    with library(line) as client:
        with pytest.raises(ModbusIOException):
            client.read_holding_registers(10, count=4, device_id=UNIT)
        assert client.read_holding_registers(110, count=4, device_id=UNIT).registers == [10, 11, 12, 13]
    line.asked.clear()

    async def question(link: ModbusLink) -> None:
        assert await link.read(UNIT, 10, 4) == (10, 11, 12, 13)
        assert await link.read(UNIT, 110, 4) == (110, 111, 112, 113)

    on_bus(line, question)


def test_trap_garbage_before_a_reply_is_called_silence(line: Line) -> None:
    """Two octets of noise in front: "No response received". We tell noise from silence and show the octets."""
    called_silence(line, "prefixed", "no answer of unit 200")


def test_trap_checksum_error_is_called_silence(line: Line) -> None:
    """A flipped bit: "No response received" once more; a link test needs the two apart."""
    called_silence(line, "crc", "checksum error")


def test_trap_partial_frame_is_called_silence(line: Line) -> None:
    """An answer without its end: "No response received" as well."""
    called_silence(line, "cut", "cut off")


def called_silence(line: Line, fate: str, words: str) -> None:
    line.plan[-UNIT] = fate
    with library(line) as client, pytest.raises(ModbusIOException, match="No response received"):
        client.read_holding_registers(10, count=4, device_id=UNIT)

    async def question(link: ModbusLink) -> None:
        with pytest.raises(Misbehaved, match=words) as caught:
            await link.read(UNIT, 10, 4)
        assert caught.value.exchange
        assert link.counters(UNIT).silence == 0

    on_bus(line, question)


def test_trap_trailing_octet(line: Line) -> None:
    """An octet behind the answer, as line drivers make when they turn round: the answer holds, the octet is dropped."""
    line.plan[-UNIT] = "trailing"

    async def question(link: ModbusLink) -> None:
        for first in (10, 110, 210):
            assert await link.read(UNIT, first, 4) == tuple(range(first, first + 4))

    on_bus(line, question)


def test_trap_pause_inside_a_reply() -> None:
    """50 ms of silence inside a frame is against V1.02, 2.5.1.1, and common: it is waited for."""
    whole = framed(UNIT, 3, 4, 0, 7, 0, 8)

    async def question(link: ModbusLink) -> None:
        assert await link.read(UNIT, 0, 2) == (7, 8)

    with scripted(lambda _: [whole[:4], 0.05, whole[4:]]) as path:
        ask(f"modbus+rtu://{path}", question, timeout=10.0)


def test_trap_local_echo() -> None:
    """An adapter that hears itself. The echo of a write by function 6 is its confirmation; so reads must fail first."""

    async def question(link: ModbusLink) -> None:
        with pytest.raises(Misbehaved, match="our own request came back: the adapter echoes"):
            await link.read(UNIT, 10, 4)

    with scripted(lambda request: [request]) as path:
        ask(f"modbus+rtu://{path}", question, timeout=0.1)


def test_trap_transaction_number_zero_fits_every_request() -> None:
    """pymodbus compares the number only where it is not 0; a device that always says 0 could answer anything late."""

    async def question(link: ModbusLink) -> None:
        with pytest.raises(Misbehaved, match="without the request's transaction number"):
            await link.read(12, 0, 2)

    asyncio.run(over_tcp(lambda request: mbap(b"\x00\x00", request[6], [5, 6]), question))


def test_trap_transaction_numbers_begin_anew() -> None:
    """pymodbus counts from 1 after each connect, so that a gateway's late answer would have a number that fits."""
    numbers: list[int] = []

    def answer(request: bytes) -> bytes:
        numbers.append(int.from_bytes(request[:2], "big"))
        return b"" if len(numbers) < 3 else mbap(request[:2], request[6], [5, 6])

    async def question(link: ModbusLink) -> None:
        with pytest.raises(Unreachable):
            await link.read(12, 0, 2)  # each attempt over a new connection
        assert await link.read(12, 0, 2) == (5, 6)

    asyncio.run(over_tcp(answer, question))
    assert numbers == [1, 2, 3]


def test_trap_exception_is_no_link_failure(line: Line) -> None:
    """A unit that refuses is there: not asked again, not counted as silent, and never dormant."""
    line.plan[-UNIT] = "exception-2"

    async def question(link: ModbusLink) -> None:
        for _ in range(12):
            with pytest.raises(Unsupported, match="illegal data address"):
                await link.read(UNIT, 10, 4)
        assert link.counters(UNIT) == Counters(exception=12)
        assert link.counters(UNIT).failures == 0
        assert not link.dormant(UNIT)

    on_bus(line, question, 10.0)
    assert len(line.asked) == 12


@pytest.mark.parametrize("code", [10, 11])
def test_trap_gateway_exception_is_silence(line: Line, code: int) -> None:
    """It is the gateway that answers, and the unit that does not (V1.1b3, 7)."""
    line.plan[-UNIT] = f"exception-{code}"

    async def question(link: ModbusLink) -> None:
        with pytest.raises(Unreachable, match="the gateway answers"):
            await link.read(UNIT, 10, 4)
        assert link.counters(UNIT).failures == 2

    on_bus(line, question)


def test_trap_block_with_one_refused_register(line: Line) -> None:
    """Exception 2 for the block says nothing of the others: `Unsupported`, and each can be read by itself."""
    line.units[UNIT] = {register: register for register in range(20) if register != 12}

    async def question(link: ModbusLink) -> None:
        with pytest.raises(Unsupported):
            await link.read(UNIT, 10, 4)
        assert await link.read(UNIT, 10, 2) == (10, 11)
        assert await link.read(UNIT, 13, 1) == (13,)

    on_bus(line, question, 10.0)
