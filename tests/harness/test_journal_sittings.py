"""The sittings of a run to the letter, and what a watchdog left behind."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.journal import events as e
from harness.journal import watchdog
from harness.journal.sittings import (
    FINISHED,
    INTERRUPTED,
    Sitting,
    gone,
    irregularities,
    last_sitting,
    sittings,
)
from harness.journal.watchdog import WATCHDOG, read_watchdog

STARTED = e.RunStarted("run-1", {}, "", {}, {}, True, "ann", "station-1")
END = e.RunFinished("PASS")
RESUMED = e.Resumed(2, "it broke", True, "bob", "station-2", {}, {}, None, "", {})
THIRD = replace(RESUMED, sitting=3, torn=False)
TRIP = e.Tripped("leak", "cdu-1", 1, "count", "≤ 0", "rack", "wet", "")
STOP = e.StopRequested("operator", "Ctrl-C")
ACTED = e.WatchdogActed("w", "gone", "h", "stop loads", True, "off")
LOST = e.TelemetryLost("wal", 17, "a", "b")
TAKEN = e.TakenUp(("a",), (e.Repeated("b", "it was interrupted"),))


def claimed(token: int) -> e.Claimed:
    return e.Claimed("r", token, "s", 1, 30.0)


def told(*events: e.Event) -> tuple[Sitting, ...]:
    """Entry n is written at wall second n; the monotonic clock begins at 100 and goes twice as fast."""
    return sittings([e.Entry(n, f"wall-{n}", "", 100.0 + 2 * n, "", event) for n, event in enumerate(events)])


def test_an_undisturbed_run_has_one() -> None:
    jump, unsafe = e.ClockJumped(-3600.0), e.MadeSafe("end of run", False, ("h: stop loads",))
    (only,) = told(STARTED, claimed(4), claimed(5), jump, unsafe, END)
    assert only == Sitting(
        number=1, station="station-1", operator="ann", token=4, first="wall-0", last="wall-5", seconds=10.0,
        ended=FINISHED, torn=False, stands=(), again=(), watchdog=(), lost=(), jumps=(-3600.0,),
        unconfirmed=("h: stop loads",),
    )  # fmt: skip


def test_one_that_was_taken_up_again_has_two() -> None:
    first, second = told(STARTED, claimed(4), RESUMED, LOST, claimed(5), ACTED, TAKEN, END)
    assert (first.ended, first.torn, first.watchdog, first.lost) == (INTERRUPTED, True, (ACTED,), (LOST,))
    assert (first.token, first.last, first.stands, first.again) == (4, "wall-1", (), ())
    assert (second.number, second.station, second.operator, second.token) == (2, "station-2", "bob", 5)
    assert (second.first, second.seconds, second.ended, second.torn) == ("wall-2", 10.0, FINISHED, False)
    assert (second.stands, second.again, second.watchdog, second.lost) == (TAKEN.stands, TAKEN.again, (), ())


def test_what_comes_after_a_sitting_is_of_the_one_before_it_only() -> None:
    first, second, third = told(STARTED, RESUMED, ACTED, THIRD, LOST)
    assert [each.torn for each in (first, second, third)] == [True, False, False]
    assert [each.watchdog for each in (first, second, third)] == [(ACTED,), (), ()]
    assert [each.lost for each in (first, second, third)] == [(), (LOST,), ()]
    assert [each.number for each in (first, second, third)] == [1, 2, 3]


def test_no_entry_no_sitting() -> None:
    assert told() == ()


def test_one_that_does_not_say_whose_it_is() -> None:
    (only,) = told(e.Noted("x"))
    assert (only.station, only.operator, only.token, only.seconds, only.stands) == ("", "", 0, 0.0, ())


def test_a_clock_that_went_back_makes_no_span_negative() -> None:
    entries = [e.Entry(n, "", "", mono, "", e.Noted("x")) for n, mono in enumerate((5.0, 4.0))]
    assert sittings(entries)[0].seconds == 0.0


@pytest.mark.parametrize(
    ("events", "ended"),
    [
        ([END], FINISHED),
        ([END, e.Noted("late")], INTERRUPTED),
        ([STOP, END], "stopped by operator: Ctrl-C"),
        ([STOP, TRIP, END], "interlock leak: wet"),
        ([TRIP], "interlock leak: wet"),
    ],
)
def test_how_it_ended(events: list[e.Event], ended: str) -> None:
    assert told(STARTED, *events)[0].ended == ended


def test_the_words_that_reports_know_it_by() -> None:
    assert (FINISHED, INTERRUPTED) == ("finished", "interrupted: the journal stops there")


def test_the_last_sitting() -> None:
    assert last_sitting([STARTED, END]) == [STARTED, END]
    assert last_sitting([STARTED, RESUMED, END]) == [RESUMED, END]
    assert last_sitting([STARTED, RESUMED, THIRD, END]) == [THIRD, END]


TWO_STARTS = "the journal holds the start of more than one run"
GOES_ON = "the journal goes on after its end without having been taken up again"
LEAVES_OUT = "the journal leaves out a sitting"
FENCED = "a station wrote that no longer held the rack: its token is not greater than the one before"


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ([STARTED, END], ()),
        ([STARTED, STARTED, END], (TWO_STARTS,)),
        ([STARTED, END, RESUMED, END], ()),
        ([STARTED, END, e.Noted("x")], (GOES_ON,)),
        ([STARTED, END, END, e.Noted("x")], (GOES_ON,)),
        ([STARTED, RESUMED, THIRD], ()),
        ([STARTED, THIRD], (LEAVES_OUT,)),
        ([STARTED, RESUMED, RESUMED], (LEAVES_OUT,)),
        ([claimed(1), claimed(2)], ()),
        ([claimed(2), claimed(2)], (FENCED,)),
        ([claimed(2), claimed(1), claimed(3)], (FENCED,)),
        ([STARTED, STARTED, END, THIRD, claimed(1), claimed(1)], (TWO_STARTS, LEAVES_OUT, FENCED)),
    ],
)
def test_what_no_run_writes(events: list[e.Event], found: tuple[str, ...]) -> None:
    assert irregularities(events) == found


def test_who_is_gone() -> None:
    lost, back = e.DeviceLost("pdu-a", "silent"), e.DeviceBack("pdu-a", 1.0)
    outside = e.DeviceFailed("", "cdu-1", "Unreachable", "no answer")
    within = e.DeviceFailed("a", "tray-01", "Unreachable", "no answer")
    assert gone([lost, outside, within]) == {"pdu-a": "silent", "cdu-1": "no answer"}
    assert gone([lost, back]) == {}
    assert gone([back, lost]) == {"pdu-a": "silent"}
    assert gone([lost, e.DeviceLost("pdu-a", "later")]) == {"pdu-a": "later"}


LINE: dict[str, Any] = {
    "wall": "w", "reason": "gone", "device": "h", "action": "stop loads", "confirmed": True, "text": "off",
}  # fmt: skip
LOOK = "not confirmed, go and look: "
UNREADABLE = e.WatchdogActed("", "", "", "", confirmed=False, text=f"{LOOK}a line of watchdog.jsonl cannot be read")


def left(folder: Path, *lines: str | bytes) -> list[e.WatchdogActed]:
    encoded = [line if isinstance(line, bytes) else line.encode() for line in lines]
    (folder / "watchdog.jsonl").write_bytes(b"\n".join(encoded))
    return list(read_watchdog(folder))


def test_what_a_watchdog_left_is_read(tmp_path: Path) -> None:
    assert WATCHDOG == "watchdog.jsonl"
    assert list(read_watchdog(tmp_path)) == []
    assert left(tmp_path, json.dumps(LINE), "", json.dumps(LINE | {"text": "on"}), " ") == [
        ACTED,
        replace(ACTED, text="on"),
    ]


@pytest.mark.parametrize("line", ["{", "[]", "1", b"\xff", "[" * 100_000])
def test_a_line_that_cannot_be_read_is_one_that_confirms_nothing(tmp_path: Path, line: str | bytes) -> None:
    assert left(tmp_path, line, json.dumps(LINE)) == [UNREADABLE, ACTED]


@pytest.mark.parametrize("confirmed", ["true", 1, None, False])
def test_only_true_confirms(tmp_path: Path, confirmed: object) -> None:
    (found,) = left(tmp_path, json.dumps(LINE | {"confirmed": confirmed}))
    assert found.confirmed is False


@pytest.mark.parametrize("name", LINE)
def test_a_line_that_lacks_something_cannot_be_read(tmp_path: Path, name: str) -> None:
    assert left(tmp_path, json.dumps({key: value for key, value in LINE.items() if key != name})) == [UNREADABLE]


def test_what_is_no_file_or_too_long_confirms_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert watchdog.LONGEST == 1_048_576
    unreadable = [replace(UNREADABLE, text=f"{LOOK}watchdog.jsonl cannot be read")]
    monkeypatch.setattr(watchdog, "LONGEST", 200)
    assert left(tmp_path, json.dumps(LINE) + " " * (200 - len(json.dumps(LINE)))) == [ACTED]
    assert left(tmp_path, json.dumps(LINE) + " " * (201 - len(json.dumps(LINE)))) == unreadable
    (tmp_path / "watchdog.jsonl").unlink()
    (tmp_path / "watchdog.jsonl").mkdir()
    assert list(read_watchdog(tmp_path)) == unreadable


def test_the_last_word_counts() -> None:
    late = replace(ACTED, confirmed=False, text="silent")
    assert watchdog.unsafe([]) == ""
    assert watchdog.unsafe([late, ACTED]) == ""
    assert watchdog.unsafe([late]) == "silent"
    assert watchdog.unsafe([ACTED, ACTED, late]) == "silent"
