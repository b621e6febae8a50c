"""Modbus transport: holding registers over TCP, over a serial bus (`modbus_rtu`), and RTU over TCP.

pymodbus' own defaults wait twelve seconds for a dead device; here one exchange has one explicit time-out, and a read
that fails is repeated once over a new connection; a write never is. Who answers is watched by `modbus_peers`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs

from pymodbus import ModbusException
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.pdu import ModbusPDU

from drivers.transports.address import host_and_port, number_option, query_options, split_address, wrong
from drivers.transports.modbus_peers import Peers
from drivers.transports.modbus_rtu import BusSettings, RtuLink, share_bus
from drivers.transports.modbus_wire import (
    READ_DEVICE_IDENTIFICATION,
    Ask,
    Counters,
    Fault,
    ModbusLink,
    Spoiled,
    checked,
    classify,
    identification_of,
    send,
    translated,
)
from harness.connection import Connection

__all__ = ["OPTIONS", "Counters", "ModbusLink", "connect_modbus"]

OPTIONS = ("timeout",)
_PARITIES = ("N", "E", "O")


def connect_modbus(connection: Connection) -> ModbusLink:
    """A link by the address: `modbus+tcp://host:port`, or `modbus+rtu:///dev/ttyUSB0?baud=19200&parity=E`.

    `modbus+rtu+tcp://host:port` is a serial device server, frames of RTU over TCP; `modbus+rtu://host:port` means the
    same. Devices on one port may differ in baud, parity and stop bits, not in the time-out. The network is not touched.
    Raises DefinitionError.
    """
    parts = split_address(connection, ["modbus+tcp", "modbus+rtu", "modbus+rtu+tcp"])
    if parts.scheme == "modbus+tcp":
        host, port = host_and_port(connection, parts, 502)
        return TcpLink(connection.device, host, port, number_option(connection, "timeout", 1.0, 0.05, 60.0))
    query = query_options(connection, parse_qs(parts.query), ("baud", "parity", "stopbits"))
    if parts.netloc and parts.path.strip("/"):
        raise wrong(connection, "address", f"{connection.address!r}: three slashes before a path, two before a host")
    port_url = f"socket://{parts.netloc}" if parts.netloc else parts.path
    if parts.scheme == "modbus+rtu+tcp" and (not parts.hostname or parts.port is None or parts.path.strip("/")):
        raise wrong(connection, "address", f"{connection.address!r} must be modbus+rtu+tcp://host:port")
    if not port_url:
        raise wrong(connection, "address", f"{connection.address!r} names no port")
    baud, stopbits, parity = query.get("baud", "19200"), query.get("stopbits", "1"), query.get("parity", "E")
    if not baud.isdigit() or not 300 <= int(baud) <= 4_000_000:
        raise wrong(connection, "address", f"baud={baud} is no speed")
    if parity not in _PARITIES or stopbits not in ("1", "2"):
        raise wrong(
            connection, "address", f"parity={parity}, stopbits={stopbits}: parity is N, E or O, stop bits 1 or 2"
        )
    timeout = number_option(connection, "timeout", 1.0 if parts.netloc else 0.3, 0.02, 60.0)
    settings = BusSettings(port_url, int(baud), parity, int(stopbits), timeout)
    try:
        bus = share_bus(settings)
    except ValueError as error:
        raise wrong(connection, "address", str(error)) from error
    return RtuLink(connection.device, bus, settings)


class TcpLink:
    """Holding registers over Modbus TCP, one connection, one request at a time. `timeout` in wall seconds."""

    def __init__(self, device: str, host: str, port: int, timeout: float) -> None:
        self._device = device
        self._host, self._port, self._timeout = host, port, timeout
        self._client: AsyncModbusTcpClient | None = None
        self._asking = asyncio.Lock()
        self._heard = bytearray()
        self._counters: dict[int, Counters] = {}
        self._connections = 0
        self._number = 0
        """The transaction number used last."""
        self._peers = Peers(device, self._ask)

    @property
    def deadline(self) -> float:
        # Two attempts, each with a connection; and the same again to see who answers.
        return 2 * 2 * 2 * self._timeout

    async def read(self, unit: int, address: int, count: int) -> tuple[int, ...]:
        words = tuple((await self._ask(unit, Ask.read(address, count))).registers)
        await self._peers.check(unit, lambda: self._upsets(unit))
        return words

    async def write(self, unit: int, address: int, values: Sequence[int]) -> None:
        await self._ask(unit, Ask.write(address, values))

    async def identification(self, unit: int) -> Mapping[int, str]:
        said = identification_of(await self._ask(unit, Ask(READ_DEVICE_IDENTIFICATION)))
        self._peers.identified(unit, said)
        await self._peers.check(unit, lambda: self._upsets(unit))
        return said

    def watch(self, unit: int, address: int, count: int) -> None:
        self._peers.watch(unit, address, count)

    def _upsets(self, unit: int) -> int:
        return self.counters(unit).failures + self._connections

    def dormant(self, unit: int) -> bool:  # noqa: ARG002 - the protocol's signature
        return False  # a unit behind a connection of its own holds nobody up

    async def _ask(self, unit: int, ask: Ask) -> ModbusPDU:
        async with self._asking:
            for last in (not ask.repeatable, True):
                try:
                    answer = await self._exchange(unit, ask)
                except Spoiled as spoiled:
                    self._count(unit, spoiled.fault)
                    if spoiled.fault is not Fault.EXCEPTION:
                        self._drop()
                    if last or spoiled.fault is Fault.EXCEPTION:
                        where = f"address {self._host}:{self._port}"
                        raise translated(self._device, f"{ask}, unit {unit}", spoiled, where) from spoiled
                except BaseException:
                    self._drop()  # cancelled in mid-exchange
                    raise
                else:
                    self._count(unit, None)
                    return answer
        raise AssertionError("unreachable")

    def counters(self, unit: int) -> Counters:
        return self._counters.get(unit, Counters())

    async def close(self) -> None:
        self._peers.forget()
        self._drop()

    async def _exchange(self, unit: int, ask: Ask) -> ModbusPDU:
        client = await self._connected()
        self._heard.clear()
        try:
            answer = await send(client, ask, unit)
        except (ModbusException, OSError) as error:
            if not client.connected and not self._heard:
                raise Spoiled(Fault.SILENCE, "the device closed the connection") from error
            raise classify(bytes(self._heard), -1, self._timeout) from error
        if not answer.transaction_id:
            # pymodbus takes it for the answer to whatever was asked last; only the number tells it from a late one.
            raise Spoiled(Fault.GARBAGE, "an answer came without the request's transaction number", bytes(self._heard))
        return checked(answer, ask, bytes(self._heard))

    async def _connected(self) -> AsyncModbusTcpClient:
        if self._client is not None and self._client.connected:
            return self._client
        self._drop()
        client = AsyncModbusTcpClient(
            self._host,
            port=self._port,
            timeout=self._timeout,
            retries=0,
            reconnect_delay=0,
            trace_packet=self._listen,
        )
        self._client = client
        if not await client.connect():
            raise Spoiled(Fault.NO_PORT, "the connection was refused or not answered")
        self._connections += 1
        # pymodbus counts from 1 again, and a late answer of before would have the number of another request.
        client.ctx.next_tid = self._number
        return client

    def _listen(self, sending: bool, packet: bytes) -> bytes:
        if not sending:
            self._heard[:] = packet  # pymodbus hands over all that is not yet used
        return packet

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            self._number = client.ctx.next_tid or self._number
            client.close()

    def _count(self, unit: int, fault: Fault | None) -> None:
        self._counters[unit] = self.counters(unit).plus(fault)
