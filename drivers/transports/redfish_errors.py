"""What can go wrong with a BMC, in our words: every status and every exception of the libraries has its error.

Standard: DSP0266 1.21, 8.6 (error responses); RFC 9110, 15 (statuses).
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from ssl import SSLError
from typing import Any

import aiohttp
import redfish.aio as dmtf  # type: ignore[import-untyped]
from aiohttp.http_exceptions import ContentEncodingError

from drivers.transports.redfish_http import SpokeUnasked, TooLong
from harness.errors import DeviceError, Misbehaved, Refused, Unreachable, Unsupported

Json = dict[str, Any]
"""One Redfish resource as received."""

EXCERPT = 400
NO_SESSION_LEFT = re.compile(r"SessionLimitExceeded|RAC0218|maximum number of (user )?sessions", re.IGNORECASE)
"""How services say that all their sessions are taken (Base registry; iDRAC)."""
FIRMWARE = "Reset the BMC; if it stays, its firmware is at fault."


@dataclass(frozen=True, slots=True)
class Faults:
    """Turns what one BMC did into our errors; `hidden` never appears in them. `timeout` in wall seconds."""

    device: str
    base: str
    timeout: float
    hidden: str = field(repr=False)

    def judge(self, attempt: str, answer: Any) -> DeviceError | None:
        """The error that an answer's status means; None where it means none."""
        status = answer.status
        if 200 <= status < 300:
            return None
        seen, exchange = f"HTTP {status}{self._message(answer)}", self._excerpt(answer)
        if NO_SESSION_LEFT.search(answer.text or ""):
            advice = "Log other clients out, or wait until their sessions expire; resetting the BMC drops them at once."
            return Unreachable(self.device, attempt, f"all its sessions are taken, {seen}", advice, exchange)
        if status in (401, 403):
            advice = "Check the user, its password and its role in the bay file."
            return Refused(self.device, attempt, seen, advice, exchange)
        if status in (409, 412, 428):
            advice = "Somebody else changed it at the same time; look and try again."
            return Misbehaved(self.device, attempt, seen, advice, exchange)
        if status in (405, 501):
            return Unsupported(self.device, attempt, seen, "This BMC cannot do it.", exchange)
        if status in (429, 503):
            return Unreachable(self.device, attempt, f"busy, {seen}", "Wait until the BMC has started.", exchange)
        return Misbehaved(self.device, attempt, seen, "See the BMC's own log.", exchange)

    def decode(self, attempt: str, answer: Any) -> Json:
        """The JSON object in an answer; raises Misbehaved where there is none, or one that can be read two ways."""
        try:
            found = json.loads(answer.text, object_pairs_hook=_unambiguous)
        except (ValueError, RecursionError) as error:
            raise self.garbled(attempt, f"no valid JSON ({error})", answer) from error
        if not isinstance(found, dict):
            raise self.garbled(attempt, f"JSON, but a {type(found).__name__} and no object", answer)
        return found

    def translate(self, attempt: str, error: BaseException) -> DeviceError:
        """Our word for what a library raised."""
        if isinstance(error, dmtf.RedfishInvalidTargetError):
            return Misbehaved(self.device, attempt, "the link leads to another host", "Its firmware is at fault.")
        if isinstance(error, TimeoutError | dmtf.RedfishTimeoutError):
            return self.silent(attempt)
        if isinstance(error, dmtf.RedfishError):
            return self.broken(attempt, error.__cause__ or error)
        return self.broken(attempt, error)

    def broken(self, attempt: str, cause: BaseException) -> DeviceError:
        """Our word for what happened to a connection."""
        if isinstance(cause, aiohttp.ServerFingerprintMismatch):
            return Misbehaved(
                self.device,
                attempt,
                f"its certificate has SHA-256 {cause.got.hex()}, the bay file pins {cause.expected.hex()}",
                "Make sure that this is the right BMC; if its certificate was renewed, pin the new one.",
            )
        if isinstance(cause, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError | SSLError):
            advice = "Pin the certificate's fingerprint in the bay file or name the authority that signed it."
            return Misbehaved(self.device, attempt, f"TLS failed: {self.clean(str(cause))}", advice)
        if isinstance(cause, aiohttp.ClientConnectorError):
            number = cause.os_error.errno or 0  # negative where the name was not found
            why = os.strerror(number) if number > 0 else cause.os_error.strerror or cause.os_error
            seen = f"no connection to {self.base}: {why}"
            advice = "Check that the BMC has power, its network cable and its address."
            return Unreachable(self.device, attempt, seen, advice)
        if isinstance(cause, TooLong):
            return Misbehaved(self.device, attempt, f"{cause}: no resource is that long", FIRMWARE)
        if isinstance(cause, SpokeUnasked):
            return Misbehaved(self.device, attempt, "it sent an answer that nobody had asked for", FIRMWARE)
        if isinstance(cause, aiohttp.ClientResponseError) or isinstance(cause.__cause__, ContentEncodingError):
            said = self.clean(str(getattr(cause, "message", "") or cause.__cause__ or cause))[:EXCERPT]
            return Misbehaved(self.device, attempt, "its answer is no HTTP", FIRMWARE, said)
        seen = f"the connection broke off ({type(cause).__name__})"
        return Unreachable(self.device, attempt, seen, "Check the management network and the BMC's own log.")

    def silent(self, attempt: str) -> Unreachable:
        """Nothing came in time."""
        seen = f"no answer within {self.timeout:g} s"
        return Unreachable(self.device, attempt, seen, "Check that the BMC has power and its management network cable.")

    def garbled(self, attempt: str, seen: str, answer: Any) -> Misbehaved:
        """It answered something that cannot be right."""
        return Misbehaved(self.device, attempt, self.clean(seen), FIRMWARE, self._excerpt(answer))

    def clean(self, text: str) -> str:
        """The text without the secret."""
        return text.replace(self.hidden, "***") if self.hidden else text

    def _message(self, answer: Any) -> str:
        """The first message of a Redfish error response (DSP0266, 8.6), if there is one."""
        try:
            body = json.loads(answer.text)
            text = body["error"].get("message") or body["error"]["@Message.ExtendedInfo"][0]["Message"]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return ""
        return f": {self.clean(str(text))[:EXCERPT]}"

    def _excerpt(self, answer: Any) -> str:
        return self.clean(answer.text)[:EXCERPT]


def _unambiguous(pairs: list[tuple[str, Any]]) -> Json:
    """A JSON object whose names are unique, or repeated with the same value (RFC 8259, 4: SHOULD be unique)."""
    found: Json = {}
    for name, value in pairs:
        if name in found and found[name] != value:
            raise ValueError(f"the name {name!r} occurs twice with different values")
        found[name] = value
    return found
