"""A simulated rack for one run: its own process, reached like any other rack, gone when the run is."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from harness.errors import DefinitionError
from harness.proof.campaign import Running
from harness.proof.forked import RACK, Forked, is_preloaded

PACE = 20.0
"""Rack seconds per wall second, unless asked otherwise: a plan of a quarter of an hour in less than a minute."""
READY_WITHIN = 60.0
"""Wall seconds for the simulated rack to stand."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """Which rack to simulate, and what is wrong with it."""

    model: Path
    faults: tuple[str, ...] = ()
    seed: int = 1
    pace: float = PACE
    replay: Path | None = None
    """The directory of a recorded run whose telemetry is played back."""


def simulator_command(model: Path, *arguments: str) -> list[str]:
    """The command line of the simulated rack's own process."""
    return [sys.executable, "-m", "fixtures", str(model), *arguments]


@contextlib.contextmanager
def simulated_rack(simulation: Simulation, folder: Path, output: TextIO) -> Iterator[Path]:
    """Run a simulated rack while inside; yields its bay file. Raises DefinitionError with what it complained about."""
    bay = folder / "bay.yaml"
    words = ["--seed", str(simulation.seed), "--pace", str(simulation.pace)]
    words += ["--bay-out", str(bay), "--dir", str(folder)]
    for fault in simulation.faults:
        words += ["--fault", fault]
    if simulation.replay is not None:
        words += ["--replay", str(simulation.replay)]
    words += ["--parent-pid", str(os.getpid())]
    said = folder / "simulator.log"
    process = _start(simulation.model, words, said)
    try:
        _wait_until_ready(process, bay, said, output)
        yield bay
    finally:
        _end(process)


def _start(model: Path, words: Sequence[str], said: Path) -> Running:
    """In a session of its own: Ctrl-C at the station must not take the rack away while it is being made safe."""
    if is_preloaded():
        return Forked(RACK, [str(model), *words], said)
    with said.open("wb") as log:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and package
            simulator_command(model, *words), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def _wait_until_ready(process: Running, bay: Path, said: Path, output: TextIO) -> None:
    began = time.monotonic()
    told = False
    while not bay.exists():
        if process.poll() is not None:
            lines = said.read_text("utf-8", "replace").strip().splitlines()
            raise DefinitionError("\n".join(lines[-20:]) or "the simulated rack ended without a word")
        waited = time.monotonic() - began
        if waited > READY_WITHIN:
            raise DefinitionError(f"the simulated rack was not ready within {READY_WITHIN:.0f} s")
        if waited > 2 and not told:
            told = True
            output.write("starting the simulated rack …\n")
            output.flush()
        time.sleep(0.05)


def _end(process: Running) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
