"""The summary to the letter: every field is of its own events, every verdict has its reason, the gravest first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.journal import events as e
from harness.verdict import EXIT_CODES, GRAVITY, RunSummary, StepResult, Verdict, fold

LIMIT = e.LimitUsed("thermal.flow", "L/min", "≥ 22 L/min", "data sheet", minimum=22.0)
STARTED = e.RunStarted("run-1", {}, "", {}, {}, True, "", "station")
END = e.RunFinished("PASS")
PROOF = e.ProofChecked("PROVEN", (), (), "p", "1", "s", {})
TRIP = e.Tripped("leak", "cdu-1", 1, "count", "≤ 0", "rack", "wet", "")
ACTION = e.SafetyAction("tray-01-host", "stop loads", True, "", 0.1)
SAFE = e.MadeSafe("end of run", True, ())
STOP = e.StopRequested("operator", "Ctrl-C")
FOUND = e.Inventoried("tray-01", "B", "M", "P", "S", {}, ())
SEALED = e.SegmentSealed("telemetry/1.parquet", "22", 7, "a", "b")
ATTACHED = e.Attached("attachments/x", "33", "x")
LOST = e.DeviceLost("pdu-a", "pdu-a: silent")
BACK = e.DeviceBack("pdu-a", 1.0)
RESUMED = e.Resumed(2, "it broke", False, "", "s", {}, {}, None, "", {})


def planned(*steps: str, measures: tuple[str, ...] = ("thermal.flow",)) -> e.Planned:
    return e.Planned("rack", "", tuple(e.PlannedStep(step, f"Step {step}", "own", "", measures) for step in steps))


def measured(step: str, judgement: str = "pass", **words: Any) -> e.Measured:
    return replace(e.Measured(step, "thermal.flow", "cdu-1", 23.0, "L/min", "", "good", judgement, LIMIT), **words)


def passed(step: str) -> list[e.Event]:
    return [e.StepStarted(step), measured(step), e.StepFinished(step, "completed")]


def again(*steps: str) -> e.TakenUp:
    return e.TakenUp((), tuple(e.Repeated(step, "it was interrupted") for step in steps))


def run(*events: e.Event) -> RunSummary:
    """Entry n is written at wall second n, and at rack minute n."""
    return fold(e.Entry(n, f"wall-{n}", f"rack-{n}", float(n), "", event) for n, event in enumerate(events))


def whole(*more: e.Event) -> RunSummary:
    """A sound run of one step with something in the middle of it."""
    return run(STARTED, planned("a"), e.StepStarted("a"), measured("a"), *more, e.StepFinished("a", "completed"), END)


def test_words_and_exit_codes_are_what_others_rely_on() -> None:
    assert [each.value for each in Verdict] == ["FAIL", "ABORTED", "INCONCLUSIVE", "NOT_RUN", "PASS"]
    assert tuple(Verdict) == GRAVITY
    assert {each.value: code for each, code in EXIT_CODES.items()} == {
        "PASS": 0, "FAIL": 1, "INCONCLUSIVE": 3, "ABORTED": 4, "NOT_RUN": 3,
    }  # fmt: skip


def test_every_field_holds_its_own_events() -> None:
    found = whole(PROOF, TRIP, ACTION, SAFE, STOP, FOUND, SEALED, ATTACHED, LOST, BACK)
    assert (found.started, found.plan, found.proof) == (STARTED, planned("a"), PROOF)
    assert (found.trips, found.safety_actions, found.made_safe, found.stops) == ((TRIP,), (ACTION,), (SAFE,), (STOP,))
    assert (found.inventory, found.segments, found.attachments) == ((FOUND,), (SEALED,), (ATTACHED,))
    assert (found.lost_devices, found.left_out, found.complete) == ((LOST,), (), True)
    assert (found.run_id, found.first, found.last) == ("run-1", "wall-0", "wall-15")
    assert [each.number for each in found.sittings] == [1]
    assert found.reasons == ("interlock leak: wet", "stopped by operator: Ctrl-C")


def test_of_nothing_there_is_nothing_to_say() -> None:
    found = run()
    assert (found.run_id, found.first, found.last, found.complete) == ("", "", "", False)
    assert (found.started, found.plan, found.proof, found.steps, found.sittings) == (None, None, None, (), ())
    assert found.verdict is Verdict.ABORTED
    assert found.reasons == (
        "the run was interrupted: its journal has no end",
        "the journal does not say what was to be proven: it holds no definition",
        "no step was planned",
    )


def test_a_journal_without_trips_or_proof_has_none() -> None:
    found = whole()
    assert (found.verdict, found.reasons, found.proof, found.trips, found.failed) == (Verdict.PASS, (), None, (), ())


def test_a_step_is_told_with_when_it_was() -> None:
    (step,) = whole().steps
    assert (step.started, step.finished, step.attempts) == ("rack-2", "rack-4", 1)
    assert (step.measurements, step.superseded, step.device_failures) == ((measured("a"),), (), ())
    assert (step.verdict, step.missing, step.text) == (Verdict.PASS, (), "")


def test_a_result_is_of_one_attempt_unless_it_says_otherwise() -> None:
    result = StepResult(planned("a").steps[0], Verdict.PASS, (), (), (), "")
    assert (result.attempts, result.superseded, result.started, result.finished) == (1, (), "", "")


def test_a_step_that_never_started_says_so() -> None:
    found = run(STARTED, planned("a", "b"), *passed("a"), END)
    assert (found.steps[1].attempts, found.steps[1].started, found.steps[1].finished) == (0, "", "")
    assert found.reasons == ("Step b: never started",)


def test_a_step_that_never_ended_says_so() -> None:
    found = run(STARTED, planned("a"), e.StepStarted("a"), measured("a"), END)
    assert (found.verdict, found.reasons) == (Verdict.ABORTED, ("Step a: never finished",))


def test_a_step_without_a_title_goes_by_its_name() -> None:
    plan = e.Planned("rack", "", (e.PlannedStep("t.py::a", "", "own", "", ("thermal.flow",)),))
    assert run(STARTED, plan, END).reasons == ("t.py::a: never started",)


def test_what_failed_is_told_with_value_and_limit() -> None:
    bad = measured("a", "fail", value=3.5)
    found = whole(measured("a", "unjudged"), bad, measured("a", "fail", key="other"))
    assert found.reasons == ("Step a: cdu-1: thermal.flow is 3.5, limit ≥ 22 L/min",)
    assert found.failed == (bad, measured("a", "fail", key="other"))


def test_what_could_not_be_judged_is_told() -> None:
    found = whole(measured("a", "unjudged", key="thermal.rise"))
    assert (found.verdict, found.reasons) == (
        Verdict.INCONCLUSIVE,
        ("Step a: cdu-1: thermal.rise could not be judged",),
    )


def test_a_declared_subject_has_to_be_measured_itself() -> None:
    plan = planned("a", measures=("thermal.flow@cdu-1", "thermal.flow@cdu-2", "thermal.flow"))
    found = run(STARTED, plan, *passed("a"), END)
    assert (found.verdict, found.steps[0].missing) == (Verdict.FAIL, ("thermal.flow@cdu-2",))
    assert found.reasons == ("Step a: declared but never measured: thermal.flow@cdu-2",)


def test_several_that_are_missing_are_all_named() -> None:
    plan = planned("a", measures=("thermal.rise", "thermal.flow", "leak.state"))
    assert run(STARTED, plan, *passed("a"), END).reasons == (
        "Step a: declared but never measured: thermal.rise, leak.state",
    )


def test_nothing_measured_is_told() -> None:
    found = run(STARTED, planned("a", measures=()), e.StepStarted("a"), e.StepFinished("a", "completed"), END)
    assert found.reasons == ("Step a: nothing was measured",)


def test_a_step_started_twice_cannot_be_told_apart() -> None:
    found = whole(e.StepStarted("a"), measured("a"))
    assert (found.verdict, found.reasons) == (
        Verdict.INCONCLUSIVE,
        ("Step a: it was started twice, and nobody said why",),
    )
    assert found.steps[0].attempts == 1


@pytest.mark.parametrize(
    ("outcome", "verdict"), [("stopped", Verdict.ABORTED), ("error", Verdict.INCONCLUSIVE), ("?", Verdict.INCONCLUSIVE)]
)
def test_an_end_that_is_no_completion_is_told_in_its_words(outcome: str, verdict: Verdict) -> None:
    found = whole(e.StepFinished("a", outcome, "it broke"))
    assert (found.verdict, found.reasons) == (verdict, ("Step a: it broke",))


def test_of_two_bad_ends_the_first_stands() -> None:
    found = whole(e.StepFinished("a", "stopped", "first"), e.StepFinished("a", "error", "second"))
    assert found.reasons == ("Step a: first",)
    assert found.steps[0].finished == "rack-6"


def test_a_device_that_failed_in_a_step_is_told() -> None:
    failed = e.DeviceFailed("a", "cdu-1", "Unreachable", "cdu-1: no answer")
    found = whole(failed, e.DeviceFailed("a", "cdu-2", "Unreachable", "later"))
    assert found.reasons == ("Step a: cdu-1: no answer",)
    assert found.steps[0].device_failures[0] == failed


def test_bad_ends_weigh_more_than_devices_that_failed() -> None:
    found = whole(e.DeviceFailed("a", "cdu-1", "Unreachable", "x"), e.StepFinished("a", "stopped", "operator"))
    assert (found.verdict, found.reasons) == (Verdict.ABORTED, ("Step a: operator",))


def test_a_device_that_failed_outside_of_a_step_is_gone_until_it_is_back() -> None:
    failed = e.DeviceFailed("", "pdu-a", "Unreachable", "pdu-a: no answer")
    found = whole(failed)
    assert (found.verdict, found.reasons) == (Verdict.INCONCLUSIVE, ("gone until the end: pdu-a: no answer",))
    assert whole(failed, BACK).verdict is Verdict.PASS
    assert whole(LOST).reasons == ("gone until the end: pdu-a: silent",)


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_rack_that_nobody_confirmed_safe_is_no_pass(confirmed: bool) -> None:
    found = whole(e.MadeSafe("end of run", confirmed, ("tray-01-host: stop loads", "pdu-a: off")))
    assert found.reasons == (
        () if confirmed else ("not confirmed safe (end of run): tray-01-host: stop loads, pdu-a: off",)
    )
    assert found.verdict is (Verdict.PASS if confirmed else Verdict.INCONCLUSIVE)


def test_results_of_a_step_that_was_never_planned_are_told() -> None:
    assert whole(measured("z")).reasons == ("the journal holds results of steps that were never planned",)


def test_an_event_without_a_step_is_nobodys() -> None:
    assert whole(measured(""), e.StepStarted("")).verdict is Verdict.PASS


def test_the_gravest_reason_stands_first_and_each_once() -> None:
    rig = replace(TRIP, blames="rig", text="silent")
    found = whole(STOP, STOP, rig, TRIP, measured("a", "unjudged"), LOST)
    assert found.reasons == (
        "interlock leak: wet",
        "interlock leak: silent",
        "stopped by operator: Ctrl-C",
        "Step a: cdu-1: thermal.flow could not be judged",
        "gone until the end: pdu-a: silent",
    )


@pytest.mark.parametrize("count", [1, 3, 4])
def test_limits_that_nobody_judges_are_counted_and_the_first_three_named(count: int) -> None:
    keys = ["a.b", "c.d", "e.f", "g.h"][:count]
    limits: dict[str, Any] = {"thermal.flow": {}, **{key: {} for key in keys}}
    started = replace(STARTED, definition={"model": {"limits": limits}})
    found = run(started, planned("a", measures=("thermal.flow@cdu-1",)), *passed("a"), END)
    assert found.left_out == tuple(keys)
    names = ", ".join(keys[:3]) + (" …" if count > 3 else "")
    assert found.reasons == (f"the plan leaves {count} limits of the model unjudged: {names}",)


@pytest.mark.parametrize("definition", [{}, {"model": 1}, {"model": {}}, {"model": {"limits": 1}}])
def test_a_definition_of_another_shape_leaves_nothing_out(definition: dict[str, Any]) -> None:
    assert run(replace(STARTED, definition=definition), planned("a"), *passed("a"), END).left_out == ()


def test_without_a_plan_every_limit_is_left_out_and_nothing_was_planned() -> None:
    started = replace(STARTED, definition={"model": {"limits": {"a.b": {}}}})
    found = run(started, END)
    assert (found.left_out, found.reasons, found.verdict) == (("a.b",), ("no step was planned",), Verdict.NOT_RUN)


class TestOfARunThatWasTakenUpAgain:
    """What one sitting failed stays failed; of all else the last attempt counts."""

    def resumed(self, before: list[e.Event], after: list[e.Event], *steps: str) -> RunSummary:
        return run(STARTED, planned("a"), *before, RESUMED, again(*(steps or ("a",))), *after, END)

    def test_the_last_attempt_counts(self) -> None:
        found = self.resumed([e.StepStarted("a"), measured("a", value=22.5)], passed("a"))
        (step,) = found.steps
        assert (found.verdict, found.reasons, len(found.sittings)) == (Verdict.PASS, (), 2)
        assert (step.measurements, step.superseded) == ((measured("a"),), (measured("a", value=22.5),))
        assert (step.attempts, step.started, step.finished) == (2, "rack-6", "rack-8")

    def test_one_that_passed_is_judged_by_its_repetition(self) -> None:
        assert self.resumed(passed("a"), []).reasons == ("Step a: never started",)

    @pytest.mark.parametrize("kept", ["fail", "unjudged"])
    def test_what_went_wrong_before_stays(self, kept: str) -> None:
        before: list[e.Event] = [e.StepStarted("a"), measured("a", kept), e.StepFinished("a", "completed")]
        found = self.resumed(before, passed("a"))
        assert found.verdict is (Verdict.FAIL if kept == "fail" else Verdict.INCONCLUSIVE)
        (step,) = found.steps
        assert [m.judgement for m in step.measurements] == (["fail", "pass"] if kept == "fail" else ["pass"])
        assert [m.judgement for m in step.superseded] == ([] if kept == "fail" else ["unjudged"])

    def test_the_graver_of_two_attempts_counts(self) -> None:
        before: list[e.Event] = [e.StepStarted("a"), measured("a", "unjudged"), e.StepFinished("a", "completed")]
        after: list[e.Event] = [e.StepStarted("a"), measured("a", "fail"), e.StepFinished("a", "completed")]
        assert self.resumed(before, after).verdict is Verdict.FAIL

    @pytest.mark.parametrize("which", [0, 1])
    def test_none_of_the_earlier_attempts_is_forgotten(self, which: int) -> None:
        ends = [e.StepFinished("a", "completed"), e.StepFinished("a", "completed")]
        ends[which] = e.StepFinished("a", "error", "it broke")
        before: list[e.Event] = [e.StepStarted("a"), measured("a"), ends[0], RESUMED, again("a")]
        found = run(
            STARTED, planned("a"), *before, e.StepStarted("a"), measured("a"), ends[1],
            replace(RESUMED, sitting=3), again("a"), *passed("a"), END,
        )  # fmt: skip
        assert (found.verdict, found.reasons) == (Verdict.INCONCLUSIVE, ("Step a: it broke",))
        assert (found.steps[0].attempts, len(found.steps[0].superseded), len(found.sittings)) == (3, 2, 3)

    def test_what_is_missing_of_a_last_attempt_is_missing(self) -> None:
        after: list[e.Event] = [e.StepStarted("a"), e.StepFinished("a", "completed")]
        found = self.resumed(passed("a"), after)
        assert found.steps[0].missing == ("thermal.flow",)
        assert found.verdict is Verdict.FAIL

    def test_a_device_that_failed_then_is_of_that_attempt(self) -> None:
        before: list[e.Event] = [e.StepStarted("a"), e.DeviceFailed("a", "d", "Unreachable", "d: no answer")]
        found = self.resumed(before, passed("a"))
        assert (found.verdict, found.steps[0].device_failures) == (Verdict.PASS, ())

    def test_one_that_is_repeated_and_was_never_planned_is_told(self) -> None:
        found = self.resumed([e.StepStarted("a")], passed("a"), "a", "z")
        assert found.reasons == ("the journal holds results of steps that were never planned",)
        assert found.steps[0].attempts == 2

    def test_a_stop_and_how_the_rack_was_left_count_for_the_last_sitting_only(self) -> None:
        unsafe = e.MadeSafe("stopped", False, ("tray-01-host: stop loads",))
        found = self.resumed([e.StepStarted("a"), STOP, unsafe], [*passed("a"), SAFE])
        assert (found.verdict, found.stops, found.made_safe) == (Verdict.PASS, (), (SAFE,))

    def test_a_trip_counts_for_good(self) -> None:
        assert self.resumed([e.StepStarted("a"), TRIP], passed("a")).reasons == ("interlock leak: wet",)

    def test_what_no_run_writes_is_told(self) -> None:
        found = run(STARTED, planned("a"), replace(RESUMED, sitting=3), again("a"), *passed("a"), END)
        assert found.reasons == ("the journal leaves out a sitting",)
