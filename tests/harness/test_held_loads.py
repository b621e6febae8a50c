"""Loads held on several hosts: one host that cannot be asked takes no other one's evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from drivers.host.record import job_of
from drivers.host.tools import Spec
from harness.errors import Unreachable
from harness.rack.definition import RackDefinition
from harness.verdict import RunSummary, Verdict
from harness.workload import Job, Load
from tests.failopen.bench import JUDGED, Bench, Tiny

BURNED = (
    "\r100.0%  proc'd: 50 (900 Gflop/s) - 51 (900 Gflop/s)   errors: 0 - 0   temps: 60 C - 61 C \n\n"
    "Tested 2 GPUs:\n\tGPU 0: OK\n\tGPU 1: OK\n"
)
FACTS = {"known": "yes", "rc": "0", "boot": "same", "alive": "no"}
TAKES = "rack, hosts, measure"
SLOTS = {"tray-01": ["compute_tray", "host"], "tray-02": ["compute_tray", "host"]}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr("harness.loads._look", lambda rack: 1.0)
    return Bench(tmp_path)


def host(name: str, gone: Unreachable | None) -> Tiny:
    """A host whose burn ends well, or one that nobody reaches: it does not even say how long its lease is."""
    if gone is not None:
        return Tiny(name, start=gone, job=gone, stop=gone, stop_all=gone)
    asked: list[Load] = []

    def job(wanted: str) -> Job:
        return job_of(dict(FACTS, name=wanted), BURNED, Spec.of(asked[-1]))

    def start(load: Load) -> Job:
        asked.append(load)
        return job(load.name)

    return Tiny(name, start=start, job=job, stop=job, stop_all=(), renew=None, lease=30.0)


def rack(bench: Bench, **load: Any) -> RackDefinition:
    burn = {"kind": "accelerator", "tool": "gpu-burn", "seconds": 1, "limit": 40}
    return bench.rack(JUDGED, SLOTS, loads={"diagnostic": burn | load})


def run(bench: Bench, gone: Unreachable | None) -> RunSummary:
    drivers = (host("tray-01-host", gone), host("tray-02-host", None))
    return bench.run(rack(bench), bench.shipped("test_40_burn_in", "test_diagnostic"), *drivers)


def judged(bench: Bench) -> set[str]:
    return {measured.subject for measured in bench.measured()}


def test_a_host_that_could_never_be_asked_is_named_and_the_others_are_judged(bench: Bench) -> None:
    assert run(bench, None).verdict is Verdict.PASS
    everything = judged(bench)
    assert {subject.split("/")[0] for subject in everything} == {"tray-01", "tray-02"}

    summary = run(bench, Unreachable("tray-01-host", "run a load", "no answer", "Look at its console."))
    assert summary.verdict is Verdict.INCONCLUSIVE
    assert "tray-01-host" in summary.reasons[0]
    assert judged(bench) == {subject for subject in everything if subject.startswith("tray-02")}


AFTER_A_BREAK = """
rack.keep("time under diagnostic", 880.0, lasts=True)
held = await hold(rack, hosts, "diagnostic", text="on")
for host in hosts:
    measure("burn_in.load.exit_code", held.jobs[host.slot].exit_code, host.slot)
"""


@pytest.mark.parametrize(
    ("adds_up", "seconds", "asked"), [(True, 1000.0, 120.0), (True, 2000.0, 1120.0), (False, 1000.0, 1000.0)]
)
def test_time_under_a_load_adds_up_across_a_break_only_where_the_model_says_so(
    bench: Bench, adds_up: bool, seconds: float, asked: float
) -> None:
    """A load goes on for the rest of its time, and long enough to be measured."""
    loads: list[Load] = []

    def start(load: Load) -> Job:
        loads.append(load)
        return job(load.name)

    def job(name: str) -> Job:
        return job_of(dict(FACTS, name=name), BURNED, Spec.of(loads[-1]))

    drivers = [
        Tiny(f"{slot}-host", start=start, job=job, stop=job, stop_all=(), renew=None, lease=30.0) for slot in SLOTS
    ]
    definition = rack(bench, adds_up=adds_up, seconds=seconds, limit=4000)
    step = bench.step(AFTER_A_BREAK, marks='@pytest.mark.measures("burn_in.load.exit_code", per="host")', takes=TAKES)
    bench.run(
        definition, step.replace("import asyncio\n", "import asyncio\nfrom harness.loads import hold\n"), *drivers
    )
    assert {load.seconds for load in loads} == {asked}
