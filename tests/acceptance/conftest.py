"""Runs go on in the background from the first test on, two at a time, and are shared by the tests that look at them.

The tests of this folder come last, so that they find their runs done: whole runs mostly wait, and so do they.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.acceptance.runs import Run, Runs

HERE = Path(__file__).parent
RUNS = pytest.StashKey[Runs]()
FOLDER = pytest.StashKey["tempfile.TemporaryDirectory[str]"]()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole runs are looked at last."""
    items.sort(key=lambda item: HERE in item.path.parents)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Start every run that a collected test will ask for."""
    if session.config.option.collectonly:
        return
    folder = tempfile.TemporaryDirectory(prefix="rackproof-runs-")
    runs = session.config.stash[RUNS] = Runs(Path(folder.name))
    session.config.stash[FOLDER] = folder
    for item in session.items:
        marker = item.get_closest_marker("scenario")
        if marker is not None and not item.get_closest_marker("skip"):
            runs.start(*marker.args)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Wait for what is under way and clean up."""
    if RUNS in session.config.stash:
        session.config.stash[RUNS].close()
        session.config.stash[FOLDER].cleanup()


@pytest.fixture
def runs(request: pytest.FixtureRequest) -> Runs:
    """All runs of this session."""
    return request.config.stash[RUNS]


@pytest.fixture
def run(request: pytest.FixtureRequest, runs: Runs) -> Run:
    """The finished run that this test's `scenario` mark names."""
    marker = request.node.get_closest_marker("scenario")
    assert marker is not None, "say which run this test is about: @pytest.mark.scenario(...)"
    return runs.start(*marker.args).result()
