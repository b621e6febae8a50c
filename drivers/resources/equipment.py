"""Facility equipment behind a Redfish service: found below the service root, its parts named as they are labelled.

ThermalEquipment (CDUs) and PowerEquipment (RackPDUs, PowerShelves) of DSP2046; OCP profiles name what must be there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from drivers.resources.members import ROOT, can_expand, read_members, read_or_nothing
from drivers.resources.values import Json, is_healthy, is_present, link, natural, section, text
from drivers.resources.writing import Writer
from drivers.transports.address import check_options, number_option, wrong
from drivers.transports.redfish import RedfishWire
from harness.capabilities import Identified, Part
from harness.connection import Connection
from harness.errors import Misbehaved, Unsupported

OPTIONS = ("fingerprint", "ca", "timeout", "max_age", "change_timeout", "equipment")
POLLING_FLOOR = 1.0
"""Wall seconds; facility controllers refresh their values every one to ten seconds."""


@dataclass(frozen=True, slots=True)
class Service:
    """One device's service: how to read and change it, and how old a value may be (rack seconds)."""

    wire: RedfishWire
    writer: Writer
    max_age: float
    wanted: str
    """Id of the equipment, where the service has several; else empty."""


@dataclass(frozen=True, slots=True)
class Equipment:
    """One piece of equipment as it was at discovery."""

    path: str
    resource: Json
    chassis: Mapping[str, Json]
    expands: bool


def service_of(connection: Connection, *more: str, change: float = 30.0) -> Service:
    """The service that a connection describes; the network is not touched. Raises DefinitionError.

    Options: those of `drivers.transports.redfish`; `max_age` (rack seconds, 60), `change_timeout` (wall seconds until
    a change reads back), `equipment` (an Id, where the service has several of a kind); `more` are the driver's own.
    """
    check_options(connection, (*OPTIONS, *more))
    if connection.profile:
        raise wrong(connection, "profile", "Redfish describes itself: leave the profile out")
    wire = RedfishWire.of(connection)
    writer = Writer(wire, connection.device, number_option(connection, "change_timeout", change, 0.1, 600.0))
    max_age = number_option(connection, "max_age", 60.0, 0.1, 86_400.0)
    return Service(wire, writer, max_age, str(connection.options.get("equipment", "")))


async def find_equipment(service: Service, home: str, collection: str, device: str) -> Equipment:
    """The one member of `home`/`collection` (as `ThermalEquipment`, `CDUs`); raises DeviceError.

    Where the service has several, option `equipment` names one: the wrong one would look right.
    """
    wire = service.wire
    root = await wire.get(ROOT)
    place = await read_or_nothing(wire, link(root, home))
    members = await read_members(wire, link(place, collection), device)
    chosen = {path: each for path, each in members.items() if service.wanted in ("", text(each, "Id"))}
    if len(chosen) != 1:
        ids = ", ".join(text(each, "Id") for each in members.values()) or "none"
        advice = "Name one in the bay file: options: {equipment: …}" if members else "Check address and driver"
        raise Unsupported(device, f"find it among {collection}", f"the service lists {ids}", advice)
    ((path, resource),) = chosen.items()
    linked = section(resource, "Links").get("Chassis")
    paths = [link(each) for each in linked if isinstance(each, Mapping)] if isinstance(linked, list) else []
    found = await wire.gather(each for each in paths if each)
    chassis = {each: body for each, body in found.items() if body is not None}
    return Equipment(path, resource, chassis, can_expand(root))


async def read_again(wire: RedfishWire, path: str, device: str) -> Json:
    """The resource at `path`; raises Misbehaved where it has vanished since it was found."""
    found = await wire.find(path)
    if found is None:
        raise Misbehaved(device, f"GET {path}", "404, though it was there before", "Was another unit put in its place?")
    return found


def identified(resource: Json) -> Identified:
    """Who a piece of equipment says it is."""
    words = ("Manufacturer", "Model", "PartNumber", "SerialNumber", "FirmwareVersion")
    return Identified(*(text(resource, word) for word in words))


def numbered(kind: str, found: Mapping[str, Json]) -> dict[str, str]:
    """Names of parts, from 1 and as labelled: path to `kind-N`, in the order of N.

    N is the number in `Location.PartLocation.ServiceLabel`, else in `Id`, where it tells all of them apart; else their
    order. The ordinal of a location counts from 0 and is no label.
    """
    for words in (
        {path: text(section(each, "Location", "PartLocation"), "ServiceLabel") for path, each in found.items()},
        {path: text(each, "Id") or path for path, each in found.items()},
    ):
        ends = {path: re.search(r"([0-9]+)$", word) for path, word in words.items()}
        numbers = {path: int(end.group(1)) for path, end in ends.items() if end}
        if len(set(numbers.values())) == len(found):
            return {path: f"{kind}-{numbers[path]}" for path in sorted(numbers, key=lambda path: numbers[path])}
    ordered = sorted(found, key=natural)
    return {path: f"{kind}-{number}" for number, path in enumerate(ordered, 1)}


def part_of(name: str, kind: str, resource: Json | None) -> Part:
    """One part as its resource describes it; one whose resource has gone is not present."""
    if resource is None:
        return Part(name, kind, "", "", "", present=False, healthy=None)
    maker, number, serial = (text(resource, word) for word in ("Manufacturer", "PartNumber", "SerialNumber"))
    return Part(name, kind, maker, number, serial, present=is_present(resource), healthy=is_healthy(resource))
