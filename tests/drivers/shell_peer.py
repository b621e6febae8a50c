"""A login over real SSH whose shell is real and whose tools are a test's: what switches and hosts are asked by."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncssh

KEY = asyncssh.generate_private_key("ssh-ed25519")
PUBLIC = KEY.export_public_key().decode().strip()
NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
SETTINGS = "Settings for {}:\n\tSpeed: 400000Mb/s\n\tLink detected: yes\n"
FEC = (
    "FEC parameters for {}:\nSupported/Configured FEC encodings: Auto RS\nActive FEC encoding: RS\nStatistics:\n"
    "  corrected_blocks: {}\n  uncorrectable_blocks: {}\n  fec_bit_err_0: 900\n  fec_bit_err_1: {}\n"
)
NO_MODULE = 'echo "netlink error: No such device or address" >&2; exit 1'


@dataclass
class Shell:
    """A login whose shell is real and finds a test's tools first; `answers` are of commands that no Linux shell has."""

    tools: Path
    answers: dict[str, str] = field(default_factory=dict)
    port: int = 0

    def tool(self, name: str, script: str) -> None:
        path = self.tools / name
        path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
        path.chmod(0o755)

    def ethtool(self, *, corrected: int = 256, uncorrectable: int = 0, module: str = NO_MODULE, fec: str = "") -> None:
        """A tool that knows the interfaces nic-0 and swp1."""
        told = fec or f"cat <<END\n{FEC.format('$3', corrected, uncorrectable, corrected)}END\n"
        self.tool(
            "ethtool",
            f'case "$*" in\n"-I --show-fec nic-0" | "-I --show-fec swp1") {told}\n;;\n'
            f'"-m nic-0" | "-m swp1") {module}\n;;\n'
            f"nic-0 | swp1) cat <<END\n{SETTINGS.format('$1')}END\n;;\n"
            '*) echo "netlink error: No such device" >&2; exit 76;; esac',
        )

    async def handle(self, process: asyncssh.SSHServerProcess[str]) -> None:
        command = process.command or ""
        if command in self.answers:
            process.stdout.write(self.answers[command])
            process.exit(0)
            return
        shell = await asyncio.create_subprocess_shell(
            command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PATH": f"{self.tools}:/usr/bin:/bin"},
        )
        out, err = await shell.communicate()
        process.stdout.write(out.decode())
        process.stderr.write(err.decode())
        process.exit(shell.returncode or 0)


@asynccontextmanager
async def served(shell: Shell) -> AsyncIterator[None]:
    class Login(asyncssh.SSHServer):
        def connection_made(self, conn: Any) -> None:
            connections.append(conn)

        def begin_auth(self, username: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == ("admin", "battery")

    connections: list[Any] = []
    server = await asyncssh.create_server(Login, "127.0.0.1", 0, server_host_keys=[KEY], process_factory=shell.handle)
    shell.port = server.sockets[0].getsockname()[1]
    try:
        yield
    finally:
        server.close()
        for each in connections:
            each.abort()
            await each.wait_closed()
        await server.wait_closed()
        await asyncio.sleep(0.01)  # an aborted transport closes its socket one turn of the loop later


def ask(shell: Shell, made: Callable[[], Any], question: Callable[[Any], Awaitable[None]]) -> None:
    async def run() -> None:
        async with served(shell):
            device = made()
            try:
                await device.open()
                await question(device)
            finally:
                await device.close()

    asyncio.run(run())
