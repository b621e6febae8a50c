"""The BMC's event log: an asserted failure is a FAIL, and no output is not an empty log."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from drivers.inband import ParseError
from drivers.inband.finding import Verdict
from drivers.inband.ipmi_sel import Entry, findings, parse

Recorded = Callable[[str], str]
Mutations = Callable[[str, int, int], Iterator[str]]
ELIST = """\
   1 |  Pre-Init  |0000000012| Event Logging Disabled SEL | Log area reset/cleared | Asserted
   2 | 11/22/26 | 13:58:36 UTC | Temperature Inlet | Upper Critical going high | Asserted | Reading 52 > Threshold 45
   a | 11/22/2026 | 13:59:00 | Memory #0x00 | Uncorrectable ECC | Asserted | CPU 0 DIMM 3
   b | OEM record e0 | 0102030405060708090a0b0c0d
   c | 11/22/2026 | 14:00:00 | OEM record c1 | 00a2b3 | 010203040506
   d | Linux kernel panic: Fatal excep
"""


def entry(event: str, sensor: str = "Sensor #0x01", direction: str = "Asserted") -> str:
    return f"   1 | 11/22/2026 | 13:58:36 | {sensor} | {event} | {direction}\n"


def test_the_recorded_log(recorded: Recorded) -> None:
    entries = parse(recorded("ipmitool-sel-list.txt"))
    assert entries == (
        Entry(1, "12/24/2022 13:58:36", "Voltage #0x4d", "Upper Non-critical going high", True),
        Entry(2, "01/18/2023 14:49:30", "Critical Interrupt #0x90", "Bus Fatal Error", False),
        Entry(3, "01/18/2023 14:49:30", "Critical Interrupt #0x90", "Bus Fatal Error", True),
    )
    assert [(each.verdict, each.unit) for each in findings(entries)] == [
        (Verdict.WARN, "Voltage #0x4d"),
        (Verdict.FAIL, "Critical Interrupt #0x90"),
    ]


def test_every_kind_of_entry() -> None:
    entries = parse(ELIST)
    assert [each.number for each in entries] == [1, 2, 10, 11, 12, 13]
    assert entries[0].stamp == "Pre-Init 12"
    assert entries[1] == Entry(
        2,
        "11/22/26 13:58:36 UTC",
        "Temperature Inlet",
        "Upper Critical going high",
        True,
        "Reading 52 > Threshold 45",
    )
    assert entries[2].detail == "CPU 0 DIMM 3"
    assert [each.asserted for each in entries[3:]] == [None, None, None]
    assert [each.verdict for each in findings(entries)] == [
        Verdict.FAIL,
        Verdict.FAIL,
        Verdict.WARN,
        Verdict.WARN,
        Verdict.FAIL,
    ]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("Lower Non-recoverable going low", [Verdict.FAIL]),
        ("Power Supply Failure detected", [Verdict.FAIL]),
        ("PCI SERR", [Verdict.FAIL]),
        ("Drive Fault", [Verdict.FAIL]),
        ("Correctable ECC logging limit reached", [Verdict.FAIL]),
        ("Correctable ECC", [Verdict.WARN]),
        ("Something nobody has heard of", [Verdict.WARN]),
        ("Presence detected", []),
        ("Initiated by power up", []),
        ("Log area reset/cleared", []),
    ],
)
def test_what_an_event_is_worth(event: str, expected: list[Verdict]) -> None:
    assert [each.verdict for each in findings(parse(entry(event)))] == expected
    assert findings(parse(entry(event, direction="Deasserted"))) == ()


def test_what_was_seen_before_is_not_new_and_what_is_gone_is_said() -> None:
    before = parse(entry("PCI SERR"))
    assert findings(before, seen=before) == ()
    assert [each.verdict for each in findings((), seen=before)] == [Verdict.ERROR]


def test_an_empty_log_says_so() -> None:
    assert parse("SEL has no entries\n") == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        ELIST[:-1],
        ELIST + ELIST,
        "Could not open device at /dev/ipmi0 or /dev/ipmi/0: No such file or directory\n",
        entry("PCI SERR", direction="Assert"),
        entry("PCI SERR").replace("11/22/2026", "yesterday"),
        "   1 | 11/22/2026 | 13:58:36 | Sensor\n",
        "   1\n",
        "   zz | 11/22/2026 | 13:58:36 | Sensor | PCI SERR | Asserted\n",
        "SEL has no entries\n" + entry("PCI SERR"),
    ],
)
def test_what_is_cut_off_or_garbled_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse(text)


def test_spoilt_outputs_end_in_a_result_or_a_parse_error(recorded: Recorded, mutations: Mutations) -> None:
    for text in (recorded("ipmitool-sel-list.txt"), ELIST):
        for spoilt in mutations(text, 19, 400):
            with contextlib.suppress(ParseError):
                findings(parse(spoilt))
