"""The BMC's event log as `ipmitool sel list` and `sel elist` print it.

Seen: list, recorded. Source: ipmitool 1.8.19 lib/ipmi_sel.c (ipmi_sel_print_std_entry), lib/ipmi_time.c. The record
number is hexadecimal; date and time are in the locale and zone of the tool, so they are kept as text; before the
BMC's clock is set they are `Pre-Init` and seconds. An empty log is one line on the standard error, `SEL has no
entries`: merge it in, for no output at all proves nothing. elist adds the sensor's name and a reading. Worth of
events: IPMI 2.0, tables 42-2 and 42-3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from drivers.inband import ParseError, fields
from drivers.inband.finding import Finding, Verdict

TOOL = "ipmitool"
LONGEST = 16 * 2**20
LONGEST_LINE = 1000
_EMPTY = "SEL has no entries"
_NUMBER = re.compile(r"[0-9a-f]{1,4}")
_DATE = re.compile(r"\d\d/\d\d/(?:\d\d){1,2}|Unspecified|Unknown|S\+ .{1,40}")
_TIME = re.compile(r"\d\d:\d\d:\d\d(?: [AP]M)?(?: [A-Za-z0-9+:-]{1,6})?|Unspecified|Unknown")
_SECONDS = re.compile(r"\d{1,10}")
_GRAVE = re.compile(
    r"uncorrectable|bus fatal|\bserr\b|\bperr\b|ierr|thermal trip|frb|non-recoverable|"
    r"(?:upper|lower) critical|failure detected|predictive failure|drive fault|scrub failed|logging limit reached|"
    r"machine check|config(?:uration)? error|transition to critical|redundancy lost|sensor failure|"
    r"kernel panic|run-time critical stop|in critical array|in failed array|watchdog|interlock|leak",
    re.IGNORECASE,
)
_EVERYDAY = re.compile(
    r"log area reset/cleared|presence detected|device present|initiated by|fully redundant|s0/g0|s4/s5|power off/down|"
    r"power button pressed|timestamp clock sync|\bboot completed\b|c: boot|transition to ok|transition to idle|"
    r"entity present|device enabled",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. `stamp` as printed; `asserted` is None where it has no direction (OEM records, kernel panics)."""

    number: int
    stamp: str
    sensor: str
    event: str
    asserted: bool | None
    detail: str = ""
    """A reading and threshold, or the place of a memory module."""


def parse(text: str) -> tuple[Entry, ...]:
    """Every entry in the log's order; raises ParseError where one is cut off, garbled or there twice."""
    lines = [line for line in fields.whole_lines(text, TOOL, LONGEST) if line.strip()]
    if [line.strip() for line in lines] == [_EMPTY]:
        return ()
    if not lines:
        raise ParseError(f"{TOOL}: no entry, and no word that the log is empty")
    entries = tuple(_entry(line) for line in lines)
    if len({entry.number for entry in entries}) != len(entries):
        raise ParseError(f"{TOOL}: one record number twice")
    return entries


def _entry(line: str) -> Entry:
    if len(line) > LONGEST_LINE:
        raise ParseError(f"{TOOL}: a line of {len(line)} characters")
    number, *cells = (cell.strip() for cell in line.split("|"))
    if not _NUMBER.fullmatch(number) or not cells:
        raise ParseError(f"{TOOL}: this is no entry: {line.strip()[:80]}")
    record = int(number, 16)
    if cells[0].startswith("Linux kernel panic"):
        return Entry(record, "", "", "|".join(cells), None)
    stamp = ""
    if cells[0] == "Pre-Init" and len(cells) > 1 and _SECONDS.fullmatch(cells[1]):
        stamp, cells = f"Pre-Init {int(cells[1])}", cells[2:]
    elif len(cells) > 1 and _DATE.fullmatch(cells[0]) and _TIME.fullmatch(cells[1]):
        stamp, cells = f"{cells[0]} {cells[1]}", cells[2:]
    if cells and cells[0].startswith("OEM record"):
        return Entry(record, stamp, cells[0], " ".join(cells[1:]), None)
    if not stamp or not 3 <= len(cells) <= 4 or cells[2] not in ("Asserted", "Deasserted"):
        raise ParseError(f"{TOOL}: this is no entry: {line.strip()[:80]}")
    return Entry(record, stamp, cells[0], cells[1], cells[2] == "Asserted", cells[3] if len(cells) == 4 else "")


def findings(entries: tuple[Entry, ...], *, seen: tuple[Entry, ...] = ()) -> tuple[Finding, ...]:
    """What is new since `seen`: asserted failures of hardware are FAIL, everyday entries nothing, others WARN.

    A log that lacks what was `seen` was cleared in between: ERROR.
    """
    known = set(seen)
    found = []
    if not known <= set(entries):
        lost = len(known - set(entries))
        found.append(Finding(Verdict.ERROR, "", f"{lost} earlier entries are gone: the log was cleared or rolled over"))
    for entry in entries:
        words = f"{entry.sensor} {entry.event}"
        if entry in known or entry.asserted is False or (_EVERYDAY.search(words) and not _GRAVE.search(words)):
            continue
        verdict = Verdict.FAIL if _GRAVE.search(words) else Verdict.WARN
        text = f"record {entry.number:x}, {entry.stamp}: {entry.event} {entry.detail}".rstrip()
        found.append(Finding(verdict, entry.sensor, text))
    return tuple(found)
