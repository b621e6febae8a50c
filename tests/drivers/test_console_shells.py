"""A real shell behind a tty, a raw TCP server and a terminal server: the same console by every way in.

The shell is bash on a pty of its own; the terminal server is pyserial's own implementation of RFC 2217.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import shutil
import socket
import subprocess
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

import pytest
import serial
from serial import rfc2217

from drivers.console import SerialConsole, connect
from harness.connection import Connection
from harness.errors import Misbehaved, Unreachable
from tests.drivers.leap import leap, reached

Read = Callable[[], bytes]
Write = Callable[[bytes], object]
PROMPT = b"bench@tray-01:~$ "


class Cord:
    """Joins two file descriptors in a thread of its own, until it is cut or one of them ends."""

    def __init__(self, one: int, other: int) -> None:
        self._ends = {one: other, other: one}
        self._wake, self._cut = os.pipe()
        for end in (one, other):
            os.set_blocking(end, False)
        self._thread = threading.Thread(target=self._carry)
        self._thread.start()

    def cut(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._cut, b"x")
        self._thread.join()
        os.close(self._wake)
        os.close(self._cut)

    def _carry(self) -> None:
        while True:
            ready, _, _ = select.select([*self._ends, self._wake], [], [])
            if self._wake in ready:
                return
            for end in ready:
                try:
                    octets = os.read(end, 4096)
                    left = octets
                    while left:  # whoever is full is waited for, unless the cord is cut meanwhile
                        if self._wake in select.select([self._wake], [self._ends[end]], [])[0]:
                            return
                        with contextlib.suppress(BlockingIOError):
                            left = left[os.write(self._ends[end], left) :]
                except OSError:
                    return
                if not octets:
                    return


@contextmanager
def shell() -> Iterator[int]:
    """An interactive bash; gives the end of its terminal at which one types."""
    bash, setsid = shutil.which("bash"), shutil.which("setsid")
    if bash is None or setsid is None:
        pytest.skip("bash or setsid is not installed")
    ours, far = os.openpty()
    process = subprocess.Popen(
        [setsid, "--ctty", bash, "--noprofile", "--norc", "-i"],
        stdin=far,
        stdout=far,
        stderr=far,
        env={
            "PATH": os.environ["PATH"],
            "TERM": "vt100",
            "PS1": PROMPT.decode(),
            "HISTFILE": "",
            "LC_ALL": "C.UTF-8",
        },
    )
    os.close(far)
    try:
        printed = b""
        while not printed.endswith(PROMPT):  # before anybody presses a key
            assert select.select([ours], [], [], 60)[0], "bash does not start"
            printed += os.read(ours, 4096)
        yield ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@contextmanager
def by_tty(terminal: int) -> Iterator[str]:
    ours, far = os.openpty()
    tty.setraw(far)
    cord = Cord(ours, terminal)
    try:
        yield f"serial://{os.ttyname(far)}?baud=115200"
    finally:
        cord.cut()
        os.close(ours)
        os.close(far)


@contextmanager
def by_socket(terminal: int) -> Iterator[str]:
    with ExitStack() as stack, socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                caller = stack.enter_context(server.accept()[0])
                stack.callback(Cord(caller.fileno(), terminal).cut)

        accepting = threading.Thread(target=serve)
        accepting.start()
        try:
            yield f"socket://127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            accepting.join()


@contextmanager
def by_rfc2217(terminal: int) -> Iterator[str]:
    """pyserial's `PortManager` before a port that leads to the terminal; a pty would have no modem lines."""
    with (
        by_socket(terminal) as inner,
        serial.serial_for_url(inner, timeout=0.05) as port,
        socket.create_server(("127.0.0.1", 0)) as server,
    ):
        ended = threading.Event()
        serving = threading.Thread(target=_serve_rfc2217, args=(port, server, ended))
        serving.start()
        try:
            yield f"rfc2217://127.0.0.1:{server.getsockname()[1]}?baud=9600"
        finally:
            ended.set()
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            serving.join()


class _Network:
    """A connection as `PortManager` wants it."""

    def __init__(self, caller: socket.socket) -> None:
        self.write: Write = caller.sendall


def _serve_rfc2217(port: serial.Serial, server: socket.socket, ended: threading.Event) -> None:
    with contextlib.suppress(OSError):
        caller, _ = server.accept()
        with caller:
            caller.settimeout(0.05)
            manager = rfc2217.PortManager(port, _Network(caller))  # type: ignore[arg-type]  # the stubs name the client
            printing = threading.Thread(target=_print_to, args=(caller, manager, port, ended))
            printing.start()
            try:
                while not ended.is_set():
                    with contextlib.suppress(TimeoutError):
                        asked = caller.recv(4096)
                        if not asked:
                            break
                        port.write(b"".join(manager.filter(asked)))
            finally:
                ended.set()
                printing.join()


def _print_to(caller: socket.socket, manager: rfc2217.PortManager, port: serial.Serial, ended: threading.Event) -> None:
    with contextlib.suppress(OSError, serial.SerialException):
        while not ended.is_set():
            caller.sendall(b"".join(manager.escape(port.read(1))))


WAYS = {"tty": by_tty, "socket": by_socket, "rfc2217": by_rfc2217}
RFC2217 = pytest.mark.filterwarnings(r"ignore:set\w+\(\) is deprecated:DeprecationWarning")  # by pyserial 3.5


async def woken(address: str) -> SerialConsole:
    """An open console at whose shell Return has been pressed: its prompt was printed before."""
    made = connect(Connection("tray-01-console", address, now=lambda: datetime.now(UTC)))
    await made.open()
    assert await made.command("") == ""
    return made


@RFC2217
@pytest.mark.parametrize("way", WAYS)
def test_a_real_shell_by_every_way_in(way: str) -> None:
    async def scenario(address: str) -> None:
        made = await woken(address)
        try:
            assert await made.prompt() == "bench@tray-01:~$"
            assert await made.command("echo $((6 * 7)) $(tty >/dev/null && echo on a terminal)") == "42 on a terminal"
            assert await made.command("printf 'no end'") == "no end"
            assert await made.command("printf '\\033[1mbold\\033[0m\\a\\n\\377\\n\\n'") == "bold\n\ufffd\n"
            long = "echo " + " ".join(f"word-{number}" for number in range(40))
            assert await made.command(long) == long.removeprefix("echo ")
            assert await made.command("PS1='other# '") == ""
            assert await made.prompt() == "other#"
            counted = await made.command("seq 2000")
            assert counted.splitlines() == [str(number) for number in range(1, 2001)]
            said = [line.text for line in await made.captured()]
            assert said.count("42 on a terminal") == 1
            assert {str(number) for number in range(1, 2001)} <= set(said)
        finally:
            await made.close()

    with shell() as terminal, WAYS[way](terminal) as address:
        asyncio.run(scenario(address))


def test_a_program_that_waits_keeps_the_deadline() -> None:
    async def scenario(address: str) -> None:
        made = await woken(address)
        try:
            asking = asyncio.create_task(made.command("cat", deadline=30))
            await reached(lambda: b"cat\r\n" in made._wire.heard(0, 100)[1])
            leap(30)
            with pytest.raises(Unreachable, match="no prompt came within 30 s"):
                await asking
            with pytest.raises(Unreachable, match="stands"):
                await made.command("id", deadline=0.7)
        finally:
            await made.close()

    with shell() as terminal, by_tty(terminal) as address:
        asyncio.run(scenario(address))


def test_a_program_without_end_is_cut_off() -> None:
    async def scenario(address: str) -> None:
        made = await woken(address)
        try:
            with pytest.raises(Misbehaved, match="and no prompt"):
                await made.command("yes", deadline=60)
        finally:
            await made.close()

    with shell() as terminal, by_tty(terminal) as address:
        asyncio.run(scenario(address))


def test_a_line_that_is_not_complete_is_no_answer() -> None:
    async def scenario(address: str) -> None:
        made = await woken(address)
        try:
            asking = asyncio.create_task(made.command("echo 'one", deadline=30))
            await reached(lambda: made._wire.heard(0, 100)[1].endswith(b"> "))
            leap(30)
            with pytest.raises(Unreachable, match="it stands at '>'"):
                await asking
        finally:
            await made.close()

    with shell() as terminal, by_tty(terminal) as address:
        asyncio.run(scenario(address))


@RFC2217
def test_a_terminal_server_that_hangs_up() -> None:
    """Lost, said so, and no line is made up for what was not heard."""

    async def scenario(terminal: int) -> None:
        with by_rfc2217(terminal) as address:
            made = await woken(address)
            assert await made.command("echo before") == "before"
        try:
            with pytest.raises(Unreachable):
                await made.command("echo after", deadline=5)
            with pytest.raises(Unreachable):
                await made.captured()
        finally:
            await made.close()

    with shell() as terminal:
        asyncio.run(scenario(terminal))
