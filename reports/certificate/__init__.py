"""The certificate of a run: signed statements, a signed PDF, and a signed list of every file beside them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from harness.observing import FinishedRun
from reports import html, junit, ocptv
from reports.certificate.envelope import seal
from reports.certificate.manifest import BUNDLES, CERTIFICATE, EVIDENCE, PDF, manifest
from reports.certificate.pdf import certificate_pdf
from reports.certificate.signing import Keys, load_or_make_keys
from reports.certificate.statement import CERTIFIED, statements
from reports.evidence import BrokenEvidence, Evidence, put, read_evidence

KEYS = "keys"


def write(run: FinishedRun) -> tuple[Path, ...]:
    """Write the certificate (PASS, FAIL) or only the signed list of evidence (any other verdict), and the public keys.

    The other derived files (report.html, junit.xml, ocptv.jsonl) are listed as their writers write them, so the order
    of the writers is free. A certificate left over from an earlier verdict is removed. Raises DefinitionError where
    keys are missing or the journal cannot be read, CorruptJournal, and BrokenEvidence.
    """
    evidence = read_evidence(run.run_dir)
    return _certify(run, evidence, _pages(evidence))


def write_all(run: FinishedRun) -> tuple[Path, ...]:
    """Write every derived file from one reading of the evidence: the same bytes as all the writers one by one.

    The pages come first: where the certificate cannot be signed, whoever has to find out why has a report to read.
    Raises as `write` does.
    """
    evidence = read_evidence(run.run_dir)
    pages = _pages(evidence)
    written = tuple(put(run.run_dir / name, content) for name, content in pages.items())
    return written + _certify(run, evidence, pages)


def _pages(evidence: Evidence) -> dict[str, bytes]:
    return {file.FILE: file.render(evidence) for file in (html, junit, ocptv)}


def _certify(run: FinishedRun, evidence: Evidence, pages: Mapping[str, bytes]) -> tuple[Path, ...]:
    if (run.run_dir / KEYS).is_symlink():
        raise BrokenEvidence(f"{run.run_dir / KEYS} leads elsewhere: a run leaves a folder there")
    keys = load_or_make_keys(run.keys)
    if keys.made_now:
        sys.stderr.write(
            f"rackproof: made demo signing keys in {keys.directory}. They prove nothing to a customer: "
            "give the station's own with --keys DIRECTORY.\n"
        )
    for unfinished in (*run.run_dir.glob(".*.draft"), *(run.run_dir / KEYS).glob(".*.draft")):
        unfinished.unlink()  # of a writer that was cut off: it is no evidence, and must not be signed as such
    content = derive(evidence, keys, pages)
    for stale in {*BUNDLES, PDF} - set(content):
        (run.run_dir / stale).unlink(missing_ok=True)
    return tuple(put(run.run_dir / name, text) for name, text in content.items())


def derive(evidence: Evidence, keys: Keys, pages: Mapping[str, bytes]) -> dict[str, bytes]:
    """The certificate's files by name, `pages` listed beside them; pure but for the keys."""
    content = {f"{KEYS}/{name}": text for name, text in keys.public_files().items()}
    certified = evidence.summary.verdict in CERTIFIED
    envelopes = b"".join(seal(statement, keys) for statement in statements(evidence)) if certified else b""
    if certified:
        content[PDF] = certificate_pdf(evidence, envelopes, keys)
    listed = seal(manifest(evidence, content | dict(pages)), keys)
    return content | {CERTIFICATE if certified else EVIDENCE: envelopes + listed}
