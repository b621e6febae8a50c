"""The unit as it was found: what every device said of itself and of its parts, beside what it was built with.

Whether a serial is the one that was built in is shown and never judged here: a judgement needs a limit of the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from harness.journal.events import Inventoried, RunStarted
from harness.verdict import RunSummary
from reports.identity import table, text

AGREES = "as built"
CONTRADICTS = "NOT AS BUILT"
UNREAD = "not read"
"""Built in with a known serial that nothing in the run read back."""


@dataclass(frozen=True, slots=True)
class Item:
    """A device (`tray-01`) or a part of one (`tray-01/accelerator-0`); a text is empty where it was not told."""

    place: str
    kind: str
    """Kind of the part; empty for a device."""
    manufacturer: str
    model: str
    part_number: str
    serial: str
    firmware: str
    """`1.08.3`, or `bios 1.08.3, bmc 2.14.1` where it has several."""
    built: str
    """Its serial as built, where the unit record has it."""

    @property
    def agreement(self) -> str:
        """AGREES, CONTRADICTS, UNREAD, or empty where nothing is known of how it was built."""
        if not self.built:
            return ""
        if not self.serial:
            return UNREAD
        return AGREES if self.serial.strip() == self.built.strip() else CONTRADICTS

    @property
    def built_text(self) -> str:
        """How it compares with its build, for a person: `as built`, `NOT AS BUILT: 1234`."""
        return f"{self.agreement}: {self.built}" if self.agreement in (CONTRADICTS, UNREAD) else self.agreement


def records(summary: RunSummary) -> tuple[Inventoried, ...]:
    """The records of a run by device, each once. A device that changed what it says of itself keeps every version."""
    kept: list[Inventoried] = []
    for record in summary.inventory:
        if record not in kept:
            kept.append(record)
    return tuple(sorted(kept, key=lambda record: record.device))


def as_found(summary: RunSummary) -> list[dict[str, Any]]:
    """The as-found record as plain JSON values, in the order of `records`."""
    return [asdict(record) for record in records(summary)]


def built_serials(started: RunStarted | None) -> Mapping[str, str]:
    """Place to serial as built, as far as the unit record knows."""
    unit = table(started.definition.get("unit")) if started else {}
    return {place: text(serial) for place, serial in table(unit.get("built_serials")).items() if text(serial)}


def items(summary: RunSummary) -> tuple[Item, ...]:
    """Every device followed by its parts; last, what was built in and not found at all."""
    built = built_serials(summary.started)
    found: list[Item] = []
    for record in records(summary):
        found += _items(record, built)
    places = {item.place for item in found}
    found += [
        Item(place, "", "", "", "", "", "", serial) for place, serial in sorted(built.items()) if place not in places
    ]
    return tuple(found)


def contradictions(summary: RunSummary) -> tuple[Item, ...]:
    """The items that do not carry the serial they were built with."""
    return tuple(item for item in items(summary) if item.agreement == CONTRADICTS)


def _items(record: Inventoried, built: Mapping[str, str]) -> list[Item]:
    names = {part.name for part in record.parts}
    own = [f"{component} {version}" for component, version in record.firmware.items() if component not in names]
    found = [
        Item(
            record.device,
            "",
            record.manufacturer,
            record.model,
            record.part_number,
            record.serial,
            ", ".join(own),
            built.get(record.device, ""),
        )
    ]
    for part in record.parts:
        place = f"{record.device}/{part.name}"
        version = record.firmware.get(part.name, "")
        found.append(
            Item(
                place,
                part.kind,
                part.manufacturer,
                "",
                part.part_number,
                part.serial,
                version,
                built.get(place, ""),
            )
        )
    return found
