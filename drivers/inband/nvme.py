"""What nvme-cli says: `nvme smart-log -o json` of one drive, `nvme list -o json` of all.

Sources: linux-nvme/nvme-cli nvme-print.c of 2.3 (the version of Debian 12), nvme-print-json.c of 2.16 and 3.0-rc1,
issue 2749: from 2.11 some builds list hosts, subsystems and controllers where others list namespaces. Wide counters are
numbers in some versions and texts of digits in others; with `-H` the critical warning is an object. Temperatures are
whole kelvin; here degC, by the same 273 that the tool takes off itself. No drive was at hand: not run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from drivers.inband import ParseError, fields, nvme_health
from drivers.inband.finding import Finding, Verdict
from drivers.inband.strict_json import read_object

TOOL = "nvme"
_KELVIN = 273


@dataclass(frozen=True, slots=True)
class Namespace:
    """One namespace, `path` as `/dev/nvme0n1`, with the drive that it is on. Octets; None where not said."""

    path: str
    model: str
    serial: str
    firmware: str
    size: int | None
    used: int | None
    sector: int | None
    address: str = ""
    """PCI address of the controller, in the longer lists only."""


def parse_smart_log(text: str) -> nvme_health.Health:
    """The health log of a drive; raises ParseError."""
    found = read_object(text, TOOL)
    if "error" in found:
        raise ParseError(f"{TOOL}: {found['error']}")
    warning: object = found.get("critical_warning")
    holder = {"value": warning.get("value")} if isinstance(warning, dict) else {"value": warning}
    kelvin = fields.count(found, "temperature", TOOL)
    health = nvme_health.Health(
        critical_warning=fields.count(holder, "value", TOOL),
        media_errors=fields.count(found, "media_errors", TOOL),
        percentage_used=_either(found, "percent_used", "percentage_used"),
        available_spare=_either(found, "avail_spare", "available_spare"),
        spare_threshold=_either(found, "spare_thresh", "available_spare_threshold"),
        temperature=float(kelvin - _KELVIN) if kelvin else None,
        power_on_hours=fields.count(found, "power_on_hours", TOOL),
        unsafe_shutdowns=fields.count(found, "unsafe_shutdowns", TOOL),
        error_log_entries=fields.count(found, "num_err_log_entries", TOOL),
        minutes_hot=fields.count(found, "warning_temp_time", TOOL),
        minutes_critical=fields.count(found, "critical_comp_time", TOOL),
    )
    if health.critical_warning is None and health.media_errors is None:
        raise ParseError(f"{TOOL}: this is no health log")
    return health


def _either(found: dict[str, Any], name: str, other: str) -> int | None:
    value = fields.count(found, name, TOOL)
    return fields.count(found, other, TOOL) if value is None else value


def parse_list(text: str) -> tuple[Namespace, ...]:
    """Every namespace once, ordered by path; raises ParseError where two of one path differ."""
    found = read_object(text, TOOL)
    if not isinstance(found.get("Devices"), list):
        raise ParseError(f"{TOOL}: there is no list of devices" + (f": {found['error']}" if "error" in found else ""))
    namespaces: dict[str, Namespace] = {}
    for namespace in _namespaces(found):
        if namespaces.setdefault(namespace.path, namespace) != namespace:
            raise ParseError(f"{TOOL}: {namespace.path} is listed twice and differs")
    return tuple(namespaces[path] for path in sorted(namespaces))


def _namespaces(found: dict[str, Any]) -> Iterator[Namespace]:
    for device in fields.objects(found, "Devices", TOOL):
        if "DevicePath" in device:
            yield _namespace(device, fields.text(device, "DevicePath", TOOL), device)
            continue
        if "Subsystems" not in device:
            raise ParseError(f"{TOOL}: a device without its path")
        for subsystem in fields.objects(device, "Subsystems", TOOL):
            yield from _nested(subsystem)


def _nested(subsystem: dict[str, Any]) -> Iterator[Namespace]:
    """The namespaces of one subsystem: below its controllers, or beside them with native multipath."""
    controllers = fields.objects(subsystem, "Controllers", TOOL)
    for controller in controllers:
        for namespace in fields.objects(controller, "Namespaces", TOOL):
            yield _namespace(namespace, _path(namespace), controller)
    for namespace in fields.objects(subsystem, "Namespaces", TOOL):
        paths = fields.objects(namespace, "Paths", TOOL)
        if not controllers and not paths:
            raise ParseError(f"{TOOL}: {_path(namespace)} has no controller")
        yield _namespace(namespace, _path(namespace), (paths or controllers)[0])


def _path(namespace: dict[str, Any]) -> str:
    name = fields.text(namespace, "NameSpace", TOOL)
    return f"/dev/{name}" if name else ""


def _namespace(namespace: dict[str, Any], path: str, drive: dict[str, Any]) -> Namespace:
    if not path:
        raise ParseError(f"{TOOL}: a namespace without its path")
    return Namespace(
        path=path,
        model=fields.text(drive, "ModelNumber", TOOL),
        serial=fields.text(drive, "SerialNumber", TOOL),
        firmware=fields.text(drive, "Firmware", TOOL),
        size=fields.count(namespace, "PhysicalSize", TOOL),
        used=fields.count(namespace, "UsedBytes", TOOL),
        sector=fields.count(namespace, "SectorSize", TOOL),
        address=fields.text(drive, "Address", TOOL),
    )


def findings(namespaces: tuple[Namespace, ...], *, drives: int) -> tuple[Finding, ...]:
    """Other than `drives` serial numbers, or a namespace of no size, is FAIL; one without its serial number ERROR."""
    found = []
    serials = {each.serial for each in namespaces if each.serial}
    if len(serials) != drives:
        found.append(Finding(Verdict.FAIL, "", f"{len(serials)} drives are seen, {drives} are fitted"))
    for each in namespaces:
        if not each.serial:
            found.append(Finding(Verdict.ERROR, each.path, "it has no serial number"))
        if not each.size:
            found.append(Finding(Verdict.FAIL, each.path, "it has no size"))
    return tuple(found)
