"""Driver for coolant distribution units, by three ways in: register profile (Modbus), Redfish, SNMP.

The address decides: `modbus+tcp://`, `modbus+rtu://` and `modbus+rtu+tcp://` need a register profile (`orv3-rpu`) and
option `unit`; `https://` describes itself; `snmp://` needs a profile of liquid cooling (`rittal-lcp`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.transports.address import split_address
from harness.connection import Connection

if TYPE_CHECKING:
    from drivers.cdu.equipment import RedfishCdu
    from drivers.cdu.registers import Cdu
    from drivers.liquid_cooling import LiquidCooling


def connect(connection: Connection) -> Cdu | RedfishCdu | LiquidCooling:
    """A CDU by the scheme of its address; touches no network. Raises DefinitionError."""
    scheme = split_address(connection, ["modbus+tcp", "modbus+rtu", "modbus+rtu+tcp", "https", "snmp"]).scheme
    # Each way in has libraries of its own; only the one that is used is loaded.
    if scheme == "https":
        from drivers.cdu.equipment import connect_equipment

        return connect_equipment(connection)
    if scheme == "snmp":
        from drivers.liquid_cooling import connect as connect_snmp

        return connect_snmp(connection)
    from drivers.cdu.registers import connect_registers

    return connect_registers(connection)
