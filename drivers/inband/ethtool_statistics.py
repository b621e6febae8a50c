"""The counters of `ethtool -S`, with or without groups, and how they grew.

Seen: ethtool 6.1 run on virtual interfaces. Sources: ethtool.c (do_gstats), netlink/stats.c; the meaning of names:
kernel Documentation/networking/device_drivers/ethernet/mellanox/mlx5/counters.rst and drivers' tables. Names are the
driver's, may hold spaces and colons, and some drivers print one name twice. A counter that wraps or is reset goes
backwards: then nothing is known of it. `--json -S` is not in 6.1, so this is text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from drivers.inband import ParseError, fields
from drivers.inband.finding import Finding, Verdict

TOOL = "ethtool -S"
LONGEST = 16 * 2**20
_HEADING = re.compile(r"NIC statistics:|Standard stats for (\S{1,32}):")
_COUNTER = re.compile(r"\s{0,16}(\S(?:.{0,126}\S)?): {1,4}(\d{1,20})")
_BROKEN = re.compile(
    r"crc_err|fcs_err|FrameCheckSequence|symbol_err|SymbolError|link_down|link_failure|uncorrectable|"
    r"AlignmentErrors|jabber|bad_octets|illegal_byte",
    re.IGNORECASE,
)
"""Errors that are left when forward error correction has done its work, and lost links: none are allowed in a soak."""
_NOTED = re.compile(r"err(?:or)?s?\b|_err_|drop|discard|timeout|pause_storm|out_of_buffer", re.IGNORECASE)
_BEFORE_CORRECTION = re.compile(r"err_lane_\d|corrected_bits|raw_err", re.IGNORECASE)
"""Raw errors: a healthy link has them."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counters in the driver's order. `doubtful` are names that were printed with two different values."""

    counters: tuple[tuple[str, int], ...]
    doubtful: tuple[str, ...] = ()

    def value(self, name: str) -> int | None:
        """A counter; None where it is not there or doubtful."""
        return dict(self.counters).get(name)


def parse(text: str) -> Statistics:
    """Every counter; raises ParseError where the output is cut off, or holds anything else."""
    lines = fields.whole_lines(text, TOOL, LONGEST)
    if not _HEADING.fullmatch(lines[0].strip()):
        raise ParseError(f"{TOOL}: it does not begin with statistics: {lines[0][:80]}")
    counters: dict[str, int] = {}
    doubtful: set[str] = set()
    for line in lines[1:]:
        if not line.strip():
            continue
        found = _COUNTER.fullmatch(line)
        if found is None:
            raise ParseError(f"{TOOL}: this is no counter: {line.strip()[:80]}")
        name, value = found.group(1), int(found.group(2))
        if counters.setdefault(name, value) != value:
            doubtful.add(name)
    if not counters:
        raise ParseError(f"{TOOL}: there are no counters")
    certain = tuple((name, value) for name, value in counters.items() if name not in doubtful)
    return Statistics(certain, tuple(sorted(doubtful)))


def growth(before: Statistics, after: Statistics) -> Mapping[str, int | None]:
    """By how much each counter grew; None for one that is on one side only, or went backwards."""
    then, now = dict(before.counters), dict(after.counters)
    found: dict[str, int | None] = {}
    for name in (*then, *(each for each in now if each not in then)):
        first, last = then.get(name), now.get(name)
        found[name] = last - first if first is not None and last is not None and last >= first else None
    return found


def findings(before: Statistics, after: Statistics, interface: str = "") -> tuple[Finding, ...]:
    """Uncorrected errors and lost links in between are FAIL, other errors and drops WARN, lost counters ERROR."""
    found = []
    for name, grown in growth(before, after).items():
        broken = bool(_BROKEN.search(name)) and not _BEFORE_CORRECTION.search(name)
        if grown is None and broken:
            found.append(Finding(Verdict.ERROR, interface, f"{name} went backwards, or is on one side only"))
        elif grown and broken:
            found.append(Finding(Verdict.FAIL, interface, f"{name} grew by {grown}"))
        elif grown and _NOTED.search(name) and not _BEFORE_CORRECTION.search(name):
            found.append(Finding(Verdict.WARN, interface, f"{name} grew by {grown}"))
    return tuple(found)
