"""Loads held on all hosts at once: the leading one and those beside it, ramped up as the model says, and watched.

A host that is lost, or whose tray goes dark, loses its loads at once and is a result like any other; it never takes the
others' evidence. On a stop the loads are left to `make_safe`.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from harness.errors import DeviceError, Misbehaved, PlanError, Unreachable
from harness.plan import HELD, Device, Devices, Rack
from harness.rack.model import LoadSpec
from harness.workload import Job, JobState, Load, Workload

LOOK = 5.0
"""Rack seconds between two looks at the leading loads, but one wall second at least."""
HOSTS = 6
"""Hosts that are looked at once a wall second; more are looked at less often, so that a station can follow."""
ANSWERING = 10.0
"""Rack seconds after which the far end of a network load, started as any other, is taken to listen."""
SELDOM = 4
"""Every so many looks one goes to the loads beside, which are not expected to end yet."""
OVERDUE = 30.0
"""Wall seconds after its limit by which a load must have been ended by its host: nobody waits for one that was not."""

KEPT_EVERY = 60.0
"""Rack seconds between two notes of how long a load has been held, where its time adds up across a break."""
REST = 120.0
"""Rack seconds for which a load is held at least after a break: what is measured under it has to be measured anew
(engineering judgement)."""

Outcome = Job | DeviceError


@dataclass(frozen=True)
class Held:
    """How it went: the last state of every load, and the stretch in which each host's leading load ran with the others.

    `jobs` is keyed by subject: `tray-01` for the leading load, `tray-01/cpu-test` for one beside it. A stretch is by
    slot, from the end of the ramp after all hosts have begun until this one's load was last seen to run: the end of
    another host's load takes nothing from it. It is empty (its end before its beginning) where it never came to be.
    """

    jobs: Mapping[str, Outcome]
    stretches: Mapping[str, tuple[datetime, datetime]]


@dataclass
class _Group:
    """The loads of one host."""

    host: Device
    loads: dict[str, tuple[float, Load]]
    """By subject: rack seconds after the beginning, and what to start then; the leading one first."""
    jobs: dict[str, Outcome] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)
    servers: dict[str, tuple[float, Load]] = field(default_factory=dict)
    """The far ends of other hosts' network loads: started in time, stopped at the end, not judged."""
    seen: dict[str, float] = field(default_factory=dict)
    """When a load was last asked for and ran: it may have ended at once after that."""
    silent: float = 0.0
    """Since when the host has not answered; 0 while it does."""

    @property
    def lead(self) -> str:
        return next(iter(self.loads))

    def is_over(self, subject: str) -> bool:
        job = self.jobs.get(subject)
        return isinstance(job, DeviceError) or (job is not None and job.state is not JobState.RUNNING)


def load_of(host: Device, name: str, spec: LoadSpec, held: float = 0.0) -> Load:
    """A load of the model as a host is asked for it: on all accelerators that the BOM gives the host.

    `held` are the rack seconds for which it was held before the run broke, where they count.
    """
    return Load(
        name,
        spec.kind,
        spec.tool,
        max(spec.seconds - held, min(spec.seconds, REST)),
        spec.limit,
        spec.intensity,
        directory=spec.directory or "",
        size=spec.size or 0,
        units=len(host.bom("accelerator")) if spec.kind == "accelerator" else 0,
    )


async def hold(
    rack: Rack, hosts: Devices, name: str, *, text: str, midway: Callable[[Device], Awaitable[None]] | None = None
) -> Held:
    """Run a load of the model, and those beside it, on all hosts to their end.

    `text` is shown meanwhile; `midway` is awaited for each host whose leading load runs once all hosts have begun and
    the model's `ramp` is over. What it raises goes on.
    """
    spec = rack.definition.load(name)
    clock, began, start = rack.session.clock, rack.session.clock.elapsed(), rack.now()
    held = _Time(rack, name) if spec.adds_up else None
    before = held.before if held else 0.0
    groups = [_group(rack, hosts.members, index, name, before) for index in range(len(hosts))]
    ramp = rack.definition.duration("ramp")
    working = asyncio.gather(*(_work(rack, group, began) for group in groups))
    waiting = list(groups) if midway else []
    try:
        while not working.done():
            if midway and waiting and clock.elapsed() >= _together(groups) + ramp:
                due = [group for group in waiting if not group.is_over(group.lead)]
                waiting = []
                await asyncio.gather(*(midway(group.host) for group in due))
            if held is not None:
                held.note(groups, ramp)
            elapsed = clock.elapsed() - began
            rack.progress(text, min(elapsed, spec.seconds), spec.seconds)
            await asyncio.wait((working,), timeout=_look(rack) / clock.pace)
        await working
        await asyncio.gather(*(_hang_up(group) for group in groups))
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    def at(elapsed: float) -> datetime:
        return start + timedelta(seconds=elapsed - began)

    since = _together(groups, began) + ramp
    stretches = {group.host.slot: (at(since), at(group.seen.get(group.lead, began))) for group in groups}
    return Held({subject: job for group in groups for subject, job in group.jobs.items()}, stretches)


def _together(groups: Sequence[_Group], none: float = math.inf) -> float:
    """When the last host began its leading load; infinite while one still has to, `none` where none ever did."""
    if any(group.lead not in group.started and not group.is_over(group.lead) for group in groups):
        return math.inf
    return max((group.started[group.lead] for group in groups if group.lead in group.started), default=none)


class _Time:
    """How long a load was held, over all sittings of a run, where the model says that this adds up."""

    def __init__(self, rack: Rack, name: str) -> None:
        self._rack, self._name = rack, f"{HELD}{name}"
        found = rack.session.kept.get(self._name)
        self.before = float(found) if isinstance(found, int | float) and found > 0 else 0.0
        self._kept = self.before

    def note(self, groups: Sequence[_Group], ramp: float) -> None:
        """Keep it while all leading loads run together; a load that is over adds nothing more."""
        if any(group.is_over(group.lead) for group in groups):
            return
        time = self.before + self._rack.session.clock.elapsed() - _together(groups) - ramp
        if time >= self._kept + KEPT_EVERY:
            self._kept = time
            self._rack.keep(self._name, round(time, 1), lasts=True)


def _group(rack: Rack, hosts: Sequence[Device], index: int, name: str, held: float) -> _Group:
    """The loads of a host; one whose telemetry is silent is not even asked."""
    spec = rack.definition.load(name)
    host, first = hosts[index], index * spec.stagger
    loads = {host.slot: (first, load_of(host, name, spec, held))}
    servers: dict[str, tuple[float, Load]] = {}
    for other, beside in rack.definition.companions(name).items():
        at = first + beside.delay + index * beside.stagger
        load = load_of(host, other, beside, held)
        if beside.kind == "network":
            # Each host calls the next one, the last the first: every host sends and is sent to, however many they are.
            listening = replace(load, name=f"{other}-server", interface=_interface(rack, host))
            servers[listening.name] = (at, listening)
            load = replace(load, interface=listening.interface, peer=_far_end(rack, hosts, index))
            at = (len(hosts) - 1) * (spec.stagger + beside.stagger) + beside.delay + ANSWERING
        loads[host.subject(other)] = (at, load)
    jobs: dict[str, Outcome] = {} if host.lost is None else dict.fromkeys(loads, host.lost)
    return _Group(host, loads, jobs, servers=servers)


def _interface(rack: Rack, host: Device) -> str:
    """The first interface of a host that the cable map names; raises PlanError."""
    for cable in rack.definition.cables:
        slot, _, interface = cable.a.partition("/")
        if slot == host.slot:
            return interface
    raise PlanError(f"the cable map names no interface of {host.slot}: a network load needs one")


def _far_end(rack: Rack, hosts: Sequence[Device], index: int) -> str:
    """The address that a host's network load calls: that of the next host; raises PlanError."""
    if len(hosts) < 2:
        raise PlanError("a network load needs two hosts")
    other = hosts[(index + 1) % len(hosts)]
    return other.data_address(_interface(rack, other))


async def _hang_up(group: _Group) -> None:
    """End what still listens: nobody calls any more. What cannot be stopped, its limit and its lease end."""
    for load in (load for _, load in group.servers.values() if load.name in group.started):
        with contextlib.suppress(DeviceError):
            await group.host.ask(Workload).stop(load.name)


def _look(rack: Rack) -> float:
    """Rack seconds; on hardware always LOOK. A large simulated rack is not asked more often than a station can."""
    hosts = len(rack.definition.role("host"))
    return max(LOOK, rack.session.clock.pace * max(1.0, hosts / HOSTS))


async def _work(rack: Rack, group: _Group, began: float) -> None:
    """Start the loads of a host when they are due, and look at them until all are over."""
    clock, round_ = rack.session.clock, 0
    while left := [subject for subject in group.loads if not group.is_over(subject)]:
        now = clock.elapsed()
        if (lost := _loss(rack, group)) is not None:
            await _abandon(group, left, lost)
            return
        for server, (at, load) in group.servers.items():
            if server not in group.started and now >= began + at:
                await _listen(rack, group, load)
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
        upcoming += [began + at - now for server, (at, _) in group.servers.items() if server not in group.started]
        await clock.sleep(max(0.01, min([_look(rack), *(each for each in upcoming if each > 0)])))


async def _listen(rack: Rack, group: _Group, load: Load) -> None:
    """Start the far end of a network load; where that fails, whoever calls it says so."""
    group.started[load.name] = rack.session.clock.elapsed()
    with contextlib.suppress(DeviceError):
        await group.host.ask(Workload).start(load)


async def _ask(rack: Rack, group: _Group, subject: str) -> None:
    """Start a load, or look at it where it was started."""
    load, asked = group.loads[subject][1], rack.session.clock.elapsed()
    try:
        workload = group.host.ask(Workload)
        group.jobs[subject] = await (workload.job(load.name) if subject in group.jobs else workload.start(load))
        begun = group.started.setdefault(subject, rack.session.clock.elapsed())
        if rack.session.clock.elapsed() > begun + load.limit + OVERDUE * rack.session.clock.pace:
            _give_up(group, subject, load)
        group.silent = 0.0
    except Unreachable as error:
        # A link that drops takes no load with it: the load goes on as long as its lease, and so does the asking.
        # A host that could never be asked has no lease to ask for either.
        now = rack.session.clock.elapsed()
        group.silent = group.silent or now
        begun = subject in group.started
        if not begun or now - group.silent > group.host.ask(Workload).lease * rack.session.clock.pace:
            group.jobs[subject] = error
    except DeviceError as error:
        group.jobs[subject] = error
    if not group.is_over(subject) and group.silent == 0.0:
        group.seen[subject] = asked


def _give_up(group: _Group, subject: str, load: Load) -> None:
    if not group.is_over(subject):
        seen = f"it still runs, and its limit of {load.limit:g} s is over"
        advice = "The host has not ended it: check its clock and its job script; making safe stops the load."
        group.jobs[subject] = Misbehaved(group.host.name, f"wait for {load.name}", seen, advice)


def _loss(rack: Rack, group: _Group) -> DeviceError | None:
    """Why a host may not go on: it cannot be asked any more, or its tray's telemetry is silent."""
    gone = [job for job in group.jobs.values() if isinstance(job, Unreachable)]
    if gone:
        return gone[0]
    tray = rack.device(group.host.slot)
    if tray.lost is None:
        return None
    seen = "its telemetry went silent under load; its loads were stopped"
    return Unreachable(tray.name, "watch it under load", seen, str(tray.lost))


async def _abandon(group: _Group, left: list[str], lost: DeviceError) -> None:
    """End all that is left of a host; one that cannot be asked ends its loads itself when their lease is over."""
    for subject in left:
        try:
            if subject in group.jobs and lost.device != group.host.name:
                await group.host.ask(Workload).stop(group.loads[subject][1].name)
            group.jobs[subject] = lost
        except DeviceError as error:
            group.jobs[subject] = error
