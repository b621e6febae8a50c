"""Intake: is this the rack that was ordered, complete, with the right firmware and a clean record?"""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from harness.capabilities import (
    Accelerator,
    Accelerators,
    Consequence,
    EventLog,
    Firmware,
    FirmwareInventory,
    Identified,
    Identity,
    Inventory,
    LeakDetection,
    LeakState,
    LogEntry,
    Part,
    Severity,
)
from harness.checks import Check, CheckVerdict, HostChecks
from harness.errors import Misbehaved
from harness.evidence import log_text
from harness.plan import Device, Devices, Measure, Rack
from harness.quantities import Reading, Value

pytestmark = pytest.mark.stage("intake")

GRAVITY = (LeakState.WET, LeakState.FAULT, LeakState.UNKNOWN, LeakState.DRY)


async def identify(device: Device) -> Identified:
    """Who a device says it is."""
    return await device.ask(Identity).identify()


async def list_parts(device: Device) -> tuple[Part, ...]:
    """The parts a device says it has."""
    return tuple(await device.ask(Inventory).parts())


async def list_firmware(device: Device) -> tuple[Firmware, ...]:
    """The firmware a device says it runs."""
    return tuple(await device.ask(FirmwareInventory).firmware())


async def read_log(device: Device) -> tuple[LogEntry, ...]:
    """A device's whole log."""
    return tuple(await device.ask(EventLog).entries())


@pytest.mark.measures("identity.manufacturer", "identity.model", "identity.part_number", per="compute_tray")
@pytest.mark.measures("identity.manufacturer", "identity.model", "identity.part_number", per="switch_tray")
@pytest.mark.measures("identity.manufacturer", "identity.model", "identity.part_number", per="switch")
@pytest.mark.measures("identity.manufacturer", "identity.model", per="pdu")
@pytest.mark.measures("identity.model", "identity.part_number", per="power_shelf")
@pytest.mark.measures("identity.model", "identity.part_number", per="cdu")
async def test_identity(
    compute_trays: Devices,
    switch_trays: Devices,
    switches: Devices,
    pdus: Devices,
    power_shelves: Devices,
    cdus: Devices,
    measure: Measure,
) -> None:
    """Every device is of the make and model that the BOM names."""
    for devices in (compute_trays, switch_trays, switches, pdus, power_shelves, cdus):
        for device, found in await devices.each(identify):
            wanted = device.entry.assembly
            measure("identity.model", found.model, device.slot, expected=wanted.model)
            # Power shelves and coolant units cannot name their maker; PDUs are ordered by model.
            if devices not in (power_shelves, cdus):
                measure("identity.manufacturer", found.manufacturer, device.slot, expected=wanted.manufacturer)
            if devices is not pdus:
                measure("identity.part_number", found.part_number, device.slot, expected=wanted.part_numbers)


@pytest.mark.measures("parts.healthy", per="part")
@pytest.mark.measures("parts.part_number", per="numbered_part")
@pytest.mark.measures("parts.manufacturer", per="branded_part")
@pytest.mark.measures("parts.count", per="compute_tray")
@pytest.mark.measures("parts.count", per="switch_tray")
@pytest.mark.measures("parts.count", per="switch")
@pytest.mark.measures("parts.count", per="power_shelf")
@pytest.mark.measures("parts.count", per="cdu")
@pytest.mark.measures("identity.serial.unique", per="compute_tray")
async def test_parts(
    rack: Rack,
    compute_trays: Devices,
    switch_trays: Devices,
    switches: Devices,
    power_shelves: Devices,
    cdus: Devices,
    measure: Measure,
) -> None:
    """Every part of the BOM is there, approved and healthy, and no serial occurs twice."""
    inventory: list[tuple[Device, tuple[Part, ...]]] = []
    for devices in (compute_trays, switch_trays, switches, power_shelves, cdus):
        inventory += await devices.each(list_parts)
    wanted = dict(rack.definition.parts())
    for device, parts in inventory:
        # A thousand verdicts, each on disk before the next one: telemetry and interlocks have their turn in between.
        await asyncio.sleep(0)
        kinds = {spec.kind for spec in device.entry.assembly.parts}
        present = {part.name: part for part in parts if part.present and part.kind in kinds}
        mine = {place: spec for place, spec in wanted.items() if place.startswith(f"{device.slot}/")}
        measure("parts.count", len(present), device.slot, expected=len(mine))
        for place, spec in mine.items():
            part = present.get(place.partition("/")[2])
            # A part that is missing is not well; one that does not say how it is proves nothing.
            measure("parts.healthy", part.healthy if part else False, place)
            if spec.part_numbers:
                number = part.part_number if part else "not present"
                measure("parts.part_number", number, place, expected=spec.part_numbers)
            if spec.manufacturer:
                maker = part.manufacturer if part else "not present"
                measure("parts.manufacturer", maker, place, expected=spec.manufacturer)
    serials = {device.name: own_serials(device, parts) for device, parts in inventory}
    seen = Counter(serial for found in serials.values() for serial in found)
    for tray in compute_trays:
        if tray.name in serials:
            measure("identity.serial.unique", all(seen[serial] == 1 for serial in serials[tray.name]), tray.slot)


def own_serials(device: Device, parts: tuple[Part, ...]) -> list[str]:
    """The serials of a device's parts; one that parts share with their board by design counts once."""
    shared = {spec.kind for spec in device.entry.assembly.parts if spec.serials == "shared"}
    known = {spec.kind for spec in device.entry.assembly.parts}
    present = [part for part in parts if part.present and part.serial]
    own = [part.serial for part in present if part.kind in known - shared]
    return own + sorted({part.serial for part in present if part.kind not in known - shared} - set(own))


@pytest.mark.measures("firmware.version", per="firmware")
async def test_firmware(
    rack: Rack,
    compute_trays: Devices,
    switch_trays: Devices,
    switches: Devices,
    pdus: Devices,
    power_shelves: Devices,
    cdus: Devices,
    measure: Measure,
) -> None:
    """Every component runs the firmware of the baseline; what was found goes into the unit's as-found record."""
    baseline = rack.definition.firmware()

    async def take_record(device: Device) -> tuple[Firmware, ...]:
        firmware = await list_firmware(device)
        parts = await list_parts(device) if device.can(Inventory) else ()
        rack.inventoried(device, await identify(device), firmware, parts)
        return firmware

    for devices in (compute_trays, switch_trays, switches, pdus, power_shelves, cdus):
        for device, firmware in await devices.each(take_record):
            await asyncio.sleep(0)
            found = {device.subject(entry.component): entry.version for entry in firmware}
            for component, version in baseline.items():
                if component.startswith(f"{device.slot}/"):
                    measure("firmware.version", found.get(component, "not reported"), component, expected=version)


@pytest.mark.measures("accelerator.problems", "accelerator.fabric", per="accelerator", optional=True)
@pytest.mark.measures("accelerator.links.active", "accelerator.links.speed", per="accelerator", optional=True)
@pytest.mark.measures("accelerator.fabric.clusters", optional=True)
async def test_accelerators_in_band(rack: Rack, hosts: Devices, measure: Measure) -> None:
    """Every accelerator is seen by its host, linked to its peers in one fabric, and nothing about it awaits repair."""
    clusters: list[str] = []
    for host, found in await hosts.each(list_accelerators):
        for part in host.bom("accelerator"):
            accelerator = found.get(part)
            values: dict[str, Reading | Value | None] = {
                "accelerator.problems": count_problems(accelerator),
                "accelerator.fabric": (accelerator.fabric or None) if accelerator else None,
                "accelerator.links.active": accelerator.links_active if accelerator else None,
                "accelerator.links.speed": accelerator.link_speed if accelerator else None,
            }
            clusters.append(accelerator.cluster if accelerator else "")
            if accelerator and (told := (*accelerator.problems, *accelerator.unclear)):
                rack.attach(f"{host.name}-{part}.txt", "\n".join(told), f"what speaks against {part}")
            for key in rack.definition.limits(*values):
                measure(key, values[key], host.subject(part))
    for key in rack.definition.limits("accelerator.fabric.clusters"):
        # One that names no fabric belongs to none: that is no agreement.
        measure(key, len(set(clusters)) if clusters and all(clusters) else None, "rack")


def count_problems(accelerator: Accelerator | None) -> int | None:
    """What speaks against an accelerator; None where it is not there, or does not say all that it should."""
    if accelerator is None or (accelerator.unclear and not accelerator.problems):
        return None
    return len(accelerator.problems)


async def list_accelerators(host: Device) -> dict[str, Accelerator]:
    """A host's accelerators by name."""
    return {each.name: each for each in await host.ask(Accelerators).accelerators()}


async def run_checks(host: Device) -> tuple[Check, ...]:
    """What a host's own tools say of its parts."""
    return tuple(await host.ask(HostChecks).checks())


@pytest.mark.measures("host.checks.failed", "host.checks.tools", per="host", optional=True)
async def test_hosts_in_band(rack: Rack, hosts: Devices, measure: Measure) -> None:
    """The tools of every host find its drives, PCI Express links and event log sound, and enough of them were run."""
    for host, checks in await hosts.each(run_checks):
        lines = [f"{each.verdict.value:8} {each.tool:9} {each.unit:14} {each.text}" for each in checks]
        rack.attach(f"{host.name}-checks.txt", "\n".join(lines), f"what the tools of {host.name} say of its parts")
        failed = sum(each.verdict is CheckVerdict.FAIL for each in checks)
        unclear = [each for each in checks if each.verdict is CheckVerdict.UNCLEAR]
        values = {
            # What could not be looked at is not sound.
            "host.checks.failed": None if unclear and not failed else failed,
            "host.checks.tools": len({c.tool for c in checks if c.verdict in (CheckVerdict.OK, CheckVerdict.FAIL)}),
        }
        for key in rack.definition.limits(*values):
            measure(key, values[key], host.slot)
        if unclear:
            seen = "; ".join(f"{each.tool} {each.unit}".strip() + f": {each.text}" for each in unclear[:3])
            more = f"; and {len(unclear) - 3} more" if len(unclear) > 3 else ""
            advice = "Run that tool by hand on the host, as the user of the bay: most of them need to be root."
            rack.failed(Misbehaved(host.name, "look at its parts with its own tools", seen + more, advice))


@pytest.mark.measures("leak.state", per="compute_tray")
@pytest.mark.measures("leak.state", per="switch_tray")
@pytest.mark.measures("leak.state", per="cdu")
async def test_leak_detectors(compute_trays: Devices, switch_trays: Devices, cdus: Devices, measure: Measure) -> None:
    """Every leak detector is alive and dry, judged one by one."""

    async def detect(device: Device) -> list[LeakState]:
        return [leak.state for leak in await device.ask(LeakDetection).leaks()]

    for devices in (compute_trays, switch_trays, cdus):
        for device, states in await devices.each(detect):
            measure("leak.state", min(states, key=GRAVITY.index).value if states else None, device.slot)


@pytest.mark.measures("event_log.critical", per="compute_tray")
async def test_event_logs(rack: Rack, compute_trays: Devices, hosts: Devices, measure: Measure) -> None:
    """No log holds a critical entry or a failed part, however old; all are archived to compare with at hand-over."""
    baseline: dict[str, list[str]] = {}
    for devices in (compute_trays, hosts):
        for device, log in await devices.each(read_log):
            rack.attach(f"{device.name}-log-intake.txt", log_text(log), f"log of {device.name} at intake")
            baseline[device.name] = sorted({entry.ident for entry in log})
            # What spoke against a part before the run still does; a kernel's lines count by the log policy alone.
            failed = sum(entry.consequence is Consequence.FAIL for entry in log)
            others = [entry for entry in log if entry.consequence is not Consequence.FAIL]
            grave = sum(entry.severity is Severity.CRITICAL for entry in others) if devices is compute_trays else 0
            measure("event_log.critical", failed + grave, device.slot)
    rack.keep("logs at intake", baseline, lasts=True)
