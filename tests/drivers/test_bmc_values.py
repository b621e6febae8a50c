"""What Redfish says, and what it is worth: readings, leak detectors, log entries and places, without a wire."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.bmc.boards import Board, board_part
from drivers.bmc.log import log_entry
from drivers.bmc.places import name_places
from drivers.bmc.ports import physical_link
from drivers.resources.leak import leak_state
from drivers.resources.sensors import sensor_of
from drivers.resources.values import sensor_reading
from harness.capabilities import LeakState, Part, Severity
from harness.quantities import Quality, Unit
from harness.sensors import Thresholds

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


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)
SENSOR = st.fixed_dictionaries(
    {},
    optional={
        "Reading": JSON,
        "ReadingType": st.sampled_from(["Temperature", "Power", "EnergyJoules", "Altitude", "Other", 5, None]),
        "ReadingUnits": st.sampled_from(["Cel", "W", "J", "Pa", "C", "", None, 7]),
        "ReadingTime": JSON,
        "ReadingBasis": JSON,
        "Status": JSON,
        "Thresholds": JSON,
        "RelatedItem": JSON,
    },
)


@given(SENSOR)
def test_no_sensor_is_too_odd_to_be_listed(body: dict[str, Any]) -> None:
    found = sensor_of("/redfish/v1/Chassis/C/Sensors/S", body, body, NOW, 60.0)
    assert found.name == "Chassis/C/Sensors/S"
    assert found.reading.quality is not Quality.GOOD or math.isfinite(found.reading.number)
    bounds = [getattr(found.thresholds, name) for name in found.thresholds.__dataclass_fields__]
    assert all(each is None or math.isfinite(each) for each in bounds)


@given(JSON, JSON)
def test_no_port_is_too_odd_to_be_listed(port: Any, counters: Any) -> None:
    names = ("SymbolErrors", "TotalRawBER", "EffectiveBER", "LinkDownedCount")
    metrics = {"Oem": {"Vendor": dict.fromkeys(names, counters)}}
    found = physical_link("nic-0/1", {"LinkStatus": port, "CurrentSpeedGbps": port, "SFP": port}, metrics, NOW)
    assert found.up in (None, True, False)
    assert found.symbol_errors is None or found.symbol_errors >= 0
    assert found.raw_ber is None or found.raw_ber >= 0.0


@pytest.mark.parametrize(
    ("said", "count"),
    [
        (7, 7),
        ("7", 7),
        (0, 0),
        (2**32 - 1, None),
        (2**64 - 1, None),
        (-1, None),
        (1.5, None),
        (None, None),
        (True, None),
    ],
)
def test_a_counter_that_says_nothing_is_none_and_never_zero(said: Any, count: int | None) -> None:
    found = physical_link("p", {}, {"Oem": {"Vendor": {"SymbolErrors": said}}}, NOW)
    assert found.symbol_errors == count


def test_a_bound_that_is_disabled_or_unreadable_is_none() -> None:
    stated = {
        "UpperCaution": {"Reading": 80.0},
        "UpperCritical": {"Reading": 90.0, "Activation": "Disabled"},
        "UpperFatal": {"Reading": "nan"},
        "LowerCaution": 5.0,
    }
    body = sensor("Temperature", 20.0, Thresholds=stated)
    found = sensor_of("/redfish/v1/Chassis/C/Sensors/S", body, body, NOW, 60.0).thresholds
    assert found == Thresholds(upper_caution=80.0)


def test_an_assembly_is_one_board_a_serial() -> None:
    """Areas of one FRU are merged; a sub-assembly of another serial is a board of its own."""
    entries = [
        {"PartNumber": "P1", "SerialNumber": "S1", "Vendor": "V"},
        {"PartNumber": "P2", "SerialNumber": "S2", "Producer": "W", "Status": {"State": "Absent"}},
    ]
    found: dict[str, Any] = {
        "/c": {"SerialNumber": "S1", "Status": {"Health": "Warning"}},
        "/a": {"Assemblies": entries},
    }
    whole, inner = Board("board-0", "/c", "/a", (-1, 0)), Board("board-1", "/c", "/a", (1,))
    assert board_part(whole, found) == Part("board-0", "board", "V", "P1", "S1", present=True, healthy=False)
    assert board_part(inner, found) == Part("board-1", "board", "W", "P2", "S2", present=False, healthy=None)
    gone = board_part(inner, {"/c": found["/c"], "/a": None})
    assert (gone.present, gone.serial) == (False, "")
