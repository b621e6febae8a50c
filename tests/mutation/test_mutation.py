"""The mutation run itself: what it changes, what it leaves alone, that its list is true; and a sample of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation.__main__ import explained
from tests.mutation.covering import COVERING, every
from tests.mutation.mutants import mutants, names
from tests.mutation.trial import ROOT

DECIDING = ("harness/limits.py", "harness/verdict.py", "harness/safety/*.py", "harness/journal/*.py")
EXAMPLE = '''"""A module."""
WORD = "word"
def f(a: "text", b=1, *, c=True):
    """Says nothing."""
    if a < b and not c:
        raise ValueError("what is told to people")
    for each in a:
        if each: break
        a.b = -min(a, f"{b}")
    return a + b if a else None
'''


def changed(line: str) -> set[str]:
    return {each.change for each in mutants("m", EXAMPLE) if each.line == line}


def test_what_is_changed() -> None:
    assert changed('WORD = "word"') == {"`'word'` → `'wordX'`"}
    assert changed('def f(a: "text", b=1, *, c=True):') == {"`1` → `2`", "`True` → `False`"}
    assert changed("if a < b and not c:") == {"condition negated", "`and` → `or`", "`<` → `<=`"}
    assert changed('raise ValueError("what is told to people")') == {"left out"}
    assert changed("if each: break") == {"condition negated", "`break` → `continue`"}
    assert changed('a.b = -min(a, f"{b}")') == {"left out", "`-` → `+`", "`min` → `max`"}
    assert changed("return a + b if a else None") == {"result → None", "`+` → `-`", "condition negated"}


def test_what_is_left_alone() -> None:
    assert changed('"""Says nothing."""') == set()
    assert changed('"""A module."""') == set()


def test_each_mutant_is_one_change_and_has_a_name_of_its_own() -> None:
    made = list(mutants("m", EXAMPLE))
    assert {each.name for each in made} == names("m", EXAMPLE)
    assert len({each.name for each in made}) == len({each.source for each in made}) == len(made)
    twice = "def f(a):\n    return a == 1 == 1\n"
    assert sorted(name[-1] for name in names("m", twice) if name[3] == "`==` → `!=`") == [1, 2]


def test_no_module_is_forgotten() -> None:
    found = {str(file.relative_to(ROOT)) for pattern in DECIDING for file in ROOT.glob(pattern)}
    changing = {name for name in found if names(name, (ROOT / name).read_text("utf-8"))}
    assert set(COVERING) == changing
    assert all((ROOT / test).is_file() for test in every())


def test_every_survivor_is_there_and_has_a_reason() -> None:
    """A line that was changed takes its explanation with it."""
    for (module, *_), reason in explained().items():
        assert reason, module
    known = {name for module in COVERING for name in names(module, (ROOT / module).read_text("utf-8"))}
    assert set(explained()) <= known


@pytest.mark.long
def test_a_sample_of_mutants_is_killed(tmp_path: Path) -> None:
    modules = ("harness/limits.py", "harness/verdict.py", "harness/safety/condition.py", "harness/journal/lines.py")
    asked = [word for module in modules for word in ("--module", module)]
    command = [sys.executable, "-m", "tests.mutation", "--sample", "20", "--seed", "7", *asked]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "20 mutants: " in ended.stdout
