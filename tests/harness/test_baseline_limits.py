"""A limit given as a baseline: what bound it becomes, and every way in which model and baselines file do not fit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.baselines.file import text_of, write
from harness.errors import DefinitionError, Problem
from harness.limits import Judgement, judge
from harness.quantities import Reading, Unit
from harness.rack.baselines import Baselines, Expected, Origin, expectation
from harness.rack.definition import offline_definition
from harness.rack.load import load_baselines, load_definition, load_model
from harness.rack.model import LimitSpec, Model

DATA = Path(__file__).parent / "data"
MODEL, BAY = (DATA / "rack.yaml").read_text("utf-8"), (DATA / "bay.yaml").read_text("utf-8")
KEY = "performance.collective.bandwidth"
GIVEN = "unit: GB/s, baseline: 937, tolerance: 7, warn: 3.5, source: guide"
TAKEN = "unit: GB/s, baseline: learned, tolerance: 7, warn: 3.5, source: fleet"
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def baselines(**other: Any) -> Baselines:
    wanted: dict[str, Any] = {
        "schema_version": 1,
        "model": "bench4",
        "revisions": ("1.0",),
        "simulated": False,
        "rackproof": "0.1.0",
        "until": "2026-11-22",
        "keys": {KEY: Expected(unit=Unit.GIGABYTE_PER_SECOND, median=937.0, sigma=4.0, racks=24, values=96)},
        "runs": (Origin(run="run-1", serial="RK-1", journal="a" * 64, certificate="b" * 64),),
    }
    return Baselines(**wanted | other)


@pytest.fixture
def place(tmp_path: Path) -> Callable[..., Path]:
    """Puts a model with one limit more into a folder, with the bay, and baselines where they are given."""

    def put(limit: str, learned: str | Baselines | None = None, *, names: bool | None = None) -> Path:
        text = MODEL.replace("\nlimits:\n", f"\nlimits:\n  {KEY}: {{{limit}}}\n", 1)
        if names if names is not None else learned is not None:
            text = f"baselines: known/learned.yaml\n{text}"
        (tmp_path / "rack.yaml").write_text(text, "utf-8")
        (tmp_path / "bay.yaml").write_text(BAY, "utf-8")
        if learned is not None:
            (tmp_path / "known").mkdir(exist_ok=True)
            told = text_of(learned) if isinstance(learned, Baselines) else learned
            (tmp_path / "known" / "learned.yaml").write_text(told, "utf-8")
        return tmp_path / "rack.yaml"

    return put


def problems_of(path: Path, *, whole: bool = False) -> tuple[Problem, ...]:
    with pytest.raises(DefinitionError) as caught:
        load_definition(path, path.parent / "bay.yaml", "B-1") if whole else load_model(path)
    return caught.value.problems


def judged(model: Model, value: float) -> Judgement:
    limit = offline_definition(model, "rack.yaml").limit(KEY)
    return judge(Reading(value, Unit.GIGABYTE_PER_SECOND, NOW), limit)


# ------------------------------------------------------------------------------------------- a given baseline


def test_a_baseline_becomes_a_bound_with_a_guard_band(place: Callable[..., Path]) -> None:
    model = load_model(place(GIVEN))
    limit = offline_definition(model, "rack.yaml").limit(KEY)
    assert (limit.minimum, limit.maximum, limit.guard) == (871.41, None, 32.795)
    assert limit.describe() == "≥ 871.41 GB/s"
    assert limit.source == "guide; at most 7 % below 937 GB/s"
    values = {850.0: "fail", 871.0: "fail", 872.0: "marginal", 904.0: "marginal", 905.0: "pass", 1200.0: "pass"}
    assert {value: str(judged(model, value)) for value in values} == values


def test_lower_may_be_better_and_warn_may_be_left_out(place: Callable[..., Path]) -> None:
    lower = load_model(place("unit: GB/s, baseline: 100, tolerance: 150, warn: 5, better: lower, source: x"))
    assert [str(judged(lower, value)) for value in (1, 105, 106, 250, 251)] == [
        "pass",
        "pass",
        "marginal",
        "marginal",
        "fail",
    ]
    plain = load_model(place("unit: GB/s, baseline: 100, tolerance: 10, source: x"))
    assert [str(judged(plain, value)) for value in (90, 89.9)] == ["pass", "fail"]
    strict = load_model(place("unit: GB/s, baseline: 100, tolerance: 10, warn: 0, source: x"))
    assert [str(judged(strict, value)) for value in (100, 99.9, 89.9)] == ["pass", "marginal", "fail"]


@given(
    expected=st.floats(1e-3, 1e9),
    tolerance=st.floats(0.1, 99),
    share=st.floats(0, 1),
    better=st.sampled_from(["higher", "lower"]),
)
def test_at_the_baseline_it_passes_and_beyond_the_tolerance_it_fails(
    expected: float, tolerance: float, share: float, better: Any
) -> None:
    spec = LimitSpec(
        unit=Unit.COUNT, source="x", baseline=expected, tolerance=tolerance, warn=tolerance * share, better=better
    )
    found = expectation(spec, expected, "x")
    sign = 1 if better == "lower" else -1
    bound = found.max if better == "lower" else found.min
    assert bound == pytest.approx(expected * (1 + sign * tolerance / 100), rel=1e-6)
    assert found.guard == pytest.approx(expected * tolerance * (1 - share) / 100, rel=1e-6, abs=expected * 1e-8)
    assert (found.min is None) is (better == "lower")


FAULTS: dict[str, tuple[str, str, str]] = {
    "two forms": (f"min: 1, {GIVEN}", "", "exactly one of: min and/or max; baseline; equals"),
    "another word": (
        TAKEN.replace("learned", "learnt"),
        "baseline",
        "or learned; is 'learnt' (did you mean 'learned'?)",
    ),
    "yes": (TAKEN.replace("learned", "yes"), "baseline", "must be a finite number, is true"),
    "zero": (GIVEN.replace("937", "0"), "baseline", "must be above 0, is 0"),
    "negative": (GIVEN.replace("937", "-1"), "baseline", "must be above 0, is -1"),
    "no number": (GIVEN.replace("937", ".nan"), "baseline", "is no finite number"),
    "no tolerance": (GIVEN.replace("tolerance: 7, warn: 3.5, ", ""), "tolerance", "how many percent worse"),
    "tolerance of all": (GIVEN.replace("tolerance: 7", "tolerance: 100"), "tolerance", "must be below 100"),
    "no tolerance at all": (GIVEN.replace("tolerance: 7", "tolerance: 0"), "tolerance", "must be above 0"),
    "late warning": (GIVEN.replace("3.5", "8"), "warn", "warn 8 is beyond tolerance 7"),
    "guard": (f"guard: 1, {GIVEN}", "guard", "follows from tolerance and warn"),
    "tolerance of a bound": ("unit: GB/s, min: 1, tolerance: 7, source: x", "tolerance", "belongs to a baseline only"),
    "better of a bound": ("unit: GB/s, min: 1, better: lower, source: x", "better", "belongs to a baseline only"),
    "neither way": (GIVEN + ", better: more", "better", "must be one of higher, lower"),
    "no source": (GIVEN.replace("source: guide", 'source: " "'), "source", "must name the document"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_baseline_is_told_with_its_line(fault: str, place: Callable[..., Path]) -> None:
    limit, path, text = FAULTS[fault]
    dotted = f"limits.{KEY}.{path}".removesuffix(".")
    line = MODEL[: MODEL.index("\nlimits:\n")].count("\n") + 3
    told = [(each.where, each.path) for each in problems_of(place(limit)) if text in each.text]
    assert (f"rack.yaml:{line}", dotted) in told


@pytest.mark.parametrize(
    ("key", "unit"),
    [("accelerator.temperature.max", "degC"), ("thermal.heat_balance", "%"), ("thermal.steady.slope", "K/min")],
)
def test_a_unit_without_a_true_zero_has_no_percentage(key: str, unit: str, place: Callable[..., Path]) -> None:
    path = place(GIVEN)
    model = yaml.safe_load(path.read_text("utf-8"))
    model["limits"][key] = {"unit": unit, "baseline": 60, "tolerance": 5, "source": "x"}
    path.write_text(yaml.safe_dump(model), "utf-8")
    (problem,) = problems_of(path)
    assert problem.path == f"limits.{key}.baseline"
    assert problem.text == f"a percentage of a value in {unit} means nothing: use min, max or equals"


# ------------------------------------------------------------------------------------------ a learned baseline


def test_a_learned_baseline_names_its_racks_and_its_file(place: Callable[..., Path]) -> None:
    path = place(TAKEN, baselines())
    limit = offline_definition(load_model(path), "rack.yaml").limit(KEY)
    assert (limit.minimum, limit.guard) == (871.41, 32.795)
    digest = load_definition(path, path.parent / "bay.yaml", "B-1").model.limits[KEY].source.rpartition("sha256 ")[2]
    assert limit.source == (
        f"fleet; learned from 24 racks, known/learned.yaml sha256 {digest[:64]}; at most 7 % below 937 GB/s"
    )
    assert len(digest[:64].strip("0123456789abcdef")) == 0


def test_another_baseline_is_another_definition_even_where_the_bound_stays(place: Callable[..., Path]) -> None:
    def digest(learned: Baselines) -> str:
        path = place(TAKEN, learned)
        return load_definition(path, path.parent / "bay.yaml", "B-1").digest

    first = digest(baselines())
    assert digest(baselines()) == first
    assert digest(baselines(rackproof="0.1.1")) != first


def test_a_baseline_is_converted_to_the_limits_unit(place: Callable[..., Path]) -> None:
    path = place(
        GIVEN, baselines(keys={"burn_in.power": Expected(unit=Unit.WATT, median=850, sigma=1, racks=9, values=9)})
    )
    model = yaml.safe_load(path.read_text("utf-8"))
    wanted = {"unit": "kW", "baseline": "learned", "tolerance": 10, "better": "lower", "source": "x"}
    model["limits"]["burn_in.power"] = wanted
    path.write_text(yaml.safe_dump(model), "utf-8")
    assert load_model(path).limits["burn_in.power"].max == 0.935


def test_a_file_that_is_written_is_read_back_the_same(tmp_path: Path) -> None:
    digest = write(tmp_path / "learned.yaml", baselines())
    assert load_baselines(tmp_path / "learned.yaml") == baselines()
    assert write(tmp_path / "learned.yaml", baselines()) == digest
    assert [each.name for each in tmp_path.iterdir()] == ["learned.yaml"]
    with pytest.raises(DefinitionError, match="cannot be written: No such file"):
        write(tmp_path / "none" / "learned.yaml", baselines())


def test_a_learned_limit_without_its_baseline_is_an_error(place: Callable[..., Path]) -> None:
    (problem,) = problems_of(place(TAKEN))
    assert (problem.path, problem.text[:40]) == (
        f"limits.{KEY}.baseline",
        "the model names no file to take it from:"[:40],
    )
    (problem,) = problems_of(place(TAKEN, names=True))
    assert (problem.where, problem.path) == ("rack.yaml:1", "baselines")
    assert "there is no such file" in problem.text
    other = Expected(unit=Unit.WATT, median=850, sigma=1, racks=9, values=9)
    (problem,) = problems_of(place(TAKEN, baselines(keys={"burn_in.power": other})))
    assert problem.text.startswith("known/learned.yaml has no baseline of this: learn it again")
    (problem,) = problems_of(place(TAKEN, baselines(keys={KEY: other})))
    assert (problem.path, problem.text) == (f"limits.{KEY}.unit", "known/learned.yaml has this in W, not in GB/s")


def test_a_file_that_judges_nothing_is_an_error(place: Callable[..., Path]) -> None:
    (problem,) = problems_of(place(GIVEN, baselines()))
    assert (problem.path, problem.text) == (
        "baselines",
        "no limit says `baseline: learned`: this file would judge nothing",
    )


def test_a_file_of_another_model_or_of_simulated_racks_does_not_judge_a_real_one(place: Callable[..., Path]) -> None:
    (problem,) = problems_of(place(TAKEN, baselines(model="bench8")))
    assert problem.text == "known/learned.yaml was learned from racks of bench8, this model is bench4"
    path = place(TAKEN, baselines(simulated=True))
    (problem,) = problems_of(path, whole=True)
    assert problem.text == "known/learned.yaml was learned from simulated racks: a real one is never judged by them"
    assert "learned from 24 simulated racks" in load_model(path).limits[KEY].source
    simulated = {"pace": 20.0, "seed": 1, "faults": [], "epoch": "2026-11-22T08:00:00Z", "started": 0.0}
    bay = yaml.safe_dump(yaml.safe_load(BAY) | {"simulated": simulated})
    (path.parent / "bay.yaml").write_text(bay, "utf-8")
    assert load_definition(path, path.parent / "bay.yaml", "B-1").simulated


def test_problems_of_both_files_come_at_once(place: Callable[..., Path]) -> None:
    spoilt = text_of(baselines()).replace("median: 937.0", "median: -1").replace("racks: 24", "racks: many")
    problems = problems_of(place(TAKEN.replace("3.5", "8"), spoilt))
    assert [each.path for each in problems] == [
        f"limits.{KEY}.warn",
        f"keys.{KEY}.median",
        f"keys.{KEY}.racks",
    ]
    assert [each.where.partition(":")[0] for each in problems] == ["rack.yaml", "learned.yaml", "learned.yaml"]
    (problem,) = problems_of(place(TAKEN, "a: 1\na: 2\n"))
    assert problem.where == "learned.yaml:2"
    (problem,) = problems_of(place(TAKEN, text_of(baselines()).replace("937.0", ".nan")))
    assert "is no finite number" in problem.text
