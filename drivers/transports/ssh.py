"""SSH to one host: a pinned host key, one login, commands with a total deadline whose both outputs are always drained.

paramiko runs in worker threads of its own (never those of the loop, which others need). Its traps:
`recv_exit_status` before reading blocks for ever past 2 MiB, `exec_command` has no time-out at all, `timeout` is
inactivity and no total, keep-alive does not notice a stuck peer. Hence one reader loop with its own clock, and a second
clock on the loop for whatever else may block. tests/drivers/traps/test_paramiko_traps.py has them all.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import paramiko

from drivers.transports.ssh_link import ATTEMPT, answers, connect, kill, left
from drivers.transports.ssh_target import SshTarget
from harness.errors import Misbehaved, Refused, Unreachable

__all__ = ["Completed", "SshTarget", "SshWire"]

SESSIONS = 4
"""Commands at once on one connection, and an urgent one beside them; sshd allows ten sessions (MaxSessions)."""
MOST_OUTPUT = 32 * 2**20
BLOCK = 65536
POLL = 0.25
GRACE = 0.5
"""Wall seconds after its deadline by which a call has ended even where its thread is stuck."""
PROBE = 2.0
"""Wall seconds in which a link in doubt must open a session."""
FAREWELL = 5.0
"""Wall seconds that hanging up may take."""


@dataclass(frozen=True, slots=True)
class Completed:
    """What one command did. Output is decoded as UTF-8, undecodable bytes replaced."""

    exit_code: int
    out: str
    err: str


class SshWire:
    """Commands on one host. A refused login is never tried again until `close`."""

    def __init__(self, target: SshTarget) -> None:
        self._target = target
        self._client: paramiko.SSHClient | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._slots = asyncio.Semaphore(SESSIONS)
        self._urgent = asyncio.Semaphore(1)
        self._connecting = threading.Lock()
        self._open = False
        self._refused: Refused | None = None
        self._doubtful = False
        """Whether a command got no answer in time: paramiko never notices by itself that the peer is gone."""

    @property
    def timeout(self) -> float:
        """Wall seconds that one command may take unless told otherwise."""
        return self._target.timeout

    async def open(self) -> None:
        """Connect and log in; raises Unreachable, Refused, Misbehaved or Unsupported."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(SESSIONS + 1, thread_name_prefix=f"ssh-{self._target.device}")
            self._open = True
        end = time.monotonic() + self.timeout
        try:
            async with asyncio.timeout(self.timeout + GRACE):
                await asyncio.get_running_loop().run_in_executor(self._threads, self._connected, end)
        except TimeoutError as error:
            raise self._silent(ATTEMPT) from error

    async def close(self) -> None:
        """Hang up; never raises."""
        threads, self._threads = self._threads, None
        self._open = False
        self._refused = None
        if threads is None:
            return
        # Not one of its own threads: all of those may be waiting for the host.
        farewell = ThreadPoolExecutor(1)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL):
                await asyncio.get_running_loop().run_in_executor(farewell, self._hang_up)
        farewell.shutdown(wait=False)
        threads.shutdown(wait=False, cancel_futures=True)

    async def run(
        self, command: str, *, deadline: float | None = None, again: bool = False, urgent: bool = False
    ) -> Completed:
        """Run one command; both its outputs come back whole, or it has failed.

        `deadline` is in wall seconds and total, once its turn has come; a command that exceeds it is killed. `again`
        allows a second try on a fresh connection where the link drops: only for commands that may run twice. A link
        that drops before the host was asked to run anything is made anew once, whatever the command. One that is
        `urgent` does not wait for others that hang: there is always room for one.
        Raises Unreachable, Refused, Misbehaved or Unsupported.
        """
        attempt = f"run {command.split(maxsplit=1)[0] if command.strip() else 'nothing'}"
        if self._threads is None:
            raise Unreachable(self._target.device, attempt, "the connection is not open", "Open the device first.")
        async with self._urgent if urgent else self._slots:
            abandoned, within = threading.Event(), deadline or self.timeout
            job = _Command(command, attempt, time.monotonic() + within, abandoned)
            try:
                async with asyncio.timeout(within + GRACE):
                    return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, job, again)
            except TimeoutError as error:
                self._doubtful = True
                raise self._too_late(job) from error
            finally:
                abandoned.set()

    def _run(self, job: _Command, again: bool) -> Completed:
        spare = True
        while True:
            client = self._connected(job.end)
            asked = False
            try:
                channel = self._session(client, job)
                asked = True
                return self._execute(channel, job)
            except (paramiko.SSHException, OSError, EOFError) as error:
                if time.monotonic() >= job.end or job.abandoned.is_set():
                    self._doubtful = True  # others may still use the link; the next one looks whether it lives
                    raise self._too_late(job) from error
                self._drop(client)
                if spare and (again or not asked):  # a link that was lost before the question has run nothing
                    spare = False
                    continue
                raise Unreachable(
                    self._target.device,
                    job.attempt,
                    f"the link broke off ({error or type(error).__name__})",
                    "Check that the host still runs: its console shows it.",
                ) from error

    def _connected(self, end: float) -> paramiko.SSHClient:
        """The live connection, made anew where it was lost. Runs in a worker thread."""
        if not self._connecting.acquire(timeout=left(end)):
            raise self._silent(ATTEMPT)
        try:
            if not self._open:
                raise Unreachable(self._target.device, ATTEMPT, "the connection is closed", "Open the device again.")
            if self._refused is not None:
                raise self._refused.with_traceback(None)
            transport = self._client.get_transport() if self._client else None
            lives = transport is not None and transport.is_active()
            if lives and transport is not None and self._doubtful:
                lives = answers(transport, min(PROBE, left(end)))
            self._doubtful = False
            if self._client is not None and lives:
                return self._client
            self._close_client()
            self._client = connect(self._target, end)
            return self._client
        except Refused as refused:
            self._refused = refused
            raise
        finally:
            self._connecting.release()

    def _session(self, client: paramiko.SSHClient, job: _Command) -> paramiko.Channel:
        transport = client.get_transport()
        if transport is None:
            raise EOFError("no transport")
        try:
            return transport.open_session(timeout=left(job.end))
        except paramiko.ChannelException as error:
            # The link is well, and other commands may be running on it.
            raise Unreachable(
                self._target.device,
                job.attempt,
                f"it opens no further session ({error.text})",
                "Log other users out; see MaxSessions in the host's sshd_config.",
            ) from error

    def _execute(self, channel: paramiko.Channel, job: _Command) -> Completed:
        # Nothing else ends a wait for the answer to `exec`: paramiko waits for ever.
        watchdog = threading.Timer(left(job.end), channel.close)
        watchdog.daemon = True
        watchdog.start()
        try:
            channel.settimeout(left(job.end))
            channel.exec_command(job.text)
            channel.shutdown_write()
            watchdog.cancel()
            return self._drain(channel, job)
        finally:
            watchdog.cancel()
            channel.close()

    def _drain(self, channel: paramiko.Channel, job: _Command) -> Completed:
        """Read both outputs until the command has ended and nothing is left of them."""
        out, err = bytearray(), bytearray()
        ready = select.poll()
        ready.register(channel.fileno(), select.POLLIN)
        while True:
            # Looked at first: whatever comes has come before the close.
            moved, closed = False, channel.closed
            if channel.recv_ready():
                out += channel.recv(BLOCK)
                moved = True
            if channel.recv_stderr_ready():
                err += channel.recv_stderr(BLOCK)
                moved = True
            if len(out) + len(err) > MOST_OUTPUT:
                kill(channel)
                raise Misbehaved(
                    self._target.device,
                    job.attempt,
                    f"more than {MOST_OUTPUT} octets of output",
                    "Run it by hand on the host and see what it says.",
                )
            remaining = job.end - time.monotonic()
            if not moved and channel.exit_status_ready() and (channel.eof_received or channel.closed):
                if channel.recv_ready() or channel.recv_stderr_ready():
                    continue  # it came between the look and the end
                code = channel.recv_exit_status()
                if code < 0:
                    raise EOFError("the command ended without an exit status")
                return Completed(code, out.decode(errors="replace"), err.decode(errors="replace"))
            if not moved and closed:
                raise EOFError("the channel closed before the command ended")
            if remaining <= 0 or job.abandoned.is_set():
                self._doubtful = True
                kill(channel)
                raise self._too_late(job)
            if moved:
                continue
            if channel.eof_received:
                channel.status_event.wait(min(remaining, POLL))
            else:
                ready.poll(min(remaining, POLL) * 1000)

    def _too_late(self, job: _Command) -> Unreachable:
        return Unreachable(
            self._target.device,
            job.attempt,
            "the command did not end within its deadline",
            "Check the host's load and its console.",
        )

    def _silent(self, attempt: str) -> Unreachable:
        return Unreachable(
            self._target.device,
            attempt,
            f"no answer from {self._target.host}:{self._target.port} within {self.timeout:g} s",
            "Check that the host has booted and its address: its console shows it.",
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


@dataclass(frozen=True, slots=True)
class _Command:
    """A command under way: `end` on the monotonic clock, `abandoned` set once nobody waits for it any more."""

    text: str
    attempt: str
    end: float
    abandoned: threading.Event
