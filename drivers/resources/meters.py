"""Meters: what a resource measures, by the sensor behind an excerpt where there is one.

An excerpt is a copy of some properties of the sensor that its `DataSourceUri` names (DSP0266, 9.15); only the sensor
has a state and a time stamp, so it is what counts. DMTF's own mock-ups show excerpts and sensors that differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from drivers.resources.values import Json, missing, sensor_reading
from drivers.transports.redfish import RedfishWire
from harness.quantities import Quality, Reading, Unit


@dataclass(frozen=True, slots=True)
class Meter:
    """One measured property: of which resource, under which names, in which unit; `sensor` is empty without one."""

    owner: str
    names: tuple[str | int, ...]
    unit: Unit
    sensor: str = ""

    @property
    def path(self) -> str:
        """What is to be read for it."""
        return self.sensor or self.owner


def meter_of(owner: str, resource: Json, names: tuple[str | int, ...], unit: Unit) -> Meter | None:
    """The meter of a property; None where the resource does not have it: it is not metered."""
    found, present = _dig(resource, names)
    if not present:
        return None
    uri = found.get("DataSourceUri") if isinstance(found, Mapping) else None
    return Meter(owner, names, unit, uri if isinstance(uri, str) and uri.startswith("/") else "")


async def settle(wire: RedfishWire, meters: Iterable[Meter | None]) -> dict[Meter, Meter]:
    """Meters as they can be read: those whose sensor does not exist fall back to the excerpt. Raises DeviceError."""
    asked = [meter for meter in meters if meter is not None]
    known = await wire.gather(meter.sensor for meter in asked if meter.sensor)
    return {
        each: each if known.get(each.sensor) is not None else Meter(each.owner, each.names, each.unit) for each in asked
    }


def read_meter(meter: Meter, found: Mapping[str, Json | None], now: datetime, max_age: float) -> Reading:
    """The reading of a meter out of what was read; BAD where that failed. `max_age` in rack seconds."""
    resource = found.get(meter.path)
    if resource is None:
        return missing(meter.unit, now)
    if meter.sensor:
        return sensor_reading(resource, meter.unit, now, max_age)
    excerpt, _ = _dig(resource, meter.names)
    said = excerpt if isinstance(excerpt, Mapping) else {"Reading": excerpt}
    return sensor_reading({**said, "Status": resource.get("Status")}, meter.unit, now, max_age)


def total(readings: Sequence[Reading], unit: Unit, now: datetime) -> Reading:
    """The sum of readings, as old as the oldest of them; one that is not usable spoils it, none is ABSENT."""
    spoilt = next((each for each in readings if not each.usable), None)
    if spoilt is not None or not readings:
        return spoilt or missing(unit, now, Quality.ABSENT)
    return Reading(sum(each.number for each in readings), unit, min(each.at for each in readings))


def _dig(resource: Json, names: tuple[str | int, ...]) -> tuple[Any, bool]:
    found: Any = resource
    for name in names:
        if isinstance(name, str):
            if not isinstance(found, Mapping) or name not in found:
                return None, False
            found = found[name]
        else:
            if not isinstance(found, list) or not -len(found) <= name < len(found):
                return None, False
            found = found[name]
    return found, True
