"""JSON as evidence: one object, no name twice with different values, no NaN, nothing cut off."""

from __future__ import annotations

import json
import math
from typing import Any

from drivers.inband import ParseError

LONGEST = 16 * 2**20


def read_object(text: str, tool: str) -> dict[str, Any]:
    """The one JSON object that `text` is; raises ParseError."""
    if len(text) > LONGEST:
        raise ParseError(f"{tool}: {len(text)} characters are more than it can have printed")
    try:
        found = json.loads(text, object_pairs_hook=_unambiguous, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ParseError(f"{tool}: no valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise ParseError(f"{tool}: JSON, but no object")
    return found


def number(section: object, name: str, tool: str) -> float:
    """A finite number that is not negative; raises ParseError where it is missing or anything else."""
    value = section.get(name) if isinstance(section, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ParseError(f"{tool}: {name} is missing or no number")
    try:
        found = float(value)
    except OverflowError as error:
        raise ParseError(f"{tool}: {name} is too large to be true") from error
    if not math.isfinite(found) or found < 0:
        raise ParseError(f"{tool}: {name} is {found}")
    return found


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found and found[name] != value:
            raise ValueError(f"the name {name!r} occurs twice with different values")
        found[name] = value
    return found


def _no_constant(word: str) -> float:
    raise ValueError(f"{word} is no number")
