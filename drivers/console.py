"""Driver for a serial console: captured from `open()` on, scanned for panics, lock-ups and firmware errors."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.inband.kernel import severity_of
from drivers.transports.console import ConsoleTarget, ConsoleWire
from harness.capabilities import ConsoleLine, Severity
from harness.connection import Connection
from harness.errors import DefinitionError


class SerialConsole:
    """One serial console. Lines are numbered from 0 over all the time that this object lives."""

    def __init__(self, device: str, wire: ConsoleWire) -> None:
        self._device = device
        self._wire = wire

    @property
    def device(self) -> str:
        return self._device

    async def open(self) -> None:
        """Begin to capture; raises Unreachable where the port cannot be opened."""
        await self._wire.open()

    async def close(self) -> None:
        """Stop capturing; never raises."""
        await self._wire.close()

    async def captured(self, since: int = 0) -> Sequence[ConsoleLine]:
        """The lines from number `since`; raises Unreachable while it is lost, Misbehaved where some are missing."""
        return self._wire.captured(since)

    def problems(self, lines: Sequence[ConsoleLine]) -> Sequence[ConsoleLine]:
        """The critical ones of `lines`, by the patterns and sources of `drivers.inband.kernel`."""
        return tuple(line for line in lines if severity_of(line.text) is Severity.CRITICAL)


def connect(connection: Connection) -> SerialConsole:
    """A driver for the console at an address; raises DefinitionError on an address or option it cannot use."""
    if connection.options:
        raise DefinitionError(f"{connection.device}: console has no option {sorted(connection.options)[0]!r}")
    return SerialConsole(connection.device, ConsoleWire(ConsoleTarget.of(connection), connection.now))
