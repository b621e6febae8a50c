"""The journal's writer: appends events, chained and committed, from any thread."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from harness.clock import Clock
from harness.errors import RackproofError
from harness.journal.events import ClockJumped, Entry, Event, Noted
from harness.journal.lines import FIRST, digest, encode
from harness.journal.reader import Journal

JUMP = 2.0
"""Seconds by which wall and monotonic clock must part between two entries for a jump: our judgement. Slewing is far
slower, and NTP steps a clock that is off by more than 0.128 s (RFC 5905, 11.3: STEPT)."""


class JournalFailure(RackproofError):
    """No further evidence can be kept: the disk is full or failing. What was committed before stays readable."""


class JournalWriter:
    """Appends to one journal file, which no other process may write meanwhile.

    The file must not exist yet, unless `after` is what `read_journal` found there: then the run that was interrupted
    goes on, its torn last line cut off. Raises JournalFailure where the file cannot be had.

    Order and durations are told by sequence numbers and the monotonic clock. `wall` (UTC) is for people; when it jumps,
    the journal says so before the next event.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        after: Journal | None = None,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.path = path
        self._clock = clock
        self._wall = wall
        self._ahead: float | None = None
        """Seconds that the wall clock was ahead of the monotonic one at the last entry of this writer."""
        self._lock = threading.Lock()
        self._seq = 0 if after is None else len(after.entries)
        self._head = FIRST if after is None else after.head
        self._size = 0 if after is None else after.size
        self._failure = ""
        self._observers: list[Callable[[Entry], None]] = []
        self._untold: deque[Entry] = deque()
        self._telling = threading.Lock()
        try:
            self._file: int | None = _open(path, fresh=after is None, size=self._size)
        except OSError as error:
            raise JournalFailure(f"journal {path}: cannot be opened: {error.strerror}. {_advice(error)}") from error

    @property
    def head(self) -> str:
        """The SHA-256 of the last committed line; 64 zeros while there is none."""
        return self._head

    def subscribe(self, observer: Callable[[Entry], None]) -> None:
        """Have `observer` called with every later entry, once it is on disk; one call at a time, from any thread.

        An observer that raises is dropped, and a note says so; it never harms the journal.
        """
        with self._lock:
            self._observers.append(observer)

    def append(self, event: Event) -> Entry:
        """Commit an event and return its entry; on disk before this returns where the event is durable.

        Raises ValueError, nothing written, where the event holds NaN, infinity or no JSON value. Raises JournalFailure
        where it cannot be kept, and from then on always.
        """
        with self._lock:
            if self._failure or self._file is None:
                raise JournalFailure(self._failure or f"journal {self.path}: it is closed, nothing can be added")
            wall, mono = self._moment()
            jump = 0.0 if self._ahead is None else wall.timestamp() - mono - self._ahead
            if abs(jump) >= JUMP:
                self._add(self._file, ClockJumped(round(jump, 3)), wall, mono)
            entry = self._add(self._file, event, wall, mono)
        self._tell()
        return entry

    def _moment(self) -> tuple[datetime, float]:
        """Both clocks at one moment: read again where this process was held up between the two."""
        while True:
            before, wall, mono = time.monotonic(), self._wall(), time.monotonic()
            if mono - before < JUMP / 10:
                return wall, mono

    def _add(self, file: int, event: Event, wall: datetime, mono: float) -> Entry:
        entry = Entry(self._seq, _stamp(wall), _stamp(self._clock.now()), round(mono, 6), self._head, event)
        line = encode(entry)
        self._commit(file, line + b"\n", durable=event.durable)
        self._seq += 1
        self._head = digest(line)
        self._ahead = wall.timestamp() - mono
        self._untold.append(entry)
        return entry

    def close(self) -> None:
        """Commit everything to disk and let go of the file; may be called twice, never raises."""
        with self._lock:
            if self._file is None:
                return
            with contextlib.suppress(OSError):
                os.fsync(self._file)
            os.close(self._file)
            self._file = None

    def _commit(self, file: int, data: bytes, *, durable: bool) -> None:
        try:
            _write_all(file, data)
            if durable:
                os.fsync(file)
        except OSError as error:
            self._failure = (
                f"journal {self.path}: a line could not be written: {error.strerror}. "
                f"The run must stop; what was written before is kept. {_advice(error)}"
            )
            # Half a line must not stay behind as if it had been committed; a reader copes where even this fails.
            with contextlib.suppress(OSError):
                os.ftruncate(file, self._size)
            raise JournalFailure(self._failure) from error
        self._size += len(data)

    def _tell(self) -> None:
        """Call the observers in the order of the lines; a call made meanwhile is told by whoever is telling."""
        while self._untold:
            if not self._telling.acquire(blocking=False):
                return
            try:
                while self._untold:
                    entry = self._untold.popleft()
                    for observer in tuple(self._observers):
                        self._tell_one(observer, entry)
            finally:
                self._telling.release()

    def _tell_one(self, observer: Callable[[Entry], None], entry: Entry) -> None:
        try:
            observer(entry)
        except Exception as error:  # noqa: BLE001 - the plugin boundary: no observer may cost evidence
            with self._lock:
                self._observers.remove(observer)
            name = getattr(observer, "__qualname__", type(observer).__name__)
            with contextlib.suppress(JournalFailure):
                self.append(Noted(f"the observer {name} failed and is no longer told: {type(error).__name__}: {error}"))


def _write_all(file: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]


def _open(path: Path, *, fresh: bool, size: int) -> int:
    """The journal's file, locked, cut to `size` and its directory entry on disk; raises OSError."""
    how = os.O_CREAT | os.O_EXCL if fresh else 0
    file = os.open(path, how | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(file, size)
        os.fsync(file)
        _sync_directory(path.parent)
    except OSError:
        os.close(file)
        raise
    return file


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _stamp(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _advice(error: OSError) -> str:
    if isinstance(error, FileExistsError):
        return "A journal is never written over: start a new run."
    if isinstance(error, FileNotFoundError):
        return "Make the run directory first."
    if isinstance(error, BlockingIOError):
        return "Another process is writing it: is this run still going on?"
    if isinstance(error, PermissionError):
        return "Check who owns the run directory."
    return "Free space on the station's disk and check its health (dmesg), then start a new run."
