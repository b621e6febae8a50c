"""What `amd-smi static --json` and `amd-smi metric --json` say of each accelerator.

UNPROVEN: no recording of a real one exists here. Written from ROCm/amdsmi amdsmi_cli/amdsmi_commands.py (ROCm 6.3) and
published outputs: a list of accelerators up to ROCm 6, {"gpu_data": […]} since 7; numbers are bare, "N/A", or
{"value": …, "unit": …}; warnings may stand before the JSON. Temperatures degC, power W. ECC counts are those since the
driver was loaded; "deferred" errors are uncorrected ones that nothing has used yet. A violation counter of ppt (package
power) is normal at full load, the thermal ones and prochot are not; they only mean something against earlier ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from drivers.inband import ParseError
from drivers.inband.finding import Finding, Verdict
from drivers.inband.strict_json import read_object

TOOL = "amd-smi"
LEAST_MARGIN = 5.0
"""degC to the temperature at which the accelerator slows down."""
LONGEST_BANNER = 4096
_THERMAL = ("prochot", "socket_thermal", "vr_thermal", "hbm_thermal")
_UNSAID = frozenset({"", "N/A"})
_XGMI_WELL = frozenset({"AMDSMI_XGMI_STATUS_NO_ERRORS", "No errors detected"})


@dataclass(frozen=True, slots=True)
class Described:
    """One accelerator by `static`; empty or None where not said. `slowdown` is the hot spot's limit."""

    gpu: int
    product: str
    serial: str
    board_serial: str
    part_number: str
    bus: str
    vbios: str
    driver: str
    power_limit: float | None
    slowdown: float | None


@dataclass(frozen=True, slots=True)
class Measured:
    """One accelerator by `metric`; empty or None where not said. `violations` are counters by reason."""

    gpu: int
    power: float | None
    edge: float | None
    hotspot: float | None
    memory: float | None
    corrected: int | None
    uncorrected: int | None
    deferred: int | None
    replays: int | None
    xgmi: str
    throttled: str
    violations: tuple[tuple[str, int | None], ...]


def parse_static(text: str) -> tuple[Described, ...]:
    """The accelerators by `amd-smi static --json`; raises ParseError."""
    return tuple(
        Described(
            gpu=number,
            product=_word(each, "asic", "market_name"),
            serial=_word(each, "asic", "asic_serial"),
            board_serial=_word(each, "board", "product_serial"),
            part_number=_word(each, "board", "model_number"),
            bus=_word(each, "bus", "bdf"),
            vbios=_word(each, "vbios", "version") or _word(each, "ifwi", "version"),
            driver=_word(each, "driver", "version"),
            power_limit=_quantity(each, "W", "limit", "max_power"),
            slowdown=_quantity(each, "C", "limit", "slowdown_hotspot_temperature"),
        )
        for number, each in _gpus(text)
    )


def parse_metric(text: str) -> tuple[Measured, ...]:
    """The accelerators by `amd-smi metric --json`; raises ParseError."""
    return tuple(
        Measured(
            gpu=number,
            power=_quantity(each, "W", "power", "socket_power"),
            edge=_quantity(each, "C", "temperature", "edge"),
            hotspot=_quantity(each, "C", "temperature", "hotspot"),
            memory=_quantity(each, "C", "temperature", "mem"),
            corrected=_count(each, "ecc", "total_correctable_count"),
            uncorrected=_count(each, "ecc", "total_uncorrectable_count"),
            deferred=_count(each, "ecc", "total_deferred_count"),
            replays=_count(each, "pcie", "replay_count"),
            xgmi=_word(each, "xgmi_err"),
            throttled=_word(each, "power", "throttle_status"),
            violations=tuple((name, _count(each, "throttle", f"{name}_accumulated")) for name in (*_THERMAL, "ppt")),
        )
        for number, each in _gpus(text)
    )


def findings(
    measured: tuple[Measured, ...],
    *,
    gpus: int,
    described: tuple[Described, ...] = (),
    before: tuple[Measured, ...] | None = None,
) -> tuple[Finding, ...]:
    """Whether `gpus` new accelerators have no memory or link error, are cool enough and, since `before`, never slow."""
    limits = {each.gpu: each.slowdown for each in described}
    earlier = {each.gpu: each for each in before or ()}
    found = []
    if len(measured) != gpus:
        found.append(Finding(Verdict.FAIL, "", f"{len(measured)} accelerators answer where {gpus} belong"))
    for each in measured:
        found += _state(each, limits.get(each.gpu))
        if before is not None:
            found += _slowed(each, earlier.get(each.gpu))
    return tuple(found)


def _state(gpu: Measured, slowdown: float | None) -> Iterator[Finding]:
    unit = f"GPU {gpu.gpu}"
    needed = {
        "power": gpu.power,
        "hot spot temperature": gpu.hotspot,
        "uncorrected memory errors": gpu.uncorrected,
        "corrected memory errors": gpu.corrected,
    }
    silent = [name for name, value in needed.items() if value is None]
    if silent:
        yield Finding(Verdict.ERROR, unit, f"amd-smi does not say: {', '.join(silent)}")
    for what, number in (("uncorrected", gpu.uncorrected), ("deferred", gpu.deferred)):
        if number:
            yield Finding(Verdict.FAIL, unit, f"{number} {what} memory errors since the driver was loaded")
    for what, number in (("corrected memory errors", gpu.corrected), ("PCIe replays", gpu.replays)):
        if number:
            yield Finding(Verdict.WARN, unit, f"{number} {what} since the driver was loaded")
    if gpu.xgmi and gpu.xgmi not in _XGMI_WELL:
        yield Finding(Verdict.FAIL, unit, f"XGMI: {gpu.xgmi}")
    if gpu.throttled == "THROTTLED":
        yield Finding(Verdict.WARN, unit, "its clocks are lowered at this moment")
    if slowdown is not None and gpu.hotspot is not None and slowdown - gpu.hotspot < LEAST_MARGIN:
        yield Finding(Verdict.FAIL, unit, f"its hot spot has {gpu.hotspot:g} C, it slows down at {slowdown:g} C")


def _slowed(gpu: Measured, before: Measured | None) -> Iterator[Finding]:
    unit = f"GPU {gpu.gpu}"
    first = dict(before.violations) if before is not None else {}
    for name, now in gpu.violations:
        was = first.get(name)
        if name not in _THERMAL:
            continue
        if now is None or was is None or now < was:
            yield Finding(Verdict.ERROR, unit, f"{name}: {was} before, {now} now: it cannot be judged")
        elif now > was:
            yield Finding(Verdict.FAIL, unit, f"{name} lowered its clocks since the earlier reading")


def _gpus(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and object of each accelerator, in the tool's order."""
    lines = text.splitlines(keepends=True)
    skipped = 0
    for line in lines:
        if line.startswith(("{", "[")):
            break
        skipped += len(line)
    if skipped > LONGEST_BANNER:
        raise ParseError(f"{TOOL}: the JSON does not begin in the first {LONGEST_BANNER} characters")
    body = text[skipped:]
    found = read_object(f'{{"gpu_data": {body}}}' if body.startswith("[") else body, TOOL)
    listed = found.get("gpu_data")
    if not isinstance(listed, list) or (body.startswith("[") and len(found) != 1):
        raise ParseError(f"{TOOL}: there is no list of accelerators")
    seen: set[int] = set()
    for each in listed:
        number = each.get("gpu") if isinstance(each, dict) else None
        if isinstance(number, bool) or not isinstance(number, int) or number < 0 or number in seen:
            raise ParseError(f"{TOOL}: an accelerator has no number, or another one's")
        seen.add(number)
        yield number, each


def _at(found: object, *path: str) -> object:
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _word(found: object, *path: str) -> str:
    word = _at(found, *path)
    return word.strip() if isinstance(word, str) and word.strip() not in _UNSAID else ""


def _quantity(found: object, unit: str, *path: str) -> float | None:
    """A finite number in `unit`, bare or in an object; None for everything else."""
    held = _at(found, *path)
    if isinstance(held, dict):
        held = held.get("value") if held.get("unit") == unit else None
    if isinstance(held, bool) or not isinstance(held, int | float):
        return None
    try:
        value = float(held)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def _count(found: object, *path: str) -> int | None:
    """A whole number that is not negative; None for everything else."""
    held = _at(found, *path)
    return held if isinstance(held, int) and not isinstance(held, bool) and held >= 0 else None
