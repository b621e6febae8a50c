"""The journal: what was committed can be read again exactly; what was altered is found; a torn end is tolerated."""

from __future__ import annotations

import json
import os
import resource
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.clock import Clock
from harness.errors import DefinitionError
from harness.journal import events as e
from harness.journal.lines import FIRST, digest, encode
from harness.journal.reader import CorruptJournal, Journal, read_journal
from harness.journal.writer import JournalFailure, JournalWriter

LIMIT = e.LimitUsed("thermal.flow", "L/min", "≥ 22 L/min", "data sheet", minimum=22.0, allowed=None, guard=0.5)
LISTED = e.LimitUsed("leak.state", "text", "= dry", "DSP", allowed=("dry", 1, 2.5, True))

SAMPLES: tuple[e.Event, ...] = (
    e.RunStarted(
        "run-1", {"unit": {"serial": "B-1"}, "list": [1, 2.5, None]}, "00", {"p": "1"}, {"d": "x"}, True, "", "s"
    ),
    e.Planned("rack", "11", (e.PlannedStep("t.py::a[tray-01]", "A", "intake", "tray-01", ("leak.state",)),)),
    e.StepStarted("t.py::a[tray-01]"),
    e.Progressed("t.py::a[tray-01]", "half", 1.5, 3.0),
    e.Measured(
        "t.py::a[tray-01]", "thermal.flow", "cdu-1", 23.125, "L/min", "2026-11-22T08:00:00Z", "good", "pass", LIMIT
    ),
    e.Measured(
        "t.py::a[tray-01]", "leak.state", "tray-01", "dry", "text", "2026-11-22T08:00:00Z", "good", "pass", LISTED
    ),
    e.Measured(
        "t.py::a[tray-01]", "leak.state", "tray-02", None, "text", "2026-11-22T08:00:00Z", "stale", "unjudged", LISTED
    ),
    e.Inventoried(
        "tray-01", "Bench", "BC-4A", "BC4A-100", "S1", {"bmc": "2"}, (e.FoundPart("nic-0", "nic", "Bench", "N", "S2"),)
    ),
    e.DeviceFailed("", "tray-01", "Unreachable", "tray-01: GET: no answer"),
    e.StepFinished("t.py::a[tray-01]", "completed", touched=("tray-01",)),
    e.DeviceLost("pdu-a", "silent ü \udc80 \n end"),
    e.DeviceBack("pdu-a", 3.25),
    e.SegmentSealed("telemetry/000001.parquet", "22", 7, "a", "b"),
    e.Attached("attachments/x.txt", "33", "a text"),
    e.Tripped("coolant-leak", "cdu-1", 1, "count", "≤ 0 count", "rack", "wet", "dry it"),
    e.SafetyAction("pdu-a", "outlets off", True, "", 0.125),
    e.MadeSafe("trip", False, ("pdu-a: outlets off",)),
    e.StopRequested("operator", "Ctrl-C"),
    e.Noted("a remark"),
    e.ProofChecked("UNPROVEN", ("the plan changed since",), (), "rack-b.json", "44", "1 of 1", {"plan": "11"}),
    e.Claimed("RK-1", 4, "station-2", 4711, 30.0),
    e.Fingerprinted("tray-01", "S1", "55"),
    e.Kept("t.py::a[tray-01]", "logs at intake", True, '{"tray-01":[]}'),
    e.Switched("pdu-a/3", False),
    e.ClockJumped(-3600.0),
    e.TelemetryCounted("tray-01", 12, 10, 1, 1, 420),
    e.TelemetryLost("telemetry/wal.bin", 17, "a", "b"),
    e.Resumed(2, "it was killed", True, "", "s", {"p": "1"}, {"d": "x"}, None, "66", {"plan": "11"}),
    e.TakenUp(("t.py::a[tray-01]",), (e.Repeated("t.py::b", "it was interrupted"),)),
    e.WatchdogActed("2026-11-22T08:00:00Z", "the station died", "tray-01-host", "stop loads", True, "off"),
    e.RunFinished("PASS"),
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a journal that holds every kind of event."""
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    writer = JournalWriter(path, Clock.real())
    for event in SAMPLES:
        writer.append(event)
    writer.close()
    return path.read_bytes()


def read(data: bytes, head: str = "") -> Journal:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        path.write_bytes(data)
        return read_journal(path, head=head)


def test_every_kind_of_event_reads_back_as_written(sound: bytes) -> None:
    assert {type(event) for event in SAMPLES} == set(e.EVENTS.values())
    journal = read(sound)
    assert tuple(entry.event for entry in journal.entries) == SAMPLES
    assert [entry.seq for entry in journal.entries] == list(range(len(SAMPLES)))
    assert not journal.torn
    assert journal.size == len(sound)
    assert journal.head == digest(sound.splitlines()[-1])
    assert read(sound, head=journal.head) == journal


def test_line_is_the_agreed_one(sound: bytes) -> None:
    first = sound.split(b"\n")[2]
    found = json.loads(first)
    assert list(found) == ["body", "event", "mono", "prev", "rack", "seq", "wall"]
    assert found["event"] == "StepStarted"
    assert found["wall"].endswith("Z")
    assert found["rack"].endswith("Z")
    assert b": " not in first.replace(b"GET: ", b"")


def test_append_returns_the_entry_that_is_read(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "j", Clock.real())
    entries = tuple(writer.append(event) for event in SAMPLES)
    writer.close()
    assert read_journal(tmp_path / "j").entries == entries
    assert entries[0].previous == FIRST
    assert writer.head == digest(encode(entries[-1]))


@given(cut=st.integers(min_value=0))
def test_any_prefix_reads_as_a_prefix(sound: bytes, cut: int) -> None:
    cut %= len(sound) + 1
    journal = read(sound[:cut])
    whole = read(sound)
    assert journal.entries == whole.entries[: len(journal.entries)]
    assert len(journal.entries) == sound[:cut].count(b"\n")
    assert journal.torn == (cut > 0 and sound[cut - 1 : cut] != b"\n")


@settings(max_examples=400)
@given(place=st.integers(min_value=0), bit=st.integers(min_value=1, max_value=255))
def test_any_flipped_byte_is_found(sound: bytes, place: int, bit: int) -> None:
    """In the last line the chain cannot see it, only the certified head can."""
    place %= len(sound)
    flipped = sound[:place] + bytes([sound[place] ^ bit]) + sound[place + 1 :]
    whole = read(sound)
    with pytest.raises(CorruptJournal):
        read(flipped, head=whole.head)
    try:
        journal = read(flipped)
    except CorruptJournal:
        return
    last = sound[:-1].rfind(b"\n") + 1
    assert place >= last
    assert journal.head != whole.head
    assert journal.torn == (len(journal.entries) < len(whole.entries))
    assert journal.entries[: len(SAMPLES) - 1] == whole.entries[:-1]


@given(st.binary(max_size=300))
def test_any_bytes_read_as_nothing_or_raise_corruption(data: bytes) -> None:
    try:
        assert read(data).entries == ()
    except CorruptJournal as error:
        named = f"line {error.line}:" in str(error)
        assert named


def lines_of(sound: bytes) -> list[bytes]:
    return sound.splitlines(keepends=True)


def rechained(lines: list[dict[str, Any]]) -> bytes:
    """Lines with a chain that is right again, as a careful forger would leave them."""
    head, data = FIRST, b""
    for line in lines:
        text = json.dumps({**line, "prev": head}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        spelt = text.encode("utf-8", "backslashreplace")
        head, data = digest(spelt), data + spelt + b"\n"
    return data


def test_missing_repeated_and_swapped_lines_are_named(sound: bytes) -> None:
    lines = lines_of(sound)
    for number, altered in (
        (5, lines[:4] + lines[5:]),
        (6, [*lines[:5], lines[4], *lines[5:]]),
        (5, [*lines[:4], lines[5], lines[4], *lines[6:]]),
        (1, lines[1:]),
    ):
        with pytest.raises(CorruptJournal, match=f"line {number}: ") as caught:
            read(b"".join(altered))
        assert caught.value.line == number


def test_gap_in_numbers_is_found_even_where_the_chain_was_mended(sound: bytes) -> None:
    found = [json.loads(line) for line in lines_of(sound)]
    assert read(rechained(found)).entries
    with pytest.raises(CorruptJournal, match="sequence number is 5, not 4"):
        read(rechained(found[:4] + found[5:]))


ALTERED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown event": ({"event": "Guessed"}, "unknown event"),
    "unknown field": ({"extra": 1}, "the field 'extra' is unknown"),
    "body of a list": ({"body": []}, "'body' has the wrong type"),
    "surplus in body": ({"body": {"step": "x", "more": 1}}, "has no field 'more'"),
    "body incomplete": ({"body": {}}, "not well formed"),
    "number as text": ({"seq": "2"}, "'seq' has the wrong type"),
    "number as truth": ({"seq": True}, "'seq' has the wrong type"),
    "whole clock": ({"mono": 1}, "'mono' has the wrong type"),
}


@pytest.mark.parametrize("what", ALTERED)
def test_line_of_another_shape_is_named(what: str, sound: bytes) -> None:
    change, text = ALTERED[what]
    found = [json.loads(line) for line in lines_of(sound)]
    found[2] = {**found[2], **change}
    with pytest.raises(CorruptJournal, match=f"line 3: .*{text}"):
        read(rechained(found))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'{"body":', b'{"body":{"step":"x"},"body":'),
        (b'{"body":', b'{ "body":'),
        (b"1.5", b"1.50"),
        (b"1.5", b"NaN"),
        (b"1.5", b"1e999"),
        (b"half", b"\\u0068alf"),
    ],
)
def test_second_spelling_is_found_even_in_the_last_line(old: bytes, new: bytes, sound: bytes) -> None:
    lines = lines_of(sound)
    assert old in lines[3]
    with pytest.raises(CorruptJournal, match="line 4: it is not spelt"):
        read(b"".join(lines[:3]) + lines[3].replace(old, new, 1))


def test_line_cut_short_with_a_newline_is_torn_at_the_end_only(sound: bytes) -> None:
    lines = lines_of(sound)
    cut = lines[4][:40] + b"\n"
    journal = read(b"".join(lines[:4]) + cut)
    assert journal.torn
    assert len(journal.entries) == 4
    assert journal.size == len(b"".join(lines[:4]))
    with pytest.raises(CorruptJournal, match="line 5: it is no JSON"):
        read(b"".join(lines[:4]) + cut + lines[5])
    with pytest.raises(CorruptJournal, match="line 5: it is no JSON"):
        read(b"".join(lines[:4]) + cut + lines[5][:30])


def test_missing_journal_is_told(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="cannot be read"):
        read_journal(tmp_path / "none")


def test_journal_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "j").write_text("evidence")
    with pytest.raises(JournalFailure, match="never written over"):
        JournalWriter(tmp_path / "j", Clock.real())
    assert (tmp_path / "j").read_text() == "evidence"
    with pytest.raises(JournalFailure, match="run directory"):
        JournalWriter(tmp_path / "none" / "j", Clock.real())


def test_interrupted_run_goes_on_after_its_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "j"
    first = JournalWriter(path, Clock.real())
    first.append(e.Noted("one"))
    with pytest.raises(JournalFailure, match="Another process"):
        JournalWriter(path, Clock.real(), after=read_journal(path))
    first.close()
    with path.open("ab") as file:
        file.write(b'{"body":{"st')
    found = read_journal(path)
    assert found.torn
    second = JournalWriter(path, Clock.real(), after=found)
    second.append(e.Noted("two"))
    second.close()
    journal = read_journal(path)
    assert [entry.event for entry in journal.entries] == [e.Noted("one"), e.Noted("two")]
    assert not journal.torn


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_json_value_is_refused_and_leaves_no_trace(value: float, tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "j", Clock.real())
    with pytest.raises(ValueError, match=r"JSON|range"):
        writer.append(e.DeviceBack("pdu-a", value))
    with pytest.raises(ValueError, match="serializable"):
        writer.append(e.Noted(object()))  # type: ignore[arg-type]
    writer.append(e.Noted("still works"))
    writer.close()
    assert [entry.event for entry in read_journal(tmp_path / "j").entries] == [e.Noted("still works")]


def test_threads_write_whole_lines_and_observers_hear_them_in_order(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "j", Clock.real())
    heard: list[int] = []
    writer.subscribe(lambda entry: heard.append(entry.seq))

    def work(number: int) -> None:
        for count in range(50):
            writer.append(e.Noted(f"{number}-{count}"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    assert len(read_journal(tmp_path / "j").entries) == 200
    assert heard == list(range(200))


def test_entry_is_on_disk_before_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "j"
    writer = JournalWriter(path, Clock.real())
    seen: list[bool] = []
    writer.subscribe(lambda entry: seen.append(read_journal(path).entries[-1] == entry))
    writer.append(e.Noted("a"))
    writer.append(e.StepStarted("b"))
    writer.close()
    assert seen == [True, True]


def test_what_bears_on_the_verdict_is_flushed_to_the_disk_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = JournalWriter(tmp_path / "j", Clock.real())
    flushed: list[int] = []
    monkeypatch.setattr("os.fsync", lambda file: flushed.append(os.fstat(file).st_size))
    writer.append(e.Noted("no bearing"))
    assert flushed == []
    writer.append(e.StepStarted("a"))
    assert flushed == [(tmp_path / "j").stat().st_size]
    writer.close()


def test_failing_observer_is_dropped_and_noted_once(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "j", Clock.real())
    heard: list[e.Event] = []

    def broken(entry: e.Entry) -> None:
        raise RuntimeError("screen gone")

    writer.subscribe(broken)
    writer.subscribe(lambda entry: heard.append(entry.event))
    for number in range(3):
        writer.append(e.Noted(str(number)))
    writer.close()
    kept = [entry.event for entry in read_journal(tmp_path / "j").entries]
    assert heard == kept
    notes = [event for event in kept if isinstance(event, e.Noted) and "screen gone" in event.text]
    assert len(notes) == 1
    assert len(kept) == 4


def test_observer_may_append(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "j", Clock.real())
    order: list[str] = []

    def answering(entry: e.Entry) -> None:
        if isinstance(entry.event, e.StepStarted):
            writer.append(e.Noted("answer"))

    writer.subscribe(answering)
    writer.subscribe(lambda entry: order.append(type(entry.event).__name__))
    writer.append(e.StepStarted("a"))
    writer.close()
    assert order == ["StepStarted", "Noted"]


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes: writing further fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_full_disk_stops_the_journal_and_keeps_what_was_committed(tmp_path: Path) -> None:
    path = tmp_path / "j"
    writer = JournalWriter(path, Clock.real())
    writer.append(e.Noted("kept"))
    size = path.stat().st_size
    with full_disk(size + 100), pytest.raises(JournalFailure, match="could not be written: File too large"):
        writer.append(e.Noted("x" * 500))
    with pytest.raises(JournalFailure, match="Free space"):
        writer.append(e.Noted("short"))
    writer.close()
    assert path.stat().st_size == size
    assert [entry.event for entry in read_journal(path).entries] == [e.Noted("kept")]


def test_closed_journal_takes_nothing(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "j", Clock.real())
    writer.close()
    writer.close()
    with pytest.raises(JournalFailure, match="closed"):
        writer.append(e.Noted("late"))


def test_file_is_written_by_its_owner_only(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "j", Clock.real())
    writer.close()
    assert not (tmp_path / "j").stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def test_killed_process_loses_nothing_committed(tmp_path: Path) -> None:
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from harness.clock import Clock\n"
        "from harness.journal.events import Noted\n"
        "from harness.journal.writer import JournalWriter\n"
        "writer = JournalWriter(Path(sys.argv[1]), Clock.real())\n"
        "for number in range(20):\n"
        "    writer.append(Noted(str(number)))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path / "j")], check=False).returncode == -9
    assert len(read_journal(tmp_path / "j").entries) == 20


def test_every_event_says_whether_it_is_durable() -> None:
    for kind in e.EVENTS.values():
        assert isinstance(kind.durable, bool)
        assert "durable" not in {field.name for field in fields(kind)}
