"""Power shelves by Redfish: PowerEquipment/PowerShelves and the PowerSupplies of its chassis (OCP profile 1.0).

Traps met in public trees: a chassis whose PowerSubsystem link leads to its sensors, a collection that lists one bay
twice and another not at all (the redundancy group does), several rails, of which one is the bus.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime

from drivers.resources.equipment import (
    POLLING_FLOOR,
    Equipment,
    Service,
    find_equipment,
    identified,
    numbered,
    part_of,
    read_again,
    service_of,
)
from drivers.resources.members import member_paths, read_collections, read_members, read_or_nothing
from drivers.resources.meters import Meter, meter_of, read_meter, settle
from drivers.resources.reading import ReadPlan, carry_out, plan_reads
from drivers.resources.values import Json, entries, is_healthy, is_present, link, links, missing, number, text
from harness.capabilities import Firmware, Identified, Part, Supply
from harness.connection import Connection
from harness.errors import Unreachable, Unsupported
from harness.quantities import Channel, Quality, Reading, Sample, Unit

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
        self._connection = connection
        self._service = service
        self._wire = service.wire
        self._found: Equipment | None = None
        self._supplies: dict[str, str] = {}
        self._meters: dict[tuple[str, str], Meter] = {}
        """By quantity and supply; the bus has no supply."""
        self._plan = ReadPlan((), {}, ())

    @property
    def device(self) -> str:
        return self._connection.device

    @property
    def polling_floor(self) -> float:
        return POLLING_FLOOR

    async def open(self) -> None:
        """Log in, find the shelf, its supplies and its bus; raises DeviceError."""
        await self._wire.open()
        found = await find_equipment(self._service, "PowerEquipment", "PowerShelves", self.device)
        supplies = await self._find_supplies(found)
        if not supplies:
            raise Unsupported(self.device, "list its supplies", "the shelf reports none", "Check address and driver")
        self._supplies = {name: path for path, name in numbered("psu", supplies).items()}
        await self._find_meters(found, supplies)
        links_to = {path: link(each, "Sensors") for path, each in found.chassis.items()}
        sensors = await read_collections(self._wire, links_to, self.device, found.expands)
        wanted = {*self._supplies.values(), *(meter.path for meter in self._meters.values())}
        self._plan = await plan_reads(self._wire, sensors, wanted, expands=found.expands)
        self._found = found

    async def close(self) -> None:
        """Log out; never raises."""
        self._found = None
        await self._wire.close()

    async def identify(self) -> Identified:
        """Read who it is now: another unit behind the same address shows."""
        return identified(await read_again(self._wire, self._known("identify").path, self.device))

    async def parts(self) -> Sequence[Part]:
        """One part a bay, empty ones included."""
        self._known("list its parts")
        found = await self._wire.gather(self._supplies.values())
        return tuple(part_of(name, "psu", found[path]) for name, path in self._supplies.items())

    async def firmware(self) -> Sequence[Firmware]:
        """The shelf's own as `controller`, and one component a supply that is there."""
        shelf = await read_again(self._wire, self._known("read its firmware").path, self.device)
        found = await self._wire.gather(self._supplies.values())
        present = [(name, each) for name, path in self._supplies.items() if (each := found[path]) and is_present(each)]
        versions = [Firmware(name, text(each, "FirmwareVersion")) for name, each in present]
        return (Firmware("controller", text(shelf, "FirmwareVersion")), *versions)

    async def supplies(self) -> Sequence[Supply]:
        """Every bay; what is not metered is None."""
        self._known("read its supplies")
        found = await self._read()
        at = self._connection.now()
        return tuple(self._supply(name, found, at) for name in self._supplies)

    async def input_power(self) -> Reading:
        """The sum over the supplies that are there, W; spoilt as a whole by one that cannot be read."""
        self._known("read its input power")
        found = await self._read()
        at = self._connection.now()
        there = [name for name in self._supplies if self._is_there(name, found)]
        readings = [self._reading("supply.input.power", name, found, at) for name in there]
        spoilt = next((each for each in readings if not each.usable), None)
        if spoilt is not None or not readings:
            return spoilt or missing(Unit.WATT, at)
        return Reading(sum(each.number for each in readings), Unit.WATT, min(each.at for each in readings))

    def channels(self) -> Sequence[Channel]:
        return (
            *(Channel(self.device, name, unit, psu) for name, unit in _CHANNELS.items() for psu in self._supplies),
            Channel(self.device, "bus.voltage", Unit.VOLT),
        )

    async def sample(self) -> Sequence[Sample]:
        self._known("sample")
        found = await self._read()
        at = self._connection.now()
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
        return missing(unit, at) if meter is None else read_meter(meter, found, at, self._service.max_age)

    def _bus(self, found: Mapping[str, Json | None], at: datetime) -> Reading:
        """The bus as its circuit meters it, else the median over the supplies that are fed."""
        own = self._meters.get(("bus.voltage", ""))
        if own is not None:
            return read_meter(own, found, at, self._service.max_age)
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
            subsystem = await read_or_nothing(self._wire, link(chassis, "PowerSubsystem"))
            if not link(subsystem, "PowerSupplies"):
                # The link leads elsewhere or nowhere; DSP2046 fixes where a PowerSubsystem is.
                subsystem = await read_or_nothing(self._wire, f"{path}/PowerSubsystem")
            paths |= await member_paths(self._wire, link(subsystem, "PowerSupplies"), self.device)
            for group in entries(subsystem.get("PowerSupplyRedundancy")):
                paths |= {each: {} for each in links(group, "RedundancyGroup") if each not in paths}
        read = await self._wire.gather(paths)
        return {path: resource for path, resource in read.items() if resource is not None}

    async def _find_meters(self, found: Equipment, supplies: Mapping[str, Json]) -> None:
        meters: dict[tuple[str, str], Meter | None] = {}
        metrics = {name: link(supplies[path], "Metrics") for name, path in self._supplies.items()}
        read = await self._wire.gather(path for path in metrics.values() if path)
        for name, path in metrics.items():
            said, supply = read.get(path) or {}, supplies[self._supplies[name]]
            for quantity, (word, unit) in _METERED.items():
                meters[quantity, name] = meter_of(path, said, (word,), unit)
            rail = _bus_rail(supply, said)
            if rail is not None:
                for quantity, (word, unit) in _RAILS.items():
                    meters[quantity, name] = meter_of(path, said, (word, rail), unit)
        circuits = await read_members(self._wire, link(found.resource, "Branches"), self.device)
        buses = [path for path, each in circuits.items() if text(each, "CircuitType") == "Bus"]
        if len(buses) == 1:
            meters["bus.voltage", ""] = meter_of(buses[0], circuits[buses[0]], ("Voltage",), Unit.VOLT)
        settled = await settle(self._wire, meters.values())
        self._meters = {key: settled[meter] for key, meter in meters.items() if meter is not None}

    async def _read(self) -> dict[str, Json | None]:
        return await carry_out(self._wire, self._plan, self.device, self._wire.timeout)

    def _known(self, attempt: str) -> Equipment:
        if self._found is None:
            raise Unreachable(self.device, attempt, "the device is not open", "Open the device first.")
        return self._found


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
