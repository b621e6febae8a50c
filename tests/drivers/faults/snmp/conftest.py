"""What stands between the SNMP driver and net-snmp's agent: a relay that does to answers what networks do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, cast

import pytest

from drivers.transports.snmp import Oid, SnmpLink, connect_snmp
from harness.connection import Connection, Option, Secret
from harness.errors import DeviceError

if TYPE_CHECKING:
    from tests.drivers.conftest import Agents

TABLE: Oid = (1, 3, 6, 1, 4, 1, 99999, 1)
ROOT = ".".join(map(str, TABLE))
ROWS = {f"{ROOT}.{column}.{row}": ["integer", str(100 * column + row)] for column in (1, 2) for row in range(1, 41)}
ENGINE = "80001f8804aabbccdd"
TIMEOUT = 0.8
GUARD = 10.0
"""Wall seconds beyond the deadline: a busy machine is not late."""
Address = tuple[str, int]


class Relay(asyncio.DatagramProtocol):
    """Passes datagrams on to an agent; `fate` is what becomes of its answers.

    `silent`, `slow` (long after the time-out), `half`, `garbage`, `duplicate`, `late` (each answer only when the next
    one comes, in front of it), or nothing.
    """

    def __init__(self, agent: int) -> None:
        self._agent = ("127.0.0.1", agent)
        self._transport: asyncio.DatagramTransport | None = None
        self._behind: dict[Address, asyncio.DatagramTransport] = {}
        self._kept: list[bytes] = []
        self._forwarding: set[asyncio.Task[None]] = set()
        self._making = asyncio.Lock()
        self.fate = ""
        self.asked = asyncio.Event()
        self.requests: list[bytes] = []
        self.port = 0

    async def open(self) -> None:
        """Listen, on the port of before where there was one."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", self.port))
        self.port = transport.get_extra_info("sockname")[1]

    @property
    def callers(self) -> int:
        """From how many sockets it was asked."""
        return len(self._behind)

    async def close(self) -> None:
        """Leave: the port is nobody's, and the kernel says so to who asks there."""
        await asyncio.gather(*self._forwarding, return_exceptions=True)
        for each in (self._transport, *self._behind.values()):
            if each is not None:
                each.close()
        self._behind.clear()
        await asyncio.sleep(0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.asked.set()
        self.requests.append(data)
        task = asyncio.get_running_loop().create_task(self._forward(data, addr))
        self._forwarding.add(task)
        task.add_done_callback(self._forwarding.discard)

    async def _forward(self, data: bytes, client: Address) -> None:
        async with self._making:  # two requests of one caller go by one socket
            await self._send_on(data, client)

    async def _send_on(self, data: bytes, client: Address) -> None:
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
        elif self.fate == "duplicate":
            send(data, data)
        elif self.fate == "late":
            send(*self._kept)
            self._kept = [data]
        elif self.fate != "silent":
            send(*self._kept, data)
            self._kept = []


class _Back(asyncio.DatagramProtocol):
    def __init__(self, heard: Callable[[bytes], None]) -> None:
        self._heard = heard

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._heard(data)


@dataclass
class Bench:
    """An agent of net-snmp, a relay before it, and the link that is tested."""

    agents: Agents
    agent: int
    relay: Relay
    link: SnmpLink
    version: int
    fast: bool
    timeout: float

    async def stop(self) -> None:
        """The agent goes."""
        await asyncio.to_thread(self.agents.stop, self.agent)

    async def start(self, **how: Any) -> None:
        """The agent comes back, as it was or as `how` says (see `Agents.start`)."""
        given = {"table": ROWS, "roots": (ROOT,), **how}
        await asyncio.to_thread(lambda: self.agents.start(**given, port=self.agent))

    async def restart(self, **how: Any) -> None:
        """It goes and comes back."""
        await self.stop()
        await self.start(**how)

    def another_link(self, *, serial: Oid | None = None, **given: str) -> SnmpLink:
        """A link to the same agent with other secrets, or that knows where its serial number stands."""
        what = connection(self.relay.port, version=self.version, fast=self.fast, timeout=self.timeout, **given)
        return connect_snmp(what, serial=serial)

    async def ends(self, call: Awaitable[object]) -> DeviceError | None:
        """The error in which a call ends, None where it does not fail; it does end."""
        try:
            async with asyncio.timeout(self.link.deadline + GUARD):
                await call
        except DeviceError as error:
            told = error
        else:
            return None
        assert told.device == "pdu-a"
        assert told.attempted
        assert told.seen
        assert told.advice
        return told

    async def fails(self, *kinds: type[DeviceError], write: bool = True) -> DeviceError:
        """A read ends in one of these errors, and so does a write."""
        if write:
            assert isinstance(await self.ends(self.link.set((*TABLE, 1, 1), 5)), kinds)
        error = await self.ends(self.link.get([(*TABLE, 1, 1)]))
        assert isinstance(error, kinds), repr(error)
        return error

    async def works(self) -> None:
        """Values are those of the rows that were asked for, and a walk is whole."""
        assert await self.link.get([(*TABLE, 1, 7), (*TABLE, 2, 9)]) == {(*TABLE, 1, 7): 107, (*TABLE, 2, 9): 209}
        walked = await self.link.walk([(*TABLE, 1), (*TABLE, 2)])
        assert walked[*TABLE, 2] == {(row,): 200 + row for row in range(1, 41)}


def connection(port: int, *, version: int, fast: bool, timeout: float, **given: str) -> Connection:
    options: dict[str, Option] = {"version": version, "fast": fast, "timeout": timeout}
    return Connection(
        "pdu-a",
        f"snmp://127.0.0.1:{port}",
        user="bench" if version == 3 else "",
        secrets={
            "community": Secret("community", given.get("community", "public")),
            "auth": Secret("auth", given.get("auth", "authentic-key")),
            "privacy": Secret("privacy", "private-key"),
        },
        options=options,
        now=lambda: datetime.now(UTC),
    )


class OnBench(Protocol):
    """Runs a scenario on a bench of its own."""

    def __call__(
        self, version: int, fast: bool, scenario: Callable[[Bench], Awaitable[None]], *, timeout: float = TIMEOUT
    ) -> None: ...


@pytest.fixture
def on_bench(agents: Agents) -> OnBench:
    """Runs a scenario against a fresh agent behind a relay."""

    def start(
        version: int, fast: bool, scenario: Callable[[Bench], Awaitable[None]], *, timeout: float = TIMEOUT
    ) -> None:
        async def run() -> None:
            agent = agents.start(ROWS, roots=(ROOT,))
            relay = Relay(agent)
            await relay.open()
            link = connect_snmp(connection(relay.port, version=version, fast=fast, timeout=timeout))
            try:
                await scenario(Bench(agents, agent, relay, link, version, fast, timeout))
            finally:
                await link.close()
                await relay.close()

        asyncio.run(run())

    return start
