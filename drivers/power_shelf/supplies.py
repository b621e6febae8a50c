"""Power supplies of Open Rack v3 by Modbus: one unit on the bus for each supply, and how they share the current."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from datetime import datetime

from drivers.points import numeric, reading_of, sample
from drivers.power_shelf.bank import IDENTITY, Bank, Values, raised, word_of
from drivers.power_shelf.managers import ManagerBank
from drivers.power_shelf.readiness import imbalance
from drivers.power_shelf.units import Unit
from harness.capabilities import Firmware, Part, Supply
from harness.connection import Connection
from harness.power import Share
from harness.quantities import Channel, Reading, Sample
from harness.quantities import Unit as Measured

_INPUT_LOST = frozenset({"ac-not-ok", "ac-low", "ac-high", "relay-off"})
_ALARMS = ("alarm.general", "alarm.input", "alarm.output", "alarm.temperature", "alarm.communication")
_MEASURED = (
    "supply.input.power",
    "supply.output.power",
    "supply.output.current",
    "supply.input.voltage",
    "supply.output.voltage",
)
_CHANNELS = _MEASURED[:4]
_SINCE_POWER_ON = ("supply.bus.highest", "supply.bus.lowest")
"""Of high-power supplies only, and by them a high-power supply is told from the older kind."""
SIGNS = _SINCE_POWER_ON
_SHARE, _SETTING = "supply.share.current", "supply.setting"
REQUIRED = (*IDENTITY, *_ALARMS, *_MEASURED)
OPTIONAL = (
    _SHARE,
    _SETTING,
    *_SINCE_POWER_ON,
    "supply.bulk.voltage",
    "supply.input.frequency",
    "supply.input.distortion",
    "supply.input.power_factor",
)


class SupplyBank:
    """The supplies of a shelf, `psu-1` and on. One that does not answer is reported as such."""

    def __init__(self, connection: Connection, bank: Bank, manager: ManagerBank | None) -> None:
        self._connection = connection
        self.bank = bank
        self._manager = manager
        self._imbalances: dict[str, str] = {}

    async def parts(self, *, alone: bool = True) -> Sequence[Part]:
        """One part a supply; one that does not answer is listed as not present and not healthy."""
        found = await self.bank.read_all((*IDENTITY, *_ALARMS), alone=alone)
        return tuple([await self._part(unit, values) for unit, values in zip(self.bank.units, found, strict=True)])

    async def firmware(self, *, alone: bool = True) -> Sequence[Firmware]:
        """One component a supply, named like it; a supply that does not answer has none."""
        found = await self.bank.read_all(("identity.firmware",), alone=alone)
        return tuple(
            Firmware(unit.name, word_of(values, "identity.firmware"))
            for unit, values in zip(self.bank.units, found, strict=True)
            if values is not None
        )

    async def supplies(self) -> Sequence[Supply]:
        """Every supply; what one does not answer is None."""
        found = await self.bank.read_all((*_ALARMS, *_MEASURED))
        self._note(found)
        at = self._connection.now()
        return tuple(self._supply(unit, values, at) for unit, values in zip(self.bank.units, found, strict=True))

    async def shares(self) -> Sequence[Share]:
        """Output current and what each says its share is, A; whether it shares, and whether the share line is there.

        The setting is asked for by itself: older firmware refuses that register, and measures all the same.
        """
        measured = await self.bank.read_all((_MEASURED[2], _SHARE))
        points = self.bank.profile.points
        settings: list[Values | None] = [None] * len(measured)
        if _SETTING in points:
            settings = await self.bank.read_all((_SETTING,), alone=False)
        cable = None if self._manager is None else await self._manager.share_cable()
        at = self._connection.now()
        return tuple(
            _share(unit, values, setting or {}, cable, at, told=_SHARE in points)
            for unit, values, setting in zip(self.bank.units, measured, settings, strict=True)
        )

    async def input_power(self) -> Reading:
        """The sum over all supplies, W; bad as a whole where one cannot be read: a smaller sum would look plausible."""
        found = await self.bank.read_all(("supply.input.power",))
        at = self._connection.now()
        powers = [None if values is None else numeric(values["supply.input.power"]) for values in found]
        known = [power for power in powers if power is not None]
        return reading_of(sum(known) if len(known) == len(powers) else None, Measured.WATT, at)

    def channels(self) -> Sequence[Channel]:
        """Powers, output current and input voltage of each supply, and the voltage of the bus."""
        device = self._connection.device
        points = self.bank.profile.points
        names = (*_CHANNELS, *(name for name in _SINCE_POWER_ON if name in points))
        return (
            *(Channel(device, name, points[name].unit, unit.name) for name in names for unit in self.bank.units),
            Channel(device, "bus.voltage", Measured.VOLT),
        )

    async def sample(self, *, alone: bool = True) -> Sequence[Sample]:
        """One sample a channel."""
        found = await self.bank.read_all(("alarm.input", *_MEASURED, *_SINCE_POWER_ON), alone=alone)
        self._note(found)
        at = self._connection.now()
        by_name = {unit.name: values for unit, values in zip(self.bank.units, found, strict=True)}
        samples = []
        for channel in self.channels():
            if channel.quantity == "bus.voltage":
                samples.append(sample(channel, _bus_voltage(found), at))
                continue
            values = by_name[channel.part]
            samples.append(sample(channel, None if values is None else numeric(values[channel.quantity]), at))
        return samples

    def doubts(self) -> tuple[str, ...]:
        """Values that were not believed when last read, and supplies whose values contradict one another."""
        return (*self.bank.all_doubts(), *(f"{name}: {text}" for name, text in self._imbalances.items() if text))

    def _note(self, found: Sequence[Values | None]) -> None:
        """Whether power, voltage and current of each supply agree: a range alone does not see a scale wrong by two."""
        wanted = ("supply.output.power", "supply.output.voltage", "supply.output.current")
        for unit, values in zip(self.bank.units, found, strict=True):
            self._imbalances[unit.name] = imbalance(*(numeric((values or {}).get(name)) for name in wanted))

    async def _part(self, unit: Unit, values: Values | None) -> Part:
        if values is None:
            return Part(unit.name, "psu", "", "", "", present=False, healthy=False)
        number, serial = word_of(values, "identity.part_number"), word_of(values, "identity.serial")
        maker = await self.bank.maker(unit, values)
        return Part(unit.name, "psu", maker, number, serial, present=True, healthy=_is_healthy(values))

    def _supply(self, unit: Unit, values: Values | None, at: datetime) -> Supply:
        if values is None:
            return Supply(unit.name, None, None, None, None, None, healthy=False)

        def reading(name: str) -> Reading:
            return reading_of(numeric(values[name]), self.bank.profile.points[name].unit, at)

        return Supply(
            name=unit.name,
            input_ok=_is_fed(values),
            input_voltage=reading("supply.input.voltage"),
            input_power=reading("supply.input.power"),
            output_power=reading("supply.output.power"),
            output_current=reading("supply.output.current"),
            healthy=_is_healthy(values),
        )


def _share(
    unit: Unit, values: Values | None, setting: Values, cable: bool | None, at: datetime, *, told: bool
) -> Share:
    flags = setting.get(_SETTING)
    enabled = "current-sharing" in flags if isinstance(flags, frozenset) else None
    if values is None:
        return Share(unit.name, enabled, None, None, cable)
    output = reading_of(numeric(values[_MEASURED[2]]), Measured.AMPERE, at)
    share = reading_of(numeric(values[_SHARE]), Measured.AMPERE, at) if told else None
    return Share(unit.name, enabled, output, share, cable)


def _is_fed(values: Values) -> bool | None:
    alarms = values["alarm.input"]
    return not alarms & _INPUT_LOST if isinstance(alarms, frozenset) else None


def _is_healthy(values: Values) -> bool | None:
    if any(isinstance(each, frozenset) and each for each in (values[name] for name in _ALARMS)):
        return False
    return None if raised(values, _ALARMS) is None else True


def _bus_voltage(found: Sequence[Values | None]) -> float | None:
    """The median over the supplies that are fed: one without input measures its own dead output, not the bus."""
    volts = [numeric(values["supply.output.voltage"]) for values in found if values is not None and _is_fed(values)]
    known = [each for each in volts if each is not None]
    return statistics.median(known) if known else None
