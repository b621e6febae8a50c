"""What Redfish says, and what it is worth: readings, leak detectors, log entries and places, without a wire."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from drivers.bmc.log import log_entry
from drivers.bmc.tree import name_places
from drivers.resources.leak import leak_state
from drivers.resources.values import sensor_reading
from harness.capabilities import LeakState, Severity
from harness.quantities import Quality, Unit

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


def sensor(kind: str, reading: Any, **more: Any) -> dict[str, Any]:
    units = {"Temperature": "Cel", "Power": "W"}[kind]
    return {"ReadingType": kind, "ReadingUnits": units, "Reading": reading, "Status": {"State": "Enabled"}} | more


AGE = timedelta(seconds=61)


@pytest.mark.parametrize(
    ("body", "value", "quality"),
    [
        (sensor("Power", 42), 42.0, Quality.GOOD),
        (sensor("Power", "42.0"), 42.0, Quality.GOOD),
        (sensor("Power", 0), 0.0, Quality.GOOD),
        (sensor("Power", 1.5, ReadingUnits="kW"), 1500.0, Quality.GOOD),
        (sensor("Power", 42, ReadingTime="1970-01-01T00:00:00Z"), 42.0, Quality.GOOD),
        (sensor("Power", 42, ReadingTime="nonsense"), 42.0, Quality.GOOD),
        (sensor("Power", 42, ReadingTime=(NOW - AGE).isoformat()), 42.0, Quality.STALE),
        (sensor("Power", 42, ReadingTime=(NOW + AGE).isoformat()), 42.0, Quality.STALE),
        (sensor("Power", None), None, Quality.BAD),
        (sensor("Power", "nan"), None, Quality.BAD),
        (sensor("Power", math.nan), None, Quality.BAD),
        (sensor("Power", "inf"), None, Quality.BAD),
        (sensor("Power", True), None, Quality.BAD),
        (sensor("Power", [42]), None, Quality.BAD),
        (sensor("Power", "a lot"), None, Quality.BAD),
        (sensor("Power", 10**400), None, Quality.BAD),
        (sensor("Temperature", 42), None, Quality.BAD),
        (sensor("Power", 42, ReadingUnits="furlong"), None, Quality.BAD),
        ({}, None, Quality.BAD),
        (sensor("Power", None, Status={"State": "Absent", "Health": "Critical"}), None, Quality.ABSENT),
        (sensor("Power", 42, Status={"State": "Disabled"}), None, Quality.ABSENT),
    ],
)
def test_what_a_reading_is_worth(body: dict[str, Any], value: float | None, quality: Quality) -> None:
    reading = sensor_reading(body, Unit.WATT, NOW, 60.0)
    assert reading.quality is quality
    assert reading.usable is (quality is Quality.GOOD)
    if value is not None:
        assert reading.value == value
    else:
        assert math.isnan(reading.number)


@pytest.mark.parametrize(
    ("body", "state"),
    [
        ({"DetectorState": "OK", "Status": {"State": "Enabled", "Health": "OK"}}, LeakState.DRY),
        ({"DetectorState": "OK"}, LeakState.DRY),
        ({"DetectorState": "Warning"}, LeakState.WET),
        ({"DetectorState": "Critical", "Status": {"State": "Disabled"}}, LeakState.WET),
        ({"DetectorState": "OK", "Status": {"Health": "Critical"}}, LeakState.FAULT),
        ({"DetectorState": "OK", "Status": {"Health": "OK", "Conditions": [{"Severity": "Warning"}]}}, LeakState.FAULT),
        ({"DetectorState": "Unavailable", "Status": {"Health": "Warning"}}, LeakState.FAULT),
        ({"DetectorState": "Unavailable"}, LeakState.UNKNOWN),
        ({"DetectorState": "Absent"}, LeakState.UNKNOWN),
        ({"DetectorState": "ok"}, LeakState.UNKNOWN),
        ({"DetectorState": None}, LeakState.UNKNOWN),
        ({}, LeakState.UNKNOWN),
        (None, LeakState.UNKNOWN),
        ({"DetectorState": "OK", "Enabled": False}, LeakState.UNKNOWN),
        ({"DetectorState": "OK", "Status": {"State": "Absent"}}, LeakState.UNKNOWN),
    ],
)
def test_only_an_enabled_detector_that_says_ok_is_dry(body: dict[str, Any] | None, state: LeakState) -> None:
    assert leak_state(body) is state


def test_a_log_entry_of_unknown_severity_is_critical() -> None:
    entry = log_entry("/redfish/v1/Managers/M/LogServices/Log", {"Id": "7", "Message": "?"})
    assert entry.severity is Severity.CRITICAL
    assert entry.ident == "Managers/M/LogServices/Log/7"


def test_places_without_ordinals_of_their_own_go_by_their_ids() -> None:
    def at(ordinal: Any, ident: str) -> dict[str, Any]:
        return {"Id": ident, "Location": {"PartLocation": {"LocationOrdinalValue": ordinal}}}

    named = name_places("cpu", {"/b": at(0, "C10"), "/a": at(0, "C9")})
    assert [(place.name, place.path) for place in named] == [("cpu-0", "/a"), ("cpu-1", "/b")]
    named = name_places("cpu", {"/b": at(1, "A"), "/a": at(3, "B")})
    assert [(place.name, place.path) for place in named] == [("cpu-1", "/b"), ("cpu-3", "/a")]
