"""nvme-cli: one health log and three shapes of the same list."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from drivers.inband import ParseError, nvme_health
from drivers.inband.finding import Verdict
from drivers.inband.nvme import findings, parse_list, parse_smart_log

Mutations = Callable[[str, int, int], Iterator[str]]
SIZES = {"UsedBytes": 167564996608, "MaximumLBA": 976773168, "PhysicalSize": 500107862016, "SectorSize": 512}
DRIVE = {"SerialNumber": "S466NX0M776250H", "ModelNumber": "Samsung SSD 970", "Firmware": "2B2QEXE7"}
INNER = {"NameSpace": "nvme0n1", "Generic": "ng0n1", "NSID": 1, **SIZES}


def log(**more: Any) -> str:
    whole = {
        "critical_warning": 0,
        "temperature": 308,
        "avail_spare": 100,
        "spare_thresh": 10,
        "percent_used": 3,
        "endurance_grp_critical_warning_summary": 0,
        "data_units_read": "17176794",
        "power_on_hours": "12798",
        "unsafe_shutdowns": "10",
        "media_errors": "0",
        "num_err_log_entries": "62",
        "warning_temp_time": 0,
        "critical_comp_time": 0,
        "temperature_sensor_1": 308,
    }
    return json.dumps(whole | more)


def simple(*more: dict[str, Any]) -> str:
    first = {"NameSpace": 1, "DevicePath": "/dev/nvme0n1", **DRIVE, **SIZES}
    return json.dumps({"Devices": [first, *more]})


def nested(**subsystem: Any) -> str:
    host = {"HostNQN": "nqn.x", "HostID": "1", "Subsystems": [{"Subsystem": "nvme-subsys0", **subsystem}]}
    return json.dumps({"Devices": [host]})


CONTROLLER = {"Controller": "nvme0", "Cntlid": "1", **DRIVE, "Transport": "pcie", "Address": "0000:3d:00.0", "Slot": ""}
BELOW = nested(Controllers=[CONTROLLER | {"Namespaces": [INNER], "Paths": []}], Namespaces=[])
BESIDE = nested(Controllers=[CONTROLLER | {"Namespaces": [], "Paths": [{"Path": "nvme0c0n1"}]}], Namespaces=[INNER])
PATHS = nested(Namespaces=[INNER | {"Paths": [CONTROLLER | {"Path": "nvme0c0n1"}]}])


def verdicts(text: str) -> list[Verdict]:
    return [each.verdict for each in nvme_health.findings(parse_smart_log(text), "nvme0")]


@pytest.mark.parametrize("errors", ["0", 0])
def test_a_health_log_with_wide_counters_as_text_or_number(errors: str | int) -> None:
    health = parse_smart_log(log(media_errors=errors))
    assert (health.critical_warning, health.media_errors, health.percentage_used) == (0, 0, 3)
    assert (health.available_spare, health.spare_threshold, health.temperature) == (100, 10, 35.0)
    assert (health.power_on_hours, health.unsafe_shutdowns, health.error_log_entries) == (12798, 10, 62)
    assert verdicts(log(media_errors=errors)) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (log(critical_warning=1), [Verdict.FAIL]),
        (log(critical_warning={"value": 4, "reliability_degraded": 1}), [Verdict.FAIL]),
        (log(critical_warning={"value": 0, "reliability_degraded": 0}), []),
        (log(critical_warning={}), [Verdict.ERROR]),
        (log(media_errors="12"), [Verdict.FAIL]),
        (log(media_errors=None), [Verdict.ERROR]),
        (log(percent_used=101), [Verdict.FAIL]),
        (log(avail_spare=5), [Verdict.FAIL]),
        (log(temperature=0), []),
    ],
)
def test_what_a_log_is_worth(text: str, expected: list[Verdict]) -> None:
    assert verdicts(text) == expected


def test_no_temperature_is_none() -> None:
    assert parse_smart_log(log(temperature=0)).temperature is None


@pytest.mark.parametrize("text", [simple(), BELOW, BESIDE, PATHS])
def test_the_same_list_in_every_shape(text: str) -> None:
    (namespace,) = parse_list(text)
    assert (namespace.path, namespace.serial, namespace.firmware) == ("/dev/nvme0n1", "S466NX0M776250H", "2B2QEXE7")
    assert (namespace.size, namespace.used, namespace.sector) == (500107862016, 167564996608, 512)
    assert findings((namespace,), drives=1) == ()


def test_a_namespace_listed_twice_is_one() -> None:
    again = {"NameSpace": 1, "DevicePath": "/dev/nvme0n1", **DRIVE, **SIZES}
    assert len(parse_list(simple(again))) == 1
    with pytest.raises(ParseError):
        parse_list(simple(again | {"SerialNumber": "other"}))


def test_missing_drives_and_drives_without_size() -> None:
    assert parse_list('{"Devices": []}') == ()
    assert [each.verdict for each in findings((), drives=8)] == [Verdict.FAIL]
    other = {"NameSpace": 1, "DevicePath": "/dev/nvme1n1", "SerialNumber": "", "PhysicalSize": 0}
    assert [each.verdict for each in findings(parse_list(simple(other)), drives=1)] == [Verdict.ERROR, Verdict.FAIL]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "Devices",
        log()[:-1],
        log(media_errors=-1),
        log(media_errors="0x7"),
        log(critical_warning="none"),
        log().replace('"temperature": 308', '"temperature": NaN'),
        '{"error": "Permission denied"}',
    ],
)
def test_a_doubtful_log_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse_smart_log(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"Devices": {}}',
        '{"Devices": [{}]}',
        simple()[:-1],
        simple({"DevicePath": ""}),
        simple({"DevicePath": "/dev/nvme1n1", "PhysicalSize": "many"}),
        nested(Controllers=[], Namespaces=[INNER]),
        nested(Controllers={}),
    ],
)
def test_a_doubtful_list_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse_list(text)


def test_spoilt_outputs_end_in_a_result_or_a_parse_error(mutations: Mutations) -> None:
    for text in (log(), simple(), BELOW, BESIDE, PATHS):
        for spoilt in mutations(json.dumps(json.loads(text), indent=2), 18, 120):
            with contextlib.suppress(ParseError):
                nvme_health.findings(parse_smart_log(spoilt), "")
            with contextlib.suppress(ParseError):
                findings(parse_list(spoilt), drives=1)
