"""What Modbus over TCP and over a serial bus share: faults told apart, counters, and their translation.

Standards: MODBUS Application Protocol V1.1b3 (function 03, section 6.3; exception codes, section 7) and MODBUS over
Serial Line V1.02.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from pymodbus.pdu import ExceptionResponse, ModbusPDU

from harness.errors import DeviceError, Misbehaved, Unreachable, Unsupported

# Without a handler Python prints pymodbus' complaints on the technician's screen; each of them reaches us anyway.
logging.getLogger("pymodbus").addHandler(logging.NullHandler())

READ_HOLDING_REGISTERS = 0x03
MOST_REGISTERS = 125
"""Registers in one answer to function 03 (V1.1b3, 6.3)."""

_EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "server device failure",
    5: "acknowledge",
    6: "server device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target device failed to respond",
}
_UNSUPPORTED = (1, 2, 3)
_BEHIND_GATEWAY = (10, 11)


class Fault(StrEnum):
    """How one exchange failed."""

    NO_PORT = "no port"
    SILENCE = "silence"
    CRC = "crc"
    GARBAGE = "garbage"
    EXCEPTION = "exception"


class Spoiled(Exception):
    """One exchange failed; `heard` are the octets that came, `code` the exception code of a regular refusal."""

    def __init__(self, fault: Fault, seen: str, heard: bytes = b"", code: int = 0) -> None:
        self.fault = fault
        self.seen = seen
        self.heard = heard
        self.code = code
        super().__init__(seen)


@dataclass(frozen=True, slots=True)
class Counters:
    """What became of the exchanges with one unit since the start."""

    ok: int = 0
    silence: int = 0
    crc: int = 0
    garbage: int = 0
    exception: int = 0

    def plus(self, fault: Fault | None) -> Counters:
        """These counters with one more exchange; None is a good one."""
        if fault is None:
            return replace(self, ok=self.ok + 1)
        if fault in (Fault.NO_PORT, Fault.SILENCE):
            return replace(self, silence=self.silence + 1)
        if fault is Fault.CRC:
            return replace(self, crc=self.crc + 1)
        if fault is Fault.GARBAGE:
            return replace(self, garbage=self.garbage + 1)
        return replace(self, exception=self.exception + 1)


class ModbusLink(Protocol):
    """One way to the holding registers of one or more units. Reads are repeated once; there are no writes."""

    async def read(self, unit: int, address: int, count: int) -> tuple[int, ...]:
        """`count` holding registers from `address`, each 0 … 65535. Raises DeviceError."""
        ...

    def counters(self, unit: int) -> Counters: ...

    async def close(self) -> None: ...


def registers_of(answer: ModbusPDU, count: int, heard: bytes) -> tuple[int, ...]:
    """The registers of an answer; raises Spoiled unless there are exactly `count`, each of 16 bits."""
    if isinstance(answer, ExceptionResponse) or answer.isError():
        code = int(answer.exception_code)
        if code in _BEHIND_GATEWAY:
            raise Spoiled(Fault.SILENCE, f"the gateway answers: {_EXCEPTIONS[code]}", heard, code)
        raise Spoiled(Fault.EXCEPTION, f"exception {code}, {_EXCEPTIONS.get(code, 'unknown')}", heard, code)
    registers = tuple(answer.registers)
    if len(registers) != count:
        raise Spoiled(Fault.GARBAGE, f"{len(registers)} registers came where {count} were asked for", heard)
    return registers


def classify(heard: bytes, unit: int, timeout: float) -> Spoiled:
    """What it was, when pymodbus recognised no answer in the octets that came."""
    if not heard:
        return Spoiled(Fault.SILENCE, f"no answer within {timeout:g} s")
    head = f"{len(heard)} octets came"
    if heard[0] == unit and len(heard) > 1 and heard[1] in (READ_HOLDING_REGISTERS, READ_HOLDING_REGISTERS | 0x80):
        whole = 5 if heard[1] & 0x80 or len(heard) < 3 else 5 + heard[2]
        if len(heard) < whole:
            return Spoiled(Fault.CRC, f"the answer is cut off: {head} of {whole}", heard)
        return Spoiled(Fault.CRC, f"checksum error: {head}", heard)
    return Spoiled(Fault.GARBAGE, f"{head}, and they are no answer of unit {unit}", heard)


def translated(device: str, attempted: str, spoiled: Spoiled, where: str) -> DeviceError:
    """The error that a driver raises; `where` says what to look at."""
    if spoiled.fault in (Fault.SILENCE, Fault.NO_PORT):
        return Unreachable(device, attempted, spoiled.seen, f"Check power, cable, unit number and {where}")
    if spoiled.fault is Fault.EXCEPTION and spoiled.code in _UNSUPPORTED:
        return Unsupported(device, attempted, spoiled.seen, "Check that the profile fits this device and its firmware")
    if spoiled.fault is Fault.EXCEPTION:
        return Misbehaved(device, attempted, spoiled.seen, "Look at the device's own alarms", spoiled.heard.hex(" "))
    advice = f"Check {where}: wiring, termination, speed and parity, and that no two units share a number"
    return Misbehaved(device, attempted, spoiled.seen, advice, spoiled.heard.hex(" "))
