"""What a tool's result means for acceptance: findings, and none of them is a pass only beside proof of work.

A parser says what was printed, `findings` of its module what follows. What could not be read is an ERROR, not silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """FAIL: hardware was measured and fell short. ERROR: it could not be measured. WARN: for the record only."""

    FAIL = "fail"
    ERROR = "error"
    WARN = "warn"


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark on one `unit`, named as the tool names it, empty for the run as a whole."""

    verdict: Verdict
    unit: str
    text: str
