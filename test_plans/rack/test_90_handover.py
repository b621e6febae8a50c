"""Hand-over: everything is off, nothing is left on the hosts, and no log has gained what would worry the customer."""

from __future__ import annotations

import pytest

from harness.capabilities import Accelerator, Accelerators, Consequence, EventLog, LogEntry, Severity
from harness.errors import Misbehaved
from harness.evidence import log_text
from harness.plan import Device, Devices, Measure, Rack
from harness.workload import CleanUp, JobState, Workload

pytestmark = pytest.mark.stage("hand_over")


async def stop_loads(host: Device) -> int:
    """Stop every load that was ever started on a host; returns how many are still running."""
    return sum(job.state is JobState.RUNNING for job in await host.ask(Workload).stop_all())


async def read_accelerators(host: Device) -> dict[str, Accelerator]:
    """A host's accelerators by name."""
    return {each.name: each for each in await host.ask(Accelerators).accelerators()}


async def read_log(device: Device) -> tuple[LogEntry, ...]:
    """A device's whole log."""
    return tuple(await device.ask(EventLog).entries())


async def clean_up(host: Device) -> tuple[str, ...]:
    """Remove all that was put on a host; what is still there."""
    return tuple(await host.ask(CleanUp).clean_up())


@pytest.mark.measures("handover.loads.running", per="host")
@pytest.mark.measures("handover.residue", per="host", optional=True)
@pytest.mark.measures("handover.idle.power", per="accelerator")
async def test_loads_are_off(rack: Rack, hosts: Devices, measure: Measure) -> None:
    """Every load has ended, nothing of ours is left on a host, and every accelerator is idle again."""
    for host, running in await hosts.each(stop_loads):
        measure("handover.loads.running", running, host.slot)
    for key in rack.definition.limits("handover.residue"):
        for host, left in await hosts.each(clean_up):
            measure(key, len(left), host.slot)
            if left:
                rack.attach(f"{host.name}-residue.txt", "\n".join(left), f"what is left on {host.name}")
    await rack.wait("cool-down", "cooling down")
    for host, accelerators in await hosts.each(read_accelerators):
        for name in host.bom("accelerator"):
            found = accelerators.get(name)
            measure("handover.idle.power", found.power if found else None, host.subject(name))


@pytest.mark.measures("event_log.new.critical", "event_log.new.warning", per="compute_tray")
async def test_logs_are_clean(rack: Rack, compute_trays: Devices, hosts: Devices, measure: Measure) -> None:
    """Neither the BMCs' nor the kernels' logs have gained a warning or worse since intake."""
    baseline: dict[str, list[str]] = rack.kept("logs at intake", dict)
    new: dict[str, list[LogEntry]] = {}
    complete: dict[str, int] = {}
    for devices in (compute_trays, hosts):
        for device, log in await devices.each(read_log):
            if device.name not in baseline:
                continue
            complete[device.slot] = complete.get(device.slot, 0) + 1
            known = frozenset(baseline[device.name])
            new.setdefault(device.slot, []).extend(entry for entry in log if entry.ident not in known)
            rack.attach(f"{device.name}-log-handover.txt", log_text(log), f"log of {device.name} at hand-over")
    for tray in compute_trays:
        # Both logs of the slot or none: half a comparison is no comparison.
        if complete.get(tray.slot) == 2:
            entries = new[tray.slot]
            own = [entry for entry in entries if entry.consequence is Consequence.NONE]
            failed = sum(entry.consequence is Consequence.FAIL for entry in entries)
            critical = failed + sum(entry.severity is Severity.CRITICAL for entry in own)
            measure("event_log.new.critical", critical, tray.slot)
            measure("event_log.new.warning", sum(entry.severity is Severity.WARNING for entry in own), tray.slot)
            if unclear := [entry for entry in entries if entry.consequence is Consequence.RETRY]:
                seen = f"{unclear[0].rule}: {unclear[0].message}"
                advice = "Cold boot that tray and run once more; seen a second time it is the part."
                rack.failed(Misbehaved(tray.name, "compare its logs with those of intake", seen, advice))
