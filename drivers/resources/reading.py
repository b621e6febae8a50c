"""Reading many resources at the least cost: metric reports, then `$expand` where that was proven, else one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from drivers.resources.members import EXPAND, Collection, member_paths
from drivers.resources.reports import metrics
from drivers.resources.values import Json, section
from drivers.transports.redfish import RedfishWire
from harness.errors import DeviceError, Unreachable

RELIED_ON = (
    "@odata.id", "Id", "Reading", "ReadingUnits", "ReadingTime", "DetectorState", "Enabled",
    "PowerState", "PowerWatts", "CurrentAmps", "PumpSpeedPercent", "LineInputStatus",
)  # fmt: skip
"""What we read of a member; a known BMC drops required properties when it expands (nv-redfish, quirks of AMI GB300)."""

_FIXED = ("@odata.id", "Id", "ReadingType", "ReadingUnits")
"""What a member keeps from one moment to the next; DMTF's own power shelf has sensors that bear another one's path."""


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """What to ask for in order to learn `wanted`: expanded collections, and single resources."""

    wanted: tuple[str, ...]
    expanded: Mapping[str, tuple[str, ...]]
    """Collection to those of its members that are wanted."""
    single: tuple[str, ...]
    reported: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    """Metric report to the sensors that are taken from it, as they were discovered."""


async def plan_reads(
    wire: RedfishWire,
    collections: Sequence[Collection],
    wanted: set[str],
    *,
    expands: bool,
    reported: Mapping[str, Mapping[str, Json]] | None = None,
) -> ReadPlan:
    """Find the cheapest way to read `wanted`, beside what `reported` covers; expansion is proven once."""
    everything, reported = wanted, reported or {}
    wanted = wanted - {path for sensors in reported.values() for path in sensors}
    expanded: dict[str, tuple[str, ...]] = {}
    for each in collections:
        members = tuple(sorted(wanted & each.expanded))
        if expands and each.path and len(members) > 1 and await _is_faithful(wire, each, members):
            expanded[each.path] = members
    covered = {path for members in expanded.values() for path in members}
    return ReadPlan(tuple(sorted(everything)), expanded, tuple(sorted(wanted - covered)), reported)


async def carry_out(wire: RedfishWire, plan: ReadPlan, device: str, deadline: float) -> dict[str, Json | None]:
    """Read what is planned within `deadline` wall seconds; None where one part could not be read.

    Raises the first DeviceError where nothing at all could be read.
    """
    if not plan.wanted:
        return {}
    jobs: list[Coroutine[Any, Any, Mapping[str, Json]]] = [
        _expanded(wire, path, members, device) for path, members in plan.expanded.items()
    ]
    jobs += [_single(wire, path) for path in plan.single]
    jobs += [_reported(wire, path, sensors) for path, sensors in plan.reported.items()]
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        await asyncio.wait(tasks, timeout=deadline)
    finally:
        unfinished = [task for task in tasks if not task.done()]
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
    found: dict[str, Json | None] = dict.fromkeys(plan.wanted)
    failures: list[DeviceError] = []
    for task in tasks:
        if task in unfinished or task.cancelled():
            continue
        error = task.exception()
        if error is None:
            found.update(task.result())
        elif isinstance(error, DeviceError):
            failures.append(error)
        else:
            raise error
    if len(failures) + len(unfinished) == len(tasks):
        raise (
            failures[0]
            if failures
            else Unreachable(
                device,
                "read its sensors",
                f"no answer within {deadline:g} s",
                "Check the BMC's power and network cable.",
            )
        )
    return found


def together(first: ReadPlan, second: ReadPlan) -> ReadPlan:
    """One plan for what two plans want."""
    return ReadPlan(
        (*first.wanted, *second.wanted),
        {**first.expanded, **second.expanded},
        (*first.single, *second.single),
        {**first.reported, **second.reported},
    )


async def _single(wire: RedfishWire, path: str) -> Mapping[str, Json]:
    resource = await wire.find(path)
    return {} if resource is None else {path: resource}


async def _expanded(wire: RedfishWire, path: str, members: tuple[str, ...], device: str) -> Mapping[str, Json]:
    listed = await member_paths(wire, path, device, EXPAND)
    return {member: listed[member] for member in members if member in listed and len(listed[member]) > 1}


async def _reported(wire: RedfishWire, path: str, sensors: Mapping[str, Json]) -> Mapping[str, Json]:
    return metrics(await wire.find(path) or {}, sensors)


async def _is_faithful(wire: RedfishWire, collection: Collection, members: tuple[str, ...]) -> bool:
    single = await wire.gather(members)
    return all(_says_as_much(collection.members[path], single[path]) for path in members)


def _says_as_much(expanded: Json, single: Json | None) -> bool:
    if single is None:
        return False
    if section(expanded, "Status").get("State") != section(single, "Status").get("State"):
        return False
    if any(expanded.get(name) != single.get(name) for name in _FIXED):
        return False
    return all(
        type(expanded.get(name)) is type(single.get(name)) or _both_numbers(expanded.get(name), single.get(name))
        for name in RELIED_ON
    )


def _both_numbers(left: object, right: object) -> bool:
    return all(isinstance(each, int | float) and not isinstance(each, bool) for each in (left, right))
