"""What Modbus over TCP and over a serial bus share: requests, faults told apart, counters, and their translation.

Standards: MODBUS Application Protocol V1.1b3 (functions 03, 06, 16 and 43/14: sections 6.3, 6.6, 6.12, 6.21; exception
codes, section 7) and MODBUS over Serial Line V1.02.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol, TypeVar

from pymodbus.client.mixin import ModbusClientMixin
from pymodbus.pdu import ExceptionResponse, ModbusPDU

from harness.errors import DeviceError, Misbehaved, Unreachable, Unsupported

# Without a handler Python prints pymodbus' complaints on the technician's screen; each of them reaches us anyway.
logging.getLogger("pymodbus").addHandler(logging.NullHandler())

READ_HOLDING_REGISTERS = 0x03
WRITE_SINGLE_REGISTER = 0x06
WRITE_MULTIPLE_REGISTERS = 0x10
READ_DEVICE_IDENTIFICATION = 0x2B
MOST_REGISTERS = 125
"""Registers in one answer to function 03 (V1.1b3, 6.3)."""
MOST_WRITTEN = 123
"""Registers in one request of function 16 (V1.1b3, 6.12)."""

T = TypeVar("T")

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
    LOST = "lost"
    SILENCE = "silence"
    CRC = "crc"
    GARBAGE = "garbage"
    EXCEPTION = "exception"


_NOBODY = (Fault.NO_PORT, Fault.LOST, Fault.SILENCE)
"""Nothing of the unit was heard."""


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

    @property
    def failures(self) -> int:
        """Exchanges that brought no answer of the unit; an exception is one."""
        return self.silence + self.crc + self.garbage

    def plus(self, fault: Fault | None) -> Counters:
        """These counters with one more exchange; None is a good one."""
        if fault is None:
            return replace(self, ok=self.ok + 1)
        if fault in _NOBODY:
            return replace(self, silence=self.silence + 1)
        if fault is Fault.CRC:
            return replace(self, crc=self.crc + 1)
        if fault is Fault.GARBAGE:
            return replace(self, garbage=self.garbage + 1)
        return replace(self, exception=self.exception + 1)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. `count` registers from `address`, or the values to be written there."""

    function: int
    address: int = 0
    count: int = 0
    values: tuple[int, ...] = ()

    @classmethod
    def read(cls, address: int, count: int) -> Ask:
        """Read holding registers; raises ValueError where they do not fit into one request."""
        if not 1 <= count <= MOST_REGISTERS:
            raise ValueError(f"{count} registers do not fit into one request")
        return cls(READ_HOLDING_REGISTERS, address, count)

    @classmethod
    def write(cls, address: int, values: Sequence[int]) -> Ask:
        """Write holding registers: one by function 6, several by function 16; raises ValueError on what is no word."""
        if not 1 <= len(values) <= MOST_WRITTEN or not all(0 <= value <= 0xFFFF for value in values):
            raise ValueError(f"{list(values)} cannot be written in one request")
        function = WRITE_SINGLE_REGISTER if len(values) == 1 else WRITE_MULTIPLE_REGISTERS
        return cls(function, address, len(values), tuple(values))

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent again after a failure: never where it changes something."""
        return self.function in (READ_HOLDING_REGISTERS, READ_DEVICE_IDENTIFICATION)

    @property
    def key(self) -> int:
        """What an answer to it can be mistaken for: answers of equal length and function look alike."""
        return self.count if self.function == READ_HOLDING_REGISTERS else -self.function

    @property
    def octets(self) -> int:
        """The most octets that an answer has on a serial line."""
        if self.function == READ_DEVICE_IDENTIFICATION:
            return 256
        return 5 + 2 * self.count if self.function == READ_HOLDING_REGISTERS else 8

    def __str__(self) -> str:
        if self.function == READ_HOLDING_REGISTERS:
            return f"Modbus read of {self.count} registers from {self.address}"
        if self.function == READ_DEVICE_IDENTIFICATION:
            return "Modbus read of its identification"
        return f"Modbus write of {list(self.values)} to register {self.address}"


class ModbusLink(Protocol):
    """One way to the holding registers of one or more units. Reads are repeated once, writes never.

    Once a unit was replaced by another one, every read raises Misbehaved until the link is closed; see `modbus_peers`.
    """

    async def read(self, unit: int, address: int, count: int) -> tuple[int, ...]:
        """`count` holding registers from `address`, each 0 … 65535. Raises DeviceError."""
        ...

    async def write(self, unit: int, address: int, values: Sequence[int]) -> None:
        """Write registers once; raises DeviceError. Unreachable leaves open whether it was done: read it back."""
        ...

    async def identification(self, unit: int) -> Mapping[int, str]:
        """The objects of function 43/14 by number: 0 vendor, 1 product code, 2 revision. Raises DeviceError."""
        ...

    def watch(self, unit: int, address: int, count: int) -> None:
        """These registers (a serial number) tell the unit from any other: Misbehaved once they changed."""
        ...

    @property
    def deadline(self) -> float:
        """Wall seconds within which a read or a write has ended once it is its turn."""
        ...

    def counters(self, unit: int) -> Counters:
        """What became of the exchanges with one unit."""
        ...

    def dormant(self, unit: int) -> bool:
        """Whether it was silent so often that it is asked only now and then."""
        ...

    async def close(self) -> None: ...


def send(client: ModbusClientMixin[T], ask: Ask, unit: int) -> T:
    """Hand a request to pymodbus."""
    if ask.function == READ_HOLDING_REGISTERS:
        return client.read_holding_registers(ask.address, count=ask.count, device_id=unit)
    if ask.function == WRITE_SINGLE_REGISTER:
        return client.write_register(ask.address, ask.values[0], device_id=unit)
    if ask.function == WRITE_MULTIPLE_REGISTERS:
        return client.write_registers(ask.address, list(ask.values), device_id=unit)
    return client.read_device_information(read_code=1, object_id=0, device_id=unit)


def checked(answer: ModbusPDU, ask: Ask, heard: bytes) -> ModbusPDU:
    """The answer, if it can be one to this request; raises Spoiled.

    pymodbus matches by unit only: another function, another length or another echo is somebody else's answer.
    """
    if isinstance(answer, ExceptionResponse) or answer.isError():
        code = int(answer.exception_code)
        if code in _BEHIND_GATEWAY:
            raise Spoiled(Fault.SILENCE, f"the gateway answers: {_EXCEPTIONS[code]}", heard, code)
        raise Spoiled(Fault.EXCEPTION, f"exception {code}, {_EXCEPTIONS.get(code, 'unknown')}", heard, code)
    if answer.function_code != ask.function:
        raise Spoiled(Fault.GARBAGE, f"an answer to function {answer.function_code} came", heard)
    if ask.function == READ_HOLDING_REGISTERS and len(answer.registers) != ask.count:
        raise Spoiled(Fault.GARBAGE, f"{len(answer.registers)} registers came where {ask.count} were asked for", heard)
    if ask.values:
        echo = answer.registers if ask.function == WRITE_SINGLE_REGISTER else [answer.count]
        sent = list(ask.values) if ask.function == WRITE_SINGLE_REGISTER else [ask.count]
        if answer.address != ask.address or list(echo) != sent:
            raise Spoiled(Fault.GARBAGE, f"it confirms {list(echo)} at register {answer.address}", heard)
    return answer


def identification_of(answer: ModbusPDU) -> dict[int, str]:
    """The objects of an answer to function 43/14, as text; octets that are no ASCII are dropped."""
    held = getattr(answer, "information", {})
    return {
        int(number): (value if isinstance(value, bytes) else b"").decode("ascii", "ignore").strip("\x00 ")
        for number, value in held.items()
    }


def classify(
    heard: bytes, unit: int, timeout: float, function: int = READ_HOLDING_REGISTERS, sent: bytes = b""
) -> Spoiled:
    """What it was, when pymodbus recognised no answer in the octets that came."""
    if not heard:
        return Spoiled(Fault.SILENCE, f"no answer within {timeout:g} s")
    head = f"{len(heard)} octets came"
    if sent and heard.startswith(sent):
        return Spoiled(Fault.GARBAGE, "our own request came back: the adapter echoes what it sends", heard)
    if heard[0] == unit and len(heard) > 1 and heard[1] in (function, function | 0x80):
        whole = 5 if heard[1] & 0x80 or len(heard) < 3 else 5 + heard[2] if function == READ_HOLDING_REGISTERS else 8
        if len(heard) < whole:
            return Spoiled(Fault.CRC, f"the answer is cut off: {head} of {whole}", heard)
        return Spoiled(Fault.CRC, f"checksum error: {head}", heard)
    return Spoiled(Fault.GARBAGE, f"{head}, and they are no answer of unit {unit}", heard)


def translated(device: str, attempted: str, spoiled: Spoiled, where: str) -> DeviceError:
    """The error that a driver raises; `where` says what to look at."""
    if spoiled.fault in _NOBODY:
        return Unreachable(device, attempted, spoiled.seen, f"Check power, cable, unit number and {where}")
    if spoiled.fault is Fault.EXCEPTION and spoiled.code in _UNSUPPORTED:
        return Unsupported(device, attempted, spoiled.seen, "Check that the profile fits this device and its firmware")
    if spoiled.fault is Fault.EXCEPTION:
        return Misbehaved(device, attempted, spoiled.seen, "Look at the device's own alarms", spoiled.heard.hex(" "))
    advice = f"Check {where}: wiring, termination, speed and parity, and that no two units share a number"
    return Misbehaved(device, attempted, spoiled.seen, advice, spoiled.heard.hex(" "))
