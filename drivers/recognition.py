"""Recognition: which drivers and profiles fit what answers at an address. Reads only, and never a second secret.

SNMP: sysObjectID, sysDescr and sysServices (SNMPv2-MIB, RFC 3418) against the `enterprise` and `description` of every
profile. Redfish: what the service root lists (DSP0266, DSP2046). Modbus: model and serial where each map has them.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from drivers.console import connect as connect_console
from drivers.points import decode, oid_of, text
from drivers.profile import ModbusProfile, SnmpProfile, profiles
from drivers.resources.members import ROOT, member_paths, read_or_nothing
from drivers.resources.values import link
from drivers.transports.address import split_address, suggest, wrong
from drivers.transports.modbus import ModbusLink, connect_modbus
from drivers.transports.redfish import RedfishWire
from drivers.transports.snmp import Oid, SnmpLink, Value, connect_snmp
from harness.connection import Candidate, Connection, Option
from harness.errors import Misbehaved, Unreachable, Unsupported

_DESCRIPTION: Oid = (1, 3, 6, 1, 2, 1, 1, 1, 0)
_OBJECT: Oid = (1, 3, 6, 1, 2, 1, 1, 2, 0)
_SERVICES: Oid = (1, 3, 6, 1, 2, 1, 1, 7, 0)
_LLDP: Oid = (1, 0, 8802, 1, 1, 2, 1, 3, 1, 0)
"""lldpLocChassisIdSubtype (IEEE 802.1AB LLDP-MIB)."""
_BRIDGE = 2
"""The bit of sysServices for layer 2, as a bridge has it."""
_PLACES = (
    ("ThermalEquipment", "CDUs", "cdu"),
    ("PowerEquipment", "RackPDUs", "pdu"),
    ("PowerEquipment", "PowerShelves", "power_shelf"),
)
_SCHEMES = ("https", "snmp", "modbus+tcp", "modbus+rtu", "modbus+rtu+tcp", "ssh", "serial", "socket", "rfc2217")

Asking = Callable[[], Awaitable[Sequence[Candidate]]]


def candidates(connection: Connection) -> Asking:
    """What asks the device of a connection which drivers fit it, likeliest first; empty where nothing fits.

    The network is not touched before it is called. Raises DefinitionError at once, and DeviceError when called.
    """
    word, sign, _ = connection.address.partition("://")
    if not sign or word not in _SCHEMES:
        known = ", ".join(f"{each}://" for each in _SCHEMES)
        text = (
            f"{connection.address!r} does not say what to speak{suggest(word, _SCHEMES)}; it begins with one of {known}"
        )
        raise wrong(connection, "address", text)
    scheme = split_address(connection, _SCHEMES).scheme
    if scheme == "https":
        return partial(_ask_redfish, RedfishWire.of(connection), connection)
    if scheme == "snmp":
        # pysnmp hears that a key is refused; gufo-snmp takes it for silence, and so it would be sent again.
        patient = replace(connection, options={**connection.options, "fast": False})
        return partial(_ask_snmp, connect_snmp(patient, block=4), connection)
    if scheme.startswith("modbus"):
        return partial(_ask_modbus, connect_modbus(connection), _units(connection), connection)
    # A login prompt and a console say nothing about what is behind them: their drivers do, and check what they need.
    if scheme == "ssh":
        from drivers.host import connect as connect_host

        connect_host(connection)
        return partial(_sure, Candidate("host", "", connection.options))
    connect_console(connection)
    return partial(_sure, Candidate("console", "", connection.options))


async def _sure(only: Candidate) -> Sequence[Candidate]:
    return (only,)


async def _ask_redfish(wire: RedfishWire, connection: Connection) -> Sequence[Candidate]:
    """Equipment before systems: a controller of equipment may list itself as a system, never the other way round."""
    try:
        await wire.open()
        root = await wire.get(ROOT)
        found = [
            driver
            for home, collection, driver in _PLACES
            if await member_paths(
                wire, link(await read_or_nothing(wire, link(root, home)), collection), connection.device
            )
        ]
        if await member_paths(wire, link(root, "Systems"), connection.device):
            found.append("bmc")
    finally:
        await wire.close()
    return tuple(Candidate(driver, "", connection.options) for driver in found)


async def _ask_snmp(agent: SnmpLink, connection: Connection) -> Sequence[Candidate]:
    try:
        said = await agent.get((_OBJECT, _DESCRIPTION, _SERVICES, _LLDP))
    finally:
        await agent.close()
    if said[_OBJECT] is None and said[_DESCRIPTION] is None:
        raise Misbehaved(
            connection.device,
            "ask sysObjectID and sysDescr",
            "the agent shows neither",
            "Let the agent's view include the system group, 1.3.6.1.2.1.1",
        )
    services = said[_SERVICES]
    bridge = said[_LLDP] is not None or (isinstance(services, int) and bool(services & _BRIDGE))
    names = fitting(said[_OBJECT], text(said[_DESCRIPTION]), bridge=bridge)
    return tuple(Candidate(driver, name, connection.options) for driver, name in names)


def fitting(kind: Value, description: str, *, bridge: bool) -> Sequence[tuple[str, str]]:
    """Driver and name of the SNMP profiles that fit, the most particular first.

    A profile that names nobody (`standard-switch`) fits a `bridge` that no other one fits: it may be anybody's.
    """
    found: dict[tuple[str, str], tuple[int, bool]] = {}
    general: list[tuple[str, str]] = []
    for name, profile in profiles().items():
        if not isinstance(profile, SnmpProfile):
            continue
        if not profile.enterprise and not profile.description:
            general.append((profile.driver, name))
            continue
        wanted = oid_of(profile.enterprise) if profile.enterprise else ()
        ours = isinstance(kind, tuple) and kind[: len(wanted)] == wanted
        if (ours or not wanted) and (not profile.description or re.search(profile.description, description)):
            found[profile.driver, name] = (-len(wanted), not profile.description)
    if found:
        return sorted(found, key=lambda each: (found[each], each))
    return general if bridge else ()


def _units(connection: Connection) -> tuple[int, ...]:
    """The numbers on the bus to be asked: option `units` or `unit`, else 1, which is what most come with."""
    name = "units" if "units" in connection.options else "unit"
    words = [word.strip() for word in str(connection.options.get(name, 1)).split(",")]
    if not all(word.isdecimal() and len(word) < 4 and int(word) <= 255 for word in words):
        raise wrong(connection, f"options.{name}", f"{connection.options[name]!r} must be numbers from 0 to 255")
    return tuple(int(word) for word in words)


async def _ask_modbus(bus: ModbusLink, units: Sequence[int], connection: Connection) -> Sequence[Candidate]:
    """Ask the first unit that answers for model and serial, where each register profile has them."""
    silent: Unreachable | None = None
    try:
        for unit in units:
            try:
                known = {name: each for name, each in profiles().items() if isinstance(each, ModbusProfile)}
                # A unit is most likely of a family that has its number; registers alone do not tell all of them apart.
                names = sorted(known, key=lambda name: not known[name].has_place(unit))
                return [
                    Candidate(known[name].driver, name, _options(known[name], units, connection.options))
                    for name in names
                    if await _identifies(bus, unit, known[name])
                ]
            except Unreachable as error:
                silent = error
    finally:
        await bus.close()
    assert silent is not None
    if {"unit", "units"} & set(connection.options):
        raise silent
    advice = "Name its number on the bus with --option unit=NUMBER (several: units=NUMBER,NUMBER). " + silent.advice
    raise Unreachable(connection.device, silent.attempted, silent.seen, advice)


async def _identifies(bus: ModbusLink, unit: int, profile: ModbusProfile) -> bool:
    """Whether words stand where the profile has model and serial; a unit that refuses the registers is another."""
    for name in ("identity.model", "identity.serial"):
        point = profile.points[name]
        try:
            said = decode(point, await bus.read(unit, point.register_, point.words))
        except (Unsupported, Misbehaved):
            return False
        if not isinstance(said, str) or not said or not said.isprintable():
            return False
    return True


def _options(profile: ModbusProfile, units: Sequence[int], given: Mapping[str, Option]) -> Mapping[str, Option]:
    """The options with the numbers on the bus as the driver wants them: a shelf has `units`, a CDU one `unit`."""
    rest = {name: value for name, value in given.items() if name not in ("unit", "units")}
    if profile.driver == "power_shelf":
        return {**rest, "units": ",".join(map(str, units))}
    return {**rest, "unit": units[0]}
