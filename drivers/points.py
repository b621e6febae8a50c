"""Points: raw values of a device turned into readings, and registers gathered into few reads. Pure; no I/O."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from drivers.profile import RegisterPoint, SnmpPoint
from drivers.transports.snmp import Oid, Value
from harness.quantities import Channel, Quality, Reading, Sample, Unit

MOST_OIDS = 16384
"""Of every point of every device of a large rack."""


@dataclass(frozen=True, slots=True)
class Block:
    """Registers that are read in one request."""

    address: int
    count: int


def good(value: float | bool | str, unit: Unit, at: datetime) -> Reading:
    """A reading that may be judged; a number that is not finite becomes a bad one."""
    if isinstance(value, float) and not math.isfinite(value):
        return bad(unit, at)
    return Reading(value, unit, at)


def bad(unit: Unit, at: datetime) -> Reading:
    """A reading that could not be had, or cannot be right."""
    return Reading(math.nan, unit, at, Quality.BAD)


def absent(unit: Unit, at: datetime) -> Reading:
    """The device says that it does not measure this."""
    return Reading(math.nan, unit, at, Quality.ABSENT)


def reading_of(value: float | bool | None, unit: Unit, at: datetime) -> Reading:
    """A reading; None is a bad one."""
    return bad(unit, at) if value is None else good(value, unit, at)


def sample(channel: Channel, value: float | bool | None, at: datetime) -> Sample:
    """A sample on a channel; None becomes a bad one."""
    return Sample(channel, reading_of(value, channel.unit, at))


@lru_cache(maxsize=MOST_OIDS)
def oid_of(template: str, part: int | str | None = None) -> Oid:
    """The OID of a template for one part; raises ValueError where it needs a part and none is given.

    Asked for the same again in every sweep of every device: what was read once is known.
    """
    text = template if part is None else template.replace("{part}", str(part))
    return tuple(int(arc) for arc in text.split("."))


def column_of(template: str) -> Oid:
    """What is walked to find the parts of a template: all in front of `{part}`."""
    return oid_of(template.partition(".{part}")[0])


def parts_of(template: str, rows: Mapping[Oid, Value]) -> list[str]:
    """What stands for `{part}` in rows walked below `column_of(template)`, in order: `3`, or `1.2.3` of three arcs."""
    tail = template.partition("{part}")[2]
    rest = tuple(int(arc) for arc in tail.split(".") if arc)
    found = sorted(index[: len(index) - len(rest)] for index in rows if not rest or index[-len(rest) :] == rest)
    return [".".join(map(str, index)) for index in found if index]


def worded(point: SnmpPoint, raw: Value) -> str:
    """A text by the point's pattern, where it has one; empty where there is none, or it does not match."""
    said = text(raw)
    if not point.pattern:
        return said
    found = re.search(point.pattern, said)
    return (found[1] or "").strip() if found else ""


def number(point: SnmpPoint, raw: Value, digits: Value = None, available: Value = 1) -> float | None:
    """The value in the point's unit; None where the device says nothing, or nothing to be believed."""
    if available != 1 or (point.digits is not None and not isinstance(digits, int)):
        return None
    if isinstance(raw, bytes):  # some agents give numbers as text, a few with a unit behind
        try:
            raw_number = float(raw.decode("ascii").split()[0])
        except (ValueError, IndexError, UnicodeDecodeError):
            return None
    elif isinstance(raw, int):
        raw_number = float(raw)
    else:
        return None
    if raw_number in point.absent:
        return None
    power = 10.0**digits if isinstance(digits, int) else 1.0
    value = raw_number / power * point.scale + point.offset
    return value if is_plausible(point, value) else None


def state(point: SnmpPoint, raw: Value) -> bool | None:
    """What a state means by the family's own table; None for a transition, an error, or nothing at all."""
    return point.states.get(raw) if isinstance(raw, int) else None


def text(raw: Value) -> str:
    """An octet string as text without padding; empty where there is none."""
    if isinstance(raw, bytes):
        return raw.decode("utf-8", "replace").strip("\x00 \t\r\n").replace("\x00", "")
    return str(raw) if isinstance(raw, int | str) else ""


def decode(point: RegisterPoint, words: Sequence[int]) -> float | int | bool | str | frozenset[str] | None:
    """Registers by the point's format; None where the device says nothing, or nothing believable.

    Words are 16 bits, the more significant one first unless the point says otherwise; characters in a string likewise.
    """
    octets = _octets(point, words)
    if point.format == "string":
        return text(octets.split(b"\x00", 1)[0])
    raw = int.from_bytes(octets, "big", signed=point.format in ("s16", "s32"))
    if raw in point.absent:
        return None
    if point.format == "state":
        return point.states.get(raw)
    if point.format == "flags":
        return frozenset(name for name, bit in point.bits.items() if raw >> bit & 1)
    value = _scaled(point, octets, raw)
    return value if is_plausible(point, value) else None


def is_plausible(point: RegisterPoint | SnmpPoint, value: float) -> bool:
    """Whether a value can be true at all: finite, and within what its point calls plausible."""
    low, high = point.plausible or (-math.inf, math.inf)
    return math.isfinite(value) and low <= value <= high


def doubt(name: str, point: RegisterPoint, words: Sequence[int]) -> str:
    """Why a number is not believed, naming point, value and range; empty where it is, or the device says nothing."""
    if point.plausible is None or decode(point, words) is not None:
        return ""
    octets = _octets(point, words)
    raw = int.from_bytes(octets, "big", signed=point.format in ("s16", "s32"))
    value, (low, high) = _scaled(point, octets, raw), point.plausible
    if raw in point.absent or not math.isfinite(value):
        return ""
    return f"{name}: {value:g} {point.unit} from register {point.register_} lies outside of {low:g} … {high:g}"


def _octets(point: RegisterPoint, words: Sequence[int]) -> bytes:
    ordered = words if point.word_order == "big" else tuple(reversed(words))
    return b"".join(word.to_bytes(2, "big") for word in ordered)


def _scaled(point: RegisterPoint, octets: bytes, raw: int) -> float:
    value: float = struct.unpack(">f", octets)[0] if point.format == "float" else raw
    scaled: float = value / 2**point.precision * point.scale + point.offset
    return scaled


def numeric(value: float | int | bool | str | frozenset[str] | None) -> float | None:
    """A decoded value as a number; None where it is none."""
    return None if value is None or isinstance(value, bool | str | frozenset) else float(value)


def plan_blocks(needed: Iterable[RegisterPoint], declared: Iterable[RegisterPoint], limit: int) -> tuple[Block, ...]:
    """The fewest reads that cover `needed` without touching a register nobody declared.

    A device may refuse a whole read for one register it does not have, so gaps are never read over.
    """
    owned = {register for point in declared for register in _span(point)}
    blocks: list[Block] = []
    for point in sorted(needed, key=lambda each: each.register_):
        begin, end = point.register_, point.register_ + point.words
        if blocks:
            last = blocks[-1]
            joined = max(end, last.address + last.count) - last.address
            between = range(last.address + last.count, begin)
            if joined <= limit and all(register in owned for register in between):
                blocks[-1] = Block(last.address, joined)
                continue
        blocks.append(Block(begin, end - begin))
    return tuple(blocks)


def words_of(point: RegisterPoint, registers: Mapping[int, int]) -> list[int] | None:
    """The point's words out of what was read; None unless all of them were."""
    if any(register not in registers for register in _span(point)):
        return None
    return [registers[register] for register in _span(point)]


def _span(point: RegisterPoint) -> range:
    return range(point.register_, point.register_ + point.words)
