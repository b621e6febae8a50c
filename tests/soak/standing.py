"""A rack that stands for hours, and a run that watches it: each a process of its own, and the run's is looked at."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.soak.findings import Findings, Look, findings
from tests.soak.rack import ROOT, schedule, write_model, write_plan

RACKPROOF = (sys.executable, "-m", "harness")
EVERY = 2.0
"""Wall seconds between two looks at the station's process."""
PATIENCE = 120.0
"""Wall seconds for a process to stand, and to end."""


@contextlib.contextmanager
def _process(command: list[str], said: Path) -> Iterator[subprocess.Popen[bytes]]:
    with said.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file, stdin=subprocess.DEVNULL)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()  # a shell may have started this one deaf to Ctrl-C
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(PATIENCE)
            if process.poll() is None:
                process.kill()
                process.wait()


def soak(folder: Path, hours: float, pace: float) -> Findings:
    """Hold a simulated rack under load for so many rack hours and say what became of the watch over it."""
    folder.mkdir(parents=True, exist_ok=True)
    model, bay, runs = write_model(folder, hours), folder / "bay.yaml", folder / "runs"
    faults = [word for fault in schedule() for word in ("--fault", fault)]
    rack = [*RACKPROOF, "simulate", str(model), "--pace", f"{pace:g}", "--bay-out", str(bay), *faults]
    run = [*RACKPROOF, "run", "--model", str(model), "--bay", str(bay), "--serial", "SOAK-1"]
    with _process(rack, folder / "rack.txt") as standing:
        until = time.monotonic() + PATIENCE
        while not bay.exists():
            assert standing.poll() is None, (folder / "rack.txt").read_text("utf-8", "replace")
            assert time.monotonic() < until, "the simulated rack does not stand"
            time.sleep(0.1)
        with _process([*run, "--plan", str(write_plan(folder)), "--runs", str(runs)], folder / "run.txt") as station:
            looks = list(_watch(station, hours * 3600.0 / pace + 20 * PATIENCE))
    return findings(next(runs.glob("*/journal.jsonl")).parent, looks, pace, station.returncode)


def _watch(station: subprocess.Popen[bytes], longest: float) -> Iterator[Look]:
    """Looks at a process until it ends."""
    began = time.monotonic()
    while station.poll() is None:
        assert time.monotonic() - began < longest, "the run does not end"
        place = Path(f"/proc/{station.pid}")
        with contextlib.suppress(OSError, ValueError):
            resident = int((place / "statm").read_text("utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")
            files, threads = len(list((place / "fd").iterdir())), len(list((place / "task").iterdir()))
            yield Look(time.monotonic() - began, resident, files, threads)
        time.sleep(EVERY)
