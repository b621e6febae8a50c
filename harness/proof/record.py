"""A proof as a file: canonical JSON, the same bytes for the same results, named by its SHA-256 on every certificate."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.proof.bound import CONFIDENCE
from harness.proof.digests import differences
from harness.proof.matrix import Proof
from harness.proof.results import Catch, Fault, FaultResult, Found, Mark, SeedResult

FORMAT = "rackproof-proof/1"
LARGEST = 16 * 2**20
"""Octets that a proof may have: a thousand faults and ten thousand seeds are a tenth of it."""


class BadProof(ValueError):
    """A file that is no proof; the text says why."""


def encode(proof: Proof) -> bytes:
    """The file of a proof: one line of canonical JSON."""
    return _canonical(_as_json(proof)) + b"\n"


def decode(content: bytes) -> Proof:
    """The proof in a file; raises BadProof where it is none, or counts itself otherwise than its own entries do."""
    try:
        found = json.loads(content)
        proof = _proof(found)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadProof(f"it is no proof of a plan: {type(error).__name__}: {error}") from error
    if encode(proof) != content:
        raise BadProof("it is not as it was written: it does not say what its own entries amount to")
    return proof


def digest(content: bytes) -> str:
    """What certificates name: SHA-256 over the file."""
    return hashlib.sha256(content).hexdigest()


def weaknesses(proof: Proof, running: dict[str, str]) -> tuple[str, ...]:
    """Why a proof does not make what runs now a proven plan; none where it does."""
    return (*differences(proof.running, running), *proof.shortcomings)


def path_beside(plan: Path, model: str) -> Path:
    """Where the proof of a plan on a model is looked for: `proofs/PLAN-MODEL.json` beside the plan."""
    return plan.parent / "proofs" / f"{plan.stem}-{model}.json"


def result_as_json(result: FaultResult | SeedResult) -> dict[str, Any]:
    """One result as plain JSON."""
    return asdict(result)


def fault_result(row: Any) -> FaultResult:
    """A fault's result from plain JSON; raises KeyError, TypeError or ValueError."""
    return FaultResult(
        **{
            **row,
            "fault": Fault(**row["fault"]),
            "catch": Catch(row["catch"]),
            "found": tuple(Found(**one) for one in row["found"]),
            "marks": {step: Mark(mark) for step, mark in row["marks"].items()},
        }
    )


def seed_result(row: Any) -> SeedResult:
    """A healthy rack's result from plain JSON; raises KeyError, TypeError or ValueError."""
    return SeedResult(int(row["seed"]), str(row["verdict"]), tuple(map(str, row["reasons"])))


def _as_json(proof: Proof) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "plan": proof.plan,
        "model": proof.model,
        "revision": proof.revision,
        "made": proof.made,
        "running": dict(proof.running),
        "pace": proof.pace,
        "seed": proof.seed,
        "stages": [[stage, list(steps)] for stage, steps in proof.stages.items()],
        "faults": [result_as_json(result) for result in proof.faults],
        "healthy": [result_as_json(result) for result in proof.healthy],
        "amounts_to": {
            "faults": len(proof.faults),
            "sample": len(proof.drawn) if proof.is_sample else None,
            **{catch.value: proof.count(catch) for catch in Catch},
            "healthy": len(proof.judged),
            "false_alarms": len(proof.false_alarms),
            "false_alarm_bound": round(proof.bound, 9),
            "confidence": CONFIDENCE,
            "shortcomings": list(proof.shortcomings),
        },
    }


def _proof(found: Any) -> Proof:
    if found["format"] != FORMAT:
        raise ValueError(f"its format is {str(found['format'])[:40]!r}, not {FORMAT}")
    return Proof(
        plan=found["plan"],
        model=found["model"],
        revision=found["revision"],
        made=found["made"],
        running={str(name): str(value) for name, value in found["running"].items()},
        pace=float(found["pace"]),
        seed=found["seed"],
        stages={stage: tuple(steps) for stage, steps in found["stages"]},
        faults=tuple(map(fault_result, found["faults"])),
        healthy=tuple(map(seed_result, found["healthy"])),
    )


def _canonical(found: object) -> bytes:
    text = json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace")
