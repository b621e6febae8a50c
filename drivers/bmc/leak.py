"""Leak detectors, judged one by one.

The roll-up of `LeakDetection.Status` is never read: a shipping BMC hard-codes it OK (NVIDIA/bmcweb,
leak_detection.hpp).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from drivers.bmc.values import Json, entries, missing, section, state, text
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


def _name(path: str) -> str:
    return path.rstrip("/").rsplit("/", 1)[-1]
