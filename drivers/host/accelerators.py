"""Accelerators as a host sees them: what its tools say of each, in the words of the capability."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime

from drivers.inband.finding import Finding, Verdict
from drivers.inband.nvidia_smi import Gpu
from drivers.inband.nvlink import Linked
from drivers.inband.smi_judgement import Expected, findings
from harness.capabilities import Accelerator
from harness.quantities import Quality, Reading, Unit

NO_FABRIC = ("", "N/A", "Not Supported")
"""States of accelerators that have no fabric to join."""


def describe(
    seats: Mapping[str, str], gpus: Sequence[Gpu], links: Sequence[Linked] | None, now: datetime
) -> tuple[Accelerator, ...]:
    """An accelerator for each seat (PCI address to name), in that order; one that is not seen has no good reading.

    `links` None: the host cannot tell of links between accelerators.
    """
    present = {gpu.bus: gpu for gpu in gpus}
    fabric = any(gpu.fabric.state not in NO_FABRIC for gpu in gpus)
    found = findings(gpus, Expected(gpus=len(seats), fabric=fabric, least_margin=-math.inf))
    linked = {each.uuid: each for each in links or ()}
    return tuple(_accelerator(name, present.get(bus), found, linked, now) for bus, name in seats.items())


def _accelerator(
    name: str, gpu: Gpu | None, found: Sequence[Finding], linked: Mapping[str, Linked], now: datetime
) -> Accelerator:
    if gpu is None:
        none = quantity(None, Unit.CELSIUS, now)
        return Accelerator(name, "", "", none, quantity(None, Unit.WATT, now), None, None, None)
    mine = [each for each in found if each.unit in (gpu.bus, "")]
    links = linked.get(gpu.uuid)
    speeds = [link.speed for link in links.links if link.speed is not None] if links else []
    return Accelerator(
        name=name,
        serial=gpu.serial,
        part_number=gpu.part_number,
        temperature=quantity(gpu.temperature, Unit.CELSIUS, now),
        power=quantity(gpu.power, Unit.WATT, now),
        ecc_uncorrected=gpu.ecc_uncorrected,
        ecc_corrected=gpu.ecc_corrected,
        throttled_thermal=None if gpu.throttled is None else Reading(gpu.throttled, Unit.MILLISECOND, now),
        thermal_margin=None if gpu.thermal.margin is None else Reading(gpu.thermal.margin, Unit.KELVIN, now),
        pcie_width=gpu.pcie.width,
        pcie_generation=gpu.pcie.generation,
        links_active=len(speeds) if links else None,
        link_speed=Reading(min(speeds), Unit.GIGABYTE_PER_SECOND, now) if speeds else None,
        fabric="/".join(word for word in (gpu.fabric.state, gpu.fabric.status) if word not in NO_FABRIC),
        cluster=gpu.fabric.cluster,
        problems=tuple(each.text for each in mine if each.verdict is Verdict.FAIL),
        unclear=tuple(each.text for each in mine if each.verdict is Verdict.ERROR),
    )


def quantity(value: float | None, unit: Unit, now: datetime) -> Reading:
    """A reading, BAD where there is no value."""
    return Reading(math.nan, unit, now, Quality.BAD) if value is None else Reading(value, unit, now)
