"""Redfish over HTTPS: one verified connection pool and one login session per BMC, every failure in our own words.

Reads are retried within one deadline, writes never; a refused login is never tried again, since lock-outs are real.
Client: DMTF's `redfish.aio`. Protocol: DSP0266 1.21 (sessions: 13.3.4, error responses: 8.6, queries: 7.3).
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext, SSLError, create_default_context
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import redfish.aio as dmtf  # type: ignore[import-untyped]
from redfish.aio.response import AsyncRestResponse  # type: ignore[import-untyped]

from harness.connection import Connection
from harness.errors import DefinitionError, DeviceError, Misbehaved, Refused, Unreachable, Unsupported

Json = dict[str, Any]
"""One Redfish resource as received."""

IN_FLIGHT = 4
"""Requests at once; a BMC that serialises gains nothing from more, and a slow one suffers."""
GET_ATTEMPTS = 3
PAUSE = 0.2
"""Wall seconds before a read is tried again, doubled each time."""
EXCERPT = 400
FAREWELL = 5.0
"""Wall seconds a log-out may take."""


NO_SESSION_LEFT = re.compile(r"SessionLimitExceeded|RAC0218|maximum number of (user )?sessions", re.IGNORECASE)
"""How services say that all their sessions are taken (Base registry; iDRAC)."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer as received: `body` is empty where none came, `location` a task monitor or a new resource."""

    status: int
    body: Json
    etag: str = ""
    location: str = ""
    retry_after: float | None = None
    """Seconds after which to ask again, where the service says so."""


class RedfishWire:
    """The way to one Redfish service. Build it with `RedfishWire.of`; it touches the network from `open()` on."""

    def __init__(
        self, *, device: str, base: str, user: str, password: str, tls: SSLContext | aiohttp.Fingerprint, timeout: float
    ) -> None:
        self._device = device
        self._base = base
        self._user = user
        self._password = password
        self._tls = tls
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None
        self._client: Any = None
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._login_lock = asyncio.Lock()
        self._logins = 0
        self._refused: Refused | None = None

    @classmethod
    def of(cls, connection: Connection) -> RedfishWire:
        """The wire a connection describes; raises DefinitionError on an address or option that cannot be meant.

        Options: `fingerprint` (SHA-256 of the DER certificate, hexadecimal) or `ca` (a PEM file), else the system's
        authorities; `timeout`, wall seconds a call may take in all.
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
            tls=_trust(connection),
            timeout=_positive(connection, "timeout", 10.0),
        )

    @property
    def timeout(self) -> float:
        """Wall seconds that one call may take."""
        return self._timeout

    async def open(self) -> None:
        """Connect and log in, once; raises Unreachable, Refused or Misbehaved."""
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self._tls, limit_per_host=IN_FLIGHT)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
            # No time-out of the library's own: at the same instant as ours it would swallow the cancellation.
            self._client = dmtf.AsyncRedfishClient(
                self._base,
                self._user or None,
                self._password or None,
                session=self._session,
                timeout=aiohttp.ClientTimeout(total=None),
            )
        if self._user:
            await self._log_in(self._logins, "log in")

    async def close(self) -> None:
        """Log out and close every connection; never raises, and a second call does nothing."""
        session, self._session = self._session, None
        if session is None:
            return
        try:
            async with asyncio.timeout(FAREWELL):
                await self._client.logout()
        except (dmtf.RedfishError, aiohttp.ClientError, OSError):
            pass  # a session that is not released expires by itself
        finally:
            self._client = None
            self._logins = 0
            self._refused = None
            await session.close()

    async def get(self, path: str) -> Json:
        """Read one resource, query and all as given; raises DeviceError."""
        found = await self.find(path)
        if found is None:
            raise Misbehaved(
                self._device,
                f"GET {path}",
                "404, though the device itself links to it",
                "Reset the BMC and try again; if it stays, its firmware is at fault.",
            )
        return found

    async def find(self, path: str) -> Json | None:
        """Read one resource, or None where the device says that there is none (404, 410); raises DeviceError."""
        reply = await self.fetch(path)
        return None if reply is None else reply.body

    async def fetch(self, path: str) -> Reply | None:
        """As `find`, with status, ETag and headers. An answer without content is an error, unless it is 202 or 204."""
        async with self._slots:
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
        """Write once (POST, PATCH, PUT, DELETE), never again whatever happens; raises DeviceError.

        With `etag` only if the resource is still the one that was read (If-Match; DSP0266, 7.7.2).
        """
        attempt = f"{method} {path}"
        headers = {"If-Match": etag} if etag else None
        async with self._slots:
            try:
                async with asyncio.timeout(self._timeout):
                    verb = getattr(self._ready(attempt), method.lower())
                    answer = await verb(path, body=dict(body), headers=headers)
            except (dmtf.RedfishError, TimeoutError) as error:
                raise self._translate(attempt, error) from error
        problem = self._judge(attempt, answer)
        if problem is not None:
            raise problem
        return self._reply(attempt, answer, empty=True)

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator[aiohttp.StreamReader]:
        """The octets of an answer that never ends (server-sent events); raises DeviceError where it does not begin."""
        attempt = f"GET {path}"
        client, session = self._ready(attempt), self._session
        if session is None or not path.startswith("/"):
            raise Misbehaved(self._device, attempt, "the link leads to another host", "Its firmware is at fault.")
        # The library reads an answer whole and does not show its token; this is the one place that needs both.
        headers = client._request_headers({"Accept": "text/event-stream"})  # noqa: SLF001
        endless = aiohttp.ClientTimeout(total=None)
        try:
            async with asyncio.timeout(self._timeout):
                answer = await session.get(
                    f"{self._base}{path}", headers=headers, timeout=endless, allow_redirects=False
                )
        except TimeoutError as error:
            raise self._silent(attempt) from error
        except aiohttp.ClientError as error:
            raise self._broken(attempt, error) from error
        try:
            if answer.status != 200:
                async with asyncio.timeout(self._timeout):
                    said = await answer.content.read(EXCERPT)
                refusal = AsyncRestResponse(None, answer.status, answer.headers, said)
                raise self._judge(attempt, refusal) or self._garbled(attempt, f"HTTP {answer.status}", refusal)
            yield answer.content
        finally:
            answer.close()

    async def _read(self, path: str) -> Reply | None:
        attempt = f"GET {path}"
        problem: DeviceError | None = None
        try:
            async with asyncio.timeout(self._timeout):
                for tried in range(GET_ATTEMPTS):
                    answer = None
                    try:
                        answer = await self._ask(attempt, path)
                    except dmtf.RedfishConnectionError as error:
                        problem = self._translate(attempt, error)
                        if isinstance(problem, Misbehaved):
                            raise problem from error
                    else:
                        if answer.status in (404, 410):
                            return None
                        problem = self._judge(attempt, answer)
                        if problem is None:
                            return self._reply(attempt, answer, empty=answer.status in (202, 204))
                        if answer.status not in (429, 500, 502, 503, 504):
                            raise problem
                    if tried < GET_ATTEMPTS - 1:
                        await asyncio.sleep(self._pause(answer, tried, problem))
        except TimeoutError as error:
            raise problem or self._silent(attempt) from error
        except dmtf.RedfishError as error:
            raise self._translate(attempt, error) from error
        raise problem or self._silent(attempt)

    def _reply(self, attempt: str, answer: Any, *, empty: bool) -> Reply:
        body = {} if empty and not answer.read else self._decode(attempt, answer)
        asked = answer.getheader("Retry-After") or ""
        location = urlsplit(answer.getheader("Location") or "")
        return Reply(
            answer.status,
            body,
            answer.getheader("ETag") or str(body.get("@odata.etag") or ""),
            f"{location.path}?{location.query}" if location.query else location.path,
            float(asked) if asked.isdecimal() else None,
        )

    async def _ask(self, attempt: str, path: str) -> Any:
        logins = self._logins
        answer = await self._ready(attempt).get(path)
        if answer.status == 401 and self._user:
            # The library renews an expired session by itself; where that was cut short it is left without one.
            await self._log_in(logins, attempt)
            answer = await self._ready(attempt).get(path)
        return answer

    async def _log_in(self, seen: int, attempt: str) -> None:
        async with self._login_lock:
            client = self._ready(attempt)
            if self._logins != seen:
                return
            try:
                async with asyncio.timeout(self._timeout):
                    await client.login()
            except (dmtf.RedfishError, TimeoutError) as error:
                raise self._translate("log in", error) from error
            self._logins += 1

    def _ready(self, attempt: str) -> Any:
        if self._refused is not None:
            raise self._refused
        if self._client is None:
            raise Unreachable(self._device, attempt, "the connection is not open", "Open the device first.")
        return self._client

    def _pause(self, answer: Any, tried: int, problem: DeviceError) -> float:
        asked = answer.getheader("Retry-After") if answer is not None else None
        if asked and asked.isdecimal():
            if float(asked) >= self._timeout:
                raise problem
            return float(asked)
        return float(PAUSE * 2**tried)

    def _judge(self, attempt: str, answer: Any) -> DeviceError | None:
        status = answer.status
        if 200 <= status < 300:
            return None
        seen, exchange = f"HTTP {status}{self._message(answer)}", self._excerpt(answer)
        if NO_SESSION_LEFT.search(answer.text or ""):
            return Unreachable(
                self._device,
                attempt,
                f"all its sessions are taken, {seen}",
                "Log other clients out, or wait until their sessions expire; resetting the BMC drops them at once.",
                exchange,
            )
        if status in (401, 403):
            return Refused(
                self._device, attempt, seen, "Check the user, its password and its role in the bay file.", exchange
            )
        if status in (409, 412, 428):
            return Misbehaved(
                self._device, attempt, seen, "Somebody else changed it at the same time; look and try again.", exchange
            )
        if status in (405, 501):
            return Unsupported(self._device, attempt, seen, "This BMC cannot do it.", exchange)
        if status in (429, 503):
            return Unreachable(self._device, attempt, f"busy, {seen}", "Wait until the BMC has started.", exchange)
        return Misbehaved(self._device, attempt, seen, "See the BMC's own log.", exchange)

    def _decode(self, attempt: str, answer: Any) -> Json:
        try:
            found = json.loads(answer.text, object_pairs_hook=_unambiguous)
        except (ValueError, RecursionError) as error:
            raise self._garbled(attempt, f"no valid JSON ({error})", answer) from error
        if not isinstance(found, dict):
            raise self._garbled(attempt, f"JSON, but a {type(found).__name__} and no object", answer)
        return found

    def _translate(self, attempt: str, error: BaseException) -> DeviceError:
        """Our word for what the library raised."""
        if isinstance(error, dmtf.RedfishPasswordChangeRequiredError):
            return self._latch(
                attempt, "it demands a new password", "Set a new password and put it into the bay's secrets."
            )
        if isinstance(error, dmtf.RedfishAuthenticationError):
            return self._latch(
                attempt,
                f"it refuses the login of {self._user!r}",
                "Check user and password in the bay file; no second login is tried, accounts lock.",
            )
        if isinstance(error, dmtf.RedfishInvalidTargetError):
            return Misbehaved(self._device, attempt, "the link leads to another host", "Its firmware is at fault.")
        if isinstance(error, dmtf.RedfishHTTPError):
            return self._judge(attempt, error.response) or self._silent(attempt)
        if isinstance(error, dmtf.RedfishProtocolError):
            return Misbehaved(self._device, attempt, self._clean(str(error)), "See the BMC's own log.")
        if isinstance(error, TimeoutError | dmtf.RedfishTimeoutError):
            return self._silent(attempt)
        return self._broken(attempt, error.__cause__ or error)

    def _broken(self, attempt: str, cause: BaseException) -> DeviceError:
        if isinstance(cause, aiohttp.ServerFingerprintMismatch):
            return Misbehaved(
                self._device,
                attempt,
                f"its certificate has SHA-256 {cause.got.hex()}, the bay file pins {cause.expected.hex()}",
                "Make sure that this is the right BMC; if its certificate was renewed, pin the new one.",
            )
        if isinstance(cause, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError | SSLError):
            return Misbehaved(
                self._device,
                attempt,
                f"TLS failed: {self._clean(str(cause))}",
                "Pin the certificate's fingerprint in the bay file or name the authority that signed it.",
            )
        if isinstance(cause, aiohttp.ClientConnectorError):
            return Unreachable(
                self._device,
                attempt,
                f"no connection to {self._base}: {cause.os_error.strerror or cause.os_error}",
                "Check that the BMC has power, its network cable and its address.",
            )
        return Unreachable(
            self._device,
            attempt,
            f"the connection broke off ({type(cause).__name__})",
            "Check the management network and the BMC's own log.",
        )

    def _latch(self, attempt: str, seen: str, advice: str) -> Refused:
        self._refused = Refused(self._device, attempt, seen, advice)
        return self._refused

    def _silent(self, attempt: str) -> Unreachable:
        return Unreachable(
            self._device,
            attempt,
            f"no answer within {self._timeout:g} s",
            "Check that the BMC has power and its management network cable.",
        )

    def _garbled(self, attempt: str, seen: str, answer: Any) -> Misbehaved:
        return Misbehaved(
            self._device,
            attempt,
            self._clean(seen),
            "Reset the BMC; if it stays, its firmware is at fault.",
            self._excerpt(answer),
        )

    def _message(self, answer: Any) -> str:
        """The first message of a Redfish error response (DSP0266, 8.6), if there is one."""
        try:
            body = json.loads(answer.text)
            text = body["error"].get("message") or body["error"]["@Message.ExtendedInfo"][0]["Message"]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return ""
        return f": {self._clean(str(text))[:EXCERPT]}"

    def _excerpt(self, answer: Any) -> str:
        return self._clean(answer.text[:EXCERPT])

    def _clean(self, text: str) -> str:
        return text.replace(self._password, "***") if self._password else text


def _unambiguous(pairs: list[tuple[str, Any]]) -> Json:
    """A JSON object whose names are unique, or repeated with the same value (RFC 8259, 4: SHOULD be unique)."""
    found: Json = {}
    for name, value in pairs:
        if name in found and found[name] != value:
            raise ValueError(f"the name {name!r} occurs twice with different values")
        found[name] = value
    return found


def _trust(connection: Connection) -> SSLContext | aiohttp.Fingerprint:
    pinned, authority = connection.options.get("fingerprint"), connection.options.get("ca")
    if pinned is not None:
        digits = re.sub(r"[:\s]", "", str(pinned)).lower()
        if not re.fullmatch(r"[0-9a-f]{64}", digits):
            raise DefinitionError(f"{connection.device}: option fingerprint is no SHA-256 in hexadecimal")
        return aiohttp.Fingerprint(bytes.fromhex(digits))
    try:
        return create_default_context(cafile=None if authority is None else str(Path(str(authority))))
    except (OSError, SSLError) as error:
        raise DefinitionError(f"{connection.device}: option ca: {authority} holds no certificate: {error}") from error


def _positive(connection: Connection, name: str, default: float) -> float:
    value = connection.options.get(name, default)
    if isinstance(value, str | bool) or not 0 < value < 3600:
        raise DefinitionError(f"{connection.device}: option {name} must be a number of seconds, not {value!r}")
    return float(value)
