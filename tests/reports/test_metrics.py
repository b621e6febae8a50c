"""The exporter: on loopback, true, and gone when it is closed."""

from __future__ import annotations

import io
import math
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness.clock import Clock
from harness.errors import DefinitionError
from harness.journal import events as e
from harness.observing import LiveOptions
from harness.quantities import Channel, Quality, Reading, Sample, Unit
from reports.metrics import Exporter, open_exporter


def scrape(exporter: Exporter) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{exporter.port}/metrics", timeout=60) as answer:
        return str(answer.read().decode())


def options(port: int | None) -> LiveOptions:
    return LiveOptions(Path("run"), Clock.real(), io.StringIO(), port)


def sample(part: str, value: float, quality: Quality = Quality.GOOD) -> Sample:
    channel = Channel("tray-01", "accelerator.temperature", Unit.CELSIUS, part)
    return Sample(channel, Reading(value, Unit.CELSIUS, datetime(2026, 1, 1, tzinfo=UTC), quality))


def test_no_port_no_exporter() -> None:
    assert open_exporter(options(None)) is None


def test_it_serves_the_run(make_run: Callable[..., Any]) -> None:
    run = make_run("FAIL")
    exporter = open_exporter(options(0))
    assert isinstance(exporter, Exporter)
    try:
        assert 'rackproof_run_state{state="waiting"} 1.0' in scrape(exporter)
        for entry in run.entries[:-1]:
            exporter.entry(entry)
        text = scrape(exporter)
        assert 'rackproof_run_state{state="running"} 1.0' in text
        assert "rackproof_run_verdict{" not in text
        exporter.entry(run.entries[-1])
        trip = e.Tripped("coolant-leak", "cdu-1", 1, "count", "≤ 0", "rack", "wet", "x")
        run.add(e.DeviceLost("tray-02", "silent"), trip)
        for entry in run.entries[-2:]:
            exporter.entry(entry)
        exporter.sampled([sample("accelerator-0", 61.5), sample("accelerator-1", math.nan)])
        exporter.sampled([sample("accelerator-2", 70.0, Quality.STALE)])
        text = scrape(exporter)
    finally:
        exporter.close()
        exporter.close()
    for line in (
        'rackproof_run_verdict{verdict="FAIL"} 1.0',
        'rackproof_run_verdict{verdict="PASS"} 0.0',
        'rackproof_steps{state="done"} 3.0',
        'rackproof_measurements_total{judgement="fail"} 1.0',
        'rackproof_device_up{device="tray-02"} 0.0',
        'rackproof_device_up{device="tray-01"} 1.0',
        'rackproof_trips_total{interlock="coolant-leak",subject="cdu-1"} 1.0',
    ):
        assert line in text, line
    assert 'rackproof_measurement_value{judgement="fail",key="accelerator.temperature.max"' in text
    assert 'part="accelerator-0",quantity="accelerator.temperature",unit="degC"} 61.5' in text
    # What is not known is absent, never a zero.
    assert "accelerator-1" not in text
    assert "accelerator-2" not in text
    with pytest.raises(urllib.error.URLError):
        scrape(exporter)


def test_a_port_that_is_taken_says_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(DefinitionError, match=f"metrics port {port} on 127.0.0.1: it is taken"):
            open_exporter(options(port))


def test_a_port_that_is_none_says_so() -> None:
    with pytest.raises(DefinitionError, match="ports go from 0 to 65535"):
        open_exporter(options(70000))
