"""The traps of aiohttp, and of event streams over it: what it does, and that our wire does not.

Found by reading and by running redfish 3.4.2 and aiohttp 3.14.5. The library above it is in
test_redfish_aio_traps.py.

| trap | test |
|---|---|
| aiohttp fails on a line of events longer than 64 KiB | test_trap_sse_line_of_64_kib |
| an event that never ends fills the memory | test_trap_sse_event_without_end |
| aiohttp sends PUT and DELETE again where the connection drops | test_trap_aiohttp_repeats_put_and_delete |
| aiohttp takes an unasked answer for the next one | test_trap_aiohttp_takes_an_unasked_answer |
| aiohttp reads a body of any length | test_trap_aiohttp_body_of_any_length |
| aiohttp takes proxies of the environment where told to | test_trap_aiohttp_proxies |
| a time-out of the library's own swallows a cancellation | test_trap_time_out_that_swallows_a_cancellation |
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
import redfish.aio as dmtf  # type: ignore[import-untyped]
from aiohttp.http_exceptions import HttpProcessingError

from drivers.bmc.events import stream_events
from drivers.transports import redfish_http
from drivers.transports.sse import CAP, EventSplitter
from harness.errors import Misbehaved, Unreachable
from tests.drivers.redfish_library import ACTION, PATH, aio_library
from tests.drivers.redfish_peer import (
    DEVICE,
    Call,
    Certificate,
    always,
    events,
    logged_in,
    reply,
    serving,
)


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


def test_trap_sse_line_of_64_kib(shown: Certificate) -> None:
    """A metric report is one line, up to 483 kB on a GB300 tray, and aiohttp's reader of lines gives up at 64 KiB.

    (512 KiB from 3.14 on, which leaves nothing for the next generation.) Ours reads octets and has its own cap.
    """
    record = {"Events": [{"EventId": "1", "Message": "x" * 700_000}]}
    sent = b"data: " + json.dumps(record).encode() + b"\n\n"

    async def scenario() -> None:
        async with serving(shown) as bmc, logged_in(bmc) as wire:
            bmc.answers["/sse"] = events(sent)
            async with wire.stream("/sse") as stream:
                with pytest.raises((ValueError, HttpProcessingError)):
                    await stream.readline()
            found = stream_events(wire, "/sse", DEVICE, lambda: datetime.now(UTC), idle=60)
            first = await anext(found)
            await found.aclose()  # type: ignore[attr-defined]
            assert len(first.message) == 700_000

    run(scenario)


@pytest.mark.parametrize(
    "piece", [b"data: " + b"x" * 1000, b"data: x\n", b"data\n", b"data:\r\n", b"x" * 1000], ids=repr
)
def test_trap_sse_event_without_end(piece: bytes) -> None:
    """An event that never ends must end somewhere: by its content, and by its lines where they have none."""
    splitter = EventSplitter(cap=20_000)

    def feed() -> None:
        for _ in range(30_000):
            assert splitter.feed(piece) == []

    with pytest.raises(ValueError, match="longer than 20000"):
        feed()
    assert CAP <= 2**20


@pytest.mark.parametrize("method", ["put", "delete"])
def test_trap_aiohttp_repeats_put_and_delete(shown: Certificate, method: str) -> None:
    """aiohttp sends what it takes for idempotent once more where a kept connection drops; ours sends a write once."""

    async def scenario() -> None:
        async def drop(call: Call) -> bytes:
            raise ConnectionAbortedError

        async with serving(shown) as bmc:
            bmc.answers = {PATH: drop, ACTION: always(reply({}))}
            async with aio_library(bmc) as client:
                with pytest.raises(dmtf.RedfishConnectionError):
                    await getattr(client, method)(PATH, body={})
            assert bmc.asked(PATH) == 2, "aiohttp sends it once now"
            async with logged_in(bmc) as wire:
                with pytest.raises(Unreachable, match="broke off"):
                    await wire.send(method.upper(), PATH, {})
            assert bmc.asked(PATH) == 3

    run(scenario)


def test_trap_aiohttp_takes_an_unasked_answer(shown: Certificate) -> None:
    """A second copy of an answer waits in aiohttp's connection and answers the next request; ours discards both."""

    async def scenario() -> None:
        async with serving(shown) as bmc:
            asked: list[Call] = []

            async def twice(call: Call) -> bytes:
                asked.append(call)
                return reply({"Id": "first"})

            async def say_again() -> None:
                """The first was read as an answer of its own; what is sent is with our end a turn of the loop later."""
                asked[-1].writer.write(reply({"Id": "first"}))
                await asyncio.sleep(0.1)

            bmc.answers = {"/first": twice, "/second": always(reply({"Id": "second"}))}
            async with aio_library(bmc) as client:
                await client.get("/first")
                await say_again()
                assert (await client.get("/second")).dict == {"Id": "first"}, "aiohttp discards it now"
            async with logged_in(bmc) as wire:
                await wire.get("/first")
                await say_again()
                assert await wire.get("/second") == {"Id": "second"}

    run(scenario)


def test_trap_aiohttp_body_of_any_length(shown: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    """aiohttp reads what comes; ours stops at a cap that is far above any resource (483 kB is the largest known)."""
    assert 2**20 < redfish_http.MOST_BODY <= 2**26
    monkeypatch.setattr(redfish_http, "MOST_BODY", 10_000)
    long = reply({"Id": "x" * 20_000})

    async def scenario() -> None:
        async with serving(shown) as bmc:
            bmc.answers[PATH] = always(long)
            async with aio_library(bmc) as client:
                assert len((await client.get(PATH)).read) > 20_000
            async with logged_in(bmc) as wire:
                with pytest.raises(Misbehaved, match="no resource is that long"):
                    await wire.get(PATH)

    run(scenario)


def test_trap_aiohttp_proxies(shown: Certificate) -> None:
    """aiohttp asks the environment for proxies and .netrc only where it is told to; ours does not tell it."""

    async def scenario() -> None:
        async with serving(shown) as bmc, logged_in(bmc) as wire:
            assert wire._live.session is not None
            assert not wire._live.session.trust_env

    run(scenario)


def test_trap_time_out_that_swallows_a_cancellation(shown: Certificate) -> None:
    """A time-out of the library's own at the instant of ours turns a cancellation into its error; it gets none."""

    async def scenario() -> None:
        async with serving(shown) as bmc, logged_in(bmc) as wire:
            asked = asyncio.Event()

            async def mute(call: Call) -> bytes:
                asked.set()
                await asyncio.Event().wait()
                return b""

            bmc.answers[PATH] = mute
            reading = asyncio.create_task(wire.get(PATH))
            await asked.wait()
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            assert wire._live.login is not None
            assert wire._live.login.client._timeout == aiohttp.ClientTimeout(total=None)

    run(scenario)
