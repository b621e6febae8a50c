"""Rack PDUs by Redfish: PowerEquipment/RackPDUs (PowerDistribution 1.6, Outlet 1.4, Circuit 1.9; OCP RackPDU profile).

Options beside those of every Redfish equipment: none. An outlet that has no meter says so: its power is None.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from drivers.resources.appliance import Appliance
from drivers.resources.circuits import Circuit, circuit_parts, find_circuits
from drivers.resources.equipment import POLLING_FLOOR, Equipment, Service, read_again, service_of
from drivers.resources.members import read_collections, read_or_nothing
from drivers.resources.meters import Meter, meter_of, total
from drivers.resources.reading import ReadPlan
from drivers.resources.values import Json, is_present, link, missing, natural, number, text
from drivers.resources.writing import find_action
from drivers.transports.address import suggest
from harness.capabilities import Firmware, Identified, Outlet, Part
from harness.connection import Connection
from harness.errors import Misbehaved, Refused, Unsupported
from harness.quantities import Channel, Reading, Sample, Unit
from harness.sensors import Sensor

_CONTROL = "#Outlet.PowerControl"
_STATES = {"On": True, "Off": False}


def connect(connection: Connection) -> RedfishPdu:
    """A PDU at `https://host:port`; touches no network. Raises DefinitionError."""
    return RedfishPdu(connection, service_of(connection))


class RedfishPdu:
    """One rack PDU. Outlets are named by their Id, which is what is printed: `A1`; circuits likewise, `branch-A`."""

    def __init__(self, connection: Connection, service: Service) -> None:
        self._unit = Appliance(connection, service, "PowerEquipment", "RackPDUs")
        self._outlets: dict[str, str] = {}
        """Name of an outlet to its path."""
        self._circuits: tuple[Circuit, ...] = ()
        self._meters: dict[tuple[str, str], Meter] = {}
        """By quantity (`power`, `current`) and outlet; those of the PDU itself are `input`, by what they belong to."""
        self._plan = ReadPlan((), {}, ())
        self._switching: dict[str, asyncio.Lock] = {}

    @property
    def device(self) -> str:
        return self._unit.device

    @property
    def polling_floor(self) -> float:
        return POLLING_FLOOR

    async def open(self) -> None:
        """Log in, find the PDU, its outlets, its circuits and what it meters; raises DeviceError."""
        found = await self._unit.open()
        outlets = await self._unit.members(found.resource, "Outlets")
        if not outlets:
            raise Unsupported(
                self.device, "list its outlets", "the PDU reports none", "Check that it is a switched one"
            )
        names = {path: text(each, "Id") or path.rsplit("/", 1)[-1] for path, each in outlets.items()}
        if len(set(names.values())) < len(names):
            raise Misbehaved(self.device, "list its outlets", "two of them have one Id", "Update its firmware")
        self._outlets = {names[path]: path for path in sorted(names, key=lambda path: natural(names[path]))}
        self._switching = {name: asyncio.Lock() for name in self._outlets}
        self._circuits = await find_circuits(self._unit, found.resource)
        await self._find_meters(found, outlets)
        listed = await read_collections(
            self._unit.wire, {found.path: link(found.resource, "Outlets")}, self.device, found.expands
        )
        metered = (meter.path for meter in self._meters.values())
        self._plan = await self._unit.plan(found, (*self._outlets.values(), *metered), *listed)
        homes = {path: f"outlet-{name}" for name, path in self._outlets.items()}
        homes |= {each.path: each.name for each in self._circuits}
        every = {**outlets, **{each.path: each.resource for each in self._circuits}}
        await self._unit.opened(found, homes, {name: [every[path]] for path, name in homes.items()})

    async def close(self) -> None:
        """Log out; never raises."""
        await self._unit.close()

    async def identify(self) -> Identified:
        """Read who it is now: another unit behind the same address shows."""
        return await self._unit.identify()

    async def firmware(self) -> Sequence[Firmware]:
        return (await self._unit.firmware("os"),)

    async def sensors(self) -> Sequence[Sensor]:
        """Every sensor of the PDU."""
        return await self._unit.sensors()

    async def parts(self) -> Sequence[Part]:
        """Its circuits, mains first; one whose breaker is not `Normal` is not healthy."""
        self._unit.known("list its parts")
        return circuit_parts(self._circuits, await self._unit.wire.gather(each.path for each in self._circuits))

    async def outlets(self) -> Sequence[Outlet]:
        """Every outlet in the order of its name; power (W) and current (A) where it is metered."""
        self._unit.known("read its outlets")
        found = await self._unit.read(self._plan)
        at = self._unit.now()
        return tuple(self._outlet(name, found, at) for name in self._outlets)

    async def switch(self, outlet: str, *, on: bool) -> Outlet:
        """Switch one outlet and return once it reads back as wanted; raises Misbehaved where it does not in time.

        The device's own delay for that outlet is waited for on top. A locked outlet is Refused.
        """
        self._unit.known(f"switch outlet {outlet}")
        lock, path = self._switching.get(outlet), self._outlets.get(outlet, "")
        attempt, state = f"switch outlet {outlet} {'on' if on else 'off'}", "On" if on else "Off"
        if lock is None:
            hint = suggest(outlet, self._outlets)
            known = ", ".join(self._outlets)
            raise Unsupported(self.device, attempt, f"there is no such outlet{hint}", f"Its outlets are {known}")
        async with lock:
            ahead = self._unit.wire.ahead
            resource = await read_again(ahead, path, self.device)
            if resource.get("PowerControlLocked") is True:
                raise Refused(self.device, attempt, "the outlet is locked", "Unlock it at the PDU.")
            action = await find_action(ahead, resource, _CONTROL, "PowerState")
            if action is None or not action.takes(state):
                raise Unsupported(self.device, attempt, "the outlet is not switched", "Choose another outlet.")
            delay = number(resource.get(f"Power{state}DelaySeconds"))
            writer = self._unit.writer
            patient = replace(writer, wire=ahead, deadline=writer.deadline + (delay if delay > 0 else 0.0))
            lost = await patient.act(attempt, action, {"PowerState": state})

            async def look() -> bool | None:
                return _STATES.get(text(await read_again(ahead, path, self.device), "PowerState"))

            await patient.confirm(attempt, look, lambda now: now is on, lost)
            meters = (meter.path for (_, name), meter in self._meters.items() if name == outlet)
            return self._outlet(outlet, await self._unit.read_singly((path, *meters)), self._unit.now())

    async def input_power(self) -> Reading:
        """What the PDU draws in all, W; ABSENT where it does not meter that."""
        self._unit.known("read its input power")
        paths = (meter.path for (quantity, _), meter in self._meters.items() if quantity == "input")
        return self._input(await self._unit.read_singly(paths), self._unit.now())

    def channels(self) -> Sequence[Channel]:
        metered = [name for name in self._outlets if ("power", name) in self._meters]
        return (
            Channel(self.device, "input.power", Unit.WATT),
            *(Channel(self.device, "outlet.on", Unit.BOOLEAN, f"outlet-{name}") for name in self._outlets),
            *(Channel(self.device, "outlet.power", Unit.WATT, f"outlet-{name}") for name in metered),
        )

    async def sample(self) -> Sequence[Sample]:
        self._unit.known("sample")
        found = await self._unit.read(self._plan)
        at = self._unit.now()
        return tuple(Sample(channel, self._reading(channel, found, at)) for channel in self.channels())

    def _reading(self, channel: Channel, found: Mapping[str, Json | None], at: datetime) -> Reading:
        name = channel.part.removeprefix("outlet-")
        if channel.quantity == "input.power":
            return self._input(found, at)
        if channel.quantity == "outlet.power":
            return self._unit.metered(self._meters["power", name], found, at)
        on = self._is_on(found.get(self._outlets[name]))
        return missing(Unit.BOOLEAN, at) if on is None else Reading(on, Unit.BOOLEAN, at)

    def _outlet(self, name: str, found: Mapping[str, Json | None], at: datetime) -> Outlet:
        power, current = (self._meters.get((quantity, name)) for quantity in ("power", "current"))
        return Outlet(
            name,
            self._is_on(found.get(self._outlets[name])),
            None if power is None else self._unit.metered(power, found, at),
            None if current is None else self._unit.metered(current, found, at),
        )

    def _is_on(self, resource: Json | None) -> bool | None:
        """Whether an outlet is on; None in transition, where it does not say, and where it could not be read."""
        if resource is None or not is_present(resource) or resource.get("PowerStateInTransition") is True:
            return None
        return _STATES.get(text(resource, "PowerState"))

    def _input(self, found: Mapping[str, Json | None], at: datetime) -> Reading:
        """The whole PDU's meter, else the sum of its mains; one that cannot be read spoils the sum."""
        meters = (meter for (quantity, _), meter in self._meters.items() if quantity == "input")
        return total([self._unit.metered(meter, found, at) for meter in meters], Unit.WATT, at)

    async def _find_meters(self, found: Equipment, outlets: Mapping[str, Json]) -> None:
        metrics = link(found.resource, "Metrics")
        said: Mapping[str, Json] = {metrics: await read_or_nothing(self._unit.wire, metrics)} if metrics else {}
        if not any("PowerWatts" in each for each in said.values()):
            mains = {each.path: each.resource for each in self._circuits if each.kind == "main"}
            # The sum over some of its mains would look like a smaller load.
            said = mains if all("PowerWatts" in each for each in mains.values()) else {}
        meters: dict[tuple[str, str], Meter | None] = {
            ("input", path): meter_of(path, each, ("PowerWatts",), Unit.WATT) for path, each in said.items()
        }
        for name, path in self._outlets.items():
            meters["power", name] = meter_of(path, outlets[path], ("PowerWatts",), Unit.WATT)
            meters["current", name] = meter_of(path, outlets[path], ("CurrentAmps",), Unit.AMPERE)
        self._meters = await self._unit.settle(meters)
