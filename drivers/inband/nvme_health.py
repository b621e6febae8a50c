"""What a drive says of its own health: NVMe's SMART / Health Information log page, whichever tool printed it.

Source: NVM Express Base Specification 2.0, 5.16.1.3 (log page 02h): the bits of Critical Warning, Media and Data
Integrity Errors, Percentage Used (may exceed 100), Available Spare and its threshold, times in minutes.
"""

from __future__ import annotations

from dataclasses import dataclass

from drivers.inband.finding import Finding, Verdict

WARNINGS = (
    "available spare is below its threshold",
    "temperature is beyond a threshold",
    "reliability is degraded",
    "media are read-only",
    "the volatile memory backup has failed",
    "the persistent memory region is read-only or unreliable",
)
"""Critical Warning, bit 0 first; further bits are reserved."""
_WORN_OUT = 100


@dataclass(frozen=True, slots=True)
class Health:
    """The log page; None where the tool did not print a field. Percent, degC, hours; counters since manufacture."""

    critical_warning: int | None
    media_errors: int | None
    percentage_used: int | None
    available_spare: int | None
    spare_threshold: int | None
    temperature: float | None
    power_on_hours: int | None
    unsafe_shutdowns: int | None
    error_log_entries: int | None
    minutes_hot: int | None
    """Above the warning temperature."""
    minutes_critical: int | None


def findings(health: Health, unit: str, *, wear: int = _WORN_OUT) -> tuple[Finding, ...]:
    """Warnings, media errors, spare below its threshold and `wear` percent used are FAIL; what it hides is ERROR."""
    found = []
    if health.critical_warning:
        said = [text for bit, text in enumerate(WARNINGS) if health.critical_warning >> bit & 1]
        words = "; ".join(said) or "reserved bits"
        found.append(Finding(Verdict.FAIL, unit, f"critical warning {health.critical_warning:#04x}: {words}"))
    if health.media_errors:
        found.append(Finding(Verdict.FAIL, unit, f"{health.media_errors} media and data integrity errors"))
    if health.percentage_used is not None and health.percentage_used >= wear:
        found.append(Finding(Verdict.FAIL, unit, f"{health.percentage_used} % of its life used, {wear} % is the end"))
    spare, threshold = health.available_spare, health.spare_threshold
    if spare is not None and threshold is not None and spare < threshold:
        found.append(Finding(Verdict.FAIL, unit, f"{spare} % spare left, its threshold is {threshold} %"))
    if health.minutes_critical:
        found.append(Finding(Verdict.WARN, unit, f"{health.minutes_critical} min above its critical temperature"))
    needed = {
        "critical warning": health.critical_warning,
        "media errors": health.media_errors,
        "percentage used": health.percentage_used,
        "available spare": health.available_spare,
    }
    hidden = [name for name, value in needed.items() if value is None]
    if hidden:
        found.append(Finding(Verdict.ERROR, unit, f"it does not say its {', '.join(hidden)}"))
    return tuple(found)
