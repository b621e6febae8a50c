"""What a switch is made of, by ENTITY-MIB and ENTITY-SENSOR-MIB: who it is, its parts, supplies and sensors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime

from drivers.entity import (
    AMPERES,
    VOLTS_AC,
    WATTS,
    SwitchSupply,
    Table,
    chassis,
    every_sensor,
    fans,
    measured,
    modules,
    supplies,
)
from drivers.entity import Sensor as EntitySensor
from drivers.optics import UNITS, UNSCALED, Diode, Optic, thresholds
from drivers.points import reading_of, text, worded
from drivers.switch.points import ABOUT_ENTITY, ENTITY, IDENTITY, LIMITS, SENSOR
from drivers.switch.survey import Survey
from drivers.switch.tables import Tables, group
from drivers.transports.snmp import Oid, Value
from harness.capabilities import Identified, Part, Supply
from harness.quantities import Quality, Reading, Unit
from harness.sensors import Sensor, Thresholds

_LEAST_MAINS = 80.0
"""V below which a line input counts as lost; the lowest mains in use is 100 V - 10 % (IEC 60038)."""


async def read_identity(tables: Tables) -> Identified:
    """The chassis by ENTITY-MIB: entPhysicalModelName is the part number that a customer orders by (RFC 6933).

    Where a family keeps its identity elsewhere, its profile says where; that counts where ENTITY-MIB is silent.
    """
    box = chassis(group(await tables.walk(ENTITY), "entity"))
    described = text((await tables.system())["system.description"])
    own = tables.has(*IDENTITY)
    found = await tables.get(tables.oid(name) for name in own)
    said = {name.partition(".")[2]: worded(tables.profile.points[name], found[tables.oid(name)]) for name in own}
    maker = (box.manufacturer if box else "") or tables.profile.manufacturer
    model = (box.description or box.model if box else "") or said.get("model", "")
    number = (box.model if box else "") or said.get("model", "")
    serial = (box.serial if box else "") or said.get("serial", "")
    software = said.get("firmware", "") or (box.software if box else "") or described
    return Identified(maker, model, number, serial, software)


async def read_parts(tables: Tables, survey: Survey) -> tuple[Part, ...]:
    """Its power supplies, fans and modules in ports, by place; what the switch reports empty is not among them."""
    found = await tables.walk((*ENTITY, *SENSOR, *tables.has(*ABOUT_ENTITY)))
    entities, sensors, works = group(found, "entity"), group(found, "sensor"), tables.works(found)
    held = [(each.name, "psu", each.entity, each.works) for each in supplies(entities, sensors, works)]
    held += [(each.name, "fan", each.entity, each.works) for each in fans(entities, sensors, works)]
    places = {name: name for name in survey.ports.values()}
    places |= {str(index): name for index, name in survey.ports.items()}
    aliased = _interfaces(found.get("entity.interface", {}))
    held += [
        (f"optic-{each.port}", "optic", each.entity, works.get((each.entity.index,)))
        for each in modules(entities, aliased, places)
    ]
    return tuple(
        Part(name, kind, entity.manufacturer, entity.model, entity.serial, present=True, healthy=healthy)
        for name, kind, entity, healthy in held
    )


async def read_supplies(tables: Tables, at: datetime) -> tuple[Supply, ...]:
    """Its power supplies, by number."""
    found = await tables.walk((*ENTITY, *SENSOR, *tables.has("entity.works")))
    held = supplies(group(found, "entity"), group(found, "sensor"), tables.works(found))
    return tuple(_supply(each, at) for each in held)


async def read_input_voltages(tables: Tables, volts: Mapping[str, int]) -> dict[str, float | None]:
    """V, by supply; only the sensors' own rows are read, not the whole table of entities."""
    rows = {name: {column: (*tables.oid(column), index) for column in SENSOR} for name, index in volts.items()}
    found = await tables.get(oid for row in rows.values() for oid in row.values())
    return {
        name: measured({column.partition(".")[2]: found[oid] for column, oid in row.items()})
        for name, row in rows.items()
    }


async def read_diodes(tables: Tables, diodes: Sequence[Diode]) -> list[float | None]:
    """dBm and degC in the order of the diodes; only their own rows are read."""
    found = await tables.get([oid for each in diodes for oid in (each.oid, each.status) if oid is not None])
    return [
        each.value(found[each.oid], found[each.status]) if each.status else each.value(found[each.oid])
        for each in diodes
    ]


async def read_optics(tables: Tables, diodes: Sequence[Diode], at: datetime) -> tuple[Optic, ...]:
    """Every power (dBm) and temperature (degC) of the modules in its ports, with the thresholds of their makers."""
    values = await read_diodes(tables, diodes)
    return tuple(
        Optic(each.port, each.lane, each.quantity, reading_of(value, UNITS[each.quantity], at), each.limits)
        for each, value in zip(diodes, values, strict=True)
    )


async def read_sensors(tables: Tables, survey: Survey, at: datetime) -> tuple[Sensor, ...]:
    """Every sensor of ENTITY-SENSOR-MIB or its like, and of the modules in ports, by name.

    A module's sensors are called by port and quantity (`swp1/2 rx_power`), any other by the name the switch gives it.
    """
    found = await tables.walk((*ENTITY, *SENSOR, *tables.has("entity.works", *LIMITS)))
    entities, cells, limits = group(found, "entity"), group(found, "sensor"), group(found, "limit")
    works = tables.works(found)
    owners = {sensor.index: each.name for each in supplies(entities, cells, works) for sensor in each.sensors}
    owners |= {sensor.index: each.name for each in fans(entities, cells, works) for sensor in each.sensors}
    optical = {each.oid for each in survey.diodes}
    listed = [
        Sensor(
            name=each.name or f"sensor {each.index}",
            quantity=each.quantity,
            part=owners.get(each.index, ""),
            reading=_reading(each.value, each.broken, each.unit, at),
            present=each.value is not None or each.broken,
            healthy=False if each.broken else True if each.value is not None else None,
            thresholds=_thresholds(each, limits),
        )
        for each in every_sensor(entities, cells)
        if (*tables.oid("sensor.value"), each.index) not in optical
    ]
    listed += [_of_module(each) for each in await read_optics(tables, survey.diodes, at)]
    taken = [each.name for each in listed]
    return tuple(sorted(_unmistakable(listed, taken), key=lambda each: each.name))


def _thresholds(sensor: EntitySensor, limits: Mapping[str, Table]) -> Thresholds:
    """What the switch allows, in the unit of the sensor; nothing where it does not say how it scales its numbers."""
    if not math.isfinite(sensor.factor):
        return Thresholds()
    return thresholds((sensor.index,), UNSCALED, sensor.factor, limits).common


def _of_module(optic: Optic) -> Sensor:
    place = f"{optic.port}/{optic.lane}" if optic.lane else optic.port
    quantity = optic.quantity.rpartition(".")[2]
    usable = optic.reading.usable
    return Sensor(
        name=f"{place} {quantity}",
        quantity=quantity,
        part=f"optic-{optic.port}",
        reading=optic.reading,
        present=usable,
        healthy=None,
        thresholds=optic.limits.common,
    )


def _unmistakable(listed: Sequence[Sensor], taken: Sequence[str]) -> list[Sensor]:
    """Sensors whose name is not unique get a number behind it, in the switch's order."""
    seen: dict[str, int] = {}
    found = []
    for each in listed:
        seen[each.name] = seen.get(each.name, 0) + 1
        name = each.name if taken.count(each.name) == 1 else f"{each.name} #{seen[each.name]}"
        found.append(Sensor(name, each.quantity, each.part, each.reading, each.present, each.healthy, each.thresholds))
    return found


def _reading(value: float | None, broken: bool, unit: Unit, at: datetime) -> Reading:
    if value is None and not broken:  # unavailable: there is nothing to read now
        return Reading(math.nan, unit, at, Quality.ABSENT)
    return reading_of(value, unit, at)


def _interfaces(column: Mapping[Oid, Value]) -> dict[int, int]:
    """entAliasMappingIdentifier: an entity, and behind ifIndex the interface that it is."""
    return {index[0]: raw[-1] for index, raw in column.items() if isinstance(raw, tuple) and raw}


def _supply(supply: SwitchSupply, at: datetime) -> Supply:
    volts = supply.measured(VOLTS_AC)

    def reading(kind: int, unit: Unit, *words: str) -> Reading | None:
        if supply.first(kind) is None:
            return None
        value = supply.measured(kind, *words)
        return None if value is None and words else reading_of(value, unit, at)

    return Supply(
        supply.name,
        input_ok=None if volts is None else volts >= _LEAST_MAINS,
        input_voltage=reading(VOLTS_AC, Unit.VOLT),
        input_power=reading(WATTS, Unit.WATT, "input", "pin"),
        output_power=reading(WATTS, Unit.WATT, "output", "pout"),
        output_current=reading(AMPERES, Unit.AMPERE, "output", "iout"),
        healthy=supply.works,
    )
