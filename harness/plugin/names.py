"""The durations and loads that a plan's text names, checked before anything is contacted.

A name that is computed cannot be seen here; it is found when the step asks for it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.errors import PlanError, Problem
from harness.rack.definition import RackDefinition


def wrong_names(path: Path, definition: RackDefinition) -> Iterator[Problem]:
    """Every `duration("…")`, `wait("…", …)` and `load("…")` of a plan's file that names nothing in the model."""
    tree = ast.parse(path.read_text("utf-8"))
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    look_up: dict[str, Callable[[str], object]] = {
        "duration": definition.duration,
        "wait": definition.duration,
        "load": definition.load,
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
            continue
        first = node.args[0]
        value = constants.get(first.id) if isinstance(first, ast.Name) else getattr(first, "value", None)
        if node.func.attr in look_up and isinstance(value, str):
            try:
                look_up[node.func.attr](value)
            except PlanError as error:
                yield Problem(f"{path.name}:{node.lineno}", node.func.attr, str(error))
