"""A bank: the units of one kind on a bus, read by one profile, one after the other, for they share a pair of wires."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from drivers.exchanges import exchanges_of
from drivers.points import decode, doubt, plan_blocks, words_of
from drivers.power_shelf.units import Unit
from drivers.profile import ModbusProfile
from harness.capabilities import Identified
from harness.controls import Exchanges
from harness.errors import DeviceError, Unreachable

IDENTITY = ("identity.part_number", "identity.model", "identity.serial", "identity.firmware")
Value = float | int | bool | str | frozenset[str] | None
Values = Mapping[str, Value]


class Bank:
    """Units of one kind. What one does not answer is missing from its values, and never from another's."""

    def __init__(self, device: str, profile: ModbusProfile, units: tuple[Unit, ...], kind: str) -> None:
        self._device = device
        self._kind = kind
        self.profile = profile
        self.units = units
        self.lost: DeviceError | None = None
        """Why nobody answered, where nobody did the last time."""
        self._doubts: dict[tuple[str, str], str] = {}
        self._vendors: dict[str, str] = {}
        """Serial number of a unit to its maker."""

    async def read_all(self, names: Iterable[str], *, alone: bool = True) -> list[Values | None]:
        """These points of every unit, None for one that does not answer.

        Raises DeviceError where none does, unless it is not `alone` on its bus: then somebody else may still speak.
        """
        wanted = tuple(names)
        found: list[Values | None] = []
        failed: list[DeviceError] = []
        for unit in self.units:
            try:
                found.append(await self.read(unit, wanted))
            except DeviceError as error:
                found.append(None)
                failed.append(error)
        self.lost = None
        if len(failed) == len(self.units):
            first = failed[0]
            silent = all(isinstance(error, Unreachable) for error in failed)
            seen = f"none of {len(self.units)} {self._kind} answers" if silent else first.seen
            kind = Unreachable if silent else type(first)
            self.lost = kind(self._device, first.attempted, seen, first.advice, first.exchange)
            if alone:
                raise self.lost from first
        return found

    async def read(self, unit: Unit, names: Sequence[str]) -> Values:
        """These points of one unit, as far as its profile has them; raises DeviceError."""
        points = {name: self.profile.points[name] for name in names if name in self.profile.points}
        registers: dict[int, int] = {}
        for block in plan_blocks(points.values(), self.profile.points.values(), self.profile.block):
            words = await unit.link.read(unit.number, block.address, block.count)
            registers |= dict(enumerate(words, block.address))
        values: dict[str, Value] = {}
        for name, point in points.items():
            found = words_of(point, registers)
            values[name] = None if found is None else decode(point, found)
            self._doubts[unit.name, name] = "" if found is None else doubt(name, point, found)
        return values

    async def identify(self) -> Identified:
        """Who the first unit says it is; raises DeviceError."""
        values = await self.read(self.units[0], (*IDENTITY, "identity.manufacturer"))
        number, model, serial, firmware = (word_of(values, name) for name in IDENTITY)
        return Identified(await self.maker(self.units[0], values), model, number, serial, firmware)

    async def maker(self, unit: Unit, values: Values) -> str:
        """Who made a unit: its profile, its registers, or function 43/14 says it; else nobody does."""
        said = self.profile.manufacturer or str(values.get("identity.manufacturer") or "")
        if said:
            return said
        serial = str(values.get("identity.serial") or "")
        if serial not in self._vendors:
            try:
                self._vendors[serial] = (await unit.link.identification(unit.number)).get(0, "")
            except DeviceError:
                self._vendors[serial] = ""  # many units know no function but 3, 6 and 16; some are silent then
        return self._vendors[serial]

    async def find(self, names: Iterable[str]) -> None:
        """Begin anew: see who answers, and know each unit by its serial number from now on; raises DeviceError."""
        self._vendors.clear()
        self._doubts.clear()
        await self.read_all(("identity.serial", *names))
        serial = self.profile.points["identity.serial"]
        for unit in self.units:
            unit.link.watch(unit.number, serial.register_, serial.words)

    def doubts(self, unit: Unit) -> tuple[str, ...]:
        """Which of its values were not believed when last read, and why."""
        return tuple(text for (name, _), text in sorted(self._doubts.items()) if name == unit.name and text)

    def all_doubts(self) -> tuple[str, ...]:
        """The same of all units, each with its name in front."""
        return tuple(f"{unit.name}: {text}" for unit in self.units for text in self.doubts(unit))

    def exchanges(self) -> tuple[Exchanges, ...]:
        """How the exchanges with each unit went since the driver was built."""
        return tuple(exchanges_of(unit.link, unit.name, unit.number) for unit in self.units)


def word_of(values: Values, name: str) -> str:
    """A text; empty where there is none."""
    return str(values.get(name) or "")


def raised(values: Values, names: Iterable[str]) -> tuple[str, ...] | None:
    """The alarms that are raised in these flags, named; None where one of them was not read."""
    alarms: list[str] = []
    for name in names:
        flags = values.get(name)
        if not isinstance(flags, frozenset):
            return None
        alarms += sorted(flags)
    return tuple(dict.fromkeys(alarms))
