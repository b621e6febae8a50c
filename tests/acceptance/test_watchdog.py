"""The station is killed, or stands still: its watchdog leaves no load running, no outlet dark, and ends itself."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.journal.events import StepStarted, StopRequested
from harness.journal.reader import read_journal
from tests.acceptance.runs import RACKPROOF, ROOT, rackproof
from tests.acceptance.terminals import children, gone, loads
from tests.acceptance.test_stopping import BURN_IN, PATIENCE, POWER, journal_of, said_in, wait_for


@dataclass
class Standing:
    """A simulated rack that stands whatever becomes of a run, and the runs on it."""

    folder: Path
    runs: Path
    bay: Path

    def run(self, plan: str) -> subprocess.Popen[str]:
        rack = ("--model", "bench4", "--bay", str(self.bay), "--serial", "RK-6")
        return self.start("run", *rack, "--plan", plan, "--runs", str(self.runs))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """In a session of its own; what it keeps for a while, it keeps below our folder."""
        return subprocess.Popen(
            [*RACKPROOF, *arguments],
            cwd=ROOT,
            env=os.environ | {"TMPDIR": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def burning(self) -> bool:
        return bool(loads(self.folder))

    def recorded(self) -> list[dict[str, Any]]:
        """What the watchdog wrote down."""
        found = journal_of(self.runs)
        assert found is not None
        return [json.loads(line) for line in (found.parent / "watchdog.jsonl").read_text("utf-8").splitlines()]


@pytest.fixture
def standing(tmp_path: Path) -> Iterator[Standing]:
    rack = Standing(tmp_path, tmp_path / "runs", tmp_path / "bay.yaml")
    process = rack.start("simulate", "bench4", "--pace", "20", "--bay-out", str(rack.bay))
    try:
        wait_for(rack.bay.exists, process)
        text = rack.bay.read_text("utf-8")
        # No lease runs out here: whatever ends a load is the watchdog.
        rack.bay.write_text(text.replace("      data.nic-0:", "      lease: 3000\n      data.nic-0:"), "utf-8")
        yield rack
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=PATIENCE)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def watchdog_of(process: subprocess.Popen[str]) -> int:
    (found,) = children(process.pid, "watchdog_process")
    return found


def kill(process: subprocess.Popen[str]) -> None:
    """The station's whole process group, as `kill -9` of a shell's job does."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=PATIENCE)


def test_kill_9_under_load(standing: Standing) -> None:
    process = standing.run(BURN_IN)
    wait_for(standing.burning, process)
    watchdog = watchdog_of(process)
    kill(process)
    wait_for(lambda: gone(watchdog))
    assert not standing.burning()
    lines = standing.recorded()
    assert {line["device"] for line in lines if line["action"] == "stop loads" and line["confirmed"]} == {
        f"tray-0{number}-host" for number in range(1, 5)
    }
    assert (lines[-1]["device"], lines[-1]["action"], lines[-1]["confirmed"]) == ("rack", "make safe", True)
    journal = journal_of(standing.runs)
    assert journal is not None
    assert read_journal(journal).entries, "the journal is left as the station wrote it"
    derived = rackproof("report", str(journal.parent))
    assert derived.returncode == 0, derived.stderr
    assert "watchdog" in (journal.parent / "report.html").read_text("utf-8")
    checked = rackproof("verify", str(journal.parent))
    assert (checked.returncode, "ABORTED" in checked.stdout) == (0, True), checked.stdout


def test_kill_9_of_the_watchdog_too_leaves_the_leases(standing: Standing) -> None:
    text = standing.bay.read_text("utf-8")
    standing.bay.write_text(text.replace("lease: 3000", "lease: 3"), "utf-8")
    process = standing.run(BURN_IN)
    wait_for(standing.burning, process)
    watchdog = watchdog_of(process)
    os.kill(watchdog, signal.SIGKILL)
    kill(process)
    wait_for(lambda: not standing.burning())
    journal = journal_of(standing.runs)
    assert journal is not None
    assert not (journal.parent / "watchdog.jsonl").exists()
    assert any(isinstance(entry.event, StepStarted) for entry in read_journal(journal).entries)


@pytest.mark.long
def test_kill_9_while_a_feed_is_off_brings_it_back(standing: Standing) -> None:
    process = standing.run(POWER)
    wait_for(lambda: said_in(standing.runs, "feed pdu-a off"), process)
    watchdog = watchdog_of(process)
    kill(process)
    wait_for(lambda: gone(watchdog))
    back = {line["action"] for line in standing.recorded() if line["device"] == "pdu-a" and line["confirmed"]}
    assert back == {f"switch outlet {number} back on" for number in range(1, 5)}


@pytest.mark.long
def test_a_station_that_stands_still_is_relieved_and_stops_when_it_is_back(standing: Standing) -> None:
    process = standing.run(BURN_IN)
    wait_for(standing.burning, process)
    os.kill(process.pid, signal.SIGSTOP)
    found = journal_of(standing.runs)
    assert found is not None
    written = found.parent / "watchdog.jsonl"
    wait_for(lambda: written.exists() and '"make safe"' in written.read_text("utf-8"))
    assert not standing.burning()
    os.kill(process.pid, signal.SIGCONT)
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 4, said
    events = [entry.event for entry in read_journal(found).entries]
    (stop,) = [event for event in events if isinstance(event, StopRequested)]
    assert (stop.by, "the station hangs" in stop.text) == ("the watchdog", True)
    assert (found.parent / "attachments" / "watchdog.jsonl").exists()
    assert rackproof("verify", str(found.parent)).returncode == 0


def test_a_run_whose_watchdog_is_killed_does_not_go_on(standing: Standing, tmp_path: Path) -> None:
    plan = tmp_path / "test_own.py"
    mark = 'pytestmark = pytest.mark.stage("own")\n\n\n@pytest.mark.measures("thermal.flow")\n'
    step = 'async def test_it(measure):\n    """It waits."""\n    await asyncio.sleep(600)\n'
    plan.write_text(f'"""A plan."""\nimport asyncio\nimport pytest\n\n{mark}{step}', "utf-8")
    process = standing.run(str(plan))
    wait_for(lambda: said_in(standing.runs, "StepStarted"), process)
    os.kill(watchdog_of(process), signal.SIGKILL)
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 4, said
    assert "the watchdog's process has ended; a run must not go on unwatched" in " ".join(said.split())
