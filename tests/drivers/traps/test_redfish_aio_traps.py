"""The traps of `redfish.aio`: what it does, and that our wire does not.

Found by reading and by running redfish 3.4.2 and aiohttp 3.14.5. Those of the synchronous client are in
test_redfish_traps.py, those of aiohttp below in test_aiohttp_traps.py.

| trap | test |
|---|---|
| a login needs https | test_trap_aio_login_needs_https |
| `args={'only': None}` is a bare TypeError | test_trap_aio_argument_none_is_a_type_error |
| `args={'$expand': …}` is sent with %3D for = | test_trap_aio_expand_is_encoded |
| other hosts: refused by the library, and by us where we go past it | test_trap_aio_same_origin |
| a session whose address names another host is no login | test_trap_aio_location_on_another_host |
| a new login after 401 for GET and HEAD only, and whoever answers | test_trap_aio_new_login_for_reads_only |
| no help with 202 and its task | test_trap_aio_no_task |
| no Retry-After | test_trap_aio_no_retry_after |
| an answer is buffered whole, so there are no events | test_trap_aio_no_events |
| no limit to requests at once | test_trap_aio_no_limit_in_flight |
| deep JSON in a login is a bare RecursionError, a made-up charset a bare LookupError | test_trap_aio_bare_errors |
| a session at its limit is told as a wrong password | test_trap_aio_no_session_left_is_no_wrong_password |
| a login may be answered without a body | test_trap_login_without_a_body |
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
import pytest
import redfish.aio as dmtf  # type: ignore[import-untyped]

from drivers.transports.redfish import IN_FLIGHT, RedfishWire
from harness.errors import DefinitionError, Misbehaved, Unreachable
from tests.drivers.redfish_library import ACTION, PATH, aio_library
from tests.drivers.redfish_peer import (
    SESSIONS,
    Bmc,
    Call,
    Certificate,
    always,
    connection,
    events,
    logged_in,
    reply,
    serving,
)


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


def test_trap_aio_login_needs_https(shown: Certificate) -> None:
    """Over http the library raises ValueError at the login; ours refuses the address before anything is touched."""

    async def scenario() -> None:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(ValueError, match="HTTPS"):
                await dmtf.AsyncRedfishClient("http://127.0.0.1:9", "a", "b", session=session).login()
        given = connection(Bmc(shown))
        with pytest.raises(DefinitionError, match="https://host"):
            RedfishWire.of(type(given)(given.device, "http://127.0.0.1:9", now=given.now))

    run(scenario)


def test_trap_aio_argument_none_is_a_type_error(shown: Certificate) -> None:
    """A query without a value cannot be said in `args`; ours has no `args`: a query stands in the path."""

    async def scenario() -> None:
        async with serving(shown) as bmc:
            bmc.answers[f"{PATH}?only"] = always(reply({"Id": "1"}))
            async with aio_library(bmc) as client:
                with pytest.raises(TypeError):
                    await client.get(PATH, args={"only": None})
            async with logged_in(bmc) as wire:
                assert await wire.get(f"{PATH}?only") == {"Id": "1"}

    run(scenario)


def test_trap_aio_expand_is_encoded(shown: Certificate) -> None:
    """In `args` an = is sent as %3D, which picky BMCs do not read as one; ours sends a query as it was given."""
    query = "$expand=.($levels=1)"

    async def scenario() -> None:
        async with serving(shown) as bmc:
            bmc.answers[f"{PATH}?{query}"] = always(reply({"Members": []}))
            async with aio_library(bmc) as client:
                await client.get(PATH, args={"$expand": ".($levels=1)"})
                assert "%3D1" in bmc.calls[-1].path, "the library sends = now"
            async with logged_in(bmc) as wire:
                assert await wire.get(f"{PATH}?{query}") == {"Members": []}
                assert bmc.calls[-1].path == f"{PATH}?{query}"

    run(scenario)


@pytest.mark.parametrize("target", ["https://127.0.0.2/redfish/v1", "//127.0.0.2/redfish/v1", "http://127.0.0.1/x"])
def test_trap_aio_same_origin(shown: Certificate, target: str) -> None:
    """A link that leads elsewhere must not get the token: read, written or listened to."""

    async def scenario() -> None:
        async with serving(shown) as bmc, logged_in(bmc) as wire:
            with pytest.raises(Misbehaved, match="another host"):
                await wire.get(target)
            with pytest.raises(Misbehaved, match="another host"):
                await wire.send("POST", target, {})
            with pytest.raises(Misbehaved):
                async with wire.stream(target):
                    pass

    run(scenario)


def test_trap_aio_location_on_another_host(shown: Certificate) -> None:
    """Behind a port forwarding a BMC names its session by its own address: the library's login fails, ours does not."""

    async def scenario() -> None:
        async with serving(shown) as bmc:

            async def login(call: Call) -> bytes:
                if (call.method, call.path) != ("POST", SESSIONS):
                    return await bmc._answer(call)
                bmc.tokens["abc"] = f"{SESSIONS}/abc"
                return reply({}, 201, X_Auth_Token="abc", Location=f"https://10.0.0.1{SESSIONS}/abc")

            bmc.whatever = login
            with pytest.raises(dmtf.RedfishInvalidTargetError):
                async with aio_library(bmc):
                    pass
            async with logged_in(bmc):
                assert bmc.tokens == {"abc": f"{SESSIONS}/abc"}
            assert bmc.tokens == {}

    run(scenario)


def test_trap_aio_new_login_for_reads_only(shown: Certificate) -> None:
    """After 401 the library logs in again for GET and HEAD; ours for a write too, which 401 says was not applied."""

    async def scenario() -> None:
        async with serving(shown) as bmc:
            bmc.answers[ACTION] = always(reply({"done": True}))
            async with aio_library(bmc) as client:
                bmc.tokens.clear()
                assert (await client.post(ACTION, body={})).status == 401, "the library logs in for writes now"
            async with logged_in(bmc) as wire:
                bmc.tokens.clear()
                assert await wire.send("POST", ACTION, {}) == {"done": True}

    run(scenario)


def test_trap_aio_no_task(shown: Certificate) -> None:
    """202 is an answer like any other to the library; ours says where the task is and when to look at it."""

    async def scenario() -> None:
        async with serving(shown) as bmc, logged_in(bmc) as wire:
            bmc.answers = {
                ACTION: always(reply(status=202, Location="/tasks/1/monitor?x=1", Retry_After="3")),
                "/tasks/1/monitor?x=1": always(reply(status=202, Retry_After="0")),
            }
            told = await wire.write("POST", ACTION, {})
            assert (told.status, told.location, told.retry_after) == (202, "/tasks/1/monitor?x=1", 3.0)
            looked = await wire.fetch(told.location)
            assert looked is not None
            assert (looked.status, looked.body, looked.retry_after) == (202, {}, 0.0)

    run(scenario)


def test_trap_aio_no_retry_after(shown: Certificate) -> None:
    """503 comes out of the library as it came; ours reads again when asked to, and writes nothing twice."""

    async def scenario() -> None:
        async with serving(shown) as bmc:

            async def busy(call: Call) -> bytes:
                return reply({}, 503, Retry_After="0") if bmc.asked(call.path) % 3 else reply({"Id": "1"})

            bmc.answers = {PATH: busy, ACTION: busy}
            async with aio_library(bmc) as client:
                assert (await client.get(PATH)).status == 503, "the library waits now"
            bmc.calls.clear()
            async with logged_in(bmc) as wire:
                assert await wire.get(PATH) == {"Id": "1"}
                with pytest.raises(Unreachable, match="busy"):
                    await wire.send("POST", ACTION, {})
            assert bmc.asked(ACTION) == 1

    run(scenario)


def test_trap_aio_no_events(shown: Certificate) -> None:
    """The library reads an answer to its end, which a stream does not have; ours gives octets as they come."""

    async def scenario() -> None:
        async with serving(shown) as bmc:
            bmc.answers["/sse"] = events(b"data: 1\n\n")
            async with aio_library(bmc) as client:
                with pytest.raises(dmtf.RedfishTimeoutError):
                    await client.get("/sse", timeout=0.2)
            async with logged_in(bmc) as wire, wire.stream("/sse") as stream:
                assert await stream.readany() == b"data: 1\n\n"
                bmc.answers[PATH] = always(reply({}))
                await wire.gather([PATH] * 3)

    run(scenario)


def test_trap_aio_no_limit_in_flight(shown: Certificate) -> None:
    """The library sends whatever it is given at once, and a BMC falls over; ours has a few in flight."""

    async def scenario() -> None:
        async with serving(shown) as bmc:
            now, most, enough = 0, 0, asyncio.Event()
            held: asyncio.Event | None = enough  # however slowly they come: each waits for the others

            async def count(call: Call) -> bytes:
                nonlocal now, most
                now += 1
                most = max(most, now)
                if most > IN_FLIGHT:
                    enough.set()
                await (held.wait() if held is not None else asyncio.sleep(0.02))
                now -= 1
                return reply({})

            bmc.answers = {f"/{number}": count for number in range(24)}
            async with aio_library(bmc) as client:
                together = asyncio.gather(*(client.get(f"/{number}") for number in range(24)))
                await asyncio.wait_for(enough.wait(), 60)  # else the library has a limit of its own now
                await together
            most, held = 0, None
            async with logged_in(bmc) as wire:
                await wire.gather(f"/{number}" for number in range(24))
            assert most <= IN_FLIGHT

    run(scenario)


@pytest.mark.parametrize(
    ("root", "bare"),
    [
        (reply(b"[" * 100_000), RecursionError),
        (reply(b"{}", Content_Type="application/json; charset=hex"), LookupError),
    ],
)
def test_trap_aio_bare_errors(shown: Certificate, root: bytes, bare: type[Exception]) -> None:
    """What the service root holds can end the library's login in an error of Python's; ours is always a DeviceError."""

    async def scenario() -> None:
        async with serving(shown) as bmc:
            bmc.whatever = always(root)
            with pytest.raises(bare):
                async with aio_library(bmc):
                    pass
            wire = RedfishWire.of(connection(bmc))
            with pytest.raises((Misbehaved, Unreachable)):
                await wire.open()
            await wire.close()

    run(scenario)


def test_trap_aio_no_session_left_is_no_wrong_password(shown: Certificate) -> None:
    """A BMC whose sessions are all taken refuses with 403, to the library a wrong password; ours says what it is."""
    full = {"error": {"message": "RAC0218: The maximum number of user sessions is reached."}}

    async def scenario() -> None:
        async with serving(shown) as bmc:

            async def login(call: Call) -> bytes:
                return reply(full, 403) if call.path == SESSIONS else await bmc._answer(call)

            bmc.whatever = login
            with pytest.raises(dmtf.RedfishAuthenticationError):
                async with aio_library(bmc):
                    pass
            wire = RedfishWire.of(connection(bmc))
            with pytest.raises(Unreachable, match="all its sessions are taken"):
                await wire.open()
            bmc.whatever = None
            await wire.open()
            await wire.close()

    run(scenario)


def test_trap_login_without_a_body(shown: Certificate) -> None:
    """DMTF's own mockup server answers a login with 204 and no body (sushy 5.14 dies of it); the token is enough."""

    async def scenario() -> None:
        async with serving(shown) as bmc:

            async def login(call: Call) -> bytes:
                if (call.method, call.path) != ("POST", SESSIONS):
                    return await bmc._answer(call)
                bmc.tokens["abc"] = f"{SESSIONS}/abc"
                return reply(status=204, X_Auth_Token="abc", Location=f"{SESSIONS}/abc")

            bmc.whatever = login
            bmc.answers[PATH] = always(reply({"Id": "1"}))
            async with logged_in(bmc) as wire:
                assert await wire.get(PATH) == {"Id": "1"}

    run(scenario)
