"""Links of a tray's processors and network adapters, below the packets (DSP2046: Port 1.17, PortMetrics 1.8).

NVIDIA's counters stand under `Oem.Nvidia` (recorded on a GB300 tray: 18 NVLink ports an accelerator). A ratio of
15E-255 stands for "none seen", a counter at the end of its range (TXWait of that tray) for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime

from drivers.resources.members import read_collections
from drivers.resources.values import Json, is_present, link, natural, number, section, text
from drivers.transports.redfish import RedfishWire
from harness.physical import PhysicalLink, Transceiver
from harness.quantities import Reading, Unit

NONE_SEEN = 1e-200
"""Ratios below it are how devices write that they counted no error."""
_FULL_32, _FULL_64 = 2**32 - 1, 2**64 - 1
_UP = {"LinkUp": True, "LinkDown": False, "NoLink": False, "Starting": False, "Training": False}


async def read_links(
    wire: RedfishWire, ports: Mapping[str, str], device: str, now: datetime, *, expands: bool
) -> tuple[PhysicalLink, ...]:
    """Every port of the parts in `ports` (name to collection), by name; raises DeviceError."""
    collections = await read_collections(wire, ports, device, expands)
    paths = {link(port, "Metrics") for each in collections for port in each.members.values()} - {""}
    metrics = await wire.gather(sorted(paths))
    found = [
        physical_link(f"{each.chassis}/{text(port, 'Id')}", port, metrics.get(link(port, "Metrics")) or {}, now)
        for each in collections
        for port in each.members.values()
    ]
    return tuple(sorted(found, key=lambda each: natural(each.port)))


def physical_link(name: str, port: Json, metrics: Json, now: datetime) -> PhysicalLink:
    """One port; since when its counters count is not said, so its epoch is empty."""
    speed = number(port.get("CurrentSpeedGbps"))
    vendors = [said for said in section(metrics, "Oem").values() if isinstance(said, Mapping)]

    def oem(word: str) -> object:
        return next((said[word] for said in vendors if word in said), None)

    return PhysicalLink(
        port=name,
        up=_UP.get(text(port, "LinkStatus")) if is_present(port) else False,
        speed=None if math.isnan(speed) else Reading(speed, Unit.GIGABIT_PER_SECOND, now),
        fec="",
        epoch="",
        symbol_errors=_count(oem("SymbolErrors")),
        raw_ber=_ratio(oem("TotalRawBER")),
        effective_ber=_ratio(oem("EffectiveBER")),
        downs=_count(oem("LinkDownedCount")),
        recoveries=_count(oem("LinkErrorRecoveryCount")),
        transceiver=_transceiver(section(port, "SFP")),
    )


def _transceiver(module: Json) -> Transceiver | None:
    vendor, number_on_it, serial = (text(module, word) for word in ("Manufacturer", "PartNumber", "SerialNumber"))
    if not is_present(module) or not (vendor or number_on_it or serial):
        return None
    return Transceiver(vendor, number_on_it, serial, text(module, "Type") or text(module, "MediumType"))


def _count(value: object) -> int | None:
    found = value
    if isinstance(value, str | float):
        whole = number(value)
        found = None if math.isnan(whole) or whole != int(whole) else int(whole)
    if not isinstance(found, int) or isinstance(found, bool) or found == _FULL_32 or not 0 <= found < _FULL_64:
        return None
    return found


def _ratio(value: object) -> float | None:
    found = number(value)
    if math.isnan(found) or found < 0:
        return None
    return 0.0 if found < NONE_SEEN else found
