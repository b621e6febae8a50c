"""Units of different speed and parity on one serial bus, and a port over a network whose far end hangs up."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
import termios
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from drivers.power_shelf.units import Links, places_of
from drivers.transports import modbus_port
from drivers.transports.modbus import ModbusLink, connect_modbus
from drivers.transports.modbus_port import NetworkPort
from harness.connection import Connection
from harness.errors import DefinitionError, Misbehaved, Unreachable

if TYPE_CHECKING:
    from tests.drivers.conftest import Line

SLOW, FAST = 200, 64
SPEEDS = {SLOW: termios.B19200, FAST: termios.B115200}
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: the connection ends by a reset (socket(7))."""


def connection(address: str, timeout: float = 0.1) -> Connection:
    return Connection("shelf-1", address, options={"timeout": timeout}, now=lambda: datetime.now(UTC))


def ask_both(line: Line, question: Callable[[ModbusLink, ModbusLink], Awaitable[None]]) -> None:
    """Two units as the option of a power shelf lists them: one as the address says, one faster."""
    line.units = {unit: {register: 100 * unit + register for register in range(60)} for unit in (SLOW, FAST)}

    async def run() -> None:
        what = connection(line.address())
        links = Links(what)
        slow, fast = links.units("units", places_of(what, "units", f"{SLOW};{FAST}@115200/8E1"), "psu")
        try:
            await question(slow.link, fast.link)
        finally:
            await links.close()

    asyncio.run(run())


def test_two_units_of_different_speed_on_one_port(line: Line) -> None:
    """Each of them hears nothing at the other one's speed."""
    line.speeds = SPEEDS

    async def question(slow: ModbusLink, fast: ModbusLink) -> None:
        for _ in range(2):
            assert await slow.read(SLOW, 10, 4) == tuple(20_010 + at for at in range(4))
            assert await fast.read(FAST, 10, 4) == tuple(6_410 + at for at in range(4))
        both = await asyncio.gather(*(link.read(unit, 7, 1) for link, unit in ((slow, SLOW), (fast, FAST)) * 3))
        assert both == [(20_007,), (6_407,)] * 3
        assert (slow.counters(SLOW).failures, fast.counters(FAST).failures) == (0, 0)
        with pytest.raises(Unreachable):
            await slow.read(FAST, 10, 4)
        assert await fast.read(FAST, 10, 4) == tuple(6_410 + at for at in range(4))
        assert slow.deadline > fast.deadline

    ask_both(line, question)


def test_a_late_answer_at_one_speed_is_never_one_at_the_other(line: Line) -> None:
    line.plan |= dict.fromkeys(range(1, 30, 3), "late")

    async def question(slow: ModbusLink, fast: ModbusLink) -> None:
        for first in (10, 20, 30, 40):
            for link, unit in ((slow, SLOW), (fast, FAST)):
                try:
                    found = await link.read(unit, first, 2)
                except (Misbehaved, Unreachable):
                    continue
                assert found == (100 * unit + first, 100 * unit + first + 1)

    ask_both(line, question)


def test_speed_parity_and_stop_bits_are_put_on_the_port(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pty has no parity: here it passes for a port that has, and what the system is asked for is looked at."""
    line.units = {SLOW: {0: 7}}
    put: list[tuple[int, int]] = []
    really = termios.tcsetattr
    shown = termios.PARENB | termios.PARODD | termios.CSTOPB | termios.CSIZE

    def set_so(port: int, when: int, wanted: list[Any]) -> None:
        put.append((wanted[5], wanted[2] & shown))
        really(port, when, [*wanted[:2], wanted[2] & ~(termios.PARENB | termios.PARODD), *wanted[3:]])

    monkeypatch.setattr(termios, "tcsetattr", set_so)
    monkeypatch.setattr(modbus_port, "is_pseudo_terminal", lambda port: False)
    ways = {
        "baud=19200&parity=E": (termios.B19200, termios.PARENB),
        "baud=115200&parity=O": (termios.B115200, termios.PARENB | termios.PARODD),
        "baud=9600&parity=N&stopbits=2": (termios.B9600, termios.CSTOPB),
        "baud=115200&parity=N": (termios.B115200, 0),
    }

    async def run() -> None:
        links = {way: connect_modbus(connection(f"modbus+rtu://{line.path}?{way}")) for way in ways}
        try:
            for way, (speed, flags) in ways.items():
                assert await links[way].read(SLOW, 0, 1) == (7,)
                assert put[-1] == (speed, flags | termios.CS8), way
                before = len(put)
                assert await links[way].read(SLOW, 0, 1) == (7,)
                assert {each[0] for each in put[before:]} <= {speed}  # nothing is changed where nothing differs
        finally:
            for link in links.values():
                await link.close()

    asyncio.run(run())


def test_a_port_that_takes_no_such_setting_says_so_and_works_for_the_others(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux answers EINVAL to parity on a pty, as drivers of poor adapters do."""
    line.units = {SLOW: {0: 7}, FAST: {0: 8}}
    monkeypatch.setattr(modbus_port, "is_pseudo_terminal", lambda port: False)

    async def run() -> None:
        good = connect_modbus(connection(f"modbus+rtu://{line.path}?parity=N"))
        bad = connect_modbus(connection(f"modbus+rtu://{line.path}?baud=115200&parity=E"))
        try:
            for _ in range(2):
                assert await good.read(SLOW, 0, 1) == (7,)
                with pytest.raises(Unreachable, match=r"cannot be set to 115200/8E1"):
                    await bad.read(FAST, 0, 1)
        finally:
            await bad.close()
            await good.close()

    asyncio.run(run())


def test_a_device_server_has_one_speed_for_all() -> None:
    first = connect_modbus(connection("modbus+rtu+tcp://127.0.0.1:4001?baud=19200"))
    with pytest.raises(DefinitionError, match="its server has one of each"):
        connect_modbus(connection("modbus+rtu+tcp://127.0.0.1:4001?baud=9600"))
    asyncio.run(first.close())


def test_a_network_port_is_closed_though_the_far_end_reset_it() -> None:
    """pyserial's own close leaves the socket to the garbage collector then, which is a ResourceWarning."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = NetworkPort(f"socket://127.0.0.1:{listening.getsockname()[1]}", 0.5)
        far, _ = listening.accept()
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        far.close()
        assert port.in_waiting == 1
        port.close()
        assert not port.is_open
    del port
    gc.collect()  # pytest's filter makes an error of what it finds


def test_a_far_end_that_resets_every_call_is_unreachable() -> None:
    """Before, while or after the port is opened: nothing is left behind."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def hang_up() -> None:
            while True:
                far, _ = listening.accept()
                far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                far.close()
                if ended.is_set():
                    return

        ended = threading.Event()
        thread = threading.Thread(target=hang_up)
        thread.start()
        address = listening.getsockname()

        async def run() -> None:
            link = connect_modbus(connection(f"modbus+rtu+tcp://127.0.0.1:{address[1]}"))
            try:
                with pytest.raises((Unreachable, Misbehaved)):
                    await link.read(SLOW, 0, 1)
            finally:
                await link.close()

        try:
            asyncio.run(run())
        finally:
            ended.set()
            socket.create_connection(address).close()
            thread.join()
    gc.collect()
