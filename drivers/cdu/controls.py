"""Set points and mode of a CDU in its registers: within the profile's hard bounds, written once, read back."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from drivers.profile import ModbusProfile, ModeBits, ModeRegister, RegisterControl
from drivers.transports.modbus import ModbusLink
from harness.connection import Connection
from harness.controls import CoolantMode, SetPoint
from harness.errors import Misbehaved, Unreachable, Unsupported
from harness.quantities import Reading

T = TypeVar("T")
_LOOK_AGAIN = 0.2
"""Wall seconds between two looks at what was written."""


class RegisterControls:
    """What can be set on one unit by its profile's `controls` and `mode`."""

    def __init__(self, connection: Connection, profile: ModbusProfile, link: ModbusLink, unit: int) -> None:
        self._connection = connection
        self._profile = profile
        self._link = link
        self._unit = unit
        self._changing = asyncio.Lock()

    async def read(self, name: str) -> SetPoint:
        """The set point as it stands; raises DeviceError."""
        control = self._control(name)
        (raw,) = await self._link.read(self._unit, control.register_, 1)
        value = _signed(raw, control) * control.scale + control.offset
        reading = Reading(value, control.unit, self._connection.now())
        return SetPoint(name, reading, control.minimum, control.maximum)

    async def write(self, name: str, value: float) -> SetPoint:
        """Set it and return once it reads back; raises ValueError outside of the bounds, then nothing is sent."""
        control = self._control(name)
        if not math.isfinite(value) or not control.minimum <= value <= control.maximum:
            bounds = f"{control.minimum:g} … {control.maximum:g} {control.unit}"
            raise ValueError(f"{self._connection.device}: {name} may be set within {bounds}, not to {value:g}")
        raw = round((value - control.offset) / control.scale)
        attempt = f"set {name} to {value:g} {control.unit}"
        async with self._changing:
            lost = await self._send(control.register_, raw & 0xFFFF)

            async def look() -> tuple[bool, str]:
                (word,) = await self._link.read(self._unit, control.register_, 1)
                now = _signed(word, control)
                return now == raw, f"{now * control.scale + control.offset:g} {control.unit}"

            await self._confirm(attempt, look, control.deadline, lost)
        return await self.read(name)

    async def read_mode(self) -> CoolantMode:
        """The mode whose bits are all as the profile says; UNKNOWN where none fits, or more than one."""
        register = self._mode_register("read its mode")
        (word,) = await self._link.read(self._unit, register.register_, 1)
        return _mode(register, word)

    async def write_mode(self, mode: CoolantMode) -> CoolantMode:
        """Choose a mode and return once it reads back; raises DeviceError."""
        attempt = f"set its mode to {mode}"
        register = self._mode_register(attempt)
        bits = {str(name): each for name, each in register.modes.items()}.get(mode.value)
        if bits is None:
            known = ", ".join(register.modes)
            raise Unsupported(self._connection.device, attempt, f"its profile knows {known}", "Choose one of these")
        async with self._changing:
            (word,) = await self._link.read(self._unit, register.register_, 1)
            lost = await self._send(register.register_, _with(word, register, bits))

            async def look() -> tuple[bool, str]:
                now = await self.read_mode()
                return now is mode, str(now)

            await self._confirm(attempt, look, register.deadline, lost)
        return mode

    async def _send(self, register: int, word: int) -> str:
        """Write once; returns what was lost, for an answer that never came is no proof that nothing was done."""
        try:
            await self._link.write(self._unit, register, [word])
        except Unreachable as error:
            return error.seen
        return ""

    async def _confirm(
        self, attempt: str, look: Callable[[], Awaitable[tuple[bool, str]]], deadline: float, lost: str
    ) -> None:
        until = time.monotonic() + deadline
        while True:
            done, seen = await look()
            if done:
                return
            if time.monotonic() >= until:
                break
            await asyncio.sleep(_LOOK_AGAIN)
        hint = f"; the answer to the write was lost: {lost}" if lost else ""
        raise Misbehaved(
            self._connection.device,
            attempt,
            f"it still reads {seen} after {deadline:g} s{hint}",
            "Look at the CDU's panel: it may be in local control.",
        )

    def _control(self, name: str) -> RegisterControl:
        control = self._profile.controls.get(name)
        if control is None:
            known = ", ".join(sorted(self._profile.controls)) or "none"
            seen = f"{self._profile.title} has set points for {known}"
            raise Unsupported(self._connection.device, f"set {name}", seen, "Set it at the CDU")
        return control

    def _mode_register(self, attempt: str) -> ModeRegister:
        if self._profile.mode is None:
            seen = f"{self._profile.title} has no register for it"
            raise Unsupported(self._connection.device, attempt, seen, "Set it at the CDU")
        return self._profile.mode


def _signed(word: int, control: RegisterControl) -> int:
    return word - 0x10000 if control.format == "s16" and word & 0x8000 else word


def _mode(register: ModeRegister, word: int) -> CoolantMode:
    fitting = [
        name
        for name, bits in register.modes.items()
        if all(word >> bit & 1 for bit in bits.ones) and not any(word >> bit & 1 for bit in bits.zeros)
    ]
    return CoolantMode(fitting[0]) if len(fitting) == 1 else CoolantMode.UNKNOWN


def _with(word: int, register: ModeRegister, bits: ModeBits) -> int:
    """The control word for a mode: kept bits as they are, every other one 0, for it would be a command."""
    kept = word & sum(1 << bit for bit in set(register.keep) - set(bits.zeros))
    return kept | sum(1 << bit for bit in set(bits.ones))
