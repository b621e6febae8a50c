"""What a BMC is made of, found once by following links from the service root; no path is assumed.

Places are named as the model names parts: by `Location.PartLocation.LocationOrdinalValue` where every part of a kind
has one of its own, else by the natural order of their `Id` (DSP2046: Processor, Memory, NetworkAdapter).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drivers.bmc.values import Json, entries, link, links, natural, section, text
from drivers.transports.redfish import RedfishWire
from harness.errors import Misbehaved

ROOT = "/redfish/v1/"
MAX_PAGES = 200
EXPAND = "?$expand=.($levels=1)"
"""Subordinate resources, one level deep (DSP0266, 7.3.2)."""
_PROCESSORS = {"GPU": "accelerator", "Accelerator": "accelerator", "CPU": "cpu"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where one part is: its name in the model's words, and its resource."""

    name: str
    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection with its members as they were at discovery."""

    path: str
    chassis: str
    members: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Tree:
    """The tray as its BMC presents it. Every string is the path of a resource, empty where there is none."""

    system: str
    chassis: str
    manager: str
    places: tuple[Place, ...]
    homes: Mapping[str, str]
    """Path of a part, or of a chassis that holds nothing but it, to the part's name."""
    sensors: tuple[Collection, ...]
    metrics: Mapping[str, Json]
    """Path of a processor or chassis to its EnvironmentMetrics."""
    detectors: tuple[Collection, ...]
    firmware: str
    log_owners: tuple[str, ...]
    expands: bool
    """Whether the service offers `$expand` over subordinate resources."""

    @property
    def all_sensors(self) -> Mapping[str, Json]:
        """Every sensor by path."""
        return {path: sensor for each in self.sensors for path, sensor in each.members.items()}


async def discover(wire: RedfishWire, device: str) -> Tree:
    """Walk the service once; raises DeviceError, Misbehaved where it has no chassis."""
    root = await wire.get(ROOT)
    query = section(root, "ProtocolFeaturesSupported", "ExpandQuery")
    expands = query.get("NoLinks") is True and query.get("Levels") is True
    systems = await read_members(wire, link(root, "Systems"), device)
    chassis = await read_members(wire, link(root, "Chassis"), device)
    managers = await read_members(wire, link(root, "Managers"), device)
    if not chassis:
        raise Misbehaved(device, "discover", "the service lists no chassis", "Check that the address is a tray's BMC.")
    manager = _main_manager(root, managers)
    system = _main_system(manager, systems, managers)
    body = _outermost(_first(links(systems.get(system, {}), "Links", "Chassis"), chassis), chassis)
    parts = await _parts(wire, systems, chassis, device)
    places = tuple(place for kind, found in parts.items() for place in name_places(kind, found))
    return Tree(
        system=system,
        chassis=body,
        manager=manager,
        places=places,
        homes=_homes(places, parts, chassis),
        sensors=await _collections(wire, {p: link(c, "Sensors") for p, c in chassis.items()}, device, expands),
        metrics=await _metrics(wire, {**parts["accelerator"], **parts["cpu"], body: chassis.get(body, {})}),
        detectors=await _detectors(wire, chassis, device, expands),
        firmware=link(await _or_nothing(wire, link(root, "UpdateService")), "FirmwareInventory"),
        log_owners=tuple(link(each, "LogServices") for each in (*managers.values(), *systems.values())),
        expands=expands,
    )


async def member_paths(wire: RedfishWire, path: str, device: str, query: str = "") -> dict[str, Json]:
    """The members of a collection, page by page (`Members@odata.nextLink`): path to what the collection says of them.

    A missing collection has none. Raises Misbehaved where the pages never end.
    """
    found: dict[str, Json] = {}
    page, seen = f"{path}{query}" if path else "", set[str]()
    while page:
        if page in seen or len(seen) >= MAX_PAGES:
            raise Misbehaved(device, f"list {path}", "its pages never end", "The BMC's firmware is at fault.")
        seen.add(page)
        resource = await wire.find(page)
        if resource is None:
            break
        found.update({link(each): each for each in entries(resource.get("Members")) if link(each)})
        following = resource.get("Members@odata.nextLink")
        page = following if isinstance(following, str) else ""
    return found


async def read_members(wire: RedfishWire, path: str, device: str) -> dict[str, Json]:
    """Every member of a collection, read one by one; one that does not exist is left out."""
    found = await wire.gather(await member_paths(wire, path, device))
    return {member: resource for member, resource in found.items() if resource is not None}


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


async def _parts(
    wire: RedfishWire, systems: Mapping[str, Json], chassis: Mapping[str, Json], device: str
) -> dict[str, dict[str, Json]]:
    parts: dict[str, dict[str, Json]] = {"accelerator": {}, "cpu": {}, "memory": {}, "nic": {}}
    for system in systems.values():
        for path, each in (await read_members(wire, link(system, "Processors"), device)).items():
            kind = _PROCESSORS.get(text(each, "ProcessorType"))
            if kind is not None:
                parts[kind][path] = each
        parts["memory"].update(await read_members(wire, link(system, "Memory"), device))
    for body in chassis.values():
        parts["nic"].update(await read_members(wire, link(body, "NetworkAdapters"), device))
    return parts


async def _collections(
    wire: RedfishWire, wanted: Mapping[str, str], device: str, expands: bool
) -> tuple[Collection, ...]:
    """Collections by the chassis that links to them, members read in full."""
    found: list[Collection] = []
    for owner, path in wanted.items():
        listed = await member_paths(wire, path, device, EXPAND if expands and path else "")
        bare = [member for member, said in listed.items() if len(said) <= 1]
        read = await wire.gather(bare)
        members = {member: read.get(member, said) for member, said in listed.items()}
        full = {member: resource for member, resource in members.items() if resource is not None}
        if full and path not in {each.path for each in found}:
            found.append(Collection(path, owner, full))
    return tuple(found)


async def _detectors(
    wire: RedfishWire, chassis: Mapping[str, Json], device: str, expands: bool
) -> tuple[Collection, ...]:
    """Leak detectors: Chassis → ThermalSubsystem → LeakDetection → LeakDetectors (DSP2046, LeakDetection 1.2)."""
    thermal = await wire.gather(
        link(each, "ThermalSubsystem") for each in chassis.values() if link(each, "ThermalSubsystem")
    )
    wanted: dict[str, str] = {}
    for owner, each in chassis.items():
        subsystem = thermal.get(link(each, "ThermalSubsystem")) or {}
        detection = await _or_nothing(wire, link(subsystem, "LeakDetection"))
        wanted[owner] = link(detection, "LeakDetectors")
    return await _collections(wire, {owner: path for owner, path in wanted.items() if path}, device, expands)


async def _metrics(wire: RedfishWire, owners: Mapping[str, Json]) -> dict[str, Json]:
    paths = {
        owner: link(each, "EnvironmentMetrics") for owner, each in owners.items() if link(each, "EnvironmentMetrics")
    }
    found = await wire.gather(paths.values())
    return {owner: found[path] or {} for owner, path in paths.items()}


async def _or_nothing(wire: RedfishWire, path: str) -> Json:
    return (await wire.find(path) or {}) if path else {}


def _homes(
    places: Sequence[Place], parts: Mapping[str, Mapping[str, Json]], chassis: Mapping[str, Json]
) -> dict[str, str]:
    homes = {place.path: place.name for place in places}
    adapters = [path.rsplit("/NetworkAdapters/", 1)[0] for path in parts["nic"]]
    alone = {path.rsplit("/NetworkAdapters/", 1)[0]: homes[path] for path in parts["nic"]}
    homes.update({body: name for body, name in alone.items() if adapters.count(body) == 1 and body in chassis})
    for path, body in chassis.items():
        held = [homes[each] for each in links(body, "Links", "Processors") if each in homes]
        if len(held) == 1:
            homes[path] = held[0]
    return homes


def _main_manager(root: Json, managers: Mapping[str, Json]) -> str:
    said = link(root, "Links", "ManagerProvidingService")
    return said if said in managers else min(managers, key=natural, default="")


def _main_system(manager: str, systems: Mapping[str, Json], managers: Mapping[str, Json]) -> str:
    managed = _first(links(managers.get(manager, {}), "Links", "ManagerForServers"), systems)
    return managed or min(systems, key=natural, default="")


def _first(paths: Sequence[str], known: Mapping[str, Json]) -> str:
    return next((path for path in paths if path in known), "")


def _outermost(path: str, chassis: Mapping[str, Json]) -> str:
    """The chassis that contains all the others on the way out (`Links.ContainedBy`)."""
    path = path or min(chassis, key=natural)
    for _ in chassis:
        outer = link(chassis[path], "Links", "ContainedBy")
        if outer not in chassis:
            break
        path = outer
    return path
