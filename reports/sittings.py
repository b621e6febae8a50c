"""The sittings of a run on paper: when and where, how each ended, what was kept of it and what the watchdog did.

A run that nobody disturbed has one, of which nothing needs to be told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.journal.events import WatchdogActed
from harness.journal.sittings import INTERRUPTED, Sitting
from harness.journal.watchdog import read_watchdog
from harness.verdict import RunSummary
from reports import texts

HEAD = ("Segment", "Station", "From", "To", "How it ended", "What came of it")


def record(summary: RunSummary) -> list[dict[str, Any]]:
    """Every sitting as plain JSON values, for the signed statement."""
    return [asdict(sitting) for sitting in summary.sittings]


def is_whole(summary: RunSummary, run_dir: Path) -> bool:
    """Whether the run was neither broken nor taken up again, nothing of it was lost and no clock jumped."""
    quiet = all(not (each.lost or each.jumps) for each in summary.sittings)
    return quiet and len(summary.sittings) <= 1 and not read_watchdog(run_dir)


def rows(summary: RunSummary, run_dir: Path) -> tuple[tuple[str, ...], ...]:
    """One row a sitting, in the order of HEAD; none for a run that is whole."""
    if is_whole(summary, run_dir):
        return ()
    told = sum(len(each.watchdog) for each in summary.sittings)
    untold = read_watchdog(run_dir)[told:]
    last = len(summary.sittings)
    return tuple(
        (
            str(each.number),
            ", ".join(filter(None, (each.station, each.operator))),
            texts.time_text(each.first),
            f"{texts.time_text(each.last)} ({texts.span_text(each.seconds)})",
            each.ended + (", its last line torn" if each.torn else ""),
            "; ".join(_remarks(each, each.watchdog or (untold if each.number == last else ()))) or "nothing to tell",
        )
        for each in summary.sittings
    )


def _remarks(sitting: Sitting, watchdog: Sequence[WatchdogActed]) -> list[str]:
    said = []
    if sitting.stands:
        said.append(f"{_count(sitting.stands, 'step')} of before stand")
    said += [f"run again: {each.step.rpartition('::')[2]} ({each.why})" for each in sitting.again]
    said += [f"lost: {each.octets} octets of {each.file}, {_between(each.first, each.last)}" for each in sitting.lost]
    said += [f"the station's clock jumped by {seconds:+.0f} s" for seconds in sitting.jumps]
    if sitting.unconfirmed:
        said.append(f"not confirmed safe: {', '.join(sitting.unconfirmed)}")
    for acted in watchdog:
        sure = "confirmed" if acted.confirmed else "NOT CONFIRMED"
        said.append(f"watchdog: {' '.join(filter(None, (acted.device, acted.action)))}, {sure}: {acted.text}")
    if sitting.ended == INTERRUPTED and not watchdog:
        said.append("no watchdog wrote that it made the rack safe")
    return said


def _between(first: str, last: str) -> str:
    return f"after {texts.time_text(first) if first else 'the beginning'} and before {texts.time_text(last)}"


def _count(things: Sequence[object], noun: str) -> str:
    return f"{len(things)} {noun}" if len(things) == 1 else f"{len(things)} {noun}s"
