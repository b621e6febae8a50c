"""`mlxlink --json`: numbers that are texts, ratios that stand for none, and everything that is no result."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.inband import ParseError
from drivers.inband.mlxlink import MlxLane, parse

COUNTERS = "Physical Counters and BER Info"


def document(**counters: Any) -> dict[str, Any]:
    """A port as the tool prints it; `counters` replace its own, None takes one away."""
    own: dict[str, Any] = {
        "Time Since Last Clear [Min]": "30.2",
        "Symbol Errors": "0",
        "Symbol BER": "15E-255",
        "Effective Physical Errors": "0",
        "Effective Physical BER": "15E-255",
        "Raw Physical Errors Per Lane": {"values": ["812", "40"]},
        "Raw Physical BER Per Lane": {"values": ["4E-12", "2E-13"]},
        "Raw Physical BER": "2E-12",
        "Link Down Counter": "3",
        "Link Error Recovery Counter": "1",
    }
    own |= {name.replace("_", " "): value for name, value in counters.items()}
    operational = {"State": "Active", "Physical state": "LinkUp", "Speed": "400G", "Width": "4x"}
    operational |= {"FEC": "Standard_RS-FEC - (544,514)"}
    output = {
        "Operational Info": operational,
        "Troubleshooting Info": {"Status Opcode": "0", "Recommendation": "No issue was observed"},
        COUNTERS: {name: value for name, value in own.items() if value is not None},
    }
    return {"result": {"output": output}, "status": {"code": 0, "message": "success"}}


def test_a_port_is_read_whole() -> None:
    port = parse(json.dumps(document()))
    assert (port.up, port.speed, port.scheme, port.minutes) == (True, "400G", "rs-544", 30.2)
    assert (port.symbol_errors, port.effective_errors, port.downs, port.recoveries) == (0, 0, 3, 1)
    assert (port.raw_ber, port.effective_ber, port.symbol_ber) == (2e-12, 0.0, 0.0)
    assert port.lanes == (MlxLane(812, 4e-12), MlxLane(40, 2e-13))
    assert port.recommendation == "No issue was observed"


def test_the_recorded_shape(recorded: Callable[[str], str]) -> None:
    port = parse(recorded("mlxlink-shape.json"))
    assert (port.state, port.speed, port.raw_ber, port.symbol_ber) == ("Active", "NDR", 1e-12, 0.0)
    assert [lane.raw_errors for lane in port.lanes] == [812, 40, 155, 23]


@pytest.mark.parametrize(
    "lanes", [["5", "6"], {"values": ["5", "6"]}, {"0": "5", "1": "6"}, {"1": "6", "0": "5"}], ids=str
)
def test_lanes_in_every_spelling(lanes: Any) -> None:
    counters = {"Raw_Physical_Errors_Per_Lane": lanes, "Raw_Physical_BER_Per_Lane": None}
    assert parse(json.dumps(document(**counters))).lanes == (MlxLane(5, None), MlxLane(6, None))


def test_what_the_tool_does_not_offer_is_none() -> None:
    counters = dict.fromkeys(("Symbol_Errors", "Raw_Physical_BER"), "N/A") | {"Link_Down_Counter": None}
    port = parse(json.dumps(document(**counters, Raw_Physical_Errors_Per_Lane="N/A")))
    assert (port.symbol_errors, port.raw_ber, port.downs) == (None, None, None)
    assert port.lanes[0] == MlxLane(None, 4e-12)


@pytest.mark.parametrize(
    ("fec", "scheme"),
    [
        ("Standard_RS-FEC - (528,514)", "rs-528"),
        ("Interleaved_Standard_RS-FEC - (544,514)", "rs-544"),
        ("Firecode FEC", "base-r"),
        ("No FEC", "off"),
        ("N/A", ""),
    ],
)
def test_schemes(fec: str, scheme: str) -> None:
    found = document()
    found["result"]["output"]["Operational Info"]["FEC"] = fec
    assert parse(json.dumps(found)).scheme == scheme


@pytest.mark.parametrize("state", ["Active", "Polling", "Physical LinkUp"])
def test_only_a_state_that_is_known_says_up_or_down(state: str) -> None:
    found = document()
    found["result"]["output"]["Operational Info"]["State"] = state
    assert parse(json.dumps(found)).up == {"Active": True, "Polling": False}.get(state)


@pytest.mark.parametrize(
    "counters",
    [
        {"Symbol_Errors": 0},
        {"Symbol_Errors": "-1"},
        {"Symbol_Errors": "nan"},
        {"Symbol_Errors": "1.5"},
        {"Symbol_Errors": None, "Symbol_BER": "2"},
        {"Raw_Physical_BER": "nan"},
        {"Raw_Physical_BER": "inf"},
        {"Raw_Physical_BER": "-1E-9"},
        {"Raw_Physical_BER": "1E999"},
        {"Raw_Physical_BER": 1e-9},
        {"Effective_Physical_BER": "1E-9"},  # better before correction than behind it
        {"Symbol_BER": "1E-9"},
        {"Raw_Physical_Errors_Per_Lane": ["5"]},
        {"Raw_Physical_Errors_Per_Lane": [5, 6]},
        {"Raw_Physical_Errors_Per_Lane": []},
        {"Raw_Physical_Errors_Per_Lane": {"0": "5", "2": "6"}},
        {"Raw_Physical_Errors_Per_Lane": {"0": "5", "lane": "6"}},
        {"Raw_Physical_Errors_Per_Lane": ["1"] * 99},
    ],
    ids=str,
)
def test_numbers_that_are_none(counters: dict[str, Any]) -> None:
    with pytest.raises(ParseError):
        parse(json.dumps(document(**counters)))


def test_errors_and_cut_off_texts() -> None:
    whole = json.dumps(document())
    failed = {**document(), "status": {"code": 1, "message": "Failed to send access register"}}
    with pytest.raises(ParseError, match="Failed to send access register"):
        parse(json.dumps(failed))
    coloured = "\x1b[31m-E- Failed to open device: nic-0. No such file or directory\x1b[0m\n"
    twice = whole.replace('"Symbol Errors": "0"', '"Symbol Errors": "0", "Symbol Errors": "7"')
    no_section = json.dumps({**document(), "result": {"output": {"Operational Info": {}}}})
    for text in ("", coloured, coloured + whole, twice, no_section, "[]", "{}", "NaN"):
        with pytest.raises(ParseError):
            parse(text)
    for at in range(len(whole)):
        with pytest.raises(ParseError):
            parse(whole[:at])


@given(st.sampled_from(sorted(document()["result"]["output"][COUNTERS])), st.text(max_size=12))
def test_any_text_in_place_of_a_number_is_a_number_none_or_no_result(name: str, said: str) -> None:
    try:
        port = parse(json.dumps(document(**{name.replace(" ", "_"): said})))
    except ParseError:
        return
    ratios = (port.raw_ber, port.effective_ber, port.symbol_ber)
    assert all(each is None or 0 <= each <= 1 for each in ratios)
