"""Who a tray says it is, its parts and its firmware, from Redfish resources."""

from __future__ import annotations

import re
from collections.abc import Mapping

from drivers.bmc.places import Place
from drivers.bmc.tree import Tree
from drivers.resources.values import Json, is_healthy, is_present, link, links, natural, text
from harness.capabilities import Firmware, Identified, Part


def identity(system: Json, chassis: Json, manager: Json) -> Identified:
    """The tray's identity: the system's own words, and the outermost chassis's where the system is silent."""

    def first(name: str) -> str:
        return text(system, name) or text(chassis, name)

    return Identified(
        manufacturer=first("Manufacturer"),
        model=first("Model"),
        part_number=first("PartNumber"),
        serial=first("SerialNumber"),
        firmware=text(manager, "FirmwareVersion"),
    )


def part(place: Place, resource: Json | None) -> Part:
    """One part as its resource describes it; one whose resource has gone is not present."""
    if resource is None:
        return Part(place.name, place.kind, "", "", "", present=False, healthy=None)
    return Part(
        name=place.name,
        kind=place.kind,
        manufacturer=text(resource, "Manufacturer"),
        part_number=text(resource, "PartNumber"),
        serial=text(resource, "SerialNumber"),
        present=is_present(resource),
        healthy=is_healthy(resource),
    )


def firmware(
    tree: Tree, images: Mapping[str, Json], manager: Json, system: Json, parts: Mapping[str, Json | None]
) -> tuple[Firmware, ...]:
    """The firmware by component: `bmc`, `bios`, the part it belongs to, else its own Id.

    Where several images belong to one part (code and InfoROM, say), the part's name goes to the one whose version is
    the part's own `FirmwareVersion`, else to the first; the others keep their Ids, so that none is hidden.
    """
    claims: dict[str, list[str]] = {}
    for path in sorted(images, key=natural):
        claims.setdefault(_owner(tree, path, images[path], manager), []).append(path)
    found: dict[str, str] = {}
    for owner, paths in claims.items():
        main = _main(paths, images, _own_version(tree, owner, parts)) if owner else ""
        for path in paths:
            name = owner if path == main else _slug(images[path], path, {place.name for place in tree.places})
            found[name if name not in found else f"{name}.{len(found)}"] = text(images[path], "Version")
    if "bios" not in found and text(system, "BiosVersion"):
        found["bios"] = text(system, "BiosVersion")
    if "bmc" not in found and text(manager, "FirmwareVersion"):
        found["bmc"] = text(manager, "FirmwareVersion")
    return tuple(Firmware(name, found[name]) for name in sorted(found, key=natural))


def _owner(tree: Tree, path: str, image: Json, manager: Json) -> str:
    active = link(manager, "Links", "ActiveSoftwareImage")
    related = (*links(image, "RelatedItem"), *links(image, "Links", "RelatedItem"))
    if path == active or tree.manager in related:
        return "bmc"
    for item in related:
        if item in tree.homes:
            return tree.homes[item]
    return "bios" if tree.system and tree.system in related else ""


def _main(paths: list[str], images: Mapping[str, Json], own: str) -> str:
    return next((path for path in paths if own and text(images[path], "Version") == own), paths[0])


def _own_version(tree: Tree, owner: str, parts: Mapping[str, Json | None]) -> str:
    place = next((each for each in tree.places if each.name == owner), None)
    resource = (parts.get(place.path) or {}) if place else {}
    controllers = resource.get("Controllers")
    if text(resource, "FirmwareVersion") or not isinstance(controllers, list) or not controllers:
        return text(resource, "FirmwareVersion")
    first = controllers[0]
    return text(first, "FirmwarePackageVersion") if isinstance(first, Mapping) else ""


def _slug(image: Json, path: str, taken: set[str]) -> str:
    """A name from the image's Id that cannot be mistaken for the firmware of a part."""
    word = text(image, "Id") or path.rsplit("/", 1)[-1]
    slug = re.sub(r"[^a-z0-9.]+", "-", word.lower()).strip("-.") or "unnamed"
    return f"image.{slug}" if slug in taken | {"bmc", "bios"} else slug
