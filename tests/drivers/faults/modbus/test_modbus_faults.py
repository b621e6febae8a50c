"""The fault contract of Modbus over TCP, on a serial bus, and as RTU over TCP: twelve faults, one test each.

Every call ends within the link's own deadline, in the error that says whose turn it is, and the next call works once
the device is well.

Which error is right where it is not obvious:

- refused connection: on a bus that is a port which another program holds.
- expired session: Modbus has none, but many cards close a connection that idles. Nobody notices: it is opened again,
  and a write is sent only after that was seen.
- unit swapped: `Misbehaved`, by every read until the link is closed. No message says who answers, so a driver has to
  look where it knows to: it puts the registers of the serial number under `watch` when it is opened, and a unit that
  told its identification (function 43/14) is held to that. The transport looks again after a failure, a new connection
  and every ten seconds. Writes go through, whoever answers: who switches reads back.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest
import serial

from drivers.transports import peer
from harness.errors import Misbehaved, Unreachable, Unsupported

if TYPE_CHECKING:
    from tests.drivers.faults.modbus.conftest import Bench, OnBench

FAULTS = (
    "refused", "silent", "slow", "half", "garbage", "wrong-secret", "expired-session", "reboot", "duplicate", "late",
    "swapped", "certificate",
)  # fmt: skip
PROMPT = ("refused", "expired-session", "duplicate")
"""Faults in which everything is answered or turned away at once."""
ANSWERED = 10.0
"""Wall seconds to wait where every answer comes."""
UNIT = 12
SERIAL = (400, 4)
TCP, RTU, RTU_OVER_TCP = "modbus+tcp", "modbus+rtu", "modbus+rtu+tcp"
SCHEMES = (TCP, RTU, RTU_OVER_TCP)
_NO_SECRET = "Modbus (V1.1b3) has no secret: whoever reaches the port may write"
_NO_CERTIFICATE = "Modbus/TCP Security (TLS) is not spoken; there is no certificate to change"
NOT_APPLICABLE = {
    TCP: {"wrong-secret": _NO_SECRET, "certificate": _NO_CERTIFICATE},
    RTU: {
        "wrong-secret": _NO_SECRET,
        "certificate": _NO_CERTIFICATE,
        "expired-session": "a serial line has no connection that could be closed",
    },
    RTU_OVER_TCP: {"wrong-secret": _NO_SECRET, "certificate": _NO_CERTIFICATE},
}


async def refused(bench: Bench) -> None:
    if bench.unit.scheme != RTU:
        await bench.unit.close()
        await bench.fails(Unreachable)
        await bench.unit.open()
        return
    await bench.link.close()
    with serial.Serial(bench.unit.address.partition("://")[2], exclusive=True):
        error = await bench.fails(Unreachable)
        assert "in use by another program" in error.seen


async def silent(bench: Bench) -> None:
    bench.unit.fate = "silent"
    error = await bench.fails(Unreachable)
    assert "no answer within 0.25 s" in error.seen


async def slow(bench: Bench) -> None:
    """Every answer comes after the time-out, and is that to nothing."""
    bench.unit.fate = "slow"
    await bench.fails(Unreachable, Misbehaved)


async def half(bench: Bench) -> None:
    bench.unit.fate = "half"
    error = await bench.fails(Misbehaved)
    assert error.exchange


async def garbage(bench: Bench) -> None:
    bench.unit.fate = "garbage"
    error = await bench.fails(Misbehaved)
    assert error.exchange.startswith("55 aa")


async def expired_session(bench: Bench) -> None:
    await bench.unit.hang_up()
    await bench.works()
    await bench.unit.hang_up()
    await bench.link.write(UNIT, 450, [7])
    assert bench.unit.registers[450] == 7


async def reboot(bench: Bench) -> None:
    """It goes with a request in hand; on a bus it says nonsense while it starts."""
    bench.unit.fate = "silent"
    bench.unit.asked.clear()
    call = asyncio.create_task(bench.ends(bench.link.read(UNIT, 10, 4)))
    await bench.unit.asked.wait()
    if bench.unit.scheme != RTU:
        await bench.unit.close()
    assert isinstance(await call, Unreachable)
    await bench.unit.open()
    bench.unit.noise(b"\x00\xff\x00")


async def duplicate(bench: Bench) -> None:
    bench.unit.fate = "duplicate"
    for first in (10, 110, 210, 310):
        assert await bench.link.read(UNIT, first, 4) == tuple(range(first, first + 4))


async def late(bench: Bench) -> None:
    """The only answer that comes in time is the one before: that is no answer."""
    bench.unit.fate = "late"
    for first in (10, 110, 210):
        found: list[tuple[int, ...]] = []

        async def read(first: int = first, found: list[tuple[int, ...]] = found) -> None:
            found.append(await bench.link.read(UNIT, first, 4))

        error = await bench.ends(read())
        assert found == [tuple(range(first, first + 4))] or error is not None


async def swapped(bench: Bench) -> None:
    bench.link.watch(UNIT, *SERIAL)
    await bench.works()
    first = dict(bench.unit.registers)
    bench.unit.fate = "silent"
    await bench.fails(Unreachable, write=False)
    bench.unit.fate = ""
    bench.unit.registers |= {400: 0x4142, 401: 0x4344, 402: 0x4546, 403: 0x4748}
    for _ in range(2):
        error = await bench.fails(Misbehaved, write=False)
        assert "another unit answers as number 12: registers 400 … 403 'ABCDEFGH' where 01 90" in error.seen
        assert "exchanged" in error.advice
    bench.unit.registers = first  # the first one is back


SCENARIOS: dict[str, Callable[[Bench], Awaitable[None]]] = {
    "refused": refused,
    "silent": silent,
    "slow": slow,
    "half": half,
    "garbage": garbage,
    "expired-session": expired_session,
    "reboot": reboot,
    "duplicate": duplicate,
    "late": late,
    "swapped": swapped,
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_fault_is_tested_or_cannot_be(scheme: str) -> None:
    tested = {fault for fault in SCENARIOS if fault not in NOT_APPLICABLE[scheme]}
    assert tested | {*NOT_APPLICABLE[scheme]} == {*FAULTS}
    assert all(len(reason) > 10 for reason in NOT_APPLICABLE[scheme].values())


@pytest.mark.parametrize(
    ("scheme", "fault"),
    [
        pytest.param(scheme, fault, id=f"{fault}-{scheme}")
        for scheme in SCHEMES
        for fault in FAULTS
        if fault not in NOT_APPLICABLE[scheme]
    ],
)
def test_a_fault_ends_in_its_error_and_the_next_call_works(on_bench: OnBench, scheme: str, fault: str) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.works()
        await SCENARIOS[fault](bench)
        bench.unit.fate = ""
        await bench.works()

    on_bench(scheme, scenario, **({"timeout": ANSWERED} if fault in PROMPT else {}))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_unit_with_another_identification_is_another_unit(on_bench: OnBench, scheme: str) -> None:
    """The driver asked for it once, to know the maker; the transport holds the unit to it."""

    async def scenario(bench: Bench) -> None:
        assert (await bench.link.identification(UNIT))[0] == "Bench Cooling"
        bench.unit.fate = "silent"
        await bench.fails(Unreachable, write=False)
        bench.unit.fate, bench.unit.names = "", (b"Bench Cooling", b"RPU-200", b"0311")
        error = await bench.fails(Misbehaved, write=False)
        assert "identification Bench Cooling / RPU-200 / 0311 where Bench Cooling / RPU-100 / 0311 was" in error.seen
        bench.unit.names = ()  # one that has none is not the one that had
        await bench.fails(Misbehaved, write=False)
        await bench.link.close()
        await bench.works()  # opened anew it may be another one

    on_bench(scheme, scenario)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_unit_that_never_failed_is_looked_at_every_now_and_then(
    on_bench: OnBench, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer, "CHECK_EVERY", 0.0)

    async def scenario(bench: Bench) -> None:
        bench.link.watch(UNIT, *SERIAL)
        await bench.works()
        bench.unit.registers[403] = 1
        await bench.fails(Misbehaved, write=False)

    on_bench(scheme, scenario, timeout=ANSWERED)


@pytest.mark.parametrize("scheme", [TCP, RTU_OVER_TCP])
def test_a_new_connection_may_lead_to_another_unit(on_bench: OnBench, scheme: str) -> None:
    """The connection was closed and made again without a failed call: the unit is looked at all the same."""

    async def scenario(bench: Bench) -> None:
        bench.link.watch(UNIT, *SERIAL)
        await bench.works()
        await bench.unit.hang_up()
        bench.unit.registers[403] = 1
        await bench.fails(Misbehaved, write=False)

    on_bench(scheme, scenario, timeout=ANSWERED)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_unit_without_the_watched_registers_is_not_told_apart_and_works(on_bench: OnBench, scheme: str) -> None:
    async def scenario(bench: Bench) -> None:
        bench.link.watch(UNIT, 9000, 4)
        await bench.works()
        with pytest.raises(Unsupported):
            await bench.link.read(UNIT, 9000, 4)
        await bench.works()

    on_bench(scheme, scenario, timeout=ANSWERED)


def test_a_bus_that_is_never_quiet_ends_too(on_bench: OnBench) -> None:
    """A babbling unit: octets come all the time, whoever is asked. What passes the checksum is the right answer."""

    async def scenario(bench: Bench) -> None:
        await bench.works()
        over = asyncio.Event()

        async def babble() -> None:
            while not over.is_set():
                bench.unit.noise(os.urandom(8))
                await asyncio.sleep(0.005)

        babbling = asyncio.create_task(babble())
        found: list[tuple[int, ...]] = []

        async def read() -> None:
            found.append(await bench.link.read(UNIT, 10, 4))

        error = await bench.ends(read())
        assert found == [(10, 11, 12, 13)] or isinstance(error, Misbehaved)
        over.set()
        await babbling
        await bench.works()

    on_bench(RTU, scenario)
