"""Every fault of the catalogue is caught, by the check that is there for it, on the subject that has it.

The short suite puts faults of different domains into one rack, since they compose; the long one runs each by itself.
"""

from __future__ import annotations

import json

import pytest

from fixtures.faults import catalogue
from fixtures.identity import tags
from fixtures.layout import lay_out
from harness.journal.events import MadeSafe, SafetyAction, StepFinished, Tripped
from harness.journal.reader import read_journal
from harness.proof.judging import Ran, judge_fault
from harness.proof.results import Catch, Fault, read_catalogue
from harness.rack.load import load_model, model_path
from harness.verdict import fold
from tests.acceptance.runs import Run, Runs, rackproof

MODEL = load_model(model_path("bench4"))
CATALOGUE = read_catalogue(catalogue(lay_out(MODEL), tags(MODEL, 1)))

TOGETHER = {
    "switch-1.swp1.cable.swapped": ("link.neighbour", "switch-1/swp1"),
    "pdu-a.1.cord.swapped": ("power.outlet.feeds", "pdu-a/1"),
    "tray-03.cold_plate.clogged=2.0": ("thermal.plate.outlier", "tray-03/accelerator-0"),
    "tray-02.bios.firmware.wrong": ("firmware.version", "tray-02/bios"),
    "tray-01.memory-1.part_number.wrong": ("parts.part_number", "tray-01/memory-1"),
    "tray-02.accelerator-1.ecc_errors=1": ("burn_in.ecc.uncorrected", "tray-02/accelerator-1"),
    "tray-04.accelerator-2.compute.slow=0.8": ("performance.accelerator.compute", "tray-04/accelerator-2"),
    "tray-03.memory.bit_flips": ("burn_in.load.errors", "tray-03/memory-test"),
    "switch-1.swp6.optic.dirty": ("link.ber.raw", "switch-1/swp6"),
    "switch-1.swp4.counters.cleared=30": ("link.throughput", "switch-1/swp4"),
    "tray-04.accelerator-0.die_sensor.offset=8": ("thermal.plate.outlier", "tray-04/accelerator-0"),
}
APART = {
    "cdu-1.supply_sensor.offset=2": ("thermal.heat_balance", "cdu-1"),
    "cdu-1.pump-1.failed": ("pump.running", "cdu-1/pump-1"),
}


def faults(*specs: str) -> list[str]:
    """Command line arguments that put these faults into the rack."""
    return [word for spec in specs for word in ("--fault", spec)]


@pytest.mark.scenario(*faults(*TOGETHER))
def test_faults_of_every_domain_are_each_caught_by_their_own_check(run: Run) -> None:
    assert (run.code, run.result["verdict"]) == (1, "FAIL")
    assert set(TOGETHER.values()) <= run.failed()


@pytest.mark.scenario(*faults(*TOGETHER))
def test_nothing_else_is_blamed(run: Run) -> None:
    """What fails is what is faulty, its twin in a swap, or a second symptom of the same part."""
    excused = {subject for _, subject in TOGETHER.values()} | {
        "switch-1/swp3",
        "pdu-a/2",
        "tray-02",
        "tray-02/diagnostic",
    }
    assert {subject for _, subject in run.failed()} <= excused


@pytest.mark.scenario(*faults(*APART))
def test_faults_of_the_coolant_unit_are_told_apart(run: Run) -> None:
    assert (run.code, run.result["verdict"]) == (1, "FAIL")
    assert set(APART.values()) <= run.failed()
    assert {subject.partition("/")[0] for _, subject in run.failed()} == {"cdu-1"}


@pytest.mark.scenario("--fault", "cdu-1.leak")
def test_a_leak_trips_at_once_and_the_rack_is_made_safe(run: Run) -> None:
    assert (run.code, run.result["verdict"]) == (1, "FAIL")
    assert [(trip["interlock"], trip["subject"]) for trip in run.result["trips"]] == [("coolant-leak", "cdu-1")]
    assert run.result["made_safe"] is True
    entries = read_journal(run.directory / "journal.jsonl").entries
    history = (run.directory / "attachments" / "simulation.jsonl").read_text("utf-8").splitlines()
    (began,) = [json.loads(line)["monotonic"] for line in history]
    tripped = next(entry for entry in entries if isinstance(entry.event, Tripped))
    # How fast is measured by hand, a shared machine proves nothing; here: in the very step that was running.
    assert tripped.mono >= began
    ended = next(entry.event for entry in entries[tripped.seq :] if isinstance(entry.event, StepFinished))
    assert ended.outcome == "stopped"
    assert "burn_in" in ended.step
    cut = [entry.event for entry in entries if isinstance(entry.event, SafetyAction) and "outlet" in entry.event.action]
    assert len(cut) == 8
    assert all(action.confirmed for action in cut)
    assert any(isinstance(entry.event, MadeSafe) and entry.event.confirmed for entry in entries)


@pytest.mark.scenario("--fault", "tray-02.bmc.silent")
def test_a_silent_bmc_is_never_a_pass_and_its_tray_is_not_left_under_load(run: Run) -> None:
    assert (run.code, run.result["verdict"]) == (3, "INCONCLUSIVE")
    assert any("tray-02" in reason for reason in run.result["reasons"])
    assert run.result["made_safe"] is True


def test_the_catalogue_is_what_the_command_lists() -> None:
    listed = json.loads(rackproof("simulate", "--list-faults", "--json").stdout)
    assert read_catalogue(listed) == CATALOGUE
    assert len(CATALOGUE) >= 60


ALONE = [
    pytest.param(fault, id=fault.spec, marks=pytest.mark.scenario("--fault", fault.spec, "--no-reports"))
    for fault in CATALOGUE
]


@pytest.mark.long
@pytest.mark.parametrize("fault", ALONE)
def test_each_fault_by_itself_is_caught_by_its_own_check(fault: Fault, run: Run) -> None:
    """At its smallest size; judged as a proof judges it."""
    entries = read_journal(run.directory / "journal.jsonl").entries
    history = (run.directory / "attachments" / "simulation.jsonl").read_text("utf-8")
    proof = fold(entries).proof
    assert proof is not None
    result = judge_fault(fault, Ran(entries, history), proof.running)
    assert result.catch is Catch.RIGHT, f"wanted {fault.check} on {fault.subject}; {result.text}; {result.found[:5]}"
    assert result.verdict == run.result["verdict"] != "PASS"


@pytest.mark.long
def test_healthy_racks_of_twenty_seeds_pass(runs: Runs) -> None:
    started = [runs.start("--seed", str(seed)) for seed in range(1, 21)]
    ended = [future.result() for future in started]
    assert [run.result["reasons"] for run in ended if run.code != 0] == []


@pytest.mark.scenario("--seed", "7")
def test_a_healthy_rack_of_another_seed_passes(run: Run) -> None:
    assert (run.code, run.result["reasons"]) == (0, [])
