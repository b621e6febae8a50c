"""Coolant distribution units by Modbus: the loop, its pumps, and every leak detector by itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from drivers.cdu.controls import RegisterControls
from drivers.exchanges import exchanges_of
from drivers.points import absent, bad, decode, doubt, numeric, plan_blocks, reading_of, sample, words_of
from drivers.profile import ModbusProfile, load_profile, part, quantity
from drivers.transports.address import check_options, number_option
from drivers.transports.modbus import OPTIONS, ModbusLink, connect_modbus
from harness.capabilities import Coolant, Firmware, Identified, Leak, LeakState, Part, Pump
from harness.connection import Connection
from harness.controls import CoolantMode, Exchanges, SetPoint
from harness.errors import DeviceError, Unsupported
from harness.quantities import Channel, Reading, Sample, Unit

_IDENTITY = ("identity.part_number", "identity.model", "identity.serial", "identity.firmware")
_LOOP = ("coolant.flow", "coolant.supply.temperature", "coolant.return.temperature")
_PRESSURES = ("coolant.supply.pressure", "coolant.return.pressure")
_REQUIRED = (*_IDENTITY, *_LOOP, "pump.speed", "leak.live")
_OPTIONAL = (*_PRESSURES, "pump.running", "pump.hours", "alarm.sensor", "alarm.status", "leak.fault", "leak.latched")
_TURNING = 60.0
"""rpm from which a pump turns; a tachometer without pulses reads a few at most."""

_Value = float | int | bool | str | frozenset[str] | None


def connect_registers(connection: Connection) -> Cdu:
    """A CDU by its profile (`orv3-rpu`); option `unit` is its number on the bus. Raises DefinitionError."""
    check_options(connection, (*OPTIONS, "unit", "pumps"))
    profile = load_profile(connection.profile, ModbusProfile, driver="cdu", required=_REQUIRED, optional=_OPTIONAL)
    unit = int(number_option(connection, "unit", 1, 0, 255))
    pumps = int(number_option(connection, "pumps", 0, 0, 16))
    return Cdu(connection, profile, connect_modbus(connection), unit, pumps)


class Cdu:
    """One coolant distribution unit. `fitted` pumps, or those that show signs of life when it is opened."""

    def __init__(
        self, connection: Connection, profile: ModbusProfile, link: ModbusLink, unit: int, fitted: int
    ) -> None:
        self._connection = connection
        self._profile = profile
        self._link = link
        self._unit = unit
        self._fitted = fitted
        self._pumps: tuple[str, ...] = ()
        self._vendor: str | None = None
        self._controls = RegisterControls(connection, profile, link, unit)
        self._refused: frozenset[str] = frozenset()
        """Points that this unit's firmware does not have."""
        self._doubts: dict[str, str] = {}

    @property
    def device(self) -> str:
        return self._connection.device

    @property
    def polling_floor(self) -> float:
        return self._profile.polling_floor

    async def open(self) -> None:
        """Find out which points this firmware has and which pumps are fitted; raises DeviceError."""
        self._vendor = None
        refused: set[str] = set()
        groups: dict[str, list[str]] = {}
        for name in self._profile.points:
            groups.setdefault(quantity(name) if quantity(name) in _OPTIONAL else "", []).append(name)
        for names in groups.values():
            refused |= await self._try_out(names)
        lost = sorted(name for name in refused if quantity(name) in (*_LOOP, "leak.live"))
        if lost:
            raise Unsupported(
                self.device, "read its points", f"it refuses {', '.join(lost)}", "Check profile and unit number"
            )
        self._refused = frozenset(refused)
        serial = self._profile.points["identity.serial"]
        self._link.watch(self._unit, serial.register_, serial.words)
        self._pumps = await self._find_pumps()

    async def close(self) -> None:
        await self._link.close()

    async def identify(self) -> Identified:
        """Its identity. The register map has none for the manufacturer: function 43/14 says it, or nobody does."""
        values = await self._read(_IDENTITY)
        part_number, model, serial, firmware = (str(values.get(name) or "") for name in _IDENTITY)
        return Identified(await self._manufacturer(), model, part_number, serial, firmware)

    async def parts(self) -> Sequence[Part]:
        """The pumps. They have no identity of their own on the bus: part number and serial stay empty."""
        return tuple(
            Part(pump.name, "pump", self._profile.manufacturer, "", "", present=True, healthy=pump.healthy)
            for pump in await self.pumps()
        )

    async def firmware(self) -> Sequence[Firmware]:
        values = await self._read(("identity.firmware",))
        return (Firmware("controller", str(values.get("identity.firmware") or "")),)

    async def coolant(self) -> Coolant:
        """The loop at the rack: L/min, degC, kPa. A sensor in fault gives a bad reading."""
        values = await self._read((*_LOOP, *_PRESSURES, "alarm.sensor"))
        at = self._connection.now()
        flow, supply, back = (self._reading(values, name, at) for name in _LOOP)
        supply_pressure, return_pressure = (
            None if name in self._refused or name not in self._profile.points else self._reading(values, name, at)
            for name in _PRESSURES
        )
        return Coolant(supply, back, flow, supply_pressure, return_pressure)

    async def pumps(self) -> Sequence[Pump]:
        """Every fitted pump; healthy only if what it is told to do and its tachometer agree."""
        values = await self._read(self._named("pump.speed", "pump.running"))
        at = self._connection.now()
        return tuple(self._pump(name, values, at) for name in self._pumps)

    async def leaks(self) -> Sequence[Leak]:
        """Every detector by itself; a latched leak counts as wet until somebody clears it at the CDU."""
        return self._leaks(await self._read(self._leak_points()))

    def channels(self) -> Sequence[Channel]:
        pressures = [name for name in _PRESSURES if name in self._profile.points and name not in self._refused]
        return (
            *(Channel(self.device, name, self._profile.points[name].unit) for name in (*_LOOP, *pressures)),
            *(Channel(self.device, "pump.speed", Unit.RPM, name) for name in self._pumps),
            Channel(self.device, "leak.wet", Unit.COUNT),
        )

    async def sample(self) -> Sequence[Sample]:
        wanted = (*_LOOP, *_PRESSURES, "alarm.sensor", *self._named("pump.speed"), *self._leak_points())
        values = await self._read(wanted)
        at = self._connection.now()
        samples: list[Sample] = []
        for channel in self.channels():
            if channel.quantity == "leak.wet":
                states = [leak.state for leak in self._leaks(values)]
                unknown = LeakState.UNKNOWN in states
                wet = sum(state is not LeakState.DRY for state in states)
                # Wet ones are wet, whatever else is unknown; only "none is wet" needs all of them.
                known = any(state in (LeakState.WET, LeakState.FAULT) for state in states) or not unknown
                samples.append(sample(channel, float(wet) if known else None, at))
            elif channel.part:
                samples.append(sample(channel, numeric(values.get(f"{channel.quantity}[{channel.part}]")), at))
            else:
                samples.append(Sample(channel, self._reading(values, channel.quantity, at)))
        return samples

    def exchanges(self) -> Sequence[Exchanges]:
        """How the exchanges with it went since the driver was built."""
        return (exchanges_of(self._link, str(self._unit), self._unit),)

    def doubts(self) -> Sequence[str]:
        """Which values were not believed when last read: point, value and what would be plausible."""
        return tuple(text for _, text in sorted(self._doubts.items()) if text)

    async def set_points(self) -> Sequence[SetPoint]:
        """Every set point that the profile knows, as the device reads it back."""
        return tuple([await self._controls.read(name) for name in sorted(self._profile.controls)])

    async def set_supply_temperature(self, value: float) -> SetPoint:
        """Set the temperature of the rack's supply, degC; returns once it reads back."""
        return await self._controls.write("coolant.supply.temperature", value)

    async def set_flow(self, value: float) -> SetPoint:
        """Set the flow, L/min; returns once it reads back."""
        return await self._controls.write("coolant.flow", value)

    async def mode(self) -> CoolantMode:
        """How it chooses the speed of its pumps."""
        return await self._controls.read_mode()

    async def set_mode(self, mode: CoolantMode) -> CoolantMode:
        """Choose how the pumps run; returns once it reads back. STOPPED ends the flow: heat must be gone before."""
        return await self._controls.write_mode(mode)

    async def _manufacturer(self) -> str:
        if not self._profile.manufacturer and self._vendor is None:
            try:
                self._vendor = (await self._link.identification(self._unit)).get(0, "")
            except DeviceError:
                self._vendor = ""  # many units know no function but 3, 6 and 16; some are silent then
        return self._profile.manufacturer or self._vendor or ""

    async def _try_out(self, names: Sequence[str]) -> set[str]:
        """Which of these points the device refuses; a block of optional ones is tried one by one if it is refused."""
        try:
            await self._read(names)
        except Unsupported:
            if len(names) == 1:
                return set(names)
            return {lost for name in names for lost in await self._try_out([name])}
        return set()

    async def _find_pumps(self) -> tuple[str, ...]:
        names = sorted(part(name) for name in self._named("pump.speed"))
        if self._fitted:
            if self._fitted > len(names):
                raise Unsupported(
                    self.device, f"find {self._fitted} pumps", f"it has registers for {len(names)}", "Check `pumps`"
                )
            return tuple(names[: self._fitted])
        values = await self._read(self._named("pump.speed", "pump.running", "pump.hours"))
        alive = [
            name
            for name in names
            if any(values.get(f"{sign}[{name}]") for sign in ("pump.speed", "pump.running", "pump.hours"))
        ]
        if not alive:
            return tuple(names)  # nothing tells a pump at rest from an empty place: show every place
        return tuple(names[: names.index(alive[-1]) + 1])  # a dead pump between two live ones is a dead pump

    def _named(self, *quantities: str) -> tuple[str, ...]:
        return tuple(
            name for name in self._profile.points if quantity(name) in quantities and name not in self._refused
        )

    def _leak_points(self) -> tuple[str, ...]:
        return self._named("leak.live", "leak.fault", "leak.latched")

    async def _read(self, names: Iterable[str]) -> dict[str, _Value]:
        points = {
            name: self._profile.points[name]
            for name in dict.fromkeys(names)
            if name in self._profile.points and name not in self._refused
        }
        declared = [point for name, point in self._profile.points.items() if name not in self._refused]
        registers: dict[int, int] = {}
        for block in plan_blocks(points.values(), declared, self._profile.block):
            words = await self._link.read(self._unit, block.address, block.count)
            registers |= dict(enumerate(words, block.address))
        values: dict[str, _Value] = {}
        for name, point in points.items():
            found = words_of(point, registers)
            values[name] = None if found is None else decode(point, found)
            self._doubts[name] = "" if found is None else doubt(name, point, found)
        return values

    def _reading(self, values: dict[str, _Value], name: str, at: datetime) -> Reading:
        unit = self._profile.points[name].unit
        if name in self._refused:
            return absent(unit, at)
        alarms = values.get("alarm.sensor")
        if isinstance(alarms, frozenset) and name in alarms:
            return bad(unit, at)
        return reading_of(numeric(values.get(name)), unit, at)

    def _pump(self, name: str, values: dict[str, _Value], at: datetime) -> Pump:
        speed = numeric(values.get(f"pump.speed[{name}]"))
        said = values.get(f"pump.running[{name}]")
        turning = None if speed is None else speed >= _TURNING
        running = said if isinstance(said, bool) else turning
        if f"pump.running[{name}]" in values and not isinstance(said, bool):
            # It reports a status that is none of the known ones, such as abnormal: that is no healthy pump.
            return Pump(name, running, reading_of(speed, Unit.RPM, at), healthy=False)
        healthy = None if running is None or turning is None else running == turning
        return Pump(name, running, reading_of(speed, Unit.RPM, at), healthy)

    def _leaks(self, values: dict[str, _Value]) -> tuple[Leak, ...]:
        live, fault = values.get("leak.live"), values.get("leak.fault", frozenset())
        detectors = sorted(self._profile.points["leak.live"].bits)
        return tuple(Leak(name, self._leak_state(name, values, live, fault)) for name in detectors)

    def _leak_state(self, name: str, values: dict[str, _Value], live: _Value, fault: _Value) -> LeakState:
        latched = f"leak.latched[leak-{name}]"
        if isinstance(live, frozenset) and name in live:
            return LeakState.WET
        if isinstance(fault, frozenset) and name in fault:
            return LeakState.FAULT
        if not isinstance(live, frozenset) or not isinstance(fault, frozenset):
            return LeakState.UNKNOWN
        if latched in self._profile.points and latched not in self._refused:
            since = values.get(latched)
            if since is None:
                return LeakState.UNKNOWN
            if since:
                return LeakState.WET
        return LeakState.DRY
