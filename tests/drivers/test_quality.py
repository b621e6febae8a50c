"""What quality.yaml claims: every driver and profile has a row, and what is called done has a test that exists."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from drivers.profile import PROFILES

ROOT = Path(__file__).parents[2]
QUALITY: dict[str, Any] = yaml.safe_load((ROOT / "drivers" / "quality.yaml").read_text(encoding="utf-8"))
TIERS = ("bronze", "silver", "gold", "platinum")
RULES = {
    "bronze": ("identifies", "declares-limits"),
    "silver": ("time-out", "wrong-secret", "garbled", "replaced"),
    "gold": ("recorded",),
    "platinum": ("soaked",),
}
# A driver whose families are profiles is as good as its best profile; the others carry the rules themselves.
BARE = {name: row for name, row in QUALITY["drivers"].items() if "rules" in row}
ROWS = sorted((QUALITY["profiles"] | BARE).items())


def exists(test: str) -> bool:
    file, _, name = test.partition("::")
    if not (ROOT / file).is_file():
        return False
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return any(isinstance(node, ast.FunctionDef) and node.name == name for node in tree.body)


def earned(rules: dict[str, Any]) -> str:
    best = ""
    for tier in TIERS:
        if any(rules[rule]["status"] == "todo" for rule in RULES[tier]):
            break
        best = tier
    return best


def test_every_profile_has_a_row_and_no_row_is_without_profile() -> None:
    assert set(QUALITY["profiles"]) == {path.stem for path in PROFILES.glob("*.yaml")}


def test_every_driver_has_a_row_and_no_row_is_without_driver() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(QUALITY["drivers"]) == set(project["entry-points"]["rackproof.drivers"])
    assert {row["tier"] for row in QUALITY["drivers"].values()} <= {*TIERS, "exempt"}


@pytest.mark.parametrize(("name", "row"), ROWS, ids=[name for name, _ in ROWS])
def test_what_is_called_done_has_a_test(name: str, row: dict[str, Any]) -> None:
    assert set(row["rules"]) == {rule for rules in RULES.values() for rule in rules}
    for rule, claim in row["rules"].items():
        assert claim["status"] in ("done", "todo", "exempt"), rule
        if claim["status"] == "done":
            assert claim["tests"], rule
            assert [test for test in claim["tests"] if not exists(test)] == [], rule
        else:
            assert len(claim["comment"]) > 10, rule


@pytest.mark.parametrize(("name", "row"), ROWS, ids=[name for name, _ in ROWS])
def test_a_tier_is_what_the_rules_earn(name: str, row: dict[str, Any]) -> None:
    assert row["tier"] == earned(row["rules"])
    if name not in BARE:
        assert row["driver"] == yaml.safe_load((PROFILES / f"{name}.yaml").read_text(encoding="utf-8"))["driver"]


def test_a_driver_is_no_better_than_its_best_profile() -> None:
    for name in ("switch", "pdu", "power_shelf", "cdu"):
        best = max(TIERS.index(row["tier"]) for row in QUALITY["profiles"].values() if row["driver"] == name)
        assert TIERS.index(QUALITY["drivers"][name]["tier"]) <= best


def test_evidence_that_names_a_file_names_one_that_exists() -> None:
    for row in (*QUALITY["profiles"].values(), *QUALITY["drivers"].values()):
        for entry in row["evidence"]:
            assert not entry.startswith("tests/") or (ROOT / entry.partition("::")[0]).is_file()
