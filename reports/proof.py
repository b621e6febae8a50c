"""Whether the plan of a run is proven: in a person's words, and held again against the proof kept with the run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.bounds import Oversized, contents
from harness.journal.events import ProofChecked
from harness.proof.digests import of_model
from harness.proof.finding import PROVEN, UNPROVEN
from harness.proof.record import BadProof, decode, digest, weaknesses
from harness.verdict import RunSummary
from reports import bounds
from reports.identity import table

FILE = "attachments/proof.json"
UNSAID = "the journal does not say whether this plan was ever proven"


def is_proven(summary: RunSummary) -> bool:
    """Whether the journal says PROVEN, and gives no reason against it."""
    proof = summary.proof
    return proof is not None and proof.status == PROVEN and not proof.reasons and bool(proof.sha256)


def status(summary: RunSummary) -> str:
    """PROVEN or UNPROVEN."""
    return PROVEN if is_proven(summary) else UNPROVEN


def meaning(summary: RunSummary) -> str:
    """What stands behind the status: what the proof amounts to, or why the plan is unproven."""
    proof = summary.proof
    if proof is None:
        return UNSAID
    if not is_proven(summary):
        return "; ".join(proof.reasons) or UNSAID
    return "; ".join((proof.says, *proof.remarks))


def record(summary: RunSummary) -> dict[str, object]:
    """What is certified of the proof; its digest names the very file."""
    proof = summary.proof or ProofChecked(UNPROVEN, (UNSAID,), (), "", "", "", {})
    return {
        "status": status(summary),
        "reasons": list(proof.reasons),
        "remarks": list(proof.remarks),
        "file": proof.file,
        "sha256": proof.sha256,
        "says": proof.says,
        "running": dict(proof.running),
    }


def disproofs(run_dir: Path, summary: RunSummary) -> Iterator[str]:
    """What does not follow where a journal says PROVEN: from the proof that it keeps, from its own plan and model."""
    proof, started, plan = summary.proof, summary.started, summary.plan
    if proof is None or proof.status != PROVEN:
        return
    kept = run_dir / FILE
    if kept.is_symlink() or not kept.is_file():
        yield f"the plan is said to be proven, and {FILE} is not there"
        return
    try:
        content = contents(kept, bounds.PROOF)
    except (OSError, Oversized) as error:
        yield f"{FILE}: {error}"
        return
    if digest(content) != proof.sha256:
        yield f"the proof that is named is not the one in {FILE}"
        return
    running = dict(proof.running)
    ran = of_model(table(started.definition.get("model"))) if started else {}
    ran |= {
        "plan": plan.plan_digest if plan else "",
        "release": started.software.get("rackproof", "") if started else "",
    }
    yield from (f"the proof was held against another {name}" for name in ran if running.get(name) != ran[name])
    try:
        found = decode(content)
    except BadProof as error:
        yield f"{FILE}: {error}"
        return
    yield from (f"the plan is said to be proven, and is not: {text}" for text in weaknesses(found, running))
    if found.sentence != proof.says or proof.reasons:
        yield "what the proof is said to amount to is not what it amounts to"
