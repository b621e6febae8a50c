"""Every module has one reason to exist: short, named after a thing, silent about this machine."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("harness", "drivers", "fixtures", "reports", "test_plans", "tests")
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
LONGEST = 500
FORBIDDEN_WORDS = re.compile(r"(Manager|Helper|Util|Base|Handler|Info|Data)$")
CLASS_PARENTS = {"Protocol", "Exception", "Frozen", "StrEnum", "Enum", "IntEnum", "BaseModel", "Generic", "NamedTuple"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_ends_before_500_lines(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_class_is_named_after_what_it_is_not(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    names = [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    assert not [name for name in names if FORBIDDEN_WORDS.search(name)]


def _product_modules() -> list[Path]:
    return [path for path in MODULES if path.relative_to(ROOT).parts[0] != "tests"]


@pytest.mark.parametrize("path", _product_modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_what_it_promises(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    if tree.body:
        assert ast.get_docstring(tree), "a module's first line says what it is for"


@pytest.mark.parametrize("path", _product_modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_broad_excepts_stand_only_where_the_design_allows(path: Path) -> None:
    room = path.relative_to(ROOT).parts
    allowed = (
        room[0] == "reports"
        or "safety" in room
        or "plugin" in room
        # The sampler's task outlives a driver that breaks: it is the device that is silent then.
        # The session's end is a boundary, too: whatever breaks there, the run says that it lacks its end.
        or room[-1] in ("writer.py", "observing.py", "running.py", "sampler.py", "session.py")
    )
    tree = ast.parse(path.read_text("utf-8"))
    broad = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id == "Exception"))
    ]
    assert allowed or not broad


def test_no_file_names_a_machine_or_an_index() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("no git checkout here")
    # Spelled apart so that this file does not name them either.
    forbidden = [
        "py" + "pi.org",
        "python" + "hosted",
        "npm" + "js.org",
        "deb." + "debian",
        "/root" + "/",
        "/work" + "/",
    ]
    guilty = []
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.is_file() and path.suffix not in (".png", ".pdf", ".ttf", ".otf"):
            text = path.read_text("utf-8", errors="replace")
            guilty += [f"{name}: {word}" for word in forbidden if word in text]
    assert not guilty
