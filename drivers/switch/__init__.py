"""Driver for Ethernet switches: SNMP and the standard MIBs, and the switch's shell for what no MIB has.

Options beside those of SNMP: `dialect` (`ethtool`, `mlxlink`, `eos`: what the shell is asked), `shell` (its address,
`ssh://host:port`), `shell_user`, `shell_host_key` or `shell_known_hosts`, `shell_key_file` or the secret
`shell_password`, `shell_timeout` (wall seconds of one command, 10), `shell_mst` (mlxlink's name of the switch, as
`/dev/mst/mt53104_pci_cr0`). Without `shell`, `physical_links` is unsupported.
"""

from __future__ import annotations

from drivers.families import connect_family
from drivers.switch.ethernet import Switch
from drivers.switch.points import OPTIONAL, REQUIRED
from drivers.switch.shell import OPTIONS, connect_shell
from drivers.switch.tables import Tables
from harness.connection import Connection

__all__ = ["OPTIONS", "Switch", "connect"]


def connect(connection: Connection) -> Switch:
    """A switch by its profile (`standard-switch`); touches no network. Raises DefinitionError."""
    profile, link = connect_family(
        connection, "standard-switch", driver="switch", required=REQUIRED, optional=OPTIONAL, options=OPTIONS
    )
    return Switch(connection, Tables(connection.device, profile, link), link, connect_shell(connection))
