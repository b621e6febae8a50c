"""A Modbus unit behind a wire that misbehaves on demand: on a pty, over TCP, and as RTU over TCP.

Written from MODBUS Application Protocol V1.1b3 (functions 3, 6 and 43/14), Serial Line V1.02 and Messaging on TCP/IP
V1.0b. It answers in order, as a unit does; what becomes of its answers is its `fate`.
"""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import pytest

from drivers.transports.modbus import ModbusLink, connect_modbus
from harness.connection import Connection
from harness.errors import DeviceError

UNIT = 12
TIMEOUT = 0.25
GUARD = 30.0
"""Wall seconds beyond the deadline: a busy machine is not late."""
SERIAL = (400, 4)
"""The registers of its serial number."""
TCP, RTU, RTU_OVER_TCP = "modbus+tcp", "modbus+rtu", "modbus+rtu+tcp"
Send = Callable[[bytes], None]


def crc16(octets: bytes) -> bytes:
    """The checksum of Modbus RTU, low octet first (V1.02, 6.2.2)."""
    value = 0xFFFF
    for octet in octets:
        value ^= octet
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return value.to_bytes(2, "little")


@dataclass
class Unit:
    """One unit and its wire. Register n holds n, but for the serial number."""

    scheme: str
    fate: str = ""
    fates: list[str] = field(default_factory=list)
    """One fate for each of the next answers, before `fate`."""
    registers: dict[int, int] = field(default_factory=lambda: {at: at for at in range(500)})
    names: tuple[bytes, ...] = (b"Bench Cooling", b"RPU-100", b"0311")
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    requests: list[bytes] = field(default_factory=list)
    port: int = 0
    _kept: list[bytes] = field(default_factory=list)
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)
    _left: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None
    _ends: tuple[int, int] = (-1, -1)

    @property
    def address(self) -> str:
        """As in a bay file."""
        return (
            f"{RTU}://{os.ttyname(self._ends[1])}" if self.scheme == RTU else f"{self.scheme}://127.0.0.1:{self.port}"
        )

    async def open(self) -> None:
        """Be there, at the address of before where there was one."""
        if self.scheme != RTU:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]
        elif self._ends[0] < 0:
            self._ends = os.openpty()
            for end in self._ends:
                tty.setraw(end)
            os.set_blocking(self._ends[0], False)
            asyncio.get_running_loop().add_reader(self._ends[0], self._hear)

    async def close(self) -> None:
        """Hang up: connections are cut, nobody listens."""
        if self._server is not None:
            self._server.close()
            await self.hang_up()
            await self._server.wait_closed()
            self._server = None
        if self._ends[0] >= 0:
            asyncio.get_running_loop().remove_reader(self._ends[0])
            for end in self._ends:
                os.close(end)
            self._ends = (-1, -1)

    async def hang_up(self) -> None:
        """Cut the connections and go on listening; returns once an asynchronous client has noticed."""
        while self._writers:
            writer = self._writers.pop()
            if self.scheme == TCP:
                writer.write_eof()
                await self._left.wait()
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    def noise(self, octets: bytes) -> None:
        """Octets out of the blue."""
        if self._ends[0] >= 0:
            os.write(self._ends[0], octets)
        for writer in self._writers:
            writer.write(octets)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self._left.clear()
        heard = b""
        with suppress(ConnectionError):
            while data := await reader.read(512):
                heard = self._take(heard + data, writer.write)
        self._left.set()
        if writer in self._writers:
            self._writers.remove(writer)
        writer.close()

    def _hear(self) -> None:
        master = self._ends[0]

        def send(data: bytes) -> None:
            os.write(master, data)

        self._take(os.read(master, 512), send)

    def _take(self, heard: bytes, send: Send) -> bytes:
        while len(heard) >= 7:
            long = 6 + int.from_bytes(heard[4:6], "big") if self.scheme == TCP else 7 if heard[1] == 0x2B else 8
            if len(heard) < long:
                break
            request, heard = heard[:long], heard[long:]
            pdu = request[7:] if self.scheme == TCP else request[1:-2]
            self.requests.append(request)
            self._utter(self._framed(request, self._answer(pdu)), send)
            self.asked.set()
        return heard

    def _framed(self, request: bytes, pdu: bytes) -> bytes:
        if self.scheme == TCP:
            return request[:4] + (1 + len(pdu)).to_bytes(2, "big") + request[6:7] + pdu
        return request[:1] + pdu + crc16(request[:1] + pdu)

    def _answer(self, pdu: bytes) -> bytes:
        if pdu[0] == 0x2B:
            objects = b"".join(bytes([at, len(text)]) + text for at, text in enumerate(self.names))
            return bytes([0x2B, 0x0E, 1, 1, 0, 0, len(self.names)]) + objects if self.names else b"\xab\x01"
        first, number = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
        if pdu[0] == 6:
            self.registers[first] = number
            return pdu
        words = [self.registers.get(first + at) for at in range(number)]
        if None in words:
            return b"\x83\x02"
        return bytes([3, 2 * number]) + b"".join((word or 0).to_bytes(2, "big") for word in words)

    def _utter(self, answer: bytes, send: Send) -> None:
        fate = self.fates.pop(0) if self.fates else self.fate
        loop = asyncio.get_running_loop()
        if fate == "slow":
            due = loop.time() + 1.5 * TIMEOUT
            loop.call_at(due, lambda: self._later(send, answer, due))
        elif fate == "late":
            kept, self._kept = self._kept, [answer]
            if kept:
                send(b"".join(kept))
        elif fate == "later":  # later than the one after it
            self._kept.append(answer)
        elif fate != "silent":
            kept, self._kept = self._kept, []
            whole = {
                "half": answer[: len(answer) // 2],
                "garbage": b"\x55\xaa\x12\x00\x00\x07\x07",
                "duplicate": answer + answer,
                "crc": answer[:-1] + bytes([answer[-1] ^ 1]),
                "prefixed": b"\x55\xaa" + answer,
                "trailing": answer + b"\x00",
                "other-unit": bytes([answer[0] + 1]) + answer[1:-2] + crc16(bytes([answer[0] + 1]) + answer[1:-2]),
                "stale-number": b"\x00\x00" + answer[2:],
            }.get(fate, answer)
            send(b"".join(kept) + whole)

    def _later(self, send: Send, answer: bytes, due: float) -> None:
        if asyncio.get_running_loop().time() > due + TIMEOUT / 4:
            return  # this process was held up: whoever asked has waited no longer than we have, and might still listen
        if self._server is not None or self._ends[0] >= 0:
            with suppress(OSError):
                send(answer)


@dataclass
class Bench:
    """A unit and the link to it."""

    unit: Unit
    link: ModbusLink

    async def ends(self, call: Awaitable[object]) -> DeviceError | None:
        """The error in which a call ends, None where it does not fail; it does end."""
        try:
            async with asyncio.timeout(self.link.deadline + GUARD):
                await call
        except DeviceError as error:
            told = error
        else:
            return None
        assert told.device == "cdu-1"
        assert told.attempted
        assert told.seen
        assert told.advice
        return told

    async def fails(self, *kinds: type[DeviceError], write: bool = True) -> DeviceError:
        """A read ends in one of these errors, and so does a write."""
        if write:
            assert isinstance(await self.ends(self.link.write(UNIT, 450, [7])), kinds)
        error = await self.ends(self.link.read(UNIT, 10, 4))
        assert isinstance(error, kinds), repr(error)
        return error

    async def works(self) -> None:
        """Values are those of the registers that were asked for."""
        for first in (10, 110, 210):
            assert await self.link.read(UNIT, first, 4) == tuple(range(first, first + 4))


class OnBench(Protocol):
    """Runs a scenario on a bench of its own."""

    def __call__(
        self, scheme: str, scenario: Callable[[Bench], Awaitable[None]], *, timeout: float = TIMEOUT
    ) -> None: ...


@pytest.fixture
def on_bench() -> OnBench:
    """Runs a scenario against a fresh unit."""

    def start(scheme: str, scenario: Callable[[Bench], Awaitable[None]], *, timeout: float = TIMEOUT) -> None:
        async def run() -> None:
            unit = Unit(scheme)
            await unit.open()
            what = Connection("cdu-1", unit.address, options={"timeout": timeout}, now=lambda: datetime.now(UTC))
            link = connect_modbus(what)
            try:
                await scenario(Bench(unit, link))
            finally:
                await link.close()
                await unit.close()

        asyncio.run(run())

    return start
