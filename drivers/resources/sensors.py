"""Sensors, all of them: what each measures, of which part, how fresh it is, and what its device calls too much.

A sensor belongs to the part that its `RelatedItem` names, else to the part whose resource, metrics or excerpts lead to
it by `DataSourceUri`, else to the part whose own chassis lists it (DSP2046: Sensor 1.12; DSP0266, excerpts).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from drivers.resources.members import Collection
from drivers.resources.reading import ReadPlan, carry_out, plan_reads
from drivers.resources.values import (
    Json,
    is_healthy,
    is_present,
    links,
    missing,
    natural,
    number,
    section,
    sensor_reading,
    text,
    unit_of,
)
from drivers.transports.redfish import RedfishWire
from harness.quantities import Quality, Reading
from harness.sensors import Sensor, Thresholds

BATCH = 40
"""Single reads that fit into one deadline of the transport, with a BMC that takes a tenth of a second for each."""
DEEP = 6
"""How deep an excerpt can stand in a resource: property, phases, line, excerpt; and a little more."""
_BOUNDS = {
    "lower_fatal": "LowerFatal",
    "lower_critical": "LowerCritical",
    "lower_caution": "LowerCaution",
    "upper_caution": "UpperCaution",
    "upper_critical": "UpperCritical",
    "upper_fatal": "UpperFatal",
}


class SensorList:
    """Every sensor of some collections, and how to read them all at the least cost; that is proven at the first call.

    `parts` maps the path of a sensor to the part it is on. `max_age` in rack seconds.
    """

    def __init__(
        self, collections: Sequence[Collection], parts: Mapping[str, str], max_age: float, *, expands: bool
    ) -> None:
        self._collections = collections
        self._parts = parts
        self._max_age = max_age
        self._expands = expands
        self._known = {path: body for each in collections for path, body in each.members.items()}
        self._plan: ReadPlan | None = None

    @classmethod
    async def of(
        cls,
        wire: RedfishWire,
        collections: Sequence[Collection],
        homes: Mapping[str, str],
        spoken: Mapping[str, Sequence[Json]],
        max_age: float,
        *,
        expands: bool,
    ) -> SensorList:
        """The sensors of collections, and those that only an excerpt leads to; raises DeviceError.

        `homes` maps paths of parts, and of chassis that hold nothing else, to names; `spoken` maps names of parts, and
        the empty name of the device itself, to the resources that speak of them.
        """
        listed = {path for each in collections for path in each.members}
        told = {uri for resources in spoken.values() for each in resources for uri in _sources(each)}
        found = await wire.gather(sorted(uri for uri in told - listed if uri.startswith("/") and "#" not in uri))
        unlisted = {path: body for path, body in found.items() if body is not None and "Reading" in body}
        every = (*collections, Collection("", "", unlisted))
        return cls(every, parts_of_sensors(every, homes, spoken), max_age, expands=expands)

    async def read(self, wire: RedfishWire, device: str, now: datetime) -> tuple[Sensor, ...]:
        """Read every sensor; one that cannot be read is listed with a BAD reading. Raises DeviceError."""
        if self._plan is None:
            self._plan = await plan_reads(wire, self._collections, set(self._known), expands=self._expands)
        deadline = wire.timeout * (1 + len(self._plan.single) // BATCH)
        found = await carry_out(wire, self._plan, device, deadline)
        every = (
            sensor_of(path, known, found.get(path), now, self._max_age, part=self._parts.get(path, ""))
            for path, known in self._known.items()
        )
        return tuple(sorted(every, key=lambda each: natural(each.name)))


def sensor_of(path: str, known: Json, found: Json | None, now: datetime, max_age: float, *, part: str = "") -> Sensor:
    """One sensor: `known` as it was discovered, `found` as it was read now, None where that failed."""
    body = known if found is None else found
    unit, factor, sound = unit_of(body)
    reading = missing(unit, now) if found is None else sensor_reading(body, unit, now, max_age)
    if not sound and reading.quality is not Quality.ABSENT:
        reading = replace(reading, quality=Quality.BAD)
    name = "/".join(path.strip("/").split("/")[2:])
    basis = text(body, "ReadingBasis")
    # A distance to a limit, or a difference, is not the thing itself: `Temperature Headroom` is no temperature.
    quantity = " ".join(filter(None, (text(body, "ReadingType"), "" if basis == "Zero" else basis)))
    return Sensor(
        name, quantity, part, reading, is_present(body), _healthy(body, found, reading), thresholds(body, factor)
    )


def thresholds(sensor: Json, factor: float = 1.0) -> Thresholds:
    """What a sensor states as too low and too high, times `factor`; a disabled or unreadable bound is None."""
    stated = section(sensor, "Thresholds")
    return Thresholds(**{name: _bound(section(stated, word), factor) for name, word in _BOUNDS.items()})


def parts_of_sensors(
    collections: Sequence[Collection], homes: Mapping[str, str], spoken: Mapping[str, Sequence[Json]]
) -> dict[str, str]:
    """Path of a sensor to the part it is on; a sensor that nothing leads to is left out.

    `homes` and `spoken` are those of `SensorList.of`. A sensor that two parts point to is on neither.
    """
    pointed: dict[str, set[str]] = {}
    for part, resources in spoken.items():
        for uri in (uri for resource in resources for uri in _sources(resource)):
            pointed.setdefault(uri, set()).add(part)
    found: dict[str, str] = {}
    for each in collections:
        for path, sensor in each.members.items():
            related = {homes[item] for item in links(sensor, "RelatedItem") if item in homes}
            for candidates in (related, pointed.get(path, set()) - {""}, {homes.get(each.chassis, "")} - {""}):
                if len(candidates) == 1:
                    found[path] = next(iter(candidates))
                if candidates:
                    break
    return found


def _sources(value: Any, depth: int = DEEP) -> Iterator[str]:
    """Every DataSourceUri inside a resource."""
    if isinstance(value, Mapping):
        uri = value.get("DataSourceUri")
        if isinstance(uri, str):
            yield uri
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for each in inside if depth else ():
        yield from _sources(each, depth - 1)


def _bound(stated: Json, factor: float) -> float | None:
    value = number(stated.get("Reading")) * factor
    return None if math.isnan(value) or text(stated, "Activation") == "Disabled" else value


def _healthy(body: Json, found: Json | None, reading: Reading) -> bool | None:
    """What the device says of the sensor's health; nothing where it could not be read or says nothing."""
    return None if found is None or reading.quality is Quality.ABSENT else is_healthy(body)
