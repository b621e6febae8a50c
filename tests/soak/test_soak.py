"""A quarter of an hour of a soak (`python -m tests.soak` is the whole): a device misbehaves every rack minute."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.faults import read_fault
from fixtures.identity import tags
from fixtures.layout import lay_out
from harness.rack.load import load_model
from tests.soak.rack import FAULTS, schedule, write_model
from tests.soak.standing import soak


def test_a_fault_begins_every_minute_and_none_of_a_device_while_another_is_there(tmp_path: Path) -> None:
    model = load_model(write_model(tmp_path, 72.0))
    layout = lay_out(model)
    faults = [read_fault(spec, layout, tags(model, 1)) for spec in schedule()]
    assert [fault.course.onset for fault in faults] == [60.0 * number for number in range(1, len(FAULTS) + 1)]
    assert {fault.device.partition("-")[0] for fault in faults} == {"tray", "pdu", "switch", "shelf", "cdu"}


@pytest.mark.long
def test_every_sweep_and_every_sample_is_accounted_for(tmp_path: Path) -> None:
    found = soak(tmp_path, hours=0.25, pace=20.0)
    assert not found.broken(), found.as_json()
    assert found.verdict in ("PASS", "INCONCLUSIVE"), found.as_json()
    assert sum(each.failed for each in found.counted) > 0, "no fault reached anything"
