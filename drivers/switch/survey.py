"""The survey of a switch: which ifIndex and entPhysicalIndex everything that is read again and again has now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from drivers.entity import VOLTS_AC, supplies
from drivers.lldp import natural
from drivers.optics import LEVELS, Diode, by_interface, by_sensors, spellings
from drivers.switch.points import ENTITY, ETHERLIKE, LIMITS, NAMES, OPTICAL, OPTICS, SENSOR
from drivers.switch.tables import Columns, Tables, group, names, texts
from harness.errors import Misbehaved, Unsupported

_ETHERNET = 6
"""IANAifType ethernetCsmacd."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a switch has, and where its tables keep it."""

    ports: Mapping[int, str]
    """Ethernet interfaces: ifIndex to ifName, in the order of names."""
    volts: Mapping[str, int]
    """Supplies that have a sensor for their input voltage, and its entPhysicalIndex."""
    etherlike: Mapping[str, tuple[str, ...]]
    """By EtherLike counter: the ports for which the switch keeps it."""
    diodes: tuple[Diode, ...]
    """Measuring points of the modules in its ports."""


NOTHING_YET = Survey({}, {}, {}, ())


async def look_over(tables: Tables) -> Survey:
    """Find everything; raises Unsupported without a port, and Misbehaved where names do not tell ports apart."""
    columns = await tables.walk((*NAMES, *tables.has(*ETHERLIKE)))
    kinds = columns["port.type"]
    chosen = {index: name for index, name in names(columns).items() if kinds.get((index,)) == _ETHERNET}
    if not chosen:
        raise Unsupported(
            tables.device, "list its ports", "it has no Ethernet interface in IF-MIB", "Check the agent's view"
        )
    twice = sorted({name for name in chosen.values() if list(chosen.values()).count(name) > 1})
    if twice:
        raise Misbehaved(
            tables.device, "list its ports", f"two interfaces are called {', '.join(twice)}", "Rename one of them"
        )
    ports = dict(sorted(chosen.items(), key=lambda each: natural(each[1])))
    etherlike = {
        name: tuple(port for index, port in ports.items() if isinstance(columns[name].get((index,)), int))
        for name in tables.has(*ETHERLIKE)
    }
    physical = await tables.walk((*ENTITY, *SENSOR, *tables.has(*LIMITS, *OPTICAL)))
    held = supplies(group(physical, "entity"), group(physical, "sensor"), {})
    sensors = {supply.name: supply.first(VOLTS_AC) for supply in held}
    volts = {name: sensor.index for name, sensor in sensors.items() if sensor is not None}
    return Survey(ports, volts, etherlike, _diodes(tables, ports, columns, physical))


def _diodes(tables: Tables, ports: Mapping[int, str], columns: Columns, physical: Columns) -> tuple[Diode, ...]:
    own = {name: tables.oid(f"sensor.{name}") for name in ("value", "status")}
    named = spellings(ports, texts(columns["port.description"]), texts(columns["port.alias"]))
    found = by_sensors(group(physical, "entity"), group(physical, "sensor"), own, group(physical, "limit"), named)
    having = set(tables.has(*OPTICAL))
    found += by_interface(
        {name: (tables.oid(name), physical[name]) for name in OPTICS if name in having},
        {name: (tables.oid(f"{name}.lane"), physical[f"{name}.lane"]) for name in OPTICS if f"{name}.lane" in having},
        {
            name: {level: physical[f"{name}.{level}"] for level in LEVELS if f"{name}.{level}" in having}
            for name in OPTICS
        },
        {name: tables.profile.points[name].scale for name in OPTICS if name in having},
        ports,
    )
    once = {(each.quantity, each.part): each for each in found}
    return tuple(sorted(once.values(), key=lambda each: (natural(each.part), each.quantity)))
