"""Units on the bus of a shelf: which numbers they have, and how the line is set for each of them.

`200,201` are two units on the line as the address sets it; `200,201;64,65@115200/8E1` adds two that speak faster, or
with another parity: after `@` come baud, data bits (8, Modbus RTU has no other), parity and stop bits. Whether one port
can be driven at several settings is the transport's to say: it refuses what it cannot do before the first contact.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlencode, urlsplit

from drivers.transports.address import wrong
from drivers.transports.modbus import ModbusLink, connect_modbus
from harness.connection import Connection

_GROUP = re.compile(r"(?P<numbers>[0-9 ,]+)(@(?P<baud>[0-9]+)/8(?P<parity>[NEO])(?P<stopbits>[12]))?")
_EXAMPLE = "'200,201,202', or '200,201;64,65@115200/8E1' where some speak otherwise"


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit on the bus: its name on the rack, its number, and the way to it."""

    name: str
    number: int
    link: ModbusLink


@dataclass(frozen=True, slots=True)
class Line:
    """How a serial line is set for some units, where that is not as the address says."""

    baud: str
    parity: str
    stopbits: str


@dataclass(frozen=True, slots=True)
class Placed:
    """A number on the bus and how the line is set for it; None: as the address says."""

    number: int
    line: Line | None


def places_of(
    connection: Connection, option: str, text: str, *, known: Callable[[int], bool] = lambda _number: False
) -> tuple[Placed, ...]:
    """The units that an option lists, in its order; raises DefinitionError.

    Numbers above 247 are reserved (Serial Line V1.02, 2.2) and accepted only where they are `known` to be used.
    """
    found = tuple(_placed(connection, option, text, known))
    numbers = [each.number for each in found]
    if len(set(numbers)) != len(numbers):
        raise wrong(connection, f"options.{option}", f"{text!r} names a unit twice")
    return found


def _placed(connection: Connection, option: str, text: str, known: Callable[[int], bool]) -> Iterator[Placed]:
    plain = 0
    for group in text.split(";"):
        said = _GROUP.fullmatch(group.strip())
        numbers = [word.strip() for word in said["numbers"].split(",")] if said else []
        plain += said is not None and said["baud"] is None
        fitting = all(word.isdigit() and (1 <= int(word) <= 247 or known(int(word))) for word in numbers)
        if said is None or plain > 1 or not fitting:
            raise wrong(connection, f"options.{option}", f"{text!r} must list numbers from 1 to 247, as {_EXAMPLE}")
        line = Line(said["baud"], said["parity"], said["stopbits"]) if said["baud"] else None
        yield from (Placed(int(word), line) for word in numbers)


class Links:
    """The ways to the units of one connection: one for each setting of the line."""

    def __init__(self, connection: Connection, connect: Callable[[Connection], ModbusLink] = connect_modbus) -> None:
        self._connection = connection
        self._connect = connect
        self._links: dict[Line | None, ModbusLink] = {}

    def units(self, option: str, places: tuple[Placed, ...], kind: str) -> tuple[Unit, ...]:
        """`kind-1`, `kind-2` … in this order; raises DefinitionError where a line cannot be set so."""
        return tuple(
            Unit(f"{kind}-{index}", each.number, self._link(option, each.line)) for index, each in enumerate(places, 1)
        )

    async def close(self) -> None:
        """Leave every bus; never raises."""
        for link in self._links.values():
            await link.close()

    def _link(self, option: str, line: Line | None) -> ModbusLink:
        if line not in self._links:
            own = self._connection if line is None else _with(self._connection, option, line)
            self._links[line] = self._connect(own)
        return self._links[line]


def _with(connection: Connection, option: str, line: Line) -> Connection:
    parts = urlsplit(connection.address)
    if parts.netloc:
        text = (
            f"{connection.address!r} is no serial line of this station: speed and parity are set at the device server"
        )
        raise wrong(connection, f"options.{option}", text)
    set_so = {"baud": line.baud, "parity": line.parity, "stopbits": line.stopbits}
    query = urlencode({**dict(parse_qsl(parts.query)), **set_so})
    return replace(connection, address=f"{parts.scheme}://{parts.path}?{query}")
