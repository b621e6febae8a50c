"""What a proof has come to so far, one line a result, so that an interrupted one goes on where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import DefinitionError
from harness.proof.matrix import Proof
from harness.proof.record import BadProof, decode, fault_result, result_as_json, seed_result
from harness.proof.results import Catch, FaultResult, SeedResult


class Ledger:
    """The results of one proof under way, on disk as they come. `about` says what they hold for.

    Without `resume`, raises DefinitionError where results of an interrupted proof are there; with it, where those that
    are there (in the ledger, or in the finished proof `out`) are about something else.
    """

    def __init__(self, out: Path, about: Mapping[str, Any], *, resume: bool) -> None:
        self.path = out.with_suffix(".partial.jsonl")
        self.faults: dict[str, FaultResult] = {}
        self.seeds: dict[int, SeedResult] = {}
        self._about = json.loads(json.dumps(about))
        if self.path.exists() and not resume:
            raise DefinitionError(
                f"{self.path} holds the results of a proof that was interrupted. Go on with --resume, or remove it"
            )
        if resume and out.exists():
            self._take_over(out)
        lines = self._lines() if self.path.exists() else []
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("wb")
        except OSError as error:
            raise DefinitionError(
                f"no proof can be written to {out.parent}: {error.strerror}. Choose another with --out"
            ) from error
        self._write({"about": self._about})
        for line in lines:
            self._take(line)
        for fault in self.faults.values():
            self._keep(fault)
        for seed in self.seeds.values():
            self._keep(seed)

    def add(self, result: FaultResult | SeedResult) -> None:
        """Keep a result; on disk when this returns."""
        if isinstance(result, FaultResult):
            self.faults[result.fault.spec] = result
        else:
            self.seeds[result.seed] = result
        self._keep(result)

    def done(self, spec: str | None, seed: int) -> bool:
        """Whether a fault (or, for None, the healthy rack of a seed) was run; what the machine prevented was not."""
        if spec is not None:
            return spec in self.faults and self.faults[spec].catch is not Catch.NOT_RUN
        return seed in self.seeds and bool(self.seeds[seed].verdict)

    def close(self, *, finished: bool) -> None:
        """Let go of the file, and remove it once the proof itself holds everything."""
        self._file.close()
        if finished:
            self.path.unlink(missing_ok=True)

    def _take_over(self, out: Path) -> None:
        try:
            proof = decode(out.read_bytes())
        except (OSError, BadProof) as error:
            raise DefinitionError(f"{out} cannot be resumed: {error}. Prove again without --resume") from error
        if about(proof) != self._about:
            raise DefinitionError(
                f"{out} cannot be resumed: the plan, the model or Rackproof changed since. Prove again without --resume"
            )
        self.faults = {result.fault.spec: result for result in proof.faults}
        self.seeds = {result.seed: result for result in proof.healthy}

    def _lines(self) -> list[dict[str, Any]]:
        """The sound lines of an interrupted proof about the same; the last one may be torn."""
        found: list[dict[str, Any]] = []
        for line in self.path.read_bytes().split(b"\n")[:-1]:
            try:
                found.append(json.loads(line))
            except ValueError:
                break
        if found and found[0].get("about") != self._about:
            raise DefinitionError(
                f"{self.path} cannot be resumed: the plan, the model, --seed, --pace or Rackproof changed since. "
                "Remove it and prove again without --resume"
            )
        return found[1:]

    def _take(self, line: dict[str, Any]) -> None:
        try:
            if "fault" in line:
                self.faults[line["fault"]["fault"]["spec"]] = fault_result(line["fault"])
            else:
                self.seeds[int(line["healthy"]["seed"])] = seed_result(line["healthy"])
        except (KeyError, TypeError, ValueError) as error:
            raise DefinitionError(f"{self.path} is damaged: {error}. Remove it and prove again") from error

    def _keep(self, result: FaultResult | SeedResult) -> None:
        kind = "fault" if isinstance(result, FaultResult) else "healthy"
        self._write({kind: result_as_json(result)})

    def _write(self, line: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(line, ensure_ascii=True, allow_nan=False).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise DefinitionError(
                f"{self.path} could not be written: {error.strerror}. Free some space and go on with --resume"
            ) from error


def about(proof: Proof) -> dict[str, Any]:
    """What the results of a proof hold for: others of the same may stand beside them."""
    return {"running": dict(proof.running), "pace": proof.pace, "seed": proof.seed}
