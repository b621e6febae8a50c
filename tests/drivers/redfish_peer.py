"""A Redfish service for tests that speaks HTTP/1.1 octet by octet, so that it can also speak it wrong (DSP0266)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from drivers.transports.redfish import RedfishWire
from harness.connection import Connection, Secret

DEVICE = "tray-01"
PASSWORD = "correct horse"
SESSIONS = "/redfish/v1/SessionService/Sessions"


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate for 127.0.0.1 and its key in one file."""

    pem: Path
    fingerprint: str


def certificate(folder: Path, name: str = "bmc") -> Certificate:
    """A new one in `folder`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = folder / f"{name}.pem"
    pem.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return Certificate(pem, made.fingerprint(hashes.SHA256()).hex())


@dataclass
class Call:
    """One request as it came; `writer` for answers that are no HTTP, `connection` counts them from 1."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int
    writer: asyncio.StreamWriter


Answer = Callable[[Call], Awaitable[bytes]]
"""What to do with a request: the octets to send are given back; ConnectionAbortedError hangs up."""


def reply(body: object = None, status: int = 200, **headers: str) -> bytes:
    """A whole answer. Octets are sent as they are, anything else as JSON; a header's name takes _ for -."""
    sent = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    given = {"Content-Type": "application/json", "Content-Length": str(len(sent))}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"HTTP/1.1 {status} Said\r\n{head}\r\n".encode() + sent


def always(octets: bytes) -> Answer:
    """Answers every request with the same octets."""

    async def answer(call: Call) -> bytes:
        return octets

    return answer


@dataclass
class Bmc:
    """A service with sessions as they should be, and with answers by path, or to everything by `whatever`."""

    shown: Certificate
    answers: dict[str, Answer] = field(default_factory=dict)
    whatever: Answer | None = None
    calls: list[Call] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    password: str = PASSWORD
    uuid: str = "11111111-0000-4000-8000-000000000001"
    port: int = 0
    connections: int = 0
    logins: int = 0

    def __post_init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen, on the same port as before where there was one."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.shown.pem)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Vanish as in a power cut: nothing listens, every connection is gone, every session forgotten."""
        if self._server is not None:
            self._server.close()
        for writer in self._open:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0.01)  # an aborted transport closes its socket one turn of the loop later
        self._server = None
        self.tokens.clear()

    def asked(self, path: str, method: str = "") -> int:
        """How often a path was asked for."""
        return sum(call.path == path and method in ("", call.method) for call in self.calls)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number, task = self.connections, asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        try:
            while True:
                call = await _request(reader, writer, number)
                self.calls.append(call)
                writer.write(await (self.whatever or self._answer)(call))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            self._open.discard(writer)
            writer.transport.abort()

    async def _answer(self, call: Call) -> bytes:
        if call.path == "/redfish/v1/":
            return reply({"UUID": self.uuid, "Links": {"Sessions": {"@odata.id": SESSIONS}}})
        if (call.method, call.path) == ("POST", SESSIONS):
            return self._log_in(call)
        token = call.headers.get("x-auth-token", "")
        if token not in self.tokens:
            return reply({"error": {"message": "no session"}}, 401)
        if call.method == "DELETE" and self.tokens[token] == call.path:
            del self.tokens[token]
            return reply(status=204)
        answer = self.answers.get(call.path)
        return await answer(call) if answer else reply({"error": {"message": "none"}}, 404)

    def _log_in(self, call: Call) -> bytes:
        self.logins += 1
        if json.loads(call.body)["Password"] != self.password:
            return reply({"error": {"message": f"wrong {PASSWORD}"}}, 401)
        token, place = f"token-{self.logins}-{self.uuid}", f"{SESSIONS}/{self.logins}"
        self.tokens[token] = place
        return reply({}, 201, X_Auth_Token=token, Location=place)


async def _request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> Call:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Call(method, path, headers, body, connection, writer)


def connection(bmc: Bmc, password: str = PASSWORD, **options: str | float) -> Connection:
    """As a bay file describes this service; the certificate is pinned where no option says otherwise."""
    usual: dict[str, str | float] = {"fingerprint": bmc.shown.fingerprint, "timeout": 30.0}
    return Connection(
        DEVICE,
        f"https://127.0.0.1:{bmc.port}",
        user="admin",
        secrets={"password": Secret("bmc", password)},
        options=usual | options,
        now=lambda: datetime.now(UTC),
    )


@contextlib.asynccontextmanager
async def serving(shown: Certificate) -> AsyncIterator[Bmc]:
    """A service that runs."""
    bmc = Bmc(shown)
    await bmc.start()
    try:
        yield bmc
    finally:
        await bmc.stop()


@contextlib.asynccontextmanager
async def logged_in(bmc: Bmc, **options: str | float) -> AsyncIterator[RedfishWire]:
    """Our wire to it, open."""
    wire = RedfishWire.of(connection(bmc, PASSWORD, **options))
    try:
        await wire.open()
        yield wire
    finally:
        await wire.close()


@contextlib.contextmanager
def impatient(wire: RedfishWire, seconds: float) -> Iterator[None]:
    """Our wire waits no longer than this meanwhile: for what is never answered. Whoever answers is given his time."""
    patient, faults = wire._timeout, wire._faults
    wire._timeout, wire._faults = seconds, replace(faults, timeout=seconds)
    try:
        yield
    finally:
        wire._timeout, wire._faults = patient, faults


def events(sent: bytes) -> Callable[[Call], Awaitable[bytes]]:
    """A stream of events that stays open."""

    async def answer(call: Call) -> bytes:
        call.writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + sent)
        await call.writer.drain()
        await asyncio.Event().wait()
        return b""

    return answer
