"""The fault contract of the serial console: what breaks a line is told, what it said is kept, and it comes back.

A console only speaks: nothing is asked of it, so nothing can be answered twice or late.
"""

from __future__ import annotations

import asyncio
import os
import socket
import tty
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drivers.transports import console, console_port
from drivers.transports.console import ConsoleTarget, ConsoleWire
from harness.errors import DeviceError, Misbehaved, Unreachable
from tests.drivers.faults.contract import CONTRACT

NOT_APPLICABLE = {
    "wrong-secret": "a line has no login of its own; that of the host behind it belongs to whoever holds the dialogue",
    "expired-session": "a line has no session",
    "duplicate-reply": "nothing is asked; what is said twice was said twice",
    "late-reply": "nothing is asked; what is said has the instant at which it came",
    "certificate-changed": "tty, raw TCP and RFC 2217 know no certificates",
}
SLACK = 60.0
"""Wall seconds that the guard grants on top of a deadline; a call that needs them has hung."""
BACK = "[rackproof: the console is back; what it said meanwhile is not known]"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class Server:
    """A terminal server of raw TCP, which speaks when told to."""

    def __init__(self) -> None:
        self.port = 0
        self.callers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None
        self._called = asyncio.Event()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """As without power."""
        if self._server is not None:
            self._server.close()
        for each in self.callers:
            each.transport.abort()
        self.callers.clear()
        self._called.clear()
        await asyncio.sleep(0.01)  # an aborted transport closes its socket one turn of the loop later

    async def say(self, octets: bytes) -> None:
        """To the last caller, once there is one."""
        await self._called.wait()
        self.callers[-1].write(octets)
        await self.callers[-1].drain()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.callers.append(writer)
        self._called.set()


def wire_to(server: Server, scheme: str = "socket") -> ConsoleWire:
    return ConsoleWire(ConsoleTarget("tray-01-console", f"{scheme}://127.0.0.1:{server.port}", 115200), lambda: NOW)


@asynccontextmanager
async def capturing() -> AsyncIterator[tuple[Server, ConsoleWire]]:
    server = Server()
    await server.start()
    wire = wire_to(server)
    try:
        await wire.open()
        yield server, wire
    finally:
        await wire.close()
        await server.stop()


async def eventually(reached: Callable[[], bool]) -> None:
    """Wait for the capturing thread, of which there is no event; fails after a minute."""
    for _ in range(2400):
        if reached():
            return
        await asyncio.sleep(0.025)
    raise AssertionError("it never came to that")


def lines(wire: ConsoleWire) -> list[str]:
    return [each.text for each in wire.captured(0)]


def is_lost(wire: ConsoleWire) -> bool:
    try:
        wire.captured(0)
    except Unreachable:
        return True
    return False


def told(error: DeviceError) -> None:
    assert error.device == "tray-01-console"
    assert error.attempted
    assert error.seen
    assert error.advice


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await scenario()

    asyncio.run(whole())


def test_refused_connection() -> None:
    async def scenario() -> None:
        server = Server()
        await server.start()
        await server.stop()
        wire = wire_to(server)
        with pytest.raises(Unreachable, match=r"open the console.*refused") as caught:
            await asyncio.wait_for(wire.open(), console_port.OPENING + SLACK)
        told(caught.value)
        await server.start()
        await wire.open()
        await server.say(b"well\n")
        await eventually(lambda: lines(wire) == ["well"])
        await wire.close()
        await server.stop()

    run(scenario)


def test_silence() -> None:
    """A console may be silent for hours; that its server has gone is found below TCP, where one answers or does not."""

    async def scenario() -> None:
        async with capturing() as (server, wire):
            assert lines(wire) == []
            assert wire._port is not None
            plug = wire._port._socket  # type: ignore[attr-defined]
            assert plug.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            idle, every, count = (
                plug.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
                for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
            )
            assert idle + every * count <= console_port.UNANSWERED
            await server.say(b"well\n")
            await eventually(lambda: lines(wire) == ["well"])

    run(scenario)


@pytest.mark.filterwarnings("ignore:set(Daemon|Name):DeprecationWarning")  # pyserial 3.5
@pytest.mark.parametrize("deadline", [0.4, 10.0])
def test_silence_of_a_terminal_server(monkeypatch: pytest.MonkeyPatch, deadline: float) -> None:
    """RFC 2217 is negotiated: who does not negotiate is no such server, and is found to be none in time."""
    monkeypatch.setattr(console_port, "OPENING", deadline)

    async def scenario() -> None:
        server = Server()
        await server.start()
        wire = wire_to(server, "rfc2217")
        with pytest.raises(Unreachable) as caught:
            await asyncio.wait_for(wire.open(), deadline + SLACK)
        told(caught.value)
        await wire.close()
        await server.stop()

    run(scenario)


def test_slow() -> None:
    """A line that takes longer than a pause counts as ended: its pieces are kept, and none waits for ever."""

    async def scenario() -> None:
        async with capturing() as (server, wire):
            await server.say(b"Kernel pan")
            await eventually(lambda: lines(wire) == ["Kernel pan"])
            await server.say(b"ic\n")
            await eventually(lambda: lines(wire) == ["Kernel pan", "ic"])

    run(scenario)


def test_half_an_answer() -> None:
    """What came before the line broke is kept, though no end of a line did."""

    async def scenario() -> None:
        async with capturing() as (server, wire):
            await server.say(b"whole\nhalf a li")
            await eventually(lambda: lines(wire)[:1] == ["whole"])
            await server.stop()
            await eventually(lambda: is_lost(wire))
            with pytest.raises(Unreachable, match="read the console") as caught:
                wire.captured(0)
            told(caught.value)
            await server.start()
            await server.say(b"ne\n")
            await eventually(lambda: not is_lost(wire) and len(lines(wire)) >= 3)
            assert lines(wire)[:3] == ["whole", "half a li", BACK]

    run(scenario)


def test_garbage() -> None:
    """A wrong speed sounds like this: it is kept as it can be read, in lines of bounded length, and ends nothing."""
    noise = bytes(range(256)) * 64 + b"\x1b[" + b"9" * 5000 + b"\x1b]" + b"x" * 5000

    async def scenario() -> None:
        async with capturing() as (server, wire):
            await server.say(noise)
            await server.say(b"\nwell\n")
            await eventually(lambda: bool(lines(wire)) and lines(wire)[-1] == "well")
            assert all(len(each) <= console.LONGEST for each in lines(wire))
            assert not any(character < " " and character != "\t" for each in lines(wire) for character in each)

    run(scenario)


def test_reboot_in_mid_call() -> None:
    """The line is lost and comes back by itself, and the gap stands in what was captured."""

    async def scenario() -> None:
        async with capturing() as (server, wire):
            await server.say(b"before\n")
            await eventually(lambda: lines(wire) == ["before"])
            await server.stop()
            await eventually(lambda: is_lost(wire))
            await server.start()
            await eventually(lambda: not is_lost(wire))
            await server.say(b"after\n")
            await eventually(lambda: lines(wire) == ["before", BACK, "after"])

    run(scenario)


def test_unit_swapped(tmp_path: Path) -> None:
    """A line says nothing of who is at its end; but nobody is exchanged without a gap, and the gap is said."""

    async def scenario() -> None:
        ends = [os.openpty() for _ in range(2)]
        for _, far in ends:
            tty.setraw(far)
        name = tmp_path / "ttyUSB0"
        name.symlink_to(os.ttyname(ends[0][1]))
        wire = ConsoleWire(ConsoleTarget("tray-01-console", str(name), 115200), lambda: NOW)
        await wire.open()
        os.write(ends[0][0], b"first unit\n")
        await eventually(lambda: lines(wire) == ["first unit"])
        name.unlink()
        name.symlink_to(os.ttyname(ends[1][1]))
        os.close(ends[0][0])
        await eventually(lambda: is_lost(wire))
        await eventually(lambda: not is_lost(wire))
        os.write(ends[1][0], b"second unit\n")
        await eventually(lambda: lines(wire) == ["first unit", BACK, "second unit"])
        await wire.close()
        for end in (ends[0][1], *ends[1]):
            os.close(end)

    run(scenario)


def test_a_flood_is_kept_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines by number and by size: what had to go is missed aloud."""
    monkeypatch.setattr(console, "KEPT_CHARACTERS", 100_000)
    wire = ConsoleWire(ConsoleTarget("tray-01-console", "/dev/x", 9600), lambda: NOW)
    wire._set_lost("")
    for number in range(1000):
        wire._take(f"{number:1000}\n".encode(), final=False)
    with pytest.raises(Misbehaved, match="lines 0 to 899"):
        wire.captured(0)
    assert [each.text for each in wire.captured(998)] == [f"{number:1000}" for number in (998, 999)]
    assert wire._size == sum(len(each.text) for each in wire.captured(900)) == 100_000


def test_every_fault_of_the_contract_is_tested_or_said_not_to_apply() -> None:
    tested = {name for name in CONTRACT if f"test_{name.replace('-', '_')}" in globals()}
    assert tested | set(NOT_APPLICABLE) == CONTRACT
    assert not tested & set(NOT_APPLICABLE)
    assert all(len(reason) > 20 for reason in NOT_APPLICABLE.values())
