"""Controls: what can be changed on a device, and what its maintenance side offers beyond measuring.

They are capabilities like those of `harness.capabilities` and follow the same rules: every coroutine raises
`Unreachable`, `Refused`, `Misbehaved` or `Unsupported` of `harness.errors`, and returns within the deadline of its
transport. Whatever changes something returns only once the device reads back the wanted state, and sends it once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

from harness.capabilities import LogEntry, Severity
from harness.quantities import Reading


class PowerState(StrEnum):
    """Whether a system has main power; the words of Redfish `PowerState` (ComputerSystem 1.22)."""

    ON = "On"
    OFF = "Off"
    POWERING_ON = "PoweringOn"
    POWERING_OFF = "PoweringOff"
    UNKNOWN = "Unknown"
    """It does not say, or says something else; never taken for on or off."""


class CoolantMode(StrEnum):
    """How a CDU chooses the speed of its pumps."""

    AUTOMATIC = "automatic"
    """Its own controller follows the set points."""
    MANUAL = "manual"
    STOPPED = "stopped"
    UNKNOWN = "unknown"
    """It does not say, or says several at once."""


@dataclass(frozen=True, slots=True)
class Boot:
    """What a system will start from next: `target` and `enabled` in the words of Redfish (ComputerSystem, Boot).

    `target` is `Pxe`, `Hdd`, `UefiHttp` …; `enabled` is `Once`, `Continuous` or `Disabled`; empty where it is not said.
    """

    target: str
    enabled: str


@dataclass(frozen=True, slots=True)
class CertificateOnDevice:
    """One X.509 certificate that a device holds; `fingerprint` is SHA-256 of its DER in hexadecimal, or empty."""

    name: str
    subject: str
    issuer: str
    valid_from: datetime | None
    valid_until: datetime | None
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Integrity:
    """One component that can prove what it runs (Redfish ComponentIntegrity 1.3). `part` is its place, or empty.

    `protocol` is `SPDM`, `TPM` or `OEM`; `measures` says whether signed measurements can be asked for.
    """

    name: str
    protocol: str
    version: str
    enabled: bool | None
    measures: bool
    part: str


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """One event that a device sent by itself. `origin` is what it is about, in the device's own words."""

    ident: str
    at: datetime
    severity: Severity
    message: str
    origin: str


@dataclass(frozen=True, slots=True)
class SetPoint:
    """What a controller aims at, and between which bounds it may be set; None where nobody states a bound."""

    quantity: str
    """As the channel that it acts on: `coolant.flow`, `coolant.supply.temperature`."""
    value: Reading
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Exchanges:
    """What became of the requests to one unit of a bus since the driver was built, attempts counted one by one."""

    unit: str
    ok: int
    silent: int
    checksum: int
    garbled: int
    refused: int
    dormant: bool
    """It was silent so often that it is asked only now and then."""


@runtime_checkable
class PowerControl(Protocol):
    """A system whose main power is switched by its BMC (Redfish ComputerSystem.Reset, DSP2046).

    `set_power` takes `ON` or `OFF` (else ValueError) and returns once the system reads back the wanted state: at once
    where it is in that state already. It asks the system's software to shut down; with `force` power is cut. What the
    device does not offer is `Unsupported`, what it accepts and does not do in time `Misbehaved`. It is sent once.
    """

    async def power(self) -> PowerState: ...

    async def set_power(self, state: PowerState, *, force: bool = False) -> PowerState: ...


@runtime_checkable
class BootOverride(Protocol):
    """A system whose next start can be directed (Redfish ComputerSystem, Boot; DSP0266 13.4 for ETags).

    `set_boot` returns once the device reads back what was set, else `Misbehaved`; a target that it does not list is
    `Unsupported`. `target="None"` ends an override.
    """

    async def boot(self) -> Boot: ...

    async def set_boot(self, target: str, *, once: bool = True) -> Boot: ...


@runtime_checkable
class LogControl(Protocol):
    """A device whose event log can be cleared (Redfish LogService.ClearLog).

    `clear_log` returns the entries as they were just before: evidence to be kept. It returns once none of them reads
    back, else `Misbehaved`; a log that cannot be cleared is `Unsupported`, and nothing was cleared then.
    """

    async def clear_log(self) -> Sequence[LogEntry]: ...


@runtime_checkable
class Certificates(Protocol):
    """A device that lists the certificates it holds (Redfish CertificateLocations)."""

    async def certificates(self) -> Sequence[CertificateOnDevice]: ...


@runtime_checkable
class Attestation(Protocol):
    """A device that lists its components which can attest what they run; empty where it offers none."""

    async def integrity(self) -> Sequence[Integrity]: ...


@runtime_checkable
class EventStream(Protocol):
    """A device that sends events by itself (Redfish server-sent events, DSP0266 13.5.2; one stream a device).

    The iterator ends with `Unreachable` when the stream breaks off or stays without a sign of life longer than
    `idle` wall seconds, with `Misbehaved` when one event exceeds the cap; `Unsupported` where there is no stream.
    Events tell sooner; they never replace sampling.
    """

    def events(self, idle: float = 60.0) -> AsyncIterator[DeviceEvent]: ...


@runtime_checkable
class CoolantControl(Protocol):
    """A CDU whose set points and mode can be written (register profile, or Redfish Control 1.5).

    Flow in L/min, temperature in degC. A value outside of the set point's bounds raises ValueError and is not sent.
    Each call returns once the device reads back what was wanted, else `Misbehaved`; a write is sent once.
    A set point or mode that the device does not have is `Unsupported`.
    """

    async def set_points(self) -> Sequence[SetPoint]: ...

    async def set_supply_temperature(self, value: float) -> SetPoint: ...

    async def set_flow(self, value: float) -> SetPoint: ...

    async def mode(self) -> CoolantMode: ...

    async def set_mode(self, mode: CoolantMode) -> CoolantMode: ...


@runtime_checkable
class BusQuality(Protocol):
    """A device on a field bus that counts how its exchanges went: time-outs and checksum errors by unit."""

    def exchanges(self) -> Sequence[Exchanges]: ...


@runtime_checkable
class Doubts(Protocol):
    """A device whose driver says which of its values it does not believe, and why: one sentence each.

    A register map may be another firmware's: a value outside of what can be is BAD, and this is where it is told.
    """

    def doubts(self) -> Sequence[str]: ...


@runtime_checkable
class ConsoleCommands(Protocol):
    """A serial console that can be spoken to as well as listened to; capturing goes on meanwhile.

    `prompt` says what the far end waits for: the line it stands at where that is a login, password, shell, firmware or
    boot-loader prompt, else None. `command` sends one line at a shell prompt and gives what was printed up to the next
    prompt; `Unreachable` where none comes within `deadline` wall seconds, `Refused` where it asks for a login.
    """

    async def prompt(self) -> str | None: ...

    async def command(self, line: str, deadline: float = 10.0) -> str: ...
