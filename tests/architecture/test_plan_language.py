"""A plan reads like the work instruction: no protocol word, no number that is a limit, a docstring on every step."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLANS = sorted((ROOT / "test_plans" / "rack").glob("test_*.py"))
PROTOCOLS = re.compile(r"redfish|snmp|modbus|ssh\b|\boid\b|register|http|serial port", re.IGNORECASE)
# Arithmetic that is no limit: percent, giga, octets to bits, halves of an uncertainty, indices, waiting grain.
HARMLESS = {0, 1, 2, 3, 5, 8, 100, 1e9}


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.name)
def test_a_plan_speaks_no_protocol(path: Path) -> None:
    assert not PROTOCOLS.findall(path.read_text("utf-8"))


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.name)
def test_a_plan_holds_no_limit(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    numbers = [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool)
    ]
    # Slices of text shown to a person are no limits either.
    strange = [(line, value) for line, value in numbers if value not in HARMLESS and value != 200]
    assert not strange


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.name)
def test_every_step_says_what_it_proves(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    steps = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    assert steps
    assert all(ast.get_docstring(step) for step in steps)
