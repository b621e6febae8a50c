"""Stopped at any moment and in any way that a terminal knows: exit code, words on screen and journal are as promised.

The matrix is run whole with `--long`, and two of it always.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.journal import events as e
from harness.journal.reader import read_journal
from tests.acceptance.terminals import PATIENCE, Terminal, children, gone
from tests.acceptance.test_stopping import journal_of, said_in, start, wait_for

PLAN = '''"""A plan whose only step does not end by itself."""
import asyncio
import time
import pytest

pytestmark = pytest.mark.stage("own")


@pytest.mark.measures("thermal.flow")
{kind} test_it(measure):
    """It waits."""
    {body}
    measure("thermal.flow", 25.0, "rack")
'''
BODIES = {
    "plain": ("def", "time.sleep(600)"),
    "async": ("async def", "await asyncio.sleep(600)"),
    "none": ("def", "time.sleep(0)"),
}
WAYS = ("ctrl-c", "SIGTERM", "SIGHUP", "hang-up")
MOMENTS = ("at the start", "connecting", "in a plain step", "in a step", "making safe", "writing reports")
SAMPLE = {("connecting", "ctrl-c"), ("in a plain step", "hang-up")}
MATRIX = [
    pytest.param(moment, way, marks=() if (moment, way) in SAMPLE else pytest.mark.long)
    for moment in MOMENTS
    for way in WAYS
]


@pytest.fixture(scope="module")
def bay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A simulated rack that stands for all tests; its bay file."""
    found = tmp_path_factory.mktemp("rack") / "bay.yaml"
    process = start("simulate", "bench4", "--pace", "20", "--bay-out", str(found))
    try:
        wait_for(found.exists, process)
        yield found
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=PATIENCE)


class Stopped:
    """A run on a terminal, on the standing rack."""

    def __init__(self, bay: Path, folder: Path, step: str) -> None:
        kind, body = BODIES[step]
        plan = folder / "test_own.py"
        plan.write_text(PLAN.format(kind=kind, body=body), "utf-8")
        self.runs = folder / "runs"
        rack = ("--model", "bench4", "--bay", str(bay), "--serial", "RK-6")
        self.terminal = Terminal("run", *rack, "--plan", str(plan), "--runs", str(self.runs))

    def stop(self, way: str) -> None:
        """Stop it once."""
        if way == "ctrl-c":
            self.terminal.type("\x03")
        elif way == "hang-up":
            self.terminal.hang_up()
        else:
            self.terminal.process.send_signal(signal.Signals[way])

    def says(self, text: str) -> bool:
        return said_in(self.runs, text)

    def watchdog(self) -> int:
        """The process that watches over it."""
        self.terminal.until(lambda: bool(children(self.terminal.process.pid, "watchdog_process")))
        return children(self.terminal.process.pid, "watchdog_process")[0]

    def events(self) -> list[e.Event]:
        found = journal_of(self.runs)
        assert found is not None
        return [entry.event for entry in read_journal(found).entries]


def stopped_at(run: Stopped, moment: str) -> None:
    """Wait for the moment at which it is to be stopped."""
    words = {
        "connecting": "connecting to",
        "in a plain step": "StepStarted",
        "in a step": "StepStarted",
        "making safe": "StepStarted",
        "writing reports": "RunFinished",
    }
    if moment != "at the start":
        run.terminal.until(lambda: run.says(words[moment]))


@pytest.mark.parametrize(("moment", "way"), MATRIX)
def test_stopped(bay: Path, tmp_path: Path, moment: str, way: str) -> None:
    step = {"in a step": "async", "writing reports": "none"}.get(moment, "plain")
    run = Stopped(bay, tmp_path, step)
    try:
        stopped_at(run, moment)
        run.stop(way)
        if moment == "making safe" and way != "hang-up":
            run.stop(way)
        code = run.terminal.wait()
    finally:
        run.terminal.close()
    shown = run.terminal.shown
    if moment == "at the start" and journal_of(run.runs) is None:
        # In its first tenth of a second it is the interpreter's own affair how it ends; nothing is contacted by then.
        assert code != 0
        return
    assert "Traceback" not in shown
    events = run.events()
    assert isinstance(events[-1], e.RunFinished)
    assert all(made.confirmed for made in events if isinstance(made, e.MadeSafe)), events
    if moment == "writing reports":
        assert code in (3, 4), "a part of a plan is INCONCLUSIVE"
        return
    assert code == 4
    (stop,) = [event for event in events if isinstance(event, e.StopRequested)]
    assert stop.by == {"ctrl-c": "Ctrl-C", "hang-up": "SIGHUP"}.get(way, way)
    assert any(isinstance(event, e.SafetyAction) and event.action == "stop loads" for event in events)
    if way != "hang-up":
        assert f"by {stop.by}" in shown


def test_the_third_ctrl_c_gives_the_terminal_back_and_the_watchdog_goes_on(bay: Path, tmp_path: Path) -> None:
    run = Stopped(bay, tmp_path, "plain")
    try:
        run.terminal.until(lambda: run.says("StepStarted"))
        watchdog = run.watchdog()
        for _ in range(3):
            if run.terminal.process.poll() is None:
                run.terminal.process.send_signal(signal.SIGINT)
            time.sleep(0.02)  # signals of one number that are pending are one
        assert run.terminal.wait() == 4
        wait_for(lambda: gone(watchdog))
    finally:
        run.terminal.close()
    shown = run.terminal.shown
    if "ABANDONED" not in shown:  # it was faster than the third
        assert "by Ctrl-C" in shown
        return
    assert "Already stopping" in shown
    if "The watchdog goes on" not in shown:  # the rack was safe before the third
        assert "was made safe" in shown
        return
    assert "Not confirmed safe, go and look: " in shown
    found = journal_of(run.runs)
    assert found is not None
    assert '"make safe", "confirmed": true' in (found.parent / "watchdog.jsonl").read_text("utf-8")
