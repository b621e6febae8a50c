"""What stress-ng did: the file of `--yaml` (with `--metrics`), or its console, and what its exit code means.

Seen: 0.15.06, recorded and run. Sources: stress-ng(1) EXIT STATUS; stress-ng's core-log.c and stress-ng.c. Its success
lies: it ends with 0 and "successful run completed" although a stressor did nothing (`bogo-ops: 0`, as `--vm-bytes` of
more than there is), and with 0 and no metrics where every stressor is skipped. `--verify` must be on for code 2 to
mean wrong results. Times in seconds; bogo operations are no unit of anything but work done.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from drivers.inband import ParseError, fields
from drivers.inband.finding import Finding, Verdict

TOOL = "stress-ng"
LONGEST = 2 * 2**20
LONGEST_LINE = 2000
_FAILED = 2
_MEANINGS = {
    1: "wrong options, or it could not get what it needs",
    3: "a stressor lacked resources",
    4: "a stressor is not implemented here",
    5: "a stressor was killed by a signal",
    6: "a stressor ended by itself and left no metrics",
    7: "the metrics cannot be trusted",
}
_ITEM = re.compile(r"\s{1,8}- ([a-z][a-z0-9-]{0,60}):(?:\s(.{0,400}))?")
_FIELD = re.compile(r"\s{1,12}([^\s:-][^:]{0,80}):(?:\s(.{0,400}))?")
_SECTION = re.compile(r"([a-z][a-z0-9-]{0,60}):")
_JUDGED = ("system-info", "metrics")
_PLAIN = re.compile(r"\d{1,18}(?:\.\d{1,9})?")
_PREFIX = re.compile(r"stress-ng: (?:\d\d:\d\d:\d\d\.\d\d )?([a-z]{4,5}): {1,3}\[\d{1,10}\] ")
_VERSION = re.compile(r"stress-ng, version (\S{1,20})")
_DISPATCH = re.compile(r"dispatching hogs: (.{1,1000})")
_HOG = re.compile(r"(\d{1,6}) ([a-z0-9][a-z0-9-]{0,60})")
_METRIC = re.compile(r"([a-z0-9][a-z0-9-]{0,60}) {1,40}(\d{1,18})((?: {1,40}\d{1,12}\.\d\d){3,8})(?: {1,40}\d{1,15})?")
_COUNT = re.compile(r"(passed|failed|skipped|metrics untrustworthy): (\d{1,9})(?:: .{1,1000})?")
"""Summary lines since 0.15.07, each with how many instances and of which stressors."""
_TROUBLE = re.compile(r"skipped|No stress workers|unsuccessful run|aborted|untrustworthy|Out Of Memory", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Stressor:
    """What all instances of one stressor did together. None where not printed."""

    name: str
    operations: int
    """Bogo operations."""
    seconds: float
    user: float | None
    system: float | None


@dataclass(frozen=True, slots=True)
class Result:
    """A run: stressors in the tool's order; `dispatched` what the console says it started, empty in a YAML file.

    `finished` is the console's last word, None in a YAML file; `trouble` are lines of complaint, `wrong` those in which
    a stressor says that it failed.
    """

    version: str
    stressors: tuple[Stressor, ...]
    dispatched: tuple[tuple[str, int], ...] = ()
    finished: bool | None = None
    trouble: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()


def parse(text: str) -> Result:
    """The run in a YAML file (it begins with `---`) or on a console; raises ParseError."""
    lines = fields.whole_lines(text, TOOL, LONGEST)
    if any(len(line) > LONGEST_LINE for line in lines):
        raise ParseError(f"{TOOL}: a line is longer than any it prints")
    return _file(lines) if lines[0].rstrip() == "---" else _console(lines)


def _file(lines: list[str]) -> Result:
    """The YAML that stress-ng writes, and no other: a general reader would keep the last of two names."""
    if lines[-1].rstrip() != "...":
        raise ParseError(f"{TOOL}: the file is cut off")
    sections: dict[str, list[dict[str, str]]] = {}
    here: list[dict[str, str]] = []
    name = ""
    for line in lines[1:-1]:
        if not line.strip():
            continue
        section, item, field = _SECTION.fullmatch(line), _ITEM.fullmatch(line), _FIELD.fullmatch(line)
        if section:
            name = section.group(1)
            if name in sections:
                raise ParseError(f"{TOOL}: two sections {name}")
            here = sections[name] = []
        elif (found := item or field) and sections:
            if item or not here:
                here.append({})
            if found.group(1) in here[-1] and name in _JUDGED:
                raise ParseError(f"{TOOL}: {found.group(1)} occurs twice")
            here[-1][found.group(1)] = (found.group(2) or "").strip()
        else:
            raise ParseError(f"{TOOL}: a garbled line: {line.strip()[:80]}")
    about = sections.get("system-info", [])
    version = about[0].get("stress-ng-version", "") if about else ""
    if not version or "metrics" not in sections:
        raise ParseError(f"{TOOL}: there is no version or there are no metrics; start it with --metrics")
    return Result(version, _unique([_stressor(each) for each in sections["metrics"]]))


def _stressor(found: Mapping[str, str]) -> Stressor:
    operations = found.get("bogo-ops", "")
    if "stressor" not in found or not operations.isdecimal():
        raise ParseError(f"{TOOL}: a stressor without its name or its operations")
    seconds = _number(found, "wall-clock-time")
    if seconds is None:
        raise ParseError(f"{TOOL}: stressor {found['stressor']} has no time")
    user, system = _number(found, "user-time"), _number(found, "system-time")
    return Stressor(found["stressor"], int(operations), seconds, user, system)


def _number(found: Mapping[str, str], name: str) -> float | None:
    word = found.get(name)
    if word is None:
        return None
    if not _PLAIN.fullmatch(word):
        raise ParseError(f"{TOOL}: {name} is {word[:40]!r}")
    return float(word)


def _unique(stressors: list[Stressor]) -> tuple[Stressor, ...]:
    if len({each.name for each in stressors}) != len(stressors):
        raise ParseError(f"{TOOL}: one stressor twice")
    return tuple(stressors)


def _console(lines: list[str]) -> Result:
    version, dispatched, finished = "", list[tuple[str, int]](), False
    stressors, trouble, wrong = list[Stressor](), list[str](), list[str]()
    for line in lines:
        prefix = _PREFIX.match(line)
        said = line[prefix.end() :] if prefix else line
        if tally := _COUNT.fullmatch(said):
            worth = {"failed": wrong, "passed": []}.get(tally.group(1), trouble)
            worth += [said] if int(tally.group(2)) else []
        elif prefix and prefix.group(1) == "fail":
            wrong.append(said)
        elif _TROUBLE.search(said) or (prefix and prefix.group(1) == "error"):
            trouble.append(said)
        elif said.startswith("successful run completed in"):
            finished = True
        elif hogs := _DISPATCH.fullmatch(said):
            dispatched += [(hog.group(2), int(hog.group(1))) for hog in _HOG.finditer(hogs.group(1))]
        elif named := _VERSION.match(said):
            version = named.group(1)
        elif row := _METRIC.fullmatch(said.rstrip()):
            seconds, user, system = (float(word) for word in row.group(3).split()[:3])
            stressors.append(Stressor(row.group(1), int(row.group(2)), seconds, user, system))
    if not dispatched and not trouble and not wrong:
        raise ParseError(f"{TOOL}: it says neither what it started nor why not")
    if len({name for name, _ in dispatched}) != len(dispatched):
        raise ParseError(f"{TOOL}: two runs in one output")
    return Result(version, _unique(stressors), tuple(dispatched), finished, tuple(trouble), tuple(wrong))


def findings(
    result: Result | None, exit_code: int | None, *, asked: tuple[str, ...] = (), seconds: float = 0.0
) -> tuple[Finding, ...]:
    """A stressor that failed (exit code 2) is FAIL; every other code, a missing, idle or short stressor is ERROR.

    `asked` are the stressors that must have worked, `seconds` how long each; None of `result` is an unreadable output.
    The exit code must be known: None is an ERROR, for neither file nor console alone proves a clean end.
    """
    found = [Finding(Verdict.FAIL, "", line) for line in (result.wrong if result else ())]
    if exit_code == _FAILED and not found:
        found.append(Finding(Verdict.FAIL, "", "one or more stressors failed (exit code 2)"))
    elif exit_code is None:
        found.append(Finding(Verdict.ERROR, "", "its exit code is not known"))
    elif exit_code not in (0, _FAILED):
        meaning = _MEANINGS.get(exit_code, "it was ended from outside")
        found.append(Finding(Verdict.ERROR, "", f"exit code {exit_code}: {meaning}"))
    if result is None:
        return (*found, Finding(Verdict.ERROR, "", "it left no readable result"))
    found += [Finding(Verdict.ERROR, "", line) for line in result.trouble]
    if result.finished is False and not found:
        found.append(Finding(Verdict.ERROR, "", "it never said that it completed"))
    done = {each.name: each for each in result.stressors}
    wanted = tuple(dict.fromkeys((*asked, *(name for name, _ in result.dispatched), *done)))
    if not wanted:
        found.append(Finding(Verdict.ERROR, "", "no stressor ran"))
    for name in wanted:
        stressor = done.get(name)
        if stressor is None:
            found.append(Finding(Verdict.ERROR, name, "there are no metrics of it: skipped, or --metrics is not set"))
        elif not stressor.operations:
            found.append(Finding(Verdict.ERROR, name, "it did nothing: 0 bogo operations"))
        elif stressor.seconds < seconds:
            found.append(Finding(Verdict.ERROR, name, f"it ran {stressor.seconds} s of {seconds} s"))
    return tuple(found)
