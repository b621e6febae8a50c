"""The screen: it fits, it tells, it restores the terminal; and lines where there is no terminal."""

from __future__ import annotations

import io
import os
import pty
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import pytest

from harness.clock import Clock
from harness.journal import events as e
from harness.observing import LiveOptions
from harness.quantities import Channel, Quality, Reading, Sample, Unit
from harness.verdict import fold
from reports.banner import banner
from reports.board import Board
from reports.pulse import Pulse
from reports.screen import draw, how_far
from reports.terminal import Lines, Screen, open_screen, still_running

STEP = "test_40_burn_in.py::test_burn_in"


def board_of(run: Any, count: int | None = None) -> Board:
    board = Board()
    for entry in run.entries[:count]:
        board.apply(entry)
    return board


def tell(run: Any, output: TextIO) -> Any:
    """Show a whole run and close, as the harness does."""
    screen = open_screen(LiveOptions(run.dir / "elsewhere", Clock.real(), output))
    for entry in run.entries:
        screen.entry(entry)
    screen.sampled(())
    screen.close()
    screen.close()
    return screen


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 10), (200, 60), (20, 5), (80, 1)])
@pytest.mark.parametrize("unicode", [True, False])
def test_every_moment_fits_every_terminal(make_run: Callable[..., Any], width: int, height: int, unicode: bool) -> None:
    run = make_run("ABORTED")
    for count in range(len(run.entries) + 1):
        lines = draw(board_of(run, count), wall=3.0, rack=60.0, width=width, height=height, unicode=unicode)
        assert len(lines) <= height
        assert all(line.cell_len <= width for line in lines)
        if not unicode:
            assert all(ord(c) < 0x2500 or c in "°≤≥…–" for line in lines for c in line.plain)


def test_the_screen_shows_what_matters(blank: Any, make_run: Callable[..., Any]) -> None:
    run = make_run("FAIL")
    run.add(e.StepStarted(STEP), e.Progressed(STEP, "full load", 150.0, 240.0), e.DeviceLost("tray-03", "silent"))
    run.add(e.Tripped("coolant-leak", "cdu-1", 1, "count", "≤ 0 count", "rack", "wet", "Close the valves."))
    text = "\n".join(line.plain for line in draw(board_of(run), wall=41.0, rack=812.0, width=100, height=40))
    for word in (
        "SIMULATED",
        "S/N BR4-00017",
        "bench4 rev 1.0",
        "bay-3",
        "rack time 13:32",
        "wall time 41 s",
        "62%",
        "1:30 left",
        "full load",
        "TRIPPED coolant-leak",
        "✓ Intake 1/1 PASS",
        "? tray-03 lost",
        "✗ tray-01 failed",
        "~ tray-02 marginal",
        "FAIL     tray-01/accelerator-0 accelerator.temperature.max",
        "91.25 °C",
        "≤ 83 °C",
    ):
        assert word in text, word


def test_a_device_that_comes_back_is_what_it_was(make_run: Callable[..., Any]) -> None:
    run = make_run("FAIL")
    run.add(e.DeviceLost("tray-01", "silent"))
    assert board_of(run).device_state("tray-01") == "lost"
    run.add(e.DeviceBack("tray-01", 4.0))
    assert board_of(run).device_state("tray-01") == "failed"


@pytest.mark.parametrize("verdict", ["PASS", "FAIL", "INCONCLUSIVE", "ABORTED"])
@pytest.mark.parametrize("width", [40, 80, 160])
def test_the_banner_says_verdict_reasons_action_and_place(
    make_run: Callable[..., Any], verdict: str, width: int
) -> None:
    run = make_run(verdict)
    lines = banner(fold(run.entries), run.dir, width=width, plain=width == 40)
    assert all(line.cell_len <= width for line in lines[:-1])
    text = " ".join(line.plain.strip() for line in lines)
    assert ("Why" in text) is (verdict != "PASS")
    assert "What to do now" in text
    assert str(run.dir) in text
    if width == 40:
        assert f"=== {verdict} ===" in text
    else:
        assert "██" in text


def test_without_a_terminal_there_are_lines(make_run: Callable[..., Any]) -> None:
    output = io.StringIO()
    run = make_run("FAIL")
    assert isinstance(tell(run, output), Lines)
    text = output.getvalue()
    assert "\x1b" not in text
    for word in (
        "SIMULATED unit BR4-00017",
        "plan rack: 3 steps",
        "PASS 1/3 Intake",
        "FAIL 3/3 Burn-in",
        "=== FAIL ===",
    ):
        assert word in text
    assert "FAIL: tray-01/accelerator-0 accelerator.temperature.max is 91.25 °C, wanted ≤ 83 °C" in text


def test_lines_can_be_written_where_there_is_no_unicode(make_run: Callable[..., Any]) -> None:
    raw = io.BytesIO()
    output = io.TextIOWrapper(raw, encoding="ascii")
    tell(make_run("FAIL"), output)
    assert b"=== FAIL ===" in raw.getvalue()


def test_a_long_step_gives_a_sign_of_life(make_run: Callable[..., Any]) -> None:
    run = make_run("PASS")
    upto = next(n for n, entry in enumerate(run.entries) if isinstance(entry.event, e.Progressed))
    assert still_running(board_of(run, upto + 1), 60.0) == "Test burn in: 50%, 2:00 of rack time left, burning in"
    assert still_running(board_of(run, upto), 61.0) == "Test burn in: running for 1:01"


def test_a_resumed_run_knows_what_was_before(make_run: Callable[..., Any]) -> None:
    run = make_run("PASS")
    output = io.StringIO()
    screen = open_screen(LiveOptions(run.dir, Clock.real(), output))
    screen.entry(run.entries[-1])
    screen.close()
    assert "=== PASS ===" in output.getvalue()


class Terminal:
    """A pseudo-terminal with a reader, so that a writer never blocks."""

    def __init__(self) -> None:
        leader, follower = pty.openpty()
        self._leader = leader
        self.output = os.fdopen(follower, "w", encoding="utf-8")
        self._seen = bytearray()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                more = os.read(self._leader, 65536)
            except OSError:  # the follower is closed
                return
            if not more:
                return
            self._seen += more

    def finish(self) -> str:
        self.output.close()
        self._reader.join()
        os.close(self._leader)
        return self._seen.decode()


@pytest.mark.parametrize("verdict", ["PASS", "ABORTED"])
def test_on_a_terminal_the_screen_comes_and_goes(
    make_run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, verdict: str
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal()
    assert isinstance(tell(make_run(verdict), terminal.output), Screen)
    seen = terminal.finish()
    assert seen.count("\x1b[?1049h") == seen.count("\x1b[?1049l") == 1
    assert seen.rindex("\x1b[?25h") > seen.rindex("\x1b[?25l")
    closing = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen[seen.rindex("\x1b[?1049l") :])
    assert "What to do now" in closing


@pytest.mark.parametrize("setting", [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_that_cannot_or_must_not_be_drawn_on_gets_lines(
    make_run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, setting: tuple[str, str]
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv(*setting)
    terminal = Terminal()
    assert isinstance(tell(make_run("PASS"), terminal.output), Lines)
    assert "\x1b" not in terminal.finish()


def test_a_journal_that_cannot_be_read_does_not_stop_the_screen(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_bytes(b"no journal\nat all\n")
    output = io.StringIO()
    open_screen(LiveOptions(tmp_path, Clock.real(), output)).close()
    assert "ABORTED" in output.getvalue()


def test_a_step_that_did_not_take_what_it_declared_is_no_pass_on_the_screen(blank: Any) -> None:
    blank.start().plan((STEP, "burn_in", "", ("link.up", "burn_in.power@tray-02/accelerator-1")))
    blank.step(STEP, ("link.up", "switch-1/swp1", True))
    assert board_of(blank).steps[STEP].verdict == fold(blank.entries).steps[0].verdict == "FAIL"


def test_no_later_end_makes_a_step_better_on_the_screen(blank: Any) -> None:
    blank.start().plan((STEP, "links", "", ("link.up",))).step(STEP, outcome="stopped")
    blank.step(STEP, ("link.up", "switch-1/swp1", True))
    assert board_of(blank).steps[STEP].verdict == fold(blank.entries).steps[0].verdict == "ABORTED"


def test_a_device_that_could_not_be_asked_has_not_failed(blank: Any) -> None:
    blank.start().plan((STEP, "links", "", ("link.up",)))
    assert board_of(blank).device_state("shelf-1") == "waiting"
    blank.add(e.StepStarted(STEP), e.DeviceFailed(STEP, "shelf-1/psu-3", "Misbehaved", "shelf-1/psu-3: odd"))
    blank.add(blank.measured(STEP, "thermal.flow", "cdu-1", None))
    assert board_of(blank).device_state("shelf-1") == board_of(blank).device_state("cdu-1") == "error"
    blank.add(blank.measured(STEP, "accelerator.temperature.max", "shelf-1", 99.0))
    assert board_of(blank).device_state("shelf-1") == "failed"


def test_the_countdown_runs_on_between_two_reports_and_pieces_of_work_are_counted() -> None:
    assert how_far(e.Progressed(STEP, "", 60.0, 240.0), 0.0) == (0.25, "3:00 left")
    assert how_far(e.Progressed(STEP, "", 60.0, 240.0), 30.0) == (0.375, "2:30 left")
    assert how_far(e.Progressed(STEP, "", 60.0, 240.0), 900.0) == (1.0, "evaluating")
    assert how_far(e.Progressed(STEP, "outlet pdu-a/2", 2, 8), 900.0) == (0.25, "2 of 8 done")


@pytest.mark.parametrize(("height", "shown"), [(40, "✓ tray-04"), (11, "of 17 ok")])
def test_where_devices_do_not_fit_those_in_trouble_are_still_named(
    make_run: Callable[..., Any], height: int, shown: str
) -> None:
    run = make_run("FAIL")
    run.add(e.DeviceLost("tray-03-host", "silent"))
    text = "\n".join(line.plain for line in draw(board_of(run), wall=1.0, rack=1.0, width=60, height=height)) + " "
    for word in ("? tray-03-host lost", "✗ tray-01 failed"):
        assert word in text
    assert "tray-01-host" not in text
    assert shown in text


def test_a_trip_tells_cause_action_and_whether_the_rack_is_safe(blank: Any) -> None:
    blank.start().plan((STEP, "links", "", ("link.up",))).add(e.StepStarted(STEP))
    text = "cdu-1.leak.wet is 1 count"
    blank.add(e.Tripped("coolant-leak", "cdu-1", 1, "count", "≤ 0 count", "rack", text, "Close the valves."))

    def shown() -> str:
        return "\n".join(line.plain for line in draw(board_of(blank), wall=1.0, rack=1.0, width=80, height=24))

    assert "STOPPING: the rack is being made safe." in shown()
    assert "TRIPPED coolant-leak: cdu-1: leak.wet is 1\nClose the valves." in shown()
    blank.add(e.SafetyAction("pdu-a", "outlets off", True, "", 0.1), e.MadeSafe("trip", True, ()))
    assert "The rack is made safe" in shown()
    blank.add(e.SafetyAction("pdu-b", "outlets off", False, "", 0.1), e.MadeSafe("trip", False, ("pdu-b",)))
    assert "NOT CONFIRMED SAFE: pdu-b" in shown()


def test_on_a_low_terminal_fewer_reasons_are_told_and_the_last_action_stays(blank: Any) -> None:
    hot = [("accelerator.temperature.max", f"tray-01/accelerator-{n}", 90.0 + n) for n in range(9)]
    blank.start().plan((STEP, "burn_in", "", ("accelerator.temperature.max",))).step(STEP, *hot).finish("FAIL")
    low = [line.plain for line in banner(fold(blank.entries), blank.dir, width=80, height=24)]
    high = [line.plain for line in banner(fold(blank.entries), blank.dir, width=80, height=60)]
    assert len(low) < len(high)
    for lines in (low, high):
        assert "Then run the acceptance" in " ".join(lines)
    assert any("6 more: see report.html" in line for line in low)


def test_the_pulse_shows_only_what_can_be_judged_now() -> None:
    at = datetime(2026, 11, 22, tzinfo=UTC)
    pulse = Pulse()
    assert pulse.line() == ""

    def sample(device: str, quantity: str, value: float, unit: Unit, part: str = "", good: bool = True) -> Sample:
        quality = Quality.GOOD if good else Quality.BAD
        return Sample(Channel(device, quantity, unit, part), Reading(value, unit, at, quality))

    pulse.take(
        [
            sample("tray-01", "accelerator.temperature", 61.0, Unit.CELSIUS, "accelerator-0"),
            sample("tray-02", "accelerator.temperature", 99.0, Unit.CELSIUS, "accelerator-1", good=False),
            sample("pdu-a", "input.power", 8000.0, Unit.WATT),
            sample("pdu-b", "input.power", 8200.0, Unit.WATT),
        ]
    )
    assert pulse.line() == "hottest 61 °C tray-01/accelerator-0 · 16.2 kW drawn"
    pulse.take(
        [
            sample("cdu-1", "coolant.flow", 23.4, Unit.LITRE_PER_MINUTE),
            sample("cdu-1", "coolant.supply.temperature", 35.0, Unit.CELSIUS),
            sample("cdu-1", "coolant.return.temperature", 43.9, Unit.CELSIUS),
        ]
    )
    assert pulse.line().endswith("23.4 L/min, 35.0 → 43.9 °C")
