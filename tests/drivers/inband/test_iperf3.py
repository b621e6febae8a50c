"""iperf3's output: its exit code lies, so what is not in the JSON has not been transferred."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.inband import ParseError
from drivers.inband.iperf3 import parse_client, parse_server

CAPTURES = Path(__file__).parents[4] / "shared" / "captures" / "inband"


def document(**end: Any) -> str:
    def total(octets: float) -> dict[str, float]:
        return {"start": 0, "end": 60.0, "seconds": 60.0, "bytes": octets, "bits_per_second": octets * 8 / 60}

    whole = {
        "sum_sent": total(1000),
        "sum_received": total(990),
        "sum_sent_bidir_reverse": total(800),
        "sum_received_bidir_reverse": total(780),
    } | end
    return json.dumps({"start": {"version": "iperf 3.12"}, "intervals": [], "end": whole})


GOOD = document()


def test_both_directions_count_by_what_arrived() -> None:
    transfer = parse_client(GOOD)
    assert (transfer.out, transfer.back, transfer.octets, transfer.error) == (990, 780, 1770, "")


def test_an_error_in_the_json_is_an_error() -> None:
    transfer = parse_client('{"start": {}, "end": {}, "error": "unable to connect to server"}')
    assert transfer.error == "unable to connect to server"
    assert transfer.octets == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        GOOD[:-1],
        document(sum_received_bidir_reverse=None),
        document(sum_received={"bytes": "990", "seconds": 60}),
        document(sum_received={"bytes": True, "seconds": 60}),
        document(sum_received={"bytes": -1, "seconds": 60}),
        document(sum_received={"bytes": float("nan"), "seconds": 60}),
        GOOD.replace('"bytes": 990', '"bytes": 990, "bytes": 99000'),
        GOOD.replace('"bytes": 990', '"bytes": 1e999'),
        GOOD + GOOD,
        "[" * 100_000,
    ],
)
def test_what_is_missing_or_doubtful_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse_client(text)


@given(st.integers(min_value=0, max_value=len(GOOD) - 1))
def test_cut_off_anywhere_is_refused(length: int) -> None:
    with pytest.raises(ParseError):
        parse_client(GOOD[:length])


@given(st.integers(min_value=0, max_value=len(GOOD) - 1), st.characters(codec="ascii"))
@settings(max_examples=300)
def test_one_changed_character_never_raises_anything_else(place: int, character: str) -> None:
    with contextlib.suppress(ParseError):
        parse_client(GOOD[:place] + character + GOOD[place + 1 :])


SERVER = """\
[ ID][Role] Interval           Transfer     Bitrate         Retr
[  5][TX-S]   0.00-2.00   sec  1.00 GBytes  4.29 Gbits/sec    0             sender
[  8][RX-S]   0.00-2.00   sec  512 MBytes  2.15 Gbits/sec                  receiver
"""


def test_a_server_sums_what_it_sent_and_received() -> None:
    transfer = parse_server(SERVER)
    assert transfer.out == 2**30
    assert transfer.back == 512 * 2**20


def test_a_server_that_served_nobody_proves_nothing() -> None:
    with pytest.raises(ParseError):
        parse_server("-----------\nServer listening on 5201\n-----------\n")


def test_a_server_error() -> None:
    assert parse_server("iperf3: error - unable to start listener").error == "unable to start listener"


@given(st.text(max_size=2000))
def test_any_server_text_ends_in_a_result_or_a_parse_error(text: str) -> None:
    with contextlib.suppress(ParseError):
        parse_server(text)


def test_a_recorded_error_with_exit_code_0() -> None:
    capture = CAPTURES / "iperf3-3.12-ERROR-exit0.json"
    if not capture.exists():
        pytest.skip("the recorded iperf3 output is not here")
    assert "Connection refused" in parse_client(capture.read_text()).error


def test_a_recorded_run_in_one_direction_is_not_taken_for_both() -> None:
    capture = CAPTURES / "iperf3-3.12-tcp.json"
    if not capture.exists():
        pytest.skip("the recorded iperf3 output is not here")
    with pytest.raises(ParseError):
        parse_client(capture.read_text())
