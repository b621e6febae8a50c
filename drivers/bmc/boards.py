"""Boards: what a tray says of its assemblies, beside the parts that speak for themselves (DSP2046, Assembly 1.6).

A FRU is told several times: by its chassis, and by the areas of its Assembly (chassis, board, product). What bears one
serial in one place is one board. What says nothing of itself, or only what a template wrote, is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from drivers.resources.values import Json, entries, is_healthy, is_present, link, natural, text
from drivers.transports.redfish import RedfishWire
from harness.capabilities import Part

_OWNER = -1
"""Stands for the owner of an assembly among its members."""


@dataclass(frozen=True, slots=True)
class Board:
    """One board: who owns it, where its assembly is (empty without one), and which of its entries speak of it."""

    name: str
    owner: str
    assembly: str
    members: tuple[int, ...]


async def find_boards(
    wire: RedfishWire,
    chassis: Mapping[str, Json],
    parts: Mapping[str, Json],
    homes: Mapping[str, str],
    tray: tuple[str, Json],
) -> tuple[Board, ...]:
    """The boards of a tray, named by the order of their owners; raises DeviceError.

    `parts` are the resources that are listed already, `homes` the chassis that are one of them, `tray` the outermost
    chassis and the system: they are who the tray is.
    """
    body, system = tray
    owners = {path: chassis[path] for path in sorted(chassis, key=lambda path: (path == body, natural(path)))}
    owners |= {path: parts[path] for path in sorted(parts, key=natural) if path not in owners}
    assemblies = await wire.gather(link(each, "Assembly") for each in owners.values() if link(each, "Assembly"))
    serial_of = {homes[path]: text(each, "SerialNumber") for path, each in parts.items() if path in homes}
    whole = {0: system, 1: chassis[body]}
    tray_label = _first([0, 1], whole, "PartNumber"), _first([0, 1], whole, "SerialNumber")
    known = {_label(each) for each in parts.values()} | {tray_label}
    found: list[Board] = []
    for owner, resource in owners.items():
        path = link(resource, "Assembly")
        told = _entries(assemblies.get(path))
        if owner in chassis:
            told = {_OWNER: resource, **told}
        its_own = {serial_of.get(homes.get(owner, "")), tray_label[1]}
        for serial, members in _by_serial(told).items():
            label = (_first(members, told, "PartNumber"), _first(members, told, "SerialNumber"))
            if label in known or (label[1] and serial in its_own):
                continue
            known.add(label)
            found.append(Board(f"board-{len(found)}", owner, path, tuple(members)))
    return tuple(found)


def board_part(board: Board, found: Mapping[str, Json | None]) -> Part:
    """A board as its owner and its assembly, read now, describe it; one that nobody speaks of is not present."""
    owner, assembly = found.get(board.owner), found.get(board.assembly)
    told = _entries(assembly)
    if owner is not None:
        told[_OWNER] = owner
    members = [at for at in board.members if at in told]
    if owner is None or not members:
        return Part(board.name, "board", "", "", "", present=False, healthy=None)
    health = [said for at in members if (said := is_healthy(told[at])) is not None]
    return Part(
        name=board.name,
        kind="board",
        manufacturer=_first(members, told, "Manufacturer", "Vendor", "Producer"),
        part_number=_first(members, told, "PartNumber"),
        serial=_first(members, told, "SerialNumber"),
        present=is_present(owner) and all(is_present(told[at]) for at in members),
        healthy=all(health) if health else None,
    )


def _entries(assembly: Json | None) -> dict[int, Json]:
    return dict(enumerate(entries((assembly or {}).get("Assemblies"))))


def _by_serial(told: Mapping[int, Json]) -> dict[str, list[int]]:
    """Which entries bear one serial, else one part number; those with neither are left out."""
    groups: dict[str, list[int]] = {}
    for at, each in told.items():
        number, serial = _label(each)
        if serial or number:
            groups.setdefault(serial or number, []).append(at)
    return groups


def _label(resource: Json) -> tuple[str, str]:
    return text(resource, "PartNumber"), text(resource, "SerialNumber")


def _first(members: list[int], told: Mapping[int, Json], *names: str) -> str:
    return next((said for at in members for name in names if (said := text(told[at], name))), "")
