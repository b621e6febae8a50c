"""A plan is proven by what it catches: told apart are the right check, a miss, and what was never there.

The short suite proves a plan of one stage with a sample of faults; the long one the shipped plan with a sample of each
kind of outcome. `make prove` and `make prove-seeds` run everything.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from harness.journal.reader import read_journal
from harness.proof.record import decode
from harness.proof.results import Catch
from harness.verdict import fold
from tests.acceptance.runs import PROVE, RACKPROOF, ROOT, SAMPLE, Run, rackproof


@pytest.mark.scenario(PROVE)
def test_what_is_caught_missed_and_never_began_is_told_apart(run: Run) -> None:
    fared = {row["fault"]["spec"]: row for row in run.result["faults"]}
    caught = [fared[spec]["catch"] for spec in SAMPLE]
    assert caught == ["right", "missed", "not_run"], [fared[spec] for spec in SAMPLE]
    assert fared[SAMPLE[0]]["after"] > 0
    assert fared[SAMPLE[0]]["found"] == [
        {"step": "test_10_intake.py::test_firmware", "check": "firmware.version", "subject": "tray-02/bios"}
    ]
    assert fared[SAMPLE[2]]["text"] == "the fault never began in this run"
    # What was not asked for is not proven either.
    assert {row["catch"] for spec, row in fared.items() if spec not in SAMPLE} == {"not_run"}
    assert [row["verdict"] for row in run.result["healthy"]] == ["PASS", "PASS"]
    assert (run.code, run.result["proven"]) == (3, False)


@pytest.mark.scenario(PROVE)
def test_the_proof_is_a_file_beside_the_plan_and_nothing_else_is_left(run: Run) -> None:
    path = run.directory / "proofs" / "intake-bench4-intake.json"
    content = path.read_bytes()
    assert run.result["sha256"] == hashlib.sha256(content).hexdigest()
    assert decode(content).count(Catch.MISSED) == 1
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.scenario(PROVE)
def test_a_run_names_the_proof_of_its_plan_and_says_why_it_is_not_enough(run: Run, tmp_path: Path) -> None:
    model = ("--simulate", str(run.directory / "bench4-intake.yaml"), "--plan", str(run.directory / "intake"))
    done = rackproof("run", *model, "--runs", str(tmp_path), "--json")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "UNPROVEN: 1 of " in done.stderr
    directory = Path(json.loads(done.stdout)["run_dir"])
    proof = fold(read_journal(directory / "journal.jsonl").entries).proof
    assert proof is not None
    assert (proof.status, proof.file, proof.sha256) == ("UNPROVEN", "intake-bench4-intake.json", run.result["sha256"])
    assert any("faults missed" in reason for reason in proof.reasons)
    checked = json.loads(rackproof("verify", str(directory), "--json").stdout)
    assert checked["ok"]
    assert any(remark.startswith("UNPROVEN: 1 of ") for remark in checked["remarks"])


def test_a_fault_that_is_none_is_refused_at_once() -> None:
    done = rackproof("prove", "bench4", "--fault", "no.such.fault", "--seeds", "0", "--out", "/dev/null/p.json")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def runs_of(out: Path, proof: int) -> list[int]:
    """The runs that are under way of a proof that writes to `out`: forks of it, which have its command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            line = path.with_name("cmdline").read_bytes()
            state = path.read_text("utf-8").rpartition(")")[2].split()[0]
        except OSError:
            continue
        if os.fsencode(out) in line and state not in ("Z", "X"):
            found.append(int(path.parent.name))
    return [process for process in found if process != proof]


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_proof_that_is_stopped_or_killed_leaves_no_run_behind(tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "proof.json"
    command = [*RACKPROOF, "prove", "bench4", "--fault", "cdu-1.leak", "--seeds", "1", "--jobs", "2", "--out", str(out)]
    proof = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, start_new_session=True, env=os.environ)
    assert proof.stderr is not None
    with proof, proof.stderr as said:
        # Its standard error is that of nobody else: it ends with the proof.
        assert b"2 runs to do" in said.readline()
        while len(runs_of(out, proof.pid)) < 2:
            assert proof.poll() is None
        proof.send_signal(number)
        left = said.read()
    while runs_of(out, proof.pid):
        # Ends by the runs' own watch, within its patience; a hang is the test command's time-out.
        os.sched_yield()
    if number is signal.SIGINT:
        assert proof.returncode == 4
        assert b"go on with --resume" in left
        assert out.with_suffix(".partial.jsonl").is_file()


@pytest.mark.long
def test_a_sample_of_the_shipped_plan_is_caught_by_the_right_checks(tmp_path: Path) -> None:
    sample = ("tray-02.bios.firmware.wrong", "cdu-1.leak", "tray-02.bmc.silent")
    chosen = [word for spec in sample for word in ("--fault", spec)]
    out = ("--seeds", "2", "--jobs", "2", "--out", str(tmp_path / "proof.json"), "--json")
    done = rackproof("prove", "bench4", *chosen, *out, timeout=900)
    result = json.loads(done.stdout)
    assert {
        row["fault"]["spec"]: row["catch"] for row in result["faults"] if row["fault"]["spec"] in sample
    } == dict.fromkeys(sample, "right")
    assert [row["verdict"] for row in result["healthy"]] == ["PASS", "PASS"]
