"""The one session that a station has on a BMC: made once, renewed where it expired, released at the end.

A refused login is never tried again: accounts lock. Before the password is sent a second time, the service must be the
one that was logged in to first. Standard: DSP0266 1.21, 13.3.4 (sessions); ServiceRoot 1.17 (`UUID`).
"""

from __future__ import annotations

import asyncio
import re
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import redfish.aio as dmtf  # type: ignore[import-untyped]

from drivers.transports.redfish_errors import Faults, Json
from harness.errors import DeviceError, Misbehaved, Refused

FAREWELL = 5.0
"""Wall seconds a log-out may take."""
ATTEMPT = "log in"
ROOT = "/redfish/v1/"
SESSIONS = "/redfish/v1/SessionService/Sessions"
_NEW_PASSWORD = re.compile(r'"Base\.[0-9.]*\.?PasswordChangeRequired"')


class Login:
    """Logs in to one service over one pool of connections. Deadlines are the caller's."""

    def __init__(self, http: aiohttp.ClientSession, faults: Faults, user: str, password: str) -> None:
        self._http = http
        self._faults = faults
        self._user = user
        self._password = password
        self._anonymous = self._speak()
        self._client: Any = None
        self._token = ""
        self._place = ""
        self._lock = asyncio.Lock()
        self._refused: Refused | None = None
        self._unit = ""
        self._count = 0

    @property
    def count(self) -> int:
        """How often it has logged in."""
        return self._count

    @property
    def client(self) -> Any:
        """DMTF's client, with the session where there is one; raises Refused once a login was refused."""
        if self._refused is not None:
            raise self._refused.with_traceback(None)
        return self._client or self._anonymous

    @property
    def headers(self) -> dict[str, str]:
        """What a request needs to belong to the session."""
        return {"OData-Version": "4.0"} | ({"X-Auth-Token": self._token} if self._token else {})

    async def renew(self, seen: int) -> None:
        """Log in, unless somebody else did since `count` was `seen`; raises DeviceError."""
        if not self._user:
            return
        async with self._lock:
            if self._refused is not None:
                raise self._refused.with_traceback(None)
            if self._count == seen:
                await self._log_in()

    async def release(self) -> None:
        """Log out; never raises, and what does not answer is let go: a session expires by itself."""
        client, place, self._client, self._token = self._client, self._place, None, ""
        if client is None or not place:
            return
        try:
            async with asyncio.timeout(FAREWELL):
                await client.delete(place)
        except (dmtf.RedfishError, aiohttp.ClientError, OSError):
            pass

    async def _log_in(self) -> None:
        try:
            target = await self._recognise()
            answer = await self._anonymous.post(target, body={"UserName": self._user, "Password": self._password})
        except dmtf.RedfishError as error:
            raise self._faults.translate(ATTEMPT, error) from error
        wants_password = _NEW_PASSWORD.search(answer.text) is not None
        problem = self._faults.judge(ATTEMPT, answer)
        if problem is not None:
            raise self._told(wants_password, problem) from None
        body = self._faults.decode(ATTEMPT, answer) if answer.read else {}
        token = answer.getheader("X-Auth-Token") or ""
        # Some services give an absolute address, and not always the one by which we reach them.
        place = urlsplit(str(answer.getheader("Location") or body.get("@odata.id") or "")).path
        if not token.strip() or not place.startswith("/"):
            raise self._faults.garbled(ATTEMPT, "the answer to the login holds no session", answer)
        self._client, self._token, self._place = self._speak(token), token, place
        self._count += 1
        if wants_password:
            raise self._told(wants_password, None)

    async def _recognise(self) -> str:
        """Where sessions are made; raises Misbehaved where another service than before answers."""
        answer = await self._anonymous.get(ROOT)
        if answer.status == 401:
            return SESSIONS  # against the standard (13.3.2), but met; the login itself may well work
        problem = self._faults.judge(ATTEMPT, answer)
        if problem is not None:
            raise problem
        root = self._faults.decode(ATTEMPT, answer)
        unit = _unit(root)
        if self._unit and unit and unit != self._unit:
            raise Misbehaved(
                self._faults.device,
                ATTEMPT,
                f"another unit answers: its service is {unit}, that of this device was {self._unit}",
                "Put the unit back; if it was replaced on purpose, start the run anew.",
            )
        self._unit = unit or self._unit
        links = root.get("Links")
        sessions = links.get("Sessions") if isinstance(links, dict) else None
        target = sessions.get("@odata.id") if isinstance(sessions, dict) else None
        return target if isinstance(target, str) and target.strip() else SESSIONS

    def _told(self, wants_password: bool, problem: DeviceError | None) -> DeviceError:
        """The error to raise for a login that did not work; a refusal is remembered."""
        device = self._faults.device
        if wants_password:
            advice = "Set a new password and put it into the bay's secrets."
            self._refused = Refused(device, ATTEMPT, "it demands a new password", advice)
        elif isinstance(problem, Refused):
            advice = "Check user and password in the bay file; no second login is tried, accounts lock."
            seen = f"it refuses the login of {self._user!r} ({problem.seen})"
            self._refused = Refused(device, ATTEMPT, seen, advice, problem.exchange)
        elif problem is not None:
            return problem
        assert self._refused is not None
        return self._refused

    def _speak(self, token: str | None = None) -> Any:
        # No time-out of the library's own: at the same instant as ours it would swallow the cancellation.
        # No user either: it would log in again by itself, whoever answers, and only for some methods.
        return dmtf.AsyncRedfishClient(
            self._faults.base, session=self._http, session_key=token, timeout=aiohttp.ClientTimeout(total=None)
        )


def _unit(root: Json) -> str:
    """The service's UUID; empty where it states none that tells it from others."""
    said = root.get("UUID")
    return said.lower() if isinstance(said, str) and said.strip("0-") else ""
