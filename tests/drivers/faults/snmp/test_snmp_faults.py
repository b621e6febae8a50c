"""The fault contract of SNMP v2c and v3, by gufo-snmp and by pysnmp: twelve faults, one test each.

Every call ends within the link's own deadline, in the error that says whose turn it is, and the next call works once
the device is well. A relay stands between the driver and net-snmp's agent and does to the answers what bad networks
and agents do.

Which error is right where it is not obvious:

- wrong secret: v3 names it (`Refused`, not tried again); a v2c agent is silent on a wrong community (RFC 3584, 5.2.1),
  so that is `Unreachable` whose advice names the community.
- expired session: the time window of v3 (RFC 3414, 3.2, 7): the driver takes the agent's new time, nobody notices.
- unit swapped: `Misbehaved`, by every read until the link is closed. v3: another engine ID; v2c: another snmpEngineID
  or sysObjectID, looked at after a failure and every ten seconds. Writes go through, whoever answers: what is to be off
  is switched off, and who switches reads back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from drivers.transports.snmp import Oid, connect_snmp
from fixtures.servers import usm
from fixtures.servers.ber import Tag, counter32
from fixtures.servers.mib import Pdu
from fixtures.servers.serving import SnmpAccess
from fixtures.servers.snmp import Agent, serve_agent
from harness.connection import Connection, Option, Secret
from harness.errors import Misbehaved, Refused, Unreachable

if TYPE_CHECKING:
    from tests.drivers.faults.snmp.conftest import Bench, OnBench

FAULTS = (
    "refused", "silent", "slow", "half", "garbage", "wrong-secret", "expired-session", "reboot", "duplicate", "late",
    "swapped", "certificate",
)  # fmt: skip
NOT_APPLICABLE = {
    2: {
        "expired-session": "v2c has no session: every message carries the community",
        "certificate": "SNMP over UDP has no certificates",
    },
    3: {"certificate": "USM has keys and no certificates; a changed key is the wrong secret"},
}
TABLE: Oid = (1, 3, 6, 1, 4, 1, 99999, 1)
ENGINE = "80001f8804aabbccdd"
WAYS = pytest.mark.parametrize(
    ("version", "fast"),
    [(2, True), (2, False), (3, True), (3, False)],
    ids=["v2c-gufo", "v2c-pysnmp", "v3-gufo", "v3-pysnmp"],
)


async def refused(bench: Bench) -> None:
    await bench.relay.close()
    await bench.fails(Unreachable)
    await bench.relay.open()


async def silent(bench: Bench) -> None:
    bench.relay.fate = "silent"
    await bench.fails(Unreachable)
    assert isinstance(await bench.ends(bench.link.walk([(*TABLE, 1)])), Unreachable)


async def slow(bench: Bench) -> None:
    bench.relay.fate = "slow"
    await bench.fails(Unreachable)


async def half(bench: Bench) -> None:
    bench.relay.fate = "half"
    await bench.fails(Misbehaved, Unreachable)  # half a datagram of v3 cannot be told from a wrong key


async def garbage(bench: Bench) -> None:
    bench.relay.fate = "garbage"
    error = await bench.fails(Misbehaved)
    assert "no SNMP message" in error.seen


async def wrong_secret(bench: Bench) -> None:
    if bench.version == 3:
        await bench.restart(auth="another-long-key")
        error = await bench.fails(Refused)
        assert "authentication key" in error.advice
        await bench.restart()
        return
    stranger = bench.another_link(community="secret-word")
    try:
        error = await bench.ends(stranger.get([(*TABLE, 1, 1)])) or pytest.fail("it was let in")
    finally:
        await stranger.close()
    assert isinstance(error, Unreachable)
    assert "a wrong community looks the same" in error.advice
    assert "secret-word" not in str(error)


async def reboot(bench: Bench) -> None:
    """It goes with a request in hand and comes back with its time at zero and one boot more."""
    bench.relay.fate = "silent"
    bench.relay.asked.clear()
    call = asyncio.create_task(bench.ends(bench.link.get([(*TABLE, 1, 1)])))
    await bench.relay.asked.wait()
    await bench.restart(lines=(f"oldEngineID 0x{ENGINE}", "engineBoots 41"))
    bench.relay.fate = ""
    assert isinstance(await call, Unreachable | None)


async def duplicate(bench: Bench) -> None:
    bench.relay.fate = "duplicate"
    for row in range(1, 5):
        assert await bench.link.get([(*TABLE, 1, row)]) == {(*TABLE, 1, row): 100 + row}


async def late(bench: Bench) -> None:
    """The only answer that comes in time is the one before: that is no answer."""
    bench.relay.fate = "late"
    for row in range(1, 4):
        found: list[object] = []

        async def ask(row: int = row, found: list[object] = found) -> None:
            found.append(await bench.link.get([(*TABLE, 1, row)]))

        error = await bench.ends(ask())
        assert found == [{(*TABLE, 1, row): 100 + row}] or error is not None


async def swapped(bench: Bench) -> None:
    await bench.stop()
    await bench.fails(Unreachable, write=False)
    other = "80001f880455667788"
    await bench.start(engine=other)
    for _ in range(2):
        error = await bench.fails(Misbehaved, write=False)
        assert f"{other} where {ENGINE} was" in error.seen
        assert "exchanged" in error.advice
    await bench.restart()  # the first one is back


SCENARIOS: dict[str, Callable[[Bench], Awaitable[None]]] = {
    "refused": refused,
    "silent": silent,
    "slow": slow,
    "half": half,
    "garbage": garbage,
    "wrong-secret": wrong_secret,
    "reboot": reboot,
    "duplicate": duplicate,
    "late": late,
    "swapped": swapped,
}


def test_every_fault_is_tested_or_cannot_be() -> None:
    for version in (2, 3):
        tested = {*SCENARIOS} | ({"expired-session"} if version == 3 else set())
        assert tested.isdisjoint(NOT_APPLICABLE[version])
        assert tested | {*NOT_APPLICABLE[version]} == {*FAULTS}
        assert all(len(reason) > 10 for reason in NOT_APPLICABLE[version].values())


@WAYS
@pytest.mark.parametrize("fault", sorted(SCENARIOS))
def test_a_fault_ends_in_its_error_and_the_next_call_works(
    on_bench: OnBench, version: int, fast: bool, fault: str
) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.works()
        await SCENARIOS[fault](bench)
        bench.relay.fate = ""
        await bench.works()

    on_bench(version, fast, scenario)


class OneValue:
    """A MIB with one INTEGER below every object that is asked for."""

    def answer(self, request: Pdu, room: int) -> Pdu:
        return Pdu(Tag.RESPONSE, request.request, 0, 0, tuple((oid, counter32(7)) for oid, _ in request.bindings))


@pytest.mark.parametrize("fast", [True, False], ids=["v3-gufo", "v3-pysnmp"])
def test_an_expired_session_of_v3_is_renewed_and_nobody_notices(fast: bool) -> None:
    """The agent's clock leaps out of the time window of 150 s, as after a day without a request."""

    async def run() -> None:
        leap = [0.0]
        access = SnmpAccess(
            version=3, community="", user="bench", auth="authentic-key", privacy="private-key", auth_protocol="SHA256"
        )
        engine = usm.Engine(bytes.fromhex(ENGINE), clock=lambda: asyncio.get_running_loop().time() + leap[0])
        serving = await serve_agent(Agent(OneValue(), access, engine), access)
        keys = {"auth": Secret("auth", "authentic-key"), "privacy": Secret("privacy", "private-key")}
        options: dict[str, Option] = {"fast": fast, "timeout": 10.0}
        link = connect_snmp(
            Connection(
                "pdu-a", serving.address, user="bench", secrets=keys, options=options, now=lambda: datetime.now(UTC)
            )
        )
        try:
            for _ in range(3):
                found = await asyncio.wait_for(link.get([(*TABLE, 1, 1)]), link.deadline + 60.0)
                assert found == {(*TABLE, 1, 1): 7}
                leap[0] += 86400.0
        finally:
            await link.close()
            await serving.close()

    asyncio.run(run())
