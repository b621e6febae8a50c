"""What a watchdog left in the run directory: `watchdog.jsonl`, one JSON object a line, written while no journal was."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from harness.bounds import Oversized, contents
from harness.journal.events import WatchdogActed

WATCHDOG = "watchdog.jsonl"
LONGEST = 2**20
"""Octets that are read of it: some thousand actions."""
TEXTS = ("wall", "reason", "device", "action", "text")


def read_watchdog(run_dir: Path) -> tuple[WatchdogActed, ...]:
    """What the watchdog says it did after the station died, in order; empty where it had nothing to do.

    A line that cannot be read, and a file that is none, is told as one unconfirmed action.
    """
    try:
        lines = contents(run_dir / WATCHDOG, LONGEST).split(b"\n")
    except FileNotFoundError:
        return ()
    except (OSError, Oversized):
        return (_unreadable(f"{WATCHDOG} cannot be read"),)
    return tuple(_acted(line) for line in lines if line.strip())


def unsafe(actions: Sequence[WatchdogActed]) -> str:
    """What the technician has to look at: the last word that is not a confirmation; empty where all is confirmed."""
    last = actions[-1] if actions else None
    return "" if last is None or last.confirmed else last.text


def _acted(line: bytes) -> WatchdogActed:
    try:
        found = json.loads(line.decode("utf-8"))
        return WatchdogActed(confirmed=found["confirmed"] is True, **{name: str(found[name]) for name in TEXTS})
    except (ValueError, KeyError, TypeError, RecursionError):
        return _unreadable(f"a line of {WATCHDOG} cannot be read")


def _unreadable(why: str) -> WatchdogActed:
    return WatchdogActed("", "", "", "", confirmed=False, text=f"not confirmed, go and look: {why}")
