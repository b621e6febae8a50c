"""Power path: what stands behind the supplies of a rack, and how evenly they carry it.

Capabilities like those of `harness.capabilities`, under the same rules. The words are those of Open Rack v3: a battery
backup unit (BBU) stands beside the supplies on the bus bar and takes over when the line input is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from harness.quantities import Reading


@dataclass(frozen=True, slots=True)
class Battery:
    """One battery unit. `charge` and `health` in percent of capacity and of the new unit's capacity.

    `state` is the device's word in lower case (`charging`, `standby`, `discharging` …), empty where it does not say.
    `ready` says whether it would carry the load now; None where the device does not say, never taken for yes.
    """

    name: str
    present: bool
    ready: bool | None
    state: str
    charge: Reading | None
    health: Reading | None
    voltage: Reading | None
    current: Reading | None
    temperature: Reading | None
    problems: tuple[str, ...] = ()
    """Alarms that are raised, in the device's words."""


@dataclass(frozen=True, slots=True)
class Share:
    """How one supply takes part in carrying the bus.

    `output` is its output current, `told` what it says its share of the bus is (ORv3 I_share), both in ampere;
    `enabled` whether it shares at all, None where it does not say.
    """

    name: str
    enabled: bool | None
    output: Reading | None
    told: Reading | None
    cable_ok: bool | None = None
    """Whether the share line to the neighbouring shelves is detected; None where the shelf has no word for it."""


@runtime_checkable
class Batteries(Protocol):
    """A shelf whose battery units can be read one by one, absent ones included, ordered by name."""

    async def batteries(self) -> Sequence[Battery]: ...


@runtime_checkable
class CurrentSharing(Protocol):
    """A shelf whose supplies say how they share the current, ordered by name."""

    async def shares(self) -> Sequence[Share]: ...
