"""The traps of paramiko while it logs in: what it does, and that our wire does not fall into them.

Found by reading and by running 5.1.0. Where it costs little, a test first shows that the library still does it.
Those of running commands are in test_paramiko_traps.py.

| trap | test |
|---|---|
| no SHA-1 key exchange, no ssh-rsa: old devices do not connect | test_trap_old_algorithms_are_gone |
| time-outs by default: banner 15 s, handshake 15, login 30, channel 3600 | test_trap_timeouts_by_default |
| MaxStartups: one of many callers is turned away | test_trap_caller_turned_away |
| a host key policy that accepts whatever comes | test_trap_host_key_policy |
| agents and keys of the station are tried, and count as failed logins | test_trap_keys_of_the_station |
| a login that is cut off looks like a refused one | test_trap_login_cut_off_looks_refused |
| fabric's group collapses equal connections | test_trap_fabric_collapses_connections |
| a complaint on the screen for every connection that breaks | test_trap_complaints_on_the_screen |
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import logging
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import paramiko
import pytest

from drivers.transports import ssh_link
from drivers.transports.ssh import SshTarget, SshWire
from harness.errors import Misbehaved, Unreachable, Unsupported
from tests.drivers.ssh_peer import (
    OTHER,
    PASSWORD,
    connection,
    logged_in,
    public,
    saying,
    serving,
)

DRIVERS = Path(__file__).parents[3] / "drivers"
# Read before any thread runs: CPython 3.11's parser is not safe against tracebacks that another thread writes.
TREES = [ast.parse(path.read_text(encoding="utf-8")) for path in DRIVERS.rglob("*.py")]
BIG = 3 * 2**20
"""Beyond paramiko's window of 2 MiB."""


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


def called(names: Sequence[str]) -> list[ast.Call]:
    """Every call in the drivers of something with one of these names."""
    return [
        node
        for tree in TREES
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in names
    ]


def test_trap_old_algorithms_are_gone() -> None:
    """An old PDU, switch or console server offers nothing that paramiko takes: ours says that this is the reason."""
    offered = paramiko.Transport._preferred_kex  # type: ignore[attr-defined]
    assert not [name for name in offered if name.endswith("sha1")], "SHA-1 is back"
    assert not {"ssh-rsa", "ssh-dss"} & set(paramiko.Transport._preferred_keys)  # type: ignore[attr-defined]

    async def scenario() -> None:
        old = ["diffie-hellman-group14-sha1", "diffie-hellman-group1-sha1"]
        async with serving(saying(), kex_algs=old) as host:
            wire = SshWire(SshTarget.of(connection(host.port)))
            with pytest.raises(Unsupported, match="algorithms of the past") as caught:
                await wire.open()
            assert "Update its SSH server" in caught.value.advice
            assert host.passwords == []
            await wire.close()

    run(scenario)


def test_trap_timeouts_by_default() -> None:
    """They add up to more than an hour; ours are what the bay file says, and what is left of it."""

    plug = socket.socket()
    made = paramiko.Transport(plug)
    plug.close()
    given = (made.banner_timeout, made.handshake_timeout, made.auth_timeout, made.channel_timeout)
    assert given == (15, 15, 30, 3600), "the library's time-outs are others now"

    async def scenario() -> None:
        async with serving(saying(b"well")) as host, logged_in(host, timeout=27.0) as wire:
            assert wire._client is not None
            transport = wire._client.get_transport()
            assert transport is not None
            assert transport.banner_timeout <= 27
            assert transport.auth_timeout <= 27
            assert (transport.handshake_timeout, transport.channel_timeout) == (27, 27)

    run(scenario)


@pytest.mark.parametrize(("turned_away", "works"), [(1, True), (2, True), (9, False)])
def test_trap_caller_turned_away(turned_away: int, works: bool) -> None:
    """With many logins at once sshd hangs up on some before a word is said; ours calls again, a few times."""

    async def scenario() -> None:
        async with serving(saying(b"well")) as host:
            callers: list[asyncio.StreamWriter] = []
            pumps: list[asyncio.Task[None]] = []

            async def gate(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                callers.append(writer)
                if len(callers) <= turned_away:
                    writer.close()
                    return
                there, hither = await asyncio.open_connection("127.0.0.1", host.port)
                callers.append(hither)
                pumps.append(asyncio.create_task(pump(reader, hither)))
                pumps.append(asyncio.create_task(pump(there, writer)))

            async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
                while octets := await source.read(65536):
                    sink.write(octets)
                sink.close()

            server = await asyncio.start_server(gate, "127.0.0.1", 0)
            wire = SshWire(SshTarget.of(connection(server.sockets[0].getsockname()[1])))
            if works:
                await wire.open()
                assert (await wire.run("ask")).out == "well"
            else:
                with pytest.raises(Unreachable, match="no SSH session"):
                    await wire.open()
                assert len(callers) == ssh_link.TRIES
            assert len(host.passwords) == works
            await wire.close()
            server.close()
            for caller in callers:
                caller.transport.abort()
            await asyncio.gather(*pumps, return_exceptions=True)
            await asyncio.sleep(0.01)

    run(scenario)


def test_trap_host_key_policy() -> None:
    """AutoAddPolicy takes the first key that comes: ours takes the pinned one, and sends no password to another."""
    assert called(["AutoAddPolicy", "WarningPolicy", "load_system_host_keys"]) == []
    assert len(called(["RejectPolicy"])) == 1

    async def scenario() -> None:
        async with serving(saying()) as host:
            wire = SshWire(SshTarget.of(connection(host.port, key=OTHER)))
            with pytest.raises(Misbehaved, match="not the pinned one"):
                await wire.open()
            await wire.close()
            assert host.passwords == []

    run(scenario)


def test_trap_keys_of_the_station(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default an agent and ~/.ssh are tried before the password, and each failure counts on the host."""
    (connect,) = (node for node in called(["connect"]) if any(each.arg == "look_for_keys" for each in node.keywords))
    given = {each.arg: getattr(each.value, "value", None) for each in connect.keywords}
    assert (given["allow_agent"], given["look_for_keys"]) == (False, False)
    (tmp_path / ".ssh").mkdir()
    OTHER.write_private_key(str(tmp_path / ".ssh" / "id_ed25519"))
    (tmp_path / ".ssh" / "id_ed25519.pub").write_text(public(OTHER))
    monkeypatch.setenv("HOME", str(tmp_path))

    async def scenario() -> None:
        async with serving(saying(b"well")) as host, logged_in(host) as wire:
            assert (await wire.run("ask")).out == "well"
            assert host.passwords == [PASSWORD]

    run(scenario)


def test_trap_login_cut_off_looks_refused() -> None:
    """paramiko raises AuthenticationException for both; ours tells them apart, else the host is never asked again."""
    target = SshTarget.of(connection(22))
    cut_off = paramiko.AuthenticationException("Authentication failed: transport shut down or saw EOF")
    assert str(cut_off)[-len("transport shut down or saw EOF") :] in inspect.getsource(
        paramiko.auth_handler.AuthHandler.wait_for_response
    )
    assert isinstance(ssh_link.explain(target, cut_off), Unreachable)
    for other in ("Authentication timeout.",):
        assert isinstance(ssh_link.explain(target, paramiko.AuthenticationException(other)), Unreachable)


def test_trap_fabric_collapses_connections() -> None:
    """fabric's results are keyed by connections, and equal ones become one: 18 hosts, one answer. We use none of it."""
    for tree in TREES:
        for node in ast.walk(tree):
            names = [each.name for each in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            assert not {name.partition(".")[0] for name in (*names, module)} & {"fabric", "pssh", "asyncssh"}
    assert SshWire(SshTarget.of(connection(22))) != SshWire(SshTarget.of(connection(22)))


def test_trap_complaints_on_the_screen() -> None:
    """Without a handler Python prints the library's log of every broken connection over the technician's screen."""
    assert any(isinstance(each, logging.NullHandler) for each in logging.getLogger("paramiko").handlers)
    code = "import drivers.transports.ssh, logging; logging.getLogger('paramiko.transport').error('broken')"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=DRIVERS.parent)
    assert said.stderr == ""
