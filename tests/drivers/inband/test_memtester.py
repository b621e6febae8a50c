"""memtester: less memory than asked is no pass, a test without its ok is no pass."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from drivers.inband import ParseError
from drivers.inband.finding import Verdict
from drivers.inband.memtester import TESTS, findings, painted, parse

Recorded = Callable[[str], str]
Mutations = Callable[[str, int, int], Iterator[str]]
HEAD = """\
memtester version 4.6.0 (64-bit)
Copyright (C) 2001-2020 Charles Cazabon.

pagesize is 4096
want 1MB (1048576 bytes)
got  1MB (1048576 bytes), trying mlock ...locked.
"""


def line(test: str, outcome: str = "ok\n") -> str:
    back = "\b" * 11
    return f"  {test:<20}: {back.join(('           ', 'setting   0', 'testing   0', '           '))}{back}{outcome}"


def loop(number: int = 1, loops: int = 1, bad: str = "", outcome: str = "") -> str:
    return f"Loop {number}/{loops}:\n" + "".join(line(test, outcome if test == bad else "ok\n") for test in TESTS)


GOOD = HEAD + loop() + "\nDone.\n"
FAILURE = "testing  23FAILURE: 0xffffffff != 0xffffff00 at offset 0x099e03bc.\n"


def verdicts(text: str, exit_code: int = 0, wanted: int | None = None) -> list[Verdict]:
    return [each.verdict for each in findings(parse(text), exit_code=exit_code, wanted=wanted)]


def test_the_recorded_run_tested_half_of_what_was_asked(recorded: Recorded) -> None:
    result = parse(recorded("memtester-4.6.0.txt"))
    assert (result.version, result.wanted, result.got, result.locked) == ("4.6.0", 16777216, 8388608, True)
    assert (result.loops, len(result.passed), result.failed, result.finished) == (1, 18, (), True)
    (finding,) = findings(result, exit_code=0)
    assert finding.verdict is Verdict.ERROR
    assert "8388608" in finding.text


def test_a_whole_run_has_no_findings() -> None:
    assert verdicts(GOOD) == []
    assert verdicts(HEAD + loop(1, 2) + loop(2, 2) + "\nDone.\n") == []


def test_backspaces_are_painted_over() -> None:
    assert painted("  Bit Flip            : setting   1\b\b\b\b\b\b\b\b\b\b\b           " + "\b" * 11 + "ok") == (
        "  Bit Flip            : ok"
    )
    assert painted("\b\b|\b/ \bok\r") == "/ok"


@pytest.mark.parametrize("outcome", [FAILURE, FAILURE + FAILURE[11:], "testing  23"])
@pytest.mark.parametrize("test", ["Solid Bits", "Walking Zeroes", "Stuck Address"])
def test_a_test_that_fails_ends_its_line_in_every_way(test: str, outcome: str) -> None:
    result = parse(HEAD + loop(bad=test, outcome=outcome) + "\nDone.\n")
    assert result.failed == ((1, test),)
    assert result.finished
    assert findings(result, exit_code=4)[0].verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("exit_code", "verdict"),
    [(1, Verdict.ERROR), (2, Verdict.FAIL), (4, Verdict.FAIL), (6, Verdict.FAIL), (137, Verdict.ERROR)],
)
def test_the_exit_code_counts_beside_the_text(exit_code: int, verdict: Verdict) -> None:
    assert verdicts(GOOD, exit_code)[0] is verdict


@pytest.mark.parametrize(
    "text",
    [
        HEAD + loop() + "\n",
        HEAD + loop(1, 2) + "\nDone.\n",
        HEAD + "\nDone.\n",
        HEAD + loop().replace("Bit Flip  ", "Bit Flop  ") + "\nDone.\n",
        GOOD.replace(
            "...locked.", "...failed for unknown reason.\nTrying again, unlocked:\nContinuing with unlocked memory"
        ),
        GOOD.replace("pagesize is", "using testmask 0x1\npagesize is"),
        GOOD.replace("got  1MB (1048576", "got  0MB (524288"),
    ],
)
def test_a_run_that_proves_too_little_is_an_error(text: str) -> None:
    assert set(verdicts(text)) == {Verdict.ERROR}


def test_the_plan_may_have_asked_for_more() -> None:
    assert verdicts(GOOD, wanted=2 * 2**20) == [Verdict.ERROR]


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEAD[: HEAD.index("got")],
        GOOD + GOOD,
        HEAD + loop(2, 2),
        HEAD + loop(1, 2) + loop(1, 2),
        HEAD + loop() + line("Bit Flip"),
        HEAD + line("Bit Flip") + loop(),
    ],
)
def test_what_says_nothing_or_contradicts_itself_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse(text)


def test_spoilt_outputs_end_in_a_result_or_a_parse_error(recorded: Recorded, mutations: Mutations) -> None:
    for text, count in ((recorded("memtester-4.6.0.txt"), 60), (GOOD, 300)):
        for spoilt in mutations(text, 14, count):
            with contextlib.suppress(ParseError):
                findings(parse(spoilt), exit_code=0)


def test_no_beginning_of_a_run_passes() -> None:
    for length in range(0, len(GOOD) - len("Done.\n"), 5):
        with contextlib.suppress(ParseError):
            assert findings(parse(GOOD[:length]), exit_code=0)
