"""A port of an NVIDIA adapter or switch: `mlxlink --json -c`, or `mstlink`, its counters and bit error ratios.

Sources: mstflint, mlxlink; the shape of its JSON as recorded. Every number is a text; `N/A` is none; 15E-255 stands for
"no error counted" and is the ratio 0.0; lanes come as a list, as `{"values": […]}`, or by number. An error is coloured
text and no JSON. What reached FEC cannot be better than what left it: raw >= effective >= symbol, else it is no result.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drivers.inband import ParseError
from drivers.inband.strict_json import read_object

TOOL = "mlxlink"
NONE_COUNTED = 1e-200
"""Ratios below it are how the tool writes that it counted no error."""
_COUNT = re.compile(r"\d{1,20}")
_RATIO = re.compile(r"\d{1,3}(?:\.\d{1,6})?(?:[eE][+-]?\d{1,3})?")
_MINUTES = re.compile(r"\d{1,12}(?:\.\d{1,6})?")
_REED_SOLOMON = re.compile(r"RS.*\((\d{3,4}),")
_NOTHING = ("N/A", "NA", "")
_LANES = 16


@dataclass(frozen=True, slots=True)
class MlxLane:
    """One lane, from 0."""

    raw_errors: int | None
    raw_ber: float | None


@dataclass(frozen=True, slots=True)
class MlxPort:
    """One port. Counters are None where the tool gives none; `minutes` since they were cleared."""

    state: str
    physical_state: str
    speed: str
    fec: str
    recommendation: str
    minutes: float | None
    symbol_errors: int | None
    symbol_ber: float | None
    effective_errors: int | None
    effective_ber: float | None
    raw_ber: float | None
    downs: int | None
    recoveries: int | None
    lanes: tuple[MlxLane, ...]

    @property
    def up(self) -> bool | None:
        """Whether the port runs; None in a state that is neither up nor down."""
        return {"Active": True, "Down": False, "Disable": False, "Polling": False}.get(self.state)

    @property
    def scheme(self) -> str:
        """The FEC in use as `rs-544`, `base-r`, `off`; empty where the tool names none."""
        found = _REED_SOLOMON.search(self.fec)
        if found:
            return f"rs-{found[1]}"
        return {"Firecode FEC": "base-r", "No FEC": "off"}.get(self.fec, "")


def parse(text: str) -> MlxPort:
    """What the tool printed for one port; raises ParseError where it reports an error, or says what cannot be."""
    whole = read_object(text, TOOL)
    status = _section(whole, "status")
    if status.get("code") != 0 or isinstance(status.get("code"), bool):
        raise ParseError(f"{TOOL}: it failed: {str(status.get('message'))[:200]}")
    output = _section(_section(whole, "result"), "output")
    about, counters = _section(output, "Operational Info"), _section(output, "Physical Counters and BER Info")
    trouble = output.get("Troubleshooting Info")
    port = MlxPort(
        state=_text(about, "State"),
        physical_state=_text(about, "Physical state"),
        speed=_text(about, "Speed"),
        fec=_text(about, "FEC"),
        recommendation=str(trouble.get("Recommendation", "")) if isinstance(trouble, dict) else "",
        minutes=_number(counters, "Time Since Last Clear [Min]", _MINUTES),
        symbol_errors=_count(counters, "Symbol Errors"),
        symbol_ber=_ratio(counters, "Symbol BER"),
        effective_errors=_count(counters, "Effective Physical Errors"),
        effective_ber=_ratio(counters, "Effective Physical BER"),
        raw_ber=_ratio(counters, "Raw Physical BER"),
        downs=_count(counters, "Link Down Counter"),
        recoveries=_count(counters, "Link Error Recovery Counter"),
        lanes=_lanes(counters),
    )
    ratios = [each for each in (port.raw_ber, port.effective_ber, port.symbol_ber) if each is not None]
    if ratios != sorted(ratios, reverse=True):
        raise ParseError(f"{TOOL}: raw, effective and symbol BER contradict each other: {ratios}")
    return port


def _section(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = found.get(name)
    if not isinstance(value, dict):
        raise ParseError(f"{TOOL}: {name} is missing")
    return value


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ParseError(f"{TOOL}: {name} is missing or no text")
    return value.strip()


def _number(found: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> float | None:
    return None if name not in found else _plain(found[name], name, pattern)


def _plain(value: object, name: str, pattern: re.Pattern[str]) -> float | None:
    if not isinstance(value, str):
        raise ParseError(f"{TOOL}: {name} is {value!r} and no text")
    if value.strip() in _NOTHING:
        return None
    if not pattern.fullmatch(value.strip()):
        raise ParseError(f"{TOOL}: {name} is {value[:40]!r}")
    return float(value)


def _count(found: Mapping[str, Any], name: str) -> int | None:
    return None if _number(found, name, _COUNT) is None else int(found[name])


def _ratio(found: Mapping[str, Any], name: str) -> float | None:
    return None if name not in found else _as_ratio(found[name], name)


def _as_ratio(value: object, name: str) -> float | None:
    ratio = _plain(value, name, _RATIO)
    if ratio is None:
        return None
    if not math.isfinite(ratio) or ratio > 1:
        raise ParseError(f"{TOOL}: {name} is {ratio}, and no ratio")
    return 0.0 if ratio < NONE_COUNTED else ratio


def _lanes(counters: Mapping[str, Any]) -> tuple[MlxLane, ...]:
    errors, ratios = (_by_lane(counters, f"Raw Physical {what} Per Lane") for what in ("Errors", "BER"))
    if errors and ratios and len(errors) != len(ratios):
        raise ParseError(f"{TOOL}: errors of {len(errors)} lanes and ratios of {len(ratios)}")
    found = []
    for at in range(max(len(errors), len(ratios))):
        count = _plain(errors[at], "errors of a lane", _COUNT) if errors else None
        ratio = _as_ratio(ratios[at], "the ratio of a lane") if ratios else None
        found.append(MlxLane(None if count is None else int(errors[at]), ratio))
    return tuple(found)


def _by_lane(counters: Mapping[str, Any], name: str) -> list[str]:
    if name not in counters or counters[name] in _NOTHING:
        return []
    value = counters[name]
    if isinstance(value, dict) and set(value) == {"values"}:
        value = value["values"]
    if isinstance(value, dict):
        numbers = [key for key in value if key.isdigit()]
        if len(numbers) != len(value) or {int(key) for key in numbers} != set(range(len(value))):
            raise ParseError(f"{TOOL}: {name} has lanes {sorted(value)}")
        value = [value[key] for key in sorted(value, key=int)]
    if not isinstance(value, list) or not 0 < len(value) <= _LANES or not all(isinstance(v, str) for v in value):
        raise ParseError(f"{TOOL}: {name} is no list of texts")
    return value
