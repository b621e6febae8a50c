"""Fields of what a tool printed: None where absent or null, ParseError where they are not what they should be."""

from __future__ import annotations

import math
import re
from typing import Any

from drivers.inband import ParseError

_DIGITS = re.compile(r"[0-9]{1,39}")
_LARGEST = 2**128
"""NVMe's log pages count in 128 bits; nothing that a tool prints is larger."""


def section(found: object, name: str, tool: str) -> dict[str, Any] | None:
    """The object `name` of `found`; None where absent."""
    value = found.get(name) if isinstance(found, dict) else None
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ParseError(f"{tool}: {name} is no object")
    return value


def objects(found: object, name: str, tool: str) -> list[dict[str, Any]]:
    """The objects in the list `name`; empty where the list is absent."""
    value = found.get(name) if isinstance(found, dict) else None
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise ParseError(f"{tool}: {name} is no list of objects")
    return value


def text(found: object, name: str, tool: str) -> str:
    """A text without surrounding space; empty where absent."""
    value = found.get(name) if isinstance(found, dict) else None
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ParseError(f"{tool}: {name} is no text")
    return value.strip()


def flag(found: object, name: str, tool: str) -> bool | None:
    """True or false; None where absent."""
    value = found.get(name) if isinstance(found, dict) else None
    if value is not None and not isinstance(value, bool):
        raise ParseError(f"{tool}: {name} is neither true nor false")
    return value


def real(found: object, name: str, tool: str) -> float | None:
    """A finite number of either sign; None where absent."""
    value = found.get(name) if isinstance(found, dict) else None
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ParseError(f"{tool}: {name} is no number")
    try:
        number = float(value)
    except OverflowError as error:
        raise ParseError(f"{tool}: {name} is too large to be true") from error
    if not math.isfinite(number):
        raise ParseError(f"{tool}: {name} is {number}")
    return number


def count(found: object, name: str, tool: str) -> int | None:
    """A whole number from 0, also as a text of digits (nvme-cli, systemd print wide counters so); None where absent."""
    value = found.get(name) if isinstance(found, dict) else None
    if value is None:
        return None
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _LARGEST:
        raise ParseError(f"{tool}: {name} is no count")
    return value


def whole_lines(printed: str, tool: str, longest: int) -> list[str]:
    """The lines of a text that ends with one; raises ParseError where the last is cut off, which would cut a number."""
    if len(printed) > longest:
        raise ParseError(f"{tool}: {len(printed)} characters are more than it can have printed")
    if not printed.endswith("\n"):
        raise ParseError(f"{tool}: the output is empty or its last line is cut off")
    return [line.rstrip("\r") for line in printed.split("\n")[:-1]]
