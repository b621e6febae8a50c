"""The fault contract of the SSH transport: every fault, while logging in and while running a command.

Each ends within the declared deadline, in the right error, and the next call works once the host is well.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from drivers.transports import ssh
from drivers.transports.ssh import SshTarget, SshWire
from harness.errors import DeviceError, Misbehaved, Refused, Unreachable
from tests.drivers.faults.contract import CONTRACT
from tests.drivers.ssh_peer import (
    DEVICE,
    OTHER,
    PASSWORD,
    Answer,
    Host,
    Process,
    connection,
    impatient,
    logged_in,
    saying,
    serving,
    silent,
)

NOT_APPLICABLE = {
    "duplicate-reply": "every packet is numbered and authenticated (RFC 4253, 6.4): a copy of one ends the link, which"
    " is garbage",
}
DEADLINE = 1.0
"""Wall seconds that our wire waits for what never comes."""
GUARD = 60.0
"""Wall seconds after which a call has hung, however busy the machine."""
Break = Callable[[Host], AbstractAsyncContextManager[None]]


def answering(answer: Answer) -> Break:
    """A fault of the command only; the login works."""

    @asynccontextmanager
    async def broken(host: Host) -> AsyncIterator[None]:
        host.answer = answer
        yield
        host.answer = saying(b"well")

    return broken


def faking(words: bytes, hang_up: bool = False) -> Break:
    """Something else answers at the address."""

    @asynccontextmanager
    async def broken(host: Host) -> AsyncIterator[None]:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(words)
            await writer.drain()
            if hang_up:
                writer.close()

        await host.fake(talk)
        yield
        await host.stop()
        await host.start()

    return broken


@asynccontextmanager
async def off(host: Host) -> AsyncIterator[None]:
    await host.stop()
    yield
    await host.start()


@asynccontextmanager
async def exchanged(host: Host, **other: Any) -> AsyncIterator[None]:
    before = {name: getattr(host, name) for name in other}
    await host.stop()
    vars(host).update(other)
    await host.start()
    yield
    await host.stop()
    vars(host).update(before)
    await host.start()


@asynccontextmanager
async def dozing(host: Host) -> AsyncIterator[None]:
    """A login that takes longer than the deadline, however late its end is noticed."""
    await host.stop()
    await host.start()
    host.patience = 600
    yield
    host.patience = 0
    await host.stop()
    await host.start()


@asynccontextmanager
async def idled_out(host: Host) -> AsyncIterator[None]:
    """sshd has ended a connection that nobody used (sshd_config, UnusedConnectionTimeout)."""
    for each in host.connections:
        each.disconnect(11, "idle")
        await each.wait_closed()
    yield


async def trickle(process: Process) -> None:
    while not process.is_closing():
        process.stdout.write(b".")
        await asyncio.sleep(0.05)


async def half(process: Process) -> None:
    process.stdout.write(b"half an ans")
    process.close()


async def reboot(process: Process) -> None:
    process.stdout.write(b"half an ans")
    process.channel.get_connection().abort()


async def scramble(process: Process) -> None:
    """Octets that no cipher made, in mid-connection; now and then they look like the start of a long packet."""
    process.channel.get_connection()._transport.write(b"\x00" * 4096)
    await silent(process)


@asynccontextmanager
async def late(host: Host) -> AsyncIterator[None]:
    """The answer comes once our side has given up, and has asked for the command to be killed."""

    async def answer(process: Process) -> None:
        await host.until(lambda: bool(host.signals))
        with contextlib.suppress(OSError):
            process.stdout.write(b"late")
            process.exit(0)

    async with answering(answer)(host):
        yield


@asynccontextmanager
async def mute_to_exec(host: Host) -> AsyncIterator[None]:
    """The host takes the session, and never answers the request to run something."""
    host.stuck = True
    yield
    host.stuck = False


@dataclass(frozen=True)
class Fault:
    """How a host is broken, in which call, and what it must come to; no error where the transport is to bear it."""

    name: str
    kind: str
    broken: Break
    error: type[DeviceError] | None
    seen: str = ""
    reopened: bool = False
    silent: bool = False
    """Whether nothing but our deadline ends the call."""


FAULTS = [
    Fault("refused-connection", "open", off, Unreachable, "no connection to .*: Connection refused"),
    Fault("refused-connection", "run", off, Unreachable, "no connection"),
    Fault("silence", "open", faking(b""), Unreachable, "no SSH session|no answer", silent=True),
    Fault("silence", "run", answering(silent), Unreachable, "did not end within its deadline", silent=True),
    Fault("silence", "run", mute_to_exec, Unreachable, "did not end within its deadline", silent=True),
    Fault("slow", "open", dozing, Unreachable, r"no answer from .* within 1 s|broke the login off", silent=True),
    Fault("slow", "run", answering(trickle), Unreachable, "did not end within its deadline", silent=True),
    Fault(
        "half-an-answer", "open", faking(b"SSH-2.0-Half\r\n", hang_up=True), Unreachable, "no SSH session", silent=True
    ),
    Fault("half-an-answer", "open", faking(b"SSH-2.0-Half\r\n"), Unreachable, "no answer|no SSH session", silent=True),
    Fault("half-an-answer", "run", answering(half), Unreachable, "broke off"),
    Fault(
        "garbage", "open", faking(b"\x00\xff\x7f" * 200 + b"\r\n"), Unreachable, "no SSH session|no answer", silent=True
    ),
    Fault("garbage", "open", faking(b"SSH-2.0-x\r\n" + b"\xff" * 999), Unreachable, "no SSH session", silent=True),
    Fault("garbage", "run", answering(scramble), Unreachable, "broke off|did not end within its deadline", silent=True),
    Fault("wrong-secret", "open", partial(exchanged, password="changed"), Refused, "refuses 'root'", reopened=True),
    Fault("wrong-secret", "run", partial(exchanged, password="changed"), Refused, "refuses 'root'", reopened=True),
    Fault("expired-session", "run", idled_out, None),
    Fault("reboot-in-mid-call", "run", answering(reboot), Unreachable, "broke off"),
    Fault("late-reply", "run", late, Unreachable, "did not end within its deadline", silent=True),
    Fault("unit-swapped", "run", partial(exchanged, key=OTHER), Misbehaved, "not the pinned one"),
    Fault("certificate-changed", "open", partial(exchanged, key=OTHER), Misbehaved, "not the pinned one"),
]


async def call(wire: SshWire, kind: str) -> object:
    return await (wire.open() if kind == "open" else wire.run("ask"))


@pytest.mark.parametrize(
    "fault", FAULTS, ids=[f"{fault.name}-{number}-{fault.kind}" for number, fault in enumerate(FAULTS)]
)
def test_a_fault_ends_in_time_and_in_its_error_and_the_next_call_works(fault: Fault) -> None:
    async def scenario() -> None:
        async with serving(saying(b"well")) as host:
            wire = SshWire(SshTarget.of(connection(host.port)))
            try:
                if fault.kind == "run":
                    await wire.open()
                async with fault.broken(host):
                    before = len(host.passwords)
                    if fault.error is None:
                        await asyncio.wait_for(call(wire, fault.kind), GUARD)
                    else:
                        with (
                            impatient(wire, DEADLINE) if fault.silent else contextlib.nullcontext(),
                            pytest.raises(fault.error, match=fault.seen) as caught,
                        ):
                            await asyncio.wait_for(call(wire, fault.kind), GUARD)
                        told = caught.value
                        assert type(told) is fault.error
                        assert (told.device, bool(told.attempted), bool(told.advice)) == (DEVICE, True, True)
                        assert PASSWORD not in str(told) + told.exchange
                    assert len(host.passwords) <= before + 1, "an account may be locked"
                    assert fault.error is not Misbehaved or host.passwords[before:] == [], "a stranger got the password"
                if fault.reopened:
                    await wire.close()
                await wire.open()
                assert (await wire.run("ask")).out == "well"
            finally:
                await wire.close()

    asyncio.run(scenario())
    for each in threading.enumerate():
        if each.name.startswith("Thread-"):
            each.join(GUARD)
            assert not each.is_alive(), f"{each} is left over"


def test_a_login_that_dies_is_no_wrong_password() -> None:
    """paramiko calls both the same; taken for a refusal, the host would never be asked again."""

    async def scenario() -> None:
        async with serving(saying(b"well")) as host:
            host.patience = 600

            async def die() -> None:
                await host.until(lambda: bool(host.passwords))
                await host.stop()

            dying = asyncio.create_task(die())
            wire = SshWire(SshTarget.of(connection(host.port)))
            with pytest.raises(Unreachable):
                await asyncio.wait_for(wire.open(), GUARD)
            await dying
            host.patience = 0
            await host.start()
            await wire.open()
            assert (await wire.run("ask")).out == "well"
            await wire.close()

    asyncio.run(scenario())


def test_output_without_end_is_refused_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """As fast as it can, so that there is always something to read: neither cap nor deadline may wait for a lull."""
    monkeypatch.setattr(ssh, "MOST_OUTPUT", 2**20)

    async def scenario() -> None:
        async def flood(process: Process) -> None:
            with contextlib.suppress(OSError):  # asyncssh would end the connection over what its command raises
                while not process.is_closing():
                    process.stdout.write(b"y\n" * 32768)
                    await process.stdout.drain()

        async with serving(flood) as host, logged_in(host) as wire:
            with pytest.raises(Misbehaved, match="more than 1048576 octets"):
                await asyncio.wait_for(wire.run("yes"), GUARD)
            host.answer = saying(b"well")
            assert (await wire.run("ask")).out == "well"

    asyncio.run(scenario())


def test_closing_ends_what_is_under_way() -> None:
    async def scenario() -> None:
        async with serving(silent) as host, logged_in(host) as wire:
            running = [asyncio.create_task(wire.run("sleep")) for _ in range(6)]
            await host.until(lambda: len(host.commands) == 4)
            await asyncio.wait_for(wire.close(), ssh.FAREWELL + GUARD)
            ended = await asyncio.wait_for(asyncio.gather(*running, return_exceptions=True), GUARD)
            assert all(isinstance(each, Unreachable) for each in ended)
            assert len(host.connections) == 1, "it connected anew after it was closed"

    asyncio.run(scenario())


def test_every_fault_of_the_contract_is_tested_or_said_not_to_apply() -> None:
    tested = {fault.name for fault in FAULTS}
    assert tested | set(NOT_APPLICABLE) == CONTRACT
    assert not tested & set(NOT_APPLICABLE)
