"""A host behind Debian's own OpenSSH server on loopback: the login is real, and so are the tools and what they do.

The account is that of whoever runs the tests, with a home of the test's, so that no record of another one is touched;
it logs in with a key. Its PATH is what a login without a terminal gets: no /usr/sbin. The service manager of this
machine is not the host's: systemctl says that it is offline, as where PID 1 is another one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncssh
import pytest

from drivers.host import connect
from drivers.host.node import Host
from harness.connection import Connection

PLACES = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"))
SEPARATION = Path("/run/sshd")
"""Where sshd, if root runs it, leaves its rights (its README.privsep); the unit of the package makes it at boot."""
CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile {folder}/sshd.pid
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
PrintMotd no
SetEnv {settings}
"""


def found(tool: str) -> str:
    """Where a program is; skips where it is not."""
    path = shutil.which(tool, path=PLACES)
    if path is None:
        pytest.skip(f"{tool} is not installed here")
    return path


def past_the_cache(folder: Path) -> None:
    """Skip where this file system does not take O_DIRECT, which our disk load needs; not every tmpfs does."""
    probe = folder / "probe"
    try:
        os.close(os.open(probe, os.O_CREAT | os.O_WRONLY | os.O_DIRECT, 0o600))
    except OSError as error:
        pytest.skip(f"the temporary directory cannot be used past the cache (O_DIRECT): {error.strerror}")
    finally:
        probe.unlink(missing_ok=True)


@dataclass(frozen=True)
class RealHost:
    """One account behind sshd. Two addresses of its own on loopback are its data network."""

    folder: Path
    port: int
    host_key: str

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def addresses(self) -> tuple[str, str]:
        """iperf3 has one port; no other host of any test has these addresses."""
        high, low = divmod(self.port, 256)
        return f"127.{high}.{low}.1", f"127.{high}.{low}.2"

    def wrap(self, tool: str, script: str) -> None:
        """Put a script of the tool's name first on PATH."""
        file = self.home / "bin" / tool
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def connection(self, **options: str | float) -> Connection:
        """How it is reached."""
        return Connection(
            "tray-01-host",
            f"ssh://127.0.0.1:{self.port}",
            user=pwd.getpwuid(os.getuid()).pw_name,
            options={
                "host_key": self.host_key,
                "key_file": str(self.folder / "login_key"),
                "timeout": 30,
                **options,
            },
            now=lambda: datetime.now(UTC),
        )

    def driver(self, **options: str | float) -> Host:
        """Our driver for it, not open yet."""
        first, second = self.addresses
        return connect(self.connection(**{"data.nic-0": first, "data.nic-1": second, "lease": 120, **options}))

    def run(self, scenario: Callable[[Host], Awaitable[None]], **options: str | float) -> None:
        """Play a scenario with our driver, logged in."""

        async def whole() -> None:
            host = self.driver(**options)
            try:
                await host.open()
                await scenario(host)
            finally:
                await host.close()

        asyncio.run(whole())

    def processes(self) -> set[tuple[int, str]]:
        """What runs for a load here, as process id and start time: its environment says so, or that of an ancestor."""
        mark = f"RACKPROOF_JOB={self.home}/".encode()
        marked = [pid for pid in _pids() if mark in _read(pid, "environ")]
        return {(pid, started) for pid in _with_descendants(marked) if (started := _started(pid))}

    def running(self, name: str) -> list[int]:
        """The ids of those of them whose name begins so (proc(5), /proc/PID/comm)."""
        return [pid for pid, _ in self.processes() if _read(pid, "comm").startswith(name.encode())]

    def listens(self, address: str, port: int) -> bool:
        """Whether somebody listens there (proc(5), /proc/net/tcp), without calling him: he serves one client."""
        number = int.from_bytes(socket.inet_aton(address), sys.byteorder)
        wanted = f"{number:08X}:{port:04X}"
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return any(row[1] == wanted and row[3] == "0A" for row in rows)


def alive(processes: set[tuple[int, str]]) -> set[tuple[int, str]]:
    """Which of these still are; a zombie is none."""
    return {(pid, started) for pid, started in processes if _started(pid) == started}


@contextmanager
def real_host(folder: Path) -> Iterator[RealHost]:
    """An OpenSSH server that ends with the test, and with it everything it ran; skips where there is none."""
    sshd = found("sshd")
    if os.getuid() == 0:
        SEPARATION.mkdir(mode=0o755, exist_ok=True)
    server, login = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    for name, key in (("host_key", server), ("login_key", login)):
        (folder / name).write_bytes(key.export_private_key())
        (folder / name).chmod(0o600)
    (folder / "authorized_keys").write_bytes(login.export_public_key())
    (folder / "home" / "bin").mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        port = _listening(sshd, folder, stack)
        host = RealHost(folder, port, server.export_public_key().decode().strip())
        host.wrap("systemctl", "echo offline; exit 1")
        try:
            yield host
        finally:
            _kill(host.processes())


def _listening(sshd: str, folder: Path, stack: contextlib.ExitStack) -> int:
    """The port at which sshd listens; another one is tried where somebody else was faster at it."""
    settings = f'"HOME={folder}/home" "PATH={folder}/home/bin:/usr/bin:/bin"'
    said = ""
    for _ in range(5):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
        (folder / "sshd_config").write_text(CONFIG.format(port=port, folder=folder, settings=settings))
        said = stack.enter_context(_running([sshd, "-D", "-e", "-f", str(folder / "sshd_config")]))
        if "Server listening" in said:
            return port
        if "Address already in use" not in said:
            break
    pytest.fail(f"sshd does not listen: {said}")


@contextmanager
def _running(command: list[str]) -> Iterator[str]:
    """sshd, and what it says until it listens, or has given up."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = []
        try:
            for line in process.stderr:
                said.append(line)
                if "Server listening" in line:
                    break
            yield "".join(said)
        finally:
            sessions = {(pid, _started(pid)) for pid in _with_descendants([process.pid]) if pid != process.pid}
            process.terminate()
            process.wait(60)
            _kill(sessions)
            # Shown where a test fails.
            print("sshd:", *process.stderr.readlines(), sep="\n")  # noqa: T201


def _kill(processes: set[tuple[int, str]]) -> None:
    for pid, _ in alive(processes):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _pids() -> list[int]:
    return [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]


def _read(pid: int, name: str) -> bytes:
    try:
        return (Path("/proc") / str(pid) / name).read_bytes()
    except OSError:
        return b""


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat (proc(5)) from its state on, the third; none where it is gone."""
    return _read(pid, "stat").decode(errors="replace").rpartition(")")[2].split()


def _started(pid: int) -> str:
    """When a process was started, in ticks since boot; empty where it is gone or a zombie."""
    fields = _stat(pid)
    return fields[19] if fields and fields[0] not in "ZX" else ""


def _with_descendants(pids: list[int]) -> set[int]:
    parents = {pid: int(fields[1]) for pid in _pids() if (fields := _stat(pid))}
    known = set(pids)
    while more := {pid for pid, parent in parents.items() if parent in known} - known:
        known |= more
    return known
