"""CDUs by Redfish: ThermalEquipment/CDUs (CoolingUnit 1.5, CoolantConnector 1.3, Pump 1.2; OCP CDU profile 1.0).

Options beside those of every Redfish equipment: `connector`, the Id of the secondary connector that feeds the rack,
where there are several. The heat that the device reports is never read: it is computed again from flow, temperatures
and the declared coolant (DMTF's own mock-up reports a third of what its figures give).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from drivers.cdu.setpoints import CONTROLS, read_set_point, write_set_point
from drivers.resources.appliance import Appliance
from drivers.resources.equipment import POLLING_FLOOR, Equipment, Service, numbered, part_of, service_of
from drivers.resources.leak import find_detectors, leaks, wet_count
from drivers.resources.members import read_members
from drivers.resources.meters import Meter, meter_of
from drivers.resources.reading import ReadPlan, plan_reads
from drivers.resources.values import Json, is_healthy, is_present, link, missing, state, text
from drivers.resources.writing import find_action
from harness.capabilities import Coolant, Firmware, Identified, Leak, Part, Pump
from harness.connection import Connection
from harness.controls import CoolantMode, SetPoint
from harness.errors import Unreachable, Unsupported
from harness.quantities import Channel, Quality, Reading, Sample, Unit
from harness.sensors import Sensor

_LOOP = {
    "coolant.flow": ("FlowLitersPerMinute", Unit.LITRE_PER_MINUTE),
    "coolant.supply.temperature": ("SupplyTemperatureCelsius", Unit.CELSIUS),
    "coolant.return.temperature": ("ReturnTemperatureCelsius", Unit.CELSIUS),
    "coolant.supply.pressure": ("SupplyPressurekPa", Unit.KILOPASCAL),
    "coolant.return.pressure": ("ReturnPressurekPa", Unit.KILOPASCAL),
}
_NEEDED = ("coolant.flow", "coolant.supply.temperature", "coolant.return.temperature")
_SET_MODE = "#CoolingUnit.SetMode"
_MODES = {CoolantMode.AUTOMATIC: "Enabled", CoolantMode.STOPPED: "Disabled"}


@dataclass(frozen=True, slots=True)
class Loop:
    """What was found when the CDU was opened. `parts` maps kinds to paths by name."""

    connector: str
    parts: Mapping[str, Mapping[str, str]]
    meters: Mapping[tuple[str, str], Meter]
    detectors: tuple[str, ...]
    plan: ReadPlan
    wetness: ReadPlan = field(default_factory=lambda: ReadPlan((), {}, ()))


def connect_equipment(connection: Connection) -> RedfishCdu:
    """A CDU at `https://host:port`; touches no network. Raises DefinitionError."""
    return RedfishCdu(connection, service_of(connection, "connector"))


class RedfishCdu:
    """One coolant distribution unit. Pumps, filters and reservoirs are named as they are labelled: `pump-1`."""

    def __init__(self, connection: Connection, service: Service) -> None:
        self._unit = Appliance(connection, service, "ThermalEquipment", "CDUs")
        self._connector = str(connection.options.get("connector", ""))
        self._loop: Loop | None = None

    @property
    def device(self) -> str:
        return self._unit.device

    @property
    def polling_floor(self) -> float:
        return POLLING_FLOOR

    async def open(self) -> None:
        """Log in, find the unit, its secondary loop, its pumps and detectors; raises DeviceError."""
        unit = await self._unit.open()
        connector, loop = await self._find_connector(unit)
        pumps = await self._unit.members(unit.resource, "Pumps")
        filters = await self._unit.members(unit.resource, "Filters")
        # DMTF's own CDU has reservoirs and no link to them; their place is fixed by DSP2046 (CoolingUnit, URIs).
        tanks = link(unit.resource, "Reservoirs") or f"{unit.path}/Reservoirs"
        reservoirs = await read_members(self._unit.wire, tanks, self.device)
        parts = {"pump": pumps, "filter": filters, "reservoir": reservoirs}
        named = {kind: {name: path for path, name in numbered(kind, found).items()} for kind, found in parts.items()}
        turning = {name: (path, pumps[path]) for name, path in named["pump"].items()}
        meters = await self._find_meters(connector, loop, turning)
        owners = {unit.path: unit.resource, **unit.chassis}
        detectors = await find_detectors(self._unit.wire, owners, self.device, unit.expands)
        every = {path for each in detectors for path in each.members}
        wanted = {meter.path for meter in meters.values()} | set(named["pump"].values())
        self._loop = Loop(
            connector,
            named,
            meters,
            tuple(sorted(every)),
            await self._unit.plan(unit, wanted | every, *detectors),
            await plan_reads(self._unit.wire, detectors, every, expands=unit.expands),
        )
        homes = {path: name for places in named.values() for name, path in places.items()}
        bodies = {**pumps, **filters, **reservoirs}
        await self._unit.opened(unit, homes, {name: [bodies[path]] for path, name in homes.items()})

    async def close(self) -> None:
        """Log out; never raises."""
        self._loop = None
        await self._unit.close()

    async def identify(self) -> Identified:
        """Read who it is now: another unit behind the same address shows."""
        return await self._unit.identify()

    async def firmware(self) -> Sequence[Firmware]:
        return (await self._unit.firmware("controller"),)

    async def sensors(self) -> Sequence[Sensor]:
        """Every sensor of the unit, primary side included."""
        return await self._unit.sensors()

    async def parts(self) -> Sequence[Part]:
        """Pumps, filters and reservoirs; a reservoir is healthy only if its fluid level is, too."""
        loop = self._known("list its parts")
        places = [(name, kind, path) for kind, named in loop.parts.items() for name, path in named.items()]
        found = await self._unit.wire.gather(path for _, _, path in places)
        return tuple(_part(name, kind, found[path]) for name, kind, path in places)

    async def coolant(self) -> Coolant:
        """The secondary loop: L/min, degC, kPa."""
        loop = self._known("read its loop")
        found = await self._unit.read_singly(meter.path for (name, _), meter in loop.meters.items() if name in _LOOP)
        at = self._unit.now()
        flow, supply, back = (self._read_meter(loop, name, "", found, at) for name in _NEEDED)
        pressures = [
            self._read_meter(loop, name, "", found, at) if (name, "") in loop.meters else None
            for name in ("coolant.supply.pressure", "coolant.return.pressure")
        ]
        return Coolant(supply, back, flow, *pressures)

    async def pumps(self) -> Sequence[Pump]:
        """Every pump that is fitted; speed in rpm where it is told, else in percent."""
        loop = self._known("read its pumps")
        named = loop.parts["pump"]
        speeds = (meter.path for (name, _), meter in loop.meters.items() if name == "pump.speed")
        found = await self._unit.read_singly((*named.values(), *speeds))
        at = self._unit.now()
        return tuple(
            self._pump(loop, name, found, at)
            for name, path in named.items()
            if (resource := found.get(path)) is None or is_present(resource)
        )

    async def leaks(self) -> Sequence[Leak]:
        """Every detector by itself; the roll-up is never read. One that cannot be read is unknown."""
        loop = self._known("read its leak detectors")
        return leaks(await self._unit.read(loop.wetness))

    async def set_points(self) -> Sequence[SetPoint]:
        """The set points that the secondary connector offers, as they stand."""
        path = self._known("read its set points").connector
        connector = await self._unit.again(path)
        at = self._unit.now()
        return tuple(point for name in sorted(CONTROLS) if (point := read_set_point(name, connector, at)) is not None)

    async def set_supply_temperature(self, value: float) -> SetPoint:
        """Set the temperature of the rack's supply, degC; returns once it reads back."""
        return await self._set("coolant.supply.temperature", value)

    async def set_flow(self, value: float) -> SetPoint:
        """Set the flow, L/min; returns once it reads back."""
        return await self._set("coolant.flow", value)

    async def mode(self) -> CoolantMode:
        """AUTOMATIC while it is enabled, STOPPED while disabled; Redfish knows no other mode of a unit."""
        return _mode(await self._unit.itself("read its mode"))

    async def set_mode(self, mode: CoolantMode) -> CoolantMode:
        """Enable or stop it; returns once it reads back. STOPPED ends the flow: heat must be gone before."""
        attempt = f"set its mode to {mode}"
        resource = await self._unit.itself(attempt)
        action = await find_action(self._unit.wire, resource, _SET_MODE, "Mode")
        word = _MODES.get(mode, "")
        if action is None or not word or not action.takes(word):
            raise Unsupported(self.device, attempt, "the unit does not offer it", "Set it at the CDU.")
        lost = await self._unit.writer.act(attempt, action, {"Mode": word})
        return await self._unit.writer.confirm(attempt, self.mode, lambda now: now is mode, lost)

    def channels(self) -> Sequence[Channel]:
        loop = self._loop
        meters = loop.meters if loop is not None else {}
        return (
            *(Channel(self.device, name, _LOOP[name][1]) for name in _LOOP if (name, "") in meters or name in _NEEDED),
            *(
                Channel(self.device, name, meter.unit, part)
                for (name, part), meter in meters.items()
                if name == "pump.speed" and meter.unit is Unit.RPM
            ),
            Channel(self.device, "leak.wet", Unit.COUNT),
        )

    async def sample(self) -> Sequence[Sample]:
        loop = self._known("sample")
        found = await self._unit.read(loop.plan)
        at = self._unit.now()
        wet = wet_count({path: found.get(path) for path in loop.detectors}, at)
        return tuple(
            Sample(
                channel,
                wet
                if channel.quantity == "leak.wet"
                else self._read_meter(loop, channel.quantity, channel.part, found, at),
            )
            for channel in self.channels()
        )

    async def _find_connector(self, unit: Equipment) -> tuple[str, Json]:
        found = await self._unit.members(unit.resource, "SecondaryCoolantConnectors")
        chosen = {path: each for path, each in found.items() if self._connector in ("", text(each, "Id"))}
        if len(chosen) != 1:
            ids = ", ".join(text(each, "Id") for each in found.values()) or "none"
            advice = "Name the one that feeds the rack: options: {connector: …}"
            raise Unsupported(self.device, "find its secondary connector", f"the unit lists {ids}", advice)
        return next(iter(chosen.items()))

    async def _find_meters(
        self, connector: str, loop: Json, pumps: Mapping[str, tuple[str, Json]]
    ) -> dict[tuple[str, str], Meter]:
        meters: dict[tuple[str, str], Meter | None] = {
            (name, ""): meter_of(connector, loop, (word,), unit) for name, (word, unit) in _LOOP.items()
        }
        lost = [name for name in _NEEDED if meters[name, ""] is None]
        if lost:
            raise Unsupported(self.device, "read its loop", f"it does not meter {', '.join(lost)}", "Use another.")
        for name, (path, pump) in pumps.items():
            revolving = meter_of(path, pump, ("PumpSpeedPercent", "SpeedRPM"), Unit.RPM)
            meters["pump.speed", name] = revolving or meter_of(path, pump, ("PumpSpeedPercent",), Unit.PERCENT)
        return await self._unit.settle(meters)

    def _read_meter(
        self, loop: Loop, name: str, part: str, found: Mapping[str, Json | None], at: datetime
    ) -> Reading:  # fmt: skip
        meter = loop.meters.get((name, part))
        if meter is None:
            return missing(_LOOP[name][1], at, Quality.ABSENT)
        return self._unit.metered(meter, found, at)

    def _pump(self, loop: Loop, name: str, found: Mapping[str, Json | None], at: datetime) -> Pump:
        resource = found.get(loop.parts["pump"][name])
        meter = loop.meters.get(("pump.speed", name))
        speed = None if meter is None else self._unit.metered(meter, found, at)
        if resource is None:
            return Pump(name, None, speed, healthy=None)
        turning = speed.number > 0 if speed is not None and speed.usable else None
        running = False if state(resource) in ("Disabled", "UnavailableOffline", "StandbyOffline") else turning
        return Pump(name, running, speed, is_healthy(resource))

    async def _set(self, name: str, value: float) -> SetPoint:
        path = self._known(f"set {name}").connector
        return await write_set_point(self._unit.writer, path, name, value, self._unit.now)

    def _known(self, attempt: str) -> Loop:
        if self._loop is None:
            raise Unreachable(self.device, attempt, "the device is not open", "Open the device first.")
        return self._loop


def _mode(unit: Json) -> CoolantMode:
    said = state(unit)
    if said == "Enabled":
        return CoolantMode.AUTOMATIC
    return CoolantMode.STOPPED if said in ("Disabled", "StandbyOffline") else CoolantMode.UNKNOWN


def _part(name: str, kind: str, resource: Json | None) -> Part:
    part = part_of(name, kind, resource)
    level = text(resource, "FluidLevelStatus") if resource is not None else ""
    if kind != "reservoir" or level in ("", "OK"):
        return part
    return Part(name, kind, part.manufacturer, part.part_number, part.serial, part.present, healthy=False)
