"""Server-sent events: octets in, events out, bounded in size (WHATWG HTML 9.2.6; DSP0266, 13.5.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass

CAP = 1 << 20
"""Octets in one event; a BMC that never ends an event must not fill the station's memory (nv-redfish, issue 167)."""
_LINE = re.compile(rb"\r\n|\n|\r(?!\Z)")


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event: `ident` as the server numbers it, `data` with its lines joined."""

    ident: str
    data: str


class EventSplitter:
    """Takes octets as they come and gives the events that are complete."""

    def __init__(self, cap: int = CAP) -> None:
        self._cap = cap
        self._rest = b""
        self._begun = False
        self._ident = ""
        self._data: list[bytes] = []
        self._size = 0
        """Octets of the event so far, a line's end included: lines without content must not go on for ever either."""

    def feed(self, octets: bytes) -> list[ServerEvent]:
        """The events that these octets complete; raises ValueError where one exceeds the cap or is no UTF-8."""
        self._rest += octets
        if not self._begun and len(self._rest) >= 3:
            self._begun, self._rest = True, self._rest.removeprefix(b"\xef\xbb\xbf")
        *lines, self._rest = _LINE.split(self._rest)
        found = [event for line in lines if (event := self._take(line)) is not None]
        self._check(len(self._rest))
        return found

    def _take(self, line: bytes) -> ServerEvent | None:
        if not line:
            data, self._data, self._size = self._data, [], 0
            return ServerEvent(self._ident, b"\n".join(data).decode("utf-8")) if data else None
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._size += len(value) + 1
            self._check(0)
        elif name == b"id" and b"\x00" not in value:
            self._ident = value.decode("utf-8")
        return None

    def _check(self, more: int) -> None:
        if self._size + more > self._cap:
            raise ValueError(f"one event is longer than {self._cap} octets")
