"""What `nvidia-smi -q -x` says of each accelerator.

Source: NVIDIA's DTD nvsmi_device_v12/v13 as printed by drivers 550 … 580, and recorded outputs of GB200 trays. "N/A",
"GPU is lost" and everything else that is no number is None, never zero.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass

from drivers.inband import ParseError

TOOL = "nvidia-smi"
LONGEST = 16 * 2**20
_QUANTITY = re.compile(r"(-?\d{1,18}(?:\.\d{1,9})?)(?: (\S{1,8}))?")
_UNCORRECTED = ("sram_uncorrectable", "sram_uncorrectable_parity", "sram_uncorrectable_secded", "dram_uncorrectable")
_CORRECTED = ("sram_correctable", "dram_correctable")
_SLOWDOWNS = ("sw_therm_slowdown", "hw_therm_slowdown", "hw_power_brake")


@dataclass(frozen=True, slots=True)
class Gpu:
    """One accelerator; `bus` is its PCI address, `uuid` its own name. Counters start when the driver is loaded."""

    uuid: str
    bus: str
    product: str
    serial: str
    part_number: str
    temperature: float | None
    """degC"""
    power: float | None
    """W, of the accelerator itself, not of its module"""
    ecc_uncorrected: int | None
    ecc_corrected: int | None
    throttled: float | None
    """ms in thermal or power-brake slowdown"""
    lost: bool


def parse(text: str) -> tuple[Gpu, ...]:
    """The accelerators in the tool's order; raises ParseError where it is cut off or contradicts itself."""
    if len(text) > LONGEST or "<!ENTITY" in text:
        raise ParseError(f"{TOOL}: this is nothing it prints")
    try:
        log = ET.fromstring(text.strip().encode(errors="replace"))  # noqa: S314 - entities were refused above
    except (ET.ParseError, ValueError, RecursionError) as error:
        raise ParseError(f"{TOOL}: no valid XML: {error}") from error
    if log.tag != "nvidia_smi_log":
        raise ParseError(f"{TOOL}: the document is a {log.tag!r}")
    gpus = tuple(_gpu(each) for each in log.findall("gpu"))
    attached = _count(_word(log, "attached_gpus"))
    if attached != len(gpus):
        raise ParseError(f"{TOOL}: {attached} accelerators attached, {len(gpus)} described")
    if len({gpu.bus for gpu in gpus if gpu.bus}) != len(gpus):
        raise ParseError(f"{TOOL}: two accelerators at one PCI address, or one without")
    return gpus


def _gpu(node: ET.Element) -> Gpu:
    power = _quantity(node, "gpu_power_readings/instant_power_draw", "W")
    for older in (
        "gpu_power_readings/average_power_draw",
        "gpu_power_readings/power_draw",
        "power_readings/power_draw",
    ):
        power = _quantity(node, older, "W") if power is None else power
    slow = [
        _quantity(node, f"clocks_event_reasons_counters/clocks_event_reasons_counters_{each}", "us")
        for each in _SLOWDOWNS
    ]
    return Gpu(
        uuid=_word(node, "uuid"),
        bus=node.get("id", "").strip(),
        product=_word(node, "product_name"),
        serial=_word(node, "serial"),
        part_number=_word(node, "board_part_number") or _word(node, "gpu_part_number"),
        temperature=_quantity(node, "temperature/gpu_temp", "C"),
        power=power,
        ecc_uncorrected=_sum(node, _UNCORRECTED),
        ecc_corrected=_sum(node, _CORRECTED),
        throttled=None if None in slow else math.fsum(each or 0.0 for each in slow) / 1000.0,
        lost=any((each.text or "").strip() == "GPU is lost" for each in node.iter()),
    )


def _one(node: ET.Element, path: str) -> str:
    """The text at `path`, empty where it is missing; raises ParseError where there are two."""
    found = node.findall(path)
    if len(found) > 1:
        raise ParseError(f"{TOOL}: {path} occurs {len(found)} times")
    return (found[0].text or "").strip() if found else ""


def _word(node: ET.Element, path: str) -> str:
    word = _one(node, path)
    return "" if word in ("N/A", "[N/A]", "GPU is lost") else word


def _quantity(node: ET.Element, path: str, unit: str) -> float | None:
    found = _QUANTITY.fullmatch(_one(node, path))
    if found is None or found.group(2) != unit:
        return None
    return float(found.group(1))


def _count(word: str) -> int | None:
    return int(word) if re.fullmatch(r"\d{1,18}", word) else None


def _sum(node: ET.Element, names: tuple[str, ...]) -> int | None:
    """The sum of the counters that this accelerator has ("N/A" is one it has not); None where one cannot be read."""
    words = [word for name in names if (word := _one(node, f"ecc_errors/volatile/{name}")) not in ("", "N/A")]
    counts = [_count(word) for word in words]
    if not counts or None in counts:
        return None
    return sum(count for count in counts if count is not None)
