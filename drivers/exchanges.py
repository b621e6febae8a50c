"""The quality of a field bus as its transport counted it."""

from __future__ import annotations

from drivers.transports.modbus import ModbusLink
from harness.controls import Exchanges


def exchanges_of(link: ModbusLink, name: str, unit: int) -> Exchanges:
    """How the exchanges with one unit went; `name` is what it is called on the rack."""
    seen = link.counters(unit)
    return Exchanges(name, seen.ok, seen.silence, seen.crc, seen.garbage, seen.exception, link.dormant(unit))
