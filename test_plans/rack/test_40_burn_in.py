"""Burn-in: all trays loaded together in-band, telemetry beside them; computation is exact and nothing overheats."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from harness.capabilities import (
    Accelerator,
    Accelerators,
    Console,
    ConsoleLine,
    EventLog,
    Job,
    JobState,
    Load,
    LogEntry,
    Severity,
    Workload,
)
from harness.errors import DeviceError, Unreachable
from harness.plan import Device, Devices, Measure, Rack
from harness.quantities import Sample
from harness.telemetry.statistics import maximum, mean, usable

pytestmark = pytest.mark.stage("burn_in")

LOAD = "burn-in"
LOOK = 5.0
"""Rack seconds between two looks at the loads."""


@dataclass(frozen=True)
class Baseline:
    """What a host counted before the load."""

    accelerators: dict[str, Accelerator]
    log: frozenset[str]


async def read_accelerators(host: Device) -> dict[str, Accelerator]:
    """A host's accelerators by name."""
    return {each.name: each for each in await host.ask(Accelerators).accelerators()}


async def read_baseline(host: Device) -> Baseline:
    """Counters and kernel log of a host before the load."""
    log = await host.ask(EventLog).entries()
    return Baseline(await read_accelerators(host), frozenset(entry.ident for entry in log))


@dataclass(frozen=True)
class Held:
    """How the load went: the end of each slot's job, and the stretch in which all of them ran together."""

    jobs: dict[str, Job | DeviceError]
    since: datetime
    until: datetime


def running(jobs: dict[str, Job | DeviceError]) -> list[str]:
    """The slots whose load still runs."""
    return [slot for slot, job in jobs.items() if isinstance(job, Job) and job.state is JobState.RUNNING]


async def hold(rack: Rack, hosts: Devices) -> Held:
    """Load all hosts together until every load has ended; a tray that goes dark loses its load at once."""
    spec = rack.definition.load(LOAD)
    load = Load(LOAD, spec.kind, spec.tool, spec.seconds, spec.limit, spec.intensity)

    async def start(host: Device) -> Job:
        return await host.ask(Workload).start(load)

    jobs: dict[str, Job | DeviceError] = {host.slot: job for host, job in await hosts.each(start)}
    began = until = rack.now()
    total = len(jobs)
    while left := running(jobs):
        looked = rack.now()
        elapsed = (looked - began).total_seconds()
        rack.progress("all accelerators under load", min(elapsed, spec.seconds), spec.seconds)
        watched = [host for host in hosts if host.slot in left]
        found = await asyncio.gather(*(look_after(host, rack.device(host.slot)) for host in watched))
        jobs |= {host.slot: job for host, job in zip(watched, found, strict=True)}
        if len(running(jobs)) == total:
            until = looked
        await rack.session.clock.sleep(LOOK)
    # The ramp is left out of what is averaged: the accelerators are still warming up.
    return Held(jobs, began + timedelta(seconds=rack.definition.duration("ramp")), until)


async def look_after(host: Device, tray: Device) -> Job | DeviceError:
    """The present state of a host's load; without its tray's telemetry it may not go on."""
    try:
        if tray.lost is not None:
            await host.ask(Workload).stop(LOAD)
            seen = "its telemetry went silent under load; its load was stopped"
            return Unreachable(tray.name, "watch it under load", seen, str(tray.lost))
        return await host.ask(Workload).job(LOAD)
    except DeviceError as error:
        return error


@pytest.mark.measures("burn_in.work", "burn_in.errors", per="accelerator")
@pytest.mark.measures("burn_in.ecc.uncorrected", "burn_in.ecc.corrected", "burn_in.throttled", per="accelerator")
@pytest.mark.measures("burn_in.power", "accelerator.temperature.max", per="accelerator")
@pytest.mark.measures("burn_in.exit_code", "burn_in.kernel.critical", per="host")
@pytest.mark.measures("burn_in.console.problems", per="console")
@pytest.mark.measures("burn_in.telemetry.coverage", per="compute_tray")
async def test_burn_in(rack: Rack, hosts: Devices, compute_trays: Devices, consoles: Devices, measure: Measure) -> None:
    """All accelerators of all trays work without an error at full load and stay cool."""
    baseline = {host.slot: found for host, found in await hosts.each(read_baseline)}
    counted = {tray.name: rack.coverage(tray.name) for tray in compute_trays}
    lines = {device.name: len(found) for device, found in await consoles.each(read_console)}
    held = await hold(rack, hosts)
    for host in hosts:
        job = held.jobs.get(host.slot)
        if isinstance(job, DeviceError):
            rack.failed(job)
        elif job is not None and host.slot in baseline:
            judge_job(host, job, measure)
            rack.attach(f"{host.name}-{LOAD}.txt", job.text, f"output of {LOAD} on {host.name}")
    await judge_counters(hosts, baseline, measure)
    for tray in compute_trays:
        judge_telemetry(rack, tray, held, counted[tray.name], measure)
    for device, problems in await consoles.each(lambda console: count_problems(console, lines.get(console.name, 0))):
        measure("burn_in.console.problems", problems, device.slot)


async def read_console(device: Device) -> tuple[ConsoleLine, ...]:
    """What a console has printed so far."""
    return tuple(await device.ask(Console).captured())


async def count_problems(console: Device, since: int) -> int:
    """How many lines since then report a panic, a lock-up or a firmware error."""
    asked = console.ask(Console)
    return len(asked.problems(await asked.captured(since)))


def judge_job(host: Device, job: Job, measure: Measure) -> None:
    """Judge what the tool did on each accelerator; one that is not mentioned did no work."""
    measure("burn_in.exit_code", job.exit_code, host.slot)
    outcomes = {outcome.unit: outcome for outcome in job.outcomes} if job.state is JobState.DONE else {}
    for part in accelerators_of(host):
        outcome = outcomes.get(part)
        measure("burn_in.work", outcome.work if outcome else 0, host.subject(part))
        measure("burn_in.errors", outcome.errors if outcome else None, host.subject(part))


async def judge_counters(hosts: Devices, baseline: dict[str, Baseline], measure: Measure) -> None:
    """Judge what the accelerators and the kernel counted during the load."""
    after = {host.slot: found for host, found in await hosts.each(read_accelerators)}
    logs = {host.slot: log for host, log in await hosts.each(read_entries)}
    for host in hosts:
        before = baseline.get(host.slot)
        if before is None or host.slot not in after or host.slot not in logs:
            continue
        new = [entry for entry in logs[host.slot] if entry.ident not in before.log]
        critical = sum(entry.severity is Severity.CRITICAL for entry in new)
        measure("burn_in.kernel.critical", critical, host.slot)
        for part in accelerators_of(host):
            old, now = before.accelerators.get(part), after[host.slot].get(part)
            subject = host.subject(part)
            measure("burn_in.ecc.uncorrected", since_then(old, now, "ecc_uncorrected"), subject)
            measure("burn_in.ecc.corrected", since_then(old, now, "ecc_corrected"), subject)
            throttled = [each.throttled_thermal for each in (old, now) if each and each.throttled_thermal]
            spent = throttled[1].number - throttled[0].number if len(throttled) == 2 else None
            measure("burn_in.throttled", spent, subject)


async def read_entries(host: Device) -> tuple[LogEntry, ...]:
    """A host's kernel log."""
    return tuple(await host.ask(EventLog).entries())


def since_then(before: Accelerator | None, after: Accelerator | None, counter: str) -> int | None:
    """What a counter gained; None where either is missing or it ran backwards."""
    old, new = getattr(before, counter, None), getattr(after, counter, None)
    return None if old is None or new is None or new < old else new - old


def judge_telemetry(rack: Rack, tray: Device, held: Held, counted: tuple[int, int], measure: Measure) -> None:
    """Judge power and temperature of a tray's accelerators, and whether enough of both was seen."""
    if tray.lost is not None:
        rack.failed(tray.lost)
        return
    due, taken = rack.coverage(tray.name, counted)
    coverage = 100.0 * taken / due if due else 0.0
    if coverage < (rack.definition.limit("burn_in.telemetry.coverage").minimum or 0.0):
        # Samples that were not taken are the rig's failing: they prove nothing against the rack, and nothing for it.
        seen = f"only {coverage:.0f} % of the samples that were due could be taken"
        rack.failed(
            Unreachable(tray.name, "watch it under load", seen, "Check the network and the load of this station.")
        )
        return
    measure("burn_in.telemetry.coverage", coverage, tray.slot)
    for part in accelerators_of(tray):
        power = usable(within(rack, held, tray, "accelerator.power", part))
        heat = usable(within(rack, held, tray, "accelerator.temperature", part))
        measure("burn_in.power", mean(power), tray.subject(part))
        measure("accelerator.temperature.max", maximum(heat), tray.subject(part))


def within(rack: Rack, held: Held, tray: Device, quantity: str, part: str) -> tuple[Sample, ...]:
    """The samples taken while all loads ran together."""
    samples = rack.window.history(tray.name, quantity, part, held.since)
    return tuple(sample for sample in samples if sample.reading.at <= held.until)


def accelerators_of(device: Device) -> tuple[str, ...]:
    """The accelerators that the BOM gives this device."""
    return tuple(name for spec in device.entry.assembly.parts if spec.kind == "accelerator" for name in spec.names())
