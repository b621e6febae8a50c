"""stressapptest: miscompares are the hardware's, everything that is no clean and whole PASS is an error."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from drivers.inband import ParseError
from drivers.inband.finding import Verdict
from drivers.inband.stressapptest import findings, parse

Recorded = Callable[[str], str]
Mutations = Callable[[str, int, int], Iterator[str]]
PASS = """\
Stats: SAT revision 1.0.6_autoconf, 64 bit binary
Stats: Starting SAT, 64M, 4 seconds
Stats: Found 0 hardware incidents
Stats: Completed: 65196.00M in 5.33s 12233.56MB/s, with 0 hardware incidents, 0 errors

Status: PASS - please verify no corrected errors

"""
NO_MEMORY = """\
Stats: SAT revision 1.0.6_autoconf, 64 bit binary
Process Error: failed to allocate memory
Process Error: Sat::Initialize() failed

Status: FAIL - test encountered procedural errors

"""


def test_a_recorded_pass(recorded: Recorded) -> None:
    result = parse(recorded("stressapptest-1.0.6-PASS.log"))
    assert (result.version, result.memory, result.seconds) == ("1.0.6_autoconf", 64, 4)
    assert (result.moved, result.elapsed, result.rate) == (65196.0, 5.33, 12233.56)
    assert (result.incidents, result.errors, result.passed) == (0, 0, True)
    assert result.reason == "please verify no corrected errors"
    assert findings(result, memory=64, seconds=4, exit_code=0) == ()


def test_a_recorded_failure(recorded: Recorded) -> None:
    result = parse(recorded("stressapptest-1.0.6-FAIL-force_errors.log"))
    assert (result.memory, result.seconds, result.incidents, result.passed) == (64, 3, 1, False)
    assert result.details[0] == "miscompare : DIMM Unknown : 1 : 0s"
    (finding,) = findings(result, exit_code=1)
    assert finding.verdict is Verdict.FAIL


def test_without_its_memory_it_has_measured_nothing() -> None:
    (finding,) = findings(parse(NO_MEMORY), exit_code=1)
    assert finding.verdict is Verdict.ERROR
    assert "procedural" in finding.text


@pytest.mark.parametrize(
    ("text", "memory", "seconds", "exit_code"),
    [
        (PASS, 128, None, 0),
        (PASS, None, 60, 0),
        (PASS, None, None, 1),
        (PASS.replace("5.33s", "1.20s"), None, None, 0),
        (PASS.replace("65196.00M", "0.00M"), None, None, 0),
        (PASS.replace("Stats: Starting SAT, 64M, 4 seconds\n", ""), None, 4, 0),
    ],
)
def test_a_pass_that_proves_too_little(text: str, memory: int | None, seconds: int | None, exit_code: int) -> None:
    found = findings(parse(text), memory=memory, seconds=seconds, exit_code=exit_code)
    assert {each.verdict for each in found} == {Verdict.ERROR}


@pytest.mark.parametrize(
    "text",
    [
        "",
        PASS[: PASS.index("Status")],
        PASS.rstrip("\n"),
        PASS + PASS,
        PASS.replace("Found 0", "Found 2"),
        PASS.replace("0 errors", "3 errors"),
        PASS.replace("Stats: Completed", "Stats: Complete"),
        PASS.replace("65196.00M", "nanM"),
        PASS.replace("Status", "Report Error: miscompare : DIMM Unknown : 1 : 0s\nStatus"),
    ],
)
def test_what_is_cut_off_or_contradicts_itself_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse(text)


def test_spoilt_outputs_end_in_a_result_or_a_parse_error(recorded: Recorded, mutations: Mutations) -> None:
    for name in ("stressapptest-1.0.6-PASS.log", "stressapptest-1.0.6-FAIL-force_errors.log"):
        for spoilt in mutations(recorded(name), 13, 300):
            with contextlib.suppress(ParseError):
                findings(parse(spoilt), exit_code=0)


def test_no_beginning_of_a_failed_run_passes(recorded: Recorded) -> None:
    text = recorded("stressapptest-1.0.6-FAIL-force_errors.log")
    for length in range(len(text)):
        with contextlib.suppress(ParseError):
            assert findings(parse(text[:length]))
