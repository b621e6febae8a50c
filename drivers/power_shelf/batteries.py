"""Battery units of Open Rack v3 by Modbus: one unit on the bus for each of them, absent ones included."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from drivers.points import numeric, reading_of, sample
from drivers.power_shelf.bank import IDENTITY, Bank, Values, raised, word_of
from drivers.power_shelf.readiness import disagreement, motion, readiness
from drivers.power_shelf.units import Unit
from drivers.profile import quantity
from harness.capabilities import Firmware, Part
from harness.connection import Connection
from harness.power import Battery
from harness.quantities import Channel, Reading, Sample
from harness.quantities import Unit as Measured

REQUIRED = (
    *IDENTITY,
    "battery.charge",
    "battery.health",
    "battery.voltage",
    "battery.cell",
    "battery.temperature",
    "battery.mode",
    "battery.condition",
    "battery.permission",
    "alarm.status",
    "alarm.permanent",
    "alarm.gauge",
)
OPTIONAL = (
    "identity.manufacturer",
    "battery.current",
    "battery.bus.voltage",
    "alarm.communication",
    "alarm.word",
    "alarm.boost",
    "alarm.buck",
    "alarm.charger",
    "alarm.temperature",
    "alarm.life",
)
_CHANNELS = {
    "battery.charge": Measured.PERCENT,
    "battery.voltage": Measured.VOLT,
    "battery.temperature": Measured.CELSIUS,
    "battery.cell.lowest": Measured.VOLT,
    "battery.cell.highest": Measured.VOLT,
}
_WHEN_KNOWN = {"battery.current": Measured.AMPERE, "battery.bus.voltage": Measured.VOLT}


class BatteryBank:
    """The battery units of a shelf, `bbu-1` and on. One that does not answer is listed as absent, never left out."""

    def __init__(self, connection: Connection, bank: Bank) -> None:
        self._connection = connection
        self.bank = bank
        points = bank.profile.points
        self._cells = tuple(name for name in points if quantity(name) == "battery.cell")
        self._temperatures = tuple(name for name in points if quantity(name) == "battery.temperature")
        self._alarms = tuple(name for name in points if name.startswith("alarm."))
        self._measured = ("battery.charge", "battery.voltage", *self._cells, *self._temperatures)
        self._more = {name: unit for name, unit in _WHEN_KNOWN.items() if name in points}

    async def parts(self, *, alone: bool = True) -> Sequence[Part]:
        """One part a unit; one that does not answer is neither present nor healthy."""
        names = (*IDENTITY, "identity.manufacturer", *self._alarms)
        found = await self.bank.read_all(names, alone=alone)
        return tuple([await self._part(unit, values) for unit, values in zip(self.bank.units, found, strict=True)])

    async def firmware(self, *, alone: bool = True) -> Sequence[Firmware]:
        """One component a unit that answers."""
        found = await self.bank.read_all(("identity.firmware",), alone=alone)
        return tuple(
            Firmware(unit.name, word_of(values, "identity.firmware"))
            for unit, values in zip(self.bank.units, found, strict=True)
            if values is not None
        )

    async def batteries(self, *, alone: bool = True) -> Sequence[Battery]:
        """Every unit; charge and health in %, voltage of the pack in V, the hottest of its temperatures in degC."""
        names = (*self._measured, *self._more, "battery.health", "battery.mode", "battery.condition")
        found = await self.bank.read_all((*names, "battery.permission", *self._alarms), alone=alone)
        at = self._connection.now()
        return tuple(self._battery(unit, values, at) for unit, values in zip(self.bank.units, found, strict=True))

    def channels(self) -> Sequence[Channel]:
        """Charge, pack voltage, hottest temperature, lowest and highest cell of each unit, and what it has beside."""
        device = self._connection.device
        units = {**_CHANNELS, **self._more}
        return tuple(Channel(device, name, units[name], unit.name) for name in units for unit in self.bank.units)

    async def sample(self, *, alone: bool = True) -> Sequence[Sample]:
        """One sample a channel."""
        found = await self.bank.read_all((*self._measured, *self._more), alone=alone)
        at = self._connection.now()
        values = {unit.name: each for unit, each in zip(self.bank.units, found, strict=True)}
        return tuple(sample(each, self._value(each.quantity, values[each.part] or {}), at) for each in self.channels())

    async def _part(self, unit: Unit, values: Values | None) -> Part:
        if values is None:
            return Part(unit.name, "bbu", "", "", "", present=False, healthy=False)
        alarms = raised(values, self._alarms)
        number, serial = word_of(values, "identity.part_number"), word_of(values, "identity.serial")
        maker = await self.bank.maker(unit, values)
        return Part(
            unit.name, "bbu", maker, number, serial, present=True, healthy=None if alarms is None else not alarms
        )

    def _battery(self, unit: Unit, values: Values | None, at: datetime) -> Battery:
        if values is None:
            silent = ("does not answer",)
            return Battery(unit.name, False, None, "", None, None, None, None, None, problems=silent)
        alarms = raised(values, self._alarms)
        full, initialised, empty = _said(
            values, "battery.condition", "fully-charged", "initialised", "fully-discharged"
        )
        no_charge, no_discharge = _said(values, "battery.permission", "charge-not-allowed", "discharge-not-allowed")
        charging, discharging, testing = _said(values, "battery.mode", "charging", "discharging", "testing")
        problems = [*(alarms or ())]
        problems += ["discharge-not-allowed"] if no_discharge else []
        # A full battery takes no charge: that is no problem.
        problems += ["charge-not-allowed"] if no_charge and full is not True else []
        problems += ["fully-discharged"] if empty else []
        problems += ["not-initialised"] if initialised is False else []
        problems += [*self.bank.doubts(unit), *filter(None, [self._disagreement(values)])]

        def reading(name: str, measured: Measured) -> Reading:
            return reading_of(self._value(name, values), measured, at)

        return Battery(
            name=unit.name,
            present=True,
            ready=readiness(
                allowed=None if no_discharge is None else not no_discharge,
                initialised=initialised,
                empty=empty,
                alarms=alarms,
            ),
            state=motion(charging=charging, discharging=discharging, testing=testing),
            charge=reading("battery.charge", Measured.PERCENT),
            health=reading("battery.health", Measured.PERCENT),
            voltage=reading("battery.voltage", Measured.VOLT),
            current=reading("battery.current", Measured.AMPERE) if "battery.current" in self._more else None,
            temperature=reading("battery.temperature", Measured.CELSIUS),
            problems=tuple(problems),
        )

    def _disagreement(self, values: Values) -> str:
        cells = [numeric(values.get(name)) for name in self._cells]
        return disagreement(cells, numeric(values.get("battery.voltage")))

    def _value(self, name: str, values: Values) -> float | None:
        """One number of a unit; of several sensors the one that counts, and none where one of them cannot be read."""
        if name == "battery.temperature":
            return _extreme(values, self._temperatures, max)
        if name.startswith("battery.cell."):
            return _extreme(values, self._cells, min if name.endswith("lowest") else max)
        if name == "battery.voltage" and self._disagreement(values):
            return None
        return numeric(values.get(name))


def _extreme(values: Values, names: Sequence[str], choose: Callable[[Iterable[float]], float]) -> float | None:
    found = [numeric(values.get(name)) for name in names]
    known = [each for each in found if each is not None]
    return choose(known) if known and len(known) == len(found) else None


def _said(values: Values, name: str, *words: str) -> tuple[bool | None, ...]:
    """Whether each of these flags is set; None for all of them where the register was not read."""
    flags = values.get(name)
    return tuple(word in flags if isinstance(flags, frozenset) else None for word in words)
