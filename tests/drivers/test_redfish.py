"""The Redfish wire against a real TLS server: sessions, statuses, garbage, and what a definition may say.

The fault contract is in faults/test_redfish_faults.py, the traps of the libraries in traps/.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from drivers.transports.redfish import RedfishWire
from harness.connection import Connection
from harness.errors import DefinitionError, DeviceError, Misbehaved, Refused, Unreachable, Unsupported
from tests.drivers.redfish_peer import (
    PASSWORD,
    Call,
    Certificate,
    always,
    connection,
    impatient,
    logged_in,
    reply,
    serving,
)


def test_one_session_is_made_used_and_released(shown: Certificate) -> None:
    async def scenario() -> None:
        async with serving(shown) as service:
            path = "/redfish/v1/Chassis/A/Sensors?$expand=.($levels=1)"
            service.answers[path] = always(reply({"Members": []}))
            async with logged_in(service) as wire:
                assert await wire.get(path) == {"Members": []}
                assert await wire.gather([path, path]) == {path: {"Members": []}}
            await wire.close()
            assert service.logins == 1
            assert [call.method for call in service.calls].count("DELETE") == 1
            assert service.tokens == {}

    asyncio.run(scenario())


def test_a_missing_resource_is_none_or_misbehaviour(shown: Certificate) -> None:
    async def scenario() -> None:
        async with serving(shown) as service, logged_in(service) as wire:
            assert await wire.find("/redfish/v1/Nothing") is None
            with pytest.raises(Misbehaved, match="404"):
                await wire.get("/redfish/v1/Nothing")

    asyncio.run(scenario())


def test_a_wrong_password_is_tried_once_and_never_shown(shown: Certificate) -> None:
    async def scenario() -> None:
        async with serving(shown) as service:
            wire = RedfishWire.of(connection(service, password="battery"))
            try:
                for _ in range(3):
                    with pytest.raises(Refused, match="refuses the login") as caught:
                        await wire.open()
                    assert "battery" not in str(caught.value) + caught.value.exchange
                with pytest.raises(Refused):
                    await wire.get("/redfish/v1/Systems")
                assert service.logins == 1
            finally:
                await wire.close()

    asyncio.run(scenario())


def test_an_expired_session_is_renewed_once_for_reads(shown: Certificate) -> None:
    async def scenario() -> None:
        async with serving(shown) as service:
            service.answers["/redfish/v1/Systems"] = always(reply({"Id": "x"}))
            async with logged_in(service) as wire:
                service.tokens.clear()
                assert await wire.get("/redfish/v1/Systems") == {"Id": "x"}
                assert service.logins == 2

    asyncio.run(scenario())


def test_a_session_expired_and_refused_again_ends_there(shown: Certificate) -> None:
    async def scenario() -> None:
        async with serving(shown) as service, logged_in(service) as wire:
            service.tokens.clear()
            service.password = "changed"
            results = await asyncio.gather(
                *(wire.get(f"/redfish/v1/{number}") for number in range(6)), return_exceptions=True
            )
            assert all(isinstance(each, Refused) for each in results)
            assert service.logins == 2

    asyncio.run(scenario())


def test_a_renewal_cut_short_is_made_up_for_later(shown: Certificate) -> None:
    async def scenario() -> None:
        async with serving(shown) as service:
            service.answers["/redfish/v1/Systems"] = always(reply({"Id": "x"}))

            async def mute(call: Call) -> bytes:
                if call.path == "/redfish/v1/":
                    await asyncio.Event().wait()
                return await service._answer(call)

            async with logged_in(service) as wire:
                service.tokens.clear()
                service.whatever = mute
                with impatient(wire, 0.3), pytest.raises(Unreachable, match="no answer"):
                    await wire.get("/redfish/v1/Systems")
                service.whatever = None
                assert await wire.get("/redfish/v1/Systems") == {"Id": "x"}
                assert service.logins == 2

    asyncio.run(scenario())


def test_a_write_is_sent_once_whatever_happens(shown: Certificate) -> None:
    """Twice only where the first was not applied for want of a session (RFC 9110, 15.5.2)."""

    async def scenario() -> None:
        async with serving(shown) as service:
            target = "/redfish/v1/Systems/A/Actions/ComputerSystem.Reset"
            async with logged_in(service) as wire:
                service.answers[target] = always(reply({"error": {"message": "busy"}}, 503))
                with pytest.raises(Unreachable, match="busy"):
                    await wire.send("POST", target, {"ResetType": "On"})
                assert (service.asked(target), service.logins) == (1, 1)
                service.answers[target] = always(reply({"error": {"message": "no session"}}, 401))
                with pytest.raises(Refused, match="HTTP 401"):
                    await wire.send("POST", target, {"ResetType": "On"})
                assert (service.asked(target), service.logins) == (3, 2)

    asyncio.run(scenario())


def test_a_write_that_works(shown: Certificate) -> None:
    async def scenario() -> None:
        async with serving(shown) as service, logged_in(service) as wire:
            service.answers["/x"] = always(reply({"done": True}))
            assert await wire.send("PATCH", "/x", {"a": 1}) == {"done": True}

    asyncio.run(scenario())


def test_a_busy_service_is_waited_for_as_long_as_it_asks(shown: Certificate) -> None:
    async def scenario() -> None:
        async with serving(shown) as service, logged_in(service) as wire:

            async def busy_once(call: Call) -> bytes:
                if service.asked("/x") == 1:
                    return reply({}, 503, Retry_After="0")
                return reply({"Id": "x"})

            service.answers["/x"] = busy_once
            assert await wire.get("/x") == {"Id": "x"}
            service.answers["/y"] = always(reply({}, 503, Retry_After="3600"))
            with pytest.raises(Unreachable, match="busy"):
                await wire.get("/y")
            assert service.asked("/y") == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, Misbehaved), (403, Refused), (405, Unsupported), (500, Misbehaved), (501, Unsupported), (502, Misbehaved)],
)
def test_statuses_have_their_errors(shown: Certificate, status: int, error: type[DeviceError]) -> None:
    async def scenario() -> None:
        async with serving(shown) as service, logged_in(service) as wire:
            service.answers["/x"] = always(reply({"error": {"message": f"no {PASSWORD}"}}, status))
            with pytest.raises(error, match=rf"HTTP {status}: no \*\*\*") as caught:
                await wire.get("/x")
            assert PASSWORD not in str(caught.value) + caught.value.exchange

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"<html>", b"\xff\xfe", b'{"a": 1, "a": 2}', b"[" * 50_000, b'{"a": 1} {"b": 2}'],
)
def test_garbage_is_misbehaviour(shown: Certificate, body: bytes) -> None:
    async def scenario() -> None:
        async with serving(shown) as service, logged_in(service) as wire:
            service.answers["/x"] = always(reply(body))
            with pytest.raises(Misbehaved, match="JSON"):
                await wire.get("/x")

    asyncio.run(scenario())


def test_the_same_name_twice_with_one_value_is_borne(shown: Certificate) -> None:
    async def scenario() -> None:
        async with serving(shown) as service, logged_in(service) as wire:
            service.answers["/x"] = always(reply(b'{"a": 1, "a": 1}'))
            assert await wire.get("/x") == {"a": 1}

    asyncio.run(scenario())


def test_half_an_answer_is_read_again_and_then_unreachable(shown: Certificate) -> None:
    async def scenario() -> None:
        async with serving(shown) as service, logged_in(service) as wire:

            async def half(call: Call) -> bytes:
                call.writer.write(reply(b'{"Id": ', Content_Length="1000"))
                await call.writer.drain()
                raise ConnectionAbortedError

            service.answers["/x"] = half
            with pytest.raises(Unreachable, match="broke off"):
                await wire.get("/x")
            assert service.asked("/x") == 3

    asyncio.run(scenario())


def test_without_a_pin_the_authorities_decide(shown: Certificate) -> None:
    async def scenario() -> None:
        async with serving(shown) as service:
            bare = connection(service)
            for options in ({}, {"ca": str(shown.pem)}):  # the second knows the signer, but not by this name
                wire = RedfishWire.of(Connection(bare.device, bare.address, options=options, now=bare.now))
                await wire.open()
                with pytest.raises(Misbehaved, match="TLS failed"):
                    await wire.get("/redfish/v1/")
                await wire.close()
            assert service.calls == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("address", "options"),
    [
        ("http://127.0.0.1", {}),
        ("https://", {}),
        ("https://127.0.0.1/redfish", {}),
        ("https://admin@127.0.0.1", {}),
        ("https://127.0.0.1", {"fingerprint": "abc"}),
        ("https://127.0.0.1", {"ca": "/nowhere/ca.pem"}),
        ("https://127.0.0.1", {"timeout": 0}),
        ("https://127.0.0.1", {"timeout": "soon"}),
    ],
)
def test_what_cannot_be_meant_is_refused_untouched(address: str, options: dict[str, str | float]) -> None:
    with pytest.raises(DefinitionError, match="tray-01"):
        RedfishWire.of(Connection("tray-01", address, options=options, now=lambda: datetime.now(UTC)))


def test_a_user_without_a_password_is_refused_untouched() -> None:
    with pytest.raises(DefinitionError, match="together"):
        RedfishWire.of(Connection("tray-01", "https://127.0.0.1", user="admin", now=lambda: datetime.now(UTC)))
