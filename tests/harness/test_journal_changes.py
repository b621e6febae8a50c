"""Any prefix of a journal folds to something other than PASS, and any single change of one is found.

Of an undisturbed run, of one that broke and was taken up again, and of one that broke twice.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.clock import Clock
from harness.journal import events as e
from harness.journal.reader import CorruptJournal, Journal, read_journal
from harness.journal.writer import JournalWriter
from harness.verdict import Verdict, fold

LIMIT = e.LimitUsed("thermal.flow", "L/min", "≥ 22 L/min", "data sheet", minimum=22.0)
STEPS = tuple(f"t.py::{name}" for name in ("a", "b", "c"))
RESUMED = e.Resumed(2, "interrupted", False, "", "s", {"p": "1"}, {"d": "x"}, None, "66", {})
STARTED = e.RunStarted("run", {"model": {"limits": {"thermal.flow": {}}}}, "0", {"p": "1"}, {"d": "x"}, False, "", "s")
PLANNED = e.Planned("p", "1", tuple(e.PlannedStep(step, step, "own", "", ("thermal.flow",)) for step in STEPS))


def measured(step: str) -> e.Measured:
    return e.Measured(step, "thermal.flow", "cdu-1", 23.0, "L/min", "t", "good", "pass", LIMIT)


def step(name: str) -> tuple[e.Event, ...]:
    return e.StepStarted(name), measured(name), e.StepFinished(name, "completed", touched=("d",))


def again(*steps: str) -> e.TakenUp:
    stands = tuple(name for name in STEPS[:2] if name not in steps)
    return e.TakenUp(stands, tuple(e.Repeated(name, "it was interrupted") for name in steps))


BEGINNING: tuple[e.Event, ...] = (STARTED, e.Claimed("r", 1, "s", 1, 30.0), PLANNED, e.Fingerprinted("d", "S", "1"))
END: tuple[e.Event, ...] = (
    e.SafetyAction("h", "stop loads", True, "", 0.1),
    e.MadeSafe("end of run", True, ()),
    e.SegmentSealed("telemetry/000001.parquet", "22", 7, "a", "b"),
    e.RunFinished("PASS"),
)
UNDISTURBED = (*BEGINNING, *(event for name in STEPS for event in step(name)), *END)
BROKEN = (
    *BEGINNING,
    *step(STEPS[0]),
    *step(STEPS[1])[:2],
    RESUMED,
    e.TelemetryCounted("tray-01", 12, 10, 1, 1, 420),
    e.TelemetryLost("telemetry/000001.wal", 17, "a", "b"),
    e.Claimed("r", 2, "s", 2, 30.0),
    e.Fingerprinted("d", "S", "1"),
    e.WatchdogActed("w", "the station is gone", "h", "stop loads", True, "off"),
    again(STEPS[1]),
    *step(STEPS[1]),
    *step(STEPS[2]),
    *END,
)
BROKEN_TWICE = (
    *BROKEN[:18],
    e.StopRequested("operator", "Ctrl-C"),
    e.StepFinished(STEPS[1], "stopped"),
    *END[:-1],
    e.RunFinished("ABORTED"),
    e.Resumed(3, "stopped", True, "", "s", {"p": "1"}, {"d": "x"}, None, "66", {}),
    e.Claimed("r", 5, "other", 2, 30.0),
    e.ClockJumped(-3600.0),
    again(STEPS[1]),
    *step(STEPS[1]),
    *step(STEPS[2]),
    *END,
)
RUNS: dict[str, tuple[e.Event, ...]] = {"undisturbed": UNDISTURBED, "broken": BROKEN, "broken twice": BROKEN_TWICE}
ANY = st.sampled_from(sorted(RUNS))


@cache
def written(name: str) -> bytes:
    """The octets of a journal that ends PASS."""
    with tempfile.TemporaryDirectory() as folder:
        writer = JournalWriter(Path(folder) / "j", Clock.real())
        for event in RUNS[name]:
            writer.append(event)
        writer.close()
        return (Path(folder) / "j").read_bytes()


def read(data: bytes, head: str = "") -> Journal:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "j"
        path.write_bytes(data)
        return read_journal(path, head=head)


def is_found(altered: bytes, whole: Journal) -> bool:
    """Whether a change is told, with its place: by the reader, or by what every signed manifest states.

    That is the head of the journal, and whether its last line is torn.
    """
    try:
        return read(altered, whole.head).torn != whole.torn
    except CorruptJournal as error:
        return f"line {error.line}: " in str(error) and f"octet {error.octet}." in str(error)


def is_no_pass(altered: bytes) -> bool:
    """Whether nobody is misled who reads it without knowing its head: it is refused, or it folds to no PASS."""
    try:
        return fold(read(altered).entries).verdict is not Verdict.PASS
    except CorruptJournal:
        return True


@pytest.mark.parametrize("name", RUNS)
def test_the_whole_journal_passes(name: str) -> None:
    journal = read(written(name))
    summary = fold(journal.entries)
    assert (summary.verdict, summary.reasons) == (Verdict.PASS, ())
    assert read(written(name), journal.head) == journal
    assert len(summary.sittings) == 1 + sum(isinstance(event, e.Resumed) for event in RUNS[name])


@pytest.mark.parametrize("name", RUNS)
def test_no_prefix_by_lines_passes(name: str) -> None:
    entries = read(written(name)).entries
    for length in range(len(entries)):
        assert fold(entries[:length]).verdict is not Verdict.PASS, length


@pytest.mark.parametrize("name", RUNS)
def test_no_prefix_by_octets_passes(name: str) -> None:
    """The whole last line without its newline is a torn one, too."""
    data = written(name)
    begins = [0, *(place + 1 for place, octet in enumerate(data) if octet == 0x0A)]
    for begin, end in pairwise(begins):
        for cut in {begin, begin + 1, (begin + end) // 2, end - 1}:
            assert is_no_pass(data[:cut]), cut


@settings(max_examples=200)
@given(ANY, st.integers(min_value=0))
def test_no_prefix_at_any_octet_passes(name: str, cut: int) -> None:
    data = written(name)
    assert is_no_pass(data[: cut % len(data)])


@settings(max_examples=300)
@given(ANY, st.integers(min_value=0), st.integers(min_value=0, max_value=7))
def test_a_flipped_bit_is_found(name: str, place: int, bit: int) -> None:
    data = bytearray(written(name))
    data[place % len(data)] ^= 1 << bit
    assert is_found(bytes(data), read(written(name)))


def altered_lines(lines: list[bytes]) -> Iterable[list[bytes]]:
    """Every journal with one line removed, doubled, swapped with another or put somewhere else."""
    for at in range(len(lines)):
        yield lines[:at] + lines[at + 1 :]
        yield [*lines[: at + 1], lines[at], *lines[at + 1 :]]
        for other in range(at + 1, len(lines)):
            swapped = list(lines)
            swapped[at], swapped[other] = swapped[other], swapped[at]
            yield swapped
            yield [*lines[:at], *lines[at + 1 : other + 1], lines[at], *lines[other + 1 :]]


@pytest.mark.parametrize("name", RUNS)
def test_a_line_removed_doubled_swapped_or_moved_is_found(name: str) -> None:
    whole = read(written(name))
    lines = written(name).splitlines(keepends=True)
    for number, altered in enumerate(altered_lines(lines)):
        if altered != lines and number % 7 == len(name) % 7:
            assert is_found(b"".join(altered), whole)


@settings(max_examples=150)
@given(ANY, st.integers(min_value=0), st.binary(min_size=1, max_size=40))
def test_octets_put_in_are_found(name: str, place: int, more: bytes) -> None:
    data = written(name)
    place %= len(data) + 1
    assert is_found(data[:place] + more + data[place:], read(data))
    assert is_found(data + more, read(data))


@settings(max_examples=100)
@given(ANY, st.integers(min_value=0), st.integers(min_value=0), st.integers(min_value=1))
def test_a_line_of_another_journal_is_found(name: str, place: int, which: int, other: int) -> None:
    """As an inserted line: sound by itself, and of a run of the same kind."""
    lines = written(name).splitlines(keepends=True)
    foreign = written(sorted(RUNS)[other % len(RUNS)]).splitlines(keepends=True)
    place %= len(lines) + 1
    altered = [*lines[:place], foreign[which % len(foreign)], *lines[place:]]
    assert is_found(b"".join(altered), read(written(name)))
