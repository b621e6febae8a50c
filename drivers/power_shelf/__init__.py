"""Driver for power shelves, by two ways in: a register profile on a shared bus (Modbus), or Redfish.

The address decides: `modbus+rtu://`, `modbus+rtu+tcp://` and `modbus+tcp://` need a register profile (`orv3-psu`,
`orv3-bbu` …) and option `units`; `https://` describes itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.transports.address import split_address
from harness.connection import Connection

if TYPE_CHECKING:
    from drivers.power_shelf.equipment import RedfishShelf
    from drivers.power_shelf.registers import Shelf


def connect(connection: Connection) -> Shelf | RedfishShelf:
    """A shelf by the scheme of its address; touches no network. Raises DefinitionError."""
    scheme = split_address(connection, ["modbus+rtu", "modbus+rtu+tcp", "modbus+tcp", "https"]).scheme
    # Each way in has libraries of its own; only the one that is used is loaded.
    if scheme == "https":
        from drivers.power_shelf.equipment import connect_equipment

        return connect_equipment(connection)
    from drivers.power_shelf.registers import connect_registers

    return connect_registers(connection)
