"""A plan is proven sound before anything is contacted: every step titled, staged, and measuring known limits."""

from __future__ import annotations

import uuid
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from harness.plugin.collection import Collection
from harness.quiet import run_plan
from harness.rack.definition import RackDefinition, offline_definition
from harness.rack.load import load_model

HEAD = '"""A plan."""\nimport pytest\npytestmark = pytest.mark.stage("own")\n\n'


@pytest.fixture(scope="module")
def definition() -> RackDefinition:
    path = Path(str(files("test_plans"))) / "models" / "bench4.yaml"
    return offline_definition(load_model(path), path.name)


def collect(definition: RackDefinition, folder: Path, text: str) -> Collection:
    # Modules are known by name within one process: every plan here has a name of its own.
    (folder / f"test_{uuid.uuid4().hex}.py").write_text(text, "utf-8")
    collection = Collection(definition, folder)
    run_plan(folder, {"rackproof-collection": collection}, "--collect-only")
    return collection


def step(marks: str, signature: str = "measure", doc: str = '"""It holds."""') -> str:
    return f"{HEAD}{marks}\nasync def test_it({signature}):\n    {doc}\n"


def test_a_role_gives_one_step_a_device(definition: RackDefinition, tmp_path: Path) -> None:
    found = collect(definition, tmp_path, step('@pytest.mark.measures("leak.state")', "compute_tray, measure"))
    assert found.problems == []
    assert [planned.device for planned in found.steps] == ["tray-01", "tray-02", "tray-03", "tray-04"]
    assert found.steps[2].title == "It holds [tray-03]"


def test_per_names_every_subject(definition: RackDefinition, tmp_path: Path) -> None:
    found = collect(definition, tmp_path, step('@pytest.mark.measures("burn_in.work", per="accelerator")'))
    (planned,) = found.steps
    assert len(planned.measures) == 16
    assert "burn_in.work@tray-03/accelerator-2" in planned.measures


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (step('@pytest.mark.measures("thermal.flw")'), "did you mean 'thermal.flow'"),
        (step('@pytest.mark.measures("thermal.flow", per="cdux")'), "did you mean 'cdu'"),
        (step('@pytest.mark.measures("thermal.flow", pr="cdu")'), "not pr"),
        (step("@pytest.mark.measures()"), "measures nothing"),
        (step(""), "measures nothing"),
        (step('@pytest.mark.measures("thermal.flow")', doc="pass"), "docstring"),
        (step('@pytest.mark.measures("thermal.flow")').replace("pytestmark", "other"), "stage"),
        ("import nothing_of_that_name\n", "nothing_of_that_name"),
        ('"""Empty."""\n', "no step"),
    ],
)
def test_a_plan_that_proves_nothing_is_refused(
    definition: RackDefinition, tmp_path: Path, text: str, said: str
) -> None:
    found = collect(definition, tmp_path, text)
    assert said in "\n".join(map(str, found.problems))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ('rack.definition.duration("rampe")', "did you mean 'ramp'"),
        ('await rack.wait("trafic", "traffic")', "did you mean 'traffic'"),
        ("rack.definition.load(LOAD)", "did you mean 'burn-in'"),
    ],
)
def test_a_duration_or_load_that_the_model_lacks(
    definition: RackDefinition, tmp_path: Path, call: str, said: str
) -> None:
    text = step('@pytest.mark.measures("thermal.flow")', "rack, measure") + f"    {call}\n\n\nLOAD = 'burnin'\n"
    assert said in "\n".join(map(str, collect(definition, tmp_path, text).problems))


def test_every_problem_is_told_at_once(definition: RackDefinition, tmp_path: Path) -> None:
    text = step('@pytest.mark.measures("thermal.flw")') + "\n\ndef test_other():\n    pass\n"
    assert len(collect(definition, tmp_path, text).problems) == 2


def test_the_shipped_plan_judges_every_limit_of_the_shipped_model(definition: RackDefinition) -> None:
    plan = Path(str(files("test_plans"))) / "rack"
    collection = Collection(definition, plan)
    run_plan(plan, {"rackproof-collection": collection}, "--collect-only")
    assert collection.problems == []
    judged = {measure.partition("@")[0] for planned in collection.steps for measure in planned.measures}
    assert judged == set(definition.model.limits)


@pytest.fixture(scope="module")
def without_flaps(definition: RackDefinition) -> RackDefinition:
    """The first model without its limit on flapping links."""
    limits = {key: spec for key, spec in definition.model.limits.items() if key != "link.flaps"}
    return replace(definition, model=definition.model.model_copy(update={"limits": limits}))


def test_an_optional_key_is_declared_where_the_model_limits_it(without_flaps: RackDefinition, tmp_path: Path) -> None:
    marks = '@pytest.mark.measures("thermal.flow")\n@pytest.mark.measures("thermal.rise", "link.flaps", optional=True)'
    found = collect(without_flaps, tmp_path, step(marks))
    assert found.problems == []
    assert found.steps[0].measures == ("thermal.flow", "thermal.rise")


def test_a_key_that_is_not_optional_needs_its_limit(without_flaps: RackDefinition, tmp_path: Path) -> None:
    found = collect(without_flaps, tmp_path, step('@pytest.mark.measures("link.flaps")'))
    assert "there is no limit 'link.flaps'" in str(found.problems[0])
