"""Evidence: what a run leaves behind is written here, and the run is stopped when it can no longer be written."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from harness.capabilities import Firmware, Identified, LogEntry, Part
from harness.clock import Clock
from harness.errors import DeviceError, RackproofError
from harness.inert import spelled
from harness.journal import events as e
from harness.journal.reader import Journal, read_journal
from harness.journal.writer import JournalFailure, JournalWriter
from harness.limits import Judgement, Limit, judge
from harness.observing import Audience
from harness.quantities import Reading, Sample, Value
from harness.telemetry.segments import SegmentWriter

JOURNAL = "journal.jsonl"


@dataclass(frozen=True, slots=True)
class Breach:
    """Where a run broke: its journal as it was found, and the event with which it goes on."""

    journal: Journal
    resumed: e.Resumed

    @property
    def sealed(self) -> tuple[e.SegmentSealed, ...]:
        """The telemetry segments that the journal knows."""
        return tuple(entry.event for entry in self.journal.entries if isinstance(entry.event, e.SegmentSealed))

    @property
    def broke(self) -> str:
        """Rack time of the last event before the break."""
        return self.journal.entries[-1].rack if self.journal.entries else ""


_LONGEST_NAME = 150
"""Characters of the name of an attachment; file systems take 255."""


class Evidence:
    """Journal, telemetry segments and attachments of one run, below its directory.

    `failed` is called once, with the reason, when evidence can no longer be kept: nothing that follows could be proven.
    Everything but `attach` may be called from any thread. A run that is taken up again gives its `breach`: what its
    journal held and how it goes on.
    """

    def __init__(
        self,
        run_dir: Path,
        clock: Clock,
        audience: Audience,
        failed: Callable[[RackproofError], None],
        breach: Breach | None = None,
    ) -> None:
        self.step = ""
        """The step that measurements and failures belong to at present."""
        self.failure: RackproofError | None = None
        self._run_dir = run_dir
        self._failed = failed
        self._audience = audience
        self._sitting = 1 if breach is None else breach.resumed.sitting
        self._journal = JournalWriter(run_dir / JOURNAL, clock, after=breach.journal if breach else None)
        announced, until = ({s.file for s in breach.sealed}, breach.broke) if breach else (set(), "")
        if breach is not None:
            for entry in breach.journal.entries:
                audience.entry(entry)
        self._journal.subscribe(audience.entry)
        if breach is not None:
            # Before anything else: what is recovered from now on belongs to the new sitting.
            self.record(breach.resumed)
        self._segments = SegmentWriter(run_dir, self.record, announced=announced, until=until)

    def record(self, event: e.Event) -> None:
        """Append an event; it is on disk when this returns, if it bears on the verdict."""
        try:
            self._journal.append(event)
        except (JournalFailure, ValueError) as error:
            self._fail(error if isinstance(error, RackproofError) else RackproofError(f"not recorded: {error}"))

    def measured(self, limit: Limit, reading: Reading, subject: str, expected: tuple[Value, ...] = ()) -> Judgement:
        """Judge a reading against a limit and record it for the present step."""
        used = limit.expecting(*expected) if expected else limit
        judgement = judge(reading, used)
        value = reading.value if reading.usable else None
        self.record(
            e.Measured(
                step=self.step,
                key=used.key,
                subject=subject,
                # Ten digits say more than any instrument; of a bit error ratio the first ones are far behind the point.
                value=float(f"{value:.10g}") if isinstance(value, float) else value,
                unit=reading.unit.value,
                at=reading.at.isoformat(),
                quality=reading.quality.value,
                judgement=judgement.value,
                limit=e.LimitUsed(
                    key=used.key,
                    unit=used.unit.value,
                    bounds=used.describe(),
                    source=used.source,
                    minimum=used.minimum,
                    maximum=used.maximum,
                    allowed=used.allowed,
                    guard=used.guard,
                    uncertainty=used.uncertainty,
                ),
            )
        )
        return judgement

    def inventoried(self, device: str, found: Identified, firmware: Sequence[Firmware], parts: Sequence[Part]) -> None:
        """Record what a device said of itself and of the parts that are present."""
        present = tuple(
            e.FoundPart(part.name, part.kind, part.manufacturer, part.part_number, part.serial)
            for part in parts
            if part.present
        )
        versions = {entry.component: entry.version for entry in firmware}
        self.record(
            e.Inventoried(device, found.manufacturer, found.model, found.part_number, found.serial, versions, present)
        )

    def device_failed(self, error: DeviceError) -> None:
        """Record that a device could not be used as asked."""
        self.record(e.DeviceFailed(self.step, error.device, type(error).__name__, str(error)))

    def progress(self, text: str, elapsed: float, total: float) -> None:
        """Tell how far the present step is, in rack seconds."""
        self.record(e.Progressed(self.step, text, round(elapsed, 1), round(total, 1)))

    def attach(self, name: str, text: str, what: str) -> None:
        """Keep a text below `attachments/`, with its digest in the journal; raises RackproofError.

        A step that is run again in a later sitting keeps its file beside the earlier one, under a name of its own.
        """
        folder = self._run_dir / "attachments"
        # Half a surrogate pair (a Redfish log may hold one) is no reason to lose the rest.
        data = text.encode("utf-8", "backslashreplace")
        name = _plain(name)
        if self._sitting > 1 and (folder / name).exists():
            name = f"{Path(name).stem}-sitting-{self._sitting}{Path(name).suffix}"
        try:
            folder.mkdir(exist_ok=True)
            with (folder / name).open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise RackproofError(f"attachments/{name} could not be written: {error.strerror}") from error
        self.record(e.Attached(f"attachments/{name}", hashlib.sha256(data).hexdigest(), what))

    def sampled(self, samples: Sequence[Sample], now: datetime) -> None:
        """Keep one sweep of telemetry and show it."""
        try:
            self._segments.write(samples, now)
        except RackproofError as error:
            self._fail(error)
        self._audience.sampled(samples)

    def seal(self) -> None:
        """Seal the telemetry gathered so far into a segment."""
        try:
            self._segments.seal()
        except RackproofError as error:
            self._fail(error)

    def seal_last(self) -> Journal:
        """Seal all telemetry for good and read back what the journal holds; raises RackproofError."""
        self._segments.close()
        return read_journal(self._journal.path)

    def close(self) -> None:
        """Let go of the journal and of the audience."""
        self._journal.close()
        self._audience.close()

    def _fail(self, error: RackproofError) -> None:
        if self.failure is None:
            self.failure = error
            self._failed(error)


def _plain(name: str) -> str:
    """A name that stays in its folder, whatever part or tool it is made of."""
    return re.sub(r"[^A-Za-z0-9._-]|^\.", "_", name)[-_LONGEST_NAME:]


def log_text(entries: Sequence[LogEntry]) -> str:
    """A device's log as evidence: one entry a line, with what the log policy says of it."""
    lines = (
        (entry.at.isoformat(), entry.severity, entry.consequence, entry.rule or "-", entry.ident, entry.message)
        for entry in entries
    )
    # A message of several lines must not look like several entries.
    return "".join(spelled(" ".join(words)).replace("\n", "\n  ") + "\n" for words in lines)
