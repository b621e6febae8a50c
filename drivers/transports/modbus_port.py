"""Serial ports as they are: pseudo-terminals that know no parity, and network ports that say how much has come."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import termios
from typing import Protocol

import serial


class Port(Protocol):
    """What is needed of a serial port to find it empty."""

    @property
    def in_waiting(self) -> int: ...

    def read(self, size: int) -> bytes: ...


class NetworkPort:
    """A port of pyserial's `socket://` that tells how many octets have come.

    pyserial says one at most, and pymodbus, which asks once a millisecond, then takes half a second for 125 registers.
    """

    def __init__(self, port: serial.Serial) -> None:
        self._port = port
        self.inter_byte_timeout = 0.0

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
        self._port.close()


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
