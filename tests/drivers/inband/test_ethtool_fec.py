"""`ethtool --show-fec` and `ethtool IFACE`: their shapes through the versions, and everything that is not them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.inband import ParseError, ethtool_settings
from drivers.inband.ethtool_fec import Count, parse

HEAD = "FEC parameters for eth0:\nSupported/Configured FEC encodings: Auto Off RS BaseR\nActive FEC encoding: RS\n"
# The numbers of the patch that brought the statistics (ethtool 5.13).
LANES = """Statistics:
  corrected_blocks: 256
    Lane 0: 255
    Lane 1: 1
  uncorrectable_blocks: 145
    Lane 0: 128
    Lane 1: 17
"""
BRACKETS = """Statistics:
  corrected_blocks: 256 [ per_lane: 255, 1 ]
  uncorrectable_blocks: 145 [ per_lane: 128, 17 ]
  fec_bit_err_0: 9000 [ per_lane: 4000, 5000 ]
  fec_bit_err_1: 250 [ per_lane: 250, 0 ]
  fec_bit_err_2: 6 [ per_lane: 5, 1 ]
"""
SETTINGS = (
    "Settings for eth0:\n\tSupported ports: [ FIBRE ]\n\tSpeed: 400000Mb/s\n\tDuplex: Full\n\tLink detected: yes\n"
)


@pytest.mark.parametrize("statistics", [LANES, BRACKETS])
def test_counters_of_both_shapes(statistics: str) -> None:
    found = parse(HEAD + statistics)
    assert (found.interface, found.active, found.scheme) == ("eth0", ("RS",), "rs")
    assert found.configured == ("Auto", "Off", "RS", "BaseR")
    assert found.corrected == Count(256, (255, 1))
    assert found.uncorrectable == Count(145, (128, 17))
    assert found.corrected_bits is None
    assert found.bins == ((9000, 250, 6) if statistics is BRACKETS else ())


def test_without_statistics_nothing_is_known_and_nothing_is_zero() -> None:
    found = parse(HEAD)
    assert (found.corrected, found.uncorrectable, found.bins) == (None, None, ())


@pytest.mark.parametrize(
    ("active", "scheme"), [("BaseR", "base-r"), ("Off", "off"), ("None", ""), ("RS BaseR", ""), ("BIT99", "")]
)
def test_the_scheme_in_use(active: str, scheme: str) -> None:
    assert parse(HEAD.replace("encoding: RS", f"encoding: {active}")).scheme == scheme


def test_a_histogram_of_wider_bins_is_left_out() -> None:
    assert parse(f"{HEAD}Statistics:\n  corrected_blocks: 3\n  fec_bit_err_0_to_3: 3\n").bins == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "netlink error: Operation not supported\n",
        HEAD + "Statistics:\n",
        HEAD + LANES.removesuffix("\n"),
        HEAD + LANES.replace("Lane 1: 1\n", ""),
        HEAD + LANES.replace("Lane 1: 1\n", "Lane 2: 1\n"),
        HEAD + LANES.replace("255", "254"),
        HEAD + LANES.replace("256", "nan"),
        HEAD + LANES.replace("256", "-1"),
        HEAD + LANES.replace("256", "0x100"),
        HEAD + LANES.replace("256", "9" * 40),
        HEAD + LANES + LANES.removeprefix("Statistics:\n"),
        HEAD + LANES + "Statistics:\n",
        HEAD + BRACKETS.replace("_err_1", "_err_3"),
        HEAD * 2,
        HEAD.replace("FEC parameters", "Pause parameters"),
        LANES,
    ],
)
def test_anything_else_is_no_result(text: str) -> None:
    with pytest.raises(ParseError):
        parse(text)


def test_every_way_to_cut_it_off_is_noticed_or_leaves_whole_counters() -> None:
    whole = HEAD + LANES
    for at in range(len(whole)):
        try:
            found = parse(whole[:at])
        except ParseError:
            continue
        assert whole[:at].endswith("\n")
        assert found.corrected in (None, Count(256), Count(256, (255, 1)))
        assert found.uncorrectable in (None, Count(145), Count(145, (128, 17)))


@given(st.text(max_size=200), st.integers(0, 2**32))
def test_no_text_breaks_it(noise: str, seed: int) -> None:
    whole = HEAD + BRACKETS
    at = random.Random(seed).randrange(len(whole))
    for text in (noise, whole[:at] + noise + whole[at:]):
        try:
            parse(text)
        except ParseError:
            continue


def test_settings_of_a_link() -> None:
    up = ethtool_settings.parse(SETTINGS)
    assert (up.interface, up.up, up.speed) == ("eth0", True, 400.0)
    down = SETTINGS.replace("400000Mb/s", "Unknown!").replace("yes", "no (No cable)")
    assert ethtool_settings.parse(down) == ethtool_settings.Settings("eth0", up=False, speed=None)
    assert ethtool_settings.parse("Settings for eth0:\n") == ethtool_settings.Settings("eth0", up=None, speed=None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "No data available\n",
        SETTINGS.removesuffix("\n"),
        SETTINGS.replace("400000Mb/s", "nan"),
        SETTINGS.replace("400000Mb/s", "-1Mb/s"),
        SETTINGS.replace("400000Mb/s", ""),
        SETTINGS.replace("yes", "perhaps"),
        SETTINGS + "\tLink detected: no\n",
    ],
)
def test_settings_that_are_none(text: str) -> None:
    with pytest.raises(ParseError):
        ethtool_settings.parse(text)
