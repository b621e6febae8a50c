"""What stands of a broken run and what is run again: decided from the journal alone, and never to the better."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest

from harness.journal import events as e
from harness.resuming.standing import UNFINISHED, dark_outlets, doubts, lasting, take_up
from harness.verdict import RunSummary, Verdict, fold

LIMIT = e.LimitUsed("thermal.flow", "L/min", "≥ 22 L/min", "data sheet", minimum=22.0)
A, B, C = "t.py::a", "t.py::b", "t.py::c"
DRIVERS = {"tray-01": "bmc/- (silver)", "pdu-a": "pdu/x (silver)"}
STARTED = e.RunStarted("run", {"model": {"limits": {}}}, "0", {}, DRIVERS, False, "", "s")
STAGES = {A: "one", B: "one", C: "two"}
PLANNED = e.Planned("p", "1", tuple(e.PlannedStep(step, step, STAGES[step], "", ("thermal.flow",)) for step in STAGES))
TRAY, PDU = e.Fingerprinted("tray-01", "S1", "11"), e.Fingerprinted("pdu-a", "S2", "22")
NOW = {"tray-01": TRAY, "pdu-a": PDU}


def entries(*events: e.Event) -> tuple[e.Entry, ...]:
    whole: Iterable[e.Event] = (STARTED, PLANNED, TRAY, PDU, *events)
    return tuple(e.Entry(number, "", f"t{number}", float(number), "", event) for number, event in enumerate(whole))


def measured(step: str, judgement: str = "pass") -> e.Measured:
    return e.Measured(step, "thermal.flow", "cdu-1", 23.0, "L/min", "t", "good", judgement, LIMIT)


def begun(step: str, *, judgement: str = "pass") -> tuple[e.Event, ...]:
    return e.StepStarted(step), measured(step, judgement)


def done(step: str, *touched: str, judgement: str = "pass", outcome: str = "completed") -> tuple[e.Event, ...]:
    return *begun(step, judgement=judgement), e.StepFinished(step, outcome, touched=touched)


def taken(
    *events: e.Event,
    found: dict[str, e.Fingerprinted] = NOW,
    drivers: dict[str, str] = DRIVERS,
    changed: tuple[str, ...] = (),
) -> tuple[set[str], dict[str, str]]:
    journal = entries(*events)
    decided = take_up(fold(journal), journal, found, drivers, changed)
    return set(decided.stands), {each.step: each.why for each in decided.again}


def test_what_passed_stands_and_what_was_interrupted_is_run_again() -> None:
    assert taken(*done(A, "tray-01"), *begun(B)) == ({A}, {B: UNFINISHED})


def test_what_never_began_is_neither() -> None:
    assert taken(*done(A, "tray-01")) == ({A}, {})
    assert taken() == (set(), {})


def test_a_step_that_was_stopped_is_run_again() -> None:
    assert taken(*done(A, "tray-01", outcome="stopped"), e.StopRequested("Ctrl-C", "")) == (set(), {A: UNFINISHED})


def test_what_failed_or_was_unclear_stands_as_it_is() -> None:
    stands, again = taken(*done(A, judgement="fail"), *done(B, judgement="unjudged"), *done(C, outcome="error"))
    assert (stands, again) == ({A, B, C}, {})


def test_a_failure_of_an_interrupted_step_stays_and_its_rest_is_run_again() -> None:
    journal = entries(*begun(A, judgement="fail"))
    decided = take_up(fold(journal), journal, NOW, DRIVERS, ())
    assert [each.step for each in decided.again] == [A]
    resumed = e.Resumed(2, "", False, "", "s", {}, DRIVERS, None, "", {})
    rest = (*done(A, "tray-01"), *done(B, "tray-01"), *done(C, "tray-01"), e.RunFinished("PASS"))
    later = [*journal, *(e.Entry(0, "", "t", 0.0, "", event) for event in (resumed, decided, *rest))]
    summary = fold(later)
    assert summary.verdict is Verdict.FAIL
    assert [m.judgement for m in summary.steps[0].measurements] == ["fail", "pass"]
    assert summary.steps[0].attempts == 2


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (e.Fingerprinted("tray-01", "S9", "99"), "tray-01 is not as it was: serial S9, was S1"),
        (e.Fingerprinted("tray-01", "S1", "99"), "tray-01 is not as it was: its parts or its firmware"),
        (e.Fingerprinted("tray-01", "", "", "no answer"), "tray-01 does not prove to be the same: no answer"),
        (None, "tray-01 does not prove to be the same: it was not reached"),
    ],
)
def test_a_device_that_is_another_takes_the_steps_that_touched_it(now: e.Fingerprinted | None, said: str) -> None:
    found = {"pdu-a": PDU} | ({"tray-01": now} if now else {})
    stands, again = taken(*done(A, "tray-01"), *done(B, "pdu-a"), *done(C), found=found)
    assert stands == {B}
    assert again == {A: said, C: said}, "a step that does not say what it touched may have touched everything"


def test_a_device_that_was_not_known_before_proves_nothing() -> None:
    journal = [entry for entry in entries(*done(A, "tray-01")) if entry.event is not TRAY]
    assert doubts(journal, NOW, DRIVERS) == {"tray-01": "tray-01 was not known before the break"}
    vague = [*journal, e.Entry(9, "", "", 0.0, "", e.Fingerprinted("tray-01", "", "", "silent"))]
    assert doubts(vague, NOW, DRIVERS) == {"tray-01": "tray-01 was not known before the break: silent"}


def test_a_device_driven_otherwise_takes_the_steps_that_touched_it() -> None:
    stands, again = taken(*done(A, "tray-01"), *done(B, "pdu-a"), drivers=DRIVERS | {"pdu-a": "pdu/other (bronze)"})
    assert stands == {A}
    assert again == {B: "pdu-a is driven otherwise: pdu/other (bronze), was pdu/x (silver)"}


def test_another_plan_or_driver_release_takes_every_step_that_passed() -> None:
    stands, again = taken(*done(A, "tray-01"), *done(B, judgement="fail"), changed=("the drivers changed since",))
    assert (stands, again) == ({B}, {A: "the drivers changed since"})


def test_the_latest_fingerprint_counts() -> None:
    """A tray that was exchanged in an earlier break is the right one now."""
    other = e.Fingerprinted("tray-01", "S9", "99")
    resumed = e.Resumed(2, "", False, "", "s", {}, DRIVERS, None, "", {})
    again = e.TakenUp((), (e.Repeated(A, "tray-01 is not as it was"),))
    events = (*done(A, "tray-01"), resumed, other, again, *done(A, "tray-01"))
    assert taken(*events, found=NOW | {"tray-01": other}) == ({A}, {})
    assert taken(*events)[1] == {A: "tray-01 is not as it was: serial S1, was S9"}


def test_what_was_to_be_run_again_and_never_came_still_is() -> None:
    resumed = e.Resumed(2, "", False, "", "s", {}, DRIVERS, None, "", {})
    again = e.TakenUp((), (e.Repeated(A, UNFINISHED),))
    assert taken(*begun(A), resumed, again)[1] == {A: UNFINISHED}


def test_what_does_not_outlast_a_break_is_made_again_while_its_stage_needs_it() -> None:
    kept = e.Kept(A, "window", False, "")
    left = (e.StepStarted(A), measured(A), kept, e.StepFinished(A, "completed", touched=("tray-01",)))
    assert taken(*left)[1] == {A: "what it left (window) did not outlast the break"}
    assert taken(*left, *begun(B))[1].keys() == {A, B}
    assert taken(*left, *done(B, "pdu-a")) == ({A, B}, {}), "its stage is through"


def test_what_lasts_is_given_to_later_steps_again() -> None:
    journal = entries(e.Kept(A, "logs", True, '{"tray-01":["7"]}'), e.Kept(A, "window", False, ""))
    assert lasting(journal) == {"logs": {"tray-01": ["7"]}}
    later = entries(e.Kept(A, "logs", True, "[1]"), e.Kept(B, "logs", True, "[2]"))
    assert lasting(later) == {"logs": [2]}


def test_outlets_stay_known_as_dark_until_somebody_confirms_the_contrary() -> None:
    off, on = e.Switched("pdu-a/3", False), e.Switched("pdu-a/3", True)
    assert dark_outlets(entries(off)) == ("pdu-a/3",)
    assert dark_outlets(entries(off, on)) == ()
    assert dark_outlets(entries(off, on, off)) == ("pdu-a/3",)
    for confirmed, left in ((True, ()), (False, ("pdu-a/3",))):
        safed = e.SafetyAction("pdu-a", "switch outlet 3 back on", confirmed, "", 0.1)
        assert dark_outlets(entries(off, safed)) == left
        acted = e.WatchdogActed("", "", "pdu-a", "switch outlet 3 back on", confirmed, "")
        assert dark_outlets(entries(off), [acted]) == left


# --- the fold of a resumed run -------------------------------------------------------------------------------------


def folded(*events: e.Event) -> RunSummary:
    return fold(entries(*events))


RESUMED = e.Resumed(2, "", False, "", "s", {}, DRIVERS, None, "", {})
REST = (*done(B), *done(C), e.RunFinished("PASS"))


def test_an_interrupted_attempt_gives_way_to_the_next_one() -> None:
    unclear = (e.StepStarted(A), measured(A, "unjudged"), e.DeviceFailed(A, "tray-01", "Unreachable", "gone"))
    summary = folded(*unclear, RESUMED, e.TakenUp((), (e.Repeated(A, UNFINISHED),)), *done(A), *REST)
    assert summary.verdict is Verdict.PASS, summary.reasons
    assert [m.judgement for m in summary.steps[0].superseded] == ["unjudged"]
    assert [m.judgement for m in summary.steps[0].measurements] == ["pass"]


@pytest.mark.parametrize("ended", ["unjudged", "fail", "error", "missing"])
def test_no_repetition_makes_an_attempt_better_that_had_ended(ended: str) -> None:
    first = {
        "unjudged": done(A, judgement="unjudged"),
        "fail": done(A, judgement="fail"),
        "error": done(A, outcome="error"),
        "missing": (e.StepStarted(A), e.StepFinished(A, "completed")),
    }[ended]
    summary = folded(*first, RESUMED, e.TakenUp((), (e.Repeated(A, "asked for"),)), *done(A), *REST)
    wanted = Verdict.FAIL if ended in ("fail", "missing") else Verdict.INCONCLUSIVE
    assert (summary.steps[0].verdict, summary.verdict) == (wanted, wanted)


def test_a_passed_step_that_has_to_be_repeated_counts_by_its_repetition_only() -> None:
    again = e.TakenUp((), (e.Repeated(A, "another tray"),))
    assert folded(*done(A), RESUMED, again, *REST).steps[0].verdict is Verdict.NOT_RUN
    assert folded(*done(A), RESUMED, again, *done(A, judgement="fail"), *REST).verdict is Verdict.FAIL
    assert folded(*done(A), RESUMED, again, *done(A), *REST).verdict is Verdict.PASS


def test_a_step_that_starts_again_though_nobody_said_so_is_no_pass() -> None:
    summary = folded(*begun(A), RESUMED, e.TakenUp((), ()), *done(A), *REST)
    assert summary.verdict is Verdict.INCONCLUSIVE
    assert "started twice" in summary.reasons[0]


def test_a_trip_stays_and_a_stop_belongs_to_its_sitting() -> None:
    tripped = e.Tripped("leak", "cdu-1", 1, "count", "≤ 0", "rack", "wet", "dry it")
    again = e.TakenUp((A,), ())
    assert folded(*done(A), tripped, RESUMED, again, *REST).verdict is Verdict.FAIL
    stopped = (e.StopRequested("Ctrl-C", ""), e.MadeSafe("stopped", False, ("tray-01-host: stop loads",)))
    assert folded(*done(A), *stopped, e.RunFinished("ABORTED")).verdict is Verdict.ABORTED
    assert folded(*done(A), *stopped, e.RunFinished("ABORTED"), RESUMED, again, *REST).verdict is Verdict.PASS
    assert folded(*done(A), RESUMED, again, *done(B), *done(C), *stopped, REST[-1]).verdict is Verdict.ABORTED


def test_a_device_that_was_gone_and_never_came_back_leaves_the_run_inconclusive() -> None:
    lost, again = e.DeviceLost("tray-01", "silent"), e.TakenUp((A,), ())
    assert folded(*done(A), lost, RESUMED, again, *REST).verdict is Verdict.INCONCLUSIVE
    assert folded(*done(A), lost, RESUMED, e.DeviceBack("tray-01", 3.0), again, *REST).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ((STARTED,), "the start of more than one run"),
        ((e.RunFinished("PASS"), e.Noted("more")), "goes on after its end"),
        ((e.Resumed(3, "", False, "", "s", {}, DRIVERS, None, "", {}),), "leaves out a sitting"),
        ((e.Claimed("r", 2, "s", 1, 30.0), RESUMED, e.Claimed("r", 2, "t", 1, 30.0)), "no longer held the rack"),
    ],
)
def test_what_no_run_writes_is_no_pass(events: tuple[e.Event, ...], said: str) -> None:
    summary = folded(*events, *done(A), *REST)
    assert summary.verdict is Verdict.INCONCLUSIVE
    assert any(said in reason for reason in summary.reasons), summary.reasons


def test_a_sitting_tells_when_where_why_and_how_long_by_the_monotonic_clock() -> None:
    walls = itertools.cycle(["2026-11-22T09:00:00Z", "2026-11-22T08:00:00Z"])
    events = (STARTED, e.Claimed("r", 4, "s", 1, 30.0), PLANNED, *begun(A), e.ClockJumped(-3600.0))
    later = (RESUMED, e.TelemetryLost("w", 7, "a", "b"), e.WatchdogActed("", "", "h", "stop loads", True, ""))
    journal = [
        e.Entry(number, next(walls), "", 10.0 + number / 2, "", event) for number, event in enumerate((*events, *later))
    ]
    first, second = fold(journal).sittings
    assert (first.number, first.station, first.token, first.seconds) == (1, "s", 4, 2.5)
    assert (first.ended, first.jumps) == ("interrupted: the journal stops there", (-3600.0,))
    assert [each.octets for each in first.lost] == [7]
    assert [each.device for each in first.watchdog] == ["h"]
    assert (second.number, second.watchdog, second.lost) == (2, (), ())
