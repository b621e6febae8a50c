"""`rackproof plan`: what a plan will do and judge, without touching a rack."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from harness.errors import DefinitionError
from harness.journal.events import PlannedStep
from harness.plugin.collection import Collection
from harness.quiet import run_plan
from harness.rack.definition import RackDefinition, offline_definition
from harness.rack.load import load_model, model_path
from harness.running import shipped_plan


def execute(arguments: argparse.Namespace) -> int:
    """Collect the plan against the model, print its steps and the matrix of limits and steps."""
    plan = Path(arguments.plan).resolve() if arguments.plan else shipped_plan()
    if not plan.exists():
        raise DefinitionError(f"there is no plan at {plan}")
    path = model_path(arguments.model)
    definition = offline_definition(load_model(path), path.name)
    collection = Collection(definition, plan)
    said = run_plan(plan, {"rackproof-collection": collection}, "--collect-only")
    if collection.problems or not collection.steps:
        raise DefinitionError(collection.problems or said)
    if arguments.json:
        sys.stdout.write(json.dumps(_as_json(collection, definition), ensure_ascii=False) + "\n")
    else:
        _print(collection, definition)
    return 0


def _matrix(steps: list[PlannedStep]) -> dict[str, list[str]]:
    """Limit key to the functions that judge it, in order of the plan."""
    found: dict[str, list[str]] = {}
    for step in steps:
        name = step.step.partition("[")[0]
        for measure in step.measures:
            judging = found.setdefault(measure.partition("@")[0], [])
            if name not in judging:
                judging.append(name)
    return found


def _as_json(collection: Collection, definition: RackDefinition) -> dict[str, object]:
    matrix = _matrix(collection.steps)
    return {
        "model": definition.model.name,
        "revision": definition.model.revision,
        "steps": [
            {"step": s.step, "title": s.title, "stage": s.stage, "device": s.device, "measures": list(s.measures)}
            for s in collection.steps
        ],
        "limits": {key: matrix.get(key, []) for key in definition.model.limits},
    }


def _print(collection: Collection, definition: RackDefinition) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 160)
    steps = Table(title=f"Plan for {definition.model.name} {definition.model.revision}", title_justify="left")
    for column in ("stage", "step", "what it proves", "measurements"):
        steps.add_column(column, overflow="fold")
    for step in collection.steps:
        steps.add_row(step.stage, step.step, step.title, str(len(step.measures)))
    console.print(steps)
    limits = Table(title="Limits and the steps that judge them", title_justify="left")
    for column in ("limit", "bounds", "judged by", "source"):
        limits.add_column(column, overflow="fold")
    matrix = _matrix(collection.steps)
    for key in definition.model.limits:
        judged = "\n".join(matrix.get(key, ["[red]no step[/red]"]))
        limit = definition.limit(key)
        limits.add_row(key, limit.describe(), judged, limit.source)
    console.print(limits)
    interlocks = Table(title="Interlocks, watched from the first contact to the last", title_justify="left")
    for column in ("interlock", "quantity", "of every", "blames", "then the power is cut"):
        interlocks.add_column(column, overflow="fold")
    for name, spec in definition.model.interlocks.items():
        interlocks.add_row(name, spec.quantity, spec.role, spec.blames, spec.cut_power.replace("_", " "))
    console.print(interlocks)
    seconds = sum(definition.model.durations.values())
    console.print(f"{len(collection.steps)} steps; named durations add up to {seconds / 60:.0f} min of rack time")
