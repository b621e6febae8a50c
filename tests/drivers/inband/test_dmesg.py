"""The kernel log: every event that matters on a new part is found, whatever its syslog level."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.inband import ParseError
from drivers.inband.dmesg import parse
from drivers.inband.kernel import severity_of
from harness.capabilities import Severity

CAPTURE = Path(__file__).parents[4] / "shared" / "captures" / "inband" / "dmesg-json-burnin-SYNTHETIC.json"
GOOD = json.dumps(
    {
        "dmesg": [
            {"pri": 6, "time": 0.5, "msg": "Linux version 6.12"},
            {"pri": 6, "time": 12.25, "msg": "NVRM: Xid (PCI:0000:0f:00): 79, pid=1, GPU has fallen off the bus."},
        ]
    }
)


def test_messages_with_their_worth() -> None:
    first, second = parse(GOOD)
    assert (first.time, first.level, first.severity) == (0.5, 6, Severity.OK)
    assert (second.time, second.severity) == (12.25, Severity.CRITICAL)


@pytest.mark.parametrize(
    ("level", "severity"),
    [(0, "Critical"), (2, "Critical"), (3, "Warning"), (4, "Warning"), (5, "OK"), (7, "OK"), (8 + 3, "Warning")],
)
def test_the_syslog_level_counts_where_nothing_else_is_known(level: int, severity: str) -> None:
    text = json.dumps({"dmesg": [{"pri": level, "time": 1.0, "msg": "something"}]})
    assert parse(text)[0].severity == severity


@pytest.mark.parametrize(
    "line",
    [
        "Kernel panic - not syncing: Fatal exception",
        "BUG: kernel NULL pointer dereference, address: 0000000000000000",
        "Oops: 0002 [#1] SMP NOPTI",
        "watchdog: BUG: soft lockup - CPU#3 stuck for 22s!",
        "NMI watchdog: Watchdog detected hard LOCKUP on cpu 5",
        "mce: [Hardware Error]: CPU 1: Machine Check: 0 Bank 5: be00000000800400",
        "{1}[Hardware Error]: event severity: fatal",
        "EDAC MC0: 1 UE memory read error on CPU_SrcID#0",
        "pcieport 0000:00:1c.0: AER: Uncorrectable (Fatal) error message received from 0000:01:00.0",
        "pcieport 0000:00:1c.0: PCIe Bus Error: severity=Uncorrectable (Fatal), type=Transaction Layer",
        "NVRM: Xid (PCI:0000:1b:00): 48, pid=7, name=x, DBE (double bit error)",
        "NVRM: Xid (PCI:0000:1b:00): 999, an unknown event",
        "NVRM: Xid (PCI:0018:01:00): 149, NETIR_LINK_EVT Fatal XC0 i0 Link 08 (0x004505c6 0x0)",
        "INFO: task fio:123 blocked for more than 120 seconds.",
        "mlx5_core 0000:3b:00.0: mlx5_health: firmware assert, health compromised",
    ],
)
def test_critical_lines(line: str) -> None:
    assert severity_of(line) is Severity.CRITICAL


@pytest.mark.parametrize(
    "line",
    [
        "NVRM: Xid (PCI:0000:0f:00): 63, pid=0, Row Remapper: New row marked for remapping",
        "NVRM: Xid (PCI:0018:01:00): 145, RLW_RXPIPE Nonfatal XC0 i0 Link 13 (0x0409a0c2 0x0)",
        "pcieport 0000:3d:02.0: AER: Corrected error received: 0000:3d:02.0",
        "EDAC MC0: 1 CE memory read error",
    ],
)
def test_warnings(line: str) -> None:
    assert severity_of(line) is Severity.WARNING


@pytest.mark.parametrize(
    "line",
    ["", "usb 1-1: new high-speed USB device", "systemd[1]: Started panic-button.service", "EDAC MC: Ver: 3.0.0"],
)
def test_everyday_lines(line: str) -> None:
    assert severity_of(line) is Severity.OK


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"dmesg": {}}',
        GOOD[:-2],
        '{"dmesg": [{"pri": 6, "time": 1.0}]}',
        '{"dmesg": [{"pri": 6, "msg": "x"}]}',
        '{"dmesg": [{"pri": 6, "time": NaN, "msg": "x"}]}',
        '{"dmesg": [], "dmesg": [{"pri": 6, "time": 1.0, "msg": "x"}]}',
    ],
)
def test_what_is_cut_off_or_doubtful_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse(text)


@given(st.integers(min_value=0, max_value=len(GOOD) - 1))
def test_cut_off_anywhere_is_refused(length: int) -> None:
    with pytest.raises(ParseError):
        parse(GOOD[:length])


@given(st.integers(min_value=0, max_value=len(GOOD) - 1), st.characters())
@settings(max_examples=300)
def test_one_changed_character_never_raises_anything_else(place: int, character: str) -> None:
    with contextlib.suppress(ParseError):
        parse(GOOD[:place] + character + GOOD[place + 1 :])


@given(st.text(max_size=2000))
def test_any_line_has_a_severity(line: str) -> None:
    assert severity_of(line) in tuple(Severity)


def test_a_burn_in_with_eleven_events() -> None:
    if not CAPTURE.exists():
        pytest.skip("the sample kernel log is not here")
    found = [message.severity for message in parse(CAPTURE.read_text())]
    assert found.count(Severity.CRITICAL) == 7
    assert found.count(Severity.WARNING) == 4
