"""Driver for the BMC of a compute tray: Redfish over HTTPS.

Options: `fingerprint` or `ca` (see `drivers.transports.redfish`), `timeout` (wall seconds a call, 10), `max_age` (rack
seconds after which a value is stale, 60), `change_timeout` (wall seconds until a change reads back, 120),
`sensor.inlet.temperature` and `sensor.tray.power` (Ids of sensors, where the BMC does not say which these are),
`telemetry` (`all`: every sensor of every board is a channel, not only those that are judged).
"""

from __future__ import annotations

from drivers.bmc.tray import ComputeTray
from drivers.resources.writing import Writer
from drivers.transports.address import number_option
from drivers.transports.redfish import RedfishWire
from harness.connection import Connection
from harness.errors import DefinitionError

OPTIONS = (
    *("fingerprint", "ca", "timeout", "max_age", "change_timeout"),
    *("sensor.inlet.temperature", "sensor.tray.power", "telemetry"),
)


def connect(connection: Connection) -> ComputeTray:
    """A driver for the BMC at `https://host:port`; raises DefinitionError on an address or option it cannot use."""
    unknown = sorted(set(connection.options) - set(OPTIONS))
    if unknown:
        raise DefinitionError(f"{connection.device}: bmc has no option {unknown[0]!r}; it knows {', '.join(OPTIONS)}")
    max_age = connection.options.get("max_age", 60.0)
    if isinstance(max_age, str | bool) or max_age <= 0:
        raise DefinitionError(f"{connection.device}: option max_age must be a number of rack seconds, not {max_age!r}")
    telemetry = connection.options.get("telemetry", "judged")
    if telemetry not in ("judged", "all"):
        raise DefinitionError(f"{connection.device}: option telemetry must be judged or all, not {telemetry!r}")
    chosen = {
        name.removeprefix("sensor."): str(value)
        for name, value in connection.options.items()
        if name.startswith("sensor.")
    }
    wire = RedfishWire.of(connection)
    writer = Writer(wire, connection.device, number_option(connection, "change_timeout", 120.0, 0.1, 3600.0))
    return ComputeTray(wire, writer, connection.now, float(max_age), chosen, every_sensor=telemetry == "all")
