"""Leak detectors, judged one by one.

The roll-up of `LeakDetection.Status` is never read: a shipping BMC hard-codes it OK (NVIDIA/bmcweb,
leak_detection.hpp).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from drivers.resources.members import Collection, read_collections, read_or_nothing
from drivers.resources.values import Json, entries, link, missing, section, state, text
from drivers.transports.redfish import RedfishWire
from harness.capabilities import Leak, LeakState
from harness.quantities import Quality, Reading, Unit


def leak_state(detector: Json | None) -> LeakState:
    """The state of one detector (LeakDetector 1.6, DetectorState: OK, Warning, Critical, Unavailable, Absent).

    Wet goes before all else. A detector that says OK while its Status or a condition says otherwise is at fault; one
    that is disabled, absent, silent or says anything else is unknown.
    """
    if detector is None:
        return LeakState.UNKNOWN
    said = text(detector, "DetectorState")
    if said in ("Warning", "Critical"):
        return LeakState.WET
    status = section(detector, "Status")
    severities = {text(each, "Severity") for each in entries(status.get("Conditions"))}
    if text(status, "Health") in ("Warning", "Critical") or severities & {"Warning", "Critical"}:
        return LeakState.FAULT
    if said != "OK" or detector.get("Enabled") is False or state(detector) not in ("", "Enabled", "StandbyOffline"):
        return LeakState.UNKNOWN
    return LeakState.DRY


def leaks(detectors: Mapping[str, Json | None]) -> tuple[Leak, ...]:
    """Every detector with its state, by name; two of one name are told apart by their paths."""
    names = [_name(path) for path in detectors]
    found = (
        Leak(_name(path) if names.count(_name(path)) == 1 else path, leak_state(detector))
        for path, detector in detectors.items()
    )
    return tuple(sorted(found, key=lambda leak: leak.name))


def wet_count(detectors: Mapping[str, Json | None], now: datetime) -> Reading:
    """How many detectors are not dry.

    ABSENT where the tray has none. Where some could not be read, a count above zero still stands, since a leak that is
    seen must trip; a zero does not and is BAD.
    """
    if not detectors:
        return missing(Unit.COUNT, now, Quality.ABSENT)
    read = [detector for detector in detectors.values() if detector is not None]
    count = sum(leak_state(detector) is not LeakState.DRY for detector in read)
    if count == 0 and len(read) < len(detectors):
        return missing(Unit.COUNT, now)
    return Reading(count, Unit.COUNT, now)


async def find_detectors(
    wire: RedfishWire, owners: Mapping[str, Json], device: str, expands: bool
) -> tuple[Collection, ...]:
    """Leak detectors of chassis and cooling equipment (DSP2046, LeakDetection 1.2).

    An owner links to them by ThermalSubsystem → LeakDetection, or by LeakDetection itself; there they are a collection,
    or are named by the groups of LeakDetection (`Detectors[].DataSourceUri`: DMTF's own CDU has no other link).
    """
    thermal = await wire.gather(
        link(each, "ThermalSubsystem") for each in owners.values() if link(each, "ThermalSubsystem")
    )
    wanted: dict[str, str] = {}
    named: list[Collection] = []
    for owner, each in owners.items():
        subsystem = thermal.get(link(each, "ThermalSubsystem")) or {}
        detection = await read_or_nothing(wire, link(each, "LeakDetection") or link(subsystem, "LeakDetection"))
        if link(detection, "LeakDetectors"):
            wanted[owner] = link(detection, "LeakDetectors")
            continue
        groups = entries(detection.get("LeakDetectorGroups"))
        uris = [text(one, "DataSourceUri") for group in groups for one in entries(group.get("Detectors"))]
        found = await wire.gather(uri for uri in uris if uri)
        if found:
            named.append(Collection("", owner, {path: body or {} for path, body in found.items()}))
    return (*await read_collections(wire, wanted, device, expands), *named)


def _name(path: str) -> str:
    return path.rstrip("/").rsplit("/", 1)[-1]
