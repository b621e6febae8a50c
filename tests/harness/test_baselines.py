"""Learning and watching: the same runs give the same answer, however they are named; what is not finite is refused."""

from __future__ import annotations

import math
import random
import statistics
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.baselines.admission import admit
from harness.baselines.file import baselines_of, text_of
from harness.baselines.learning import Lesson, learn
from harness.baselines.runs import RackRun
from harness.baselines.watching import Watched, watch
from harness.errors import DefinitionError
from harness.rack.baselines import Baselines
from harness.verdict import Verdict

KEY, OTHER = "performance.collective.bandwidth", "thermal.plate.resistance"
START = datetime(2026, 11, 22, 9, tzinfo=UTC)


def a_rack(number: int, *values: float, key: str = KEY, **other: Any) -> RackRun:
    """A run of a rack, later the greater its number."""
    wanted: dict[str, Any] = {
        "run": f"run-{number:03}",
        "serial": f"RK-{number:03}",
        "model": "bench4",
        "revision": "1.0",
        "simulated": False,
        "verdict": Verdict.PASS,
        "ended": START + timedelta(hours=number),
        "journal": f"{number:064x}",
        "certificate": f"{number + 1:064x}",
        "values": {key: values},
    }
    return RackRun(**wanted | other)


def line(*values: float, first: int = 0) -> list[RackRun]:
    return [a_rack(first + number, value) for number, value in enumerate(values)]


ALIKE = line(930, 935, 937, 938, 941, 944)


def learned(runs: list[RackRun], least: int = 5) -> Baselines:
    return baselines_of(learn(admit(runs).racks, least), "0.1.0")


def checked(baselines: Baselines, runs: list[RackRun], **options: Any) -> Watched:
    return watch(baselines, admit(runs, baselines.model, baselines.simulated).racks, **options)


# ------------------------------------------------------------------------------------------------ learning


def test_a_baseline_is_the_median_of_the_racks_medians() -> None:
    runs = [a_rack(0, 1, 100, 99), *line(98, 97, 103, 102, first=1)]
    known = learned(runs).keys[KEY]
    assert (known.median, known.racks, known.values) == (99.0, 5, 7)
    assert known.sigma == pytest.approx(1.4826 * statistics.median([0, 1, 2, 4, 3]))


def test_the_file_names_every_run_and_its_digests_and_the_day_of_the_last() -> None:
    baselines = learned(ALIKE)
    assert [origin.run for origin in baselines.runs] == [run.run for run in ALIKE]
    assert [origin.journal for origin in baselines.runs] == [run.journal for run in ALIKE]
    assert [origin.certificate for origin in baselines.runs] == [run.certificate for run in ALIKE]
    assert (baselines.until.isoformat(), baselines.model, baselines.simulated) == ("2026-11-22", "bench4", False)


def test_a_rack_that_stands_apart_is_named_and_left_out() -> None:
    baselines = learned([*ALIKE, a_rack(9, 700.0)])
    assert baselines.keys == learned(ALIKE).keys
    (odd,) = baselines.left_out
    assert odd.serial == "RK-009"
    assert odd.reason.startswith(f"{KEY} is 700 GB/s, ")
    assert "below the 937 GB/s of 7 racks" in odd.reason


def test_racks_of_two_kinds_are_not_learned_from_as_if_half_were_outliers() -> None:
    with pytest.raises(
        DefinitionError, match="4 of 12 racks stand apart, these are no outliers but racks of two kinds"
    ):
        learn([*line(900, 901, 902, 903, 904, 905, 906, 907), *line(1500, 1501, 1502, 1503, first=20)])


def test_a_small_count_is_not_apart_for_differing_by_one() -> None:
    counts = [a_rack(n, 2.0 if n else 4.0, key="burn_in.ecc.corrected") for n in range(6)]
    lesson = learn(counts)
    assert (lesson.left_out, lesson.keys["burn_in.ecc.corrected"].sigma) == ((), 0.0)
    many = a_rack(9, 40.0, key="burn_in.ecc.corrected")
    assert [each.serial for each in learn([*counts, many]).left_out] == ["RK-009"]
    assert [each.racks for each in watch(baselines_of(lesson, "0"), [*counts, many]).findings] == [("RK-009",)]


def test_too_few_racks_teach_nothing() -> None:
    with pytest.raises(DefinitionError, match="needs 5 accepted racks, these runs hold 4"):
        learn(ALIKE[:4])
    with pytest.raises(DefinitionError, match="without those that stand apart"):
        learn([*ALIKE[:4], a_rack(9, 100.0)])
    with pytest.raises(DefinitionError, match="of fewer, none is the odd one"):
        learn(ALIKE, least=3)


def test_a_key_without_a_baseline_says_why() -> None:
    zeros = {"burn_in.errors": (0.0, 0.0)}
    runs = [a_rack(n, values={KEY: (900.0 + n,)} | zeros | ({OTHER: (0.03,)} if n < 2 else {})) for n in range(6)]
    lesson = learn(runs)
    assert list(lesson.keys) == [KEY]
    assert lesson.unlearned["burn_in.errors"] == "its median is 0: there is no percentage of it"
    assert lesson.unlearned[OTHER].startswith("only 2 of 6 racks measured it, 5 are needed")
    with pytest.raises(DefinitionError, match="nothing can be learned from these 6 racks"):
        learn([a_rack(n, values=zeros) for n in range(6)])


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused_and_never_averaged(odd: float) -> None:
    spoilt = [*ALIKE, a_rack(9, 937.0, odd)]
    with pytest.raises(ValueError, match="no finite number"):
        learn(spoilt)
    with pytest.raises(ValueError, match="no finite number"):
        watch(learned(ALIKE), spoilt)
    with pytest.raises(ValueError, match="no finite number"):
        learn([*ALIKE, a_rack(9)])
    admitted = admit(spoilt)
    assert list(admitted.racks) == ALIKE
    assert "has no usable value, nothing of it is counted" in admitted.left_out[0]


# ------------------------------------------------------------------------------------------- which runs count


def test_only_the_latest_run_of_a_rack_counts_and_only_if_it_passed() -> None:
    older = a_rack(0, 500.0, run="run-old", journal="a" * 64, ended=START - timedelta(days=1))
    admitted = admit([*ALIKE, older])
    assert list(admitted.racks) == ALIKE
    assert admitted.left_out == ("run-old is not the latest run of RK-000: that is run-000",)
    failed = a_rack(0, 937.0, run="run-new", journal="b" * 64, ended=START + timedelta(days=1), verdict=Verdict.FAIL)
    admitted = admit([*ALIKE, failed])
    assert list(admitted.racks) == ALIKE[1:]
    assert "run-new: the latest verdict on RK-000 is FAIL, only PASS counts" in admitted.left_out


@pytest.mark.parametrize("verdict", [verdict for verdict in Verdict if verdict is not Verdict.PASS])
def test_a_run_without_a_pass_or_without_a_certificate_does_not_count(verdict: Verdict) -> None:
    assert admit([a_rack(1, 1.0, verdict=verdict)]).racks == ()
    assert "never signed" in admit([a_rack(1, 1.0, certificate="")]).left_out[0]


def test_models_are_not_mixed_nor_simulated_with_real_racks() -> None:
    foreign = a_rack(9, 1.0, model="bench8")
    with pytest.raises(DefinitionError, match="of the models bench4, bench8: racks of several models"):
        admit([*ALIKE, foreign])
    assert admit([*ALIKE, foreign], "bench4").left_out == ("run-009 is of model bench8, not bench4",)
    with pytest.raises(DefinitionError, match="simulated and real runs are mixed"):
        admit([*ALIKE, a_rack(9, 1.0, simulated=True)])
    with pytest.raises(DefinitionError, match="is a real run, the baseline was learned from simulated ones"):
        admit(ALIKE, "bench4", simulated=True)


def test_two_runs_of_one_name_are_refused() -> None:
    with pytest.raises(DefinitionError, match="two different runs bear the name run-000"):
        admit([*ALIKE, a_rack(9, 1.0, run="run-000")])


# ------------------------------------------------------------------------------------------------ watching


def test_racks_like_those_learned_from_are_as_expected() -> None:
    assert checked(learned(ALIKE), ALIKE) == Watched((), ())


def test_a_rack_apart_is_an_outlier_only_beyond_the_tolerance_as_well() -> None:
    baselines = learned(ALIKE)
    (found,) = checked(baselines, [*ALIKE, a_rack(9, 860.0)]).findings
    assert (found.kind, found.racks, found.value, found.expected, found.unit) == (
        "outlier",
        ("RK-009",),
        860.0,
        937.5,
        "GB/s",
    )
    assert found.score is not None
    assert found.score < -6
    assert "RK-009: performance.collective.bandwidth is 860 GB/s" in found.text
    tolerated = a_rack(9, 860.0, tolerances={KEY: 10.0})
    assert checked(baselines, [*ALIKE, tolerated]).findings == ()
    assert checked(baselines, [*ALIKE, tolerated], tolerances={KEY: 8.0}).findings == (found,)
    assert checked(baselines, [*ALIKE, a_rack(9, 1020.0)]).findings[0].kind == "outlier", "better is odd as well"


def test_the_last_racks_drift_where_none_of_them_is_an_outlier() -> None:
    baselines = learned(ALIKE)
    slower = line(904, 901, 903, 905, 902, first=20)
    (found,) = checked(baselines, [*ALIKE, *slower]).findings
    assert (found.kind, found.value, len(found.racks)) == ("drift", 903.0, 5)
    assert "of the last 5 racks is 903 GB/s" in found.text
    assert "since 2026-11-23" in found.text
    assert checked(baselines, [*slower, *line(936, 937, 939, 940, 938, first=40)]).findings == (), "it was mended"


def test_drift_that_cannot_be_judged_is_said() -> None:
    watched = checked(learned(ALIKE), ALIKE[:4])
    assert watched.findings == ()
    assert watched.unjudged == (f"drift of {KEY} cannot be judged: 4 racks measured it, 5 are needed",)
    assert checked(learned(ALIKE), ALIKE[:4], last=4).unjudged == ()
    with pytest.raises(DefinitionError, match="at least the last 3 racks"):
        checked(learned(ALIKE), ALIKE, last=2)


def test_a_rack_that_did_not_measure_what_the_others_did_is_found() -> None:
    (found,) = checked(learned(ALIKE), [*ALIKE, a_rack(9, 0.03, key=OTHER)]).findings
    assert (found.kind, found.racks, found.value) == ("missing", ("RK-009",), None)


def test_a_baseline_in_a_unit_that_the_key_no_longer_has_is_refused() -> None:
    baselines = learned(ALIKE)
    known = baselines.keys[KEY]
    for keys in ({KEY: known.model_copy(update={"unit": "W"})}, {"no.such.key": known}):
        with pytest.raises(DefinitionError, match="cannot be used"):
            watch(baselines.model_copy(update={"keys": keys}), ALIKE)


def false_alarms(count: int, spread: float, shift: float = 0.0, checks: int = 800) -> float:
    """Share of checks of a line that find drift; its racks are spread normally and have shifted since."""
    chance = random.Random(7)
    alarms = 0
    for _ in range(checks):
        base = learned([a_rack(n, chance.gauss(1000, 1000 * spread)) for n in range(count)], least=4)
        last = [a_rack(n, chance.gauss(1000 * (1 - shift), 1000 * spread)) for n in range(5)]
        alarms += any(found.kind == "drift" for found in watch(base, last).findings)
    return alarms / checks


def test_the_drift_rule_is_as_good_as_it_says() -> None:
    assert false_alarms(24, 0.01) < 0.008
    assert 0.003 < false_alarms(24, 0.03) < 0.03
    assert false_alarms(24, 0.01, shift=0.035, checks=300) > 0.95


# ----------------------------------------------------------------------------------------------- idempotence


@st.composite
def lines(draw: st.DrawFn) -> list[RackRun]:
    """Runs of a few racks, some run twice, some odd, some failed; values as instruments give them."""
    runs = []
    for count in range(draw(st.integers(5, 14))):
        values = draw(st.lists(st.integers(9000, 10000).map(lambda n: n / 10), min_size=1, max_size=3))
        odd = draw(st.sampled_from([1.0] * 12 + [0.5, 3.0]))
        verdict = draw(st.sampled_from([Verdict.PASS] * 9 + [Verdict.FAIL]))
        runs.append(a_rack(count, *(value * odd for value in values), verdict=verdict))
    again = draw(st.integers(0, 2))
    return runs + [a_rack(n, 950.0, run=f"again-{n}", journal=f"{n + 900:064x}", ended=START) for n in range(again)]


def lesson_of(runs: list[RackRun]) -> Lesson | str:
    try:
        return learn(admit(runs).racks)
    except DefinitionError as error:
        return str(error)


@given(lines(), st.randoms(use_true_random=False))
def test_order_and_repetition_change_nothing(runs: list[RackRun], chance: random.Random) -> None:
    mixed = runs + chance.sample(runs, chance.randrange(len(runs) + 1))
    chance.shuffle(mixed)
    lesson, again = lesson_of(runs), lesson_of(mixed)
    assert admit(mixed) == admit(runs)
    assert again == lesson
    if isinstance(lesson, Lesson) and isinstance(again, Lesson):
        baselines = baselines_of(lesson, "0.1.0")
        assert text_of(baselines_of(again, "0.1.0")) == text_of(baselines)
        assert checked(baselines, mixed) == checked(baselines, runs) == checked(baselines, runs)


@given(lines())
def test_learning_again_from_the_racks_that_were_kept_gives_the_same_baseline(runs: list[RackRun]) -> None:
    lesson = lesson_of(runs)
    if isinstance(lesson, Lesson):
        again = learn(lesson.racks)
        assert (again.keys, again.left_out) == (lesson.keys, ())


def scaled(run: RackRun, factor: float) -> RackRun:
    return a_rack(
        int(run.serial[3:]),
        values={key: tuple(value * factor for value in values) for key, values in run.values.items()},
        **{name: getattr(run, name) for name in ("run", "journal", "ended", "verdict")},
    )


@given(lines(), st.sampled_from([2.0**-20, 0.5, 4.0, 1024.0]))
def test_another_scale_changes_no_finding(runs: list[RackRun], factor: float) -> None:
    # Powers of two, so that the binary numbers are scaled without rounding.
    lesson, other = lesson_of(runs), lesson_of([scaled(run, factor) for run in runs])
    assert isinstance(lesson, Lesson) is isinstance(other, Lesson)
    if not (isinstance(lesson, Lesson) and isinstance(other, Lesson)):
        return
    assert [rack.run for rack in other.racks] == [rack.run for rack in lesson.racks]
    assert other.keys[KEY].median == pytest.approx(lesson.keys[KEY].median * factor)
    found = checked(baselines_of(lesson, "0"), runs).findings
    again = checked(baselines_of(other, "0"), [scaled(run, factor) for run in runs]).findings
    assert [(each.kind, each.racks) for each in found] == [(each.kind, each.racks) for each in again]
