"""Where a serial line is, and opening it: a tty, a pty, a raw TCP server or a terminal server (RFC 2217), in time."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import serial

from harness.connection import Connection
from harness.errors import DefinitionError, Unreachable

POLL = 0.2
"""Wall seconds that a read waits."""
WRITE = 2.0
"""Wall seconds within which the line must take what is sent. (For `rfc2217://` pyserial has 5 s of its own.)"""
OPENING = 10.0
"""Wall seconds in which a line must be open. pyserial gives each step its own 3 to 5 s, and RFC 2217 has several."""
UNANSWERED = 30
"""Wall seconds after which a terminal server that is silent below TCP counts as gone: it may have lost power."""
ADVICE = "Check the address, the console cable and the terminal server."


@dataclass(frozen=True, slots=True)
class ConsoleTarget:
    """Where the line is, in pyserial's words: a device or URL, and the speed in baud."""

    device: str
    url: str
    baud: int

    @classmethod
    def of(cls, connection: Connection) -> ConsoleTarget:
        """The line that a connection describes; raises DefinitionError.

        `serial:///dev/ttyS0?baud=115200` is a local port, `socket://host:port` a raw TCP server,
        `rfc2217://host:port` a terminal server (RFC 2217); `baud` is 115200 if not given.
        """
        where = urlsplit(connection.address)
        words = parse_qs(where.query, keep_blank_values=True)
        baud = words.pop("baud", ["115200"])[0]
        if not re.fullmatch(r"[1-9][0-9]{1,6}", baud):
            raise DefinitionError(f"{connection.device}: a speed of {baud!r} baud makes no sense")
        if where.scheme == "serial" and where.path.startswith("/") and not where.netloc and not words:
            return cls(connection.device, where.path, int(baud))
        try:
            reachable = where.scheme in ("socket", "rfc2217") and where.hostname and where.port
        except ValueError:
            reachable = False
        if not reachable:
            raise DefinitionError(
                f"{connection.device}: a console's address is serial:///dev/NAME?baud=115200, socket://host:port or "
                f"rfc2217://host:port, not {connection.address!r}"
            )
        rest = "&".join(f"{name}={value}" if value else name for name, values in words.items() for value in values)
        url = f"{where.scheme}://{where.netloc}{where.path}" + (f"?{rest}" if rest else "")
        return cls(connection.device, url, int(baud))


async def open_in_time(target: ConsoleTarget) -> serial.Serial:
    """The open port; raises Unreachable where it is not open within `OPENING`. One that opens later is closed again."""
    opening = asyncio.ensure_future(asyncio.to_thread(open_port, target))
    wanted = True
    try:
        done, _ = await asyncio.wait([opening], timeout=OPENING)
        wanted = bool(done)
        if not done:
            raise _unreachable(target, f"no answer within {OPENING:g} s")
        return opening.result()
    except (serial.SerialException, OSError, ValueError) as error:
        raise _unreachable(target, str(error)) from error
    except asyncio.CancelledError:
        wanted = False
        raise
    finally:
        if not wanted:
            opening.add_done_callback(_let_go)


def open_port(target: ConsoleTarget) -> serial.Serial:
    """The open port; blocks, and raises SerialException, OSError or ValueError."""
    limit = None if target.url.startswith("rfc2217:") else WRITE
    port = serial.serial_for_url(target.url, baudrate=target.baud, timeout=POLL, write_timeout=limit)
    plug = getattr(port, "_socket", None)  # where it is one; pyserial shows it nowhere else
    if plug is not None:
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        half = UNANSWERED // 2
        for name, value in (("TCP_KEEPIDLE", half), ("TCP_KEEPINTVL", half // 3), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, name):  # Linux has all of them
                plug.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return port


def close_port(port: serial.Serial | None) -> None:
    """Close it; never raises."""
    if port is not None:
        link = getattr(port, "_socket", None)
        with contextlib.suppress(serial.SerialException, OSError):  # it may be gone, which is why it is closed
            port.close()
        if link is not None:
            link.close()  # pyserial 3.5 leaves it open where the far end hung up first


def _let_go(opening: asyncio.Future[serial.Serial]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        close_port(opening.result())


def _unreachable(target: ConsoleTarget, seen: str) -> Unreachable:
    return Unreachable(target.device, "open the console", f"{target.url}: {seen}", ADVICE)
