"""The kernel log of a host: every message with its meaning, one identity at every reading, and no gap unnoticed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from drivers.host.kernel_log import ASKED, KernelLog
from drivers.transports.ssh import Completed
from harness.capabilities import Consequence, LogEntry, Severity
from harness.errors import Misbehaved, Refused, Unsupported

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
BOOT = "0a1b2c3d-0000-4000-8000-000000000001"
Message = tuple[float, str]
FIRST: Message = (0.0, "Linux version 6.8.0")
XID: Message = (700.25, "NVRM: Xid (PCI:0008:01:00): 79, GPU has fallen off the bus.")
CLEAN_UP: Message = (700.5, "NVRM: Xid (PCI:0008:01:00): 45, pid=1, name=gpu_burn, Ch 1")


class Station:
    """What a host answers to the two commands that its log takes."""

    def __init__(self) -> None:
        self.boot = BOOT
        self.dmesg: str | None = None
        self.journal: str | None = None
        self.error = ""
        self.asked: list[str] = []
        self.log = KernelLog("tray-01-host", self.run, lambda: NOW)

    async def run(self, script: str) -> Completed:
        self.asked.append(script.split(maxsplit=1)[0])
        if script == ASKED:
            if self.dmesg is None:
                return Completed(1, "", self.error)
            return Completed(0, f"{self.boot}\n1000.00\n{self.dmesg}", "")
        return Completed(127, "", "") if self.journal is None else Completed(0, self.journal, "")

    def prints(self, *messages: Message, level: int = 6) -> None:
        found = [{"pri": level, "time": at, "msg": text} for at, text in messages]
        self.dmesg = json.dumps({"dmesg": found})

    def keeps(self, *messages: Message, boot: str = BOOT) -> None:
        """The journal has these, and a line of a service."""
        lines = [
            {"__CURSOR": f"s={number}", "_BOOT_ID": boot.replace("-", ""), "PRIORITY": "6", "MESSAGE": text,
             "__MONOTONIC_TIMESTAMP": str(round((at + 2) * 1e6)), "_TRANSPORT": "kernel",
             "_SOURCE_MONOTONIC_TIMESTAMP": str(round(at * 1e6))}
            for number, (at, text) in enumerate(messages)
        ]  # fmt: skip
        self.journal = "".join(json.dumps(line) + "\n" for line in lines)

    def read(self) -> Sequence[LogEntry]:
        return asyncio.run(self.log.read())


@pytest.fixture
def host() -> Station:
    """A host."""
    return Station()


def test_entries_carry_what_they_mean_and_what_they_follow(host: Station) -> None:
    host.prints(FIRST, XID, CLEAN_UP, (701.0, "NVRM: Xid (PCI:0008:01:00): 999, x"))
    first, xid, follower, unknown = host.read()
    assert (first.consequence, first.rule, first.severity) == (Consequence.NONE, "", Severity.OK)
    assert (xid.consequence, xid.rule, xid.severity) == (Consequence.FAIL, "xid 79", Severity.CRITICAL)
    assert (follower.consequence, follower.rule) == (Consequence.ATTACH, f"xid 45, follows {xid.ident}")
    assert (unknown.consequence, unknown.rule) == (Consequence.RETRY, "xid 999, unknown")
    assert (NOW - xid.at).total_seconds() == pytest.approx(299.75)
    assert host.asked == ["cat"]


def test_an_identity_stays_and_says_which_boot_it_is_of(host: Station) -> None:
    host.prints(FIRST, XID, XID)
    before = [each.ident for each in host.read()]
    assert len(set(before)) == 3
    assert [each.ident for each in host.read()] == before
    assert {each.partition("/")[0] for each in before} == {BOOT}
    host.boot = BOOT.replace("1", "2")
    after = [each.ident for each in host.read()]
    assert not set(after) & set(before)
    assert {each.partition("/")[0] for each in after} == {host.boot}


def test_what_the_buffer_has_forgotten_is_still_known(host: Station) -> None:
    host.prints(FIRST, XID)
    before = host.read()
    host.prints(XID, CLEAN_UP)
    after = host.read()
    assert [each.ident for each in after[:2]] == [each.ident for each in before]
    assert after[2].consequence is Consequence.ATTACH
    assert host.asked == ["cat", "cat"]


def test_what_was_never_read_comes_from_the_journal(host: Station) -> None:
    host.prints(FIRST)
    host.read()
    host.prints((900.0, "usb 1-1: new device"))
    host.keeps(FIRST, XID, CLEAN_UP, (900.0, "usb 1-1: new device"))
    found = host.read()
    assert [each.message for each in found] == [FIRST[1], XID[1], CLEAN_UP[1], "usb 1-1: new device"]
    assert found[1].consequence is Consequence.FAIL
    host.prints(FIRST, XID, CLEAN_UP, (900.0, "usb 1-1: new device"))
    assert [each.ident for each in Station.read(host)] == [each.ident for each in found]


@pytest.mark.parametrize("journal", ["none", "of another boot", "garbled", "begins too late"])
def test_a_gap_is_no_clean_log(host: Station, journal: str) -> None:
    host.prints(FIRST)
    host.read()
    host.prints((900.0, "usb 1-1: new device"))
    if journal == "of another boot":
        host.keeps(FIRST, boot=BOOT.replace("1", "2"))
    elif journal == "garbled":
        host.journal = '{"MESSAGE": "x"'
    elif journal == "begins too late":
        host.keeps((800.0, "x"))
    with pytest.raises(Misbehaved, match="has lost messages"):
        host.read()
    host.prints()
    with pytest.raises(Misbehaved, match="has lost messages"):
        host.read()


def test_a_log_that_had_wrapped_before_it_was_first_read(host: Station) -> None:
    host.prints((600.0, "x"), XID)
    assert [each.message for each in host.read()] == ["x", XID[1]]
    other = Station()
    other.prints((600.0, "x"), XID)
    other.keeps(FIRST, (600.0, "x"))
    assert [each.message for each in other.read()] == [FIRST[1], "x", XID[1]]


def test_an_empty_log_is_no_clean_one(host: Station) -> None:
    host.prints()
    with pytest.raises(Misbehaved, match="empty"):
        host.read()


def test_what_cannot_be_read(host: Station) -> None:
    host.error = "dmesg: read kernel buffer failed: Operation not permitted"
    with pytest.raises(Refused, match="not permitted"):
        host.read()
    host.error = "dmesg: unrecognized option '--json'"
    with pytest.raises(Unsupported, match="--json"):
        host.read()
    host.dmesg = '{"dmesg": ['
    with pytest.raises(Misbehaved, match="kernel log"):
        host.read()
    host.prints(FIRST)
    host.boot = ""
    with pytest.raises(Misbehaved, match="which boot"):
        host.read()
