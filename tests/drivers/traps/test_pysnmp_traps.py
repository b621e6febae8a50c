"""The traps of pysnmp 7.1.30 and of agents, one test each; over a real socket our transport does not fall in.

Measured, read in its source or taken from issues; T1 … T9 are numbered as in the team's notes on SNMP. Where it costs
little the test shows beside that the library still has the trap: once that part fails, ours may be let go.

| trap | test |
|---|---|
| T1 a walk of a dead device never ends | test_trap_t1_bulk_walk_of_a_dead_device_never_ends |
| T2 one engine over two event loops hangs | test_trap_t2_engine_shared_by_two_loops_hangs |
| T3 the engine ID of a unit that was replaced stays cached | test_trap_t3_engine_id_of_a_replaced_unit_is_cached |
| T4 one user name with several passwords in one engine | test_trap_t4_same_user_other_password_wrong_digest |
| T5 wrong secrets that look like silence | test_trap_t5_wrong_secrets_look_like_silence |
| T6 timers turn twice a second | test_trap_t6_timer_grain_is_half_a_second |
| T7 an engine that is not closed stays | test_trap_t7_unclosed_engines_leak |
| T8 most MIBs are not there | use::test_trap_t8_mib_not_found |
| T9 with pysmi installed it warns at import | use::test_trap_t9_warnings_at_import |
| by default a dead device costs 6 s | test_trap_default_timeout_is_six_seconds |
| three planes of errors, nothing raises | test_trap_three_error_planes |
| absence comes as a value | test_trap_absence_is_a_value |
| lookupMib is on and costs three times as much | use::test_trap_lookup_mib_is_on_by_default |
| an engine takes 120 ms and 1 MB | test_trap_engine_start_is_dear |
| AES needs cryptography, which it does not ask for | use::test_trap_aes_needs_cryptography |
| bulk_walk_cmd takes one column | test_trap_bulk_walk_takes_one_column |
| the synchronous calls of old are gone | use::test_trap_synchronous_api_is_gone |
| before 7.1.23 some time-outs were never raised | use::test_trap_older_releases_never_time_out |
| an answer from another address is taken | test_trap_answer_from_another_address |
| a reboot puts requests out of the time window | test_trap_not_in_time_window_after_a_reboot |
| genErr, and the outlet did switch | test_trap_general_error_though_the_outlet_switched |
| more than 55 rows a request are skipped | use::test_trap_more_than_55_repetitions_skip_rows |
| LLDP lies outside of 1.3.6.1 | test_trap_lldp_lies_outside_of_the_internet_subtree |
| timeMark of LLDP rows changes | tests/drivers/test_lldp.py::test_trap_time_mark_changes_between_columns_of_one_walk |
| fewer rows than asked for | tests/drivers/test_snmp.py::test_fewer_rows_than_asked_for_are_taken_as_they_come |
| tooBig | tests/drivers/test_snmp.py::test_an_agent_that_finds_everything_too_big_is_asked_for_less |
| OIDs that do not increase | tests/drivers/test_snmp.py::test_an_agent_that_goes_round_in_circles_misbehaves |

`use` is test_pysnmp_use.py, where the traps are that our source keeps out of by what it does not call. An answer that
comes late or twice is in tests/drivers/faults/snmp; an error in mid-table, which gufo-snmp shows as the
end of the table, in tests/drivers/test_snmp.py.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pytest
from pysnmp.hlapi.v3arch import asyncio as api  # type: ignore[import-untyped]

from drivers.pdu import Pdu
from drivers.pdu import connect as connect_pdu
from drivers.transports.snmp import Oid, SnmpLink, connect_snmp
from harness.connection import Connection, Option, Secret
from harness.errors import DeviceError, Misbehaved, Refused, Unreachable

if TYPE_CHECKING:
    from tests.drivers.conftest import Agents

ROOT_FOLDER = Path(__file__).parents[3]
T = TypeVar("T")
TABLE: Oid = (1, 3, 6, 1, 4, 1, 99999, 1)
ROOT = ".".join(map(str, TABLE))
ROWS = {f"{ROOT}.{column}.{row}": ["integer", str(100 * column + row)] for column in (1, 2) for row in range(1, 41)}
ENGINE = "80001f8804aabbccdd"
ANSWERED, UNANSWERED = 10.0, 0.3
"""Wall seconds to wait where an answer comes, and where none does."""


def connection(
    port: int, *, version: int = 2, fast: bool = False, timeout: float = ANSWERED, **given: str
) -> Connection:
    options: dict[str, Option] = {"version": version, "fast": fast, "timeout": timeout}
    return Connection(
        "pdu-a",
        f"snmp://127.0.0.1:{port}",
        profile=given.get("profile", ""),
        user="bench" if version == 3 else "",
        secrets={
            "community": Secret("community", given.get("community", "public")),
            "auth": Secret("auth", given.get("auth", "authentic-key")),
            "privacy": Secret("privacy", given.get("privacy", "private-key")),
        },
        options=options,
        now=lambda: datetime.now(UTC),
    )


def ask(what: Connection, question: Callable[[SnmpLink], Awaitable[T]]) -> T:
    async def run() -> T:
        link = connect_snmp(what)
        try:
            return await question(link)
        finally:
            await link.close()

    return asyncio.run(run())


async def ends(call: Awaitable[object]) -> DeviceError | None:
    """The error in which a call ends; None where it does not fail. It does end."""
    try:
        async with asyncio.timeout(60.0):
            await call
    except DeviceError as error:
        return error
    return None


async def works(link: SnmpLink) -> None:
    assert await link.get([(*TABLE, 1, 7)]) == {(*TABLE, 1, 7): 107}
    assert (await link.walk([(*TABLE, 2)]))[*TABLE, 2] == {(row,): 200 + row for row in range(1, 41)}


def served(agents: Agents, **how: Any) -> int:
    return agents.start(ROWS, roots=(ROOT,), **how)


class Deaf(asyncio.DatagramProtocol):
    """Hears and never answers; unless from another socket, whose address is not the one that was asked."""

    def __init__(self, elsewhere: Callable[[bytes], bytes] | None = None) -> None:
        self.asked = 0
        self._elsewhere = elsewhere
        self._transport: asyncio.DatagramTransport | None = None
        self.other: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked += 1
        if self._elsewhere is not None and self.other is not None:
            self.other.sendto(self._elsewhere(data), addr)


async def to_deaf(deaf: Deaf, question: Callable[[int], Awaitable[T]]) -> T:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: deaf, local_addr=("127.0.0.1", 0))
    deaf.other, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
    try:
        return await question(transport.get_extra_info("sockname")[1])
    finally:
        transport.close()
        deaf.other.close()
        await asyncio.sleep(0)


def test_every_trap_of_the_table_has_its_test() -> None:
    rows = re.findall(r"^\| (?!trap |---).+ \| (\S+) \|$", __doc__ or "", re.MULTILINE)
    assert len(rows) > 25
    for row in rows:
        file, _, name = row.replace("use::", "tests/drivers/traps/test_pysnmp_use.py::").rpartition("::")
        text = (ROOT_FOLDER / file if file else Path(__file__)).read_text(encoding="utf-8")
        assert f"def {name}(" in text, row


def test_trap_t1_bulk_walk_of_a_dead_device_never_ends() -> None:
    """On a time-out bulk_walk_cmd yields the error and starts again. We have a walk of our own, with a budget."""

    async def library(port: int) -> int:
        engine = api.SnmpEngine()
        target = await api.UdpTransportTarget.create(("127.0.0.1", port), timeout=0.05, retries=0)
        what = api.ObjectType(api.ObjectIdentity(TABLE))
        yields = 0
        async with asyncio.timeout(60.0):
            async for indication, *_ in api.bulk_walk_cmd(
                engine, api.CommunityData("public", mpModel=1), target, api.ContextData(), 0, 10, what, lookupMib=False
            ):
                assert indication is not None
                yields += 1
                if yields == 4:
                    break
        engine.close_dispatcher()
        return yields

    async def ours(port: int) -> DeviceError | None:
        link = connect_snmp(connection(port, timeout=UNANSWERED))
        try:
            return await ends(link.walk([TABLE]))
        finally:
            await link.close()

    assert isinstance(asyncio.run(to_deaf(Deaf(), ours)), Unreachable)
    assert asyncio.run(to_deaf(Deaf(), library)) == 4


def test_trap_t2_engine_shared_by_two_loops_hangs(agents: Agents) -> None:
    """lextudio/pysnmp #64: the second loop waits for ever. Each link has its engine, and a link belongs to one loop."""
    port = served(agents)
    for _ in range(2):
        ask(connection(port, version=3), works)


def test_trap_t3_engine_id_of_a_replaced_unit_is_cached(agents: Agents) -> None:
    """It times out for ever. We forget it after one silence, report the replaced unit, and read it when opened anew."""
    port = served(agents)

    async def question(link: SnmpLink) -> None:
        await works(link)
        agents.stop(port)
        served(agents, port=port, engine="80001f880455667788")
        error = await ends(link.get([(*TABLE, 1, 7)]))
        assert isinstance(error, Misbehaved)
        assert "another unit answers" in error.seen
        await link.close()
        await works(link)

    ask(connection(port, version=3, timeout=1.5), question)


def test_trap_t4_same_user_other_password_wrong_digest(agents: Agents) -> None:
    """In one engine users are told by name alone, and half of the concurrent requests end as WrongDigest."""
    keys = {
        served(agents, auth=key, engine=f"80001f88040000000{at}"): key
        for at, key in enumerate(("first-long-key", "second-long-key"))
    }

    async def run() -> None:
        links = [connect_snmp(connection(port, version=3, auth=key)) for port, key in keys.items()]
        try:
            await asyncio.gather(*(works(link) for _ in range(3) for link in links))
        finally:
            for link in links:
                await link.close()

    asyncio.run(run())


def test_trap_t5_wrong_secrets_look_like_silence(agents: Agents) -> None:
    """A wrong community, a wrong privacy key and a dead port are one time-out; our advice names what it may be."""
    port = served(agents)
    for what, words in [
        (connection(port, community="wrong", timeout=UNANSWERED), "a wrong community looks the same"),
        (
            connection(port, version=3, privacy="wrong-private", timeout=UNANSWERED),
            "a wrong privacy key looks the same",
        ),
        (connection(1, timeout=UNANSWERED), "a wrong community looks the same"),
    ]:
        error = ask(what, lambda link: ends(link.get([(*TABLE, 1, 1)])))
        assert isinstance(error, Unreachable)
        assert words in error.advice
    told = ask(connection(port, version=3, auth="not-that-key"), lambda link: ends(link.get([(*TABLE, 1, 1)])))
    assert isinstance(told, Refused)


def test_trap_t6_timer_grain_is_half_a_second() -> None:
    """A time-out of 0.05 s lasts 0.2 … 0.5 s: our deadline allows for it, and devices do not wait for each other."""

    async def run(port: int) -> None:
        links = [connect_snmp(connection(port, timeout=UNANSWERED)) for _ in range(8)]
        found = await asyncio.gather(*(ends(link.get([(*TABLE, 1, 1)])) for link in links))
        assert {type(error) for error in found} == {Unreachable}
        assert {error.seen for error in found if error} == {"no answer within 0.3 s"}
        assert all(link.deadline > 2 * (0.3 + 0.5) for link in links)
        for link in links:
            await link.close()

    asyncio.run(to_deaf(Deaf(), run))


def test_trap_t7_unclosed_engines_leak(agents: Agents) -> None:
    """A socket, a task and a megabyte each: a link that is closed leaves no descriptor behind."""
    port = served(agents)
    ask(connection(port, version=3), works)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        ask(connection(port, version=3), works)
    assert len(os.listdir("/proc/self/fd")) <= before


def test_trap_default_timeout_is_six_seconds() -> None:
    """1 s and 5 retries: we state both, and a dead device hears two requests of a read at most, and one of a write."""
    deaf = Deaf()

    async def run(port: int) -> None:
        target = await api.UdpTransportTarget.create(("127.0.0.1", port))
        assert target.timeout * (target.retries + 1) == 6
        link = connect_snmp(connection(port, timeout=UNANSWERED))
        assert isinstance(await ends(link.get([(*TABLE, 1, 1)])), Unreachable)
        heard = deaf.asked
        assert 1 <= heard <= 2  # on a busy machine one may be over before it was sent
        assert isinstance(await ends(link.set((*TABLE, 1, 1), 1)), Unreachable)
        assert deaf.asked == heard + 1
        await link.close()

    asyncio.run(to_deaf(deaf, run))


def test_trap_three_error_planes(agents: Agents) -> None:
    """errorIndication, errorStatus and exceptional values; nothing is raised. Each becomes an error, or None."""
    port = served(agents)

    async def status(link: SnmpLink) -> None:
        with pytest.raises(Refused, match=r"noAccess|notWritable"):
            await link.set((*TABLE, 1, 1), 5)

    async def indication(link: SnmpLink) -> None:
        with pytest.raises(Refused, match="digest"):
            await link.get([(*TABLE, 1, 1)])

    async def value(link: SnmpLink) -> None:
        assert await link.get([(*TABLE, 9, 9)]) == {(*TABLE, 9, 9): None}

    ask(connection(port, community="readonly"), status)
    ask(connection(port, version=3, auth="not-that-key"), indication)
    ask(connection(port), value)


@pytest.mark.parametrize("fast", [True, False], ids=["gufo", "pysnmp"])
def test_trap_absence_is_a_value(agents: Agents, fast: bool) -> None:
    """noSuchInstance and endOfMibView are values with an empty text and the number 0: here they are None."""
    port = served(agents)

    async def question(link: SnmpLink) -> None:
        absent, far = (*TABLE, 1, 999), (1, 3, 6, 1, 4, 1, 99999, 7)
        assert await link.get([absent, (*TABLE, 1, 1)]) == {absent: None, (*TABLE, 1, 1): 101}
        assert await link.walk([far]) == {far: {}}

    ask(connection(port, fast=fast), question)


def test_trap_engine_start_is_dear(agents: Agents, monkeypatch: pytest.MonkeyPatch) -> None:
    """#402: one engine a device made at once ate a core. A link makes one, when it is used, beside the event loop."""
    port = served(agents)
    made: list[bool] = []
    real = api.SnmpEngine

    def counted() -> Any:
        made.append(threading.current_thread() is threading.main_thread())
        return real()

    monkeypatch.setattr(api, "SnmpEngine", counted)

    async def question(link: SnmpLink) -> None:
        assert made == []
        for _ in range(3):
            await works(link)
        assert isinstance(await ends(link.get([(*TABLE, 9, 9)])), type(None))

    ask(connection(port), question)
    assert made == [False]


def test_trap_bulk_walk_takes_one_column(agents: Agents) -> None:
    """PR #216 is open: our walk asks for all columns in one request, and each is whole."""
    port = served(agents)

    async def question(link: SnmpLink) -> None:
        walked = await link.walk([(*TABLE, 1), (*TABLE, 2), (*TABLE, 3)])
        assert [len(rows) for rows in walked.values()] == [40, 40, 0]

    ask(connection(port), question)


@pytest.mark.parametrize("fast", [True, False], ids=["gufo", "pysnmp"])
def test_trap_answer_from_another_address(fast: bool) -> None:
    """A datagram with the right request-id from a socket that was not asked: pysnmp takes it, we do not hear it."""

    def forged(request: bytes) -> bytes:
        return request.replace(b"\xa0", b"\xa2", 1).replace(b"\x05\x00", b"\x02\x00", 1)  # GET made a response

    async def run(port: int) -> None:
        link = connect_snmp(connection(port, fast=fast, timeout=UNANSWERED))
        try:
            assert isinstance(await ends(link.get([(*TABLE, 1, 1)])), Unreachable)
        finally:
            await link.close()

    asyncio.run(to_deaf(Deaf(forged), run))


@pytest.mark.parametrize("fast", [True, False], ids=["gufo", "pysnmp"])
def test_trap_not_in_time_window_after_a_reboot(agents: Agents, fast: bool) -> None:
    """net-snmp with engineBoots one higher and its time at zero: the driver takes both, it is the same unit."""
    port = served(agents, lines=(f"oldEngineID 0x{ENGINE}", "engineBoots 7"))

    async def question(link: SnmpLink) -> None:
        boots: Oid = (1, 3, 6, 1, 6, 3, 10, 2, 1, 2, 0)
        await works(link)
        assert await link.get([boots]) == {boots: 8}
        agents.stop(port)
        served(agents, port=port, lines=(f"oldEngineID 0x{ENGINE}", "engineBoots 8"))
        await works(link)
        assert await link.get([boots]) == {boots: 9}

    ask(connection(port, version=3, fast=fast), question)


def test_trap_general_error_though_the_outlet_switched(agents: Agents) -> None:
    """AP8965 (apc-pdu-snmp #19): genErr to the SET, and the outlet is on. The state decides, not the status."""
    family = "1.3.6.1.4.1.318.1.1.26"
    table = {
        "1.3.6.1.2.1.1.1.0": ["octet", "41 50 43"],
        "1.3.6.1.2.1.1.2.0": ["objectid", ".1.3.6.1.4.1.318.1.3.4.6"],
        f"{family}.2.1.6.1": ["octet", "76 36"],
        f"{family}.2.1.8.1": ["octet", "41 50 38 39 36 35"],
        f"{family}.2.1.9.1": ["octet", "35 41 31 39"],
        f"{family}.4.3.1.5.1": ["integer", "16"],
        f"{family}.9.2.3.1.5.1": ["integer", "1"],
        f"{family}.9.2.3.1.6.1": ["integer", "2"],
        f"{family}.9.2.4.1.5.1": ["integer", "2"],
    }
    moves = {
        "control": f"{family}.9.2.4.1.5", "state": f"{family}.9.2.3.1.5", "map": {"1": "2"}, "looks": 0,
        "says": "gen-error",
    }  # fmt: skip
    port = agents.start(table, roots=("1.3.6.1.2.1.1", "1.3.6.1.4.1.318"), rules=(moves,))

    async def run() -> None:
        pdu = connect_pdu(connection(port, profile="apc-rpdu2"))
        assert isinstance(pdu, Pdu)
        try:
            await pdu.open()
            assert (await pdu.switch("1", on=True)).on is True
        finally:
            await pdu.close()

    asyncio.run(run())


@pytest.mark.parametrize("fast", [True, False], ids=["gufo", "pysnmp"])
def test_trap_lldp_lies_outside_of_the_internet_subtree(agents: Agents, fast: bool) -> None:
    """LLDP-MIB begins at 1.0.8802 and LLDP-V2-MIB at 1.3.111: a walk of 1.3.6.1 finds neither, one of theirs does."""
    first, second = "1.0.8802.1.1.2.1.4.1.1.9", "1.3.111.2.802.1.1.13.1.4.1.1.10"
    table = {f"{first}.0.7.1": ["octet", "61 62"], f"{second}.0.7.1.1": ["octet", "63 64"]}
    port = agents.start(table, roots=("1.0.8802", "1.3.111"))
    columns = [tuple(map(int, each.split("."))) for each in (first, second)]

    async def question(link: SnmpLink) -> None:
        assert await link.walk(columns) == {columns[0]: {(0, 7, 1): b"ab"}, columns[1]: {(0, 7, 1, 1): b"cd"}}

    ask(connection(port, fast=fast), question)
