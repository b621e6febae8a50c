"""Quantities: a closed set of units, and readings that know their age and their worth.

A `Reading` carries its own time stamp and quality, so that nothing downstream has to trust the moment of arrival.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum


class Unit(StrEnum):
    """Every unit that a limit, a profile or a channel may name; symbols follow the SI brochure, 9th edition."""

    CELSIUS = "degC"
    KELVIN = "K"
    WATT = "W"
    KILOWATT = "kW"
    VOLT = "V"
    AMPERE = "A"
    HERTZ = "Hz"
    PERCENT = "%"
    RATIO = "1"
    COUNT = "count"
    BOOLEAN = "bool"
    TEXT = "text"
    LITRE_PER_MINUTE = "L/min"
    KILOPASCAL = "kPa"
    RPM = "rpm"
    SECOND = "s"
    MILLISECOND = "ms"
    MICROSECOND = "us"
    PER_SECOND = "1/s"
    BIT_PER_SECOND = "bit/s"
    GIGABIT_PER_SECOND = "Gbit/s"
    GIGABYTE_PER_SECOND = "GB/s"
    """10^9 octets a second, as memory and collective benchmarks state it."""
    GIGAFLOP_PER_SECOND = "GFLOP/s"
    OCTET = "octet"
    KELVIN_PER_WATT = "K/W"
    KELVIN_PER_MINUTE = "K/min"
    DECIBEL = "dB"
    DECIBEL_MILLIWATT = "dBm"
    KILOWATT_HOUR = "kWh"


class Quality(StrEnum):
    """What a reading is worth. Only `GOOD` can be judged against a limit."""

    GOOD = "good"
    STALE = "stale"
    """The device says, or its time stamp shows, that the value is old."""
    ABSENT = "absent"
    """The part is not there or switched off; there is nothing to read."""
    BAD = "bad"
    """The device marks it faulty, or the value is no finite number."""


Value = float | int | bool | str
"""What a measurement may hold. Numbers are finite; NaN is `Quality.BAD`, never a value that passes."""

_FACTORS: dict[tuple[Unit, Unit], float] = {
    (Unit.KILOWATT, Unit.WATT): 1000.0,
    (Unit.SECOND, Unit.MILLISECOND): 1000.0,
    (Unit.MILLISECOND, Unit.MICROSECOND): 1000.0,
    (Unit.SECOND, Unit.MICROSECOND): 1e6,
    (Unit.GIGABIT_PER_SECOND, Unit.BIT_PER_SECOND): 1e9,
    (Unit.RATIO, Unit.PERCENT): 100.0,
}


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of one quantity at one instant.

    `at` is the instant at which the value was true, in UTC: the device's own time stamp where it has one.
    """

    value: Value
    unit: Unit
    at: datetime
    quality: Quality = Quality.GOOD

    @property
    def usable(self) -> bool:
        """Whether the value may be judged: good, and finite if a number."""
        if self.quality is not Quality.GOOD:
            return False
        return isinstance(self.value, str | bool) or _finite(self.value)

    @property
    def number(self) -> float:
        """The value as a float; NaN where it is unusable or not a number."""
        if not self.usable or isinstance(self.value, str):
            return math.nan
        return float(self.value)

    def to(self, unit: Unit) -> Reading:
        """The same reading in another unit of the same quantity; raises ValueError where there is no conversion."""
        if unit is self.unit:
            return self
        if isinstance(self.value, str | bool) or not _finite(self.value):
            raise ValueError(f"{self.unit} cannot be converted to {unit}")
        return replace(self, value=convert(float(self.value), self.unit, unit), unit=unit)


def _finite(value: float | int) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        # An integer beyond what a float can hold is no measurement.
        return False


def convert(value: float, unit: Unit, to: Unit) -> float:
    """`value` of `unit` expressed in `to`; raises ValueError where the two are not the same quantity."""
    if unit is to:
        return value
    if (unit, to) in _FACTORS:
        return value * _FACTORS[unit, to]
    if (to, unit) in _FACTORS:
        return value / _FACTORS[to, unit]
    raise ValueError(f"{unit} cannot be converted to {to}")


@dataclass(frozen=True, slots=True, order=True)
class Channel:
    """One telemetry series: what a device measures, of which of its parts, in which unit.

    `quantity` is a dotted term such as `accelerator.temperature`; `part` is the part below the device, such as
    `accelerator-2`, or empty where the device itself is meant.
    """

    device: str
    quantity: str
    unit: Unit
    part: str = ""

    @property
    def subject(self) -> str:
        """Device and part in one word: `tray-03/accelerator-2`."""
        return f"{self.device}/{self.part}" if self.part else self.device

    def __str__(self) -> str:
        return f"{self.subject}.{self.quantity}"


@dataclass(frozen=True, slots=True)
class Sample:
    """A reading on a channel."""

    channel: Channel
    reading: Reading
