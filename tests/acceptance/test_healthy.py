"""A healthy rack passes, leaves everything the design names, and every byte of it is guarded."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from harness.journal.reader import read_journal
from harness.verdict import Verdict, fold
from tests.acceptance.runs import Run, rackproof

pytestmark = pytest.mark.scenario("--seed", "1")


def test_it_passes(run: Run) -> None:
    assert (run.code, run.result["verdict"]) == (0, "PASS"), run.result["reasons"]
    assert run.result["failed"] == []
    assert run.result["trips"] == []
    assert run.result["made_safe"] is True


def test_it_leaves_what_the_design_names(run: Run) -> None:
    names = {path.name for path in run.directory.iterdir()}
    assert names == {
        "journal.jsonl",
        "telemetry",
        "attachments",
        "keys",
        "certificate.intoto.jsonl",
        "certificate.pdf",
        "report.html",
        "ocptv.jsonl",
        "junit.xml",
    }
    assert not list((run.directory / "telemetry").glob("wal*"))


def test_the_verdict_folds_again_from_the_journal(run: Run) -> None:
    summary = fold(read_journal(run.directory / "journal.jsonl").entries)
    assert summary.verdict is Verdict.PASS
    assert summary.complete
    assert len({stage.planned.stage for stage in summary.steps}) == 6


def test_every_device_is_in_the_as_found_record(run: Run) -> None:
    summary = fold(read_journal(run.directory / "journal.jsonl").entries)
    assert {found.device for found in summary.inventory} == {
        *(f"tray-0{number}" for number in range(1, 5)),
        "switch-1",
        "pdu-a",
        "pdu-b",
        "shelf-1",
        "cdu-1",
    }
    serials = [part.serial for found in summary.inventory for part in found.parts if part.kind == "accelerator"]
    assert len(set(serials)) == 16


def test_every_kind_of_load_ran_beside_the_others_on_every_tray(run: Run) -> None:
    """Network loads go round: each host sends to the next one, and the last to the first."""
    summary = fold(read_journal(run.directory / "journal.jsonl").entries)
    work = {
        measured.subject: measured.value
        for step in summary.steps
        if step.planned.step.endswith("::test_burn_in")
        for measured in step.measurements
        if measured.key == "burn_in.load.work"
    }
    loads = ("cpu-test", "memory-test", "disk-test", "network-test")
    assert set(work) == {f"tray-0{number}/{load}" for number in range(1, 5) for load in loads}
    assert all(isinstance(value, int | float) and value > 0 for value in work.values())


def test_it_verifies_and_says_what_it_is_not(run: Run) -> None:
    done = rackproof("verify", str(run.directory))
    assert done.returncode == 0
    assert "VERIFIED" in done.stdout
    assert "SIMULATED" in done.stdout
    assert "DEMO" in done.stdout


def test_reports_are_derived_again_byte_for_byte(run: Run, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run.directory, tmp_path / run.directory.name))
    derived = ["certificate.intoto.jsonl", "certificate.pdf", "report.html", "ocptv.jsonl", "junit.xml"]
    for name in derived:
        (copy / name).unlink()
    done = rackproof("report", str(copy))
    assert done.returncode == 0, done.stderr
    for name in derived:
        assert (copy / name).read_bytes() == (run.directory / name).read_bytes(), name


@pytest.mark.parametrize("seed", range(3))
def test_one_flipped_bit_is_named(run: Run, tmp_path: Path, seed: int) -> None:
    copy = Path(shutil.copytree(run.directory, tmp_path / run.directory.name))
    chance = random.Random(seed)
    files = sorted(path for path in copy.rglob("*") if path.is_file() and path.stat().st_size)
    victims = [path for path in files if path.parent == copy] if seed == 0 else chance.sample(files, 4)
    for path in victims:
        good = path.read_bytes()
        position = chance.randrange(len(good))
        path.write_bytes(good[:position] + bytes([good[position] ^ 1 << chance.randrange(8)]) + good[position + 1 :])
        done = rackproof("verify", str(copy))
        name = str(path.relative_to(copy))
        assert done.returncode == 1, f"{name}: a flipped bit at {position} went unseen"
        assert name in done.stdout, f"{name} is not named: {done.stdout}"
        path.write_bytes(good)


def test_plain_lines_where_there_is_no_terminal(run: Run) -> None:
    assert "\x1b[" not in run.said
    assert "=== PASS ===" in run.said
