"""Answers that nobody asked for, and answers without end, over a real connection."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from drivers.transports import redfish_http
from drivers.transports.redfish import RedfishWire
from harness.errors import Misbehaved, Unreachable
from tests.drivers.redfish_peer import (
    Answer,
    Call,
    Certificate,
    always,
    connection,
    logged_in,
    reply,
    serving,
)

PATH = "/redfish/v1/Systems/1"
GOOD = {"@odata.id": PATH, "Id": "1"}
DEADLINE = 0.6
"""Wall seconds that our wire waits where no answer comes."""
GUARD = 60.0
"""Wall seconds after which a call has hung, however busy the machine."""


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_duplicate_reply(shown: Certificate, method: str) -> None:
    """The second copy comes when nobody waits for it: it must not become the answer to the next question."""

    async def scenario() -> None:
        async with serving(shown) as bmc, logged_in(bmc) as wire:
            read, sent = asyncio.Event(), asyncio.Event()

            async def twice(call: Call) -> bytes:
                async def again() -> None:
                    await read.wait()  # the first must be read as a whole answer of its own
                    call.writer.write(reply({"Id": "first"}))
                    await call.writer.drain()
                    sent.set()

                task = asyncio.create_task(again())
                task.add_done_callback(lambda done: done.result())
                return reply({"Id": "first"})

            bmc.answers = {"/first": twice, "/second": always(reply({"Id": "second"}))}
            assert await wire.get("/first") == {"Id": "first"}
            read.set()
            await sent.wait()
            await asyncio.sleep(0.05)  # so that it has reached our end of the connection
            if method == "GET":
                assert await wire.get("/second") == {"Id": "second"}
            else:
                assert await wire.send(method, "/second", {}) == {"Id": "second"}
            assert bmc.asked("/second") == 1

    run(scenario)


def test_a_peer_that_speaks_before_it_is_asked(shown: Certificate) -> None:
    async def scenario() -> None:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(reply({"Id": "unasked"}))
            await reader.read()
            writer.transport.abort()

        async with serving(shown) as bmc:
            bmc._serve = greet  # type: ignore[method-assign]
            await bmc.stop()
            await bmc.start()
            wire = RedfishWire.of(connection(bmc, timeout=DEADLINE))
            with pytest.raises((Misbehaved, Unreachable)):
                await asyncio.wait_for(wire.open(), GUARD)
            await wire.close()

    run(scenario)


def endless(head: bytes) -> Answer:
    async def answer(call: Call) -> bytes:
        call.writer.write(head)
        while not call.writer.is_closing():
            call.writer.write(b" " * 65536)
            await call.writer.drain()
            await asyncio.sleep(0)
        raise ConnectionAbortedError

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        endless(reply(b"", Content_Length=str(10**9))),
        endless(b"HTTP/1.1 200 Said\r\nContent-Type: application/json\r\n\r\n"),
        always(reply(gzip.compress(b" " * 2**20, 9) * 256, Content_Encoding="gzip")),
    ],
    ids=["announced", "endless", "compressed"],
)
def test_a_body_without_end_is_refused_in_bounded_memory(
    shown: Certificate, monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    """1 GB, or no end at all, or 256 MiB out of 256 kB: the reader stops at its cap."""
    monkeypatch.setattr(redfish_http, "MOST_BODY", 2**20)

    async def scenario() -> None:
        async with serving(shown) as bmc, logged_in(bmc) as wire:
            bmc.answers = {"/x": answer, PATH: always(reply(GOOD))}
            with pytest.raises(Misbehaved, match="long"):
                await asyncio.wait_for(wire.get("/x"), GUARD)
            assert bmc.asked("/x") == 1
            assert await wire.get(PATH) == GOOD

    run(scenario)
