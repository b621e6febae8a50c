"""Segments: every sample on disk at once in a write-ahead file, and sealed into sorted Parquet from time to time.

    telemetry/wal.bin          what has been sampled since the last seal
    telemetry/000002.wal       the same, while segment 2 is being sealed from it
    telemetry/000002.parquet   sealed: sorted by device, part, quantity, at; never changes; its digest is in the journal

A frame of the write-ahead file is one sweep: length and CRC-32 of the payload (both little-endian, 32 bits), then the
payload, UTF-8 JSON: a list of [device, part, quantity, unit, microseconds since 1970 UTC, value, text, quality].
In a segment, `value` is null where a sample is no usable number; `text` then holds what was read instead.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import struct
import threading
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness.errors import RackproofError
from harness.journal.events import SegmentSealed, TelemetryLost
from harness.quantities import Channel, Quality, Reading, Sample, Unit, Value
from harness.telemetry import parquet

FRAME = struct.Struct("<II")
SYNC_EVERY = 1.0
"""Wall seconds between two flushes to the disk itself: what a power cut may cost at most."""

START = b'[["'
"""How every payload begins: a list of rows, each of which begins with a text."""
LONGEST_FRAME = 64 * 1024 * 1024
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
EXACT = 2**53
"""Integers up to here are exact as a double; a greater counter keeps its digits in `text`."""


class TelemetryFailure(RackproofError):
    """Telemetry can no longer be kept: the disk is full or failing. What was written before stays readable."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a crash left in write-ahead files, not yet sealed into any segment."""

    samples: tuple[Sample, ...]
    lost: int
    """Octets that are no whole frame: cut off while it was written, or damaged since."""


@dataclass(frozen=True, slots=True)
class _Frames:
    """The rows of all whole frames of a write-ahead file, and what between them is none: where, and how many octets."""

    rows: list[parquet.Row]
    gaps: tuple[tuple[int, int], ...]
    """How many rows come before it, and its octets."""

    @property
    def lost(self) -> int:
        return sum(octets for _, octets in self.gaps)


class SegmentWriter:
    """Keeps the telemetry of one run; `write` and `seal` may be called from different threads, and side by side.

    What a killed run left in its write-ahead files is sealed first, when the directory is taken up again; what of it
    cannot be read is told as lost. `seal` gets the events for the journal; the write-ahead file goes only after that.
    `announced` are the segments that the journal knows, `until` is when the run broke. Raises TelemetryFailure.
    """

    def __init__(
        self,
        run_dir: Path,
        seal: Callable[[SegmentSealed | TelemetryLost], object],
        *,
        announced: Collection[str] = (),
        until: str = "",
    ) -> None:
        self._folder = run_dir / "telemetry"
        self._announce = seal
        self._announced = frozenset(announced)
        self._lock = threading.Lock()
        self._sealing = threading.Lock()
        self._rows: list[parquet.Row] = []
        self._failure = ""
        self._synced = 0.0
        self._size = 0
        self._file: int | None = None
        with self._guarded("the write-ahead file could not be opened"):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._finish_interrupted(until)
            self._number = _last_number(self._folder) + 1
            self._open()

    def write(self, samples: Sequence[Sample], when: datetime) -> None:
        """Append a sweep, sampled at `when` (rack time); out of this process when it returns."""
        if not samples:
            return
        rows = [_row(sample) for sample in samples]
        payload = json.dumps(rows, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        data = payload.encode("utf-8", "backslashreplace")
        with self._lock, self._guarded(f"the sweep of {when.isoformat()} could not be written"):
            if self._failure or self._file is None:
                raise TelemetryFailure(self._failure or f"telemetry {self._folder}: it is closed")
            self._append(self._file, FRAME.pack(len(data), zlib.crc32(data)) + data)
            self._rows.extend(rows)

    def seal(self) -> None:
        """Seal what has been written into the next segment; does nothing where nothing was. Sweeps go on meanwhile."""
        with self._sealing:
            with self._lock, self._guarded("the write-ahead file could not be changed"):
                if self._failure:
                    raise TelemetryFailure(self._failure)
                if self._file is None or not self._rows:
                    return
                number, rows = self._number, self._rows
                self._shut()
                os.rename(self._folder / "wal.bin", self._wal(number))
                self._number, self._rows = number + 1, []
                self._open()
            with self._guarded(f"segment {number} could not be sealed"):
                self._seal(number, rows)

    def close(self) -> None:
        """Seal the rest and let go of the file; may be called twice. Raises TelemetryFailure."""
        try:
            if not self._failure:
                self.seal()
        finally:
            with self._lock, contextlib.suppress(OSError):
                empty = self._file is not None and self._size == 0
                self._shut()
                if empty:
                    (self._folder / "wal.bin").unlink()

    # --- below the locks ---------------------------------------------------------------------------------------

    def _open(self) -> None:
        how = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(self._folder / "wal.bin", how, 0o644)
        self._size = 0
        _sync_directory(self._folder)

    def _shut(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            try:
                os.fsync(file)
            finally:
                os.close(file)

    def _append(self, file: int, frame: bytes) -> None:
        left = memoryview(frame)
        try:
            while left:
                left = left[os.write(file, left) :]
            if time.monotonic() - self._synced >= SYNC_EVERY:
                os.fdatasync(file)
                self._synced = time.monotonic()
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(file, self._size)
            raise
        self._size += len(frame)

    def _seal(self, number: int, rows: list[parquet.Row]) -> None:
        """Write segment `number`, announce it, drop its write-ahead file. A segment already there is left as it is."""
        target = self._folder / f"{number:06}.parquet"
        if not target.exists():
            temporary = target.with_suffix(".tmp")
            parquet.write(temporary, rows)
            _sync_file(temporary)
            os.rename(temporary, target)
            _sync_directory(self._folder)
        if f"telemetry/{target.name}" not in self._announced:
            self._announce_segment(target, rows)
        self._wal(number).unlink()
        _sync_directory(self._folder)

    def _announce_segment(self, target: Path, rows: list[parquet.Row]) -> None:
        stamps = [row[4] for row in rows]
        self._announce(
            SegmentSealed(
                file=f"telemetry/{target.name}",
                sha256=hashlib.sha256(target.read_bytes()).hexdigest(),
                samples=len(rows),
                first=_instant(min(stamps)).isoformat(),
                last=_instant(max(stamps)).isoformat(),
            )
        )

    def _finish_interrupted(self, until: str) -> None:
        for stale in self._folder.glob("*.tmp"):
            stale.unlink()
        live = self._folder / "wal.bin"
        if live.exists():
            os.rename(live, self._wal(_last_number(self._folder) + 1))
            _sync_directory(self._folder)
        for path in sorted(self._folder.glob("*.wal")):
            found = _frames(path.read_bytes())
            for before, octets in found.gaps:
                first = max((row[4] for row in found.rows[:before]), default=None)
                after = min((row[4] for row in found.rows[before:]), default=None)
                since = "" if first is None else _instant(first).isoformat()
                self._announce(
                    TelemetryLost(
                        f"telemetry/{path.name}", octets, since, until if after is None else _instant(after).isoformat()
                    )
                )
            if found.rows:
                self._seal(int(path.stem), found.rows)
            else:
                path.unlink()

    def _wal(self, number: int) -> Path:
        return self._folder / f"{number:06}.wal"

    @contextlib.contextmanager
    def _guarded(self, what: str) -> Iterator[None]:
        """Turn a failing disk into TelemetryFailure, once and for all."""
        try:
            yield
        except OSError as error:
            self._failure = (
                f"telemetry {self._folder}: {what}: {error.strerror or error}. The run must stop; what was "
                "written before is kept. Free space on the station's disk and check its health (dmesg), then "
                "start a new run."
            )
            raise TelemetryFailure(self._failure) from error


def recover(run_dir: Path) -> Recovered:
    """The samples that a killed run left in write-ahead files which no segment has replaced; changes nothing."""
    samples: list[Sample] = []
    lost = 0
    for path in _unsealed(run_dir / "telemetry"):
        found = _frames(path.read_bytes())
        samples += [_sample(row) for row in found.rows]
        lost += found.lost
    return Recovered(tuple(samples), lost)


def read_channels(run_dir: Path) -> dict[Channel, list[tuple[datetime, float]]]:
    """Every numeric channel of a run, oldest value first: instant (UTC) and value in the channel's unit.

    A value that was not usable is NaN, so that a chart shows a gap. Channels of text are left out. Includes what a
    killed run left unsealed. Raises TelemetryFailure where a segment cannot be read.
    """
    folder = run_dir / "telemetry"
    try:
        rows = parquet.read(sorted(folder.glob("[0-9]*.parquet")))
    except OSError as error:
        raise TelemetryFailure(
            f"{folder}: a segment cannot be read: {error}. It was altered or its disk fails"
        ) from error
    for path in _unsealed(folder):
        rows += _frames(path.read_bytes()).rows
    found: dict[Channel, list[tuple[datetime, float]]] = {}
    for device, part, quantity, unit, at, value, _, _ in rows:
        if unit != Unit.TEXT:
            series = found.setdefault(Channel(device, quantity, Unit(unit), part), [])
            series.append((_instant(at), math.nan if value is None else value))
    for series in found.values():
        series.sort(key=lambda point: point[0])
    return dict(sorted(found.items()))


def _unsealed(folder: Path) -> list[Path]:
    rotated = [path for path in sorted(folder.glob("*.wal")) if not path.with_suffix(".parquet").exists()]
    return rotated + [path for path in (folder / "wal.bin",) if path.exists()]


def _last_number(folder: Path) -> int:
    names = [*folder.glob("[0-9]*.parquet"), *folder.glob("[0-9]*.wal")]
    return max((int(path.stem) for path in names), default=0)


def _frames(data: bytes) -> _Frames:
    """Every whole frame. Behind a damaged one the next whole one is looked for: a bad sector costs what it hit."""
    rows: list[parquet.Row] = []
    gaps: list[tuple[int, int]] = []
    place = 0
    while place < len(data):
        payload = _payload(data, place)
        if payload is None:
            following = _next_frame(data, place + 1)
            gaps.append((len(rows), following - place))
            place = following
        else:
            rows += [tuple(row) for row in json.loads(payload)]
            place += FRAME.size + len(payload)
    return _Frames(rows, tuple(gaps))


def _payload(data: bytes, place: int) -> bytes | None:
    if len(data) - place < FRAME.size:
        return None
    length, crc = FRAME.unpack_from(data, place)
    payload = data[place + FRAME.size : place + FRAME.size + length]
    if not 0 < length <= LONGEST_FRAME or len(payload) < length or zlib.crc32(payload) != crc:
        return None
    return payload


def _next_frame(data: bytes, place: int) -> int:
    """Where the next whole frame begins; the end of the data where there is none. A payload begins as `START` does."""
    found = data.find(START, place + FRAME.size)
    while found >= 0:
        if _payload(data, found - FRAME.size) is not None:
            return found - FRAME.size
        found = data.find(START, found + 1)
    return len(data)


def _row(sample: Sample) -> parquet.Row:
    channel, reading = sample.channel, sample.reading
    number = reading.number
    exact = math.isfinite(number) and (not isinstance(reading.value, int) or abs(reading.value) <= EXACT)
    return (
        channel.device,
        channel.part,
        channel.quantity,
        channel.unit.value,
        (reading.at - EPOCH) // MICROSECOND,
        number if math.isfinite(number) else None,
        None if exact else str(reading.value).encode("utf-8", "replace").decode("utf-8"),
        reading.quality.value,
    )


def _sample(row: parquet.Row) -> Sample:
    device, part, quantity, unit, at, value, text, quality = row
    read: Value = text if text is not None else math.nan
    if value is not None:
        read = value if text is None else int(text)
        read = bool(value) if unit == Unit.BOOLEAN else read
    reading = Reading(read, Unit(unit), _instant(at), Quality(quality))
    return Sample(Channel(device, quantity, Unit(unit), part), reading)


def _instant(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)


def _sync_file(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
