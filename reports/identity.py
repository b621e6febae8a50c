"""Who was tested, where, and with what: read from the first event of a journal, however little of it there is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.journal.events import RunStarted


@dataclass(frozen=True, slots=True)
class DeviceIdentity:
    """One device of the rack as the definition has it."""

    name: str
    role: str
    manufacturer: str
    model: str
    driver: str
    """`driver/profile (tier)`."""
    serial: str
    """As built, where the unit record has it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The rack, its bay and the run; every text is empty where the journal does not say."""

    serial: str = ""
    order: str = ""
    customer: str = ""
    model: str = ""
    revision: str = ""
    title: str = ""
    bay: str = ""
    site: str = ""
    station: str = ""
    operator: str = ""
    simulated: bool = False
    seed: int | None = None
    pace: float = 1.0
    faults: tuple[str, ...] = ()
    devices: tuple[DeviceIdentity, ...] = ()


def identity(started: RunStarted | None) -> Identity:
    """The identity that a run started with; all empty for a journal that has no start."""
    if started is None:
        return Identity()
    model, bay, unit = (table(started.definition.get(name)) for name in ("model", "bay", "unit"))
    simulated = table(bay.get("simulated"))
    return Identity(
        serial=text(unit.get("serial")),
        order=text(unit.get("order")),
        customer=text(unit.get("customer")),
        model=text(model.get("name")),
        revision=text(model.get("revision")),
        title=text(model.get("title")),
        bay=text(bay.get("name")),
        site=text(bay.get("site")),
        station=started.station or text(bay.get("station")),
        operator=started.operator,
        # Either word is enough: a run that is simulated in one place only must never pass for a real one.
        simulated=started.simulated or bool(simulated),
        seed=simulated.get("seed"),
        pace=float(simulated.get("pace") or 1.0),
        faults=tuple(text(fault) for fault in simulated.get("faults") or ()),
        devices=_devices(model, unit, started.drivers),
    )


def _devices(
    model: Mapping[str, Any], unit: Mapping[str, Any], drivers: Mapping[str, str]
) -> tuple[DeviceIdentity, ...]:
    found = []
    serials = table(unit.get("built_serials"))
    for slot_name, slot in table(model.get("slots")).items():
        assembly = table(table(model.get("assemblies")).get(text(table(slot).get("assembly"))))
        for index, role in enumerate(table(slot).get("roles") or ()):
            name = slot_name if index == 0 else f"{slot_name}-{role}"
            found.append(
                DeviceIdentity(
                    name=name,
                    role=text(role),
                    manufacturer=text(assembly.get("manufacturer")),
                    model=text(assembly.get("model")),
                    driver=text(drivers.get(name)),
                    serial=text(serials.get(name)),
                )
            )
    listed = {device.name for device in found}
    found += [DeviceIdentity(name, "", "", "", text(drivers[name]), "") for name in drivers if name not in listed]
    return tuple(found)


def table(value: object) -> Mapping[str, Any]:
    """`value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def text(value: object) -> str:
    """`value` as text; empty for nothing."""
    return "" if value is None else str(value)
