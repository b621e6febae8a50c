"""The station is killed at any instant of burn-in on four hosts and comes back: no load is lost, doubled, left over.

The hosts are in a process of their own. Which instant it is comes of a seed; `--long` kills at twenty.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.runs import ROOT
from tests.acceptance.station import LOADS
from tests.acceptance.test_stopping import PATIENCE, wait_for

HOSTS = 4
KEPT, SHORT = 120.0, 3.0
"""Wall seconds of a lease: one that no stall of a busy machine outlasts, and one whose end is waited for."""
LATEST = 4.0
"""Wall seconds after its start at which a station is killed at the latest: by then it is about done."""
ROUNDS = [*range(2), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 20))]


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    """Four hosts that stay whatever becomes of a station."""
    folder = tmp_path_factory.mktemp("hosts")
    command = [sys.executable, "-m", "tests.acceptance.hosts", str(folder), str(HOSTS)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.communicate(timeout=PATIENCE)


def station(hosts: list[dict[str, Any]], run: str, folder: Path, lease: float) -> subprocess.Popen[str]:
    """Start a station, or start it again."""
    command = [sys.executable, "-m", "tests.acceptance.station", json.dumps(hosts), run, str(folder), str(lease)]
    return subprocess.Popen(command, cwd=ROOT, text=True)


def running(host: dict[str, Any], run: str) -> list[str]:
    """What still runs on a host for a run, found by its environment: command lines."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"RACKPROOF_JOB={host['home']}/.rackproof/jobs/{run}-".encode() in environ.read_bytes():
                found.append((environ.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def started(host: dict[str, Any], run: str) -> list[str]:
    """The loads that ever began on a host for a run; one that began twice is in it twice."""
    starts = Path(host["home"]) / "starts"
    lines = starts.read_text().split() if starts.exists() else []
    return sorted(line for line in lines if line.startswith(f"{run}-"))


@pytest.mark.parametrize("seed", ROUNDS)
def test_kill_9_at_any_instant(hosts: list[dict[str, Any]], tmp_path: Path, seed: int) -> None:
    chance, run = random.Random(seed), f"run{seed}"
    deserted = seed % 5 == 1
    """Whether the station stays away until every lease is over."""
    lease = SHORT if deserted else KEPT
    for _ in range(chance.choice((1, 1, 2))):
        process = station(hosts, run, tmp_path, lease)
        try:
            process.wait(chance.uniform(0.0, LATEST))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        assert process.wait(PATIENCE) in (0, -signal.SIGKILL)
    if deserted:
        wait_for(lambda: not any(running(host, run) for host in hosts))
    last = station(hosts, run, tmp_path, lease)
    try:
        assert last.wait(PATIENCE) == 0
    finally:
        last.kill()
        last.wait()
    names = sorted(f"{run}-{name}" for name in LOADS)
    results = json.loads((tmp_path / "result.json").read_text())
    for number, (host, ended) in enumerate(zip(hosts, results, strict=True), 1):
        assert started(host, run) == names, "every load began once and no more"
        # A load says its result just before its last process goes.
        wait_for(lambda host=host: not running(host, run))  # type: ignore[misc]
        for name in names:
            job, whole = ended[name], Path(host["home"]) / ".rackproof" / "jobs" / name / "out"
            assert (tmp_path / f"{number}-{name}.txt").read_bytes() == whole.read_bytes(), "no octet lost or doubled"
            assert not job["restarted"]
            if job["state"] == "lost":
                assert deserted
            elif name.endswith("endless"):
                assert (job["state"], job["exit_code"]) == ("done", 124), "its limit has ended it"
            else:
                assert (job["state"], job["exit_code"], job["work"]) == ("done", 0, [20.0])


def test_a_station_that_never_comes_back_leaves_nothing_running(hosts: list[dict[str, Any]], tmp_path: Path) -> None:
    process = station(hosts, "alone", tmp_path, SHORT)
    try:
        wait_for(lambda: all(len(started(host, "alone")) == len(LOADS) for host in hosts), process)
    finally:
        process.kill()
        process.wait()
    wait_for(lambda: not any(running(host, "alone") for host in hosts))
