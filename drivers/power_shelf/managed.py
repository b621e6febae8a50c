"""The management module of a shelf as a device of its own, where its supplies and batteries are not on this bus."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.power_shelf.managers import ManagerBank
from drivers.power_shelf.units import Links
from harness.capabilities import Firmware, Identified, Part
from harness.connection import Connection
from harness.controls import Exchanges


class ManagedShelf:
    """A shelf as its manager sees it: which modules are planned, present and sound."""

    def __init__(self, connection: Connection, links: Links, bank: ManagerBank) -> None:
        self._connection = connection
        self._links = links
        self._managers = bank

    @property
    def device(self) -> str:
        return self._connection.device

    async def open(self) -> None:
        """See that a manager answers; raises DeviceError."""
        await self._managers.bank.find(())

    async def close(self) -> None:
        await self._links.close()

    async def identify(self) -> Identified:
        """The identity of the first manager."""
        return await self._managers.bank.identify()

    async def parts(self) -> Sequence[Part]:
        """The modules that are planned or present."""
        return await self._managers.parts()

    async def firmware(self) -> Sequence[Firmware]:
        """One component a manager that answers."""
        return await self._managers.firmware()

    def exchanges(self) -> Sequence[Exchanges]:
        """How the exchanges with each manager went since the driver was built."""
        return self._managers.bank.exchanges()
