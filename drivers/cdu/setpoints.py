"""Set points of a Redfish CDU: Control resources behind the excerpts of its secondary connector (Control 1.5).

The excerpts themselves are read-only; what is written is the Control that `DataSourceUri` names. One without it, or
without bounds of its own, is not written: nobody would know what it may be set to.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime

from drivers.resources.equipment import read_again
from drivers.resources.values import Json, number, section, text
from drivers.resources.writing import Writer
from harness.controls import SetPoint
from harness.errors import Unsupported
from harness.quantities import Quality, Reading, Unit

CONTROLS = {
    "coolant.flow": ("FlowControlLitersPerMinute", Unit.LITRE_PER_MINUTE),
    "coolant.supply.temperature": ("SupplyTemperatureControlCelsius", Unit.CELSIUS),
}
_TOLERANCE = 0.05
"""What a device may round a set point by, in its unit."""


def read_set_point(name: str, connector: Json, at: datetime) -> SetPoint | None:
    """The set point as the connector's excerpt gives it; None where it has none."""
    word, unit = CONTROLS[name]
    said = section(connector, word)
    return _set_point(name, unit, said, said, at) if said else None


async def write_set_point(
    writer: Writer, connector: str, name: str, value: float, now: Callable[[], datetime]
) -> SetPoint:
    """Set it and return once it reads back; raises ValueError outside of its bounds, and DeviceError."""
    word, unit = CONTROLS[name]
    attempt = f"set {name} to {value:g} {unit}"
    excerpt = section(await read_again(writer.wire, connector, writer.device), word)
    path = text(excerpt, "DataSourceUri")
    if not path:
        raise Unsupported(writer.device, attempt, f"{word} names no control to write", "Set it at the CDU.")
    control = await read_again(writer.wire, path, writer.device)
    point = _set_point(name, unit, control, excerpt, now())
    if point.low is None or point.high is None:
        raise Unsupported(writer.device, attempt, "the control states no bounds", "Set it at the CDU.")
    if not math.isfinite(value) or not point.low <= value <= point.high:
        bounds = f"{point.low:g} … {point.high:g} {unit}"
        raise ValueError(f"{writer.device}: {name} may be set within {bounds}, not to {value:g}")
    written, lost = await writer.patch(attempt, path, {"SetPoint": value})

    async def look() -> float:
        return number((await read_again(writer.wire, written, writer.device)).get("SetPoint"))

    found = await writer.confirm(attempt, look, lambda seen: abs(seen - value) <= _TOLERANCE, lost)
    return SetPoint(name, Reading(found, unit, now()), point.low, point.high)


def _set_point(name: str, unit: Unit, control: Json, excerpt: Json, at: datetime) -> SetPoint:
    value = number(control.get("SetPoint"))
    low, high = (_bound(control, excerpt, word) for word in ("AllowableMin", "AllowableMax"))
    return SetPoint(name, Reading(value, unit, at, Quality.BAD if math.isnan(value) else Quality.GOOD), low, high)


def _bound(control: Json, excerpt: Json, word: str) -> float | None:
    """The stricter of what control and excerpt state; None where neither does."""
    said = [found for each in (control, excerpt) if not math.isnan(found := number(each.get(word)))]
    if not said:
        return None
    return max(said) if word == "AllowableMin" else min(said)
