"""Liquid cooling packages by SNMP: units whose values are variables in one table, each found by its own name.

Rittal CMC III numbers its variables as sensors are plugged in, so a number is believed only while its name still
stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from drivers.families import check_family, connect_family
from drivers.points import bad, oid_of, reading_of, sample, state, text, worded
from drivers.profile import SnmpPoint, SnmpProfile, part, quantity
from drivers.transports.snmp import Oid, SnmpLink, Value
from harness.capabilities import Coolant, Firmware, Identified, Leak, LeakState, Pump
from harness.connection import Connection
from harness.errors import Misbehaved, Unsupported
from harness.quantities import Channel, Reading, Sample, Unit

_IDENTITY = ("identity.model", "identity.serial", "identity.firmware")
_VARIABLE = ("variable.name", "variable.unit", "variable.scale")
_LOOP = ("coolant.flow", "coolant.supply.temperature", "coolant.return.temperature")
_REQUIRED = (*_IDENTITY, *_VARIABLE, *_LOOP, "leak.live")
_OPTIONAL = ("cooling.capacity", "valve.position")
_SYSTEM: tuple[Oid, Oid] = ((1, 3, 6, 1, 2, 1, 1, 1, 0), (1, 3, 6, 1, 2, 1, 1, 2, 0))
_NOT_AVAILABLE, _OK = 1, 4
"""Values of a `….Status` variable: n.a. and OK, as the recorded unit spells them beside the numbers."""
_SPELT = {
    Unit.LITRE_PER_MINUTE: ("l/min",),
    Unit.CELSIUS: ("degree c", "°c", "c"),
    Unit.WATT: ("w",),
    Unit.PERCENT: ("%",),
}
"""How the unit itself spells these; another spelling is another quantity, such as degree F."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of the table: where it is, and by what its INTEGER is multiplied."""

    index: Oid
    factor: float
    status: Oid | None
    """Index of the variable that says whether this one is good, where there is one."""


def connect(connection: Connection) -> LiquidCooling:
    """A liquid cooling package by its profile (`rittal-lcp`); touches no network. Raises DefinitionError."""
    profile, link = connect_family(connection, "rittal-lcp", driver="cdu", required=_REQUIRED, optional=_OPTIONAL)
    return LiquidCooling(connection, profile, link)


class LiquidCooling:
    """One liquid cooling package, as a CDU without pumps of its own: the building's pumps move the water."""

    def __init__(self, connection: Connection, profile: SnmpProfile, link: SnmpLink) -> None:
        self._connection = connection
        self._profile = profile
        self._link = link
        self._variables: dict[str, Variable] = {}
        """By point."""

    @property
    def device(self) -> str:
        return self._connection.device

    @property
    def polling_floor(self) -> float:
        return self._profile.polling_floor

    async def open(self) -> None:
        """Find out what it is and where its variables are; raises DeviceError."""
        await self._recognise()
        columns = [oid_of(self._profile.points[name].oid) for name in _VARIABLE]
        walked = await self._link.walk(columns)
        names, units, scales = (walked[column] for column in columns)
        places: dict[str, list[Oid]] = {}
        for index, raw in names.items():
            places.setdefault(text(raw), []).append(index)
        found = {
            name: self._variable(name, point, places, units, scales)
            for name, point in self._profile.points.items()
            if point.named
        }
        self._variables = {name: variable for name, variable in found.items() if variable is not None}
        lost = [name for name in found if name not in self._variables and quantity(name) in (*_LOOP, "leak.live")]
        if lost:
            named = ", ".join(repr(self._profile.points[name].named) for name in lost)
            raise Unsupported(
                self.device, "find its variables", f"it has none called {named}", "Check its modules and the profile"
            )

    async def close(self) -> None:
        await self._link.close()

    async def identify(self) -> Identified:
        points = [self._profile.points[name] for name in _IDENTITY]
        found = await self._link.get(oid_of(point.oid) for point in points)
        model, serial, firmware = (worded(point, found[oid_of(point.oid)]) for point in points)
        return Identified(self._profile.manufacturer, model, model, serial, firmware)

    async def firmware(self) -> Sequence[Firmware]:
        return (Firmware("controller", (await self.identify()).firmware),)

    async def coolant(self) -> Coolant:
        """The water at the package: L/min, degC. It has no sensors for pressure."""
        values = await self._read(_LOOP)
        at = self._connection.now()
        flow, supply, back = (self._reading(values, name, at) for name in _LOOP)
        return Coolant(supply, back, flow, None, None)

    async def pumps(self) -> Sequence[Pump]:
        """None: a package has a valve, and the building's pumps behind it."""
        return ()

    async def leaks(self) -> Sequence[Leak]:
        """Every detector by itself, by name."""
        return self._leaks(await self._read(self._detectors()))

    def channels(self) -> Sequence[Channel]:
        measured = [name for name in (*_LOOP, *_OPTIONAL) if name in self._variables]
        return (
            *(Channel(self.device, name, self._profile.points[name].unit) for name in measured),
            Channel(self.device, "leak.wet", Unit.COUNT),
        )

    async def sample(self) -> Sequence[Sample]:
        values = await self._read(self._variables)
        at = self._connection.now()
        samples: list[Sample] = []
        for channel in self.channels():
            if channel.quantity == "leak.wet":
                samples.append(sample(channel, _wet([leak.state for leak in self._leaks(values)]), at))
            else:
                samples.append(Sample(channel, self._reading(values, channel.quantity, at)))
        return samples

    async def _recognise(self) -> None:
        found = await self._link.get(_SYSTEM)
        check_family(self.device, self._profile, text(found[_SYSTEM[0]]), found[_SYSTEM[1]])

    def _variable(
        self,
        name: str,
        point: SnmpPoint,
        places: Mapping[str, Sequence[Oid]],
        units: Mapping[Oid, Value],
        scales: Mapping[Oid, Value],
    ) -> Variable | None:
        found = places.get(point.named, ())
        if not found:
            return None
        if len(found) > 1:
            raise Misbehaved(
                self.device, f"find {point.named!r}", f"{len(found)} variables have this name", "Rename its modules"
            )
        index, spelt = found[0], text(units.get(found[0]))
        if point.unit in _SPELT and spelt.lower() not in _SPELT[point.unit]:
            raise Misbehaved(
                self.device,
                f"read {name}",
                f"{point.named!r} is in {spelt!r}, not in {point.unit}",
                "Set the unit's own settings to SI units",
            )
        status = places.get(f"{point.named.rpartition('.')[0]}.Status", ())
        return Variable(index, _factor(scales.get(index)), status[0] if len(status) == 1 else None)

    def _detectors(self) -> list[str]:
        return [name for name in self._variables if quantity(name) == "leak.live"]

    async def _read(self, names: Iterable[str]) -> dict[str, tuple[Value, Value]]:
        """Raw value and status of these points; a variable whose name has gone elsewhere has no value."""
        chosen = {name: self._variables[name] for name in names if name in self._variables}
        called = oid_of(self._profile.points["variable.name"].oid)
        asked = {
            name: (
                (*called, *variable.index),
                (*oid_of(self._profile.points[name].oid), *variable.index),
                (*oid_of(self._profile.points[name].oid), *variable.status) if variable.status else None,
            )
            for name, variable in chosen.items()
        }
        found = await self._link.get(oid for oids in asked.values() for oid in oids if oid is not None)
        values: dict[str, tuple[Value, Value]] = {}
        for name, (label, value, status) in asked.items():
            still = text(found[label]) == self._profile.points[name].named
            values[name] = (found[value] if still else None, found[status] if status else _OK)
        return values

    def _reading(self, values: Mapping[str, tuple[Value, Value]], name: str, at: datetime) -> Reading:
        unit = self._profile.points[name].unit
        raw, status = values.get(name, (None, None))
        if not isinstance(raw, int) or not isinstance(status, int) or status == _NOT_AVAILABLE:
            return bad(unit, at)
        return reading_of(raw * self._variables[name].factor, unit, at)

    def _leaks(self, values: Mapping[str, tuple[Value, Value]]) -> tuple[Leak, ...]:
        found = []
        for name in self._detectors():
            raw, status = values.get(name, (None, None))
            found.append(Leak(part(name), _judged(state(self._profile.points[name], raw), status)))
        return tuple(sorted(found, key=lambda leak: leak.name))


def _factor(scale: Value) -> float:
    """RITTAL-CMC-III-MIB cmcIIIVarScale: -100 divides by 100, 10 multiplies by 10; 0 and 1 leave it as it is."""
    if not isinstance(scale, int) or scale == 0:
        return 1.0
    return 1.0 / -scale if scale < 0 else float(scale)


def _judged(wet: bool | None, status: Value) -> LeakState:
    """Dry only where both the input and the status of the detector say so."""
    if wet:
        return LeakState.WET
    if wet is None or status == _NOT_AVAILABLE or not isinstance(status, int):
        return LeakState.UNKNOWN
    return LeakState.DRY if status == _OK else LeakState.FAULT


def _wet(states: Sequence[LeakState]) -> float | None:
    """How many are wet or in fault; None where that is none of them, and not all are known."""
    count = sum(state in (LeakState.WET, LeakState.FAULT) for state in states)
    return None if not count and LeakState.UNKNOWN in states else float(count)
