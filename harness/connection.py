"""What a driver is given to reach one device, and the little that every driver is.

The registry builds a driver from a `Connection` without touching the network; `open()` is the first contact.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable


class Secret:
    """A secret that cannot be printed by accident: `str`, `repr` and formatting show asterisks."""

    __slots__ = ("_value", "name")

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self._value = value

    def reveal(self) -> str:
        """The secret itself: to be handed to a library at the wire, and nowhere else."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({self.name!r}, '***')"

    __str__ = __repr__


Option = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Connection:
    """How one device is reached.

    `address` is a URL: `https://host:port` (Redfish), `snmp://host:port`, `modbus+tcp://host:port`,
    `modbus+rtu:///dev/ttyUSB0?baud=19200&parity=E`, `modbus+rtu+tcp://host:port`, `ssh://host:port`, `serial:///dev/ttyS0?baud=115200`,
    `socket://host:port`, `rfc2217://host:port`.
    `secrets` is keyed by purpose: `password`, `community`, `auth`, `privacy`.
    `now` tells rack time in UTC; `pace` is rack seconds per wall second (1 on hardware).
    """

    device: str
    address: str
    profile: str = ""
    user: str = ""
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    options: Mapping[str, Option] = field(default_factory=dict)
    now: Callable[[], datetime] = field(kw_only=True)
    pace: float = 1.0


@runtime_checkable
class Driver(Protocol):
    """One addressable device. What it can do is what capability protocols it satisfies."""

    @property
    def device(self) -> str:
        """Its name in the rack, as `tray-03`."""
        ...

    async def open(self) -> None:
        """Connect, log in and recognise the device; raises DeviceError."""
        ...

    async def close(self) -> None:
        """Log out and release everything; never raises, may be called twice or without `open`."""
        ...


DriverFactory = Callable[[Connection], Driver]
"""What an entry point of the group `rackproof.drivers` names; raises DefinitionError on a bad address or option."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A driver and a profile that fit what a device said of itself, and the options that this driver then needs."""

    driver: str
    profile: str
    options: Mapping[str, Option] = field(default_factory=dict)


Recogniser = Callable[[Connection], Callable[[], Awaitable[Sequence[Candidate]]]]
"""What an entry point of the group `rackproof.recognition` names.

It raises DefinitionError on an address that it cannot ask. What it returns asks the device, reads only, likeliest
candidate first, and raises DeviceError; it is to be called once.
"""
