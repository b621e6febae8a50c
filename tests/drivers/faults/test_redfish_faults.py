"""The fault contract of the Redfish transport: every fault, while logging in, reading and writing.

Each ends within the declared deadline, in the right error, and the next call works once the device is well. What the
statuses of HTTP mean is in tests/drivers/test_redfish.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from drivers.transports.redfish import RedfishWire
from harness.errors import DeviceError, Misbehaved, Refused, Unreachable
from tests.drivers.faults.contract import CONTRACT
from tests.drivers.redfish_peer import (
    DEVICE,
    PASSWORD,
    Answer,
    Bmc,
    Call,
    Certificate,
    always,
    certificate,
    connection,
    impatient,
    logged_in,
    reply,
    serving,
)

NOT_APPLICABLE: dict[str, str] = {}
ELSEWHERE = {"duplicate-reply": ("test_redfish_unasked.py", "test_duplicate_reply")}
DEADLINE = 0.6
"""Wall seconds that our wire waits for what never comes."""
GUARD = 60.0
"""Wall seconds after which a call has hung, however busy the machine."""
PATH, ACTION = "/redfish/v1/Systems/1", "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset"
GOOD = {"@odata.id": PATH, "Id": "1"}
Break = Callable[[Bmc], AbstractAsyncContextManager[None]]


def whatever(answer: Answer) -> Break:
    """A fault that is one way of answering everything."""

    @asynccontextmanager
    async def broken(bmc: Bmc) -> AsyncIterator[None]:
        bmc.whatever = answer
        try:
            yield
        finally:
            bmc.whatever = None

    return broken


@asynccontextmanager
async def off(bmc: Bmc) -> AsyncIterator[None]:
    await bmc.stop()
    try:
        yield
    finally:
        await bmc.start()


@asynccontextmanager
async def swapped(bmc: Bmc, **other: Any) -> AsyncIterator[None]:
    before = {name: getattr(bmc, name) for name in other}
    await bmc.stop()
    vars(bmc).update(other)
    await bmc.start()
    try:
        yield
    finally:
        await bmc.stop()
        vars(bmc).update(before)
        await bmc.start()


@asynccontextmanager
async def expired(bmc: Bmc) -> AsyncIterator[None]:
    bmc.tokens.clear()
    yield


@asynccontextmanager
async def wrong_secret(bmc: Bmc) -> AsyncIterator[None]:
    bmc.tokens.clear()
    bmc.password = "changed by somebody"
    try:
        yield
    finally:
        bmc.password = PASSWORD


@asynccontextmanager
async def rebooting(bmc: Bmc) -> AsyncIterator[None]:
    """It goes down with a call in its hands, and comes back without a session."""
    asked = asyncio.Event()

    async def down(call: Call) -> bytes:
        asked.set()
        await asyncio.Event().wait()
        return b""

    async def cut() -> None:
        await asked.wait()
        await bmc.stop()

    bmc.whatever = down
    going = asyncio.create_task(cut())
    try:
        yield
    finally:
        await going
        bmc.whatever = None
        await bmc.start()


async def silent(call: Call) -> bytes:
    await asyncio.Event().wait()
    return b""


async def trickling(call: Call) -> bytes:
    """One octet now and then: never silent for long, never done."""
    call.writer.write(reply(b"{", Content_Length="1000000"))
    while not call.writer.is_closing():
        call.writer.write(b" ")
        await call.writer.drain()
        await asyncio.sleep(0.05)
    raise ConnectionAbortedError


async def half(call: Call) -> bytes:
    call.writer.write(reply(GOOD)[:-4])
    await call.writer.drain()
    raise ConnectionAbortedError


async def late(call: Call) -> bytes:
    await asyncio.sleep(DEADLINE + 0.2)
    return reply({"Id": "late"})


@dataclass(frozen=True)
class Fault:
    """How a device is broken, and what it must come to; no error where the transport is to bear it."""

    name: str
    broken: Break
    error: type[DeviceError] | None
    seen: str = ""
    reopened: bool = False
    """Whether it takes `close` and `open` to try again, so that no account is locked."""
    but: tuple[str, ...] = dataclass_field(default=())
    """Calls in which it cannot happen."""
    silent: bool = False
    """Whether nothing but our deadline ends the call."""


FAULTS = [
    Fault("refused-connection", off, Unreachable, "no connection"),
    Fault("silence", whatever(silent), Unreachable, r"no answer within 0\.6 s", silent=True),
    Fault("slow", whatever(trickling), Unreachable, r"no answer within 0\.6 s", silent=True),
    Fault("half-an-answer", whatever(half), Unreachable, "broke off|no answer within"),
    Fault("garbage", whatever(always(b"\x15\x03\x01 this is no HTTP\r\n\r\n")), Misbehaved, "no HTTP"),
    Fault("garbage", whatever(always(reply(b"{]"))), Misbehaved, "no valid JSON"),
    Fault("garbage", whatever(always(reply(b"[" * 200_000))), Misbehaved, "no valid JSON"),
    Fault("garbage", whatever(always(reply(b"\x00\xff" * 9, Content_Encoding="gzip"))), Misbehaved, "no HTTP"),
    Fault("garbage", whatever(always(reply(b"{]", Content_Type="application/json; charset=hex"))), Misbehaved, "JSON"),
    Fault("wrong-secret", wrong_secret, Refused, "refuses the login", reopened=True),
    Fault("expired-session", expired, None, but=("open",)),
    Fault("reboot-in-mid-call", rebooting, Unreachable, "broke off|no connection|no answer within"),
    Fault("late-reply", whatever(late), Unreachable, r"no answer within 0\.6 s", silent=True),
    Fault(
        "unit-swapped",
        partial(swapped, uuid="22222222-0000-4000-8000-000000000002"),
        Misbehaved,
        "another unit answers: its service is 2222.*, that of this device was 1111",
        but=("open",),
    ),
]
CALLS = ("open", "read", "write")


async def call(wire: RedfishWire, kind: str) -> None:
    if kind == "open":
        await wire.open()
    elif kind == "write":
        await wire.send("POST", ACTION, {"ResetType": "On"})
    else:
        await wire.get(PATH)


async def judged(wire: RedfishWire, kind: str, fault: Fault) -> None:
    """Make the call under the fault; it must come to what the fault says, in time."""
    if fault.error is None:
        await asyncio.wait_for(call(wire, kind), GUARD)
        return
    with (
        impatient(wire, DEADLINE) if fault.silent else nullcontext(),
        pytest.raises(fault.error, match=fault.seen) as caught,
    ):
        await asyncio.wait_for(call(wire, kind), GUARD)
    told = caught.value
    assert type(told) is fault.error
    assert told.device == DEVICE
    assert told.attempted
    assert told.advice
    assert PASSWORD not in str(told) + told.exchange


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        pytest.param(fault, kind, id=f"{fault.name}-{number}-{kind}")
        for number, fault in enumerate(FAULTS)
        for kind in CALLS
        if kind not in fault.but
    ],
)
def test_a_fault_ends_in_time_and_in_its_error_and_the_next_call_works(
    shown: Certificate, fault: Fault, kind: str
) -> None:
    async def scenario() -> None:
        async with serving(shown) as bmc:
            bmc.answers = {PATH: always(reply(GOOD)), ACTION: always(reply({"done": True}))}
            wire = RedfishWire.of(connection(bmc))
            try:
                if kind != "open":
                    await wire.open()
                before = bmc.logins
                async with fault.broken(bmc):
                    await judged(wire, kind, fault)
                    applied = bmc.asked(ACTION, "POST")
                    assert applied <= (2 if fault.error is None else 1), "a write was sent again"
                    assert fault.error is not Refused or bmc.logins == before + 1, "an account may be locked"
                if fault.reopened:
                    await wire.close()
                await wire.open()
                for each in CALLS:
                    await asyncio.wait_for(call(wire, each), GUARD)
                assert await wire.get(PATH) == GOOD
            finally:
                await wire.close()
            assert bmc.tokens == {}, "a session was left behind"

    run(scenario)


def test_certificate_changed(shown: Certificate, tmp_path: Path) -> None:
    """A renewed certificate looks like a stranger's until somebody pins it: no secret, no token is sent to it."""
    other = certificate(tmp_path, "other")
    fault = Fault("certificate-changed", partial(swapped, shown=other), Misbehaved, "pins")

    async def scenario() -> None:
        async with serving(shown) as bmc, logged_in(bmc) as wire:
            bmc.answers[PATH] = always(reply(GOOD))
            assert await wire.get(PATH) == GOOD
            async with fault.broken(bmc):
                heard = len(bmc.calls)
                for kind in ("read", "write"):
                    await judged(wire, kind, fault)
                assert len(bmc.calls) == heard
            assert await wire.get(PATH) == GOOD

    run(scenario)


def test_every_fault_of_the_contract_is_tested_or_said_not_to_apply() -> None:
    tested = {fault.name for fault in FAULTS} | {"certificate-changed"}
    for fault, (file, test) in ELSEWHERE.items():
        assert f"def {test}(" in (Path(__file__).parent / file).read_text(encoding="utf-8")
        tested.add(fault)
    assert tested | set(NOT_APPLICABLE) == CONTRACT
    assert not tested & set(NOT_APPLICABLE)
