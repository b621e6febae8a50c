"""Collection: from a plan's functions to planned steps, checked against the definition before anything is contacted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.errors import PlanError, Problem
from harness.journal.events import Planned, PlannedStep
from harness.plugin.names import wrong_names
from harness.rack.definition import RackDefinition
from harness.rack.model import ROLES

PLURALS = {
    "compute_tray": "compute_trays",
    "switch_tray": "switch_trays",
    "host": "hosts",
    "console": "consoles",
    "switch": "switches",
    "pdu": "pdus",
    "power_shelf": "power_shelves",
    "cdu": "cdus",
}
PLANNED = pytest.StashKey[PlannedStep]()


class Collection:
    """Parametrises steps over devices, and turns the collected items into a checked plan."""

    def __init__(self, definition: RackDefinition, plan: Path, begun: Planned | None = None) -> None:
        """`begun` is the plan that a run began with which is taken up again: its steps must be the same."""
        self.definition = definition
        self._begun = begun
        self.problems: list[Problem] = []
        self.steps: list[PlannedStep] = []
        self._plan = plan

    def planned(self) -> Planned:
        """The plan as the journal keeps it."""
        return Planned(self._plan.name, _digest(self._plan), tuple(self.steps))

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """An argument named after a role gets one step a device."""
        for role in ROLES:
            if role in metafunc.fixturenames:
                names = [entry.name for entry in self.definition.role(role)]
                metafunc.parametrize(role, names, ids=names, indirect=True)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file of the plan that cannot be read is a wrong plan, said in one line."""
        if report.failed:
            text = str(report.longrepr).strip().splitlines()
            self.problems.append(
                Problem(report.nodeid, "", f"cannot be read: {text[-1] if text else 'no reason given'}")
            )

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Check every step; all problems are kept."""
        for path in dict.fromkeys(item.path for item in items):
            self.problems += wrong_names(path, self.definition)
        seen: set[str] = set()
        self.problems += [problem for item in items for problem in _wrong_conditions(item)]
        items[:] = [item for item in items if _is_for(item, self.definition)]
        for item in items:
            try:
                step = self._step(item)
            except PlanError as error:
                where = f"{item.path.name}:{(item.reportinfo()[1] or 0) + 1}"
                self.problems.append(Problem(where, item.name, str(error)))
                continue
            if step.step not in seen:
                seen.add(step.step)
                item.stash[PLANNED] = step
                self.steps.append(step)
        if self._begun is not None and not self.problems:
            self.problems += _other_steps(self._begun.steps, self.steps)
        if not items and not self.problems:
            self.problems.append(Problem(str(self._plan), "", "there is no step in this plan"))

    def _step(self, item: pytest.Item) -> PlannedStep:
        function: Any = getattr(item, "function", None)
        doc = (function.__doc__ or "").strip().splitlines()
        if not doc:
            raise PlanError("a step needs a docstring: its first line is what the technician reads")
        stage = item.get_closest_marker("stage")
        if stage is None or len(stage.args) != 1:
            raise PlanError('a step needs a stage: pytestmark = pytest.mark.stage("burn_in")')
        measures = tuple(_declared(item, self.definition))
        if not measures:
            raise PlanError("a step that measures nothing proves nothing: add @pytest.mark.measures(...)")
        callspec: Any = getattr(item, "callspec", None)
        device = next((str(callspec.params[role]) for role in ROLES if callspec and role in callspec.params), "")
        title = doc[0].rstrip(".")
        return PlannedStep(item.nodeid, f"{title} [{device}]" if device else title, stage.args[0], device, measures)


def _other_steps(begun: Sequence[PlannedStep], now: Sequence[PlannedStep]) -> Iterator[Problem]:
    """What of a plan is not as it was when the run began: a run is about one plan."""
    was, here = {step.step: step for step in begun}, {step.step: step for step in now}
    for step in [*was, *(step for step in here if step not in was)]:
        if was.get(step) != here.get(step):
            what = "is new" if step not in was else "is gone" if step not in here else "declares something else"
            yield Problem(step, "", f"{what} since the run began: put the plan back, or start a new run")
    if list(was) != list(here) and set(was) == set(here):
        yield Problem("plan", "", "its steps have another order since the run began: put it back, or start a new run")


def _wrong_conditions(item: pytest.Item) -> Iterator[Problem]:
    """A `where(...)` that says something else than one load by its name: the step would be left out without a word."""
    for marker in item.iter_markers("where"):
        if marker.args or set(marker.kwargs) != {"load"} or not isinstance(marker.kwargs["load"], str):
            where = f"{item.path.name}:{(item.reportinfo()[1] or 0) + 1}"
            yield Problem(where, item.name, 'where(...) takes load="NAME" and nothing else')


def _is_for(item: pytest.Item, definition: RackDefinition) -> bool:
    """Whether a step is for this model: `where(load=…)` needs that load, and of optional keys one must be limited."""
    if any(marker.kwargs.get("load") not in definition.model.loads for marker in item.iter_markers("where")):
        return False
    measures = list(item.iter_markers("measures"))
    if not measures or any(marker.kwargs.get("optional") is not True for marker in measures):
        return True
    return any(definition.limits(*marker.args) for marker in measures)


def _declared(item: pytest.Item, definition: RackDefinition) -> Iterator[str]:
    """What a step says it measures: `key`, or `key@subject` for each subject of `per`.

    A key that is `optional` is measured where the model sets a limit for it; any other needs one.
    """
    for marker in reversed(list(item.iter_markers("measures"))):
        unknown = set(marker.kwargs) - {"per", "optional"}
        if unknown:
            raise PlanError(f"measures(...) takes keys, per= and optional=, not {', '.join(sorted(unknown))}")
        keys = definition.limits(*marker.args) if marker.kwargs.get("optional") is True else marker.args
        if not keys:
            continue
        subjects = definition.subjects(marker.kwargs["per"]) if "per" in marker.kwargs else None
        for key in keys:
            definition.limit(key)
            if subjects is None:
                yield key
            else:
                yield from (f"{key}@{subject}" for subject in subjects)


def _digest(plan: Path) -> str:
    files = sorted(plan.rglob("*.py")) if plan.is_dir() else [plan]
    total = hashlib.sha256()
    for file in files:
        inner = hashlib.sha256(file.read_bytes()).hexdigest()
        total.update(f"{inner}  {file.name}\n".encode())
    return total.hexdigest()
