"""The definition: model, bay and unit merged and frozen; all that a run needs to know."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, TypeVar, get_args

from pydantic import Field

from harness.errors import PlanError
from harness.limits import Limit
from harness.rack.bay import Bay, Endpoint
from harness.rack.model import Assembly, Cable, Frozen, LoadSpec, Model, PartSpec, PowerFeed, Role
from harness.rack.suggest import did_you_mean

T = TypeVar("T")


class Unit(Frozen):
    """This rack: its serial as scanned, its order, and what was recorded while it was built."""

    serial: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")]
    order: str = ""
    customer: str = ""
    built_serials: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class DeviceEntry:
    """One device of the rack: what the model asks of it and where the bay has it."""

    name: str
    role: Role
    slot: str
    assembly: Assembly
    endpoint: Endpoint


@dataclass(frozen=True)
class RackDefinition:
    """Model + bay + unit. Build it with `harness.rack.load.load_definition`."""

    model: Model
    bay: Bay
    unit: Unit
    model_file: str
    model_digest: str
    """SHA-256 of the model file's bytes."""
    bay_digest: str

    @property
    def devices(self) -> tuple[DeviceEntry, ...]:
        """Every device, in the order of the model."""
        return tuple(
            DeviceEntry(name, role, slot_name, self.model.assemblies[slot.assembly], self.bay.devices[name])
            for slot_name, slot in self.model.slots.items()
            for name, role in slot_devices(slot_name, slot.roles).items()
        )

    def role(self, role: str) -> tuple[DeviceEntry, ...]:
        """The devices of one role; raises PlanError on a role that does not exist."""
        if role not in get_args(Role):
            raise PlanError(f"there is no role {role!r}{did_you_mean(role, get_args(Role))}")
        return tuple(entry for entry in self.devices if entry.role == role)

    def device(self, name: str) -> DeviceEntry:
        """One device by name; raises PlanError."""
        for entry in self.devices:
            if entry.name == name:
                return entry
        raise PlanError(f"there is no device {name!r}{did_you_mean(name, [e.name for e in self.devices])}")

    def limit(self, key: str) -> Limit:
        """The limit of a key; raises PlanError with a suggestion."""
        spec = self.model.limits.get(key)
        if spec is None:
            raise PlanError(f"there is no limit {key!r} in {self.model_file}{did_you_mean(key, self.model.limits)}")
        return Limit(
            key=key,
            unit=spec.unit,
            source=spec.source,
            minimum=spec.min,
            maximum=spec.max,
            allowed=None if spec.equals is None else (spec.equals,),
            guard=spec.guard,
            uncertainty=spec.uncertainty,
            by_definition=spec.by_definition,
            recorded_only=spec.recorded_only,
        )

    def duration(self, name: str) -> float:
        """A named duration in rack seconds; raises PlanError."""
        return _named(self.model.durations, name, "duration", self.model_file)

    def load(self, name: str) -> LoadSpec:
        """A named load; raises PlanError."""
        return _named(self.model.loads, name, "load", self.model_file)

    def companions(self, name: str) -> dict[str, LoadSpec]:
        """The loads that run beside a named one, by name; raises PlanError where there is no such load."""
        self.load(name)
        return {other: spec for other, spec in self.model.loads.items() if spec.beside == name}

    def limits(self, *keys: str) -> tuple[str, ...]:
        """Those of `keys` that this model sets a limit for."""
        return tuple(key for key in keys if key in self.model.limits)

    def parts(self) -> Iterator[tuple[str, PartSpec]]:
        """Every part of the BOM: its place in the rack, and what is allowed there."""
        for slot_name, slot in self.model.slots.items():
            for part in self.model.assemblies[slot.assembly].parts:
                for name in part.names():
                    yield f"{slot_name}/{name}", part

    def firmware(self) -> dict[str, str]:
        """The firmware baseline: component in the rack (`tray-01/bmc`, `tray-01/accelerator-2`) to version."""
        baseline: dict[str, str] = {}
        for slot_name, slot in self.model.slots.items():
            assembly = self.model.assemblies[slot.assembly]
            kinds = {part.kind: part for part in assembly.parts}
            for component, version in assembly.firmware.items():
                names = kinds[component].names() if component in kinds else (component,)
                baseline |= {f"{slot_name}/{name}": version for name in names}
        return baseline

    def subjects(self, per: str) -> tuple[str, ...]:
        """What a measurement is made once for each of; raises PlanError on an unknown word.

        A role (its slots), a part kind (`psu`, or `power_shelf/psu` for those of one role), every `part`, every
        `numbered_part` and `branded_part` (those that can tell their part number, their maker), every `firmware`
        component (all as `tray-01/accelerator-2`), every `cable` (by its switch end) or `feed` (by its outlet), every
        load `beside/burn-in` on every host (`tray-01/memory-test`), none where nothing runs beside that one, or one
        `load/diagnostic` on every host.
        """
        if per == "part":
            return tuple(place for place, _ in self.parts())
        if per == "numbered_part":
            return tuple(place for place, part in self.parts() if part.part_numbers)
        if per == "branded_part":
            return tuple(place for place, part in self.parts() if part.manufacturer)
        if per == "firmware":
            return tuple(self.firmware())
        if per == "cable":
            return tuple(cable.b for cable in self.cables)
        if per == "feed":
            return tuple(feed.outlet for feed in self.feeds)
        if per in get_args(Role):
            return tuple(entry.slot for entry in self.role(per))
        role, _, kind = per.rpartition("/")
        if role == "load":
            self.load(kind)
            return tuple(f"{host.slot}/{kind}" for host in self.role("host"))
        if role == "beside":
            return tuple(f"{host.slot}/{load}" for host in self.role("host") for load in self.companions(kind))
        slots = tuple(entry.slot for entry in self.role(role)) if role else tuple(self.model.slots)
        found = tuple(place for place, part in self.parts() if part.kind == kind and place.partition("/")[0] in slots)
        if not found:
            kinds = sorted({part.kind for _, part in self.parts()})
            known = [*get_args(Role), *kinds, "part", "numbered_part", "branded_part", "firmware", "cable", "feed"]
            raise PlanError(f"nothing in this rack is a {per!r}{did_you_mean(per, known)}")
        return found

    @property
    def cables(self) -> tuple[Cable, ...]:
        """The cable map."""
        return self.model.cable_map

    @property
    def feeds(self) -> tuple[PowerFeed, ...]:
        """The power map."""
        return self.model.power_map

    @property
    def simulated(self) -> bool:
        """Whether this rack is a simulated one."""
        return self.bay.simulated is not None

    def as_json(self) -> dict[str, object]:
        """All of it as plain JSON types; contains names of secrets, never secrets."""
        return {
            "model": self.model.model_dump(mode="json"),
            "bay": self.bay.model_dump(mode="json"),
            "unit": self.unit.model_dump(mode="json"),
            "model_digest": self.model_digest,
            "bay_digest": self.bay_digest,
        }

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of the whole definition."""
        text = json.dumps(self.as_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()


def offline_definition(model: Model, file: str) -> RackDefinition:
    """A definition that reaches nothing, to check a plan against a model without a bay."""
    devices = {
        name: Endpoint(driver="offline", address="offline:")
        for slot_name, slot in model.slots.items()
        for name in slot_devices(slot_name, slot.roles)
    }
    bay = Bay(name="offline", site="-", station="-", devices=devices)
    return RackDefinition(model, bay, Unit(serial="OFFLINE"), file, "", "")


def slot_devices(slot: str, roles: tuple[Role, ...]) -> dict[str, Role]:
    """Names of the devices of a slot: the first role has the slot's own name."""
    return {slot if index == 0 else f"{slot}-{role}": role for index, role in enumerate(roles)}


def _named(table: Mapping[str, T], name: str, what: str, file: str) -> T:
    if name not in table:
        raise PlanError(f"there is no {what} {name!r} in {file}{did_you_mean(name, table)}")
    return table[name]
