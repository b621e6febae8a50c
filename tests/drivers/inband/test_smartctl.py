"""smartctl: `passed` decides nothing alone, and what is not listed is not zero."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from drivers.inband import ParseError
from drivers.inband.finding import Verdict
from drivers.inband.smartctl import findings, parse, parse_scan

Recorded = Callable[[str], str]
Mutations = Callable[[str, int, int], Iterator[str]]
PAGE = {
    "critical_warning": 0,
    "temperature": 30,
    "available_spare": 100,
    "available_spare_threshold": 10,
    "percentage_used": 0,
    "media_errors": 0,
    "critical_comp_time": 0,
}
NO_DEVICE = """\
{"json_format_version": [1, 0], "smartctl": {"version": [7, 3], "argv": ["smartctl", "-j", "-a", "/dev/vda"],
 "messages": [{"string": "/dev/vda: Unable to detect device type", "severity": "error"}], "exit_status": 1}}"""


def document(page: dict[str, Any] | None = None, status: int = 0, **more: Any) -> str:
    whole = {
        "smartctl": {"exit_status": status},
        "device": {"name": "/dev/nvme0", "protocol": "NVMe"},
        "smart_status": {"passed": True},
        "nvme_smart_health_information_log": PAGE | (page or {}),
    }
    return json.dumps(whole | more)


def ata(**raw: int) -> str:
    table = [{"id": int(name[1:]), "name": "x", "raw": {"value": value}} for name, value in raw.items()]
    device = {"name": "/dev/sda", "protocol": "ATA"}
    return document(
        device=device, nvme_smart_health_information_log=None, ata_smart_attributes={"revision": 1, "table": table}
    )


def verdicts(text: str) -> list[Verdict]:
    return [each.verdict for each in findings(parse(text))]


def test_the_recorded_drive_with_media_errors(recorded: Recorded) -> None:
    drive = parse(recorded("smartctl-nvme-failed.json"))
    assert (drive.device, drive.protocol, drive.model) == ("/dev/nvme0", "NVMe", "Samsung SSD 970 EVO 500GB")
    assert (drive.serial, drive.firmware, drive.capacity) == ("S466NX0M776250H", "2B2QEXE7", 500107862016)
    assert (drive.exit_status, drive.passed) == (0, True)
    assert drive.health is not None
    assert (drive.health.media_errors, drive.health.percentage_used, drive.health.available_spare) == (7, 3, 99)
    assert (drive.health.temperature, drive.health.power_on_hours, drive.health.error_log_entries) == (35.0, 12798, 62)
    (finding,) = findings(drive)
    assert finding.verdict is Verdict.FAIL
    assert finding.text.startswith("7 media")


def test_the_recorded_healthy_drive(recorded: Recorded) -> None:
    drive = parse(recorded("smartctl-nvme-null-INTEL_SSDPE2KX020T8-nvme2.json"))
    assert (drive.device, drive.model, drive.capacity) == ("/dev/nvme2", "INTEL SSDPE2KX020T8", 2000398934016)
    assert drive.health is not None
    assert (drive.health.percentage_used, drive.health.power_on_hours, drive.health.unsafe_shutdowns) == (22, 36959, 21)
    assert findings(drive) == ()
    assert [each.verdict for each in findings(drive, wear=5)] == [Verdict.FAIL]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (document(), []),
        (document({"critical_warning": 4}), [Verdict.FAIL]),
        (document({"critical_warning": 64}), [Verdict.FAIL]),
        (document({"media_errors": 1}), [Verdict.FAIL]),
        (document({"media_errors": None}), [Verdict.ERROR]),
        (document({"critical_warning": None}), [Verdict.ERROR]),
        (document({"percentage_used": 100}), [Verdict.FAIL]),
        (document({"available_spare": 9}), [Verdict.FAIL]),
        (document({"critical_comp_time": 3}), [Verdict.WARN]),
        (document(smart_status=None), [Verdict.ERROR]),
        (document(smart_status={"passed": False}), [Verdict.FAIL]),
        (document(smart_status={"passed": False}, status=8), [Verdict.FAIL]),
        (document(status=4), [Verdict.ERROR]),
        (document(status=32), [Verdict.WARN]),
        (document(status=128), [Verdict.FAIL]),
        (document(nvme_smart_health_information_log=None), [Verdict.ERROR]),
        (NO_DEVICE, [Verdict.ERROR]),
        (ata(a5=0, a197=0), []),
        (ata(a5=8), [Verdict.FAIL]),
        (ata(a194=33), [Verdict.ERROR]),
    ],
)
def test_what_a_drive_is_worth(text: str, expected: list[Verdict]) -> None:
    assert verdicts(text) == expected


def test_a_scsi_drive_lists_its_defects() -> None:
    log = {"read": {"total_uncorrected_errors": 2}, "write": {"total_uncorrected_errors": 0}}
    text = document(
        device={"protocol": "SCSI"},
        nvme_smart_health_information_log=None,
        scsi_grown_defect_list=0,
        scsi_error_counter_log=log,
    )
    drive = parse(text)
    assert drive.defects == (("grown defects", 0), ("uncorrected read errors", 2), ("uncorrected write errors", 0))
    assert [each.text for each in findings(drive)] == ["2 uncorrected read errors"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        document()[:-1],
        document({"media_errors": -1}),
        document({"media_errors": True}),
        document({"media_errors": "many"}),
        document({"temperature": "hot"}),
        document(smart_status={"passed": "yes"}),
        document(smartctl={}),
        document(status=999),
        document().replace('"media_errors": 0', '"media_errors": 7, "media_errors": 0'),
        document().replace('"media_errors": 0', '"media_errors": NaN'),
    ],
)
def test_what_is_missing_or_doubtful_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse(text)


def test_spoilt_outputs_end_in_a_result_or_a_parse_error(recorded: Recorded, mutations: Mutations) -> None:
    for name in ("smartctl-nvme-failed.json", "smartctl-nvme-null-INTEL_SSDPE2KX020T8-nvme2.json"):
        for spoilt in mutations(recorded(name), 17, 250):
            with contextlib.suppress(ParseError):
                findings(parse(spoilt))


def test_a_scan_names_every_drive_once_and_keeps_only_kinds_with_a_number() -> None:
    listed = [{"name": "/dev/sda", "type": "scsi"}, {"name": "/dev/sda", "type": "sat"}]
    listed += [{"name": "/dev/bus/0", "type": f"megaraid,{number}"} for number in (0, 1)]
    found = parse_scan(json.dumps({"smartctl": {"exit_status": 0}, "devices": listed}))
    assert found == (("/dev/sda", ""), ("/dev/bus/0", "megaraid,0"), ("/dev/bus/0", "megaraid,1"))
    assert parse_scan('{"smartctl": {"exit_status": 0}}') == ()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"smartctl": 1}', '{"smartctl": {}, "devices": [{}]}'])
def test_what_is_no_scan(text: str) -> None:
    with pytest.raises(ParseError):
        parse_scan(text)
