"""Redfish over HTTPS: one verified connection pool and one login session per BMC, every failure in our own words.

Reads are retried within one deadline. A write is sent once: a second time only where the first was answered with 401,
which says that it was not applied (RFC 9110, 15.5.2), or was never sent. A refused login is never tried again. Reads
wait for each other, a few at once; writes have slots of their own, so that what cuts the power waits for no reading.
Client: DMTF's `redfish.aio`. Protocol: DSP0266 1.21 (sessions: 13.3.4, error responses: 8.6, queries: 7.3).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import redfish.aio as dmtf  # type: ignore[import-untyped]
from redfish.aio.response import AsyncRestResponse  # type: ignore[import-untyped]

from drivers.transports.address import number_option
from drivers.transports.redfish_errors import EXCERPT, FIRMWARE, Faults, Json
from drivers.transports.redfish_http import SpokeUnasked, open_http
from drivers.transports.redfish_login import Login
from drivers.transports.redfish_trust import trust_of
from harness.connection import Connection
from harness.errors import DefinitionError, DeviceError, Misbehaved, Unreachable

__all__ = ["Json", "RedfishWire", "Reply"]

IN_FLIGHT = 4
"""Reads at once; a BMC that serialises gains nothing from more, and a slow one suffers."""
RESERVED = 2
"""Writes at once, beside the reads; not one, for a BMC may sit on a write as well as on a read."""
_CONNECTIONS = IN_FLIGHT + RESERVED + 1
"""A stream of events keeps one for itself."""
GET_ATTEMPTS = 3
PAUSE = 0.2
"""Wall seconds before a read is tried again, doubled each time."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer as received: `body` is empty where none came, `location` a task monitor or a new resource."""

    status: int
    body: Json
    etag: str = ""
    location: str = ""
    retry_after: float | None = None
    """Seconds after which to ask again, where the service says so."""


@dataclass(slots=True)
class _Connected:
    """What there is while the wire is open."""

    session: aiohttp.ClientSession | None = None
    login: Login | None = None


class RedfishWire:
    """The way to one Redfish service. Build it with `RedfishWire.of`; it touches the network from `open()` on."""

    def __init__(
        self, *, device: str, base: str, user: str, password: str, tls: SSLContext | aiohttp.Fingerprint, timeout: float
    ) -> None:
        self._device = device
        self._user = user
        self._password = password
        self._tls = tls
        self._timeout = timeout
        self._faults = Faults(device, base, timeout, hidden=password)
        self._live = _Connected()
        self._reads = asyncio.Semaphore(IN_FLIGHT)
        self._writes = asyncio.Semaphore(RESERVED)

    @classmethod
    def of(cls, connection: Connection) -> RedfishWire:
        """The wire a connection describes; raises DefinitionError on an address or option that cannot be meant.

        Options: `fingerprint` (SHA-256 of the DER certificate, hexadecimal) or `ca` (a PEM file), else the system's
        authorities; `timeout`, wall seconds a call may take in all once its turn has come.
        """
        where = urlsplit(connection.address)
        if where.scheme != "https" or not where.hostname or where.path not in ("", "/") or where.username:
            raise DefinitionError(
                f"{connection.device}: a BMC's address is https://host[:port], not {where.geturl()!r}"
            )
        password = connection.secrets.get("password")
        if bool(connection.user) != (password is not None):
            raise DefinitionError(
                f"{connection.device}: user and the secret 'password' are given together or not at all"
            )
        return cls(
            device=connection.device,
            base=f"https://{where.netloc}",
            user=connection.user,
            password=password.reveal() if password else "",
            tls=trust_of(connection),
            timeout=number_option(connection, "timeout", 10.0, 0.001, 3599.0),
        )

    @property
    def timeout(self) -> float:
        """Wall seconds that one call may take."""
        return self._timeout

    @property
    def ahead(self) -> RedfishWire:
        """The same wire, its reads in the slots of writes: for what has to be read before and after cutting power."""
        other = copy(self)
        other._reads = self._writes  # noqa: SLF001 - of our own class
        return other

    async def open(self) -> None:
        """Connect and log in, once; raises Unreachable, Refused or Misbehaved."""
        if self._live.session is None:
            self._live.session = open_http(self._tls, _CONNECTIONS)
            self._live.login = Login(self._live.session, self._faults, self._user, self._password)
        login = self._ready("log in")
        try:
            async with asyncio.timeout(self._timeout):
                await login.renew(0)
        except TimeoutError as error:
            raise self._faults.silent("log in") from error

    async def close(self) -> None:
        """Log out and close every connection; never raises, and a second call does nothing."""
        session, self._live.session = self._live.session, None
        login, self._live.login = self._live.login, None
        try:
            if login is not None:
                await login.release()
        finally:
            if session is not None:
                await session.close()

    async def get(self, path: str) -> Json:
        """Read one resource, query and all as given; raises DeviceError."""
        found = await self.find(path)
        if found is None:
            raise Misbehaved(self._device, f"GET {path}", "404, though the device itself links to it", FIRMWARE)
        return found

    async def find(self, path: str) -> Json | None:
        """Read one resource, or None where the device says that there is none (404, 410); raises DeviceError."""
        reply = await self.fetch(path)
        return None if reply is None else reply.body

    async def fetch(self, path: str) -> Reply | None:
        """As `find`, with status, ETag and headers. An answer without content is an error, unless it is 202 or 204."""
        async with self._reads:
            return await self._read(path)

    async def gather(self, paths: Iterable[str]) -> dict[str, Json | None]:
        """Read many resources, few at a time; the first failure ends all and is raised."""
        wanted = list(dict.fromkeys(paths))
        tasks = [asyncio.ensure_future(self.find(path)) for path in wanted]
        try:
            return dict(zip(wanted, await asyncio.gather(*tasks), strict=True))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def send(self, method: str, path: str, body: Mapping[str, object]) -> Json:
        """Write once and give the answer's content; see `write`."""
        return (await self.write(method, path, body)).body

    async def write(self, method: str, path: str, body: Mapping[str, object], etag: str = "") -> Reply:
        """Write (POST, PATCH, PUT, DELETE), never again where it may have been applied; raises DeviceError.

        With `etag` only if the resource is still the one that was read (If-Match; DSP0266, 7.7.2).
        """
        attempt = f"{method} {path}"
        headers = {"If-Match": etag} if etag else None
        async with self._writes:
            try:
                async with asyncio.timeout(self._timeout):
                    answer = await self._ask(attempt, method, path, body=dict(body), headers=headers)
            except (dmtf.RedfishError, TimeoutError) as error:
                raise self._faults.translate(attempt, error) from error
        problem = self._faults.judge(attempt, answer)
        if problem is not None:
            raise problem
        return self._reply(attempt, answer, empty=True)

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator[aiohttp.StreamReader]:
        """The octets of an answer that never ends (server-sent events); raises DeviceError where it does not begin."""
        attempt = f"GET {path}"
        login, session = self._ready(attempt), self._live.session
        if session is None or not path.startswith("/"):
            raise Misbehaved(self._device, attempt, "the link leads to another host", "Its firmware is at fault.")
        try:
            async with asyncio.timeout(self._timeout):
                seen = login.count
                answer = await self._listen(session, login, path)
                if answer.status == 401 and self._user:
                    answer.close()
                    await login.renew(seen)
                    answer = await self._listen(session, login, path)
        except TimeoutError as error:
            raise self._faults.silent(attempt) from error
        except aiohttp.ClientError as error:
            raise self._faults.broken(attempt, error) from error
        try:
            if answer.status != 200:
                said = await self._beginning(answer)
                refusal = AsyncRestResponse(None, answer.status, answer.headers, said)
                problem = self._faults.judge(attempt, refusal)
                raise problem or self._faults.garbled(attempt, f"HTTP {answer.status}", refusal)
            yield answer.content
        finally:
            answer.close()

    async def _listen(self, session: aiohttp.ClientSession, login: Login, path: str) -> aiohttp.ClientResponse:
        # The library reads an answer whole before it gives it back: a stream has no whole.
        return await session.get(
            f"{self._faults.base}{path}",
            headers=login.headers | {"Accept": "text/event-stream"},
            timeout=aiohttp.ClientTimeout(total=None),
            allow_redirects=False,
        )

    async def _beginning(self, answer: aiohttp.ClientResponse) -> bytes:
        """What a refusal says, as far as it comes in time."""
        try:
            async with asyncio.timeout(self._timeout):
                return await answer.content.read(EXCERPT)
        except (TimeoutError, aiohttp.ClientError):
            return b""

    async def _read(self, path: str) -> Reply | None:
        attempt = f"GET {path}"
        problem: DeviceError | None = None
        try:
            async with asyncio.timeout(self._timeout):
                for tried in range(GET_ATTEMPTS):
                    answer = None
                    try:
                        answer = await self._ask(attempt, "GET", path)
                    except dmtf.RedfishConnectionError as error:
                        problem = self._faults.translate(attempt, error)
                        if isinstance(problem, Misbehaved):
                            raise problem from error
                    else:
                        if answer.status in (404, 410):
                            return None
                        problem = self._faults.judge(attempt, answer)
                        if problem is None:
                            return self._reply(attempt, answer, empty=answer.status in (202, 204))
                        if answer.status not in (429, 500, 502, 503, 504):
                            raise problem
                    if tried < GET_ATTEMPTS - 1:
                        await asyncio.sleep(self._pause(answer, tried, problem))
        except TimeoutError as error:
            raise problem or self._faults.silent(attempt) from error
        except dmtf.RedfishError as error:
            raise self._faults.translate(attempt, error) from error
        raise problem or self._faults.silent(attempt)

    async def _ask(self, attempt: str, method: str, path: str, **given: object) -> Any:
        """One request, and once more with a fresh session where the first was not applied for want of one."""
        login = self._ready(attempt)
        seen = login.count
        answer = await self._request(login, method, path, **given)
        if answer.status == 401 and self._user:
            await login.renew(seen)
            answer = await self._request(login, method, path, **given)
        return answer

    async def _request(self, login: Login, method: str, path: str, **given: object) -> Any:
        """One request over a clean connection: what was not sent over another one is no second sending."""
        for _ in range(_CONNECTIONS):
            try:
                return await getattr(login.client, method.lower())(path, **given)
            except dmtf.RedfishConnectionError as error:
                if not isinstance(error.__cause__, SpokeUnasked):
                    raise
        return await getattr(login.client, method.lower())(path, **given)

    def _ready(self, attempt: str) -> Login:
        if self._live.login is None:
            raise Unreachable(self._device, attempt, "the connection is not open", "Open the device first.")
        return self._live.login

    def _reply(self, attempt: str, answer: Any, *, empty: bool) -> Reply:
        body = {} if empty and not answer.read else self._faults.decode(attempt, answer)
        asked = answer.getheader("Retry-After") or ""
        location = urlsplit(answer.getheader("Location") or "")
        return Reply(
            answer.status,
            body,
            answer.getheader("ETag") or str(body.get("@odata.etag") or ""),
            f"{location.path}?{location.query}" if location.query else location.path,
            float(asked) if asked.isdecimal() else None,
        )

    def _pause(self, answer: Any, tried: int, problem: DeviceError) -> float:
        asked = answer.getheader("Retry-After") if answer is not None else None
        if asked and asked.isdecimal():
            if float(asked) >= self._timeout:
                raise problem
            return float(asked)
        return float(PAUSE * 2**tried)
