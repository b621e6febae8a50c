"""The events of safety: what tripped or was stopped, and what was done to make the rack safe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.quantities import Value


@dataclass(frozen=True, slots=True)
class Tripped:
    """An interlock fired. `blames`: rack or rig."""

    durable: ClassVar[bool] = True
    interlock: str
    subject: str
    value: Value | None
    unit: str
    bounds: str
    blames: str
    text: str
    advice: str


@dataclass(frozen=True, slots=True)
class SafetyAction:
    """One action of `make_safe` on one device, confirmed by reading back or not."""

    durable: ClassVar[bool] = True
    device: str
    action: str
    confirmed: bool
    text: str
    took: float
    """Wall seconds."""


@dataclass(frozen=True, slots=True)
class MadeSafe:
    """`make_safe` is over; `confirmed` only if every action was."""

    durable: ClassVar[bool] = True
    reason: str
    confirmed: bool
    unconfirmed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Somebody stopped the run: Ctrl-C, SIGTERM, a full disk."""

    durable: ClassVar[bool] = True
    by: str
    text: str
