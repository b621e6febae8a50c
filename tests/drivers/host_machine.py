"""A host for tests of its driver: real SSH (asyncssh), a real /bin/sh in a home of its own, and tools of the test."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncssh

from drivers.host import connect
from drivers.host.node import Host
from harness.connection import Connection, Secret
from harness.workload import Job, JobState, Load

KEY = asyncssh.generate_private_key("ssh-ed25519")
PUBLIC = KEY.export_public_key().decode().strip()
NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
LINE = "%s%%  proc'd: %s (900 Gflop/s) - %s (900 Gflop/s)   errors: 0 - %s   temps: 60 C - 61 C "
GOOD_BURN = f"""
printf "\\r{LINE}" 100.0 50 51 0
printf '\\n\\nTested 2 GPUs:\\n\\tGPU 0: OK\\n\\tGPU 1: OK\\n'
"""
ENDLESS_BURN = f'printf "\\r{LINE}" 1.0 5 6 0; exec sleep 600'


def smi(*buses: str) -> str:
    """What nvidia-smi prints where accelerators sit on these buses."""
    gpus = "".join(
        f'<gpu id="{bus}"><uuid>GPU-{bus}</uuid><serial>S{bus}</serial><board_part_number>P</board_part_number>'
        "<temperature><gpu_temp>45 C</gpu_temp></temperature>"
        "<gpu_power_readings><instant_power_draw>120.00 W</instant_power_draw></gpu_power_readings>"
        "<ecc_errors><volatile><dram_uncorrectable>0</dram_uncorrectable></volatile></ecc_errors></gpu>"
        for bus in buses
    )
    return f"<nvidia_smi_log><attached_gpus>{len(buses)}</attached_gpus>{gpus}</nvidia_smi_log>"


@dataclass
class Machine:
    """A Linux host whose shell is real and whose tools are a test's. Its systemd, if any, is a test's, too."""

    home: Path
    port: int = 0
    connections: list[Any] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        # What systemctl says where PID 1 is another one: the service manager of the machine under the test is not its.
        self.tool("systemctl", "echo offline; exit 1")
        self._server: Any = None

    def tool(self, name: str, script: str) -> None:
        """Install a tool, or exchange it."""
        file = self.home / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def prints(self, name: str, text: str, code: int = 0) -> None:
        output = self.home / f"{name}.txt"
        output.write_text(text)
        # These accelerators have no links to each other.
        self.tool(name, f'[ "${{1:-}}" != nvlink ] || exit 9; cat {output}; exit {code}')

    @property
    def jobs(self) -> Path:
        """Where the records of its loads are."""
        return self.home / ".rackproof" / "jobs"

    def processes(self) -> list[int]:
        """Everything that still runs for a job of this machine, found by its environment."""
        found = []
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                if f"RACKPROOF_JOB={self.jobs}/".encode() in environ.read_bytes():
                    found.append(int(environ.parent.name))
            except OSError:
                continue
        return found

    @property
    def environment(self) -> dict[str, str]:
        """What a login here has."""
        return {"PATH": f"{self.home}/bin:/usr/bin:/bin", "HOME": str(self.home)}

    async def handle(self, process: Any) -> None:
        """Run what a login asks for."""
        self.commands.append(process.command)
        shell = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", process.command, stdin=-3, stdout=-1, stderr=-1, env=self.environment
        )
        out, err = await shell.communicate()
        process.stdout.write(out)
        process.stderr.write(err)
        process.exit(shell.returncode)

    def driver(self, **options: str | float) -> Host:
        """Our driver for it, not open yet."""
        return connect(
            Connection(
                "tray-01-host",
                f"ssh://127.0.0.1:{self.port}",
                user="root",
                secrets={"password": Secret("host", "battery")},
                options={"host_key": PUBLIC, "timeout": 30, "data.nic-0": "127.0.0.1", **options},
                now=lambda: NOW,
            )
        )

    async def serve(self) -> None:
        """Listen for logins, on the same port as before where there was one."""
        machine = self

        class Login(asyncssh.SSHServer):
            def connection_made(self, conn: Any) -> None:
                machine.connections.append(conn)

            def begin_auth(self, username: str) -> bool:
                return True

            def password_auth_supported(self) -> bool:
                return True

            def validate_password(self, username: str, password: str) -> bool:
                return True

        self._server = await asyncssh.create_server(
            Login, "127.0.0.1", self.port, server_host_keys=[KEY], process_factory=self.handle, encoding=None
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def vanish(self) -> None:
        """Cut every link and answer nobody, while what runs goes on."""
        self._server.close()
        for each in self.connections:
            each.abort()
            await each.wait_closed()
        await self._server.wait_closed()
        await asyncio.sleep(0.01)  # an aborted transport closes its socket one turn of the loop later


@asynccontextmanager
async def opened(machine: Machine, **options: str | float) -> AsyncIterator[Host]:
    """Our driver logged in on the machine; nothing of a load is left on it behind."""
    await machine.serve()
    host = machine.driver(**options)
    try:
        await host.open()
        yield host
        await host.stop_all()
        assert machine.processes() == []
    finally:
        kill(machine, signal.SIGKILL)
        await host.close()
        await machine.vanish()


def burn(name: str = "burn", seconds: float = 60, limit: float = 90) -> Load:
    """A load of all accelerators."""
    return Load(name, "accelerator", "gpu-burn", seconds, limit)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds that only looking can tell; fails after a minute."""
    async with asyncio.timeout(60):
        while not await holds():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.1)


async def until_started(starts: Path, times: int = 1) -> None:
    """Wait until the tool itself has run: a load is started before its tool has done anything."""

    def has_run() -> bool:
        return starts.exists() and len(starts.read_text().splitlines()) >= times

    async def there() -> bool:
        return has_run()

    await until(there)


def kill(machine: Machine, number: signal.Signals) -> None:
    """Send a signal to everything that runs for a job; what has ended meanwhile needs none."""
    for process in machine.processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)


async def ended(host: Host, name: str) -> Job:
    """A load once it has ended."""

    async def over() -> bool:
        return (await host.job(name)).state is not JobState.RUNNING

    await until(over)
    return await host.job(name)


def run(machine: Machine, scenario: Callable[[Host], Awaitable[None]], **options: str | float) -> None:
    """Play a scenario with our driver on the machine."""

    async def whole() -> None:
        async with opened(machine, **options) as host:
            await scenario(host)

    asyncio.run(whole())
