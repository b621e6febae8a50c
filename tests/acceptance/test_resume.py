"""`rackproof resume`: a run that was stopped goes on, with its bay elsewhere, and its certificate says so."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from harness.errors import DefinitionError
from harness.journal import events as e
from harness.running import Order, order_again, prepare
from harness.verdict import Verdict
from tests.acceptance.broken import (
    LEASE,
    Standing,
    burning,
    events,
    journal_of,
    kill,
    read,
    resume,
    said_in,
    standing_rack,
    wait_for,
)
from tests.acceptance.runs import rackproof


@pytest.fixture(scope="module")
def rack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    with standing_rack(tmp_path_factory.mktemp("rack")) as standing:
        yield standing


def refused(run_dir: Path, said: str, *, model: str = "", bay: Path = Path()) -> None:
    """In this process, since a command takes seconds to start: `resume` does these two things first."""
    order = Order(model=model, bay=bay, serial="", runs=Path(), plan=Path())
    with pytest.raises(DefinitionError, match=said):
        prepare(order_again(run_dir, order))


def waiting_in_the_burn(rack: Standing, folder: Path, over: Path) -> Standing:
    """The rack with a plan whose burn goes on until a file is there: whoever stops it may take as long as it takes."""
    plan = folder / "waiting_plan"
    plan.mkdir()
    text = (rack.plan / "test_small.py").read_text("utf-8")
    held = 'held = await hold(rack, hosts, "burn-in", text="all hosts under load")\n'
    assert held in text
    wait = f"    import asyncio, os\n    await asyncio.sleep(0 if os.path.exists({str(over)!r}) else 3600)\n"
    (plan / "test_small.py").write_text(text.replace(held, held + wait), "utf-8")
    model = folder / "waiting.yaml"
    whole = yaml.safe_load(rack.model.read_text("utf-8"))
    # Long enough that it is commonly the load itself that is stopped, and not the step after it.
    whole["loads"]["burn-in"] |= {"seconds": 120}
    model.write_text(yaml.safe_dump(whole, sort_keys=False), "utf-8")
    return Standing(model, plan, rack.bay)


def test_a_run_that_was_stopped_under_load_goes_on_elsewhere(rack: Standing, tmp_path: Path) -> None:
    runs, over = tmp_path / "runs", tmp_path / "over"
    rack = waiting_in_the_burn(rack, tmp_path, over)
    process = rack.begin(runs)
    try:
        wait_for(lambda: said_in(runs, "all hosts under load"), process)
        refused(next(runs.iterdir()), "still going on")
        os.kill(process.pid, signal.SIGINT)
        out, said = process.communicate(timeout=240)
    finally:
        kill(process)
    over.touch()
    assert process.returncode == 4, said
    run_dir = Path(json.loads(out.splitlines()[-1])["run_dir"])
    assert not burning(rack.folder)
    before = read(run_dir)[0].entries

    text = rack.bay.read_text("utf-8")
    another = rack.folder / "another.yaml"
    another.write_text(text.replace("seed: 1", "seed: 2"), "utf-8")
    refused(run_dir, "the simulated rack of this run is gone", bay=another)
    looser = tmp_path / "looser.yaml"
    looser.write_text(rack.model.read_text("utf-8").replace("max: 83", "max: 84"), "utf-8")
    refused(run_dir, "limits.accelerator.temperature.max", model=str(looser))
    assert read(run_dir)[0].entries == before, "what is refused leaves no trace"

    moved = rack.folder / "moved.yaml"
    moved.write_text(text.replace(f"lease: {LEASE}", f"lease: {LEASE + 1}"), "utf-8")
    code, told, said = resume(run_dir, "--bay", str(moved), "--operator", "night shift")
    assert (code, told["verdict"], told["made_safe"]) == (0, "PASS", True), said
    journal, summary = read(run_dir)
    assert journal.entries[: len(before)] == before, "nothing of before was touched"
    first, second = summary.sittings
    assert "stopped by" in first.ended
    assert (second.ended, second.operator, second.token > first.token) == ("finished", "night shift", True)
    assert {each.step.rpartition("::")[2] for each in second.again} == {"test_burn"}
    assert {step.rpartition("::")[2] for step in second.stands} == {
        "test_who", "test_logs_before", "test_cords", "test_outlets",
    }  # fmt: skip
    began = [event.step for event in events(run_dir) if isinstance(event, e.StepStarted)]
    assert len(began) == len(summary.steps) + 1, "one step was begun twice, all others once"
    assert summary.verdict is Verdict.PASS

    checked = rackproof("verify", str(run_dir))
    assert checked.returncode == 0, checked.stdout
    page = (run_dir / "report.html").read_text("utf-8")
    assert "Segments of this run" in page
    assert "run again: test_burn (it was interrupted)" in page
    signed = (run_dir / "certificate.intoto.jsonl").read_text("utf-8")
    assert signed
    code, _, said = resume(run_dir)
    assert (code, "came to its own end (PASS)" in said) == (2, True)


@pytest.mark.long
def test_what_was_killed_is_verified_and_its_damage_is_found(rack: Standing, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    process = rack.begin(runs)
    wait_for(lambda: said_in(runs, "pdu-a/2 off"), process)
    kill(process)
    journal = journal_of(runs)
    assert journal is not None
    code, told, said = resume(journal.parent)
    assert (code, told.get("verdict")) == (0, "PASS"), said
    assert any(isinstance(event, e.WatchdogActed) for event in events(journal.parent))
    whole = journal.read_bytes()
    place = whole.index(b'"Resumed"')
    journal.write_bytes(whole[:place] + b'"Resumex"' + whole[place + 9 :])
    damaged = rackproof("verify", str(journal.parent))
    assert damaged.returncode == 1
    assert "journal.jsonl" in damaged.stdout


@pytest.mark.long
def test_a_step_that_failed_before_the_break_fails_the_run(rack: Standing, tmp_path: Path) -> None:
    plan = tmp_path / "failing_plan"
    plan.mkdir()
    text = (rack.plan / "test_small.py").read_text("utf-8")
    # It fails once and never again: as a fault that goes away while the station is down.
    flag = tmp_path / "flag"
    text = text.replace(
        'measure("event_log.new.critical", 0, tray.slot)',
        f"from pathlib import Path; import asyncio\n"
        f"        bad = not Path({str(flag)!r}).exists(); Path({str(flag)!r}).touch()\n"
        f'        measure("event_log.new.critical", int(bad), tray.slot)\n'
        f"        await asyncio.sleep(3600 if bad else 0)",
    )
    (plan / "test_small.py").write_text(text, "utf-8")
    runs = tmp_path / "runs"
    process = Standing(rack.model, plan, rack.bay).begin(runs)
    wait_for(lambda: said_in(runs, '"judgement":"fail"'), process)
    kill(process)
    journal = journal_of(runs)
    assert journal is not None
    code, told, said = resume(journal.parent)
    assert (code, told.get("verdict")) == (1, "FAIL"), said
    assert [each["key"] for each in told["failed"]] == ["event_log.new.critical"]
    summary = read(journal.parent)[1]
    assert [step.verdict for step in summary.steps].count(Verdict.FAIL) == 1
    assert all(step.verdict in (Verdict.PASS, Verdict.FAIL) for step in summary.steps), "the rest was run all the same"
