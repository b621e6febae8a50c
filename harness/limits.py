"""Limits, and the one pure function that judges a reading against one.

Decision rule: acceptance limits are the tolerance limits drawn in by the guard band (ILAC-G8:09/2019, 4.2; ISO/IEC
17025:2017, 7.8.6). Inside them a value passes; between acceptance and tolerance limit it is marginal; outside it fails.
What cannot be judged is never a pass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from harness.quantities import Reading, Unit, Value


class Judgement(StrEnum):
    """What became of one measurement."""

    PASS = "pass"
    MARGINAL = "marginal"
    FAIL = "fail"
    UNJUDGED = "unjudged"


@dataclass(frozen=True, slots=True)
class Limit:
    """What must hold for one key, and who says so.

    Exactly one of these: `minimum` and/or `maximum` (numbers, in `unit`); `allowed`, the values it may have;
    `by_definition`, where the allowed values are the definition's own (its parts, its cable map) and come with each
    measurement; `recorded_only`, on purpose without a bound. `guard` and `uncertainty` (k = 2) are in `unit`.
    """

    key: str
    unit: Unit
    source: str
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[Value, ...] | None = None
    guard: float = 0.0
    uncertainty: float | None = None
    by_definition: bool = False
    recorded_only: bool = False

    def expecting(self, *allowed: Value) -> Limit:
        """This limit with the values that the definition allows for one subject."""
        return replace(self, allowed=allowed, by_definition=False)

    def describe(self) -> str:
        """The bounds as a person writes them: `1.2 … 2.0 L/min`, `≤ 85 degC`, `= on`."""
        if self.allowed is not None:
            return "= " + " or ".join(_word(value) for value in self.allowed)
        unit = "" if self.unit in (Unit.RATIO, Unit.TEXT, Unit.BOOLEAN) else f" {self.unit}"
        if self.minimum is not None and self.maximum is not None:
            return f"{self.minimum:g} … {self.maximum:g}{unit}"
        if self.minimum is not None:
            return f"≥ {self.minimum:g}{unit}"
        if self.maximum is not None:
            return f"≤ {self.maximum:g}{unit}"
        return "as defined" if self.by_definition else "recorded"


def judge(reading: Reading, limit: Limit) -> Judgement:
    """Judge `reading` against `limit`; unusable, mistyped or unconvertible values are `UNJUDGED`, never a pass."""
    if not reading.usable:
        return Judgement.UNJUDGED
    if limit.allowed is not None:
        return _listed(reading, limit.unit, limit.allowed)
    if limit.by_definition:
        return Judgement.UNJUDGED
    if limit.recorded_only:
        return Judgement.PASS
    if limit.minimum is None and limit.maximum is None:
        return Judgement.UNJUDGED
    return _bounded(reading, limit)


def _listed(reading: Reading, unit: Unit, allowed: tuple[Value, ...]) -> Judgement:
    try:
        value = reading.to(unit).value
    except ValueError:
        return Judgement.UNJUDGED
    return Judgement.PASS if any(_same(value, each) for each in allowed) else Judgement.FAIL


def _same(left: Value, right: Value) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, str) or isinstance(right, str):
        return type(left) is type(right) and left == right
    return float(left) == float(right)


def _bounded(reading: Reading, limit: Limit) -> Judgement:
    try:
        value = reading.to(limit.unit).number
    except ValueError:
        return Judgement.UNJUDGED
    if isinstance(reading.value, str | bool) or not math.isfinite(value):
        return Judgement.UNJUDGED
    low = -math.inf if limit.minimum is None else limit.minimum
    high = math.inf if limit.maximum is None else limit.maximum
    if not low <= value <= high:
        return Judgement.FAIL
    inner = low + limit.guard <= value <= high - limit.guard
    return Judgement.PASS if inner else Judgement.MARGINAL


def _word(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
