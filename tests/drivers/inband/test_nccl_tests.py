"""nccl-tests: the largest size, checked data, all ranks, a run that came to its end."""

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
from drivers.inband.nccl_tests import Collective, Row, Way, findings, parse, parse_json

NVL72 = "nccl_allreduce_gb200_nvl72_72ranks.txt"
UNITS = (
    "#        (B)    (elements)                               (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)\n"
)
WAY = "     time   algbw   busbw #wrong"
COLUMNS = f"#       size         count      type   redop    root{WAY}{WAY}\n"
FOOT = "# Out of bounds values : 0 OK\n# Avg bus bandwidth    : 745.53 \n#\n"
ROWS = (
    "  1024 256 float sum -1  10.0 0.10 0.19 0  11.0 0.09 0.18 0\n"
    "  2048 512 float sum -1  20.0 0.11 0.21 0  21.0 0.10 0.20 0\n"
)


def run(rows: str = ROWS, columns: str = COLUMNS, foot: str = FOOT, ranks: int = 2) -> str:
    named = "".join(f"#  Rank  {rank} Group  0 Pid 1 on host device {rank} [0x01] X\n" for rank in range(ranks))
    return named + "#\n" + columns + UNITS + rows + foot


def judged(text: str, size: int = 2048, busbw: float = 0.2, ranks: int = 2) -> list[Verdict]:
    return [each.verdict for each in findings(parse(text), size=size, busbw=busbw, ranks=ranks)]


def test_a_recorded_rack_of_72_ranks(recorded: Callable[[str], str]) -> None:
    found = parse(recorded(NVL72))
    assert [row.size for row in found.rows] == [2**29, 2**30, 2**31, 2**32, 2**33]
    assert found.rows[0] == Row(
        536870912, 134217728, "float",
        Way(1806.7, 297.16, 586.06, 0, checked=True), Way(1835.9, 292.43, 576.74, 0, checked=True),
    )  # fmt: skip
    assert found.rows[-1].in_place == Way(20006, 429.37, 846.82, 0, checked=True)
    assert (found.ranks, found.out_of_bounds, found.average, found.failed) == (72, 0, 745.53, False)
    assert (found.largest, found.busbw) == (2**33, 834.57)


def test_what_the_recorded_rack_means(recorded: Callable[[str], str]) -> None:
    found = parse(recorded(NVL72))
    assert findings(found, size=2**33, busbw=800, ranks=72) == ()
    assert findings(found, size=2**33, busbw=840, ranks=72) == (
        Finding(Verdict.FAIL, "", "834.57 GB/s at 8589934592 octets, at least 840 GB/s needed"),
    )
    assert findings(found, size=2**34, busbw=800, ranks=72) == (
        Finding(Verdict.ERROR, "", "the largest size was 8589934592 octets, 17179869184 were asked for"),
    )
    assert [each.verdict for each in findings(found, size=2**33, busbw=800, ranks=71)] == [Verdict.ERROR]


def test_a_whole_run() -> None:
    assert judged(run()) == []
    assert judged(run(), busbw=0.201) == [Verdict.FAIL]


def test_wrong_data_are_a_failure() -> None:
    wrong = ROWS.replace("0.19 0 ", "0.19 4 ")
    assert judged(run(wrong, foot=FOOT.replace(": 0 OK", ": 1 FAILED"))) == [Verdict.FAIL, Verdict.FAIL]
    assert judged(run(wrong)) == [Verdict.FAIL]


def test_unchecked_data_are_no_pass() -> None:
    in_place = ROWS.replace("0.18 0\n", "0.18 N/A\n").replace("0.20 0\n", "0.20 N/A\n")
    assert judged(run(in_place)) == []
    assert judged(run(in_place.replace("0.19 0 ", "0.19 N/A ").replace("0.21 0 ", "0.21 N/A "))) == [Verdict.ERROR] * 2


def test_a_run_without_an_end_is_no_pass() -> None:
    assert judged(run(foot="")) == [Verdict.ERROR]
    assert judged(run(foot="host: Test NCCL failure common.cu:958 'unhandled system error'\n")) == [Verdict.ERROR] * 2


def test_its_own_limit_counts() -> None:
    assert judged(run(foot=FOOT.replace("745.53 ", "745.53 FAILED"))) == [Verdict.ERROR]


def test_moving_nothing_is_no_pass() -> None:
    assert judged(run(ROWS.replace("0.20 0\n", "0.00 0\n")), busbw=0) == [Verdict.FAIL]


def test_all_cycles_count() -> None:
    assert judged(run(ROWS + ROWS.replace("0.21", "0.15"))) == [Verdict.FAIL]


def test_columns_of_other_versions() -> None:
    older = COLUMNS.replace("   redop    root", "  redop").replace("#wrong", "error")
    rows = ROWS.replace(" sum -1 ", " sum ").replace(" 0  ", " 1e-06  ").replace(" 0\n", " 2e-07\n")
    found = parse(run(rows, columns=older))
    assert found.rows[1].out_of_place == Way(20.0, 0.11, 0.21, None, checked=True)
    assert findings(found, size=2048, busbw=0.2) == ()
    gather = COLUMNS.replace("   redop    root", "")
    assert parse(run(ROWS.replace(" sum -1 ", " "), columns=gather)).busbw == 0.20
    stamped = COLUMNS.replace("#wrong\n", "#wrong timestamp\n").replace("time", "cputime", 1)
    rows = ROWS.replace(" 0\n", " 0  2026-11-22 10:00:00\n")
    assert parse(run(rows, columns=stamped)).busbw == 0.20
    timed = COLUMNS.replace("#wrong", "#wrong i_min i_max i_p99 i_cv%")
    rows = ROWS.replace(" 0  ", " 0 9.1 9.9 9.9 1.2e+05  ").replace(" 0\n", " 0 9.1 9.9 9.9 1.2\n")
    assert parse(run(rows, columns=timed)).busbw == 0.20


def test_a_name_that_is_not_known_is_refused() -> None:
    with pytest.raises(ParseError):
        parse(run(columns=COLUMNS.replace("#wrong", "wrong?")))


@pytest.mark.parametrize(
    "text",
    [
        "",
        run(rows=""),
        run(columns=""),
        run() + run(),
        run(ROWS + "  4096 1024 float sum -1  20.0 0.11\n"),
        run(ROWS.replace("0.21", "nan")),
        run(ROWS.replace("0.21", "-1")),
        run(ROWS.replace("2048", "2048.5")),
        run(foot="# Out of bounds values : 3 OK\n"),
        run(foot="# Out of bounds values : x\n"),
        run().replace("(us)", "(ms)"),
        FOOT + COLUMNS + UNITS + ROWS,
    ],
)
def test_what_is_cut_off_or_contradicts_itself_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse(text)


def written(**more: Any) -> dict[str, Any]:
    way = {"time": 20.0, "alg_bw": 0.11, "bus_bw": 0.21, "nwrong": 0.0}
    result = {"size": 2048, "count": 512, "type": "float", "redop": "sum", "root": "    -1"}
    found = {
        "config": {"devices": [{"rank": 0}, {"rank": 1}]},
        "results": [result | {"out_of_place": way, "in_place": way | {"bus_bw": 0.2}}],
        "out_of_bounds": {"count": 0, "okay": True},
        "average_bus_bandwidth": {"bandwidth": 0.2, "okay": "unchecked"},
        "errors": [],
    }
    return found | more


def test_its_json() -> None:
    found = parse_json(json.dumps(written()))
    assert found == Collective(
        (Row(2048, 512, "float", Way(20, 0.11, 0.21, 0, checked=True), Way(20, 0.11, 0.2, 0, checked=True)),),
        ranks=2, out_of_bounds=0, average=0.2, failed=False,
    )  # fmt: skip
    assert findings(found, size=2048, busbw=0.2, ranks=2) == ()


def test_what_its_json_means() -> None:
    def verdicts(**more: Any) -> list[Verdict]:
        found = parse_json(json.dumps(written(**more)))
        return [each.verdict for each in findings(found, size=2048, busbw=0.2, ranks=2)]

    way = {"time": 20.0, "alg_bw": 0.11, "bus_bw": 0.21, "nwrong": None}
    row = {"size": 2048, "count": 512, "type": "float", "out_of_place": way, "in_place": None}
    assert verdicts(results=[row]) == [Verdict.ERROR]
    assert verdicts(results=[row | {"out_of_place": way | {"nwrong": 3}}]) == [Verdict.FAIL]
    assert verdicts(out_of_bounds=None) == [Verdict.ERROR]
    assert verdicts(errors=["it failed"]) == [Verdict.ERROR]
    assert verdicts(average_bus_bandwidth={"bandwidth": 0.2, "okay": False}) == [Verdict.ERROR]
    assert verdicts(config=None) == [Verdict.ERROR]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        json.dumps(written())[:-1],
        json.dumps(written(results=[])),
        json.dumps(written(results=[None])),
        json.dumps(written(results=[{"size": 1.5, "count": 1}])),
        json.dumps(written(out_of_bounds={"count": 1, "okay": True})),
        json.dumps(written()).replace("0.21", "NaN"),
    ],
)
def test_json_that_is_no_result_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse_json(text)


@given(st.text(max_size=1000))
@settings(max_examples=100)
def test_any_text_ends_in_a_result_or_a_parse_error(text: str) -> None:
    for each in (text, run(rows=text)):
        with contextlib.suppress(ParseError):
            parse(each)


def test_spoilt_recordings_raise_nothing_else_and_are_no_pass_cut_off(
    recorded: Callable[[str], str], mutations: Callable[[str, int, int], Iterator[str]]
) -> None:
    whole = recorded(NVL72)
    for text in mutations(whole, 4, 420):
        with contextlib.suppress(ParseError):
            findings(parse(text), size=2**33, busbw=800, ranks=72)
    for text in mutations(json.dumps(written(), indent=1), 5, 420):
        with contextlib.suppress(ParseError):
            findings(parse_json(text), size=2048, busbw=0.2, ranks=2)
    for length in range(whole.index("# Out of bounds values : 0 OK") + 28):
        with contextlib.suppress(ParseError):
            assert findings(parse(whole[:length]), size=2**33, busbw=800, ranks=72)
