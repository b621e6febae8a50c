"""What the station's disk and clock do to a run: each has a clear answer, and loses nothing that was committed."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness.clock import Clock
from harness.errors import DefinitionError
from harness.journal import events as e
from harness.journal.reader import read_journal
from harness.journal.sittings import sittings
from harness.journal.writer import JournalFailure, JournalWriter
from harness.quantities import Channel, Reading, Sample, Unit
from harness.resuming.resumption import find_broken
from harness.telemetry.segments import SegmentWriter, TelemetryFailure, recover
from harness.verdict import Verdict
from tests.acceptance.broken import journal_of, kill, read, resume, said_in, standing_rack, wait_for
from tests.acceptance.runs import rackproof

HOUR = 3600.0


@contextlib.contextmanager
def failing_disk(file: int) -> Iterator[None]:
    """Have the kernel answer every write to an open file with EIO, as of a disk that dies: a line that was hung up."""
    master, line = os.openpty()
    kept = os.dup(file)
    os.dup2(line, file)
    os.close(line)
    os.close(master)
    try:
        yield
    finally:
        os.dup2(kept, file)
        os.close(kept)


def test_a_dying_disk_stops_the_journal_and_keeps_what_was_committed(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "j", Clock.real())
    writer.append(e.StepStarted("a"))
    assert writer._file is not None
    with failing_disk(writer._file):
        with pytest.raises(JournalFailure, match=r"Input/output error.*check its health"):
            writer.append(e.StepStarted("b"))
        with pytest.raises(JournalFailure, match="Input/output error"):
            writer.append(e.StepStarted("c"))
    writer.close()
    assert [entry.event for entry in read_journal(tmp_path / "j").entries] == [e.StepStarted("a")]


def test_a_dying_disk_stops_telemetry_and_keeps_what_was_written(tmp_path: Path) -> None:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    sample = Sample(Channel("cdu-1", "q", Unit.WATT), Reading(1.5, Unit.WATT, now))
    writer = SegmentWriter(tmp_path, lambda _event: None)
    writer.write([sample], now)
    assert writer._file is not None
    with failing_disk(writer._file), pytest.raises(TelemetryFailure, match="Input/output error"):
        writer.write([sample], now)
    writer.close()
    assert list(recover(tmp_path).samples) == [sample]


def mounted(folder: Path, options: str) -> None:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a file system cannot be mounted here (needs root)")


def test_a_read_only_disk_is_refused_before_anything_is_contacted(tmp_path: Path) -> None:
    place = tmp_path / "read-only"
    mounted(place, "ro,size=1m")
    try:
        done = rackproof("run", "--simulate", "bench4", "--runs", str(place / "runs"))
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
    assert done.returncode == 2, done.stderr
    assert "Read-only file system. Choose another with --runs DIR" in done.stderr


class Jumping:
    """A wall clock that is set in the middle of a run."""

    def __init__(self) -> None:
        self.off = 0.0

    def __call__(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.off)


@pytest.mark.parametrize("by", [HOUR, -HOUR])
def test_a_clock_that_jumps_is_told_once_and_decides_nothing(tmp_path: Path, by: float) -> None:
    wall = Jumping()
    writer = JournalWriter(tmp_path / "j", Clock.real(), wall=wall)
    writer.append(e.StepStarted("a"))
    writer.append(e.Noted("before"))
    wall.off = by
    heard: list[e.Event] = []
    writer.subscribe(lambda entry: heard.append(entry.event))
    writer.append(e.Noted("after"))
    writer.append(e.Noted("later"))
    writer.close()
    journal = read_journal(tmp_path / "j")
    *_, jump, after, later = journal.entries
    assert isinstance(jump.event, e.ClockJumped)
    assert jump.event.seconds == pytest.approx(by, abs=60.0)
    assert [after.event, later.event] == [e.Noted("after"), e.Noted("later")]
    assert heard == [jump.event, after.event, later.event]
    assert [entry.seq for entry in journal.entries] == list(range(5))
    monotonic = [entry.mono for entry in journal.entries]
    assert monotonic == sorted(monotonic)
    racks = [entry.rack for entry in journal.entries]
    assert racks == sorted(racks), "rack time goes on"
    (sitting,) = sittings(journal.entries)
    assert 0 <= sitting.seconds < HOUR / 2
    assert sitting.jumps == (jump.event.seconds,)


def test_a_run_that_goes_on_compares_no_clock_with_the_one_before(tmp_path: Path) -> None:
    """The monotonic clock begins anew with every boot."""
    wall = Jumping()
    writer = JournalWriter(tmp_path / "j", Clock.real(), wall=wall)
    writer.append(e.StepStarted("a"))
    writer.close()
    wall.off = HOUR
    again = JournalWriter(tmp_path / "j", Clock.real(), after=read_journal(tmp_path / "j"), wall=wall)
    again.append(e.Noted("b"))
    again.close()
    assert len(read_journal(tmp_path / "j").entries) == 2


@pytest.mark.long
@pytest.mark.parametrize("by", [HOUR, -HOUR])
def test_a_whole_run_lives_through_a_clock_that_is_set_by_an_hour(tmp_path: Path, by: float) -> None:
    offset, runs = tmp_path / "offset", tmp_path / "runs"
    offset.write_text("0")
    (tmp_path / "rack").mkdir()
    with standing_rack(tmp_path / "rack") as rack:
        process = rack.begin(runs, command=(sys.executable, "-m", "tests.acceptance.jumping", str(offset)))
        try:
            wait_for(lambda: said_in(runs, '"event":"Switched"'), process)
            offset.write_text(str(by))
            out, said = process.communicate(timeout=240)
        finally:
            kill(process)
    assert process.returncode == 0, (out, said)
    run_dir = Path(json.loads(out.splitlines()[-1])["run_dir"])
    _, summary = read(run_dir)
    assert summary.verdict is Verdict.PASS
    (sitting,) = summary.sittings
    assert [round(seconds / 60) for seconds in sitting.jumps] == [by / 60]
    assert sitting.seconds < HOUR / 2
    checked = rackproof("verify", str(run_dir))
    assert checked.returncode == 0, checked.stdout
    assert "clock jumped" in (run_dir / "report.html").read_text("utf-8")


def test_a_run_that_is_going_on_is_not_resumed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    writer = JournalWriter(tmp_path / "run" / "journal.jsonl", Clock.real())
    writer.append(e.StepStarted("a"))
    with pytest.raises(DefinitionError, match="still going on"):
        find_broken(tmp_path / "run")
    writer.close()
    with pytest.raises(DefinitionError, match="before anything was begun"):
        find_broken(tmp_path / "run")


@pytest.mark.long
def test_a_disk_that_was_full_in_the_middle_is_freed_and_the_run_goes_on(tmp_path: Path) -> None:

    small, folder = tmp_path / "small", tmp_path / "rack"
    mounted(small, "size=70m")
    folder.mkdir()
    try:
        with standing_rack(folder) as rack:
            process = rack.begin(small)
            wait_for(lambda: said_in(small, "all hosts under load"), process)
            with contextlib.suppress(OSError), (small / "ballast").open("wb", buffering=0) as ballast:
                while True:
                    ballast.write(bytes(1 << 16))
            _, said = process.communicate(timeout=240)
            assert process.returncode == 4, said
            journal = journal_of(small)
            assert journal is not None
            before = read(journal.parent)[0].entries
            (small / "ballast").unlink()
            code, told, said = resume(journal.parent)
            assert (code, told.get("verdict")) == (0, "PASS"), said
            assert read(journal.parent)[0].entries[: len(before)] == before
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_nobody_else_writes_a_journal_that_a_run_has_open(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "j", Clock.real())
    writer.append(e.StepStarted("a"))
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from harness.clock import Clock\n"
        "from harness.journal.reader import read_journal\n"
        "from harness.journal.writer import JournalWriter\n"
        "path = Path(sys.argv[1])\n"
        "JournalWriter(path, Clock.real(), after=read_journal(path))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "j")], capture_output=True, text=True, check=False
    )
    assert "is this run still going on" in done.stderr
    writer.append(e.StepStarted("b"))
    writer.close()
    assert len(read_journal(tmp_path / "j").entries) == 2
