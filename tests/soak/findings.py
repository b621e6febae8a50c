"""What a soak found: whether every sweep and sample is accounted for, and what became of the station's process."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from harness.journal import events as e
from harness.journal.reader import read_journal
from harness.verdict import fold

SETTLED = 1.0
"""Rack hours after which the station has to be as it stays; of a shorter soak, a third."""
FLAT = 2**20
"""Octets a rack hour by which the station may grow."""
LENGTH = 6.0
"""Rack hours below which growth is only told: a slope is that of a few noisy points, and pools are still filling."""


@dataclass(frozen=True, slots=True)
class Look:
    """The station's process at one moment: wall seconds since it began, octets in memory, open files, threads."""

    at: float
    resident: int
    files: int
    threads: int


@dataclass(frozen=True, slots=True)
class Findings:
    """What there is to say, and which promises were broken."""

    verdict: str
    code: int | None
    hours: float
    """Rack hours that were watched."""
    looks: int
    slope: float
    """Octets a rack hour, after the first hour."""
    resident: tuple[int, int]
    """Octets at the end of the first hour, and at the end."""
    files: tuple[int, int]
    threads: tuple[int, int]
    counted: tuple[e.TelemetryCounted, ...]
    stored: dict[str, int]
    """Samples in sealed segments by device."""
    lost: int
    """How often a device was lost."""
    back: int
    problems: tuple[str, ...] = field(default=())

    def broken(self) -> list[str]:
        """Every promise that was not kept."""
        said = list(self.problems)
        for each in self.counted:
            if each.due != each.taken + each.failed + each.late:
                said.append(
                    f"{each.device}: of {each.due} sweeps {each.taken}, {each.failed} and {each.late} are known"
                )
            if each.samples != self.stored.get(each.device, 0):
                said.append(f"{each.device}: {each.samples} samples taken, {self.stored.get(each.device, 0)} on disk")
        if not self.counted:
            said.append("the journal does not count sweeps")
        if self.hours >= LENGTH and self.slope > FLAT:
            said.append(f"the station grows by {self.slope / 2**20:.2f} MiB a rack hour")
        for what, (before, after) in {"open files": self.files, "threads": self.threads}.items():
            if self.hours >= LENGTH and after > before:
                said.append(f"{what}: {before} at most in the first third, {after} at the end")
        return said

    def as_json(self) -> dict[str, Any]:
        """For whoever compares soaks."""
        return {
            "verdict": self.verdict,
            "exit_code": self.code,
            "rack_hours": round(self.hours, 3),
            "looks": self.looks,
            "slope_mib_per_rack_hour": round(self.slope / 2**20, 3),
            "resident_mib": [round(octets / 2**20, 1) for octets in self.resident],
            "open_files": list(self.files),
            "threads": list(self.threads),
            "devices_lost": self.lost,
            "devices_back": self.back,
            "sweeps": {
                each.device: {"due": each.due, "taken": each.taken, "failed": each.failed, "late": each.late}
                for each in self.counted
            },
            "samples": sum(self.stored.values()),
        }


def findings(run_dir: Path, looks: Sequence[Look], pace: float, code: int | None) -> Findings:
    """Read a run that is over, and what was seen of its process."""
    entries = read_journal(run_dir / "journal.jsonl").entries
    events = [entry.event for entry in entries]
    hours = looks[-1].at * pace / 3600.0 if looks else 0.0
    settled = min(SETTLED, hours / 3) * 3600.0 / pace
    # Its end is left out: reports are written by the same process.
    watched = [look for look in looks if settled <= look.at <= looks[-1].at - 0.1 * (looks[-1].at - settled)]
    watched = watched or list(looks)
    tenth = max(1, len(watched) // 10)
    first, last, third = watched[:tenth], watched[-tenth:], watched[: max(1, len(watched) // 3)]
    return Findings(
        verdict=fold(entries).verdict.value,
        code=code,
        hours=hours,
        looks=len(looks),
        slope=_slope(watched, pace),
        resident=(_median(first, "resident"), _median(last, "resident")),
        files=(max(look.files for look in third), _median(last, "files")),
        threads=(max(look.threads for look in third), _median(last, "threads")),
        counted=tuple(event for event in events if isinstance(event, e.TelemetryCounted)),
        stored=_stored(run_dir),
        lost=sum(isinstance(event, e.DeviceLost) for event in events),
        back=sum(isinstance(event, e.DeviceBack) for event in events),
        problems=tuple(event.text for event in events if isinstance(event, e.StopRequested)),
    )


def _slope(looks: Sequence[Look], pace: float) -> float:
    if len(looks) < 3:
        return 0.0
    hours = [look.at * pace / 3600.0 for look in looks]
    return statistics.linear_regression(hours, [look.resident for look in looks]).slope


def _median(looks: Sequence[Look], name: str) -> int:
    return int(statistics.median(getattr(look, name) for look in looks))


def _stored(run_dir: Path) -> dict[str, int]:
    segments = [str(path) for path in sorted((run_dir / "telemetry").glob("*.parquet"))]
    with duckdb.connect(":memory:") as store:
        rows = store.execute("SELECT device, count(*) FROM read_parquet(?) GROUP BY device", [segments]).fetchall()
    return dict(rows)
