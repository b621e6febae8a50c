"""Forward error correction of a link: `ethtool -I --show-fec`, with or without statistics.

Sources: ethtool netlink/fec.c (5.12 … 6.15: the encodings, `Statistics:`, a total and lanes below it), and the patch
of 2025 that adds a histogram of codewords by corrected symbols and lists lanes in brackets. The kernel makes a total
out of its lanes, so the two must agree. A driver that keeps no statistics prints none: None then, never zero.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from drivers.inband import ParseError

TOOL = "ethtool --show-fec"
LONGEST = 2**20
_HEAD = re.compile(r"FEC parameters for (\S{1,64}):")
_CONFIGURED = re.compile(r"(?:Supported/)?Configured FEC encodings?:((?: \S{1,32}){1,8})")
_ACTIVE = re.compile(r"Active FEC encodings?:((?: \S{1,32}){1,8})")
_TOTAL = re.compile(r"  ([a-z][a-z0-9_]{0,63}): (\d{1,20})(?: \[ per_lane:((?: \d{1,20},?){1,16}) \])?\s?")
_LANE = re.compile(r"    Lane (\d{1,2}): (\d{1,20})")
_BIN = re.compile(r"fec_(?:bit|symbols?)_err_(\d{1,3})(?:_to_(\d{1,3}))?")


@dataclass(frozen=True, slots=True)
class Count:
    """A counter of codewords or bits; `lanes` is empty where the driver does not tell them apart."""

    total: int
    lanes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Fec:
    """One interface. Encodings are in the tool's words (`RS`, `BaseR`, `Off`, `None`, `Auto`).

    `bins` counts codewords by 0, 1, 2 … corrected symbols; empty where there is no histogram, or one of wider bins.
    """

    interface: str
    configured: tuple[str, ...]
    active: tuple[str, ...]
    corrected: Count | None = None
    uncorrectable: Count | None = None
    corrected_bits: Count | None = None
    bins: tuple[int, ...] = ()

    @property
    def scheme(self) -> str:
        """The scheme in use: `rs`, `base-r`, `off`; empty where none is named (a link that is down)."""
        words = {"RS": "rs", "BaseR": "base-r", "BASER": "base-r", "Off": "off", "LLRS": "llrs"}
        return words.get(self.active[0], "") if len(self.active) == 1 else ""


def parse(text: str) -> Fec:
    """What the tool printed for one interface; raises ParseError where it is cut off, or holds anything else."""
    lines = _lines(text)
    head = _HEAD.fullmatch(lines[0])
    configured = _CONFIGURED.fullmatch(lines[1]) if len(lines) > 1 else None
    active = _ACTIVE.fullmatch(lines[2]) if len(lines) > 2 else None
    if head is None or configured is None or active is None:
        raise ParseError(f"{TOOL}: it does not begin with an interface and its encodings: {text[:120]!r}")
    counts = _statistics(lines[3:])
    return Fec(
        interface=head[1],
        configured=tuple(configured[1].split()),
        active=tuple(active[1].split()),
        corrected=counts.get("corrected_blocks"),
        uncorrectable=counts.get("uncorrectable_blocks"),
        corrected_bits=counts.get("corrected_bits"),
        bins=_bins(counts),
    )


def _lines(text: str) -> list[str]:
    if len(text) > LONGEST:
        raise ParseError(f"{TOOL}: {len(text)} characters are more than it can have printed")
    if not text.endswith("\n"):
        raise ParseError(f"{TOOL}: the output is empty or its last line is cut off")
    return [line.rstrip() for line in text.split("\n") if line.strip()] or [""]


def _statistics(lines: list[str]) -> dict[str, Count]:
    if not lines:
        return {}
    if lines[0] != "Statistics:":
        raise ParseError(f"{TOOL}: this is no statistic: {lines[0][:80]}")
    totals: dict[str, int] = {}
    lanes: dict[str, list[int]] = {}
    name = ""
    for line in lines[1:]:
        total, lane = _TOTAL.fullmatch(line), _LANE.fullmatch(line)
        if total is not None:
            name = total[1]
            if name in totals:
                raise ParseError(f"{TOOL}: {name} is printed twice")
            totals[name] = int(total[2])
            lanes[name] = [int(each) for each in re.findall(r"\d+", total[3] or "")]
        elif lane is not None and name and int(lane[1]) == len(lanes[name]):
            lanes[name].append(int(lane[2]))
        else:
            raise ParseError(f"{TOOL}: this is no statistic: {line.strip()[:80]}")
    if not totals:
        raise ParseError(f"{TOOL}: the statistics are cut off")
    for each, own in lanes.items():
        if own and sum(own) != totals[each]:
            raise ParseError(f"{TOOL}: {each} is {totals[each]}, and its lanes make {sum(own)}")
    return {each: Count(total, tuple(lanes[each])) for each, total in totals.items()}


def _bins(counts: dict[str, Count]) -> tuple[int, ...]:
    """The histogram where its bins are one symbol wide and none is missing."""
    found: dict[int, int] = {}
    for name, count in counts.items():
        place = _BIN.fullmatch(name)
        if place is not None:
            if place[2] is not None and place[2] != place[1]:
                return ()
            found[int(place[1])] = count.total
    if set(found) != set(range(len(found))):
        raise ParseError(f"{TOOL}: the histogram has gaps: {sorted(found)}")
    return tuple(found[at] for at in range(len(found)))
