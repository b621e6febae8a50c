"""Ethernet switches by SNMP and their standard MIBs: ports with 64-bit counters, LLDP neighbours, power supplies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from drivers.entity import AMPERES, VOLTS_AC, WATTS, SwitchSupply, chassis, measured, supplies
from drivers.lldp import Interfaces, mac, natural, neighbours
from drivers.points import number, oid_of, reading_of, sample, state, text
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
_SAMPLED = ("port.octets.in", "port.octets.out", "port.errors.in", "port.errors.out", "port.up")
_ETHERNET = 6
"""IANAifType ethernetCsmacd."""
_LEAST_MAINS = 80.0
"""V below which a line input counts as lost; the lowest mains in use is 100 V - 10 % (IEC 60038)."""


def connect(connection: Connection) -> Switch:
    """A switch by its profile (`standard-switch`); touches no network. Raises DefinitionError."""
    check_snmp_options(connection)
    name = connection.profile or "standard-switch"
    profile = load_profile(name, SnmpProfile, driver="switch", required=_REQUIRED, optional=("entity.works",))
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
        self._uptime = 0.0
        self._restarts = 0

    @property
    def device(self) -> str:
        return self._connection.device

    @property
    def polling_floor(self) -> float:
        return self._profile.polling_floor

    async def open(self) -> None:
        """Find its Ethernet ports and which supplies it measures; raises DeviceError."""
        await self._read_system()
        columns = await self._walk(("port.type", "port.name", "port.description"))
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
        sensors = {supply.name: supply.first(VOLTS_AC) for supply in await self._supplies()}
        self._volts = {name: sensor.index for name, sensor in sensors.items() if sensor is not None}

    async def close(self) -> None:
        await self._link.close()

    async def identify(self) -> Identified:
        """The chassis by ENTITY-MIB: entPhysicalModelName is the part number that a customer orders by (RFC 6933)."""
        box = chassis(_stripped(await self._walk(_ENTITY)))
        described = text((await self._read_system())["system.description"])
        if box is None:
            return Identified("", "", "", "", described)
        model = box.description or box.model
        return Identified(box.manufacturer, model, box.model, box.serial, box.software or described)

    async def parts(self) -> Sequence[Part]:
        """Its power supplies; a slot that the switch reports empty is not among them."""
        return tuple(
            Part(
                supply.name,
                "psu",
                supply.entity.manufacturer,
                supply.entity.model,
                supply.entity.serial,
                present=True,
                healthy=supply.works,
            )
            for supply in await self._supplies()
        )

    async def firmware(self) -> Sequence[Firmware]:
        return (Firmware("os", (await self.identify()).firmware),)

    async def ports(self) -> Sequence[Port]:
        """Every Ethernet port that has all its counters; one without is left out: an absent counter is not zero."""
        system = await self._read_system()
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

    async def supplies(self) -> Sequence[Supply]:
        found = await self._supplies()
        at = self._connection.now()
        return tuple(_supply(each, at) for each in found)

    def channels(self) -> Sequence[Channel]:
        units = {name: self._profile.points[name].unit for name in _SAMPLED}
        return (
            *(Channel(self.device, name, units[name], port) for name in _SAMPLED for port in self._ports.values()),
            *(Channel(self.device, "supply.input.voltage", Unit.VOLT, name) for name in self._volts),
        )

    async def sample(self) -> Sequence[Sample]:
        columns = await self._walk(_SAMPLED)
        volts = await self._input_voltages()
        at = self._connection.now()
        places = {name: index for index, name in self._ports.items()}
        samples = []
        for channel in self.channels():
            if channel.quantity == "supply.input.voltage":
                value: float | bool | None = volts.get(channel.part)
            else:
                value = self._decoded(channel.quantity, columns, places[channel.part])
            samples.append(sample(channel, value, at))
        return samples

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

    async def _supplies(self) -> tuple[SwitchSupply, ...]:
        columns = await self._walk((*_ENTITY, *_SENSOR))
        works = await self._walk(("entity.works",)) if "entity.works" in self._profile.points else {}
        said = {
            index: state(self._profile.points["entity.works"], raw)
            for index, raw in works.get("entity.works", {}).items()
        }
        entities = _stripped({name: columns[name] for name in _ENTITY})
        return supplies(entities, _stripped({name: columns[name] for name in _SENSOR}), said)

    async def _read_system(self) -> dict[str, Value]:
        """The system group; an up-time that went backwards is a restart, and counters begin anew."""
        points = {name: oid_of(self._profile.points[name].oid) for name in _SYSTEM}
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


def _stripped(columns: Mapping[str, Mapping[Oid, Value]]) -> dict[str, Mapping[Oid, Value]]:
    return {name.partition(".")[2]: column for name, column in columns.items()}


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
