"""What memtester tested: its output, whose progress is painted with backspaces.

Seen: 4.6.0, recorded and run (the recording asked for 16 MB as a user and got 8: RLIMIT_MEMLOCK). Sources: memtester 4
memtester.c and tests.c, memtester(8): the exit code is the sum of 1 (memory could not be had or locked: ERROR), 2 (a
stuck address: FAIL) and 4 (another test: FAIL). It ends with 0 although it tested less memory than asked. After a test
that failed there is no line end, the next test follows on the same line; details go to the standard error. Octets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from drivers.inband import ParseError
from drivers.inband.finding import Finding, Verdict

TOOL = "memtester"
LONGEST = 16 * 2**20
TESTS = (
    "Stuck Address",
    "Random Value",
    "Compare XOR",
    "Compare SUB",
    "Compare MUL",
    "Compare DIV",
    "Compare OR",
    "Compare AND",
    "Sequential Increment",
    "Solid Bits",
    "Block Sequential",
    "Checkerboard",
    "Bit Spread",
    "Bit Flip",
    "Walking Ones",
    "Walking Zeroes",
)
"""Those that every build has; `8-bit Writes` and `16-bit Writes` are a choice of the build."""
_VERSION = re.compile(r"memtester version (\S{1,20})")
_WANT = re.compile(r"want\s{1,4}\d{1,12}MB \((\d{1,15}) bytes\)")
_GOT = re.compile(r"got\s{1,4}\d{1,12}MB \((\d{1,15}) bytes\)(.{0,200})")
_LOOP = re.compile(r"Loop (\d{1,9})(?:/(\d{1,9}))?:")
_TEST = re.compile(rf"({'|'.join(map(re.escape, TESTS))}|8-bit Writes|16-bit Writes)\s{{0,20}}:")
_FAILURE = re.compile(r"FAILURE: [^\n]{1,200}")
_MOST = 16
"""Details that are kept."""


@dataclass(frozen=True, slots=True)
class Result:
    """A run. `wanted` and `got` in octets; `loops` asked for, None where it was to run for ever.

    `passed` and `failed` hold `(loop, test)`; `failures` the first details of wrong words; `finished` its last word.
    """

    version: str
    wanted: int
    got: int
    locked: bool
    masked: bool
    """Whether only some of the tests were chosen."""
    loops: int | None
    passed: tuple[tuple[int, str], ...]
    failed: tuple[tuple[int, str], ...]
    failures: tuple[str, ...]
    finished: bool

    @property
    def complete(self) -> bool:
        """Whether it says that it is done, and did every test of every loop it was asked for."""
        done = {loop for loop, _ in (*self.passed, *self.failed)}
        seen = set(self.passed) | set(self.failed)
        whole = all((loop, test) in seen for loop in done for test in TESTS)
        return self.finished and bool(done) and whole and len(done) == (self.loops or len(done))


def parse(text: str) -> Result:
    """What was tested as far as the output goes; raises ParseError where it says nothing or contradicts itself."""
    if len(text) > LONGEST:
        raise ParseError(f"{TOOL}: {len(text)} characters are more than it can have printed")
    lines = [painted(line) for line in text.split("\n")]
    version, want = _first(lines, _VERSION), _first(lines, _WANT)
    got = [found for line in lines if (found := _GOT.match(line))]
    if version is None or want is None or not got:
        raise ParseError(f"{TOOL}: it does not say how much memory was wanted and got")
    if any("memtester version" in line for line in lines if line is not version.string):
        raise ParseError(f"{TOOL}: two runs in one output")
    passed, failed, loops = _tests(lines)
    last = got[-1]
    tail = "\n".join(lines[lines.index(last.string) :])
    return Result(
        version=version.group(1),
        wanted=int(want.group(1)),
        got=int(last.group(1)),
        locked="locked." in last.group(2) and "unlocked" not in tail,
        masked=any(line.startswith("using testmask") for line in lines),
        loops=loops,
        passed=passed,
        failed=failed,
        failures=tuple(_FAILURE.findall("\n".join(lines))[:_MOST]),
        finished="Done." in lines,
    )


def painted(line: str) -> str:
    """A line as a terminal shows it: a backspace goes back, what follows overwrites."""
    if "\b" not in line:
        return line.rstrip()
    shown: list[str] = []
    at = 0
    for character in line.rstrip("\r"):
        if character == "\b":
            at = max(at - 1, 0)
        elif at < len(shown):
            shown[at] = character
            at += 1
        else:
            shown.append(character)
            at += 1
    return "".join(shown).rstrip()


Outcomes = tuple[tuple[int, str], ...]


def _tests(lines: list[str]) -> tuple[Outcomes, Outcomes, int | None]:
    """The tests that passed, those that did not, and how many loops were asked for."""
    passed: list[tuple[int, str]] = []
    failed: list[tuple[int, str]] = []
    loop, loops, pending = 0, None, ""
    for line in lines:
        heading = _LOOP.match(line)
        if heading:
            if int(heading.group(1)) != loop + 1 or (loop and loops != _number(heading.group(2))):
                raise ParseError(f"{TOOL}: loop {heading.group(0)} after loop {loop}")
            loop, loops, pending = loop + 1, _number(heading.group(2)), ""
            continue
        for test in _TEST.finditer(line):
            if pending:
                failed.append((loop, pending))
            pending = test.group(1)
        if pending and line.endswith("ok") and "FAILURE" not in line[line.rfind(pending) :]:
            passed.append((loop, pending))
            pending = ""
    if any(number == 0 for number, _ in (*passed, *failed)) or (pending and not loop):
        raise ParseError(f"{TOOL}: tests before the first loop")
    if len({*passed, *failed}) != len(passed) + len(failed):
        raise ParseError(f"{TOOL}: one test twice in one loop")
    if pending and "Done." in lines:
        failed.append((loop, pending))
    return tuple(passed), tuple(failed), loops


def _number(digits: str | None) -> int | None:
    return int(digits) if digits else None


def _first(lines: list[str], pattern: re.Pattern[str]) -> re.Match[str] | None:
    return next((found for line in lines if (found := pattern.match(line))), None)


def findings(result: Result, *, wanted: int | None = None, exit_code: int | None = None) -> tuple[Finding, ...]:
    """A wrong word is FAIL; less memory than asked, memory not locked, an unfinished or partial run is ERROR.

    `wanted` is what the plan asked for, in octets; what the tool says that it was asked for where None.
    """
    code = exit_code or 0
    # Above 7 it is whoever ended it who speaks: timeout's 124 has the same bits.
    bits = code if code <= 7 else 0
    found = []
    if result.failed or result.failures or bits & 6:
        tests = ", ".join(sorted({test for _, test in result.failed})) or ("Stuck Address" if bits & 2 else "a test")
        details = "; ".join(result.failures[:2])
        found.append(Finding(Verdict.FAIL, "memory", f"{tests} failed, exit code {exit_code}. {details}"))
    asked = max(result.wanted, wanted or 0)
    errors = []
    if result.got < asked:
        errors.append(f"{result.got} octets were tested, {asked} were asked for: start it as root or raise memlock")
    if not result.locked:
        errors.append("the memory was not locked: it may not have been in one place")
    if result.masked:
        errors.append("only some of its tests were chosen")
    if not result.complete:
        errors.append(f"it did not finish: {len(result.passed)} tests passed")
    if bits & 1 or code > 7 or code < 0:
        errors.append(f"it ended with {exit_code}: memory could not be had, or it was ended from outside")
    return (*found, *(Finding(Verdict.ERROR, "memory", text) for text in errors))
