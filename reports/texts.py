"""How one thing is written for a person: a value with its unit, bounds, a place, a step, an instant, a span of time."""

from __future__ import annotations

from datetime import datetime

from harness.journal.events import LimitUsed, PlannedStep
from harness.quantities import Value
from harness.verdict import StepResult
from reports.identity import Identity

NO_VALUE = "no value"

_UNITS = {"degC": "°C", "1": "", "bool": "", "text": "", "count": ""}


def value_text(value: Value | None, unit: str) -> str:
    """A value with its unit as a person writes it: `81.3 °C`, `yes`, `no value`."""
    if value is None:
        return NO_VALUE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value or "(empty)"
    shown = f"{value:d}" if isinstance(value, int) else _number(value)
    symbol = _UNITS.get(unit, unit)
    return f"{shown} {symbol}".rstrip()


def _number(value: float) -> str:
    """Four figures, and never an exponent where a person would write the number out."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.4g}" if abs(value) >= 1e-4 else f"{value:.3e}"


def bounds_text(limit: LimitUsed) -> str:
    """The bounds of a limit as a person reads them."""
    return limit.bounds.replace("degC", "°C").removesuffix(" count")


def guard_text(limit: LimitUsed) -> str:
    """Guard band and expanded uncertainty: `g 2 · U 1.6 °C`; empty where the limit has neither."""
    parts = [f"g {limit.guard:g}"] if limit.guard else []
    if limit.uncertainty is not None:
        parts.append(f"U {limit.uncertainty:g}")
    return " · ".join(parts)


def place_text(who: Identity) -> str:
    """Where the rack stood."""
    bay = who.bay if not who.bay or who.bay.startswith("bay") or who.bay == who.site else f"bay {who.bay}"
    return ", ".join(dict.fromkeys(part for part in (who.site, bay) if part))


def stage_text(stage: str) -> str:
    """A stage's name as a heading: `burn_in` is `Burn-in`."""
    known = {"burn_in": "Burn-in", "handover": "Hand-over", "hand_over": "Hand-over"}
    return known.get(stage, stage.replace("_", " ").capitalize() or "Steps")


def step_text(result: StepResult) -> str:
    """What a step is called on paper."""
    return planned_text(result.planned)


def planned_text(planned: PlannedStep) -> str:
    """What a planned step is called."""
    title = planned.title or planned.step.rpartition("::")[2]
    return f"{title} ({planned.device})" if planned.device and planned.device not in title else title


def time_text(stamp: str) -> str:
    """An ISO 8601 instant as `2026-11-22 12:00:00 UTC`; as it stands where it is none."""
    try:
        return datetime.fromisoformat(stamp).strftime("%Y-%m-%d %H:%M:%S UTC")
    except ValueError:
        return stamp


def span_text(seconds: float) -> str:
    """A time span: `41 s`, `3:07`, `1:02:45`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
