"""The certificate: what it says, that it is the same every time, and who gets one."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import DefinitionError
from harness.journal import events as e
from harness.observing import FinishedRun
from reports import html, junit, ocptv
from reports.certificate import write
from reports.certificate import write_all as write_at_once
from reports.certificate.envelope import BadEnvelope, open_envelope, seal
from reports.certificate.signing import DEMO_ORGANISATION, load_or_make_keys
from reports.certificate.verify import verify
from reports.evidence import BrokenEvidence

Maker = Callable[..., Any]


def write_all(directory: Path) -> None:
    for writer in (write, html.write, junit.write, ocptv.write):
        writer(FinishedRun(directory))


def payloads(directory: Path, name: str = "certificate.intoto.jsonl") -> list[dict[str, Any]]:
    return [open_envelope(line).statement for line in (directory / name).read_bytes().splitlines(keepends=True)]


@pytest.mark.parametrize("verdict", ["PASS", "FAIL", "INCONCLUSIVE", "ABORTED"])
def test_every_verdict_verifies_and_only_pass_and_fail_are_certified(make_run: Maker, verdict: str) -> None:
    run = make_run(verdict)
    write_all(run.dir)
    found = verify(run.dir)
    assert found.findings == ()
    assert found.ok
    assert found.verdict == verdict
    certified = verdict in ("PASS", "FAIL")
    assert (run.dir / "certificate.pdf").exists() is certified
    assert (run.dir / "certificate.intoto.jsonl").exists() is certified
    assert (run.dir / "evidence.intoto.jsonl").exists() is not certified
    assert "no certificate is issued" in (run.dir / "report.html").read_text("utf-8") or certified


def test_writing_again_gives_the_same_bytes(make_run: Maker) -> None:
    run = make_run("PASS")
    write_all(run.dir)
    first = {path: path.read_bytes() for path in run.dir.rglob("*") if path.is_file()}
    for path in run.dir.rglob("*"):
        if path.is_file() and path.name != "journal.jsonl" and path.parent.name not in ("telemetry", "attachments"):
            path.unlink()
    # The order of the writers is free.
    for writer in (ocptv.write, html.write, write, junit.write):
        writer(FinishedRun(run.dir))
    assert {path: path.read_bytes() for path in run.dir.rglob("*") if path.is_file()} == first


@pytest.mark.parametrize("verdict", ["PASS", "ABORTED"])
def test_all_at_once_is_the_same_as_one_by_one(make_run: Maker, verdict: str) -> None:
    run = make_run(verdict)
    write_all(run.dir)
    first = {path: path.read_bytes() for path in run.dir.rglob("*") if path.is_file()}
    for path in first:
        if path.name != "journal.jsonl" and path.parent.name not in ("telemetry", "attachments"):
            path.unlink()
    written = write_at_once(FinishedRun(run.dir))
    assert len(set(written)) == len(written) == (8 if verdict == "PASS" else 7)
    assert {path: path.read_bytes() for path in run.dir.rglob("*") if path.is_file()} == first


def test_where_the_keys_are_missing_there_still_is_a_report(make_run: Maker, tmp_path: Path) -> None:
    run = make_run("FAIL")
    with pytest.raises(DefinitionError, match=r"root\.pem"):
        write_at_once(FinishedRun(run.dir, tmp_path / "no-keys"))
    assert (run.dir / "report.html").exists()
    assert not (run.dir / "certificate.pdf").exists()


def test_a_certificate_of_an_earlier_verdict_is_removed(make_run: Maker) -> None:
    run = make_run("PASS")
    write_all(run.dir)
    run.add(e.StopRequested("operator", "second thoughts"), e.RunFinished("ABORTED"))
    write_all(run.dir)
    assert not (run.dir / "certificate.pdf").exists()
    assert not (run.dir / "certificate.intoto.jsonl").exists()
    found = verify(run.dir)
    assert found.ok
    assert found.verdict == "ABORTED"


def test_the_acceptance_statement_holds_everything(make_run: Maker) -> None:
    run = make_run("FAIL")
    write_all(run.dir)
    result, acceptance, manifest = payloads(run.dir)
    assert result["predicate"]["result"] == "FAILED"
    assert result["predicate"]["failedTests"] == ["test_40_burn_in.py::test_burn_in"]
    predicate = acceptance["predicate"]
    assert predicate["verdict"] == "FAIL"
    assert predicate["simulation"] == {"simulated": True, "seed": 7, "pace": 20.0, "faults": []}
    assert predicate["proof"] == "UNPROVEN"
    assert predicate["waivers"] == []
    assert predicate["unit"]["serial"] == "BR4-00017"
    assert predicate["model"] == {
        "name": "bench4",
        "revision": "1.0",
        "title": "Liquid-cooled bench rack, 4 trays, 16 accelerators",
        "sha256": "aa" * 32,
    }
    assert predicate["journal"]["entries"] == len(run.entries)
    assert predicate["telemetry"][0]["file"] == "telemetry/segment-0001.parquet"
    assert predicate["instruments"][0]["serial"] == "FM-118"
    measured = [m for step in predicate["steps"] for m in step["measurements"]]
    assert len(measured) == 7
    assert all(m["limit"]["source"] for m in measured)
    assert {s["name"] for s in manifest["subject"]} >= {
        "journal.jsonl",
        "certificate.pdf",
        "report.html",
        "keys/root.pem",
    }
    assert acceptance["subject"] == result["subject"]


@pytest.mark.parametrize(
    ("simulated", "tier", "result"),
    [(True, "silver", "WARNED"), (False, "bronze", "WARNED"), (False, "silver", "WARNED")],
)
def test_nothing_that_takes_away_from_a_pass_reads_passed(
    make_run: Maker, simulated: bool, tier: str, result: str
) -> None:
    # The third one has a marginal temperature.
    run = make_run("PASS", simulated=simulated, tier=tier)
    write_all(run.dir)
    statement, acceptance, _ = payloads(run.dir)
    assert statement["predicate"]["result"] == result
    assert acceptance["predicate"]["provisional"] is (tier == "bronze")


def test_a_clean_pass_reads_passed(blank: Any) -> None:
    step = "test_10.py::test_link"
    blank.start(simulated=False).plan((step, "links", "", ("link.up",)))
    blank.prove().step(step, ("link.up", "switch-1/swp1", True))
    blank.finish()
    write_all(blank.dir)
    assert payloads(blank.dir)[0]["predicate"]["result"] == "PASSED"


def test_evidence_that_was_changed_is_not_signed(make_run: Maker) -> None:
    run = make_run("PASS")
    (run.dir / "attachments" / "tray-01-console.log").write_bytes(b"boot OK\n")
    with pytest.raises(BrokenEvidence, match=r"tray-01-console\.log is not the file that the journal recorded"):
        write(FinishedRun(run.dir))
    assert not (run.dir / "certificate.intoto.jsonl").exists()


def test_a_sealed_file_outside_the_run_is_refused(make_run: Maker, tmp_path: Path) -> None:
    run = make_run("PASS")
    run.add(e.Attached("../elsewhere.log", "00" * 32, "log"))
    with pytest.raises(BrokenEvidence, match="points out of the run directory"):
        write(FinishedRun(run.dir))


def test_texts_from_devices_are_data(blank: Any) -> None:
    evil = '#read("/etc/passwd") <script>alert(1)</script> ]]> 中文 \x00 \udc80'
    step = "test_10.py::test_link"
    blank.start(customer="Büro & Söhne 中文").plan((step, "links", "", ("link.up",)))
    blank.step(step, ("link.up", "switch-1/swp1", True))
    blank.add(e.DeviceLost("tray-01", evil), e.Noted(evil), e.SafetyAction("pdu-a", "off", True, evil, 0.1))
    blank.finish()
    write_all(blank.dir)
    assert verify(blank.dir).ok
    page = (blank.dir / "report.html").read_text("utf-8")
    assert "<script>" not in page


def test_demo_keys_are_made_once_private_and_named_so(
    make_run: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "fresh"))
    run = make_run("PASS")
    write(FinishedRun(run.dir))
    assert "demo signing keys" in capsys.readouterr().err
    write(FinishedRun(run.dir))
    assert capsys.readouterr().err == ""
    keys = load_or_make_keys(None)
    assert keys.demo
    assert DEMO_ORGANISATION in keys.root.subject.rfc4514_string()
    for name in ("station.key", "paper.key"):
        assert (keys.directory / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["root.pem", "station.pem", "station.key", "paper.pem", "paper.key"])
def test_an_incomplete_key_directory_is_named(tmp_path: Path, name: str) -> None:
    whole = load_or_make_keys(None).directory
    shutil.copytree(whole, tmp_path / "keys")
    (tmp_path / "keys" / name).unlink()
    with pytest.raises(DefinitionError, match=f"{name}: cannot be read"):
        load_or_make_keys(tmp_path / "keys")


def test_a_key_that_others_can_read_or_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    shutil.copytree(load_or_make_keys(None).directory, tmp_path / "keys")
    (tmp_path / "keys" / "station.key").chmod(0o644)
    with pytest.raises(DefinitionError, match="chmod 600"):
        load_or_make_keys(tmp_path / "keys")
    (tmp_path / "keys" / "station.key").write_bytes((tmp_path / "keys" / "paper.key").read_bytes())
    (tmp_path / "keys" / "station.key").chmod(0o600)
    with pytest.raises(DefinitionError, match="no Ed25519 key"):
        load_or_make_keys(tmp_path / "keys")


def test_an_envelope_that_is_not_canonical_is_refused() -> None:
    keys = load_or_make_keys(None)
    line = seal({"a": 1}, keys)
    assert open_envelope(line).statement == {"a": 1}
    outer = json.loads(line)
    for spoilt in (
        json.dumps(outer).encode() + b"\n",
        line.rstrip(b"\n"),
        line.replace(b'"keyid":"', b'"keyid":"0'),
        json.dumps(outer | {"extra": 1}, sort_keys=True, separators=(",", ":")).encode() + b"\n",
        line.replace(base64.b64encode(b'{"a":1}'), base64.b64encode(b'{"a":2}')),
        b"[]\n",
        b"\xff\n",
    ):
        with pytest.raises(BadEnvelope):
            open_envelope(spoilt)


@pytest.mark.skipif(shutil.which("pdfsig") is None, reason="poppler-utils is not installed")
def test_a_reader_of_another_make_finds_the_signature_valid(make_run: Maker) -> None:
    run = make_run("PASS")
    write(FinishedRun(run.dir))
    said = subprocess.run(["pdfsig", run.dir / "certificate.pdf"], capture_output=True, text=True, check=False).stdout
    assert "Signature is Valid" in said
    assert "Total document signed" in said
    assert "ETSI.CAdES.detached" in said
    text = subprocess.run(
        ["pdftotext", "-layout", run.dir / "certificate.pdf", "-"], capture_output=True, text=True, check=True
    ).stdout
    for word in ("SIMULATED", "UNPROVEN", "BR4-00017", "Decision rule", "page 1 of", "end of certificate no."):
        assert word in text
