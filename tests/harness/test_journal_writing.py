"""The journal's writer at its edges: clocks that jump, disks that refuse, observers that fail."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.clock import Clock
from harness.journal import events as e
from harness.journal import writer as room
from harness.journal.lines import FIRST, digest, encode
from harness.journal.reader import read_journal
from harness.journal.writer import JournalFailure, JournalWriter

AT = datetime(2026, 11, 23, 8, 0, 0, 125, tzinfo=UTC)


class Wall:
    """A wall clock that a test sets."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.mono = 1000.0

    def __call__(self) -> datetime:
        return AT + timedelta(seconds=self.mono + self.ahead)


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    made = Wall()
    monkeypatch.setattr(room, "time", SimpleNamespace(monotonic=lambda: made.mono))
    return made


@pytest.mark.parametrize(("by", "told"), [(2.0, True), (-2.0, True), (3600.0, True), (1.984375, False), (-1.5, False)])
def test_a_jump_of_two_seconds_is_told_before_what_comes_next(
    tmp_path: Path, wall: Wall, by: float, told: bool
) -> None:
    writer = JournalWriter(tmp_path / "j", Clock.real(), wall=wall)
    writer.append(e.Noted("before"))
    wall.ahead += by
    wall.mono += 600.0
    writer.append(e.Noted("after"))
    writer.append(e.Noted("later"))
    writer.close()
    found = [entry.event for entry in read_journal(tmp_path / "j").entries]
    jumps: list[e.Event] = [e.ClockJumped(by)] if told else []
    assert found == [e.Noted("before"), *jumps, e.Noted("after"), e.Noted("later")]


def test_a_clock_that_creeps_never_jumps(tmp_path: Path, wall: Wall) -> None:
    writer = JournalWriter(tmp_path / "j", Clock.real(), wall=wall)
    for _ in range(10):
        wall.ahead += 1.0
        writer.append(e.Noted("x"))
    writer.close()
    assert len(read_journal(tmp_path / "j").entries) == 10


def test_a_process_that_is_held_up_between_its_clocks_has_seen_no_jump(tmp_path: Path, wall: Wall) -> None:
    held = iter((0.0, 3.0, 0.2, 0.0))

    def slow() -> datetime:
        seen = wall()
        wall.mono += next(held)
        return seen

    writer = JournalWriter(tmp_path / "j", Clock.real(), wall=slow)
    writer.append(e.Noted("before"))
    writer.append(e.Noted("after"))
    writer.close()
    assert [entry.event for entry in read_journal(tmp_path / "j").entries] == [e.Noted("before"), e.Noted("after")]
    assert next(held, None) is None


def test_a_jump_is_told_to_the_millisecond(tmp_path: Path, wall: Wall) -> None:
    writer = JournalWriter(tmp_path / "j", Clock.real(), wall=wall)
    writer.append(e.Noted("x"))
    wall.ahead = 5.123456
    writer.append(e.Noted("x"))
    writer.close()
    assert read_journal(tmp_path / "j").entries[1].event == e.ClockJumped(5.123)


def test_times_are_utc_to_the_microsecond(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "time", SimpleNamespace(monotonic=lambda: 7.12345678))
    there = AT.astimezone(timezone(timedelta(hours=-5)))
    clock = SimpleNamespace(now=lambda: there + timedelta(hours=1))
    writer = JournalWriter(tmp_path / "j", clock, wall=lambda: there)  # type: ignore[arg-type]
    entry = writer.append(e.Noted("x"))
    writer.close()
    assert (entry.seq, entry.mono, entry.previous) == (0, 7.123457, FIRST)
    assert entry.wall == "2026-11-23T08:00:00.000125Z"
    assert entry.rack == "2026-11-23T09:00:00.000125Z"


def test_the_wall_clock_is_utc_unless_given(tmp_path: Path) -> None:
    before = datetime.now(UTC)
    writer = JournalWriter(tmp_path / "j", Clock.real())
    entry = writer.append(e.Noted("x"))
    writer.close()
    assert before <= datetime.fromisoformat(entry.wall) <= datetime.now(UTC)


def test_the_head_is_that_of_the_last_line(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "j", Clock.real())
    assert (writer.head, writer.path) == (FIRST, tmp_path / "j")
    entry = writer.append(e.Noted("x"))
    assert writer.head == digest(encode(entry))
    writer.close()


def test_one_that_goes_on_chains_and_counts_on(tmp_path: Path) -> None:
    lines = [encode(e.Entry(0, "w", "r", 1.5, FIRST, e.Noted("one")))]
    lines.append(encode(e.Entry(1, "w", "r", 1.5, digest(lines[0]), e.Noted("two"))))
    (tmp_path / "j").write_bytes(b"\n".join(lines) + b"\n" + b'{"torn')
    writer = JournalWriter(tmp_path / "j", Clock.real(), after=read_journal(tmp_path / "j"))
    assert writer.head == digest(lines[1])
    entry = writer.append(e.StepStarted("a"))
    writer.close()
    assert (entry.seq, entry.previous) == (2, digest(lines[1]))
    journal = read_journal(tmp_path / "j")
    assert (len(journal.entries), journal.torn) == (3, False)


def failing(monkeypatch: pytest.MonkeyPatch, name: str, error: OSError, when: Callable[[], bool]) -> None:
    real = getattr(os, name)

    def call(*arguments: Any) -> Any:
        if when():
            raise error
        return real(*arguments)

    monkeypatch.setattr(os, name, call)


def test_a_disk_that_writes_a_part_of_a_line_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, data[:7]))
    writer = JournalWriter(tmp_path / "j", Clock.real())
    entry = writer.append(e.Noted("a long remark"))
    writer.close()
    assert read_journal(tmp_path / "j").entries == (entry,)


def test_half_a_line_does_not_stay_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk takes seven octets of the third line and no more; what was committed is kept to the octet."""
    writer = JournalWriter(tmp_path / "j", Clock.real())
    writer.append(e.Noted("one"))
    writer.append(e.StepStarted("two"))
    size = (tmp_path / "j").stat().st_size
    real, calls = os.write, [0]

    def write(file: int, data: bytes) -> int:
        calls[0] += 1
        if calls[0] > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data[:7])

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(JournalFailure, match=r"a line could not be written: No space left on device\. The run must st"):
        writer.append(e.Noted("three"))
    monkeypatch.undo()
    assert (tmp_path / "j").stat().st_size == size
    with pytest.raises(JournalFailure, match="No space left on device"):
        writer.append(e.Noted("four"))
    assert (tmp_path / "j").stat().st_size == size
    writer.close()


def test_a_disk_that_does_not_sync_has_not_taken_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = JournalWriter(tmp_path / "j", Clock.real())
    heard: list[e.Entry] = []
    writer.subscribe(heard.append)
    failing(monkeypatch, "fsync", OSError(errno.EIO, "Input/output error"), lambda: True)
    writer.append(e.Noted("no bearing"))
    with pytest.raises(JournalFailure, match="Input/output error"):
        writer.append(e.StepStarted("a"))
    assert len(heard) == 1
    writer.close()
    monkeypatch.undo()
    assert len(read_journal(tmp_path / "j").entries) == 1


def test_the_directory_is_on_disk_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.readlink(f"/proc/self/fd/{file}")))
    writer = JournalWriter(tmp_path / "j", Clock.real())
    assert synced == [str(tmp_path / "j"), str(tmp_path)]
    writer.append(e.Noted("x"))
    writer.close()
    assert synced[2:] == [str(tmp_path / "j")], "what was not flushed before is flushed at its end"


def open_files() -> set[str]:
    """The files that this process holds; the one through which it looks is gone by then."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(f"/proc/self/fd/{name}"))
    return found


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "Check who owns the run directory."),
        (OSError(errno.ENOSPC, "No space left"), "Free space on the station's disk and check its health"),
        (FileNotFoundError(errno.ENOENT, "No such file"), "Make the run directory first."),
        (FileExistsError(errno.EEXIST, "File exists"), "A journal is never written over: start a new run."),
        (BlockingIOError(errno.EAGAIN, "busy"), "Another process is writing it: is this run still going on?"),
    ],
)
def test_a_journal_that_cannot_be_had_says_what_to_do_and_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, advice: str
) -> None:
    failing(monkeypatch, "ftruncate", error, lambda: True)
    with pytest.raises(JournalFailure, match=f"cannot be opened: {error.strerror}. {advice}"):
        JournalWriter(tmp_path / "j", Clock.real())
    assert str(tmp_path / "j") not in open_files()


def test_a_closed_journal_is_let_go_of_though_the_disk_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = JournalWriter(tmp_path / "j", Clock.real())
    assert str(tmp_path / "j") in open_files()
    failing(monkeypatch, "fsync", OSError(errno.EIO, "broken"), lambda: True)
    writer.close()
    assert str(tmp_path / "j") not in open_files()
    assert str(tmp_path) not in open_files()
    with pytest.raises(JournalFailure, match="it is closed, nothing can be added"):
        writer.append(e.Noted("x"))


def test_the_file_is_handed_to_no_child_and_only_ever_added_to(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "j", Clock.real())
    assert writer._file is not None
    assert not os.get_inheritable(writer._file)
    assert (tmp_path / "j").stat().st_mode & 0o777 == 0o644 & ~_umask()
    with (tmp_path / "j").open("ab") as other:
        other.write(b"x")
    writer.append(e.Noted("x"))
    assert (tmp_path / "j").read_bytes().startswith(b"x{")
    writer.close()


def _umask() -> int:
    now = os.umask(0o022)
    os.umask(now)
    return now


def test_who_is_told_meanwhile_is_told_by_whoever_tells(tmp_path: Path) -> None:
    """An observer is called by one thread at a time; the other returns at once, and nothing is lost."""
    writer = JournalWriter(tmp_path / "j", Clock.real())
    inside, go_on = threading.Event(), threading.Event()
    heard: list[tuple[str, str]] = []

    def slow(entry: e.Entry) -> None:
        assert isinstance(entry.event, e.Noted)
        heard.append((entry.event.text, threading.current_thread().name))
        if entry.event.text == "one":
            inside.set()
            assert go_on.wait(60)

    writer.subscribe(slow)
    first = threading.Thread(target=lambda: writer.append(e.Noted("one")), name="first")
    first.start()
    assert inside.wait(60)
    writer.append(e.Noted("two"))
    assert heard == [("one", "first")]
    go_on.set()
    first.join(60)
    assert heard == [("one", "first"), ("two", "first")]
    writer.close()


def test_one_observer_that_fails_is_dropped_by_its_name_and_the_others_are_told(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "j", Clock.real())
    told: list[str] = []

    class Screen:
        def __call__(self, entry: e.Entry) -> None:
            told.append("screen")
            raise KeyError("gone")

    writer.subscribe(Screen())
    writer.subscribe(lambda entry: told.append(type(entry.event).__name__))
    writer.append(e.StepStarted("a"))
    writer.append(e.StepStarted("b"))
    writer.close()
    assert told == ["screen", "StepStarted", "Noted", "StepStarted"]
    note = read_journal(tmp_path / "j").entries[1].event
    assert note == e.Noted("the observer Screen failed and is no longer told: KeyError: 'gone'")


def test_an_observer_that_is_a_function_goes_by_its_whole_name(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "j", Clock.real())

    def broken(entry: e.Entry) -> None:
        raise RuntimeError("screen gone")

    writer.subscribe(broken)
    writer.append(e.Noted("x"))
    writer.close()
    note = read_journal(tmp_path / "j").entries[1].event
    assert isinstance(note, e.Noted)
    assert note.text.startswith(
        "the observer test_an_observer_that_is_a_function_goes_by_its_whole_name.<locals>.broken "
    )


def test_an_observer_that_fails_on_a_closed_journal_harms_nobody(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "j", Clock.real())

    def ending(entry: e.Entry) -> None:
        writer.close()
        raise RuntimeError("gone")

    writer.subscribe(ending)
    writer.append(e.Noted("x"))
    assert len(read_journal(tmp_path / "j").entries) == 1
