"""Names and values of `ethtool -m`, text or JSON, under the names of the JSON: every value of a name, none lost.

Sources: ethtool module-common.c (convert_json_field_name, module_show_lane_status), sff-common.{c,h} (PRINT_…). Lanes
are printed in the text as lines of their own, `… (Channel 1)`, for flags `… (Chan 1)`, older ones without the space.
"""

from __future__ import annotations

import json
import math
import re
from typing import TypeAlias

from drivers.inband import ParseError, fields

TOOL = "ethtool -m"
LONGEST = 2**20
LONGEST_LINE = 400
Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"
Found: TypeAlias = dict[str, list[Value]]
_DEEPEST = 4
_LINE = re.compile(r"\t([^:\t]{1,80}?)\s{0,60}: ?(.{0,250})")
_CHANNEL = re.compile(r"(.{1,80}?)\s{0,8}\(Chan(?:nel)? (\d{1,2})\)")
_THRESHOLD = re.compile(r"(.{1,60}) ((?:high|low) (?:alarm|warning)) threshold")
_CODED = re.compile(r"(0x[0-9a-f]{2}) \((.{0,200})\)")
_POWER = re.compile(r"(\d{1,6}\.\d{4}) mW / (-?\d{1,4}\.\d\d|-inf) dBm")
_AMOUNT = re.compile(r"(-?\d{1,6}\.\d{2,4}) (?:mA|V|degrees C / -?\d{1,6}\.\d\d degrees F)")
_LIST = re.compile(r"\[ ?((?:Yes|No)(?:, ?(?:Yes|No)){0,63}) ?\]")
_ROUNDING = 0.00006
"""mW; the text has four decimals."""


class _Pairs(list[tuple[str, object]]):
    """The members of a JSON object in their order, one name as often as it was printed."""


def read_json(text: str) -> Found:
    """The members of the one module in the document; raises ParseError."""
    try:
        document = json.loads(text, object_pairs_hook=_Pairs, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ParseError(f"{TOOL}: no valid JSON: {error}") from error
    if isinstance(document, _Pairs) or not isinstance(document, list) or len(document) != 1:
        raise ParseError(f"{TOOL}: JSON, but not of one module")
    members = document[0]
    if not isinstance(members, _Pairs):
        raise ParseError(f"{TOOL}: the module is no object")
    found: Found = {}
    for name, value in members:
        found.setdefault(name, []).append(_plain(value, 0))
    return found


def _plain(value: object, depth: int) -> Value:
    if depth > _DEEPEST:
        raise ParseError(f"{TOOL}: values in values in values")
    if isinstance(value, _Pairs):
        plain: dict[str, Value] = {}
        for name, inner in value:
            if name in plain:
                raise ParseError(f"{TOOL}: {name} occurs twice in one object")
            plain[name] = _plain(inner, depth + 1)
        return plain
    if isinstance(value, list):
        return [_plain(each, depth + 1) for each in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ParseError(f"{TOOL}: {value!r:.40} is no value")


def _no_constant(word: str) -> float:
    raise ValueError(f"{word} is no number")


def read_text(text: str) -> Found:
    """The lines of the text; thresholds as one object under their quantity, lanes as one list; raises ParseError."""
    found: Found = {}
    limits: dict[str, dict[str, Value]] = {}
    lanes: dict[str, list[Value]] = {}
    for line in fields.whole_lines(text, TOOL, LONGEST):
        if not line.strip():
            continue
        parts = _LINE.fullmatch(line[:LONGEST_LINE])
        if parts is None:
            raise ParseError(f"{TOOL}: this tells nothing of a module: {line.strip()[:100]}")
        name, said = parts.group(1), parts.group(2).strip()
        channel, threshold = _CHANNEL.fullmatch(name), _THRESHOLD.fullmatch(name)
        if threshold:
            level, of = f"{_key(threshold.group(2))}_threshold", limits.setdefault(_key(threshold.group(1)), {})
            if level in of:
                raise ParseError(f"{TOOL}: {name} occurs twice")
            of[level] = _read(said)
        elif channel:
            lane = lanes.setdefault(_key(channel.group(1)), [])
            if int(channel.group(2)) != len(lane) + 1:
                raise ParseError(f"{TOOL}: {name} after {len(lane)} of them")
            lane.append(_read(said))
        elif coded := _CODED.fullmatch(said):
            found.setdefault(_key(name), []).append(coded.group(1))
            found.setdefault(f"{_key(name)}_description", []).append(coded.group(2))
        else:
            found.setdefault(_key(name), []).append(_read(said))
    for name, levels in limits.items():
        found.setdefault(name, []).append(levels)
    for name, values in lanes.items():
        found.setdefault(name, []).append(values)
    return found


def _key(name: str) -> str:
    return name.strip().replace(" ", "_").lower()


def _read(said: str) -> Value:
    """mW, mA, V or degC as a number, a list of flags as a list, everything else as it is."""
    if power := _POWER.fullmatch(said):
        return _agreed(float(power.group(1)), float(power.group(2)), said)
    if amount := _AMOUNT.fullmatch(said):
        return float(amount.group(1))
    if flags := _LIST.fullmatch(said):
        return [each.strip() for each in flags.group(1).split(",")]
    return said


def _agreed(milliwatt: float, decibels: float, said: str) -> float:
    """The power in mW where its dBm say the same."""
    if milliwatt == 0 or math.isinf(decibels):
        agree = milliwatt == 0 and (math.isinf(decibels) or decibels <= -40)
    else:
        agree = abs(10 ** (decibels / 10) - milliwatt) <= _ROUNDING + 0.005 * milliwatt
    if not agree:
        raise ParseError(f"{TOOL}: {said} is not one power")
    return milliwatt
