"""The fault contract of SNMP: every fault ends within its deadline in the right error, and the next call works.

A relay stands between the driver and net-snmp's agent and does to the answers what bad networks and agents do. Wrong
secrets and units that were replaced are in test_snmp.py; the traps T1 … T9 are those of pysnmp 7.1.30.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar, cast

import pytest

from drivers.profile import SnmpProfile, profiles
from drivers.transports.snmp import Oid, SnmpLink, connect_snmp
from harness.connection import Connection, Option, Secret
from harness.errors import DeviceError, Misbehaved, Refused, Unreachable

if TYPE_CHECKING:
    from tests.drivers.conftest import Agents

T = TypeVar("T")
TABLE: Oid = (1, 3, 6, 1, 4, 1, 99999, 1)
ROOT = ".".join(map(str, TABLE))
ROWS = {f"{ROOT}.{column}.{row}": ["integer", str(100 * column + row)] for column in (1, 2) for row in range(1, 41)}
TIMEOUT = 0.3
DEADLINE = 12.0
"""Wall seconds within which everything here ends: two attempts, of a walk with two requests in v3."""
WAYS = pytest.mark.parametrize(
    ("version", "fast"),
    [(2, True), (2, False), (3, True), (3, False)],
    ids=["v2-gufo", "v2-pysnmp", "v3-gufo", "v3-pysnmp"],
)
Address = tuple[str, int]


class Relay(asyncio.DatagramProtocol):
    """Passes datagrams on to an agent; `fate` is what becomes of its answers.

    `silent`, `slow` (long after the time-out), `half`, `garbage`, `twice`, `late` (each answer only when the next one
    comes, in front of it), or nothing.
    """

    def __init__(self, port: int) -> None:
        self._agent = ("127.0.0.1", port)
        self._transport: asyncio.DatagramTransport | None = None
        self._behind: dict[Address, asyncio.DatagramTransport] = {}
        self._kept: list[bytes] = []
        self.fate = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        asyncio.get_running_loop().create_task(self._forward(data, addr))

    async def _forward(self, data: bytes, client: Address) -> None:
        if client not in self._behind:
            made, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Back(lambda answer: self._answer(answer, client)), remote_addr=self._agent
            )
            self._behind[client] = made
        self._behind[client].sendto(data)

    def _answer(self, data: bytes, client: Address) -> None:
        def send(*answers: bytes) -> None:
            for answer in answers:
                if self._transport is not None and not self._transport.is_closing():
                    self._transport.sendto(answer, client)

        if self.fate == "slow":
            asyncio.get_running_loop().call_later(4 * TIMEOUT, send, data)
        elif self.fate == "half":
            send(data[: len(data) // 2])
        elif self.fate == "garbage":
            send(b"\x55\xaa no message")
        elif self.fate == "twice":
            send(data, data)
        elif self.fate == "late":
            send(*self._kept)
            self._kept = [data]
        elif self.fate != "silent":
            send(*self._kept, data)
            self._kept = []

    def close(self) -> None:
        for each in (self._transport, *self._behind.values()):
            if each is not None:
                each.close()


class _Back(asyncio.DatagramProtocol):
    def __init__(self, heard: Callable[[bytes], None]) -> None:
        self._heard = heard

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._heard(data)


def connection(port: int, *, version: int = 2, fast: bool = True, auth: str = "authentic-key") -> Connection:
    options: dict[str, Option] = {"version": version, "fast": fast, "timeout": TIMEOUT}
    return Connection(
        "pdu-a",
        f"snmp://127.0.0.1:{port}",
        user="bench" if version == 3 else "",
        secrets={
            "community": Secret("community", "public"),
            "auth": Secret("auth", auth),
            "privacy": Secret("privacy", "private-key"),
        },
        options=options,
        now=lambda: datetime.now(UTC),
    )


def through(
    agent: int, question: Callable[[SnmpLink, Relay], Awaitable[T]], *, version: int = 2, fast: bool = True
) -> T:
    """Put a question over a relay."""

    async def run() -> T:
        loop = asyncio.get_running_loop()
        transport, relay = await loop.create_datagram_endpoint(lambda: Relay(agent), local_addr=("127.0.0.1", 0))
        link = connect_snmp(connection(transport.get_extra_info("sockname")[1], version=version, fast=fast))
        try:
            return await question(link, relay)
        finally:
            await link.close()
            relay.close()
            await asyncio.sleep(0)

    return asyncio.run(run())


async def ends(call: Awaitable[object]) -> DeviceError | None:
    """The error in which a call ends; None where it does not fail. It does end."""
    try:
        async with asyncio.timeout(DEADLINE):
            await call
    except DeviceError as error:
        return error
    return None


async def works(link: SnmpLink) -> None:
    """Values are those of the rows that were asked for, and a walk is whole."""
    assert await link.get([(*TABLE, 1, 7), (*TABLE, 2, 9)]) == {(*TABLE, 1, 7): 107, (*TABLE, 2, 9): 209}
    walked = await link.walk([(*TABLE, 1), (*TABLE, 2)])
    assert walked[*TABLE, 2] == {(row,): 200 + row for row in range(1, 41)}


@WAYS
@pytest.mark.parametrize(
    ("fate", "kinds"),
    [
        ("silent", (Unreachable,)),
        ("slow", (Unreachable,)),
        ("half", (Misbehaved, Unreachable)),
        ("garbage", (Misbehaved,)),
    ],
)
def test_a_fault_ends_in_its_error_and_the_next_call_works(
    agents: Agents, version: int, fast: bool, fate: str, kinds: tuple[type[DeviceError], ...]
) -> None:
    port = agents.start(ROWS, roots=(ROOT,))

    async def question(link: SnmpLink, relay: Relay) -> None:
        await works(link)
        relay.fate = fate
        for call in (link.get([(*TABLE, 1, 1)]), link.walk([(*TABLE, 1)]), link.set((*TABLE, 1, 1), 5)):
            error = await ends(call)
            assert isinstance(error, kinds), f"{fate}: {error!r}"
            assert error.device == "pdu-a"
            assert error.advice
        relay.fate = ""
        await works(link)

    through(port, question, version=version, fast=fast)


@WAYS
@pytest.mark.parametrize("fate", ["twice", "late"])
def test_an_answer_that_comes_twice_or_late_is_never_that_to_another_request(
    agents: Agents, version: int, fast: bool, fate: str
) -> None:
    port = agents.start(ROWS, roots=(ROOT,))

    async def question(link: SnmpLink, relay: Relay) -> None:
        await works(link)
        relay.fate = fate
        for row in range(1, 4):
            found: list[dict[Oid, object]] = []

            async def ask(row: int = row, found: list[dict[Oid, object]] = found) -> None:
                found.append(dict(await link.get([(*TABLE, 1, row)])))

            error = await ends(ask())
            # The only answer that came may be an old one: that is no answer.
            assert found == [{(*TABLE, 1, row): 100 + row}] or (fate == "late" and error is not None)
        relay.fate = ""
        await works(link)

    through(port, question, version=version, fast=fast)


@WAYS
def test_a_refused_port_is_unreachable_and_works_once_there_is_an_agent(
    agents: Agents, version: int, fast: bool
) -> None:
    port = agents.start(ROWS, roots=(ROOT,))
    agents.stop(port)

    async def run() -> None:
        link = connect_snmp(connection(port, version=version, fast=fast))
        try:
            assert isinstance(await ends(link.get([(*TABLE, 1, 1)])), Unreachable)
            await asyncio.to_thread(agents.start, ROWS, roots=(ROOT,), port=port)
            await works(link)
        finally:
            await link.close()

    asyncio.run(run())


@WAYS
def test_a_reboot_in_mid_session_ends_in_an_error_or_an_answer_and_then_works(
    agents: Agents, version: int, fast: bool
) -> None:
    """The same engine with its time back at zero: requests in the old time are outside of its window."""
    port = agents.start(ROWS, roots=(ROOT,))

    async def run() -> None:
        link = connect_snmp(connection(port, version=version, fast=fast))
        try:
            await works(link)
            agents.stop(port)
            assert isinstance(await ends(link.get([(*TABLE, 1, 1)])), Unreachable)
            await asyncio.to_thread(agents.start, ROWS, roots=(ROOT,), port=port)
            await works(link)
        finally:
            await link.close()

    asyncio.run(run())


def test_trap_t1_a_walk_of_a_dead_device_ends() -> None:
    """pysnmp's own bulk_walk_cmd yields its time-out for ever."""

    async def question() -> None:
        link = connect_snmp(connection(1, fast=False))
        try:
            assert isinstance(await ends(link.walk([TABLE])), Unreachable)
        finally:
            await link.close()

    asyncio.run(question())


def test_trap_t2_a_link_a_loop_and_the_second_loop_does_not_hang(agents: Agents) -> None:
    port = agents.start(ROWS, roots=(ROOT,))
    for _ in range(2):
        through(port, lambda link, _: works(link), version=3, fast=False)


def test_trap_t3_a_unit_with_another_engine_behind_the_same_address_is_read(agents: Agents) -> None:
    """pysnmp keeps the engine ID of the unit that was there, and times out for ever."""
    port = agents.start(ROWS, roots=(ROOT,))

    async def run() -> None:
        link = connect_snmp(connection(port, version=3, fast=False))
        try:
            await works(link)
            agents.stop(port)
            await asyncio.to_thread(agents.start, ROWS, roots=(ROOT,), port=port, engine="80001f880455667788")
            await works(link)
        finally:
            await link.close()

    asyncio.run(run())


def test_trap_t4_one_user_with_another_key_on_each_device_at_the_same_time(agents: Agents) -> None:
    """In one engine of pysnmp half of the requests end as WrongDigest."""
    keys = {
        agents.start(ROWS, roots=(ROOT,), auth=key, engine=f"80001f88040000000{at}"): key
        for at, key in enumerate(("first-long-key", "second-long-key"))
    }

    async def run() -> None:
        links = [connect_snmp(connection(port, version=3, fast=False, auth=key)) for port, key in keys.items()]
        try:
            await asyncio.gather(*(works(link) for _ in range(3) for link in links))
        finally:
            for link in links:
                await link.close()

    asyncio.run(run())


def test_trap_t5_what_looks_alike_is_told_together_and_what_does_not_apart(agents: Agents) -> None:
    """A wrong community, a wrong privacy key and a dead port are one silence; a wrong authentication key is not."""
    port = agents.start(ROWS, roots=(ROOT,))

    async def run() -> None:
        link = connect_snmp(connection(port, version=3, fast=False, auth="not-that-key"))
        try:
            assert isinstance(await ends(link.get([(*TABLE, 1, 1)])), Refused)
        finally:
            await link.close()
        dead = connect_snmp(connection(1, fast=False))
        try:
            error = await ends(dead.get([(*TABLE, 1, 1)]))
            assert isinstance(error, Unreachable)
            assert "community looks the same" in error.advice
        finally:
            await dead.close()

    asyncio.run(run())


def test_trap_t6_many_dead_devices_end_together() -> None:
    """pysnmp looks at its timers every half second; devices do not wait for each other."""

    async def run() -> None:
        links = [connect_snmp(connection(1)) for _ in range(8)]
        found = await asyncio.gather(*(ends(link.get([(*TABLE, 1, 1)])) for link in links))
        assert {type(error) for error in found} == {Unreachable}
        for link in links:
            await link.close()

    asyncio.run(run())


def test_trap_t7_a_closed_link_leaves_no_socket_behind(agents: Agents) -> None:
    port = agents.start(ROWS, roots=(ROOT,))
    through(port, lambda link, _: works(link), fast=False)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        through(port, lambda link, _: works(link), fast=False)
    assert len(os.listdir("/proc/self/fd")) <= before


def test_trap_t8_no_object_is_named_that_would_need_a_mib_file() -> None:
    for profile in profiles().values():
        if isinstance(profile, SnmpProfile):
            for point in profile.points.values():
                assert all(arc.isdigit() or arc == "{part}" for arc in point.oid.split("."))


def test_trap_t9_the_transport_is_imported_without_a_warning() -> None:
    """With pysmi installed pysnmp warns of itself, which ends a run under `-W error`."""
    command = [sys.executable, "-W", "error", "-c", "import drivers.transports.snmp_engine"]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
