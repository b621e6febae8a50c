"""The proof that the shipped plan comes with: of every fault that there is now, and by the right checks."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from harness.proof.matrix import RIGHT_SHARE
from harness.proof.record import decode, path_beside
from harness.proof.results import Catch
from harness.simulation import simulator_command

PLANS = Path(__file__).parents[3] / "test_plans"


def test_the_shipped_plan_catches_every_fault_that_the_simulated_rack_has() -> None:
    proof = decode(path_beside(PLANS / "rack", "bench4").read_bytes())
    command = simulator_command(PLANS / "models" / "bench4.yaml", "--list-faults", "--json")
    known = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert {result.fault.name for result in proof.faults} == {fault["name"] for fault in known}
    assert [result.fault.spec for result in proof.faults if result.catch in (Catch.MISSED, Catch.NOT_RUN)] == []
    assert proof.count(Catch.RIGHT) >= RIGHT_SHARE * len(proof.faults)


def test_the_shipped_plan_accused_no_sound_rack() -> None:
    proof = decode(path_beside(PLANS / "rack", "bench4").read_bytes())
    assert len(proof.healthy) == len(proof.judged) > 0
    assert proof.false_alarms == ()
