"""Verifying a run directory offline: one changed, missing or surplus byte makes it fail and names the file.

Nothing is believed that can be derived: the journal's chain, the judgements, the verdict and both statements are
derived again; every file is held against the signed manifest, and the manifest's own envelope against its one form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from cryptography import x509

from harness.bounds import MIB, Oversized, bounded_memory, check_size, contents
from harness.errors import DefinitionError, Problem, RackproofError
from harness.journal.reader import CorruptJournal, read_journal
from harness.verdict import fold
from reports import bounds
from reports.certificate.agreement import disagreements, is_of_this_release
from reports.certificate.envelope import BadEnvelope, Opened, open_envelope
from reports.certificate.manifest import BUNDLES, CERTIFICATE, EVIDENCE, PDF, RUN_MANIFEST, files, run_facts
from reports.certificate.pdf import ended
from reports.certificate.pdf_signature import check_pdf
from reports.certificate.replay import contradictions
from reports.certificate.signing import is_demo, pem, read_chain
from reports.certificate.statement import CERTIFIED, RACK_ACCEPTANCE, STATEMENT, TEST_RESULT, statements
from reports.certificate.trust import distrust
from reports.evidence import JOURNAL, Evidence, digest_of, misfits
from reports.identity import identity, table
from reports.proof import disproofs, meaning, status

MALFORMED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, MemoryError)
"""What comes of taking a directory apart that no run has written: it may hold anything, in any shape and size."""
ROOT, STATION, PAPER = "keys/root.pem", "keys/station.pem", "keys/paper.pem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with one file."""

    file: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}: {self.text}"


@dataclass(frozen=True, slots=True)
class Verification:
    """What a run directory proves. `ok` says that it is whole and signed, whatever its verdict is."""

    ok: bool
    findings: tuple[Finding, ...]
    verdict: str
    """Folded from the journal; UNKNOWN where the journal is not sound."""
    checked: tuple[str, ...]
    remarks: tuple[str, ...]
    """What takes away from it without being wrong: a root taken from the directory, demo keys, a simulated rack."""


def verify(run_dir: Path, root: Path | None = None) -> Verification:
    """Verify a run directory against a root certificate (PEM).

    Without `root`, the root in the directory is used, which shows that nothing was changed since signing but not who
    signed; a remark says so. Raises DefinitionError where there is no such directory or root.
    """
    if not run_dir.is_dir():
        raise DefinitionError([Problem(str(run_dir), "", "is no run directory")])
    check = _Check(run_dir, _given_root(root))
    with bounded_memory(bounds.MEMORY):
        check.run()
    return check.result()


def _given_root(path: Path | None) -> x509.Certificate | None:
    if path is None:
        return None
    try:
        return read_chain(contents(path, bounds.CHAIN))[0]
    except OSError as error:
        raise DefinitionError([Problem(str(path), "", f"cannot be read: {error.strerror}")]) from None
    except (ValueError, LookupError):
        raise DefinitionError([Problem(str(path), "", "holds no PEM certificate")]) from None


@dataclass(frozen=True, slots=True)
class _Bundle:
    """The lines of a signed bundle: those that open, and what is wrong with the others."""

    opened: list[Opened]
    problems: list[str]


@dataclass
class _Check:
    """One verification under way; findings gather, so that one broken file does not hide another."""

    run_dir: Path
    given: x509.Certificate | None
    findings: list[Finding] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    found: dict[str, Path] = field(default_factory=dict)
    bundles: dict[str, _Bundle] = field(default_factory=dict)
    evidence: Evidence | None = None
    root: x509.Certificate | None = None
    strange: bool = False
    """Whether somebody signed whom the root does not vouch for."""

    def result(self) -> Verification:
        findings = tuple(dict.fromkeys(self.findings))
        return Verification(not findings, findings, self.word(), tuple(self.found), tuple(dict.fromkeys(self.remarks)))

    def run(self) -> None:
        """Everything, each part by itself: what one of them cannot make sense of hides nothing from the others."""
        self.guarded(".", self.list_files)
        self.guarded(JOURNAL, self.read)
        self.guarded(ROOT, self.take_root)
        bundle, opened = self.bundle()
        for sealed in opened:
            self.guarded(bundle, partial(self.signer, bundle, sealed))
        self.guarded(bundle, lambda: self.whole(bundle, opened))
        if self.evidence:
            evidence = self.evidence
            self.guarded(JOURNAL, lambda: self.sealed_evidence(evidence))
            self.guarded(JOURNAL, lambda: self.statements(bundle, opened, evidence))
        if PDF in self.found and bundle == CERTIFICATE:
            self.guarded(PDF, lambda: self.paper(bundle))

    def guarded(self, file: str, part: Callable[[], None]) -> None:
        """One part of it; whatever it stumbles over is a finding on `file`."""
        try:
            part()
        except Oversized as error:
            self.say(file, str(error))
        except OSError as error:
            self.say(file, f"cannot be read: {error.strerror}")
        except MALFORMED as error:
            self.say(file, f"holds what no run writes, and cannot be judged ({type(error).__name__})")

    def list_files(self) -> None:
        self.found = files(self.run_dir)
        for name in [name for name, path in self.found.items() if path.is_symlink() or not path.is_file()]:
            self.say(name, "is no plain file")
            del self.found[name]
        if sum(path.stat().st_size for path in self.found.values()) > bounds.WHOLE:
            raise Oversized(f"holds more than {bounds.WHOLE // MIB} MiB")
        self.bundles = {name: _unseal(self.found[name]) for name in BUNDLES if name in self.found}

    def read(self) -> None:
        self.evidence = self.journal()

    def take_root(self) -> None:
        self.root = self.trusted_root()

    def say(self, file: str, text: str) -> None:
        self.findings.append(Finding(file, text))

    def moment(self) -> datetime:
        return ended(self.evidence.summary) if self.evidence else datetime.now(UTC)

    def journal(self) -> Evidence | None:
        if JOURNAL not in self.found:
            self.say(JOURNAL, "is missing: without it nothing is proven")
            return None
        check_size(self.found[JOURNAL], bounds.JOURNAL)
        try:
            # No later line chains the last one: only what was signed vouches for it.
            journal = read_journal(self.found[JOURNAL], head=self.signed_head())
        except CorruptJournal as error:
            self.say(JOURNAL, str(error))
            return None
        except RackproofError as error:
            self.say(JOURNAL, f"cannot be read: {error}")
            return None
        summary = fold(journal.entries)
        ended(summary)
        if identity(summary.started).simulated:
            self.remarks.append("SIMULATED: no rack was tested.")
        self.remarks.append(f"{status(summary)}: {meaning(summary)}.")
        return Evidence(self.run_dir, journal, summary)

    def signed_head(self) -> str:
        """The end of the journal as a signed statement has it; empty where none that opens says."""
        for bundle in self.bundles.values():
            for sealed in bundle.opened:
                predicate = table(sealed.statement.get("predicate"))
                head = predicate.get("journalHead") or table(predicate.get("journal")).get("head")
                if head:
                    return str(head)
        return ""

    def trusted_root(self) -> x509.Certificate | None:
        carried = self.certificate(ROOT)
        if self.given is not None:
            if carried is not None and carried != self.given:
                self.say(ROOT, "is not the root certificate that was given")
            root: x509.Certificate | None = self.given
        else:
            root = carried
            self.remarks.append(
                "UNAUTHENTICATED: the root certificate was taken from the directory itself. This shows that nothing "
                "was changed since it was signed, not who signed it; give the issuer's root with --root FILE."
            )
        if root is not None and is_demo(root):
            self.remarks.append("DEMO KEYS: made on the spot, they authenticate nobody.")
        return root

    def certificate(self, name: str) -> x509.Certificate | None:
        chain = self.chain(name)
        return chain[0] if chain else None

    def chain(self, name: str) -> tuple[x509.Certificate, ...]:
        if name not in self.found:
            self.say(name, "is missing")
            return ()
        content = contents(self.found[name], bounds.CHAIN)
        try:
            chain = read_chain(content)
        except ValueError:
            self.say(name, "holds no certificate any more")
            return ()
        if pem(chain) != content:
            self.say(name, "is not in the form in which it was written")
        return chain

    def bundle(self) -> tuple[str, list[Opened]]:
        """The name of the signed bundle and what could be opened of it."""
        present = list(self.bundles)
        expected = CERTIFICATE
        if self.evidence and self.evidence.summary.verdict not in CERTIFIED:
            expected = EVIDENCE
        elif not self.evidence and present:
            expected = present[0]
        for name in present:
            if name != expected:
                self.say(name, f"does not belong to a run whose verdict is {self.word()}")
        if expected not in present:
            self.say(expected, "is missing: the run was never signed; run: rackproof report RUN")
            if not present:
                return expected, []
            # Still read what is there: its manifest names the file that made the verdict another one.
            expected = present[0]
        opened = self.bundles[expected].opened
        for problem in self.bundles[expected].problems:
            self.say(expected, problem)
        types = [sealed.statement.get("predicateType") for sealed in opened]
        wanted = [TEST_RESULT, RACK_ACCEPTANCE, RUN_MANIFEST] if expected == CERTIFICATE else [RUN_MANIFEST]
        if types != wanted:
            self.say(expected, f"holds {len(types)} sound statements; a bundle holds {len(wanted)}, in their order")
        return expected, opened

    def word(self) -> str:
        return str(self.evidence.summary.verdict) if self.evidence else "UNKNOWN"

    def signer(self, bundle: str, sealed: Opened) -> None:
        if self.root is not None:
            problem = distrust(sealed.chain, self.root, self.moment())
            if problem:
                self.strange = True
                self.say(bundle, f"its signer is not trusted: {problem}")
        if sealed.chain != self.chain(STATION):
            self.say(STATION, "is not the certificate that the statements were signed with")

    def whole(self, bundle: str, opened: Iterable[Opened]) -> None:
        """Every file is listed in the manifest with its digest, and every listed file is there."""
        listed = {}
        for sealed in opened:
            if sealed.statement.get("predicateType") == RUN_MANIFEST:
                listed = _subjects(sealed.statement)
                if not listed:
                    self.say(bundle, "its manifest lists no file")
        for name, path in self.found.items():
            if name in BUNDLES:
                continue
            if name not in listed:
                self.say(name, "is not listed in the signed manifest: it was added after signing")
            elif digest_of(path) != listed[name]:
                self.say(name, "was changed after signing: its digest is not the signed one")
        for name in sorted(set(listed) - set(self.found)):
            self.say(name, "is missing, though the signed manifest lists it")
        if bundle in listed:
            self.say(bundle, "lists itself")

    def sealed_evidence(self, evidence: Evidence) -> None:
        for name, text in misfits(self.run_dir, evidence.summary).items():
            self.say(name, text)
        for text in (*contradictions(evidence.summary), *disproofs(self.run_dir, evidence.summary)):
            self.say(JOURNAL, text)

    def statements(self, bundle: str, opened: Iterable[Opened], evidence: Evidence) -> None:
        """Each statement says what is derived again from the evidence."""
        derived = dict(zip((TEST_RESULT, RACK_ACCEPTANCE), statements(evidence), strict=True))
        same_release = is_of_this_release(evidence.summary)
        if not same_release:
            self.remarks.append("Written by another release of Rackproof: its facts were compared, not its words.")
        for sealed in opened:
            kind = sealed.statement.get("predicateType")
            if kind == RUN_MANIFEST:
                stated, facts = table(sealed.statement.get("predicate")), run_facts(evidence)
                wrong = sorted(name for name, value in facts.items() if stated.get(name) != value)
                if wrong or sealed.statement.get("_type") != STATEMENT:
                    self.say(bundle, f"the manifest and the journal disagree on {', '.join(wrong) or '_type'}")
            elif kind in derived and (names := disagreements(sealed, derived[kind], same_release=same_release)):
                self.say(bundle, f"the signed statement and the evidence disagree on {', '.join(names)}")

    def paper(self, bundle: str) -> None:
        if self.strange:
            self.say(PDF, "is not worth reading: it comes with statements whose signer is not trusted")
            return
        if self.root is None or any(finding.file == PDF for finding in self.findings):
            # A document that is not the signed one is not worth reading, and not safe to read.
            return
        document = contents(self.found[PDF], bounds.PAPER)
        with bounded_memory(bounds.PAPER_MEMORY):
            checked = check_pdf(document, self.root, self.moment())
        if checked.problem:
            self.say(PDF, checked.problem)
        lines = _lines(self.found[bundle]) if bundle in self.found else []
        if checked.attachments.get(CERTIFICATE) != b"".join(lines[:2]):
            self.say(PDF, "the statements attached to it are not those of the bundle")
        paper = self.chain(PAPER)
        problem = distrust(paper, self.root, self.moment()) if paper else ""
        if problem:
            self.say(PAPER, f"is not trusted: {problem}")


def _unseal(path: Path) -> _Bundle:
    bundle = _Bundle([], [])
    for number, line in enumerate(_lines(path), start=1):
        try:
            bundle.opened.append(open_envelope(line))
        except BadEnvelope as error:
            bundle.problems.append(f"line {number}: {error}")
    return bundle


def _lines(path: Path) -> list[bytes]:
    return contents(path, bounds.BUNDLE).splitlines(keepends=True)


def _subjects(statement: dict[str, Any]) -> dict[str, str]:
    subjects = statement.get("subject")
    found = {}
    for subject in subjects if isinstance(subjects, list) else []:
        each = table(subject)
        found[str(each.get("name"))] = str(table(each.get("digest")).get("sha256"))
    return found
