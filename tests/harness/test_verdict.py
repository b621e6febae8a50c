"""The verdict: a pure fold, and nothing missing, late, doubled or cut off ever makes it a pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.journal import events as e
from harness.verdict import EXIT_CODES, GRAVITY, RunSummary, Verdict, fold, worst

LIMIT = e.LimitUsed("thermal.flow", "L/min", "≥ 22 L/min", "data sheet", minimum=22.0)
STARTED = e.RunStarted("run-1", {}, "", {}, {}, True, "", "station")


def planned(*steps: str, measures: tuple[str, ...] = ("thermal.flow",)) -> e.Planned:
    return e.Planned("rack", "", tuple(e.PlannedStep(step, step, "thermal", "", measures) for step in steps))


def measured(step: str, judgement: str = "pass", key: str = "thermal.flow") -> e.Measured:
    return e.Measured(step, key, "cdu-1", 23.0, "L/min", "", "good", judgement, LIMIT)


def passed(step: str) -> list[e.Event]:
    return [e.StepStarted(step), measured(step), e.StepFinished(step, "completed")]


def run(*events: e.Event) -> RunSummary:
    stamp = "2026-11-22T08:00:00.000000Z"
    return fold(e.Entry(seq, stamp, stamp, float(seq), "", event) for seq, event in enumerate(events))


END = e.RunFinished("PASS")
SOUND: tuple[e.Event, ...] = (STARTED, planned("a", "b"), *passed("a"), *passed("b"), END)


def test_everything_done_and_passed_is_a_pass() -> None:
    summary = run(*SOUND)
    assert summary.verdict is Verdict.PASS
    assert summary.reasons == ()
    assert summary.complete
    assert summary.run_id == "run-1"
    assert [step.verdict for step in summary.steps] == [Verdict.PASS, Verdict.PASS]
    assert summary.steps[0].started
    assert summary.steps[0].finished


def test_marginal_is_a_pass() -> None:
    assert (
        run(STARTED, planned("a"), e.StepStarted("a"), measured("a", "marginal"), *passed("a")[2:], END).verdict
        is Verdict.PASS
    )


@given(st.integers(0, len(SOUND) - 1))
def test_journal_cut_anywhere_is_never_a_pass(length: int) -> None:
    summary = run(*SOUND[:length])
    assert summary.verdict is not Verdict.PASS
    assert not summary.complete


@given(st.sets(st.integers(0, len(SOUND) - 1), min_size=1))
def test_sound_run_with_any_events_missing_is_never_a_pass(dropped: set[int]) -> None:
    """The first event alone bears no verdict."""
    left = [event for number, event in enumerate(SOUND) if number not in dropped or number == 0]
    if len(left) < len(SOUND):
        assert run(*left).verdict is not Verdict.PASS


BAD: dict[str, tuple[Sequence[e.Event], Verdict]] = {
    "failed measurement": ([measured("a", "fail")], Verdict.FAIL),
    "unjudged measurement": ([measured("a", "unjudged")], Verdict.INCONCLUSIVE),
    "measurement of no known word": ([measured("a", "probably fine")], Verdict.INCONCLUSIVE),
    "measurement of no step": ([measured("z")], Verdict.INCONCLUSIVE),
    "step never planned": (passed("z"), Verdict.INCONCLUSIVE),
    "device failed": ([e.DeviceFailed("a", "cdu-1", "Unreachable", "cdu-1: no answer")], Verdict.INCONCLUSIVE),
    "second end in error": ([e.StepFinished("a", "error", "plan broke")], Verdict.INCONCLUSIVE),
    "second end stopped": ([e.StepFinished("a", "stopped", "operator")], Verdict.ABORTED),
    "end of no known word": ([e.StepFinished("a", "splendid")], Verdict.INCONCLUSIVE),
    "trip blamed on the rack": (
        [e.Tripped("coolant-leak", "cdu-1", 1, "count", "≤ 0", "rack", "wet", "")],
        Verdict.FAIL,
    ),
    "trip blamed on the rig": (
        [e.Tripped("loss-of-flow", "cdu-1", None, "L/min", "≥ 8", "rig", "silent", "")],
        Verdict.ABORTED,
    ),
    "trip blamed on nobody": ([e.Tripped("x", "cdu-1", None, "L/min", "", "", "", "")], Verdict.FAIL),
    "stopped": ([e.StopRequested("operator", "Ctrl-C")], Verdict.ABORTED),
    "events after the end": ([END, e.Noted("late")], Verdict.ABORTED),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("early", [False, True])
def test_bad_news_anywhere_in_a_sound_run_decides(what: str, early: bool) -> None:
    events, expected = BAD[what]
    place = 2 if early and what != "events after the end" else len(SOUND) - (what != "events after the end")
    summary = run(*SOUND[:place], *events, *SOUND[place:])
    assert summary.verdict is expected, summary.reasons
    assert summary.reasons


def test_declared_but_not_measured_fails() -> None:
    plan = planned("a", measures=("thermal.flow", "thermal.rise"))
    summary = run(STARTED, plan, *passed("a"), END)
    assert summary.verdict is Verdict.FAIL
    assert summary.steps[0].missing == ("thermal.rise",)
    assert "thermal.rise" in summary.reasons[0]


def test_measurement_of_another_step_does_not_count() -> None:
    summary = run(
        STARTED,
        planned("a", "b"),
        *passed("a"),
        measured("a"),
        e.StepStarted("b"),
        e.StepFinished("b", "completed"),
        END,
    )
    assert summary.verdict is Verdict.FAIL
    assert summary.steps[1].missing == ("thermal.flow",)


def test_step_that_measures_nothing_is_no_pass() -> None:
    plan = planned("a", measures=())
    assert run(STARTED, plan, e.StepStarted("a"), e.StepFinished("a", "completed"), END).verdict is Verdict.INCONCLUSIVE


def test_step_that_never_started_is_not_run() -> None:
    summary = run(STARTED, planned("a", "b"), *passed("a"), END)
    assert summary.verdict is Verdict.NOT_RUN
    assert summary.steps[1].verdict is Verdict.NOT_RUN


@pytest.mark.parametrize("events", [(), (STARTED,), (STARTED, END), (STARTED, planned(), END), (END,)])
def test_nothing_proven_is_never_a_pass(events: tuple[e.Event, ...]) -> None:
    assert run(*events).verdict is not Verdict.PASS


def test_rack_that_failed_stays_failed_however_the_run_ended() -> None:
    events = (STARTED, planned("a", "b"), e.StepStarted("a"), measured("a", "fail"))
    for rest in ((), (e.StopRequested("operator", ""),), (e.StepFinished("a", "error"), END)):
        assert run(*events, *rest).verdict is Verdict.FAIL


def test_repeated_measurement_does_not_wash_out_a_failure() -> None:
    summary = run(
        STARTED,
        planned("a"),
        e.StepStarted("a"),
        measured("a", "fail"),
        measured("a"),
        e.StepFinished("a", "completed"),
        END,
    )
    assert summary.verdict is Verdict.FAIL
    assert len(summary.failed) == 1


@pytest.mark.parametrize("verdict", [word.value for word in Verdict])
def test_last_event_only_advises(verdict: str) -> None:
    assert run(*SOUND[:-1], e.RunFinished(verdict)).verdict is Verdict.PASS
    worse = (STARTED, planned("a"), e.StepStarted("a"), measured("a", "fail"), e.StepFinished("a", "completed"))
    assert run(*worse, e.RunFinished(verdict)).verdict is Verdict.FAIL


def test_fold_is_pure() -> None:
    stamp = "2026-11-22T08:00:00.000000Z"
    entries = [e.Entry(seq, stamp, stamp, 0.0, "", event) for seq, event in enumerate(SOUND)]
    assert fold(entries) == fold(iter(entries)) == fold([replace(entry) for entry in entries])


@given(st.lists(st.sampled_from(list(Verdict))))
def test_worst_is_the_gravest(verdicts: list[Verdict]) -> None:
    found = worst(verdicts)
    assert found is (min(verdicts, key=GRAVITY.index) if verdicts else Verdict.NOT_RUN)
    assert (found is Verdict.PASS) == (bool(verdicts) and set(verdicts) == {Verdict.PASS})


def test_only_a_pass_exits_with_zero() -> None:
    assert set(EXIT_CODES) == set(Verdict)
    assert [verdict for verdict, code in EXIT_CODES.items() if code == 0] == [Verdict.PASS]
    assert 2 not in EXIT_CODES.values()


def test_a_part_of_a_plan_is_no_pass() -> None:
    """What is left out follows from definition and plan: no event can deny it."""
    limits: dict[str, object] = {"thermal.flow": {}, "leak.state": {}, "power.balance": {}}
    summary = run(replace(STARTED, definition={"model": {"limits": limits}}), planned("a"), *passed("a"), END)
    assert summary.verdict is Verdict.INCONCLUSIVE
    assert summary.left_out == ("leak.state", "power.balance")
    assert "leak.state" in summary.reasons[0]


def test_a_journal_without_a_definition_is_no_pass() -> None:
    assert run(planned("a"), *passed("a"), END).verdict is Verdict.INCONCLUSIVE
