"""Driver for a compute host: in-band over SSH.

Options: `host_key` or `known_hosts`, `key_file`, `timeout` (see `drivers.transports.ssh`); `lease` (wall seconds after
which a load that nobody renews dies, 30); `data.INTERFACE` (that interface's address on the data network); `dialect`
(how those interfaces are read below the packets: `ethtool`, or `mlxlink` for NVIDIA adapters, whose firmware states bit
error ratios as well); `directory` (where tools are run: gpu_burn looks for its kernel file there, `/`).
"""

from __future__ import annotations

from drivers.host.jobs import Jobs
from drivers.host.node import Host
from drivers.physical_links import LinkReader
from drivers.transports.address import word_option
from drivers.transports.ssh import SshTarget, SshWire
from harness.connection import Connection
from harness.errors import DefinitionError

OPTIONS = ("host_key", "known_hosts", "key_file", "timeout", "lease", "directory", "dialect")
ADDRESS = "data."


def connect(connection: Connection) -> Host:
    """A driver for the host at `ssh://host:port`; raises DefinitionError on an address or option it cannot use."""
    device, options = connection.device, connection.options
    unknown = sorted(name for name in options if name not in OPTIONS and not name.startswith(ADDRESS))
    if unknown:
        known = ", ".join((*OPTIONS, f"{ADDRESS}INTERFACE"))
        raise DefinitionError(f"{device}: host has no option {unknown[0]!r}; it knows {known}")
    lease = options.get("lease", 30.0)
    if isinstance(lease, str | bool) or lease < 1:
        raise DefinitionError(f"{device}: option lease must be at least one wall second, not {lease!r}")
    addresses = {name.removeprefix(ADDRESS): str(value) for name, value in options.items() if name.startswith(ADDRESS)}
    wire = SshWire(SshTarget.of(connection))
    jobs = Jobs(device, wire, float(lease), addresses, str(options.get("directory", "/")))
    dialect = word_option(connection, "dialect", "ethtool", ("ethtool", "mlxlink"))
    links = LinkReader(device, wire, dialect, connection.now, opens=False)
    return Host(device, wire, jobs, connection.now, float(lease), links=links, interfaces=tuple(sorted(addresses)))
