"""The management module of a high-power shelf (PMM) by Modbus: which modules are there, and the share line."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.power_shelf.bank import IDENTITY, Bank, Values, word_of
from harness.capabilities import Firmware, Part
from harness.errors import DeviceError

REQUIRED = (*IDENTITY, "module.present", "module.planned", "module.alert", "alarm.shelf", "alarm.communication")
OPTIONAL = ("identity.manufacturer",)
_SHARE_CABLE = "share-cable-missing"


class ManagerBank:
    """The management modules on a bus, most often one."""

    def __init__(self, bank: Bank) -> None:
        self.bank = bank

    async def share_cable(self) -> bool | None:
        """Whether every shelf detects its share line (ISHARE); None where one of them cannot be asked."""
        try:
            found = await self.bank.read_all(("alarm.shelf",))
        except DeviceError:
            return None  # the supplies have answered: that their manager does not is no word about the cable
        flags = [None if values is None else values["alarm.shelf"] for values in found]
        if any(isinstance(each, frozenset) and _SHARE_CABLE in each for each in flags):
            return False
        return True if all(isinstance(each, frozenset) for each in flags) else None

    async def firmware(self) -> Sequence[Firmware]:
        """One component a manager that answers."""
        found = await self.bank.read_all(("identity.firmware",))
        return tuple(
            Firmware(unit.name, word_of(values, "identity.firmware"))
            for unit, values in zip(self.bank.units, found, strict=True)
            if values is not None
        )

    async def parts(self) -> Sequence[Part]:
        """The modules that are planned or present, numbered on over several managers.

        A module has no identity here: its own unit on the bus has it.
        """
        found = await self.bank.read_all(("module.present", "module.planned", "module.alert", "alarm.communication"))
        places = sorted(self.bank.profile.points["module.present"].bits)
        return tuple(
            part
            for nth, values in enumerate(found)
            if values is not None
            for part in _modules(values, places, nth * len(places))
        )


def _modules(values: Values, places: Sequence[str], before: int) -> list[Part]:
    present, planned = values["module.present"], values["module.planned"]
    alerts, silent = values["module.alert"], values["alarm.communication"]
    if not all(isinstance(each, frozenset) for each in (present, planned, alerts, silent)):
        return []
    assert isinstance(present, frozenset)
    assert isinstance(planned, frozenset)
    assert isinstance(alerts, frozenset)
    assert isinstance(silent, frozenset)
    return [
        Part(
            f"module-{before + at}",
            "module",
            "",
            "",
            "",
            present=place in present,
            healthy=place in present and place not in alerts | silent,
        )
        for at, place in enumerate(places, 1)
        if place in present | planned
    ]
