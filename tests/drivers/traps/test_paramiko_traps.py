"""The traps of paramiko and of the servers it meets: what they do, and that our wire does not fall into them.

Found by reading and by running 5.1.0. Where it costs little, a test first shows that the library still does it.
Those of the login are in test_paramiko_login_traps.py.

| trap | test |
|---|---|
| `recv_exit_status` before reading hangs past 2 MiB | test_trap_exit_status_before_reading_hangs |
| reading stdout only hangs where stderr exceeds 2 MiB | test_trap_stderr_that_nobody_reads_hangs |
| `timeout` is inactivity, no total | test_trap_timeout_is_inactivity |
| `exec_command` waits for its answer for ever | test_trap_exec_command_has_no_timeout |
| closing a channel leaves its process running | test_trap_closing_a_channel_kills_nothing |
| keep-alive does not notice a stuck peer | test_trap_keepalive_does_not_notice_a_stuck_peer |
| MaxSessions 10: the eleventh channel fails | test_trap_eleventh_session |
| an end, and the channel's close, may come between two looks at it | test_trap_an_end_between_two_looks |
| a login without a terminal has no /usr/sbin in its PATH | test_trap_path_without_sbin |
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import paramiko
import pytest

from drivers.host.node import PATHS
from drivers.host.script import SCRIPT
from drivers.transports import ssh, ssh_link
from harness.errors import Unreachable
from tests.drivers.ssh_peer import (
    PASSWORD,
    Host,
    Process,
    connection,
    logged_in,
    saying,
    serving,
    silent,
)

DRIVERS = Path(__file__).parents[3] / "drivers"
# Read before any thread runs: CPython 3.11's parser is not safe against tracebacks that another thread writes.
TREES = [ast.parse(path.read_text(encoding="utf-8")) for path in DRIVERS.rglob("*.py")]
BIG = 3 * 2**20
"""Beyond paramiko's window of 2 MiB."""


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


async def library(host: Host, use: Callable[[paramiko.Channel], Any]) -> Any:
    """Use a channel of the library's on which a command runs, in a thread."""

    def work() -> Any:
        client = paramiko.SSHClient()
        client.get_host_keys().add(
            f"[127.0.0.1]:{host.port}", "ssh-ed25519", paramiko.PKey.from_type_string("ssh-ed25519", blob())
        )
        client.connect(
            "127.0.0.1", host.port, "root", password=PASSWORD, allow_agent=False, look_for_keys=False, timeout=30
        )
        try:
            channel = client.get_transport().open_session(timeout=30)  # type: ignore[union-attr]
            channel.settimeout(0.5)
            return use(channel)
        finally:
            client.close()

    def blob() -> bytes:
        return bytes(host.key.public_data)

    return await asyncio.to_thread(work)


async def chatter(process: Process) -> None:
    while not process.is_closing():
        process.stdout.write(b"still here\n")
        await asyncio.sleep(0.05)


def test_trap_exit_status_before_reading_hangs() -> None:
    """The window is full, so the command cannot end, so there is no exit status: ours reads first, and to the end."""

    async def scenario() -> None:
        async def cat(process: Process) -> None:
            process.stdout.write(b"o" * BIG)
            await process.stdout.drain()  # as a program: it ends when it is rid of its words
            process.exit(3)

        async with serving(cat) as host:

            def use(channel: paramiko.Channel) -> bool:
                channel.exec_command("cat")
                return channel.status_event.wait(0.5)

            assert not await library(host, use), "the library no longer hangs"
            async with logged_in(host, timeout=60) as wire:
                done = await wire.run("cat")
            assert (done.exit_code, len(done.out)) == (3, BIG)

    run(scenario)


def test_trap_stderr_that_nobody_reads_hangs() -> None:
    """The window is one for both outputs: ours drains both."""

    async def scenario() -> None:
        async with serving(saying(b"end", b"e" * BIG)) as host:

            def use(channel: paramiko.Channel) -> bytes | None:
                channel.exec_command("cat")
                try:
                    while got := channel.recv(2**20):
                        if got.endswith(b"end") and not channel.status_event.wait(0.5):
                            return None
                except TimeoutError:
                    return None
                return b"whole"

            assert await library(host, use) is None, "the library no longer hangs"
            async with logged_in(host, timeout=60) as wire:
                done = await wire.run("cat")
            assert (done.out, len(done.err)) == ("end", BIG)

    run(scenario)


def test_trap_timeout_is_inactivity() -> None:
    """Who speaks now and then never runs into the library's time-out; ours has a deadline for all of it."""

    async def scenario() -> None:
        async with serving(chatter) as host:

            def use(channel: paramiko.Channel) -> int:
                channel.settimeout(0.3)
                channel.exec_command("yes")
                return sum(bool(channel.recv(11)) for _ in range(12))

            assert await library(host, use) == 12, "the time-out is a total one now"
            async with logged_in(host) as wire:
                with pytest.raises(Unreachable, match="deadline"):
                    await asyncio.wait_for(wire.run("yes", deadline=0.4), 60)

    run(scenario)


def test_trap_exec_command_has_no_timeout() -> None:
    """A host that takes a session and says nothing more holds the library for ever; ours ends with its deadline."""
    assert "event.wait()" in inspect.getsource(paramiko.Channel._wait_for_event), "it waits with a time-out now"  # type: ignore[attr-defined]

    async def scenario() -> None:
        async with serving(saying(b"well")) as host, logged_in(host) as wire:
            host.stuck = True
            with pytest.raises(Unreachable, match="deadline"):
                await asyncio.wait_for(wire.run("ask", deadline=0.4), 60)
            host.stuck = False
            assert (await wire.run("ask")).out == "well"

    run(scenario)


def test_trap_closing_a_channel_kills_nothing() -> None:
    """Without a terminal nothing tells the command that its caller has gone; ours asks the host to kill it."""

    async def scenario() -> None:
        async with serving(silent) as host:

            def use(channel: paramiko.Channel) -> None:
                channel.exec_command("sleep")
                channel.close()

            await library(host, use)
            assert host.signals == [], "the library kills it now"
            async with logged_in(host) as wire:
                with pytest.raises(Unreachable):
                    await wire.run("sleep", deadline=0.3)
                abandoned = asyncio.create_task(wire.run("sleep"))
                await host.until(lambda: len(host.commands) == 3)
                abandoned.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await abandoned
                await host.until(lambda: len(host.signals) == 2)
            assert host.signals == ["KILL", "KILL"]

    run(scenario)


def test_trap_keepalive_does_not_notice_a_stuck_peer() -> None:
    """It sends, and never looks for an answer. Ours asks the kernel to look, and distrusts a link after a silence."""

    async def scenario() -> None:
        async with serving(saying(b"well")) as host:
            loop = asyncio.get_running_loop()

            def use(channel: paramiko.Channel) -> bool:
                transport = channel.get_transport()
                transport.set_keepalive(1)
                loop.call_soon_threadsafe(host.connections[-1]._transport.pause_reading)
                channel.status_event.wait(2.0)
                return transport.is_active()

            assert await library(host, use), "the library notices now"
            async with logged_in(host) as wire:
                assert wire._client is not None
                plug: Any = wire._client.get_transport().sock  # type: ignore[union-attr]
                assert plug.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                timeout = plug.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                assert timeout == ssh_link.UNANSWERED
                host.connections[-1]._transport.pause_reading()
                with pytest.raises(Unreachable):
                    await wire.run("ask", deadline=0.2)
                assert (await wire.run("ask")).out == "well"

    run(scenario)


def test_trap_eleventh_session() -> None:
    """sshd gives ten sessions to a connection. Ours takes few, and bears it where others have taken the rest."""

    async def scenario() -> None:
        async def slow(process: Process) -> None:
            await asyncio.sleep(0.02)
            process.exit(0)

        async with serving(slow) as host, logged_in(host) as wire:
            await asyncio.gather(*(wire.run("true") for _ in range(24)))
            assert ssh.SESSIONS < 10
            host.answer = silent
            running = asyncio.create_task(wire.run("sleep"))
            await host.until(lambda: len(host.commands) == 25)
            host.sessions = 1
            with pytest.raises(Unreachable, match=r"opens no further session.*MaxSessions"):
                await wire.run("true", again=True)
            assert not running.done(), "what runs on the same link must go on"
            assert len(host.connections) == 1
            running.cancel()
            host.sessions, host.answer = 10, slow
            assert (await wire.run("true")).exit_code == 0

    run(scenario)


class Ending(paramiko.Channel):
    """A command that prints, ends and closes its channel while it is being asked whether it has ended."""

    def exit_status_ready(self) -> bool:
        ready = super().exit_status_ready()
        if not ready:
            self._feed(b"late")  # type: ignore[attr-defined]
            self.exit_status, self.eof_received = 3, True
            with self.lock:
                self._set_closed()  # type: ignore[attr-defined]
        return ready


def test_trap_an_end_between_two_looks() -> None:
    """What has ended well is no link that broke off, whenever its end comes."""
    job = ssh._Command("true", "run true", time.monotonic() + 30.0, threading.Event())
    wire = ssh.SshWire(ssh.SshTarget.of(connection(1)))
    done = wire._drain(Ending(0), job)
    assert (done.exit_code, done.out) == (3, "late")


def test_trap_path_without_sbin() -> None:
    """A user's shell without a terminal finds no dmidecode, memtester, ethtool: ours adds where they are."""
    for text in (PATHS, SCRIPT):
        assert "/usr/sbin" in text
        assert ":/sbin" in text
    script = f"{PATHS}; echo $PATH"
    told = subprocess.run(
        ["/bin/sh", "-c", script], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True
    ).stdout
    assert told.split(":")[:2] == ["/usr/bin", "/bin"], "what comes first in the host's own PATH stays first"
    assert "/usr/sbin" in told.split(":")
