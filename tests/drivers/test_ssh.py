"""The SSH wire against a real server: host keys, logins, big outputs, dead links and deadlines."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from drivers.transports.ssh import SshTarget, SshWire
from harness.connection import Connection, Secret
from harness.errors import DefinitionError, Misbehaved, Refused, Unreachable

PASSWORD = "correct horse"
KEY = asyncssh.generate_private_key("ssh-ed25519")
OTHER = asyncssh.generate_private_key("ssh-ed25519")
Process = Any
"""An asyncssh.SSHServerProcess of bytes."""


@dataclass
class Server:
    """An SSH server whose commands a test answers; counts connections and logins."""

    answer: Callable[[Process], Awaitable[None]]
    passwords: list[str] = field(default_factory=list)
    connections: list[Any] = field(default_factory=list)
    port: int = 0

    async def handle(self, process: Process) -> None:
        await self.answer(process)


@asynccontextmanager
async def serving(answer: Callable[[Process], Awaitable[None]]) -> AsyncIterator[Server]:
    state = Server(answer)

    class Login(asyncssh.SSHServer):
        def connection_made(self, conn: Any) -> None:
            state.connections.append(conn)

        def begin_auth(self, username: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            state.passwords.append(password)
            return password == PASSWORD

    server = await asyncssh.create_server(
        Login, "127.0.0.1", 0, server_host_keys=[KEY], process_factory=state.handle, encoding=None
    )
    state.port = server.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        server.close()
        for each in state.connections:
            each.abort()
            await each.wait_closed()
        await server.wait_closed()
        await asyncio.sleep(0.01)  # an aborted transport closes its socket one turn of the loop later


def public(key: Any) -> str:
    return str(key.export_public_key().decode().strip())


def connection(port: int, *, password: str = PASSWORD, key: Any = KEY, timeout: float = 10.0) -> Connection:
    return Connection(
        "tray-01-host",
        f"ssh://127.0.0.1:{port}",
        user="root",
        secrets={"password": Secret("host", password)},
        options={"host_key": public(key), "timeout": timeout},
        now=lambda: datetime.now(UTC),
    )


@asynccontextmanager
async def logged_in(server: Server, timeout: float = 10.0) -> AsyncIterator[SshWire]:
    wire = SshWire(SshTarget.of(connection(server.port, timeout=timeout)))
    try:
        await wire.open()
        yield wire
    finally:
        await wire.close()


def saying(out: bytes = b"", err: bytes = b"", code: int = 0) -> Callable[[Process], Awaitable[None]]:
    async def answer(process: Process) -> None:
        process.stdout.write(out)
        process.stderr.write(err)
        process.exit(code)

    return answer


async def silent(process: Process) -> None:
    await process.stdin.read()
    await asyncio.Event().wait()


def test_a_command_with_both_outputs_and_its_code() -> None:
    async def scenario() -> None:
        async with serving(saying(b"out\xff\n", b"err\n", 3)) as server, logged_in(server) as wire:
            done = await wire.run("true")
            assert (done.exit_code, done.out, done.err) == (3, "out�\n", "err\n")
            await asyncio.gather(*(wire.run("true") for _ in range(12)))
            assert len(server.connections) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(("out", "err"), [(6 * 2**20, 0), (0, 6 * 2**20), (3 * 2**20, 3 * 2**20)])
def test_outputs_beyond_the_window_do_not_hang(out: int, err: int) -> None:
    async def scenario() -> None:
        async with serving(saying(b"o" * out, b"e" * err)) as server, logged_in(server, timeout=60) as wire:
            done = await wire.run("cat")
            assert (len(done.out), len(done.err)) == (out, err)

    asyncio.run(scenario())


def test_a_wrong_password_is_tried_once_and_never_shown() -> None:
    async def scenario() -> None:
        async with serving(saying()) as server:
            wire = SshWire(SshTarget.of(connection(server.port, password="battery")))
            try:
                for _ in range(3):
                    with pytest.raises(Refused, match="refuses 'root'") as caught:
                        await wire.open()
                    assert "battery" not in str(caught.value)
                with pytest.raises(Refused):
                    await wire.run("true")
                assert server.passwords == ["battery"]
            finally:
                await wire.close()

    asyncio.run(scenario())


def test_another_host_key_gets_no_password() -> None:
    async def scenario() -> None:
        async with serving(saying()) as server:
            wire = SshWire(SshTarget.of(connection(server.port, key=OTHER)))
            with pytest.raises(Misbehaved, match="not the pinned one"):
                await wire.open()
            await wire.close()
            assert server.passwords == []

    asyncio.run(scenario())


def test_known_hosts_decide_where_no_key_is_pinned(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(saying(b"hello")) as server:
            known = tmp_path / "known_hosts"
            for line, works in (
                (f"[127.0.0.1]:{server.port} {public(KEY)}\n", True),
                (f"other {public(KEY)}\n", False),
            ):
                known.write_text(line)
                given = connection(server.port)
                target = SshTarget.of(
                    Connection(
                        given.device,
                        given.address,
                        user=given.user,
                        secrets=given.secrets,
                        options={"known_hosts": str(known)},
                        now=given.now,
                    )
                )
                wire = SshWire(target)
                if works:
                    await wire.open()
                else:
                    with pytest.raises(Misbehaved, match="not known"):
                        await wire.open()
                await wire.close()

    asyncio.run(scenario())


def test_silence_ends_with_the_deadline() -> None:
    async def scenario() -> None:
        async with serving(silent) as server, logged_in(server) as wire:
            with pytest.raises(Unreachable, match="deadline"):
                await wire.run("sleep", deadline=0.3)

    asyncio.run(scenario())


def test_a_command_that_never_stops_talking_ends_with_the_deadline() -> None:
    async def scenario() -> None:
        async def chatter(process: Process) -> None:
            while not process.is_closing():
                process.stdout.write(b"still here\n")
                await asyncio.sleep(0.02)

        async with serving(chatter) as server, logged_in(server) as wire:
            with pytest.raises(Unreachable, match="deadline"):
                await wire.run("yes", deadline=0.3)

    asyncio.run(scenario())


def test_a_host_that_went_dumb_is_connected_to_anew() -> None:
    """The link looks alive, as it does after a power cut: only a new one helps."""

    async def scenario() -> None:
        async with serving(saying(b"hello")) as server, logged_in(server, timeout=1) as wire:
            assert (await wire.run("true")).out == "hello"
            transport = server.connections[0]._transport
            transport.pause_reading()
            with pytest.raises(Unreachable):
                await wire.run("true", deadline=0.2)
            assert (await wire.run("true", deadline=10)).out == "hello"
            assert len(server.connections) == 2

    asyncio.run(scenario())


def test_a_dropped_link_is_tried_once_more_only_where_allowed() -> None:
    async def scenario() -> None:
        commands: list[str] = []

        async def drop_first(process: Process) -> None:
            commands.append(process.command)
            if len(commands) % 2:
                process.channel.get_connection().abort()
            else:
                process.stdout.write(b"back")
                process.exit(0)

        async with serving(drop_first) as server, logged_in(server) as wire:
            assert (await wire.run("read", again=True)).out == "back"
            with pytest.raises(Unreachable, match="broke off"):
                await wire.run("write")
            assert (await wire.run("write")).out == "back"
            assert commands == ["read", "read", "write", "write"]

    asyncio.run(scenario())


def test_a_command_without_an_exit_status_proves_nothing() -> None:
    async def scenario() -> None:
        async def vanish(process: Process) -> None:
            process.stdout.write(b"half an ans")
            process.close()

        async with serving(vanish) as server, logged_in(server) as wire:
            with pytest.raises(Unreachable, match=r"exit status|broke off"):
                await wire.run("true")

    asyncio.run(scenario())


def test_nobody_listens() -> None:
    async def scenario() -> None:
        async with serving(saying()) as server:
            port = server.port
        wire = SshWire(SshTarget.of(connection(port)))
        with pytest.raises(Unreachable, match="no connection"):
            await wire.open()
        await wire.close()
        with pytest.raises(Unreachable, match="not open"):
            await wire.run("true")

    asyncio.run(scenario())


def test_a_port_that_is_no_ssh_server() -> None:
    async def scenario() -> None:
        callers: list[asyncio.StreamWriter] = []

        async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            callers.append(writer)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        server = await asyncio.start_server(mute, "127.0.0.1", 0)
        wire = SshWire(SshTarget.of(connection(server.sockets[0].getsockname()[1], timeout=0.5)))
        with pytest.raises(Unreachable, match="no SSH session"):
            await wire.open()
        await wire.close()
        server.close()
        for caller in callers:
            caller.close()
            with contextlib.suppress(OSError):
                await caller.wait_closed()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("address", "options"),
    [
        ("http://127.0.0.1", {"host_key": public(KEY)}),
        ("ssh://", {"host_key": public(KEY)}),
        ("ssh://127.0.0.1:99999", {"host_key": public(KEY)}),
        ("ssh://127.0.0.1", {}),
        ("ssh://127.0.0.1", {"host_key": "ssh-ed25519 nonsense"}),
        ("ssh://127.0.0.1", {"host_key": "one"}),
        ("ssh://127.0.0.1", {"known_hosts": "/nowhere/known_hosts"}),
        ("ssh://127.0.0.1", {"host_key": public(KEY), "timeout": -1}),
        ("ssh://127.0.0.1", {"host_key": public(KEY), "key_file": "/id"}),
    ],
)
def test_what_cannot_be_meant_is_refused_untouched(address: str, options: dict[str, str | float]) -> None:
    with pytest.raises(DefinitionError, match="tray-01-host"):
        SshTarget.of(
            Connection(
                "tray-01-host",
                address,
                user="root",
                secrets={"password": Secret("host", PASSWORD)},
                options=options,
                now=lambda: datetime.now(UTC),
            )
        )
