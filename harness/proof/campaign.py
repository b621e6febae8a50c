"""Many runs side by side, each a process of its own in a folder of its own; none outlives the proof.

Ended by Ctrl-C, the runs are told to make their racks safe and waited for. Killed outright, every run notices by itself
that its parent is gone (`rackproof run --parent-pid`), and its simulated rack notices that it is.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.errors import RackproofError
from harness.journal.reader import read_journal
from harness.proof.judging import Ran, Watching
from harness.proof.results import Fault
from harness.verdict import EXIT_CODES, fold

POLL = 0.1
"""Wall seconds between two looks at the runs."""
PATIENCE = 45.0
"""Wall seconds for runs that are ended to make their racks safe."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run: a fault, or a healthy rack where there is none, of one seed."""

    fault: Fault | None
    seed: int


@dataclass(frozen=True, slots=True)
class Finished:
    """A job that is over. `run_dir` is there until the next one is asked for; None where there is none."""

    job: Job
    ran: Ran
    run_dir: Path | None
    took: float
    """Wall seconds."""


class Running(Protocol):
    """A process as `subprocess.Popen` has it; `wait` may return before its time is over, or raise TimeoutExpired."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int | None: ...
    def send_signal(self, sig: int, /) -> None: ...


@dataclass(slots=True)
class _Under:
    """A job under way. `watching` follows its journal, of which `read` octets were looked at; `told`: to stop."""

    job: Job
    folder: Path
    process: Running
    began: float
    watching: Watching | None
    read: int = 0
    told: bool = False


Start = Callable[[Job, Path, Path], Running]
"""Starts a job, given the folder that its run directory goes into and the file for what it says; leads its session."""


def run_all(
    jobs: Sequence[Job], start: Start, folder: Path, *, at_once: int, limit: float, quick: bool = False
) -> Generator[Finished, None, None]:
    """Run every job, `at_once` of them at a time, each for `limit` wall seconds at most; yields them as they end.

    With `quick` a run is told to stop as soon as its fault is caught by its own check. To be closed
    (`contextlib.closing`): that ends what is under way.
    """
    waiting = list(enumerate(jobs))[::-1]
    under_way: list[_Under] = []
    try:
        while waiting or under_way:
            while waiting and len(under_way) < at_once:
                number, job = waiting.pop()
                under_way.append(_start(job, start, folder / f"{number:05d}"))
            for one in [one for one in under_way if _is_over(one, limit)]:
                under_way.remove(one)
                yield _finish(one, limit)
                shutil.rmtree(one.folder, ignore_errors=True)
            for one in under_way if quick else ():
                _stop_if_caught(one)
            time.sleep(POLL)
    finally:
        _end(under_way)


def _start(job: Job, start: Start, folder: Path) -> _Under:
    runs = folder / "runs"
    runs.mkdir(parents=True)
    said = folder / "said"
    said.touch()
    # A session of its own: Ctrl-C reaches the proof, which then ends its runs one by one and in order.
    process = start(job, runs, said)
    return _Under(job, folder, process, time.monotonic(), Watching(job.fault) if job.fault else None)


def _is_over(one: _Under, limit: float) -> bool:
    return one.process.poll() is not None or time.monotonic() - one.began > limit


def _stop_if_caught(one: _Under) -> None:
    """End a run that cannot tell any more: its fault is caught, and the verdict only ever gets worse."""
    watching, journal = one.watching, _journal(one)
    if one.told or watching is None or journal is None:
        return
    with journal.open("rb") as file:
        file.seek(one.read)
        lines = file.read().split(b"\n")[:-1]
    one.read += sum(len(line) + 1 for line in lines)
    if any(watching.is_caught(line) for line in lines):
        one.told = True
        one.process.send_signal(signal.SIGTERM)


def _journal(one: _Under) -> Path | None:
    return next(iter((one.folder / "runs").glob("*/journal.jsonl")), None)


def _finish(one: _Under, limit: float) -> Finished:
    took = time.monotonic() - one.began
    hung = one.process.poll() is None
    _end([one])
    journal = _journal(one)
    if hung:
        problem = f"it hung: no end after {limit:.0f} s"
    elif journal is None:
        said = (one.folder / "said").read_text("utf-8", "replace").strip().splitlines()
        problem = f"it did not begin (exit code {one.process.returncode}): {said[-1] if said else 'no word of why'}"
    else:
        problem = ""
    ran = _read(journal, problem, one.process.returncode)
    return Finished(one.job, ran, journal.parent if journal else None, took)


def _read(journal: Path | None, problem: str, code: int | None) -> Ran:
    if journal is None:
        return Ran(problem=problem)
    try:
        entries = read_journal(journal).entries
    except RackproofError as error:
        return Ran(problem=problem or str(error))
    history = journal.parent / "attachments" / "simulation.jsonl"
    said = history.read_text("utf-8", "replace") if history.is_file() else None
    verdict = fold(entries).verdict
    if not problem and code != EXIT_CODES[verdict]:
        problem = f"its journal says {verdict}, and it ended with exit code {code}"
    return Ran(entries, said, problem)


def _end(under_way: Sequence[_Under]) -> None:
    """Tell runs to stop, wait until their racks are safe, and kill what is left."""
    left = [one.process for one in under_way if one.process.poll() is None]
    try:
        for process in left:
            process.send_signal(signal.SIGTERM)
        until = time.monotonic() + PATIENCE
        for process in left:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))
    finally:
        for process in left:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
