"""The words: verdict sentences, advice that a technician can act on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from harness.journal import events as e
from harness.verdict import fold
from reports import view

STEP = "test_30_links.py::test_cable_map"


def test_two_cables_that_changed_places_are_one_action(blank: Any) -> None:
    blank.start().plan((STEP, "links", "", ("link.neighbour",))).add(e.StepStarted(STEP))
    blank.add(blank.measured(STEP, "link.neighbour", "switch-1/swp1", "tray-02/nic-0", "tray-01/nic-0"))
    blank.add(blank.measured(STEP, "link.neighbour", "switch-1/swp3", "tray-01/nic-0", "tray-02/nic-0"))
    blank.add(e.StepFinished(STEP, "completed")).finish("FAIL")
    actions = view.next_action(fold(blank.entries))
    assert actions[0] == "Swap the cables at switch-1/swp1 and switch-1/swp3."
    assert len(actions) == 2


def test_a_cable_in_the_wrong_port_says_where_it_belongs(blank: Any) -> None:
    blank.start().plan((STEP, "links", "", ("link.neighbour",))).add(e.StepStarted(STEP))
    blank.add(blank.measured(STEP, "link.neighbour", "switch-1/swp1", "tray-04/nic-1", "tray-01/nic-0"))
    blank.add(e.StepFinished(STEP, "completed")).finish("FAIL")
    assert view.next_action(fold(blank.entries))[0] == (
        "The cable at switch-1/swp1 goes to tray-04/nic-1, the cable map wants tray-01/nic-0. Move the cable."
    )


def test_every_limit_of_the_model_has_advice_of_its_own(blank: Any) -> None:
    for key in blank.model["limits"]:
        measured = blank.measured(STEP, key, "tray-01/accelerator-2", "odd", "even")
        said = view.advice(dataclasses.replace(measured, judgement="fail"))
        assert "tray-01/accelerator-2" in said
        assert "Ask test engineering" not in said, key
        assert "{" not in said


def test_an_unjudged_value_is_no_failing_of_the_rack(blank: Any) -> None:
    said = view.advice(blank.measured(STEP, "thermal.flow", "cdu-1", None))
    assert said == "cdu-1 gave no usable thermal.flow (absent). Check its power and network cable, then run again."


def test_what_is_not_confirmed_safe_comes_first(make_run: Callable[..., Any]) -> None:
    run = make_run("FAIL")
    run.add(e.MadeSafe("trip", False, ("pdu-b", "tray-01-host")), e.RunFinished("FAIL"))
    first = view.next_action(fold(run.entries))[0]
    assert first.startswith("NOT CONFIRMED SAFE: pdu-b, tray-01-host.")


def test_a_trip_says_where_what_and_what_to_do(blank: Any) -> None:
    blank.start().plan((STEP, "links", "", ("link.up",))).step(STEP, ("link.up", "switch-1/swp1", True))
    blank.add(
        e.Tripped("coolant-leak", "cdu-1", 1, "count", "≤ 0 count", "rack", "a detector is wet", "Close the valves.")
    )
    blank.finish("FAIL")
    summary = fold(blank.entries)
    assert str(view.reasons(summary)[0]) == ("Interlock coolant-leak (the rack): cdu-1: a detector is wet, wanted ≤ 0")
    assert view.next_action(summary)[0] == "cdu-1: Close the valves."


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("PASS", ["conforms to bench4 revision 1.0", "3 steps ran", "7 measurements passed, 1 of them marginal"]),
        ("FAIL", ["does not conform", "1 of 3 steps failed"]),
        ("INCONCLUSIVE", ["No statement on conformity", "no certificate is issued"]),
        ("ABORTED", ["No statement on conformity", "stopped"]),
    ],
)
def test_verdict_sentences(make_run: Callable[..., Any], verdict: str, words: list[str]) -> None:
    summary = fold(make_run(verdict).entries)
    assert summary.verdict == verdict
    said = view.verdict_sentence(summary)
    assert all(word in said for word in words), said
    assert view.next_action(summary)


def test_every_run_has_a_next_action_and_a_reason_or_a_pass(blank: Any) -> None:
    for count in range(6):
        summary = fold(blank.start().entries[:count])
        assert view.next_action(summary)
        assert view.reasons(summary)
        assert view.verdict_sentence(summary)


def test_a_missing_measurement_is_told(blank: Any) -> None:
    blank.start().plan((STEP, "links", "", ("link.up", "link.speed"))).step(STEP, ("link.up", "switch-1/swp1", True))
    summary = fold(blank.finish("FAIL").entries)
    assert any("link.speed was never measured" in str(reason) for reason in view.reasons(summary))


def test_a_simulated_pass_releases_nothing(make_run: Callable[..., Any], blank: Any) -> None:
    blank.start(simulated=False).plan((STEP, "links", "", ("link.up",)))
    blank.step(STEP, ("link.up", "switch-1/swp1", True)).finish()
    assert "simulated" in view.next_action(fold(make_run("PASS").entries))[0]
    assert "Release the rack" in view.next_action(fold(blank.entries))[0]


def test_a_missing_measurement_of_one_subject_names_it(blank: Any) -> None:
    measures = ("burn_in.power@tray-02/accelerator-1", "burn_in.power@tray-02/accelerator-2", "burn_in.work")
    blank.start().plan((STEP, "burn_in", "", measures)).step(STEP, ("link.up", "switch-1/swp1", True))
    summary = fold(blank.finish("FAIL").entries)
    told = "burn_in.power of tray-02/accelerator-1 and tray-02/accelerator-2 was never measured"
    assert str(view.reasons(summary)[0]).endswith("burn_in.power of tray-02/accelerator-1 was never measured")
    assert view.shortfall(summary.steps[0]) == f"{told}; burn_in.work was never measured"
    assert view.remark(summary.steps[0]) == view.shortfall(summary.steps[0])
    assert [told, "burn_in.work was never measured"] in view.grouped_reasons(summary).values()
    first = view.next_action(summary)[0]
    assert first.startswith("tray-02/accelerator-1 and tray-02/accelerator-2 never gave")
    assert not any("@" in text for text in view.next_action(summary))


def test_what_is_missing_is_told_beside_what_failed(blank: Any) -> None:
    blank.start().plan((STEP, "burn_in", "", ("burn_in.power@tray-02/accelerator-1",)))
    blank.step(STEP, ("accelerator.temperature.max", "tray-01/accelerator-0", 91.0))
    summary = fold(blank.finish("FAIL").entries)
    assert view.remark(summary.steps[0]) == (
        "tray-01/accelerator-0: accelerator.temperature.max is 91 °C, wanted ≤ 83 °C; "
        "burn_in.power of tray-02/accelerator-1 was never measured"
    )


def test_many_silent_subjects_are_one_action_and_one_line(blank: Any) -> None:
    supplies = [f"shelf-1/psu-{n}" for n in range(1, 7)]
    blank.start().plan((STEP, "power", "", ("power.supply.share",)))
    blank.step(STEP, *[("power.supply.share", name, None) for name in supplies])
    summary = fold(blank.finish("INCONCLUSIVE").entries)
    assert len(view.reasons(summary)) == 6
    assert sum(len(told) for told in view.grouped_reasons(summary).values()) == 1
    assert view.next_action(summary)[0] == (
        "shelf-1/psu-1, shelf-1/psu-2, shelf-1/psu-3, shelf-1/psu-4 and 2 more gave no usable power.supply.share "
        "(absent). Check its power and network cable, then run again."
    )


def test_a_device_is_named_once_where_its_error_begins_with_its_name(blank: Any) -> None:
    blank.start().plan((STEP, "links", "", ("link.up",))).add(e.StepStarted(STEP))
    blank.add(e.DeviceFailed(STEP, "shelf-1", "Unreachable", "shelf-1: no answer. Check its cable."))
    summary = fold(blank.add(e.StepFinished(STEP, "completed")).finish("INCONCLUSIVE").entries)
    assert view.next_action(summary)[0] == "shelf-1: no answer. Check its cable."
    assert "shelf-1: shelf-1" not in str(view.reasons(summary)[0])


def test_what_a_trip_left_undone_is_one_line(blank: Any) -> None:
    later = [(f"test_50.py::test_{n}", "thermal", "", ("thermal.flow",)) for n in range(6)]
    blank.start().plan((STEP, "links", "", ("link.up",)), *later).add(e.StepStarted(STEP))
    text = "cdu-1.leak.wet is 1 count"
    blank.add(e.Tripped("coolant-leak", "cdu-1", 1, "count", "≤ 0 count", "rack", text, "Close the valves."))
    summary = fold(blank.add(e.StepFinished(STEP, "stopped", text)).finish("FAIL").entries)
    grouped = view.grouped_reasons(summary)
    assert grouped["Interlock coolant-leak (the rack)"] == ["cdu-1: leak.wet is 1, wanted ≤ 0"]
    assert grouped["Plan"] == ["cut off in: Test cable map", "6 steps of 7 never started"]
    assert len(view.reasons(summary)) == 8
    assert "interlock coolant-leak tripped." in view.verdict_sentence(summary)


def test_a_part_of_a_plan_is_told_and_what_to_do_about_it(blank: Any) -> None:
    blank.start().plan((STEP, "links", "", ("link.up",))).step(STEP, ("link.up", "switch-1/swp1", True))
    summary = fold(blank.finish("INCONCLUSIVE").entries)
    told = view.reasons(dataclasses.replace(summary, left_out=("leak.state", "power.balance")))[-1]
    assert "leak.state and power.balance" in str(told)
    assert "whole plan" in told.action
