"""Whole runs of the command against simulated racks, as a user starts them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from harness.rack.load import model_path
from tests.acceptance.watch import watched

ROOT = Path(__file__).parents[2]
RACKPROOF = (sys.executable, "-m", "harness")
SLOWEST = 600
"""Wall seconds after which a run counts as hung."""


@dataclass(frozen=True)
class Run:
    """One finished run of `rackproof run --json`."""

    code: int
    result: dict[str, Any]
    said: str
    directory: Path
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Every secret of the simulated rack, by name."""
    exposed: tuple[str, ...] = ()
    """Where a secret stood in a command line or an environment while the run was under way."""

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
    runs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=runs) as own, watched(Path(own)) as watch:
        words = ("run", "--simulate", "bench4", "--runs", str(runs), "--json", *arguments)
        done = rackproof(*words, variables={"TMPDIR": own})
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 1, f"exit code {done.returncode}: {done.stderr[-2000:]}"
    result = json.loads(lines[0])
    exposed = tuple(sorted(watch.exposed))
    return Run(done.returncode, result, done.stderr, Path(result["run_dir"]), dict(watch.secrets), exposed)


PROVE = "prove"
INTAKE = ROOT / "test_plans" / "rack" / "test_10_intake.py"
SAMPLE = ("tray-02.bios.firmware.wrong", "switch-1.swp4.cable.unplugged", "cdu-1.leak")
"""A fault that intake catches, one that it cannot see, and one that never begins without a load."""


def prove(folder: Path) -> Run:
    """Prove a plan of one stage, on a model that limits nothing else, with a sample of faults and two healthy seeds.

    Its runs go one after another, so that no more of them are under way than without it.
    """
    plan, model = folder / "intake", folder / "bench4-intake.yaml"
    plan.mkdir(parents=True)
    shutil.copy(INTAKE, plan)
    whole = yaml.safe_load(model_path("bench4").read_text("utf-8"))
    listed = json.loads(rackproof("plan", str(plan), "--model", "bench4", "--json").stdout)["limits"]
    whole["limits"] = {key: limit for key, limit in whole["limits"].items() if listed[key]}
    # Loads that nothing judges are refused; those that are judged by what is left in the model may stay.
    whole["loads"] = {name: load for name, load in whole["loads"].items() if name in ("burn-in", "thermal", "traffic")}
    model.write_text(yaml.safe_dump(whole | {"name": "bench4-intake"}, sort_keys=False), "utf-8")
    chosen = [word for spec in SAMPLE for word in ("--fault", spec)]
    done = rackproof(
        "prove", str(plan), str(model), *chosen, "--seeds", "2", "--jobs", "1", "--json", timeout=3 * SLOWEST
    )
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 1, f"exit code {done.returncode}: {done.stderr[-2000:]}"
    return Run(done.returncode, json.loads(lines[0]), done.stderr, folder)


class Runs:
    """Starts each scenario once, in the background, as soon as its first test is collected."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pool = ThreadPoolExecutor(max_workers=2)
        self._started: dict[tuple[str, ...], Future[Run]] = {}

    def start(self, *arguments: str) -> Future[Run]:
        """The run with these arguments, started now unless it was before."""
        if arguments not in self._started:
            if arguments == (PROVE,):
                self._started[arguments] = self._pool.submit(prove, self._folder / PROVE)
            else:
                self._started[arguments] = self._pool.submit(simulate, self._folder, *arguments)
        return self._started[arguments]

    def close(self) -> None:
        """Wait for what is under way; start nothing more."""
        self._pool.shutdown(wait=True, cancel_futures=True)
