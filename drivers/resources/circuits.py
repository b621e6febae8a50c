"""Circuits of power equipment: its mains and branches, each with its breaker (DSP2046, Circuit 1.9)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from drivers.resources.appliance import Appliance
from drivers.resources.equipment import part_of
from drivers.resources.values import Json, natural, text
from harness.capabilities import Part

_KINDS = {"main": "Mains", "branch": "Branches"}


@dataclass(frozen=True, slots=True)
class Circuit:
    """One circuit as it was found, named by its Id, which is what is printed: `branch-A`."""

    name: str
    kind: str
    path: str
    resource: Json


async def find_circuits(unit: Appliance, resource: Json) -> tuple[Circuit, ...]:
    """The circuits of a PowerDistribution, mains first; raises DeviceError."""
    found = {kind: await unit.members(resource, word) for kind, word in _KINDS.items()}
    return tuple(
        Circuit(f"{kind}-{text(each, 'Id') or path.rsplit('/', 1)[-1]}", kind, path, each)
        for kind, members in found.items()
        for path, each in sorted(members.items(), key=lambda pair: natural(pair[0]))
    )


def circuit_parts(circuits: tuple[Circuit, ...], found: Mapping[str, Json | None]) -> tuple[Part, ...]:
    """Circuits as parts, out of what was read; one whose breaker is not `Normal` is not healthy."""
    return tuple(_part(each, found.get(each.path)) for each in circuits)


def _part(circuit: Circuit, resource: Json | None) -> Part:
    part = part_of(circuit.name, circuit.kind, resource)
    breaker = text(resource, "BreakerState") if resource is not None else ""
    return part if breaker in ("", "Normal") else replace(part, healthy=False)
