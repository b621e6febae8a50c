"""pytest as an engine without a voice: it runs a plan, and the session's observers do all the talking."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping
from pathlib import Path

import pytest


class _Named:
    """Registers plugins under their own names."""

    def __init__(self, plugins: Mapping[str, object]) -> None:
        self._plugins = plugins

    def pytest_configure(self, config: pytest.Config) -> None:
        for name, plugin in self._plugins.items():
            config.pluginmanager.register(plugin, name)


def run_plan(plan: Path, plugins: Mapping[str, object], *extra: str) -> str:
    """Run the plan's steps under `plugins`; returns what pytest had to say, for the case that nothing ran."""
    root = plan if plan.is_dir() else plan.parent
    arguments = [
        str(plan),
        f"--rootdir={root}",
        "--override-ini=addopts=",
        "--override-ini=filterwarnings=",
        "--strict-markers",
        "--import-mode=importlib",
        "--capture=no",
        "-c",
        "/dev/null",
        "-p",
        "harness.pytest_plugin",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:terminal",
        # Nobody hears its warnings here, and it collects garbage for half a second at the end.
        "-p",
        "no:unraisableexception",
        *extra,
    ]
    said = io.StringIO()
    # Whatever else is installed beside us (random order, retries, parallel runs) has no business in an acceptance.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        pytest.main(arguments, plugins=[_Named(plugins)])
    lines = [line for line in said.getvalue().splitlines() if line.strip()]
    return lines[-1] if lines else "pytest gave no reason"
