"""The parts of a tray: which there are, and what each is called.

Places are named as the model names parts: by `Location.PartLocation.LocationOrdinalValue` where every part of a kind
has one of its own, else by the natural order of their `Id` (DSP2046: Processor, Memory, NetworkAdapter). What sits in a
numbered bay is named from 1, as it is labelled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from drivers.resources.equipment import numbered
from drivers.resources.members import read_each
from drivers.resources.values import Json, link, links, natural, section, text
from drivers.transports.redfish import RedfishWire

_PROCESSORS = {"GPU": "accelerator", "Accelerator": "accelerator", "CPU": "cpu"}
_KINDS = ("accelerator", "cpu", "memory", "drive", "nic", "psu", "fan", "pump")
_LABELLED = frozenset({"psu", "fan", "pump"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where one part is: its name in the model's words, and its resource."""

    name: str
    kind: str
    path: str


def name_places(kind: str, found: Mapping[str, Json]) -> tuple[Place, ...]:
    """Name parts of one kind by their place; `found` maps paths to resources."""
    ordinals = {
        path: section(each, "Location", "PartLocation").get("LocationOrdinalValue") for path, each in found.items()
    }
    placed = {path: value for path, value in ordinals.items() if isinstance(value, int) and not isinstance(value, bool)}
    if len(set(placed.values())) < len(found):
        ordered = sorted(found, key=lambda path: (natural(text(found[path], "Id")), natural(path)))
        placed = {path: number for number, path in enumerate(ordered)}
    return tuple(Place(f"{kind}-{placed[path]}", kind, path) for path in sorted(placed, key=lambda path: placed[path]))


def name_all(parts: Mapping[str, Mapping[str, Json]]) -> tuple[Place, ...]:
    """Name all parts; `parts` maps kinds to paths to resources."""
    return tuple(
        place
        for kind, found in parts.items()
        for place in (
            (Place(name, kind, path) for path, name in numbered(kind, found).items())
            if kind in _LABELLED
            else name_places(kind, found)
        )
    )


async def find_parts(
    wire: RedfishWire, systems: Mapping[str, Json], chassis: Mapping[str, Json], device: str
) -> dict[str, dict[str, Json]]:
    """Every part by kind and path: those of the systems, and those that the chassis hold. Raises DeviceError."""

    async def collect(owners: Mapping[str, Json], name: str) -> dict[str, Json]:
        found = await read_each(wire, {path: link(each, name) for path, each in owners.items()}, device)
        return {path: each for members in found.values() for path, each in members.items()}

    async def subsystems(name: str) -> dict[str, Json]:
        found = await wire.gather(link(each, name) for each in chassis.values() if link(each, name))
        return {path: each for path, each in found.items() if each is not None}

    parts: dict[str, dict[str, Json]] = {kind: {} for kind in _KINDS}
    for path, each in (await collect(systems, "Processors")).items():
        kind = _PROCESSORS.get(text(each, "ProcessorType"))
        if kind is not None:
            parts[kind][path] = each
    parts["memory"] = await collect(systems, "Memory")
    storages = await collect(systems, "Storage")
    drives = await wire.gather(path for storage in storages.values() for path in links(storage, "Drives"))
    parts["drive"] = {path: each for path, each in drives.items() if each is not None}
    parts["drive"] |= await collect(chassis, "Drives")
    parts["nic"] = await collect(chassis, "NetworkAdapters")
    parts["psu"] = await collect(await subsystems("PowerSubsystem"), "PowerSupplies")
    thermal = await subsystems("ThermalSubsystem")
    parts["fan"] = await collect(thermal, "Fans")
    parts["pump"] = await collect(thermal, "Pumps")
    return parts
