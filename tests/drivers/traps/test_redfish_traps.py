"""The traps of DMTF's `redfish`, its synchronous client: what it does, and that our wire does not.

Found by reading and by running 3.4.2. Each test first shows that the library still does it, so that a mended library is
noticed, and then that our wire does not. We use `redfish.aio` only; its own traps are in test_redfish_aio_traps.py,
those of single requests in test_redfish_request_traps.py.

| trap | test |
|---|---|
| TLS is not verified unless `cafile` is given; `capath` is ignored | test_trap_tls_not_verified_without_cafile |
| InsecureRequestWarning is silenced for the process at import | test_trap_insecure_warning_silenced |
| `max_retry` is 10 and holds for POST too | test_trap_post_is_repeated |
| the time-out is None: for ever | test_trap_timeout_is_none |
| the constructor reads the root at once | test_trap_constructor_contacts_at_once |
| no new login after 401 | test_trap_no_login_after_401 |
| 503 and 429 with Retry-After come back as if they were answers | test_trap_busy_is_an_answer |
| nothing logs out at the end, against its README | test_trap_no_destructor |
| the debug log shows X-Auth-Token | test_trap_debug_log_shows_the_token |
| RetriesExhaustedError does not say why | test_trap_retries_exhausted_hides_the_cause |
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import logging
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import redfish  # type: ignore[import-untyped]
from redfish.rest import v1  # type: ignore[import-untyped]

from drivers.transports.redfish import RedfishWire
from harness.errors import DefinitionError, Misbehaved, Unreachable
from tests.drivers.redfish_library import ACTION, PATH, library
from tests.drivers.redfish_peer import (
    PASSWORD,
    Bmc,
    Call,
    Certificate,
    always,
    connection,
    impatient,
    logged_in,
    reply,
    serving,
)

# The library says this once a process at most, since it silences it; pytest undoes that.
pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
DRIVERS = Path(__file__).parents[3] / "drivers"


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


def imported() -> set[str]:
    """Every module that the drivers import, by its full name."""
    found: set[str] = set()
    for path in DRIVERS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {each.name for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
    return found


def test_trap_tls_not_verified_without_cafile(shown: Certificate, tmp_path: Path) -> None:
    """The library takes any certificate unless it is given `cafile`; a directory in `capath` changes nothing."""

    async def scenario() -> None:
        async with serving(shown) as bmc:
            await library(bmc, lambda client: None, capath=str(tmp_path))
            assert bmc.logins == 1, "the library verifies now"
            first = "1" if shown.fingerprint[0] == "0" else "0"
            for pinned in ("0" * 64, first + shown.fingerprint[1:]):
                wire = RedfishWire.of(connection(bmc, fingerprint=pinned))
                with pytest.raises(Misbehaved, match="pins"):
                    await wire.open()
                await wire.close()
            assert bmc.logins == 1

    run(scenario)


def test_trap_insecure_warning_silenced() -> None:
    """Importing the library silences urllib3's warning for the whole process: so nothing of ours may speak by it."""
    assert "InsecureRequestWarning" in inspect.getsource(v1)
    assert not {name for name in imported() if name.partition(".")[0] in ("requests", "urllib3")}
    assert {name for name in imported() if name.partition(".")[0] == "redfish"} <= {
        "redfish.aio",
        "redfish.aio.response",
        "redfish.aio.response.AsyncRestResponse",
    }


def test_trap_post_is_repeated(shown: Certificate) -> None:
    """Every method is tried eleven times by default: a Reset whose answer is late would be fired eleven times."""
    assert "max_retry if max_retry is not None else 10" in inspect.getsource(v1.RestClientBase.__init__)

    async def scenario() -> None:
        async def mute(call: Call) -> bytes:
            await asyncio.Event().wait()
            return b""

        async with serving(shown) as bmc:
            bmc.answers[ACTION] = mute
            with pytest.raises(v1.RetriesExhaustedError):
                await library(bmc, lambda client: client.post(ACTION, body={}, timeout=(30, 0.2), max_retry=1))
            async with asyncio.timeout(60):
                while bmc.asked(ACTION) < 2:  # noqa: ASYNC110 - sent, and perhaps not read yet
                    await asyncio.sleep(0.01)
            assert bmc.asked(ACTION) == 2, "the library sends a POST once now"
            async with logged_in(bmc) as wire:
                with impatient(wire, 0.4), pytest.raises(Unreachable):
                    await wire.send("POST", ACTION, {})
            assert bmc.asked(ACTION) <= 3  # on a busy machine the deadline may be over before it is sent

    run(scenario)


def test_trap_timeout_is_none(shown: Certificate) -> None:
    """Without a time-out the library waits for ever; ours is ten seconds where none is given, and never none."""
    assert inspect.signature(redfish.redfish_client).parameters["timeout"].default is None

    async def scenario() -> None:
        async with serving(shown) as bmc:
            given = connection(bmc)
            bare = {"fingerprint": shown.fingerprint}
            wire = RedfishWire.of(type(given)(given.device, given.address, options=bare, now=given.now))
            assert wire.timeout == 10.0
            for senseless in (0, -1, 3600, "never"):
                with pytest.raises(DefinitionError, match="timeout"):
                    RedfishWire.of(connection(bmc, timeout=senseless))

    run(scenario)


def test_trap_constructor_contacts_at_once(shown: Certificate) -> None:
    """The library's constructor reads the root; ours touches nothing, so a definition can be checked offline."""

    async def scenario() -> None:
        async with serving(shown) as bmc:
            await library(bmc, lambda client: None, check_connectivity=True)
            before = bmc.connections
            assert bmc.asked("/redfish/v1/") >= 1
            RedfishWire.of(connection(bmc))
            await asyncio.sleep(0)
            assert bmc.connections == before

    run(scenario)


def test_trap_no_login_after_401(shown: Certificate) -> None:
    """Once the session has expired, the library gets 401 for ever; ours logs in once more, for writes as for reads."""

    async def scenario() -> None:
        async with serving(shown) as bmc:
            bmc.answers = {PATH: always(reply({"Id": "1"})), ACTION: always(reply({}))}

            def use(client: Any) -> int:
                bmc.tokens.clear()
                return int(client.get(PATH).status)

            assert await library(bmc, use) == 401, "the library logs in again now"
            async with logged_in(bmc) as wire:
                for number, method in enumerate(("GET", "POST"), bmc.logins + 1):
                    bmc.tokens.clear()
                    assert await (wire.get(PATH) if method == "GET" else wire.send("POST", ACTION, {})) is not None
                    assert bmc.logins == number

    run(scenario)


def test_trap_busy_is_an_answer(shown: Certificate) -> None:
    """503 and 429 come out of the library like any answer; ours waits as long as it is asked to, then reads again."""

    async def scenario() -> None:
        for status in (503, 429):
            async with serving(shown) as bmc:

                async def busy_once(call: Call, bmc: Bmc = bmc, status: int = status) -> bytes:
                    return reply({}, status, Retry_After="0") if bmc.asked(PATH) % 2 else reply({"Id": "1"})

                bmc.answers[PATH] = busy_once
                assert await library(bmc, lambda client: client.get(PATH).status) == status
                bmc.calls.clear()
                async with logged_in(bmc) as wire:
                    assert await wire.get(PATH) == {"Id": "1"}

    run(scenario)


def test_trap_no_destructor(shown: Certificate) -> None:
    """A client that is dropped leaves its session on the BMC, which has few; ours is released by `close`, always."""
    assert not hasattr(v1.RestClientBase, "__del__")

    async def scenario() -> None:
        async with serving(shown) as bmc:
            await library(bmc, lambda client: None)
            assert len(bmc.tokens) == 1, "the library logs out by itself now"
            bmc.tokens.clear()
            with pytest.raises(Misbehaved):
                async with logged_in(bmc) as wire:
                    await wire.get("/nothing")
            assert bmc.tokens == {}

    run(scenario)


def test_trap_debug_log_shows_the_token(shown: Certificate, caplog: pytest.LogCaptureFixture) -> None:
    """At level DEBUG the library writes X-Auth-Token into the log; of ours nothing secret is in any log."""
    caplog.set_level(logging.DEBUG)

    async def scenario() -> None:
        async with serving(shown) as bmc:
            bmc.answers[PATH] = always(reply({}))
            await library(bmc, lambda client: client.get(PATH))
            assert "token-1-" in caplog.text, "the library redacts its token now"
            caplog.clear()
            async with logged_in(bmc) as wire:
                await wire.get(PATH)
                bmc.tokens.clear()
                await wire.get(PATH)
            assert bmc.logins == 3
            assert "token-" not in caplog.text
            assert PASSWORD not in caplog.text

    run(scenario)


def test_trap_retries_exhausted_hides_the_cause(shown: Certificate) -> None:
    """The library's last word is RetriesExhaustedError, whatever happened; ours says what, and what to do."""

    async def scenario() -> None:
        with socket.socket() as taken:  # so that nobody else can listen there
            taken.bind(("127.0.0.1", 0))
            bmc = Bmc(shown, port=taken.getsockname()[1])
            with pytest.raises(v1.RetriesExhaustedError) as caught:
                await asyncio.to_thread(
                    redfish.redfish_client, f"https://127.0.0.1:{bmc.port}", "a", "b", timeout=30, max_retry=0
                )
            assert "refused" not in str(caught.value).lower(), "the library says why now"
            wire = RedfishWire.of(connection(bmc))
            with pytest.raises(
                Unreachable, match=r"no connection to https://.*: Connection refused.*Check that the BMC has power"
            ):
                await wire.open()
            await wire.close()

    run(scenario)
