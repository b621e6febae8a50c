"""A switch's tables by the names of its profile's points, read from the agent; and its system group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from drivers.families import check_family
from drivers.points import number, oid_of, state, text
from drivers.profile import SnmpProfile
from drivers.switch.points import ABOUT_SYSTEM, SYSTEM
from drivers.transports.snmp import Oid, SnmpLink, Value
from harness.errors import Misbehaved

Columns = Mapping[str, Mapping[Oid, Value]]
"""By point: index to raw value."""


class Tables:
    """What is read of one agent, by the profile of its family."""

    def __init__(self, device: str, profile: SnmpProfile, link: SnmpLink) -> None:
        self.device = device
        self.profile = profile
        self._link = link
        self._uptime = 0.0
        self.restarts = 0
        """How often sysUpTime has gone backwards."""

    def has(self, *names: str) -> tuple[str, ...]:
        """Those of these points that the profile has."""
        return tuple(name for name in names if name in self.profile.points)

    def oid(self, name: str) -> Oid:
        """The object, or column, of a point."""
        return oid_of(self.profile.points[name].oid)

    async def get(self, oids: Iterable[Oid]) -> dict[Oid, Value]:
        """Single objects; None where the agent has no such one."""
        return await self._link.get(oids)

    async def walk(self, names: Sequence[str]) -> dict[str, dict[Oid, Value]]:
        """Whole columns."""
        found = await self._link.walk(self.oid(name) for name in names)
        return {name: found[self.oid(name)] for name in names}

    def decoded(self, name: str, columns: Columns, index: int) -> float | bool | None:
        """One cell in the unit of its point; None where it says nothing to be believed."""
        point, raw = self.profile.points[name], columns[name].get((index,))
        return state(point, raw) if point.format == "state" else number(point, raw)

    async def system(self) -> dict[str, Value]:
        """The system group; an up-time that went backwards is a restart, and counters begin anew."""
        oids = {name: self.oid(name) for name in (*SYSTEM, *self.has(*ABOUT_SYSTEM))}
        found = await self._link.get(oids.values())
        values = {name: found[oid] for name, oid in oids.items()}
        uptime = number(self.profile.points["system.uptime"], values["system.uptime"])
        if uptime is None:
            raise Misbehaved(self.device, "read sysUpTime", "there is none", "The agent's view must hold 1.3.6.1.2.1.1")
        if uptime < self._uptime:
            self.restarts += 1
        self._uptime = uptime
        return values

    def recognise(self, system: Mapping[str, Value]) -> None:
        """Raises Misbehaved unless the switch is of the profile's family."""
        described = text(system["system.description"])
        otherwise = "standard-switch fits any make"
        check_family(self.device, self.profile, described, system.get("system.object"), otherwise)

    def works(self, tables: Columns) -> dict[Oid, bool | None]:
        """What the switch says of whether each entity works; nothing where it has no ENTITY-STATE-MIB."""
        raws = tables.get("entity.works", {})
        return {index: state(self.profile.points["entity.works"], raw) for index, raw in raws.items()}


def texts(column: Mapping[Oid, Value]) -> dict[int, str]:
    """A column of texts by the one number of its index; empty ones are left out."""
    return {index[0]: text(raw) for index, raw in column.items() if len(index) == 1 and text(raw)}


def names(columns: Columns) -> dict[int, str]:
    """What each interface is called: ifName, or ifDescr where an old switch has none."""
    return texts(columns["port.description"]) | texts(columns["port.name"])


def group(columns: Columns, of: str) -> dict[str, Mapping[Oid, Value]]:
    """The columns of one group by the rest of their names: `entity.class` is `class` of `entity`."""
    return {name.partition(".")[2]: column for name, column in columns.items() if name.partition(".")[0] == of}
