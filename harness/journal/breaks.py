"""Events of a run that broke and went on: who holds the rack, who the devices are, what stands and what was lost.

They are events like those of `harness.journal.events`, where every other module takes them from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Claimed:
    """This station holds the rack from now on. `token` is greater than that of every earlier holder (fencing)."""

    durable: ClassVar[bool] = True
    rack: str
    token: int
    station: str
    process: int
    lease: float
    """Wall seconds after which others may take the rack over, counted from the last renewal."""


@dataclass(frozen=True, slots=True)
class Fingerprinted:
    """Who a device proved to be when it was opened.

    `digest` is SHA-256 over its identity, its parts' serials and its firmware; empty where it could not be told, and
    `text` says why. A device that has nothing of this to tell has no such event.
    """

    durable: ClassVar[bool] = True
    device: str
    serial: str
    digest: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a step left for later ones. `value` is JSON text of what still holds after a break (`lasts`), else empty."""

    durable: ClassVar[bool] = True
    step: str
    name: str
    lasts: bool
    value: str


@dataclass(frozen=True, slots=True)
class Switched:
    """An outlet of the power map (`pdu-a/3`) is about to be switched off by a step (`on` false), or is on again."""

    durable: ClassVar[bool] = True
    outlet: str
    on: bool


@dataclass(frozen=True, slots=True)
class ClockJumped:
    """The station's wall clock was set, or the station slept: by so many seconds, forward where positive.

    No duration and no order is taken from that clock; `wall` of the entries before and after do not compare.
    """

    durable: ClassVar[bool] = True
    seconds: float


@dataclass(frozen=True, slots=True)
class TelemetryLost:
    """Telemetry of a write-ahead file that was cut off or damaged before it was sealed: gone, and between when.

    `first` and `last` are the rack times of what surrounds it, ISO 8601; empty where nothing does.
    """

    durable: ClassVar[bool] = True
    file: str
    octets: int
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """The run was taken up again, as its `sitting` (the first resumption is sitting 2).

    `why` says how the sitting before ended, `torn` whether its last line was cut off while it was written. `bay` is the
    bay of this sitting where it is another than that of the definition; `running` as in `ProofChecked`.
    """

    durable: ClassVar[bool] = True
    sitting: int
    why: str
    torn: bool
    operator: str
    station: str
    software: dict[str, str]
    drivers: dict[str, str]
    bay: dict[str, Any] | None
    bay_digest: str
    running: dict[str, str]


@dataclass(frozen=True, slots=True)
class Repeated:
    """A step that is run again, and why."""

    step: str
    why: str


@dataclass(frozen=True, slots=True)
class TakenUp:
    """What the resumed run does with the steps that had begun: those that stand, and those that are run again.

    All others go on as planned. What a repeated step failed before stays failed.
    """

    durable: ClassVar[bool] = True
    stands: tuple[str, ...]
    again: tuple[Repeated, ...]


@dataclass(frozen=True, slots=True)
class WatchdogActed:
    """What the watchdog did to the rack after the station's process was gone; told when the run was taken up again."""

    durable: ClassVar[bool] = True
    wall: str
    reason: str
    device: str
    action: str
    confirmed: bool
    text: str
