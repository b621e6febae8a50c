"""A host with two accelerators, on which loads run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.drivers.host_machine import GOOD_BURN, Machine, smi


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.prints("nvidia-smi", smi("00000000:01:00.0", "00000000:02:00.0"))
    made.tool("gpu_burn", GOOD_BURN)
    return made
