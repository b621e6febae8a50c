"""Collections of resources: their members page by page, read in full by `$expand` where the service offers it.

Members may come as links, expanded though nobody asked (a recorded Liteon shelf), twice, or not at all (null). Two
bodies under one path (DMTF's own CDU has them) are none: what stands there is read by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from drivers.resources.values import Json, entries, link, section
from drivers.transports.redfish import RedfishWire
from harness.errors import Misbehaved, Unsupported

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
    expanded: frozenset[str] = frozenset()
    """The members that `$expand` gave."""


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
        _add(found, resource)
        following = resource.get("Members@odata.nextLink")
        page = following if isinstance(following, str) else ""
    return found


async def read_members(wire: RedfishWire, path: str, device: str) -> dict[str, Json]:
    """Every member of a collection, read one by one; one that does not exist is left out."""
    found = await wire.gather(await member_paths(wire, path, device))
    return {member: resource for member, resource in found.items() if resource is not None}


async def read_each(wire: RedfishWire, wanted: Mapping[str, str], device: str) -> dict[str, dict[str, Json]]:
    """The members of many collections at once: owner to what is behind its path, which may be empty or lead nowhere."""
    first = await wire.gather(path for path in wanted.values() if path)
    listed: dict[str, dict[str, Json]] = {}
    for owner, path in wanted.items():
        page = first.get(path) or {}
        more = isinstance(page.get("Members@odata.nextLink"), str)
        listed[owner] = await member_paths(wire, path, device) if more else _add({}, page)
    found = await wire.gather(member for members in listed.values() for member in members)
    return {
        owner: {member: body for member in members if (body := found[member]) is not None}
        for owner, members in listed.items()
    }


async def read_collections(
    wire: RedfishWire, wanted: Mapping[str, str], device: str, expands: bool
) -> tuple[Collection, ...]:
    """Collections by the resource that links to them, members read in full; empty ones are left out.

    Which members there are is what the plain collection says: an expanded one may give a member under another's path.
    """
    found: list[Collection] = []
    for owner, path in wanted.items():
        listed = await member_paths(wire, path, device)
        full = await _expanded(wire, path, device) if expands and len(listed) > 1 else {}
        told = {member: full.get(member, said) for member, said in listed.items()}
        read = await wire.gather(member for member, said in told.items() if len(said) <= 1)
        members = {member: read.get(member, said) for member, said in told.items()}
        there = {member: resource for member, resource in members.items() if resource is not None}
        if there and path not in {each.path for each in found}:
            given = frozenset(member for member in there if len(full.get(member, {})) > 1)
            found.append(Collection(path, owner, there, given))
    return tuple(found)


async def read_or_nothing(wire: RedfishWire, path: str) -> Json:
    """The resource at `path`; an empty one where there is no path or nothing behind it."""
    return (await wire.find(path) or {}) if path else {}


async def _expanded(wire: RedfishWire, path: str, device: str) -> dict[str, Json]:
    """An expanded collection; nothing where the service offers `$expand` and then does not do it."""
    try:
        return await member_paths(wire, path, device, EXPAND)
    except (Misbehaved, Unsupported):
        return {}


def _add(found: dict[str, Json], page: Json) -> dict[str, Json]:
    """Add the members of a page; a path under which two bodies come is left as a bare link."""
    for each in entries(page.get("Members")):
        path = link(each)
        if path:
            found[path] = each if found.get(path, each) == each else {"@odata.id": path}
    return found
