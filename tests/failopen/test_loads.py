"""Loads: what a tool prints is read by our own readers, and what it does not prove is not counted as done."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from drivers.host.record import job_of
from drivers.host.tools import Spec
from harness.rack.definition import RackDefinition
from harness.verdict import RunSummary, Verdict
from harness.workload import Job, Load
from tests.failopen.bench import FLOW, JUDGED, Bench, Tiny

BURNED = (
    "\r100.0%  proc'd: 50 (900 Gflop/s) - 51 (900 Gflop/s)   errors: {} - {}   temps: 60 C - 61 C \n\n"
    "Tested 2 GPUs:\n\tGPU 0: {}\n\tGPU 1: {}\n"
)
GOOD_BURN = BURNED.format(0, 0, "OK", "OK")


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at loads every 20th of a wall second."""
    monkeypatch.setattr("harness.loads._look", lambda rack: 1.0)


def on(gpu: int, status: str, **more: Any) -> dict[str, Any]:
    """One result of DCGM 4 on one accelerator."""
    return {"entity_group": "GPU", "entity_group_id": 1, "entity_id": gpu, "status": status} | more


def diagnosis(*results: dict[str, Any], name: str = "DCGM Diagnostic", summary: str = "Pass") -> str:
    """What `dcgmi diag -j` of DCGM 4 prints."""
    test = {"name": "memory", "results": list(results), "test_summary": {"status": summary}}
    return json.dumps({name: {"test_categories": [{"category": "Hardware", "tests": [test]}]}})


GOOD = diagnosis(on(0, "Pass"), on(1, "Pass"))


def diagnostic(bench: Bench, tool: str = "dcgmi-diag") -> RackDefinition:
    """A rack on which the shipped plan runs a diagnostic by itself."""
    loads = {"diagnostic": {"kind": "accelerator", "tool": tool, "seconds": 1, "limit": 40}}
    return bench.rack(JUDGED, loads=loads)


def run(bench: Bench, rack: RackDefinition, text: str, code: int = 0, **facts: str) -> RunSummary:
    """Run the diagnostic on a host whose tool printed this and ended so."""
    asked: list[Load] = []

    def job(name: str) -> Job:
        known = {"name": name, "known": "yes", "rc": str(code), "boot": "same", "alive": "no"} | facts
        return job_of(known, text, Spec.of(asked[-1]))

    def start(load: Load) -> Job:
        asked.append(load)
        return job(load.name)

    host = Tiny("tray-01-host", start=start, job=job, stop=job, stop_all=(), renew=None, lease=30.0)
    return bench.run(rack, bench.shipped("test_40_burn_in", "test_diagnostic"), host)


@pytest.mark.peer("gcm", "only the first of several results is read: accelerator 1 fails, OK", "executed")
def test_the_second_of_two_results(bench: Bench) -> None:
    """FAIL: every result of every accelerator is read."""
    rack = diagnostic(bench)
    bench.passes(run(bench, rack, GOOD))
    bench.ends(run(bench, rack, diagnosis(on(0, "Pass"), on(1, "Fail"))), Verdict.FAIL, "burn_in.load.errors is")


@pytest.mark.peer("gcm", "FAIL in capital letters is no Fail: OK", "executed")
def test_another_spelling_of_failed(bench: Bench) -> None:
    """FAIL: words are read in any case."""
    rack = diagnostic(bench)
    bench.passes(run(bench, rack, GOOD))
    bench.ends(run(bench, rack, diagnosis(on(0, "PASS"), on(1, "FAIL"))), Verdict.FAIL, "burn_in.load.errors is")


@pytest.mark.peer("gcm", "a document of DCGM 4 with a Fail is a WARN", "executed")
def test_a_failure_in_a_newer_document(bench: Bench) -> None:
    """FAIL: both shapes are known, and the summary counts where no accelerator is named."""
    rack = diagnostic(bench)
    bench.passes(run(bench, rack, GOOD))
    bench.ends(
        run(bench, rack, diagnosis(on(0, "Pass"), on(1, "Pass"), summary="Fail")),
        Verdict.FAIL,
        "burn_in.load.errors is",
    )


NOTHING_PROVEN = {
    "all skipped": diagnosis(on(0, "Skip"), on(1, "Skip"), summary="Skip"),
    "no category": json.dumps({"DCGM Diagnostic": {"test_categories": []}}),
    "no result": diagnosis(),
    "one accelerator twice": diagnosis(on(0, "Pass"), on(0, "Pass")),
    "an accelerator missing": diagnosis(on(0, "Pass")),
    "a word that nobody knows": diagnosis(on(0, "Pass"), on(1, "Fine")),
    "another document": diagnosis(on(0, "Pass"), on(1, "Pass"), name="DCGM Diagnostics 5"),
    "cut off": GOOD[: len(GOOD) // 2],
}
NO_WORK = ("all skipped", "no category", "no result", "one accelerator twice", "another document", "cut off")


@pytest.mark.peer("gcm", "all tests skipped, zero categories: OK", "executed")
def test_a_diagnostic_that_tested_nothing(bench: Bench) -> None:
    """FAIL or INCONCLUSIVE: no work was done, or nobody can tell what the tool found."""
    rack = diagnostic(bench)
    bench.passes(run(bench, rack, GOOD))
    for what, text in NOTHING_PROVEN.items():
        no_work = what in NO_WORK
        reason = "burn_in.load.work is 0" if no_work else "burn_in.load.errors could not be judged"
        bench.ends(run(bench, rack, text), Verdict.FAIL if no_work else Verdict.INCONCLUSIVE, reason)


@pytest.mark.peer(
    "CVS", "`command not found`, empty output and `Killed` of rvs: no word of failure in it, PASS", "executed"
)
def test_a_tool_that_printed_no_word_of_failure(bench: Bench) -> None:
    """FAIL: work is what the tool proves, and it proved none."""
    for tool, good in (("dcgmi-diag", GOOD), ("gpu-burn", GOOD_BURN)):
        rack = diagnostic(bench, tool)
        bench.passes(run(bench, rack, good))
        for text, code in (("sh: 1: rvs: command not found\n", 127), ("", 0), ("Killed\n", 137)):
            bench.ends(run(bench, rack, text, code), Verdict.FAIL, "is")


@pytest.mark.peer("CVS", "an output that ends in `Killed`", "executed")
def test_a_load_that_was_lost(bench: Bench) -> None:
    """FAIL: what did not end by itself did nothing, whatever it had printed by then."""
    rack = diagnostic(bench)
    bench.passes(run(bench, rack, GOOD))
    lost: tuple[dict[str, str], ...] = ({"rc": ""}, {"ended": "lease"}, {"known": "no"}, {"rc": "", "boot": "changed"})
    for facts in lost:
        bench.ends(run(bench, rack, GOOD, 0, **facts), Verdict.FAIL, "burn_in.load.work is 0")


@pytest.mark.peer("Checkbox", "PASS means exit code 0, and nothing else", "read")
def test_an_exit_code_of_zero_beside_a_faulty_accelerator(bench: Bench) -> None:
    """FAIL: gpu-burn ends with 0 and says FAULTY; what it says counts."""
    rack = diagnostic(bench, "gpu-burn")
    bench.passes(run(bench, rack, GOOD_BURN))
    bench.ends(run(bench, rack, BURNED.format(0, 7, "OK", "FAULTY")), Verdict.FAIL, "burn_in.load.errors is")


@pytest.mark.peer("Checkbox #2840", "a stressor that hangs stalls the whole session: no time-out is enforced", "issue")
def test_a_load_that_never_ends(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """INCONCLUSIVE: a load that outlives its limit is given up, whatever its host says."""
    monkeypatch.setattr("harness.loads.OVERDUE", 0.1)
    loads = {"diagnostic": {"kind": "accelerator", "tool": "dcgmi-diag", "seconds": 1, "limit": 2}}
    rack = bench.rack(JUDGED, loads=loads)
    bench.passes(run(bench, rack, GOOD))
    endless = run(bench, rack, GOOD, rc="", alive="yes")
    assert endless.steps[0].measurements == ()
    bench.ends(endless, Verdict.INCONCLUSIVE, "it still runs, and its limit of 2 s is over")


@pytest.mark.peer("our own list", "a load of the model that no step runs", "–")
def test_a_load_that_nothing_judges(bench: Bench) -> None:
    """REFUSED: a load that would run and prove nothing is no load."""
    rack = diagnostic(bench)
    bench.passes(run(bench, rack, GOOD))
    loads = {"diagnostic": {"kind": "accelerator", "tool": "dcgmi-diag", "seconds": 1, "limit": 40}}
    bench.refuses(lambda: bench.rack(FLOW, loads=loads), "nothing judges it")


@pytest.mark.peer(
    "NVIDIA Infra Controller", "trays without the labels that a check selects by are skipped in silence", "read"
)
def test_a_step_whose_condition_is_misspelt(bench: Bench) -> None:
    """REFUSED: a step that would be left out without a word is a wrong plan."""
    rack = diagnostic(bench)
    taken = "\n".join(f"measure('{key}', {int(key.endswith('work'))}, 'rack')" for key in JUDGED)
    declared = ", ".join(f'"{key}"' for key in JUDGED)
    plan = bench.step(taken, f"@pytest.mark.measures({declared})")
    bench.passes(bench.run(rack, plan))
    for condition in ('where(laod="diagnostic")', 'where("diagnostic")', "where()"):
        marks = f'@pytest.mark.{condition}\n@pytest.mark.measures("burn_in.load.work")'
        other = f'{marks}\nasync def test_other(measure):\n    """It holds as well."""\n'
        bench.refuses(partial(bench.run, rack, f"{plan}\n\n{other}"), 'where(...) takes load="NAME"')
