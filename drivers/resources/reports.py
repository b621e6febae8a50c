"""Metric reports as a source: many sensors in one answer, where each value is fresh and says what its sensor says.

Values are strings, may be 'nan', flagged stale or months old inside a fresh report (a recorded GB300 tray has all of
these), so a report is chosen sensor by sensor, and each value is judged by its own time stamp (MetricReport 1.5).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime

from drivers.resources.members import read_members
from drivers.resources.values import STALE, Json, entries, instant, number, section
from drivers.transports.redfish import RedfishWire
from harness.errors import Misbehaved, Unsupported

_WORTH = 2
"""Sensors that a report must cover to be cheaper than single reads."""
_FAR = 10.0
"""A value that differs from its sensor's by this factor has another unit."""


async def choose_reports(
    wire: RedfishWire, collection: str, sensors: Mapping[str, Json], device: str, *, now: datetime, max_age: float
) -> dict[str, dict[str, Json]]:
    """The fewest reports that cover sensors: path of a report to the sensors that it stands for, as discovered.

    `sensors` maps paths to resources. Reports that are broken are not used; raises Unreachable or Refused.
    """
    if len(sensors) < _WORTH:
        return {}
    try:
        reports = await read_members(wire, collection, device)
    except (Misbehaved, Unsupported):
        return {}  # what cannot be read cheaply is read one by one
    offers = {
        path: {each for each, value in metrics(report, sensors).items() if _is_true(sensors[each], value, now, max_age)}
        for path, report in reports.items()
    }
    chosen: dict[str, dict[str, Json]] = {}
    left = set(sensors)
    while offers:
        best = max(offers, key=lambda path: (len(offers[path] & left), path))
        covered = offers.pop(best) & left
        if len(covered) < _WORTH:
            break
        chosen[best] = {each: sensors[each] for each in sorted(covered)}
        left -= covered
    return chosen


def metrics(report: Json, sensors: Mapping[str, Json]) -> dict[str, Json]:
    """The sensors as this report gives them, the newest value of each; those without a time stamp are left out."""
    found: dict[str, tuple[datetime, Json]] = {}
    for each in entries(report.get("MetricValues")):
        path = _sensor_of(each.get("MetricProperty"))
        said = each.get("Timestamp") or report.get("Timestamp")
        stamp = instant(said)
        if path not in sensors or stamp is None or (path in found and found[path][0] >= stamp):
            continue
        stale = any(
            isinstance(vendor, Mapping) and vendor.get("MetricValueStale") is True
            for vendor in section(each, "Oem").values()
        )
        body = {**sensors[path], "Reading": each.get("MetricValue"), "ReadingTime": said, STALE: stale}
        found[path] = (stamp, body)
    return {path: body for path, (_, body) in found.items()}


def _sensor_of(uri: object) -> str:
    """The sensor that a MetricProperty means: its URI, or a pointer to its Reading."""
    if not isinstance(uri, str):
        return ""
    path, _, pointer = uri.partition("#")
    return path.removesuffix("/Reading") if pointer.strip("/") in ("", "Reading") else ""


def _is_true(sensor: Json, reported: Json, now: datetime, max_age: float) -> bool:
    stamp = instant(reported.get("ReadingTime"))
    if reported.get(STALE) is True or stamp is None or abs((now - stamp).total_seconds()) > max_age:
        return False
    told, known = abs(number(reported.get("Reading"))), abs(number(sensor.get("Reading")))
    if math.isnan(told) or math.isnan(known):
        return False
    return max(told, known) <= 1.0 or (min(told, known) > 0 and max(told, known) / min(told, known) < _FAR)
