"""A shelf of battery units by registers."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.power_shelf.batteries import BatteryBank
from drivers.power_shelf.units import Links
from harness.capabilities import Firmware, Identified, Part
from harness.connection import Connection
from harness.controls import Exchanges
from harness.power import Battery
from harness.quantities import Channel, Sample


class BatteryShelf:
    """One shelf of battery units. One that does not answer is reported absent; all silent: unreachable."""

    def __init__(self, connection: Connection, links: Links, bank: BatteryBank) -> None:
        self._connection = connection
        self._links = links
        self._batteries = bank
        self._bank = bank.bank

    @property
    def device(self) -> str:
        return self._connection.device

    @property
    def polling_floor(self) -> float:
        return self._bank.profile.polling_floor

    async def open(self) -> None:
        """See that at least one battery answers; raises DeviceError."""
        await self._bank.find(())

    async def close(self) -> None:
        await self._links.close()

    async def identify(self) -> Identified:
        """The identity of the first battery."""
        return await self._bank.identify()

    async def parts(self) -> Sequence[Part]:
        """One part a battery; one that does not answer is listed as not present and not healthy."""
        return await self._batteries.parts()

    async def firmware(self) -> Sequence[Firmware]:
        """One component a battery that answers."""
        return await self._batteries.firmware()

    async def batteries(self) -> Sequence[Battery]:
        """Every unit, absent ones included."""
        return await self._batteries.batteries()

    def channels(self) -> Sequence[Channel]:
        return self._batteries.channels()

    async def sample(self) -> Sequence[Sample]:
        return await self._batteries.sample()

    def exchanges(self) -> Sequence[Exchanges]:
        """How the exchanges with each battery went since the driver was built."""
        return self._bank.exchanges()

    def doubts(self) -> Sequence[str]:
        """Which values were not believed when last read: battery, point, value and what would be plausible."""
        return self._bank.all_doubts()
