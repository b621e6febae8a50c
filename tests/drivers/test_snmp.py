"""The SNMP transport against net-snmp's agent, and against a peer that misbehaves."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pysnmp.hlapi.v3arch import asyncio as api  # type: ignore[import-untyped]

from drivers.transports.snmp import Oid, SnmpLink, connect_snmp
from drivers.transports.snmp_wire import Column, ExchangeFailed, dotted, parse_oid
from harness.connection import Connection, Option, Secret
from harness.errors import DefinitionError, Misbehaved, Refused, Unreachable, Unsupported

if TYPE_CHECKING:
    from tests.drivers.conftest import Agents

T = TypeVar("T")
DESCRIPTION: Oid = (1, 3, 6, 1, 2, 1, 1, 1, 0)
NAME: Oid = (1, 3, 6, 1, 2, 1, 1, 5, 0)
NOTHING: Oid = (1, 3, 6, 1, 2, 1, 1, 99, 0)
TABLE: Oid = (1, 3, 6, 1, 4, 1, 99999, 1)
ANSWERED, UNANSWERED = 10.0, 0.5
"""Wall seconds to wait where an answer comes, and where none does."""
WAYS = pytest.mark.parametrize("fast", [True, False], ids=["gufo", "pysnmp"])


def connection(
    port: int, *, version: int = 2, fast: bool = True, timeout: float = ANSWERED, **given: str
) -> Connection:
    options: dict[str, Option] = {"version": version, "fast": fast, "timeout": timeout}
    secrets = {
        "community": Secret("community", given.get("community", "public")),
        "auth": Secret("auth", given.get("auth", "authentic-key")),
        "privacy": Secret("privacy", given.get("privacy", "private-key")),
    }
    user = given.get("user", "bench") if version == 3 else ""
    return Connection(
        "switch-1",
        f"snmp://127.0.0.1:{port}",
        user=user,
        secrets=secrets,
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
            await link.close()

    return asyncio.run(run())


def small_table(rows: int) -> dict[str, list[str]]:
    table = {f"{dotted(TABLE)}.1.{row}": ["integer", str(row)] for row in range(1, rows + 1)}
    table |= {f"{dotted(TABLE)}.2.{row}": ["octet", "61 62 00"] for row in range(1, rows + 1, 2)}
    table |= {
        f"{dotted(TABLE)}.3.1": ["objectid", ".1.3.6.1.4.1.318"],
        f"{dotted(TABLE)}.3.2": ["ipaddress", "10.1.2.3"],
        f"{dotted(TABLE)}.3.3": ["counter64", str(2**63 + 1)],
        f"{dotted(TABLE)}.3.4": ["timeticks", "42"],
    }
    return table


@WAYS
@pytest.mark.parametrize("version", [2, 3])
def test_values_and_absence_are_the_same_both_ways(agents: Agents, fast: bool, version: int) -> None:
    port = agents.start(small_table(60), roots=(dotted(TABLE),))
    columns = [(*TABLE, column) for column in (1, 2, 3, 9)]

    async def question(link: SnmpLink) -> None:
        found = await link.get([NOTHING, (*TABLE, 1, 7), (*TABLE, 3, 1)])
        assert found == {NOTHING: None, (*TABLE, 1, 7): 7, (*TABLE, 3, 1): (1, 3, 6, 1, 4, 1, 318)}
        walked = await link.walk(columns)
        assert walked[*TABLE, 1] == {(row,): row for row in range(1, 61)}
        assert walked[*TABLE, 2] == {(row,): b"ab\x00" for row in range(1, 61, 2)}
        assert list(walked[*TABLE, 3].values()) == [(1, 3, 6, 1, 4, 1, 318), "10.1.2.3", 2**63 + 1, 42]
        assert walked[*TABLE, 9] == {}

    ask(connection(port, version=version, fast=fast), question)


@WAYS
def test_more_values_than_one_message_holds(agents: Agents, fast: bool) -> None:
    port = agents.start(small_table(60), roots=(dotted(TABLE),))
    found = ask(connection(port, fast=fast), lambda link: link.get([(*TABLE, 1, row) for row in range(1, 61)]))
    assert list(found.values()) == list(range(1, 61))


@WAYS
@pytest.mark.parametrize("wrong", [{"community": "no-such-community"}, {"version": "3", "privacy": "another-key"}])
def test_wrong_secrets_that_look_like_silence_say_so(agents: Agents, fast: bool, wrong: dict[str, str]) -> None:
    port = agents.start()
    secrets = {name: secret for name, secret in wrong.items() if name != "version"}
    version = 3 if "version" in wrong else 2
    what = connection(port, version=version, fast=fast, timeout=UNANSWERED, **secrets)
    with pytest.raises(Unreachable, match=r"a wrong (community|privacy key) looks the same") as caught:
        ask(what, lambda link: link.get([DESCRIPTION]))
    assert "another-key" not in str(caught.value)
    assert "no-such-community" not in str(caught.value)


@WAYS
@pytest.mark.parametrize("wrong", [{"auth": "another-key"}, {"user": "nobody"}])
def test_wrong_key_or_user_is_refused(agents: Agents, fast: bool, wrong: dict[str, Any]) -> None:
    port = agents.start()
    with pytest.raises(Refused, match="not tried again") as caught:
        ask(connection(port, version=3, fast=fast, **wrong), lambda link: link.get([DESCRIPTION]))
    assert "another-key" not in str(caught.value)


def test_a_read_that_is_cancelled_while_its_engine_is_made_spoils_nothing(
    agents: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine the time-out comes before there is anything to ask with."""
    port = agents.start(lines=("sysName here",))
    began = asyncio.Event()
    target = api.UdpTransportTarget
    make = target.create

    async def hesitating(*address: object, **how: object) -> object:
        if not began.is_set():
            began.set()
            await asyncio.Event().wait()
        return await make(*address, **how)

    monkeypatch.setattr(target, "create", hesitating)

    async def question(link: SnmpLink) -> None:
        reading = asyncio.create_task(link.get([NAME]))
        await began.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert await link.get([NAME]) == {NAME: b"here"}

    ask(connection(port, fast=False), question)


@WAYS
def test_silence_is_unreachable(fast: bool) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        port = deaf.getsockname()[1]
        for version in (2, 3):
            what = connection(port, version=version, fast=fast, timeout=UNANSWERED)
            with pytest.raises(Unreachable, match="Check power, cable"):
                ask(what, lambda link: link.get([DESCRIPTION]))


@WAYS
def test_a_unit_that_was_replaced_answers_again(agents: Agents, fast: bool) -> None:
    """Another engine ID at the same address: the old one is cached and must be forgotten, once somebody opens anew."""
    port = agents.start(lines=("sysName first",))

    async def question(link: SnmpLink) -> tuple[object, object]:
        first = (await link.get([NAME]))[NAME]
        agents.stop(port)
        agents.start(lines=("sysName second",), port=port, engine="80001f880411223344")
        for _ in range(2):
            with pytest.raises(Misbehaved, match="another unit answers at this address"):
                await link.get([NAME])
        await link.close()
        return first, (await link.get([NAME]))[NAME]

    assert ask(connection(port, version=3, fast=fast, timeout=2.0), question) == (b"first", b"second")


@pytest.mark.parametrize("version", [2, 3])
def test_a_write_that_may_not_be_is_refused(agents: Agents, version: int) -> None:
    port = agents.start(small_table(2), roots=(dotted(TABLE),))
    readonly = connection(port, version=version, community="readonly")
    with pytest.raises(Refused, match=r"noAccess|notWritable"):
        ask(readonly, lambda link: link.set((*TABLE, 1, 1), 5))


def test_a_value_of_the_wrong_kind_is_unsupported(agents: Agents) -> None:
    port = agents.start()
    with pytest.raises(Unsupported, match="wrongType"):
        ask(connection(port), lambda link: link.set(NAME, 5))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"address": "snpm://127.0.0.1"}, "must begin with snmp://"),
        ({"address": "snmp://:161"}, "names no host"),
        ({"secrets": {}}, "'community' is missing"),
        ({"options": {"version": 3}}, "SNMP v3 needs a user"),
        ({"options": {"version": 1}}, "no number from 2 to 3"),
        ({"options": {"version": 3, "auth_protocol": "SHA-256"}, "user": "bench"}, "did you mean 'SHA256'"),
        ({"options": {"version": 3}, "user": "bench", "short": True}, "shorter than 8 characters"),
    ],
)
def test_a_wrong_bay_file_is_told_before_the_first_contact(change: dict[str, object], words: str) -> None:
    given: dict[str, object] = {
        "address": "snmp://127.0.0.1:1161",
        "options": {"version": 2},
        "user": "",
        "secrets": {name: Secret(name, f"{name}-secret") for name in ("community", "auth", "privacy")},
    } | change
    if given.pop("short", False):
        given["secrets"] = {name: Secret(name, "short") for name in ("auth", "privacy")}
    with pytest.raises(DefinitionError, match=words):
        connect_snmp(Connection("pdu-a", now=lambda: datetime.now(UTC), **given))  # type: ignore[arg-type]


class Liar(asyncio.DatagramProtocol):
    """A peer that answers v2c requests as it likes: `answer` gets the request and gives octets, or none."""

    def __init__(self, answer: Callable[[bytes, int], bytes | None]) -> None:
        self._answer = answer
        self.asked = 0
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked += 1
        reply = self._answer(data, self.asked)
        if reply is not None and self.transport is not None:
            self.transport.sendto(reply, addr)


def lie(
    answer: Callable[[bytes, int], bytes | None],
    fast: bool,
    question: Callable[[SnmpLink], Awaitable[T]],
    timeout: float = ANSWERED,
) -> T:
    async def run() -> T:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: Liar(answer), local_addr=("127.0.0.1", 0)
        )
        link = connect_snmp(connection(transport.get_extra_info("sockname")[1], fast=fast, timeout=timeout))
        try:
            return await question(link)
        finally:
            await link.close()
            transport.close()
            await asyncio.sleep(0)

    return asyncio.run(run())


def tlv(tag: int, body: bytes) -> bytes:
    assert len(body) < 65536
    length = bytes([len(body)]) if len(body) < 128 else b"\x82" + len(body).to_bytes(2, "big")
    return bytes([tag]) + length + body


def encoded_oid(oid: Oid) -> bytes:
    body = bytes([oid[0] * 40 + oid[1]])
    for arc in oid[2:]:
        septets = [arc & 0x7F]
        while arc := arc >> 7:
            septets.insert(0, arc & 0x7F | 0x80)
        body += bytes(septets)
    return tlv(6, body)


def reply(request: bytes, rows: list[tuple[Oid, bytes]], *, status: int = 0, wrong_id: bool = False) -> bytes:
    """A v2c response; the request-id is found behind the community, as BER is written (RFC 3417, section 8)."""
    community = request[7 : 7 + request[6]] if request[0] == 0x30 and request[1] < 128 else b"public"
    start = request.index(community) + len(community) + 2
    if request[start - 1] >= 0x80:
        start += request[start - 1] & 0x7F
    number = request[start : start + 2 + request[start + 1]]
    if wrong_id:
        number = tlv(2, b"\x01\x02")
    bindings = b"".join(tlv(0x30, encoded_oid(oid) + value) for oid, value in rows)
    pdu = number + tlv(2, bytes([status])) + tlv(2, b"\x00") + tlv(0x30, bindings)
    return tlv(0x30, tlv(2, b"\x01") + tlv(4, community) + tlv(0xA2, pdu))


@WAYS
def test_an_agent_that_goes_round_in_circles_misbehaves(fast: bool) -> None:
    def circle(request: bytes, asked: int) -> bytes:
        return reply(request, [((*TABLE, 1, 5), tlv(2, b"\x05")), ((*TABLE, 1, 3), tlv(2, b"\x03"))])

    with pytest.raises(Misbehaved, match="do not increase"):
        lie(circle, fast, lambda link: link.walk([(*TABLE, 1)]))


@WAYS
def test_fewer_rows_than_asked_for_are_taken_as_they_come(fast: bool) -> None:
    last = {"row": 0}

    def stingy(request: bytes, asked: int) -> bytes:
        last["row"] += 1
        oid = (*TABLE, 1, last["row"]) if last["row"] < 6 else (*TABLE, 2, 1)
        return reply(request, [(oid, tlv(2, bytes([last["row"]])))])

    walked = lie(stingy, fast, lambda link: link.walk([(*TABLE, 1)]))
    assert walked == {(*TABLE, 1): {(row,): row for row in range(1, 6)}}


def test_an_agent_that_finds_everything_too_big_is_asked_for_less() -> None:
    def narrow(request: bytes, asked: int) -> bytes:
        if asked < 4:
            return reply(request, [], status=1)
        return reply(request, [((*TABLE, 2, 1), tlv(2, b"\x01"))])

    assert lie(narrow, False, lambda link: link.walk([(*TABLE, 1)])) == {(*TABLE, 1): {}}
    with pytest.raises(Misbehaved, match="tooBig"):
        lie(lambda request, _: reply(request, [], status=1), False, lambda link: link.walk([(*TABLE, 1)]))


@WAYS
def test_the_end_of_the_view_ends_a_walk(fast: bool) -> None:
    def short(request: bytes, asked: int) -> bytes:
        end = ((*TABLE, 1, 1), b"\x82\x00")
        return reply(request, [((*TABLE, 1, 1), tlv(2, b"\x01")), end] if asked == 1 else [end])

    assert lie(short, fast, lambda link: link.walk([(*TABLE, 1)])) == {(*TABLE, 1): {(1,): 1}}


@WAYS
def test_octets_that_are_no_message_are_misbehaviour_not_silence(fast: bool) -> None:
    with pytest.raises(Misbehaved, match="no SNMP message"):
        lie(lambda *_: b"\x30\x82\xff\xff\x00garbage", fast, lambda link: link.get([DESCRIPTION]))


@WAYS
def test_an_answer_to_another_request_is_not_taken(fast: bool) -> None:
    def stale(request: bytes, asked: int) -> bytes:
        return reply(request, [(DESCRIPTION, tlv(4, b"stale"))], wrong_id=True)

    with pytest.raises((Unreachable, Misbehaved)):
        lie(stale, fast, lambda link: link.get([DESCRIPTION]), timeout=UNANSWERED)


@WAYS
def test_a_lost_answer_is_asked_for_again(fast: bool) -> None:
    def lossy(request: bytes, asked: int) -> bytes | None:
        return None if asked == 1 else reply(request, [(DESCRIPTION, tlv(4, b"here"))])

    assert lie(lossy, fast, lambda link: link.get([DESCRIPTION]), timeout=4.0) == {DESCRIPTION: b"here"}


def test_a_write_is_never_repeated() -> None:
    asked: list[bytes] = []

    def deaf_to_writes(request: bytes, number: int) -> bytes | None:
        if request[7 + request[6]] != 0xA3:  # behind the community; no SetRequest (RFC 3416, 3)
            return reply(request, [(DESCRIPTION, tlv(4, b"here"))])
        asked.append(request)
        return None

    async def question(link: SnmpLink) -> None:
        await link.get([DESCRIPTION])  # so that there is something to write with
        await link.set(NAME, 1)

    with pytest.raises(Unreachable, match="may have been done or not"):
        lie(deaf_to_writes, True, question, timeout=2.0)
    assert len(asked) == 1


@WAYS
def test_general_error_is_misbehaviour(fast: bool) -> None:
    with pytest.raises(Misbehaved, match="genErr"):
        lie(
            lambda request, _: reply(request, [(DESCRIPTION, b"\x05\x00")], status=5),
            fast,
            lambda link: link.get([DESCRIPTION]),
        )


@WAYS
def test_a_walk_that_breaks_off_with_an_error_is_no_short_table(fast: bool) -> None:
    def breaking(request: bytes, asked: int) -> bytes:
        if asked == 1:
            return reply(request, [((*TABLE, 1, row), tlv(2, bytes([row]))) for row in (1, 2, 3)])
        return reply(request, [((*TABLE, 1, 3), b"\x05\x00")], status=5)

    with pytest.raises(Misbehaved, match="genErr"):
        lie(breaking, fast, lambda link: link.walk([(*TABLE, 1)]))


@WAYS
def test_a_walk_that_begins_with_an_error_is_no_empty_table(fast: bool) -> None:
    with pytest.raises(Misbehaved, match="genErr"):
        lie(
            lambda request, _: reply(request, [((*TABLE, 1), b"\x05\x00")], status=5),
            fast,
            lambda link: link.walk([(*TABLE, 1)]),
        )


@given(st.lists(st.tuples(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.integers()), max_size=30))
@settings(max_examples=100, deadline=None)
def test_a_column_ends_or_grows_whatever_the_agent_says(rows: list[tuple[list[int], int]]) -> None:
    column = Column((1, 3))
    for tail, value in rows:
        before = len(column.rows)
        try:
            column.take((1, *tail), value)
        except ExchangeFailed:
            break
        assert column.done or len(column.rows) == before + 1
    assert all(index == tuple(index) for index in column.rows)
    assert list(column.rows) == sorted(column.rows)


@given(st.lists(st.integers(0, 2**32 - 1), min_size=2, max_size=20))
def test_oids_survive_being_written(arcs: list[int]) -> None:
    assert parse_oid(dotted(tuple(arcs))) == tuple(arcs)
