"""Driver for a serial console: captured from `open()` on, scanned for problems, spoken to where that is asked for."""

from __future__ import annotations

from drivers.console.line import SerialConsole
from drivers.transports.console import ConsoleTarget, ConsoleWire
from harness.connection import Connection
from harness.errors import DefinitionError

__all__ = ["SerialConsole", "connect"]


def connect(connection: Connection) -> SerialConsole:
    """A driver for the console at an address; raises DefinitionError on an address or option it cannot use."""
    if connection.options:
        raise DefinitionError(f"{connection.device}: console has no option {sorted(connection.options)[0]!r}")
    return SerialConsole(connection.device, ConsoleWire(ConsoleTarget.of(connection), connection.now))
