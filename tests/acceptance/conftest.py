"""Runs are started two at a time in the background, as soon as a collected test needs them, and shared by tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.runs import Run, Runs


@pytest.fixture(scope="session")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """All runs of this session; those that collected tests will ask for are started at once."""
    started = Runs(tmp_path_factory.mktemp("runs"))
    for item in request.session.items:
        marker = item.get_closest_marker("scenario")
        if marker is not None and not item.get_closest_marker("skip"):
            started.start(*marker.args)
    yield started
    started.close()


@pytest.fixture
def run(request: pytest.FixtureRequest, runs: Runs) -> Run:
    """The finished run that this test's `scenario` mark names."""
    marker = request.node.get_closest_marker("scenario")
    assert marker is not None, "say which run this test is about: @pytest.mark.scenario(...)"
    return runs.start(*marker.args).result()
