"""Loads held on all hosts at once: the leading one and those beside it, ramped up as the model says, and watched.

A host that is lost, or whose tray goes dark, loses its loads at once and is a result like any other; it never takes the
others' evidence. On a stop the loads are left to `make_safe`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from harness.capabilities import Job, JobState, Load, Workload
from harness.errors import DeviceError, Unreachable
from harness.plan import Device, Devices, Rack
from harness.rack.model import LoadSpec

LOOK = 5.0
"""Rack seconds between two looks at the leading loads, but half a wall second at least."""
SELDOM = 4
"""Every so many looks one goes to the loads beside, which are not expected to end yet."""

Outcome = Job | DeviceError


@dataclass(frozen=True)
class Held:
    """How it went: the last state of every load, and the stretch in which all of the leading ones ran together.

    `jobs` is keyed by subject: `tray-01` for the leading load, `tray-01/cpu-test` for one beside it. The ramp is not
    part of the stretch: everything is still warming up. It is empty (`until` before `since`) where it never came to be.
    """

    jobs: Mapping[str, Outcome]
    since: datetime
    until: datetime


@dataclass
class _Group:
    """The loads of one host."""

    host: Device
    loads: dict[str, tuple[float, Load]]
    """By subject: rack seconds after the beginning, and what to start then; the leading one first."""
    jobs: dict[str, Outcome] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)

    @property
    def lead(self) -> str:
        return next(iter(self.loads))

    def is_over(self, subject: str) -> bool:
        job = self.jobs.get(subject)
        return isinstance(job, DeviceError) or (job is not None and job.state is not JobState.RUNNING)


def load_of(host: Device, name: str, spec: LoadSpec) -> Load:
    """A load of the model as a host is asked for it: on all accelerators that the BOM gives the host."""
    return Load(
        name,
        spec.kind,
        spec.tool,
        spec.seconds,
        spec.limit,
        spec.intensity,
        directory=spec.directory or "",
        size=spec.size or 0,
        units=len(host.bom("accelerator")) if spec.kind == "accelerator" else 0,
    )


async def hold(
    rack: Rack, hosts: Devices, name: str, *, text: str, midway: Callable[[], Awaitable[None]] | None = None
) -> Held:
    """Run a load of the model, and those beside it, on all hosts to their end.

    `text` is shown meanwhile; `midway` is awaited once all leading loads have run for the model's `ramp`.
    """
    spec = rack.definition.load(name)
    clock, began, start = rack.session.clock, rack.session.clock.elapsed(), rack.now()
    groups = [_group(rack, host, index, name, spec) for index, host in enumerate(hosts)]
    ramp = rack.definition.duration("ramp")
    working = asyncio.gather(*(_work(rack, group, began) for group in groups))
    try:
        waiting = midway
        while not working.done():
            since = max((group.started.get(group.lead, float("inf")) for group in groups), default=float("inf")) + ramp
            if waiting is not None and clock.elapsed() >= since and not any(g.is_over(g.lead) for g in groups):
                await waiting()
                waiting = None
            elapsed = clock.elapsed() - began
            rack.progress(text, min(elapsed, spec.seconds), spec.seconds)
            await asyncio.wait((working,), timeout=_look(rack) / clock.pace)
        await working
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    jobs = {subject: job for group in groups for subject, job in group.jobs.items()}
    leads = [(group.started[group.lead], group.ended.get(group.lead, began)) for group in groups if group.started]
    since = max((first for first, _ in leads), default=began) + ramp
    until = min((last for _, last in leads), default=began)
    return Held(jobs, start + timedelta(seconds=since - began), start + timedelta(seconds=until - began))


def _group(rack: Rack, host: Device, index: int, name: str, spec: LoadSpec) -> _Group:
    first = index * spec.stagger
    loads = {host.slot: (first, load_of(host, name, spec))}
    for other, beside in rack.definition.companions(name).items():
        loads[host.subject(other)] = (first + beside.delay + index * beside.stagger, load_of(host, other, beside))
    return _Group(host, loads)


def _look(rack: Rack) -> float:
    return max(LOOK, 0.5 * rack.session.clock.pace)


async def _work(rack: Rack, group: _Group, began: float) -> None:
    """Start the loads of a host when they are due, and look at them until all are over."""
    clock, round_ = rack.session.clock, 0
    while left := [subject for subject in group.loads if not group.is_over(subject)]:
        now = clock.elapsed()
        if (lost := _loss(rack, group.host)) is not None:
            await _abandon(group, left, lost, now)
            return
        for subject in left:
            at, load = group.loads[subject]
            due = began + at
            if subject not in group.jobs:
                if now >= due:
                    await _ask(rack, group, subject)
            elif subject == group.lead or now >= due + load.seconds or round_ % SELDOM == 0:
                await _ask(rack, group, subject)
        round_ += 1
        upcoming = [began + group.loads[subject][0] - now for subject in left if subject not in group.jobs]
        await clock.sleep(max(0.01, min([_look(rack), *(each for each in upcoming if each > 0)])))


async def _ask(rack: Rack, group: _Group, subject: str) -> None:
    """Start a load, or look at it where it was started."""
    load = group.loads[subject][1]
    try:
        workload = group.host.ask(Workload)
        group.jobs[subject] = await (workload.job(load.name) if subject in group.jobs else workload.start(load))
        group.started.setdefault(subject, rack.session.clock.elapsed())
    except DeviceError as error:
        group.jobs[subject] = error
    if group.is_over(subject):
        group.ended[subject] = rack.session.clock.elapsed()


def _loss(rack: Rack, host: Device) -> DeviceError | None:
    """Why a host may not go on: its tray's telemetry is silent."""
    tray = rack.device(host.slot)
    if tray.lost is None:
        return None
    seen = "its telemetry went silent under load; its loads were stopped"
    return Unreachable(tray.name, "watch it under load", seen, str(tray.lost))


async def _abandon(group: _Group, left: list[str], lost: DeviceError, now: float) -> None:
    for subject in left:
        try:
            if subject in group.jobs:
                await group.host.ask(Workload).stop(group.loads[subject][1].name)
            group.jobs[subject] = lost
        except DeviceError as error:
            group.jobs[subject] = error
        group.ended[subject] = now
