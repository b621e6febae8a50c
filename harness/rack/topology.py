"""Cross-checks of the rack as a whole: slots, cables, cords, and every device at exactly one address.

Each check takes the sections it needs and gives problems with file and line; none touches a device.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from harness.errors import Problem
from harness.rack.bay import Bay, Endpoint, Instrument, SecretSource
from harness.rack.definition import slot_devices
from harness.rack.document import Document, Place
from harness.rack.model import Assembly, Cable, PowerFeed, Role, Slot
from harness.rack.suggest import did_you_mean
from harness.rack.vocabulary import CHANNELS

DRIVERS: Mapping[str, str] = {
    "compute_tray": "bmc",
    "switch_tray": "bmc",
    "host": "host",
    "console": "console",
    "switch": "switch",
    "pdu": "pdu",
    "power_shelf": "power_shelf",
    "cdu": "cdu",
}
"""Role to the driver that fits it."""


def roles_of(slots: Mapping[str, Slot]) -> dict[str, str]:
    """Every device of the slots and its role."""
    return {device: role for name, slot in slots.items() for device, role in slot_devices(name, slot.roles).items()}


def check_slots(
    document: Document, slots: Mapping[str, Slot], assemblies: Mapping[str, Assembly] | None
) -> Iterator[Problem]:
    """Every slot holds a known assembly, and no two devices get the same name. `assemblies` None: not known."""
    owners: dict[str, str] = {}
    for name, slot in slots.items():
        if assemblies is not None and slot.assembly not in assemblies:
            hint = did_you_mean(slot.assembly, assemblies)
            yield document.problem(("slots", name, "assembly"), f"there is no assembly {slot.assembly!r}{hint}")
        if len(set(slot.roles)) < len(slot.roles):
            yield document.problem(("slots", name, "roles"), "a role stands here twice")
        for device in slot_devices(name, slot.roles):
            owner = owners.setdefault(device, name)
            if owner != name:
                yield document.problem(("slots", name), f"slot {owner} already has a device called {device}")


def check_parts(document: Document, assemblies: Mapping[str, Assembly]) -> Iterator[Problem]:
    """A kind of parts is listed once in an assembly: twice would count its places twice."""
    for name, assembly in assemblies.items():
        for index, part in enumerate(assembly.parts):
            if part.kind in [earlier.kind for earlier in assembly.parts[:index]]:
                place: Place = ("assemblies", name, "parts", index)
                yield document.problem(place, f"parts of kind {part.kind} are already listed: list their numbers there")


def check_cables(
    document: Document, slots: Mapping[str, Slot], assemblies: Mapping[str, Assembly], cables: Sequence[Cable]
) -> Iterator[Problem]:
    """Every cable joins a tray's network adapter to a switch port, and no end is used twice."""
    nics = _places(slots, assemblies, ("compute_tray",), "nic")
    switches = [name for name, role in roles_of(slots).items() if role == "switch"]
    used: dict[str, int] = {}
    for index, cable in enumerate(cables):
        place: Place = ("cable_map", index)
        if cable.a not in nics and not _is_open(cable.a, slots, assemblies):
            hint = did_you_mean(cable.a, nics)
            yield document.problem((*place, "a"), f"no tray has a network adapter {cable.a!r}{hint}")
        switch, _, port = cable.b.partition("/")
        if switch not in switches or not port:
            hint = did_you_mean(switch, switches) if switch not in switches else ""
            yield document.problem((*place, "b"), f"{cable.b!r} names no port of a switch (switch/port){hint}")
        for end, text in (("a", cable.a), ("b", cable.b)):
            if text in used:
                yield document.problem((*place, end), f"{text} already has a cable, in line {used[text]}")
            used.setdefault(text, document.line((*place, end)))


def check_power(
    document: Document, slots: Mapping[str, Slot], assemblies: Mapping[str, Assembly], feeds: Sequence[PowerFeed]
) -> Iterator[Problem]:
    """Every cord joins an outlet to a supply, and every supply of shelves and switches has exactly one."""
    supplies = _places(slots, assemblies, ("power_shelf", "switch"), "psu")
    pdus = [name for name, role in roles_of(slots).items() if role == "pdu"]
    used: dict[str, int] = {}
    for index, feed in enumerate(feeds):
        place: Place = ("power_map", index)
        pdu, _, outlet = feed.outlet.partition("/")
        if pdu not in pdus or not outlet:
            hint = did_you_mean(pdu, pdus) if pdu not in pdus else ""
            yield document.problem((*place, "outlet"), f"{feed.outlet!r} names no outlet of a PDU (pdu/outlet){hint}")
        if feed.feeds not in supplies and not _is_open(feed.feeds, slots, assemblies):
            hint = did_you_mean(feed.feeds, supplies)
            yield document.problem((*place, "feeds"), f"no shelf or switch has a supply {feed.feeds!r}{hint}")
        for end, text in (("outlet", feed.outlet), ("feeds", feed.feeds)):
            if text in used:
                yield document.problem((*place, end), f"{text} already has a cord, in line {used[text]}")
            used.setdefault(text, document.line((*place, end)))
    for supply in supplies:
        if supply not in used:
            yield document.problem(("power_map",), f"{supply} is fed by no outlet")


def _places(
    slots: Mapping[str, Slot], assemblies: Mapping[str, Assembly], roles: tuple[str, ...], kind: str
) -> dict[str, None]:
    """Where parts of a kind sit in devices of these roles, in order: `tray-01/nic-0`."""
    return {
        f"{name}/{part}": None
        for name, slot in slots.items()
        if slot.roles[0] in roles and slot.assembly in assemblies
        for spec in assemblies[slot.assembly].parts
        if spec.kind == kind
        for part in spec.names()
    }


def _is_open(place: str, slots: Mapping[str, Slot], assemblies: Mapping[str, Assembly]) -> bool:
    """Whether a place lies in a slot whose assembly is unknown: a problem already told, so its parts are not judged."""
    slot = slots.get(place.partition("/")[0])
    return slot is not None and slot.assembly not in assemblies


def check_sampling(document: Document, slots: Mapping[str, Slot], periods: Mapping[Role, float]) -> Iterator[Problem]:
    """Every role of the rack that reports telemetry is sampled."""
    for role in dict.fromkeys(roles_of(slots).values()):
        if CHANNELS[role] and role not in periods:
            yield document.problem(("sampling", "periods"), f"{role} has no period: its telemetry would never be read")


def check_endpoints(
    document: Document, devices: Mapping[str, Endpoint], slots: Mapping[str, Slot] | None
) -> Iterator[Problem]:
    """Every device of the model has an endpoint with the driver of its role, and no endpoint is left over."""
    for name, endpoint in devices.items():
        if endpoint.driver not in DRIVERS.values():
            hint = did_you_mean(endpoint.driver, DRIVERS.values())
            text = f"there is no driver {endpoint.driver!r}{hint}"
            yield document.problem(("devices", name, "driver"), text)
    if slots is None:
        return
    roles = roles_of(slots)
    for name, role in roles.items():
        if name not in devices:
            yield document.problem(("devices",), f"{name} ({role}) is in the model but has no endpoint here")
    for name, endpoint in devices.items():
        place: Place = ("devices", name)
        if name not in roles:
            missing = [device for device in roles if device not in devices]
            yield document.problem(place, f"the model has no device of this name{did_you_mean(name, missing)}")
        elif endpoint.driver in DRIVERS.values() and endpoint.driver != DRIVERS[roles[name]]:
            text = f"{name} is a {roles[name]}: it needs the driver {DRIVERS[roles[name]]}, not {endpoint.driver}"
            yield document.problem((*place, "driver"), text)


def check_secrets(
    document: Document, devices: Mapping[str, Endpoint], secrets: Mapping[str, SecretSource]
) -> Iterator[Problem]:
    """Every secret that an endpoint names is declared, and every declared one has a source."""
    for name, endpoint in devices.items():
        for purpose, secret in endpoint.secrets.items():
            if secret not in secrets:
                # The word is not repeated: somebody may have written the secret itself here.
                text = f"this secret is not declared under 'secrets'{did_you_mean(secret, secrets)}"
                yield document.problem(("devices", name, "secrets", purpose), text)
    for name, source in secrets.items():
        if source.env is None and source.file is None and source.keyring is None:
            yield document.problem(("secrets", name), "must say where the secret is: env, file or keyring")
        if source.keyring is not None and not all(source.keyring.partition("/")):
            yield document.problem(("secrets", name, "keyring"), "must be written service/user")


def check_instruments(document: Document, instruments: Sequence[Instrument], today: date) -> Iterator[Problem]:
    """Every fixed instrument is within its calibration (ISO/IEC 17025:2017, 6.4.7), and listed once."""
    serials = Counter(instrument.serial for instrument in instruments)
    for index, instrument in enumerate(instruments):
        place: Place = ("instruments", index)
        if instrument.calibration_due < today:
            due = instrument.calibration_due
            text = f"the calibration of {instrument.name} was due on {due}: have it calibrated first"
            yield document.problem((*place, "calibration_due"), text)
        if serials[instrument.serial] > 1:
            yield document.problem((*place, "serial"), f"{instrument.serial} is listed more than once")


def check_simulated(document: Document, bay: Bay) -> Iterator[Problem]:
    """A simulated rack's epoch says which time zone it is in."""
    if bay.simulated is not None and bay.simulated.epoch.tzinfo is None:
        yield document.problem(("simulated", "epoch"), "needs its time zone: end it with Z for UTC")
