"""PROVEN and UNPROVEN on everything that is issued, and a claim that its own proof does not bear out."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from harness.journal import events as e
from harness.journal.reader import read_journal
from harness.observing import FinishedRun
from harness.verdict import RunSummary, fold
from reports import html, proof
from reports.banner import banner
from reports.certificate import write
from reports.certificate.pdf import _digests, _marks
from reports.certificate.statement import acceptance, statements
from reports.certificate.verify import verify
from reports.evidence import read_evidence

STEP = "test_10.py::test_link"


def run_of(blank: Any, *, proven: bool) -> Path:
    """A whole run with one step that passes, on hardware."""
    blank.start(simulated=False).plan((STEP, "links", "", ("link.up",)))
    if proven:
        blank.prove()
    blank.step(STEP, ("link.up", "switch-1/swp1", True)).finish()
    directory: Path = blank.dir
    return directory


def summary_of(directory: Path) -> RunSummary:
    return fold(read_journal(directory / "journal.jsonl").entries)


def test_a_proven_plan_is_named_with_its_proof_everywhere(blank: Any) -> None:
    directory = run_of(blank, proven=True)
    evidence = read_evidence(directory)
    sha256 = hashlib.sha256((directory / proof.FILE).read_bytes()).hexdigest()
    predicate = acceptance(evidence)
    assert predicate["proof"] == "PROVEN"
    assert (predicate["proofMatrix"]["file"], predicate["proofMatrix"]["sha256"]) == ("rack-bench4.json", sha256)
    assert ["proof of the plan (rack-bench4.json)", sha256] in _digests(evidence)
    assert [mark for mark in _marks(evidence, demo=False) if mark[0] == "UNPROVEN"] == []
    page = html.render(evidence).decode()
    assert "PROVEN: 1 of 1 faults caught, 1 by their own check; 0 false alarms in 300 healthy racks" in page
    assert sha256 in page
    assert "UNPROVEN" not in "\n".join(line.plain for line in banner(evidence.summary, directory, width=80))


def test_an_unproven_plan_says_so_and_why_and_its_pass_reads_warned(blank: Any) -> None:
    directory = run_of(blank, proven=False)
    evidence = read_evidence(directory)
    assert statements(evidence)[0]["predicate"]["result"] == "WARNED"
    assert acceptance(evidence)["proof"] == "UNPROVEN"
    assert ["UNPROVEN", proof.UNSAID] in _marks(evidence, demo=False)
    assert f"UNPROVEN: {proof.UNSAID}" in html.render(evidence).decode()
    told = " ".join(line.plain for line in banner(evidence.summary, directory, width=80))
    assert f"UNPROVEN: {proof.UNSAID}." in " ".join(told.split())


def test_the_reason_of_an_unproven_plan_is_the_journals(blank: Any) -> None:
    blank.start(simulated=False).plan((STEP, "links", "", ("link.up",)))
    reasons = ("the drivers changed since", "2 of 41 faults missed")
    blank.add(e.ProofChecked("UNPROVEN", reasons, (), "rack-bench4.json", "ab" * 32, "39 of 41", {}))
    blank.step(STEP, ("link.up", "switch-1/swp1", True)).finish()
    summary = summary_of(blank.dir)
    assert summary.verdict == "PASS"
    assert proof.meaning(summary) == "the drivers changed since; 2 of 41 faults missed"
    assert not proof.is_proven(summary)


def test_verify_tells_the_status_and_a_sound_proof_verifies(blank: Any) -> None:
    directory = run_of(blank, proven=True)
    write(FinishedRun(directory))
    html.write(FinishedRun(directory))
    from reports import junit, ocptv

    junit.write(FinishedRun(directory))
    ocptv.write(FinishedRun(directory))
    found = verify(directory)
    assert found.findings == ()
    assert any(remark.startswith("PROVEN: 1 of 1 faults caught") for remark in found.remarks)


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        ({"sha256": "00" * 32}, "the proof that is named is not the one"),
        ({"says": "41 of 41 faults caught"}, "is not what it amounts to"),
        ({"reasons": ("2 of 41 faults missed",)}, "is not what it amounts to"),
        ({"running": {"plan": "00" * 32}}, "held against another plan"),
        ({"running": {"model": "00" * 32}}, "held against another model"),
        ({"running": {"limits": "00" * 32}}, "held against another limits"),
        ({"running": {"drivers": "00" * 32}}, "is not: the drivers changed since"),
        ({"running": {"release": "9.9"}}, "held against another release"),
    ],
)
def test_a_claim_that_its_proof_does_not_bear_out_is_found(blank: Any, claim: dict[str, Any], text: str) -> None:
    directory = run_of(blank, proven=True)
    summary = summary_of(directory)
    assert summary.proof is not None
    assert list(proof.disproofs(directory, summary)) == []
    if "running" in claim:
        claim = {"running": {**summary.proof.running, **claim["running"]}}
    flattered = dataclasses.replace(summary, proof=dataclasses.replace(summary.proof, **claim))
    assert text in " | ".join(proof.disproofs(directory, flattered))


def test_a_proof_that_misses_a_fault_proves_nothing_whatever_the_journal_says(blank: Any) -> None:
    directory = run_of(blank, proven=True)
    summary = summary_of(directory)
    assert summary.proof is not None
    content = json.loads((directory / proof.FILE).read_bytes())
    content["faults"][0]["catch"] = "missed"
    spoilt = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    (directory / proof.FILE).write_bytes(spoilt)
    claim = dataclasses.replace(summary.proof, sha256=hashlib.sha256(spoilt).hexdigest())
    assert "amount to" in " | ".join(proof.disproofs(directory, dataclasses.replace(summary, proof=claim)))
    (directory / proof.FILE).unlink()
    assert "is not there" in " | ".join(proof.disproofs(directory, summary))
