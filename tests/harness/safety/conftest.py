"""Hosts with a real shell that outlive a station, and a rack of them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def hosts() -> Iterator[list[dict[str, Any]]]:
    """Two hosts: port, host_key and home of each."""
    with tempfile.TemporaryDirectory(prefix="rackproof-hosts-") as folder:
        command = [sys.executable, "-m", "tests.acceptance.hosts", folder, "2"]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.communicate(timeout=60)
