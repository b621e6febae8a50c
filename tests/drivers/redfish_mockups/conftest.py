"""A plain mock-up server: serves a tree of Redfish resources over TLS with sessions, as DSP0266 says, and no more.

It knows nothing of our drivers. Recorded trees are read where they lie, octet for octet; PATCH merges in memory,
an action does what the test says, `$expand` inlines members one level deep.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from drivers.bmc import connect as connect_tray
from harness.connection import Connection, Option, Secret
from tests.drivers.redfish_peer import Certificate, certificate

CAPTURES = Path(__file__).parents[4] / "shared" / "captures" / "redfish"
V1 = "/redfish/v1"
SESSIONS = f"{V1}/SessionService/Sessions"
SYSTEM, CHASSIS, MANAGER = f"{V1}/Systems/S", f"{V1}/Chassis/Tray", f"{V1}/Managers/M"
RESET, LOG = f"{SYSTEM}/Actions/ComputerSystem.Reset", f"{MANAGER}/LogServices/Log"
SENSORS = f"{CHASSIS}/Sensors"
NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
Json = dict[str, Any]
Hook = Callable[[web.Request, Json], Awaitable[web.StreamResponse | None]]


@dataclass
class Mockup:
    """One service. `tree` maps paths without a final slash to resources; `folder` holds recorded ones below it."""

    tree: dict[str, Json] = field(default_factory=dict)
    folder: Path | None = None
    hooks: dict[tuple[str, str], Hook] = field(default_factory=dict)
    """What becomes of a request, by method and path; None lets it be served as ever."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[Json] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    logins: int = 0
    most_sessions: int = 4
    password: str = "battery"
    port: int = 0
    silent: bool = False
    """Cuts every connection."""

    def find(self, path: str) -> Json | None:
        raw = self.raw(path)
        return None if raw is None else json.loads(raw)

    def raw(self, path: str) -> bytes | None:
        if path in self.tree:
            return json.dumps(self.tree[path]).encode()
        if self.folder is None or ".." in path:
            return None
        inside = path.removeprefix(V1).strip("/")
        file = self.folder / inside / "index.json"
        return file.read_bytes() if file.is_file() else None

    def change(self, path: str, **properties: Any) -> None:
        self.tree[path] = {**(self.find(path) or {}), **properties}

    def etag(self, path: str) -> str:
        return f'"{hashlib.sha256(self.raw(path) or b"").hexdigest()[:12]}"'

    def writes(self) -> list[tuple[str, str]]:
        return [
            (method, path) for method, path in self.requests if method != "GET" and path.partition("?")[0] != SESSIONS
        ]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path.rstrip("/")
        if self.silent and request.transport is not None:
            request.transport.abort()
        self.requests.append((request.method, request.raw_path))
        self.headers.append(dict(request.headers))
        body: Json = await request.json() if request.method in ("POST", "PATCH") else {}
        self.bodies.append(body)
        if path == SESSIONS and request.method == "POST":
            return self._log_in(body)
        if path != V1 and request.headers.get("X-Auth-Token") not in self.tokens:
            return web.json_response({"error": {"message": "no session"}}, status=401)
        hook = self.hooks.get((request.method, request.raw_path)) or self.hooks.get((request.method, path))
        answer = await hook(request, body) if hook else None
        if answer is not None:
            return answer
        if request.method == "DELETE":
            self.tokens.discard(request.headers.get("X-Auth-Token", ""))
            return web.Response(status=204)
        if request.method == "PATCH":
            return self._merge(request, path, body)
        if request.method != "GET":
            return web.json_response({"error": {"message": "no such action"}}, status=404)
        return self._give(request, path)

    def _log_in(self, body: Json) -> web.Response:
        self.logins += 1
        if body.get("Password") != self.password:
            return web.json_response({"error": {"message": "wrong"}}, status=401)
        if len(self.tokens) >= self.most_sessions:
            info = [{"MessageId": "Base.1.15.SessionLimitExceeded", "Message": "The session limit was exceeded."}]
            return web.json_response({"error": {"@Message.ExtendedInfo": info}}, status=503)
        token = f"token-{self.logins}"
        self.tokens.add(token)
        where = {"X-Auth-Token": token, "Location": f"{SESSIONS}/{self.logins}"}
        return web.json_response({}, status=201, headers=where)

    def _merge(self, request: web.Request, path: str, body: Json) -> web.Response:
        found = self.find(path)
        if found is None:
            return web.json_response({"error": {"message": "none"}}, status=404)
        if request.headers.get("If-Match") not in (None, self.etag(path)):
            return web.json_response({"error": {"message": "changed meanwhile"}}, status=412)
        for name, value in body.items():
            found[name] = {**found.get(name, {}), **value} if isinstance(value, dict) else value
        self.tree[path] = found
        return web.json_response(found)

    def _give(self, request: web.Request, path: str) -> web.Response:
        raw = self.raw(path)
        if raw is None:
            return web.json_response({"error": {"message": "none"}}, status=404)
        if "$expand" in request.query_string:
            found = json.loads(raw)
            members = [self.find(each["@odata.id"].rstrip("/")) for each in found.get("Members", [])]
            raw = json.dumps(found | {"Members": [each for each in members if each]}).encode()
        return web.Response(body=raw, content_type="application/json", headers={"ETag": self.etag(path)})


@asynccontextmanager
async def served(mockup: Mockup, certificate: Certificate) -> AsyncIterator[Mockup]:
    """The mock-up on a loopback port; the same one again if it had one."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", mockup.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.pem)
    await web.TCPSite(runner, "127.0.0.1", mockup.port, ssl_context=context, reuse_address=True).start()
    mockup.port = runner.addresses[0][1]
    try:
        yield mockup
    finally:
        await runner.cleanup()


Serve = Callable[[Mockup], AbstractAsyncContextManager[Mockup]]
Connect = Callable[..., Connection]
Run = Callable[..., None]


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Another certificate."""
    return certificate(tmp_path_factory.mktemp("tls"), "other")


@pytest.fixture
def serve(shown: Certificate) -> Serve:
    """Serves a mock-up with the certificate that is pinned."""
    return lambda mockup: served(mockup, shown)


@pytest.fixture
def serve_other(other: Certificate) -> Serve:
    """Serves a mock-up with another certificate."""
    return lambda mockup: served(mockup, other)


@pytest.fixture
def reach(shown: Certificate) -> Connect:
    """The connection to a mock-up, at an instant of the test's own."""

    def connection(mockup: Mockup, device: str, now: datetime, **options: Option) -> Connection:
        return Connection(
            device,
            f"https://127.0.0.1:{mockup.port}",
            user="admin",
            secrets={"password": Secret("secret", "battery")},
            options={"fingerprint": shown.fingerprint, "timeout": 30.0, **options},
            now=lambda: now,
        )

    return connection


@pytest.fixture
def recorded() -> Callable[[str], Mockup]:
    """A recorded tree by its folder's name; skips where the recordings are not there."""

    def read(name: str) -> Mockup:
        folder = CAPTURES / name
        if not folder.is_dir():
            pytest.skip("recorded devices are not part of this repository")
        return Mockup(folder=folder / "redfish" / "v1" if (folder / "redfish").is_dir() else folder)

    return read


def ref(path: str) -> Json:
    return {"@odata.id": path}


def tray_tree() -> dict[str, Json]:
    """One system with one accelerator and its two sensors, one manager with a log."""
    tree: dict[str, Json] = {}

    def add(path: str, **body: Any) -> Json:
        tree[path] = {"@odata.id": path, "Id": path.rsplit("/", 1)[-1]} | body
        return ref(path)

    def collect(path: str, *members: str) -> Json:
        return add(path, Members=[ref(each) for each in members])

    add(
        V1,
        Systems=collect(f"{V1}/Systems", SYSTEM),
        Chassis=collect(f"{V1}/Chassis", CHASSIS),
        Managers=collect(f"{V1}/Managers", MANAGER),
        Links={"Sessions": ref(f"{V1}/SessionService/Sessions")},
        EventService=add(f"{V1}/EventService", ServerSentEventUri=f"{V1}/EventService/SSE"),
    )
    gpu = f"{SYSTEM}/Processors/G"
    add(gpu, ProcessorType="GPU")
    add(
        SYSTEM,
        PowerState="Off",
        Processors=collect(f"{SYSTEM}/Processors", gpu),
        Links={"Chassis": [ref(CHASSIS)]},
        Boot={"BootSourceOverrideTarget": "None", "BootSourceOverrideEnabled": "Disabled"},
        Actions={
            "#ComputerSystem.Reset": {
                "target": RESET,
                "ResetType@Redfish.AllowableValues": ["On", "ForceOff", "GracefulShutdown", "PushPowerButton"],
            }
        },
    )
    stamp = NOW.isoformat()
    related: Json = {"RelatedItem": [ref(gpu)], "Status": {"State": "Enabled"}, "ReadingTime": stamp}
    add(f"{SENSORS}/T", ReadingType="Temperature", ReadingUnits="Cel", Reading=50.0, **related)
    add(f"{SENSORS}/P", ReadingType="Power", ReadingUnits="W", Reading=700.0, **related)
    add(CHASSIS, Sensors=collect(SENSORS, f"{SENSORS}/T", f"{SENSORS}/P"))
    entries = [
        {"@odata.id": f"{LOG}/Entries/{at}", "Id": str(at), "Created": stamp, "Severity": "OK", "Message": f"m{at}"}
        for at in (1, 2)
    ]
    add(f"{LOG}/Entries", Members=entries)
    add(
        LOG,
        LogEntryType="Event",
        Entries=ref(f"{LOG}/Entries"),
        Actions={"#LogService.ClearLog": {"target": f"{LOG}/Clear"}},
    )
    add(
        MANAGER,
        LogServices=collect(f"{MANAGER}/LogServices", LOG),
        Links={"ManagerForServers": [ref(SYSTEM)]},
        FirmwareVersion="1",
    )
    return tree


@pytest.fixture
def tree() -> Mockup:
    """A mock-up of a small tray."""
    return Mockup(tree=tray_tree())


@pytest.fixture
def run(serve: Serve, reach: Connect) -> Run:
    """Runs a scenario with an open driver on a mock-up, that of a tray unless `connect` says another."""

    def scenario_on(
        mockup: Mockup,
        scenario: Callable[[Any], Any],
        now: datetime = NOW,
        *,
        connect: Callable[[Connection], Any] = connect_tray,
        device: str = "tray-01",
        **options: Any,
    ) -> None:
        async def all_of_it() -> None:
            async with serve(mockup):
                driver = connect(reach(mockup, device, now, **{"change_timeout": 60.0, **options}))
                try:
                    await driver.open()
                    await scenario(driver)
                finally:
                    await driver.close()

        asyncio.run(all_of_it())

    return scenario_on
