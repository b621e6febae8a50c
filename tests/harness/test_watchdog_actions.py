"""What the watchdog wrote down is shown, and nothing in it is believed without being read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.journal.events import WatchdogActed
from harness.journal.watchdog import LONGEST, WATCHDOG, read_watchdog, unsafe

UNREADABLE = WatchdogActed(
    "", "", "", "", confirmed=False, text=f"not confirmed, go and look: a line of {WATCHDOG} cannot be read"
)
LINE = {"wall": "2026-11-23T01:00:00Z", "reason": "r", "device": "rack", "action": "make safe", "confirmed": True}


def written(folder: Path, *lines: object) -> Path:
    (folder / WATCHDOG).write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")
    return folder


def test_a_run_that_needed_none_shows_none(tmp_path: Path) -> None:
    assert read_watchdog(tmp_path) == ()
    assert unsafe(()) == ""


def test_actions_are_read_in_order(tmp_path: Path) -> None:
    first, last = LINE | {"text": "one", "confirmed": False}, LINE | {"text": "every action was confirmed"}
    actions = read_watchdog(written(tmp_path, first, last))
    assert [each.text for each in actions] == ["one", "every action was confirmed"]
    assert unsafe(actions) == ""


def test_the_last_word_decides(tmp_path: Path) -> None:
    left = LINE | {"text": "not confirmed, go and look: tray-01-host: stop loads", "confirmed": False}
    assert "tray-01-host" in unsafe(read_watchdog(written(tmp_path, LINE | {"text": "x"}, left)))


@pytest.mark.parametrize("line", [LINE, LINE | {"text": "x", "confirmed": "yes"}, [], "text", None, {}, 10**400])
def test_what_cannot_be_read_is_not_confirmed(tmp_path: Path, line: object) -> None:
    (acted,) = read_watchdog(written(tmp_path, line))
    assert not acted.confirmed


def test_a_line_that_was_cut_off_is_not_confirmed(tmp_path: Path) -> None:
    (tmp_path / WATCHDOG).write_bytes(json.dumps(LINE | {"text": "x"}).encode()[:-9])
    assert read_watchdog(tmp_path) == (UNREADABLE,)


def test_a_link_out_of_the_directory_is_not_followed(tmp_path: Path) -> None:
    outside = written(tmp_path, LINE | {"text": "x"}) / WATCHDOG
    inside = tmp_path / "run"
    inside.mkdir()
    (inside / WATCHDOG).symlink_to(outside)
    (acted,) = read_watchdog(inside)
    assert not acted.confirmed


def test_a_file_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / WATCHDOG).write_bytes(b"\n" * (LONGEST + 1))
    (acted,) = read_watchdog(tmp_path)
    assert not acted.confirmed
