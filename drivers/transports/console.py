"""A serial line, read in the background into numbered lines with the instant of their arrival.

pyserial opens a tty, a pty, `socket://` or `rfc2217://` alike, and blocks: so one thread of our own reads and, when the
line is lost, opens it again. What could not be kept is never passed over in silence. (pyserial drops
what arrives in the instant in which it opens a port: tests/drivers/test_console.py met it.)
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from urllib.parse import parse_qs, urlsplit

import serial

from harness.capabilities import ConsoleLine
from harness.connection import Connection
from harness.errors import DefinitionError, Misbehaved, Unreachable

KEPT = 262_144
"""Lines; at 115200 baud that is forty minutes of nothing but full-length ones, and days of what consoles really say."""
LONGEST = 4096
"""Octets of one line; a longer one is broken up."""
POLL = 0.2
"""Wall seconds that a read waits."""
UNFINISHED = 2.0
"""Wall seconds after which a line without an end is taken as one: a dying kernel may not finish it."""
RETRY = 1.0
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]{0,32}[ -/]{0,8}[@-~]|\][^\x07\x1b]{0,512}(?:\x07|\x1b\\)|[@-Z\\^_])|[\x00-\x08\x0b-\x1f\x7f]"
)


@dataclass(frozen=True, slots=True)
class ConsoleTarget:
    """Where the line is, in pyserial's words: a device or URL, and the speed in baud."""

    device: str
    url: str
    baud: int

    @classmethod
    def of(cls, connection: Connection) -> ConsoleTarget:
        """The line that a connection describes; raises DefinitionError.

        `serial:///dev/ttyS0?baud=115200` is a local port, `socket://host:port` a raw TCP server,
        `rfc2217://host:port` a terminal server (RFC 2217); `baud` is 115200 if not given.
        """
        where = urlsplit(connection.address)
        words = parse_qs(where.query, keep_blank_values=True)
        baud = words.pop("baud", ["115200"])[0]
        if not re.fullmatch(r"[1-9][0-9]{1,6}", baud):
            raise DefinitionError(f"{connection.device}: a speed of {baud!r} baud makes no sense")
        if where.scheme == "serial" and where.path.startswith("/") and not where.netloc and not words:
            return cls(connection.device, where.path, int(baud))
        try:
            reachable = where.scheme in ("socket", "rfc2217") and where.hostname and where.port
        except ValueError:
            reachable = False
        if not reachable:
            raise DefinitionError(
                f"{connection.device}: a console's address is serial:///dev/NAME?baud=115200, socket://host:port or "
                f"rfc2217://host:port, not {connection.address!r}"
            )
        rest = "&".join(f"{name}={value}" if value else name for name, values in words.items() for value in values)
        url = f"{where.scheme}://{where.netloc}{where.path}" + (f"?{rest}" if rest else "")
        return cls(connection.device, url, int(baud))


class ConsoleWire:
    """One captured line. `now` gives the instant of arrival."""

    def __init__(self, target: ConsoleTarget, now: Callable[[], datetime], kept: int = KEPT) -> None:
        self._target = target
        self._now = now
        self._lock = threading.Lock()
        self._lines: deque[ConsoleLine] = deque(maxlen=kept)
        self._first = 0
        self._lost: str = "it was never opened"
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    async def open(self) -> None:
        """Open the port and begin to capture; raises Unreachable."""
        if self._thread is not None:
            return
        try:
            port = await asyncio.to_thread(self._connect)
        except (serial.SerialException, OSError, ValueError) as error:
            raise self._unreachable("open the console", str(error)) from error
        self._closing.clear()
        with self._lock:
            self._lost = ""
        self._thread = threading.Thread(
            target=self._capture, args=(port,), name=f"console-{self._target.device}", daemon=True
        )
        self._thread.start()

    async def close(self) -> None:
        """Stop capturing and close the port; never raises. Lines captured so far stay."""
        thread, self._thread = self._thread, None
        self._closing.set()
        if thread is not None:
            await asyncio.to_thread(thread.join)
        with self._lock:
            self._lost = "it is closed"

    def captured(self, since: int) -> tuple[ConsoleLine, ...]:
        """The lines from number `since`; raises Unreachable while it is lost, Misbehaved where some are missing."""
        with self._lock:
            if self._lost:
                raise self._unreachable("read the console", self._lost)
            if since < self._first:
                raise Misbehaved(
                    self._target.device,
                    f"read the console from line {since}",
                    f"lines {since} to {self._first - 1} came faster than they were fetched and are gone",
                    f"Go on from line {self._first}; find out what floods the console.",
                )
            return tuple(islice(self._lines, since - self._first, None))

    def _connect(self) -> serial.Serial:
        return serial.serial_for_url(self._target.url, baudrate=self._target.baud, timeout=POLL)

    def _capture(self, port: serial.Serial) -> None:
        """The reading thread: until closed, read; where the line is lost, open it again."""
        live: serial.Serial | None = port
        rest, idle = b"", 0.0
        while not self._closing.is_set():
            try:
                if live is None:
                    live = self._connect()
                    self._note("[rackproof: the console is back; what it said meanwhile is not known]", lost="")
                data = live.read(max(1, live.in_waiting))
            except (serial.SerialException, OSError, ValueError, TypeError) as error:
                # pyserial raises TypeError where a port is closed under it.
                rest, idle = self._take(rest, final=True), 0.0
                self._set_lost(str(error) or type(error).__name__)
                _close(live)
                live = None
                self._closing.wait(RETRY)
                continue
            idle = 0.0 if data else idle + POLL
            rest = self._take(rest + data, final=idle >= UNFINISHED)
        self._take(rest, final=True)
        _close(live)

    def _take(self, data: bytes, *, final: bool) -> bytes:
        """Keep the complete lines of `data`, all of it if `final`; gives back what is not complete."""
        *whole, rest = re.split(rb"\r\n|\n|\r(?!$)", data)
        while len(rest) > LONGEST:
            whole, rest = [*whole, rest[:LONGEST]], rest[LONGEST:]
        if final:
            whole, rest = [*whole, rest], b""
        for line in whole:
            for start in range(0, max(1, len(line)), LONGEST):
                self._note(_plain(line[start : start + LONGEST]))
        return rest

    def _note(self, text: str, lost: str | None = None) -> None:
        with self._lock:
            if lost is not None:
                self._lost = lost
            if not text:
                return
            if len(self._lines) == self._lines.maxlen:
                self._first += 1
            self._lines.append(ConsoleLine(self._now(), text))

    def _set_lost(self, why: str) -> None:
        with self._lock:
            self._lost = why

    def _unreachable(self, attempt: str, seen: str) -> Unreachable:
        return Unreachable(
            self._target.device,
            attempt,
            f"{self._target.url}: {seen}",
            "Check the console cable and the terminal server; capturing goes on by itself once it is back.",
        )


def _plain(line: bytes) -> str:
    """A line as a person reads it: no escape sequences, no control characters."""
    return _ESCAPES.sub("", line.decode(errors="replace")).rstrip()


def _close(port: serial.Serial | None) -> None:
    if port is not None:
        with contextlib.suppress(serial.SerialException, OSError):  # it may be gone, which is why it is closed
            port.close()
