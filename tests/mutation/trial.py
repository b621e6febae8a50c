"""Trials: each mutant against the tests of its module, in a copy of the tree, in a process of its own.

The process is forked from one that has loaded the libraries and nothing of ours. A mutant is killed when a test fails,
when nothing can be collected, or when the tests do not end in time. What the tests say goes into the file that the
environment names as MUTATION_OUTPUT, and else nowhere.
"""

from __future__ import annotations

import contextlib
import os
import py_compile
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = ("harness", "drivers", "fixtures", "reports", "test_plans", "tests")
SLACK = 15.0
"""Wall seconds that tests may take beyond five times what they take on sound code."""
MEMORY, LARGEST = 16 << 30, 512 << 20
"""Octets of address space and of one file, for mutants that never stop growing."""


@contextlib.contextmanager
def copy() -> Iterator[Path]:
    """A copy of the tree, which goes with the block."""
    with tempfile.TemporaryDirectory(prefix="rackproof-mutants-") as folder:
        for name in OURS:
            shutil.copytree(ROOT / name, Path(folder, name), ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy2(ROOT / "pyproject.toml", folder)
        for name in OURS:
            for file in Path(folder, name).rglob("*.py"):
                py_compile.compile(str(file), quiet=1)
        yield Path(folder)


def load_libraries() -> None:
    """Load once what every trial needs, and nothing of ours."""
    import aiohttp
    import asyncssh
    import duckdb
    import hypothesis
    import paramiko
    import pydantic
    import pytest
    import yaml

    assert all((aiohttp, asyncssh, duckdb, hypothesis, paramiko, pydantic, pytest, yaml))


def survives(tree: Path, module: str, source: str, tests: list[str], within: float) -> bool:
    """Whether all tests pass with this source of the module."""
    file = tree / module
    sound = file.read_text("utf-8")
    for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
        compiled.unlink()
    file.write_text(source, "utf-8")
    try:
        return all(passes(tree, [test], within) for test in tests)
    finally:
        file.write_text(sound, "utf-8")


def passes(tree: Path, tests: list[str], within: float) -> bool:
    """Whether these tests of a tree pass in time."""
    child = os.fork()
    if child == 0:
        _test(tree, tests)
    until = time.monotonic() + within
    try:
        while time.monotonic() < until:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                child = 0
                return os.waitstatus_to_exitcode(status) == 0
            time.sleep(0.01)
        return False
    finally:
        if child:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _test(tree: Path, tests: list[str]) -> None:
    """In the child: run the tests and end."""
    code = 70
    try:
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST, LARGEST))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        os.chdir(tree)
        sys.dont_write_bytecode = True
        os.environ |= {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
        if "MUTATION_OUTPUT" in os.environ:
            quiet = os.open(os.environ["MUTATION_OUTPUT"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        else:
            quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
            del sys.modules[name]
        sys.path.insert(0, str(tree))
        import pytest

        words = ["-x", "-q", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:faulthandler", "--tb=line", *tests]
        code = int(pytest.main(words, plugins=[_Same()]))
        import harness

        assert Path(str(harness.__file__)).is_relative_to(tree), "the mutant was not what was tested"
    except BaseException:  # noqa: BLE001 - whatever it was, the child has to end here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class _Same:
    """The same examples for every mutant, and no time spent on making a failing one small."""

    def pytest_collection_finish(self) -> None:
        from hypothesis import Phase, settings

        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutation", settings.default, derandomize=True, phases=phases, database=None)
        settings.load_profile("mutation")
