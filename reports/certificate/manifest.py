"""The manifest: a signed list of every file of a run directory, and of the verdict that they carry.

It lies in the last envelope of the bundle, also for a run that gets no certificate. The bundle itself is the one file
that is not listed; its form is pinned byte for byte (see `reports.certificate.envelope`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reports import bounds
from reports.certificate.statement import STATEMENT
from reports.evidence import BrokenEvidence, Evidence, digest_of
from reports.identity import identity

RUN_MANIFEST = "https://rackproof.dev/run-manifest/v1"
CERTIFICATE = "certificate.intoto.jsonl"
EVIDENCE = "evidence.intoto.jsonl"
BUNDLES = (CERTIFICATE, EVIDENCE)
PDF = "certificate.pdf"


def manifest(evidence: Evidence, derived: Mapping[str, bytes]) -> dict[str, Any]:
    """The manifest of a run directory as it will be once `derived` (by name) is written into it.

    Raises BrokenEvidence where something lies there that is no plain file.
    """
    listed = {
        name: _digest_of(name, path)
        for name, path in files(evidence.run_dir).items()
        # A certificate of an earlier verdict is about to be removed.
        if name not in (*BUNDLES, PDF) and name not in derived
    }
    listed |= {name: hashlib.sha256(content).hexdigest() for name, content in derived.items()}
    subjects = [{"name": name, "digest": {"sha256": listed[name]}} for name in sorted(listed)]
    return {
        "_type": STATEMENT,
        "subject": subjects,
        "predicateType": RUN_MANIFEST,
        "predicate": run_facts(evidence) | {"derived": sorted(derived)},
    }


def _digest_of(name: str, path: Path) -> str:
    if path.is_symlink() or not path.is_file():
        raise BrokenEvidence(f"{name} is no plain file: a run leaves none; take it out and write the reports again")
    return digest_of(path)


def run_facts(evidence: Evidence) -> dict[str, Any]:
    """What the manifest says of the run itself."""
    return {
        "runId": evidence.summary.run_id,
        "verdict": str(evidence.summary.verdict),
        "simulated": identity(evidence.summary.started).simulated,
        "complete": evidence.summary.complete,
        "journalHead": evidence.journal.head,
        "journalTorn": evidence.journal.torn,
    }


def files(run_dir: Path) -> dict[str, Path]:
    """Everything below a run directory that is not a directory, by its name relative to it (with slashes).

    Raises Oversized where there are more than any run leaves behind.
    """
    return {
        path.relative_to(run_dir).as_posix(): path
        for path in bounds.below(run_dir)
        if path.is_symlink() or not path.is_dir()
    }
