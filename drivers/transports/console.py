"""A serial line, read in the background into numbered lines with the instant of their arrival.

pyserial opens a tty, a pty, `socket://` or `rfc2217://` alike, and blocks: so one thread of our own reads and, when the
line is lost, opens it again. What could not be kept is never passed over in silence. (pyserial drops
what arrives in the instant in which it opens a port: tests/drivers/test_console.py met it.)
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime
from itertools import islice

import serial

from drivers.transports.console_port import POLL, ConsoleTarget, close_port, open_in_time, open_port
from harness.capabilities import ConsoleLine
from harness.errors import Misbehaved, Unreachable

__all__ = ["ConsoleTarget", "ConsoleWire", "plain_text"]

KEPT = 262_144
"""Lines; at 115200 baud that is forty minutes of nothing but full-length ones, and days of what consoles really say."""
KEPT_CHARACTERS = 64 * 2**20
"""Of all these lines together: what floods a TCP console is not bound to any speed."""
LONGEST = 4096
"""Octets of one line; a longer one is broken up."""
UNFINISHED = 2.0
"""Wall seconds after which a line without an end is taken as one: a dying kernel may not finish it."""
RETRY = 1.0
RECENT = 1 << 20
"""Octets kept as they came, for whoever holds a dialogue."""
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]{0,32}[ -/]{0,8}[@-~]|\][^\x07\x1b]{0,512}(?:\x07|\x1b\\)|[@-Z\\^_])|[\x00-\x08\x0b-\x1f\x7f]"
)


class ConsoleWire:
    """One captured line. `now` gives the instant of arrival."""

    def __init__(self, target: ConsoleTarget, now: Callable[[], datetime], kept: int = KEPT) -> None:
        self._target = target
        self._now = now
        self._lock = threading.Lock()
        self._lines: deque[ConsoleLine] = deque(maxlen=kept)
        self._first = 0
        self._size = 0
        self._lost: str = "it was never opened"
        self._recent = bytearray()
        self._heard = 0
        self._listeners: set[Callable[[], object]] = set()
        self._port: serial.Serial | None = None
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    async def open(self) -> None:
        """Open the port and begin to capture; raises Unreachable."""
        if self._thread is not None:
            return
        port = await open_in_time(self._target)
        self._closing.clear()
        with self._lock:
            self._lost = ""
            self._port = port
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
        self._set_lost("it is closed")

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

    def heard(self, since: int, last: int) -> tuple[int, bytes]:
        """How many octets came so far, and of those after number `since` the `last` ones.

        Raises Unreachable while the line is lost. What came before a loss is forgotten; RECENT octets are kept.
        """
        with self._lock:
            if self._lost:
                raise self._unreachable("listen to the console", self._lost)
            wanted = min(self._heard - since, last, len(self._recent))
            return self._heard, bytes(self._recent[len(self._recent) - wanted :])

    async def hear_more(self, than: int, within: float) -> bool:
        """Wait until more than that many octets came, or the line is lost; False if neither is so in wall seconds."""
        await asyncio.sleep(0)  # a line that is never silent must not keep everybody else from their turn
        loop, something = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            loop.call_soon_threadsafe(something.set)

        with self._lock:
            if self._heard > than or self._lost:
                return True
            self._listeners.add(tell)
        try:
            async with asyncio.timeout(within):  # wait_for forgets a cancellation that comes with the event
                await something.wait()
        except TimeoutError:
            return False
        finally:
            with self._lock:
                self._listeners.discard(tell)
        return True

    async def send(self, octets: bytes) -> None:
        """Send these octets, once; raises Unreachable where the line is lost or does not take them."""
        with self._lock:
            port, lost = self._port, self._lost
        if port is None or lost:
            raise self._unreachable("write to the console", lost)
        try:
            await asyncio.to_thread(port.write, octets)
        except (serial.SerialException, OSError, ValueError, TypeError) as error:
            raise self._unreachable("write to the console", str(error) or type(error).__name__) from error

    def _capture(self, port: serial.Serial) -> None:
        """The reading thread: until closed, read; where the line is lost, open it again."""
        live: serial.Serial | None = port
        rest, idle = b"", 0.0
        while not self._closing.is_set():
            try:
                if live is None:
                    live = open_port(self._target)
                    with self._lock:
                        self._port = live
                    self._note("[rackproof: the console is back; what it said meanwhile is not known]", lost="")
                data = live.read(max(1, live.in_waiting))
            except (serial.SerialException, OSError, ValueError, TypeError) as error:
                # pyserial raises TypeError where a port is closed under it.
                rest, idle = self._take(rest, final=True), 0.0
                self._set_lost(str(error) or type(error).__name__)
                close_port(live)
                live = None
                self._closing.wait(RETRY)
                continue
            self._listen(data)
            idle = 0.0 if data else idle + POLL
            rest = self._take(rest + data, final=idle >= UNFINISHED)
        self._take(rest, final=True)
        close_port(live)

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
                self._forget()
            self._lines.append(ConsoleLine(self._now(), text))
            self._size += len(text)
            while self._size > KEPT_CHARACTERS:
                self._forget()

    def _forget(self) -> None:
        self._size -= len(self._lines.popleft().text)
        self._first += 1

    def _listen(self, data: bytes) -> None:
        """Keep what came, and tell those who wait for it."""
        if not data:
            return
        with self._lock:
            self._recent += data
            self._heard += len(data)
            if len(self._recent) > 2 * RECENT:
                del self._recent[:-RECENT]
            self._tell()

    def _set_lost(self, why: str) -> None:
        with self._lock:
            self._lost = why
            self._port = None
            self._recent.clear()
            self._tell()

    def _tell(self) -> None:
        """Wake those who listen; to be called under the lock, so that none of them has gone meanwhile."""
        for tell in self._listeners:
            tell()

    def _unreachable(self, attempt: str, seen: str) -> Unreachable:
        return Unreachable(
            self._target.device,
            attempt,
            f"{self._target.url}: {seen}",
            "Check the console cable and the terminal server; capturing goes on by itself once it is back.",
        )


def plain_text(octets: bytes) -> str:
    """What was heard as a person reads it: lines ended by a line feed, no escape sequences or control characters.

    What was printed over a line (`10 %`, carriage return, `20 %`) stands on a line of its own.
    """
    lines = (line.split(b"\r") for line in re.split(rb"\r*\n", octets))
    return "\n".join("\n".join(filter(None, map(_plain, parts))) for parts in lines)


def _plain(line: bytes) -> str:
    """A line as a person reads it: no escape sequences, no control characters."""
    return _ESCAPES.sub("", line.decode(errors="replace")).rstrip()
