"""The console's driver on a real pty and a real socket: nothing that was said may be lost in silence."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tty
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.console import SerialConsole, connect
from drivers.transports.console import ConsoleTarget, ConsoleWire
from harness.capabilities import Console, ConsoleLine
from harness.connection import Connection, Driver
from harness.errors import DefinitionError, Misbehaved, Unreachable

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


def at(address: str) -> Connection:
    return Connection("tray-01-console", address, now=lambda: NOW)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A serial line: our end as a file descriptor, and a name for the far end that can be plugged elsewhere."""
    ours, far = os.openpty()
    tty.setraw(far)
    name = tmp_path / "ttyS0"
    name.symlink_to(os.ttyname(far))
    yield ours, name
    for each in (ours, far):
        try:
            os.close(each)
        except OSError:
            continue


async def lines(console: SerialConsole, count: int, since: int = 0) -> list[str]:
    """The texts from `since` on, once there are `count`; fails after a minute."""
    for _ in range(1200):
        found = await console.captured(since)
        if len(found) >= count:
            return [each.text for each in found]
        await asyncio.sleep(0.05)
    raise AssertionError(f"{count} lines never came")


def test_lines_are_numbered_and_dated(line: tuple[int, Path]) -> None:
    async def scenario() -> None:
        console = connect(at(f"serial://{line[1]}?baud=115200"))
        assert isinstance(console, Driver)
        assert isinstance(console, Console)
        await console.open()
        try:
            os.write(line[0], b"first\r\nsecond\n\n\x1b[1;31mthird\x1b[0m\x00\r\nnot fin")
            assert await lines(console, 3) == ["first", "second", "third"]
            os.write(line[0], b"ished\xff\n")
            assert await lines(console, 1, since=3) == ["not finished�"]
            assert (await console.captured())[0].at == NOW
            assert await console.captured(4) == ()
        finally:
            await console.close()

    asyncio.run(scenario())


def test_the_last_words_need_no_end_of_line(line: tuple[int, Path]) -> None:
    async def scenario() -> None:
        console = connect(at(f"serial://{line[1]}"))
        await console.open()
        try:
            os.write(line[0], b"Kernel panic - not syncing: Fatal")
            await lines(console, 1)
            assert len(console.problems(await console.captured())) == 1
        finally:
            await console.close()

    asyncio.run(scenario())


def test_a_line_without_end_is_broken_up(line: tuple[int, Path]) -> None:
    async def scenario() -> None:
        console = connect(at(f"serial://{line[1]}"))
        await console.open()
        try:
            for _ in range(10):
                await asyncio.to_thread(os.write, line[0], b"x" * 1000)
            os.write(line[0], b"\n")
            found = await lines(console, 3)
            assert [len(each) for each in found] == [4096, 4096, 10000 - 2 * 4096]
        finally:
            await console.close()

    asyncio.run(scenario())


def test_a_port_that_is_not_there() -> None:
    async def scenario() -> None:
        console = connect(at("serial:///dev/nowhere"))
        with pytest.raises(Unreachable, match="nowhere"):
            await console.open()
        with pytest.raises(Unreachable, match="never opened"):
            await console.captured()
        await console.close()
        await console.close()

    asyncio.run(scenario())


def test_a_port_that_vanishes_and_comes_back(line: tuple[int, Path]) -> None:
    async def scenario() -> None:
        ours, name = line
        console = connect(at(f"serial://{name}"))
        await console.open()
        again, far = os.openpty()
        tty.setraw(far)
        try:
            os.write(ours, b"before\n")
            await lines(console, 1)
            os.close(ours)
            assert await _is_lost(console)
            name.unlink()
            name.symlink_to(os.ttyname(far))
            for _ in range(1200):
                if not await _is_lost_now(console):
                    break
                await asyncio.sleep(0.05)
            os.write(again, b"after\n")
            found = await lines(console, 3)
            assert (found[0], found[2]) == ("before", "after")
            assert "the console is back" in found[1]
        finally:
            await console.close()
            os.close(again)
            os.close(far)

    asyncio.run(scenario())


async def _is_lost_now(console: SerialConsole) -> bool:
    try:
        await console.captured()
    except Unreachable:
        return True
    return False


async def _is_lost(console: SerialConsole) -> bool:
    for _ in range(1200):
        if await _is_lost_now(console):
            return True
        await asyncio.sleep(0.05)
    return False


def test_a_terminal_server() -> None:
    async def scenario() -> None:
        callers: list[asyncio.StreamWriter] = []
        opened = asyncio.Event()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            callers.append(writer)
            await opened.wait()  # pyserial drops what comes while it opens a port
            writer.write(b"login:\n")

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        console = connect(at(f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
        await console.open()
        opened.set()
        try:
            assert await lines(console, 1) == ["login:"]
            server.close()
            callers[0].close()
            assert await _is_lost(console)
        finally:
            await console.close()
            server.close()
            for caller in callers:
                caller.close()
                with contextlib.suppress(OSError):
                    await caller.wait_closed()

    asyncio.run(scenario())


def test_lines_that_came_too_fast_are_missed_aloud() -> None:
    wire = ConsoleWire(ConsoleTarget("tray-01-console", "/dev/x", 9600), lambda: NOW, kept=3)
    wire._set_lost("")
    assert wire._take(b"0\n1\n2\n3\n4\nrest", final=False) == b"rest"
    assert [each.text for each in wire.captured(2)] == ["2", "3", "4"]
    with pytest.raises(Misbehaved, match="lines 0 to 1"):
        wire.captured(0)


@given(st.lists(st.binary(max_size=40), max_size=12))
def test_how_the_octets_are_cut_makes_no_difference(pieces: list[bytes]) -> None:
    whole, cut = (ConsoleWire(ConsoleTarget("c", "/dev/x", 9600), lambda: NOW) for _ in range(2))
    for wire in (whole, cut):
        wire._set_lost("")
    whole._take(b"".join(pieces), final=True)
    rest = b""
    for piece in pieces:
        rest = cut._take(rest + piece, final=False)
    cut._take(rest, final=True)
    assert whole.captured(0) == cut.captured(0)


def test_problems() -> None:
    console = connect(at("serial:///dev/x"))
    said = [
        ConsoleLine(NOW, "Booting"),
        ConsoleLine(NOW, "[   12.0] Kernel panic - not syncing: Attempted to kill init!"),
        ConsoleLine(NOW, "watchdog: BUG: soft lockup - CPU#3 stuck for 22s! [gpu_burn:77]"),
        ConsoleLine(NOW, "NVRM: Xid (PCI:0000:0f:00): 79, pid=1, GPU has fallen off the bus."),
        ConsoleLine(NOW, "login:"),
    ]
    assert list(console.problems(said)) == said[1:4]


@pytest.mark.parametrize(
    ("address", "url", "baud"),
    [
        ("serial:///dev/ttyUSB0", "/dev/ttyUSB0", 115200),
        ("serial:///dev/pts/7?baud=9600", "/dev/pts/7", 9600),
        ("socket://127.0.0.1:4001", "socket://127.0.0.1:4001", 115200),
        ("rfc2217://10.0.0.1:4001?baud=9600&ign_set_control", "rfc2217://10.0.0.1:4001?ign_set_control", 9600),
    ],
)
def test_addresses(address: str, url: str, baud: int) -> None:
    assert ConsoleTarget.of(at(address)) == ConsoleTarget("tray-01-console", url, baud)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ssh://127.0.0.1",
        "serial://ttyS0",
        "serial:///dev/x?baud=fast",
        "serial:///dev/x?baud=0",
        "serial:///dev/x?parity=E",
        "socket://127.0.0.1",
        "socket://127.0.0.1:port",
    ],
)
def test_addresses_that_cannot_be_meant(address: str) -> None:
    with pytest.raises(DefinitionError, match="tray-01-console"):
        connect(at(address))


def test_an_option_that_it_does_not_know() -> None:
    with pytest.raises(DefinitionError, match="colour"):
        connect(Connection("c", "serial:///dev/x", options={"colour": "red"}, now=lambda: NOW))
