"""Rack PDUs by SNMP: outlets that are switched and read back, and what the PDU draws in all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import datetime

from drivers.points import (
    bad,
    column_of,
    number,
    oid_of,
    parts_of,
    reading_of,
    sample,
    state,
    text,
)
from drivers.profile import SnmpPoint, SnmpProfile, Switching, load_profile
from drivers.transports.address import suggest
from drivers.transports.snmp import Oid, SnmpLink, Value, check_snmp_options, connect_snmp
from harness.capabilities import Firmware, Identified, Outlet
from harness.connection import Connection
from harness.errors import DefinitionError, Misbehaved, Problem, Refused, Unreachable, Unsupported
from harness.quantities import Channel, Reading, Sample, Unit

_REQUIRED = ("identity.model", "identity.serial", "identity.firmware", "input.power", "outlet.state")
_OPTIONAL = ("outlet.pending", "outlet.power", "outlet.current")
_SYS_OBJECT_ID: Oid = (1, 3, 6, 1, 2, 1, 1, 2, 0)
_LOOK_AGAIN = 0.2
"""Wall seconds between two looks at an outlet that was switched."""


def connect(connection: Connection) -> Pdu:
    """A PDU by its profile (`apc-rpdu2`, `raritan-px2`); touches no network. Raises DefinitionError."""
    check_snmp_options(connection)
    profile = load_profile(connection.profile, SnmpProfile, driver="pdu", required=_REQUIRED, optional=_OPTIONAL)
    if "outlet" not in profile.switching:
        problem = Problem(f"{connection.profile}.yaml", "switching.outlet", "is missing; the driver cannot do without")
        raise DefinitionError([problem])
    link = connect_snmp(
        connection, repetitions=profile.repetitions, block=profile.block, concurrency=profile.concurrency
    )
    return Pdu(connection, profile, link)


class Pdu:
    """One rack PDU. Outlets are named by their number as printed: `1`."""

    def __init__(self, connection: Connection, profile: SnmpProfile, link: SnmpLink) -> None:
        self._connection = connection
        self._profile = profile
        self._link = link
        self._outlets: tuple[str, ...] = ()
        self._metered: dict[str, tuple[str, ...]] = {}
        """By point: the outlets for which this PDU measures it."""
        self._digits: dict[Oid, Value] = {}
        self._switching: dict[str, asyncio.Lock] = {}

    @property
    def device(self) -> str:
        return self._connection.device

    @property
    def polling_floor(self) -> float:
        return self._profile.polling_floor

    async def open(self) -> None:
        """Find out what it is, how many outlets it has and which of them it meters; raises DeviceError."""
        await self._recognise()
        template = self._point("outlet.state").oid
        rows = (await self._link.walk([column_of(template)]))[column_of(template)]
        self._outlets = tuple(str(number) for number in parts_of(template, rows))
        if not self._outlets:
            raise Unsupported(
                self.device, "list its outlets", "the PDU reports none", "It is not switched, or the profile is wrong"
            )
        self._switching = {outlet: asyncio.Lock() for outlet in self._outlets}
        await self._read_digits()
        await self._find_meters()

    async def close(self) -> None:
        await self._link.close()

    async def identify(self) -> Identified:
        points = [self._point(f"identity.{what}") for what in ("model", "serial", "firmware")]
        found = await self._link.get([oid_of(point.oid) for point in points])
        model, serial, firmware = (text(found[oid_of(point.oid)]) for point in points)
        # No MIB of a PDU tells a part number apart from the model number: that is what is ordered.
        return Identified(self._profile.manufacturer, model, model, serial, firmware)

    async def firmware(self) -> Sequence[Firmware]:
        return (Firmware("os", (await self.identify()).firmware),)

    async def outlets(self) -> Sequence[Outlet]:
        """Every outlet in the order of its number; power (W) and current (A) where it is metered."""
        return await self._read_outlets(self._outlets)

    async def switch(self, outlet: str, *, on: bool) -> Outlet:
        """Switch one outlet and return once it reads back as wanted; raises Misbehaved where it does not in time.

        What the PDU answers to the SET is no proof either way: some report an error and switch (AP8965), some confirm
        and do not. Only a refusal ends the matter at once.
        """
        lock = self._switching.get(outlet)
        if lock is None:
            known = ", ".join(self._outlets) or "none; open() first"
            raise Unsupported(
                self.device,
                f"switch outlet {outlet}",
                f"there is no such outlet{suggest(outlet, self._outlets)}",
                f"Its outlets are {known}",
            )
        command = self._profile.switching["outlet"]
        async with lock:
            said = await self._command(command, outlet, on=on)
            return await self._await_state(command, outlet, said, on=on)

    async def input_power(self) -> Reading:
        """What the PDU draws in all, W."""
        values = await self._values(["input.power"], ())
        return reading_of(values.get(("input.power", "")), Unit.WATT, self._connection.now())

    def channels(self) -> Sequence[Channel]:
        power = self._metered.get("outlet.power", ())
        return (
            Channel(self.device, "input.power", Unit.WATT),
            *(Channel(self.device, "outlet.on", Unit.BOOLEAN, f"outlet-{name}") for name in self._outlets),
            *(Channel(self.device, "outlet.power", Unit.WATT, f"outlet-{name}") for name in power),
        )

    async def sample(self) -> Sequence[Sample]:
        values = await self._values(["input.power", "outlet.state", "outlet.pending", "outlet.power"], self._outlets)
        at = self._connection.now()
        samples: list[Sample] = []
        for channel in self.channels():
            outlet = channel.part.removeprefix("outlet-")
            if channel.quantity == "outlet.on":
                samples.append(sample(channel, self._settled(values, outlet), at))
            else:
                samples.append(sample(channel, values.get((channel.quantity, outlet)), at))
        return samples

    async def _recognise(self) -> None:
        identity = [oid_of(self._point(f"identity.{what}").oid) for what in ("model", "serial")]
        found = await self._link.get([_SYS_OBJECT_ID, *identity])
        kind = found[_SYS_OBJECT_ID]
        wanted = oid_of(self._profile.enterprise) if self._profile.enterprise else ()
        foreign = isinstance(kind, tuple) and kind[: len(wanted)] != wanted
        if foreign or not any(text(found[oid]) for oid in identity):
            seen = f"sysObjectID {'.'.join(map(str, kind))}" if isinstance(kind, tuple) else "no model and no serial"
            raise Misbehaved(
                self.device,
                f"recognise it as {self._profile.title}",
                seen,
                "Check address and profile of this device in the bay file",
            )

    async def _read_digits(self) -> None:
        """How many decimals the device gives is fixed; ask once."""
        wanted = [
            oid_of(point.digits, outlet)
            for point in self._profile.points.values()
            if point.digits
            for outlet in (self._outlets if "{part}" in point.digits else (None,))
        ]
        self._digits = await self._link.get(wanted) if wanted else {}

    async def _find_meters(self) -> None:
        names = [name for name in ("outlet.power", "outlet.current") if name in self._profile.points]
        found = await self._link.get([oid_of(self._point(name).oid, each) for name in names for each in self._outlets])
        self._metered = {
            name: tuple(each for each in self._outlets if found[oid_of(self._point(name).oid, each)] is not None)
            for name in names
        }

    async def _read_outlets(self, outlets: Sequence[str]) -> tuple[Outlet, ...]:
        values = await self._values(["outlet.state", "outlet.pending", "outlet.power", "outlet.current"], outlets)
        at = self._connection.now()
        return tuple(
            Outlet(
                outlet,
                self._settled(values, outlet),
                self._meter(values, "outlet.power", outlet, at),
                self._meter(values, "outlet.current", outlet, at),
            )
            for outlet in outlets
        )

    def _meter(
        self, values: Mapping[tuple[str, str], float | bool | None], name: str, outlet: str, at: datetime
    ) -> Reading | None:
        if outlet not in self._metered.get(name, ()):
            return None
        unit = self._point(name).unit
        value = values.get((name, outlet))
        return bad(unit, at) if value is None else reading_of(value, unit, at)

    def _settled(self, values: Mapping[tuple[str, str], float | bool | None], outlet: str) -> bool | None:
        """Whether the outlet is on; None while a command is pending, and where the device does not say."""
        if "outlet.pending" in self._profile.points and values.get(("outlet.pending", outlet)) is not False:
            return None
        value = values.get(("outlet.state", outlet))
        return value if isinstance(value, bool) else None

    async def _values(self, names: Sequence[str], outlets: Sequence[str]) -> dict[tuple[str, str], float | bool | None]:
        """These points, by name and outlet; those of the PDU itself have no outlet."""
        asked: dict[tuple[str, str], tuple[SnmpPoint, Oid, Oid | None]] = {}
        for name in names:
            point = self._profile.points.get(name)
            if point is None:
                continue
            of = outlets if "{part}" in point.oid else ("",)
            for outlet in self._metered.get(name, of):
                if outlet in of:
                    available = oid_of(point.available, outlet) if point.available else None
                    asked[name, outlet] = (point, oid_of(point.oid, outlet), available)
        found = await self._link.get(oid for _, *oids in asked.values() for oid in oids if oid is not None)
        return {
            key: self._decoded(point, found, oid, available, key[1]) for key, (point, oid, available) in asked.items()
        }

    def _decoded(
        self, point: SnmpPoint, found: Mapping[Oid, Value], oid: Oid, available: Oid | None, outlet: str
    ) -> float | bool | None:
        if point.format == "state":
            return state(point, found[oid])
        digits = self._digits.get(oid_of(point.digits, outlet)) if point.digits else None
        return number(point, found[oid], digits, found[available] if available else 1)

    async def _command(self, command: Switching, outlet: str, *, on: bool) -> str:
        """Write once; returns what the PDU had against it, which need not mean that it did not do it."""
        try:
            await self._link.set(oid_of(command.oid, outlet), command.energise if on else command.cut)
        except (Refused, Unsupported):
            raise
        except (Misbehaved, Unreachable) as error:
            return error.seen
        return ""

    async def _await_state(self, command: Switching, outlet: str, said: str, *, on: bool) -> Outlet:
        until = time.monotonic() + command.deadline
        while True:
            (now,) = await self._read_outlets([outlet])
            if now.on is on:
                return now
            if time.monotonic() >= until:
                break
            await asyncio.sleep(_LOOK_AGAIN)
        word = {True: "on", False: "off", None: "in transition, or does not say"}
        raise Misbehaved(
            self.device,
            f"switch outlet {outlet} {word[on]}",
            f"it still reads {word[now.on]} after {command.deadline:g} s" + (f"; the SET said: {said}" if said else ""),
            "Look at the outlet's lamp; the PDU may be locked by another session or its relay may be stuck",
        )

    def _point(self, name: str) -> SnmpPoint:
        return self._profile.points[name]
