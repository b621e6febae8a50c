"""What a BMC is made of, found once by following links from the service root; no path is assumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drivers.bmc.boards import Board, find_boards
from drivers.bmc.places import Place, find_parts, name_all
from drivers.resources.leak import find_detectors
from drivers.resources.members import (
    ROOT,
    Collection,
    can_expand,
    read_collections,
    read_members,
    read_or_nothing,
)
from drivers.resources.values import Json, link, links, natural, text
from drivers.transports.redfish import RedfishWire
from harness.errors import Misbehaved


@dataclass(frozen=True, slots=True)
class Tree:
    """The tray as its BMC presents it. Every string is the path of a resource, empty where there is none."""

    system: str
    chassis: str
    manager: str
    places: tuple[Place, ...]
    homes: Mapping[str, str]
    """Path of a part, or of a chassis that holds nothing but it, to the part's name."""
    boards: tuple[Board, ...]
    ports: Mapping[str, str]
    """Name of a part to its collection of ports."""
    spoken: Mapping[str, tuple[Json, ...]]
    """Name of a part, empty for the tray, to what speaks of it: what these are excerpts of are its sensors."""
    sensors: tuple[Collection, ...]
    metrics: Mapping[str, Json]
    """Path of a processor or chassis to its EnvironmentMetrics."""
    detectors: tuple[Collection, ...]
    firmware: str
    log_owners: tuple[str, ...]
    expands: bool
    """Whether the service offers `$expand` over subordinate resources."""
    managers: Mapping[str, Json]
    certificates: str
    integrity: str
    reports: str
    events: str
    """Where server-sent events come from."""

    @property
    def all_sensors(self) -> Mapping[str, Json]:
        """Every sensor by path."""
        return {path: sensor for each in self.sensors for path, sensor in each.members.items()}


async def discover(wire: RedfishWire, device: str) -> Tree:
    """Walk the service once; raises DeviceError, Misbehaved where it has no chassis."""
    root = await wire.get(ROOT)
    expands = can_expand(root)
    systems = await read_members(wire, link(root, "Systems"), device)
    chassis = await read_members(wire, link(root, "Chassis"), device)
    managers = await read_members(wire, link(root, "Managers"), device)
    if not chassis:
        raise Misbehaved(device, "discover", "the service lists no chassis", "Check that the address is a tray's BMC.")
    manager = _main_manager(root, managers)
    system = _main_system(manager, systems, managers)
    body = _outermost(_first(links(systems.get(system, {}), "Links", "Chassis"), chassis), chassis)
    parts = await find_parts(wire, systems, chassis, device)
    resources = {path: each for found in parts.values() for path, each in found.items()}
    places = name_all({**parts, "system": {path: each for path, each in systems.items() if path != system}})
    homes = _homes(places, parts, chassis)
    metrics = await _metrics(wire, {**parts["accelerator"], **parts["cpu"], body: chassis.get(body, {})})
    outputs = await wire.gather(link(each, "Metrics") for each in parts["psu"].values() if link(each, "Metrics"))
    return Tree(
        system=system,
        chassis=body,
        manager=manager,
        places=places,
        homes=homes,
        boards=await find_boards(wire, chassis, resources, homes, (body, systems.get(system, {}))),
        ports={homes[path]: link(each, "Ports") for path, each in resources.items()},
        spoken={
            homes[path]: (each, metrics.get(path, {}), outputs.get(link(each, "Metrics")) or {})
            for path, each in resources.items()
        }
        | {"": (metrics.get(body, {}),)},
        sensors=await read_collections(wire, {p: link(c, "Sensors") for p, c in chassis.items()}, device, expands),
        metrics=metrics,
        detectors=await find_detectors(wire, chassis, device, expands),
        firmware=link(await read_or_nothing(wire, link(root, "UpdateService")), "FirmwareInventory"),
        log_owners=tuple(link(each, "LogServices") for each in (*managers.values(), *systems.values())),
        expands=expands,
        managers=managers,
        certificates=link(root, "CertificateService"),
        integrity=link(root, "ComponentIntegrity"),
        reports=link(await read_or_nothing(wire, link(root, "TelemetryService")), "MetricReports"),
        events=text(await read_or_nothing(wire, link(root, "EventService")), "ServerSentEventUri"),
    )


async def _metrics(wire: RedfishWire, owners: Mapping[str, Json]) -> dict[str, Json]:
    paths = {
        owner: link(each, "EnvironmentMetrics") for owner, each in owners.items() if link(each, "EnvironmentMetrics")
    }
    found = await wire.gather(paths.values())
    return {owner: found[path] or {} for owner, path in paths.items()}


def _homes(
    places: Sequence[Place], parts: Mapping[str, Mapping[str, Json]], chassis: Mapping[str, Json]
) -> dict[str, str]:
    homes = {place.path: place.name for place in places if place.kind != "system"}
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
