"""What kernel and firmware lines mean for a new rack, by the log policy: for kernel logs and consoles alike.

The policy is data (`drivers.inband.policy`, `log_policy.yaml`); here is how it is applied. A line meets every rule that
matches it and the gravest one counts, so that no harmless pattern hides a grave one. What is not known is a RETRY and
never a pass: a number that is in no table, an event that cannot be read, a line of level error or worse that no rule
knows, a follower without what it follows.

Sources: printk's time stamp and levels: Linux kernel/printk/printk.c. Xid: NVIDIA's Xid catalogue of 2025-10-29, its
sheet "XID 144-150 Decode" (the sub-code is in bits 20 to 25 of the first word). SXid: Fabric Manager user guide.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from drivers.inband.policy import Code, Codes, Follows, Meaning, Policy, Repeats, log_policy
from harness.capabilities import Consequence, Severity

LONGEST_LINE = 4096
"""Characters of one line that are looked at; the kernel's own records end at 1024, those of consoles are cut here."""
MOST_EVENTS = 500
"""Events before a message that are asked whether they explain it."""
MOST_LINES = 64
"""Lines of one record that are looked at."""
MOST_KNOWN = 16384
"""Messages whose ruling is kept: a log is read again and again, and those of equal hosts are much alike."""
ERROR = 3
"""Syslog level error (RFC 5424, 6.2.1); lower is worse."""
GRAVE = 2

_STAMP = re.compile(r"^(?:<\d{1,3}>)?(?:\[ {0,12}\d{1,10}\.\d{1,6}\] ?)?(?:\[ {0,12}[TC]\d{1,10}\] ?)?")
_XID = re.compile(r"NVRM: Xid \((?:PCI:)?([0-9a-fA-F:.]{4,20})[^)]{0,80}\)[^:]{0,80}: (\d{1,6})\b(.{0,400})")
_SXID = re.compile(r"SXid \((?:PCI:)?([0-9a-fA-F:.]{4,20})\): (\d{1,6})\b(.{0,80})")
_NUMBERED = re.compile(r"\bS?Xid\b")
_LINK = re.compile(
    r", ([A-Z][A-Z0-9_]{1,31}(?:/[A-Z][A-Z0-9_]{1,31})?) {1,4}(Nonfatal|Fatal)\b"
    r".{0,40}\((0x[0-9a-fA-F]{1,8}) (0x[0-9a-fA-F]{1,8})\b"
)
_FATAL = re.compile(r"^, Fatal\b")
_DETAIL = re.compile(r"^, (?:Data \{|Severity \d)")
_CAUSE = re.compile(r"caused by previous Xid (\d{1,6})\b")
_ADDRESS = re.compile(r"\b([0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2})\b")
_GRAVITY = (Consequence.NONE, Consequence.ATTACH, Consequence.RETRY, Consequence.FAIL)


@dataclass(frozen=True, slots=True)
class Line:
    """One message. `at` is in seconds since boot; `level` the syslog level, None where it is not known."""

    at: float
    level: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Ruling:
    """What one message means. `rule` is empty where it is an everyday line.

    `subject` is the PCI address or interface it is about; `root` the place in the log of what it follows.
    """

    rule: str
    kind: str
    consequence: Consequence
    severity: Severity
    subject: str = ""
    root: int | None = None
    code: int | None = None
    cause: int | None = None
    follows: Follows | None = None
    repeats: Repeats | None = None


_EVERYDAY = Ruling("", "", Consequence.NONE, Severity.OK)


def severity_of(line: str) -> Severity:
    """What one line reports, whatever its level; OK where it is none of the events known to matter."""
    return rule_on(line).severity


@lru_cache(maxsize=MOST_KNOWN)
def rule_on(text: str, level: int | None = None) -> Ruling:
    """What one message means by itself. One of level error or worse that no rule knows is not an everyday line."""
    lines = text.split("\n", MOST_LINES)
    rulings = [list(_rulings(line)) for line in lines[:MOST_LINES]]
    found = [ruling for each in rulings for ruling in each]
    if len(lines) > MOST_LINES or any(len(line) > LONGEST_LINE for line in lines):
        found.append(_unclear("overlong line", "", Severity.WARNING))
    worst = max(found, key=lambda ruling: _GRAVITY.index(ruling.consequence), default=None)
    whole = all(each or not line.strip() for each, line in zip(rulings, lines, strict=False))
    if worst is not None and (whole or worst.consequence is not Consequence.NONE):
        return worst
    if level is not None and level <= ERROR:  # a harmless line of a record does not vouch for its other lines
        severity = Severity.CRITICAL if level <= GRAVE else Severity.WARNING
        return replace(_unclear("unknown error line", "", severity), consequence=_policy().unknown_error)
    if worst is not None:
        return worst
    return replace(_EVERYDAY, severity=Severity.WARNING) if level == ERROR + 1 else _EVERYDAY


def judge(lines: Sequence[Line]) -> tuple[Ruling, ...]:
    """What every message of one boot means, in their order: alone, as a repetition, and as a follower of another."""
    alone = [rule_on(line.text, line.level) for line in lines]
    last: dict[tuple[str, str], float] = {}
    counted = [_counted(ruling, line.at, last) for ruling, line in zip(alone, lines, strict=True)]
    events = [place for place, each in enumerate(counted) if each.kind and each.consequence is not Consequence.ATTACH]
    return tuple(
        _attached(place, ruling, lines, counted, events) if ruling.consequence is Consequence.ATTACH else ruling
        for place, ruling in enumerate(counted)
    )


def _counted(ruling: Ruling, at: float, last: dict[tuple[str, str], float]) -> Ruling:
    """The ruling, or what it becomes as the second one on its subject."""
    if ruling.repeats is None:
        return ruling
    key = (ruling.rule.partition(" sub-code ")[0], ruling.subject)
    before, last[key] = last.get(key), at
    if before is None or at - before > ruling.repeats.within:
        return ruling
    return replace(
        ruling,
        rule=f"{ruling.rule}, repeated",
        consequence=ruling.repeats.consequence,
        severity=Severity.CRITICAL,
    )


def _attached(
    place: int, ruling: Ruling, lines: Sequence[Line], rulings: Sequence[Ruling], events: list[int]
) -> Ruling:
    """A follower with its root; without one it is a RETRY."""
    follows = ruling.follows
    near = list(_near(place, lines, follows, events)) if follows is not None else []
    roots = [
        each
        for each in near
        if follows is not None and rulings[each].kind in follows.kinds and rulings[each].consequence in follows.of
    ]
    if ruling.cause is not None:
        named = [each for each in roots if rulings[each].code == ruling.cause]
        roots = [each for each in named if rulings[each].subject == ruling.subject] or named
    elif ruling.subject:
        roots = [each for each in roots if rulings[each].subject in ("", ruling.subject)]
    if not roots:
        return replace(ruling, rule=f"{ruling.rule}, alone", consequence=Consequence.RETRY)
    return replace(ruling, root=roots[0])


def _near(place: int, lines: Sequence[Line], follows: Follows, events: list[int]) -> Iterator[int]:
    """Events that may explain the one at `place`: those before it, the latest first, then those behind it.

    Messages of several processors may stand a little out of the order of their times.
    """
    at, here = lines[place].at, bisect_left(events, place)
    for each in reversed(events[max(0, here - MOST_EVENTS) : here]):
        if at - lines[each].at > follows.within:
            break
        yield each
    for each in events[here : here + MOST_EVENTS] if follows.near else ():
        if lines[each].at - at > follows.within:
            break
        yield each


@cache
def _policy() -> Policy:
    return log_policy()


@cache
def _rules() -> tuple[tuple[re.Pattern[str], bool, Ruling], ...]:
    """Every pattern, whether it begins with the line, and its ruling."""
    return tuple(
        (re.compile(rule.pattern), rule.pattern.startswith("^"), _of(rule, rule.name, rule.kind))
        for rule in _policy().rules
    )


def _rulings(line: str) -> Iterator[Ruling]:
    """Every ruling on one line without line ends."""
    line = _STAMP.sub("", line[: LONGEST_LINE + 64], count=1)[:LONGEST_LINE]
    if _NUMBERED.search(line):
        yield _numbered(line)
    for pattern, from_start, ruling in _rules():
        found = pattern.match(line) if from_start else pattern.search(line)
        if found is not None:
            yield replace(ruling, subject=found.groupdict().get("subject") or _address(line))


def _address(text: str) -> str:
    found = _ADDRESS.search(text)
    return found.group(1).lower() if found else ""


def _of(meaning: Meaning, name: str, kind: str) -> Ruling:
    return Ruling(name, kind, meaning.consequence, meaning.worth, follows=meaning.follows, repeats=meaning.repeats)


def _unclear(name: str, kind: str, severity: Severity = Severity.CRITICAL) -> Ruling:
    return Ruling(name, kind, Consequence.RETRY, severity)


def _numbered(line: str) -> Ruling:
    """The ruling on a line that reports an Xid or SXid."""
    found = _XID.search(line)
    if found is not None:
        ruling = _of_xid(int(found.group(2)), found.group(3))
        cause = _CAUSE.search(found.group(3))
        ruling = replace(ruling, cause=int(cause.group(1)) if cause else None)
    else:
        found = _SXID.search(line)
        if found is None:
            return replace(_unclear("unreadable event", "xid"), subject=_address(line))
        ruling = _of_sxid(int(found.group(2)), found.group(3))
    return replace(ruling, code=int(found.group(2)), subject=_address(found.group(1)) or found.group(1).lower())


def _of_xid(code: int, rest: str) -> Ruling:
    table = _policy().xids
    event = _LINK.search(rest) if any(code in each.xids for each in _policy().nvlink) else None
    if event is None:
        return _in_table(table, code, "xid")
    units, fatal = event.group(1).split("/"), event.group(2) == "Fatal"
    name = f"xid {code} {event.group(1)} {event.group(2)} sub-code {int(event.group(3), 16) >> 20 & 0x3F}"
    status = int(event.group(4), 16)
    for each in _policy().nvlink:
        known = not each.units or any(unit in each.units for unit in units)
        if code in each.xids and each.fatal is fatal and known and (not each.status or status in each.status):
            return _of(each, name, "nvlink")
    return _unclear(f"{name}, unknown", "nvlink")


def _of_sxid(code: int, rest: str) -> Ruling:
    detail = _policy().sxids.detail
    if detail is not None and _DETAIL.match(rest):
        return _of(detail, f"sxid {code} detail", "sxid")
    ruling = _in_table(_policy().sxids, code, "sxid")
    if _FATAL.match(rest):
        return replace(ruling, consequence=Consequence.FAIL, severity=Severity.CRITICAL, follows=None, repeats=None)
    return ruling


def _in_table(table: Codes, code: int, kind: str) -> Ruling:
    found: Code | None = next((entry for entry in table.codes if code in entry.codes), None)
    if found is None:
        return replace(_unclear(f"{kind} {code}, unknown", kind), consequence=table.unknown)
    return _of(found, f"{kind} {code}", kind)
