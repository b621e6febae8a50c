"""Probing by SSH, by a console and at ports that say nothing: one login, nothing changed, and an end in time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import tty
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from harness import probing
from harness.connection import Connection, Option, Secret
from harness.probing import Found, Target, probe

KEY = asyncssh.generate_private_key("ssh-ed25519")
PUBLIC = KEY.export_public_key().decode().strip()
PASSWORD = "correct horse"
SMI = (
    '<nvidia_smi_log><attached_gpus>1</attached_gpus><gpu id="00000000:0F:00.0"><uuid>GPU-1</uuid><serial>S1</serial>'
    "<temperature><gpu_temp>45 C</gpu_temp></temperature>"
    "<gpu_power_readings><instant_power_draw>120.00 W</instant_power_draw></gpu_power_readings>"
    "<ecc_errors><volatile><dram_uncorrectable>0</dram_uncorrectable></volatile></ecc_errors></gpu></nvidia_smi_log>"
)


def reached(address: str, user: str = "", password: str = "", **options: Option) -> Connection:
    secrets = {"password": Secret("p", password)} if password else {}
    return Connection("it", address, user=user, secrets=secrets, options=options, now=lambda: datetime.now(UTC))


async def found_at(connection: Connection, driver: str = "") -> Found:
    (found,) = await probing._probe_all([probing._prepared(Target(connection, driver))])
    return found


@dataclass
class Machine:
    """A Linux host with a real shell in a home of its own, one tool, and a record of who came."""

    home: Path
    passwords: list[str] = field(default_factory=list)

    def files(self) -> dict[str, bytes]:
        return {str(file): file.read_bytes() for file in sorted(self.home.rglob("*")) if file.is_file()}


@asynccontextmanager
async def serving(machine: Machine) -> AsyncIterator[int]:
    async def handle(process: Any) -> None:
        shell = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            process.command,
            cwd=machine.home,
            env={"HOME": str(machine.home), "PATH": f"{machine.home}/bin:/usr/bin:/bin"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await shell.communicate()
        process.stdout.write(out)
        process.stderr.write(err)
        process.exit(shell.returncode or 0)

    connections: list[Any] = []

    class Login(asyncssh.SSHServer):
        def connection_made(self, conn: Any) -> None:
            connections.append(conn)

        def begin_auth(self, username: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            machine.passwords.append(password)
            return password == PASSWORD

    server = await asyncssh.create_server(
        Login, "127.0.0.1", 0, server_host_keys=[KEY], process_factory=handle, encoding=None
    )
    try:
        yield server.get_port()
    finally:
        for each in connections:
            each.abort()
            await each.wait_closed()
        server.close()
        await server.wait_closed()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A host whose nvidia-smi sees one accelerator."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tmp_path / "smi.xml").write_text(SMI)
    (tools / "nvidia-smi").write_text(f"#!/bin/sh\ncat {tmp_path}/smi.xml\n")
    (tools / "nvidia-smi").chmod(0o755)
    return Machine(tmp_path)


def test_a_host_is_read_and_left_as_it_was(machine: Machine) -> None:
    async def scenario() -> Found:
        async with serving(machine) as port:
            return await found_at(reached(f"ssh://127.0.0.1:{port}", "bench", PASSWORD, host_key=PUBLIC))

    before = machine.files()
    found = asyncio.run(scenario())
    assert (found.driver, found.profile) == ("host", "")
    assert {"Identity", "Telemetry", "Workload"} <= set(found.capabilities)
    assert [each.reading.value for each in found.samples if each.channel.quantity == "accelerator.temperature"] == [
        45.0
    ]
    assert machine.files() == before
    assert machine.passwords == [PASSWORD]


@pytest.mark.parametrize("driver", ["", "host"])
def test_a_wrong_password_of_a_host_is_sent_once(machine: Machine, driver: str) -> None:
    async def scenario() -> Found:
        async with serving(machine) as port:
            return await found_at(reached(f"ssh://127.0.0.1:{port}", "bench", "wrong", host_key=PUBLIC), driver)

    found = asyncio.run(scenario())
    assert machine.passwords == ["wrong"]
    assert (found.driver, len(found.problems)) == ("", 1)


def test_a_console_is_listened_to_and_nothing_is_typed() -> None:
    ours, far = os.openpty()
    tty.setraw(far)
    os.set_blocking(ours, False)
    try:
        (found,) = probe([Target(reached(f"serial://{os.ttyname(far)}?baud=9600"))])
        with pytest.raises(BlockingIOError):
            os.read(ours, 1)
    finally:
        os.close(ours)
        os.close(far)
    assert (found.driver, found.problems) == ("console", ())
    assert found.capabilities == ("Console", "ConsoleCommands")


@asynccontextmanager
async def port_that(answers: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[int]:
    callers: list[asyncio.StreamWriter] = []

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        callers.append(writer)
        with contextlib.suppress(OSError):
            await answers(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for caller in callers:
            caller.close()
            with contextlib.suppress(OSError):
                await caller.wait_closed()


async def _nothing(_writer: asyncio.StreamWriter) -> None:
    """Takes the call and says nothing."""


async def _nonsense(writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00\xff 220 smtp ready\r\n" * 20)
    await writer.drain()


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()


@pytest.mark.parametrize("behaviour", [_nothing, _nonsense, _hang_up])
@pytest.mark.parametrize("scheme", ["https", "ssh", "modbus+tcp", "modbus+rtu+tcp"])
def test_a_port_that_is_half_open_or_another_service_ends_in_time(
    scheme: str, behaviour: Callable[[asyncio.StreamWriter], Awaitable[None]]
) -> None:
    options: dict[str, Option] = {"timeout": 0.5} | ({"host_key": PUBLIC} if scheme == "ssh" else {})
    user, password = ("bench", "secret-word") if scheme in ("https", "ssh") else ("", "")

    async def scenario() -> Found:
        async with port_that(behaviour) as port, asyncio.timeout(60):
            return await found_at(reached(f"{scheme}://127.0.0.1:{port}", user, password, **options))

    found = asyncio.run(scenario())
    assert (found.driver, len(found.problems)) == ("", 1)
    assert "secret-word" not in found.problems[0]
    assert not [each for each in threading.enumerate() if each.name.startswith(("console-", "paramiko"))]
