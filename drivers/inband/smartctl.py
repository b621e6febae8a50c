"""What smartctl says of one drive: `smartctl -j -a` or `-j -x`.

Seen: 7.0 and 7.3, recorded; 7.3 run where there is no drive. Sources: smartctl(8) EXIT STATUS, smartmontools
nvmeprint.cpp and ataprint.cpp for the names. Its exit status is in the document too. `smart_status.passed` is true on a
drive with media errors, so it alone decides nothing. Units: percent, degC, hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from drivers.inband import ParseError, fields, nvme_health
from drivers.inband.finding import Finding, Verdict
from drivers.inband.strict_json import read_object

TOOL = "smartctl"
_STATUS = (
    (Verdict.ERROR, "its command line could not be understood"),
    (Verdict.ERROR, "the drive could not be opened or identified"),
    (Verdict.ERROR, "a command to the drive failed"),
    (Verdict.FAIL, "the drive says that it is failing"),
    (Verdict.FAIL, "attributes are at or below their threshold"),
    (Verdict.WARN, "attributes were at or below their threshold some time in the past"),
    (Verdict.WARN, "the drive's error log has entries"),
    (Verdict.FAIL, "the drive's self-test log has errors"),
)
"""smartctl(8), EXIT STATUS, bit 0 first."""
_OPENED = 0b11
_RAW = {5: "reallocated sectors", 187: "uncorrectable errors", 197: "pending sectors", 198: "offline uncorrectable"}
"""ATA attributes whose raw value must be 0 on a new drive."""


@dataclass(frozen=True, slots=True)
class Drive:
    """One drive. Texts are empty, numbers None where it does not say; `capacity` in octets."""

    device: str
    protocol: str
    model: str
    serial: str
    firmware: str
    capacity: int | None
    exit_status: int
    messages: tuple[str, ...]
    passed: bool | None
    health: nvme_health.Health | None
    """Only of an NVMe drive."""
    defects: tuple[tuple[str, int], ...]
    """What of an ATA or SCSI drive must be 0, by name; empty where it lists nothing."""


def parse_scan(text: str) -> tuple[tuple[str, str], ...]:
    """Every drive of `smartctl --scan -j` once: its name, and its kind where it takes that to reach it; else empty.

    A drive behind a controller is reached by its number there (`megaraid,8`); of others the kind is a guess by the
    name (smartctl(8), --scan), and smartctl does better without it. Raises ParseError.
    """
    found = read_object(text, TOOL)
    if fields.section(found, "smartctl", TOOL) is None:
        raise ParseError(f"{TOOL}: this is no answer of its own")
    drives: dict[tuple[str, str], None] = {}
    for each in fields.objects(found, "devices", TOOL):
        name, kind = fields.text(each, "name", TOOL), fields.text(each, "type", TOOL)
        if not name:
            raise ParseError(f"{TOOL}: a drive without its name")
        drives[name, kind if "," in kind else ""] = None
    return tuple(drives)


def parse(text: str) -> Drive:
    """The drive that was asked; raises ParseError."""
    found = read_object(text, TOOL)
    about = fields.section(found, "smartctl", TOOL)
    status = fields.count(about, "exit_status", TOOL)
    if status is None or status > 0xFF:
        raise ParseError(f"{TOOL}: there is no exit status in the document")
    device, capacity = fields.section(found, "device", TOOL), fields.section(found, "user_capacity", TOOL)
    messages = fields.objects(about, "messages", TOOL)
    octets = fields.count(capacity, "bytes", TOOL)
    return Drive(
        device=fields.text(device, "name", TOOL),
        protocol=fields.text(device, "protocol", TOOL),
        model=fields.text(found, "model_name", TOOL) or fields.text(found, "scsi_model_name", TOOL),
        serial=fields.text(found, "serial_number", TOOL),
        firmware=fields.text(found, "firmware_version", TOOL),
        capacity=fields.count(found, "nvme_total_capacity", TOOL) if octets is None else octets,
        exit_status=status,
        messages=tuple(fields.text(each, "string", TOOL) for each in messages),
        passed=fields.flag(fields.section(found, "smart_status", TOOL), "passed", TOOL),
        health=_health(found),
        defects=tuple(_defects(found)),
    )


def _health(found: dict[str, Any]) -> nvme_health.Health | None:
    page = fields.section(found, "nvme_smart_health_information_log", TOOL)
    if page is None:
        return None
    return nvme_health.Health(
        critical_warning=fields.count(page, "critical_warning", TOOL),
        media_errors=fields.count(page, "media_errors", TOOL),
        percentage_used=fields.count(page, "percentage_used", TOOL),
        available_spare=fields.count(page, "available_spare", TOOL),
        spare_threshold=fields.count(page, "available_spare_threshold", TOOL),
        temperature=fields.real(page, "temperature", TOOL),
        power_on_hours=fields.count(page, "power_on_hours", TOOL),
        unsafe_shutdowns=fields.count(page, "unsafe_shutdowns", TOOL),
        error_log_entries=fields.count(page, "num_err_log_entries", TOOL),
        minutes_hot=fields.count(page, "warning_temp_time", TOOL),
        minutes_critical=fields.count(page, "critical_comp_time", TOOL),
    )


def _defects(found: dict[str, Any]) -> list[tuple[str, int]]:
    listed: list[tuple[str, int]] = []
    for attribute in fields.objects(fields.section(found, "ata_smart_attributes", TOOL), "table", TOOL):
        name = _RAW.get(fields.count(attribute, "id", TOOL) or 0)
        raw = fields.count(fields.section(attribute, "raw", TOOL), "value", TOOL)
        if name and raw is not None:
            listed.append((name, raw))
    grown = fields.count(found, "scsi_grown_defect_list", TOOL)
    if grown is not None:
        listed.append(("grown defects", grown))
    counters = fields.section(found, "scsi_error_counter_log", TOOL) or {}
    for way in ("read", "write", "verify"):
        errors = fields.count(fields.section(counters, way, TOOL), "total_uncorrected_errors", TOOL)
        if errors is not None:
            listed.append((f"uncorrected {way} errors", errors))
    return listed


def findings(drive: Drive, *, wear: int = 100) -> tuple[Finding, ...]:
    """A failing or worn drive, media errors and defects are FAIL; a drive that could not be read is ERROR.

    `wear` is the percentage of its life at which an NVMe drive is refused.
    """
    unit = drive.device or drive.serial
    said = "; ".join(drive.messages)
    found = [
        Finding(verdict, unit, f"{text}: {said}" if said else text)
        for bit, (verdict, text) in enumerate(_STATUS)
        if drive.exit_status >> bit & 1
    ]
    if drive.exit_status & _OPENED:
        return tuple(found)
    if drive.passed is False and not drive.exit_status & 8:
        found.append(Finding(Verdict.FAIL, unit, "its own health check did not pass"))
    if drive.passed is None:
        found.append(Finding(Verdict.ERROR, unit, "it does not say whether its own health check passed"))
    if drive.health is not None:
        found += nvme_health.findings(drive.health, unit, wear=wear)
    elif drive.protocol == "NVMe" or not drive.defects:
        found.append(Finding(Verdict.ERROR, unit, "it lists no errors and no defects: nothing was measured"))
    found += [Finding(Verdict.FAIL, unit, f"{count} {name}") for name, count in drive.defects if count]
    return tuple(found)
