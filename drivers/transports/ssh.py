"""SSH to one host: a pinned host key, one login, commands with a total deadline whose both outputs are always drained.

paramiko runs in worker threads of its own (never those of the loop, which others need). Its traps:
`recv_exit_status` before reading blocks for ever past 2 MiB, `timeout` is inactivity and no total, keep-alive does not
notice a stuck peer. Hence one reader loop with its own clock.
"""

from __future__ import annotations

import asyncio
import binascii
import logging
import select
import threading
import time
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import paramiko

from harness.connection import Connection
from harness.errors import DefinitionError, DeviceError, Misbehaved, Refused, Unreachable

# Without a handler Python prints paramiko's complaints into the technician's screen; all of them reach us as errors.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

SESSIONS = 4
"""Commands at once on one connection; sshd allows ten sessions (sshd_config, MaxSessions)."""
MOST_OUTPUT = 32 * 2**20
BLOCK = 65536
POLL = 0.25
KEEP_ALIVE = 15
PROBE = 2.0
"""Wall seconds in which a link in doubt must open a session."""


@dataclass(frozen=True, slots=True)
class Completed:
    """What one command did. Output is decoded as UTF-8, undecodable bytes replaced."""

    exit_code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class SshTarget:
    """Where to, as whom, and how the host proves itself: a pinned `host_key` or a `known_hosts` file."""

    device: str
    host: str
    port: int
    user: str
    password: str | None
    key_file: str | None
    host_key: str | None
    known_hosts: str | None
    timeout: float

    @classmethod
    def of(cls, connection: Connection) -> SshTarget:
        """The target a connection describes; raises DefinitionError.

        Options: `host_key` ("ssh-ed25519 AAAA…") or `known_hosts` (a file), `key_file`, `timeout` (wall seconds, 10).
        """
        where = urlsplit(connection.address)
        device, options = connection.device, connection.options
        try:
            port = where.port or 22
        except ValueError as error:
            raise DefinitionError(f"{device}: {connection.address!r} has no valid port") from error
        if where.scheme != "ssh" or not where.hostname or where.path not in ("", "/") or where.username:
            raise DefinitionError(f"{device}: a host's address is ssh://host[:port], not {where.geturl()!r}")
        password = connection.secrets.get("password")
        key_file, host_key, known = (options.get(name) for name in ("key_file", "host_key", "known_hosts"))
        if not connection.user or (password is None) == (key_file is None):
            raise DefinitionError(f"{device}: give a user, and either the secret 'password' or the option key_file")
        if host_key is None and known is None:
            raise DefinitionError(f"{device}: give the option host_key, or known_hosts: a host is never trusted unseen")
        timeout = options.get("timeout", 10.0)
        if isinstance(timeout, str | bool) or not 0 < timeout < 3600:
            raise DefinitionError(f"{device}: option timeout must be a number of seconds, not {timeout!r}")
        target = cls(
            device=device,
            host=where.hostname,
            port=port,
            user=connection.user,
            password=password.reveal() if password else None,
            key_file=None if key_file is None else str(key_file),
            host_key=None if host_key is None else str(host_key),
            known_hosts=None if known is None else str(known),
            timeout=float(timeout),
        )
        target.host_keys()
        return target

    def host_keys(self) -> paramiko.HostKeys:
        """The keys that this host may show; raises DefinitionError where they cannot be read."""
        keys = paramiko.HostKeys()
        try:
            if self.host_key is None:
                keys.load(str(Path(str(self.known_hosts)).expanduser()))
            else:
                kind, blob = self.host_key.split()[:2]
                name = self.host if self.port == 22 else f"[{self.host}]:{self.port}"
                keys.add(name, kind, paramiko.PKey.from_type_string(kind, b64decode(blob, validate=True)))
        except (OSError, ValueError, binascii.Error, paramiko.SSHException) as error:
            raise DefinitionError(f"{self.device}: the host key cannot be read: {error}") from error
        return keys


class SshWire:
    """Commands on one host. A refused login is never tried again until `close`."""

    def __init__(self, target: SshTarget) -> None:
        self._target = target
        self._client: paramiko.SSHClient | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._slots = asyncio.Semaphore(SESSIONS)
        self._connecting = threading.Lock()
        self._refused: Refused | None = None
        self._doubtful = False
        """Whether a command got no answer in time: paramiko never notices by itself that the peer is gone."""

    @property
    def timeout(self) -> float:
        """Wall seconds that one command may take unless told otherwise."""
        return self._target.timeout

    async def open(self) -> None:
        """Connect and log in; raises Unreachable, Refused or Misbehaved."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(SESSIONS, thread_name_prefix=f"ssh-{self._target.device}")
        await asyncio.get_running_loop().run_in_executor(self._threads, self._connected)

    async def close(self) -> None:
        """Hang up; never raises."""
        threads, self._threads = self._threads, None
        self._refused = None
        if threads is not None:
            await asyncio.get_running_loop().run_in_executor(threads, self._hang_up)
            threads.shutdown(wait=False)

    async def run(self, command: str, *, deadline: float | None = None, again: bool = False) -> Completed:
        """Run one command; both its outputs come back whole, or it has failed.

        `deadline` is in wall seconds and total. `again` allows a second try on a fresh connection where the link drops:
        only for commands that may run twice. Raises Unreachable, Refused or Misbehaved.
        """
        attempt = f"run {command.split(maxsplit=1)[0] if command.strip() else 'nothing'}"
        if self._threads is None:
            raise Unreachable(self._target.device, attempt, "the connection is not open", "Open the device first.")
        async with self._slots:
            abandoned = threading.Event()
            job = _Command(command, attempt, time.monotonic() + (deadline or self.timeout), abandoned)
            try:
                return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, job, again)
            finally:
                abandoned.set()

    def _run(self, job: _Command, again: bool) -> Completed:
        while True:
            client = self._connected()
            try:
                return self._execute(client, job)
            except (paramiko.SSHException, OSError, EOFError) as error:
                self._drop(client)
                if again and time.monotonic() < job.end and not job.abandoned.is_set():
                    again = False
                    continue
                raise Unreachable(
                    self._target.device,
                    job.attempt,
                    f"the link broke off ({error or type(error).__name__})",
                    "Check that the host still runs: its console shows it.",
                ) from error

    def _connected(self) -> paramiko.SSHClient:
        """The live connection, made anew where it was lost. Runs in a worker thread."""
        with self._connecting:
            if self._refused is not None:
                raise self._refused
            transport = self._client.get_transport() if self._client else None
            lives = transport is not None and transport.is_active() and (not self._doubtful or _answers(transport))
            self._doubtful = False
            if self._client is not None and lives:
                return self._client
            self._close_client()
            self._client = self._connect()
            return self._client

    def _connect(self) -> paramiko.SSHClient:
        target, client = self._target, paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        for name, kinds in target.host_keys().items():
            for kind, key in kinds.items():
                client.get_host_keys().add(name, kind, key)
        try:
            client.connect(
                target.host,
                target.port,
                target.user,
                password=target.password,
                key_filename=target.key_file,
                timeout=target.timeout,
                banner_timeout=target.timeout,
                auth_timeout=target.timeout,
                channel_timeout=target.timeout,
                allow_agent=False,
                look_for_keys=False,
            )
        except (paramiko.SSHException, OSError, EOFError) as error:
            client.close()
            raise self._translate(error) from error
        transport = client.get_transport()
        if transport is not None:
            transport.set_keepalive(KEEP_ALIVE)
        return client

    def _execute(self, client: paramiko.SSHClient, job: _Command) -> Completed:
        transport = client.get_transport()
        if transport is None:
            raise EOFError("no transport")
        channel = transport.open_session(timeout=max(0.1, job.end - time.monotonic()))
        try:
            channel.settimeout(max(0.1, job.end - time.monotonic()))
            channel.exec_command(job.text)
            channel.shutdown_write()
            return self._drain(channel, job)
        finally:
            channel.close()

    def _drain(self, channel: paramiko.Channel, job: _Command) -> Completed:
        """Read both outputs until the command has ended and nothing is left of them."""
        out, err = bytearray(), bytearray()
        ready = select.poll()
        ready.register(channel.fileno(), select.POLLIN)
        while True:
            moved = False
            while channel.recv_ready():
                out += channel.recv(BLOCK)
                moved = True
            while channel.recv_stderr_ready():
                err += channel.recv_stderr(BLOCK)
                moved = True
            if len(out) + len(err) > MOST_OUTPUT:
                raise Misbehaved(
                    self._target.device, job.attempt, f"more than {MOST_OUTPUT} octets of output", "See the host."
                )
            if moved:
                continue
            if channel.exit_status_ready() and (channel.eof_received or channel.closed):
                code = channel.recv_exit_status()
                if code < 0:
                    raise EOFError("the command ended without an exit status")
                return Completed(code, out.decode(errors="replace"), err.decode(errors="replace"))
            if channel.closed:
                raise EOFError("the channel closed before the command ended")
            left = job.end - time.monotonic()
            if left <= 0 or job.abandoned.is_set():
                self._doubtful = True
                raise self._too_late(job)
            if channel.eof_received:
                channel.status_event.wait(min(left, POLL))
            else:
                ready.poll(min(left, POLL) * 1000)

    def _too_late(self, job: _Command) -> Unreachable:
        return Unreachable(
            self._target.device,
            job.attempt,
            "the command did not end within its deadline",
            "Check the host's load and its console.",
        )

    def _translate(self, error: BaseException) -> DeviceError:
        target, attempt = self._target, "log in"
        if isinstance(error, paramiko.BadHostKeyException):
            return Misbehaved(
                target.device,
                attempt,
                f"it shows the host key {error.key.get_base64()}, not the pinned one",
                "Make sure that this is the right host; if it was reinstalled, pin the new key in the bay file.",
            )
        if isinstance(error, paramiko.AuthenticationException):
            if "timeout" in str(error).lower():
                return Unreachable(target.device, attempt, "the login got no answer", "Check the host's load.")
            self._refused = Refused(
                target.device,
                attempt,
                f"it refuses {target.user!r}",
                "Check user, password or key in the bay file; no second login is tried, accounts lock.",
            )
            return self._refused
        if isinstance(error, paramiko.SSHException) and "not found in known_hosts" in str(error):
            return Misbehaved(
                target.device, attempt, "it shows a host key that is not known", "Pin its key in the bay file."
            )
        if isinstance(error, TimeoutError):
            seen = f"no answer from {target.host}:{target.port} within {target.timeout:g} s"
        elif isinstance(error, paramiko.ssh_exception.NoValidConnectionsError):
            reasons = {str(getattr(inner, "strerror", None) or inner) for inner in error.errors.values()}
            seen = f"no connection to {target.host}:{target.port}: {', '.join(sorted(reasons))}"
        else:
            seen = f"no SSH session with {target.host}:{target.port}: {error or type(error).__name__}"
        return Unreachable(
            target.device, attempt, seen, "Check that the host has booted and its address: its console shows it."
        )

    def _drop(self, client: paramiko.SSHClient) -> None:
        with self._connecting:
            client.close()
            if self._client is client:
                self._client = None

    def _close_client(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _hang_up(self) -> None:
        with self._connecting:
            self._close_client()


def _answers(transport: paramiko.Transport) -> bool:
    """Whether the peer still opens a session, or says that it will not."""
    try:
        transport.open_session(timeout=PROBE).close()
    except paramiko.ChannelException:
        return True
    except (paramiko.SSHException, OSError, EOFError):
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Command:
    """A command under way: `end` on the monotonic clock, `abandoned` set once nobody waits for it any more."""

    text: str
    attempt: str
    end: float
    abandoned: threading.Event
