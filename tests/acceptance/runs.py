"""Whole runs of the command against simulated racks, as a user starts them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

ROOT = Path(__file__).parents[2]
RACKPROOF = (sys.executable, "-m", "harness")
SLOWEST = 300
"""Wall seconds after which a run counts as hung."""


@dataclass(frozen=True)
class Run:
    """One finished run of `rackproof run --json`."""

    code: int
    result: dict[str, Any]
    said: str
    directory: Path

    def failed(self) -> set[tuple[str, str]]:
        """Key and subject of every failed measurement."""
        return {(each["key"], each["subject"]) for each in self.result["failed"]}

    def stages(self) -> set[str]:
        """The stages in which anything failed."""
        return {each["stage"] for each in self.result["failed"]}


def rackproof(
    *arguments: str, timeout: float = SLOWEST, variables: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, with these environment variables beside the usual ones."""
    environment = {**os.environ, **variables}
    return subprocess.run(
        [*RACKPROOF, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def simulate(runs: Path, *arguments: str) -> Run:
    """Accept a simulated bench4."""
    done = rackproof("run", "--simulate", "bench4", "--runs", str(runs), "--json", *arguments)
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 1, f"exit code {done.returncode}: {done.stderr[-2000:]}"
    result = json.loads(lines[0])
    return Run(done.returncode, result, done.stderr, Path(result["run_dir"]))


class Runs:
    """Starts each scenario once, in the background, as soon as its first test is collected."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pool = ThreadPoolExecutor(max_workers=2)
        self._started: dict[tuple[str, ...], Future[Run]] = {}

    def start(self, *arguments: str) -> Future[Run]:
        """The run with these arguments, started now unless it was before."""
        if arguments not in self._started:
            self._started[arguments] = self._pool.submit(simulate, self._folder, *arguments)
        return self._started[arguments]

    def close(self) -> None:
        """Wait for what is under way; start nothing more."""
        self._pool.shutdown(wait=True, cancel_futures=True)
