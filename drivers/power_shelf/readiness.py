"""What a battery's own words come to, whatever protocol said them: its state, and whether it would carry the load."""

from __future__ import annotations

import math
from collections.abc import Sequence

_AGREEMENT = 0.03
"""How far the sum of a pack's cells may lie from its own voltage: two instruments of 1 % each, and wiring (judgement).
A scale that is wrong by 2^10 against 1000 is wrong by 2.4 %, and only the cells' own range can tell that."""

_IMBALANCE = 0.1
_LEAST_POWER = 50.0
"""W below which a supply's metering says little (judgement)."""


def motion(*, charging: bool | None, discharging: bool | None, testing: bool | None = False) -> str:
    """Its state in one word: `charging`, `discharging`, `testing`, `standby`; empty where it says nothing, or too much.

    A test of its health discharges it, so `testing` goes before.
    """
    if charging is None or discharging is None or testing is None or (charging and discharging):
        return ""
    if testing:
        return "testing"
    return "charging" if charging else "discharging" if discharging else "standby"


def readiness(
    *, allowed: bool | None, initialised: bool | None, empty: bool | None, alarms: Sequence[str] | None
) -> bool | None:
    """Whether it would carry the load now. One word against it is enough; for it, every word must have been read.

    `alarms` are those that are raised, None where they were not read: a battery with an alarm is not relied upon.
    """
    if allowed is False or initialised is False or empty is True or alarms:
        return False
    if allowed is None or initialised is None or empty is None or alarms is None:
        return None
    return True


def disagreement(cells: Sequence[float | None], pack: float | None) -> str:
    """Why cells and pack cannot both be right; empty where they can, or nothing can be said."""
    known = [each for each in cells if each is not None and math.isfinite(each)]
    if pack is None or not known or len(known) < len(cells):
        return ""
    total = math.fsum(known)
    if abs(total - pack) <= _AGREEMENT * max(total, pack):
        return ""
    return f"battery.voltage: {pack:g} V, but its {len(known)} cells add up to {total:.1f} V"


def imbalance(power: float | None, voltage: float | None, current: float | None) -> str:
    """Why a supply's output power, voltage and current cannot all be right; empty where they can, or one is missing.

    They are read in one block; two instruments of 2 %, and load that moves, do not add up to a tenth.
    """
    if power is None or voltage is None or current is None:
        return ""
    product = voltage * current
    if abs(product - power) <= max(_IMBALANCE * max(product, power), _LEAST_POWER):
        return ""
    return f"supply.output.power: {power:g} W, but {voltage:g} V and {current:g} A make {product:.0f} W"
