"""The kernel log: `dmesg --json`, and `journalctl -k -o json` with its cursor and boot.

Seen: dmesg of util-linux 2.38 (run here; sys-utils/dmesg.c): `pri` is facility × 8 + level, or with `--decode` a word;
`time` is seconds since boot. journalctl: systemd.journal-fields(7), journalctl(1): one object a line, numbers as text,
times in microseconds; `MESSAGE` is a list of octets where it is no UTF-8, and null where it is longer than 4096 without
`--all`. The journal's own time is that of arrival; `_SOURCE_MONOTONIC_TIMESTAMP` is the kernel's and is preferred.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from drivers.inband import ParseError, fields
from drivers.inband.finding import Finding, Verdict
from drivers.inband.kernel import severity_of
from drivers.inband.strict_json import LONGEST, number, read_object
from harness.capabilities import Severity

TOOL = "dmesg"
JOURNAL = "journalctl"
_GRAVE = 2
"""Syslog levels 0 … 2 are emergency, alert, critical (RFC 5424, 6.2.1); 3 and 4 error and warning."""
_NOTABLE = 4
_WORDS = ("emerg", "alert", "crit", "err", "warn", "notice", "info", "debug")
_ELSEWHERE = ("audit", "driver", "syslog", "journal", "stdout")
_ORDER = (Severity.OK, Severity.WARNING, Severity.CRITICAL)


@dataclass(frozen=True, slots=True)
class KernelMessage:
    """One message. `time` is in seconds since boot, `level` the syslog level.

    `cursor` is its place in the journal and `boot` the boot's identifier without dashes; both empty from dmesg.
    """

    time: float
    level: int
    text: str
    severity: Severity
    cursor: str = ""
    boot: str = ""


def parse(text: str) -> tuple[KernelMessage, ...]:
    """Every message, oldest first; raises ParseError."""
    messages = read_object(text, TOOL).get("dmesg")
    if not isinstance(messages, list):
        raise ParseError(f"{TOOL}: there is no list of messages")
    return tuple(_message(each) for each in messages)


def _message(found: object) -> KernelMessage:
    said = found.get("msg") if isinstance(found, dict) else None
    if not isinstance(said, str):
        raise ParseError(f"{TOOL}: a message has no text")
    word = found.get("pri") if isinstance(found, dict) else None
    level = _WORDS.index(word) if word in _WORDS else int(number(found, "pri", TOOL)) & 7
    return KernelMessage(number(found, "time", TOOL), level, said, _severity(level, said))


def _severity(level: int, said: str) -> Severity:
    by_level = Severity.CRITICAL if level <= _GRAVE else Severity.WARNING if level <= _NOTABLE else Severity.OK
    return max(by_level, severity_of(said), key=_ORDER.index)


def parse_journal(text: str) -> tuple[KernelMessage, ...]:
    """Every kernel message of a journal, in its order, none where the text is empty; raises ParseError.

    Messages that the journal has from elsewhere (its own, services') are left out: their words are not the kernel's.
    """
    if not text:
        return ()
    lines = [line for line in fields.whole_lines(text, JOURNAL, LONGEST) if line.strip()]
    found = [_entry(read_object(line, JOURNAL)) for line in lines]
    cursors = [each.cursor for each in found if each is not None]
    if len(set(cursors)) != len(cursors):
        raise ParseError(f"{JOURNAL}: one cursor twice")
    return tuple(each for each in found if each is not None)


def _entry(found: dict[str, Any]) -> KernelMessage | None:
    transport = fields.text(found, "_TRANSPORT", JOURNAL) or "kernel"
    if transport in _ELSEWHERE:
        return None
    if transport != "kernel":
        raise ParseError(f"{JOURNAL}: an unknown transport {transport!r}")
    cursor, boot = fields.text(found, "__CURSOR", JOURNAL), fields.text(found, "_BOOT_ID", JOURNAL)
    level = fields.count(found, "PRIORITY", JOURNAL)
    since = fields.count(found, "_SOURCE_MONOTONIC_TIMESTAMP", JOURNAL)
    arrived = fields.count(found, "__MONOTONIC_TIMESTAMP", JOURNAL)
    at = arrived if since is None else since
    if not cursor or not boot or level is None or level > 7 or at is None:
        raise ParseError(f"{JOURNAL}: a message without its cursor, boot, level or time")
    said = _said(found.get("MESSAGE"))
    return KernelMessage(at / 1e6, level, said, _severity(level, said), cursor, boot.replace("-", ""))


def _said(message: object) -> str:
    if isinstance(message, str):
        return message
    if isinstance(message, list) and all(type(each) is int and 0 <= each <= 0xFF for each in message):
        return bytes(message).decode(errors="replace")
    raise ParseError(f"{JOURNAL}: a message without its text ({json.dumps(message)[:60]}): start it with --all")


def reboots(messages: tuple[KernelMessage, ...], boot: str) -> tuple[Finding, ...]:
    """FAIL for every other boot than `boot` in a journal: the host restarted by itself. ERROR where it names none."""
    wanted = boot.strip().replace("-", "")
    others = dict.fromkeys(each.boot for each in messages if each.boot != wanted)
    return tuple(
        Finding(Verdict.FAIL, "", f"the host restarted: boot {other} instead of {wanted}")
        if other
        else Finding(Verdict.ERROR, "", "the log does not say which boot it is of")
        for other in others
    )
