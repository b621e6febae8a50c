"""Taking over: with drivers of its own the watchdog stops every load, restores what was dark, and writes it down.

It leaves `watchdog.jsonl` in the run directory, one JSON object a line, on disk as soon as it is written: `wall` (UTC,
ISO 8601), `reason`, `device`, `action`, `confirmed`, `text`. The journal is the station's own and is left alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.connection import Driver, Secret
from harness.each import end_within
from harness.errors import RackproofError
from harness.journal.events import Event, MadeSafe, SafetyAction
from harness.rack.bay import Bay
from harness.rack.definition import DeviceEntry, RackDefinition, Unit
from harness.rack.model import Model
from harness.registry import build_driver, connection_to
from harness.safety.make_safe import Safing

FILE = "watchdog.jsonl"
PATIENCE = 30.0
"""Wall seconds for which what is not confirmed is tried again: by then the leases have ended every load on a host that
lives. A simulated rack goes with its station, and is not waited for."""
PAUSE = 2.0
"""Wall seconds between two tries."""
CLOSING = 3.0
"""Wall seconds for the drivers, and for the disk, to let go."""


@dataclass(slots=True)
class Takeover:
    """One take-over: the charge is what `harness.safety.watchdog` wrote of the run."""

    charge: Mapping[str, Any]
    dark: tuple[str, ...]
    cut: str
    reason: str
    _lines: queue.SimpleQueue[str | None] = field(default_factory=queue.SimpleQueue)

    def run(self) -> bool:
        """Make the rack safe and record it; whether every action was confirmed. Never raises, and always ends."""
        # Writing waits for the disk, and making safe waits for nothing.
        writer = threading.Thread(target=self._write, daemon=True)
        writer.start()
        self._record("station", "take over", confirmed=True, text=self.reason)
        try:
            confirmed = asyncio.run(self._make_safe())
        except Exception as error:  # noqa: BLE001 - what it broke of has to be written down, whatever it was
            self._record("rack", "make safe", confirmed=False, text=f"it broke: {type(error).__name__}: {error}")
            confirmed = False
        self._lines.put(None)
        writer.join(PATIENCE)
        return confirmed

    async def _make_safe(self) -> bool:
        definition = _definition(self.charge)
        until = time.monotonic() + (0.0 if definition.simulated else PATIENCE)
        dark = set(self.dark)
        while True:
            made = await self._once(definition, dark)
            if made.confirmed or time.monotonic() >= until:
                break
            await asyncio.sleep(PAUSE)
        unconfirmed = "; ".join(made.unconfirmed)
        text = f"not confirmed, go and look: {unconfirmed}" if unconfirmed else "every action was confirmed"
        self._record("rack", "make safe", confirmed=made.confirmed, text=text)
        return made.confirmed

    async def _once(self, definition: RackDefinition, dark: set[str]) -> MadeSafe:
        drivers = self._drivers(definition, dark)
        clock = definition.bay.clock()
        safing = Safing(definition, drivers, clock, self._keep, lambda: None, dark, unopened=frozenset(drivers))
        try:
            made = await safing.run(self.reason, self.cut)
        finally:
            await end_within(CLOSING, {name: driver.close() for name, driver in drivers.items()})
        missing = [name for name in _needed(definition, dark, self.cut) if name not in drivers]
        left = (*made.unconfirmed, *(f"{name}: no driver could be made" for name in missing))
        return MadeSafe(made.reason, made.confirmed and not missing, left)

    def _drivers(self, definition: RackDefinition, dark: set[str]) -> dict[str, Driver]:
        secrets = {name: Secret(name, value) for name, value in self.charge["secrets"].items()}
        clock = definition.bay.clock()
        drivers: dict[str, Driver] = {}
        for name, entry in _needed(definition, dark, self.cut).items():
            try:
                connection = connection_to(name, entry.endpoint, secrets, clock)
                drivers[name] = build_driver(entry.endpoint.driver, connection)
            except (RackproofError, ImportError, KeyError) as error:
                self._record(name, "build its driver", confirmed=False, text=str(error))
        return drivers

    def _keep(self, event: Event) -> None:
        if isinstance(event, SafetyAction):
            self._record(event.device, event.action, confirmed=event.confirmed, text=event.text)

    def _record(self, device: str, action: str, *, confirmed: bool, text: str) -> None:
        line = {
            "wall": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "reason": self.reason,
            "device": device,
            "action": action,
            "confirmed": confirmed,
            "text": text,
        }
        self._lines.put(json.dumps(line, ensure_ascii=False))

    def _write(self) -> None:
        path = Path(self.charge["run_dir"]) / FILE
        while (line := self._lines.get()) is not None:
            # A disk that takes nothing keeps nobody from making the rack safe.
            with contextlib.suppress(OSError):
                file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o644)
                try:
                    os.write(file, line.encode() + b"\n")
                    os.fsync(file)
                finally:
                    os.close(file)


def _needed(definition: RackDefinition, dark: set[str], cut: str) -> dict[str, DeviceEntry]:
    """The devices that making safe has to reach: every host, and the PDUs where an outlet has to be switched."""
    outlets = [feed.outlet for feed in definition.feeds] if cut != "never" else sorted(dark)
    pdus = {outlet.partition("/")[0] for outlet in outlets}
    return {entry.name: entry for entry in definition.devices if entry.role == "host" or entry.name in pdus}


def _definition(charge: Mapping[str, Any]) -> RackDefinition:
    whole = charge["definition"]
    return RackDefinition(
        model=Model.model_validate(whole["model"]),
        bay=Bay.model_validate(whole["bay"]),
        unit=Unit.model_validate(whole["unit"]),
        model_file="",
        model_digest=whole["model_digest"],
        bay_digest=whole["bay_digest"],
    )
