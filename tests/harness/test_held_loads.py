"""Loads held on several hosts: one host that cannot be asked takes no other one's evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from drivers.host.record import job_of
from drivers.host.tools import Spec
from harness.capabilities import Job, Load
from harness.errors import Unreachable
from harness.rack.definition import RackDefinition
from harness.verdict import RunSummary, Verdict
from tests.failopen.bench import JUDGED, Bench, Tiny

BURNED = (
    "\r100.0%  proc'd: 50 (900 Gflop/s) - 51 (900 Gflop/s)   errors: 0 - 0   temps: 60 C - 61 C \n\n"
    "Tested 2 GPUs:\n\tGPU 0: OK\n\tGPU 1: OK\n"
)
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
        facts = {"name": wanted, "known": "yes", "rc": "0", "boot": "same", "alive": "0"}
        return job_of(facts, BURNED, Spec.of(asked[-1]))

    def start(load: Load) -> Job:
        asked.append(load)
        return job(load.name)

    return Tiny(name, start=start, job=job, stop=job, stop_all=(), renew=None, lease=30.0)


def rack(bench: Bench) -> RackDefinition:
    loads: dict[str, Any] = {"diagnostic": {"kind": "accelerator", "tool": "gpu-burn", "seconds": 1, "limit": 40}}
    return bench.rack(JUDGED, SLOTS, loads=loads)


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
