"""The certificate of a run: signed statements, a signed PDF, and a signed list of every file beside them."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.observing import FinishedRun
from reports import html, junit, ocptv
from reports.certificate.envelope import seal
from reports.certificate.manifest import BUNDLES, CERTIFICATE, EVIDENCE, PDF, manifest
from reports.certificate.pdf import certificate_pdf
from reports.certificate.signing import Keys, load_or_make_keys
from reports.certificate.statement import CERTIFIED, statements
from reports.evidence import Evidence, put, read_evidence

KEYS = "keys"


def write(run: FinishedRun) -> tuple[Path, ...]:
    """Write the certificate (PASS, FAIL) or only the signed list of evidence (any other verdict), and the public keys.

    The other derived files (report.html, junit.xml, ocptv.jsonl) are listed as their writers write them, so the order
    of the writers is free. A certificate left over from an earlier verdict is removed. Raises DefinitionError where
    keys are missing or the journal cannot be read, CorruptJournal, and BrokenEvidence.
    """
    evidence = read_evidence(run.run_dir)
    keys = load_or_make_keys(run.keys)
    if keys.made_now:
        sys.stderr.write(
            f"rackproof: made demo signing keys in {keys.directory}. They prove nothing to a customer: "
            "give the station's own with --keys DIRECTORY.\n"
        )
    content = derive(evidence, keys)
    for stale in {*BUNDLES, PDF} - set(content):
        (run.run_dir / stale).unlink(missing_ok=True)
    return tuple(put(run.run_dir / name, text) for name, text in content.items())


def derive(evidence: Evidence, keys: Keys) -> dict[str, bytes]:
    """The files that `write` writes, by name; pure but for the keys: the same evidence and keys, the same bytes."""
    content = {f"{KEYS}/{name}": text for name, text in keys.public_files().items()}
    certified = evidence.summary.verdict in CERTIFIED
    envelopes = b"".join(seal(statement, keys) for statement in statements(evidence)) if certified else b""
    if certified:
        content[PDF] = certificate_pdf(evidence, envelopes, keys)
    others = {file.FILE: file.render(evidence) for file in (html, junit, ocptv)}
    listed = seal(manifest(evidence, content | others), keys)
    return content | {CERTIFICATE if certified else EVIDENCE: envelopes + listed}
