"""What stressapptest found: its log, which ends with one `Status:` line.

Seen: 1.0.6, recorded and run, passing, with `--force_errors`, and without the memory it wanted. Source: stressapptest
src/sat.cc (Sat::RunAnalysis, Sat::Run). A hardware incident is a miscompare: FAIL. "procedural errors" is the tool that
could not work: ERROR. Stopped early by a signal it still says PASS, so the time it ran is compared with the time asked.
Units: MB are 2^20 octets, time in seconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from drivers.inband import ParseError, fields
from drivers.inband.finding import Finding, Verdict

TOOL = "stressapptest"
LONGEST = 16 * 2**20
LONGEST_LINE = 1000
_REVISION = re.compile(r"Stats: SAT revision (\S{1,60}),")
_ASKED = re.compile(r"Stats: Starting SAT, (\d{1,12})M, (\d{1,9}) seconds")
_INCIDENTS = re.compile(r"Stats: Found (\d{1,12}) hardware incidents")
_DONE = re.compile(
    r"Stats: Completed: (\d{1,15}\.\d\d)M in (\d{1,9}\.\d\d)s (\d{1,12}\.\d\d)MB/s, "
    r"with (\d{1,12}) hardware incidents, (\d{1,12}) errors"
)
_STATUS = re.compile(r"Status: (PASS|FAIL)(?: - (.{1,200}))?")
_HARDWARE = re.compile(r"(?:Hardware Error|Report Error): (.{1,300})")
_MOST = 16
"""Details that are kept."""


@dataclass(frozen=True, slots=True)
class Result:
    """A run. `memory` and `seconds` are what it started with, `moved` MB copied and checked in `elapsed` seconds.

    None where the log does not say. `passed` is the tool's own word with its `reason`; `details` the first miscompares.
    """

    version: str
    memory: int | None
    seconds: int | None
    moved: float | None
    elapsed: float | None
    rate: float | None
    """MB/s"""
    incidents: int | None
    errors: int | None
    passed: bool
    reason: str
    details: tuple[str, ...]


def parse(text: str) -> Result:
    """The result in a log; raises ParseError where it is cut off or contradicts itself."""
    lines = [line.rstrip() for line in fields.whole_lines(text, TOOL, LONGEST)]
    status = _one(lines, _STATUS)
    if status is None:
        raise ParseError(f"{TOOL}: the log ends without a status")
    revision, asked, counted, done = (_one(lines, each) for each in (_REVISION, _ASKED, _INCIDENTS, _DONE))
    passed, incidents = status.group(1) == "PASS", None
    if done:
        incidents = int(done.group(4))
        if counted is None or int(counted.group(1)) != incidents or (passed and (incidents or int(done.group(5)))):
            raise ParseError(f"{TOOL}: the status and the counts of incidents contradict each other")
    elif passed:
        raise ParseError(f"{TOOL}: PASS, but no word on what was done")
    miscompares = [found.group(1) for line in lines if (found := _HARDWARE.match(line[:LONGEST_LINE]))]
    if passed and miscompares:
        raise ParseError(f"{TOOL}: PASS beside {len(miscompares)} hardware errors")
    return Result(
        version=revision.group(1) if revision else "",
        memory=int(asked.group(1)) if asked else None,
        seconds=int(asked.group(2)) if asked else None,
        moved=float(done.group(1)) if done else None,
        elapsed=float(done.group(2)) if done else None,
        rate=float(done.group(3)) if done else None,
        incidents=incidents,
        errors=int(done.group(5)) if done else None,
        passed=passed,
        reason=status.group(2) or "",
        details=tuple(miscompares[:_MOST]),
    )


def _one(lines: list[str], pattern: re.Pattern[str]) -> re.Match[str] | None:
    """The only line of this kind, None where there is none; raises ParseError where there are two."""
    found = [match for line in lines if (match := pattern.match(line[:LONGEST_LINE]))]
    if len(found) > 1:
        raise ParseError(f"{TOOL}: {len(found)} lines like {found[0].group(0)!r}: two logs in one, or garbled")
    return found[0] if found else None


def findings(
    result: Result, *, memory: int | None = None, seconds: int | None = None, exit_code: int | None = None
) -> tuple[Finding, ...]:
    """Incidents are FAIL; no or too little work, and everything else that is no clean PASS, is ERROR.

    `memory` (MB) and `seconds` are what the plan asked for; what the tool says that it was asked for where None.
    """
    if result.incidents or result.details or "HW problems" in result.reason:
        text = f"{result.incidents or 'uncounted'} hardware incidents: {'; '.join(result.details[:2])}"
        return (Finding(Verdict.FAIL, "memory", text),)
    if not result.passed:
        return (Finding(Verdict.ERROR, "", f"it could not work: {result.reason}"),)
    found = []
    if not result.moved:
        found.append("no memory was copied or checked")
    if result.memory is None or result.seconds is None:
        found.append("it does not say what it was started with")
    elif result.memory < (memory or 1):
        found.append(f"{result.memory} MB were tested, {memory} MB were asked for")
    wanted = seconds if seconds is not None else result.seconds
    if wanted is None or result.elapsed is None or result.elapsed < wanted:
        found.append(f"it ran {result.elapsed} s of {wanted} s")
    if exit_code:
        found.append(f"it ended with {exit_code}, whatever its log says")
    return tuple(Finding(Verdict.ERROR, "", text) for text in found)
