"""A bus of Modbus RTU: one worker thread, silence kept between frames, and no late answer ever taken for another.

Units may differ in speed, parity and stop bits: the port is set for each before it is spoken to.

RTU has no transaction number: an answer that comes after the time-out looks like the answer to the next request of the
same length (measured with pymodbus, which then returns it). So after any failure the bus is emptied until it is quiet,
a silent unit is left alone for twice the time-out, and then asked something of another length first: once *that* is
answered, nothing older can still come, for a unit answers in order.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import serial
from pymodbus import ModbusException
from pymodbus.client import ModbusSerialClient
from pymodbus.exceptions import ConnectionException
from pymodbus.pdu import ModbusPDU

from drivers.transports.modbus_port import BusSettings, PortUnfit, client_for, drain
from drivers.transports.modbus_wire import (
    MOST_REGISTERS,
    Ask,
    Counters,
    Fault,
    Spoiled,
    checked,
    classify,
    send,
)

_LEAST_SILENCE = 0.003
"""Wall seconds between two frames; V1.02, 2.5.1.1 asks for 3.5 characters, adapters for 2 … 3 ms."""
_QUIET = 0.05
"""Wall seconds without an octet after which the bus counts as quiet."""
_PATIENCE = 2
"""Silences in a row after which a unit is asked only once a read."""
_DORMANT_AFTER = 10
"""Silences in a row after which a unit is dormant (as rackmon has it): its time-outs would starve the others."""
_ASK_AGAIN = 5.0
"""Wall seconds for which a dormant unit is left alone; one time-out in that time costs the bus a few percent."""
_EMPTYING = 2.0
"""Wall seconds after which a bus that never falls quiet is given up for this time."""
_CONNECTING = 6.0
"""Wall seconds in which pyserial opens a network port or gives it up (5 s), and closes the one it had (0.3 s)."""
_LONGEST = 256
"""Octets in the longest frame (V1.02, 2.5.1.1)."""


class Bus:
    """One serial port with its worker thread, shared by every device on it; port and time-out are one for all."""

    def __init__(self, settings: BusSettings) -> None:
        self.settings = settings
        self._line = settings
        """How the line is to be set for the request whose turn it is."""
        self._set = settings
        """How it was set for the last one."""
        self._client: ModbusSerialClient | None = None
        self._worker: ThreadPoolExecutor | None = None
        self._users: set[int] = set()
        self._heard = bytearray()
        self._sent = b""
        self._ended = 0.0
        """When the last exchange did."""
        self._owed: defaultdict[int, set[int]] = defaultdict(set)
        """By unit: the lengths of requests whose answers may still come."""
        self._held: dict[int, float] = {}
        """By unit: when it may be asked again after a failure."""
        self._dead: defaultdict[int, int] = defaultdict(int)
        """By unit: silences in a row."""
        self._asleep: dict[int, float] = {}
        """By dormant unit: when it is asked again."""
        self._counters: dict[int, Counters] = {}
        self._openings = 0
        self._until = 0.0
        """When no exchange is begun any more for the request whose turn it is."""

    def join(self, user: int) -> None:
        """Another user of this bus; the last one to `release` it closes the port."""
        self._users.add(user)

    @property
    def retired(self) -> bool:
        """Whether everybody who used it has gone."""
        return not self._users

    def counters(self, unit: int) -> Counters:
        """What became of the exchanges with one unit."""
        return self._counters.get(unit, Counters())

    def deadline(self, line: BusSettings) -> float:
        """Wall seconds within which a request on a line set so has ended once it is its turn, whatever the bus does."""
        last = 4 * self.settings.timeout + 2 * _LONGEST * line.character + 2 * _EMPTYING
        return self._patience + last + (_CONNECTING if "://" in self.settings.port else 0.0)

    @property
    def _patience(self) -> float:
        """Wall seconds after which no exchange is begun for a request any more."""
        return 10 * self.settings.timeout + 1.0

    def upsets(self, unit: int) -> int:
        """Counts up with all in which a unit may have been exchanged: failures, and openings of the port."""
        return self.counters(unit).failures + self._openings

    def dormant(self, unit: int) -> bool:
        """Whether a unit was silent so often that it is left alone for the moment."""
        return self._asleep.get(unit, 0.0) > time.monotonic()

    async def ask(self, user: int, unit: int, ask: Ask, line: BusSettings) -> ModbusPDU:
        """The answer to a request on the line set so; raises Spoiled when the second attempt of a read failed too."""
        self.join(user)
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix=f"bus {self.settings.port}")
        return await asyncio.get_running_loop().run_in_executor(self._worker, self._ask, unit, ask, line)

    async def release(self, user: int) -> None:
        """The last user to go closes the port."""
        self._users.discard(user)
        worker = self._worker
        if self._users or worker is None:
            return
        self._worker = None
        await asyncio.get_running_loop().run_in_executor(worker, self._close)
        worker.shutdown(wait=False)

    def _ask(self, unit: int, ask: Ask, line: BusSettings) -> ModbusPDU:
        asleep = self._asleep.get(unit, 0.0) - time.monotonic()
        if asleep > 0:
            seen = f"it is dormant: silent {self._dead[unit]} times in a row, asked again in {asleep:.0f} s"
            raise Spoiled(Fault.SILENCE, seen)
        self._line = line
        self._until = time.monotonic() + self._patience
        try:
            return self._attempt(unit, ask)
        except Spoiled as first:
            # A unit that was dead before is not waited for twice: the others on the bus have to be read, too.
            hopeless = first.fault in (Fault.EXCEPTION, Fault.NO_PORT) or self._dead[unit] > _PATIENCE
            if hopeless or not ask.repeatable:
                raise
        return self._attempt(unit, ask)

    def _attempt(self, unit: int, ask: Ask) -> ModbusPDU:
        if self._owed[unit]:
            self._fence(unit, ask.address)
        return self._exchange(unit, ask)

    def _fence(self, unit: int, address: int) -> None:
        """Returns once nothing that was asked of this unit before can still be answered."""
        for last in (False, True):
            length = next(n for n in range(1, MOST_REGISTERS + 1) if n not in self._owed[unit])
            try:
                self._exchange(unit, Ask.read(address, length))
            except Spoiled as spoiled:
                if spoiled.fault is not Fault.EXCEPTION:
                    if last or spoiled.fault is not Fault.GARBAGE:
                        raise
                    continue  # that was the late answer itself; ask again
            self._owed[unit].clear()
            return

    def _exchange(self, unit: int, ask: Ask) -> ModbusPDU:
        if time.monotonic() > self._until:
            raise Spoiled(Fault.GARBAGE, f"the bus did not fall quiet within {self._patience:.1f} s")
        fault: Fault | None = None
        try:
            silence = max(3.5 * max(self._set.character, self._line.character), _LEAST_SILENCE)
            client = self._opened(ask)
            time.sleep(max(0.0, max(self._ended + silence, self._held.pop(unit, 0.0)) - time.monotonic()))
            self._discard()
            client = self._opened(ask)  # again, where the far end had hung up in the meantime; nothing was sent yet
            self._heard.clear()
            self._owed[unit].add(ask.key)
            answer = checked(send(client, ask, unit), ask, bytes(self._heard))
        except Spoiled as spoiled:
            fault = spoiled.fault
            if spoiled.code:
                self._owed[unit].discard(ask.key)
            raise
        except (ConnectionException, OSError, serial.SerialException) as error:
            self._close()
            fault = Fault.LOST
            raise Spoiled(fault, f"port {self.settings.port} was lost: {error}") from error
        except ModbusException as error:
            heard = classify(bytes(self._heard), unit, self.settings.timeout, ask.function, self._sent)
            fault = heard.fault
            raise heard from error
        else:
            self._owed[unit].discard(ask.key)
            return answer
        finally:
            self._settle(unit, fault)

    def _settle(self, unit: int, fault: Fault | None) -> None:
        """After an exchange: empty the bus where something may be left on it, and remember how the unit behaved."""
        if fault in (Fault.SILENCE, Fault.CRC, Fault.GARBAGE):
            self._empty()
            if fault is not Fault.CRC:
                self._held[unit] = time.monotonic() + 2 * self.settings.timeout
        self._ended = time.monotonic()
        self._dead[unit] = self._dead[unit] + 1 if fault is Fault.SILENCE else 0
        self._counters[unit] = self.counters(unit).plus(fault)
        if self._dead[unit] >= _DORMANT_AFTER:
            self._asleep[unit] = time.monotonic() + _ASK_AGAIN
        else:
            self._asleep.pop(unit, None)

    def _opened(self, ask: Ask) -> ModbusSerialClient:
        """The port, open and set as this request wants it; raises Spoiled."""
        line = self._line
        fresh = self._client is None or not self._client.connected
        try:
            if self._client is None or fresh or self._set != line:
                self._client, self._set = client_for(line, self._listen, self._client), line
            # The reply takes its time on the wire beside the unit's own.
            self._client.comm_params.timeout_connect = line.timeout + ask.octets * line.character
            opened = self._client.connect()
        except PortUnfit as error:
            self._close()
            raise Spoiled(Fault.NO_PORT, f"port {line.port} {error}") from error
        if not opened:
            self._client = None
            reason = "it does not exist, is in use by another program, or may not be opened"
            raise Spoiled(Fault.NO_PORT, f"port {line.port} cannot be opened: {reason}")
        self._openings += fresh
        return self._client

    def _discard(self) -> None:
        """Drop what came since the last exchange: a second copy of its answer would pass for the next one's."""
        line = self._client.socket if self._client else None
        if line is None:
            return
        try:
            spoken = drain(line, _LONGEST)
        except (OSError, serial.SerialException):
            self._close()
        else:
            if spoken:
                self._empty()  # somebody is talking: the rest may still be on its way

    def _empty(self) -> None:
        """Stay silent and discard what comes, until the bus is quiet."""
        line = self._client.socket if self._client else None
        if line is None:
            return
        quiet_since = started = time.monotonic()
        try:
            while (now := time.monotonic()) - quiet_since < _QUIET and now - started < _EMPTYING:
                if drain(line, _LONGEST):
                    quiet_since = time.monotonic()
                time.sleep(_LEAST_SILENCE)
        except (OSError, serial.SerialException):
            self._close()

    def _listen(self, sending: bool, packet: bytes) -> bytes:
        if sending:
            self._sent = packet
        else:
            # pymodbus hands over what it has not used yet, the new octets at the end.
            grown = packet.startswith(bytes(self._heard))
            self._heard[:] = packet if grown else bytes(self._heard) + packet
        return packet

    def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()  # type: ignore[no-untyped-call]
