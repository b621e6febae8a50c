"""Sensors: every sensor a device has, with the thresholds it states itself.

Telemetry channels are the few quantities the plan samples; this is the whole list, read once where it is asked for: at
intake, by `rackproof probe`, as evidence. A capability like those of `harness.capabilities`, under the same rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from harness.quantities import Reading


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What the device itself calls too low and too high, in the unit of the reading; None where it states nothing.

    The words are those of Redfish (Sensor 1.12, Thresholds); ENTITY-SENSOR and module thresholds map onto them as
    warning → caution and alarm → critical. They are the device's opinion: an acceptance limit lives in the model.
    """

    lower_fatal: float | None = None
    lower_critical: float | None = None
    lower_caution: float | None = None
    upper_caution: float | None = None
    upper_critical: float | None = None
    upper_fatal: float | None = None


@dataclass(frozen=True, slots=True)
class Sensor:
    """One sensor. `name` is its place and unique on the device; `part` the part it is on (`accelerator-2`), or empty.

    `quantity` is what it measures in the device's word (`Temperature`, `Voltage`). `present` is False for a sensor of
    a part that is not fitted, whatever its health says; its reading has no GOOD quality then. `healthy` is None where
    the device does not say.
    """

    name: str
    quantity: str
    part: str
    reading: Reading
    present: bool
    healthy: bool | None
    thresholds: Thresholds


@runtime_checkable
class Sensors(Protocol):
    """A device that lists all its sensors, ordered by name, absent ones included."""

    async def sensors(self) -> Sequence[Sensor]: ...
