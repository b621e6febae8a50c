"""The traps of pyserial's ports and of pseudo-terminals, one test each; our bus does not fall in.

| trap | test |
|---|---|
| a pty takes every speed and no parity | test_trap_pty_takes_every_speed_and_no_parity |
| RTS and RS-485 modes fail on a pty | test_trap_rts_and_rs485_mode_fail_on_a_pty |
| a port is opened twice | test_trap_port_held_by_another_program |
| a pty whose other end is gone gives EIO | test_trap_pty_without_its_other_end |
| a port of `socket://` tells one octet at a time | test_trap_network_port_tells_one_octet_at_a_time |
"""

from __future__ import annotations

import asyncio
import os
import re
import tty
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
import serial

from drivers.transports.modbus import ModbusLink, connect_modbus
from drivers.transports.modbus_port import NetworkPort
from drivers.transports.modbus_wire import Counters
from harness.connection import Connection, Option
from harness.errors import Unreachable
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


def framed(*octets: int) -> bytes:
    """With the checksum of V1.02, 6.2.2."""
    value = 0xFFFF
    for octet in octets:
        value ^= octet
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return bytes(octets) + value.to_bytes(2, "little")


def test_every_trap_of_the_table_has_its_test() -> None:
    rows = re.findall(r"^\| .+ \| (test_\w+) \|$", __doc__ or "", re.MULTILINE)
    found = re.findall(r"^def (test_trap_\w+)\(", Path(__file__).read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(found)


def test_trap_pty_takes_every_speed_and_no_parity(line: Line) -> None:
    """On a pty a wrong speed does nothing, and asking twice for parity is EINVAL: there is none asked for there."""
    line.units[UNIT] = {0: 7}
    for query in ("baud=19200&parity=E", "baud=9600&parity=O", "baud=115200&parity=N&stopbits=2"):
        for _ in range(2):
            assert ask(f"modbus+rtu://{line.path}?{query}", lambda link: link.read(UNIT, 0, 1), timeout=10.0) == (7,)


def test_trap_rts_and_rs485_mode_fail_on_a_pty(line: Line) -> None:
    """`rts = …` is OSError 25 there and on many adapters; the direction of the line is the adapter's own affair."""
    with serial.Serial(line.path) as port, pytest.raises(OSError, match="25"):
        port.rts = False
    assert not {"rts", "dtr", "rs485_mode", "rs485", "RS485Settings"} & names_of(ROOT_FOLDER / "drivers" / "transports")


def test_trap_port_held_by_another_program(line: Line) -> None:
    """Two masters on one bus destroy each other's answers; the second one is turned away, and told why."""
    line.units[UNIT] = {0: 7}
    with serial.Serial(line.path, exclusive=True), pytest.raises(Unreachable, match="in use by another program"):
        ask(line.address(), lambda link: link.read(UNIT, 0, 1))
    assert ask(line.address(), lambda link: link.read(UNIT, 0, 1), timeout=10.0) == (7,)


def test_trap_pty_without_its_other_end() -> None:
    """Reading then fails with EIO, as it does when a USB adapter is pulled: `Unreachable`, and no OSError."""
    master, slave = os.openpty()
    tty.setraw(slave)
    path = os.ttyname(slave)
    os.close(slave)

    async def question(link: ModbusLink) -> None:
        with pytest.raises(Unreachable):
            await link.read(UNIT, 0, 1)
        os.close(master)
        with pytest.raises(Unreachable, match=r"port .* (was lost|cannot be opened)"):
            await link.read(UNIT, 0, 1)

    ask(f"modbus+rtu://{path}", question, timeout=0.1)


def test_trap_network_port_tells_one_octet_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """pyserial's socket:// says at most one octet waits; pymodbus then takes 2 ms for each: half a second a block."""
    taken: list[int] = []
    read = NetworkPort.read

    def counted(port: NetworkPort, size: int) -> bytes:
        octets = read(port, size)
        taken.append(len(octets))
        return octets

    monkeypatch.setattr(NetworkPort, "read", counted)

    async def run() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.read(256):
                writer.write(framed(UNIT, 3, 250, *range(250)))
            writer.close()
            left.set()

        left = asyncio.Event()
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        what = Connection(
            "shelf-1",
            f"modbus+rtu+tcp://{address}?baud=115200",
            options={"timeout": 10.0},
            now=lambda: datetime.now(UTC),
        )
        link = connect_modbus(what)
        try:
            assert len(await link.read(UNIT, 0, 125)) == 125
            assert link.counters(UNIT) == Counters(ok=1)
            # The pieces in which the network brought them, however many: not 255 of one octet each.
            assert sum(taken) == 255
            assert len(taken) < 100
        finally:
            await link.close()
            await left.wait()
            server.close()
            await server.wait_closed()

    asyncio.run(run())
