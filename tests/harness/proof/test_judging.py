"""One run of a proof is judged by its journal: right check, another one, missed, or not run at all."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from harness.journal import events as e
from harness.journal.lines import encode
from harness.proof.judging import Ran, Watching, judge_fault, judge_seed
from harness.proof.results import Catch, Fault, Found, Mark, SeedResult

STEP, OTHER = "test_10.py::test_links[switch-1]", "test_20.py::test_trays"
FAULT = Fault("link.slow", "switch-1.swp1.link.slow=200", "links", "slow", "limit", "link.speed", "switch-1/swp1")
RUNNING = {"plan": "p", "model": "m", "limits": "l", "drivers": "d", "simulator": "s", "harness": "h", "release": "1"}
LIMIT = e.LimitUsed("link.speed", "Gbit/s", "≥ 400 Gbit/s", "data sheet", minimum=400.0)
BEGAN = json.dumps({"fault": FAULT.spec, "rack": "2026-11-22T09:00:00+00:00"}) + "\n"


def at(second: int) -> str:
    """Rack time so many seconds after nine."""
    return f"2026-11-22T09:{second // 60:02d}:{second % 60:02d}+00:00"


def journal(*events: e.Event, faults: tuple[str, ...] = (FAULT.spec,), running: dict[str, str] = RUNNING) -> Any:
    """The entries of a whole run with these events, ten rack seconds apart; two steps are planned."""
    bay = {"simulated": {"faults": list(faults)}}
    steps = (
        e.PlannedStep(STEP, "Links", "links", "", ("link.speed@switch-1/swp1",)),
        e.PlannedStep(OTHER, "Trays", "burn_in", "", ("link.up",)),
    )
    begun: tuple[e.Event, ...] = (
        e.RunStarted("r", {"bay": bay, "model": {}}, "", {}, {}, True, "", ""),
        e.Planned("rack", "p", steps),
        e.ProofChecked("UNPROVEN", (), (), "", "", "", running),
    )
    whole = (*begun, *events, e.RunFinished("?"))
    return tuple(e.Entry(n, at(10 * n), at(10 * n), float(n), "", event) for n, event in enumerate(whole))


def measured(step: str, key: str, subject: str, judgement: str) -> e.Measured:
    return e.Measured(
        step, key, subject, 1.0, "1", "", "good", judgement, dataclasses.replace(LIMIT, key=key, minimum=0.0)
    )


def stepped(step: str, *events: e.Event) -> tuple[e.Event, ...]:
    return (e.StepStarted(step), *events, e.StepFinished(step, "completed"))


SOUND = (
    *stepped(STEP, measured(STEP, "link.speed", "switch-1/swp1", "pass")),
    *stepped(OTHER, measured(OTHER, "link.up", "rack", "pass")),
)
OWN = (
    *stepped(STEP, measured(STEP, "link.speed", "switch-1/swp1", "fail")),
    *stepped(OTHER, measured(OTHER, "link.up", "rack", "pass")),
)


def test_the_right_check_on_the_right_subject_catches() -> None:
    result = judge_fault(FAULT, Ran(journal(*OWN), BEGAN), RUNNING)
    assert (result.catch, result.verdict, result.after) == (Catch.RIGHT, "FAIL", 40.0)
    assert result.found == (Found("test_10.py::test_links", "link.speed", "switch-1/swp1"),)
    assert list(result.marks.values()) == [Mark.RIGHT, Mark.CLEAN]


@pytest.mark.parametrize(("key", "subject"), [("link.up", "switch-1/swp1"), ("link.speed", "switch-1/swp2")])
def test_another_check_or_another_subject_is_told_apart(key: str, subject: str) -> None:
    blamed = stepped(OTHER, measured(OTHER, key, subject, "fail"))
    result = judge_fault(FAULT, Ran(journal(*SOUND[:3], *blamed), BEGAN), RUNNING)
    assert (result.catch, result.text, result.after) == (Catch.OTHER, f"{key} on {subject}", 70.0)


def test_a_pass_is_a_miss() -> None:
    assert judge_fault(FAULT, Ran(journal(*SOUND), BEGAN), RUNNING).catch is Catch.MISSED


def test_an_interlock_catches_what_names_it() -> None:
    fault = dataclasses.replace(FAULT, kind="interlock", check="tray-leak", subject="tray-02")
    trip = e.Tripped("tray-leak", "tray-02", 1, "count", "≤ 0 count", "rack", "wet", "")
    run = journal(e.StepStarted(STEP), trip, e.StepFinished(STEP, "stopped", "tripped"))
    result = judge_fault(fault, Ran(run, BEGAN), RUNNING)
    assert (result.catch, result.found[0].step) == (Catch.RIGHT, "test_10.py::test_links")
    assert list(result.marks.values()) == [Mark.RIGHT, Mark.UNREACHED]
    # The limit of that name is another check.
    assert judge_fault(dataclasses.replace(fault, check="leak"), Ran(run, BEGAN), RUNNING).catch is Catch.OTHER


SILENT = Fault("bmc.silent", "tray-02.bmc.silent", "burn_in", "silent", "limit", "link.up", "tray-02")
LOST = (e.StepStarted(OTHER), e.DeviceLost("tray-02", "no answer"))
UNTOLD = (e.DeviceFailed(OTHER, "tray-02", "Unreachable", "tray-02: no answer"), e.StepFinished(OTHER, "completed"))


def silent(*events: e.Event) -> Catch:
    began = BEGAN.replace(FAULT.spec, SILENT.spec)
    return judge_fault(SILENT, Ran(journal(*SOUND[:3], *events, faults=(SILENT.spec,)), began), RUNNING).catch


def test_a_device_that_falls_silent_for_good_is_caught_by_the_check_that_names_it() -> None:
    assert silent(*LOST, *UNTOLD) is Catch.RIGHT


def test_a_device_that_comes_back_is_caught_as_well_where_the_step_names_it() -> None:
    assert silent(*LOST, e.DeviceBack("tray-02", 3.0), *UNTOLD) is Catch.RIGHT


def test_the_host_of_a_tray_stands_for_it_and_another_device_does_not() -> None:
    assert silent(*LOST, dataclasses.replace(UNTOLD[0], device="tray-02-host"), UNTOLD[1]) is Catch.RIGHT
    assert silent(*LOST, dataclasses.replace(UNTOLD[0], device="tray-01"), UNTOLD[1]) is Catch.NOT_RUN


def test_what_the_rig_could_not_tell_is_not_caught() -> None:
    run = journal(*SOUND[:3], e.StepStarted(OTHER), dataclasses.replace(UNTOLD[0], device="pdu-a"), UNTOLD[1])
    result = judge_fault(FAULT, Ran(run, BEGAN), RUNNING)
    assert (result.catch, result.verdict) == (Catch.NOT_RUN, "INCONCLUSIVE")
    assert "the rig could not tell" in result.text


@pytest.mark.parametrize(
    ("ran", "text"),
    [
        (Ran(problem="it hung"), "it hung"),
        (Ran(), "no journal"),
        (Ran(journal(*OWN), ""), "never began"),
        (Ran(journal(*OWN), BEGAN.replace("200", "100")), "never began"),
        (Ran(journal(*OWN)[:-1], BEGAN), "no end"),
        (Ran(journal(*SOUND, e.StopRequested("Ctrl-C", "stopping")), BEGAN), "stopped by Ctrl-C"),
        (Ran(journal(*OWN, faults=()), BEGAN), "did not have the faults"),
        (Ran(journal(*OWN, running=RUNNING | {"drivers": "x"}), BEGAN), "changed while"),
        (Ran(journal(*OWN), BEGAN, "its journal says FAIL, and it ended with exit code 4"), "exit code 4"),
    ],
)
def test_what_the_machine_prevented_is_never_caught(ran: Ran, text: str) -> None:
    result = judge_fault(FAULT, ran, RUNNING)
    assert result.catch is Catch.NOT_RUN
    assert text in result.text


def test_a_run_that_was_stopped_once_its_fault_was_caught_counts() -> None:
    run = journal(*OWN[:2], e.StopRequested("SIGTERM", "stopping"), e.StepFinished(STEP, "stopped"))
    result = judge_fault(FAULT, Ran(run, BEGAN), RUNNING)
    assert (result.catch, list(result.marks.values())) == (Catch.RIGHT, [Mark.RIGHT, Mark.UNREACHED])


def test_the_line_that_catches_a_fault_is_known_while_it_is_written() -> None:
    def caught(fault: Fault, lines: list[bytes]) -> int:
        watching = Watching(fault)
        return [watching.is_caught(line) for line in lines].count(True)

    assert caught(FAULT, [encode(entry) for entry in journal(*OWN)]) == 1
    assert caught(FAULT, [encode(entry) for entry in journal(*SOUND)]) == 0
    trip = e.Tripped("link.speed", "switch-1/swp1", 1, "count", "", "rack", "", "")
    (line,) = (encode(entry) for entry in journal(trip) if entry.event is trip)
    assert caught(dataclasses.replace(FAULT, kind="interlock"), [line]) == 1
    assert caught(FAULT, [line[:-5]]) == 0
    assert caught(SILENT, [encode(entry) for entry in journal(*SOUND[:3], *LOST, *UNTOLD)]) == 1


UNSURE = dataclasses.replace(FAULT, expected="INCONCLUSIVE", device="switch-1")


def test_a_value_that_could_not_be_judged_catches_a_lying_device() -> None:
    unsure = (*stepped(STEP, measured(STEP, "link.speed", "switch-1/swp1", "unjudged")), *SOUND[3:])
    result = judge_fault(UNSURE, Ran(journal(*unsure), BEGAN), RUNNING)
    assert (result.catch, result.verdict, result.after) == (Catch.RIGHT, "INCONCLUSIVE", 40.0)
    assert result.text == "link.speed on switch-1/swp1 could not be judged"
    assert Watching(UNSURE).is_caught(encode(journal(*unsure)[4]))
    # Stopped as soon as it was, it is as good.
    stopped = (*unsure[:2], e.StopRequested("SIGTERM", "stopping"), e.StepFinished(STEP, "stopped"))
    assert judge_fault(UNSURE, Ran(journal(*stopped), BEGAN), RUNNING).catch is Catch.RIGHT


def test_a_device_that_never_opened_is_blamed_by_the_step_that_names_it() -> None:
    unopened = e.DeviceFailed("", "switch-1", "Unreachable", "switch-1: no answer")
    named = e.DeviceFailed(STEP, "switch-1", "Unreachable", "switch-1: no answer")
    untold = (unopened, *stepped(STEP, named), *SOUND[3:])
    result = judge_fault(UNSURE, Ran(journal(*untold), BEGAN), RUNNING)
    assert (result.catch, result.after) == (Catch.RIGHT, 30.0)
    elsewhere = (unopened, *stepped(STEP, dataclasses.replace(named, device="switch-2")), *SOUND[3:])
    assert judge_fault(UNSURE, Ran(journal(*elsewhere), BEGAN), RUNNING).catch is not Catch.RIGHT


def test_every_healthy_rack_that_does_not_pass_is_a_false_alarm() -> None:
    assert judge_seed(3, Ran(journal(*SOUND, faults=())), RUNNING) == SeedResult(3, "PASS")
    assert judge_seed(3, Ran(journal(*OWN, faults=())), RUNNING).verdict == "FAIL"
    cut = judge_seed(3, Ran(journal(*SOUND, faults=())[:-1], problem="it hung"), RUNNING)
    assert (cut.verdict, cut.reasons[0]) == ("ABORTED", "it hung")
    assert judge_seed(3, Ran(journal(*SOUND, faults=()), problem="exit code 4"), RUNNING).verdict == "ABORTED"
    assert judge_seed(3, Ran(problem="it did not begin"), RUNNING) == SeedResult(3, "", ("it did not begin",))
    assert judge_seed(3, Ran(journal(*SOUND)), RUNNING).verdict == ""
