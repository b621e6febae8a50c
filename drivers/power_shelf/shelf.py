"""A shelf of supplies by registers, and nothing else on its bus but perhaps a manager."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.power_shelf.managers import ManagerBank
from drivers.power_shelf.supplies import SIGNS, SupplyBank
from drivers.power_shelf.units import Links
from harness.capabilities import Firmware, Identified, Part, Supply
from harness.connection import Connection
from harness.controls import Exchanges
from harness.power import Share
from harness.quantities import Channel, Reading, Sample


class PowerShelf:
    """One shelf of supplies. A supply that does not answer is reported as such; all silent: unreachable."""

    def __init__(
        self, connection: Connection, links: Links, bank: SupplyBank, manager: ManagerBank | None = None
    ) -> None:
        self._connection = connection
        self._links = links
        self.supply_bank = bank
        self._bank = bank.bank
        self._manager = manager

    @property
    def device(self) -> str:
        return self._connection.device

    @property
    def polling_floor(self) -> float:
        return self._bank.profile.polling_floor

    async def open(self) -> None:
        """See that at least one supply answers and is of the profile's kind; raises DeviceError."""
        await self._bank.find(SIGNS)

    async def close(self) -> None:
        await self._links.close()

    async def identify(self) -> Identified:
        """The identity of the first supply. The map has none for the manufacturer: function 43/14 does."""
        return await self._bank.identify()

    async def parts(self) -> Sequence[Part]:
        """One part a supply; one that does not answer is listed as not present and not healthy."""
        return await self.supply_bank.parts()

    async def firmware(self) -> Sequence[Firmware]:
        """One component a supply, named like it; a supply that does not answer has none."""
        return await self.supply_bank.firmware()

    async def supplies(self) -> Sequence[Supply]:
        """Every supply; what one does not answer is None."""
        return await self.supply_bank.supplies()

    async def shares(self) -> Sequence[Share]:
        """How the supplies share the current, A."""
        return await self.supply_bank.shares()

    async def input_power(self) -> Reading:
        """The sum over all supplies, W; bad as a whole where one cannot be read: a smaller sum would look plausible."""
        return await self.supply_bank.input_power()

    def channels(self) -> Sequence[Channel]:
        return self.supply_bank.channels()

    async def sample(self) -> Sequence[Sample]:
        return await self.supply_bank.sample()

    def exchanges(self) -> Sequence[Exchanges]:
        """How the exchanges with each supply went since the driver was built, and those with its manager."""
        return (*self._bank.exchanges(), *(self._manager.bank.exchanges() if self._manager else ()))

    def doubts(self) -> Sequence[str]:
        """Which values were not believed when last read, or contradict one another: supply, point, value, and why."""
        return self.supply_bank.doubts()
