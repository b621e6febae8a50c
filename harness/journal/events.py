"""The events of a run: what a journal may hold, and nothing else.

Each event is a frozen dataclass of plain JSON values; `EVENTS` maps its name in the journal to its class. The journal
is the only source of every report, so whatever a report must say has to be an event.
"""

# ruff: noqa: PLC0414  - events of safety and of a break are given on under their own names
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, get_args

from harness.journal.alarms import MadeSafe as MadeSafe
from harness.journal.alarms import SafetyAction as SafetyAction
from harness.journal.alarms import StopRequested as StopRequested
from harness.journal.alarms import Tripped as Tripped
from harness.journal.breaks import Claimed as Claimed
from harness.journal.breaks import ClockJumped as ClockJumped
from harness.journal.breaks import Fingerprinted as Fingerprinted
from harness.journal.breaks import Kept as Kept
from harness.journal.breaks import Repeated as Repeated
from harness.journal.breaks import Resumed as Resumed
from harness.journal.breaks import Switched as Switched
from harness.journal.breaks import TakenUp as TakenUp
from harness.journal.breaks import TelemetryLost as TelemetryLost
from harness.journal.breaks import WatchdogActed as WatchdogActed
from harness.quantities import Value


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step as collected: its id is unique in the run (`test_10_intake.py::test_identity[tray-03]`)."""

    step: str
    title: str
    stage: str
    device: str
    """The one device it is about; empty for a step over the whole rack."""
    measures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LimitUsed:
    """The limit a measurement was judged against, as plain values."""

    key: str
    unit: str
    bounds: str
    """As a person reads it: `≤ 85 degC`."""
    source: str
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[Value, ...] | None = None
    guard: float = 0.0
    uncertainty: float | None = None


@dataclass(frozen=True, slots=True)
class RunStarted:
    """First event. `definition` is `RackDefinition.as_json()`, `software` holds versions by package."""

    durable: ClassVar[bool] = True
    run_id: str
    definition: dict[str, Any]
    definition_digest: str
    software: dict[str, str]
    drivers: dict[str, str]
    """Device to `driver/profile (tier)`."""
    simulated: bool
    operator: str
    station: str
    """Host name of the station."""
    ordered: dict[str, str] = field(default_factory=dict)
    """The files that the run was ordered with (`model`, `bay`, `plan`), for whoever resumes it.

    `reports` is `none` where it was ordered that none be written at its end.
    """


@dataclass(frozen=True, slots=True)
class Planned:
    """The collected plan, before the first step."""

    durable: ClassVar[bool] = True
    plan: str
    plan_digest: str
    """SHA-256 over the plan's files."""
    steps: tuple[PlannedStep, ...]


@dataclass(frozen=True, slots=True)
class ProofChecked:
    """Whether the plan is proven for what runs now. `status`: PROVEN or UNPROVEN; `reasons` are those for the latter.

    `file` and `sha256` name the proof that was found, empty where there was none, and `says` is what it amounts to.
    """

    durable: ClassVar[bool] = True
    status: str
    reasons: tuple[str, ...]
    remarks: tuple[str, ...]
    file: str
    sha256: str
    says: str
    running: dict[str, str]
    """Digests of what runs now: plan, model, limits, drivers, simulator, harness; and the release."""


@dataclass(frozen=True, slots=True)
class StepStarted:
    durable: ClassVar[bool] = True
    step: str


@dataclass(frozen=True, slots=True)
class Progressed:
    """How far a long step is: for the screen, never for the verdict. Rack seconds."""

    durable: ClassVar[bool] = False
    step: str
    text: str
    elapsed: float
    total: float


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement. `value` is None where there was nothing usable to record; then `judgement` is unjudged."""

    durable: ClassVar[bool] = True
    step: str
    key: str
    subject: str
    value: Value | None
    unit: str
    at: str
    quality: str
    judgement: str
    limit: LimitUsed


@dataclass(frozen=True, slots=True)
class FoundPart:
    """One part as it was found in a device."""

    name: str
    kind: str
    manufacturer: str
    part_number: str
    serial: str


@dataclass(frozen=True, slots=True)
class Inventoried:
    """What one device said of itself and its parts: the as-found record of the unit."""

    durable: ClassVar[bool] = True
    device: str
    manufacturer: str
    model: str
    part_number: str
    serial: str
    firmware: dict[str, str]
    """Component to version."""
    parts: tuple[FoundPart, ...]


@dataclass(frozen=True, slots=True)
class DeviceFailed:
    """A device could not be used as asked, within a step (or outside one: `step` empty). `error` is the class name."""

    durable: ClassVar[bool] = True
    step: str
    device: str
    error: str
    text: str


@dataclass(frozen=True, slots=True)
class StepFinished:
    """`outcome`: completed, error (the plan's own fault or a crash), stopped (trip or operator), not_run."""

    durable: ClassVar[bool] = True
    step: str
    outcome: str
    text: str = ""
    touched: tuple[str, ...] = ()
    """The devices that it was handed: what it found stands as long as these are the same."""


@dataclass(frozen=True, slots=True)
class DeviceLost:
    """A device stopped answering its telemetry; logged once, and `DeviceBack` once."""

    durable: ClassVar[bool] = True
    device: str
    text: str


@dataclass(frozen=True, slots=True)
class DeviceBack:
    durable: ClassVar[bool] = True
    device: str
    silent: float
    """Wall seconds."""


@dataclass(frozen=True, slots=True)
class TelemetryCounted:
    """What became of the sweeps of a device: of those that were due, so many were taken, failed or begun too late.

    `samples` of them were kept: so many of this device stand in the segments of this sitting. Written once, at its end.
    """

    durable: ClassVar[bool] = True
    device: str
    due: int
    taken: int
    failed: int
    late: int
    samples: int


@dataclass(frozen=True, slots=True)
class SegmentSealed:
    """A telemetry segment is complete and will never change. `file` is relative to the run directory."""

    durable: ClassVar[bool] = True
    file: str
    sha256: str
    samples: int
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Attached:
    """A file of evidence below `attachments/`, complete when this is written."""

    durable: ClassVar[bool] = True
    file: str
    sha256: str
    what: str


@dataclass(frozen=True, slots=True)
class Noted:
    """A remark worth keeping, without bearing on the verdict."""

    durable: ClassVar[bool] = False
    text: str
    step: str = ""


@dataclass(frozen=True, slots=True)
class RunFinished:
    """Last event. Advisory: the verdict is always folded again."""

    durable: ClassVar[bool] = True
    verdict: str


Event = (
    RunStarted
    | Planned
    | ProofChecked
    | StepStarted
    | Progressed
    | Measured
    | Inventoried
    | DeviceFailed
    | StepFinished
    | DeviceLost
    | DeviceBack
    | SegmentSealed
    | TelemetryCounted
    | Attached
    | Tripped
    | SafetyAction
    | MadeSafe
    | StopRequested
    | Claimed
    | Fingerprinted
    | Kept
    | Switched
    | ClockJumped
    | TelemetryLost
    | Resumed
    | TakenUp
    | WatchdogActed
    | Noted
    | RunFinished
)

EVENTS: dict[str, type[Event]] = {kind.__name__: kind for kind in get_args(Event)}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal.

    `wall` is UTC in ISO 8601, `rack` the rack time in UTC, `mono` the monotonic clock in seconds, `previous` the
    SHA-256 of the line before (64 zeros for the first).
    """

    seq: int
    wall: str
    rack: str
    mono: float
    previous: str
    event: Event
