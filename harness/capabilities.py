"""Capabilities: what can be asked of a device, one small protocol each.

Plans and the harness name these and never a driver. Every coroutine raises `Unreachable`, `Refused`, `Misbehaved`
or `Unsupported` of `harness.errors`, and returns within the deadline of its transport. Sequences come ordered by name.
An absent value is `None` or a reading without `Quality.GOOD`; it is never zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

from harness.quantities import Channel, Reading, Sample


class Severity(StrEnum):
    """Severity of a log entry; the words of Redfish `EventSeverity`."""

    OK = "OK"
    WARNING = "Warning"
    CRITICAL = "Critical"


class Consequence(StrEnum):
    """What a log entry means for a new rack under a known-good load, by the log policy."""

    NONE = "none"
    FAIL = "fail"
    """A part fell short."""
    RETRY = "retry"
    """The part or the software: nothing is proven. Once more after a cold boot; a second time it is the part."""
    ATTACH = "attach"
    """It follows from another entry and is kept beside it."""


class LeakState(StrEnum):
    """State of one leak detector; only `DRY` may pass (Redfish LeakDetector v1.6 DetectorState)."""

    DRY = "dry"
    WET = "wet"
    FAULT = "fault"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Identified:
    """Who a device says it is; empty strings where it does not say."""

    manufacturer: str
    model: str
    part_number: str
    serial: str
    firmware: str


@dataclass(frozen=True, slots=True)
class Part:
    """One replaceable part inside a device. `name` is its place, as `accelerator-2`; `kind` as in the model's BOM."""

    name: str
    kind: str
    manufacturer: str
    part_number: str
    serial: str
    present: bool
    healthy: bool | None


@dataclass(frozen=True, slots=True)
class Firmware:
    """One firmware component, named as in the model's baseline (`bmc`, `bios`, `accelerator-2`)."""

    component: str
    version: str


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry of a device's own log. `ident` is unique in the log; `rule` is the rule of the policy that it met."""

    ident: str
    at: datetime
    severity: Severity
    message: str
    consequence: Consequence = Consequence.NONE
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Outlet:
    """One switched outlet. `on` is None while it is in transition or unknown; power and current None if not metered."""

    name: str
    on: bool | None
    power: Reading | None
    current: Reading | None


@dataclass(frozen=True, slots=True)
class Supply:
    """One power supply. `input_ok` says whether its line input is good."""

    name: str
    input_ok: bool | None
    input_voltage: Reading | None
    input_power: Reading | None
    output_power: Reading | None
    output_current: Reading | None
    healthy: bool | None


@dataclass(frozen=True, slots=True)
class Port:
    """One switch port. Counters are those since `epoch`, a token that changes when they were reset."""

    name: str
    up: bool | None
    speed: Reading | None
    octets_in: int
    octets_out: int
    errors_in: int
    errors_out: int
    discards_in: int
    discards_out: int
    epoch: str


@dataclass(frozen=True, slots=True)
class Neighbour:
    """What LLDP (IEEE 802.1AB) says is at the far end of a port."""

    port: str
    system: str
    remote_port: str
    chassis: str


@dataclass(frozen=True, slots=True)
class Coolant:
    """The secondary loop at the rack, as the CDU sees it."""

    supply_temperature: Reading
    return_temperature: Reading
    flow: Reading
    supply_pressure: Reading | None
    return_pressure: Reading | None


@dataclass(frozen=True, slots=True)
class Pump:
    """One pump. `running` is what the device reports, `speed` in percent or rpm."""

    name: str
    running: bool | None
    speed: Reading | None
    healthy: bool | None


@dataclass(frozen=True, slots=True)
class Leak:
    """One leak detector, judged by itself and never by a roll-up."""

    name: str
    state: LeakState


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One accelerator as the host sees it. Counters are cumulative since the driver was loaded."""

    name: str
    serial: str
    part_number: str
    temperature: Reading
    power: Reading
    ecc_uncorrected: int | None
    ecc_corrected: int | None
    throttled_thermal: Reading | None
    """Time spent in thermal or power-brake slowdown, milliseconds."""
    thermal_margin: Reading | None = None
    """Kelvin below the temperature at which it slows down."""
    pcie_width: int | None = None
    """Lanes in use now; an idle link may be narrower or slower than it can be."""
    pcie_generation: int | None = None
    links_active: int | None = None
    """Links to its peers (NVLink) that are up."""
    link_speed: Reading | None = None
    """Speed of the slowest of those, GB/s each direction."""
    fabric: str = ""
    """State of the fabric in the driver's words, `Completed/Success`; empty where there is none."""
    cluster: str = ""
    """Which fabric it belongs to: all accelerators of one rack name the same."""
    problems: tuple[str, ...] = ()
    """What speaks against it: repair pending, rows remapped, recovery action demanded."""
    unclear: tuple[str, ...] = ()
    """What it does not say and should."""


@dataclass(frozen=True, slots=True)
class ConsoleLine:
    """One line captured from a serial console, with the instant of its arrival."""

    at: datetime
    text: str


@runtime_checkable
class Identity(Protocol):
    """A device that can say who it is."""

    async def identify(self) -> Identified: ...


@runtime_checkable
class Inventory(Protocol):
    """A device that lists its parts, absent ones included."""

    async def parts(self) -> Sequence[Part]: ...


@runtime_checkable
class FirmwareInventory(Protocol):
    """A device that lists its firmware."""

    async def firmware(self) -> Sequence[Firmware]: ...


@runtime_checkable
class EventLog(Protocol):
    """A device with a log: a BMC's event log, a host's kernel log. Oldest first."""

    async def entries(self) -> Sequence[LogEntry]: ...


@runtime_checkable
class Telemetry(Protocol):
    """A device that is sampled.

    `polling_floor` is the shortest period it bears, in wall seconds. `channels()` is fixed after `open()`.
    `sample()` returns exactly one sample a channel: a value that could not be read has a quality other than GOOD.
    """

    @property
    def polling_floor(self) -> float: ...

    def channels(self) -> Sequence[Channel]: ...

    async def sample(self) -> Sequence[Sample]: ...


@runtime_checkable
class PowerOutlets(Protocol):
    """A PDU with switched outlets. `switch` returns once the outlet reads back the wanted state, else Misbehaved."""

    async def outlets(self) -> Sequence[Outlet]: ...

    async def switch(self, outlet: str, *, on: bool) -> Outlet: ...


@runtime_checkable
class PowerInlet(Protocol):
    """A device that meters what it draws in all, in watts."""

    async def input_power(self) -> Reading: ...


@runtime_checkable
class PowerSupplies(Protocol):
    """A device whose power supplies report their inputs and outputs one by one."""

    async def supplies(self) -> Sequence[Supply]: ...


@runtime_checkable
class LinkPorts(Protocol):
    """A switch: its ports with counters, and its LLDP neighbours."""

    async def ports(self) -> Sequence[Port]: ...

    async def neighbours(self) -> Sequence[Neighbour]: ...


@runtime_checkable
class CoolantLoop(Protocol):
    """A CDU: the loop and its pumps."""

    async def coolant(self) -> Coolant: ...

    async def pumps(self) -> Sequence[Pump]: ...


@runtime_checkable
class LeakDetection(Protocol):
    """A device with leak detectors."""

    async def leaks(self) -> Sequence[Leak]: ...


@runtime_checkable
class Accelerators(Protocol):
    """A host that sees its accelerators in-band."""

    async def accelerators(self) -> Sequence[Accelerator]: ...


@runtime_checkable
class Console(Protocol):
    """A serial console, captured in the background from `open()` on; `captured` gives the lines from number `since`."""

    async def captured(self, since: int = 0) -> Sequence[ConsoleLine]: ...

    def problems(self, lines: Sequence[ConsoleLine]) -> Sequence[ConsoleLine]:
        """The lines that report a panic, a lock-up or a firmware error."""
        ...
