"""The module in a port: the reading is not lost to its thresholds, and no light is no zero that passes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from drivers.inband import ParseError
from drivers.inband.ethtool_module import findings, lanes, parse, transceiver
from drivers.inband.finding import Verdict
from harness.quantities import Quality, Unit

Recorded = Callable[[str], str]
Mutations = Callable[[str, int, int], Iterator[str]]
AT = datetime(2026, 11, 22, tzinfo=UTC)


def line(name: str, value: str) -> str:
    return f"\t{name:<41} : {value}\n"


def channels(name: str, value: str, space: str = " ") -> str:
    return "".join(line(f"{name}{space}(Channel {number})", value) for number in range(1, 5))


def thresholds(name: str, high: str, low: str) -> str:
    levels = (("high alarm", high), ("low alarm", low), ("high warning", high), ("low warning", low))
    return "".join(line(f"{name} {level} threshold", value) for level, value in levels)


def text(space: str = " ", rx: str = "0.6310 mW / -2.00 dBm", los: str = "None", alarm: str = "Off") -> str:
    """A QSFP28 optic as `ethtool -m` prints it, in the order of qsfp.c; `space` is empty in 6.1."""
    return (
        line("Identifier", "0x11 (QSFP28)")
        + line("Extended identifier", "0xcc")
        + line("Transceiver type", "100G Ethernet: 100G Base-SR4 or 25GBase-SR")
        + line("Transmitter technology", "0x00 (850 nm VCSEL)")
        + line("Vendor name", "Mellanox")
        + line("Vendor OUI", "00:02:c9")
        + line("Vendor PN", "MMA1B00-C100D")
        + line("Vendor rev", "A5")
        + line("Vendor SN", "MT1903FT03965")
        + line("Rx loss of signal", los)
        + line("Tx fault", "None")
        + line("Module temperature", "37.53 degrees C / 99.55 degrees F")
        + line("Module voltage", "3.3358 V")
        + line("Alarm/warning flags implemented", "Yes")
        + channels("Laser tx bias current", "6.750 mA")
        + channels("Transmit avg optical power", "0.7943 mW / -1.00 dBm")
        + channels("Rcvr signal avg optical power", rx, space)
        + line(f"Laser rx power low warning {'  ' if not space else ''}(Channel 1)", alarm)
        + "".join(line(f"Laser rx power low warning (Chan {number})", "Off") for number in range(2, 5))
        + line("Module temperature high alarm", "Off")
        + thresholds("Laser bias current", "8.500 mA", "5.492 mA")
        + thresholds("Laser output power", "3.4674 mW / 5.40 dBm", "0.0724 mW / -11.40 dBm")
        + thresholds("Module temperature", "70.00 degrees C / 158.00 degrees F", "0.00 degrees C / 32.00 degrees F")
        + thresholds("Module voltage", "3.5000 V", "3.1000 V")
        + thresholds("Laser rx power", "3.4674 mW / 5.40 dBm", "0.0467 mW / -13.31 dBm")
    )


COPPER = (
    line("Identifier", "0x19 (OSFP 8X Pluggable Transceiver)")
    + line("Transmitter technology", "0x0a (Copper cable, unequalized)")
    + line("Vendor name", "NVIDIA")
    + line("Vendor PN", "MCP4Y10-N001")
    + line("Vendor SN", "MT2301VS00001")
    + line("Module temperature", "0.00 degrees C / 32.00 degrees F")
)


def sfp(**more: Any) -> str:
    """An SFP as `ethtool --json -m` of 6.14 prints it: readings and thresholds under one name."""
    limits = {f"{level}_threshold": 1.0 for level in ("high_alarm", "high_warning")}
    limits |= {f"{level}_threshold": 0.1 for level in ("low_alarm", "low_warning")}
    warm = {"high_warning_threshold": 70, "low_warning_threshold": 0}
    readings = {
        "identifier": 3,
        "identifier_description": "SFP",
        "vendor_name": "FINISAR CORP.",
        "vendor_sn": "X1",
        "laser_bias_current": 6.5,
        "laser_output_power": 0.5,
        "rx_power": {"value": 0.4, "type": "Receiver signal average optical power"},
        "module_temperature": 30.5,
        "module_temperature_high_alarm": False,
        "laser_rx_power_low_alarm": False,
    } | more
    again = {"laser_output_power": limits, "module_temperature": warm, "laser_rx_power": limits}
    members = [f"{json.dumps(name)}: {json.dumps(value)}" for part in (readings, again) for name, value in part.items()]
    return "[{" + ", ".join(members) + "}]"


def verdicts(printed: str) -> set[Verdict]:
    return {each.verdict for each in findings(parse(printed), "eth0")}


def test_the_published_module_keeps_its_temperature(recorded: Recorded) -> None:
    module = parse(recorded("ethtool-json-m-qsfpdd-cmis.json"))
    assert module.kind == "QSFP-DD Double Density 8X Pluggable Transceiver (INF-8628)"
    assert (module.vendor, module.part_number, module.serial) == ("FINISAR CORP.", "FTCD8613E1PCM", "X6LBE6H")
    assert (module.revision, module.technology, module.firmware) == ("A0", "850 nm VCSEL", "2.7")
    assert (module.temperature, module.voltage, module.state) == (37.5273, 3.3358, "ModuleReady")
    assert (module.temperature_limits.high_warning, module.temperature_limits.high_alarm) == (70, 75)
    assert (module.rx_limits.low_warning, module.tx_limits.high_warning) == (0.0794, 1.9953)
    assert len(module.lanes) == 8
    assert {(lane.rx, lane.tx, lane.bias, lane.problems) for lane in module.lanes} == {
        (0.0001, 0.0001, 0.0, ("rx loss of signal",))
    }
    assert module.problems == ()


def test_the_published_module_has_no_light_in_any_lane(recorded: Recorded) -> None:
    found = findings(parse(recorded("ethtool-json-m-qsfpdd-cmis.json")), "swp1")
    assert {each.verdict for each in found} == {Verdict.FAIL}
    assert sum("rx loss of signal" in each.text for each in found) == 8
    assert sum("rx power -40.00 dBm" in each.text for each in found) == 8


@pytest.mark.parametrize("space", ["", " "])
def test_the_text_of_every_version(space: str) -> None:
    module = parse(text(space))
    assert (module.kind, module.vendor, module.serial) == ("QSFP28", "Mellanox", "MT1903FT03965")
    assert (module.temperature, module.voltage) == (37.53, 3.3358)
    assert [(lane.number, lane.rx, lane.tx, lane.bias) for lane in module.lanes] == [
        (number, 0.631, 0.7943, 6.75) for number in range(4)
    ]
    assert (module.rx_limits.low_warning, module.temperature_limits.high_warning) == (0.0467, 70.0)
    assert findings(module, "eth0") == ()


def test_an_sfp_whose_powers_and_thresholds_share_a_name() -> None:
    module = parse(sfp())
    assert module.temperature == 30.5
    assert [(lane.rx, lane.tx, lane.bias) for lane in module.lanes] == [(0.4, 0.5, 6.5)]
    assert findings(module, "eth0") == ()
    assert verdicts(sfp(laser_rx_power_low_alarm=True)) == {Verdict.FAIL}
    assert parse(sfp(module_temperature_high_alarm=True)).problems == ("module temperature high alarm",)


def test_names_since_6_19() -> None:
    new = sfp().replace('"module_temperature": 30.5', '"module_temperature_measurement": 30.5')
    new = new.replace('"laser_output_power": 0.5', '"transmit_avg_optical_power": 0.5')
    assert parse(new) == parse(sfp())


def test_a_copper_cable_measures_no_light() -> None:
    module = parse(COPPER)
    assert (module.lanes, module.technology) == ((), "Copper cable, unequalized")
    assert findings(module, "eth0") == ()
    flags = {"rx_loss_of_signal": False, "tx_fault": False}
    quiet = json.dumps([{"identifier_description": "QSFP28", "vendor_name": "x"} | flags])
    assert parse(quiet).lanes == ()


@pytest.mark.parametrize(
    "printed",
    [
        text(rx="0.0000 mW / -inf dBm"),
        text(rx="0.0100 mW / -20.00 dBm"),
        text(rx="5.0119 mW / 7.00 dBm"),
        text(los="[ No, Yes, No, No ]"),
        text(alarm="On"),
        text().replace("37.53 degrees C / 99.55 degrees F", "66.00 degrees C / 150.80 degrees F"),
        text() + line("Module state", "0x05 (ModuleFault)"),
    ],
)
def test_what_a_module_fails_by(printed: str) -> None:
    assert verdicts(printed) == {Verdict.FAIL}


def test_which_lane_it_is() -> None:
    module = parse(text(los="[ No, Yes, No, No ]"))
    assert [lane.problems for lane in module.lanes] == [(), ("rx loss of signal",), (), ()]


@pytest.mark.parametrize(
    "printed",
    [
        text()[: text().index("\tLaser rx power high alarm threshold")],
        text()[: text().index("\tLaser bias current high alarm threshold")],
        text()[: text().index("\tModule temperature")],
        text().replace(line("Module temperature", "37.53 degrees C / 99.55 degrees F"), ""),
    ],
)
def test_light_without_the_modules_own_limits_is_an_error(printed: str) -> None:
    assert verdicts(printed) == {Verdict.ERROR}


def test_in_the_words_of_the_harness() -> None:
    module = parse(text(rx="0.0000 mW / -inf dBm", los="[ Yes, Yes, Yes, Yes ]"))
    told = transceiver(module, AT)
    assert (told.vendor, told.part_number, told.serial, told.kind) == (
        "Mellanox",
        "MMA1B00-C100D",
        "MT1903FT03965",
        "QSFP28",
    )
    assert told.temperature is not None
    assert (told.temperature.value, told.temperature.unit, told.temperature_warning) == (37.53, Unit.CELSIUS, 70.0)
    assert told.rx_power_low_warning == pytest.approx(-13.31, abs=0.01)
    assert told.rx_power_high_warning == pytest.approx(5.40, abs=0.01)
    assert told.problems[0] == "lane 0: rx loss of signal"
    first = lanes(module, AT)[0]
    assert first.rx_power is not None
    assert first.tx_power is not None
    assert first.bias is not None
    assert (first.rx_power.quality, first.problems) == (Quality.ABSENT, ("rx loss of signal", "no light"))
    assert first.tx_power.number == pytest.approx(-1.0, abs=0.01)
    assert (first.bias.value, first.bias.unit) == (0.00675, Unit.AMPERE)


@pytest.mark.parametrize(
    "printed",
    [
        "",
        "netlink error: Operation not supported\n",
        "[ {} ]",
        "[ ]",
        "[ {}, {} ]",
        '{"vendor_name": "x"}',
        text()[:-1],
        text()[: len(text()) // 2] + text(),
        text().replace(line("Laser tx bias current (Channel 2)", "6.750 mA"), ""),
        text().replace(line("Rcvr signal avg optical power (Channel 4)", "0.6310 mW / -2.00 dBm"), ""),
        text().replace("0.6310 mW / -2.00 dBm", "0.6310 mW / -12.00 dBm"),
        text().replace("0.6310 mW / -2.00 dBm", "nan mW / nan dBm"),
        text().replace("37.53 degrees C", "37.53"),
        text(los="[ No, Yes ]"),
        text(los="Perhaps"),
        sfp(module_temperature="warm"),
        sfp(rx_power={"value": -0.4}),
        sfp(laser_rx_power_low_alarm=[True, False]),
        sfp(tx_fault={"a": 1}),
        sfp().replace("30.5", "NaN"),
        sfp().replace('"module_temperature": 30.5', '"module_temperature": 30.5, "module_temperature": 31'),
        "[" * 1000,
    ],
)
def test_what_is_missing_or_contradicts_itself_is_refused(printed: str) -> None:
    with pytest.raises(ParseError):
        parse(printed)


def test_spoilt_outputs_end_in_a_result_or_a_parse_error(recorded: Recorded, mutations: Mutations) -> None:
    for printed in (recorded("ethtool-json-m-qsfpdd-cmis.json"), text(), sfp(), COPPER):
        for spoilt in mutations(printed, 24, 300):
            with contextlib.suppress(ParseError):
                module = parse(spoilt)
                findings(module, "eth0")
                transceiver(module, AT)
                lanes(module, AT)


def test_no_beginning_of_a_module_without_light_passes() -> None:
    printed = text(rx="0.0000 mW / -inf dBm")
    for length in range(len(printed)):
        with contextlib.suppress(ParseError):
            assert findings(parse(printed[:length]), "eth0")
