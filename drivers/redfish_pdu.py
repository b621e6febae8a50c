"""Rack PDUs by Redfish: PowerEquipment/RackPDUs (PowerDistribution 1.6, Outlet 1.4; OCP RackPDU profile 1.0).

Options beside those of every Redfish equipment: none. An outlet that has no meter says so: its power is None.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from drivers.resources.equipment import (
    POLLING_FLOOR,
    Equipment,
    Service,
    find_equipment,
    identified,
    read_again,
    service_of,
)
from drivers.resources.members import read_collections, read_members, read_or_nothing
from drivers.resources.meters import Meter, meter_of, read_meter, settle
from drivers.resources.reading import ReadPlan, carry_out, plan_reads
from drivers.resources.values import Json, is_present, link, missing, natural, number, text
from drivers.resources.writing import find_action
from drivers.transports.address import suggest
from harness.capabilities import Firmware, Identified, Outlet
from harness.connection import Connection
from harness.errors import Misbehaved, Refused, Unreachable, Unsupported
from harness.quantities import Channel, Quality, Reading, Sample, Unit

_CONTROL = "#Outlet.PowerControl"
_STATES = {"On": True, "Off": False}


def connect(connection: Connection) -> RedfishPdu:
    """A PDU at `https://host:port`; touches no network. Raises DefinitionError."""
    return RedfishPdu(connection, service_of(connection))


class RedfishPdu:
    """One rack PDU. Outlets are named by their Id, which is what is printed: `A1`."""

    def __init__(self, connection: Connection, service: Service) -> None:
        self._connection = connection
        self._service = service
        self._wire = service.wire
        self._found: Equipment | None = None
        self._outlets: dict[str, str] = {}
        """Name of an outlet to its path."""
        self._meters: dict[tuple[str, str], Meter] = {}
        """By quantity (`power`, `current`) and outlet; those of the PDU itself have no outlet."""
        self._plan = ReadPlan((), {}, ())
        self._switching: dict[str, asyncio.Lock] = {}

    @property
    def device(self) -> str:
        return self._connection.device

    @property
    def polling_floor(self) -> float:
        return POLLING_FLOOR

    async def open(self) -> None:
        """Log in, find the PDU, its outlets and what it meters; raises DeviceError."""
        await self._wire.open()
        found = await find_equipment(self._service, "PowerEquipment", "RackPDUs", self.device)
        outlets = await read_members(self._wire, link(found.resource, "Outlets"), self.device)
        if not outlets:
            raise Unsupported(
                self.device, "list its outlets", "the PDU reports none", "Check that it is a switched one"
            )
        names = {path: text(each, "Id") or path.rsplit("/", 1)[-1] for path, each in outlets.items()}
        if len(set(names.values())) < len(names):
            raise Misbehaved(self.device, "list its outlets", "two of them have one Id", "Update its firmware")
        self._outlets = {names[path]: path for path in sorted(names, key=lambda path: natural(names[path]))}
        self._switching = {name: asyncio.Lock() for name in self._outlets}
        await self._find_meters(found, outlets)
        collections = await read_collections(
            self._wire,
            {found.path: link(found.resource, "Outlets")}
            | {path: link(each, "Sensors") for path, each in found.chassis.items()},
            self.device,
            found.expands,
        )
        wanted = {*self._outlets.values(), *(meter.path for meter in self._meters.values())}
        self._plan = await plan_reads(self._wire, collections, wanted, expands=found.expands)
        self._found = found

    async def close(self) -> None:
        """Log out; never raises."""
        self._found = None
        await self._wire.close()

    async def identify(self) -> Identified:
        """Read who it is now: another unit behind the same address shows."""
        return identified(await self._read_self("identify"))

    async def firmware(self) -> Sequence[Firmware]:
        return (Firmware("os", text(await self._read_self("read its firmware"), "FirmwareVersion")),)

    async def outlets(self) -> Sequence[Outlet]:
        """Every outlet in the order of its name; power (W) and current (A) where it is metered."""
        self._known("read its outlets")
        found = await self._read(self._plan)
        at = self._connection.now()
        return tuple(self._outlet(name, found, at) for name in self._outlets)

    async def switch(self, outlet: str, *, on: bool) -> Outlet:
        """Switch one outlet and return once it reads back as wanted; raises Misbehaved where it does not in time.

        The device's own delay for that outlet is waited for on top. A locked outlet is Refused.
        """
        self._known(f"switch outlet {outlet}")
        lock, path = self._switching.get(outlet), self._outlets.get(outlet, "")
        attempt, state = f"switch outlet {outlet} {'on' if on else 'off'}", "On" if on else "Off"
        if lock is None:
            hint = suggest(outlet, self._outlets)
            known = ", ".join(self._outlets)
            raise Unsupported(self.device, attempt, f"there is no such outlet{hint}", f"Its outlets are {known}")
        async with lock:
            resource = await read_again(self._wire, path, self.device)
            if resource.get("PowerControlLocked") is True:
                raise Refused(self.device, attempt, "the outlet is locked", "Unlock it at the PDU.")
            action = await find_action(self._wire, resource, _CONTROL, "PowerState")
            if action is None or not action.takes(state):
                raise Unsupported(self.device, attempt, "the outlet is not switched", "Choose another outlet.")
            delay = number(resource.get(f"Power{state}DelaySeconds"))
            writer = self._service.writer
            patient = type(writer)(self._wire, self.device, writer.deadline + (delay if delay > 0 else 0.0))
            lost = await patient.act(attempt, action, {"PowerState": state})

            async def look() -> bool | None:
                return _STATES.get(text(await read_again(self._wire, path, self.device), "PowerState"))

            await patient.confirm(attempt, look, lambda now: now is on, lost)
            meters = [meter.path for (_, name), meter in self._meters.items() if name == outlet]
            paths = tuple(dict.fromkeys((path, *meters)))
            return self._outlet(outlet, await self._read(ReadPlan(paths, {}, paths)), self._connection.now())

    async def input_power(self) -> Reading:
        """What the PDU draws in all, W; ABSENT where it does not meter that."""
        self._known("read its input power")
        meters = [meter for (quantity, _), meter in self._meters.items() if quantity == "input"]
        paths = tuple(meter.path for meter in meters)
        return self._input(await self._read(ReadPlan(paths, {}, paths)), self._connection.now())

    def channels(self) -> Sequence[Channel]:
        metered = [name for name in self._outlets if ("power", name) in self._meters]
        return (
            Channel(self.device, "input.power", Unit.WATT),
            *(Channel(self.device, "outlet.on", Unit.BOOLEAN, f"outlet-{name}") for name in self._outlets),
            *(Channel(self.device, "outlet.power", Unit.WATT, f"outlet-{name}") for name in metered),
        )

    async def sample(self) -> Sequence[Sample]:
        self._known("sample")
        found = await self._read(self._plan)
        at = self._connection.now()
        return tuple(Sample(channel, self._reading(channel, found, at)) for channel in self.channels())

    def _reading(self, channel: Channel, found: Mapping[str, Json | None], at: datetime) -> Reading:
        name = channel.part.removeprefix("outlet-")
        if channel.quantity == "input.power":
            return self._input(found, at)
        if channel.quantity == "outlet.power":
            return read_meter(self._meters["power", name], found, at, self._service.max_age)
        on = self._is_on(found.get(self._outlets[name]))
        return missing(Unit.BOOLEAN, at) if on is None else Reading(on, Unit.BOOLEAN, at)

    def _outlet(self, name: str, found: Mapping[str, Json | None], at: datetime) -> Outlet:
        power, current = (self._meters.get((quantity, name)) for quantity in ("power", "current"))
        age = self._service.max_age
        return Outlet(
            name,
            self._is_on(found.get(self._outlets[name])),
            None if power is None else read_meter(power, found, at, age),
            None if current is None else read_meter(current, found, at, age),
        )

    def _is_on(self, resource: Json | None) -> bool | None:
        """Whether an outlet is on; None in transition, where it does not say, and where it could not be read."""
        if resource is None or not is_present(resource) or resource.get("PowerStateInTransition") is True:
            return None
        return _STATES.get(text(resource, "PowerState"))

    def _input(self, found: Mapping[str, Json | None], at: datetime) -> Reading:
        """The whole PDU's meter, else the sum of its mains; one that cannot be read spoils the sum."""
        readings = [
            read_meter(meter, found, at, self._service.max_age)
            for (quantity, _), meter in self._meters.items()
            if quantity == "input"
        ]
        if not readings:
            return missing(Unit.WATT, at, Quality.ABSENT)
        spoilt = next((each for each in readings if not each.usable), None)
        if spoilt is not None:
            return spoilt
        return Reading(sum(each.number for each in readings), Unit.WATT, min(each.at for each in readings))

    async def _find_meters(self, found: Equipment, outlets: Mapping[str, Json]) -> None:
        metrics = link(found.resource, "Metrics")
        said: dict[str, Json] = {metrics: await read_or_nothing(self._wire, metrics)} if metrics else {}
        if not any("PowerWatts" in each for each in said.values()):
            mains = await read_members(self._wire, link(found.resource, "Mains"), self.device)
            # The sum over some of its mains would look like a smaller load.
            said = mains if all("PowerWatts" in each for each in mains.values()) else {}
        meters: dict[tuple[str, str], Meter | None] = {
            ("input", path): meter_of(path, each, ("PowerWatts",), Unit.WATT) for path, each in said.items()
        }
        for name, path in self._outlets.items():
            meters["power", name] = meter_of(path, outlets[path], ("PowerWatts",), Unit.WATT)
            meters["current", name] = meter_of(path, outlets[path], ("CurrentAmps",), Unit.AMPERE)
        settled = await settle(self._wire, meters.values())
        self._meters = {key: settled[meter] for key, meter in meters.items() if meter is not None}

    async def _read(self, plan: ReadPlan) -> dict[str, Any]:
        return await carry_out(self._wire, plan, self.device, self._wire.timeout)

    async def _read_self(self, attempt: str) -> Json:
        return await read_again(self._wire, self._known(attempt).path, self.device)

    def _known(self, attempt: str) -> Equipment:
        if self._found is None:
            raise Unreachable(self.device, attempt, "the device is not open", "Open the device first.")
        return self._found
