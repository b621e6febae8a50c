"""The log policy applied: the gravest rule counts, unknown is never a pass, followers name their root, repeats fail."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.inband import dmesg
from drivers.inband.kernel import LONGEST_LINE, Line, Ruling, judge, rule_on, severity_of
from harness.capabilities import Consequence, Severity

FAIL, RETRY, ATTACH, NONE = Consequence.FAIL, Consequence.RETRY, Consequence.ATTACH, Consequence.NONE
BER = "NVRM: Xid (PCI:0018:01:00): 149, NETIR_BER_EVENT Nonfatal XC0 i0 Link 08 (0x00000013 0x00000001 0x0 0x0)"


def ruled(*texts: str, level: int = 3, apart: float = 1.0) -> tuple[Ruling, ...]:
    """The rulings on messages that come one after the other."""
    return judge([Line(number * apart, level, text) for number, text in enumerate(texts)])


def consequences(*texts: str, apart: float = 1.0) -> list[Consequence]:
    return [each.consequence for each in ruled(*texts, apart=apart)]


@pytest.mark.parametrize(
    ("line", "consequence", "rule"),
    [
        ("NVRM: Xid (PCI:0000:1b:00): 79, pid=1, GPU has fallen off the bus.", FAIL, "xid 79"),
        ("NVRM: Xid (0000:1b:00): 48, DBE", FAIL, "xid 48"),
        ("NVRM: Xid (PCI:0000:1b:00): 63, Row Remapper: New row marked for remapping", RETRY, "xid 63"),
        ("NVRM: Xid (PCI:0000:1b:00): 109, CTX SWITCH TIMEOUT", RETRY, "xid 109"),
        ("NVRM: Xid (PCI:0000:1b:00): 999, an unknown event", RETRY, "xid 999, unknown"),
        ("NVRM: Xid (PCI:0000:1b:00): 0, nothing", RETRY, "xid 0, unknown"),
        ("NVRM: Xid (PCI:0000:1b:00): 7900000, too long", RETRY, "unreadable event"),
        ("NVRM: Xid something new", RETRY, "unreadable event"),
        ("NVRM: Xid (PCI:0018:01:00): 149, NETIR_LINK_EVT Fatal XC0 i0 Link 08 (0x004505c6 0x0 0x0)", FAIL,
         "xid 149 NETIR_LINK_EVT Fatal sub-code 4"),
        ("NVRM: Xid (PCI:0018:01:00): 149, pid=7, name=x, NETIR_LINK_EVT Fatal XC1 i0 Link -1 (0x02500011 0x0)", FAIL,
         "xid 149 NETIR_LINK_EVT Fatal sub-code 37"),
        ("NVRM: Xid (PCI:0018:01:00): 146, TLW_RX/TLW_RX_PIPE0 Fatal XC0 i0 Link 00 (0x0000000a 0x00000004)", FAIL,
         "xid 146 TLW_RX/TLW_RX_PIPE0 Fatal sub-code 0"),
        ("NVRM: Xid (PCI:0018:01:00): 146, TLW_RX_PIPE1 Nonfatal XC0 i0 Link 00 (0x0000000b 0x00000001)", NONE,
         "xid 146 TLW_RX_PIPE1 Nonfatal sub-code 0"),
        ("NVRM: Xid (PCI:0018:01:00): 145, RLW_RXPIPE Nonfatal XC0 i0 Link 13 (0x0409a0c2 0x00000008)", NONE,
         "xid 145 RLW_RXPIPE Nonfatal sub-code 0"),
        ("NVRM: Xid (PCI:0018:01:00): 145, RLW_REMAP Nonfatal XC0 i0 Link 00 (0x00000004 0x00000004)", RETRY,
         "xid 145 RLW_REMAP Nonfatal sub-code 0"),
        ("NVRM: Xid (PCI:0018:01:00): 144, SAW_MVB Nonfatal XC0 i0 Link 00 (0x00000001 0x00000008)", FAIL,
         "xid 144 SAW_MVB Nonfatal sub-code 0"),
        ("NVRM: Xid (PCI:0018:01:00): 144, SAW_MVB Nonfatal XC0 i0 Link 00 (0x00000001 0x00004000)", RETRY,
         "xid 144 SAW_MVB Nonfatal sub-code 0, unknown"),
        ("NVRM: Xid (PCI:0018:01:00): 149, NEW_UNIT9 Nonfatal XC0 i0 Link 00 (0x00000001 0x00000008)", RETRY,
         "xid 149 NEW_UNIT9 Nonfatal sub-code 0, unknown"),
        ("NVRM: Xid (PCI:0018:01:00): 149, something else", RETRY, "xid 149"),
        (BER, NONE, "xid 149 NETIR_BER_EVENT Nonfatal sub-code 0"),
        ("nvidia-nvswitch0: SXid (PCI:0000:00:00.0): 20034, Fatal, Link 30 LTSSM Fault Up", FAIL, "sxid 20034"),
        ("nvidia-nvswitch0: SXid (PCI:0000:00:00.0): 11012, Non-fatal, Link 30 ECC", NONE, "sxid 11012"),
        ("nvidia-nvswitch0: SXid (PCI:0000:00:00.0): 11012, Fatal, Link 30 ECC", FAIL, "sxid 11012"),
        ("nvidia-nvswitch0: SXid (PCI:0000:00:00.0): 99999, Non-fatal, Link 3 new", RETRY, "sxid 99999, unknown"),
        ("nvidia-nvswitch0: SXid (PCI:0000:00:00.0): 99999, Fatal, Link 3 new", FAIL, "sxid 99999, unknown"),
        ("nvidia-nvswitch0: SXid (PCI:0000:00:00.0): xyz, Fatal", RETRY, "unreadable event"),
        ("NVRM: The NVIDIA GPU 0000:18:00.0\nNVRM: (PCI ID: 10de:2901) installed in this system has\n"
         "NVRM: fallen off the bus and is not responding to commands.", FAIL, "gpu.off-the-bus"),
    ],
)  # fmt: skip
def test_one_line(line: str, consequence: Consequence, rule: str) -> None:
    found = rule_on(line, 6)
    assert (found.consequence, found.rule) == (consequence, rule)
    assert severity_of(line) is found.severity
    assert (found.severity is Severity.CRITICAL) is (consequence in (FAIL, RETRY) and "xid 63" not in rule)


@pytest.mark.parametrize(
    ("level", "consequence", "severity"),
    [(0, RETRY, "Critical"), (2, RETRY, "Critical"), (3, RETRY, "Warning"), (4, NONE, "Warning"), (6, NONE, "OK")],
)
def test_an_error_that_no_rule_knows_is_no_pass(level: int, consequence: Consequence, severity: str) -> None:
    found = rule_on("foo 0000:01:00.0: something is amiss", level)
    assert (found.consequence, found.severity) == (consequence, severity)
    assert found.rule == ("unknown error line" if consequence is RETRY else "")


def test_known_noise_is_harmless_at_any_level_and_hides_nothing() -> None:
    noise = (
        "mlx5_core 0000:d2:00.0: mlx5_cmd_out_err:838:(pid 1441871): ACCESS_REG(0x805) op_mod(0x1) failed, "
        "status bad resource(0x5), syndrome (0x305684), err(-22)"
    )
    assert (rule_on(noise, 3).consequence, rule_on(noise, 3).severity) == (NONE, Severity.OK)
    assert rule_on(f"{noise}\nKernel panic - not syncing: x", 3).consequence is FAIL
    assert rule_on(f"{noise} and more", 3).consequence is RETRY
    assert rule_on(f"{noise}\nand something else", 3).consequence is RETRY
    assert rule_on(f"{noise}\n", 3).consequence is NONE
    assert rule_on(f"x {noise}", 3).consequence is RETRY


def test_what_is_too_long_to_be_read_is_no_pass() -> None:
    assert rule_on("x" * (LONGEST_LINE + 1), 6).consequence is RETRY
    assert rule_on("x\n" * 100, 6).consequence is RETRY
    assert rule_on("Kernel panic - not syncing" + "x" * LONGEST_LINE, 6).consequence is FAIL


def test_time_stamps_of_consoles_are_passed_over() -> None:
    for stamp in ("[   12.000001] ", "<3>[12.000001] ", "[   12.000001][   T7] ", "[   12.000001][  C12] "):
        assert rule_on(f"{stamp}EDAC MC0: 1 CE memory read error").rule == "edac.corrected"


def test_a_follower_names_what_it_follows() -> None:
    found = ruled(
        "NVRM: Xid (PCI:0018:01:00): 149, NETIR_LINK_EVT Fatal XC0 i0 Link 08 (0x004505c6 0x0)",
        "NVRM: Xid (PCI:0000:dc:00): 31, page fault",
        "NVRM: Xid (PCI:0000:dc:00): 45, pid=1818990, name=python3, Ch 00000001 caused by previous Xid 149",
        "NVRM: Xid (PCI:0018:01:00): 154, GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)",
        "NVRM: Xid (PCI:0000:dc:00): 45, pid=1818990, name=python3, Ch 00000002",
    )
    assert [each.consequence for each in found] == [FAIL, RETRY, ATTACH, ATTACH, ATTACH]
    assert [each.root for each in found] == [None, None, 0, 0, 1]


@pytest.mark.parametrize(
    "alone",
    [
        "NVRM: Xid (PCI:0000:dc:00): 45, pid=1, name=python3, Ch 00000001",
        "NVRM: Xid (PCI:0000:dc:00): 154, GPU recovery action changed",
        "NVRM: Xid (PCI:0000:dc:00): 155, NVLINK: SW Defined Error",
        "Call Trace:",
        "nvidia-nvswitch0: SXid (PCI:0000:a9:00.0): 20034, Data {0x50610002, 0x10100030}",
        "{3}[Hardware Error]:  section_type: PCIe error",
        "pcieport 0000:3d:02.0:   device [1000:c030] error status/mask=00000001/0000e000",
    ],
)
def test_a_follower_without_what_it_follows_is_no_pass(alone: str) -> None:
    assert consequences(alone) == [RETRY]
    assert consequences("usb 1-1: new device", alone)[-1] is RETRY


def test_another_gpu_and_long_ago_and_harmless_explain_nothing() -> None:
    follower = "NVRM: Xid (PCI:0000:dc:00): 45, pid=1, name=x, Ch 1"
    assert consequences("NVRM: Xid (PCI:0000:1b:00): 48, DBE", follower) == [FAIL, RETRY]
    assert consequences("NVRM: Xid (PCI:0000:dc:00): 48, DBE", follower, apart=61) == [FAIL, RETRY]
    assert consequences(BER, f"{follower} caused by previous Xid 149") == [NONE, RETRY]
    assert consequences("NVRM: Xid (PCI:0000:dc:00): 48, DBE", f"{follower} caused by previous Xid 31") == [FAIL, RETRY]


def test_records_of_the_platform_are_one_event() -> None:
    lines = (
        "{1}[Hardware Error]: Hardware error from APEI Generic Hardware Error Source: 1",
        "{1}[Hardware Error]: event severity: corrected",
        "{1}[Hardware Error]:  Error 0, type: corrected",
        "{1}[Hardware Error]:   section_type: memory error",
    )
    assert consequences(*lines, apart=0.0) == [ATTACH, NONE, ATTACH, ATTACH]
    fatal = [line.replace("corrected", "recoverable") for line in lines]
    assert consequences(*fatal, apart=0.0) == [ATTACH, FAIL, FAIL, ATTACH]


def test_a_second_one_on_the_same_device_fails() -> None:
    other = BER.replace("0018", "0008")
    assert consequences(BER, other, BER, apart=3600) == [NONE, NONE, FAIL]
    assert ruled(BER, BER)[1].rule.endswith(", repeated")
    assert ruled(BER, BER)[1].severity is Severity.CRITICAL
    assert consequences(BER, BER, apart=8 * 86400) == [NONE, NONE]


def test_a_link_that_flaps_fails_and_one_that_went_down_is_no_pass() -> None:
    down = "mlx5_core 0000:03:00.0 eth0: Link down"
    assert consequences(down, down.replace("eth0", "eth1")) == [RETRY, RETRY]
    assert consequences(down, "mlx5_core 0000:03:00.0 eth0: Link up", down)[2] is FAIL
    assert consequences(down, down, apart=7200) == [RETRY, RETRY]


def test_a_flood_of_followers_ends() -> None:
    lines = [Line(number / 1e6, 3, "Call Trace:") for number in range(20000)]
    assert {each.consequence for each in judge(lines)} == {RETRY}
    assert {each.consequence for each in judge([Line(0, 0, "Oops: 1"), *lines])[1:]} == {ATTACH}


@given(st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 7), st.text(max_size=200)), max_size=20))
def test_any_log_is_judged(lines: list[tuple[float, int, str]]) -> None:
    found = judge([Line(*each) for each in lines])
    assert len(found) == len(lines)
    for ruling, (_, level, _) in zip(found, lines, strict=True):
        assert level > 3 or ruling.rule


def test_a_recorded_burn_in(recorded: Callable[[str], str]) -> None:
    messages = dmesg.parse(recorded("dmesg-json-burnin-SYNTHETIC.json"))
    found = judge([Line(each.time, each.level, each.text) for each in messages])
    assert [each.consequence for each in found] == [
        FAIL, NONE, FAIL, ATTACH, FAIL, FAIL, RETRY, FAIL, NONE, RETRY, FAIL,
    ]  # fmt: skip
    assert found[3].root == 0
