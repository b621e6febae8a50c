"""nvbandwidth: tables that add up, every pair above its floor, nothing taken from a test that did not run."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.inband import ParseError
from drivers.inband.finding import Finding, Verdict
from drivers.inband.nvbandwidth import Bench, Case, Status, Table, findings, parse, parse_json

GH200 = "nvbandwidth_gh200.log"
DEVICES = "host\nDevice 0: X (00000009:01:00)\nDevice 1: X (00000009:02:00)\n"
HEAD = f"nvbandwidth Version: v0.8\nDriver Version: 580\n\n{DEVICES}\n"
PEER = """Running device_to_device_memcpy_read_ce.
memcpy CE GPU(row) -> GPU(column) bandwidth (GB/s)
           0         1
 0       N/A    700.50
 1    710.25       N/A

SUM device_to_device_memcpy_read_ce 1410.75

"""
NAME = "device_to_device_memcpy_read_ce"


def judged(bench: Bench, gpus: int = 2, **floors: float) -> list[tuple[Verdict, str]]:
    return [(each.verdict, each.unit) for each in findings(bench, gpus=gpus, floors=floors)]


def test_a_recorded_run(recorded: Callable[[str], str]) -> None:
    bench = parse(recorded(GH200))
    assert (bench.version, bench.devices, bench.waived, bench.corrupt, bench.error) == ("v0.6", 1, 17, False, "")
    assert [(case.name, case.tables[0].total) for case in bench.cases] == [
        ("host_to_device_memcpy_ce", 1985.60),
        ("device_to_host_memcpy_ce", 607.26),
        ("host_to_device_bidirectional_memcpy_ce", 176.92),
        ("device_to_host_bidirectional_memcpy_ce", 187.26),
        ("all_to_host_memcpy_ce", 295.15),
        ("all_to_host_bidirectional_memcpy_ce", 187.00),
        ("host_to_all_memcpy_ce", 370.13),
        ("host_to_all_bidirectional_memcpy_ce", 176.86),
        ("host_to_device_memcpy_sm", 372.33),
        ("device_to_host_memcpy_sm", 351.93),
        ("all_to_host_memcpy_sm", 352.98),
        ("all_to_host_bidirectional_memcpy_sm", 156.53),
        ("host_to_all_memcpy_sm", 360.93),
        ("host_to_all_bidirectional_memcpy_sm", 247.56),
        ("host_device_latency_sm", 772.58),
    ]
    assert bench.cases[0].tables == (
        Table(
            "host_to_device_memcpy_ce", "GB/s", ((369.36, 269.33, 412.11), (323.36, 299.33, 312.11)), 1985.60
        ),
    )  # fmt: skip
    assert bench.cases[-1].tables[0].unit == "ns"
    assert {case.status for case in bench.cases} == {Status.PASSED}


def test_what_a_recorded_run_means(recorded: Callable[[str], str]) -> None:
    bench = parse(recorded(GH200))
    assert (
        judged(bench, 1, host_to_device_memcpy_sm=370, device_to_host_memcpy_sm=350, host_device_latency_sm=800) == []
    )
    assert judged(bench, 1, host_to_device_memcpy_ce=300) == [
        (Verdict.FAIL, "host_to_device_memcpy_ce 0-1"),
        (Verdict.FAIL, "host_to_device_memcpy_ce 1-1"),
    ]
    assert judged(bench, 1, host_device_latency_sm=700) == [(Verdict.FAIL, "host_device_latency_sm 0-0")]
    assert findings(bench, gpus=1, floors={NAME: 100}) == (
        Finding(Verdict.ERROR, NAME, "it was not run; 17 tests were waived without a name"),
    )
    assert judged(bench, 4) == [(Verdict.ERROR, "")]


def test_pairs() -> None:
    bench = parse(HEAD + PEER)
    assert bench.cases == (
        Case(NAME, Status.PASSED, (Table(NAME, "GB/s", ((None, 700.5), (710.25, None)), 1410.75),)),
    )  # fmt: skip
    assert judged(bench, **{NAME: 700}) == []
    assert judged(bench, **{NAME: 705}) == [(Verdict.FAIL, f"{NAME} 0-1")]
    without = PEER.replace("700.50", "   N/A").replace("1410.75", "710.25")
    assert judged(parse(HEAD + without), **{NAME: 700}) == [(Verdict.ERROR, f"{NAME} 0-1")]
    zero = PEER.replace("700.50", "  0.00").replace("1410.75", "710.25")
    assert judged(parse(HEAD + zero), **{NAME: 0}) == [(Verdict.ERROR, f"{NAME} 0-1")]


def test_labels_and_the_other_format_of_sums() -> None:
    text = PEER.replace("SUM", "&&&& PERF").replace("1410.75", "1410.75 +GB/s")
    text = text.replace(" 0   ", " host-a:0   ").replace(" 1   ", " host-b:1   ")
    assert parse(HEAD + text).cases[0].tables[0].values == ((None, 700.5), (710.25, None))


def test_errors_are_no_pass() -> None:
    unrun = parse(HEAD + f"Running {NAME}.\nError: it could not\n")
    assert unrun.cases == (Case(NAME, Status.ERROR, (), "it could not"),)
    assert judged(unrun, **{NAME: 1}) == [(Verdict.ERROR, NAME)]
    assert judged(unrun) == [(Verdict.ERROR, NAME)]
    assert judged(parse(HEAD + f"Running {NAME}.\n"), **{NAME: 1}) == [(Verdict.ERROR, NAME)]
    aborted = parse(HEAD + PEER + "[CUDA_ERROR_ECC_UNCORRECTABLE] uncorrectable ECC error\n")
    assert judged(aborted, **{NAME: 1}) == [(Verdict.ERROR, "")]


def test_wrong_data_are_a_failure() -> None:
    bench = parse(HEAD + PEER + " Invalid value when checking the pattern at 0x7f00\n")
    assert judged(bench, **{NAME: 1}) == [(Verdict.FAIL, "")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        PEER,
        HEAD + PEER + PEER,
        HEAD + PEER.replace("700.50", "700"),
        HEAD + PEER.replace("700.50", "nan"),
        HEAD + PEER.replace("700.50", "7x"),
        HEAD + PEER.replace(" 1    710.25       N/A\n", ""),
        HEAD + PEER.replace("       N/A\n\n", "\n\n"),
    ],
)
def test_what_is_cut_off_or_does_not_add_up_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse(text)


def written(*cases: dict[str, Any], **more: Any) -> str:
    body = {"version": "v0.8", "GPU Device list": ["0: X: (host)", "1: X: (host)"], "testcases": list(cases)}
    return json.dumps({"nvbandwidth": body | more})


def case(**more: Any) -> dict[str, Any]:
    return {
        "name": NAME, "status": "Passed", "bandwidth_description": "memcpy CE GPU(row) -> GPU(column) bandwidth (GB/s)",
        "bandwidth_matrix": [["N/A", "700.5"], ["710.25", "N/A"]], "sum": 1410.75,
    } | more  # fmt: skip


def test_its_json() -> None:
    bench = parse_json(written(case()))
    assert (bench.version, bench.devices, bench.cases) == ("v0.8", 2, parse(HEAD + PEER).cases)
    assert judged(bench, **{NAME: 700}) == []


def test_its_json_heaps_the_tables_of_a_bidirectional_test() -> None:
    rows = [["N/A", "300"], ["310", "N/A"], ["N/A", "400"], ["410", "N/A"], ["N/A", "700"], ["710", "N/A"]]
    tables = parse_json(written(case(bandwidth_matrix=rows, sum=1410))).cases[0].tables
    assert [table.total for table in tables] == [610, 810, 1410]
    assert tables[1].values == ((None, 400), (410, None))


def test_what_its_json_means() -> None:
    def verdicts(*cases: dict[str, Any], **more: Any) -> list[Verdict]:
        return [verdict for verdict, _ in judged(parse_json(written(*cases, **more)), **{NAME: 700})]

    waived = {"name": NAME, "status": "Waived"}
    assert verdicts(waived) == [Verdict.ERROR]
    assert verdicts({"name": NAME, "status": "Error"}) == [Verdict.ERROR]
    assert verdicts({"name": NAME, "status": "Running"}, {"name": NAME, "status": "Error"}) == [Verdict.ERROR]
    assert verdicts(case(error="it could not")) == [Verdict.ERROR]
    assert verdicts(case(), {"name": "x", "status": "Running"}) == [Verdict.ERROR]
    assert verdicts(case(), error="it ended") == [Verdict.ERROR]
    assert verdicts() == [Verdict.ERROR]


def test_wrong_data_stand_before_its_json() -> None:
    text = " Invalid value when checking the pattern at 0x7f00\n" + written(case())
    assert judged(parse_json(text), **{NAME: 700}) == [(Verdict.FAIL, "")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        written(case())[:-1],
        written(case(), case()),
        written(case(sum=1400)),
        written(case(sum=None)),
        written(case(bandwidth_matrix=[["N/A", "700.5"], ["710.25"]])),
        written(case(bandwidth_matrix="x")),
        written(case(bandwidth_matrix=[["nan"]])),
        written({"status": "Passed"}),
    ],
)
def test_json_that_is_no_result_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse_json(text)


@given(st.text(max_size=1000))
@settings(max_examples=100)
def test_any_text_ends_in_a_result_or_a_parse_error(text: str) -> None:
    for each in (text, HEAD + text, HEAD + PEER[:40] + text):
        with contextlib.suppress(ParseError):
            parse(each)


def test_spoilt_recordings_raise_nothing_else_and_are_no_pass_cut_off(
    recorded: Callable[[str], str], mutations: Callable[[str, int, int], Iterator[str]]
) -> None:
    whole = recorded(GH200)
    floors = {"host_to_device_memcpy_ce": 100.0, "host_device_latency_sm": 800.0}
    for text in mutations(whole, 6, 420):
        with contextlib.suppress(ParseError):
            findings(parse(text), gpus=1, floors=floors)
    for text in mutations(written(case()), 7, 420):
        with contextlib.suppress(ParseError):
            findings(parse_json(text), gpus=2, floors={NAME: 1})
    for length in range(0, whole.index("SUM host_device_latency_sm") + 26, 3):
        with contextlib.suppress(ParseError):
            assert findings(parse(whole[:length]), gpus=1, floors=floors)
