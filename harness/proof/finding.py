"""Which proof a run has: the file that was found, what it says, and whether it holds for what runs now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import DefinitionError
from harness.journal.events import ProofChecked
from harness.proof.digests import digests, remarks
from harness.proof.record import LARGEST, BadProof, decode, digest, path_beside, weaknesses

PROVEN, UNPROVEN = "PROVEN", "UNPROVEN"
NONE = "no proof of this plan on this model was found"


@dataclass(frozen=True, slots=True)
class ProofFound:
    """What the journal says of a proof, and the file itself (empty where there is none), to be kept with the run."""

    checked: ProofChecked
    text: str = ""


def look_for_proof(plan: Path, plan_digest: str, model: Mapping[str, Any], given: Path | None = None) -> ProofFound:
    """The proof of a plan on a model (plain JSON): `given`, or the one beside the plan.

    A proof that is missing, cannot be read or holds for something else leaves the plan UNPROVEN and is no error; only
    a `given` file that is not there raises DefinitionError.
    """
    running = digests(plan_digest, model)
    path = given or path_beside(plan, str(model.get("name", "")))
    if given is not None and not given.is_file():
        raise DefinitionError(f"there is no proof at {given}; leave out --proof to run without one")
    try:
        content = path.read_bytes() if path.is_file() else None
    except OSError as error:
        return _unproven(running, f"the proof {path.name} cannot be read: {error.strerror}")
    if content is None:
        return _unproven(running, NONE)
    if len(content) > LARGEST:
        return _unproven(running, f"{path.name} is too large for a proof")
    try:
        proof = decode(content)
    except BadProof as error:
        return _unproven(running, f"the proof {path.name} cannot be read: {error}", path.name, digest(content))
    reasons = weaknesses(proof, running)
    return ProofFound(
        ProofChecked(
            status=UNPROVEN if reasons else PROVEN,
            reasons=reasons,
            remarks=remarks(proof.running, running),
            file=path.name,
            sha256=digest(content),
            says=proof.sentence,
            running=running,
        ),
        content.decode(),
    )


def _unproven(running: dict[str, str], reason: str, file: str = "", sha256: str = "") -> ProofFound:
    return ProofFound(ProofChecked(UNPROVEN, (reason,), (), file, sha256, "", running))
