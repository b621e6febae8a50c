"""Collections of resources: their members page by page, read in full by `$expand` where the service offers it.

Members may come as links, expanded though nobody asked (a recorded Liteon shelf), twice, or not at all (null).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from drivers.resources.values import Json, entries, link, section
from drivers.transports.redfish import RedfishWire
from harness.errors import Misbehaved

ROOT = "/redfish/v1/"
MAX_PAGES = 200
EXPAND = "?$expand=.($levels=1)"
"""Subordinate resources, one level deep (DSP0266, 7.3.2)."""


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection with its members as they were at discovery."""

    path: str
    chassis: str
    members: Mapping[str, Json]


def can_expand(root: Json) -> bool:
    """Whether the service root offers `$expand` over subordinate resources (ProtocolFeaturesSupported)."""
    query = section(root, "ProtocolFeaturesSupported", "ExpandQuery")
    return query.get("NoLinks") is True and query.get("Levels") is True


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


async def read_collections(
    wire: RedfishWire, wanted: Mapping[str, str], device: str, expands: bool
) -> tuple[Collection, ...]:
    """Collections by the resource that links to them, members read in full; empty ones are left out."""
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


async def read_or_nothing(wire: RedfishWire, path: str) -> Json:
    """The resource at `path`; an empty one where there is no path or nothing behind it."""
    return (await wire.find(path) or {}) if path else {}
