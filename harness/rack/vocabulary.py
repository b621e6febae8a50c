"""The plan's vocabulary: every limit key and telemetry quantity there is, and the unit each is counted in.

A model that names anything else, or another quantity's unit, is wrong: nothing would ever be judged against it. The
words are ours (design, section 2); a step that measures something new adds its key here first.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from harness.quantities import Unit, convert

_TEXT, _BOOL, _COUNT, _PERCENT = Unit.TEXT, Unit.BOOLEAN, Unit.COUNT, Unit.PERCENT

LIMIT_KEYS: Mapping[str, Unit] = MappingProxyType(
    {
        # intake
        "identity.manufacturer": _TEXT,
        "identity.model": _TEXT,
        "identity.part_number": _TEXT,
        "identity.serial.unique": _BOOL,
        "parts.count": _COUNT,
        "parts.part_number": _TEXT,
        "parts.manufacturer": _TEXT,
        "parts.healthy": _BOOL,
        "firmware.version": _TEXT,
        "event_log.critical": _COUNT,
        "leak.state": _TEXT,
        # power
        "power.outlet.feeds": _TEXT,
        "power.outlet.on": _BOOL,
        "power.redundancy.survivors": _BOOL,
        "power.bus.voltage": Unit.VOLT,
        "power.supply.share": _PERCENT,
        "power.balance": _PERCENT,
        # links
        "link.neighbour": _TEXT,
        "link.up": _BOOL,
        "link.speed": Unit.GIGABIT_PER_SECOND,
        "link.errors": _COUNT,
        "link.discards": _COUNT,
        "link.throughput": Unit.GIGABIT_PER_SECOND,
        "link.flaps": _COUNT,
        "link.fec.uncorrectable": _COUNT,
        "link.fec.tail": _COUNT,
        "link.ber.raw": Unit.RATIO,
        "link.ber.bound": Unit.RATIO,
        "link.optics.problems": _COUNT,
        "link.optics.margin": Unit.KELVIN,
        "link.optics.spread": Unit.DECIBEL,
        # in-band inventory
        "accelerator.pcie.width": _COUNT,
        "accelerator.pcie.generation": _COUNT,
        "accelerator.links.active": _COUNT,
        "accelerator.links.speed": Unit.GIGABYTE_PER_SECOND,
        "accelerator.fabric": _TEXT,
        "accelerator.fabric.clusters": _COUNT,
        "accelerator.problems": _COUNT,
        "accelerator.thermal.margin": Unit.KELVIN,
        "host.checks.failed": _COUNT,
        "host.checks.tools": _COUNT,
        # burn-in
        "burn_in.work": _COUNT,
        "burn_in.errors": _COUNT,
        "burn_in.exit_code": _COUNT,
        "burn_in.power": Unit.WATT,
        "burn_in.ecc.uncorrected": _COUNT,
        "burn_in.ecc.corrected": _COUNT,
        "burn_in.throttled": Unit.MILLISECOND,
        "burn_in.kernel.critical": _COUNT,
        "burn_in.console.problems": _COUNT,
        "burn_in.telemetry.coverage": _PERCENT,
        "burn_in.restarts": _COUNT,
        "burn_in.load.work": _COUNT,
        "burn_in.load.errors": _COUNT,
        "burn_in.load.exit_code": _COUNT,
        # performance, against a baseline
        "performance.accelerator.compute": Unit.GIGAFLOP_PER_SECOND,
        "performance.accelerator.copy": Unit.GIGABYTE_PER_SECOND,
        "performance.collective.bandwidth": Unit.GIGABYTE_PER_SECOND,
        "performance.cpu.rate": Unit.PER_SECOND,
        "performance.memory.bandwidth": Unit.GIGABYTE_PER_SECOND,
        "performance.disk.read": Unit.GIGABYTE_PER_SECOND,
        "performance.disk.write": Unit.GIGABYTE_PER_SECOND,
        "accelerator.temperature.max": Unit.CELSIUS,
        # thermal
        "thermal.steady.slope": Unit.KELVIN_PER_MINUTE,
        "thermal.supply.temperature": Unit.CELSIUS,
        "thermal.rise": Unit.KELVIN,
        "thermal.flow": Unit.LITRE_PER_MINUTE,
        "thermal.heat_balance": _PERCENT,
        "thermal.plate.resistance": Unit.KELVIN_PER_WATT,
        "thermal.plate.outlier": Unit.RATIO,
        "pump.running": _BOOL,
        "pump.speed.spread": _PERCENT,
        # hand-over
        "handover.loads.running": _COUNT,
        "handover.residue": _COUNT,
        "handover.idle.power": Unit.WATT,
        "event_log.new.critical": _COUNT,
        "event_log.new.warning": _COUNT,
    }
)
"""Limit key to the unit of what the plan measures under it."""

TOOLS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "accelerator": ("gpu-burn", "dcgmi-diag", "nccl-tests", "nvbandwidth"),
        "cpu": ("stress-ng",),
        "memory": ("stressapptest", "memtester", "stress-ng"),
        "disk": ("fio",),
        "network": ("iperf3", "ib-write-bw"),
    }
)
"""Kind of load to the tools that can be named for it."""

_BOARD: Mapping[str, Unit] = MappingProxyType(
    {
        "sensor.temperature": Unit.CELSIUS,
        "sensor.power": Unit.WATT,
        "sensor.voltage": Unit.VOLT,
        "sensor.current": Unit.AMPERE,
        "sensor.rotation": Unit.RPM,
        "sensor.percent": _PERCENT,
    }
)
"""Every further sensor of a tray's boards, where the bay asks for all of them: option `telemetry: all`."""

CHANNELS: Mapping[str, Mapping[str, Unit]] = MappingProxyType(
    {
        "compute_tray": {
            "accelerator.temperature": Unit.CELSIUS,
            "accelerator.power": Unit.WATT,
            "processor.temperature": Unit.CELSIUS,
            "inlet.temperature": Unit.CELSIUS,
            "tray.power": Unit.WATT,
            "leak.wet": _COUNT,
            **_BOARD,
        },
        "switch_tray": {
            "processor.temperature": Unit.CELSIUS,
            "inlet.temperature": Unit.CELSIUS,
            "tray.power": Unit.WATT,
            "leak.wet": _COUNT,
            **_BOARD,
        },
        "host": {
            "accelerator.temperature": Unit.CELSIUS,
            "accelerator.power": Unit.WATT,
            "accelerator.ecc.uncorrected": _COUNT,
        },
        "console": {},
        "switch": {
            "port.octets.in": Unit.OCTET,
            "port.octets.out": Unit.OCTET,
            "port.errors.in": _COUNT,
            "port.errors.out": _COUNT,
            "port.up": _BOOL,
            "supply.input.voltage": Unit.VOLT,
        },
        "pdu": {"input.power": Unit.WATT, "outlet.power": Unit.WATT, "outlet.on": _BOOL},
        "power_shelf": {
            "supply.input.power": Unit.WATT,
            "supply.output.power": Unit.WATT,
            "supply.output.current": Unit.AMPERE,
            "supply.input.voltage": Unit.VOLT,
            "bus.voltage": Unit.VOLT,
        },
        "cdu": {
            "coolant.flow": Unit.LITRE_PER_MINUTE,
            "coolant.supply.temperature": Unit.CELSIUS,
            "coolant.return.temperature": Unit.CELSIUS,
            "coolant.supply.pressure": Unit.KILOPASCAL,
            "coolant.return.pressure": Unit.KILOPASCAL,
            "pump.speed": Unit.RPM,
            "leak.wet": _COUNT,
        },
    }
)
"""Role to the quantities of its telemetry channels and their units."""

STATION: Mapping[str, Unit] = MappingProxyType(
    {"disk.free": Unit.OCTET, "loop.stall": Unit.SECOND, "sampler.stall": Unit.SECOND}
)
"""What the station watches of itself: free space where the run is kept; for how long the rack's loop has not turned;
by how long the sampling of a device is overdue."""


def is_same_quantity(unit: Unit, other: Unit) -> bool:
    """Whether values of one unit can be judged in the other."""
    try:
        convert(1.0, unit, other)
    except ValueError:
        return False
    return True
