"""perftest's bandwidth: the unit is proven by the message rate beside it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from drivers.inband import ParseError
from drivers.inband.finding import Verdict
from drivers.inband.perftest import findings, parse

Recorded = Callable[[str], str]
Mutations = Callable[[str, int, int], Iterator[str]]
LINE = "-" * 87 + "\n"
TABLE = f"""\
{LINE}                    RDMA_Write BW Test
 Dual-port       : OFF\t\tDevice         : mlx5_0
 Number of qps   : 1\t\tTransport type : IB
{LINE} #bytes     #iterations    BW peak[Gb/sec]    BW average[Gb/sec]   MsgRate[Mpps]
 65536      5000             392.10             391.86\t\t     0.747414
 8388608    5000             393.00             392.01\t\t     0.005841
{LINE}"""
LATENCY = """\
                    RDMA_Write Latency Test
 Dual-port       : OFF\t\tDevice         : mlx5_0
 #bytes #iterations   t_min[usec]    t_max[usec]  t_typical[usec]    t_avg[usec]   t_stdev[usec]  99% percentile[usec]\
   99.9% percentile[usec]
 2       1000          1.70           5.13         1.75     \t       1.76     \t0.05\t\t1.90 \t\t5.13
"""


def document(**result: Any) -> str:
    whole = {"MsgSize": 65536, "n_iterations": 5000, "BW_peak": 392.1, "BW_average": 391.86, "MsgRate": 0.747414}
    info = {"test": "RDMA_Write_BW_Test", "Device": "mlx5_0", "Link_type": "Ethernet"}
    return json.dumps({"test_info": info, "results": whole | result})


def test_a_recorded_loopback_of_both_sides(recorded: Recorded) -> None:
    client, server = parse(recorded("perftest_ib_write_bw.log"))
    assert client == server
    assert (client.test, client.device) == ("RDMA_Write BW Test", "ib0")
    (row,) = client.rows
    assert (row.size, row.iterations, row.messages) == (8388608, 20000, 3007.0)
    assert row.bandwidth == 24056.72 * 2**20 * 8
    assert row.peak == 24056.74 * 2**20 * 8
    assert findings((client, server), at_least=200e9) == ()
    assert {each.verdict for each in findings((client, server), at_least=210e9)} == {Verdict.FAIL}


def test_gigabits_are_decimal_and_the_best_size_counts() -> None:
    (run,) = parse(TABLE)
    assert [row.bandwidth for row in run.rows] == [391.86e9, 392.01e9]
    assert findings((run,), at_least=392e9) == ()


def test_latency_in_seconds() -> None:
    (run,) = parse(LATENCY)
    assert run.rows[0].latency == pytest.approx(1.76e-6)
    assert run.rows[0].worst == pytest.approx(5.13e-6)
    assert findings((run,), at_most=2e-6) == ()
    assert findings((run,), at_most=1e-6)[0].verdict is Verdict.FAIL
    assert findings((run,), at_least=1.0)[0].verdict is Verdict.ERROR


@pytest.mark.parametrize(("average", "bits"), [(391.86, 391.86e9), (46713.4, 46713.4 * 2**20 * 8)])
def test_a_file_without_a_unit_is_read_by_its_message_rate(average: float, bits: float) -> None:
    (run,) = parse(document(BW_average=average))
    assert run.rows[0].bandwidth == bits


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        TABLE[:-1] + "x",
        TABLE.replace("0.747414", "0.000000"),
        TABLE.replace("391.86", "39.186"),
        TABLE.replace("391.86", "nan"),
        TABLE.replace("8388608", "65536"),
        TABLE.replace("BW average[Gb/sec]", "BW average[MiB/sec]"),
        TABLE[: TABLE.index("0.747414") + 4] + "\n",
        TABLE[: TABLE.index(" 65536")],
        "Couldn't connect to 10.0.0.1:18515\n",
        LATENCY.replace("1.76", "9.76"),
        document(BW_average=None),
        document(BW_average=1000.0),
        document(MsgRate=-1),
        document(n_iterations=None),
        '{"test_info": {}}',
    ],
)
def test_what_is_missing_or_contradicts_itself_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse(text)


def test_no_work_is_no_pass() -> None:
    (run,) = parse(
        TABLE.replace("5000             392.10             391.86\t\t     0.747414", "0  0.00  0.00  0.000000")
    )
    assert findings((run,))[0].verdict is Verdict.ERROR
    assert findings(())[0].verdict is Verdict.ERROR


def test_a_completion_that_failed_is_said() -> None:
    spoilt = TABLE + " Completion with error at client\n Failed status 12: wr_id 0 syndrom 0x81\n"
    (run,) = parse(spoilt)
    assert [each.verdict for each in findings((run,))] == [Verdict.ERROR, Verdict.ERROR]


def test_spoilt_outputs_end_in_a_result_or_a_parse_error(recorded: Recorded, mutations: Mutations) -> None:
    for text in (recorded("perftest_ib_write_bw.log"), TABLE, LATENCY, document()):
        for spoilt in mutations(text, 11, 150):
            with contextlib.suppress(ParseError):
                findings(parse(spoilt), at_least=1.0)
