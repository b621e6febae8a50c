"""The kernel log as `dmesg --json` prints it (util-linux 2.38, sys-utils/dmesg.c)."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.inband import ParseError
from drivers.inband.kernel import severity_of
from drivers.inband.strict_json import number, read_object
from harness.capabilities import Severity

TOOL = "dmesg"
_GRAVE = 2
"""Syslog levels 0 … 2 are emergency, alert, critical (RFC 5424, 6.2.1); 3 and 4 error and warning."""
_NOTABLE = 4
_ORDER = (Severity.OK, Severity.WARNING, Severity.CRITICAL)


@dataclass(frozen=True, slots=True)
class KernelMessage:
    """One message. `time` is in seconds since boot, `level` the syslog level."""

    time: float
    level: int
    text: str
    severity: Severity


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
    level = int(number(found, "pri", TOOL)) & 7
    by_level = Severity.CRITICAL if level <= _GRAVE else Severity.WARNING if level <= _NOTABLE else Severity.OK
    severity = max(by_level, severity_of(said), key=_ORDER.index)
    return KernelMessage(number(found, "time", TOOL), level, said, severity)
