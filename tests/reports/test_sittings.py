"""A run that broke and went on: page, statement and screen tell every segment, and an undisturbed run nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.journal import events as e
from harness.verdict import Verdict
from reports import html, sittings
from reports.board import Board
from reports.certificate.statement import acceptance
from reports.evidence import read_evidence

RESUMED = e.Resumed(2, "interrupted", True, "night shift", "station-2", {}, {}, None, "", {})


def broken(run: Any) -> Any:
    """A run whose last step is stopped, and that goes on."""
    step = "test_40_burn_in.py::test_burn_in"
    run.start(simulated=False, tier="silver").plan((step, "burn_in", "", ("burn_in.errors",)))
    run.add(e.StepStarted(step), run.measured(step, "burn_in.errors", "tray-01/accelerator-0", None))
    run.add(e.ClockJumped(-3600.0), RESUMED)
    run.add(e.TelemetryLost("telemetry/000002.wal", 17, "2026-11-22T08:00:00+00:00", "2026-11-22T08:00:05+00:00"))
    run.add(e.WatchdogActed("w", "the station is gone", "tray-01-host", "stop loads", True, "no load is <running>"))
    run.add(e.TakenUp((), (e.Repeated(step, "it was interrupted"),)))
    run.step(step, ("burn_in.errors", "tray-01/accelerator-0", 0))
    return run.finish()


def test_every_segment_is_told(blank: Any) -> None:
    evidence = read_evidence(broken(blank).dir)
    first, second = sittings.rows(evidence.summary, evidence.run_dir)
    assert first[0] == "1"
    assert first[4] == "interrupted: the journal stops there, its last line torn"
    for said in ("lost: 17 octets of telemetry/000002.wal", "jumped by -3600 s", "watchdog: tray-01-host stop loads"):
        assert said in first[5], said
    assert second[1] == "station-2, night shift"
    assert second[4:] == ("finished", "run again: test_burn_in (it was interrupted)")
    page = html.render(evidence).decode()
    assert "Segments of this run" in page
    assert "no load is &lt;running&gt;" in page
    signed = acceptance(evidence)
    assert [sitting["number"] for sitting in signed["sittings"]] == [1, 2]
    assert signed["steps"][0]["attempts"] == 2
    assert [m["judgement"] for m in signed["steps"][0]["superseded"]] == ["unjudged"]
    assert json.dumps(signed, allow_nan=False)


def test_an_undisturbed_run_has_nothing_to_tell(make_run: Callable[..., Any]) -> None:
    evidence = read_evidence(make_run("PASS").dir)
    assert sittings.rows(evidence.summary, evidence.run_dir) == ()
    assert "Segments of this run" not in html.render(evidence).decode()


def test_what_the_watchdog_did_after_the_last_segment_is_told_from_its_own_file(blank: Any) -> None:
    run = broken(blank)
    line = {
        "wall": "w",
        "reason": "r",
        "device": "rack",
        "action": "make safe",
        "confirmed": False,
        "text": "go and look",
    }
    (Path(run.dir) / "watchdog.jsonl").write_text(f"{json.dumps(line)}\n" * 2)
    evidence = read_evidence(run.dir)
    first, second = sittings.rows(evidence.summary, evidence.run_dir)
    assert "go and look" not in first[5], "of this the journal says more"
    assert "watchdog: rack make safe, NOT CONFIRMED: go and look" in second[5]


def test_the_screen_begins_a_repeated_step_anew_and_forgets_no_failure(blank: Any) -> None:
    run = broken(blank)
    board = Board()
    for entry in run.entries:
        board.apply(entry)
    (step,) = board.steps.values()
    assert (step.verdict, board.finished, board.stop) == (Verdict.PASS, "PASS", None)
    failing = Board()
    for entry in run.entries:
        failing.apply(entry)
        if isinstance(entry.event, e.StepStarted) and entry.event is run.entries[2].event:
            next(iter(failing.steps.values())).failed = 1
    assert next(iter(failing.steps.values())).verdict is Verdict.FAIL
