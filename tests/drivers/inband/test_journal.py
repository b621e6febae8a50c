"""The kernel log out of the journal: every message has its cursor and its boot, and another boot is a FAIL."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from drivers.inband import ParseError
from drivers.inband.dmesg import parse, parse_journal, reboots
from drivers.inband.finding import Verdict
from harness.capabilities import Severity

Mutations = Callable[[str, int, int], Iterator[str]]
BOOT, OTHER = "a3" * 16, "b4" * 16


def entry(message: Any = "NVRM: Xid (PCI:0000:0f:00): 79, pid=1, GPU has fallen off the bus.", **more: Any) -> str:
    whole = {
        "__CURSOR": f"s=1;i={len(more)};b={BOOT}",
        "__REALTIME_TIMESTAMP": "1795369322000000",
        "__MONOTONIC_TIMESTAMP": "12250001",
        "_BOOT_ID": BOOT,
        "_TRANSPORT": "kernel",
        "PRIORITY": "6",
        "MESSAGE": message,
    } | more
    return json.dumps({name: value for name, value in whole.items() if value is not None}) + "\n"


def test_messages_with_cursor_boot_and_the_kernels_own_time() -> None:
    text = entry() + entry("usb 1-1: new device", _SOURCE_MONOTONIC_TIMESTAMP="11000000", __CURSOR="s=2")
    first, second = parse_journal(text)
    assert (first.time, first.level, first.severity) == (12.250001, 6, Severity.CRITICAL)
    assert (first.cursor, first.boot) == (f"s=1;i=0;b={BOOT}", BOOT)
    assert (second.time, second.severity, second.cursor) == (11.0, Severity.OK, "s=2")


def test_no_message_is_an_answer() -> None:
    assert parse_journal("") == ()


def test_octets_that_are_no_text_are_read() -> None:
    (message,) = parse_journal(entry([*b"Kernel panic - not syncing: ", 0xFF]))
    assert message.severity is Severity.CRITICAL


def test_what_services_say_is_not_the_kernels() -> None:
    assert parse_journal(entry(_TRANSPORT="syslog") + entry(_TRANSPORT="journal", __CURSOR="s=3")) == ()


def test_another_boot_is_a_restart() -> None:
    same = parse_journal(entry())
    assert reboots(same, BOOT) == ()
    assert reboots(same, "-".join((BOOT[:8], BOOT[8:12], BOOT[12:16], BOOT[16:20], BOOT[20:])) + "\n") == ()
    both = parse_journal(entry() + entry(_BOOT_ID=OTHER, __CURSOR="s=4"))
    assert [each.verdict for each in reboots(both, BOOT)] == [Verdict.FAIL]
    nameless = parse('{"dmesg": [{"pri": 6, "time": 1.0, "msg": "x"}]}')
    assert [each.verdict for each in reboots(nameless, BOOT)] == [Verdict.ERROR]


def test_dmesg_with_words_for_levels() -> None:
    (message,) = parse('{"dmesg": [{"fac": "kern", "pri": "err", "time": 1.0, "msg": "x"}]}')
    assert (message.level, message.severity) == (3, Severity.WARNING)


@pytest.mark.parametrize(
    "text",
    [
        "\n\n{}\n",
        entry()[:-1],
        entry()[:-3] + "\n",
        entry(__CURSOR=None),
        entry(_BOOT_ID=None),
        entry(PRIORITY=None),
        entry(PRIORITY="9"),
        entry(__MONOTONIC_TIMESTAMP=None),
        entry(__MONOTONIC_TIMESTAMP="-1"),
        entry([256]),
        entry(["text"]),
        entry(_TRANSPORT="kernem"),
        entry() + entry(),
        '{"__CURSOR": "a", "MESSAGE": null}\n',
        entry(PRIORITY=["3", "6"]),
    ],
)
def test_what_is_cut_off_or_doubtful_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse_journal(text)


def test_spoilt_outputs_end_in_a_result_or_a_parse_error(recorded: Callable[[str], str], mutations: Mutations) -> None:
    text = entry() + entry("x", __CURSOR="s=5") + entry([65], _BOOT_ID=OTHER, __CURSOR="s=6")
    for spoilt in mutations(text, 23, 400):
        with contextlib.suppress(ParseError):
            reboots(parse_journal(spoilt), BOOT)
    for spoilt in mutations(recorded("dmesg-json-burnin-SYNTHETIC.json"), 23, 300):
        with contextlib.suppress(ParseError):
            parse(spoilt)
