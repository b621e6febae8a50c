"""A run's evidence as every report reads it: the journal, its fold, and the telemetry; never a rack."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from harness.bounds import MIB, Oversized, check_size
from harness.errors import RackproofError
from harness.journal.reader import Journal, read_journal
from harness.verdict import RunSummary, fold
from reports import bounds
from reports.charts import run_charts

JOURNAL = "journal.jsonl"

Series = Sequence[tuple[float, float]]
"""Seconds (rack time) and value."""


class BrokenEvidence(RackproofError):
    """A file of evidence is missing or is not the one that the journal vouches for; nothing is signed over it."""


@dataclass(frozen=True)
class Evidence:
    """One run, read once; its telemetry only where something asks for it."""

    run_dir: Path
    journal: Journal
    summary: RunSummary

    @cached_property
    def channels(self) -> Mapping[str, Series]:
        """By channel name, `tray-03/accelerator-2.accelerator.temperature`; raises as `read_telemetry` does."""
        return read_telemetry(self.run_dir) if self.summary.segments else {}

    @cached_property
    def charts(self) -> tuple[str, ...]:
        """The charts that page and paper share, as SVG; raises as `read_telemetry` does."""
        return run_charts(self.channels)


def read_evidence(run_dir: Path) -> Evidence:
    """Read a run directory; raises CorruptJournal and DefinitionError as `read_journal` does, or BrokenEvidence."""
    _measure(run_dir)
    journal = read_journal(run_dir / JOURNAL)
    summary = fold(journal.entries)
    broken = [text for file, text in misfits(run_dir, summary).items()]
    if broken:
        raise BrokenEvidence(f"{run_dir}: {'; '.join(broken)}. Keep the directory as it is and run the rack again.")
    return Evidence(run_dir, journal, summary)


def _measure(run_dir: Path) -> None:
    """Raises BrokenEvidence where there is more than any run leaves behind."""
    try:
        check_size(run_dir / JOURNAL, bounds.JOURNAL)
    except Oversized as error:
        raise BrokenEvidence(f"{run_dir}: {JOURNAL} {error}: this is no run's") from error
    except OSError:
        return  # reading it says why


def misfits(run_dir: Path, summary: RunSummary) -> dict[str, str]:
    """The sealed files that are not as the journal says, by name."""
    found = {}
    listed = [(s.file, s.sha256) for s in summary.segments] + [(a.file, a.sha256) for a in summary.attachments]
    for name, sha256 in listed:
        path = run_dir / name
        if not path.resolve().is_relative_to(run_dir.resolve()):
            found[name] = f"{name} points out of the run directory"
        elif not path.is_file():
            found[name] = f"{name} is missing"
        elif path.stat().st_size > bounds.FILE:
            found[name] = f"{name} is longer than {bounds.FILE // MIB} MiB"
        elif digest_of(path) != sha256:
            found[name] = f"{name} is not the file that the journal recorded"
    return found


def digest_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_telemetry(run_dir: Path) -> dict[str, Series]:
    """The numeric channels of a run by name; raises TelemetryFailure where a segment cannot be read."""
    # Late, because it brings the telemetry store with it, which a run without segments does not need.
    from harness.telemetry.segments import read_channels

    channels = read_channels(run_dir)
    return {str(channel): [(at.timestamp(), value) for at, value in line] for channel, line in channels.items()}


def put(path: Path, content: bytes) -> Path:
    """Write a derived file in one rename, so that a reader sees the old one or the new one; returns `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    # A directory that somebody else packed may hold a link of that name: what it leads to is not ours to write.
    draft.unlink(missing_ok=True)
    try:
        with draft.open("xb") as file:
            file.write(content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path
