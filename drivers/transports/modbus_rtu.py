"""Modbus RTU: each device's share of a serial bus, and one bus for all that name the same port.

Speed, parity and stop bits belong to the share: units on one bus may differ in them.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence

from pymodbus.pdu import ModbusPDU

from drivers.transports.modbus_bus import Bus
from drivers.transports.modbus_peers import Peers
from drivers.transports.modbus_port import NETWORK, BusSettings
from drivers.transports.modbus_wire import (
    READ_DEVICE_IDENTIFICATION,
    Ask,
    Counters,
    Spoiled,
    identification_of,
    translated,
)

__all__ = ["BusSettings", "RtuLink", "share_bus"]


class RtuLink:
    """One device's share of a serial bus; it may hold several units, all with the line set as `settings` say."""

    def __init__(self, device: str, bus: Bus, settings: BusSettings) -> None:
        self._device = device
        self._bus = bus
        self._settings = settings
        self._peers = Peers(device, self._ask)
        bus.join(id(self))

    @property
    def deadline(self) -> float:
        return 2 * self._bus.deadline(self._settings)  # and the same again to see who answers

    async def read(self, unit: int, address: int, count: int) -> tuple[int, ...]:
        words = tuple((await self._ask(unit, Ask.read(address, count))).registers)
        await self._peers.check(unit, lambda: self._bus.upsets(unit))
        return words

    async def write(self, unit: int, address: int, values: Sequence[int]) -> None:
        await self._ask(unit, Ask.write(address, values))

    async def identification(self, unit: int) -> Mapping[int, str]:
        said = identification_of(await self._ask(unit, Ask(READ_DEVICE_IDENTIFICATION)))
        self._peers.identified(unit, said)
        await self._peers.check(unit, lambda: self._bus.upsets(unit))
        return said

    def watch(self, unit: int, address: int, count: int) -> None:
        self._peers.watch(unit, address, count)

    def dormant(self, unit: int) -> bool:
        return self._bus.dormant(unit)

    async def _ask(self, unit: int, ask: Ask) -> ModbusPDU:
        try:
            return await self._bus.ask(id(self), unit, ask, self._settings)
        except Spoiled as spoiled:
            where = f"bus {self._settings.port}"
            raise translated(self._device, f"{ask}, unit {unit}", spoiled, where) from spoiled

    def counters(self, unit: int) -> Counters:
        return self._bus.counters(unit)

    async def close(self) -> None:
        self._peers.forget()
        await self._bus.release(id(self))


# A serial port is one thing in a process whoever asks for it, and two devices on one wire must share its worker thread;
# connections cannot carry it. Weak: a bus lives as long as a link to it.
_BUSES: weakref.WeakValueDictionary[str, Bus] = weakref.WeakValueDictionary()


def share_bus(settings: BusSettings) -> Bus:
    """The bus on this port, made where there is none; speed, parity and stop bits are those of each link.

    Raises ValueError where the time-out is another one, or the port is a device server's: its line has one setting.
    """
    bus = _BUSES.get(settings.port)
    if bus is None or bus.retired:
        bus = _BUSES[settings.port] = Bus(settings)
    elif bus.settings.timeout != settings.timeout:
        raise ValueError(f"another device uses {settings.port} with another time-out ({bus.settings.timeout:g} s)")
    elif settings.port.startswith(NETWORK) and bus.settings != settings:
        raise ValueError(f"another device uses {settings.port} with other speed or parity; its server has one of each")
    return bus
