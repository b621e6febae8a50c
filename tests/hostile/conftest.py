"""What hostile input is given to: children of bounded memory, and run directories made by hand."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.reports.conftest import blank, demo_keys, make_run

__all__ = ["blank", "demo_keys", "make_run"]

ROOT = Path(__file__).parents[2]
CONFINED = """
import resource, sys, time
resource.setrlimit(resource.RLIMIT_CPU, ({seconds}, {seconds}))
{setup}
mapped = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (mapped + {octets}, mapped + {octets}))
{body}
"""
Confined = Callable[..., str]


@pytest.fixture
def confined(tmp_path: Path) -> Confined:
    """Runs code in a child that may map some MiB beyond its imports and use some seconds of CPU; gives its output."""

    def run(setup: str, body: str, *, mib: int = 512, seconds: int = 60) -> str:
        code = CONFINED.format(setup=setup, body=body, octets=mib * 2**20, seconds=seconds)
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, f"it ended with {done.returncode}: {done.stderr[-2000:]}"
        return done.stdout

    return run
