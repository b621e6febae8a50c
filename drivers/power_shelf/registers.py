"""Power shelves of Open Rack v3: one Modbus unit for each supply, all on one bus."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from drivers.exchanges import exchanges_of
from drivers.points import decode, numeric, plan_blocks, reading_of, sample, words_of
from drivers.profile import ModbusProfile, load_profile
from drivers.transports.address import check_options, wrong
from drivers.transports.modbus import OPTIONS, ModbusLink, connect_modbus
from harness.capabilities import Firmware, Identified, Part, Supply
from harness.connection import Connection
from harness.controls import Exchanges
from harness.errors import DeviceError, Unreachable
from harness.quantities import Channel, Reading, Sample, Unit

_IDENTITY = ("identity.part_number", "identity.model", "identity.serial", "identity.firmware")
_INPUT_LOST = frozenset({"ac-not-ok", "ac-low", "ac-high", "relay-off"})
_ALARMS = ("alarm.general", "alarm.input", "alarm.output", "alarm.temperature", "alarm.communication")
_MEASURED = (
    "supply.input.power",
    "supply.output.power",
    "supply.output.current",
    "supply.input.voltage",
    "supply.output.voltage",
)
_OPTIONAL = (
    "supply.share.current",
    "supply.bulk.voltage",
    "supply.input.frequency",
    "supply.input.distortion",
    "supply.input.power_factor",
)
_CHANNELS = _MEASURED[:4]

_Value = float | int | bool | str | frozenset[str] | None


@dataclass(frozen=True, slots=True)
class _Unit:
    """One supply: its name and its number on the bus."""

    name: str
    number: int


def connect_registers(connection: Connection) -> PowerShelf:
    """A shelf by its profile; option `units` lists the bus numbers of psu-1, psu-2 …; raises DefinitionError."""
    check_options(connection, (*OPTIONS, "units"))
    profile = load_profile(
        connection.profile,
        ModbusProfile,
        driver="power_shelf",
        required=(*_IDENTITY, *_ALARMS, *_MEASURED),
        optional=_OPTIONAL,
    )
    return PowerShelf(connection, profile, connect_modbus(connection), _units(connection))


def _units(connection: Connection) -> tuple[_Unit, ...]:
    listed = str(connection.options.get("units", ""))
    numbers = [word.strip() for word in listed.split(",")]
    if not all(word.isdigit() and 1 <= int(word) <= 247 for word in numbers):
        raise wrong(connection, "options.units", f"{listed!r} must list numbers from 1 to 247, as '200,201,202'")
    if len(set(numbers)) != len(numbers):
        raise wrong(connection, "options.units", f"{listed!r} names a unit twice")
    return tuple(_Unit(f"psu-{index}", int(number)) for index, number in enumerate(numbers, 1))


class PowerShelf:
    """One power shelf. A supply that does not answer is reported as such; all silent: unreachable."""

    def __init__(
        self, connection: Connection, profile: ModbusProfile, link: ModbusLink, units: tuple[_Unit, ...]
    ) -> None:
        self._connection = connection
        self._profile = profile
        self._link = link
        self._units = units
        self._vendors: dict[str, str] = {}
        """Serial number of a supply to its maker, as function 43/14 says it."""

    @property
    def device(self) -> str:
        return self._connection.device

    @property
    def polling_floor(self) -> float:
        return self._profile.polling_floor

    async def open(self) -> None:
        """See that at least one supply answers; raises DeviceError."""
        self._vendors.clear()
        await self._read_all(("identity.serial",))

    async def close(self) -> None:
        await self._link.close()

    async def identify(self) -> Identified:
        """The identity of the first supply. The map has none for the manufacturer: function 43/14 does."""
        values = await self._read(self._units[0], _IDENTITY)
        part_number, model, serial, firmware = (str(values[name] or "") for name in _IDENTITY)
        return Identified(await self._manufacturer(self._units[0], serial), model, part_number, serial, firmware)

    async def parts(self) -> Sequence[Part]:
        """One part a supply; one that does not answer is listed as not present and not healthy."""
        found = await self._read_all((*_IDENTITY, *_ALARMS))
        parts = []
        for unit, values in zip(self._units, found, strict=True):
            if values is None:
                parts.append(Part(unit.name, "psu", "", "", "", present=False, healthy=False))
                continue
            number, serial = str(values["identity.part_number"] or ""), str(values["identity.serial"] or "")
            healthy = _is_healthy(values)
            maker = await self._manufacturer(unit, serial)
            parts.append(Part(unit.name, "psu", maker, number, serial, present=True, healthy=healthy))
        return parts

    async def firmware(self) -> Sequence[Firmware]:
        """One component a supply, named like it; a supply that does not answer has none."""
        found = await self._read_all(("identity.firmware",))
        return tuple(
            Firmware(unit.name, str(values["identity.firmware"] or ""))
            for unit, values in zip(self._units, found, strict=True)
            if values is not None
        )

    async def supplies(self) -> Sequence[Supply]:
        found = await self._read_all((*_ALARMS, *_MEASURED))
        at = self._connection.now()
        return tuple(self._supply(unit, values, at) for unit, values in zip(self._units, found, strict=True))

    async def input_power(self) -> Reading:
        """The sum over all supplies, W; bad as a whole where one cannot be read: a smaller sum would look plausible."""
        found = await self._read_all(("supply.input.power",))
        at = self._connection.now()
        powers = [None if values is None else numeric(values["supply.input.power"]) for values in found]
        known = [power for power in powers if power is not None]
        return reading_of(sum(known) if len(known) == len(powers) else None, Unit.WATT, at)

    def channels(self) -> Sequence[Channel]:
        units = {name: self._profile.points[name].unit for name in _CHANNELS}
        return (
            *(Channel(self.device, name, units[name], unit.name) for name in _CHANNELS for unit in self._units),
            Channel(self.device, "bus.voltage", Unit.VOLT),
        )

    async def sample(self) -> Sequence[Sample]:
        found = await self._read_all(("alarm.input", *_MEASURED))
        at = self._connection.now()
        by_name = {unit.name: values for unit, values in zip(self._units, found, strict=True)}
        samples = []
        for channel in self.channels():
            if channel.quantity == "bus.voltage":
                samples.append(sample(channel, _bus_voltage(found), at))
                continue
            values = by_name[channel.part]
            samples.append(sample(channel, None if values is None else numeric(values[channel.quantity]), at))
        return samples

    async def _manufacturer(self, unit: _Unit, serial: str) -> str:
        if self._profile.manufacturer:
            return self._profile.manufacturer
        if serial not in self._vendors:
            try:
                self._vendors[serial] = (await self._link.identification(unit.number)).get(0, "")
            except DeviceError:
                self._vendors[serial] = ""  # many units know no function but 3, 6 and 16; some are silent then
        return self._vendors[serial]

    def exchanges(self) -> Sequence[Exchanges]:
        """How the exchanges with each supply went since the driver was built."""
        return tuple(exchanges_of(self._link, unit.name, unit.number) for unit in self._units)

    async def _read_all(self, names: Sequence[str]) -> list[dict[str, _Value] | None]:
        """These points of every supply, None for one that does not answer; raises Unreachable if none does."""
        found: list[dict[str, _Value] | None] = []
        failed: list[DeviceError] = []
        for unit in self._units:  # one after the other: they share one pair of wires
            try:
                found.append(await self._read(unit, names))
            except DeviceError as error:
                found.append(None)
                failed.append(error)
        if len(failed) == len(self._units):
            first = failed[0]
            silent = all(isinstance(error, Unreachable) for error in failed)
            seen = f"none of {len(self._units)} supplies answers" if silent else first.seen
            kind = Unreachable if silent else type(first)
            raise kind(self.device, first.attempted, seen, first.advice, first.exchange) from first
        return found

    async def _read(self, unit: _Unit, names: Sequence[str]) -> dict[str, _Value]:
        points = {name: self._profile.points[name] for name in names}
        registers: dict[int, int] = {}
        for block in plan_blocks(points.values(), self._profile.points.values(), self._profile.block):
            words = await self._link.read(unit.number, block.address, block.count)
            registers |= dict(enumerate(words, block.address))
        values: dict[str, _Value] = {}
        for name, point in points.items():
            found = words_of(point, registers)
            values[name] = None if found is None else decode(point, found)
        return values

    def _supply(self, unit: _Unit, values: dict[str, _Value] | None, at: datetime) -> Supply:
        if values is None:
            return Supply(unit.name, None, None, None, None, None, healthy=False)

        def reading(name: str) -> Reading:
            return reading_of(numeric(values[name]), self._profile.points[name].unit, at)

        return Supply(
            name=unit.name,
            input_ok=_is_fed(values),
            input_voltage=reading("supply.input.voltage"),
            input_power=reading("supply.input.power"),
            output_power=reading("supply.output.power"),
            output_current=reading("supply.output.current"),
            healthy=_is_healthy(values),
        )


def _is_fed(values: dict[str, _Value]) -> bool | None:
    alarms = values["alarm.input"]
    return not alarms & _INPUT_LOST if isinstance(alarms, frozenset) else None


def _is_healthy(values: dict[str, _Value]) -> bool | None:
    alarms = [values[name] for name in _ALARMS]
    if any(isinstance(each, frozenset) and each for each in alarms):
        return False
    return True if all(isinstance(each, frozenset) for each in alarms) else None


def _bus_voltage(found: Sequence[dict[str, _Value] | None]) -> float | None:
    """The median over the supplies that are fed: one without input measures its own dead output, not the bus."""
    volts = [numeric(values["supply.output.voltage"]) for values in found if values is not None and _is_fed(values)]
    known = [each for each in volts if each is not None]
    return statistics.median(known) if known else None
