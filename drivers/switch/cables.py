"""What a switch knows of the cables in it: its ports with their counters, and who LLDP says is at the far end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from drivers.lldp import Interfaces, mac, neighbours, neighbours_v2
from drivers.points import reading_of
from drivers.switch.points import COUNTERS, LATER_LOCAL, LATER_REMOTE, LOCAL, MOVING, REMOTE, STATIC
from drivers.switch.survey import Survey
from drivers.switch.tables import Columns, Tables, group, names, texts
from drivers.transports.snmp import Value
from harness.capabilities import Neighbour, Port
from harness.errors import Unsupported
from harness.quantities import Unit


async def read_ports(tables: Tables, survey: Survey, system: Mapping[str, Value], at: datetime) -> tuple[Port, ...]:
    """Every Ethernet port that has all its counters; one without is left out: an absent counter is not zero."""
    columns = await tables.walk((*COUNTERS, *MOVING))
    boot = f"{system['system.boots']!r}.{tables.restarts}"
    found = [_port(tables, place, columns, boot, at) for place in survey.ports.items()]
    ports = tuple(port for port in found if port is not None)
    if not ports:
        raise Unsupported(
            tables.device,
            "read its ports' counters",
            "no port has the 64-bit counters of IF-MIB",
            "Check the agent's view of ifXTable",
        )
    return ports


async def read_neighbours(tables: Tables) -> tuple[Neighbour, ...]:
    """What LLDP sees on every port, by LLDP-MIB or, where that has no neighbour, by LLDP-V2-MIB.

    More than one neighbour on a port is possible.
    """
    columns = await tables.walk((*REMOTE, *LOCAL, *STATIC))
    known = Interfaces(
        names=names(columns),
        descriptions=texts(columns["port.description"]),
        aliases=texts(columns["port.alias"]),
        addresses={index[0]: mac(raw) for index, raw in columns["port.address"].items()},
    )
    found = neighbours(group(columns, "remote"), group(columns, "local"), known)
    newer = tables.has(*LATER_REMOTE, *LATER_LOCAL)
    if found or not newer:
        return found
    later = group(await tables.walk(newer), "later")
    return neighbours_v2(group(later, "remote"), group(later, "local"), known)


def instant(columns: Columns, index: int, uptime: Value, at: datetime) -> datetime:
    """When a port's counters were read from the hardware: sysUpTime is hundredths of a second of the same clock."""
    counted = columns.get("port.counted", {}).get((index,))
    if not isinstance(counted, int) or not isinstance(uptime, int) or counted > uptime:
        return at
    return at - timedelta(seconds=(uptime - counted) / 100)


def _port(tables: Tables, place: tuple[int, str], columns: Columns, boot: str, at: datetime) -> Port | None:
    index, name = place
    counts = {each: columns[each].get((index,)) for each in COUNTERS}
    whole = {each: count for each, count in counts.items() if isinstance(count, int)}
    if len(whole) != len(COUNTERS):
        return None
    up = tables.decoded("port.up", columns, index)
    speed = tables.decoded("port.speed", columns, index)
    discontinuity = columns["port.discontinuity"].get((index,))
    return Port(
        name,
        up if isinstance(up, bool) else None,
        None if speed is None else reading_of(speed, Unit.GIGABIT_PER_SECOND, at),
        octets_in=whole["port.octets.in"],
        octets_out=whole["port.octets.out"],
        errors_in=whole["port.errors.in"],
        errors_out=whole["port.errors.out"],
        discards_in=whole["port.discards.in"],
        discards_out=whole["port.discards.out"],
        epoch=f"{boot}.{discontinuity!r}",
    )
