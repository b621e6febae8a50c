"""An SSH host for tests (asyncssh, not the drivers' library), which can be stopped, exchanged and faked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import asyncssh

from drivers.transports.ssh import SshTarget, SshWire
from harness.connection import Connection, Secret

DEVICE = "tray-01-host"
PASSWORD = "correct horse"
KEY = asyncssh.generate_private_key("ssh-ed25519")
OTHER = asyncssh.generate_private_key("ssh-ed25519")
Process = Any
"""An asyncssh.SSHServerProcess of bytes."""
Answer = Callable[[Process], Awaitable[None]]
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Host:
    """A host whose commands a test answers; counts connections and logins. `options` are asyncssh's of a server."""

    answer: Answer
    key: Any = KEY
    password: str = PASSWORD
    options: dict[str, Any] = field(default_factory=dict)
    passwords: list[str] = field(default_factory=list)
    connections: list[Any] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    patience: float = 0.0
    """Wall seconds that a login takes."""
    stuck: bool = False
    """Takes sessions, and does not answer what is asked in them."""
    sessions: int = 10
    """How many sessions one connection may have open at once (sshd_config, MaxSessions)."""
    hang_ups: int = 0
    """How many more requests for a session end the whole connection."""
    signals: list[str] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        self._server: Any = None
        self._fake: asyncio.Server | None = None
        self._callers: list[asyncio.StreamWriter] = []
        self._changed = asyncio.Event()

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait for what commands, passwords and signals have come to."""
        while not reached():
            self._changed.clear()
            await self._changed.wait()

    async def start(self) -> None:
        """Listen, on the same port as before where there was one."""
        host = self

        class Mute(asyncssh.SSHServerSession[bytes]):
            def exec_requested(self, command: str) -> Any:
                return None  # neither yes nor no: asyncssh sends no answer

        class Shell(asyncssh.SSHServerProcess[bytes]):
            others: set[Any]

            def signal_received(self, signal: str) -> None:
                host.signals.append(signal)
                host._changed.set()

            def connection_lost(self, exc: Exception | None) -> None:
                self.others.discard(self)
                super().connection_lost(exc)

        class Login(asyncssh.SSHServer):
            def __init__(self) -> None:
                self.running: set[Any] = set()

            def connection_made(self, conn: Any) -> None:
                self.connection = conn
                host.connections.append(conn)

            def begin_auth(self, username: str) -> bool:
                return True

            def password_auth_supported(self) -> bool:
                return True

            async def validate_password(self, username: str, password: str) -> bool:
                host.passwords.append(password)
                host._changed.set()
                await asyncio.sleep(host.patience)
                return password == host.password

            def session_requested(self) -> Any:
                if host.hang_ups:
                    host.hang_ups -= 1
                    self.connection.abort()
                    return False
                if len(self.running) >= host.sessions:
                    raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "Connect failed")
                if host.stuck:
                    return Mute()
                made = Shell(host._handle, None, 0, False)
                made.others = self.running
                self.running.add(made)
                return made

        self._server = await asyncssh.create_server(
            Login, "127.0.0.1", self.port, server_host_keys=[self.key], encoding=None, **self.options
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _handle(self, process: Process) -> None:
        self.commands.append(process.command)
        self._changed.set()
        await self.answer(process)

    async def stop(self) -> None:
        """Vanish as in a power cut."""
        if self._server is not None:
            self._server.close()
            for each in self.connections:
                each.abort()
                await each.wait_closed()
            await self._server.wait_closed()
        if self._fake is not None:
            self._fake.close()
            for caller in self._callers:
                caller.transport.abort()
        self._server = self._fake = None
        await asyncio.sleep(0.01)  # an aborted transport closes its socket one turn of the loop later

    async def fake(self, talk: Talk) -> None:
        """Let something else answer at the same address."""
        await self.stop()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._callers.append(writer)
            await talk(reader, writer)

        self._fake = await asyncio.start_server(serve, "127.0.0.1", self.port)


def public(key: Any) -> str:
    """As in a bay file."""
    return str(key.export_public_key().decode().strip())


def connection(port: int, *, password: str = PASSWORD, key: Any = KEY, timeout: float = 30.0) -> Connection:
    """As a bay file describes this host."""
    return Connection(
        DEVICE,
        f"ssh://127.0.0.1:{port}",
        user="root",
        secrets={"password": Secret("host", password)},
        options={"host_key": public(key), "timeout": timeout},
        now=lambda: datetime.now(UTC),
    )


@asynccontextmanager
async def serving(answer: Answer, **options: Any) -> AsyncIterator[Host]:
    """A host that runs."""
    host = Host(answer, options=options)
    await host.start()
    try:
        yield host
    finally:
        await host.stop()


@asynccontextmanager
async def logged_in(host: Host, timeout: float = 30.0) -> AsyncIterator[SshWire]:
    """Our wire to it, open."""
    wire = SshWire(SshTarget.of(connection(host.port, timeout=timeout)))
    try:
        await wire.open()
        yield wire
    finally:
        await wire.close()


@contextmanager
def impatient(wire: SshWire, seconds: float) -> Iterator[None]:
    """Our wire waits no longer than this meanwhile: for what is never answered. Whoever answers is given his time."""
    patient = wire._target
    wire._target = replace(patient, timeout=seconds)
    try:
        yield
    finally:
        wire._target = patient


def saying(out: bytes = b"", err: bytes = b"", code: int = 0) -> Answer:
    """A command that says this and ends."""

    async def answer(process: Process) -> None:
        process.stdout.write(out)
        process.stderr.write(err)
        process.exit(code)

    return answer


async def silent(process: Process) -> None:
    """A command that never ends."""
    await process.stdin.read()
    await asyncio.Event().wait()
