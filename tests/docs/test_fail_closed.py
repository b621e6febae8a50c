"""The page of false passes is generated from the tests that provoke them: it cannot say what no test has seen."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "fail-closed.md"
TESTS = ROOT / "tests" / "failopen"
SUBJECTS = ("values", "steps", "monitors", "loads", "burn_in", "hosts", "intake")
FILES = tuple(f"test_{subject}.py" for subject in SUBJECTS)
BEGIN, END = "<!-- table: false passes -->\n", "<!-- end of table -->\n"
LEAST = 35
"""The survey of peers holds more than that many false passes that were executed."""


def table() -> Iterator[str]:
    """The table, line by line."""
    yield "| peer | what it lets pass | known by | our verdict, and why | test |"
    yield "|---|---|---|---|---|"
    for file in FILES:
        for name, verdict, words in provoked(TESTS / file):
            yield f"| {' | '.join(word.replace('|', '&#124;') for word in words)} | {verdict} | `{name}` |"


def provoked(file: Path) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Every test of a file: its name, our verdict with its reason, and what its marker says of the peer."""
    for node in ast.parse(file.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            marks = [
                mark for mark in node.decorator_list if isinstance(mark, ast.Call) and "peer" in ast.unparse(mark.func)
            ]
            assert len(marks) == 1, f"{node.name} names no peer"
            words = tuple(ast.literal_eval(argument) for argument in marks[0].args)
            assert len(words) == 3, node.name
            verdict, colon, why = (ast.get_docstring(node) or "").partition("\n")[0].partition(":")
            assert colon, node.name
            yield node.name, f"**{verdict}**:{why}", words


def test_the_table_is_that_of_the_tests() -> None:
    text = PAGE.read_text("utf-8")
    assert text.partition(BEGIN)[2].partition(END)[0] == "\n".join(table()) + "\n"


def test_every_file_of_tests_is_in_the_table() -> None:
    assert {path.name for path in TESTS.glob("test_*.py")} == set(FILES)


def test_none_of_them_is_a_pass() -> None:
    rows = [row for file in FILES for row in provoked(TESTS / file)]
    assert len(rows) > LEAST
    assert not [name for name, verdict, _ in rows if "PASS" in verdict.partition(":")[0]]
