"""A shelf of supplies with battery units on the same bus."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.power_shelf.batteries import BatteryBank
from drivers.power_shelf.shelf import PowerShelf
from harness.capabilities import Firmware, Identified, Part, Supply
from harness.controls import Exchanges
from harness.errors import DeviceError
from harness.power import Battery, Share
from harness.quantities import Channel, Reading, Sample


class MixedShelf:
    """Supplies and batteries in one shelf: neither's silence takes the other's evidence; all silent: unreachable."""

    def __init__(self, power: PowerShelf, batteries: BatteryBank) -> None:
        self._power = power
        self._supplies = power.supply_bank
        self._batteries = batteries

    @property
    def device(self) -> str:
        return self._power.device

    @property
    def polling_floor(self) -> float:
        return max(self._power.polling_floor, self._batteries.bank.profile.polling_floor)

    async def open(self) -> None:
        """See that at least one unit of the shelf answers; raises DeviceError."""
        try:
            await self._power.open()
        except DeviceError as error:
            if not await self._has_batteries():
                raise error from None
        else:
            await self._has_batteries()

    async def _has_batteries(self) -> bool:
        try:
            await self._batteries.bank.find(())
        except DeviceError:
            return False  # they are listed as absent
        return True

    async def close(self) -> None:
        await self._power.close()

    async def identify(self) -> Identified:
        """The identity of the first supply."""
        return await self._power.identify()

    async def parts(self) -> Sequence[Part]:
        """One part a supply and one a battery, absent ones included."""
        found = (*await self._supplies.parts(alone=False), *await self._batteries.parts(alone=False))
        self._someone("list its parts")
        return found

    async def firmware(self) -> Sequence[Firmware]:
        """One component a unit that answers."""
        found = (*await self._supplies.firmware(alone=False), *await self._batteries.firmware(alone=False))
        self._someone("read its firmware")
        return found

    async def supplies(self) -> Sequence[Supply]:
        """Every supply; what one does not answer is None."""
        return await self._power.supplies()

    async def shares(self) -> Sequence[Share]:
        """How the supplies share the current, A."""
        return await self._power.shares()

    async def input_power(self) -> Reading:
        """The sum over all supplies, W."""
        return await self._power.input_power()

    async def batteries(self) -> Sequence[Battery]:
        """Every battery, absent ones included."""
        return await self._batteries.batteries()

    def channels(self) -> Sequence[Channel]:
        return (*self._power.channels(), *self._batteries.channels())

    async def sample(self) -> Sequence[Sample]:
        found = (*await self._supplies.sample(alone=False), *await self._batteries.sample(alone=False))
        self._someone("sample")
        return found

    def exchanges(self) -> Sequence[Exchanges]:
        """How the exchanges with each unit went since the driver was built."""
        return (*self._power.exchanges(), *self._batteries.bank.exchanges())

    def doubts(self) -> Sequence[str]:
        """Which values were not believed when last read."""
        return (*self._power.doubts(), *self._batteries.bank.all_doubts())

    def _someone(self, attempt: str) -> None:
        """Raise what was lost, unless somebody on this bus has answered."""
        lost, other = self._supplies.bank.lost, self._batteries.bank.lost
        if lost is not None and other is not None:
            seen = f"{lost.seen}, and {other.seen}"
            raise type(lost)(self.device, f"{attempt} ({lost.attempted})", seen, lost.advice, lost.exchange)
