"""Verifying: one flipped bit anywhere, one file more or less, one flattering word, and it fails and names the file."""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import DefinitionError
from harness.journal.lines import decode, digest, encode
from harness.journal.reader import CorruptJournal, read_journal
from harness.observing import FinishedRun
from reports import html, junit, ocptv
from reports.certificate import write
from reports.certificate.envelope import open_envelope, seal
from reports.certificate.signing import load_or_make_keys
from reports.certificate.verify import verify

Maker = Callable[..., Any]
FLIPS = 12


@pytest.fixture
def signed(make_run: Maker) -> Callable[[str], Path]:
    """Makes signed run directories."""

    def make(verdict: str, **options: Any) -> Path:
        run = make_run(verdict, **options)
        for writer in (write, html.write, junit.write, ocptv.write):
            writer(FinishedRun(run.dir))
        directory: Path = run.dir
        assert verify(directory).ok
        return directory

    return make


@pytest.mark.parametrize("verdict", ["PASS", "ABORTED"])
@pytest.mark.parametrize("with_root", [False, True])
def test_one_flipped_bit_anywhere_is_found_and_its_file_named(
    signed: Callable[[str], Path], tmp_path: Path, verdict: str, with_root: bool
) -> None:
    directory = signed(verdict)
    root = tmp_path / "trusted.pem" if with_root else None
    if root is not None:
        shutil.copy(directory / "keys" / "root.pem", root)
    chance = random.Random(20261122)
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    assert len(files) >= 10
    for path in files:
        whole = path.read_bytes()
        places = {0, len(whole) - 1, *(chance.randrange(len(whole)) for _ in range(FLIPS))}
        for place in sorted(places):
            spoilt = bytearray(whole)
            spoilt[place] ^= 1 << chance.randrange(8)
            path.write_bytes(spoilt)
            found = verify(directory, root)
            name = path.relative_to(directory).as_posix()
            assert not found.ok, f"{name} byte {place}"
            assert name in {finding.file for finding in found.findings}, f"{name} byte {place}: {found.findings}"
        path.write_bytes(whole)
    assert verify(directory, root).ok


def test_every_bit_of_the_manifest_line_counts(signed: Callable[[str], Path]) -> None:
    bundle = signed("ABORTED") / "evidence.intoto.jsonl"
    whole = bundle.read_bytes()
    root = load_or_make_keys(None)
    chain = root.station_chain
    for place in range(len(whole)):
        spoilt = bytearray(whole)
        spoilt[place] ^= 1 << (place % 8)
        try:
            opened = open_envelope(bytes(spoilt))
        except ValueError:
            continue
        # What opens is the same statement beside another certificate: that one no root has issued.
        assert opened.chain != chain


@pytest.mark.parametrize("verdict", ["PASS", "INCONCLUSIVE", "ABORTED"])
def test_the_last_line_of_the_journal_is_held_against_the_signed_head(
    signed: Callable[[str], Path], verdict: str
) -> None:
    directory = signed(verdict)
    journal = directory / "journal.jsonl"
    whole = journal.read_bytes()
    *lines, last = whole.splitlines(keepends=True)
    assert f'"verdict":"{verdict}"'.encode() in last
    sound = 0
    for place in range(len(last)):
        spoilt = bytearray(last)
        spoilt[place] ^= 1
        journal.write_bytes(b"".join(lines) + spoilt)
        try:
            read_journal(journal)
            sound += 1
        except CorruptJournal:
            # The chain alone sees it. What follows is about what only the head can see.
            continue
        found = verify(directory)
        named = [finding.text for finding in found.findings if finding.file == "journal.jsonl"]
        assert any("does not end as certified" in text for text in named), place
        assert found.verdict == "UNKNOWN"
    assert sound > 20
    # A line less, and a line more that chains, are other ends too.
    for other in (b"".join(lines), whole + _next_line(whole)):
        journal.write_bytes(other)
        assert "does not end as certified" in " ".join(map(str, verify(directory).findings))
    journal.write_bytes(whole)
    assert verify(directory).ok


def _next_line(whole: bytes) -> bytes:
    last = whole.splitlines()[-1]
    before = decode(json.loads(last))
    return encode(dataclasses.replace(before, seq=before.seq + 1, previous=digest(last))) + b"\n"


@pytest.mark.parametrize("verdict", ["PASS", "INCONCLUSIVE"])
def test_a_missing_or_surplus_file_is_named(signed: Callable[[str], Path], verdict: str) -> None:
    directory = signed(verdict)
    for path in sorted(p for p in directory.rglob("*") if p.is_file()):
        whole = path.read_bytes()
        path.unlink()
        name = path.relative_to(directory).as_posix()
        found = verify(directory)
        assert not found.ok
        assert name in {finding.file for finding in found.findings}
        path.write_bytes(whole)
    for name in ("note.txt", "telemetry/segment-0002.parquet", "keys/other.pem", "deep/er/.hidden"):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        found = verify(directory)
        assert [finding.file for finding in found.findings] == [name]
        path.unlink()
    assert verify(directory).ok


def test_a_link_in_place_of_a_file_is_named(signed: Callable[[str], Path], tmp_path: Path) -> None:
    directory = signed("PASS")
    shutil.move(directory / "report.html", tmp_path / "report.html")
    (directory / "report.html").symlink_to(tmp_path / "report.html")
    found = verify(directory)
    assert "report.html" in {finding.file for finding in found.findings}


def test_a_line_taken_from_the_bundle_is_missed(signed: Callable[[str], Path]) -> None:
    directory = signed("PASS")
    bundle = directory / "certificate.intoto.jsonl"
    lines = bundle.read_bytes().splitlines(keepends=True)
    for number in range(3):
        bundle.write_bytes(b"".join(lines[:number] + lines[number + 1 :]))
        found = verify(directory)
        assert "certificate.intoto.jsonl" in {finding.file for finding in found.findings}
    bundle.write_bytes(b"".join(reversed(lines)))
    assert not verify(directory).ok


def test_another_root_is_not_believed(
    signed: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = signed("PASS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "elsewhere"))
    stranger = load_or_make_keys(None).directory / "root.pem"
    found = verify(directory, stranger)
    files = {finding.file for finding in found.findings}
    assert files >= {"keys/root.pem", "certificate.intoto.jsonl", "certificate.pdf"}
    assert not any("UNAUTHENTICATED" in note for note in found.remarks)


def test_signing_a_doctored_run_with_other_keys_does_not_help_against_the_root(
    signed: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = signed("PASS")
    trusted = tmp_path / "trusted.pem"
    shutil.copy(directory / "keys" / "root.pem", trusted)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "elsewhere"))
    write(FinishedRun(directory))
    assert verify(directory).ok
    assert not verify(directory, trusted).ok


def test_without_a_root_it_says_that_nobody_is_authenticated(signed: Callable[[str], Path]) -> None:
    directory = signed("PASS")
    notes = " ".join(verify(directory).remarks)
    assert "UNAUTHENTICATED" in notes
    assert "DEMO KEYS" in notes
    assert "SIMULATED" in notes
    assert "UNAUTHENTICATED" not in " ".join(verify(directory, directory / "keys" / "root.pem").remarks)


def test_a_flattered_judgement_does_not_verify_even_if_signed(blank: Any) -> None:
    step = "test_40.py::test_heat"
    blank.start().plan((step, "burn_in", "", ("accelerator.temperature.max",)))
    hot = blank.measured(step, "accelerator.temperature.max", "tray-01/accelerator-0", 95.0)
    blank.step(step)
    blank.entries.clear()
    (blank.dir / "journal.jsonl").unlink()
    fresh = type(blank)(blank.dir)
    fresh.start().plan((step, "burn_in", "", ("accelerator.temperature.max",)))
    from harness.journal import events as e

    fresh.add(
        e.StepStarted(step), dataclasses.replace(hot, judgement="pass"), e.StepFinished(step, "completed")
    ).finish()
    for writer in (write, html.write, junit.write, ocptv.write):
        writer(FinishedRun(blank.dir))
    found = verify(blank.dir)
    assert not found.ok
    assert "judged again it is fail" in str(found.findings[0])


def test_a_loosened_limit_does_not_verify_even_if_signed(blank: Any) -> None:
    from harness.journal import events as e

    step = "test_40.py::test_heat"
    blank.start().plan((step, "burn_in", "", ("accelerator.temperature.max",)))
    hot = blank.measured(step, "accelerator.temperature.max", "tray-01/accelerator-0", 95.0)
    loose = dataclasses.replace(hot, judgement="pass", limit=dataclasses.replace(hot.limit, maximum=120.0))
    blank.add(e.StepStarted(step), loose, e.StepFinished(step, "completed")).finish()
    for writer in (write, html.write, junit.write, ocptv.write):
        writer(FinishedRun(blank.dir))
    assert "a limit that is not the model's" in str(verify(blank.dir).findings[0])


def test_a_certificate_over_another_verdict_does_not_verify(signed: Callable[[str], Path]) -> None:
    directory = signed("FAIL")
    bundle = directory / "certificate.intoto.jsonl"
    lines = bundle.read_bytes().splitlines(keepends=True)
    statement = open_envelope(lines[1]).statement
    statement["predicate"]["verdict"] = "PASS"
    lines[1] = seal(statement, load_or_make_keys(None))
    bundle.write_bytes(b"".join(lines))
    found = verify(directory)
    assert "disagree on verdict" in " ".join(map(str, found.findings))


def test_a_directory_that_is_none_is_a_wrong_argument(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="is no run directory"):
        verify(tmp_path / "nothing")
    (tmp_path / "root.pem").write_text("no certificate")
    with pytest.raises(DefinitionError, match="holds no PEM certificate"):
        verify(tmp_path, tmp_path / "root.pem")


def test_an_empty_directory_proves_nothing(tmp_path: Path) -> None:
    found = verify(tmp_path)
    assert not found.ok
    assert found.verdict == "UNKNOWN"
    assert "journal.jsonl" in {finding.file for finding in found.findings}
