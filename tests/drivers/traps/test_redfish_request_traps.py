"""The traps of DMTF's `redfish`, in what its synchronous client sends and receives, and that our wire does not.

Found by reading and by running 3.4.2. Each test first shows that the library still does it, so that a mended library is
noticed, and then that our wire does not. We use `redfish.aio` only; its own traps are in test_redfish_aio_traps.py,
those of trust, time and sessions in test_redfish_traps.py.

| trap | test |
|---|---|
| PUT reads the same address first | test_trap_put_reads_first |
| the caller's headers are changed and get the token | test_trap_headers_of_the_caller_are_changed |
| every `//` in a path is collapsed | test_trap_double_slash_collapsed |
| redirects of GET are followed | test_trap_redirects_are_followed |
| proxies of the environment are used | test_trap_proxies_from_the_environment |
| an answer is buffered whole, so there are no events | test_trap_answers_are_buffered |
| one session of requests for all threads, with ten connections | test_trap_pool_of_ten |
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from redfish.rest import v1  # type: ignore[import-untyped]

from drivers.transports.redfish import IN_FLIGHT, RedfishWire
from harness.errors import Misbehaved
from tests.drivers.redfish_library import PATH, library
from tests.drivers.redfish_peer import (
    Call,
    Certificate,
    always,
    logged_in,
    reply,
    serving,
)

# The library says this once a process at most, since it silences it; pytest undoes that.
pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
DRIVERS = Path(__file__).parents[3] / "drivers"


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


def test_trap_put_reads_first(shown: Certificate) -> None:
    """The library's PUT sends a GET of its own before; ours sends what it is told."""

    async def scenario() -> None:
        async with serving(shown) as bmc:
            bmc.answers[PATH] = always(reply({}))
            await library(bmc, lambda client: client.put(PATH, body={"a": 1}))
            assert bmc.asked(PATH, "GET") == 1, "the library's PUT is alone now"
            async with logged_in(bmc) as wire:
                await wire.send("PUT", PATH, {"a": 1})
            assert (bmc.asked(PATH, "GET"), bmc.asked(PATH, "PUT")) == (1, 2)

    run(scenario)


def test_trap_headers_of_the_caller_are_changed(shown: Certificate) -> None:
    """The library writes its token into the caller's dict, from where it may be printed; ours takes no dict at all."""

    async def scenario() -> None:
        async with serving(shown) as bmc:
            bmc.answers[PATH] = always(reply({}))
            headers: dict[str, str] = {"If-Match": "x"}
            await library(bmc, lambda client: client.get(PATH, headers=headers))
            assert "X-Auth-Token" in headers, "the library leaves headers alone now"
            async with logged_in(bmc) as wire:
                body = {"a": {"b": 1}}
                await wire.write("PATCH", PATH, body, etag='W/"1"')
                assert body == {"a": {"b": 1}}
            assert "headers" not in inspect.signature(RedfishWire.write).parameters
            (sent,) = (call for call in bmc.calls if call.method == "PATCH")
            assert sent.headers["if-match"] == 'W/"1"'

    run(scenario)


def test_trap_double_slash_collapsed(shown: Certificate) -> None:
    """`//` in a path is another path (RFC 3986, 3.3), and BMCs link to such; ours sends it as it was given."""
    path = "/redfish/v1/Registries//Base"

    async def scenario() -> None:
        async with serving(shown) as bmc:
            bmc.answers[path] = always(reply({"Id": "1"}))
            assert await library(bmc, lambda client: client.get(path).status) == 404, "the library keeps // now"
            async with logged_in(bmc) as wire:
                assert await wire.get(path) == {"Id": "1"}

    run(scenario)


def test_trap_redirects_are_followed(shown: Certificate) -> None:
    """A redirect would carry the token to whatever host it names; ours says that the answer was one."""

    async def scenario() -> None:
        async with serving(shown) as bmc:
            bmc.answers = {
                PATH: always(reply({}, 307, Location=f"https://127.0.0.1:{bmc.port}/else")),
                "/else": always(reply({"Id": "else"})),
            }
            assert await library(bmc, lambda client: client.get(PATH).status) == 200, "redirects are not followed now"
            followed = bmc.asked("/else")
            async with logged_in(bmc) as wire:
                with pytest.raises(Misbehaved, match="HTTP 307"):
                    await wire.get(PATH)
                with pytest.raises(Misbehaved, match="HTTP 307"):
                    await wire.send("POST", PATH, {})
                with pytest.raises(Misbehaved, match="HTTP 307"):
                    async with wire.stream(PATH):
                        pass
            assert bmc.asked("/else") == followed

    run(scenario)


def test_trap_proxies_from_the_environment(shown: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    """requests sends a BMC's traffic to the proxy of the office, secrets and all; ours knows no proxy."""

    async def scenario() -> None:
        proxied: list[bytes] = []

        async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            proxied.append(await reader.readline())
            writer.close()

        server = await asyncio.start_server(proxy, "127.0.0.1", 0)
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, address)
            monkeypatch.setenv(name.lower(), address)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        async with serving(shown) as bmc:
            with pytest.raises(v1.RetriesExhaustedError):
                await library(bmc, lambda client: None)
            assert proxied, "the library passes proxies by now"
            proxied.clear()
            async with logged_in(bmc) as wire:
                bmc.answers[PATH] = always(reply({}))
                await wire.get(PATH)
            assert proxied == []
        server.close()
        await asyncio.sleep(0.01)

    run(scenario)


def test_trap_answers_are_buffered(shown: Certificate) -> None:
    """The library returns when an answer is whole, and a stream of events never is; ours gives it as it comes."""

    async def scenario() -> None:
        async with serving(shown) as bmc:

            async def events(call: Call) -> bytes:
                call.writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
                await call.writer.drain()
                await asyncio.Event().wait()
                return b""

            bmc.answers["/sse"] = events
            with pytest.raises(v1.RetriesExhaustedError):
                await library(bmc, lambda client: client.get("/sse", timeout=0.2))
            async with logged_in(bmc) as wire, wire.stream("/sse") as stream:
                assert await stream.readany() == b"data: 1\n\n"

    run(scenario)


def test_trap_pool_of_ten(shown: Certificate) -> None:
    """requests keeps ten connections and throws others away, a TLS handshake each; ours keeps those that it uses."""

    async def scenario() -> None:
        async with serving(shown) as bmc, logged_in(bmc) as wire:
            for number in range(40):
                bmc.answers[f"/{number}"] = always(reply({}))
            await wire.gather(f"/{number}" for number in range(40))
            await wire.gather(f"/{number}" for number in range(40))
            assert bmc.connections <= IN_FLIGHT + 1

    run(scenario)
