"""From findings to what a load's outcome says: wrong results are counted, what could not be told is no count at all."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.inband.finding import Finding, Verdict
from harness.workload import Figure, LoadOutcome


def outcome(unit: str, work: float, found: Sequence[Finding], figures: Sequence[Figure] = ()) -> LoadOutcome:
    """The outcome of one unit: as many errors as failures, None where only something kept the tool from telling."""
    failed = [each for each in found if each.verdict is Verdict.FAIL]
    unclear = [each for each in found if each.verdict is Verdict.ERROR]
    note = "; ".join(f"{each.unit}: {each.text}" if each.unit else each.text for each in (*failed, *unclear))
    errors = len(failed) if failed or not unclear else None
    return LoadOutcome(unit, work, errors, note[:500], tuple(figures))


def unreadable(unit: str, why: object) -> LoadOutcome:
    """The outcome of a tool whose output proves nothing."""
    return LoadOutcome(unit, 0.0, None, f"its output proves nothing: {why}"[:500])
