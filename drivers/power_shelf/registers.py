"""Power shelves of Open Rack v3 by registers: supplies, battery units and managers, each a unit on one bus.

The profile says what the units of option `units` are: supplies (`orv3-psu`), batteries (`orv3-bbu`) or managers
(`orv3-hpr-pmm-psu`). A shelf of supplies may have the other two beside it: options `batteries: orv3-bbu:64,65` and
`manager: orv3-hpr-pmm-psu:32`, each with a profile of its own.
"""

from __future__ import annotations

from drivers.power_shelf import batteries, managers, supplies
from drivers.power_shelf.bank import IDENTITY, Bank
from drivers.power_shelf.batteries import BatteryBank
from drivers.power_shelf.battery_shelf import BatteryShelf
from drivers.power_shelf.managed import ManagedShelf
from drivers.power_shelf.managers import ManagerBank
from drivers.power_shelf.mixed import MixedShelf
from drivers.power_shelf.shelf import PowerShelf
from drivers.power_shelf.supplies import SupplyBank
from drivers.power_shelf.units import Links, places_of
from drivers.profile import ModbusProfile, load_profile
from drivers.transports.address import check_options, wrong
from drivers.transports.modbus import OPTIONS
from harness.connection import Connection

_KINDS = {
    "psu": ("supply.output.voltage", supplies.REQUIRED, supplies.OPTIONAL, "supplies"),
    "bbu": ("battery.charge", batteries.REQUIRED, batteries.OPTIONAL, "batteries"),
    "manager": ("module.present", managers.REQUIRED, managers.OPTIONAL, "managers"),
}
"""By kind of unit: the point by which its profiles are known, what they must and what they may have, and its plural."""
_BESIDE = (("bbu", "batteries"), ("manager", "manager"))
"""What may stand beside supplies, and by which option."""

Shelf = PowerShelf | BatteryShelf | MixedShelf | ManagedShelf


def connect_registers(connection: Connection) -> Shelf:
    """A shelf by its profile; option `units` lists the bus numbers of psu-1, psu-2 …; raises DefinitionError."""
    check_options(connection, (*OPTIONS, "units", "batteries", "manager"))
    links = Links(connection)
    kind = _kind(connection.profile)
    listed = str(connection.options.get("units", ""))
    main = _bank(connection, links, kind, connection.profile, option="units", listed=listed)
    beside = {
        each: _beside(connection, links, each, option) for each, option in _BESIDE if option in connection.options
    }
    if beside and kind != "psu":
        option = next(option for each, option in _BESIDE if each in beside)
        raise wrong(connection, f"options.{option}", f"belongs to a shelf of supplies; {connection.profile} is none")
    _check_numbers(connection, main, *beside.values())
    if kind == "bbu":
        return BatteryShelf(connection, links, BatteryBank(connection, main))
    if kind == "manager":
        return ManagedShelf(connection, links, ManagerBank(main))
    manager = ManagerBank(beside["manager"]) if "manager" in beside else None
    power = PowerShelf(connection, links, SupplyBank(connection, main, manager), manager)
    return MixedShelf(power, BatteryBank(connection, beside["bbu"])) if "bbu" in beside else power


def _kind(profile: str) -> str:
    """What the units of a profile are; raises DefinitionError where there is no such profile for a shelf."""
    every = {name for _, required, optional, _ in _KINDS.values() for name in (*required, *optional)}
    loaded = load_profile(profile, ModbusProfile, driver="power_shelf", required=IDENTITY, optional=every)
    known = {name.partition("[")[0] for name in loaded.points}
    return next((kind for kind, (sign, *_) in _KINDS.items() if sign in known), "psu")


def _beside(connection: Connection, links: Links, kind: str, option: str) -> Bank:
    text = str(connection.options[option])
    profile, _, listed = text.partition(":")
    if not profile or not listed:
        raise wrong(connection, f"options.{option}", f"{text!r} must be a profile and its units, as 'orv3-bbu:64,65'")
    if _kind(profile) != kind:
        raise wrong(connection, f"options.{option}", f"the profile {profile} is not one of {_KINDS[kind][3]}")
    return _bank(connection, links, kind, profile, option=option, listed=listed)


def _bank(connection: Connection, links: Links, kind: str, profile: str, *, option: str, listed: str) -> Bank:
    _, required, optional, plural = _KINDS[kind]
    loaded = load_profile(profile, ModbusProfile, driver="power_shelf", required=required, optional=optional)
    places = places_of(connection, option, listed, known=loaded.has_place)
    return Bank(connection.device, loaded, links.units(option, places, kind), plural)


def _check_numbers(connection: Connection, *banks: Bank) -> None:
    """One number on a bus is one unit: two that answer to it spoil each other's answers."""
    numbers = [unit.number for bank in banks for unit in bank.units]
    twice = sorted({number for number in numbers if numbers.count(number) > 1})
    if twice:
        raise wrong(
            connection, "options", f"{', '.join(map(str, twice))} stands in more than one of its lists of units"
        )
