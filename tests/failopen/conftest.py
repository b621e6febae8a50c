"""The false passes of peers, provoked in our harness: every test says where each was seen and what becomes of it here.

`peer(what, source)` names the peer and what it let pass, and where that is known from; the first word of a test's
docstring is our verdict, and both are the rows of docs/fail-closed.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.failopen.bench import Bench


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", "peer(name, passed, source): what a peer let pass, and where that is known from")


@pytest.fixture
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """A bench; at the end the test's docstring must say what it saw, beside a run that passed."""
    made = Bench(tmp_path)
    yield made
    verdict = request.function.__doc__.partition(":")[0]
    assert made.said, "nothing was provoked"
    assert set(made.said) == set(verdict.split(" or ")), f"it says {verdict}, and came to {made.said}"
    assert made.healthy, "no run passed: what was provoked is not known to be the reason"
