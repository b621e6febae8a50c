"""Collections of resources: their members page by page, read in full by `$expand` where the service offers it.

Members may come as links, expanded though nobody asked (a recorded Liteon shelf), twice, or not at all (null). Two
bodies under one path (DMTF's own CDU has them) are none: what stands there is read by itself.
"""

from __future__ import annotations

from collections.abc import Collection as Listed
from collections.abc import Mapping
from dataclasses import dataclass

from drivers.resources.values import Json, entries, link, section
from drivers.transports.redfish import RedfishWire
from harness.errors import Misbehaved, Unsupported

ROOT = "/redfish/v1/"
MAX_PAGES = 200
MOST_MEMBERS = 50_000
"""Listed by one collection; a full event log has some thousands."""
MOST_READ = 5_000
"""Resources read one by one for one question; a recorded GB300 tray has 266 sensors, which are its most."""
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
        if len(found) > MOST_MEMBERS:
            seen_there = f"it lists more than {MOST_MEMBERS} members"
            raise Misbehaved(device, f"list {path}", seen_there, "The BMC's firmware is at fault.")
        following = resource.get("Members@odata.nextLink")
        page = following if isinstance(following, str) else ""
    return found


async def read_members(wire: RedfishWire, path: str, device: str) -> dict[str, Json]:
    """Every member of a collection, read one by one; one that does not exist is left out."""
    found = await _read(wire, await member_paths(wire, path, device), device)
    return {member: resource for member, resource in found.items() if resource is not None}


async def read_each(wire: RedfishWire, wanted: Mapping[str, str], device: str) -> dict[str, dict[str, Json]]:
    """The members of many collections at once: owner to what is behind its path, which may be empty or lead nowhere."""
    first = await wire.gather(path for path in wanted.values() if path)
    listed: dict[str, dict[str, Json]] = {}
    for owner, path in wanted.items():
        page = first.get(path) or {}
        more = isinstance(page.get("Members@odata.nextLink"), str)
        listed[owner] = await member_paths(wire, path, device) if more else _add({}, page)
    found = await _read(wire, [member for members in listed.values() for member in members], device)
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
        read = await _read(wire, [member for member, said in told.items() if len(said) <= 1], device)
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


async def _read(wire: RedfishWire, paths: Listed[str], device: str) -> Mapping[str, Json | None]:
    """These resources one by one; raises Misbehaved where they are more than any device is made of."""
    if len(paths) > MOST_READ:
        attempt, seen = f"read {next(iter(paths))} and others", f"its collections list {len(paths)} resources"
        raise Misbehaved(device, attempt, seen, "The BMC's firmware is at fault.")
    return await wire.gather(paths)


def _add(found: dict[str, Json], page: Json) -> dict[str, Json]:
    """Add the members of a page; a path under which two bodies come is left as a bare link."""
    for each in entries(page.get("Members")):
        path = link(each)
        if path:
            found[path] = each if found.get(path, each) == each else {"@odata.id": path}
    return found
