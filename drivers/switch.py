"""Ethernet switches by SNMP and their standard MIBs: ports with 64-bit counters, LLDP neighbours, power supplies."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from drivers.entity import AMPERES, VOLTS_AC, WATTS, SwitchSupply, chassis, fans, measured, modules, supplies
from drivers.lldp import Interfaces, mac, natural, neighbours
from drivers.optics import LEVELS, RX, TEMPERATURE, TX, UNITS, Diode, Optic, by_interface, by_sensors, spellings
from drivers.points import number, oid_of, reading_of, sample, state, text, worded
from drivers.profile import SnmpPoint, SnmpProfile, load_profile
from drivers.transports.snmp import Oid, SnmpLink, Value, check_snmp_options, connect_snmp
from harness.capabilities import Firmware, Identified, Neighbour, Part, Port, Supply
from harness.connection import Connection
from harness.errors import Misbehaved, Unsupported
from harness.quantities import Channel, Reading, Sample, Unit

_SYSTEM = ("system.description", "system.uptime", "system.boots")
_STATIC = ("port.type", "port.address", "port.description", "port.name", "port.alias")
_COUNTERS = (
    "port.octets.in",
    "port.octets.out",
    "port.errors.in",
    "port.errors.out",
    "port.discards.in",
    "port.discards.out",
)
_MOVING = ("port.up", "port.speed", "port.discontinuity")
_LOCAL = ("local.subtype", "local.port", "local.description")
_REMOTE = tuple(
    f"remote.{word}" for word in ("chassis_subtype", "chassis", "port_subtype", "port", "port_description", "system")
)
_ENTITY = tuple(
    f"entity.{word}"
    for word in ("description", "inside", "class", "name", "software", "serial", "manufacturer", "model")
)
_SENSOR = tuple(f"sensor.{word}" for word in ("type", "scale", "precision", "value", "status"))
_REQUIRED = (*_SYSTEM, *_STATIC, *_COUNTERS, *_MOVING, *_LOCAL, *_REMOTE, *_ENTITY, *_SENSOR)
_ETHERLIKE = ("port.errors.fcs", "port.errors.symbol")
"""Parts of what ifInErrors counts already (RFC 3635, 3.2.6): channels of their own, never added to it."""
_IDENTITY = ("identity.model", "identity.serial", "identity.firmware")
_LIMITS = tuple(f"limit.{level}" for level in (*LEVELS, "severity", "relation", "value"))
_OPTICS = (RX, TX, TEMPERATURE)
_OPTICAL = tuple(f"{name}{suffix}" for name in _OPTICS for suffix in ("", ".lane", *(f".{level}" for level in LEVELS)))
_OPTIONAL = (
    "entity.works",
    "entity.interface",
    "port.counted",
    "system.object",
    "system.changed",
    *_ETHERLIKE,
    *_IDENTITY,
    *_LIMITS,
    *_OPTICAL,
)
_SAMPLED = ("port.octets.in", "port.octets.out", "port.errors.in", "port.errors.out", "port.up")
_NOWHERE = -1
"""The ifIndex of a port that is no longer there."""
_ETHERNET = 6
"""IANAifType ethernetCsmacd."""
_LEAST_MAINS = 80.0
"""V below which a line input counts as lost; the lowest mains in use is 100 V - 10 % (IEC 60038)."""


def connect(connection: Connection) -> Switch:
    """A switch by its profile (`standard-switch`); touches no network. Raises DefinitionError."""
    check_snmp_options(connection)
    name = connection.profile or "standard-switch"
    profile = load_profile(name, SnmpProfile, driver="switch", required=_REQUIRED, optional=_OPTIONAL)
    link = connect_snmp(
        connection, repetitions=profile.repetitions, block=profile.block, concurrency=profile.concurrency
    )
    return Switch(connection, profile, link)


class Switch:
    """One Ethernet switch. Ports are its Ethernet interfaces, by ifName."""

    def __init__(self, connection: Connection, profile: SnmpProfile, link: SnmpLink) -> None:
        self._connection = connection
        self._profile = profile
        self._link = link
        self._ports: dict[int, str] = {}
        """Ethernet interfaces: ifIndex to ifName, in the order of names."""
        self._volts: dict[str, int] = {}
        """Supplies that have a sensor for their input voltage, and its entPhysicalIndex."""
        self._etherlike: dict[str, tuple[str, ...]] = {}
        """By EtherLike counter: the ports for which the switch keeps it."""
        self._diodes: tuple[Diode, ...] = ()
        self._channels: tuple[Channel, ...] = ()
        self._uptime = 0.0
        self._restarts = 0
        self._numbered: tuple[int, Value] = (0, None)
        """Restarts and ifTableLastChange when the numbers above were looked up."""

    @property
    def device(self) -> str:
        return self._connection.device

    @property
    def polling_floor(self) -> float:
        return self._profile.polling_floor

    async def open(self) -> None:
        """Find its Ethernet ports, and what it measures of its supplies and optics; raises DeviceError."""
        system = await self._read_system()
        self._recognise(system)
        await self._survey()
        self._numbered = self._numbering(system)
        units = {name: point.unit for name, point in self._profile.points.items()}
        self._channels = (
            *(Channel(self.device, name, units[name], port) for name in _SAMPLED for port in self._ports.values()),
            *(Channel(self.device, "supply.input.voltage", Unit.VOLT, name) for name in self._volts),
            *(Channel(self.device, name, units[name], port) for name, of in self._etherlike.items() for port in of),
            *(Channel(self.device, each.quantity, UNITS[each.quantity], each.part) for each in self._diodes),
        )

    async def _survey(self) -> None:
        """Which ifIndex and entPhysicalIndex everything has now."""
        columns = await self._walk(
            ("port.type", "port.name", "port.description", "port.alias", *self._has(*_ETHERLIKE))
        )
        names = self._names(columns)
        kinds = columns["port.type"]
        chosen = {index: name for index, name in names.items() if kinds.get((index,)) == _ETHERNET}
        if not chosen:
            raise Unsupported(
                self.device, "list its ports", "it has no Ethernet interface in IF-MIB", "Check the agent's view"
            )
        twice = sorted({name for name in chosen.values() if list(chosen.values()).count(name) > 1})
        if twice:
            raise Misbehaved(
                self.device, "list its ports", f"two interfaces are called {', '.join(twice)}", "Rename one of them"
            )
        self._ports = dict(sorted(chosen.items(), key=lambda each: natural(each[1])))
        self._etherlike = {
            name: tuple(port for index, port in self._ports.items() if isinstance(columns[name].get((index,)), int))
            for name in self._has(*_ETHERLIKE)
        }
        tables = await self._walk((*_ENTITY, *_SENSOR, *self._has(*_LIMITS, *_OPTICAL)))
        held = supplies(_group(tables, "entity"), _group(tables, "sensor"), {})
        sensors = {supply.name: supply.first(VOLTS_AC) for supply in held}
        self._volts = {name: sensor.index for name, sensor in sensors.items() if sensor is not None}
        self._diodes = self._find_optics(columns, tables)

    async def close(self) -> None:
        await self._link.close()

    async def identify(self) -> Identified:
        """The chassis by ENTITY-MIB: entPhysicalModelName is the part number that a customer orders by (RFC 6933).

        Where a family keeps its identity elsewhere, its profile says where; that counts where ENTITY-MIB is silent.
        """
        box = chassis(_group(await self._walk(_ENTITY), "entity"))
        described = text((await self._read_system())["system.description"])
        own = {name: self._profile.points[name] for name in self._has(*_IDENTITY)}
        found = await self._link.get(oid_of(point.oid) for point in own.values())
        said = {name.partition(".")[2]: worded(point, found[oid_of(point.oid)]) for name, point in own.items()}
        maker = (box.manufacturer if box else "") or self._profile.manufacturer
        model = (box.description or box.model if box else "") or said.get("model", "")
        number = (box.model if box else "") or said.get("model", "")
        serial = (box.serial if box else "") or said.get("serial", "")
        software = said.get("firmware", "") or (box.software if box else "") or described
        return Identified(maker, model, number, serial, software)

    async def parts(self) -> Sequence[Part]:
        """Its power supplies, fans and modules in ports, by place; what the switch reports empty is not among them."""
        extra = self._has("entity.works", "entity.interface")
        tables = await self._walk((*_ENTITY, *_SENSOR, *extra))
        entities, sensors = _group(tables, "entity"), _group(tables, "sensor")
        works = self._working(tables)
        held = [(each.name, "psu", each.entity, each.works) for each in supplies(entities, sensors, works)]
        held += [(each.name, "fan", each.entity, each.works) for each in fans(entities, sensors, works)]
        places = {name: name for name in self._ports.values()}
        places |= {str(index): name for index, name in self._ports.items()}
        aliased = _interfaces(tables.get("entity.interface", {}))
        held += [
            (f"optic-{each.port}", "optic", each.entity, works.get((each.entity.index,)))
            for each in modules(entities, aliased, places)
        ]
        return tuple(
            Part(name, kind, entity.manufacturer, entity.model, entity.serial, present=True, healthy=healthy)
            for name, kind, entity, healthy in held
        )

    async def firmware(self) -> Sequence[Firmware]:
        return (Firmware("os", (await self.identify()).firmware),)

    async def ports(self) -> Sequence[Port]:
        """Every Ethernet port that has all its counters; one without is left out: an absent counter is not zero."""
        system = await self._renumbered(await self._read_system())
        columns = await self._walk((*_COUNTERS, *_MOVING))
        at = self._connection.now()
        found = [self._port(index, columns, system, at) for index in self._ports]
        ports = tuple(port for port in found if port is not None)
        if not ports:
            raise Unsupported(
                self.device,
                "read its ports' counters",
                "no port has the 64-bit counters of IF-MIB",
                "Check the agent's view of ifXTable",
            )
        return ports

    async def neighbours(self) -> Sequence[Neighbour]:
        """What LLDP sees on every port; more than one neighbour on a port is possible."""
        columns = await self._walk((*_REMOTE, *_LOCAL, *_STATIC))
        known = Interfaces(
            names=self._names(columns),
            descriptions=_texts(columns["port.description"]),
            aliases=_texts(columns["port.alias"]),
            addresses={index[0]: mac(raw) for index, raw in columns["port.address"].items()},
        )
        remote = {name.removeprefix("remote."): columns[name] for name in _REMOTE}
        local = {name.removeprefix("local."): columns[name] for name in _LOCAL}
        return neighbours(remote, local, known)

    async def optics(self) -> Sequence[Optic]:
        """Every power (dBm) and temperature (degC) of the modules in its ports, with the thresholds of their makers."""
        values = await self._read_optics()
        at = self._connection.now()
        return tuple(
            Optic(each.port, each.lane, each.quantity, reading_of(value, UNITS[each.quantity], at), each.limits)
            for each, value in zip(self._diodes, values, strict=True)
        )

    async def supplies(self) -> Sequence[Supply]:
        tables = await self._walk((*_ENTITY, *_SENSOR, *self._has("entity.works")))
        found = supplies(_group(tables, "entity"), _group(tables, "sensor"), self._working(tables))
        at = self._connection.now()
        return tuple(_supply(each, at) for each in found)

    def channels(self) -> Sequence[Channel]:
        return self._channels

    async def sample(self) -> Sequence[Sample]:
        """One sample a channel; counters carry the instant at which they were counted, where the switch tells it."""
        system = await self._renumbered(await self._read_system())
        counted = [name for name, of in self._etherlike.items() if of]
        columns = await self._walk((*_SAMPLED, *counted, *self._has("port.counted")))
        volts = await self._input_voltages()
        light = {
            (each.quantity, each.part): value
            for each, value in zip(self._diodes, await self._read_optics(), strict=True)
        }
        at = self._connection.now()
        places = {name: index for index, name in self._ports.items()}
        samples = []
        for channel in self.channels():
            if channel.quantity == "supply.input.voltage":
                samples.append(sample(channel, volts.get(channel.part), at))
            elif channel.quantity in UNITS:
                samples.append(sample(channel, light.get((channel.quantity, channel.part)), at))
            else:
                index = places.get(channel.part, _NOWHERE)
                value = self._decoded(channel.quantity, columns, index) if channel.quantity in columns else None
                instant = self._instant(columns, index, system["system.uptime"], at)
                samples.append(sample(channel, value, at if channel.quantity == "port.up" else instant))
        return samples

    def _numbering(self, system: Mapping[str, Value]) -> tuple[int, Value]:
        return self._restarts, system.get("system.changed")

    async def _renumbered(self, system: Mapping[str, Value]) -> Mapping[str, Value]:
        """The system group, once ports and sensors are found anew after a restart or a change of the interface table.

        An ifIndex need not outlive a restart (RFC 2863, 3.1.5): a port's old number may be another port's new one.
        """
        if self._numbering(system) != self._numbered:
            await self._survey()
            self._numbered = self._numbering(system)
        return system

    def _instant(self, columns: Mapping[str, Mapping[Oid, Value]], index: int, uptime: Value, at: datetime) -> datetime:
        """When a port's counters were read from the hardware: sysUpTime is hundredths of a second of the same clock."""
        counted = columns.get("port.counted", {}).get((index,))
        if not isinstance(counted, int) or not isinstance(uptime, int) or counted > uptime:
            return at
        return at - timedelta(seconds=(uptime - counted) / 100)

    def _recognise(self, system: Mapping[str, Value]) -> None:
        described, kind = text(system["system.description"]), system.get("system.object")
        wanted = oid_of(self._profile.enterprise) if self._profile.enterprise else ()
        foreign = bool(wanted) and not (isinstance(kind, tuple) and kind[: len(wanted)] == wanted)
        if foreign or not re.search(self._profile.description, described):
            seen = f"sysObjectID {'.'.join(map(str, kind))}" if isinstance(kind, tuple) else "no sysObjectID"
            raise Misbehaved(
                self.device,
                f"recognise it as {self._profile.title}",
                f"{seen}, {described!r}",
                "Check address and profile of this device in the bay file; standard-switch fits any make",
            )

    def _find_optics(
        self, columns: Mapping[str, Mapping[Oid, Value]], tables: Mapping[str, Mapping[Oid, Value]]
    ) -> tuple[Diode, ...]:
        own = {name: oid_of(self._profile.points[f"sensor.{name}"].oid) for name in ("value", "status")}
        named = spellings(self._ports, _texts(columns["port.description"]), _texts(columns["port.alias"]))
        found = by_sensors(_group(tables, "entity"), _group(tables, "sensor"), own, _group(tables, "limit"), named)
        points = {name: self._profile.points[name] for name in self._has(*_OPTICAL)}
        found += by_interface(
            {name: (oid_of(points[name].oid), tables[name]) for name in _OPTICS if name in points},
            {
                name: (oid_of(points[f"{name}.lane"].oid), tables[f"{name}.lane"])
                for name in _OPTICS
                if f"{name}.lane" in points
            },
            {
                name: {level: tables[f"{name}.{level}"] for level in LEVELS if f"{name}.{level}" in points}
                for name in _OPTICS
            },
            {name: points[name].scale for name in _OPTICS if name in points},
            self._ports,
        )
        once = {(each.quantity, each.part): each for each in found}
        return tuple(sorted(once.values(), key=lambda each: (natural(each.part), each.quantity)))

    async def _read_optics(self) -> list[float | None]:
        """dBm and degC in the order of the diodes; only their own rows are read."""
        wanted = [oid for each in self._diodes for oid in (each.oid, each.status) if oid is not None]
        found = await self._link.get(wanted)
        return [
            each.value(found[each.oid], found[each.status]) if each.status else each.value(found[each.oid])
            for each in self._diodes
        ]

    def _port(
        self, index: int, columns: Mapping[str, Mapping[Oid, Value]], system: Mapping[str, Value], at: datetime
    ) -> Port | None:
        counts = {name: columns[name].get((index,)) for name in _COUNTERS}
        whole = {name: count for name, count in counts.items() if isinstance(count, int)}
        if len(whole) != len(_COUNTERS):
            return None
        up = self._decoded("port.up", columns, index)
        speed = self._decoded("port.speed", columns, index)
        discontinuity = columns["port.discontinuity"].get((index,))
        return Port(
            self._ports[index],
            up if isinstance(up, bool) else None,
            None if speed is None else reading_of(speed, Unit.GIGABIT_PER_SECOND, at),
            octets_in=whole["port.octets.in"],
            octets_out=whole["port.octets.out"],
            errors_in=whole["port.errors.in"],
            errors_out=whole["port.errors.out"],
            discards_in=whole["port.discards.in"],
            discards_out=whole["port.discards.out"],
            epoch=f"{system['system.boots']!r}.{self._restarts}.{discontinuity!r}",
        )

    def _decoded(self, name: str, columns: Mapping[str, Mapping[Oid, Value]], index: int) -> float | bool | None:
        point = self._profile.points[name]
        raw = columns[name].get((index,))
        return state(point, raw) if point.format == "state" else number(point, raw)

    async def _input_voltages(self) -> dict[str, float | None]:
        """V, by supply; only the sensors' own rows are read, not the whole table of entities."""
        rows = {
            name: {column: (*oid_of(self._profile.points[column].oid), index) for column in _SENSOR}
            for name, index in self._volts.items()
        }
        found = await self._link.get(oid for row in rows.values() for oid in row.values())
        return {
            name: measured({column.partition(".")[2]: found[oid] for column, oid in row.items()})
            for name, row in rows.items()
        }

    def _working(self, tables: Mapping[str, Mapping[Oid, Value]]) -> dict[Oid, bool | None]:
        """What the switch says of whether each entity works; nothing where it has no ENTITY-STATE-MIB."""
        raws = tables.get("entity.works", {})
        return {index: state(self._profile.points["entity.works"], raw) for index, raw in raws.items()}

    def _has(self, *names: str) -> tuple[str, ...]:
        """Those of these points that the profile has."""
        return tuple(name for name in names if name in self._profile.points)

    async def _read_system(self) -> dict[str, Value]:
        """The system group; an up-time that went backwards is a restart, and counters begin anew."""
        points = {
            name: oid_of(self._profile.points[name].oid)
            for name in (*_SYSTEM, *self._has("system.object", "system.changed"))
        }
        found = await self._link.get(points.values())
        values = {name: found[oid] for name, oid in points.items()}
        uptime = number(self._profile.points["system.uptime"], values["system.uptime"])
        if uptime is None:
            raise Misbehaved(self.device, "read sysUpTime", "there is none", "The agent's view must hold 1.3.6.1.2.1.1")
        if uptime < self._uptime:
            self._restarts += 1
        self._uptime = uptime
        return values

    async def _walk(self, names: Sequence[str]) -> dict[str, dict[Oid, Value]]:
        points: dict[str, SnmpPoint] = {name: self._profile.points[name] for name in names}
        found = await self._link.walk(oid_of(point.oid) for point in points.values())
        return {name: found[oid_of(point.oid)] for name, point in points.items()}

    def _names(self, columns: Mapping[str, Mapping[Oid, Value]]) -> dict[int, str]:
        """ifName, or ifDescr where an old switch has none."""
        return _texts(columns["port.description"]) | _texts(columns["port.name"])


def _texts(column: Mapping[Oid, Value]) -> dict[int, str]:
    return {index[0]: text(raw) for index, raw in column.items() if len(index) == 1 and text(raw)}


def _group(columns: Mapping[str, Mapping[Oid, Value]], group: str) -> dict[str, Mapping[Oid, Value]]:
    """The columns of one group by the rest of their names: `entity.class` is `class` of `entity`."""
    return {name.partition(".")[2]: column for name, column in columns.items() if name.partition(".")[0] == group}


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
