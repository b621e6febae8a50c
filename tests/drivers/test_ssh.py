"""The SSH wire against a real server: host keys, logins, big outputs, dead links and what a definition may say.

The fault contract is in faults/test_ssh_faults.py, the traps of paramiko in traps/test_paramiko_traps.py.
"""

from __future__ import annotations

import asyncio
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drivers.transports.ssh import SESSIONS, SshTarget, SshWire
from harness.connection import Connection, Secret
from harness.errors import DefinitionError, Misbehaved, Refused, Unreachable
from tests.drivers.ssh_peer import KEY, OTHER, PASSWORD, Process, connection, logged_in, public, saying, serving, silent


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
        async with serving(saying(b"hello")) as server, logged_in(server) as wire:
            assert (await wire.run("true")).out == "hello"
            transport = server.connections[0]._transport
            transport.pause_reading()
            with pytest.raises(Unreachable):
                await wire.run("true", deadline=0.2)
            assert (await wire.run("true")).out == "hello"
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


def test_a_link_that_drops_before_the_question_is_made_anew_once_whatever_the_command() -> None:
    """sshd's idle time-out may fall between our look at the link and our question: nothing has run, so ask again."""

    async def scenario() -> None:
        async with serving(saying(b"done")) as server, logged_in(server) as wire:
            server.hang_ups = 1
            assert (await wire.run("write")).out == "done"
            assert (server.commands, len(server.connections)) == (["write"], 2)
            server.hang_ups = 2
            with pytest.raises(Unreachable, match="broke off"):
                await wire.run("write")
            assert (server.commands, len(server.connections)) == (["write"], 3)
            assert (await wire.run("write")).out == "done"

    asyncio.run(scenario())


def test_an_urgent_command_does_not_wait_for_those_that_hang() -> None:
    """A load is stopped though every other question to the host hangs."""

    async def scenario() -> None:
        async def answer(process: Process) -> None:
            if process.command == "stop":
                process.exit(0)
            else:
                await silent(process)

        async with serving(answer) as server, logged_in(server, timeout=60) as wire:
            hanging = [asyncio.create_task(wire.run("hang")) for _ in range(2 * SESSIONS)]
            await server.until(lambda: len(server.commands) == SESSIONS)
            assert (await wire.run("stop", urgent=True)).exit_code == 0
            for task in hanging:
                task.cancel()
            await asyncio.gather(*hanging, return_exceptions=True)

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
        with socket.socket() as taken:  # so that nobody else can listen there
            taken.bind(("127.0.0.1", 0))
            wire = SshWire(SshTarget.of(connection(taken.getsockname()[1])))
            with pytest.raises(Unreachable, match="no connection"):
                await wire.open()
        await wire.close()
        with pytest.raises(Unreachable, match="not open"):
            await wire.run("true")

    asyncio.run(scenario())


def test_a_port_that_is_no_ssh_server() -> None:
    async def scenario() -> None:
        async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        async with serving(saying()) as server:
            await server.fake(web)
            wire = SshWire(SshTarget.of(connection(server.port)))
            with pytest.raises(Unreachable, match="no SSH session"):
                await wire.open()
            await wire.close()

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
