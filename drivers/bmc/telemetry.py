"""Which sensor stands behind which channel of a compute tray.

A part's sensor is the one its EnvironmentMetrics names, else one that names the part as `RelatedItem`, else one of a
chassis that holds nothing but the part. Headroom to a limit (`ReadingBasis`) is no temperature: a recorded GB300 tray
has EnvironmentMetrics point at such a one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drivers.bmc.places import Place
from drivers.bmc.tree import Tree
from drivers.resources.values import Json, is_present, links, natural, section, text, unit_of
from harness.quantities import Channel, Unit

NOT_THE_DIE = re.compile(r"dram|hbm|mem|limit|margin|headroom|vreg|inlet|exhaust|edp|peak|max", re.IGNORECASE)
INLET = re.compile(r"inlet|intake|ambient", re.IGNORECASE)
LEAK_QUANTITY = "leak.wet"
_QUANTITIES: Mapping[tuple[str, Unit], str] = {
    ("Temperature", Unit.CELSIUS): "sensor.temperature",
    ("Power", Unit.WATT): "sensor.power",
    ("Voltage", Unit.VOLT): "sensor.voltage",
    ("Current", Unit.AMPERE): "sensor.current",
    ("Rotational", Unit.RPM): "sensor.rotation",
    ("Percent", Unit.PERCENT): "sensor.percent",
}
"""ReadingType and unit of a board's sensor to its quantity (Sensor 1.12)."""


@dataclass(frozen=True, slots=True)
class Source:
    """A channel and the path of its sensor; empty where the tray has none, or for the count of wet detectors."""

    channel: Channel
    path: str


def choose_sources(tree: Tree, device: str, chosen: Mapping[str, str]) -> tuple[Source, ...]:
    """One source for every channel that a compute tray must have; `chosen` maps a quantity to a sensor's Id."""
    found = []
    for place in tree.places:
        if place.kind == "accelerator":
            found.append(_of_part(tree, place, Channel(device, "accelerator.temperature", Unit.CELSIUS, place.name)))
            found.append(_of_part(tree, place, Channel(device, "accelerator.power", Unit.WATT, place.name)))
        elif place.kind == "cpu":
            found.append(_of_part(tree, place, Channel(device, "processor.temperature", Unit.CELSIUS, place.name)))
    inlet = _named(tree, chosen.get("inlet.temperature")) or _inlet(tree)
    power = _named(tree, chosen.get("tray.power")) or _tray_power(tree)
    found.append(Source(Channel(device, "inlet.temperature", Unit.CELSIUS), inlet))
    found.append(Source(Channel(device, "tray.power", Unit.WATT), power))
    found.append(Source(Channel(device, LEAK_QUANTITY, Unit.COUNT), ""))
    return tuple(sorted(found, key=lambda source: source.channel))


def board_sources(tree: Tree, device: str, taken: Sequence[Source]) -> tuple[Source, ...]:
    """One source for every further sensor of the boards, its part the chassis and the Id: `Chassis_0/VR_3_Temp`.

    Sensors that are absent, state a unit that is not of their type, or a distance to a limit instead of the thing
    itself are no channels: they would be missing in every sweep.
    """
    known = {source.path for source in taken}
    found = []
    for path, sensor in tree.all_sensors.items():
        unit, _, sound = unit_of(sensor)
        quantity = _QUANTITIES.get((text(sensor, "ReadingType"), unit))
        direct = text(sensor, "ReadingBasis") in ("", "Zero")
        if path not in known and quantity and sound and direct and is_present(sensor):
            *_, chassis, _, ident = path.strip("/").split("/")
            found.append(Source(Channel(device, quantity, unit, f"{chassis}/{ident}"), path))
    return tuple(sorted(found, key=lambda source: source.channel))


def _of_part(tree: Tree, place: Place, channel: Channel) -> Source:
    unit, name, path = channel.unit, place.name, place.path
    kind = "Temperature" if unit is Unit.CELSIUS else "Power"
    excerpt = "TemperatureCelsius" if unit is Unit.CELSIUS else "PowerWatts"
    usable = {each: sensor for each, sensor in tree.all_sensors.items() if _measures(sensor, kind)}
    related = [each for each, sensor in usable.items() if path in links(sensor, "RelatedItem")]
    housed = [each for group in tree.sensors if tree.homes.get(group.chassis) == name for each in group.members]
    for candidates in ([_source_of(tree, path, excerpt)], related, housed):
        fitting = sorted((each for each in candidates if each in usable), key=natural)
        if fitting:
            return Source(channel, fitting[0])
    return Source(channel, "")


def _measures(sensor: Json, kind: str) -> bool:
    if text(sensor, "ReadingType") != kind or text(sensor, "ReadingBasis") not in ("", "Zero"):
        return False
    return not NOT_THE_DIE.search(text(sensor, "Id") or text(sensor, "Name"))


def _source_of(tree: Tree, owner: str, excerpt: str) -> str:
    return text(section(tree.metrics.get(owner, {}), excerpt), "DataSourceUri")


def _named(tree: Tree, ident: str | None) -> str:
    return next((path for path, sensor in tree.all_sensors.items() if ident and text(sensor, "Id") == ident), "")


def _inlet(tree: Tree) -> str:
    """An air inlet sensor: by its PhysicalContext anywhere, by its name only on the tray's own chassis."""
    warm = {path: each for path, each in tree.all_sensors.items() if text(each, "ReadingType") == "Temperature"}
    own = {path for group in tree.sensors if group.chassis == tree.chassis for path in group.members}
    by_context = [path for path, each in warm.items() if text(each, "PhysicalContext") == "Intake"]
    by_name = [path for path, each in warm.items() if path in own and INLET.search(text(each, "Id"))]
    for candidates in ([each for each in by_context if each in own], by_context, by_name):
        if candidates:
            return min(candidates, key=natural)
    return ""


def _tray_power(tree: Tree) -> str:
    """The tray's whole power: as its chassis's EnvironmentMetrics say, else the one total on that chassis."""
    sensors = tree.all_sensors
    said = _source_of(tree, tree.chassis, "PowerWatts")
    if said in sensors:
        return said
    own = [
        path
        for group in tree.sensors
        if group.chassis == tree.chassis
        for path, each in group.members.items()
        if text(each, "ReadingType") == "Power" and not any(item in tree.homes for item in _of_a_part(each, tree))
    ]
    total = [path for path in own if "total" in path.lower() or text(sensors[path], "PhysicalContext") == "Chassis"]
    for candidates in (total, own):
        if len(candidates) == 1:
            return candidates[0]
    return ""


def _of_a_part(sensor: Json, tree: Tree) -> tuple[str, ...]:
    return tuple(item for item in links(sensor, "RelatedItem") if item != tree.chassis)
