"""Burn-in: all trays loaded together in-band, telemetry beside them; computation is exact and nothing overheats."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from harness.capabilities import Accelerator, Accelerators, Consequence, Console, ConsoleLine, EventLog, LogEntry
from harness.errors import DeviceError, Misbehaved, Unreachable
from harness.loads import Held, hold
from harness.plan import Device, Devices, Measure, Rack
from harness.quantities import Reading, Sample
from harness.telemetry.statistics import maximum, mean, usable
from harness.workload import Job, JobState, LoadOutcome

pytestmark = pytest.mark.stage("burn_in")

LOAD = "burn-in"
LOAD_KEYS = ("burn_in.load.work", "burn_in.load.errors", "burn_in.load.exit_code")


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


@pytest.mark.measures("burn_in.work", "burn_in.errors", per="accelerator")
@pytest.mark.measures("burn_in.ecc.uncorrected", "burn_in.ecc.corrected", "burn_in.throttled", per="accelerator")
@pytest.mark.measures("burn_in.power", "accelerator.temperature.max", per="accelerator")
@pytest.mark.measures("accelerator.pcie.width", "accelerator.pcie.generation", per="accelerator", optional=True)
@pytest.mark.measures("accelerator.thermal.margin", per="accelerator", optional=True)
@pytest.mark.measures("performance.accelerator.compute", per="accelerator", optional=True)
@pytest.mark.measures("performance.cpu.rate", "performance.memory.bandwidth", per="host", optional=True)
@pytest.mark.measures("performance.disk.read", "performance.disk.write", per="host", optional=True)
@pytest.mark.measures(*LOAD_KEYS, per="beside/burn-in", optional=True)
@pytest.mark.measures("burn_in.exit_code", "burn_in.kernel.critical", per="host")
@pytest.mark.measures("burn_in.restarts", per="host", optional=True)
@pytest.mark.measures("burn_in.console.problems", per="console")
@pytest.mark.measures("burn_in.telemetry.coverage", per="compute_tray")
async def test_burn_in(rack: Rack, hosts: Devices, compute_trays: Devices, consoles: Devices, measure: Measure) -> None:
    """All accelerators of all trays, and what runs beside them, work without an error at full load and stay cool."""
    baseline = {host.slot: found for host, found in await hosts.each(read_baseline)}
    counted = {tray.name: rack.coverage(tray.name) for tray in compute_trays}
    lines = {device.name: len(found) for device, found in await consoles.each(read_console)}
    loaded: dict[str, dict[str, Accelerator]] = {}

    async def look_under_load(host: Device) -> None:
        try:
            loaded[host.slot] = await read_accelerators(host)
        except DeviceError as error:
            rack.failed(error)

    held = await hold(rack, hosts, LOAD, text="all hosts under load", midway=look_under_load)
    for host in hosts:
        await asyncio.sleep(0)  # verdicts go to disk one by one: telemetry has its turn in between
        judge_restarts(rack, host, held, measure)
        for subject, job in jobs_of(host, held):
            name = subject.rpartition("/")[2] if "/" in subject else LOAD
            if isinstance(job, DeviceError):
                rack.failed(job)
                continue
            rack.attach(f"{host.name}-{name}.txt", job.text, f"output of {name} on {host.name}")
            if subject != host.slot:
                judge_companion(rack, host, subject, job, measure)
            elif host.slot in baseline:
                judge_job(rack, host, job, measure)
        judge_under_load(rack, host, loaded.get(host.slot, {}), measure)
    await judge_counters(rack, hosts, baseline, measure)
    for tray in compute_trays:
        await asyncio.sleep(0)
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


def jobs_of(host: Device, held: Held) -> list[tuple[str, Job | DeviceError]]:
    """The loads of one host by subject."""
    return [(subject, job) for subject, job in held.jobs.items() if subject.partition("/")[0] == host.slot]


def judge_restarts(rack: Rack, host: Device, held: Held, measure: Measure) -> None:
    """Judge whether a host was booted again under its load; one that cannot be asked tells nothing."""
    jobs = [job for _, job in jobs_of(host, held)]
    known = [job for job in jobs if isinstance(job, Job)]
    for key in rack.definition.limits("burn_in.restarts"):
        measure(key, sum(job.restarted for job in known) if known else None, host.slot)


def judge_job(rack: Rack, host: Device, job: Job, measure: Measure) -> None:
    """Judge what the tool did on each accelerator; one that is not mentioned did no work."""
    measure("burn_in.exit_code", job.exit_code, host.slot)
    outcomes = {outcome.unit: outcome for outcome in job.outcomes} if job.state is JobState.DONE else {}
    for part in host.bom("accelerator"):
        outcome = outcomes.get(part)
        measure("burn_in.work", outcome.work if outcome else 0, host.subject(part))
        measure("burn_in.errors", outcome.errors if outcome else None, host.subject(part))
        judge_figures(rack, (outcome,) if outcome else (), ("accelerator.compute",), host.subject(part), measure)


FIGURES = {"cpu": ("cpu.rate",), "memory": ("memory.bandwidth",), "disk": ("disk.read", "disk.write")}
"""Kind of load to the figures of merit that it is asked for."""


def judge_companion(rack: Rack, host: Device, subject: str, job: Job, measure: Measure) -> None:
    """Judge a load that ran beside the burn-in: that it worked, without an error, and as fast as it should."""
    judge_load(rack, subject, job, measure)
    kind = rack.definition.load(subject.rpartition("/")[2]).kind
    judge_figures(rack, job.outcomes, FIGURES.get(kind, ()), host.slot, measure)


def judge_load(rack: Rack, subject: str, job: Job, measure: Measure) -> None:
    """Judge a whole load: what has not ended by itself did no work and shows no errors that could be counted."""
    outcomes = job.outcomes if job.state is JobState.DONE else ()
    errors = [outcome.errors for outcome in outcomes if outcome.errors is not None]
    told = errors and len(errors) == len(outcomes)
    values = {
        "burn_in.load.exit_code": job.exit_code if job.state is JobState.DONE else None,
        "burn_in.load.work": sum(outcome.work for outcome in outcomes),
        "burn_in.load.errors": sum(errors) if told or any(errors) else None,
    }
    for key in rack.definition.limits(*LOAD_KEYS):
        measure(key, values[key], subject)


def judge_figures(
    rack: Rack, outcomes: Sequence[LoadOutcome], names: Sequence[str], subject: str, measure: Measure
) -> None:
    """Judge figures of merit, where the model limits them; of several the worst counts, none is nothing to judge."""
    for name in names:
        for key in rack.definition.limits(f"performance.{name}"):
            found = [figure for outcome in outcomes for figure in outcome.figures if figure.name == name]
            worst = min(found, key=lambda figure: figure.value, default=None)
            measure(key, Reading(worst.value, worst.unit, rack.now()) if worst else None, subject)


def judge_under_load(rack: Rack, host: Device, seen: dict[str, Accelerator], measure: Measure) -> None:
    """Judge what only holds under load: an idle link slows down, and an idle accelerator is cool."""
    for part in host.bom("accelerator"):
        accelerator = seen.get(part)
        values = {
            "accelerator.pcie.width": accelerator.pcie_width if accelerator else None,
            "accelerator.pcie.generation": accelerator.pcie_generation if accelerator else None,
            "accelerator.thermal.margin": accelerator.thermal_margin if accelerator else None,
        }
        for key in rack.definition.limits(*values):
            measure(key, values[key], host.subject(part))


async def judge_counters(rack: Rack, hosts: Devices, baseline: dict[str, Baseline], measure: Measure) -> None:
    """Judge what the accelerators and the kernel counted during the load."""
    after = {host.slot: found for host, found in await hosts.each(read_accelerators)}
    logs = {host.slot: log for host, log in await hosts.each(read_entries)}
    for host in hosts:
        before = baseline.get(host.slot)
        if before is None or host.slot not in after or host.slot not in logs:
            continue
        new = [entry for entry in logs[host.slot] if entry.ident not in before.log]
        failed = [entry for entry in new if entry.consequence is Consequence.FAIL]
        measure("burn_in.kernel.critical", len(failed), host.slot)
        if unclear := [entry for entry in new if entry.consequence is Consequence.RETRY]:
            advice = "Cold boot that tray and run once more; seen a second time it is the part."
            seen = f"{unclear[0].rule}: {unclear[0].message}"
            rack.failed(Misbehaved(host.name, "read the kernel log of the burn-in", seen, advice))
        for part in host.bom("accelerator"):
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
    least = rack.definition.limit("burn_in.telemetry.coverage").minimum or 0.0
    if coverage < least:
        # Samples that were not taken are the rig's failing: they prove nothing against the rack, and nothing for it.
        seen = f"only {coverage:.0f} % of the samples that were due could be taken"
        rack.failed(
            Unreachable(tray.name, "watch it under load", seen, "Check the network and the load of this station.")
        )
        return
    measure("burn_in.telemetry.coverage", coverage, tray.slot)
    for part in tray.bom("accelerator"):
        powers = within(rack, held, tray, "accelerator.power", part)
        heats = within(rack, held, tray, "accelerator.temperature", part)
        for samples in (powers, heats):
            if samples and 100.0 * len(usable(samples)) / len(samples) < least:
                seen = f"only {len(usable(samples))} of {len(samples)} readings could be used"
                what = f"watch {samples[0].channel} under load"
                rack.failed(Unreachable(tray.name, what, seen, "Check that sensor in the tray's own log."))
        measure("burn_in.power", mean(usable(powers)), tray.subject(part))
        measure("accelerator.temperature.max", maximum(usable(heats)), tray.subject(part))


def within(rack: Rack, held: Held, tray: Device, quantity: str, part: str) -> tuple[Sample, ...]:
    """The samples taken while all loads ran together."""
    since, until = held.stretches[tray.slot]
    samples = rack.window.history(tray.name, quantity, part, since)
    return tuple(sample for sample in samples if sample.reading.at <= until)


@pytest.mark.where(load="diagnostic")
@pytest.mark.measures(*LOAD_KEYS, per="load/diagnostic", optional=True)
async def test_diagnostic(rack: Rack, hosts: Devices, measure: Measure) -> None:
    """The maker's own diagnostic finds nothing wrong with any accelerator."""
    await run_alone(rack, hosts, "diagnostic", (), measure)


@pytest.mark.where(load="copy")
@pytest.mark.measures(*LOAD_KEYS, per="load/copy", optional=True)
@pytest.mark.measures("performance.accelerator.copy", per="host", optional=True)
async def test_copy_bandwidth(rack: Rack, hosts: Devices, measure: Measure) -> None:
    """Memory is copied to and from every accelerator as fast as it should be."""
    await run_alone(rack, hosts, "copy", ("accelerator.copy",), measure)


@pytest.mark.where(load="collective")
@pytest.mark.measures(*LOAD_KEYS, per="load/collective", optional=True)
@pytest.mark.measures("performance.collective.bandwidth", per="host", optional=True)
async def test_collective_bandwidth(rack: Rack, hosts: Devices, measure: Measure) -> None:
    """The accelerators reduce large messages with each other without an error and at full bandwidth."""
    await run_alone(rack, hosts, "collective", ("collective.bandwidth",), measure)


async def run_alone(rack: Rack, hosts: Devices, name: str, figures: Sequence[str], measure: Measure) -> None:
    """Run one load on all hosts to its end and judge it."""
    held = await hold(rack, hosts, name, text=f"{name} on all hosts")
    for host in hosts:
        job = held.jobs[host.slot]
        if isinstance(job, DeviceError):
            rack.failed(job)
            continue
        rack.attach(f"{host.name}-{name}.txt", job.text, f"output of {name} on {host.name}")
        judge_load(rack, host.subject(name), job, measure)
        judge_figures(rack, job.outcomes, figures, host.slot, measure)
