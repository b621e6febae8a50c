"""The Redfish wire against a real TLS server: the fault contract, one failure at a time."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from drivers.transports.redfish import RedfishWire
from harness.connection import Connection, Secret
from harness.errors import DefinitionError, DeviceError, Misbehaved, Refused, Unreachable, Unsupported

PASSWORD = "correct horse"
SESSIONS = "/redfish/v1/SessionService/Sessions"


@dataclass(frozen=True)
class Certificate:
    pem: Path
    fingerprint: str


def certificate(folder: Path, name: str = "bmc") -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = folder / f"{name}.pem"
    pem.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return Certificate(pem, made.fingerprint(hashes.SHA256()).hex())


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Service:
    """A Redfish service: sessions as they should be, and answers by raw path as a test wants them."""

    answers: dict[str, Answer] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    released: list[str] = field(default_factory=list)
    port: int = 0
    refusing: bool = False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.raw_path))
        if request.path == "/redfish/v1/":
            return web.json_response({"Links": {"Sessions": {"@odata.id": SESSIONS}}})
        if request.path == SESSIONS and request.method == "POST":
            return await self._log_in(request)
        if request.headers.get("X-Auth-Token") not in self.tokens:
            return web.json_response({"error": {"message": "no session"}}, status=401)
        if request.method == "DELETE":
            self.released.append(request.path)
            self.tokens.remove(str(request.headers["X-Auth-Token"]))
            return web.Response(status=204)
        answer = self.answers.get(request.raw_path)
        return await answer(request) if answer else web.json_response({"error": {"message": "none"}}, status=404)

    async def _log_in(self, request: web.Request) -> web.Response:
        if self.refusing or (await request.json())["Password"] != PASSWORD:
            return web.json_response({"error": {"message": f"wrong {PASSWORD}"}}, status=401)
        token = f"token-{self.logins}"
        self.tokens.append(token)
        return web.json_response(
            {}, status=201, headers={"X-Auth-Token": token, "Location": f"{SESSIONS}/{self.logins}"}
        )

    @property
    def logins(self) -> int:
        return self.requests.count(("POST", SESSIONS))

    def asked(self, path: str) -> int:
        return sum(asked == path for _, asked in self.requests)


@asynccontextmanager
async def serving(shown: Certificate) -> AsyncIterator[Service]:
    service = Service()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", service.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.pem)
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    service.port = runner.addresses[0][1]
    try:
        yield service
    finally:
        await runner.cleanup()


def connection(port: int, password: str = PASSWORD, **options: str | float) -> Connection:
    return Connection(
        "tray-01",
        f"https://127.0.0.1:{port}",
        user="admin",
        secrets={"password": Secret("bmc", password)},
        options=options,
        now=lambda: datetime.now(UTC),
    )


@asynccontextmanager
async def logged_in(service: Service, shown: Certificate, timeout: float = 5.0) -> AsyncIterator[RedfishWire]:
    wire = RedfishWire.of(connection(service.port, fingerprint=shown.fingerprint, timeout=timeout))
    try:
        await wire.open()
        yield wire
    finally:
        await wire.close()


def answering(body: object, status: int = 200, **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return answer


def raw(body: bytes) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type="application/json")

    return answer


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls"))


def test_one_session_is_made_used_and_released(shown: Certificate) -> None:
    async def scenario() -> None:
        async with serving(shown) as service:
            path = "/redfish/v1/Chassis/A/Sensors?$expand=.($levels=1)"
            service.answers[path] = answering({"Members": []})
            async with logged_in(service, shown) as wire:
                assert await wire.get(path) == {"Members": []}
                assert await wire.gather([path, path]) == {path: {"Members": []}}
            await wire.close()
            assert service.logins == 1
            assert len(service.released) == 1
            assert service.tokens == []

    asyncio.run(scenario())


def test_a_missing_resource_is_none_or_misbehaviour(shown: Certificate) -> None:
    async def scenario() -> None:
        async with serving(shown) as service, logged_in(service, shown) as wire:
            assert await wire.find("/redfish/v1/Nothing") is None
            with pytest.raises(Misbehaved, match="404"):
                await wire.get("/redfish/v1/Nothing")

    asyncio.run(scenario())


def test_a_wrong_password_is_tried_once_and_never_shown(shown: Certificate) -> None:
    async def scenario() -> None:
        async with serving(shown) as service:
            wire = RedfishWire.of(connection(service.port, password="battery", fingerprint=shown.fingerprint))
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
            service.answers["/redfish/v1/Systems"] = answering({"Id": "x"})
            async with logged_in(service, shown) as wire:
                service.tokens.clear()
                assert await wire.get("/redfish/v1/Systems") == {"Id": "x"}
                assert service.logins == 2

    asyncio.run(scenario())


def test_a_session_expired_and_refused_again_ends_there(shown: Certificate) -> None:
    async def scenario() -> None:
        async with serving(shown) as service, logged_in(service, shown) as wire:
            service.tokens.clear()
            service.refusing = True
            results = await asyncio.gather(
                *(wire.get(f"/redfish/v1/{number}") for number in range(6)), return_exceptions=True
            )
            assert all(isinstance(each, Refused) for each in results)
            assert service.logins == 2

    asyncio.run(scenario())


def test_a_renewal_cut_short_is_made_up_for_later(shown: Certificate) -> None:
    async def scenario() -> None:
        async with serving(shown) as service:
            service.answers["/redfish/v1/Systems"] = answering({"Id": "x"})
            async with logged_in(service, shown) as wire:
                service.tokens.clear()
                wire._client._session_key = None
                assert await wire.get("/redfish/v1/Systems") == {"Id": "x"}

    asyncio.run(scenario())


def test_a_write_is_sent_once_whatever_happens(shown: Certificate) -> None:
    async def scenario() -> None:
        async with serving(shown) as service:
            target = "/redfish/v1/Systems/A/Actions/ComputerSystem.Reset"
            async with logged_in(service, shown, timeout=0.3) as wire:
                service.answers[target] = answering({"error": {"message": "busy"}}, status=503)
                with pytest.raises(Unreachable, match="busy"):
                    await wire.send("POST", target, {"ResetType": "On"})
                service.tokens.clear()
                with pytest.raises(Refused):
                    await wire.send("POST", target, {"ResetType": "On"})
                assert service.asked(target) == 2
                assert service.logins == 1

    asyncio.run(scenario())


def test_a_write_that_works(shown: Certificate) -> None:
    async def scenario() -> None:
        async with serving(shown) as service, logged_in(service, shown) as wire:
            service.answers["/x"] = answering({"done": True})
            assert await wire.send("PATCH", "/x", {"a": 1}) == {"done": True}

    asyncio.run(scenario())


def test_a_busy_service_is_waited_for_as_long_as_it_asks(shown: Certificate) -> None:
    async def scenario() -> None:
        async with serving(shown) as service, logged_in(service, shown) as wire:

            async def busy_once(request: web.Request) -> web.StreamResponse:
                if service.asked("/x") == 1:
                    return web.json_response({}, status=503, headers={"Retry-After": "0"})
                return web.json_response({"Id": "x"})

            service.answers["/x"] = busy_once
            assert await wire.get("/x") == {"Id": "x"}
            service.answers["/y"] = answering({}, status=503, **{"Retry-After": "3600"})
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
        async with serving(shown) as service, logged_in(service, shown) as wire:
            service.answers["/x"] = answering({"error": {"message": f"no {PASSWORD}"}}, status=status)
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
        async with serving(shown) as service, logged_in(service, shown) as wire:
            service.answers["/x"] = raw(body)
            with pytest.raises(Misbehaved, match="JSON"):
                await wire.get("/x")

    asyncio.run(scenario())


def test_the_same_name_twice_with_one_value_is_borne(shown: Certificate) -> None:
    async def scenario() -> None:
        async with serving(shown) as service, logged_in(service, shown) as wire:
            service.answers["/x"] = raw(b'{"a": 1, "a": 1}')
            assert await wire.get("/x") == {"a": 1}

    asyncio.run(scenario())


def test_half_an_answer_is_read_again_and_then_unreachable(shown: Certificate) -> None:
    async def scenario() -> None:
        async with serving(shown) as service, logged_in(service, shown) as wire:

            async def half(request: web.Request) -> web.StreamResponse:
                answer = web.StreamResponse(headers={"Content-Length": "1000"})
                await answer.prepare(request)
                await answer.write(b'{"Id": ')
                assert request.transport is not None
                request.transport.abort()
                return answer

            service.answers["/x"] = half
            with pytest.raises(Unreachable, match="broke off"):
                await wire.get("/x")
            assert service.asked("/x") == 3

    asyncio.run(scenario())


def test_silence_ends_with_the_deadline(shown: Certificate) -> None:
    async def scenario() -> None:
        async with serving(shown) as service, logged_in(service, shown, timeout=0.3) as wire:
            released = asyncio.Event()

            async def silent(request: web.Request) -> web.StreamResponse:
                await released.wait()
                return web.Response()

            service.answers["/x"] = silent
            with pytest.raises(Unreachable, match=r"no answer within 0\.3 s"):
                await wire.get("/x")
            assert service.asked("/x") == 1
            released.set()

    asyncio.run(scenario())


def test_nobody_listens(shown: Certificate) -> None:
    async def scenario() -> None:
        async with serving(shown) as service:
            port = service.port
        wire = RedfishWire.of(connection(port, fingerprint=shown.fingerprint))
        with pytest.raises(Unreachable, match="no connection"):
            await wire.open()
        await wire.close()

    asyncio.run(scenario())


def test_another_certificate_gets_no_password(shown: Certificate, tmp_path: Path) -> None:
    other = certificate(tmp_path, "other")

    async def scenario() -> None:
        async with serving(other) as service:
            wire = RedfishWire.of(connection(service.port, fingerprint=shown.fingerprint))
            with pytest.raises(Misbehaved, match="pins") as caught:
                await wire.open()
            await wire.close()
            assert other.fingerprint in str(caught.value)
            assert service.requests == []

    asyncio.run(scenario())


def test_without_a_pin_the_authorities_decide(shown: Certificate) -> None:
    async def scenario() -> None:
        async with serving(shown) as service:
            wire = RedfishWire.of(connection(service.port))
            with pytest.raises(Misbehaved, match="TLS failed"):
                await wire.open()
            await wire.close()
            assert service.requests == []

    asyncio.run(scenario())


def test_a_link_to_another_host_is_not_followed(shown: Certificate) -> None:
    async def scenario() -> None:
        async with serving(shown) as service, logged_in(service, shown) as wire:
            with pytest.raises(Misbehaved, match="another host"):
                await wire.get("https://127.0.0.2/redfish/v1/Systems")

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
