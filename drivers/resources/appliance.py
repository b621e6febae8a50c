"""One appliance behind a Redfish service — a CDU, a rack PDU, a power shelf: opened once, read again every time.

What the three have in common: who it is, what firmware it runs, all its sensors, and reading meters within a deadline.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from drivers.resources.equipment import (
    Equipment,
    Service,
    find_equipment,
    identified,
    read_again,
)
from drivers.resources.members import Collection, read_collections, read_members, read_or_nothing
from drivers.resources.meters import Meter, read_meter, settle
from drivers.resources.reading import ReadPlan, carry_out, plan_reads
from drivers.resources.sensors import SensorList
from drivers.resources.values import Json, link, text
from drivers.resources.writing import Writer
from drivers.transports.redfish import RedfishWire
from harness.capabilities import Firmware, Identified
from harness.connection import Connection
from harness.errors import Unreachable
from harness.quantities import Reading
from harness.sensors import Sensor


class Appliance:
    """The way to one appliance. `home` and `collection` say where it is listed: `PowerEquipment`, `RackPDUs`."""

    def __init__(self, connection: Connection, service: Service, home: str, collection: str) -> None:
        self._connection = connection
        self._service = service
        self._home = home
        self._collection = collection
        self._found: Equipment | None = None
        self._sensors: tuple[Collection, ...] = ()
        self._list: SensorList | None = None

    @property
    def device(self) -> str:
        return self._connection.device

    @property
    def wire(self) -> RedfishWire:
        return self._service.wire

    @property
    def writer(self) -> Writer:
        return self._service.writer

    def now(self) -> datetime:
        """Rack time."""
        return self._connection.now()

    async def open(self) -> Equipment:
        """Log in, find it and its sensors; it counts as open only after `opened`. Raises DeviceError."""
        await self.wire.open()
        found = await find_equipment(self._service, self._home, self._collection, self.device)
        # DMTF's own power shelf has a chassis with sensors and no link to them; DSP2046 (Chassis, URIs) fixes where.
        wanted = {path: link(each, "Sensors") or f"{path}/Sensors" for path, each in found.chassis.items()}
        if link(found.resource, "Sensors"):
            wanted[found.path] = link(found.resource, "Sensors")
        self._sensors = await read_collections(self.wire, wanted, self.device, found.expands)
        return found

    async def opened(self, found: Equipment, homes: Mapping[str, str], spoken: Mapping[str, Sequence[Json]]) -> None:
        """It is open from now on. `homes` and `spoken` say which part a sensor is on; see `SensorList.of`."""
        metrics = await read_or_nothing(self.wire, link(found.resource, "Metrics"))
        surroundings = await read_or_nothing(self.wire, link(found.resource, "EnvironmentMetrics"))
        self._list = await SensorList.of(
            self.wire,
            self._sensors,
            homes,
            {**spoken, "": (found.resource, metrics, surroundings)},
            self._service.max_age,
            expands=found.expands,
        )
        self._found = found

    async def close(self) -> None:
        """Log out; never raises."""
        self._found = None
        await self.wire.close()

    def known(self, attempt: str) -> Equipment:
        """What was found; raises Unreachable where it is not open."""
        if self._found is None:
            raise Unreachable(self.device, attempt, "the device is not open", "Open the device first.")
        return self._found

    async def itself(self, attempt: str) -> Json:
        """Its own resource, read now: another unit behind the same address shows."""
        return await self.again(self.known(attempt).path)

    async def again(self, path: str) -> Json:
        """A resource that was there before; raises Misbehaved where it has vanished."""
        return await read_again(self.wire, path, self.device)

    async def identify(self) -> Identified:
        """Who it says it is now."""
        return identified(await self.itself("identify"))

    async def firmware(self, component: str) -> Firmware:
        """Its own firmware under the name `component`."""
        return Firmware(component, text(await self.itself("read its firmware"), "FirmwareVersion"))

    async def sensors(self) -> tuple[Sensor, ...]:
        """Every sensor of its chassis and its own, absent ones included."""
        self.known("list its sensors")
        return () if self._list is None else await self._list.read(self.wire, self.device, self.now())

    async def members(self, resource: Json, name: str) -> dict[str, Json]:
        """The members of the collection that a property links to; none where it links to nothing."""
        return await read_members(self.wire, link(resource, name), self.device)

    async def settle(self, meters: Mapping[tuple[str, str], Meter | None]) -> dict[tuple[str, str], Meter]:
        """Meters as they can be read, those that there are; see `drivers.resources.meters.settle`."""
        settled = await settle(self.wire, meters.values())
        return {key: settled[meter] for key, meter in meters.items() if meter is not None}

    async def plan(self, found: Equipment, wanted: Iterable[str], *more: Collection) -> ReadPlan:
        """The cheapest way to read `wanted`, out of its sensors and `more` collections."""
        return await plan_reads(self.wire, (*self._sensors, *more), set(wanted), expands=found.expands)

    async def read(self, plan: ReadPlan) -> dict[str, Json | None]:
        """What a plan reads, None for what failed; raises DeviceError where nothing could be read."""
        return await carry_out(self.wire, plan, self.device, self.wire.timeout)

    async def read_singly(self, paths: Iterable[str]) -> dict[str, Json | None]:
        """Some resources, one by one, as `read`."""
        wanted = tuple(dict.fromkeys(paths))
        return await self.read(ReadPlan(wanted, {}, wanted))

    def metered(self, meter: Meter, found: Mapping[str, Json | None], at: datetime) -> Reading:
        """The reading of a meter out of what was read, judged by its own time stamp."""
        return read_meter(meter, found, at, self._service.max_age)
