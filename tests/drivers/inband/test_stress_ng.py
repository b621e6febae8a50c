"""stress-ng: a stressor that did nothing is an error although it says that it completed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from drivers.inband import ParseError
from drivers.inband.finding import Verdict
from drivers.inband.stress_ng import findings, parse

Recorded = Callable[[str], str]
Mutations = Callable[[str, int, int], Iterator[str]]
FILE = """\
---
system-info:
      stress-ng-version: 0.15.06
      version: '#1 SMP PREEMPT_DYNAMIC @0'

metrics:
    - stressor: cpu
      bogo-ops: 1731
      wall-clock-time: 1.002002
      user-time: 0.997986
      system-time: 0.003992

    - stressor: vm
      bogo-ops: 12
      wall-clock-time: 1.000692

thermal-zones:
    x86_pkg_temp: 45.0
...
"""
CONSOLE = """\
stress-ng: info:  [14582] setting to a 1 second run per stressor
stress-ng: info:  [14582] dispatching hogs: 1 cpu, 2 vm
stress-ng: metrc: [14582] stressor       bogo ops real time  usr time  sys time   bogo ops/s     bogo ops/s
stress-ng: metrc: [14582] cpu                1731      1.00      1.00      0.00      1727.54        1727.58
stress-ng: metrc: [14582] vm                   12      1.00      0.00      0.00        12.00           0.00
stress-ng: info:  [14582] skipped: 0
stress-ng: info:  [14582] passed: 3: cpu (1) vm (2)
stress-ng: info:  [14582] failed: 0
stress-ng: info:  [14582] metrics untrustworthy: 0
stress-ng: info:  [14582] successful run completed in 1.00s
"""
NOBODY = """\
stress-ng: info:  [14587] apparmor stressor will be skipped, AppArmor is not enabled
stress-ng: error: [14587] No stress workers invoked (one or more were unsupported)
"""


def verdicts(text: str, exit_code: int | None = 0) -> list[Verdict]:
    return [each.verdict for each in findings(parse(text), exit_code)]


def test_the_recorded_file(recorded: Recorded) -> None:
    result = parse(recorded("stress-ng-0.15.06.yaml"))
    cpu, vm = result.stressors
    assert result.version == "0.15.06"
    assert (cpu.name, cpu.operations, cpu.seconds, cpu.user, cpu.system) == ("cpu", 4135, 4.003668, 4.308515, 0.053439)
    assert (vm.name, vm.operations, vm.seconds) == ("vm", 101890, 4.024796)
    assert findings(result, 0, asked=("cpu", "vm"), seconds=4) == ()


def test_the_recorded_console(recorded: Recorded) -> None:
    result = parse(recorded("stress-ng-0.15.06.txt"))
    assert result.dispatched == (("cpu", 2), ("vm", 1))
    assert [(each.name, each.operations, each.seconds) for each in result.stressors] == [
        ("cpu", 4135, 4.0),
        ("vm", 101890, 4.02),
    ]
    assert result.finished
    assert findings(result, 0, asked=("cpu", "vm"), seconds=4) == ()


@pytest.mark.parametrize("text", [FILE, CONSOLE])
def test_a_clean_run(text: str) -> None:
    assert verdicts(text) == []


@pytest.mark.parametrize(
    ("exit_code", "verdict"),
    [(2, Verdict.FAIL), *((code, Verdict.ERROR) for code in (None, 1, 3, 4, 5, 6, 7, 137))],
)
@pytest.mark.parametrize("text", [FILE, CONSOLE])
def test_only_exit_code_2_is_the_hardwares(text: str, exit_code: int | None, verdict: Verdict) -> None:
    assert verdicts(text, exit_code) == [verdict]


@pytest.mark.parametrize(
    "text",
    [
        FILE.replace("bogo-ops: 12", "bogo-ops: 0"),
        CONSOLE.replace("vm                   12 ", "vm                    0 "),
        CONSOLE[: CONSOLE.index("stress-ng: metrc: [14582] vm")]
        + CONSOLE[CONSOLE.index("stress-ng: info:  [14582] sk") :],
        CONSOLE.replace("successful run completed in 1.00s", "unsuccessful run completed in 1.00s"),
        CONSOLE[: CONSOLE.index("stress-ng: info:  [14582] successful")],
        CONSOLE.replace("skipped: 0", "skipped: 1: apparmor (1)"),
        CONSOLE.replace("untrustworthy: 0", "untrustworthy: 1: cpu (1)"),
        NOBODY,
    ],
)
def test_success_that_proves_too_little_is_an_error(text: str) -> None:
    assert set(verdicts(text)) == {Verdict.ERROR}


@pytest.mark.parametrize(
    "text",
    [
        CONSOLE.replace("failed: 0", "failed: 1: cpu (1)"),
        CONSOLE.replace(
            "info:  [14582] set", "fail:  [14583] cpu: matrixprod checksum differs\nstress-ng: info:  [14582] set"
        ),
    ],
)
def test_a_stressor_that_says_it_failed_is_a_fail_whatever_the_exit_code(text: str) -> None:
    assert verdicts(text) == [Verdict.FAIL]


def test_a_stressor_that_was_asked_for_must_be_there_and_long_enough() -> None:
    result = parse(FILE)
    assert [each.unit for each in findings(result, 0, asked=("cpu", "vm", "cache"))] == ["cache"]
    assert [each.unit for each in findings(result, 0, seconds=1.001)] == ["vm"]
    assert findings(None, 0)[0].verdict is Verdict.ERROR


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        FILE[: FILE.index("...")],
        FILE[: FILE.index("metrics")] + "...\n",
        FILE.replace("bogo-ops: 1731", "bogo-ops: -1"),
        FILE.replace("bogo-ops: 1731", "bogo-ops: nan"),
        FILE.replace("wall-clock-time: 1.002002", "wall-clock-time: .inf"),
        FILE.replace("      bogo-ops: 1731\n", ""),
        FILE.replace("      bogo-ops: 1731\n", "      bogo-ops: 1731\n      bogo-ops: 0\n"),
        FILE.replace("stressor: vm", "stressor: cpu"),
        FILE.replace("metrics:", "metrics: &a [*a]"),
        CONSOLE + CONSOLE,
        "hello\n",
    ],
)
def test_what_is_cut_off_or_doubtful_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse(text)


def test_spoilt_outputs_end_in_a_result_or_a_parse_error(recorded: Recorded, mutations: Mutations) -> None:
    for text in (recorded("stress-ng-0.15.06.yaml"), recorded("stress-ng-0.15.06.txt"), FILE, CONSOLE):
        for spoilt in mutations(text, 15, 150):
            with contextlib.suppress(ParseError):
                findings(parse(spoilt), 0)


def test_no_beginning_of_a_run_passes() -> None:
    for text in (FILE, CONSOLE):
        for length in range(len(text) - len("successful run completed in 1.00s\n")):
            with contextlib.suppress(ParseError):
                assert findings(parse(text[:length]), 0)
