"""What all tests share: the option for long suites, and nothing else."""

from __future__ import annotations

import signal

import pytest
from hypothesis import HealthCheck, settings

# A machine that is busy makes no test wrong: nothing here is judged by how long it took.
settings.register_profile("rackproof", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("rackproof")


def pytest_configure() -> None:
    """A shell starts what runs beside it deaf to Ctrl-C, and every process of a test would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--long` runs the suites that take minutes."""
    parser.addoption("--long", action="store_true", help="run the long suites whole instead of a seeded sample")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without --long, what is marked long is left out and said."""
    if config.getoption("--long"):
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="long: runs with --long (make test-long)"))
