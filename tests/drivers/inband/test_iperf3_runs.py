"""iperf3's runs of every kind: one way, both ways, datagrams, refused."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from drivers.inband import ParseError
from drivers.inband.finding import Verdict
from drivers.inband.iperf3 import findings, parse, parse_client, parse_server

Recorded = Callable[[str], str]
Mutations = Callable[[str, int, int], Iterator[str]]


def total(octets: int, **more: Any) -> dict[str, Any]:
    return {"start": 0, "end": 10.0, "seconds": 10.0, "bytes": octets, "bits_per_second": octets * 0.8} | more


def document(protocol: str = "TCP", **end: Any) -> str:
    asked = {"protocol": protocol, "num_streams": 1, "duration": 10}
    sums = {"sum_sent": total(1000, retransmits=3), "sum_received": total(990)}
    if protocol == "UDP":
        sums["sum"] = total(1000, packets=100, lost_packets=1, lost_percent=1, jitter_ms=0.04)
    return json.dumps({"start": {"version": "iperf 3.12", "test_start": asked}, "end": sums | end})


def test_the_recorded_run_of_two_streams(recorded: Recorded) -> None:
    run = parse(recorded("iperf3-3.12-tcp.json"))
    assert (run.version, run.protocol, run.seconds, run.streams, run.error) == ("iperf 3.12", "TCP", 2.0, 2, "")
    assert run.there is not None
    assert (run.there.octets, run.there.seconds, run.there.retransmits) == (5543034880, 2.000873, 17)
    assert run.there.rate == 22162465603.763958
    assert run.back is None
    assert findings(run, at_least=22e9) == ()
    assert [each.verdict for each in findings(run, at_least=25e9, retransmits=16)] == [Verdict.FAIL, Verdict.FAIL]
    assert [each.verdict for each in findings(run, loss=0.1)] == [Verdict.ERROR]


def test_the_recorded_datagrams(recorded: Recorded) -> None:
    run = parse(recorded("iperf3-3.12-udp.json"))
    assert run.there is not None
    assert (run.protocol, run.there.packets, run.there.lost, run.there.loss) == ("UDP", 1526, 0, 0.0)
    assert (run.there.octets, run.there.jitter) == (50003968, 0.041392859652158241)
    assert findings(run, at_least=199e6, loss=0.0) == ()
    assert [each.verdict for each in findings(run, retransmits=0)] == [Verdict.ERROR]


def test_the_recorded_refusal_with_exit_code_0(recorded: Recorded) -> None:
    run = parse(recorded("iperf3-3.12-ERROR-exit0.json"))
    assert run.error == "unable to connect to server: Connection refused"
    assert [each.verdict for each in findings(run)] == [Verdict.ERROR]


def test_both_ways() -> None:
    run = parse(document(sum_sent_bidir_reverse=total(800, retransmits=9), sum_received_bidir_reverse=total(780)))
    assert run.there is not None
    assert run.back is not None
    assert (run.there.octets, run.back.octets, run.back.retransmits) == (990, 780, 9)
    assert [each.unit for each in findings(run, at_least=700)] == ["back"]


def test_lost_datagrams() -> None:
    run = parse(document("UDP"))
    assert findings(run, loss=1.0) == ()
    assert [each.verdict for each in findings(run, loss=0.5)] == [Verdict.FAIL]


@pytest.mark.parametrize(
    "text",
    [
        document(sum_received=total(0)),
        document(sum_received=total(990, seconds=5.0, bits_per_second=1584.0)),
    ],
)
def test_no_work_or_too_short_is_an_error(text: str) -> None:
    assert [each.verdict for each in findings(parse(text))] == [Verdict.ERROR]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        document()[:-1],
        document("SCTP"),
        document(sum_received=None),
        document(sum_received=total(990, bits_per_second=1e12)),
        document(sum_received_bidir_reverse=None),
        document("UDP", sum=total(1000, packets=100, lost_packets=50, lost_percent=1, jitter_ms=0)),
        document("UDP", sum=total(1000, packets=100, lost_packets=101, lost_percent=101, jitter_ms=0)),
        document("UDP", sum=total(1000, packets=100, lost_packets=-1, lost_percent=-1, jitter_ms=0)),
        document("UDP", sum=total(1000)),
    ],
)
def test_what_is_missing_or_contradicts_itself_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse(text)


def test_spoilt_outputs_end_in_a_result_or_a_parse_error(recorded: Recorded, mutations: Mutations) -> None:
    for name in ("iperf3-3.12-tcp.json", "iperf3-3.12-udp.json", "iperf3-3.12-ERROR-exit0.json"):
        for spoilt in mutations(recorded(name), 16, 200):
            with contextlib.suppress(ParseError):
                findings(parse(spoilt), at_least=1.0)
            with contextlib.suppress(ParseError):
                parse_client(spoilt)
            with contextlib.suppress(ParseError):
                parse_server(spoilt)
