"""Segments: what was sampled survives a kill, is sealed once, and reads back exactly; a full disk is told."""

from __future__ import annotations

import hashlib
import math
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.journal.events import SegmentSealed, TelemetryLost
from harness.quantities import Channel, Quality, Reading, Sample, Unit, Value
from harness.telemetry.segments import FRAME, SegmentWriter, TelemetryFailure, read_channels, recover

T0 = datetime(2026, 11, 22, 8, tzinfo=UTC)
FLOW = Channel("cdu-1", "coolant.flow", Unit.LITRE_PER_MINUTE)
HOT = [Channel("tray-01", "accelerator.temperature", Unit.CELSIUS, f"accelerator-{n}") for n in range(4)]
OCTETS = Channel("switch-1", "port.octets.in", Unit.OCTET, "swp1")


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def sample(value: Value, seconds: float, channel: Channel = FLOW, quality: Quality = Quality.GOOD) -> Sample:
    return Sample(channel, Reading(value, channel.unit, at(seconds), quality))


def sweeps(count: int, first: int = 0) -> list[list[Sample]]:
    return [
        [sample(20 + n / 8, n), *(sample(40.5 + n + k, n, channel) for k, channel in enumerate(HOT))]
        for n in range(first, first + count)
    ]


def write(run: Path, seal: list[SegmentSealed], *segments: Sequence[Sequence[Sample]]) -> None:
    writer = SegmentWriter(run, lambda event: seal.append(sealed_one(event)))
    for segment in segments:
        for sweep in segment:
            writer.write(sweep, sweep[0].reading.at)
        writer.seal()
    writer.close()


def sealed_one(event: SegmentSealed | TelemetryLost) -> SegmentSealed:
    assert isinstance(event, SegmentSealed), event
    return event


def abandon(run: Path, sealed: Sequence[Sequence[Sample]], rest: Sequence[Sequence[Sample]]) -> bytes:
    """A run killed after `rest`; returns its write-ahead file. The writer is left unclosed but holds no file."""
    writer = SegmentWriter(run, lambda event: None)
    for sweep in sealed:
        writer.write(sweep, sweep[0].reading.at)
    writer.seal()
    for sweep in rest:
        writer.write(sweep, sweep[0].reading.at)
    data = (run / "telemetry" / "wal.bin").read_bytes()
    writer.close()
    for path in (run / "telemetry").glob("*"):
        if path.name != "000001.parquet":
            path.unlink()
    (run / "telemetry" / "wal.bin").write_bytes(data)
    return data


def test_samples_read_back_by_channel_in_order(tmp_path: Path) -> None:
    sealed: list[SegmentSealed] = []
    write(tmp_path, sealed, sweeps(3, first=3), sweeps(3))
    found = read_channels(tmp_path)
    assert list(found) == [FLOW, *HOT]
    assert found[FLOW] == [(at(n), 20 + n / 8) for n in range(6)]
    assert found[HOT[2]] == [(at(n), 42.5 + n) for n in range(6)]
    assert sorted(path.name for path in (tmp_path / "telemetry").iterdir()) == ["000001.parquet", "000002.parquet"]


def test_seal_names_digest_count_and_span(tmp_path: Path) -> None:
    sealed: list[SegmentSealed] = []
    write(tmp_path, sealed, sweeps(4))
    (event,) = sealed
    data = (tmp_path / event.file).read_bytes()
    assert event.file == "telemetry/000001.parquet"
    assert event.sha256 == hashlib.sha256(data).hexdigest()
    assert event.samples == 20
    assert (event.first, event.last) == (at(0).isoformat(), at(3).isoformat())


def test_same_samples_in_any_order_give_the_same_bytes(tmp_path: Path) -> None:
    rows = [s for sweep in sweeps(5) for s in sweep]
    one: list[SegmentSealed] = []
    other: list[SegmentSealed] = []
    write(tmp_path / "a", one, [rows])
    write(tmp_path / "b", other, [rows[::-1]])
    assert one[0].sha256 == other[0].sha256


def test_columns_are_the_agreed_ones(tmp_path: Path) -> None:
    import duckdb

    write(tmp_path, [], [[sample(1.5, 0), sample(math.nan, 1), sample(7.0, 2, quality=Quality.STALE)]])
    with duckdb.connect() as store:
        file = str(tmp_path / "telemetry" / "000001.parquet")
        kinds = store.execute("DESCRIBE SELECT * FROM read_parquet(?)", [file]).fetchall()
        rows = store.execute("SELECT value, text, quality FROM read_parquet(?)", [file]).fetchall()
    assert [(name, kind) for name, kind, *_ in kinds] == [
        ("device", "VARCHAR"),
        ("part", "VARCHAR"),
        ("quantity", "VARCHAR"),
        ("unit", "VARCHAR"),
        ("at", "TIMESTAMP WITH TIME ZONE"),
        ("value", "DOUBLE"),
        ("text", "VARCHAR"),
        ("quality", "VARCHAR"),
    ]
    assert rows == [(1.5, None, "good"), (None, "nan", "good"), (None, "7.0", "stale")]


def test_rows_are_sorted_by_device_part_quantity_and_time(tmp_path: Path) -> None:
    import duckdb

    channels = [Channel(d, q, Unit.WATT, p) for d in ("a", "b") for p in ("x", "y") for q in ("m", "n")]
    rows = [sample(1.0, seconds, channel) for seconds in range(3) for channel in channels]
    write(tmp_path, [], [rows[::-1]])
    with duckdb.connect() as store:
        file = str(tmp_path / "telemetry" / "000001.parquet")
        query = 'SELECT device, part, quantity, epoch_us("at") FROM read_parquet(?)'
        found = store.execute(query, [file]).fetchall()
    assert len(found) == len(rows)
    assert found == sorted(found)


def test_unusable_values_are_gaps_never_zero(tmp_path: Path) -> None:
    bad = [sample(math.nan, 0), sample(math.inf, 1), *(sample(9.0, n, quality=q) for n, q in enumerate(Quality, 2))]
    write(tmp_path, [], [bad])
    points = read_channels(tmp_path)[FLOW]
    assert len(points) == len(bad)
    assert [value for _, value in points if not math.isnan(value)] == [9.0]


def test_text_is_kept_and_left_out_of_charts(tmp_path: Path) -> None:
    state = Channel("cdu-1", "leak.state", Unit.TEXT)
    write(
        tmp_path,
        [],
        [[sample("dry \udc80 'x'", 0, state), sample(True, 0, Channel("pdu-a", "outlet.on", Unit.BOOLEAN))]],
    )
    assert [(channel.device, points[0][1]) for channel, points in read_channels(tmp_path).items()] == [("pdu-a", 1.0)]


def test_empty_run_has_no_segment(tmp_path: Path) -> None:
    sealed: list[SegmentSealed] = []
    writer = SegmentWriter(tmp_path, lambda event: sealed.append(sealed_one(event)))
    writer.write([], T0)
    writer.seal()
    writer.close()
    writer.close()
    assert sealed == []
    assert list((tmp_path / "telemetry").iterdir()) == []
    assert read_channels(tmp_path) == {}
    assert read_channels(tmp_path / "none") == {}


def test_closed_writer_takes_nothing(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, lambda event: None)
    writer.close()
    with pytest.raises(TelemetryFailure, match="closed"):
        writer.write([sample(1.0, 0)], T0)


# --- crashes ---------------------------------------------------------------------------------------------------


def test_killed_process_loses_no_written_sweep(tmp_path: Path) -> None:
    program = (
        "import os, sys\n"
        "from datetime import datetime, UTC\n"
        "from pathlib import Path\n"
        "from harness.quantities import *\n"
        "from harness.telemetry.segments import SegmentWriter\n"
        "writer = SegmentWriter(Path(sys.argv[1]), print)\n"
        "for n in range(30):\n"
        "    now = datetime.fromtimestamp(1_700_000_000 + n, UTC)\n"
        "    writer.write([Sample(Channel('d', 'q', Unit.WATT), Reading(n, Unit.WATT, now))], now)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False).returncode == -9
    left = recover(tmp_path)
    assert [s.reading.value for s in left.samples] == list(range(30))
    assert left.lost == 0
    (points,) = read_channels(tmp_path).values()
    assert [value for _, value in points] == list(range(30))


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(min_value=0))
def test_any_prefix_of_the_write_ahead_file_gives_whole_sweeps(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    run = tmp_path_factory.mktemp("run")
    (run / "telemetry").mkdir()
    whole = WRITTEN[: cut % (len(WRITTEN) + 1)]
    (run / "telemetry" / "wal.bin").write_bytes(whole)
    left = recover(run)
    assert len(left.samples) % 5 == 0
    assert list(left.samples) == [s for sweep in sweeps(8) for s in sweep][: len(left.samples)]
    assert (left.lost == 0) == (len(whole) in BOUNDARIES)


@settings(max_examples=60, deadline=None)
@given(place=st.integers(min_value=0), bit=st.integers(1, 255))
def test_flipped_byte_never_becomes_a_sample(tmp_path_factory: pytest.TempPathFactory, place: int, bit: int) -> None:
    run = tmp_path_factory.mktemp("run")
    (run / "telemetry").mkdir()
    data = bytearray(WRITTEN)
    data[place % len(data)] ^= bit
    (run / "telemetry" / "wal.bin").write_bytes(bytes(data))
    left = recover(run)
    hit = sum(place % len(data) >= boundary for boundary in BOUNDARIES) - 1
    assert list(left.samples) == [s for number, sweep in enumerate(sweeps(8)) for s in sweep if number != hit]
    assert left.lost > 0


def _written() -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return abandon(Path(folder), [], sweeps(8))


WRITTEN = _written()
BOUNDARIES = {0}
while max(BOUNDARIES) < len(WRITTEN):
    BOUNDARIES.add(max(BOUNDARIES) + FRAME.size + FRAME.unpack_from(WRITTEN, max(BOUNDARIES))[0])


def test_interrupted_run_is_sealed_when_taken_up_again(tmp_path: Path) -> None:
    data = abandon(tmp_path, sweeps(2), sweeps(3, first=2))
    (tmp_path / "telemetry" / "wal.bin").write_bytes(data[:-7])
    (tmp_path / "telemetry" / "000002.tmp").write_bytes(b"half")
    assert len(recover(tmp_path).samples) == 10
    told: list[SegmentSealed | TelemetryLost] = []
    writer = SegmentWriter(tmp_path, told.append, until="the break")
    lost, sealed = told
    assert isinstance(lost, TelemetryLost)
    assert (lost.file, lost.first, lost.last) == ("telemetry/000002.wal", at(3).isoformat(), "the break")
    assert 0 < lost.octets < len(data)
    assert isinstance(sealed, SegmentSealed)
    assert (sealed.file, sealed.samples) == ("telemetry/000002.parquet", 10)
    writer.write(sweeps(1, first=9)[0], at(9))
    writer.close()
    assert [at for at, _ in read_channels(tmp_path)[FLOW]] == [at(n) for n in (0, 1, 2, 3, 9)]
    assert recover(tmp_path).samples == ()


def test_kill_between_rename_and_journal_announces_the_same_segment_again(tmp_path: Path) -> None:
    first: list[SegmentSealed] = []
    write(tmp_path, first, sweeps(3))
    folder = tmp_path / "telemetry"
    segment = (folder / "000001.parquet").stat()
    (folder / "000001.wal").write_bytes(abandon(tmp_path / "other", [], sweeps(3)))
    assert recover(tmp_path).samples == ()
    assert len(read_channels(tmp_path)[FLOW]) == 3
    again: list[SegmentSealed | TelemetryLost] = []
    SegmentWriter(tmp_path, again.append).close()
    assert again == first
    (folder / "000001.wal").write_bytes(abandon(tmp_path / "another", [], sweeps(3)))
    SegmentWriter(tmp_path, again.append, announced={first[0].file}).close()
    assert again == first, "what the journal knows is not told twice"
    now = (folder / "000001.parquet").stat()
    assert (now.st_ino, now.st_mtime_ns) == (segment.st_ino, segment.st_mtime_ns)


def test_journal_that_refuses_keeps_the_write_ahead_file(tmp_path: Path) -> None:
    def refuse(event: SegmentSealed | TelemetryLost) -> None:
        raise TelemetryFailure("no journal")

    writer = SegmentWriter(tmp_path, refuse)
    writer.write(sweeps(1)[0], T0)
    with pytest.raises(TelemetryFailure, match="no journal"):
        writer.seal()
    writer.close()
    again: list[SegmentSealed | TelemetryLost] = []
    SegmentWriter(tmp_path, again.append).close()
    assert [isinstance(event, SegmentSealed) and event.samples for event in again] == [5]


def test_a_damaged_frame_is_lost_with_its_time_and_takes_no_other(tmp_path: Path) -> None:
    data = bytearray(WRITTEN)
    (tmp_path / "telemetry").mkdir()
    data[sorted(BOUNDARIES)[3] + 20] ^= 1
    (tmp_path / "telemetry" / "wal.bin").write_bytes(bytes(data))
    told: list[SegmentSealed | TelemetryLost] = []
    SegmentWriter(tmp_path, told.append, until="the break").close()
    lost, sealed = told
    assert isinstance(lost, TelemetryLost)
    assert (lost.first, lost.last) == (at(2).isoformat(), at(4).isoformat())
    assert lost.octets == sorted(BOUNDARIES)[4] - sorted(BOUNDARIES)[3]
    assert isinstance(sealed, SegmentSealed)
    assert sealed.samples == 35
    assert [at for at, _ in read_channels(tmp_path)[FLOW]] == [at(n) for n in (0, 1, 2, 4, 5, 6, 7)]


def test_nothing_but_damage_is_lost_and_told(tmp_path: Path) -> None:
    (tmp_path / "telemetry").mkdir()
    (tmp_path / "telemetry" / "wal.bin").write_bytes(b"\0" * 100)
    told: list[SegmentSealed | TelemetryLost] = []
    SegmentWriter(tmp_path, told.append, until="the break").close()
    assert told == [TelemetryLost("telemetry/000001.wal", 100, "", "the break")]
    assert list((tmp_path / "telemetry").iterdir()) == []


# --- the disk --------------------------------------------------------------------------------------------------


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes: writing further fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_full_disk_stops_telemetry_and_keeps_whole_sweeps(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, lambda event: None)
    writer.write(sweeps(1)[0], T0)
    size = (tmp_path / "telemetry" / "wal.bin").stat().st_size
    with full_disk(size + 10), pytest.raises(TelemetryFailure, match=r"File too large.*Free space"):
        writer.write(sweeps(1, first=1)[0], at(1))
    with pytest.raises(TelemetryFailure, match="could not be written"):
        writer.write(sweeps(1, first=2)[0], at(2))
    with pytest.raises(TelemetryFailure):
        writer.seal()
    writer.close()
    left = recover(tmp_path)
    assert len(left.samples) == 5
    assert left.lost == 0


def test_full_disk_while_sealing_keeps_the_write_ahead_file(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, lambda event: None)
    writer.write(sweeps(1)[0], T0)
    with full_disk(64), pytest.raises(TelemetryFailure, match="segment 1 could not be sealed"):
        writer.seal()
    writer.close()
    assert not list((tmp_path / "telemetry").glob("*.parquet"))
    assert len(recover(tmp_path).samples) == 5


def test_altered_segment_is_told(tmp_path: Path) -> None:
    write(tmp_path, [], sweeps(1))
    (tmp_path / "telemetry" / "000001.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(TelemetryFailure, match="cannot be read"):
        read_channels(tmp_path)


def test_sweeps_go_on_while_a_segment_is_sealed(tmp_path: Path) -> None:
    sealed: list[SegmentSealed] = []
    inside, go_on = threading.Event(), threading.Event()

    def announce(event: SegmentSealed | TelemetryLost) -> None:
        inside.set()
        assert go_on.wait(60)
        sealed.append(sealed_one(event))

    writer = SegmentWriter(tmp_path, announce)
    writer.write(sweeps(1)[0], T0)
    sealing = threading.Thread(target=writer.seal)
    sealing.start()
    assert inside.wait(60)
    writer.write(sweeps(1, first=1)[0], at(1))
    go_on.set()
    sealing.join()
    writer.close()
    assert [event.samples for event in sealed] == [5, 5]
    assert len(read_channels(tmp_path)[FLOW]) == 2


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.floats(), st.integers(-(2**70), 2**70), st.booleans()),
            st.integers(-(10**9), 10**9),
            st.sampled_from(list(Quality)),
        ),
        min_size=1,
        max_size=20,
        unique_by=lambda row: row[1],
    )
)
def test_every_number_survives(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Value, int, Quality]]
) -> None:
    run = tmp_path_factory.mktemp("run")
    samples = [sample(value, seconds, OCTETS, quality) for value, seconds, quality in rows]
    write(run, [], [samples])
    expected = sorted((s.reading.at, s.reading.number) for s in samples)
    found = read_channels(run)[OCTETS]
    assert [instant for instant, _ in found] == [instant for instant, _ in expected]
    for (_, value), (_, wanted) in zip(found, expected, strict=True):
        assert value == wanted or (math.isnan(value) and math.isnan(wanted))


def test_great_counters_keep_their_digits(tmp_path: Path) -> None:
    count = 2**63 + 1
    writer = SegmentWriter(tmp_path, lambda event: None)
    writer.write([sample(count, 0, OCTETS)], T0)
    (left,) = recover(tmp_path).samples
    assert left.reading.value == count
    writer.close()
    assert os.listdir(tmp_path / "telemetry") == ["000001.parquet"]
