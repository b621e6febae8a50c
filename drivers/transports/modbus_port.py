"""Serial ports as they are: set anew between two units, pseudo-terminals without parity, and ports over a network."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import termios
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

import serial
from pymodbus.client import ModbusSerialClient

NETWORK = "socket://"
"""How the URL of a port over a network begins."""


@dataclass(frozen=True, slots=True)
class BusSettings:
    """One serial bus. `port` is a device path or a pyserial URL; `timeout` in wall seconds, beside the reply's time."""

    port: str
    baud: int
    parity: str
    stopbits: int
    timeout: float

    @property
    def character(self) -> float:
        """Seconds that one character takes on the wire."""
        return (9 + (self.parity != "N") + self.stopbits) / self.baud

    def __str__(self) -> str:
        return f"{self.baud}/8{self.parity}{self.stopbits}"


class PortUnfit(Exception):
    """A port cannot be opened or set as it must be; says why."""


class Port(Protocol):
    """What is needed of a serial port to find it empty."""

    @property
    def in_waiting(self) -> int: ...

    def read(self, size: int) -> bytes: ...


class NetworkPort:
    """A port of pyserial's `socket://` that tells how many octets have come, and closes its socket.

    pyserial says one at most, and pymodbus, which asks once a millisecond, then takes half a second for 125 registers.
    Where the far end has reset the connection, pyserial's shutdown fails and it forgets the socket unclosed.
    """

    def __init__(self, url: str, timeout: float) -> None:
        """Connect; raises PortUnfit. `timeout` of one read or write, in wall seconds."""
        self._port = serial.serial_for_url(url, do_not_open=True, timeout=timeout, write_timeout=timeout)
        self.inter_byte_timeout = 0.0
        try:
            self._port.open()
        except (OSError, serial.SerialException) as error:
            self.close()
            raise PortUnfit(f"cannot be opened: {error}") from error

    @property
    def in_waiting(self) -> int:
        """Octets to be read; one where the far end has hung up, so that reading says it."""
        (waiting,) = struct.unpack("i", fcntl.ioctl(self._port.fileno(), termios.FIONREAD, struct.pack("i", 0)))
        readable, _, _ = select.select([self._port.fileno()], [], [], 0)
        return int(waiting) or len(readable)

    @property
    def is_open(self) -> bool:
        return self._port.is_open

    def read(self, size: int) -> bytes:
        return bytes(self._port.read(size))

    def write(self, octets: bytes) -> int | None:
        return self._port.write(octets)

    def close(self) -> None:
        connection = getattr(self._port, "_socket", None)
        self._port.close()
        if connection is not None:
            connection.close()


def client_for(
    line: BusSettings, listen: Callable[[bool, bytes], bytes], before: ModbusSerialClient | None
) -> ModbusSerialClient:
    """A client for a line set so, with the port of the one `before` where that is open; raises PortUnfit.

    pymodbus derives from the speed how it waits for octets, when it is built: another speed is another client.
    """
    parity = "N" if is_pseudo_terminal(line.port) else line.parity
    client = ModbusSerialClient(
        line.port,
        baudrate=line.baud,
        parity=parity,
        stopbits=line.stopbits,
        timeout=line.timeout,
        retries=0,
        trace_packet=listen,
    )
    port = before.socket if before is not None else None
    if before is not None and port is not None:
        client.socket, before.socket = port, None
        try:
            port.apply_settings({"baudrate": line.baud, "parity": parity, "stopbits": line.stopbits})
            port.inter_byte_timeout = client.inter_byte_timeout
        except (OSError, serial.SerialException, termios.error, ValueError) as error:
            client.close()  # type: ignore[no-untyped-call]
            raise PortUnfit(f"cannot be set to {line}: {error}") from error
    elif line.port.startswith(NETWORK):
        client.socket = cast("serial.Serial", NetworkPort(line.port, line.timeout))
    return client


def drain(port: Port, most: int) -> bool:
    """Read away what has come, `most` pieces of it; whether there was anything."""
    for pieces in range(most):
        if not (waiting := port.in_waiting):
            return pieces > 0
        port.read(waiting)
    return True


def is_pseudo_terminal(port: str) -> bool:
    """Whether this is a Unix98 pty: it has no parity, and Linux answers EINVAL to whoever asks for one."""
    try:
        return os.major(os.stat(port).st_rdev) in range(136, 144)  # Linux, devices.txt
    except OSError:
        return False
