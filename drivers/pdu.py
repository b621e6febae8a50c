"""Rack PDUs by SNMP: outlets that are switched and read back, and what the PDU and its parts draw."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from drivers.families import connect_profile
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
    worded,
)
from drivers.profile import SnmpPoint, SnmpProfile, Switching, load_profile
from drivers.transports.address import suggest
from drivers.transports.snmp import Oid, SnmpLink, Value, check_snmp_options
from harness.capabilities import Firmware, Identified, Outlet
from harness.connection import Connection
from harness.errors import DefinitionError, Misbehaved, Problem, Refused, Unreachable, Unsupported
from harness.quantities import Channel, Reading, Sample, Unit

if TYPE_CHECKING:
    from drivers.redfish_pdu import RedfishPdu

_IDENTITY = ("identity.model", "identity.serial", "identity.firmware")
_REQUIRED = (*_IDENTITY, "input.power", "outlet.state")
_WHOLE = tuple(f"input.{what}" for what in ("voltage", "current", "power_factor", "energy", "frequency"))
_METERED = tuple(f"outlet.{what}" for what in ("power", "current", "voltage", "power_factor", "energy"))
_ABOUT_OUTLETS = ("outlet.pending", "outlet.label", "outlet.switchable")
_GROUPS = ("inlet", "phase", "line", "bank", "breaker")
_GROUPED = tuple(
    f"{group}.{what}"
    for group in _GROUPS
    for what in ("current", "voltage", "power", "power_factor", "energy", "frequency", "closed")
)
_OPTIONAL = (*_WHOLE, *_METERED, *_ABOUT_OUTLETS, *_GROUPED)
_SYSTEM: tuple[Oid, Oid] = ((1, 3, 6, 1, 2, 1, 1, 1, 0), (1, 3, 6, 1, 2, 1, 1, 2, 0))
"""sysDescr and sysObjectID (SNMPv2-MIB, RFC 3418)."""
_LOOK_AGAIN = 0.2
"""Wall seconds between two looks at an outlet that was switched."""

_Values = Mapping[tuple[str, str], float | bool | None]


def connect(connection: Connection) -> Pdu | RedfishPdu:
    """A PDU by the scheme of its address; touches no network. Raises DefinitionError.

    `snmp://` needs a profile (`apc-rpdu2`, `raritan-px2` …); `https://` describes itself by Redfish.
    """
    if connection.address.startswith("https://"):
        # Each way in has libraries of its own; only the one that is used is loaded.
        from drivers.redfish_pdu import connect as connect_redfish

        return connect_redfish(connection)
    check_snmp_options(connection)
    profile = load_profile(connection.profile, SnmpProfile, driver="pdu", required=_REQUIRED, optional=_OPTIONAL)
    if "outlet" not in profile.switching:
        problem = Problem(f"{connection.profile}.yaml", "switching.outlet", "is missing; the driver cannot do without")
        raise DefinitionError([problem])
    return Pdu(connection, profile, connect_profile(connection, profile))


class Pdu:
    """One rack PDU. Outlets are named as printed: `1`, or `AA1` where the PDU tells such a label, else by their index.

    A PDU without outlets that can be switched or told apart is a meter: it opens, and `outlets()` is unsupported.
    """

    def __init__(self, connection: Connection, profile: SnmpProfile, link: SnmpLink) -> None:
        self._connection = connection
        self._profile = profile
        self._link = link
        self._indices: dict[str, str] = {}
        """Outlets by name, in order: what stands for `{part}` in their OIDs."""
        self._places: dict[str, dict[str, str]] = {}
        """By point: the parts for which this PDU measures it, by name, and what stands for `{part}`."""
        self._digits: dict[Oid, Value] = {}
        self._switching: dict[str, asyncio.Lock] = {}

    @property
    def device(self) -> str:
        return self._connection.device

    @property
    def polling_floor(self) -> float:
        return self._profile.polling_floor

    async def open(self) -> None:
        """Find out what it is, which outlets it has and what it measures of them; raises DeviceError."""
        await self._recognise()
        walked = {name: point for name, point in self._profile.points.items() if "{part}" in point.oid}
        columns = await self._link.walk({column_of(point.oid) for point in walked.values()})
        rows = {name: columns[column_of(point.oid)] for name, point in walked.items()}
        indices = parts_of(self._point("outlet.state").oid, rows["outlet.state"])
        self._indices = self._labelled(indices, rows.get("outlet.label", {}))
        self._switching = {outlet: asyncio.Lock() for outlet in self._indices}
        self._places = {name: self._found(name, point, rows[name]) for name, point in walked.items()}
        scalars = [name for name in _WHOLE if name in self._profile.points and name not in walked]
        answers = await self._link.get(oid_of(self._point(name).oid) for name in scalars)
        for name in scalars:
            point = self._point(name)
            raw = answers[oid_of(point.oid)]
            self._places[name] = {} if raw is None or raw in point.absent else {"": ""}
        if "input.power" not in walked:
            self._places["input.power"] = {"": ""}
        await self._read_digits()
        await self._drop_unavailable()

    async def close(self) -> None:
        await self._link.close()

    async def identify(self) -> Identified:
        points = [self._point(name) for name in _IDENTITY]
        found = await self._link.get([oid_of(point.oid) for point in points])
        model, serial, firmware = (worded(point, found[oid_of(point.oid)]) for point in points)
        # No MIB of a PDU tells a part number apart from the model number: that is what is ordered.
        return Identified(self._profile.manufacturer, model, model, serial, firmware)

    async def firmware(self) -> Sequence[Firmware]:
        return (Firmware("os", (await self.identify()).firmware),)

    async def outlets(self) -> Sequence[Outlet]:
        """Every outlet in the order of its number; power (W) and current (A) where it is metered."""
        if not self._indices:
            raise Unsupported(
                self.device, "list its outlets", "the PDU reports none", "It is a meter only, or the profile is wrong"
            )
        return await self._read_outlets(tuple(self._indices))

    async def switch(self, outlet: str, *, on: bool) -> Outlet:
        """Switch one outlet and return once it reads back as wanted; raises Misbehaved where it does not in time.

        What the PDU answers to the SET is no proof either way: some report an error and switch (AP8965), some confirm
        and do not. Only a refusal ends the matter at once.
        """
        lock = self._switching.get(outlet)
        if lock is None:
            known = ", ".join(self._indices) or "none, or it was not opened"
            raise Unsupported(
                self.device,
                f"switch outlet {outlet}",
                f"there is no such outlet{suggest(outlet, self._indices)}",
                f"Its outlets are {known}",
            )
        command = self._profile.switching["outlet"]
        async with lock:
            await self._check_switchable(outlet)
            said = await self._command(command, outlet, on=on)
            return await self._await_state(command, outlet, said, on=on)

    async def input_power(self) -> Reading:
        """What the PDU draws in all, W; of a PDU with several inlets their sum, bad unless all of them are known."""
        values = await self._values(["input.power"])
        return reading_of(_total(values, "input.power"), Unit.WATT, self._connection.now())

    def channels(self) -> Sequence[Channel]:
        return (
            Channel(self.device, "input.power", Unit.WATT),
            *(Channel(self.device, "outlet.on", Unit.BOOLEAN, f"outlet-{name}") for name in self._indices),
            *(
                Channel(self.device, name, self._point(name).unit, _part(name, place))
                for name in (*_METERED, *_WHOLE, *_GROUPED)
                for place in self._places.get(name, ())
            ),
        )

    async def sample(self) -> Sequence[Sample]:
        wanted = ("input.power", "outlet.state", "outlet.pending", *_METERED, *_WHOLE, *_GROUPED)
        values = await self._values(wanted)
        at = self._connection.now()
        samples: list[Sample] = []
        for channel in self.channels():
            place = channel.part.removeprefix(f"{channel.quantity.partition('.')[0]}-")
            if channel.quantity == "outlet.on":
                samples.append(sample(channel, self._settled(values, place), at))
            elif channel.quantity == "input.power":
                samples.append(sample(channel, _total(values, "input.power"), at))
            else:
                samples.append(sample(channel, values.get((channel.quantity, place)), at))
        return samples

    async def _recognise(self) -> None:
        points = [self._point(f"identity.{what}") for what in ("model", "serial")]
        found = await self._link.get([*_SYSTEM, *(oid_of(point.oid) for point in points)])
        description, kind = text(found[_SYSTEM[0]]), found[_SYSTEM[1]]
        wanted = oid_of(self._profile.enterprise) if self._profile.enterprise else ()
        ours = isinstance(kind, tuple) and bool(wanted) and kind[: len(wanted)] == wanted
        foreign = isinstance(kind, tuple) and kind[: len(wanted)] != wanted
        if self._profile.description and description and not re.search(self._profile.description, description):
            foreign = True
        if foreign or not (ours or any(worded(point, found[oid_of(point.oid)]) for point in points)):
            seen = f"sysObjectID {'.'.join(map(str, kind))}" if isinstance(kind, tuple) else "no model and no serial"
            raise Misbehaved(
                self.device,
                f"recognise it as {self._profile.title}",
                f"{seen}, {description!r}" if description else seen,
                "Check address and profile of this device in the bay file",
            )

    def _labelled(self, indices: Sequence[str], labels: Mapping[Oid, Value]) -> dict[str, str]:
        """Outlets by what is printed beside them; by their index where labels are missing or not unique."""
        point = self._profile.points.get("outlet.label")
        printed = {index: worded(point, labels.get(oid_of(index))) if point else "" for index in indices}
        if point is None or len({label for label in printed.values() if label}) != len(indices):
            return {index: index for index in indices}
        return {label: index for index, label in printed.items()}

    def _found(self, name: str, point: SnmpPoint, rows: Mapping[Oid, Value]) -> dict[str, str]:
        """The parts that have this point; a part whose value says `not measured` has it not."""
        tail = oid_of(point.oid.partition("{part}.")[2]) if "{part}." in point.oid else ()
        raws = {index: rows[(*oid_of(index), *tail)] for index in parts_of(point.oid, rows)}
        has = {index for index, raw in raws.items() if raw not in point.absent}
        if name.startswith("outlet."):
            return {outlet: index for outlet, index in self._indices.items() if index in has}
        return {index: index for index in raws if index in has or name == "input.power"}

    async def _read_digits(self) -> None:
        """How many decimals the device gives is fixed; ask once."""
        wanted = [
            oid_of(point.digits, index)
            for name, point in self._profile.points.items()
            if point.digits
            for index in self._places.get(name, {"": ""}).values()
        ]
        self._digits = await self._link.get(wanted) if wanted else {}

    async def _drop_unavailable(self) -> None:
        """Forget what the device says not to measure; the power of the whole PDU is asked for whatever it says."""
        asked = {
            (name, place): oid_of(point.available, index)
            for name, point in self._profile.points.items()
            if point.available and name != "input.power"
            for place, index in self._places.get(name, {}).items()
        }
        answers = await self._link.get(asked.values())
        for (name, place), oid in asked.items():
            if answers[oid] != 1:
                del self._places[name][place]

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

    def _meter(self, values: _Values, name: str, outlet: str, at: datetime) -> Reading | None:
        if outlet not in self._places.get(name, {}):
            return None
        unit = self._point(name).unit
        value = values.get((name, outlet))
        return bad(unit, at) if value is None else reading_of(value, unit, at)

    def _settled(self, values: _Values, outlet: str) -> bool | None:
        """Whether the outlet is on; None while a command is pending, and where the device does not say."""
        if outlet in self._places.get("outlet.pending", {}) and values.get(("outlet.pending", outlet)) is not False:
            return None
        value = values.get(("outlet.state", outlet))
        return value if isinstance(value, bool) else None

    async def _values(self, names: Iterable[str], outlets: Sequence[str] | None = None) -> _Values:
        """These points, by name and part; those of the PDU itself have no part. `outlets` narrows outlets' points."""
        asked: dict[tuple[str, str], tuple[SnmpPoint, str]] = {}
        for name in names:
            for place, index in self._places.get(name, {}).items():
                if outlets is None or not name.startswith("outlet.") or place in outlets:
                    asked[name, place] = (self._point(name), index)
        templates = [
            (template, index)
            for point, index in asked.values()
            for template in (point.oid, point.available)
            if template is not None
        ]
        found = await self._link.get(oid_of(template, index) for template, index in templates)
        return {key: self._decoded(point, found, index) for key, (point, index) in asked.items()}

    def _decoded(self, point: SnmpPoint, found: Mapping[Oid, Value], index: str) -> float | bool | None:
        raw = found[oid_of(point.oid, index)]
        if point.format == "state":
            return state(point, raw)
        digits = self._digits.get(oid_of(point.digits, index)) if point.digits else None
        return number(point, raw, digits, found[oid_of(point.available, index)] if point.available else 1)

    async def _check_switchable(self, outlet: str) -> None:
        """Raises Unsupported where the PDU says that it cannot switch this outlet; saying nothing is no such answer."""
        if outlet not in self._places.get("outlet.switchable", {}):
            return
        values = await self._values(["outlet.switchable"], [outlet])
        if values.get(("outlet.switchable", outlet)) is False:
            raise Unsupported(
                self.device,
                f"switch outlet {outlet}",
                "the PDU says that this outlet cannot be switched",
                "Use an outlet that can, or enable switching in the PDU's own settings",
            )

    async def _command(self, command: Switching, outlet: str, *, on: bool) -> str:
        """Write once; returns what the PDU had against it, which need not mean that it did not do it."""
        what = command.command(on=on)
        try:
            await self._link.set(oid_of(what.oid, self._indices[outlet]), what.value)
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


def _part(name: str, place: str) -> str:
    """The part of a channel: `outlet-3`, `phase-1`; nothing for the PDU itself."""
    return f"{name.partition('.')[0]}-{place}" if place else ""


def _total(values: _Values, name: str) -> float | None:
    """The sum over the parts; None where there is none, or one of them is not known."""
    found = [value for (point, _), value in values.items() if point == name]
    if not found or any(value is None for value in found):
        return None
    return float(sum(value for value in found if value is not None))
