"""ethtool -S: what grew between two readings, and a counter that went backwards is no zero."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from drivers.inband import ParseError
from drivers.inband.ethtool_statistics import findings, growth, parse
from drivers.inband.finding import Verdict

Mutations = Callable[[str, int, int], Iterator[str]]
TEXT = """\
NIC statistics:
     rx_packets: 1000
     rx_pcs_symbol_err_phy: 0
     rx_crc_errors_phy: 2
     rx_err_lane_0_phy: 17
     rx_corrected_bits_phy: 900
     link_down_events_phy: 1
     rx_discards_phy: 0
     [0]: rx_ucast_packets: 5
     tx0.bytes: 18446744073709551615
"""
GROUPS = """\
Standard stats for eth0:
eth-phy-SymbolErrorDuringCarrier: 0
eth-mac-FrameCheckSequenceErrors: 3
rmon-rx-etherStatsPkts64to64Octets: 1
"""


def after(**changes: str) -> str:
    text = TEXT
    for name, line in changes.items():
        start = text.index(f"     {name}:")
        text = text[:start] + line + text[text.index("\n", start) + 1 :]
    return text


def test_counters_by_name() -> None:
    statistics = parse(TEXT)
    assert statistics.value("rx_crc_errors_phy") == 2
    assert statistics.value("[0]: rx_ucast_packets") == 5
    assert statistics.value("tx0.bytes") == 2**64 - 1
    assert statistics.value("no_such_counter") is None
    assert parse(GROUPS).value("eth-mac-FrameCheckSequenceErrors") == 3


def test_nothing_grew() -> None:
    assert findings(parse(TEXT), parse(TEXT), "eth0") == ()


@pytest.mark.parametrize(
    ("name", "line", "expected"),
    [
        ("rx_crc_errors_phy", "     rx_crc_errors_phy: 3\n", [Verdict.FAIL]),
        ("rx_pcs_symbol_err_phy", "     rx_pcs_symbol_err_phy: 1\n", [Verdict.FAIL]),
        ("link_down_events_phy", "     link_down_events_phy: 2\n", [Verdict.FAIL]),
        ("link_down_events_phy", "     link_down_events_phy: 0\n", [Verdict.ERROR]),
        ("link_down_events_phy", "", [Verdict.ERROR]),
        ("rx_discards_phy", "     rx_discards_phy: 9\n", [Verdict.WARN]),
        ("rx_err_lane_0_phy", "     rx_err_lane_0_phy: 99\n", []),
        ("rx_corrected_bits_phy", "     rx_corrected_bits_phy: 1900\n", []),
        ("rx_packets", "     rx_packets: 5000\n", []),
    ],
)
def test_what_growth_means(name: str, line: str, expected: list[Verdict]) -> None:
    found = findings(parse(TEXT), parse(after(**{name: line})), "eth0")
    assert [each.verdict for each in found] == expected


def test_growth_is_none_where_it_is_not_known() -> None:
    grown = growth(parse(TEXT), parse(after(rx_packets="     rx_packets: 10\n")))
    assert grown["rx_packets"] is None
    assert grown["rx_crc_errors_phy"] == 0


def test_a_name_with_two_values_is_doubtful() -> None:
    statistics = parse(TEXT + "     rx_packets: 1001\n")
    assert statistics.value("rx_packets") is None
    assert statistics.doubtful == ("rx_packets",)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no stats available\n",
        "NIC statistics:\n",
        TEXT[:-1],
        TEXT[:-3],
        TEXT.replace("1000", "10x0"),
        TEXT.replace("1000", "-1"),
        TEXT.replace("1000", ""),
        "     rx_packets: 1\n",
    ],
)
def test_what_is_cut_off_or_garbled_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse(text)


def test_spoilt_outputs_end_in_a_result_or_a_parse_error(mutations: Mutations) -> None:
    for text in (TEXT, GROUPS):
        for spoilt in mutations(text, 21, 300):
            with contextlib.suppress(ParseError):
                findings(parse(text), parse(spoilt))
