"""Chassis, power supplies and sensors out of ENTITY-MIB (RFC 6933) and ENTITY-SENSOR-MIB (RFC 3433). Pure; no I/O."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from drivers.points import text
from drivers.transports.snmp import Oid, Value
from harness.quantities import Unit

Table = Mapping[Oid, Value]
_CHASSIS = 3
_STACK = 11
_POWER_SUPPLY = 6
_OK, _NONOPERATIONAL = 1, 3
_EMPTY: Table = {}
_FAN, _MODULE, _PORT = 7, 9, 10
VOLTS_AC, AMPERES, WATTS, CELSIUS, RPM, DBM = 3, 5, 6, 8, 10, 14
"""EntitySensorDataType; dBm is Cisco's own addition (CISCO-ENTITY-SENSOR-MIB)."""
_KINDS = {
    3: ("voltage", Unit.VOLT),
    4: ("voltage", Unit.VOLT),
    5: ("current", Unit.AMPERE),
    6: ("power", Unit.WATT),
    7: ("frequency", Unit.HERTZ),
    8: ("temperature", Unit.CELSIUS),
    9: ("humidity", Unit.PERCENT),
    10: ("speed", Unit.RPM),
    14: ("power", Unit.DECIBEL_MILLIWATT),
}
_UNKNOWN = ("unknown", Unit.RATIO)
"""Other types; SONiC gives its fans' speeds as unknown, some in percent and some in rpm."""
_NOTHING_SAID = ("", "na", "n/a", "none", "default", "unknown", "not specified")
"""What agents write where there is nothing to write."""


@dataclass(frozen=True, slots=True)
class Sensor:
    """One sensor. `value` is in the base unit of its type; None where the switch says that it is unavailable."""

    index: int
    kind: int
    name: str
    value: float | None
    broken: bool
    factor: float = math.nan
    """By what the number in the table is multiplied; NaN where the switch does not say."""

    @property
    def quantity(self) -> str:
        """What it measures, in a word."""
        return _KINDS.get(self.kind, _UNKNOWN)[0]

    @property
    def unit(self) -> Unit:
        """The base unit of its type."""
        return _KINDS.get(self.kind, _UNKNOWN)[1]


@dataclass(frozen=True, slots=True)
class Entity:
    """One physical entity as it describes itself."""

    index: int
    name: str
    description: str
    manufacturer: str
    model: str
    serial: str
    software: str


@dataclass(frozen=True, slots=True)
class SwitchSupply:
    """One power supply of a switch: `psu-1` by the number in its own name, else by order."""

    name: str
    entity: Entity
    works: bool | None
    sensors: tuple[Sensor, ...]

    def measured(self, kind: int, *words: str) -> float | None:
        """The first sensor of a kind whose name holds one of the words (any, if none is given)."""
        for sensor in self.sensors:
            if sensor.kind == kind and (not words or any(word in sensor.name.lower() for word in words)):
                return sensor.value
        return None

    def first(self, kind: int) -> Sensor | None:
        """The first sensor of a kind, if there is one at all."""
        return next((sensor for sensor in self.sensors if sensor.kind == kind), None)


@dataclass(frozen=True, slots=True)
class Fan:
    """One fan of a switch: `fan-1` by order. `works` by its own status and its tachometer."""

    name: str
    entity: Entity
    works: bool | None
    sensors: tuple[Sensor, ...] = ()


@dataclass(frozen=True, slots=True)
class Module:
    """One module in a port: an optic, or a copper cable that tells its serial."""

    port: str
    entity: Entity


def scaled(value: int, scale: int, precision: int) -> float:
    """RFC 3433: value * 10^(3 * (scale - 9)) / 10^precision; scale 9 is `units`, 8 `milli`."""
    return float(value * 10.0 ** (3 * (scale - 9) - precision))


def measured(cells: Mapping[str, Value]) -> float | None:
    """The value of one sensor out of its row; None unless the switch says that it is good."""
    raw, scale, precision = (cells.get(column) for column in ("value", "scale", "precision"))
    if cells.get("status") != _OK or not isinstance(raw, int):
        return None
    return scaled(raw, scale, precision) if isinstance(scale, int) and isinstance(precision, int) else None


def chassis(entities: Mapping[str, Table]) -> Entity | None:
    """The chassis: the entity of that class that is in nothing else, the first one in a stack."""
    kinds, inside = entities.get("class", _EMPTY), entities.get("inside", _EMPTY)
    found = sorted(index[0] for index, kind in kinds.items() if kind == _CHASSIS and len(index) == 1)
    outer = [
        index for index in found if inside.get((index,)) == 0 or kinds.get((_number(inside.get((index,))),)) == _STACK
    ]
    return _entity(entities, (outer or found)[0]) if found else None


def supplies(
    entities: Mapping[str, Table], sensors: Mapping[str, Table], works: Mapping[Oid, bool | None]
) -> tuple[SwitchSupply, ...]:
    """Every entity of class powerSupply with the sensors that it holds, however deep."""
    kinds = entities.get("class", _EMPTY)
    indices = sorted(index[0] for index, kind in kinds.items() if kind == _POWER_SUPPLY and len(index) == 1)
    inside = {index[0]: _number(outer) for index, outer in entities.get("inside", _EMPTY).items() if len(index) == 1}
    found = []
    for order, index in enumerate(indices, 1):
        entity = _entity(entities, index)
        held = tuple(_sensors(entities, sensors, index, inside))
        said = works.get((index,))
        own = sensors.get("status", _EMPTY).get((index,))
        if said is None and own in (_OK, _NONOPERATIONAL):  # Cumulus: a status on the supply itself
            said = own == _OK
        named = re.search(r"(\d+)\s*$", entity.name) or re.search(r"(\d+)\s*$", entity.description)
        number = int(named[1]) if named else order
        found.append((number, SwitchSupply(f"psu-{number}", entity, _works(said, held), held)))
    if len({number for number, _ in found}) != len(found):  # names that do not tell them apart: count
        return tuple(replace(each, name=f"psu-{order}") for order, (_, each) in enumerate(found, 1))
    return tuple(each for _, each in sorted(found, key=lambda pair: pair[0]))


def fans(
    entities: Mapping[str, Table], sensors: Mapping[str, Table], works: Mapping[Oid, bool | None]
) -> tuple[Fan, ...]:
    """Every entity of class fan, supplies' own ones included; one that stands still does not work."""
    kinds = entities.get("class", _EMPTY)
    indices = sorted(index[0] for index, kind in kinds.items() if kind == _FAN and len(index) == 1)
    inside = {index[0]: _number(outer) for index, outer in entities.get("inside", _EMPTY).items() if len(index) == 1}
    found = []
    for order, index in enumerate(indices, 1):
        held = tuple(_sensors(entities, sensors, index, inside))
        speeds = [sensor.value for sensor in held if sensor.kind == RPM and sensor.value is not None]
        own = sensors.get("status", _EMPTY).get((index,))
        said = works.get((index,))
        if said is False or own == _NONOPERATIONAL or any(sensor.broken for sensor in held) or 0 in speeds:
            turns: bool | None = False
        else:
            turns = True if said or speeds or own == _OK else None
        found.append(Fan(f"fan-{order}", _entity(entities, index), turns, held))
    return tuple(found)


def modules(
    entities: Mapping[str, Table], interfaces: Mapping[int, int], ports: Mapping[str, str]
) -> tuple[Module, ...]:
    """Every module with a serial that sits in a port, or is the port itself, by name of the port.

    `interfaces` maps an entity to its ifIndex (entAliasMapping), `ports` an ifIndex as text, or a name, to an ifName.
    """
    kinds = entities.get("class", _EMPTY)
    inside = {index[0]: _number(outer) for index, outer in entities.get("inside", _EMPTY).items() if len(index) == 1}
    found: dict[str, Module] = {}
    for index in sorted(index[0] for index, kind in kinds.items() if kind in (_MODULE, _PORT) and len(index) == 1):
        entity = _entity(entities, index)
        if not entity.serial:
            continue
        near = (index, *(inner for inner, outer in inside.items() if outer == index), inside.get(index, 0))
        port = next((ports[str(interfaces[each])] for each in near if str(interfaces.get(each)) in ports), None)
        port = port or next((ports[said] for said in (entity.name, entity.description) if said in ports), None)
        if port is not None:
            found.setdefault(port, Module(port, entity))
    return tuple(found[port] for port in sorted(found))


def _works(said: bool | None, sensors: tuple[Sensor, ...]) -> bool | None:
    if said is False or any(sensor.broken for sensor in sensors):
        return False
    if said is None and not sensors:
        return None
    return True


def _sensors(
    entities: Mapping[str, Table], sensors: Mapping[str, Table], owner: int, inside: Mapping[int, int]
) -> Iterator[Sensor]:
    for index in sorted(sensors.get("type", _EMPTY)):
        if len(index) == 1 and owner in _line(index[0], inside):
            yield _sensor(entities, sensors, index)


def _line(index: int, inside: Mapping[int, int]) -> tuple[int, ...]:
    """The entity and all that hold it; a loop in the agent's table ends it."""
    line: list[int] = []
    while index and index not in line:
        line.append(index)
        index = inside.get(index, 0)
    return tuple(line)


def _sensor(entities: Mapping[str, Table], sensors: Mapping[str, Table], index: Oid) -> Sensor:
    kind = _number(sensors["type"].get(index))
    name = " ".join(text(entities.get(column, _EMPTY).get(index)) for column in ("name", "description"))
    cells = {column: table.get(index) for column, table in sensors.items()}
    scale, precision = cells.get("scale"), cells.get("precision")
    factor = scaled(1, scale, precision) if isinstance(scale, int) and isinstance(precision, int) else math.nan
    return Sensor(index[0], kind, name, measured(cells), cells.get("status") == _NONOPERATIONAL, factor)


def every_sensor(entities: Mapping[str, Table], sensors: Mapping[str, Table]) -> tuple[Sensor, ...]:
    """Every sensor in the switch's order, called by entPhysicalName, or by its description where it has none."""
    found = []
    for index in sorted(sensors.get("type", _EMPTY)):
        if len(index) == 1:
            called = (text(entities.get(column, _EMPTY).get(index)) for column in ("name", "description"))
            found.append(replace(_sensor(entities, sensors, index), name=next(filter(None, called), "")))
    return tuple(found)


def _entity(entities: Mapping[str, Table], index: int) -> Entity:
    def cell(column: str) -> str:
        return text(entities.get(column, _EMPTY).get((index,)))

    def label(column: str) -> str:
        """What stands on a label: SONiC writes some as Python shows octets, and N/A where there is none."""
        said = re.sub(r"^b'(.*)'$", r"\1", cell(column))
        said = re.sub(r"\\x[0-9a-f]{2}", "", said).strip()
        return "" if said.lower() in _NOTHING_SAID else said

    return Entity(
        index,
        cell("name"),
        cell("description"),
        label("manufacturer"),
        label("model"),
        label("serial"),
        cell("software"),
    )


def _number(value: Value) -> int:
    return value if isinstance(value, int) else 0
