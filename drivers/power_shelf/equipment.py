"""Power shelves by Redfish: PowerEquipment/PowerShelves and the PowerSupplies of its chassis (OCP profile 1.0).

Traps met in public trees: a chassis whose PowerSubsystem link leads to its sensors, a collection that lists one bay
twice and another not at all (the redundancy group does), several rails, of which one is the bus.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime

from drivers.resources.appliance import Appliance
from drivers.resources.circuits import Circuit, circuit_parts, find_circuits
from drivers.resources.equipment import POLLING_FLOOR, Equipment, Service, numbered, part_of, service_of
from drivers.resources.members import member_paths, read_or_nothing
from drivers.resources.meters import Meter, meter_of, total
from drivers.resources.reading import ReadPlan
from drivers.resources.values import Json, entries, is_healthy, is_present, link, links, missing, number, text
from harness.capabilities import Firmware, Identified, Part, Supply
from harness.connection import Connection
from harness.errors import Unsupported
from harness.quantities import Channel, Quality, Reading, Sample, Unit
from harness.sensors import Sensor

_BUS_VOLTAGE = range(40, 61)
"""What the nominal voltage of an Open Rack bus can be, V."""
_METERED: dict[str, tuple[str, Unit]] = {
    "supply.input.power": ("InputPowerWatts", Unit.WATT),
    "supply.output.power": ("OutputPowerWatts", Unit.WATT),
    "supply.input.voltage": ("InputVoltage", Unit.VOLT),
}
_RAILS: dict[str, tuple[str, Unit]] = {
    "supply.output.current": ("RailCurrentAmps", Unit.AMPERE),
    "supply.output.voltage": ("RailVoltage", Unit.VOLT),
}
_CHANNELS = {**{name: unit for name, (_, unit) in _METERED.items()}, "supply.output.current": Unit.AMPERE}
_FED = {"Normal": True, "LossOfInput": False, "OutOfRange": False}


def connect_equipment(connection: Connection) -> RedfishShelf:
    """A shelf at `https://host:port`; touches no network. Raises DefinitionError."""
    return RedfishShelf(connection, service_of(connection))


class RedfishShelf:
    """One power shelf. Supplies are named as they are labelled: `psu-1`; an empty bay is listed as not present."""

    def __init__(self, connection: Connection, service: Service) -> None:
        self._unit = Appliance(connection, service, "PowerEquipment", "PowerShelves")
        self._circuits: tuple[Circuit, ...] = ()
        self._supplies: dict[str, str] = {}
        self._meters: dict[tuple[str, str], Meter] = {}
        """By quantity and supply; the bus has no supply."""
        self._plan = ReadPlan((), {}, ())

    @property
    def device(self) -> str:
        return self._unit.device

    @property
    def polling_floor(self) -> float:
        return POLLING_FLOOR

    async def open(self) -> None:
        """Log in, find the shelf, its supplies and its bus; raises DeviceError."""
        found = await self._unit.open()
        supplies = await self._find_supplies(found)
        if not supplies:
            raise Unsupported(self.device, "list its supplies", "the shelf reports none", "Check address and driver")
        self._supplies = {name: path for path, name in numbered("psu", supplies).items()}
        self._circuits = await find_circuits(self._unit, found.resource)
        metrics = await self._unit.wire.gather(
            link(each, "Metrics") for each in supplies.values() if link(each, "Metrics")
        )
        await self._find_meters(supplies, metrics)
        wanted = {*self._supplies.values(), *(meter.path for meter in self._meters.values())}
        self._plan = await self._unit.plan(found, wanted)
        spoken = {
            name: [supplies[path], metrics.get(link(supplies[path], "Metrics")) or {}]
            for name, path in self._supplies.items()
        }
        spoken |= {each.name: [each.resource] for each in self._circuits}
        homes = {path: name for name, path in self._supplies.items()} | {
            each.path: each.name for each in self._circuits
        }
        await self._unit.opened(found, homes, spoken)

    async def close(self) -> None:
        """Log out; never raises."""
        await self._unit.close()

    async def identify(self) -> Identified:
        """Read who it is now: another unit behind the same address shows."""
        return await self._unit.identify()

    async def sensors(self) -> Sequence[Sensor]:
        """Every sensor of the shelf; those of a supply are its own."""
        return await self._unit.sensors()

    async def parts(self) -> Sequence[Part]:
        """One part a bay, empty ones included, then its mains and branches."""
        self._unit.known("list its parts")
        found = await self._unit.wire.gather((*self._supplies.values(), *(each.path for each in self._circuits)))
        bays = tuple(part_of(name, "psu", found[path]) for name, path in self._supplies.items())
        return (*bays, *circuit_parts(self._circuits, found))

    async def firmware(self) -> Sequence[Firmware]:
        """The shelf's own as `controller`, and one component a supply that is there."""
        shelf = await self._unit.firmware("controller")
        found = await self._unit.wire.gather(self._supplies.values())
        present = [(name, each) for name, path in self._supplies.items() if (each := found[path]) and is_present(each)]
        return (shelf, *(Firmware(name, text(each, "FirmwareVersion")) for name, each in present))

    async def supplies(self) -> Sequence[Supply]:
        """Every bay; what is not metered is None."""
        self._unit.known("read its supplies")
        found = await self._unit.read(self._plan)
        at = self._unit.now()
        return tuple(self._supply(name, found, at) for name in self._supplies)

    async def input_power(self) -> Reading:
        """The sum over the supplies that are there, W; spoilt as a whole by one that cannot be read."""
        self._unit.known("read its input power")
        found = await self._unit.read(self._plan)
        at = self._unit.now()
        there = [name for name in self._supplies if self._is_there(name, found)]
        return total([self._reading("supply.input.power", name, found, at) for name in there], Unit.WATT, at)

    def channels(self) -> Sequence[Channel]:
        return (
            *(Channel(self.device, name, unit, psu) for name, unit in _CHANNELS.items() for psu in self._supplies),
            Channel(self.device, "bus.voltage", Unit.VOLT),
        )

    async def sample(self) -> Sequence[Sample]:
        self._unit.known("sample")
        found = await self._unit.read(self._plan)
        at = self._unit.now()
        return tuple(
            Sample(
                channel,
                self._bus(found, at)
                if channel.quantity == "bus.voltage"
                else self._reading(channel.quantity, channel.part, found, at),
            )
            for channel in self.channels()
        )

    def _supply(self, name: str, found: Mapping[str, Json | None], at: datetime) -> Supply:
        resource = found.get(self._supplies[name])
        if resource is None:
            return Supply(name, None, None, None, None, None, healthy=None)

        def metered(quantity: str) -> Reading | None:
            return self._reading(quantity, name, found, at) if (quantity, name) in self._meters else None

        return Supply(
            name=name,
            input_ok=_FED.get(text(resource, "LineInputStatus")),
            input_voltage=metered("supply.input.voltage"),
            input_power=metered("supply.input.power"),
            output_power=metered("supply.output.power"),
            output_current=metered("supply.output.current"),
            healthy=is_healthy(resource),
        )

    def _reading(self, quantity: str, name: str, found: Mapping[str, Json | None], at: datetime) -> Reading:
        unit = _CHANNELS.get(quantity, Unit.VOLT)
        meter = self._meters.get((quantity, name))
        resource = found.get(self._supplies[name])
        if resource is not None and (not is_present(resource) or meter is None):
            return missing(unit, at, Quality.ABSENT)
        return missing(unit, at) if meter is None else self._unit.metered(meter, found, at)

    def _bus(self, found: Mapping[str, Json | None], at: datetime) -> Reading:
        """The bus as its circuit meters it, else the median over the supplies that are fed."""
        own = self._meters.get(("bus.voltage", ""))
        if own is not None:
            return self._unit.metered(own, found, at)
        inputs = {name: text(found.get(path) or {}, "LineInputStatus") for name, path in self._supplies.items()}
        fed = [name for name, status in inputs.items() if _FED.get(status)]
        rails = [self._reading("supply.output.voltage", name, found, at) for name in fed]
        known = [each.number for each in rails if each.usable]
        return Reading(statistics.median(known), Unit.VOLT, at) if known else missing(Unit.VOLT, at)

    def _is_there(self, name: str, found: Mapping[str, Json | None]) -> bool:
        """Whether a supply counts; one that cannot be read does, for it may carry load."""
        resource = found.get(self._supplies[name])
        return resource is None or is_present(resource)

    async def _find_supplies(self, found: Equipment) -> dict[str, Json]:
        paths: dict[str, Json] = {}
        for path, chassis in found.chassis.items():
            subsystem = await read_or_nothing(self._unit.wire, link(chassis, "PowerSubsystem"))
            if not link(subsystem, "PowerSupplies"):
                # The link leads elsewhere or nowhere; DSP2046 fixes where a PowerSubsystem is.
                subsystem = await read_or_nothing(self._unit.wire, f"{path}/PowerSubsystem")
            paths |= await member_paths(self._unit.wire, link(subsystem, "PowerSupplies"), self.device)
            for group in entries(subsystem.get("PowerSupplyRedundancy")):
                paths |= {each: {} for each in links(group, "RedundancyGroup") if each not in paths}
        read = await self._unit.wire.gather(paths)
        return {path: resource for path, resource in read.items() if resource is not None}

    async def _find_meters(self, supplies: Mapping[str, Json], metrics: Mapping[str, Json | None]) -> None:
        meters: dict[tuple[str, str], Meter | None] = {}
        for name, owner in self._supplies.items():
            path = link(supplies[owner], "Metrics")
            said = metrics.get(path) or {}
            for quantity, (word, unit) in _METERED.items():
                meters[quantity, name] = meter_of(path, said, (word,), unit)
            rail = _bus_rail(supplies[owner], said)
            if rail is not None:
                for quantity, (word, unit) in _RAILS.items():
                    meters[quantity, name] = meter_of(path, said, (word, rail), unit)
        buses = [each for each in self._circuits if text(each.resource, "CircuitType") == "Bus"]
        if len(buses) == 1:
            meters["bus.voltage", ""] = meter_of(buses[0].path, buses[0].resource, ("Voltage",), Unit.VOLT)
        self._meters = await self._unit.settle(meters)


def _bus_rail(supply: Json, metrics: Json) -> int | None:
    """Which rail of a supply is the bus; None where that is not said: another rail's current would look plausible."""
    rails = list(entries(supply.get("OutputRails")))
    named = [at for at, rail in enumerate(rails) if text(rail, "PhysicalContext") == "DCBus"]
    volts = [at for at, rail in enumerate(rails) if number(rail.get("NominalVoltage")) // 1 in _BUS_VOLTAGE]
    for candidates in (named, volts):
        if len(candidates) == 1:
            return candidates[0]
    measured = metrics.get("RailVoltage")
    return 0 if not rails and isinstance(measured, list) and len(measured) == 1 else None
