"""What Redfish properties are worth: texts, links and readings, decoded with the traps of real BMCs in mind.

Order of judgement of a reading (learned from a recorded GB300 tray): State first, since an absent drive reports null
and `Critical`; then null, NaN and non-numbers; then its age by its own time stamp.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from harness.quantities import Quality, Reading, Unit

Json = Mapping[str, Any]

STALE = "#stale"
"""A mark of our own on a value that its source calls stale; no Redfish property begins so."""
UNSET_CLOCK = timedelta(days=366)
"""A BMC whose clock was never set stamps its values 1970: that says nothing about their age."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PLACEHOLDER = re.compile(r"\$[A-Z_]+|0x0{8,}")
"""What stands where nobody filled anything in: `$CHASSIS_PART_NUMBER`, a serial of noughts (a recorded GB300 tray)."""
NOTHING = frozenset({"", "N/A", "NA", "NONE", "NULL", "UNKNOWN", "TO BE FILLED BY O.E.M."})

# ReadingUnits are UCUM codes (DSP2046, Sensor 1.12); RPM is written both ways.
_UNITS: Mapping[str, tuple[Unit, float]] = {
    "Cel": (Unit.CELSIUS, 1.0),
    "W": (Unit.WATT, 1.0),
    "kW": (Unit.WATT, 1000.0),
    "mW": (Unit.WATT, 0.001),
    "V": (Unit.VOLT, 1.0),
    "mV": (Unit.VOLT, 0.001),
    "A": (Unit.AMPERE, 1.0),
    "mA": (Unit.AMPERE, 0.001),
    "Hz": (Unit.HERTZ, 1.0),
    "kPa": (Unit.KILOPASCAL, 1.0),
    "Pa": (Unit.KILOPASCAL, 0.001),
    "bar": (Unit.KILOPASCAL, 100.0),
    "L/min": (Unit.LITRE_PER_MINUTE, 1.0),
    "l/min": (Unit.LITRE_PER_MINUTE, 1.0),
    "m3/h": (Unit.LITRE_PER_MINUTE, 1000.0 / 60.0),
    "RPM": (Unit.RPM, 1.0),
    "{rev}/min": (Unit.RPM, 1.0),
    "%": (Unit.PERCENT, 1.0),
    "kW.h": (Unit.KILOWATT_HOUR, 1.0),
    "W.h": (Unit.KILOWATT_HOUR, 0.001),
    "J": (Unit.KILOWATT_HOUR, 1 / 3.6e6),
    "kJ": (Unit.KILOWATT_HOUR, 1 / 3600.0),
}
# What a sensor of each ReadingType is given in here; None where no unit of ours measures it (DSP2046, Sensor 1.12).
_TYPES: Mapping[str, Unit | None] = {
    "Temperature": Unit.CELSIUS,
    "Humidity": Unit.PERCENT,
    "Percent": Unit.PERCENT,
    "Power": Unit.WATT,
    "Heat": Unit.WATT,
    "EnergykWh": Unit.KILOWATT_HOUR,
    "EnergyWh": Unit.KILOWATT_HOUR,
    "EnergyJoules": Unit.KILOWATT_HOUR,
    "Voltage": Unit.VOLT,
    "Current": Unit.AMPERE,
    "Frequency": Unit.HERTZ,
    "Rotational": Unit.RPM,
    "Pressure": Unit.KILOPASCAL,
    "PressurePa": Unit.KILOPASCAL,
    "PressurekPa": Unit.KILOPASCAL,
    "LiquidFlow": Unit.LITRE_PER_MINUTE,
    "LiquidFlowLPM": Unit.LITRE_PER_MINUTE,
    "Altitude": None,
}


def text(resource: Json, name: str) -> str:
    """A text property, stripped; empty where it is null, missing or one of the ways to say nothing."""
    value = resource.get(name)
    if not isinstance(value, str | int) or isinstance(value, bool):
        return ""
    stripped = str(value).strip()
    return "" if stripped.upper() in NOTHING or PLACEHOLDER.fullmatch(stripped) else stripped


def section(resource: Json, *names: str) -> Json:
    """The object below `names`, or an empty one."""
    found: Any = resource
    for name in names:
        # A dictionary nearly always: asked first, since sweeps of thousands of sensors ask this twice for each.
        found = found.get(name) if isinstance(found, dict | Mapping) else None
    return found if isinstance(found, dict | Mapping) else {}


def link(resource: Json, *names: str) -> str:
    """The `@odata.id` of the object below `names`, or empty."""
    target = section(resource, *names).get("@odata.id")
    return target if isinstance(target, str) else ""


def links(resource: Json, *names: str) -> tuple[str, ...]:
    """The `@odata.id`s of the array below `names`."""
    found: Any = section(resource, *names[:-1]).get(names[-1])
    return tuple(link(each) for each in entries(found) if link(each))


def entries(value: Any) -> Iterator[Json]:
    """The objects of an array; anything else in it is passed over."""
    if isinstance(value, list):
        yield from (each for each in value if isinstance(each, Mapping))


def state(resource: Json) -> str:
    """`Status.State`, or empty."""
    return text(section(resource, "Status"), "State")


def is_present(resource: Json) -> bool:
    """Whether the part is there; a part that does not say is."""
    return state(resource) != "Absent"


def is_healthy(resource: Json) -> bool | None:
    """`Status.Health`, else `HealthRollup`; None where neither is given or the part is absent."""
    status = section(resource, "Status")
    health = text(status, "Health") or text(status, "HealthRollup")
    if not is_present(resource) or not health:
        return None
    return health == "OK" and state(resource) not in ("UnavailableOffline", "Degraded", "Disabled")


def instant(value: Any) -> datetime | None:
    """A Redfish date and time (DSP0266, 9.2.6), in UTC; None where it is none or the clock was never set."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value.strip())
        found = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found if found - EPOCH > UNSET_CLOCK else None


def number(value: Any) -> float:
    """A finite number, also where it was sent as a string; NaN otherwise."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return math.nan
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return math.nan
    return found if math.isfinite(found) else math.nan


def missing(unit: Unit, at: datetime, quality: Quality = Quality.BAD) -> Reading:
    """A reading that says that there is none."""
    return Reading(math.nan, unit, at, quality)


def sensor_reading(sensor: Json, unit: Unit, now: datetime, max_age: float) -> Reading:
    """The reading of a Sensor resource in `unit`; `max_age` in seconds of rack time.

    Disabled or absent is ABSENT; null, NaN, text, or a unit that is not the expected one is BAD; a time stamp older
    than `max_age`, or as far in the future, is STALE.
    """
    if state(sensor) in ("Absent", "Disabled", "UnavailableOffline"):
        return missing(unit, now, Quality.ABSENT)
    value = number(sensor.get("Reading"))
    stated = sensor.get("ReadingUnits")
    kind, factor = _UNITS.get(str(stated), (None, 1.0)) if stated is not None else (unit, 1.0)
    stamp = instant(sensor.get("ReadingTime"))
    at = stamp or now
    if math.isnan(value) or kind is not unit:
        return missing(unit, at)
    old = sensor.get(STALE) is True or (stamp is not None and abs((now - stamp).total_seconds()) > max_age)
    return Reading(value * factor, unit, at, Quality.STALE if old else Quality.GOOD)


def unit_of(sensor: Json) -> tuple[Unit, float, bool]:
    """The unit in which a sensor is read here, the factor to it, and whether its type and its unit can both be true.

    A sensor that states no unit has that of its type. One whose unit nobody knows, or is not of its type, contradicts
    itself: its value says nothing (DMTF's PDU gives energies in kW and temperatures in C, which is coulomb).
    """
    kind, stated = text(sensor, "ReadingType"), text(sensor, "ReadingUnits")
    typed = _TYPES.get(kind)
    if stated not in _UNITS:
        return typed or Unit.RATIO, 1.0, not stated and typed is not None
    unit, factor = _UNITS[stated]
    return unit, factor, kind not in _TYPES or unit is typed


def natural(word: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key in which GPU_10 comes after GPU_9."""
    return tuple((0, int(run), "") if run.isdecimal() else (1, 0, run) for run in re.findall(r"[0-9]+|[^0-9]+", word))
